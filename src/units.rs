//! Sizes and times as people write them: `256MiB`, `64kB`, `500ms`, `2m`.
//!
//! Used wherever a person writes or reads a number with a unit: exercise definitions, settings,
//! sentences in reports. The room knows of no other. Inside the code a size is a `u64` of bytes and
//! a time a [`Duration`]; these newtypes stand at the borders.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes. Written as a plain number (bytes) or with a unit: `B`, `kB`, `MB`, `GB`, `TB`
/// are powers of 1000, `KiB`, `MiB`, `GiB`, `TiB` powers of 1024 (IEC 80000-13). `Display` is for
/// people (`256 MiB`, `1.4 GiB`); what is serialized is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A span of time. Written with a unit: `500ms`, `10s`, `2m`, `1h`, or several from large to small
/// (`1m30s`). `Display` is for people (`1 min 30 s`); what is serialized is exact to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Why a text is no size or no time: one sentence for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// From large to small, in milliseconds.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl ByteSize {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// As it is written in definitions and settings; reads back as the same number.
    fn exact(self) -> String {
        for unit in ["TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"] {
            let factor = BYTE_UNITS.iter().find(|(name, _)| *name == unit).map_or(1, |(_, factor)| *factor);
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return format!("{}{unit}", self.0 / factor);
            }
        }
        format!("{}B", self.0)
    }
}

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// As it is written in definitions and settings.
    fn exact(self) -> String {
        self.parts("", |unit| unit)
    }

    fn parts(self, gap: &str, name: impl Fn(&'static str) -> &'static str) -> String {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        // A time below ten seconds reads better as `1.5 s` than as `1 s 500 ms`; that form is only
        // for people, since it is the one with a gap.
        if !gap.is_empty() && (1000..10_000).contains(&rest) && !rest.is_multiple_of(1000) {
            let text = format!("{}.{:03}", rest / 1000, rest % 1000);
            return format!("{}{gap}{}", text.trim_end_matches('0'), name("s"));
        }
        let mut parts = Vec::new();
        for (unit, factor) in TIME_UNITS {
            if rest >= factor {
                parts.push(format!("{}{gap}{}", rest / factor, name(unit)));
                rest %= factor;
            }
        }
        if parts.is_empty() {
            parts.push(format!("0{gap}{}", name("s")));
        }
        parts.join(gap)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: [(&str, u64); 4] =
            [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let Some((unit, factor)) = units.into_iter().find(|(_, factor)| self.0 >= *factor) else {
            return if self.0 == 1 { f.write_str("1 byte") } else { write!(f, "{} bytes", self.0) };
        };
        // Tenths in whole numbers: exact where a float would round a large size.
        let tenths = u128::from(self.0) * 10 / u128::from(factor);
        if tenths.is_multiple_of(10) || tenths >= 1000 {
            write!(f, "{} {unit}", tenths / 10)
        } else {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts(" ", |unit| if unit == "m" { "min" } else { unit }))
    }
}

/// A decimal number at the start of `text`, as whole and billionths, and what follows it.
fn leading_number(text: &str) -> Option<(u64, u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|f| !digits(f) || f.len() > 9) {
        return None;
    }
    let billionths = fraction.map_or(Ok(0), |f| format!("{f:0<9}").parse()).ok()?;
    Some((whole.parse().ok()?, billionths, rest))
}

/// `whole.billionths * factor`, `None` where it does not fit or is not a whole number.
fn times(whole: u64, billionths: u64, factor: u64) -> Option<u64> {
    let scaled = (u128::from(whole) * 1_000_000_000 + u128::from(billionths)) * u128::from(factor);
    if !scaled.is_multiple_of(1_000_000_000) {
        return None;
    }
    u64::try_from(scaled / 1_000_000_000).ok()
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || {
            UnitError(format!(
                "`{}` is not a size; write a number with a unit, such as `256MiB`, `1.5GiB` or `64kB`, \
                 or a plain number of bytes",
                crate::text::visible(text)
            ))
        };
        let (whole, billionths, unit) = leading_number(text.trim()).ok_or_else(wrong)?;
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            _ => match BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
                Some((_, factor)) => *factor,
                None => return Err(wrong()),
            },
        };
        // A quarter of a byte is cut off where it comes from a unit (`1.3MiB`), and wrong where bytes
        // were written.
        let bytes = (u128::from(whole) * 1_000_000_000 + u128::from(billionths)) * u128::from(factor);
        if factor == 1 && billionths != 0 {
            return Err(wrong());
        }
        u64::try_from(bytes / 1_000_000_000)
            .ok()
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .map(Self)
            .ok_or_else(|| UnitError(format!("`{}` is more bytes than can be counted", text.trim())))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |why: &str| {
            UnitError(format!(
                "`{}` {why}; write a number with a unit, such as `500ms`, `10s`, `2m` or `1m30s`",
                crate::text::visible(text)
            ))
        };
        let mut rest = text.trim();
        let mut millis = 0u64;
        let mut allowed = &TIME_UNITS[..];
        while !rest.is_empty() || millis == 0 && allowed.len() == TIME_UNITS.len() {
            let (whole, billionths, after) = leading_number(rest).ok_or_else(|| wrong("is not a time"))?;
            let after = after.trim_start();
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let unit = match &after[..end] {
                "" => return Err(wrong("has no unit of time")),
                "min" => "m",
                unit => unit,
            };
            let index =
                allowed.iter().position(|(name, _)| *name == unit).ok_or_else(|| wrong("is not a time"))?;
            millis = times(whole, billionths, allowed[index].1)
                .and_then(|more| millis.checked_add(more))
                .filter(|millis| *millis <= 1000 * 3600 * 24 * 365 * 100)
                .ok_or_else(|| wrong("is no whole number of milliseconds, or too long"))?;
            allowed = &allowed[index + 1..];
            rest = after[end..].trim_start();
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

struct SizeVisitor;

impl de::Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `256MiB`")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        i64::try_from(bytes)
            .map_err(|_| E::custom(format!("`{bytes}` is more bytes than can be counted")))?;
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes)
            .map(ByteSize)
            .map_err(|_| E::custom(format!("a size cannot be negative: {bytes}")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

struct SpanVisitor;

impl de::Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as `10s`")
    }

    // A bare number is refused by name, because seconds and milliseconds are both a natural guess.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.exact())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.exact())
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: a plain number of bytes, or a number with a unit, such as 256MiB, 1.5GiB or 64kB.",
            "oneOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,9})? ?([kKmMgGtT]i?)?[bB]?$"}
            ]
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A span of time with its unit, such as 500ms, 10s, 2m or 1m30s.",
            "type": "string",
            "pattern": "^([0-9]+(\\.[0-9]{1,9})? ?(h|min|m|s|ms) ?)+$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown, exact) in [
            ("0", 0, "0 bytes", "0B"),
            ("1", 1, "1 byte", "1B"),
            ("256MiB", 256 << 20, "256 MiB", "256MiB"),
            ("256 mib", 256 << 20, "256 MiB", "256MiB"),
            ("1.5GiB", 3 << 29, "1.5 GiB", "1536MiB"),
            ("64kB", 64_000, "62.5 KiB", "64kB"),
            ("1TB", 1_000_000_000_000, "931 GiB", "1TB"),
            ("1025", 1025, "1 KiB", "1025B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(
                (size.0, size.to_string(), size.exact()),
                (bytes, shown.into(), exact.into()),
                "{text}"
            );
            assert_eq!(size.exact().parse(), Ok(size));
        }
        for text in
            ["", "MiB", "-1", "1 parsec", "1.", ".5MiB", "1.5", "1e3", "64m", "99999999999999999999TB"]
        {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(
            "64m".parse::<ByteSize>().unwrap_err().to_string(),
            "`64m` is not a size; write a number with a unit, such as `256MiB`, `1.5GiB` or `64kB`, or a plain \
             number of bytes"
        );
    }

    #[test]
    fn times_are_read_and_shown() {
        for (text, millis, shown, exact) in [
            ("500ms", 500, "500 ms", "500ms"),
            ("10s", 10_000, "10 s", "10s"),
            ("1.5s", 1500, "1.5 s", "1s500ms"),
            ("2m", 120_000, "2 min", "2m"),
            ("1m30s", 90_000, "1 min 30 s", "1m30s"),
            ("1 h 5 min", 3_900_000, "1 h 5 min", "1h5m"),
            ("0s", 0, "0 s", "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.0, span.to_string(), span.exact()),
                (Duration::from_millis(millis), shown.into(), exact.into()),
                "{text}"
            );
            assert_eq!(span.exact().parse(), Ok(span));
        }
        for text in ["", "s", "-1s", "1s1m", "1s1s", "1 day", "0.0001s", "999999999999999h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(
            "10".parse::<Span>().unwrap_err().to_string(),
            "`10` has no unit of time; write a number with a unit, such as `500ms`, `10s`, `2m` or `1m30s`"
        );
    }

    #[test]
    fn numbers_and_texts_are_taken_from_serde() {
        let sizes: Vec<ByteSize> = serde_json::from_str(r#"[5, "5kB"]"#).unwrap();
        assert_eq!(sizes, [ByteSize(5), ByteSize(5000)]);
        assert!(serde_json::from_str::<ByteSize>("-5").is_err());
        assert!(serde_json::from_str::<ByteSize>("1.5").is_err());
        assert!(serde_json::from_str::<Span>("10").is_err());
        assert_eq!(serde_json::to_string(&Span::from_secs(10)).unwrap(), r#""10s""#);
    }
}
