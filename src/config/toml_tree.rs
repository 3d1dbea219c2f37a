//! TOML read to a tree with places, so that its mistakes are told as those of YAML are.

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use crate::tree::{Entry, Error, Node, Place, Value};

/// Reads a document.
///
/// # Errors
/// What is not valid TOML, with its place.
pub(super) fn parse(text: &str) -> Result<Node, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or(Place { line: 1, column: 1 }, |span| place(text, span.start));
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        Error::new(place, format!("this is not valid TOML: {message}"))
    })?;
    Ok(Node { place: Place { line: 1, column: 1 }, value: map(text, table.get_ref()) })
}

fn place(text: &str, byte: usize) -> Place {
    let before = &text[..text.floor_char_boundary(byte)];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}

fn map(text: &str, table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let node = Node { place: place(text, value.span().start), value: convert(text, value.get_ref()) };
        (key.get_ref().to_string(), Entry { key: place(text, key.span().start), node })
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(_, entry)| entry.key);
    Value::Map(entries.into_iter().collect::<IndexMap<_, _>>())
}

fn convert(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| Node {
                    place: place(text, item.span().start),
                    value: convert(text, item.get_ref()),
                })
                .collect(),
        ),
        DeValue::Table(table) => map(text, table),
    }
}
