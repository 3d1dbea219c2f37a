//! The manual of the check kinds, made from the very types that definitions are read into: every field
//! with its form, what it means and where it is left out; examples, evidence and failures as each kind
//! says them (see [`crate::checks::Manual`]).
//!
//! `drydock exercise kinds` writes it as Markdown ([`Handbook::markdown`]), `web` as a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value};

use super::definition::CheckCommon;
use super::schema::tidy;
use crate::checks::{Kind, Manual};
use crate::report::Phase;

/// Everything about the check kinds.
#[derive(Clone, Debug)]
pub struct Handbook {
    /// The keys that every check has.
    pub common: Vec<Field>,
    /// The kinds in the order of their phases.
    pub kinds: Vec<KindPage>,
    /// Forms of values that several kinds share, such as the text matcher.
    pub values: Vec<ValuePage>,
}

/// One kind.
#[derive(Clone, Debug)]
pub struct KindPage {
    /// The key in `exercise.yaml`.
    pub name: &'static str,
    /// When it runs.
    pub phase: Phase,
    /// Another phase in which it runs, and with which fields.
    pub also: Option<(Phase, &'static str)>,
    /// What it looks at, Markdown.
    pub about: String,
    /// Its fields, those of maps inside it by their path (`send.headers`).
    pub fields: Vec<Field>,
    /// Examples, evidence, failures.
    pub manual: Manual,
}

/// A form of value that several kinds share.
#[derive(Clone, Debug)]
pub struct ValuePage {
    /// As it is called, such as `text`.
    pub name: String,
    /// What it means, Markdown.
    pub about: String,
    /// The ways to write it, Markdown, with what each means.
    pub forms: Vec<(String, String)>,
    /// The keys where it is written as a map.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its key, with those above it: `options[].id`.
    pub path: String,
    /// What may be written, Markdown; names of shared forms lead to them.
    pub form: String,
    /// Whether it has to be there.
    pub required: bool,
    /// What it is where it is left out, as it would be written; `None` where that is nothing.
    pub default: Option<String>,
    /// What it means, Markdown.
    pub about: String,
}

impl Handbook {
    /// Reads the types.
    #[must_use]
    pub fn new() -> Self {
        let settings =
            SchemaSettings::draft2020_12().for_deserialize().with_transform(RecursiveTransform(tidy));
        let mut generator = settings.into_generator();
        let entries = Kind::entries(&mut generator);
        let common = generator.subschema_for::<CheckCommon>().to_value();
        let types = Types::new(generator.take_definitions(true));
        let shared = types.shared(entries.iter().map(|entry| entry.schema.as_value()));
        let book = Book { types: &types, shared: &shared };
        let mut kinds: Vec<KindPage> = entries
            .iter()
            .map(|entry| {
                let schema = types.resolved(entry.schema.as_value());
                KindPage {
                    name: entry.name,
                    phase: entry.phase,
                    also: entry.also,
                    about: description(schema),
                    fields: book.fields(schema, ""),
                    manual: entry.manual,
                }
            })
            .collect();
        // Stable: within a phase as they are listed everywhere.
        kinds.sort_by_key(|kind| kind.phase);
        let values = shared.iter().map(|name| book.value(name)).collect();
        Self { common: book.fields(types.resolved(&common), ""), kinds, values }
    }

    /// The kind of this name.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&KindPage> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// The whole as a Markdown document.
    #[must_use]
    pub fn markdown(&self) -> String {
        // Writing to a String cannot fail.
        let mut out =
            String::from("# Check kinds\n\nEvery check has these keys, and one that names its kind.\n\n");
        out.push_str(&table(&self.common));
        for kind in &self.kinds {
            let _ = write!(out, "\n{}", kind.markdown());
        }
        out.push_str("\n# Values\n\nForms that several kinds share.\n");
        for value in &self.values {
            let _ = write!(out, "\n## {}\n\n{}\n", value.name, value.about);
            if !value.forms.is_empty() {
                out.push('\n');
            }
            for (form, about) in &value.forms {
                let about = if about.is_empty() { String::new() } else { format!(": {about}") };
                let _ = writeln!(out, "- {form}{about}");
            }
            if !value.fields.is_empty() {
                let _ = write!(out, "\n{}", table(&value.fields));
            }
        }
        out
    }
}

impl Default for Handbook {
    fn default() -> Self {
        Self::new()
    }
}

impl KindPage {
    /// The kind as a section of a Markdown document.
    #[must_use]
    pub fn markdown(&self) -> String {
        let also = self.also.map(|(phase, with)| format!("; {with} `{}`", phase.name())).unwrap_or_default();
        let mut out = format!("## {}\n\n{} Phase `{}`{also}.\n", self.name, self.about, self.phase.name());
        if !self.fields.is_empty() {
            let _ = write!(out, "\n{}", table(&self.fields));
        }
        let _ = write!(out, "\n```yaml\n{}\n```\n", self.manual.examples.trim_end());
        if !self.manual.evidence.is_empty() {
            out.push_str("\nEvidence:\n\n");
            for (title, shows) in self.manual.evidence {
                let _ = writeln!(out, "- {title}: {shows}");
            }
        }
        out.push_str("\nIt fails when\n\n");
        for phrase in self.manual.fails {
            let _ = writeln!(out, "- {phrase}");
        }
        out
    }
}

/// The address of a shared form on the page and in the document.
#[must_use]
pub fn anchor(value: &str) -> String {
    value.replace(' ', "-")
}

fn table(fields: &[Field]) -> String {
    let mut out = String::from("| field | form | meaning |\n| --- | --- | --- |\n");
    for field in fields {
        let required = if field.required { ", required" } else { "" };
        let default =
            field.default.as_ref().map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | {}{required} | {}{} |",
            field.path,
            cell(&field.form),
            cell(&field.about),
            cell(&default)
        );
    }
    out
}

/// The definitions that schemas refer to.
struct Types {
    definitions: Map<String, Value>,
}

impl Types {
    fn new(definitions: Map<String, Value>) -> Self {
        Self { definitions }
    }

    fn get(&self, name: &str) -> &Value {
        self.definitions.get(name).unwrap_or(&Value::Null)
    }

    /// What a reference stands for.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        reference(schema).map_or(schema, |name| self.get(name))
    }

    /// The forms that several kinds refer to, or one kind in several places. What is only a part of another
    /// such form is told there.
    fn shared<'s>(&self, kinds: impl Iterator<Item = &'s Value>) -> BTreeSet<String> {
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for schema in self.definitions.values() {
            count_references(schema, &mut places);
        }
        for kind in kinds {
            let Some(kind) = reference(kind) else { continue };
            let mut open = vec![kind.to_owned()];
            let mut seen = BTreeSet::new();
            while let Some(name) = open.pop() {
                for found in references(self.get(&name)) {
                    used.entry(found.clone()).or_default().insert(kind.to_owned());
                    if seen.insert(found.clone()) {
                        open.push(found);
                    }
                }
            }
        }
        // A map or a long list of words that stands in several places is told once, too.
        let large = |name: &String| {
            let schema = self.get(name);
            let words = schema["enum"].as_array().map_or(0, Vec::len);
            let maps = alternatives(schema).iter().any(|form| self.resolved(form)["properties"].is_object());
            words > FEW_WORDS || maps || schema["properties"].is_object()
        };
        let several = |name: &String| {
            let kinds = used.get(name).map_or(0, BTreeSet::len);
            let often = places.get(name).copied().unwrap_or(0) > 1;
            kinds > 1 || kinds == 1 && often && large(name)
        };
        // Named by something that is no part of a shared form: a kind, or what only one kind has.
        let mut named = BTreeSet::new();
        for (name, schema) in &self.definitions {
            if !several(name) {
                named.extend(references(schema).into_iter().filter(several));
            }
        }
        named
    }
}

/// Words of a field that are listed beside it; more are a form of their own.
const FEW_WORDS: usize = 7;

/// How often a schema refers to each name.
fn count_references(schema: &Value, places: &mut BTreeMap<String, usize>) {
    if let Some(name) = reference(schema) {
        *places.entry(name.to_owned()).or_default() += 1;
    }
    match schema {
        Value::Object(map) => map.values().for_each(|value| count_references(value, places)),
        Value::Array(list) => list.iter().for_each(|value| count_references(value, places)),
        _ => {}
    }
}

/// Every name that a schema refers to.
fn references(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                found.extend(reference(value).map(str::to_owned));
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    found
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

/// `JsonMatch` as `json match`.
fn spoken(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

struct Book<'a> {
    types: &'a Types,
    shared: &'a BTreeSet<String>,
}

impl Book<'_> {
    fn value(&self, name: &str) -> ValuePage {
        let schema = self.types.get(name);
        let alternatives = alternatives(schema);
        let forms = if schema["enum"].is_array() {
            vec![(self.form(schema), String::new())]
        } else if alternatives.is_empty() {
            Vec::new()
        } else {
            alternatives.iter().map(|form| (self.form(form), description(form))).collect()
        };
        ValuePage {
            name: spoken(name),
            about: description(schema),
            forms,
            fields: self.inner_fields(schema, "", &mut BTreeSet::from([name.to_owned()])),
        }
    }

    fn fields(&self, schema: &Value, prefix: &str) -> Vec<Field> {
        self.fields_of(schema, prefix, &mut BTreeSet::new())
    }

    fn fields_of(&self, schema: &Value, prefix: &str, above: &mut BTreeSet<String>) -> Vec<Field> {
        let mut found = Vec::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let required =
                schema["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
            let about = match description(property) {
                empty if empty.is_empty() => description(self.types.resolved(property)),
                about => about,
            };
            let path = format!("{prefix}{name}");
            found.push(Field {
                form: self.form(property),
                required,
                default: default(&property["default"]),
                about,
                path: path.clone(),
            });
            found.extend(self.inner_fields(property, &path, above));
        }
        found
    }

    /// The fields of maps that may be written in a place, unless they are told elsewhere.
    fn inner_fields(&self, schema: &Value, path: &str, above: &mut BTreeSet<String>) -> Vec<Field> {
        if let Some(name) = reference(schema) {
            if self.shared.contains(name) || !above.insert(name.to_owned()) {
                return Vec::new();
            }
            let found = self.inner_fields(self.types.get(name), path, above);
            above.remove(name);
            return found;
        }
        let mut found = Vec::new();
        if schema["properties"].is_object() {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            found.extend(self.fields_of(schema, &prefix, above));
        }
        for form in alternatives(schema) {
            found.extend(self.inner_fields(form, path, above));
        }
        if schema["items"].is_object() {
            found.extend(self.inner_fields(&schema["items"], &format!("{path}[]"), above));
        }
        if schema["additionalProperties"].is_object() {
            found.extend(self.inner_fields(&schema["additionalProperties"], &format!("{path}.…"), above));
        }
        found
    }

    /// What may be written, in a few words.
    fn form(&self, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            return if self.shared.contains(name) {
                let spoken = spoken(name);
                format!("[{spoken}](#{})", anchor(&spoken))
            } else {
                self.form(self.types.get(name))
            };
        }
        let several = alternatives(schema);
        if !several.is_empty() {
            let mut forms: Vec<String> = Vec::new();
            for form in several.iter().map(|form| self.form(form)) {
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
            return forms.join(" or ");
        }
        if let Some(word) = schema["const"].as_str() {
            return format!("`{word}`");
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return words.join(" or ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
            }
            _ => return "any value".into(),
        };
        let named = |name: &str| match name {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "number" => "number".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => format!("list of {}", plural(&self.form(&schema["items"]))),
            "object" if schema["additionalProperties"].is_object() => {
                format!("names, each with {}", self.form(&schema["additionalProperties"]))
            }
            "object" => "a map".to_owned(),
            other => other.to_owned(),
        };
        // A text that may also be written as a number or a word is still a text.
        if types.contains(&"string") {
            return named("string");
        }
        types.into_iter().map(named).collect::<Vec<_>>().join(" or ")
    }
}

/// The schemas of which a value fits one; not that for nothing at all.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let null = |schema: &&Value| schema["type"] != "null";
    ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().filter(null).collect()
}

fn plural(form: &str) -> String {
    match form {
        "text" | "whole number" | "number" => format!("{form}s"),
        "a map" => "maps".into(),
        other => other.to_owned(),
    }
}

/// What a field is where it is left out, as YAML in one line; nothing for what is empty.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(map) if map.values().all(|value| default(value).is_none()) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}
