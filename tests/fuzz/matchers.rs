//! Matchers: what is written comes back, and `not` and `any_of` mean what they say.

use drydock::checks::Kind;
use drydock::checks::matcher::{Number, Set, Text, Variables};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::seeds::cases;

fn text(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ab]{1,4}".prop_map(Value::from),
        "[ab]{0,3}".prop_map(|part| json!({"contains": part})),
        prop::collection::vec("[ab]{1,2}", 0..3).prop_map(|parts| json!({"contains": parts})),
        "[ab.*+?^$|]{0,5}".prop_map(|pattern| json!({"matches": pattern})),
        "[ab]{1,3}".prop_map(|same| json!({"equals": same, "contains": "a"})),
    ];
    leaf.prop_recursive(depth, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| json!({"not": inner})),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|any| json!({"any_of": any})),
            (inner, "[ab]{1,2}").prop_map(|(inner, part)| json!({"not": inner, "contains": part})),
        ]
    })
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_str(&value.to_string()).ok()
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_text_matcher_comes_back_as_it_was(written in text(3), seen in "[ab\n]{0,6}") {
        if let Some(matcher) = read::<Text>(&written) {
            let again: Text = read(&serde_json::to_value(&matcher).expect("it can be written")).expect("its own form");
            prop_assert_eq!(matcher.accepts(&seen), again.accepts(&seen));
            prop_assert_eq!(matcher.describe(), again.describe());
            prop_assert!(!matcher.describe().is_empty());
            let resolved = matcher.resolved(&Variables::new()).expect("no values");
            prop_assert_eq!(matcher.accepts(&seen), resolved.accepts(&seen));
        }
    }

    #[test]
    fn not_is_the_opposite_and_any_is_one(one in text(2), two in text(2), seen in "[ab]{0,6}") {
        if let (Some(first), Some(second)) = (read::<Text>(&one), read::<Text>(&two)) {
            if let Some(not) = read::<Text>(&json!({"not": one})) {
                prop_assert_eq!(not.accepts(&seen), !first.accepts(&seen));
            }
            if let Some(any) = read::<Text>(&json!({"any_of": [one, two]})) {
                prop_assert_eq!(any.accepts(&seen), first.accepts(&seen) || second.accepts(&seen));
            }
        }
    }

    #[test]
    fn a_matcher_that_is_called_idle_is_idle(written in text(3), seen in prop::collection::vec("[ab]{0,6}", 8)) {
        let Some(matcher) = read::<Text>(&written) else { return Ok(()) };
        let mut mistakes = Vec::new();
        matcher.mistakes("it", false, &mut mistakes);
        // Told of the matcher itself, not of a part of it.
        for mistake in mistakes.iter().filter(|mistake| mistake.starts_with("`it` can never pass")) {
            prop_assert!(seen.iter().all(|seen| !matcher.accepts(seen)), "{mistake}: {written}");
        }
    }

    #[test]
    fn numbers_and_sets_come_back(least in -5_i64..5, most in -5_i64..5, not in -5_i64..5, seen in -6_i64..6, names in prop::collection::vec("[ab]{1,2}", 0..4)) {
        let written = json!({"at_least": least, "at_most": most, "not": not});
        let number: Number = read(&written).expect("good");
        prop_assert_eq!(number.accepts(seen), (least..=most).contains(&seen) && seen != not);
        let again: Number = read(&serde_json::to_value(&number).expect("it can be written")).expect("its own form");
        prop_assert_eq!(again, number);
        let set: Set = read(&json!({"has": ["a"], "lacks": ["b"]})).expect("good");
        prop_assert_eq!(set.accepts(&names), names.iter().any(|name| name == "a") && !names.iter().any(|name| name == "b"));
    }

    #[test]
    fn any_fields_of_any_kind_are_read_or_refused(
        kind in prop::sample::select(Kind::NAMES),
        field in "[a-z_]{1,10}",
        value in prop_oneof![text(2), Just(json!([])), Just(json!({})), Just(json!(null)), Just(json!(-1)), Just(json!(1.5))],
        known in any::<prop::sample::Index>(),
        use_known in any::<bool>(),
    ) {
        let known = known.get(&["path", "port", "status", "body", "content", "tag", "steps", "commits", "run", "within", "service"]);
        let field = if use_known { (*known).to_owned() } else { field };
        let fields = json!({field: value}).to_string();
        match Kind::read(kind, &mut serde_json::Deserializer::from_str(&fields)) {
            Ok(read) => drop(read.mistakes(&drydock::checks::Surroundings::default())),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
