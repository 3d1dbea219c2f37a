//! The matcher language.

use drydock::checks::matcher::{Argv, Mode, Number, Set, Size, Text, User, fill};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::variables;

fn text(value: &Value) -> Text {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[test]
fn texts_are_matched_and_described() {
    // Matcher, what it accepts, what it does not, how it describes itself.
    let cases: [(Value, &[&str], &[&str], &str); 19] = [
        (json!("hello"), &["hello", "hello\n", "hello\r\n"], &["hello ", "Hello", ""], "is `hello`"),
        (json!(200), &["200", "200\n"], &["2000"], "is `200`"),
        (json!(true), &["true"], &["false"], "is `true`"),
        (json!(""), &["", "\n"], &["x"], "is empty"),
        (json!({"contains": "b"}), &["abc"], &["ac"], "contains `b`"),
        (json!({"contains": ["a", "b"]}), &["ba"], &["a"], "contains `a` and `b`"),
        (json!({"matches": "^a+$"}), &["aaa"], &["ab"], "matches `^a+$`"),
        (json!({"matches": ["a", "b"]}), &["ba"], &["a", "b"], "matches `a` and `b`"),
        (json!({"matches": "${random}.x"}), &["r4nd0m-x"], &["r4nd0m"], "matches `r4nd0m.x`"),
        (json!({"not": "a"}), &["b", ""], &["a", "a\n"], "is not `a`"),
        (json!({"not": {"contains": "a"}}), &["b"], &["cab"], "does not contain `a`"),
        (json!({"any_of": ["a", "b"]}), &["a", "b"], &["c"], "is `a` or `b`"),
        (json!({"any_of": ["a", {"contains": "b"}]}), &["a", "xbx"], &["c"], "is `a` or contains `b`"),
        (
            json!({"not": {"any_of": ["a", {"contains": "b"}]}}),
            &["c"],
            &["a", "b"],
            "is not `a` and does not contain `b`",
        ),
        (
            json!({"contains": "a", "not": {"contains": "b"}}),
            &["a"],
            &["ab", "c"],
            "contains `a` and does not contain `b`",
        ),
        (
            json!({"at_least": 3, "at_most": 4.5}),
            &["3", " 4.5\n"],
            &["2.9", "5", "x", ""],
            "is between 3 and 4.5",
        ),
        (
            json!({"json": {"/a/0": 1, "/b": "x"}}),
            &[r#"{"a": [1.0], "b": "x"}"#],
            &[r#"{"a": [1]}"#, "{", ""],
            "is JSON in which `/a/0` is `1` and `/b` is `\"x\"`",
        ),
        (
            json!({"json": {"": [1, {"a": null}], "/1/b": {"absent": true}}}),
            &[r#"[1, {"a": null}]"#],
            &["[1]"],
            "is JSON in which the whole is `[1,{\"a\":null}]` and `/1/b` is absent",
        ),
        (
            json!({"json": {"/n": {"at_least": 2}, "/s": {"contains": "x"}}}),
            &[r#"{"n": 2, "s": "axb"}"#],
            &[r#"{"n": 1, "s": "x"}"#, r#"{"n": "2"}"#],
            "is JSON in which `/n` is at least 2 and `/s` contains `x`",
        ),
    ];
    for (matcher, good, bad, said) in cases {
        let text = text(&matcher).resolved(&variables()).expect("known variables");
        for seen in good {
            assert!(text.accepts(seen), "{matcher} should accept {seen:?}");
        }
        for seen in bad {
            assert!(!text.accepts(seen), "{matcher} should not accept {seen:?}");
        }
        assert_eq!(text.describe(), said, "{matcher}");
    }
}

#[test]
fn absence_is_something_to_match() {
    for (matcher, missing, there) in [
        (json!({"absent": true}), true, false),
        (json!({"absent": false}), false, true),
        (json!({"not": "x"}), true, true),
        (json!("x"), false, false),
        (json!({"contains": "y"}), false, true),
        (json!({"any_of": [{"absent": true}, "z"]}), true, false),
    ] {
        let text = text(&matcher);
        assert_eq!(
            (text.accepts_option(None), text.accepts_option(Some("y"))),
            (missing, there),
            "{matcher}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused_when_it_is_read() {
    for (matcher, sentence) in [
        (json!(1.5), "put the text in quotes"),
        (json!(["a"]), "does not say whether one or all must hold"),
        (json!({}), "asks nothing"),
        (json!({"contain": "a"}), "unknown field `contain`"),
        (json!({"matches": "("}), "the regular expression `(` cannot be used"),
        (json!({"matches": "${Nope}"}), "cannot be used"),
        (json!({"matches": "(a{1000}){1000}"}), "cannot be used"),
        (json!({"absent": true, "contains": "a"}), "cannot stand beside"),
        (json!({"json": {"a": 1}}), "has to start with `/`"),
        (json!({"any_of": "a"}), "expected a sequence"),
        (json!(null), "expected"),
    ] {
        let error =
            serde_json::from_str::<Text>(&matcher.to_string()).expect_err(&matcher.to_string()).to_string();
        assert!(error.contains(sentence), "{matcher}: {error}");
    }
}

#[test]
fn a_matcher_that_can_never_fail_is_a_mistake() {
    let mistakes = |matcher: &Value, optional| {
        let mut mistakes = Vec::new();
        text(matcher).mistakes("body", optional, &mut mistakes);
        mistakes
    };
    for never in [
        json!({"contains": ""}),
        json!({"contains": ["a", ""]}),
        json!({"contains": []}),
        json!({"matches": ""}),
        json!({"matches": ".*"}),
        json!({"matches": "x?"}),
        json!({"matches": "^.*$"}),
        json!({"matches": "a|"}),
        json!({"any_of": []}),
        json!({"any_of": ["a", {"matches": ".*"}]}),
        json!({"not": {"any_of": []}}),
        json!({"not": {"not": {"contains": ""}}}),
        json!({"not": {"at_least": 2, "at_most": 1}}),
        json!({"absent": false}),
        json!({"contains": "a", "matches": ""}),
    ] {
        let found = mistakes(&never, false);
        assert!(!found.is_empty(), "{never}");
        assert!(found.iter().all(|sentence| sentence.contains("`body")), "{found:?}");
    }
    for fine in [
        json!("a"),
        json!(""),
        json!({"contains": " "}),
        json!({"matches": "^$"}),
        json!({"matches": "."}),
        json!({"matches": "\\d*x"}),
        json!({"not": ""}),
        json!({"not": {"contains": "a"}}),
        json!({"any_of": ["a"]}),
        json!({"at_least": 0}),
        json!({"json": {"/a": 1}}),
    ] {
        assert_eq!(mistakes(&fine, false), Vec::<String>::new(), "{fine}");
    }
    assert!(mistakes(&json!({"absent": false}), true).is_empty());
}

#[test]
fn numbers_are_matched_described_and_doubted() {
    let number = |value: &Value| serde_json::from_str::<Number>(&value.to_string());
    for (matcher, good, bad, said) in [
        (json!(200), &[200][..], &[201][..], "200"),
        (json!("200"), &[200], &[0], "200"),
        (json!([200, 204]), &[200, 204], &[202], "200 or 204"),
        (json!({"at_least": 200, "at_most": 299}), &[200, 299], &[300, 199], "between 200 and 299"),
        (json!({"not": 137}), &[0], &[137], "not 137"),
        (json!({"at_most": 5, "not": {"any_of": [1, 2]}}), &[5, 0], &[1, 6], "at most 5 and not 1 or 2"),
    ] {
        let number = number(&matcher).expect("good");
        assert!(good.iter().all(|seen| number.accepts(*seen)), "{matcher}");
        assert!(!bad.iter().any(|seen| number.accepts(*seen)), "{matcher}");
        assert_eq!(number.describe(), said);
    }
    for wrong in
        [json!(1.5), json!("x"), json!({}), json!(true), json!({"atleast": 1}), json!(null), json!(1e30)]
    {
        assert!(number(&wrong).is_err(), "{wrong}");
    }
    for (matcher, doubtful) in [
        (json!({"at_least": 0}), true),
        (json!({"at_most": 255}), true),
        (json!({"at_least": 0, "at_most": 255}), true),
        (json!({"at_least": 1}), false),
        (json!({"at_least": 3, "at_most": 2}), true),
        (json!(256), true),
        (json!([300, 301]), true),
        (json!([0, 300]), false),
        (json!({"not": 256}), true),
        (json!({"not": 137}), false),
        (json!({"any_of": []}), true),
        (json!({"any_of": [{"at_least": 0}]}), true),
    ] {
        let mut mistakes = Vec::new();
        number(&matcher).expect("good").mistakes("code", &(0..=255), &mut mistakes);
        assert_eq!(!mistakes.is_empty(), doubtful, "{matcher}: {mistakes:?}");
    }
}

#[test]
fn sizes_and_modes_are_matched_described_and_doubted() {
    let size = |value: &Value| serde_json::from_str::<Size>(&value.to_string()).expect("good");
    assert!(size(&json!("1KiB")).accepts(1024) && !size(&json!(1024)).accepts(1025));
    let bounds = size(&json!({"at_least": "1B", "at_most": "1MiB"}));
    assert!(
        bounds.accepts(1) && bounds.accepts(1 << 20) && !bounds.accepts(0) && !bounds.accepts((1 << 20) + 1)
    );
    assert_eq!(bounds.describe(), "between 1 byte and 1 MiB");
    let mode = |value: &Value| serde_json::from_str::<Mode>(&value.to_string());
    for same in [json!("0755"), json!("755"), json!(755), json!("0o755")] {
        let mode = mode(&same).expect("good");
        assert!(mode.accepts(0o755) && !mode.accepts(0o644) && !mode.accepts(0o4755), "{same}");
        assert_eq!(mode.describe(), "mode 0755");
    }
    // 493 is what a reader makes of 0o755.
    for wrong in [json!(493), json!("rwx"), json!({}), json!("77777"), json!(-1)] {
        assert!(mode(&wrong).is_err(), "{wrong}");
    }
    let bits = mode(&json!({"has": "0100", "lacks": "0022"})).expect("good");
    assert!(bits.accepts(0o755) && !bits.accepts(0o775) && !bits.accepts(0o644));
    for (matcher, doubtful) in [
        (json!({"has": "0"}), true),
        (json!({"has": "1", "lacks": "1"}), true),
        (json!({"lacks": "2"}), false),
    ] {
        let mut mistakes = Vec::new();
        mode(&matcher).expect("good").mistakes("mode", &mut mistakes);
        assert_eq!(!mistakes.is_empty(), doubtful, "{matcher}");
    }
    for (matcher, doubtful) in [
        (json!({"at_least": 0}), true),
        (json!({"at_least": 2, "at_most": 1}), true),
        (json!({"at_most": 0}), false),
    ] {
        let mut mistakes = Vec::new();
        size(&matcher).mistakes("size", &mut mistakes);
        assert_eq!(!mistakes.is_empty(), doubtful, "{matcher}");
    }
}

#[test]
fn lists_are_matched_described_and_doubted() {
    let set = |value: &Value| serde_json::from_str::<Set>(&value.to_string()).expect("good");
    for (matcher, seen, holds, said) in [
        (json!(["a"]), &["a", "b"][..], true, "`a`"),
        (json!("a"), &["b"], false, "`a`"),
        (json!({"lacks": ["b"]}), &["a", "b"], false, "not `b`"),
        (json!({"only": ["a", "b"]}), &["a"], true, "nothing but `a` and `b`"),
        (json!({"only": ["a"]}), &["a", "b"], false, "nothing but `a`"),
        (json!({"absent": true}), &[], true, "none"),
        (json!({"absent": true}), &["a"], false, "none"),
        (
            json!({"has": [{"matches": "^a"}], "lacks": ["x"]}),
            &["ab"],
            true,
            "one that matches `^a`, not `x`",
        ),
    ] {
        let set = set(&matcher);
        assert_eq!(set.accepts(seen), holds, "{matcher} {seen:?}");
        assert_eq!(set.describe(), said);
    }
    for (matcher, doubtful) in [
        (json!([]), true),
        (json!({"has": ["a"], "lacks": ["a"]}), true),
        (json!({"has": ["a"], "absent": true}), true),
        (json!({"lacks": [{"contains": ""}]}), true),
        (json!({"only": []}), false),
    ] {
        let mut mistakes = Vec::new();
        set(&matcher).mistakes("ports", &mut mistakes);
        assert_eq!(!mistakes.is_empty(), doubtful, "{matcher}: {mistakes:?}");
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let argv = |value: &Value| {
        serde_json::from_str::<Argv>(&value.to_string()).expect("good").resolved(&variables()).expect("known")
    };
    for (matcher, seen, holds) in [
        (json!(["a", "b c", 1]), Some(words(&["a", "b c", "1"])), true),
        (json!(["a", "b"]), Some(words(&["a b"])), false),
        (json!({"contains": "a b"}), Some(words(&["x", "a", "b"])), true),
        (json!("a ${random}"), Some(words(&["a", "r4nd0m"])), true),
        (json!({"absent": true}), None, true),
        (json!({"absent": true}), Some(Vec::new()), true),
        (json!({"absent": true}), Some(words(&["a"])), false),
        (json!({"not": {"contains": "sh"}}), Some(words(&["sh", "-c"])), false),
    ] {
        assert_eq!(argv(&matcher).accepts(seen.as_deref()), holds, "{matcher} {seen:?}");
    }
}

#[test]
fn variables_are_put_in_and_others_left_alone() {
    let variables = variables();
    assert_eq!(fill("a-${random}-${HOME}-${random", &variables), "a-r4nd0m-${HOME}-${random");
    assert_eq!(fill("$random ${} ${${random}}", &variables), "$random ${} ${r4nd0m}");
    let user: User = serde_json::from_value(json!({"not": "root"})).expect("good");
    assert!(user.accepts("app") && !user.accepts("0:5"));
    // A value is never a pattern.
    let mut hostile = variables.clone();
    hostile.insert("random".into(), ".*".into());
    let pattern = text(&json!({"matches": "^${random}$"})).resolved(&hostile).expect("escaped");
    assert!(pattern.accepts(".*") && !pattern.accepts("anything"));
    assert!(text(&json!({"matches": "a${other}"})).resolved(&variables).is_err());
}

fn any_matcher() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ -~é\\n]{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[ -~é]{0,8}".prop_map(|text| json!({"contains": text})),
        "[a-z.*+?()|\\[\\]^${}\\\\]{0,8}".prop_map(|pattern| json!({"matches": pattern})),
        (any::<Option<i32>>(), any::<Option<i32>>())
            .prop_map(|(least, most)| json!({"at_least": least, "at_most": most})),
        any::<bool>().prop_map(|absent| json!({"absent": absent})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| json!({"not": one})),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|any| json!({"any_of": any})),
            ("(/[a-z0-9~]{0,3}){0,3}", inner).prop_map(|(pointer, one)| json!({"json": {pointer: one}})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_matcher_panics_and_each_denies_its_opposite(matcher in any_matcher(), seen in ".{0,40}") {
        let Ok(text) = serde_json::from_str::<Text>(&matcher.to_string()) else { return Ok(()) };
        let Ok(text) = text.resolved(&variables()) else { return Ok(()) };
        let mut mistakes = Vec::new();
        text.mistakes("it", true, &mut mistakes);
        prop_assert!(!text.describe().is_empty());
        let opposite: Text = serde_json::from_str(&json!({"not": serde_json::to_value(&text).unwrap()}).to_string()).unwrap();
        for seen in [Some(seen.as_str()), None] {
            prop_assert_ne!(text.accepts_option(seen), opposite.accepts_option(seen));
        }
    }

    #[test]
    fn what_is_written_is_read_again(matcher in any_matcher()) {
        let Ok(text) = serde_json::from_str::<Text>(&matcher.to_string()) else { return Ok(()) };
        let written = serde_json::to_string(&text).unwrap();
        let again: Text = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), written);
    }
}
