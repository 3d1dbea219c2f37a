//! The doctor on a real engine: every point is there, what is measured agrees with what the engine is,
//! and nothing is left.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;

use std::collections::HashMap;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
};
use drydock::config::SandboxSettings;
use drydock::sandbox::{Grade, Point, examine, render};

fn point<'a>(points: &'a [Point], id: &str) -> &'a Point {
    points.iter().find(|point| point.id == id).unwrap_or_else(|| panic!("no point {id} among {points:#?}"))
}

#[tokio::test]
async fn the_doctor_measures_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let points = examine(&SandboxSettings::default(), common::context(state.path())).await;
    eprintln!("{}", render(&points));
    for id in [
        "engine",
        "api",
        "storage",
        "cgroup",
        "seccomp",
        "userns",
        "runtime",
        "build-classic",
        "build-buildkit",
        "memory",
        "pids",
        "network-host",
        "network-stacks",
        "network-outside",
        "network-names",
        "network-builds",
        "disk-data",
    ] {
        let point = point(&points, id);
        assert_eq!(point.advice.is_empty(), point.grade == Grade::Pass, "{point:?}");
        assert!(!point.observed.is_empty(), "{point:?}");
    }
    // Without these no grading is safe; an engine that the tests run on keeps them.
    for id in
        ["engine", "build-classic", "memory", "pids", "network-host", "network-stacks", "network-outside"]
    {
        assert_eq!(point(&points, id).grade, Grade::Pass, "{:?}", point(&points, id));
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
