//! `lint`.

use drydock::checks::Surroundings;
use serde_json::{Value, json};

use crate::{content, failed, kind, look, passed};

const BAD: &str = "FROM debian:13 AS Build
# hadolint ignore=DL3004
RUN sudo make
RUN apt-get install -y curl
COPY secret.txt /x
";

fn mistakes(fields: &Value) -> Vec<String> {
    let around =
        Surroundings { dockerfile: Some("Dockerfile"), takes_files: true, ..Surroundings::default() };
    kind("lint", fields).mistakes(&around)
}

#[tokio::test]
async fn rules_by_id() {
    let submission = content(&[("Dockerfile", BAD.as_bytes())]);
    let finding =
        look(&kind("lint", &json!({"none_of": ["DL3004", "DL3007"]})), &submission, &[]).await.unwrap();
    let detail = failed(&finding);
    assert_eq!(detail.expected, "no `DL3004`, no `DL3007`");
    assert_eq!(detail.observed, "`DL3004` in line 3", "the pragma does not count");
    assert_eq!(detail.evidence[0].title, "Dockerfile");
    assert!(detail.evidence[0].text.starts_with("line 3: DL3004 (error): "), "{:?}", detail.evidence);
    assert!(detail.evidence[0].text.ends_with("\n    RUN sudo make\n"), "{:?}", detail.evidence);
    assert!(detail.reproduce.as_deref().unwrap().contains("--disable-ignore-pragma"));

    let finding = look(&kind("lint", &json!({"none_of": ["DL3007"]})), &submission, &[]).await.unwrap();
    assert_eq!(passed(&finding).observed, "`DL3007` is nowhere");
}

#[tokio::test]
async fn severities() {
    let submission = content(&[("Dockerfile", BAD.as_bytes())]);
    for (bounds, holds) in [
        (json!({"error": 1}), true),
        (json!({"error": 0}), false),
        (json!({"style": 0}), true),
        (json!({"error": 5, "warning": 0}), false),
    ] {
        let finding = look(&kind("lint", &json!({"at_most": bounds})), &submission, &[]).await.unwrap();
        if holds {
            passed(&finding)
        } else {
            failed(&finding)
        };
    }
    // A rule that is told only when somebody asks is none of any severity's.
    let quiet = content(&[("Dockerfile", b"FROM debian:13\nRUN apk upgrade\n".as_slice())]);
    let all = json!({"error": 0, "warning": 0, "info": 0, "style": 0});
    passed(&look(&kind("lint", &json!({"at_most": all})), &quiet, &[]).await.unwrap());
    failed(&look(&kind("lint", &json!({"none_of": ["DL3017"]})), &quiet, &[]).await.unwrap());
}

#[tokio::test]
async fn another_file_and_its_ignore_file() {
    let asks = kind("lint", &json!({"path": "app/Dockerfile", "none_of": ["CopyIgnoredFile"]}));
    for (ignore, holds) in [
        (".dockerignore", false),
        ("app/.dockerignore", false),
        ("app/Dockerfile.dockerignore", false),
        ("other/.dockerignore", true),
    ] {
        let submission = content(&[
            // Without a second thing beside it, the folder would be taken off.
            ("README", b""),
            ("app/Dockerfile", BAD.as_bytes()),
            (ignore, b"secret.txt\n"),
        ]);
        let finding = look(&asks, &submission, &[]).await.unwrap();
        let detail = if holds { passed(&finding) } else { failed(&finding) };
        assert_eq!(detail.reproduce.as_deref(), Some("docker build --check -f app/Dockerfile ."));
    }
}

#[tokio::test]
async fn nothing_to_read() {
    let asks = kind("lint", &json!({"none_of": ["DL3004"]}));
    let finding = look(&asks, &content(&[("x", b"")]), &[]).await.unwrap();
    assert_eq!(failed(&finding).observed, "there is no file `Dockerfile`");
    for bytes in [b"".as_slice(), b"\xff\xfeF\0R\0", b"FROM a\nRUM b\n", b"FROM\0a"] {
        let finding = look(&asks, &content(&[("Dockerfile", bytes)]), &[]).await.unwrap();
        assert!(failed(&finding).observed.contains("Dockerfile"), "{finding:?}");
    }
}

#[test]
fn definitions_that_make_no_sense() {
    assert_eq!(
        mistakes(&json!({"none_of": ["DL3008", "StageNameCasing"], "at_most": {"warning": 0}})),
        [""; 0]
    );
    for (fields, said) in [
        (json!({}), "asks nothing"),
        (json!({"at_most": {}}), "asks nothing"),
        (json!({"none_of": ["DL3088"]}), "did you mean `DL3008`?"),
        (json!({"none_of": ["stagenamecasing"]}), "did you mean `StageNameCasing`?"),
        (json!({"none_of": ["everything"]}), "there is no rule `everything`; rules are"),
        (json!({"none_of": ["DL3008", "DL3008"]}), "twice"),
    ] {
        let mistakes = mistakes(&fields);
        assert!(mistakes.len() == 1 && mistakes[0].contains(said), "{fields}: {mistakes:?}");
    }
    let nowhere = Surroundings::default();
    let mistakes = kind("lint", &json!({"none_of": ["DL3008"]})).mistakes(&nowhere);
    assert_eq!(mistakes.len(), 2, "no files and nothing built: {mistakes:?}");
}
