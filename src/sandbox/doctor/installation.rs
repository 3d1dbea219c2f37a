//! What the engine says of itself, how much room there is, and that nothing is left of the examination.

use std::path::{Path, PathBuf};

use bollard::models::SystemInfo;

use super::machine::is_local;
use super::{ENGINE, Point, Rule, Subject};
use crate::sandbox::engine::{Engine, EngineInner};

/// Free disk below which gradings start to fail, and below which one should look after it.
const DISK_NOT_ENOUGH_BYTES: u64 = 5 << 30;
const DISK_LITTLE_BYTES: u64 = 20 << 30;

const API: Subject = Subject::new(
    Rule::Engine,
    "api",
    "API version",
    "It works, but this engine is no longer maintained; take version 25 or later (API 1.44).",
);
const STORAGE: Subject = Subject::new(
    Rule::Engine,
    "storage",
    "Storage driver",
    "Builds and starts are slower than with overlay2: set \"storage-driver\": \"overlay2\" in /etc/docker/daemon.json.",
);
const CGROUP: Subject = Subject::new(
    Rule::Engine,
    "cgroup",
    "Control groups",
    "Limits are kept as told below, but version 2 bounds kernel memory better: start the kernel with \
     systemd.unified_cgroup_hierarchy=1.",
);
const RUNTIME: Subject = Subject::new(
    Rule::Containers,
    "runtime",
    "Runtime of students' containers",
    "They share the host's kernel. Install gVisor as the engine's runtime \"runsc\" (`runsc install`) and set \
     sandbox.runtime = \"runsc\", or give Drydock a virtual machine of its own; deploy/README.md says how.",
);
const ROOM: &str = "Images and submissions need room: make some, or move the folder to a larger disk.";
const DISK_ENGINE: Subject = Subject::new(Rule::Disk, "disk-engine", "Free disk for images", ROOM);
const DISK_DATA: Subject = Subject::new(Rule::Disk, "disk-data", "Free disk for Drydock's data", ROOM);
const LEFTOVERS: Subject = Subject::new(
    Rule::Leftovers,
    "leftovers",
    "After this examination",
    "Look at what the engine does not remove (`docker ps -a --filter label=drydock.server`, `docker network ls \
     --filter label=drydock.server`) and at its log (`journalctl -u docker`).",
);

/// What the engine says of itself.
pub(super) fn described(info: &SystemInfo, engine: &EngineInner) -> Vec<Point> {
    let facts = &engine.facts;
    let mut points = vec![ENGINE.pass(format!("version {} at {}", facts.version, engine.endpoint))];
    let spoken = engine.docker.client_version();
    let current = (spoken.major_version, spoken.minor_version) >= (1, 44);
    points.push(judged(&API, current, facts.api_version.clone()));
    let driver = info.driver.clone().unwrap_or_default();
    let fast = matches!(driver.as_str(), "overlay2" | "overlayfs" | "btrfs" | "zfs");
    points.push(judged(&STORAGE, fast, driver));
    let cgroup = info.cgroup_version.map(|version| version.to_string()).unwrap_or_default();
    points.push(judged(&CGROUP, cgroup == "2", format!("version {cgroup}")));
    let runtime = &engine.settings.runtime;
    let mut known: Vec<&str> =
        info.runtimes.iter().flat_map(|runtimes| runtimes.keys()).map(String::as_str).collect();
    known.sort_unstable();
    let sandboxed = runtime != "runc" && runtime != "crun";
    points.push(judged(&RUNTIME, sandboxed, format!("{runtime} (the engine has {})", known.join(", "))));
    if let Some(root) = info.docker_root_dir.as_deref().filter(|_| is_local(&engine.endpoint)) {
        points.push(disk(&DISK_ENGINE, Path::new(root)));
    }
    points
}

fn judged(subject: &Subject, good: bool, observed: String) -> Point {
    if good { subject.pass(observed) } else { subject.caution(observed) }
}

/// Once the connection is shut down: whether anything of it is left.
pub(super) async fn leftovers(engine: &Engine) -> Point {
    match engine.inner.count_own().await {
        Ok(0) => LEFTOVERS.pass("no container, network, volume or image of it is left"),
        Ok(left) => {
            LEFTOVERS.fail(format!("{left} of its containers, networks, volumes and images are left"))
        }
        Err(error) => LEFTOVERS.not_measured(&error),
    }
}

pub(super) fn disk_of_data(folder: &Path) -> Point {
    disk(&DISK_DATA, folder)
}

fn disk(subject: &Subject, path: &Path) -> Point {
    let there: PathBuf =
        path.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    let free = match rustix::fs::statvfs(&there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return subject.not_measured(&format!("{}: {error}", path.display())),
    };
    let observed = format!("{} GiB free at {}", free >> 30, path.display());
    match free {
        ..DISK_NOT_ENOUGH_BYTES => subject.fail(observed),
        DISK_NOT_ENOUGH_BYTES..DISK_LITTLE_BYTES => subject.caution(observed),
        _ => subject.pass(observed),
    }
}
