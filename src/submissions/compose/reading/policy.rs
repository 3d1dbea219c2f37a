//! Keys of a service that are refused or have no effect, as a table: the sandbox's list for Compose.
//!
//! Keys whose values have to be looked at are with the readers of their subject.

use super::super::finding::Kind;
use super::super::scalars::{boolean, float, size, whole};
use super::{Reader, View};

/// Keys that reach out of the stack, or take more of the machine than a stack gets.
const REFUSED: &[(&str, &str)] = &[
    (
        "privileged",
        "a privileged container can do everything that the machine can, so none is run here; leave it out (single \
         capabilities are asked for with `cap_add`, where the exercise allows them)",
    ),
    (
        "cgroup_parent",
        "it would take the container out of the limits that every stack has here; leave it out",
    ),
    (
        "credential_spec",
        "it is about accounts of Windows, and the containers here run on Linux; leave it out",
    ),
    (
        "cpu_rt_period",
        "a container here cannot have real-time priority on a machine that others use; leave it out",
    ),
    (
        "cpu_rt_runtime",
        "a container here cannot have real-time priority on a machine that others use; leave it out",
    ),
    ("device_cgroup_rules", "containers here have no devices of the machine; leave it out"),
    ("devices", "containers here have no devices of the machine; leave it out"),
    (
        "external_links",
        "it would reach a container that is not part of this project; make it a service of this file",
    ),
    ("gpus", "containers here have no graphics cards; leave it out"),
    ("models", "there are no AI models here; leave it out"),
    ("oom_kill_disable", "a container that is out of memory is always ended here; leave it out"),
    (
        "oom_score_adj",
        "which process is ended first when memory is short is decided by the machine; leave it out",
    ),
    ("provider", "it would run a program on the machine itself; use an image or a build"),
    ("runtime", "which runtime starts containers is a setting of this server; leave it out"),
    (
        "sysctls",
        "settings of the kernel belong to the machine and its other users; leave it out, or set it in the \
         program's own configuration",
    ),
    (
        "use_api_socket",
        "it would give the container control of the docker engine, and with it of the machine; leave it out",
    ),
    (
        "volumes_from",
        "mounts are not taken over from other containers; give both services the same named volume",
    ),
];

/// Keys that are read, and without effect here.
const IGNORED: &[(&str, &str)] = &[
    ("annotations", "it has no effect here; nothing reads annotations"),
    ("attach", "it has no effect here; the output of every service is kept"),
    ("blkio_config", "it has no effect here; how fast a disk may be used is the same for every stack"),
    ("cpu_count", "it has no effect on Linux; `cpus` bounds the processor time"),
    ("cpu_percent", "it has no effect on Linux; `cpus` bounds the processor time"),
    ("cpu_period", "it has no effect here; `cpus` bounds the processor time"),
    ("cpu_quota", "it has no effect here; `cpus` bounds the processor time"),
    ("cpu_shares", "it has no effect here; `cpus` bounds the processor time"),
    ("cpuset", "it has no effect here; which processors are used is the machine's matter"),
    ("develop", "it has no effect here; it is for working on the project, not for running it"),
    ("isolation", "it has no effect on Linux"),
    ("mem_reservation", "it has no effect here; memory is not set aside for single services"),
    ("mem_swappiness", "it has no effect here; containers have no swap"),
    ("storage_opt", "it has no effect here; how much disk a stack may use is the exercise's matter"),
];

/// Drivers that write logs where they are read here, or nowhere.
const LOCAL_LOGS: &[&str] = &["", "json-file", "local", "journald", "none"];

impl Reader<'_, '_> {
    /// Judges the keys of a service that need no reading.
    pub(super) fn judge_service(&mut self, service: &View<'_>) {
        for (key, why) in REFUSED {
            if let Some(view) = service.get(key)
                && !view.is_off()
            {
                self.refuse(&view, key, *why);
            }
        }
        for (key, why) in IGNORED {
            // `attach: false` is what has no effect; `true` is how it is anyway.
            if let Some(view) = service.get(key)
                && (!view.is_off() || *key == "attach")
            {
                self.ignore(&view, key, *why);
            }
        }
        // What is not used has to be right all the same: `privileged: maybe` is a mistake, too.
        for key in ["privileged", "oom_kill_disable", "attach", "use_api_socket"] {
            self.value(service, key, boolean);
        }
        for key in [
            "cpu_count",
            "cpu_period",
            "cpu_quota",
            "cpu_rt_period",
            "cpu_rt_runtime",
            "cpu_shares",
            "oom_score_adj",
        ] {
            self.value(service, key, whole);
        }
        self.value(service, "cpu_percent", float);
        self.value(service, "mem_swappiness", size);
        self.judge_namespaces(service);
        self.judge_security(service);
        self.judge_logging(service);
    }

    fn judge_namespaces(&mut self, service: &View<'_>) {
        for (key, what) in [
            ("pid", "the processes"),
            ("ipc", "the shared memory"),
            ("uts", "the host name"),
            ("userns_mode", "the users"),
            ("cgroup", "the resource groups"),
        ] {
            let Some(view) = service.get(key) else { continue };
            let value = view.text().unwrap_or_default();
            let message = match value.split_once(':') {
                _ if value.is_empty() || matches!(value, "private" | "shareable" | "none") => {
                    if !value.is_empty() && value != "private" {
                        self.ignore(&view, key, "it has no effect here; every container has its own");
                    }
                    continue;
                }
                Some(("container", _)) => {
                    format!(
                        "it would share {what} of a container that is not part of this project; leave it out"
                    )
                }
                Some(("service", _)) => {
                    format!(
                        "it would share {what} of another service, which is not offered here; leave it out"
                    )
                }
                _ => format!(
                    "it would share {what} of the machine and of everything else that runs there; leave it out"
                ),
            };
            self.refuse(&view, "namespace", message);
        }
    }

    fn judge_security(&mut self, service: &View<'_>) {
        let Some(view) = service.get("security_opt") else { return };
        for entry in view.entries() {
            let text = entry.text().unwrap_or_default();
            if matches!(text, "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true") {
                self.ignore(&entry, "security_opt", "every container here has it already");
            } else {
                self.refuse(
                    &entry,
                    "security_opt",
                    "what a container may ask of the kernel is set by this server and cannot be changed; leave it out",
                );
            }
        }
    }

    fn judge_logging(&mut self, service: &View<'_>) {
        let Some(logging) = service.get("logging") else { return };
        let driver = logging.get("driver");
        let name = driver.as_ref().and_then(View::text).unwrap_or_default();
        if LOCAL_LOGS.contains(&name) {
            if !logging.is_off() {
                let message = "it has no effect here; the output of every service is kept, up to a limit";
                self.tell(Kind::Ignored, &logging, "logging", message);
            }
        } else if let Some(driver) = driver {
            self.refuse(
                &driver,
                "logging",
                "it would send the output over the network, and a stack here has no way out; leave `logging` out",
            );
        }
    }
}
