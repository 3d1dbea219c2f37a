//! Hints that say the answer: what a check wants to see, word for word.

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::Kind;
use super::matcher::{Pattern, Variables};

/// The shortest text that counts; shorter ones are in every sentence.
const SHORTEST: usize = 3;
/// Numbers of one digit are in every sentence too.
const SMALLEST: f64 = 10.0;
/// The matchers, by their names in the schema: what is under them is what should be seen. Everything
/// else in a definition (paths, ports, commands) says where to look.
const MATCHERS: [&str; 6] = ["Text", "Set", "Argv", "User", "Number", "JsonMatch"];
/// Under these a matcher says what should not be seen, or a bound.
const NOT_WANTED: [&str; 6] = ["not", "lacks", "absent", "uses_not", "at_least", "at_most"];

impl Kind {
    /// The text that `hint` says and whoever passes has to find out, unless `known` (what the student
    /// is given anyway) says it too. Values of one grading alone cannot be said, and patterns count only
    /// where a question is answered with what fits them.
    #[must_use]
    pub fn given_away(&self, hint: &str, known: &str) -> Option<String> {
        let mut wanted = Vec::new();
        match self {
            Self::Choice(choice) => {
                wanted.extend(choice.options.iter().filter(|option| option.right).map(|o| o.text.clone()));
            }
            Self::Short(short) => {
                wanted.extend(short.accepts.iter().map(|accepted| accepted.0.clone()));
                if let Some(number) = &short.number
                    && number.value.abs() >= SMALLEST
                {
                    wanted.push(number.value.to_string());
                }
                let whole = |pattern: &Pattern| pattern.whole(!short.case_sensitive, &Variables::new()).ok();
                if let Some(pattern) = short.matches.as_ref().and_then(whole) {
                    wanted.extend(words(hint).filter(|word| pattern.is_match(word)).map(str::to_owned));
                }
            }
            _ => wanted.extend(self.literals()),
        }
        let (hint, known) = (hint.to_lowercase(), known.to_lowercase());
        wanted.into_iter().map(|text| text.trim().to_owned()).find(|text| {
            let text = text.to_lowercase();
            let long_enough = text.chars().count() >= SHORTEST || text.parse::<f64>().is_ok();
            long_enough && !text.contains("${") && says(&hint, &text) && !says(&known, &text)
        })
    }

    /// Texts and numbers that the check wants to see.
    fn literals(&self) -> Vec<String> {
        let mut generator = SchemaGenerator::default();
        let entries = Self::entries(&mut generator);
        let definitions = generator.take_definitions(true);
        let mut found = Vec::new();
        if let Some(entry) = entries.iter().find(|entry| entry.name == self.name()) {
            collect(&self.fields(), entry.schema.as_value(), &definitions, &mut found);
        }
        found
    }
}

/// Goes through a definition along its schema, down to the matchers.
fn collect(value: &Value, schema: &Value, definitions: &Map<String, Value>, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        if MATCHERS.contains(&name) {
            seen_by(value, found);
        } else if let Some(schema) = definitions.get(name) {
            collect(value, schema, definitions, found);
        }
        return;
    }
    for alternatives in ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array()) {
        for schema in alternatives {
            collect(value, schema, definitions, found);
        }
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !NOT_WANTED.contains(&key.as_str())) {
                let property = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                collect(value, property, definitions, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                collect(value, &schema["items"], definitions, found);
            }
        }
        _ => {}
    }
}

/// What a matcher wants to see; patterns say no text.
fn seen_by(matcher: &Value, found: &mut Vec<String>) {
    match matcher {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) if number.as_f64().is_some_and(|number| number.abs() >= SMALLEST) => {
            found.push(number.to_string());
        }
        Value::Array(list) => list.iter().for_each(|value| seen_by(value, found)),
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !NOT_WANTED.contains(&key.as_str()) && *key != "matches")
            .for_each(|(_, value)| seen_by(value, found)),
        _ => {}
    }
}

/// What a hint offers as a whole: code in backticks, and words without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split('`').skip(1).step_by(2);
    let plain = text.split_whitespace().map(|word| word.trim_matches(|c: char| ".,;:!?()`\"'“”".contains(c)));
    code.chain(plain).filter(|word| !word.is_empty())
}

/// Whether `text` stands in `whole` as words of its own.
fn says(whole: &str, text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    whole.match_indices(text).any(|(at, _)| {
        !(whole[..at].ends_with(inside) && text.starts_with(inside)
            || whole[at + text.len()..].starts_with(inside) && text.ends_with(inside))
    })
}
