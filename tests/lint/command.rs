//! `drydock lint`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    command.current_dir(folder).arg("lint").args(arguments).output().unwrap()
}

#[test]
fn findings_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good", "FROM debian:13\nCOPY a /a\n");
    write("bad", "FROM debian:13\nRUN sudo make\nCOPY a /a\n");
    write("bad.dockerignore", "a\n");
    write("broken", "FORM debian\n");

    let good = run(folder.path(), &["good", "--json"]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(serde_json::from_slice::<Value>(&good.stdout).unwrap(), json!([]));

    let bad = run(folder.path(), &["good", "bad", "--json"]);
    assert_eq!(bad.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(
        found[0],
        json!({"file": "bad", "line": 2, "rule": "DL3004", "severity": "error",
            "message": "do not use `sudo`; switch users with `USER`"})
    );
    assert_eq!((&found[1]["rule"], &found[1]["line"]), (&json!("CopyIgnoredFile"), &json!(3)));
    assert_eq!(found.as_array().unwrap().len(), 2);

    let read = run(folder.path(), &["bad"]);
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(text.starts_with("bad:2: error: DL3004: do not use `sudo`"), "{text}");

    for file in ["broken", "missing"] {
        let unreadable = run(folder.path(), &[file, "bad"]);
        assert_eq!(unreadable.status.code(), Some(2), "{file}");
        let said = String::from_utf8(unreadable.stderr).unwrap();
        assert!(said.starts_with(&format!("drydock: {file}: ")), "{said}");
        assert!(!unreadable.stdout.is_empty(), "the other file is told all the same");
    }
}
