//! The doctor on a real engine: every rule is measured, what is measured agrees with what the engine is,
//! nothing is left; and on an engine that does not keep its word it says so.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/private_engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod private_engine;

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
};
use drydock::clock::Clock;
use drydock::config::SandboxSettings;
use drydock::sandbox::{Grade, Point, examine, render};
use private_engine::PrivateEngine;
use serde_json::Value;

/// Every finding, by the number of its rule.
const POINTS: [(Option<u8>, &[&str]); 8] = [
    (None, &["engine", "api", "storage", "cgroup"]),
    (Some(1), &["as-asked"]),
    (
        Some(2),
        &[
            "runtime",
            "capabilities",
            "privileges",
            "seccomp",
            "userns",
            "namespaces",
            "devices",
            "mounts",
            "kernel-files",
            "files",
            "oom",
            "memory",
            "pids",
            "cpu",
        ],
    ),
    (
        Some(3),
        &[
            "network-host",
            "network-stacks",
            "network-outside",
            "network-metadata",
            "network-ipv6",
            "network-names",
        ],
    ),
    (
        Some(4),
        &[
            "network-builds",
            "build-classic",
            "build-classic-pids",
            "build-classic-cpu",
            "build-classic-network",
            "build-buildkit",
            "build-buildkit-pids",
            "build-buildkit-cpu",
            "build-buildkit-network",
        ],
    ),
    (Some(5), &["disk-data", "disk-written", "log"]),
    (Some(6), &["deadline"]),
    (Some(7), &["leftovers"]),
];

/// Without these no grading is safe; an engine that the tests run on keeps them.
const NEEDED: [&str; 23] = [
    "engine",
    "as-asked",
    "capabilities",
    "privileges",
    "seccomp",
    "devices",
    "mounts",
    "kernel-files",
    "files",
    "oom",
    "memory",
    "pids",
    "network-host",
    "network-stacks",
    "network-outside",
    "network-metadata",
    "network-ipv6",
    "build-classic",
    "build-classic-network",
    "disk-written",
    "log",
    "deadline",
    "leftovers",
];

fn point<'a>(points: &'a [Point], id: &str) -> &'a Point {
    points.iter().find(|point| point.id == id).unwrap_or_else(|| panic!("no point {id} among {points:#?}"))
}

#[tokio::test]
async fn the_doctor_measures_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let watch = Clock::system().stopwatch();
    let points = examine(&SandboxSettings::default(), common::context(state.path())).await;
    let told = render(&points);
    eprintln!("{told}\nafter {} s", watch.seconds());
    for (rule, ids) in POINTS {
        for id in ids {
            let point = point(&points, id);
            assert_eq!(point.rule.number(), rule, "{point:?}");
            assert_eq!(point.advice.is_empty(), point.grade == Grade::Pass, "{point:?}");
            assert!(!point.observed.is_empty() && told.contains(point.title), "{point:?}");
        }
    }
    for id in NEEDED {
        assert_eq!(point(&points, id).grade, Grade::Pass, "{:?}", point(&points, id));
    }
    // On a busy machine it may not be told.
    assert_ne!(point(&points, "cpu").grade, Grade::Fail, "{:?}", point(&points, "cpu"));
    // Whatever the engine is, these can be measured on it.
    for id in ["namespaces", "network-builds", "build-buildkit", "build-buildkit-network"] {
        assert!(!point(&points, id).observed.starts_with("not measured"), "{:?}", point(&points, id));
    }
    let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
    let info = docker.info().await.unwrap();
    assert!(point(&points, "engine").observed.contains(&info.server_version.unwrap()));
    assert_eq!(point(&points, "storage").observed, info.driver.unwrap());

    let server = std::fs::read_to_string(state.path().join("installation-id")).unwrap();
    let ours = HashMap::from([("label".to_owned(), vec![format!("drydock.server={}", server.trim())])]);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&ours).build();
    assert!(docker.list_containers(Some(containers)).await.unwrap().is_empty());
    let networks = ListNetworksOptionsBuilder::default().filters(&ours).build();
    assert!(docker.list_networks(Some(networks)).await.unwrap().is_empty());
    let images = ListImagesOptionsBuilder::default().all(true).filters(&ours).build();
    let images = docker.list_images(Some(images)).await.unwrap();
    assert!(
        images.iter().all(|image| image.repo_tags.iter().any(|tag| tag.starts_with("drydock-probe:"))),
        "{images:?}"
    );
    // Some ten seconds on a machine of its own; this one may be busy.
    assert!(watch.elapsed() < Duration::from_mins(4), "{} s", watch.seconds());
}

#[tokio::test]
async fn settings_that_the_engine_cannot_keep_are_a_point_of_their_own() {
    let state = tempfile::tempdir().unwrap();
    let settings = SandboxSettings { runtime: "no-such-runtime".into(), ..SandboxSettings::default() };
    let points = examine(&settings, common::context(state.path())).await;
    let engine = point(&points, "engine");
    assert_eq!(engine.grade, Grade::Fail);
    assert!(engine.observed.contains("no-such-runtime"), "{}", engine.observed);
    assert!(point(&points, "disk-data").observed.contains("GiB free"));
}

/// What `drydock doctor` says of a private engine under a runtime, and its exit code.
fn told(engine: &PrivateEngine, runtime: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_drydock"))
        .arg("doctor")
        .args(arguments)
        .env("DOCKER_HOST", engine.host())
        .env("DRYDOCK_SANDBOX_RUNTIME", runtime)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (String::from_utf8(told).unwrap(), output.status.code())
}

fn grade(told: &Value, id: &str) -> String {
    let found = told.as_array().unwrap().iter().find(|point| point["id"] == id);
    let point = found.unwrap_or_else(|| panic!("no point {id} in {told:#}"));
    assert_eq!(point["advice"] == "", point["grade"] == "pass", "{point:#}");
    point["grade"].as_str().unwrap().to_owned()
}

/// An engine whose runtime takes the bounds out of what it is asked for. Its own records look well.
#[test]
fn an_engine_that_keeps_nothing_is_found_out() {
    let runtime = std::path::absolute("tests/doctor/loose_runtime.sh").unwrap();
    let runtimes = format!(r#""loose": {{"path": "{}"}}"#, runtime.display());
    let engine = PrivateEngine::with_runtimes(&[], &runtimes);
    let (json, code) = told(&engine, "loose", &["--json"]);
    assert_eq!(code, Some(1), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let graded = |id: &str| grade(&json, id);
    for id in ["capabilities", "privileges", "seccomp", "namespaces", "files", "memory", "pids"] {
        assert_eq!(graded(id), "fail", "{id}: {json:#}");
    }
    assert!(matches!(graded("cpu").as_str(), "fail" | "caution"), "{json:#}");
    assert_eq!(graded("oom"), "caution");
    // The engine's record is as it should be, and what the runtime has no hand in holds.
    for id in [
        "as-asked",
        "network-host",
        "network-outside",
        "network-names",
        "disk-written",
        "log",
        "deadline",
        "leftovers",
    ] {
        assert_eq!(graded(id), "pass", "{id}: {json:#}");
    }
    assert_eq!(json[0]["rule"]["number"], Value::Null);
    let (text, code) = told(&engine, "loose", &[]);
    assert_eq!(code, Some(1), "{text}");
    eprintln!("{text}");
    assert!(text.contains("FAIL     Memory and swap: a process got 256 MiB where 64 were allowed"), "{text}");
    assert!(text.contains("Strangers' code should not run here before what FAILs is mended."), "{text}");
}

/// A kernel of its own is no fault of a container's, and what gVisor adds is told apart from what an engine does.
#[test]
fn an_engine_with_gvisor_is_fit() {
    if Command::new("runsc").arg("--version").output().is_err() {
        // tests/run installs it where the distribution has it.
        println!("skipped: this machine has no runsc");
        return;
    }
    let engine = PrivateEngine::start(&[]);
    let (json, code) = told(&engine, "runsc", &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    for id in
        ["runtime", "as-asked", "capabilities", "seccomp", "userns", "devices", "mounts", "files", "memory"]
    {
        assert_eq!(grade(&json, id), "pass", "{id}: {json:#}");
    }
    for id in
        ["network-host", "network-stacks", "network-outside", "disk-written", "log", "deadline", "leftovers"]
    {
        assert_eq!(grade(&json, id), "pass", "{id}: {json:#}");
    }
    // Its processes are not the host's.
    assert_ne!(grade(&json, "pids"), "fail", "{json:#}");
    let fails = json.as_array().unwrap().iter().any(|point| point["grade"] == "fail");
    assert_eq!(code, Some(i32::from(fails)), "{json:#}");
}
