//! Answers as they come over the API.

use std::collections::BTreeMap;

use drydock::submissions::{ANSWERS_BYTES, Answer, Answers};

fn refusal(json: &str) -> String {
    Answers::from_json(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn texts_choices_and_numbers_are_answers() {
    let answers =
        Answers::from_json(br#"{"why": "because", "which": ["a", "b"], "how-many": 42, "none": []}"#)
            .unwrap();
    let expected = BTreeMap::from([
        ("why".to_owned(), Answer::Text("because".into())),
        ("which".to_owned(), Answer::Choices(vec!["a".into(), "b".into()])),
        ("how-many".to_owned(), Answer::Text("42".into())),
        ("none".to_owned(), Answer::Choices(vec![])),
    ]);
    assert_eq!(answers.0, expected);
    let stored = serde_json::to_string(&answers).unwrap();
    assert_eq!(serde_json::from_str::<Answers>(&stored).unwrap(), answers);
    assert_eq!(Answers::from_json(b"{}").unwrap(), Answers::default());
}

#[test]
fn what_is_no_answer_is_named() {
    for (json, sentence) in [
        ("", "The answers are no JSON (line 1, column 0): they end too early."),
        (
            "{\n  \"a\" 5}",
            "The answers are no JSON (line 2, column 7): there is something else than JSON allows.",
        ),
        ("[]", "The answers are a list, and should be an object: {\"question\": \"answer\", …}."),
        ("{\"a\": null}", "The answer to `a` is null, and should be a text or a list of option names."),
        (
            "{\"a\": true}",
            "The answer to `a` is true or false, and should be a text or a list of option names.",
        ),
        ("{\"a\": {}}", "The answer to `a` is an object, and should be a text or a list of option names."),
        (
            "{\"a\": [\"x\", 1]}",
            "The answer to `a` is a list of something else than texts, and should be a text or a list of option names.",
        ),
    ] {
        assert_eq!(refusal(json), sentence);
    }
}

#[test]
fn answers_are_capped() {
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(ANSWERS_BYTES));
    assert_eq!(refusal(&long), "The answers are 100 KiB together, and 100 KiB is the limit; shorten them.");
    assert!(refusal(&"[".repeat(5000)).starts_with("The answers are no JSON"));
    let of = |length: usize| {
        Answers(BTreeMap::from([("a".to_owned(), Answer::Text("x".repeat(length)))])).capped()
    };
    assert!(of(ANSWERS_BYTES - 1).is_ok());
    assert!(of(ANSWERS_BYTES).is_err());
}
