//! Variables of a Dockerfile: `ARG` before the first `FROM`, `ARG` and `ENV` in a stage.

use indexmap::IndexMap;

use super::{Dockerfile, Instruction, Keyword};

/// The most that a value may have, in bytes: `ENV A=$A$A` again and again doubles it each time.
const VALUE_BYTES: usize = 16 * 1024;

/// Names and values that can be used at some place of a Dockerfile.
pub(super) struct Scope<'a> {
    /// Build arguments that were given from outside.
    given: &'a IndexMap<String, String>,
    /// What an `ARG` without a default means inside a stage.
    global: IndexMap<String, String>,
    values: IndexMap<String, String>,
}

impl<'a> Scope<'a> {
    /// What `FROM` sees: the `ARG`s before the first one.
    pub(super) fn global(dockerfile: &Dockerfile, given: &'a IndexMap<String, String>) -> Self {
        let mut scope = Self { given, global: IndexMap::new(), values: IndexMap::new() };
        let before = dockerfile.stages.first().map_or(0, |stage| stage.range.start);
        for instruction in &dockerfile.instructions[..before] {
            scope.take(instruction);
        }
        scope
    }

    /// What a stage sees at its beginning: nothing, but it may ask for the global ones by name.
    pub(super) fn stage(self) -> Self {
        Self { given: self.given, global: self.values, values: IndexMap::new() }
    }

    /// Goes past an instruction.
    pub(super) fn take(&mut self, instruction: &Instruction) {
        match instruction.keyword {
            Keyword::Arg => {
                for word in words(&instruction.arguments) {
                    let (name, default) = match word.split_once('=') {
                        Some((name, default)) => (name.to_owned(), Some(self.fill(default))),
                        None => (word, None),
                    };
                    let value = self
                        .given
                        .get(&name)
                        .cloned()
                        .or(default)
                        .or_else(|| self.global.get(&name).cloned());
                    if let Some(value) = value {
                        self.values.insert(name, value);
                    }
                }
            }
            Keyword::Env => {
                let words = words(&instruction.arguments);
                if words.first().is_some_and(|first| first.contains('=')) {
                    let pairs: Vec<(String, String)> = words
                        .iter()
                        .filter_map(|word| word.split_once('='))
                        .map(|(name, value)| (name.to_owned(), self.fill(value)))
                        .collect();
                    self.values.extend(pairs);
                } else if let Some((name, value)) = instruction.arguments.split_once(char::is_whitespace) {
                    let value = self.fill(value.trim());
                    self.values.insert(name.to_owned(), value);
                }
            }
            _ => {}
        }
    }

    /// Puts values in: `$name`, `${name}`, `${name:-default}`, `${name:+other}` and the same without
    /// the colon. An unknown name is empty, as in a build.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\', '\'', '"']) {
            filled.push_str(&rest[..at]);
            if filled.len() > VALUE_BYTES {
                return filled;
            }
            let after = &rest[at + 1..];
            match rest.as_bytes()[at] {
                b'\\' => {
                    let escaped = after.chars().next();
                    filled.extend(escaped);
                    rest = &after[escaped.map_or(0, char::len_utf8)..];
                }
                b'$' => rest = self.variable(after, &mut filled),
                // Quotes are taken off; that single ones keep a `$` as it is matters to nobody here.
                _ => rest = after,
            }
        }
        filled.push_str(rest);
        filled
    }

    fn variable<'t>(&self, after: &'t str, filled: &mut String) -> &'t str {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let value = |name: &str| self.values.get(name).map(String::as_str).unwrap_or_default();
        if let Some((inside, rest)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            let end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
            let (name, modifier) = inside.split_at(end);
            let value = value(name);
            let modifier = modifier.strip_prefix(':').unwrap_or(modifier);
            if let Some(default) = modifier.strip_prefix('-') {
                filled.push_str(if value.is_empty() { default } else { value });
            } else if let Some(other) = modifier.strip_prefix('+') {
                filled.push_str(if value.is_empty() { "" } else { other });
            } else {
                filled.push_str(value);
            }
            return rest;
        }
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        if end == 0 {
            filled.push('$');
        } else {
            filled.push_str(value(&after[..end]));
        }
        &after[end..]
    }
}

/// Words at blanks; quotes hold a word together and stay in it.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        let blank = c.is_whitespace() && quote.is_none() && !escaped;
        if blank {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
