//! YAML 1.2 read to a [`Node`] tree with a place on every value.
//!
//! Strict where files are written by hand: one document, no key twice, only the core schema's tags.
//! Anchors, aliases and `<<` merges are resolved; how much they may unfold is bounded, and so are
//! size and depth, since compose files come from strangers. Called by `exercises` and `submissions`; the
//! room knows only [`crate::tree`].

use std::collections::HashMap;

use indexmap::IndexMap;
use indexmap::map::Entry as MapEntry;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use crate::text::visible;
use crate::tree::{Entry, Error, Node, Place, Value};

/// The largest document, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// How many lists and maps may lie inside each other.
pub const MAX_DEPTH: usize = 64;
/// How many values a document may have after its aliases are unfolded; long texts count for several.
pub const MAX_VALUES: usize = 100_000;
/// How many documents a file may have, where it may have several.
pub const MAX_DOCUMENTS: usize = 16;

/// Reads one document.
///
/// # Errors
/// What is not valid YAML or beyond the bounds above, with its place.
pub fn parse(bytes: &[u8]) -> Result<Node, Error> {
    let builder = build(bytes, Builder { most_documents: 1, ..Builder::default() })?;
    builder.roots.into_iter().next().ok_or_else(|| {
        Error::new(Place { line: 1, column: 1 }, "the file is empty (or has nothing but comments)")
    })
}

/// Reads every document of a file whose format has tags of its own, such as Compose's `!reset`.
///
/// `tags` are those tags, with their `!`. A value with one of them comes as a map whose only key is the
/// tag. Keys have to be texts: a number or boolean has to be in quotes. A file with nothing in it has no
/// documents.
///
/// # Errors
/// As [`parse`]; the bounds are for all documents together.
pub fn documents(bytes: &[u8], tags: &'static [&'static str]) -> Result<Vec<Node>, Error> {
    let builder =
        build(bytes, Builder { most_documents: MAX_DOCUMENTS, tags, text_keys: true, ..Builder::default() })?;
    Ok(builder.roots)
}

fn build(bytes: &[u8], mut builder: Builder) -> Result<Builder, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(
            Place { line: 1, column: 1 },
            format!("the file has {} bytes; at most {MAX_BYTES} are read", bytes.len()),
        ));
    }
    let text = decode(bytes)?;
    let mut parser = Parser::new_from_str(text);
    let open_end = (!text.ends_with('\n')).then(|| text.chars().count());
    while let Some(event) = parser.next_event() {
        let (mut event, span) = event.map_err(|error| syntax(text, &error))?;
        // The scanner ends a block at the end of a file with a line feed, also where the file has none; only
        // one that is there is kept (YAML 1.2.2, 8.1.1.2).
        if let Event::Scalar(value, ScalarStyle::Literal | ScalarStyle::Folded, ..) = &mut event
            && open_end.is_some_and(|end| span.end.index() >= end)
            && value.ends_with('\n')
        {
            value.to_mut().pop();
        }
        builder.event(event, place(span.start))?;
    }
    Ok(builder)
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

fn decode(bytes: &[u8]) -> Result<&str, Error> {
    let start = Place { line: 1, column: 1 };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::new(start, "the file is written in UTF-16; save it as UTF-8"));
    }
    // A byte order mark before UTF-8 is allowed (YAML 1.2.2, 5.2) and says nothing.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            let byte = bytes[error.valid_up_to()];
            Err(Error::new(
                Place { line, column },
                format!("the byte 0x{byte:02X} is not UTF-8; save the file as UTF-8"),
            ))
        }
    }
}

/// The scanner's words, with the cause where it is a frequent one.
fn syntax(text: &str, error: &ScanError) -> Error {
    let place = place(*error.marker());
    let lines: Vec<&str> = text.lines().take(place.line).collect();
    let indented_with_tab = |line: &str| line[..line.len() - line.trim_start().len()].contains('\t');
    // The scanner may notice a tab only a line later.
    for line in [place.line, place.line.saturating_sub(1)] {
        if let Some(found) = line.checked_sub(1).and_then(|i| lines.get(i)).filter(|l| indented_with_tab(l)) {
            let column = found.find('\t').map_or(1, |at| at + 1);
            return Error::new(
                Place { line, column },
                "the line is indented with a tab; YAML takes only spaces there",
            );
        }
    }
    let unquoted = lines.last().is_some_and(|line| line.matches(": ").count() > 1);
    let advice = if error.info().contains("mapping values are not allowed") && unquoted {
        "; a text that contains `: ` needs quotes"
    } else if error.info().contains("recursion limit") {
        "; too many lists and maps lie inside each other"
    } else {
        ""
    };
    Error::new(place, format!("this is not valid YAML: {}{advice}", visible(error.info())))
}

/// A list or map that is not closed yet.
enum Open {
    List(Vec<Node>),
    Map { map: IndexMap<String, Entry>, key: Option<(String, Place)>, merges: Vec<(Place, Node)> },
}

/// An [`Open`] with what its start said of it.
struct Frame {
    place: Place,
    anchor: usize,
    tag: Option<&'static str>,
    open: Open,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    documents: usize,
    most_documents: usize,
    /// Tags that are let through beside those of the core schema.
    tags: &'static [&'static str],
    /// Keys that are numbers or booleans are refused.
    text_keys: bool,
    roots: Vec<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Error> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > self.most_documents {
                    let message = if self.most_documents == 1 {
                        "a second document begins here; a file holds only one".to_owned()
                    } else {
                        format!("more than {} documents are in the file", self.most_documents)
                    };
                    return Err(Error::new(place, message));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1 + text.len() / 32, place)?;
                let empty = text.is_empty() && style == ScalarStyle::Plain;
                let own = self.own_tag(tag.as_deref());
                let value = scalar(&text, style, tag.as_deref().filter(|_| own.is_none()), place)?;
                // A value that is left out is where its key is, not where the next token happens to be.
                let place = match self.stack.last() {
                    Some(Frame { open: Open::Map { key: Some((_, key)), .. }, .. }) if empty => *key,
                    _ => place,
                };
                self.add(tagged(own, Node { place, value }), anchor)?;
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Error::new(place, "this alias stands inside the value it stands for"));
                };
                let (mut node, size) = (node.clone(), *size);
                // Where it is used is where it is wrong, as far as the whole value goes.
                node.place = place;
                self.count(size, place)?;
                self.add(node, 0)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let own = self.own_tag(tag.as_deref());
                collection_tag(tag.as_deref().filter(|_| own.is_none()), "seq", place)?;
                self.open(Frame { place, anchor, tag: own, open: Open::List(Vec::new()) })?;
            }
            Event::MappingStart(anchor, tag) => {
                let own = self.own_tag(tag.as_deref());
                collection_tag(tag.as_deref().filter(|_| own.is_none()), "map", place)?;
                let open = Open::Map { map: IndexMap::new(), key: None, merges: Vec::new() };
                self.open(Frame { place, anchor, tag: own, open })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), Error> {
        self.values = self.values.saturating_add(values);
        if self.values > MAX_VALUES {
            return Err(Error::new(
                place,
                format!("the file holds more than {MAX_VALUES} values once its aliases are unfolded"),
            ));
        }
        Ok(())
    }

    /// The one of the format's own tags that this is.
    fn own_tag(&self, tag: Option<&Tag>) -> Option<&'static str> {
        let tag = tag.filter(|tag| tag.handle == "!")?;
        self.tags.iter().copied().find(|own| own.strip_prefix('!') == Some(tag.suffix.as_str()))
    }

    fn open(&mut self, frame: Frame) -> Result<(), Error> {
        let place = frame.place;
        self.count(1, place)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(Error::new(
                place,
                format!("more than {MAX_DEPTH} lists and maps lie inside each other"),
            ));
        }
        if let Some(Frame { open: Open::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(Error::new(place, "a list or map cannot be a key; was a text in quotes meant?"));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(Frame { place, anchor, tag, open }) = self.stack.pop() else { return Ok(()) };
        let value = match open {
            Open::List(list) => Value::List(list),
            Open::Map { mut map, merges, .. } => {
                for (at, node) in merges {
                    merge(&mut map, at, node)?;
                }
                Value::Map(map)
            }
        };
        self.add(tagged(tag, Node { place, value }), anchor)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Error> {
        if anchor > 0 {
            let size = size(&node);
            // A kept anchor is a copy too.
            self.count(size, node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut() {
            None => self.roots.push(node),
            Some(Frame { open: Open::List(list), .. }) => list.push(node),
            Some(Frame { open: Open::Map { map, key, merges }, .. }) => match key.take() {
                None if self.text_keys && matches!(node.value, Value::Number(_) | Value::Bool(_)) => {
                    return Err(Error::new(
                        node.place,
                        format!("a key has to be a text, found {}; put it in quotes", node.described()),
                    ));
                }
                None => *key = Some((key_text(&node)?, node.place)),
                Some((name, at)) if name == "<<" => merges.push((at, node)),
                Some((name, at)) => match map.entry(name) {
                    MapEntry::Vacant(entry) => {
                        entry.insert(Entry { key: at, node });
                    }
                    MapEntry::Occupied(entry) => {
                        let message = format!(
                            "the key `{}` is there twice, first in line {}",
                            visible(entry.key()),
                            entry.get().key.line
                        );
                        return Err(Error::new(at, message));
                    }
                },
            },
        }
        Ok(())
    }
}

/// The value under its tag, if it has one of the format's own.
fn tagged(tag: Option<&'static str>, node: Node) -> Node {
    let Some(tag) = tag else { return node };
    let place = node.place;
    Node { place, value: Value::Map(IndexMap::from_iter([(tag.to_owned(), Entry { key: place, node })])) }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(text) | Value::Text(text) => 1 + text.len() / 32,
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(map) => {
            1 + map.iter().map(|(key, entry)| 1 + key.len() / 32 + size(&entry.node)).sum::<usize>()
        }
    }
}

fn key_text(node: &Node) -> Result<String, Error> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => Err(Error::new(node.place, "a key is missing before the `:`")),
        Value::List(_) | Value::Map(_) => Err(Error::new(node.place, "a list or map cannot be a key")),
    }
}

/// `<<: *base` and `<<: [*one, *two]`: the map's own keys win, then the earlier of the list.
fn merge(map: &mut IndexMap<String, Entry>, at: Place, node: Node) -> Result<(), Error> {
    let sources = match node.value {
        Value::Map(_) => vec![node],
        Value::List(list) => list,
        _ => return Err(Error::new(at, "`<<` takes a map, an alias of one, or a list of such")),
    };
    for source in sources {
        let Value::Map(entries) = source.value else {
            return Err(Error::new(source.place, "`<<` takes a map, an alias of one, or a list of such"));
        };
        for (key, entry) in entries {
            map.entry(key).or_insert(entry);
        }
    }
    Ok(())
}

/// What a tag of the core schema asks for; other tags are refused, since nothing here knows them.
fn core_tag(tag: &Tag, place: Place) -> Result<Option<&str>, Error> {
    if tag.is_yaml_core_schema() {
        return Ok(Some(tag.suffix.as_str()));
    }
    // `!` alone says "not resolved": a text, a list or a map.
    if tag.suffix.is_empty() && tag.handle == "!" || tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(None);
    }
    Err(Error::new(place, format!("the tag `{}` is not known here", visible(&tag.to_string()))))
}

fn collection_tag(tag: Option<&Tag>, wanted: &str, place: Place) -> Result<(), Error> {
    match tag.map(|tag| core_tag(tag, place)).transpose()?.flatten() {
        Some(found) if found != wanted => {
            Err(Error::new(place, format!("the tag `!!{}` does not fit this value", visible(found))))
        }
        _ => Ok(()),
    }
}

/// An unquoted scalar in the core schema (YAML 1.2.2, 10.3.2).
#[must_use]
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

/// A scalar with its style and tag.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, Error> {
    let resolved = if style == ScalarStyle::Plain { plain(text) } else { Value::Text(text.to_owned()) };
    let Some(tag) = tag else { return Ok(resolved) };
    let wanted = core_tag(tag, place)?;
    let fits = match wanted {
        None | Some("str") => return Ok(Value::Text(text.to_owned())),
        Some("null") => matches!(resolved, Value::Null),
        Some("bool") => matches!(resolved, Value::Bool(_)),
        Some("int" | "float") if is_number(text) => return Ok(Value::Number(text.to_owned())),
        Some(_) => false,
    };
    if fits {
        Ok(resolved)
    } else {
        let wanted = visible(wanted.unwrap_or_default()).into_owned();
        Err(Error::new(place, format!("the tag `!!{wanted}` does not fit this value")))
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0o") {
        return !digits.is_empty() && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> serde_json::Value {
        parse(text.as_bytes()).unwrap().read().unwrap()
    }

    #[test]
    fn own_tags_and_several_documents() {
        let text = "a: !reset\nb: !override [1]\nc: &c !override {d: 1}\n---\ne: !reset null\n";
        let roots = documents(text.as_bytes(), &["!reset", "!override"]).unwrap();
        let json = |node: &Node| node.read::<serde_json::Value>().unwrap();
        assert_eq!(
            json(&roots[0]),
            serde_json::json!({"a": {"!reset": null}, "b": {"!override": [1]}, "c": {"!override": {"d": 1}}})
        );
        assert_eq!(json(&roots[1]), serde_json::json!({"e": {"!reset": null}}));
        assert!(documents(b"a: !other 1", &["!reset"]).unwrap_err().message.contains("`!other`"));
        assert!(parse(b"a: !reset 1").is_err());
        assert_eq!(documents(b"# nothing\n", &[]).unwrap(), []);
        assert!(
            documents(b"a: {1: x}", &[]).unwrap_err().message.contains("the number `1`; put it in quotes")
        );
        assert!(documents(b"{'1': x, \"true\": y}", &[]).is_ok());
    }

    #[test]
    fn a_block_at_the_end_of_a_file_has_the_line_feeds_that_are_there() {
        for (text, value) in [
            ("a: |\n  x\n  y", "x\ny"),
            ("a: |\n  x\n", "x\n"),
            ("a: |-\n  x", "x"),
            ("a: >\n  x\n  y", "x y"),
            ("a: |\n  é", "é"),
        ] {
            assert_eq!(json(text), serde_json::json!({"a": value}), "{text:?}");
        }
        assert_eq!(json("a: |\n  x\nb: y"), serde_json::json!({"a": "x\n", "b": "y"}));
    }

    #[test]
    fn core_scalars() {
        for (text, value) in [
            ("1", serde_json::json!(1)),
            ("-7", serde_json::json!(-7)),
            ("+7", serde_json::json!(7)),
            ("0o17", serde_json::json!(15)),
            ("0xFF", serde_json::json!(255)),
            ("0644", serde_json::json!(644)),
            ("1.5e3", serde_json::json!(1500.0)),
            (".5", serde_json::json!(0.5)),
            ("~", serde_json::json!(null)),
            ("True", serde_json::json!(true)),
            ("yes", serde_json::json!("yes")),
            ("1.2.3", serde_json::json!("1.2.3")),
            ("12:30", serde_json::json!("12:30")),
            ("1_000", serde_json::json!("1_000")),
            ("e5", serde_json::json!("e5")),
            (".", serde_json::json!(".")),
            ("'1'", serde_json::json!("1")),
            ("!!str 1", serde_json::json!("1")),
            ("! 1", serde_json::json!("1")),
            ("!!int 1", serde_json::json!(1)),
            ("|\n  a\n  b\n", serde_json::json!("a\nb\n")),
        ] {
            assert_eq!(json(text), value, "{text}");
        }
    }

    #[test]
    fn anchors_and_merges() {
        let text = "base: &base {a: 1, b: 1}\nmore: &more {c: 2, b: 2}\nuse:\n  <<: [*base, *more]\n  a: 3\nagain: *base\n";
        assert_eq!(json(text)["use"], serde_json::json!({"a": 3, "b": 1, "c": 2}));
        assert_eq!(json(text)["again"], serde_json::json!({"a": 1, "b": 1}));
    }

    #[test]
    fn windows_files_are_read() {
        assert_eq!(json("\u{feff}a: 1\r\nb:\r\n  - x\r\n"), serde_json::json!({"a": 1, "b": ["x"]}));
    }

    #[test]
    fn mistakes_have_places() {
        let deep = "[".repeat(80);
        let deep_block = "- ".repeat(80);
        let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain((1..20).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "))))
            .collect();
        for (text, line, column, message) in [
            ("", 1, 1, "the file is empty (or has nothing but comments)"),
            ("# only\n", 1, 1, "the file is empty (or has nothing but comments)"),
            ("a: 1\nb: 2\na: 3\n", 3, 1, "the key `a` is there twice, first in line 1"),
            ("a: {x: 1, x: 2}\n", 1, 11, "the key `x` is there twice, first in line 1"),
            ("a: 1\n---\nb: 2\n", 2, 1, "a second document begins here; a file holds only one"),
            ("a:\n\tb: 1\n", 2, 1, "the line is indented with a tab; YAML takes only spaces there"),
            ("? [a]\n: b\n", 1, 3, "a list or map cannot be a key; was a text in quotes meant?"),
            (": b\n", 1, 1, "a key is missing before the `:`"),
            ("a: !env x\n", 1, 4, "the tag `!env` is not known here"),
            ("a: !!int x\n", 1, 4, "the tag `!!int` does not fit this value"),
            ("a: &a [*a]\n", 1, 8, "this alias stands inside the value it stands for"),
            ("a: 1\nb: {<<: 1}\n", 2, 5, "`<<` takes a map, an alias of one, or a list of such"),
            (&deep, 1, 65, "more than 64 lists and maps lie inside each other"),
            (&deep_block, 1, 129, "more than 64 lists and maps lie inside each other"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.place.line, error.place.column, error.message.as_str()),
                (line, column, message),
                "{text}"
            );
        }
        let error = parse(bomb.as_bytes()).unwrap_err();
        assert!(error.message.contains("more than 100000 values"), "{error:?}");
        let error = parse(b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!((error.place.line, error.place.column), (2, 4));
        assert_eq!(error.message, "the byte 0xFF is not UTF-8; save the file as UTF-8");
        let error = parse(&b"\xff\xfea\0"[..]).unwrap_err();
        assert_eq!(error.message, "the file is written in UTF-16; save it as UTF-8");
        let error = parse(b"title: one: two\n").unwrap_err();
        assert!(error.message.ends_with("a text that contains `: ` needs quotes"), "{error:?}");
        let error = parse("[".repeat(10 << 20).as_bytes()).unwrap_err();
        assert_eq!(error.message, "the file has 10485760 bytes; at most 1048576 are read");
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), vec!["*a"; 1000].join(","));
        assert!(parse(long.as_bytes()).unwrap_err().message.contains("more than 100000 values"));
    }

    #[test]
    fn hostile_documents_end_quickly() {
        let clock = crate::clock::Clock::system();
        for text in [
            "[".repeat(MAX_BYTES),
            "- ".repeat(MAX_BYTES / 2),
            "? ".repeat(MAX_BYTES / 2),
            "{a: ".repeat(MAX_BYTES / 4),
            format!("\"{}", "\\x41".repeat(MAX_BYTES / 4 - 1)),
            "&a ".repeat(MAX_BYTES / 3),
            "a\n".repeat(MAX_BYTES / 2),
            " ".repeat(MAX_BYTES),
            "#".repeat(MAX_BYTES),
            "a: b\n".repeat(MAX_BYTES / 5),
            format!("[a,{}", "a,".repeat(MAX_BYTES / 2 - 2)),
            (0..60_000).map(|i| ["k", &i.to_string(), ": v\n"].concat()).collect(),
        ] {
            let watch = clock.stopwatch();
            let _ = parse(text.as_bytes());
            // Other tests run beside it; what is not linear takes minutes.
            assert!(watch.seconds() < 20.0, "{} s for {}…", watch.seconds(), &text[..10.min(text.len())]);
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn yamlish_texts_never_panic(text in "[a:\\- \n\t\\[\\]{},&*!|>'\"#?%<0-9.]{0,120}") {
            if let Ok(node) = parse(text.as_bytes()) {
                let _ = node.read::<serde_json::Value>();
            }
        }
    }
}
