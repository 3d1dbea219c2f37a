//! A [`Node`] as a serde [`Deserializer`], with errors in plain words that carry their place.

use std::fmt;

use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};

use super::{Entry, Error, Node, Place, Value, unknown};
use crate::text::visible;

/// serde's "expected" words, made plain.
fn plain_expected(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    if expected.starts_with("struct ") || expected.starts_with("map") {
        return "a map of keys and values".into();
    }
    match expected.as_str() {
        "a string" | "string" => "a text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number from 0 on".into(),
        "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        _ if expected.starts_with("enum ") || expected.starts_with("string or map") => {
            "one of its words".into()
        }
        _ if expected.starts_with("data did not match") => "another form".into(),
        _ => expected,
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Place::default(), message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(number) => format!("the number `{number}`"),
            Unexpected::Signed(number) => format!("the number `{number}`"),
            Unexpected::Float(number) => format!("the number `{number}`"),
            Unexpected::Str(text) => format!("the text `{}`", visible(&crate::text::cut_middle(text, 60))),
            Unexpected::Unit | Unexpected::Option => "nothing".into(),
            Unexpected::Seq => "a list".into(),
            Unexpected::Map => "a map".into(),
            other => other.to_string(),
        };
        Self::custom(format!("expected {}, found {found}", plain_expected(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("expected {}, found {length} of them", plain_expected(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("word", variant, expected.iter().copied()))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("key", field, expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: true, ..Self::custom(format!("the key `{field}` is missing")) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("the key `{field}` is there twice"))
    }
}

/// A number as it is written, to whichever of serde's numbers it fits.
fn visit_number<'de, V: Visitor<'de>>(number: &str, visitor: V) -> Result<V::Value, Error> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let radix = |prefix: &str, radix| digits.strip_prefix(prefix).map(|d| u64::from_str_radix(d, radix));
    if let Some(Ok(whole)) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| Some(digits.parse())) {
        visitor.visit_u64(whole)
    } else if let Ok(whole) = digits.parse() {
        visitor.visit_i64(whole)
    } else {
        let lower = digits.to_lowercase();
        // YAML writes these two with a point.
        let float = lower.replace(".inf", "inf").replace(".nan", "nan");
        let float = float
            .parse()
            .map_err(|_| de::Error::custom(format!("`{digits}` is not a number we can read")))?;
        visitor.visit_f64(float)
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|node| seed.deserialize(node).map_err(|e| e.at(node.place))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    entries: indexmap::map::Iter<'de, String, Entry>,
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.value = Some(&entry.node);
        let key = de::value::StrDeserializer::<Error>::new(key);
        seed.deserialize(key).map(Some).map_err(|e| e.at(entry.key))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node =
            self.value.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(node).map_err(|e| e.at(node.place))
    }
}

struct Variant<'de> {
    name: &'de str,
    place: Place,
    content: Option<&'de Node>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: de::value::StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name).map_err(|e| e.at(self.place))?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<&'de Node, Error> {
        self.content
            .ok_or_else(|| Error::new(self.place, format!("`{0}` needs a value: `{0}: …`", self.name)))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            Some(node) if node.value != Value::Null => {
                Err(Error::new(node.place, format!("`{}` stands alone and takes no value", self.name)))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let node = self.content()?;
        seed.deserialize(node).map_err(|e| e.at(node.place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => visit_number(number, visitor),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Items(list.iter())),
            Value::Map(map) => visitor.visit_map(Entries { entries: map.iter(), value: None }),
        }
        .map_err(|e| e.at(self.place))
    }

    /// A number is taken as it is written: `GREETING: 1.10` is the text "1.10".
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Number(number) => visitor.visit_borrowed_str(number).map_err(|e: Error| e.at(self.place)),
            Value::Bool(value) => Err(Error::new(
                self.place,
                format!(
                    "expected a text, found `{value}`; put it in quotes if the word is meant: \"{value}\""
                ),
            )),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Value::Text(text) = &self.value {
            let meant = match text.to_lowercase().as_str() {
                "yes" | "on" => Some("true"),
                "no" | "off" => Some("false"),
                _ => None,
            };
            if let Some(meant) = meant {
                return Err(Error::new(
                    self.place,
                    format!("expected `true` or `false`, found the text `{text}`; write `{meant}`"),
                ));
            }
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|e| e.at(self.place))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|e| e.at(self.place))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // A list would be taken for the fields in their order; nobody means that.
        if self.map().is_none() {
            let keys: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
            return Err(Error::new(
                self.place,
                format!("expected a map with keys such as {}, found {}", keys.join(", "), self.described()),
            ));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = match &self.value {
            Value::Text(name) | Value::Number(name) => Variant { name, place: self.place, content: None },
            Value::Map(map) if map.len() == 1 => {
                let (name, entry) =
                    &map.get_index(0).ok_or_else(|| Error::new(self.place, "an empty map"))?;
                Variant { name, place: entry.key, content: Some(&entry.node) }
            }
            _ => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                let found = match &self.value {
                    Value::Map(map) if map.is_empty() => "an empty map".into(),
                    Value::Map(map) => format!("a map of {} keys", map.len()),
                    _ => self.described(),
                };
                return Err(Error::new(
                    self.place,
                    format!("expected one of {}, found {found}", words.join(", ")),
                ));
            }
        };
        visitor.visit_enum(variant).map_err(|e| e.at(self.place))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::units::{ByteSize, Span};

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        port: u16,
        #[serde(default)]
        name: String,
        #[serde(default)]
        open: bool,
        #[serde(default)]
        memory: ByteSize,
        #[serde(default)]
        within: Option<Span>,
        #[serde(default)]
        colour: Colour,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        list: Vec<Sample>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        #[default]
        Red,
        Mixed {
            green: u8,
        },
    }

    fn read(text: &str) -> Result<Sample, Vec<(usize, usize, String)>> {
        let node = crate::yaml::parse(text.as_bytes()).unwrap();
        node.read_all(Node::read)
            .map_err(|errors| errors.into_iter().map(|e| (e.place.line, e.place.column, e.message)).collect())
    }

    #[test]
    fn a_document_is_read() {
        let sample = read(
            "port: 0x50\nname: 1.10\nopen: true\nmemory: 1MiB\nwithin: 2s\ncolour: {mixed: {green: 7}}\n\
             env: {A: 8080, B: '1'}\nlist: [{port: 1}]\n",
        )
        .unwrap();
        assert_eq!((sample.port, sample.name.as_str(), sample.memory.0), (80, "1.10", 1 << 20));
        assert_eq!(sample.env["A"], "8080");
        assert_eq!(sample.colour, Colour::Mixed { green: 7 });
        assert_eq!(sample.list[0].port, 1);
    }

    #[test]
    fn every_mistake_has_its_place_and_its_sentence() {
        for (text, expected) in [
            ("prot: 1\nport: 2\n", (1, 1, "unknown key `prot`, did you mean `port`?")),
            ("name: x\n", (1, 1, "the key `port` is missing")),
            ("port: 70000\n", (1, 7, "expected a whole number from 0 to 65535, found the number `70000`")),
            ("port: -1\n", (1, 7, "expected a whole number from 0 to 65535, found the number `-1`")),
            ("port: eighty\n", (1, 7, "expected a whole number from 0 to 65535, found the text `eighty`")),
            ("port: 1\nname:\n", (2, 1, "expected a text, found nothing")),
            ("port: 1\nname: [a]\n", (2, 7, "expected a text, found a list")),
            (
                "port: 1\nname: true\n",
                (2, 7, "expected a text, found `true`; put it in quotes if the word is meant: \"true\""),
            ),
            (
                "port: 1\nopen: yes\n",
                (2, 7, "expected `true` or `false`, found the text `yes`; write `true`"),
            ),
            (
                "port: 1\nwithin: 10\n",
                (
                    2,
                    9,
                    "`10` has no unit of time; write a number with a unit, such as `500ms`, `10s`, `2m` or `1m30s`",
                ),
            ),
            ("port: 1\ncolour: rde\n", (2, 9, "unknown word `rde`, did you mean `red`?")),
            ("port: 1\ncolour: mixed\n", (2, 9, "`mixed` needs a value: `mixed: …`")),
            (
                "port: 1\ncolour:\n  mixed:\n    green: 300\n",
                (4, 12, "expected a whole number from 0 to 255, found the number `300`"),
            ),
            ("port: 1\ncolour: 7\n", (2, 9, "unknown word `7`; there are `red` and `mixed`")),
            (
                "port: 1\nlist:\n  - port: 1\n  - prot: 1\n",
                (4, 5, "unknown key `prot`, did you mean `port`?"),
            ),
            ("port: 1\nlist: {}\n", (2, 7, "expected a list, found a map")),
            ("port: 1\nenv:\n  A: 1\n  B: [x]\n", (4, 6, "expected a text, found a list")),
            (
                "- 1\n",
                (
                    1,
                    1,
                    "expected a map with keys such as `port`, `name`, `open`, `memory`, `within`, `colour`, `env`, \
                 `list`, found a list",
                ),
            ),
        ] {
            let (line, column, message) = expected;
            let errors = read(text).unwrap_err();
            assert_eq!(errors, [(line, column, message.to_owned())], "{text}");
        }
    }

    #[test]
    fn all_keys_of_a_map_are_looked_at() {
        let errors = read("nmae: x\nopen: maybe\nmemory: -1\n").unwrap_err();
        let messages: Vec<&str> = errors.iter().map(|(_, _, message)| message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "unknown key `nmae`, did you mean `name`?",
                "expected `true` or `false`, found the text `maybe`",
                "a size cannot be negative: -1",
            ]
        );
    }
}
