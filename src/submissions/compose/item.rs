//! A compose file on its way to the model: YAML whose values know which file they came from.
//!
//! Everything between reading a file and judging the whole (interpolation, merging, canonical forms)
//! works on this tree, because a project is put together from several files and each value has to be
//! told by its own place.

use std::sync::Arc;

use indexmap::IndexMap;

use super::finding::Origin;
use super::scalars::go_float;
use crate::tree::{Node, Value as Yaml};

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) at: Origin,
    pub(super) value: Value,
}

/// What it is. Numbers are typed as docker's YAML reader types them: `0644` is octal.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A path that was resolved against the folder it was written for.
    Path(Located),
    List(Vec<Item>),
    Map(Map),
}

/// Keys and values in their order.
pub(super) type Map = IndexMap<String, Field>;

/// A value in a map and where its key stands.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) key: Origin,
    pub(super) item: Item,
}

/// A path as it was written, and where in the submission it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) written: String,
    /// Relative to the submission's root (empty: the root itself), or why it is not taken.
    pub(super) inside: Result<String, String>,
}

impl Item {
    pub(super) fn new(at: Origin, value: Value) -> Self {
        Self { at, value }
    }

    pub(super) fn text_at(at: &Origin, text: impl Into<String>) -> Self {
        Self::new(at.clone(), Value::Text(text.into()))
    }

    pub(super) fn from_yaml(node: &Node, file: &Arc<str>) -> Self {
        let value = match &node.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Number(text) => number(text),
            Yaml::Text(text) => Value::Text(text.clone()),
            Yaml::List(list) => Value::List(list.iter().map(|node| Self::from_yaml(node, file)).collect()),
            Yaml::Map(map) => Value::Map(
                map.iter()
                    .map(|(key, entry)| {
                        let at = Origin { file: file.clone(), place: entry.key };
                        (key.clone(), Field { key: at, item: Self::from_yaml(&entry.node, file) })
                    })
                    .collect(),
            ),
        };
        Self::new(Origin { file: file.clone(), place: node.place }, value)
    }

    pub(super) fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.map()?.get(key).map(|field| &field.item)
    }

    /// The text, if this is one; a resolved path is the text that was written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Path(path) => Some(&path.written),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// A scalar as Compose writes it where it wants a text; `None` for lists and maps, and nothing.
    pub(super) fn printed(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(go_float(*number)),
            Value::Text(text) => Some(text.clone()),
            Value::Path(path) => Some(path.written.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What this is, in words, for "expected …, found …".
    pub(super) fn described(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(_) | Value::Float(_) => {
                format!("the number `{}`", self.printed().unwrap_or_default())
            }
            Value::Text(_) | Value::Path(_) => {
                format!("the text {}", super::finding::quoted(self.text().unwrap_or_default()))
            }
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// Whether two values are the same, wherever they come from.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Int(one), Value::Int(two)) => one == two,
            (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Path(one), Value::Path(two)) => one.inside == two.inside,
            (Value::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                one.len() == two.len()
                    && one
                        .iter()
                        .all(|(key, field)| two.get(key).is_some_and(|other| field.item.same(&other.item)))
            }
            _ => false,
        }
    }

    /// A rough number of bytes that a copy of it takes, for the bounds.
    pub(super) fn weight(&self) -> usize {
        32 + match &self.value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
            Value::Text(text) => text.len(),
            Value::Path(path) => path.written.len(),
            Value::List(list) => list.iter().map(Self::weight).sum(),
            Value::Map(map) => map.iter().map(|(key, field)| key.len() + field.item.weight()).sum(),
        }
    }
}

/// A plain number as docker's YAML reader takes it: the integers of Go's literals, then floats.
fn number(text: &str) -> Value {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let whole = if let Some(hex) = lower.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if lower.len() > 1 && lower.starts_with('0') {
        i64::from_str_radix(&lower, 8).ok()
    } else {
        lower.parse().ok()
    };
    if let Some(whole) = whole {
        return Value::Int(if negative { -whole } else { whole });
    }
    let plain = lower.replace(".inf", "inf").replace(".nan", "nan");
    plain.parse::<f64>().map_or_else(
        |_| Value::Text(text.to_owned()),
        |number| Value::Float(if negative { -number } else { number }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_typed_as_docker_types_them() {
        let shown = |text: &str| match number(text) {
            Value::Int(number) => format!("int {number}"),
            Value::Float(number) => format!("float {}", go_float(number)),
            _ => "text".into(),
        };
        for (text, expected) in [
            ("0644", "int 420"),
            ("0o17", "int 15"),
            ("-0x10", "int -16"),
            ("08", "float 8"),
            ("1.10", "float 1.1"),
            ("1e6", "float 1e+06"),
            ("+5", "int 5"),
            ("99999999999999999999", "float 1e+20"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
