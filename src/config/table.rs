//! The list of settings, read off their types: what the environment is matched with, and what README shows.

use std::fmt::Write as _;

use serde_json::Value;

use super::Settings;

/// One setting.
pub(super) struct Row {
    pub(super) section: Option<String>,
    pub(super) key: String,
    /// `DRYDOCK_WORKER_SLOTS`
    pub(super) variable: String,
    pub(super) form: Form,
    default: String,
    meaning: String,
}

/// How a variable's text is taken.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As a number, `true` or `false`.
    Plain,
    /// As it is.
    Text,
    /// Separated by commas.
    List,
}

/// Every setting, in the order of the types.
pub(super) fn rows() -> Vec<Row> {
    let schema = schemars::schema_for!(Settings).to_value();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut rows = Vec::new();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let inner = property["$ref"].as_str().and_then(|pointer| schema.pointer(pointer.strip_prefix('#')?));
        match inner.and_then(|inner| inner["properties"].as_object()) {
            None => rows.push(row(None, key, property, &defaults[key])),
            Some(properties) => rows.extend(
                properties
                    .iter()
                    .map(|(inner, property)| row(Some(key), inner, property, &defaults[key][inner])),
            ),
        }
    }
    rows
}

fn row(section: Option<&String>, key: &str, property: &Value, default: &Value) -> Row {
    let is = |name: &str| match &property["type"] {
        Value::String(kind) => kind == name,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    let form = if is("array") {
        Form::List
    } else if is("boolean") || is("integer") || is("number") {
        Form::Plain
    } else {
        Form::Text
    };
    let default = match default {
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::Array(list) => {
            format!("`{}`", list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        }
        other => format!("`{other}`"),
    };
    let name = section.map_or_else(|| key.to_owned(), |section| format!("{section}_{key}"));
    Row {
        section: section.cloned(),
        key: key.to_owned(),
        variable: format!("DRYDOCK_{}", name.to_uppercase()),
        form,
        default,
        meaning: property["description"].as_str().unwrap_or_default().replace('\n', " "),
    }
}

pub(super) fn markdown() -> String {
    let mut table = String::from("| setting | variable | default | meaning |\n| --- | --- | --- | --- |\n");
    for row in rows() {
        let name =
            row.section.as_ref().map_or_else(|| row.key.clone(), |section| format!("{section}.{}", row.key));
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{name}` | `{}` | {} | {} |",
            row.variable,
            row.default,
            row.meaning.replace('|', "\\|")
        );
    }
    table
}
