//! Limits and numbers of containers: the old keys and `deploy`.

use super::super::finding::{Kind, quoted};
use super::super::model::{Limits, Restart};
use super::super::scalars::{float, whole};
use super::{Reader, View, text};
use crate::units::ByteSize;

/// The most containers of one service.
const MAX_REPLICAS: u32 = 8;

/// Keys of `deploy` that are read, and without effect here.
const IGNORED: &[(&str, &str)] = &[
    ("endpoint_mode", "it has no effect outside of a swarm"),
    ("labels", "it has no effect outside of a swarm; `labels` of the service itself are kept"),
    ("placement", "it has no effect here; there is one machine"),
    ("rollback_config", "it has no effect outside of a swarm"),
    ("update_config", "it has no effect outside of a swarm"),
];

impl Reader<'_, '_> {
    /// The keys of `deploy` beside its limits. Returns the restart policy in it.
    pub(super) fn deploy(&mut self, service: &View<'_>) -> Option<Restart> {
        let deploy = service.get("deploy")?;
        for (key, why) in IGNORED {
            if let Some(view) = deploy.get(key)
                && !view.is_off()
            {
                self.ignore(&view, "deploy", *why);
            }
        }
        if let Some(view) = deploy.get("mode")
            && view.text().is_some_and(|mode| !matches!(mode, "" | "replicated"))
        {
            self.ignore(
                &view,
                "deploy",
                "it has no effect outside of a swarm; `replicas` says how many there are",
            );
        }
        for config in ["update_config", "rollback_config"].iter().filter_map(|key| deploy.get(key)) {
            for key in ["delay", "monitor"] {
                self.duration(&config, key);
            }
        }
        let reservations = deploy.get("resources").and_then(|view| view.get("reservations"));
        for (key, view) in reservations.iter().flat_map(View::fields) {
            match key {
                "devices" if !view.is_off() => {
                    self.refuse(&view, "devices", "containers here have no devices of the machine; leave it out");
                }
                "cpus" | "memory" | "generic_resources" if !view.is_off() => self.ignore(
                    &view,
                    "deploy",
                    "it has no effect here; nothing is set aside for single services, and `limits` bound them",
                ),
                _ => {}
            }
        }
        let policy = deploy.get("restart_policy")?;
        for key in ["delay", "window"] {
            self.duration(&policy, key);
            if let Some(view) = policy.get(key) {
                self.ignore(&view, "deploy", "it has no effect outside of a swarm");
            }
        }
        let most = self.count(&policy, "max_attempts", 0).filter(|most| *most > 0);
        Some(match text(&policy, "condition").as_deref() {
            Some("none" | "no") => Restart::No,
            Some("on-failure") => Restart::OnFailure { most },
            Some("unless-stopped") => Restart::UnlessStopped,
            None | Some("any" | "always") => Restart::Always,
            Some(word) => {
                let message =
                    format!("{} is no condition; there are `none`, `on-failure` and `any`", quoted(word));
                if let Some(view) = policy.get("condition") {
                    self.refuse(&view, "restart", message);
                }
                return None;
            }
        })
    }

    /// Bounds of each container, and how many there are.
    pub(super) fn limits(&mut self, service: &View<'_>) -> (Limits, u32) {
        let deploy = service.get("deploy");
        let bounds = deploy.as_ref().and_then(|view| view.get("resources")?.get("limits"));
        let old = (
            self.size(service, "mem_limit"),
            self.millis(service, "cpus"),
            self.value(service, "pids_limit", whole).filter(|pids| *pids != 0),
        );
        let mut new = (None, None, None);
        if let Some(bounds) = &bounds {
            new = (
                self.size(bounds, "memory"),
                self.millis(bounds, "cpus"),
                self.value(bounds, "pids", whole).filter(|pids| *pids != 0),
            );
            // As docker compose has it: where `limits` are there, an old key has to say the same.
            for (key, other, differ) in [
                ("mem_limit", "memory", old.0.is_some() && old.0 != new.0),
                ("cpus", "cpus", old.1.is_some() && old.1 != new.1),
                ("pids_limit", "pids", old.2.is_some() && old.2 != new.2),
            ] {
                if differ && let Some(view) = service.get(key) {
                    let message = format!(
                        "`{key}` and `deploy.resources.limits.{other}` say two things; keep one of them"
                    );
                    self.mistake(&view, "both", message);
                }
            }
        }
        let reserved = deploy.as_ref().and_then(|view| view.get("resources")?.get("reservations"));
        let asked = self.size(service, "mem_reservation");
        if let Some(reserved) = reserved
            && self.size(&reserved, "memory") != asked
            && asked.is_some()
            && let Some(view) = service.get("mem_reservation")
        {
            let message = "`mem_reservation` and `deploy.resources.reservations.memory` say two things; keep one of them";
            self.mistake(&view, "both", message);
        }
        if let Some(view) = service.get("memswap_limit") {
            self.value(service, "memswap_limit", super::super::scalars::size);
            let message = "containers here have no swap; what `mem_limit` says is all the memory there is";
            self.tell(Kind::Rewritten, &view, "limits", message);
        }
        let pids = new.2.or(old.2).and_then(|pids| u32::try_from(pids).ok());
        let limits = Limits { memory_bytes: new.0.or(old.0), cpu_millis: new.1.or(old.1), pids };
        let limits = self.bounded(limits, service, bounds.as_ref());
        (limits, self.replicas(service, deploy.as_ref()))
    }

    fn millis(&mut self, view: &View<'_>, key: &str) -> Option<u32> {
        let cpus = self.value(view, key, |item| {
            let cpus = float(item)?;
            if (0.0..=100_000.0).contains(&cpus) {
                Ok(cpus)
            } else {
                Err(format!("expected a number of CPUs, found {}", item.described()))
            }
        })?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let millis = (cpus * 1000.0).round() as u32;
        (millis > 0).then_some(millis)
    }

    /// The same limits, no higher than those of the grading.
    fn bounded(&mut self, limits: Limits, service: &View<'_>, bounds: Option<&View<'_>>) -> Limits {
        fn lower<T: Copy + Ord>(asked: &mut Option<T>, most: Option<T>) -> Option<T> {
            let most = most.filter(|most| asked.is_some_and(|asked| asked > *most))?;
            *asked = Some(most);
            Some(most)
        }
        let mut limits = limits;
        let most = self.options.limits;
        let place = |old: &str, new: &str| bounds.and_then(|view| view.get(new)).or_else(|| service.get(old));
        if let Some(most) = lower(&mut limits.memory_bytes, most.memory_bytes)
            && let Some(view) = place("mem_limit", "memory")
        {
            let message = format!("a container here gets at most {}, and this one gets that", ByteSize(most));
            self.tell(Kind::Rewritten, &view, "limits", message);
        }
        if let Some(most) = lower(&mut limits.cpu_millis, most.cpu_millis)
            && let Some(view) = place("cpus", "cpus")
        {
            let message = format!(
                "a container here gets at most {} CPUs, and this one gets that",
                f64::from(most) / 1000.0
            );
            self.tell(Kind::Rewritten, &view, "limits", message);
        }
        if let Some(most) = lower(&mut limits.pids, most.pids)
            && let Some(view) = place("pids_limit", "pids")
        {
            let message = format!("a container here gets at most {most} processes, and this one gets that");
            self.tell(Kind::Rewritten, &view, "limits", message);
        }
        limits
    }

    fn replicas(&mut self, service: &View<'_>, deploy: Option<&View<'_>>) -> u32 {
        let replicas = deploy.and_then(|view| self.count(view, "replicas", 0));
        let scale = self.count(service, "scale", 0);
        let asked = scale.or(replicas).unwrap_or(1);
        let view = service.get("scale").or_else(|| deploy?.get("replicas"));
        let Some(view) = view else { return asked };
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale != replicas
        {
            let message = "`scale` and `deploy.replicas` say two things; keep one of them";
            self.mistake(&view, "both", message);
        }
        if asked > 1 && service.get("container_name").is_some() {
            let message =
                "several containers cannot have one `container_name`; leave that out, or run one container";
            self.mistake(&view, "both", message);
        }
        if asked > MAX_REPLICAS {
            let message = format!("a service here has at most {MAX_REPLICAS} containers, not {asked}");
            self.refuse(&view, "too-many", message);
        }
        asked.min(MAX_REPLICAS)
    }
}
