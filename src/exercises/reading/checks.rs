//! `checks`: the common keys, and one that names the kind.

use indexmap::IndexMap;

use super::Reader;
use crate::checks::{Kind, Surroundings};
use crate::exercises::definition::{COMMON_KEYS, CheckCommon, Hints};
use crate::exercises::exercise::CheckSpec;
use crate::text::visible;
use crate::tree::{Entry, Node, Place, Value, likely, unknown};

impl Reader<'_> {
    /// `around` is `None` where what is around could not be read: then nothing is told about whether the
    /// checks fit it.
    pub(super) fn checks(&mut self, around: Option<&Surroundings<'_>>) -> Vec<CheckSpec> {
        let Some(node) = self.node.get("checks").cloned() else {
            self.wrong(&[], "`checks` is missing; it lists what must hold");
            return Vec::new();
        };
        let Some(entries) = node.list() else {
            let found = node.described();
            self.wrong(
                &["checks"],
                format!("`checks` is a list (each entry begins with `- `), found {found}"),
            );
            return Vec::new();
        };
        if entries.is_empty() {
            self.wrong(&["checks"], "`checks` is empty; an exercise has at least one");
        }
        let mut seen: IndexMap<String, Place> = IndexMap::new();
        let mut checks = Vec::new();
        for entry in entries {
            let Some(check) = self.check(entry, around) else { continue };
            if let Some(first) = seen.get(&check.id) {
                let message =
                    format!("the check id `{}` is there twice, first in line {}", check.id, first.line);
                self.mistakes.at(entry.key_place("id"), message);
            } else {
                seen.insert(check.id.clone(), entry.key_place("id"));
            }
            checks.push(check);
        }
        checks
    }

    /// One check, as far as it can be read: a check whose kind is wrong is told, and left out.
    fn check(&mut self, node: &Node, around: Option<&Surroundings<'_>>) -> Option<CheckSpec> {
        let Some(map) = node.map() else {
            let found = node.described();
            self.mistakes.at(
                node.place,
                format!("a check is a map with an `id`, a `title` and a kind, found {found}"),
            );
            return None;
        };
        let (common, others): (IndexMap<_, _>, IndexMap<_, _>) = map
            .iter()
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .partition(|(key, _)| COMMON_KEYS.contains(&key.as_str()));
        let (common, errors) =
            Node { place: node.place, value: Value::Map(common) }.read_partly::<CheckCommon>();
        self.mistakes.errors(errors);
        let kind = self.kind(node, &others, around);
        let mut texts = Vec::new();
        others.values().for_each(|entry| entry.node.texts(&mut texts));
        for (text, place) in texts {
            self.variables_in(text, place);
        }
        let points = self.points(node, &common, kind.as_ref());
        let hints = self.hints(node, common.hint, common.hints);
        let id = self.id(node, common.id);
        let title = common.title.unwrap_or_default().trim().to_owned();
        if title.is_empty() && !self.told(node, "title") {
            self.mistakes.at(node.key_place("title"), "a check needs a `title`: what must hold, for people");
        } else if title.chars().count() > 200 {
            self.mistakes.at(node.key_place("title"), "`title` is longer than 200 characters");
        }
        if let Some(address) = &common.explain
            && !(address.starts_with("https://") || address.starts_with("http://"))
        {
            let message =
                format!("`explain` is the address of a page, `https://…`; found `{}`", visible(address));
            self.mistakes.at(node.key_place("explain"), message);
        }
        Some(CheckSpec {
            id,
            title,
            points,
            hints,
            explain: common.explain,
            hidden: common.hidden,
            kind: kind?,
        })
    }

    /// Whether a key has a value that was already found wrong, so that nothing is missing.
    fn told(&self, node: &Node, key: &str) -> bool {
        let _ = self;
        node.get(key).is_some_and(|node| !matches!(node.value, Value::Null | Value::Text(_)))
    }

    fn id(&mut self, node: &Node, id: Option<String>) -> String {
        let Some(id) = id else {
            if !self.told(node, "id") {
                self.mistakes
                    .at(node.key_place("id"), "a check needs an `id`, which reports and mutants name it by");
            }
            return String::new();
        };
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let starts = id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !starts || id.len() > 64 || !id.bytes().all(letters) {
            let message = format!(
                "`{}` is no id; use lower-case letters, digits, `-` and `_`, at most 64 of them",
                visible(&id)
            );
            self.mistakes.at(node.key_place("id"), message);
        }
        id
    }

    fn points(&mut self, node: &Node, common: &CheckCommon, kind: Option<&Kind>) -> u32 {
        let rubric = match kind {
            Some(Kind::Essay(essay)) => Some(essay.points()),
            _ => None,
        };
        let points = common.points.or(rubric).unwrap_or(1);
        if !(1..=100).contains(&points) {
            let message = format!("a check is worth between 1 and 100 points, this one {points}");
            self.mistakes.at(node.key_place("points"), message);
        } else if let Some(rubric) = rubric
            && rubric != points
        {
            let message = format!("the rubric's points add up to {rubric}, and the check is worth {points}");
            self.mistakes.at(node.key_place("points"), message);
        }
        points
    }

    fn hints(&mut self, node: &Node, hint: Option<Hints>, hints: Option<Vec<String>>) -> Vec<String> {
        if hint.is_some() && hints.is_some() {
            self.mistakes.at(node.key_place("hints"), "give `hint` or `hints`, not both");
        }
        let key = if hint.is_some() || node.get("hint").is_some() { "hint" } else { "hints" };
        let written = node.get(key).is_some_and(|node| matches!(node.value, Value::Null));
        let hints = match (hint, hints) {
            (Some(Hints::One(hint)), _) => vec![hint],
            (Some(Hints::Several(hints)), _) | (None, Some(hints)) => hints,
            (None, None) => Vec::new(),
        };
        let empty = |list: &[String]| list.is_empty() || list.iter().any(|hint| hint.trim().is_empty());
        let given = node.get(key).is_some_and(|node| matches!(node.value, Value::Text(_) | Value::List(_)));
        if written || given && empty(&hints) && !self.hint_is_ill_typed(node, key) {
            self.mistakes.at(node.key_place(key), "a hint without text; write one, or leave the key out");
        }
        hints.into_iter().map(|hint| hint.trim().to_owned()).collect()
    }

    fn hint_is_ill_typed(&self, node: &Node, key: &str) -> bool {
        let _ = self;
        let list = node.get(key).and_then(Node::list);
        list.is_some_and(|list| {
            list.iter().any(|node| !matches!(node.value, Value::Text(_) | Value::Number(_)))
        })
    }

    /// The one key that names the kind, read with all its mistakes.
    fn kind(
        &mut self,
        node: &Node,
        others: &IndexMap<String, Entry>,
        around: Option<&Surroundings<'_>>,
    ) -> Option<Kind> {
        let (known, strange): (Vec<_>, Vec<_>) =
            others.iter().partition(|(key, _)| Kind::NAMES.contains(&key.as_str()));
        for (key, entry) in &strange {
            let near_common = likely(key, COMMON_KEYS.iter().copied());
            let near_kind = likely(key, Kind::NAMES.iter().copied());
            let message = if known.is_empty() && near_common.is_none()
                || near_kind.is_some() && near_common.is_none()
            {
                unknown("check kind", key, Kind::NAMES.iter().copied())
            } else {
                unknown("key", key, COMMON_KEYS.iter().copied())
            };
            self.mistakes.at(entry.key, message);
        }
        let (name, entry) = match known.as_slice() {
            [] => {
                if strange.is_empty() {
                    let kinds: Vec<String> = Kind::NAMES.iter().map(|name| format!("`{name}`")).collect();
                    let message = format!("this check names no kind; the kinds are {}", kinds.join(", "));
                    self.mistakes.at(node.place, message);
                }
                return None;
            }
            [one] => *one,
            [first, second, ..] => {
                let message = format!(
                    "a check has one kind, and this one has `{}` and `{}`; make two of them",
                    first.0, second.0
                );
                self.mistakes.at(second.1.key, message);
                return None;
            }
        };
        // `stays_up:` with nothing after it means its defaults.
        let fields = match entry.node.value {
            Value::Null => Node { place: entry.key, value: Value::Map(IndexMap::new()) },
            _ => entry.node.clone(),
        };
        match fields.read_all(|node| Kind::read(name, node)) {
            Ok(kind) => {
                for sentence in around.map(|around| kind.mistakes(around)).into_iter().flatten() {
                    self.mistakes.at(field_place(entry, &sentence), sentence);
                }
                Some(kind)
            }
            Err(errors) => {
                self.mistakes.errors(errors);
                None
            }
        }
    }
}

/// The place of the field that a kind's sentence begins with (`` `body.any_of` is empty ``); the kind's own
/// where it names none.
fn field_place(kind: &Entry, sentence: &str) -> Place {
    let mut place = kind.key;
    let quoted = sentence.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(quoted, _)| quoted);
    let path = quoted.unwrap_or_default().split(':').next().unwrap_or_default();
    let mut node = &kind.node;
    for key in path.split('.') {
        let Some(entry) = node.map().and_then(|map| map.get(key)) else { break };
        place = entry.key;
        node = &entry.node;
    }
    place
}
