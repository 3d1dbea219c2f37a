//! Bounds of one grading and what every container of ours or of a student's must have.
//!
//! Called by `container.rs`, `pod.rs` and the builder. This file is where the second rule of the
//! sandbox stands: whatever a container is for, its `HostConfig` starts from [`student`] or
//! [`ours`] here, and nothing a student wrote is copied into one.

use std::time::Duration;

use bollard::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};
use indexmap::IndexMap;

use super::spec::ServiceLimits;
use crate::config::SandboxSettings;
use crate::ulimits::{OPEN_FILES, Ulimit, ulimit};

/// Bounds for one grading, from the exercise; [`Engine::sandbox`](super::Engine::sandbox) lowers them
/// to what the settings allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Memory of each student container and of each build step; swap is not added to it.
    pub memory_bytes: u64,
    /// CPUs of each student container and build step, in thousandths.
    pub cpu_millis: u32,
    /// Processes and threads in each student container.
    pub pids: u32,
    /// Writable layer plus volumes of a stack, and also the largest image.
    pub disk_bytes: u64,
    /// Wall clock of the build.
    pub build_time: Duration,
    /// Wall clock of everything that runs after the build.
    pub run_time: Duration,
    /// Output kept of a build and of each container; past it the log is cut and marked.
    pub log_bytes: u64,
}

impl Limits {
    /// Lowered to what the settings allow.
    pub(super) fn capped(self, settings: &SandboxSettings) -> Self {
        Self {
            memory_bytes: self.memory_bytes.min(settings.max_memory_bytes),
            cpu_millis: self.cpu_millis.min(settings.max_cpu_millis),
            pids: self.pids.min(settings.max_pids),
            disk_bytes: self.disk_bytes.min(settings.max_disk_bytes),
            build_time: self.build_time.min(settings.max_build_time),
            run_time: self.run_time.min(settings.max_run_time),
            log_bytes: self.log_bytes,
        }
    }

    /// The bounds of one service's containers, which are never above these.
    pub(super) fn of(&self, service: &ServiceLimits) -> Self {
        Self {
            memory_bytes: self.memory_bytes.min(service.memory_bytes.unwrap_or(u64::MAX)),
            cpu_millis: self.cpu_millis.min(service.cpu_millis.unwrap_or(u32::MAX)),
            pids: self.pids.min(service.pids.unwrap_or(u32::MAX)),
            ..self.clone()
        }
    }
}

/// The least memory that Docker 20.10 lets a container have is 6 MiB.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;

/// What every container has, the student's and our own alike: no capability, no way to gain one,
/// no device, no host namespace, no mount, never restarted by the engine. The engine's default
/// seccomp profile applies because nothing in `security_opt` replaces it.
fn bounded(memory_bytes: u64, cpu_millis: u32, pids: u32) -> HostConfig {
    let memory = i64::try_from(memory_bytes.max(LEAST_MEMORY_BYTES)).unwrap_or(i64::MAX);
    HostConfig {
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        privileged: Some(false),
        memory: Some(memory),
        // Memory and swap together: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(pids)),
        ulimits: Some(ulimits(&IndexMap::new(), memory_bytes, None)),
        ..HostConfig::default()
    }
}

/// How far a file may grow past what a student's containers may keep on disk: far enough to be seen there, and told
/// as what it is.
const PAST_DISK_BYTES: u64 = 1 << 20;

/// What the engine is told of a container: the sandbox's own limits, and a service's within them. One that
/// may keep `disk_bytes` cannot make a larger file: those that have no name any more nobody sees.
pub(super) fn ulimits(
    wanted: &IndexMap<String, Ulimit>,
    memory_bytes: u64,
    disk_bytes: Option<u64>,
) -> Vec<ResourcesUlimits> {
    let mut all = IndexMap::from([
        ("nofile", Ulimit { soft: OPEN_FILES, hard: OPEN_FILES }),
        ("core", Ulimit { soft: 0, hard: 0 }),
    ]);
    for (name, wanted) in wanted {
        if let Some(limit) = ulimit(name, *wanted, memory_bytes) {
            all.insert(name, limit);
        }
    }
    if let Some(largest) =
        disk_bytes.and_then(|bytes| i64::try_from(bytes.saturating_add(PAST_DISK_BYTES)).ok())
    {
        let within = |value: i64| if value < 0 { largest } else { value.min(largest) };
        let limit = all.entry("fsize").or_insert(Ulimit { soft: largest, hard: largest });
        *limit = Ulimit { soft: within(limit.soft), hard: within(limit.hard) };
    }
    all.into_iter()
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })
        .collect()
}

/// Threads of gVisor itself, which the engine counts with the student's: as many as its kernel has calls of the host's
/// under way. Without room for them it is not the student's program that ends at the limit, but its kernel: a small
/// server at rest already has 70.
const GVISOR_THREADS: i64 = 256;

/// The limit on processes and threads as the engine is told it.
pub(super) fn pids_limit(pids: u32, runtime: &str) -> i64 {
    let own = if runtime.contains("runsc") { GVISOR_THREADS } else { 0 };
    i64::from(pids) + own
}

/// The host side of a student's container, before network and namespaces are set.
pub(super) fn student(limits: &Limits, cap_add: &[String], runtime: &str) -> HostConfig {
    HostConfig {
        cap_add: Some(cap_add.to_vec()),
        // When the host runs out of memory, a student's process goes before anything else.
        oom_score_adj: Some(500),
        // Output is read through the attached stream; nothing is written to the host's disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        runtime: Some(runtime.to_owned()),
        pids_limit: Some(pids_limit(limits.pids, runtime)),
        ulimits: Some(ulimits(&IndexMap::new(), limits.memory_bytes, Some(limits.disk_bytes))),
        ..bounded(limits.memory_bytes, limits.cpu_millis, limits.pids)
    }
}

/// The host side of a container of ours that runs the probe.
pub(super) fn ours() -> HostConfig {
    HostConfig {
        readonly_rootfs: Some(true),
        oom_score_adj: Some(100),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..bounded(64 << 20, 1000, 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            memory_bytes: 256 << 20,
            cpu_millis: 500,
            pids: 64,
            disk_bytes: 1 << 20,
            build_time: Duration::from_secs(1),
            run_time: Duration::from_secs(1),
            log_bytes: 1,
        }
    }

    #[test]
    fn nothing_raises_a_bound() {
        let settings =
            SandboxSettings { max_memory_bytes: 64 << 20, max_pids: 16, ..SandboxSettings::default() };
        let capped = limits().capped(&settings);
        assert_eq!((capped.memory_bytes, capped.pids, capped.cpu_millis), (64 << 20, 16, 500));
        let service = ServiceLimits { memory_bytes: Some(1 << 30), cpu_millis: Some(100), pids: None };
        let own = capped.of(&service);
        assert_eq!((own.memory_bytes, own.pids, own.cpu_millis), (64 << 20, 16, 100));
    }

    #[test]
    fn a_students_container_has_every_bound() {
        let host = student(&limits(), &["NET_BIND_SERVICE".into()], "runc");
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.memory, Some(256 << 20));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.pids_limit, Some(64));
        assert_eq!(student(&limits(), &[], "runsc").pids_limit, Some(64 + GVISOR_THREADS));
        assert_eq!(host.binds, None);
        assert_eq!(host.devices, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    }

    #[test]
    fn every_container_has_the_sandboxs_own() {
        let names = |wanted: &[(&str, Ulimit)], disk_bytes| -> Vec<(String, i64)> {
            let wanted = wanted.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
            let given = ulimits(&wanted, 64 << 20, disk_bytes).into_iter();
            given.map(|limit| (limit.name.unwrap_or_default(), limit.hard.unwrap_or_default())).collect()
        };
        assert_eq!(names(&[], None), [("nofile".to_owned(), OPEN_FILES), ("core".to_owned(), 0)]);
        let free = Ulimit { soft: -1, hard: -1 };
        let wanted = [("core", free), ("nofile", Ulimit { soft: 64, hard: 100 })];
        assert_eq!(names(&wanted, None), [("nofile".to_owned(), 100), ("core".to_owned(), 0)]);
        let fsize = |wanted: &[(&str, Ulimit)]| names(wanted, Some(4 << 20)).pop().unwrap();
        assert_eq!(fsize(&[]), ("fsize".to_owned(), 5 << 20));
        assert_eq!(fsize(&[("fsize", free)]), ("fsize".to_owned(), 5 << 20));
        assert_eq!(fsize(&[("fsize", Ulimit { soft: 10, hard: 20 })]), ("fsize".to_owned(), 20));
    }
}
