//! A document with a place on every value, and how to read it into a type of ours.
//!
//! [`crate::yaml`] and [`crate::config`] make such trees; `exercises` and `config` read them. The
//! reader is a serde deserializer whose errors carry the place of the value they are about and
//! name, for an unknown key or word, the one that was probably meant. The room knows of no other.

mod reading;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use crate::text::visible;

/// A line and a column, both counted from 1, the column in characters. 0:0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// A value, typed as YAML 1.2's core schema does.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written, so that `1.10` and `0644` can still be read as texts.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in their order.
    Map(IndexMap<String, Entry>),
}

/// A value in a map and where its key stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the key begins.
    pub key: Place,
    /// The value.
    pub node: Node,
}

/// Why a document, or a value in it, was not understood: one sentence for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What is wrong, and what was probably meant.
    pub message: String,
    /// Whether it is about something that is not there.
    missing: bool,
}

impl Error {
    /// An error at a place.
    #[must_use]
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), missing: false }
    }

    /// The error with this place, unless it has one that is nearer.
    fn at(mut self, place: Place) -> Self {
        if self.place == Place::default() {
            self.place = place;
        }
        self
    }
}

/// The word of `allowed` that was probably meant by `word`.
#[must_use]
pub fn likely<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let word = plain(word);
    allowed
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        // A third of the letters may be wrong, and one in short words.
        .filter(|(distance, candidate)| {
            *distance <= (word.chars().count().max(candidate.chars().count()) / 3).max(1)
                && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "unknown key `prot`, did you mean `port`?", or else which there are. `what` is the noun.
#[must_use]
pub fn unknown<'a>(what: &str, word: &str, allowed: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let shown = crate::text::cut_middle(word, 80);
    let shown = visible(&shown);
    if let Some(meant) = likely(word, allowed.clone()) {
        return format!("unknown {what} `{shown}`, did you mean `{meant}`?");
    }
    let allowed: Vec<String> = allowed.into_iter().map(|word| format!("`{word}`")).collect();
    match allowed.as_slice() {
        [] => format!("unknown {what} `{shown}`; there is none here"),
        [one] => format!("unknown {what} `{shown}`; there is only {one}"),
        [most @ .., last] => format!("unknown {what} `{shown}`; there are {} and {last}", most.join(", ")),
    }
}

impl Node {
    /// The value under a key of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.map()?.get(key).map(|entry| &entry.node)
    }

    /// Where the key stands, or the map itself where it does not have the key.
    #[must_use]
    pub fn key_place(&self, key: &str) -> Place {
        self.map().and_then(|map| map.get(key)).map_or(self.place, |entry| entry.key)
    }

    /// The keys and values, if this is a map.
    #[must_use]
    pub fn map(&self) -> Option<&IndexMap<String, Entry>> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The values, if this is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// Every text in the tree (not the keys), with its node.
    pub fn texts<'a>(&'a self, found: &mut Vec<(&'a str, Place)>) {
        match &self.value {
            Value::Text(text) => found.push((text, self.place)),
            Value::List(list) => list.iter().for_each(|node| node.texts(found)),
            Value::Map(map) => map.values().for_each(|entry| entry.node.texts(found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What this is, in words, for "expected …, found …".
    #[must_use]
    pub fn described(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(number) => format!("the number `{}`", crate::text::cut_middle(number, 40)),
            Value::Text(text) => format!("the text `{}`", visible(&crate::text::cut_middle(text, 40))),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// Reads the node into a type.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(self)
    }

    /// Reads a map into a type whose keys may all be left out, without those keys that are wrong.
    ///
    /// Returns the mistakes of every key, in the order of their places.
    #[must_use]
    pub fn read_partly<T: DeserializeOwned + Default>(&self) -> (T, Vec<Error>) {
        let Value::Map(map) = &self.value else {
            return self.read().map_or_else(|error| (T::default(), vec![error]), |value| (value, Vec::new()));
        };
        let mut errors = Vec::new();
        let mut good = IndexMap::new();
        for (key, entry) in map {
            let alone = IndexMap::from_iter([(key.clone(), entry.clone())]);
            match (Self { place: self.place, value: Value::Map(alone) }).read::<T>() {
                Ok(_) => drop(good.insert(key.clone(), entry.clone())),
                Err(error) => errors.push(error),
            }
        }
        errors.sort_by_key(|error| error.place);
        let value = (Self { place: self.place, value: Value::Map(good) }).read().unwrap_or_else(|error| {
            errors.push(error);
            T::default()
        });
        (value, errors)
    }

    /// Reads the node into a type and, where that fails and the node is a map, finds the mistakes of
    /// every one of its keys, not only the first. `read` is given the node, or one with only one of
    /// its keys.
    ///
    /// # Errors
    /// Every mistake found, in the order of their places.
    pub fn read_all<T>(&self, read: impl Fn(&Self) -> Result<T, Error>) -> Result<T, Vec<Error>> {
        let first = match read(self) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let mut errors = Vec::new();
        if let Value::Map(map) = &self.value {
            for (key, entry) in map {
                let alone = IndexMap::from_iter([(key.clone(), entry.clone())]);
                let alone = Self { place: self.place, value: Value::Map(alone) };
                // What a single key leaves missing, or wrong about the whole, says nothing about that key.
                errors.extend(read(&alone).err().filter(|e| !e.missing && e.place != self.place));
            }
        }
        if !errors.contains(&first) {
            errors.push(first);
        }
        errors.sort_by_key(|error| error.place);
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_word_is_near() {
        assert_eq!(likely("prot", ["path", "port"]), Some("port"));
        assert_eq!(likely("Work-Dir", ["workdir"]), Some("workdir"));
        assert_eq!(likely("zzz", ["port", "a"]), None);
        assert_eq!(unknown("key", "zzz", ["a"]), "unknown key `zzz`; there is only `a`");
    }
}
