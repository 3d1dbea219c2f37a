//! `${name}` in a check's texts stands for a value that was made for one grading.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Values by name.
pub type Variables = BTreeMap<String, String>;

/// Puts the values in. What is no variable stays as it is written, so that a shell command may use
/// its own `${HOME}`.
#[must_use]
pub fn fill<'a>(text: &'a str, variables: &Variables) -> Cow<'a, str> {
    replace(text, |name| variables.get(name).map(String::as_str).map(Cow::Borrowed))
}

/// The same with each value escaped for a regular expression.
pub(super) fn fill_pattern<'a>(pattern: &'a str, variables: &Variables) -> Cow<'a, str> {
    replace(pattern, |name| variables.get(name).map(|value| Cow::Owned(regex::escape(value))))
}

/// A pattern as it can be tried when the exercise is read, before there are values.
pub(super) fn without_values(pattern: &str) -> Cow<'_, str> {
    replace(pattern, |name| {
        let like_a_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
        like_a_name.then_some(Cow::Borrowed("value"))
    })
}

fn replace<'a, 'v>(text: &'a str, value_of: impl Fn(&str) -> Option<Cow<'v, str>>) -> Cow<'a, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let name = from[2..].split_once('}').map(|(name, _)| name);
        if let Some((name, value)) = name.and_then(|name| Some((name, value_of(name)?))) {
            filled.push_str(&value);
            rest = &from[name.len() + 3..];
        } else {
            filled.push_str("${");
            rest = &from[2..];
        }
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}
