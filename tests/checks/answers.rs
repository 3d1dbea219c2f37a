//! `choice`, `short` and `essay`.

use drydock::checks::{Finding, Kind, Question};
use drydock::submissions::{Answer, Content};
use serde_json::{Value, json};

use crate::{failed, kind, look, passed};

fn choices(ids: &[&str]) -> Answer {
    Answer::Choices(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

async fn answered(kind: &Kind, answer: Option<Answer>) -> Finding {
    let answers: Vec<(&str, Answer)> = answer.into_iter().map(|answer| ("it", answer)).collect();
    look(kind, &Content::empty(), &answers).await.expect("told")
}

fn one() -> Value {
    json!({
        "question": "What is *shared*?",
        "options": [
            {"id": "kernel", "text": "The kernel", "right": true, "feedback": "Yes: one kernel for all."},
            {"id": "disk", "text": "The disk", "feedback": "Each has layers of its own."},
            {"id": "nothing", "text": "Nothing"},
        ],
    })
}

#[tokio::test]
async fn one_option_is_right() {
    let check = kind("choice", &one());
    let finding = answered(&check, Some(choices(&["kernel"]))).await;
    assert_eq!(passed(&finding).observed, "chosen: “The kernel”");
    let finding = answered(&check, Some(text("disk"))).await;
    let detail = failed(&finding);
    assert_eq!(detail.observed, "chosen: “The disk”");
    assert_eq!(detail.evidence[0].text, "Each has layers of its own.");
    for (answer, observed) in [
        (None, "nothing was chosen"),
        (Some(choices(&[])), "nothing was chosen"),
        (Some(choices(&["kernel", "disk"])), "chosen: “The kernel”, “The disk”"),
        (Some(choices(&["<b>"])), "`<b>` is no option of this question"),
    ] {
        assert_eq!(failed(&answered(&check, answer).await).observed, observed);
    }
}

#[tokio::test]
async fn several_have_to_be_exactly_the_right_ones() {
    let check = kind(
        "choice",
        &json!({"question": "Which?", "several": true, "options": [
            {"id": "a", "text": "A", "right": true},
            {"id": "b", "text": "B", "right": true},
            {"id": "c", "text": "C"},
        ]}),
    );
    passed(&answered(&check, Some(choices(&["b", "a", "a"]))).await);
    for wrong in [&["a"][..], &["a", "b", "c"], &["c"]] {
        failed(&answered(&check, Some(choices(wrong))).await);
    }
}

#[tokio::test]
async fn a_wrong_answer_never_tells_the_right_one() {
    for (name, fields, secret) in [
        ("choice", one(), "kernel"),
        ("short", json!({"question": "Q", "accepts": ["overlayfs"]}), "overlayfs"),
        ("short", json!({"question": "Q", "number": {"value": 4711}}), "4711"),
    ] {
        for answer in [None, Some(text("disk"))] {
            let finding = answered(&kind(name, &fields), answer).await;
            let shown = format!("{:?}", failed(&finding)).to_lowercase();
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn unanswered_questions_are_told_apart() {
    let mut told = std::collections::HashSet::new();
    let rubric = json!([{"criterion": "Names the kernel", "points": 2}]);
    for question in ["What is *shared*?", "What is not?"] {
        for (name, fields) in [
            ("choice", json!({"question": question, "options": one()["options"]})),
            ("choice", json!({"question": question, "several": true, "options": one()["options"]})),
            ("short", json!({"question": question, "accepts": ["it"]})),
            ("short", json!({"question": question, "number": {"value": 1}})),
            ("essay", json!({"question": question, "rubric": rubric})),
        ] {
            let finding = answered(&kind(name, &fields), None).await;
            let expected = failed(&finding).expected.clone();
            assert!(expected.contains(&question.replace('*', "")), "{expected}");
            assert!(told.insert(expected.clone()), "twice: {expected}");
        }
    }
}

#[tokio::test]
async fn short_answers_take_spellings() {
    let lax = kind("short", &json!({"question": "Q", "accepts": ["Union Mount", "overlay ${random}", 137]}));
    for right in ["union mount", "  UNION\t mount ", "overlay R4ND0M", "137"] {
        passed(&answered(&lax, Some(text(right))).await);
    }
    for wrong in ["unionmount", "", "  ", "union mounts"] {
        failed(&answered(&lax, Some(text(wrong))).await);
    }
    let strict = kind(
        "short",
        &json!({"question": "Q", "accepts": ["a  B"], "case_sensitive": true, "exact_spaces": true}),
    );
    passed(&answered(&strict, Some(text("a  B"))).await);
    for wrong in ["a B", "a  b", " a  B"] {
        failed(&answered(&strict, Some(text(wrong))).await);
    }
    let pattern = kind("short", &json!({"question": "Q", "matches": "docker (container )?ps( -a)?|x"}));
    for right in ["docker ps", "Docker container ps -a", "x"] {
        passed(&answered(&pattern, Some(text(right))).await);
    }
    for wrong in ["sudo docker ps", "xx", "docker ps -a -q"] {
        failed(&answered(&pattern, Some(text(wrong))).await);
    }
}

#[tokio::test]
async fn numbers_take_units() {
    let number =
        json!({"value": 64, "tolerance": 0.5, "unit": "MiB", "units": {"KiB": 0.000_976_562_5, "GiB": 1024}});
    let check = kind("short", &json!({"question": "Q", "number": number}));
    for right in ["64", "64 MiB", "64MiB", "64,2 mib", "65 536 KiB", "0.0625 GiB"] {
        passed(&answered(&check, Some(text(right))).await);
    }
    for wrong in ["64 KiB", "65 MiB", "1 GiB", "MiB"] {
        failed(&answered(&check, Some(text(wrong))).await);
    }
    let other = answered(&check, Some(text("64 apples"))).await;
    assert_eq!(failed(&other).observed, "`64 apples` is a number with a unit that is not asked for");
    // Units that differ only in upper and lower case have to be written as they are.
    let bits = json!({"value": 8, "unit": "Mb", "units": {"MB": 8}});
    let check = kind("short", &json!({"question": "Q", "number": bits}));
    passed(&answered(&check, Some(text("1 MB"))).await);
    passed(&answered(&check, Some(text("8 Mb"))).await);
    failed(&answered(&check, Some(text("8 mb"))).await);
    let plain = kind("short", &json!({"question": "Q", "number": {"value": 1000}}));
    passed(&answered(&plain, Some(text("1e3"))).await);
    failed(&answered(&plain, Some(text("1000 bytes"))).await);
}

#[tokio::test]
async fn numbers_take_a_tolerance_and_a_comma() {
    let check = kind("short", &json!({"question": "Q", "number": {"value": 1.5, "tolerance": 0.1}}));
    for right in ["1.5", "1,5", " 1.6", "1.4", "+1.45"] {
        passed(&answered(&check, Some(text(right))).await);
    }
    for wrong in ["1.61", "15", "-1.5", "inf", "NaN"] {
        failed(&answered(&check, Some(text(wrong))).await);
    }
    assert_eq!(failed(&answered(&check, Some(text("one"))).await).observed, "`one` is not a number");
    let exact = kind("short", &json!({"question": "Q", "number": {"value": 65536}}));
    passed(&answered(&exact, Some(text("65 536"))).await);
    failed(&answered(&exact, Some(text("65535"))).await);
}

#[tokio::test]
async fn essays_wait_for_a_person() {
    let check = kind(
        "essay",
        &json!({"question": "Why?", "minimum_words": 3, "rubric": [{"criterion": "Names the kernel", "points": 2}]}),
    );
    let Finding::Waiting(detail) = answered(&check, Some(text("one two three"))).await else {
        panic!("should wait")
    };
    assert_eq!(detail.observed, "3 words, waiting for a trainer");
    assert_eq!(detail.evidence[0].text, "one two three");
    let finding = answered(&check, Some(text("one two"))).await;
    assert_eq!(failed(&finding).expected, "a text of at least 3 words that a trainer reads, on “Why?”");
    assert_eq!(failed(&finding).observed, "2 words");
    assert_eq!(failed(&answered(&check, None).await).observed, "nothing was answered");
}

#[test]
fn questions_are_shown_without_answers() {
    let check = kind("choice", &one());
    let question = check.question().expect("a question");
    let Question::Choice { options, several, .. } = &question else { panic!("a choice") };
    assert_eq!(options[0], ("kernel", "The kernel"));
    assert!(!several);
    let shown = serde_json::to_string(&question).expect("JSON");
    assert!(!shown.contains("right") && !shown.contains("one kernel for all"), "{shown}");
    let shown =
        serde_json::to_string(&kind("short", &json!({"question": "Q", "accepts": ["secret"]})).question())
            .expect("JSON");
    assert_eq!(shown, r#"{"kind":"short","question":"Q","number":false,"unit":null}"#);
    assert!(kind("file", &json!({"path": "a"})).question().is_none());
}
