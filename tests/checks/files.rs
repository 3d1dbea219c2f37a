//! `file`.

use serde_json::json;

use crate::{content, failed, kind, look, passed};

const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";

fn submission() -> drydock::submissions::Content {
    content(&[
        ("run.sh", SCRIPT),
        ("src/app.py", b"print('r4nd0m')\n"),
        ("logo.png", b"\x89PNG\xff\xfe"),
        ("config.json", br#"{"log": {"files": "3", "size": "10m"}}"#),
        ("broken.json", b"{\n  \"a\": 1,}"),
        ("empty", b""),
    ])
}

#[tokio::test]
async fn each_part_passes_and_fails() {
    // Definition, what is observed when it holds, definition that does not hold, what is observed then.
    let cases = [
        (
            json!({"path": "src/app.py"}),
            "there? a file of 16 bytes",
            json!({"path": "src/main.py"}),
            "there is nothing at `src/main.py`",
        ),
        (
            json!({"path": "src/main.py", "absent": true}),
            "there is nothing at `src/main.py`",
            json!({"path": "run.sh", "absent": true}),
            "there is a file of 21 bytes at `run.sh`",
        ),
        (
            json!({"path": "src", "kind": "directory"}),
            "a directory",
            json!({"path": "run.sh", "kind": "directory"}),
            "a file of 21 bytes",
        ),
        (
            json!({"path": "./run.sh", "kind": "file"}),
            "a file of 21 bytes",
            json!({"path": "src", "kind": "file"}),
            "a directory",
        ),
        (
            json!({"path": "run.sh", "content": {"contains": "echo"}}),
            "a file of 21 bytes",
            json!({"path": "run.sh", "content": {"contains": "python"}}),
            "its content is `#!/bin/sh\\necho hello`",
        ),
        (
            json!({"path": "src/app.py", "content": {"contains": "${random}"}}),
            "16 bytes",
            json!({"path": "run.sh", "content": {"contains": "${random}"}}),
            "its content is",
        ),
        (
            json!({"path": "config.json", "content": {"json": {"/log/files": "3", "/log/size": "10m"}}}),
            "a file of 38 bytes",
            json!({"path": "config.json", "content": {"json": {"/log/files": 3, "/log/size": "10m", "/more": 1}}}),
            "its content is `\"3\"` at `/log/files`",
        ),
        (
            json!({"path": "config.json", "content": {"json": {"/log/size": {"contains": "m"}}}}),
            "a file of 38 bytes",
            json!({"path": "config.json", "content": {"json": {"/more": 1}}}),
            "its content is `{\"log\"",
        ),
        (
            json!({"path": "config.json", "content": {"json": {"/log/size": "10m"}}}),
            "a file of 38 bytes",
            json!({"path": "broken.json", "content": {"json": {"/log/size": "10m"}}}),
            "its content is no JSON from line 2, column 10 on",
        ),
        (
            json!({"path": "empty", "size": 0}),
            "0 bytes",
            json!({"path": "run.sh", "size": {"at_most": "20B"}}),
            "it has 21 bytes",
        ),
        (
            json!({"path": "run.sh", "mode": "0755"}),
            "its mode is 0755",
            json!({"path": "src/app.py", "mode": "0755"}),
            "its mode is 0644",
        ),
        (
            json!({"path": "run.sh", "mode": {"has": "0111"}}),
            "0755",
            json!({"path": "run.sh", "mode": {"lacks": "0001"}}),
            "its mode is 0755",
        ),
        (
            json!({"path": "logo.png", "size": {"at_least": 4}}),
            "6 bytes",
            json!({"path": "logo.png", "content": "x"}),
            "its content is not UTF-8 text",
        ),
        (
            json!({"path": "run.sh", "content": {"matches": "(?m)^echo"}}),
            "21",
            json!({"path": "src", "content": "x"}),
            "a directory",
        ),
    ];
    let submission = submission();
    for (good, seen, bad, wrong) in cases {
        let finding = look(&kind("file", &good), &submission, &[]).await.expect("told");
        let detail = passed(&finding);
        let seen = seen.trim_start_matches("there? ");
        assert!(detail.observed.contains(seen), "{good}: {}", detail.observed);
        let finding = look(&kind("file", &bad), &submission, &[]).await.expect("told");
        assert!(failed(&finding).observed.contains(wrong), "{bad}: {}", failed(&finding).observed);
    }
}

#[tokio::test]
async fn a_missing_file_shows_what_is_there() {
    let finding = look(&kind("file", &json!({"path": "app.py"})), &submission(), &[]).await.expect("told");
    let detail = failed(&finding);
    assert_eq!(detail.expected, "something at `app.py`");
    assert_eq!(detail.evidence[0].title, "What was handed in");
    assert_eq!(detail.evidence[0].text, "broken.json\nconfig.json\nempty\nlogo.png\nrun.sh\nsrc\nsrc/app.py");
}

#[tokio::test]
async fn the_expectation_says_all_conditions_and_the_observation_only_what_is_wrong() {
    let check = kind(
        "file",
        &json!({"path": "run.sh", "content": {"contains": "echo"}, "mode": "0644", "size": {"at_most": "10B"}}),
    );
    let finding = look(&check, &submission(), &[]).await.expect("told");
    let detail = failed(&finding);
    assert_eq!(
        detail.expected,
        "a file at `run.sh`, content contains `echo`, size at most 10 bytes, mode 0644"
    );
    assert_eq!(detail.observed, "it has 21 bytes, its mode is 0755");
}

#[tokio::test]
async fn evidence_and_phrases_are_bounded() {
    let long = "x\u{202e}".repeat(100_000);
    let submission = content(&[("long", long.as_bytes())]);
    let finding =
        look(&kind("file", &json!({"path": "long", "content": "y"})), &submission, &[]).await.expect("told");
    let detail = failed(&finding);
    assert!(detail.observed.len() < 2048, "{}", detail.observed.len());
    assert!(detail.evidence.iter().all(|evidence| evidence.text.len() <= drydock::checks::EVIDENCE_BYTES));
}
