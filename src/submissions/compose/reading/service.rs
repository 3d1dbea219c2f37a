//! A service, key by key.

use std::time::Duration;

use super::super::finding::{Kind, quoted};
use super::super::model::{Hook, PullPolicy, Restart, Service};
use super::super::scalars::{boolean, words};
use super::networks::links;
use super::{Reader, View, pairs, text, texts};

/// The longest that a service here is waited for before it is killed.
const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// A service without its `env_file` and `label_file`, which only matter for one that runs.
pub(in super::super) fn read_service(reader: &mut Reader<'_, '_>, service: &View<'_>) -> Service {
    reader.judge_service(service);
    let build = service.get("build").map(|build| reader.build(&build));
    let mounts = reader.mounts(service);
    let tmpfs = reader.tmpfs(service);
    let deploy_restart = reader.deploy(service);
    let (limits, replicas) = reader.limits(service);
    let (network_mode, networks) = reader.networks(service);
    Service {
        origin: service.key.clone(),
        image: text(service, "image"),
        build,
        platform: reader.platform(service),
        pull_policy: reader.pull_policy(service),
        command: reader.command(service, "command"),
        entrypoint: reader.command(service, "entrypoint"),
        environment: pairs(service, "environment"),
        user: text(service, "user"),
        group_add: texts(service, "group_add"),
        working_dir: reader.working_dir(service),
        hostname: reader.hostname(service),
        domainname: reader.domainname(service),
        container_name: reader.container_name(service),
        labels: reader.labels(service),
        network_mode,
        networks,
        mac_address: reader.mac_address(service),
        links: links(service),
        ports: reader.ports(service),
        expose: reader.expose(service),
        extra_hosts: reader.extra_hosts(service),
        dns: reader.dns(service),
        dns_search: reader.dns_search(service),
        dns_opt: reader.dns_options(service),
        depends_on: reader.depends_on(service),
        healthcheck: reader.healthcheck(service),
        restart: deploy_restart.or(reader.restart(service)),
        stop_signal: reader.stop_signal(service),
        stop_grace_period: reader.stop_grace_period(service),
        init: reader.boolean(service, "init"),
        read_only: reader.boolean(service, "read_only").unwrap_or_default(),
        tty: reader.boolean(service, "tty").unwrap_or_default(),
        stdin_open: reader.boolean(service, "stdin_open").unwrap_or_default(),
        mounts,
        tmpfs,
        configs: reader.file_mounts(service, "configs", "/"),
        secrets: reader.file_mounts(service, "secrets", "/run/secrets/"),
        cap_add: reader.capabilities(service, "cap_add"),
        cap_drop: reader.capabilities(service, "cap_drop"),
        ulimits: reader.ulimits(service),
        shm_size_bytes: reader.size(service, "shm_size"),
        limits,
        replicas,
        post_start: reader.hooks(service, "post_start"),
        pre_stop: reader.hooks(service, "pre_stop"),
        profiles: texts(service, "profiles"),
    }
}

impl Reader<'_, '_> {
    /// `command` or `entrypoint`: a list, or a line that is taken apart. Nothing in it means none at all.
    pub(super) fn command(&mut self, view: &View<'_>, key: &str) -> Option<Vec<String>> {
        let view = view.get(key)?;
        let Some(line) = view.text() else { return Some(texts_of(&view)) };
        match words(line) {
            Ok((words, cut)) => {
                if cut {
                    let message = format!(
                        "docker compose runs only {}: there is no shell that understands `;`, `&`, `|`, `<` and `>`; \
                         write `sh -c '…'` if the rest is meant too",
                        quoted(&words.join(" "))
                    );
                    self.findings.add(Kind::Note, "cut-command", &view.item.at, &view.path, message);
                }
                Some(words)
            }
            Err(message) => {
                self.mistake(&view, "wrong-value", message);
                None
            }
        }
    }

    fn pull_policy(&mut self, service: &View<'_>) -> Option<PullPolicy> {
        let view = service.get("pull_policy")?;
        Some(match view.text()? {
            "always" => PullPolicy::Always,
            "never" => PullPolicy::Never,
            "missing" | "if_not_present" => PullPolicy::Missing,
            "build" => PullPolicy::Build,
            // From docker compose 2.34 on.
            word if matches!(word, "daily" | "weekly" | "refresh") || word.starts_with("every_") => {
                let message = "a stack here lives for minutes, so an image is pulled when it is missing";
                self.tell(Kind::Rewritten, &view, "pull_policy", message);
                PullPolicy::Missing
            }
            word => {
                let message = crate::tree::unknown(
                    "word",
                    word,
                    ["always", "never", "missing", "if_not_present", "build"],
                );
                self.mistake(&view, "wrong-value", message);
                return None;
            }
        })
    }

    fn container_name(&mut self, service: &View<'_>) -> Option<String> {
        let view = service.get("container_name")?;
        let name = view.text()?.to_owned();
        self.host_name(&view, &name);
        let message = format!(
            "containers are named by this server, since two students may choose the same name; other services reach it \
             as {} all the same",
            quoted(&name)
        );
        self.tell(Kind::Rewritten, &view, "container_name", message);
        Some(name)
    }

    fn hostname(&mut self, service: &View<'_>) -> Option<String> {
        let name = text(service, "hostname")?;
        self.host_name(&service.get("hostname")?, &name);
        Some(name)
    }

    fn domainname(&mut self, service: &View<'_>) -> Option<String> {
        let name = text(service, "domainname")?;
        self.host_name(&service.get("domainname")?, &name);
        Some(name)
    }

    /// Only what the machine executes is run.
    fn platform(&mut self, service: &View<'_>) -> Option<String> {
        let platform = text(service, "platform")?;
        if let Some(machine) = self.options.platform.clone()
            && !executes(&machine, &platform)
            && let Some(view) = service.get("platform")
        {
            let message = format!(
                "the machine here executes {}, not {}; leave `platform` out, and build for both if the image has to run \
                 elsewhere too",
                quoted(&machine),
                quoted(&platform)
            );
            self.refuse(&view, "platform", message);
        }
        Some(platform)
    }

    fn working_dir(&mut self, service: &View<'_>) -> Option<String> {
        let path = text(service, "working_dir")?;
        if !path.starts_with('/')
            && let Some(view) = service.get("working_dir")
        {
            let message =
                format!("{} is no folder in the container: its path begins with `/`", quoted(&path));
            self.refuse(&view, "working_dir", message);
        }
        Some(path)
    }

    /// `SIGTERM`, `TERM`, `SIGRTMIN+3` or a number; that it exists is for the engine to say.
    fn stop_signal(&mut self, service: &View<'_>) -> Option<String> {
        let signal = text(service, "stop_signal")?;
        if !signal.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-')
            && let Some(view) = service.get("stop_signal")
        {
            self.refuse(
                &view,
                "stop_signal",
                format!("{} is no signal; write one such as `SIGINT`", quoted(&signal)),
            );
        }
        Some(signal)
    }

    fn stop_grace_period(&mut self, service: &View<'_>) -> Option<Duration> {
        let grace = self.duration(service, "stop_grace_period")?;
        if grace > LONGEST_GRACE
            && let Some(view) = service.get("stop_grace_period")
        {
            let message = format!(
                "a service here has at most {} s to end before it is killed, and this one has that",
                LONGEST_GRACE.as_secs()
            );
            self.tell(Kind::Rewritten, &view, "stop_grace_period", message);
        }
        Some(grace)
    }

    fn restart(&mut self, service: &View<'_>) -> Option<Restart> {
        let view = service.get("restart")?;
        let word = view.text()?;
        let most = |count: &str| count.parse().ok().map(|count| (count > 0).then_some(count));
        Some(match word.split_once(':') {
            None if word.is_empty() => return None,
            None if word == "no" => Restart::No,
            None if word == "always" => Restart::Always,
            None if word == "unless-stopped" => Restart::UnlessStopped,
            None if word == "on-failure" => Restart::OnFailure { most: None },
            Some(("on-failure", count)) if most(count).is_some() => {
                Restart::OnFailure { most: most(count).flatten() }
            }
            _ => {
                let message = format!(
                    "{} is no restart policy; there are `no` (in quotes), `always`, `on-failure`, `on-failure:3` (at \
                     most so often) and `unless-stopped`",
                    quoted(word)
                );
                self.refuse(&view, "restart", message);
                return None;
            }
        })
    }

    fn hooks(&mut self, service: &View<'_>, key: &str) -> Vec<Hook> {
        let Some(view) = service.get(key) else { return Vec::new() };
        let mut hooks = Vec::new();
        for entry in view.entries() {
            if self.value(&entry, "privileged", boolean) == Some(true)
                && let Some(view) = entry.get("privileged")
            {
                self.refuse(
                    &view,
                    "privileged",
                    "a command cannot have all rights over the machine; leave it out",
                );
            }
            match self.command(&entry, "command") {
                Some(command) if !command.is_empty() => hooks.push(Hook {
                    origin: entry.key.clone(),
                    command,
                    user: text(&entry, "user"),
                    working_dir: text(&entry, "working_dir"),
                    environment: pairs(&entry, "environment"),
                }),
                _ => {
                    let message = "the hook has no `command`, so there is nothing to run";
                    self.refuse(&entry, "missing-key", message);
                }
            }
        }
        hooks
    }

    /// Capabilities in their usual writing; what is added has to be allowed.
    fn capabilities(&mut self, service: &View<'_>, key: &str) -> Vec<String> {
        let Some(view) = service.get(key) else { return Vec::new() };
        let mut names = Vec::new();
        for entry in view.entries() {
            let upper = entry.text().unwrap_or_default().to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
            let allowed = &self.options.capabilities;
            if key == "cap_add" && !allowed.contains(&name) {
                let allowed = if allowed.is_empty() {
                    "this exercise allows none".to_owned()
                } else {
                    let names = super::super::finding::listed(allowed.iter().map(String::as_str));
                    format!("this exercise allows {names}")
                };
                let message = format!(
                    "containers run without capabilities of the kernel, and {allowed}; leave {} out",
                    quoted(&name)
                );
                self.refuse(&entry, "cap_add", message);
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether a machine (`linux/amd64`) executes what is built for a platform: `linux/amd64`, `amd64`, `linux`,
/// `linux/arm64/v8`. Variants of an architecture are for the machine itself to tell.
pub(super) fn executes(machine: &str, platform: &str) -> bool {
    fn parts(platform: &str) -> (Option<String>, Option<&'static str>, Option<String>) {
        let lower = platform.to_ascii_lowercase();
        let mut system = None;
        let mut other = None;
        let mut known = None;
        for part in lower.split('/').take(2) {
            match part {
                "linux" | "windows" | "darwin" | "freebsd" => system = Some(part.to_owned()),
                "amd64" | "x86_64" | "x86-64" => known = Some("amd64"),
                "arm64" | "aarch64" => known = Some("arm64"),
                part => other = Some(part.to_owned()),
            }
        }
        (system, known, other)
    }
    let (machine, wanted) = (parts(machine), parts(platform));
    wanted.0.is_none_or(|system| machine.0 == Some(system))
        && match (wanted.1, wanted.2) {
            (Some(architecture), _) => machine.1 == Some(architecture),
            (None, Some(other)) => machine.2 == Some(other),
            (None, None) => true,
        }
}

fn texts_of(view: &View<'_>) -> Vec<String> {
    view.entries().filter_map(|entry| entry.item.printed()).collect()
}

#[cfg(test)]
mod tests {
    use super::executes;

    #[test]
    fn platforms() {
        for (machine, platform, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/x86_64", true),
            ("linux/amd64", "amd64", true),
            ("linux/amd64", "linux", true),
            ("linux/amd64", "linux/arm64/v8", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/amd64", "riscv64", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64", "aarch64", true),
            ("linux/riscv64", "linux/riscv64", true),
            ("linux/riscv64", "linux/amd64", false),
        ] {
            assert_eq!(executes(machine, platform), fits, "{machine} {platform}");
        }
    }
}
