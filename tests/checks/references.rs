//! `reference`, from a file and as an answer.

use drydock::submissions::{Answer, Content};
use serde_json::json;

use crate::{content, failed, kind, look, passed};

async fn of(text: &str, fields: serde_json::Value) -> drydock::checks::Finding {
    let mut fields = fields;
    fields["file"] = json!("reference.txt");
    let content = content(&[("reference.txt", text.as_bytes()), ("other", b"x")]);
    look(&kind("reference", &fields), &content, &[]).await.expect("told")
}

#[tokio::test]
async fn each_part_passes_and_fails() {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let full = format!("ghcr.io/team/app:r4nd0m@{digest}\n");
    for (fields, observed) in [
        (json!({"registry": "ghcr.io"}), "its registry is `docker.io`"),
        (json!({"repository": {"matches": "^team/"}}), "its repository is `library/nginx`"),
        (json!({"tag": "${random}"}), "its tag is `latest`"),
        (json!({"digest": {"matches": "^sha256:"}}), "it has no digest"),
        (json!({"tag": {"not": "latest"}}), "its tag is `latest`"),
    ] {
        passed(&of(&full, fields.clone()).await);
        let finding = of("nginx", fields).await;
        assert_eq!(failed(&finding).observed, observed);
        assert!(!failed(&finding).expected.is_empty());
    }
    passed(&of(&format!("app@{digest}"), json!({"tag": {"absent": true}})).await);
    let finding = of("app:1", json!({"tag": {"absent": true}, "digest": {"absent": false}})).await;
    assert_eq!(failed(&finding).observed, "its tag is `1`, it has no digest");
    let finding =
        of("localhost:5000/a/b:1", json!({"registry": "localhost:5000", "repository": "a/b", "tag": 1}))
            .await;
    assert!(passed(&finding).evidence[1].text.contains("repository  a/b\n"), "{finding:?}");
}

#[tokio::test]
async fn what_is_no_reference_says_why() {
    for (text, observed) in [
        ("", "`reference.txt` is empty"),
        ("a:1\nb:2\n", "`reference.txt` has 2 lines and not one reference"),
        ("docker pull a:1", "`docker pull a:1` is no image reference: there is a blank in it"),
        ("ghcr.io/Team/app", "a repository has lower-case letters only"),
    ] {
        let finding = of(text, json!({"tag": "1"})).await;
        let detail = failed(&finding);
        assert!(detail.observed.contains(observed), "{text}: {}", detail.observed);
        assert_eq!(detail.expected, "tag is `1`");
    }
    let asked = kind("reference", &json!({"file": "reference.txt", "tag": "1"}));
    let finding = look(&asked, &Content::empty(), &[]).await.expect("told");
    assert_eq!(failed(&finding).observed, "there is no file `reference.txt`");
}

#[tokio::test]
async fn an_answer_does_as_well() {
    let asked =
        kind("reference", &json!({"question": "What did you push?", "repository": "team/app", "tag": "1"}));
    let empty = Content::empty();
    let finding = look(&asked, &empty, &[("it", Answer::Text(" team/app:1 ".into()))]).await.expect("told");
    passed(&finding);
    let finding = look(&asked, &empty, &[("it", Answer::Text("team/app".into()))]).await.expect("told");
    assert_eq!(failed(&finding).observed, "its tag is `latest`");
    let finding = look(&asked, &empty, &[]).await.expect("told");
    assert_eq!(failed(&finding).observed, "nothing was answered");
}
