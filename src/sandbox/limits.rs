//! Bounds of one grading and what every container of ours or of a student's must have.
//!
//! Called by `container.rs`, `pod.rs` and the builder. This file is where the second rule of the
//! sandbox stands: whatever a container is for, its `HostConfig` starts from [`student`] or
//! [`ours`] here, and nothing a student wrote is copied into one.

use std::time::Duration;

use bollard::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};

/// Bounds for one grading, from the exercise, capped by the settings.
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

/// The least memory that Docker 20.10 lets a container have is 6 MiB.
const LEAST_MEMORY_BYTES: u64 = 6 << 20;

/// Open files per process. Servers under test need a few hundred; the engine's own default is the
/// daemon's, which may be a million.
const OPEN_FILES: i64 = 4096;

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
        ulimits: Some(vec![
            ResourcesUlimits { name: Some("nofile".into()), soft: Some(OPEN_FILES), hard: Some(OPEN_FILES) },
            ResourcesUlimits { name: Some("core".into()), soft: Some(0), hard: Some(0) },
        ]),
        ..HostConfig::default()
    }
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

    #[test]
    fn a_students_container_has_every_bound() {
        let limits = Limits {
            memory_bytes: 256 << 20,
            cpu_millis: 500,
            pids: 64,
            disk_bytes: 1 << 20,
            build_time: Duration::from_secs(1),
            run_time: Duration::from_secs(1),
            log_bytes: 1,
        };
        let host = student(&limits, &["NET_BIND_SERVICE".into()], "runc");
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.memory, Some(256 << 20));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.pids_limit, Some(64));
        assert_eq!(host.binds, None);
        assert_eq!(host.devices, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    }
}
