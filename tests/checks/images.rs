//! `image`, judged by what an image says about itself.

use drydock::checks::image::Image;
use drydock::sandbox::ImageConfig;
use indexmap::IndexMap;
use serde_json::json;

use crate::{failed, passed, variables};

fn full() -> ImageConfig {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<IndexMap<_, _>>()
    };
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        env: map(&[("PATH", "/usr/bin"), ("GREETING", "hello r4nd0m")]),
        labels: map(&[("org.opencontainers.image.title", "Greeter")]),
        exposed_ports: vec!["53/udp".into(), "8080/tcp".into()],
        volumes: vec!["/data".into()],
        entrypoint: words(&["python", "app.py"]),
        cmd: words(&["--port", "8080"]),
        workdir: "/srv".into(),
        user: "1000:1000".into(),
        stop_signal: Some("SIGINT".into()),
        healthcheck: words(&["CMD-SHELL", "wget -q localhost:8080 || exit 1"]),
        ..ImageConfig::default()
    }
}

fn bare() -> ImageConfig {
    ImageConfig {
        architecture: "arm64".into(),
        os: "windows".into(),
        entrypoint: Some(vec!["/bin/sh".into(), "-c".into(), "python app.py".into()]),
        ..ImageConfig::default()
    }
}

#[test]
fn each_part_passes_and_fails() {
    let cases = [
        (json!({"env": {"GREETING": "hello ${random}"}}), "env `GREETING` is not set"),
        (json!({"env": {"GREETING": {"absent": false}}}), "env `GREETING` is not set"),
        (
            json!({"labels": {"org.opencontainers.image.title": {"matches": "^Gree"}}}),
            "label `org.opencontainers.image.title` is not set",
        ),
        (json!({"exposed_ports": [8080, "53/udp"]}), "exposed ports: none"),
        (json!({"exposed_ports": {"has": [8080], "only": [8080, "53/udp"]}}), "exposed ports: none"),
        (json!({"volumes": ["/data"]}), "volumes: none"),
        (
            json!({"entrypoint": ["python", "app.py"]}),
            "entrypoint is `[\"/bin/sh\", \"-c\", \"python app.py\"]`",
        ),
        (json!({"entrypoint": {"not": {"matches": "^/bin/sh -c"}}}), "entrypoint is"),
        (json!({"cmd": {"contains": "8080"}}), "cmd is absent"),
        (json!({"workdir": "/srv"}), "working directory is `/`"),
        (json!({"user": {"not": "root"}}), "user is not set, which means root"),
        (json!({"user": 1000}), "user is not set, which means root"),
        (json!({"healthcheck": {"contains": "wget"}}), "health check is absent"),
        (json!({"stop_signal": "SIGINT"}), "stop signal is not set"),
        (json!({"architecture": "amd64"}), "architecture is `arm64`"),
        (json!({"os": "linux"}), "operating system is `windows`"),
    ];
    for (check, wrong) in cases {
        let image: Image = serde_json::from_value(check.clone()).expect("good");
        passed(&image.judge(&full(), &variables()).expect("told"));
        let finding = image.judge(&bare(), &variables()).expect("told");
        assert!(failed(&finding).observed.contains(wrong), "{check}: {}", failed(&finding).observed);
        assert!(!failed(&finding).expected.is_empty());
    }
}

#[test]
fn each_absence_passes_and_fails() {
    for (check, wrong) in [
        (json!({"env": {"GREETING": {"absent": true}}}), "env `GREETING` is `hello r4nd0m`"),
        (json!({"labels": {"org.opencontainers.image.title": {"absent": true}}}), "is `Greeter`"),
        (json!({"exposed_ports": {"absent": true}}), "exposed ports: `53/udp` and `8080/tcp`"),
        (json!({"exposed_ports": {"lacks": [8080]}}), "`8080/tcp`"),
        (json!({"volumes": {"absent": true}}), "volumes: `/data`"),
        (json!({"cmd": {"absent": true}}), "cmd is `[\"--port\", \"8080\"]`"),
        (json!({"user": "root"}), "user is `1000:1000`"),
        (json!({"user": 0}), "user is `1000:1000`"),
        (json!({"healthcheck": {"absent": true}}), "health check is"),
        (json!({"stop_signal": {"absent": true}}), "stop signal is `SIGINT`"),
        (json!({"workdir": "/"}), "working directory is `/srv`"),
    ] {
        let image: Image = serde_json::from_value(check.clone()).expect("good");
        passed(&image.judge(&bare(), &variables()).expect("told"));
        let finding = image.judge(&full(), &variables()).expect("told");
        assert!(failed(&finding).observed.contains(wrong), "{check}: {}", failed(&finding).observed);
    }
    let none = ImageConfig { entrypoint: None, ..full() };
    let image: Image = serde_json::from_value(json!({"entrypoint": {"absent": true}})).expect("good");
    passed(&image.judge(&none, &variables()).expect("told"));
    failed(&image.judge(&full(), &variables()).expect("told"));
}

#[test]
fn root_has_many_spellings() {
    let root: Image = serde_json::from_value(json!({"user": "root"})).expect("good");
    let not_root: Image = serde_json::from_value(json!({"user": {"not": "0"}})).expect("good");
    for (user, is_root) in [
        ("", true),
        ("0", true),
        ("root", true),
        ("0:0", true),
        ("root:root", true),
        (":5", true),
        ("1", false),
        ("app:root", false),
    ] {
        let config = ImageConfig { user: user.into(), ..ImageConfig::default() };
        let holds = |image: &Image| {
            matches!(image.judge(&config, &variables()), Ok(drydock::checks::Finding::Passed(_)))
        };
        assert_eq!((holds(&root), holds(&not_root)), (is_root, !is_root), "{user:?}");
    }
}

#[test]
fn the_configuration_is_the_evidence() {
    let image: Image = serde_json::from_value(json!({"os": "linux"})).expect("good");
    let finding = image.judge(&full(), &variables()).expect("told");
    let text = &passed(&finding).evidence[0].text;
    for line in [
        "GREETING=hello r4nd0m",
        "exposed ports 53/udp 8080/tcp",
        "user          1000:1000",
        "platform      linux/amd64",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
