//! `drydock compose`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    // What the shell has is not the student's.
    command.current_dir(folder).env("TAG", "from-the-shell").arg("compose").args(arguments).output().unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

const GOOD: &str = "name: shop\nservices:\n  web:\n    image: nginx:${TAG:-1}\n    ports: [\"80:80\"]\n    \
                    depends_on: {db: {condition: service_healthy}}\n  db: {image: postgres, volumes: [\"data:/data\"]}\n\
                    volumes: {data: }\n";

#[test]
fn a_project_that_runs() {
    let folder = folder(&[("compose.yaml", GOOD)]);
    for file in [".", "compose.yaml"] {
        let output = run(folder.path(), &[file]);
        assert_eq!(output.status.code(), Some(0), "{file}");
        let text = String::from_utf8(output.stdout).unwrap();
        for line in [
            "Project shop from compose.yaml",
            "service web",
            "  image       nginx:1\n",
            "  waits for   db: healthy",
            "  mount       /data: volume data",
            "Runs in another way:\n  compose.yaml:5:5: services.web.ports: ports are not published",
            "This project would run.",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let place = |name: &str| text.find(&format!("service {name}")).unwrap();
        assert!(place("db") < place("web"), "in the order in which they start");
    }
}

#[test]
fn the_json_is_stable() {
    let folder = folder(&[("compose.yaml", GOOD), (".env", "TAG=2\n")]);
    let output = run(folder.path(), &["--json", "."]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["runs"], &found["files"]), (&json!(true), &json!(["compose.yaml"])));
    assert_eq!(
        found["project"]["services"]["web"],
        json!({
            "origin": "compose.yaml:3:3",
            "image": "nginx:2",
            "command": null,
            "entrypoint": null,
            "networks": {"default": {}},
            "ports": [{"origin": "compose.yaml:5:13", "target": 80, "published": "80", "protocol": "tcp"}],
            "depends_on": {"db": {"condition": "service_healthy", "required": true}},
            "replicas": 1
        })
    );
    assert_eq!(
        found["findings"],
        json!([{
            "kind": "rewritten", "rule": "ports", "file": "compose.yaml", "line": 5, "column": 5,
            "path": "services.web.ports",
            "message": "ports are not published on the machine, where they could collide with those of others; the \
                        checks reach the service inside of its network"
        }])
    );
}

#[test]
fn exit_codes() {
    let refused = folder(&[("compose.yaml", "services: {a: {image: x, privileged: true}}\n")]);
    let output = run(refused.path(), &["."]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Does not run:\n  compose.yaml:1:26: services.a.privileged: "), "{text}");
    assert!(text.ends_with("This project would not run.\n"), "{text}");

    let broken = folder(&[("compose.yaml", "services: [\n")]);
    let output = run(broken.path(), &[".", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["project"], &found["findings"][0]["kind"]), (&Value::Null, &json!("unreadable")));

    let nothing = folder(&[("README.md", "x")]);
    assert_eq!(run(nothing.path(), &["."]).status.code(), Some(2));
    let output = run(nothing.path(), &["nope.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("drydock: nope.yaml: cannot be read"));
    assert_eq!(run(nothing.path(), &[]).status.code(), Some(2), "a wrong call");
}

#[test]
fn another_file_and_profiles() {
    let folder = folder(&[
        ("stack.yml", "services: {a: {image: x}, b: {image: y, profiles: [debug]}}\n"),
        ("compose.override.yaml", "services: {c: {image: z}}\n"),
    ]);
    let names = |arguments: &[&str]| -> Vec<String> {
        let output = run(folder.path(), arguments);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found["project"]["services"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&["stack.yml", "--json"]), ["a"]);
    assert_eq!(names(&["stack.yml", "--json", "--profile", "debug"]), ["a", "b"]);
}

#[test]
fn what_a_student_wrote_cannot_move_the_cursor() {
    let folder = folder(&[(
        "compose.yaml",
        "services: {a: {image: \"x\\e[2J\", \"p\\e[31m\": 1, command: [\"\\u202e\"]}}\n",
    )]);
    let output = run(folder.path(), &["."]);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
}
