//! Variables of pipelines: what is given to them in the definition is put in, the rest stays by name.

use std::collections::BTreeMap;

use super::super::shell::Part;
use crate::tree::{Node, Value};

/// The longest value that is put in. More is a file, and values of values could grow without end.
const LONGEST: usize = 4 * 1024;

/// Values by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// With the texts of a map (`env`, `variables`, `substitutions`) added, each with what is known
    /// before it put in.
    pub(super) fn with(&self, map: Option<&Node>) -> Self {
        let mut variables = self.clone();
        for (name, entry) in map.and_then(Node::map).into_iter().flatten() {
            // GitLab also writes `NAME: {value: …, description: …}`.
            let node = entry.node.get("value").unwrap_or(&entry.node);
            if let Some(value) = text(node) {
                variables.set(name, variables.fill(&value));
            }
        }
        variables
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        if value.len() <= LONGEST {
            self.0.insert(name.to_owned(), value);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A word of a script.
    pub(super) fn word(&self, parts: &[Part]) -> String {
        parts.iter().fold(String::new(), |mut word, part| {
            match part {
                Part::Text(text) | Part::Other(text) => word.push_str(text),
                Part::Variable(name) => self.push(&mut word, name),
                Part::Or(name, other) => match self.get(name) {
                    Some(value) if !value.is_empty() => word.push_str(value),
                    _ => word.push_str(other),
                },
            }
            word
        })
    }

    fn push(&self, out: &mut String, name: &str) {
        match self.get(name) {
            Some(value) if out.len() <= LONGEST => out.push_str(value),
            _ => out.extend(["${", name, "}"]),
        }
    }

    /// A text of the definition, with `$NAME`, `${NAME}` and `${{ … }}` put in. What is not known stays,
    /// in one spelling, so that equal texts mean the same.
    pub(super) fn fill(&self, text: &str) -> String {
        let text = self.expressions(text);
        let mut filled = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let braced = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            match braced {
                Some((name, after)) if is_name(name) => {
                    self.push(&mut filled, name);
                    rest = after;
                }
                _ if is_name(&rest[..end]) => {
                    self.push(&mut filled, &rest[..end]);
                    rest = &rest[end..];
                }
                _ => filled.push('$'),
            }
        }
        filled + rest
    }

    /// GitHub's `${{ … }}`: what is known by its value, what the shell knows as a variable by that, the
    /// rest without blanks and in brackets that mean nothing to a shell.
    pub(super) fn expressions(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, (inside, after))) =
            rest.split_once("${{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
        {
            filled.push_str(before);
            let inside: String = inside.split_whitespace().collect();
            if let Some(value) = self.get(inside.strip_prefix("env.").unwrap_or(&inside)) {
                filled.push_str(value);
            } else if let Some(name) = inside.strip_prefix("env.") {
                filled.extend(["${", name, "}"]);
            } else if let Some(name) = inside.strip_prefix("github.").filter(|name| is_name(name)) {
                filled.extend(["${GITHUB_", &name.to_ascii_uppercase(), "}"]);
            } else {
                filled.extend(["⟨", &inside, "⟩"]);
            }
            rest = after;
        }
        filled + rest
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A scalar as text.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// A scalar, or a list of them, each with where it stands.
pub(super) fn texts(node: Option<&Node>) -> Vec<(String, &Node)> {
    match node {
        // GitLab takes lists of lists, as aliases make them.
        Some(Node { value: Value::List(list), .. }) => list
            .iter()
            .flat_map(|node| match &node.value {
                Value::List(list) => list.iter().filter_map(|node| Some((text(node)?, node))).collect(),
                _ => text(node).map(|text| (text, node)).into_iter().collect::<Vec<_>>(),
            })
            .collect(),
        Some(node) => text(node).map(|text| (text, node)).into_iter().collect(),
        None => Vec::new(),
    }
}
