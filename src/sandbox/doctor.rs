//! What this engine can do, found out by trying: `drydock doctor` and the admin's page show it.
//!
//! A limit that is configured may not be kept, and a network that is called internal may not be one.
//! So each point that matters is measured with the very containers, networks and builds that gradings
//! use, and says what was seen and what to do. Nothing is left behind.

mod bounds;
mod networks;
mod terminal;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use bollard::models::SystemInfo;

use super::Builder;
use super::engine::{Engine, EngineContext, EngineInner};
use crate::config::SandboxSettings;

pub use terminal::render;

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// Works, but weaker or slower than it could; or it could not be told.
    Caution,
    /// Strangers' code should not run here before this is mended.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Point {
    /// Short and stable, for scripts.
    pub id: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The judgement.
    pub grade: Grade,
    /// What was seen.
    pub observed: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

impl Point {
    fn new(
        id: &'static str,
        title: &'static str,
        grade: Grade,
        observed: impl Into<String>,
        advice: &str,
    ) -> Self {
        let advice = if grade == Grade::Pass { String::new() } else { advice.to_owned() };
        Self { id, title, grade, observed: observed.into(), advice }
    }

    /// Something that could not be found out.
    fn unknown(id: &'static str, title: &'static str, why: &dyn Display) -> Self {
        Self::new(id, title, Grade::Caution, format!("could not be told: {why}"), "Mend that and ask again.")
    }
}

/// Free disk below which gradings start to fail, and below which one should look after it.
const DISK_FAIL_BYTES: u64 = 5 << 30;
const DISK_CAUTION_BYTES: u64 = 20 << 30;

/// Looks at everything. Takes some ten seconds; an engine that does not answer gives one point that
/// says so.
pub async fn examine(settings: &SandboxSettings, context: EngineContext) -> Vec<Point> {
    let state_dir = context.state_dir.clone();
    // Nothing that a doctor does should wait for a pool or be measured twice.
    let settings = SandboxSettings { warm_pods: 0, ..settings.clone() };
    let mut points = Vec::new();
    match Engine::connect(&settings, context).await {
        Err(error) => {
            points.push(Point::new(
                "engine",
                "Docker engine",
                Grade::Fail,
                error.to_string(),
                "Start the engine, set DOCKER_HOST, or let this user open its socket; then ask again.",
            ));
        }
        Ok(engine) => {
            points.extend(of_engine(&engine).await);
            engine.shutdown().await;
        }
    }
    points.push(disk("disk-data", "Free disk for Drydock's data", &state_dir));
    points
}

async fn of_engine(engine: &Engine) -> Vec<Point> {
    let inner = &engine.inner;
    let mut points = Vec::new();
    match inner.call("describe itself", inner.docker.info()).await {
        Ok(info) => points.extend(described(&info, inner)),
        Err(error) => points.push(Point::unknown("engine", "Docker engine", &error)),
    }
    points.push(bounds::memory_of_builder(inner, Builder::Classic).await);
    points.push(bounds::memory_of_builder(inner, Builder::BuildKit).await);
    points.push(bounds::memory_limit(engine).await);
    points.push(bounds::pids_limit(engine).await);
    points.extend(networks::all(inner).await);
    points
}

/// What the engine says of itself.
fn described(info: &SystemInfo, engine: &EngineInner) -> Vec<Point> {
    let facts = &engine.facts;
    let mut points = vec![Point::new(
        "engine",
        "Docker engine",
        Grade::Pass,
        format!("version {} at {}", facts.version, engine.endpoint),
        "",
    )];
    let spoken = engine.docker.client_version();
    let current = (spoken.major_version, spoken.minor_version) >= (1, 44);
    points.push(Point::new(
        "api",
        "API version",
        if current { Grade::Pass } else { Grade::Caution },
        facts.api_version.clone(),
        "Works, but this engine is no longer maintained; version 25 or later (API 1.44) is better.",
    ));
    let driver = info.driver.clone().unwrap_or_default();
    let grade = match driver.as_str() {
        "overlay2" | "overlayfs" | "btrfs" | "zfs" => Grade::Pass,
        _ => Grade::Caution,
    };
    points.push(Point::new(
        "storage",
        "Storage driver",
        grade,
        driver,
        "Builds and starts are slower than with overlay2.",
    ));
    let cgroup = info.cgroup_version.map(|version| version.to_string()).unwrap_or_default();
    points.push(Point::new(
        "cgroup",
        "Control groups",
        if cgroup == "2" { Grade::Pass } else { Grade::Caution },
        format!("version {cgroup}"),
        "Limits are kept (see below), but version 2 bounds kernel memory better and is what newer systems have.",
    ));
    points.extend(security(info));
    let runtime = &engine.settings.runtime;
    let mut known: Vec<&str> =
        info.runtimes.iter().flat_map(|runtimes| runtimes.keys()).map(String::as_str).collect();
    known.sort_unstable();
    let sandboxed = runtime != "runc" && runtime != "crun";
    points.push(Point::new(
        "runtime",
        "Runtime of students' containers",
        if sandboxed { Grade::Pass } else { Grade::Caution },
        format!("{runtime} (the engine has {})", known.join(", ")),
        "Containers share the host's kernel. For strangers' code install gVisor (`runsc`) as a runtime of the engine and \
         set sandbox.runtime = \"runsc\", or give Drydock a virtual machine of its own.",
    ));
    if let Some(root) = info.docker_root_dir.as_deref().filter(|_| is_local(&engine.endpoint)) {
        points.push(disk("disk-engine", "Free disk for images", Path::new(root)));
    }
    points
}

fn security(info: &SystemInfo) -> Vec<Point> {
    let options = info.security_options.clone().unwrap_or_default();
    let option = |name: &str| options.iter().find(|option| option.starts_with(&format!("name={name}")));
    let seccomp = match option("seccomp") {
        Some(option) if option.contains("unconfined") => {
            (Grade::Fail, "switched off for all containers".to_owned())
        }
        Some(option) => (Grade::Pass, option.clone()),
        None => (Grade::Caution, "the engine does not filter system calls".to_owned()),
    };
    let mapped = option("userns").or_else(|| option("rootless"));
    vec![
        Point::new(
            "seccomp",
            "System call filter",
            seccomp.0,
            seccomp.1,
            "Use a kernel and an engine with seccomp and its default profile, or a runtime that does not need it (gVisor).",
        ),
        Point::new(
            "userns",
            "User namespaces",
            if mapped.is_some() { Grade::Pass } else { Grade::Caution },
            mapped
                .map_or_else(|| "root in a container is root to the host's kernel".to_owned(), Clone::clone),
            "Start the engine with userns-remap, or rootless.",
        ),
    ]
}

/// Whether the engine runs on this machine, as far as its address tells.
fn is_local(endpoint: &str) -> bool {
    endpoint.starts_with("unix://") || endpoint.starts_with('/')
}

fn disk(id: &'static str, title: &'static str, path: &Path) -> Point {
    let there: PathBuf =
        path.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    let free = match rustix::fs::statvfs(&there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Point::unknown(id, title, &format!("{}: {error}", path.display())),
    };
    let grade = match free {
        ..DISK_FAIL_BYTES => Grade::Fail,
        DISK_FAIL_BYTES..DISK_CAUTION_BYTES => Grade::Caution,
        _ => Grade::Pass,
    };
    let observed = format!("{} GiB free at {}", free >> 30, path.display());
    Point::new(
        id,
        title,
        grade,
        observed,
        "Images and submissions need room; make some or move the folder to a larger disk.",
    )
}
