//! The small language in which exercises say what something must be.
//!
//! The same everywhere: `status: 200`, `body: {contains: hello}`, `exposed_ports: [8080]`. A matcher
//! accepts or does not, describes itself for people ("contains `hello`"), and tells when it could
//! never fail. It is read, compared and described here; what it is compared with is the business of
//! the check that has it.

pub mod forms;
mod list;
mod number;
mod text;
mod variables;

pub use list::{Argv, Set};
pub use number::{Mode, Number, Size};
pub use text::{Pattern, Text, TextParts, User};
pub use variables::{Variables, fill};

use serde::Serialize;

use self::forms::{Forms, Listed, Never, Scalar, deserialize_forms};

/// A text as it is written; whole numbers and `true`/`false` stand for their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Literal(pub String);

impl Forms for Literal {
    const EXPECTING: &'static str = "a text";
    type Parts = Never;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        scalar.into_text().map(Self)
    }
    fn from_parts(parts: Never) -> Result<Self, String> {
        match parts {}
    }
}
deserialize_forms!(Literal);

impl Listed for Literal {
    const ONE_OR_MORE: &'static str = "a text or a list of texts";
}

impl schemars::JsonSchema for Literal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Literal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A text. `${random}` stands for a value of this grading alone.",
            "type": ["string", "integer", "boolean"]
        })
    }
}

/// How many characters of something seen go into a phrase; the whole is in the evidence.
const PHRASE_CHARS: usize = 120;

/// What was seen, for a phrase: in backticks, on one line, cut.
#[must_use]
pub fn shown(seen: &str) -> String {
    let trimmed = seen.trim_end_matches(['\n', '\r']);
    if trimmed.is_empty() {
        return if seen.is_empty() { "empty".into() } else { "only line ends".into() };
    }
    let mut line: String = String::new();
    let mut rest = trimmed.chars();
    for c in rest.by_ref().take(PHRASE_CHARS) {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '`' => line.push('\''),
            c if c.is_control() => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    if rest.next().is_some() {
        line.push('…');
    }
    format!("`{line}`")
}

/// "a", "a and b", "a, b and c".
#[must_use]
pub fn listed(items: &[String], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
