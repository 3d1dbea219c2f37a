//! Submissions whose own compose file runs, against the real engine: that each service gets what the file says,
//! and that what is wrong with the file is the student's and said so.

mod compose_runs {
    pub mod builds;
    pub mod companions;
    pub mod findings;
    pub mod keys;
}

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The report on a submission of these files, graded by these checks.
fn graded(checks: &str, files: &[(&str, &str)]) -> Value {
    let report = graded_beside("", checks, files, &[]);
    assert!(!report["verdict"].as_str().unwrap_or_default().ends_with("fault"), "{report:#}");
    report
}

/// As [`graded`], with further keys in the exercise, and settings of the server.
fn graded_beside(keys: &str, checks: &str, files: &[(&str, &str)], settings: &[(&str, &str)]) -> Value {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("composed");
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    };
    let definition = format!(
        "title: Composed\nminutes: 1\nsubmit: [upload]\ncompose: {{within: 30s}}\n\
         limits: {{memory: 64MiB, run_time: 120s, build_time: 60s}}\n{keys}checks:\n{checks}"
    );
    write(&folder.join("exercise.yaml"), &definition);
    write(&folder.join("README.md"), "Compose something.\n");
    for (path, text) in files {
        write(&folder.join("solution").join(path), text);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args(["grade", "--json"])
        .args([&folder, &folder.join("solution")])
        .current_dir(root.path())
        .env("DRYDOCK_DATA_DIR", root.path().join("data"))
        .envs(settings.iter().copied())
        .output()
        .expect("drydock");
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// The text of a piece of a check's evidence.
fn evidence<'r>(report: &'r Value, check: &str, title: &str) -> &'r str {
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|found| found["id"] == check).expect("the check");
    let mut pieces = check["evidence"].as_array().expect("evidence").iter();
    let piece = pieces.find(|piece| piece["title"] == title);
    piece.unwrap_or_else(|| panic!("no {title}: {check:#}"))["text"].as_str().expect("a text")
}

fn outcomes(report: &Value) -> Vec<(&str, &str, &str)> {
    let checks = report["checks"].as_array().expect("checks");
    checks
        .iter()
        .map(|check| {
            let field = |name: &str| check[name].as_str().unwrap_or_default();
            (field("id"), field("outcome"), field("observed"))
        })
        .collect()
}

#[track_caller]
fn passes(report: &Value) {
    assert_eq!(report["verdict"], "passed", "{:#?}", outcomes(report));
}

#[test]
fn each_service_gets_what_the_file_says() {
    let compose = "
services:
  web:
    build: {context: web, args: {WHO: world}}
    container_name: the-web
    environment: {FROM: '${FROM:-nobody}'}
    env_file: web.env
    secrets: [token]
    configs: [{source: motd, target: /etc/motd}]
    depends_on:
      fill: {condition: service_completed_successfully}
      db: {condition: service_healthy}
    networks: [front, back]
  inline:
    build:
      context: web
      dockerfile_inline: |
        FROM busybox:1.37
        COPY text.txt /text.txt
        CMD cat /text.txt && sleep 600
    networks: [front]
  db:
    image: busybox:1.37
    command: httpd -f -p 6000 -h /data
    volumes: ['data:/data:ro', './one.conf:/etc/one.conf:ro']
    healthcheck: {test: 'wget -q -O - http://127.0.0.1:6000/filled', interval: 1s}
    networks: {back: {aliases: [database]}}
  beside:
    image: busybox:1.37
    command: sleep 600
    network_mode: service:db
  fill:
    image: busybox:1.37
    command: sh -c 'sleep 1; echo yes > /data/filled'
    volumes: [data:/data]
    networks: [back]
  alone:
    image: busybox:1.37
    command: sh -c 'ls /sys/class/net; sleep 600'
    network_mode: none
  many: {image: 'busybox:1.37', command: sleep 600, scale: 2, networks: [front]}
networks: {front: , back: {internal: true}}
volumes: {data: }
secrets: {token: {file: secret.txt}}
configs: {motd: {content: 'hello ${FROM}'}}
";
    let files = [
        ("compose.yaml", compose),
        (".env", "FROM=env\n"),
        ("web.env", "COLOUR=red\n"),
        ("secret.txt", "s3cret"),
        ("one.conf", "one"),
        ("web/text.txt", "in the image\n"),
        (
            "web/Dockerfile",
            "FROM busybox:1.37\nARG WHO\nRUN mkdir /www && echo hello $WHO > /www/index.html\n\
             CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
        ),
    ];
    let checks = "
  - {id: up, title: Up, compose_health: {within: 60s}}
  - {id: built, title: Built, http: {service: web, port: 8080, body: {contains: hello world}}}
  - {id: named, title: Named, command: {service: many, run: 'wget -q -O - http://the-web:8080/', stdout: {contains: hello}}}
  - {id: env, title: Variables, env: {service: web, variables: {FROM: env, COLOUR: red}}}
  - {id: secret, title: Secret, command: {service: web, run: 'cat /run/secrets/token /etc/motd', stdout: s3crethello env}}
  - {id: inline, title: Inline, logs: {service: inline, stdout: {contains: in the image}, within: 10s}}
  - {id: alias, title: Alias, command: {service: web, run: 'wget -q -O - http://database:6000/filled', stdout: {contains: 'yes'}}}
  - {id: shared, title: Shared network, command: {service: beside, run: 'wget -q -O - http://127.0.0.1:6000/filled', stdout: {contains: 'yes'}}}
  - {id: bound, title: Bound file, command: {service: db, run: cat /etc/one.conf, stdout: one}}
  - {id: apart, title: Apart, isolated: {from: many, to: db, port: 6000}}
  - {id: offline, title: Offline, logs: {service: alone, stdout: {matches: '^lo\\s*$'}, within: 10s}}
";
    passes(&graded(checks, &files));
}

#[test]
fn who_a_service_runs_as_changes_nothing_of_whose_its_files_are() {
    let compose = "
services:
  by-number: {image: 'busybox:1.37', command: sleep 60, user: '1000:1000', secrets: [token, {source: token, target: own, uid: '1000', mode: 0400}]}
  by-name: {image: 'busybox:1.37', command: sleep 60, user: www-data, volumes: ['./one.conf:/etc/one.conf:ro']}
secrets: {token: {file: secret.txt}}
";
    let checks = r"
  - {id: number, title: Number, command: {service: by-number, run: 'cd /run/secrets && stat -c %a:%u:%g token own && cat token own', stdout: {contains: ['444:0:0', '400:1000:0', 's3crets3cret']}}}
  - {id: name, title: Name, command: {service: by-name, run: 'stat -c %a:%u:%g /etc/one.conf && id -un', stdout: {contains: ['644:0:0', www-data]}}}
";
    passes(&graded(checks, &[("compose.yaml", compose), ("secret.txt", "s3cret"), ("one.conf", "one")]));
}

#[test]
fn a_service_that_is_not_there_fails_its_checks_and_is_no_fault_of_the_exercise() {
    let files = [("compose.yaml", "services: {web: {image: 'busybox:1.37', command: sleep 600}}")];
    let checks = "
  - {id: asked, title: Asked, http: {service: api, port: 80, status: 200}}
  - {id: from, title: From, reachable: {from: api, to: web, port: 80}}
  - {id: up, title: Up, compose_health: {services: [api]}}
  - {id: runs, title: Runs, compose_health: {}}
";
    let report = graded(checks, &files);
    assert_eq!(report["verdict"], "failed", "{report:#}");
    for (id, outcome, observed) in outcomes(&report) {
        if id == "runs" {
            assert_eq!(outcome, "passed", "{observed}");
        } else {
            assert_eq!((outcome, observed), ("failed", "there is none; those that run are `web`"), "{id}");
        }
    }
}

#[test]
fn what_may_not_run_is_told_by_its_line_and_nothing_is_started() {
    let checks = "  - {id: up, title: Up, compose_health: {}}\n";
    for (compose, words) in [
        ("services:\n  web:\n    image: busybox:1.37\n    privileged: true\n", "compose.yaml:4:5"),
        ("services:\n  web:\n    image: busybox:1.37\n    volumes: ['/etc:/host']\n", "compose.yaml:4:"),
        ("services:\n  web:\n    image: busybox:1.37\n    pid: host\n", "compose.yaml:4:5"),
        ("services:\n  web:\n    build: ../other\n", "compose.yaml:3:"),
        ("services:\n  web: {}\n", "compose.yaml:2:"),
    ] {
        let report = graded(checks, &[("compose.yaml", compose)]);
        assert_eq!(report["verdict"], "failed", "{report:#}");
        let (_, outcome, observed) = outcomes(&report)[0];
        assert_eq!(outcome, "skipped", "{compose}");
        assert!(
            observed.starts_with("The compose file cannot be run: ") && observed.contains(words),
            "{observed}"
        );
    }
    let report = graded(checks, &[("readme.txt", "nothing"), ("notes.txt", "more")]);
    assert_eq!((report["verdict"].as_str(), outcomes(&report)[0].1), (Some("failed"), "skipped"));
}

#[test]
fn an_image_that_is_not_there_and_too_many_containers_are_the_students() {
    let checks = "  - {id: up, title: Up, compose_health: {}}\n";
    let many = "services: {a: {image: x, scale: 8}, b: {image: x, scale: 8}, c: {image: x, scale: 8}, d: {image: x}}";
    for (compose, words) in [
        ("services: {web: {image: 'no-such:1'}}", "The service `web` cannot be started: the image no-such:1"),
        ("services: {web: {image: '127.0.0.1:5999/own:1'}}", "a registry that this server may not ask"),
        (many, "25 containers"),
    ] {
        let report = graded(checks, &[("compose.yaml", compose)]);
        let (_, outcome, observed) = outcomes(&report)[0];
        assert_eq!((report["verdict"].as_str(), outcome), (Some("failed"), "skipped"), "{compose}");
        assert!(observed.contains(words), "{observed}");
    }
}

#[test]
fn a_build_that_fails_and_one_who_waits_in_vain_are_told() {
    let checks = "  - {id: up, title: Up, compose_health: {}}\n";
    let files = [
        ("compose.yaml", "services: {web: {build: web}, db: {image: 'busybox:1.37', command: sleep 600}}"),
        ("web/Dockerfile", "FROM busybox:1.37\nRUN exit 7\n"),
    ];
    let report = graded(checks, &files);
    let (_, outcome, observed) = outcomes(&report)[0];
    assert_eq!(outcome, "skipped");
    assert!(
        observed.starts_with("The image of the service `web`: ") && observed.contains("exit code 7"),
        "{observed}"
    );

    let waits = "
services:
  job: {image: 'busybox:1.37', command: sh -c 'exit 3'}
  web: {image: 'busybox:1.37', command: sleep 600, depends_on: {job: {condition: service_completed_successfully}}}
";
    let report = graded(checks, &[("compose.yaml", waits)]);
    let (_, outcome, observed) = outcomes(&report)[0];
    assert_eq!(outcome, "failed");
    assert!(observed.contains("`job`: the container ended with exit code 3"), "{observed}");
    assert!(observed.contains("`web` was not started: it waits for `job` to end successfully"), "{observed}");
}
