//! Which keys a compose file may have and which kinds of values they take.
//!
//! [`Shape`]s are what the JSON schema of the Compose specification says, as data; `schema.rs` holds
//! them. A project is checked against them after each of its files, as docker compose does, and every
//! mistake is told. What the values mean is for the readers of the model.

use indexmap::IndexSet;

use super::finding::{Findings, KeyPath, quoted};
use super::item::{Item, Map, Value};
use crate::tree::likely;

/// The most values in one list or map.
pub(super) const MAX_VALUES: usize = 1000;

/// Kinds of scalars, to be combined.
pub(super) const TEXT: u8 = 1;
pub(super) const INT: u8 = 2;
pub(super) const NUMBER: u8 = 4 | INT;
pub(super) const BOOL: u8 = 8;
pub(super) const NULL: u8 = 16;

/// What a value may be.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    scalars: u8,
    /// Where not empty, the only texts.
    words: &'static [&'static str],
    list: Option<&'static List>,
    map: Option<&'static Keys>,
    any: bool,
}

/// What a list may hold.
pub(super) struct List {
    pub(super) item: Shape,
    /// No value twice.
    pub(super) unique: bool,
}

/// What a map may hold.
pub(super) enum Keys {
    /// These keys, and with `extensions` those that begin with `x-`.
    Known { keys: &'static [(&'static str, Shape)], required: &'static [&'static str], extensions: bool },
    /// Any keys.
    Any(Shape),
    /// Names of services, networks and the like.
    Names(Shape),
}

impl Shape {
    pub(super) const fn of(scalars: u8) -> Self {
        Self { scalars, words: &[], list: None, map: None, any: false }
    }

    /// Whatever it is, it is not looked at.
    pub(super) const ANY: Self = Self { scalars: 0, words: &[], list: None, map: None, any: true };

    pub(super) const fn words(words: &'static [&'static str]) -> Self {
        Self { scalars: TEXT, words, list: None, map: None, any: false }
    }

    pub(super) const fn list(list: &'static List) -> Self {
        Self::of(0).or_list(list)
    }

    pub(super) const fn map(keys: &'static Keys) -> Self {
        Self::of(0).or_map(keys)
    }

    pub(super) const fn or_list(mut self, list: &'static List) -> Self {
        self.list = Some(list);
        self
    }

    pub(super) const fn or_map(mut self, keys: &'static Keys) -> Self {
        self.map = Some(keys);
        self
    }

    /// Tells everything in `item` that is not of this shape.
    pub(super) fn check(&self, item: &Item, path: &KeyPath, findings: &mut Findings) {
        if self.any {
            return;
        }
        match (&item.value, self.list, self.map) {
            (Value::List(list), Some(shape), _) => check_list(item, list, shape, path, findings),
            (Value::Map(map), _, Some(keys)) => check_map(item, map, keys, path, findings),
            (Value::Text(text), ..) if text.contains('\0') => {
                let message =
                    "the text has a NUL character in it, which nothing that runs can take; leave it out";
                findings.refuse("nul", &item.at, path, message);
            }
            (value, ..) if self.scalars & kind(value) != 0 => {
                if let Some(word) = item.text()
                    && !self.words.is_empty()
                    && !self.words.contains(&word)
                {
                    let message = unknown("word", word, self.words.iter().copied());
                    findings.mistake("wrong-value", &item.at, path, message);
                }
            }
            _ => {
                let message = format!("expected {}, found {}", self.described(), item.described());
                let hint = match &item.value {
                    Value::Bool(_) | Value::Int(_) | Value::Float(_) if self.scalars & TEXT != 0 => {
                        "; put it in quotes"
                    }
                    _ => "",
                };
                findings.mistake("wrong-type", &item.at, path, message + hint);
            }
        }
    }

    fn described(&self) -> String {
        let mut kinds = Vec::new();
        if self.scalars & TEXT != 0 {
            kinds.push("a text");
        }
        if self.scalars & NUMBER == NUMBER {
            kinds.push("a number");
        } else if self.scalars & INT != 0 {
            kinds.push("a whole number");
        }
        if self.scalars & BOOL != 0 {
            kinds.push("`true` or `false`");
        }
        if self.list.is_some() {
            kinds.push("a list");
        }
        if self.map.is_some() {
            kinds.push("a map of keys and values");
        }
        kinds.join(" or ")
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOL,
        Value::Int(_) => INT,
        Value::Float(number) if number.fract() == 0.0 => NUMBER,
        Value::Float(_) => NUMBER & !INT,
        Value::Text(_) | Value::Path(_) => TEXT,
        Value::List(_) | Value::Map(_) => 0,
    }
}

fn check_list(item: &Item, list: &[Item], shape: &List, path: &KeyPath, findings: &mut Findings) {
    if too_many(item, list.len(), path, findings) {
        return;
    }
    let mut seen = IndexSet::new();
    for (index, value) in list.iter().enumerate() {
        shape.item.check(value, &path.index(index), findings);
        if shape.unique
            && let Some(text) = value.printed()
            && !seen.insert((kind(&value.value), text))
        {
            let message = format!("{} is in the list twice", value.described());
            findings.mistake("twice", &value.at, &path.index(index), message);
        }
    }
}

/// More values than are looked at, so that nothing that compares them with each other takes long.
fn too_many(item: &Item, count: usize, path: &KeyPath, findings: &mut Findings) -> bool {
    if count > MAX_VALUES {
        let message = format!("there are {count} values in it; at most {MAX_VALUES} are taken");
        findings.refuse("too-many", &item.at, path, message);
    }
    count > MAX_VALUES
}

fn check_map(item: &Item, map: &Map, keys: &Keys, path: &KeyPath, findings: &mut Findings) {
    if !matches!(keys, Keys::Known { .. }) && too_many(item, map.len(), path, findings) {
        return;
    }
    match keys {
        Keys::Known { keys, required, extensions } => {
            for (key, field) in map {
                if let Some((_, shape)) = keys.iter().find(|(name, _)| name == key) {
                    shape.check(&field.item, &path.key(key), findings);
                } else if (*extensions && key.starts_with("x-")) || findings.leave_out() {
                    // It means nothing, or there is no more room to tell of it.
                } else {
                    let message = unknown("key", key, keys.iter().map(|(name, _)| *name));
                    findings.mistake("unknown-key", &field.key, &path.key(key), message);
                }
            }
            for key in required.iter().filter(|key| !map.contains_key(**key)) {
                findings.mistake("missing-key", &item.at, path, format!("the key `{key}` is missing"));
            }
        }
        Keys::Any(shape) => {
            for (key, field) in map {
                shape.check(&field.item, &path.key(key), findings);
            }
        }
        Keys::Names(shape) => {
            for (key, field) in map {
                // A list of names that was made a map, with something in it that is none.
                if key.starts_with('[') && field.item.map().is_none() {
                    Shape::of(TEXT).check(&field.item, &path.key(key), findings);
                    continue;
                }
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if key.is_empty() || !key.chars().all(fits) {
                    let message = format!(
                        "{} is no name here; names have letters, digits, `.`, `_` and `-`",
                        quoted(key)
                    );
                    findings.mistake("bad-name", &field.key, &path.key(key), message);
                }
                shape.check(&field.item, &path.key(key), findings);
            }
        }
    }
}

/// "unknown key `prots`, did you mean `ports`?", or which there are where they are few.
fn unknown<'a>(what: &str, word: &str, allowed: impl Iterator<Item = &'a str> + Clone) -> String {
    let few = allowed.clone().count() <= 12;
    match likely(word, allowed.clone()) {
        None if !few => format!("unknown {what} {}; docker compose does not know it either", quoted(word)),
        _ => crate::tree::unknown(what, word, allowed),
    }
}
