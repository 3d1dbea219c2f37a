//! Mistakes in what a stack has: networks, mounts, policies, containers, bounds.

use drydock::exercises::Exercise;
use drydock::sandbox::{MountSpec, Restart, Source};

use super::mistakes::{BASE, exercise, expect, told};

const APP: &str = "      env: {GREETING: \"hello ${random}\"}\n";

/// Adds keys to the service and to the stack.
fn with(service: &str, stack: &str) -> String {
    BASE.replace(APP, &format!("      {service}\n{APP}")).replace("\nlimits: ", &format!("\n{stack}limits: "))
}

#[track_caller]
fn expect_with(service: &str, stack: &str, expected: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    std::fs::write(folder.join("exercise.yaml"), with(service, stack)).unwrap();
    let expected: Vec<String> = expected.iter().map(|line| format!("exercise.yaml:{line}")).collect();
    assert_eq!(told(&folder), expected, "{service} {stack}");
}

#[test]
fn what_compose_says_is_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    let service = "mounts: [{volume: data, target: /data}, {folder: ./site/, target: /www, read_only: true}]\n      \
                   networks: [back]\n      restart: on-failure:3\n      replicas: 3\n      limits: {memory: 32MiB, cpus: 0.5}";
    let companion = "    other: {image: 'busybox:1.37', restart: no, networks: [front, back]}\n";
    let text = with(service, &format!("{companion}  networks: {{front: {{}}, back: }}\n  volumes: [data]\n"));
    std::fs::write(folder.join("exercise.yaml"), text).unwrap();
    std::fs::create_dir(folder.join("solution/site")).unwrap();
    let exercise = Exercise::read(&folder).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let stack = exercise.stack.unwrap();
    assert_eq!(
        (stack.networks.as_slice(), stack.volumes.as_slice()),
        (["front".into(), "back".into()].as_slice(), ["data".into()].as_slice())
    );
    let app = &stack.services["app"];
    let mounts = [
        MountSpec { source: Source::Volume("data".into()), target: "/data".into(), read_only: false },
        MountSpec { source: Source::Folder("site".into()), target: "/www".into(), read_only: true },
    ];
    assert_eq!(app.mounts, mounts);
    assert_eq!((app.restart, app.replicas), (Restart::OnFailure { most: Some(3) }, 3));
    assert_eq!(
        (app.limits.memory_bytes, app.limits.cpu_millis, app.limits.pids),
        (Some(32 << 20), Some(500), None)
    );
    assert_eq!((stack.networks_of(app), stack.services["other"].restart), (vec!["back"], Restart::No));
}

#[test]
fn networks() {
    expect_with(
        "networks: [frnt]",
        "  networks: {front: {}}\n",
        &[
            "7:18: unknown network `frnt`, did you mean `front`?",
            "10:14: no service stands on the network `front`",
        ],
    );
    expect_with("networks: [front]", "", &["7:18: unknown network `front`; there is none here"]);
    expect_with(
        "networks: []",
        "  networks: [front]\n",
        &["7:7: `networks` is empty; leave it out for all networks of the stack"],
    );
    expect_with(
        "init: true",
        "  networks: {Front: {}}\n",
        &["10:14: `Front` is no name for a network; use lower-case letters, digits and dashes"],
    );
    expect_with(
        "init: true",
        "  networks: {front: {internal: true}}\n",
        &["10:22: unknown key `internal`; there is none here"],
    );
    expect_with(
        "init: true",
        "  networks: front\n",
        &["10:13: expected a list of names, or a map of them such as `{data: {}}`, found the text `front`"],
    );
}

#[test]
fn mounts() {
    let data = "  volumes: {data: {}}\n";
    let mount = |text: &str| format!("mounts: [{text}]");
    for (text, stack, expected) in [
        (
            "{volume: date, target: /data}",
            data,
            "7:16: unknown volume `date`, did you mean `data`?\n10:13: no service mounts the volume `data`",
        ),
        (
            "{volume: data, target: /data}",
            "",
            "7:16: unknown volume `data`; there is none here; add it to `stack.volumes`",
        ),
        ("{volume: data, target: data}", data, "7:16: `target: data` is not an absolute path"),
        ("{volume: data, target: /a/../b}", data, "7:16: `target: /a/../b` is not an absolute path"),
        ("{volume: data}", data, "7:16: a mount needs a `target`: where in the container, such as `/data`"),
        ("{volume: data, target: //}", data, "7:16: `target: /` would hide the whole image; mount below it"),
        ("{target: /data}", "", "7:16: a mount says what is mounted: a `volume` or a `folder`"),
        (
            "{volume: data, folder: site, target: /data}",
            data,
            "7:16: a mount is of a `volume` or of a `folder`, not of both\n10:13: no service mounts the volume `data`",
        ),
        (
            "{volume: data, target: /data}, {volume: data, target: /data/}",
            data,
            "7:47: two things are mounted at `/data/`",
        ),
        (
            "{folder: ../x, target: /data}",
            "",
            "7:16: `folder` is a folder of the submission, such as `site`, or `.` for the whole, without `..`",
        ),
        (
            "{folder: /etc, target: /data}",
            "",
            "7:16: `folder` is a folder of the submission, such as `site`, or `.` for the whole, without `..`",
        ),
    ] {
        expect_with(&mount(text), stack, &expected.lines().collect::<Vec<_>>());
    }
    expect_with(
        "tmpfs: {/data: 1MiB}\n      mounts: [{volume: data, target: /data}]",
        data,
        &["8:16: two things are mounted at `/data`"],
    );
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    std::fs::write(folder.join("exercise.yaml"), with(&mount("{folder: site, target: /www}"), "")).unwrap();
    assert_eq!(told(&folder), ["solution/site: the folder is missing; the service `app` mounts it"]);
}

#[test]
fn policies_containers_and_bounds() {
    let policies = "is no restart policy; there are no, always, on-failure, on-failure:3 (at most so often) and \
                    unless-stopped";
    expect_with("restart: sometimes", "", &[&format!("7:16: `sometimes` {policies}")]);
    expect_with("restart: on-failure:0", "", &[&format!("7:16: `on-failure:0` {policies}")]);
    expect_with("replicas: 0", "", &["7:7: `replicas` is 0; it can be between 1 and 8"]);
    expect_with("replicas: 9", "", &["7:7: `replicas` is 9; it can be between 1 and 8"]);
    let others: String =
        (0..3).map(|index| format!("    other-{index}: {{image: 'busybox:1.37', replicas: 8}}\n")).collect();
    expect_with("init: true", &others, &["5:3: the stack has 25 containers, and at most 24 can run"]);
    expect_with(
        "limits: {memory: 1GiB}",
        "",
        &["7:16: `memory` is 1 GiB; it can be between 6 MiB and the exercise's `limits.memory`, 64 MiB"],
    );
    expect_with(
        "limits: {cpus: 2}",
        "",
        &["7:16: `cpus` is 2; it can be between 0.01 and the exercise's `limits.cpus`, 1"],
    );
    expect_with(
        "limits: {pids: 0}",
        "",
        &["7:16: `pids` is 0; it can be between 1 and the exercise's `limits.pids`, 128"],
    );
    expect(
        "ready: {port: 8080, within: 10s}",
        "volumes: {data: {}}",
        &[
            "8:7: unknown key `volumes`; there are `image`, `env`, `command`, `entrypoint`, `user`, `cap_add`, `read_only`, \
         `init`, `tmpfs`, `mounts`, `networks`, `aliases`, `hostname`, `working_dir`, `stop_signal`, `depends_on`, `restart`, `replicas`, `limits`, `healthcheck` and `ready`",
        ],
    );
}

#[test]
fn services_that_wait_for_others() {
    let db = "    db: {image: 'busybox:1.37', depends_on: {app: {condition: service_healthy}}}\n";
    for (text, rest, expected) in [
        ("depends_on: [app]", "", "7:20: `app` cannot wait for itself"),
        ("depends_on: [bd]", db, "7:20: unknown service `bd`, did you mean `db`?"),
        (
            "depends_on: {db: {condition: healthy}}",
            db,
            "7:36: unknown word `healthy`; there are `service_started`, `service_healthy` and `service_completed_successfully`",
        ),
        (
            "depends_on: {db: {required: false, restart: true}}",
            db,
            "7:42: unknown key `restart`; there are `condition` and `required`",
        ),
        (
            "depends_on: [db]",
            db,
            "7:7: `app` waits for itself, by way of `db`; none of them could ever start",
        ),
        (
            "hostname: my_app",
            "",
            "7:7: `hostname` is no name for a host; use lower-case letters, digits and dashes, in parts with dots between",
        ),
        (
            "aliases: [ok.internal, No]",
            "",
            "7:30: `No` is no name for a host; use lower-case letters, digits and dashes, in parts with dots between",
        ),
        ("working_dir: srv", "", "7:7: `working_dir` is an absolute path in the container"),
        ("stop_signal: int", "", "7:7: `stop_signal` is the name of a signal, such as `SIGINT`"),
    ] {
        expect_with(text, rest, &[expected]);
    }
}
