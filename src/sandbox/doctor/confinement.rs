//! What a process in a student's container is and has, as the kernel tells it from inside, and whether the
//! engine made the container as it was asked to.

use std::collections::BTreeMap;

use bollard::models::ContainerInspectResponse;

use super::hostile::LOOKS_CPU_MILLIS;
use super::{PIDS_LIMIT, Point, Rule, Subject};
use crate::sandbox::builder::MEASURE_LIMIT_BYTES;
use crate::sandbox::limits::pids_limit;
use crate::sandbox::protocol::Seen;
use crate::ulimits::OPEN_FILES;

/// What it is compared with.
pub(super) struct Outside {
    /// Runtime of students' containers, from the settings.
    pub(super) runtime: String,
    /// The kernel of the engine's machine, as the engine tells it.
    pub(super) kernel: String,
    /// The namespaces of this process, where the engine runs beside it.
    pub(super) namespaces: Option<BTreeMap<String, String>>,
}

/// What stands in every container's `/dev`.
const DEVICES: [&str; 16] = [
    "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
    "stdout", "tty", "urandom", "zero",
];
/// Files that the engine mounts into every container, and its `init` where all containers get one.
const MOUNTED_FILES: [&str; 5] =
    ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/sbin/docker-init", "/dev/init"];
/// What gVisor adds of its own, in its own kernel: the device, and an empty folder in memory.
const GVISOR_DEVICE: &str = "fuse";
const GVISOR_MOUNT: &str = "/tmp";
/// The score that `limits.rs` gives a student's container.
const OOM_SCORE: i32 = 500;

const AS_ASKED: Subject = Subject::new(
    Rule::AsAsked,
    "as-asked",
    "What the engine made",
    "Something between Drydock and the runtime changes what is asked for: a proxy before the engine's socket, an \
     authorization plugin, NRI or CDI, or settings in /etc/docker/daemon.json. Take it away.",
);
const CAPABILITIES: Subject = Subject::new(
    Rule::Containers,
    "capabilities",
    "Capabilities",
    "The engine does not keep `cap_drop: ALL`; do not use it for strangers' code.",
);
const PRIVILEGES: Subject = Subject::new(
    Rule::Containers,
    "privileges",
    "No new privileges",
    "The engine does not keep `no-new-privileges`: setuid programs work in containers. Do not use it for strangers' code.",
);
const SECCOMP: Subject = Subject::new(
    Rule::Containers,
    "seccomp",
    "System call filter",
    "Take \"seccomp-profile\": \"unconfined\" out of /etc/docker/daemon.json and use a kernel and an engine with seccomp \
     (`docker info` lists it), or a runtime that does not need it (gVisor).",
);
const USERNS: Subject = Subject::new(
    Rule::Containers,
    "userns",
    "User namespaces",
    "Set \"userns-remap\": \"default\" in /etc/docker/daemon.json and restart the engine, or run it rootless; \
     deploy/README.md says what changes.",
);
const NAMESPACES: Subject = Subject::new(
    Rule::Containers,
    "namespaces",
    "Namespaces of the host",
    "The engine does not keep to what it is asked for; do not use it for strangers' code.",
);
const CGROUP_NAMESPACE: Subject = Subject {
    mend: "Set \"default-cgroupns-mode\": \"private\" in /etc/docker/daemon.json and restart the engine.",
    ..NAMESPACES
};
const DEVICES_POINT: Subject = Subject::new(
    Rule::Containers,
    "devices",
    "Devices",
    "A default runtime, NRI or CDI adds devices to every container; take that out of the engine's settings.",
);
const MOUNTS: Subject = Subject::new(
    Rule::Containers,
    "mounts",
    "Mounts of the host",
    "Something adds mounts to every container: look at the engine's settings, at NRI plugins, and on Red Hat's systems \
     at /usr/share/containers/mounts.conf.",
);
const KERNEL_FILES: Subject = Subject::new(
    Rule::Containers,
    "kernel-files",
    "Files of the kernel",
    "Root of a container can change the host by these; use a runtime that masks /proc and /sys, and turn on the host's \
     AppArmor or SELinux.",
);
const FILES: Subject = Subject::new(
    Rule::Containers,
    "files",
    "Open files",
    "The engine does not keep the nofile limit that containers are given; look at LimitNOFILE of its service.",
);
const OOM: Subject = Subject::new(
    Rule::Containers,
    "oom",
    "First to go when memory is short",
    "The engine does not set oom_score_adj (a rootless one may not): when the host runs out of memory, its own \
     processes may be ended. Leave it enough.",
);

pub(super) fn judge(seen: &Seen, made: &ContainerInspectResponse, outside: &Outside) -> Vec<Point> {
    // gVisor, Kata: what the container's kernel tells of is that kernel's, and none of it is the host's.
    let (inside, host) = (seen.kernel.trim(), outside.kernel.trim());
    let own_kernel = (!host.is_empty() && inside != host)
        .then(|| format!("the container has a kernel of its own ({inside}; the host's is {host})"));
    let own_kernel = own_kernel.as_deref();
    let mut points = vec![
        as_asked(made, &outside.runtime),
        capabilities(&seen.status),
        new_privileges(&seen.status, own_kernel),
        seccomp(&seen.status, own_kernel),
        user_namespace(&seen.uid_map, own_kernel),
        namespaces(&seen.namespaces, outside.namespaces.as_ref(), own_kernel),
        devices(&seen.devices, own_kernel),
        mounts(&seen.mounts, own_kernel),
        kernel_files(&seen.writable, own_kernel),
        files(seen.open_files),
    ];
    if own_kernel.is_none() {
        // Another kernel knows nothing of the score that the host's has.
        points.push(oom(&seen.oom_score));
    }
    points
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn as_asked(made: &ContainerInspectResponse, runtime: &str) -> Point {
    let host = made.host_config.clone().unwrap_or_default();
    let memory = i64::try_from(MEASURE_LIMIT_BYTES).ok();
    let some = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let of_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    let wrong = [
        (host.privileged == Some(true), "it is privileged"),
        (some(host.cap_add.map(|list| list.len())), "it was given capabilities"),
        (
            some(made.mounts.as_ref().map(Vec::len)) || some(host.binds.map(|list| list.len())),
            "something is mounted",
        ),
        (some(host.devices.map(|list| list.len())), "it was given devices"),
        (some(host.device_requests.map(|list| list.len())), "it was given a GPU or the like"),
        (
            some(host.port_bindings.map(|map| map.len())) || host.publish_all_ports == Some(true),
            "a port is published",
        ),
        (
            of_host(&host.network_mode) || of_host(&host.pid_mode) || of_host(&host.ipc_mode),
            "it has namespaces of the host",
        ),
        (of_host(&host.uts_mode) || of_host(&host.userns_mode), "it has the host's name or users"),
        (host.memory != memory || host.memory_swap != memory, "its memory is not bounded as asked"),
        (host.pids_limit != Some(pids_limit(PIDS_LIMIT, runtime)), "its processes are not bounded as asked"),
        (
            host.nano_cpus != Some(i64::from(LOOKS_CPU_MILLIS) * 1_000_000),
            "its processors are not bounded as asked",
        ),
        (host.runtime.as_deref() != Some(runtime), "its runtime is another one"),
        (
            made.log_path.as_deref().is_some_and(|path| !path.is_empty()),
            "its output is written to the host's disk",
        ),
    ];
    let wrong: Vec<&str> = wrong.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
    if wrong.is_empty() {
        AS_ASKED.pass("a container's record has the bounds that were asked for, and no mount, device, port, capability or log file")
    } else {
        AS_ASKED.fail(format!("of a container: {}", wrong.join("; ")))
    }
}

fn capabilities(status: &str) -> Point {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let told: Vec<(&str, &str)> =
        sets.into_iter().filter_map(|name| Some((name, field(status, name)?))).collect();
    if !told.iter().any(|(name, _)| *name == "CapEff") {
        return CAPABILITIES.not_measured("/proc/self/status does not tell them");
    }
    let has: Vec<String> = told
        .iter()
        .filter(|(_, set)| set.bytes().any(|digit| digit != b'0'))
        .map(|(name, set)| format!("{name} {set}"))
        .collect();
    if has.is_empty() {
        CAPABILITIES
            .pass("root of a container has none, and can get none (CapEff, CapBnd and the others are 0)")
    } else {
        CAPABILITIES.fail(format!("root of a container has {}", has.join(", ")))
    }
}

fn new_privileges(status: &str, own_kernel: Option<&str>) -> Point {
    match (field(status, "NoNewPrivs"), own_kernel) {
        (Some("1"), _) => PRIVILEGES.pass("setuid programs give none (NoNewPrivs 1)"),
        (None, Some(own)) => {
            PRIVILEGES.pass(format!("{own}, which takes none from setuid programs to the host"))
        }
        (Some(other), _) => PRIVILEGES.fail(format!("setuid programs give them (NoNewPrivs {other})")),
        (None, None) => PRIVILEGES.not_measured("/proc/self/status does not tell it"),
    }
}

fn seccomp(status: &str, own_kernel: Option<&str>) -> Point {
    if let Some(own) = own_kernel {
        return SECCOMP.pass(format!("{own}: its calls do not reach the host's"));
    }
    match field(status, "Seccomp") {
        Some("2") => {
            let filters = field(status, "Seccomp_filters").unwrap_or("some");
            SECCOMP.pass(format!("on (Seccomp 2, filters: {filters})"))
        }
        Some(other) => {
            SECCOMP.fail(format!("off: every system call reaches the host's kernel (Seccomp {other})"))
        }
        None => SECCOMP.not_measured("/proc/self/status does not tell it"),
    }
}

/// The first line of a `uid_map` (user namespaces, `man 7 user_namespaces`): the first user inside, the same one outside, how many.
fn user_namespace(uid_map: &str, own_kernel: Option<&str>) -> Point {
    if let Some(own) = own_kernel {
        return USERNS.pass(format!("{own}: its root is not the host's"));
    }
    let first: Vec<u32> = uid_map
        .lines()
        .next()
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|word| word.parse().ok())
        .collect();
    match first[..] {
        [0, 0, _] => USERNS.caution("root of a container is root to the host's kernel (uid_map 0 0)"),
        [0, outside, _] => USERNS.pass(format!("root of a container is user {outside} to the host's kernel")),
        _ => USERNS.not_measured("/proc/self/uid_map does not tell it"),
    }
}

fn namespaces(
    inside: &BTreeMap<String, String>,
    ours: Option<&BTreeMap<String, String>>,
    own_kernel: Option<&str>,
) -> Point {
    if let Some(own) = own_kernel {
        return NAMESPACES.pass(own);
    }
    let Some(ours) = ours else {
        return NAMESPACES.not_measured("the engine is on another machine; run `drydock doctor` there");
    };
    let shared: Vec<&str> = ["pid", "net", "mnt", "ipc", "uts", "cgroup"]
        .into_iter()
        .filter(|name| ours.get(*name).is_some_and(|ours| inside.get(*name) == Some(ours)))
        .collect();
    match shared[..] {
        [] => NAMESPACES.pass(
            "a container has its own for processes, network, mounts, IPC, host name and control groups",
        ),
        // It shows the names of the host's control groups and gives nothing else.
        ["cgroup"] => {
            CGROUP_NAMESPACE.caution("a container sees the host's control groups, all others are its own")
        }
        _ => NAMESPACES.fail(format!("a container has the host's: {}", shared.join(", "))),
    }
}

fn devices(found: &[String], own_kernel: Option<&str>) -> Point {
    let usual = |name: &str| DEVICES.contains(&name) || own_kernel.is_some() && name == GVISOR_DEVICE;
    let other: Vec<&str> = found.iter().map(String::as_str).filter(|name| !usual(name)).collect();
    if found.is_empty() {
        DEVICES_POINT.not_measured("/dev cannot be read in the container")
    } else if other.is_empty() {
        DEVICES_POINT.pass("none but those that every container has (null, zero, random, tty)")
    } else {
        DEVICES_POINT.fail(format!("a container has {}", other.join(", ")))
    }
}

/// The fifth field of a line of `mountinfo` is where (proc(5)).
fn mounts(mountinfo: &str, own_kernel: Option<&str>) -> Point {
    let places: Vec<&str> = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let usual = |place: &str| {
        place == "/"
            || MOUNTED_FILES.contains(&place)
            || own_kernel.is_some() && place == GVISOR_MOUNT
            || ["/proc", "/sys", "/dev"].iter().any(|root| {
                place.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    };
    let other: Vec<&str> = places.iter().copied().filter(|place| !usual(place)).collect();
    if places.is_empty() {
        MOUNTS.not_measured("/proc/self/mountinfo does not tell them")
    } else if other.is_empty() {
        MOUNTS.pass("none but the files with its names (/etc/hosts, /etc/hostname, /etc/resolv.conf)")
    } else {
        MOUNTS.fail(format!("a container has something mounted at {}", other.join(", ")))
    }
}

fn kernel_files(writable: &[String], own_kernel: Option<&str>) -> Point {
    match (writable, own_kernel) {
        ([], _) => KERNEL_FILES
            .pass("root of a container can write none of those in /proc and /sys that change the host"),
        (_, Some(own)) => KERNEL_FILES.pass(own),
        _ => KERNEL_FILES.fail(format!("root of a container can write {}", writable.join(", "))),
    }
}

fn files(open: u64) -> Point {
    let allowed = u64::try_from(OPEN_FILES).unwrap_or_default();
    let observed = format!("a process could open {open} where {allowed} were allowed");
    match open {
        0 => FILES.not_measured("the process could open none at all"),
        open if open > allowed => FILES.fail(observed),
        _ => FILES.pass(observed),
    }
}

fn oom(score: &str) -> Point {
    match score.trim().parse::<i32>() {
        Ok(score) if score >= OOM_SCORE => {
            OOM.pass(format!("students' processes are (oom_score_adj {score})"))
        }
        Ok(score) => OOM.caution(format!("students' processes are like any other (oom_score_adj {score})")),
        Err(_) => OOM.not_measured("/proc/self/oom_score_adj does not tell it"),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::HostConfig;

    use super::super::Grade::{self, Caution, Fail, Pass};
    use super::*;

    const NONE: &str = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn the_kernel_tells_of_privileges() {
        assert_eq!(capabilities(NONE).grade, Pass);
        let bounding = NONE.replace("CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb");
        let point = capabilities(&bounding);
        assert_eq!(point.grade, Fail);
        assert!(point.observed.contains("CapBnd 00000000a80425fb"), "{}", point.observed);
        assert_eq!(capabilities("").grade, Caution);
        assert_eq!(new_privileges(NONE, None).grade, Pass);
        assert_eq!(new_privileges("NoNewPrivs:\t0", Some("x")).grade, Fail);
        assert_eq!(new_privileges("", None).grade, Caution);
        assert_eq!(seccomp(NONE, None).grade, Pass);
        assert_eq!(seccomp("Seccomp:\t0", None).grade, Fail);
        assert_eq!(seccomp("Seccomp:\t0", Some("a kernel of its own")).grade, Pass);
    }

    #[test]
    fn root_is_somebody_else_outside_or_not() {
        let grade = |map: &str| user_namespace(map, None).grade;
        assert_eq!(grade("         0          0 4294967295\n"), Caution);
        assert_eq!(grade("0 165536 65536\n"), Pass);
        assert_eq!(grade("0 1000 1\n1 100000 65536\n"), Pass);
        assert_eq!(grade(""), Caution);
    }

    #[test]
    fn what_is_the_hosts_is_found() {
        let links = |cgroup: &str, net: &str| {
            BTreeMap::from(
                [("cgroup", cgroup), ("net", net), ("pid", "pid:[1]")]
                    .map(|(name, link)| (name.to_owned(), link.to_owned())),
            )
        };
        let inside = links("cgroup:[2]", "net:[2]");
        let grade = |ours: &BTreeMap<String, String>| -> Grade {
            let mut ours = ours.clone();
            ours.insert("pid".into(), "pid:[9]".into());
            namespaces(&inside, Some(&ours), None).grade
        };
        assert_eq!(grade(&links("cgroup:[1]", "net:[1]")), Pass);
        assert_eq!(grade(&links("cgroup:[2]", "net:[1]")), Caution);
        assert_eq!(grade(&links("cgroup:[1]", "net:[2]")), Fail);
        assert_eq!(namespaces(&inside, None, None).grade, Caution);

        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(devices(&own(&["null", "zero", "tty"]), None).grade, Pass);
        assert_eq!(devices(&own(&["null", "sda"]), Some("x")).grade, Fail);
        assert_eq!(devices(&own(&["fuse"]), None).grade, Fail);
        assert_eq!(devices(&own(&["fuse"]), Some("x")).grade, Pass);
        let usual = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /proc/sys ro - proc proc rw\n3 1 0:3 /hosts /etc/hosts rw - ext4 x rw\n";
        assert_eq!(mounts(usual, None).grade, Pass);
        let point = mounts(
            &format!("{usual}4 1 0:4 / /run/secrets ro - ext4 x rw\n5 1 0:4 / /procession ro - ext4 x rw\n"),
            None,
        );
        assert_eq!(
            (point.grade, point.observed.as_str()),
            (Fail, "a container has something mounted at /run/secrets, /procession")
        );
        assert_eq!(kernel_files(&own(&["/proc/sysrq-trigger"]), None).grade, Fail);
        assert_eq!(kernel_files(&[], None).grade, Pass);
    }

    #[test]
    fn limits_are_compared_with_what_was_asked_for() {
        assert_eq!(files(4093).grade, Pass);
        assert_eq!(files(5000).grade, Fail);
        assert_eq!(oom("500\n").grade, Pass);
        assert_eq!(oom("0\n").grade, Caution);
        let asked = HostConfig {
            memory: Some(64 << 20),
            memory_swap: Some(64 << 20),
            pids_limit: Some(i64::from(PIDS_LIMIT)),
            nano_cpus: Some(i64::from(LOOKS_CPU_MILLIS) * 1_000_000),
            runtime: Some("runc".into()),
            ..HostConfig::default()
        };
        let made = |host: HostConfig| ContainerInspectResponse {
            host_config: Some(host),
            ..ContainerInspectResponse::default()
        };
        assert_eq!(as_asked(&made(asked.clone()), "runc").grade, Pass);
        assert_eq!(as_asked(&made(asked.clone()), "runsc").grade, Fail);
        let point =
            as_asked(&made(HostConfig { memory_swap: Some(-1), privileged: Some(true), ..asked }), "runc");
        assert_eq!(point.observed, "of a container: it is privileged; its memory is not bounded as asked");
    }
}
