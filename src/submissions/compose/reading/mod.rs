//! From the merged tree to the model: each key by its meaning, and by the policy of the sandbox.
//!
//! Shapes were checked before, so a value of a wrong kind has been told and is left out here. What a key
//! means is read, what has no place in a sandbox is refused, rewritten or ignored, each with its finding:
//! nothing is passed on that is not named in these files.

mod build;
mod dns;
mod health;
mod mounts;
mod networks;
mod policy;
mod resources;
mod service;
mod ulimits;
mod wiring;

use std::collections::BTreeSet;

use indexmap::IndexMap;

pub(super) use mounts::{read_shared_file, read_volume};
pub(super) use networks::read_network;
pub(super) use service::read_service;

use super::Options;
use super::dotenv::Environment;
use super::files::Files;
use super::finding::{Findings, KeyPath, Kind, Origin, quoted};
use super::item::{Item, Value};
use super::scalars;

/// What the readers share.
pub(super) struct Reader<'r, 'c> {
    pub(super) findings: &'r mut Findings,
    pub(super) files: &'r Files<'c>,
    pub(super) options: &'r Options,
    /// The variables of `.env`.
    pub(super) environment: &'r Environment,
    /// Names of secrets that the files declare, used or not.
    pub(super) declared_secrets: &'r BTreeSet<String>,
}

/// A value with the key it stands under and the way there.
#[derive(Clone)]
pub(super) struct View<'i> {
    pub(super) item: &'i Item,
    /// Where its key stands.
    pub(super) key: Origin,
    pub(super) path: KeyPath,
}

impl<'i> View<'i> {
    pub(super) fn new(item: &'i Item, key: &Origin, path: KeyPath) -> Self {
        Self { item, key: key.clone(), path }
    }

    /// The value under a key; `None` where there is none, or nothing in it.
    pub(super) fn get(&self, key: &str) -> Option<View<'i>> {
        let field = self.item.map()?.get(key).filter(|field| !field.item.is_null())?;
        Some(View::new(&field.item, &field.key, self.path.key(key)))
    }

    /// The values of a map, by their keys; those of nothing are there.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'i str, View<'i>)> {
        let path = self.path.clone();
        self.item
            .map()
            .into_iter()
            .flatten()
            .map(move |(key, field)| (key.as_str(), View::new(&field.item, &field.key, path.key(key))))
    }

    /// The values of a map by names; what was no name has been told.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'i str, View<'i>)> {
        self.fields().filter(|(name, _)| !name.starts_with('['))
    }

    /// The values of a list.
    pub(super) fn entries(&self) -> impl Iterator<Item = View<'i>> {
        let path = self.path.clone();
        let list = self.item.list().unwrap_or_default().iter().enumerate();
        list.map(move |(index, item)| View::new(item, &item.at, path.index(index)))
    }

    pub(super) fn text(&self) -> Option<&'i str> {
        self.item.text()
    }

    /// Whether it says nothing: nothing, `false`, an empty text, list or map.
    pub(super) fn is_off(&self) -> bool {
        match &self.item.value {
            Value::Null | Value::Bool(false) => true,
            Value::Text(text) => text.is_empty() || scalars::boolean(self.item) == Ok(false),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

impl Reader<'_, '_> {
    pub(super) fn mistake(&mut self, view: &View<'_>, rule: &'static str, message: impl Into<String>) {
        self.findings.mistake(rule, &view.item.at, &view.path, message);
    }

    pub(super) fn refuse(&mut self, view: &View<'_>, rule: &'static str, message: impl Into<String>) {
        self.findings.refuse(rule, &view.key, &view.path, message);
    }

    pub(super) fn tell(
        &mut self,
        kind: Kind,
        view: &View<'_>,
        rule: &'static str,
        message: impl Into<String>,
    ) {
        self.findings.add(kind, rule, &view.key, &view.path, message);
    }

    pub(super) fn ignore(&mut self, view: &View<'_>, rule: &'static str, message: impl Into<String>) {
        self.tell(Kind::Ignored, view, rule, message);
    }

    /// The value under a key, read; what cannot be read is told.
    pub(super) fn value<T>(
        &mut self,
        view: &View<'_>,
        key: &str,
        read: impl Fn(&Item) -> Result<T, String>,
    ) -> Option<T> {
        // A list or map has been told by its shape.
        let view = view.get(key).filter(|view| view.item.list().is_none() && view.item.map().is_none())?;
        match read(view.item) {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake(&view, "wrong-value", message);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, view: &View<'_>, key: &str) -> Option<bool> {
        self.value(view, key, scalars::boolean)
    }

    pub(super) fn duration(&mut self, view: &View<'_>, key: &str) -> Option<std::time::Duration> {
        view.get(key)?.text()?;
        self.value(view, key, |item| scalars::duration(item.text().unwrap_or_default()))
    }

    /// A size in bytes; `None` where it is 0 or less, which means that there is no bound.
    pub(super) fn size(&mut self, view: &View<'_>, key: &str) -> Option<u64> {
        self.value(view, key, scalars::size)
            .and_then(|size| u64::try_from(size).ok())
            .filter(|size| *size > 0)
    }

    /// A whole number from `least` on.
    pub(super) fn count(&mut self, view: &View<'_>, key: &str, least: u32) -> Option<u32> {
        self.value(view, key, |item| {
            let number = scalars::whole(item)?;
            u32::try_from(number)
                .ok()
                .filter(|number| *number >= least)
                .ok_or_else(|| format!("expected a whole number from {least} on, found {}", item.described()))
        })
    }

    /// `labels`, where a name without a value has an empty one.
    pub(super) fn labels(&mut self, view: &View<'_>) -> IndexMap<String, String> {
        let mut labels = IndexMap::new();
        for (name, value) in pairs(view, "labels") {
            if is_own_label(&name)
                && let Some(view) = view.get("labels")
            {
                self.refuse(&view, "labels", OWN_LABEL);
            } else {
                labels.insert(name, value.unwrap_or_default());
            }
        }
        labels
    }

    /// A name by which something is found on a network.
    pub(super) fn host_name(&mut self, view: &View<'_>, name: &str) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 253 || !name.chars().all(fits) || name.starts_with(['.', '-']) {
            let message = format!(
                "{} is no name on a network: such names have letters, digits, `.`, `_` and `-`, and begin with a letter or \
                 digit",
                quoted(name)
            );
            self.refuse(view, "bad-name", message);
        }
    }

    /// A path of the submission.
    pub(super) fn path(&mut self, view: &View<'_>) -> Option<String> {
        let located = match &view.item.value {
            Value::Path(located) => located.inside.clone(),
            // A text that was not resolved is an address of the network, which is told where it can be one.
            _ => return None,
        };
        match located {
            Ok(path) => Some(path),
            Err(message) => {
                self.findings.add(Kind::Confined, "outside", &view.item.at, &view.path, message);
                None
            }
        }
    }

    /// A file of the submission that has to be there when the project starts.
    pub(super) fn file(&mut self, view: &View<'_>) -> Option<String> {
        let path = self.path(view)?;
        match self.files.kind(&path) {
            super::PathKind::File => Some(path),
            super::PathKind::Folder => {
                self.refuse(view, "missing-file", format!("{} is a folder, not a file", quoted(&path)));
                None
            }
            super::PathKind::Missing => {
                let message = format!("there is no file {} in the submission", quoted(&path));
                self.refuse(view, "missing-file", message);
                None
            }
        }
    }
}

/// A text under a key; an empty one counts as none, as in Compose.
pub(super) fn text(view: &View<'_>, key: &str) -> Option<String> {
    view.get(key)?.text().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts of a list, or a text alone.
pub(super) fn texts(view: &View<'_>, key: &str) -> Vec<String> {
    let Some(view) = view.get(key) else { return Vec::new() };
    match view.text() {
        Some(text) => vec![text.to_owned()],
        None => view.entries().filter_map(|entry| entry.item.printed()).collect(),
    }
}

/// `[A=1, B]` or `{A: 1, B: }`.
pub(super) fn pairs(view: &View<'_>, key: &str) -> IndexMap<String, Option<String>> {
    let Some(view) = view.get(key) else { return IndexMap::new() };
    if view.item.map().is_some() {
        let scalar = |field: &View<'_>| field.item.list().is_none() && field.item.map().is_none();
        let fields = view.fields().filter(|(_, field)| scalar(field));
        return fields.map(|(name, field)| (name.to_owned(), field.item.printed())).collect();
    }
    let split = |text: &str| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    view.entries().filter_map(|entry| entry.text().map(split)).collect()
}

/// Why a label is not taken.
pub(super) const OWN_LABEL: &str = "labels that begin with `drydock.` are this server's own, by which it finds what it made; name it otherwise";

/// Whether a label is one of ours.
pub(super) fn is_own_label(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("drydock.")
}

/// A path as the model shows it: `.` for the submission itself.
pub(super) fn shown_path(path: String) -> String {
    if path.is_empty() { ".".into() } else { path }
}
