//! Matchers for numbers, sizes and permission bits.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{Forms, Never, Scalar, deserialize_forms};
use super::listed;
use crate::units::ByteSize;

/// A whole number: the number itself, a list of which one must be, or bounds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// Exactly this.
    Exactly(i64),
    /// One of these.
    OneOf(Vec<i64>),
    /// All that is said.
    Parts(Box<NumberParts>),
}

/// Conditions on a number; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberParts {
    /// This or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// This or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// Not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Number>,
    /// At least one of these accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Number>>,
}

impl Forms for Number {
    const EXPECTING: &'static str = "a number, a list of numbers, or {at_least, at_most, not, any_of}";
    type Parts = NumberParts;
    type Item = i64;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Integer(number) => Ok(Self::Exactly(number)),
            Scalar::Text(text) => text
                .trim()
                .parse()
                .map(Self::Exactly)
                .map_err(|_| format!("`{text}` is no whole number; expected {}", Self::EXPECTING)),
            _ => Err(format!("expected {}", Self::EXPECTING)),
        }
    }
    fn from_list(list: Vec<i64>) -> Result<Self, String> {
        Ok(Self::OneOf(list))
    }
    fn from_parts(parts: NumberParts) -> Result<Self, String> {
        if parts == NumberParts::default() {
            return Err("nothing is asked here; write at_least, at_most, not or any_of".into());
        }
        Ok(Self::Parts(Box::new(parts)))
    }
}
deserialize_forms!(Number, Mode, Octal, Size);

impl Number {
    /// Whether `seen` is what is wanted.
    #[must_use]
    pub fn accepts(&self, seen: i64) -> bool {
        match self {
            Self::Exactly(number) => *number == seen,
            Self::OneOf(numbers) => numbers.contains(&seen),
            Self::Parts(parts) => {
                parts.at_least.is_none_or(|least| seen >= least)
                    && parts.at_most.is_none_or(|most| seen <= most)
                    && parts.not.as_ref().is_none_or(|not| !not.accepts(seen))
                    && parts.any_of.as_ref().is_none_or(|any| any.iter().any(|one| one.accepts(seen)))
            }
        }
    }

    /// "200", "at least 3", "between 200 and 299", "not 137".
    #[must_use]
    pub fn describe(&self) -> String {
        let one_of = |numbers: Vec<String>| match numbers.as_slice() {
            [] => "none at all".to_owned(),
            _ => listed(&numbers, "or"),
        };
        match self {
            Self::Exactly(number) => number.to_string(),
            Self::OneOf(numbers) => one_of(numbers.iter().map(i64::to_string).collect()),
            Self::Parts(parts) => {
                let mut said = Vec::new();
                match (parts.at_least, parts.at_most) {
                    (Some(least), Some(most)) => said.push(format!("between {least} and {most}")),
                    (Some(least), None) => said.push(format!("at least {least}")),
                    (None, Some(most)) => said.push(format!("at most {most}")),
                    (None, None) => {}
                }
                if let Some(any) = &parts.any_of {
                    said.push(one_of(any.iter().map(Self::describe).collect()));
                }
                if let Some(not) = &parts.not {
                    said.push(format!("not {}", not.describe()));
                }
                listed(&said, "and")
            }
        }
    }

    /// Mistakes of a matcher for a number that can only be in `range`.
    pub fn mistakes(&self, field: &str, range: &RangeInclusive<i64>, mistakes: &mut Vec<String>) {
        match self {
            Self::Exactly(number) if !range.contains(number) => mistakes.push(format!(
                "`{field}` can never be {number}; it is between {} and {}",
                range.start(),
                range.end()
            )),
            Self::OneOf(numbers) if !numbers.iter().any(|number| range.contains(number)) => {
                mistakes.push(format!("`{field}` can never be one of the numbers in the list"));
            }
            Self::Exactly(_) | Self::OneOf(_) => {}
            Self::Parts(parts) => {
                // A bound that says what is so anyway is harmless beside one that says something.
                let least = parts.at_least.is_some_and(|least| least > *range.start());
                let most = parts.at_most.is_some_and(|most| most < *range.end());
                let bounds = parts.at_least.is_some() || parts.at_most.is_some();
                if bounds && !least && !most && parts.not.is_none() && parts.any_of.is_none() {
                    mistakes.push(format!("`{field}` can never fail: every possible number fits its bounds"));
                }
                if let (Some(least), Some(most)) = (parts.at_least, parts.at_most)
                    && least > most
                {
                    mistakes.push(format!(
                        "`{field}` can never pass: no number is at least {least} and at most {most}"
                    ));
                }
                if parts.any_of.as_ref().is_some_and(Vec::is_empty) {
                    mistakes.push(format!(
                        "`{field}.any_of` is empty, so it decides nothing; name at least one number"
                    ));
                }
                for one in parts.any_of.iter().flatten() {
                    one.mistakes(&format!("{field}.any_of"), range, mistakes);
                }
                match &parts.not {
                    Some(Self::Exactly(number)) if !range.contains(number) => {
                        mistakes.push(format!("`{field}` can never fail: it can never be {number} anyway"));
                    }
                    Some(Self::OneOf(numbers)) if !numbers.iter().any(|number| range.contains(number)) => {
                        mistakes
                            .push(format!("`{field}.not` can never fail: none of its numbers is possible"));
                    }
                    Some(Self::Parts(_)) => {
                        if let Some(not) = &parts.not {
                            not.mistakes(&format!("{field}.not"), range, mistakes);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A size in bytes: exact, or bounds.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// Exactly so many bytes.
    Exactly(ByteSize),
    /// Bounds.
    Parts(SizeParts),
}

/// Bounds of a size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeParts {
    /// This or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<ByteSize>,
    /// This or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<ByteSize>,
}

impl Forms for Size {
    const EXPECTING: &'static str = "a size such as `64kB`, or {at_least, at_most}";
    type Parts = SizeParts;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Integer(bytes) => u64::try_from(bytes)
                .map(|bytes| Self::Exactly(ByteSize(bytes)))
                .map_err(|_| format!("a size cannot be negative: {bytes}")),
            Scalar::Text(text) => text.parse().map(Self::Exactly).map_err(|error| format!("{error}")),
            _ => Err(format!("expected {}", Self::EXPECTING)),
        }
    }
    fn from_parts(parts: SizeParts) -> Result<Self, String> {
        if parts == SizeParts::default() {
            return Err("nothing is asked here; write at_least or at_most".into());
        }
        Ok(Self::Parts(parts))
    }
}

impl Size {
    /// Whether so many bytes are what is wanted.
    #[must_use]
    pub fn accepts(&self, bytes: u64) -> bool {
        match self {
            Self::Exactly(size) => size.0 == bytes,
            Self::Parts(parts) => {
                parts.at_least.is_none_or(|least| bytes >= least.0)
                    && parts.at_most.is_none_or(|most| bytes <= most.0)
            }
        }
    }

    /// "at most 64 KiB".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Exactly(size) => format!("exactly {} bytes", size.0),
            Self::Parts(SizeParts { at_least: Some(least), at_most: Some(most) }) => {
                format!("between {least} and {most}")
            }
            Self::Parts(SizeParts { at_least: Some(least), .. }) => format!("at least {least}"),
            Self::Parts(SizeParts { at_most: Some(most), .. }) => format!("at most {most}"),
            Self::Parts(_) => "of any size".into(),
        }
    }

    /// Mistakes that can be told without seeing anything.
    pub fn mistakes(&self, field: &str, mistakes: &mut Vec<String>) {
        let Self::Parts(parts) = self else { return };
        if parts.at_most.is_none() && parts.at_least.is_none_or(|least| least.0 == 0) {
            mistakes.push(format!("`{field}` can never fail: nothing is smaller than 0 bytes"));
        }
        if let (Some(least), Some(most)) = (parts.at_least, parts.at_most)
            && least > most
        {
            mistakes
                .push(format!("`{field}` can never pass: no size is at least {least} and at most {most}"));
        }
    }
}

/// Permission bits in octal, as `chmod` takes them. A plain number is read by its digits: `755` and
/// `0755` both mean `rwxr-xr-x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octal(pub u32);

impl Serialize for Octal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Octal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl JsonSchema for Octal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Octal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Permission bits in octal, as chmod takes them: \"0755\".",
            "type": ["string", "integer"],
            "pattern": "^(0o)?[0-7]{1,5}$"
        })
    }
}

impl Forms for Octal {
    const EXPECTING: &'static str = "permission bits in octal such as \"0755\"";
    type Parts = Never;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        let text = scalar.into_text()?;
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        u32::from_str_radix(digits, 8)
            .ok()
            .filter(|bits| *bits <= 0o7777)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not {}; put it in quotes", Self::EXPECTING))
    }
    fn from_parts(parts: Never) -> Result<Self, String> {
        match parts {}
    }
}

/// Permission bits: exact, or which are set and which are not.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Mode {
    /// Exactly these bits.
    Exactly(Octal),
    /// Some bits.
    Parts(ModeParts),
}

/// Which bits are set and which are not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeParts {
    /// All of these are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<Octal>,
    /// None of these is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Octal>,
}

impl Forms for Mode {
    const EXPECTING: &'static str = "permission bits such as \"0755\", or {has, lacks}";
    type Parts = ModeParts;
    type Item = String;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Octal::from_scalar(scalar).map(Self::Exactly)
    }
    fn from_parts(parts: ModeParts) -> Result<Self, String> {
        if parts == ModeParts::default() {
            return Err("nothing is asked here; write has or lacks".into());
        }
        Ok(Self::Parts(parts))
    }
}

impl Mode {
    /// Whether these bits are what is wanted.
    #[must_use]
    pub fn accepts(&self, mode: u32) -> bool {
        match self {
            Self::Exactly(bits) => bits.0 == mode & 0o7777,
            Self::Parts(parts) => {
                parts.has.is_none_or(|bits| mode & bits.0 == bits.0)
                    && parts.lacks.is_none_or(|bits| mode & bits.0 == 0)
            }
        }
    }

    /// "mode 0755", "mode with 0111 set and 0002 not set".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Exactly(bits) => format!("mode {bits}"),
            Self::Parts(parts) => {
                let mut said = Vec::new();
                said.extend(parts.has.map(|bits| format!("{bits} set")));
                said.extend(parts.lacks.map(|bits| format!("{bits} not set")));
                format!("mode with {}", listed(&said, "and"))
            }
        }
    }

    /// Mistakes that can be told without seeing anything.
    pub fn mistakes(&self, field: &str, mistakes: &mut Vec<String>) {
        let Self::Parts(parts) = self else { return };
        let (has, lacks) = (parts.has.map_or(0, |bits| bits.0), parts.lacks.map_or(0, |bits| bits.0));
        if has | lacks == 0 {
            mistakes.push(format!("`{field}` can never fail: it names no bit"));
        }
        if has & lacks != 0 {
            mistakes.push(format!("`{field}` can never pass: the same bit is wanted set and not set"));
        }
    }
}
