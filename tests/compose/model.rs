//! What the engine part gets: places, order, limits, kinds of paths.

use bytes::Bytes;
use drydock::submissions::compose::model::{Limits, MountKind};
use drydock::submissions::compose::{Kind, Options, PathKind, Reading, read};
use drydock::submissions::{Content, ContentLimits};

fn reading(files: &[(&str, &str)], options: &Options) -> Reading {
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
    let files =
        files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from((*text).to_owned()))).collect();
    read(&Content::from_files(files, &limits).unwrap(), options)
}

#[test]
fn everything_has_its_place() {
    let reading = reading(
        &[
            (
                "compose.yaml",
                "services:\n  web:\n    image: x\n    ports: ['80:80']\n    volumes:\n      - ./d:/d\n    secrets: [s]\n    \
                 healthcheck:\n      test: x\n    networks: [n]\n  more:\n    extends: {file: sub/base.yaml, service: \
                 base}\nnetworks:\n  n: {}\nsecrets:\n  s: {file: d}\n",
            ),
            ("compose.override.yaml", "services:\n  web:\n    ports: ['81:81']\n    volumes: ['/v']\n"),
            ("sub/base.yaml", "services:\n  base:\n    build: .\n    volumes: ['./x:/x']\n"),
            ("d", "secret"),
        ],
        &Options::default(),
    );
    assert!(reading.runs(), "{:?}", reading.findings);
    assert_eq!(reading.files, ["compose.yaml", "compose.override.yaml"]);
    let web = &reading.project.services["web"];
    assert_eq!(web.origin.to_string(), "compose.override.yaml:2:3");
    let places = |places: Vec<String>| places.join(" ");
    assert_eq!(
        places(web.ports.iter().map(|port| port.origin.to_string()).collect()),
        "compose.yaml:4:13 compose.override.yaml:3:13"
    );
    assert_eq!(
        places(web.mounts.iter().map(|mount| mount.origin.to_string()).collect()),
        "compose.yaml:6:9 compose.override.yaml:4:15"
    );
    assert_eq!(web.secrets[0].origin.to_string(), "compose.yaml:7:15");
    assert_eq!(web.healthcheck.as_ref().unwrap().origin.to_string(), "compose.yaml:8:5");
    assert_eq!(reading.project.networks["n"].origin.to_string(), "compose.yaml:14:3");
    assert_eq!(reading.project.secrets["s"].origin.to_string(), "compose.yaml:16:3");
    let more = &reading.project.services["more"];
    assert_eq!(more.build.as_ref().unwrap().origin.to_string(), "sub/base.yaml:3:5");
    assert_eq!(more.build.as_ref().unwrap().context, "sub");
    assert_eq!(more.mounts[0].origin.to_string(), "sub/base.yaml:4:15");
}

#[test]
fn what_is_mounted_is_told_apart() {
    let reading = reading(
        &[
            (
                "compose.yaml",
                "services: {a: {image: x, volumes: ['./file:/1', './folder:/2', './none:/3', '.:/4']}}\n",
            ),
            ("file", "x"),
            ("folder/x", "x"),
        ],
        &Options::default(),
    );
    let found: Vec<(String, PathKind)> = reading.project.services["a"]
        .mounts
        .iter()
        .filter_map(|mount| match &mount.kind {
            MountKind::Bind(bind) => Some((bind.source.clone(), bind.found)),
            _ => None,
        })
        .collect();
    let found: Vec<(&str, PathKind)> = found.iter().map(|(path, kind)| (path.as_str(), *kind)).collect();
    assert_eq!(
        found,
        [
            ("file", PathKind::File),
            ("folder", PathKind::Folder),
            ("none", PathKind::Missing),
            (".", PathKind::Folder)
        ]
    );
}

#[test]
fn services_start_after_those_they_need() {
    let reading = reading(
        &[
            (
                "compose.yaml",
                "services:\n  web: {image: x, depends_on: [api, db]}\n  api: {image: x, depends_on: [db]}\n  lone: {image: \
                 x}\n  db: {image: x}\n  side: {image: x, network_mode: 'service:web'}\n",
            ),
            ("README", ""),
        ],
        &Options::default(),
    );
    assert_eq!(reading.project.start_order(), ["lone", "db", "api", "web", "side"]);
}

#[test]
fn limits_are_no_higher_than_those_of_the_grading() {
    let most = Limits { memory_bytes: Some(128 << 20), cpu_millis: Some(1000), pids: Some(64) };
    let options = Options { limits: most, ..Options::default() };
    let reading = reading(
        &[
            (
                "compose.yaml",
                "services:\n  low: {image: x, mem_limit: 64m, cpus: 0.5, pids_limit: 10}\n  high: {image: x, mem_limit: 4g, \
                 cpus: 8, pids_limit: 5000}\n  none: {image: x}\n",
            ),
            ("README", ""),
        ],
        &options,
    );
    assert!(reading.runs());
    let limits = |name: &str| reading.project.services[name].limits;
    assert_eq!(limits("low"), Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(500), pids: Some(10) });
    assert_eq!(limits("high"), most);
    assert_eq!(limits("none"), Limits::default(), "what is not said is the sandbox's");
    let told: Vec<String> = reading
        .findings
        .iter()
        .filter(|finding| finding.kind == Kind::Rewritten)
        .map(|finding| format!("{} {}", finding.path, finding.message))
        .collect();
    assert_eq!(
        told,
        [
            "services.high.mem_limit a container here gets at most 128 MiB, and this one gets that",
            "services.high.cpus a container here gets at most 1 CPUs, and this one gets that",
            "services.high.pids_limit a container here gets at most 64 processes, and this one gets that",
        ]
    );
}

#[test]
fn a_whole_folder_that_is_handed_in_is_taken_off() {
    // As a browser sends it: `Content` takes the one folder around everything off, and its name with it.
    let reading = reading(&[("work/compose.yaml", "services: {a: {image: x}}\n")], &Options::default());
    assert!(reading.runs());
    assert_eq!(reading.project.name, "project");
}
