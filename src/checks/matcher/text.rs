//! The matcher for texts, and the one for user names.

mod describe;
mod misfit;
mod never;

use indexmap::IndexMap;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Literal;
use super::forms::{Forms, Listed, Never, OneOrMore, Scalar, deserialize_forms};
use super::variables::{Variables, fill, fill_pattern, without_values};

/// What a text must be. A plain text is equality, where line ends at the very end do not count;
/// otherwise every condition that is given must hold.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// Exactly this.
    Exactly(Literal),
    /// All that is said.
    Parts(Box<TextParts>),
}

/// Conditions on a text; all that are given must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextParts {
    /// Exactly this; the same as writing the text by itself, for use beside other conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Literal>,
    /// This is somewhere in it; of a list, all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<OneOrMore<Literal>>,
    /// A regular expression (in the syntax of Rust's `regex` crate, unanchored) that fits somewhere;
    /// of a list, all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<OneOrMore<Pattern>>,
    /// This does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Text>,
    /// At least one of these holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Text>>,
    /// It is JSON, and at each of these pointers (RFC 6901, such as `/items/0/name`) is this value:
    /// a plain value is equality, a mapping is again a matcher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<IndexMap<String, JsonMatch>>,
    /// It is a number of at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// It is a number of at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// `true`: it is not there at all. `false`: it is there, whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

/// A regular expression, tried when it is read. Linear in time whatever it is and whatever it is
/// matched with.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Pattern {
    source: String,
    #[serde(skip)]
    compiled: Regex,
}

/// The most that one compiled pattern may take, in bytes: room for any pattern that a person writes.
const PATTERN_BYTES: usize = 1 << 20;

impl Pattern {
    fn compile(source: &str) -> Result<Regex, String> {
        regex::RegexBuilder::new(source)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .map_err(|error| format!("the regular expression `{source}` cannot be used: {error}"))
    }

    fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        if !self.source.contains("${") {
            return Ok(self.clone());
        }
        let source = fill_pattern(&self.source, variables).into_owned();
        Ok(Self { compiled: Self::compile(&source)?, source })
    }

    /// The pattern as one that has to fit a whole text.
    ///
    /// # Errors
    /// A sentence for the author when it names a value that there is not.
    pub fn whole(&self, any_case: bool, variables: &Variables) -> Result<Regex, String> {
        let flags = if any_case { "(?i)" } else { "" };
        Self::compile(&format!("^{flags}(?:{})$", fill_pattern(&self.source, variables)))
    }

    /// The same for bytes of any kind, with the grading's values in place of `${name}`; `^` and `$` stand
    /// for the ends of each line.
    ///
    /// # Errors
    /// A sentence for the author when it is too large with its values in it.
    pub fn bytes(&self, variables: &Variables) -> Result<regex::bytes::Regex, String> {
        let source = fill_pattern(&self.source, variables);
        regex::bytes::RegexBuilder::new(&source)
            .multi_line(true)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .map_err(|error| format!("the regular expression `{source}` cannot be used: {error}"))
    }

    /// As it is written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it fits somewhere. As with plain texts, line ends at the very end do not count: `$`
    /// may stand before them.
    fn fits(&self, seen: &str) -> bool {
        self.compiled.is_match(seen) || self.compiled.is_match(trimmed(seen))
    }

    /// Whether it fits everywhere, as far as some very different texts can tell. A pattern that
    /// needs anything at all does not fit the empty one.
    #[must_use]
    pub fn fits_everything(&self) -> bool {
        ["", "a", "\u{1}", "0 9", "~#/-_", "é\u{10fffd}"].into_iter().all(|text| self.compiled.is_match(text))
    }
}

impl Listed for Pattern {
    const ONE_OR_MORE: &'static str = "a regular expression or a list of them";
}

impl Forms for Pattern {
    const EXPECTING: &'static str = "a regular expression";
    type Parts = Never;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        let source = scalar.into_text()?;
        Ok(Self { compiled: Self::compile(&without_values(&source))?, source })
    }
    fn from_parts(parts: Never) -> Result<Self, String> {
        match parts {}
    }
}

/// What a JSON value must be.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum JsonMatch {
    /// Exactly this value; `1` and `1.0` are the same.
    Is(Value),
    /// Conditions on the value's text (of a string, the string itself).
    Parts(Box<TextParts>),
}

impl Forms for JsonMatch {
    const EXPECTING: &'static str = "a value, a list, or a matcher such as {contains: …}";
    type Parts = TextParts;
    type Item = Value;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Ok(Self::Is(match scalar {
            Scalar::Text(text) => Value::String(text),
            Scalar::Integer(number) => number.into(),
            Scalar::Float(number) => number.into(),
            Scalar::Bool(value) => value.into(),
        }))
    }
    fn from_list(list: Vec<Value>) -> Result<Self, String> {
        Ok(Self::Is(Value::Array(list)))
    }
    fn from_parts(parts: TextParts) -> Result<Self, String> {
        parts.checked().map(|parts| Self::Parts(Box::new(parts)))
    }
}

impl Forms for Text {
    const EXPECTING: &'static str = "a text, or a matcher such as {contains: …} or {matches: …}";
    type Parts = TextParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Literal::from_scalar(scalar).map(Self::Exactly)
    }
    fn from_list(_: Vec<serde::de::IgnoredAny>) -> Result<Self, String> {
        Err("a list does not say whether one or all must hold; write {any_of: […]} or {contains: […]}".into())
    }
    fn from_parts(parts: TextParts) -> Result<Self, String> {
        parts.checked().map(|parts| Self::Parts(Box::new(parts)))
    }
}
deserialize_forms!(Text, Pattern, JsonMatch, User);

/// Line ends at the very end do not count: a shell's `echo` adds one, an editor does, and nobody who
/// writes `stdout: hello` means to forbid it.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

fn same(wanted: &str, seen: &str) -> bool {
    trimmed(wanted) == trimmed(seen)
}

fn same_json(wanted: &Value, seen: &Value) -> bool {
    match (wanted, seen) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => wanted == seen,
    }
}

impl JsonMatch {
    fn accepts(&self, seen: Option<&Value>) -> bool {
        match self {
            Self::Is(wanted) => seen.is_some_and(|seen| same_json(wanted, seen)),
            Self::Parts(parts) => match seen {
                None => parts.accepts(None),
                Some(Value::String(text)) => parts.accepts(Some(text)),
                Some(other) => parts.accepts(Some(&other.to_string())),
            },
        }
    }
    fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        Ok(match self {
            Self::Is(Value::String(text)) => Self::Is(Value::String(fill(text, variables).into_owned())),
            Self::Is(value) => Self::Is(value.clone()),
            Self::Parts(parts) => Self::Parts(Box::new(parts.resolved(variables)?)),
        })
    }
}

impl Text {
    /// The matcher with the grading's values in place of `${name}`.
    ///
    /// # Errors
    /// A sentence for the author when a pattern names a value that there is not.
    pub fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        Ok(match self {
            Self::Exactly(text) => Self::Exactly(Literal(fill(&text.0, variables).into_owned())),
            Self::Parts(parts) => Self::Parts(Box::new(parts.resolved(variables)?)),
        })
    }

    /// The matcher with every wanted text rewritten, for names with more than one spelling.
    #[must_use]
    pub fn spelled(&self, spell: &impl Fn(&str) -> String) -> Self {
        match self {
            Self::Exactly(text) => Self::Exactly(Literal(spell(&text.0))),
            Self::Parts(parts) => Self::Parts(Box::new(TextParts {
                equals: parts.equals.as_ref().map(|text| Literal(spell(&text.0))),
                not: parts.not.as_ref().map(|not| not.spelled(spell)),
                any_of: parts.any_of.as_ref().map(|any| any.iter().map(|one| one.spelled(spell)).collect()),
                ..(**parts).clone()
            })),
        }
    }

    /// Whether this text is what is wanted.
    #[must_use]
    pub fn accepts(&self, seen: &str) -> bool {
        self.accepts_option(Some(seen))
    }

    /// The same for something that may not be there at all.
    #[must_use]
    pub fn accepts_option(&self, seen: Option<&str>) -> bool {
        match self {
            Self::Exactly(text) => seen.is_some_and(|seen| same(&text.0, seen)),
            Self::Parts(parts) => parts.accepts(seen),
        }
    }

    /// Whether more text can turn an acceptance into a refusal, so that one has to wait for it.
    #[must_use]
    pub fn may_change_its_mind(&self) -> bool {
        match self {
            Self::Exactly(_) => false,
            Self::Parts(parts) => {
                parts.not.is_some()
                    || parts.absent == Some(true)
                    || parts.at_most.is_some()
                    || parts.any_of.iter().flatten().any(Self::may_change_its_mind)
            }
        }
    }
}

impl TextParts {
    fn checked(self) -> Result<Self, String> {
        let Self { equals, contains, matches, not, any_of, json, at_least, at_most, absent } = &self;
        let others = equals.is_some()
            || contains.is_some()
            || matches.is_some()
            || not.is_some()
            || any_of.is_some()
            || json.is_some()
            || at_least.is_some()
            || at_most.is_some();
        if !others && absent.is_none() {
            return Err("this matcher asks nothing; write for example {contains: …}".into());
        }
        if others && *absent == Some(true) {
            return Err("`absent: true` cannot stand beside other conditions".into());
        }
        for pointer in json.iter().flatten().map(|(pointer, _)| pointer) {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!(
                    "the JSON pointer `{pointer}` has to start with `/` (RFC 6901), as in `/status`"
                ));
            }
        }
        if at_least.is_some_and(f64::is_nan) || at_most.is_some_and(f64::is_nan) {
            return Err("a bound has to be a number".into());
        }
        Ok(self)
    }

    fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        let literal = |text: &Literal| Ok::<_, String>(Literal(fill(&text.0, variables).into_owned()));
        Ok(Self {
            equals: self.equals.as_ref().map(literal).transpose()?,
            contains: self.contains.as_ref().map(|list| list.try_map(literal)).transpose()?,
            matches: self
                .matches
                .as_ref()
                .map(|list| list.try_map(|pattern| pattern.resolved(variables)))
                .transpose()?,
            not: self.not.as_ref().map(|not| not.resolved(variables)).transpose()?,
            any_of: self
                .any_of
                .as_ref()
                .map(|any| any.iter().map(|one| one.resolved(variables)).collect::<Result<_, _>>())
                .transpose()?,
            json: self
                .json
                .as_ref()
                .map(|json| {
                    json.iter()
                        .map(|(pointer, wanted)| Ok((pointer.clone(), wanted.resolved(variables)?)))
                        .collect::<Result<_, String>>()
                })
                .transpose()?,
            ..self.clone()
        })
    }

    fn accepts(&self, seen: Option<&str>) -> bool {
        let number = || seen.and_then(|seen| seen.trim().parse::<f64>().ok());
        self.absent.is_none_or(|absent| absent == seen.is_none())
            && self.equals.as_ref().is_none_or(|text| seen.is_some_and(|seen| same(&text.0, seen)))
            && self.contains.as_ref().is_none_or(|list| {
                seen.is_some_and(|seen| list.as_slice().iter().all(|text| seen.contains(&text.0)))
            })
            && self.matches.as_ref().is_none_or(|list| {
                seen.is_some_and(|seen| list.as_slice().iter().all(|pattern| pattern.fits(seen)))
            })
            && self.not.as_ref().is_none_or(|not| !not.accepts_option(seen))
            && self.any_of.as_ref().is_none_or(|any| any.iter().any(|one| one.accepts_option(seen)))
            && self.at_least.is_none_or(|least| number().is_some_and(|number| number >= least))
            && self.at_most.is_none_or(|most| number().is_some_and(|number| number <= most))
            && self.json.as_ref().is_none_or(|json| {
                let seen: Option<Value> = seen.and_then(|seen| serde_json::from_str(seen).ok());
                seen.is_some_and(|seen| {
                    json.iter().all(|(pointer, wanted)| wanted.accepts(seen.pointer(pointer)))
                })
            })
    }
}

/// A user as `USER` and `docker run --user` name one. `root` means user 0 however it is written:
/// `root`, `0`, `0:0`, or nothing at all. A group after the colon does not count.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct User(pub Text);

impl Forms for User {
    const EXPECTING: &'static str = "a user, or a matcher such as {not: root}";
    type Parts = TextParts;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        scalar.into_text().map(|text| Self(Text::Exactly(Literal(text))))
    }
    fn from_parts(parts: TextParts) -> Result<Self, String> {
        Text::from_parts(parts).map(Self)
    }
}

impl User {
    /// The name that stands for a user as it is written.
    #[must_use]
    pub fn canonical(written: &str) -> &str {
        match written.split(':').next().unwrap_or_default().trim() {
            "" | "0" | "root" => "root",
            user => user,
        }
    }

    /// Whether this user, as it is written, is what is wanted.
    #[must_use]
    pub fn accepts(&self, written: &str) -> bool {
        self.0.spelled(&|wanted| Self::canonical(wanted).to_owned()).accepts(Self::canonical(written))
    }
}
