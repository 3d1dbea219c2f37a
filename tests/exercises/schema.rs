//! The JSON Schema for editors: complete, true, and changed only on purpose.

use std::path::Path;

use drydock::checks::Kind;
use drydock::exercises::schema;
use serde_json::{Value, json};

#[test]
fn it_is_what_it_was() {
    insta::assert_json_snapshot!("schema", schema());
}

#[test]
fn every_kind_is_in_it() {
    let schema = schema();
    let check = &schema["$defs"]["Check"];
    let kinds: Vec<&Value> =
        check["oneOf"].as_array().unwrap().iter().map(|one| &one["required"][0]).collect();
    assert_eq!(kinds, Kind::NAMES);
    for name in Kind::NAMES {
        assert!(check["properties"][name].is_object(), "{name}");
    }
}

#[test]
fn the_shipped_exercises_fit_it() {
    let schema = schema();
    let mut seen = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises")).unwrap() {
        let file = entry.unwrap().path().join("exercise.yaml");
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let value: Value = drydock::yaml::parse(&bytes).unwrap().read().unwrap();
        assert_eq!(misfits(&schema, &schema, &value, ""), Vec::<String>::new(), "{}", file.display());
        seen += 1;
    }
    assert!(seen > 0);
}

/// What is wrong for the reader is wrong for an editor.
#[test]
fn it_refuses_what_the_reader_refuses() {
    let schema = schema();
    let skeleton = include_str!("../../src/exercises/skeleton/exercise.yaml");
    let fits = |text: &str| {
        let value: Value = drydock::yaml::parse(text.as_bytes()).unwrap().read().unwrap();
        misfits(&schema, &schema, &value, "").is_empty()
    };
    assert!(fits(skeleton));
    for (from, to) in [
        ("title: TITLE", "titel: TITLE"),
        ("minutes: 15", "minutes: soon"),
        ("minutes: 15", "minutes: 0"),
        ("submit: [upload]", "submit: [download]"),
        ("submit: [upload]", "submit: []"),
        ("memory: 64MiB", "memory: 64megs"),
        ("run_time: 30s", "run_time: 30"),
        ("port: 8080, within", "prot: 8080, within"),
        ("- id: greets", "- id: Greets!"),
        ("image: {exposed_ports: [8080]}", "imgae: {exposed_ports: [8080]}"),
        ("status: 200", "stauts: 200"),
        ("port: 8080, path", "port: 80800, path"),
        ("fails: [exposed]", "fails: exposed"),
        ("  - id: exposed", "  - id: exposed\n    port: {port: 1}"),
    ] {
        let broken = skeleton.replace(from, to);
        assert_ne!(broken, skeleton, "{from}");
        assert!(!fits(&broken), "{to}");
    }
}

/// Where `value` does not fit. Knows the keywords that our schema uses and panics on any other, so that
/// none is passed over in silence.
fn misfits(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = match schema {
        Value::Bool(true) => return Vec::new(),
        Value::Bool(false) => return vec![format!("{at}: nothing may be here, found {value}")],
        Value::Object(schema) => schema,
        _ => panic!("not a schema: {schema}"),
    };
    let fits = |schema: &Value| misfits(root, schema, value, at).is_empty();
    let mut found = Vec::new();
    for (keyword, rule) in schema {
        let list = || rule.as_array().unwrap().iter();
        let number = || rule.as_f64().unwrap();
        let length = match value {
            Value::String(text) => Some(text.chars().count()),
            Value::Array(list) => Some(list.len()),
            _ => None,
        }
        .and_then(|length| u32::try_from(length).ok())
        .map(f64::from);
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                found.extend(misfits(root, root.pointer(pointer).unwrap(), value, at));
                true
            }
            "type" if rule.is_array() => list().any(|name| is(value, name)),
            "type" => is(value, rule),
            "const" => rule == value,
            "enum" => list().any(|one| one == value),
            "oneOf" => list().filter(|one| fits(one)).count() == 1,
            "anyOf" => list().any(fits),
            "allOf" => list().all(fits),
            "minimum" => value.as_f64().is_none_or(|value| value >= number()),
            "maximum" => value.as_f64().is_none_or(|value| value <= number()),
            "minLength" | "minItems" => length.is_none_or(|length| length >= number()),
            "maxLength" | "maxItems" => length.is_none_or(|length| length <= number()),
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                value.as_object().is_none_or(|map| list().all(|key| map.contains_key(key.as_str().unwrap())))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(misfits(root, rule, item, &format!("{at}/{index}")));
                }
                true
            }
            "properties" | "additionalProperties" => {
                let nothing = json!({});
                let named = schema.get("properties").unwrap_or(&nothing);
                for (key, value) in value.as_object().into_iter().flatten() {
                    let rule = match (named.get(key), keyword.as_str()) {
                        (Some(rule), "properties") => rule,
                        (None, "additionalProperties") => rule,
                        _ => continue,
                    };
                    found.extend(misfits(root, rule, value, &format!("{at}/{key}")));
                }
                true
            }
            other => panic!("the test does not know the keyword `{other}`"),
        };
        if !holds {
            found.push(format!("{at}: {keyword} {rule}, found {value}"));
        }
    }
    found
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know the type `{other}`"),
    }
}
