//! Looks for terms in the layers of an image, as they come.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Read;

use regex::bytes::Regex;
use serde_json::Value;

use crate::checks::layer_table::{self, Row};
use crate::checks::matcher::{Text, shown};
use crate::checks::secrets as names;
use crate::submissions::saved_image::{self, Config, Entry, Kind, Mark, Meter, Unreadable};

mod scan;

use self::scan::{DEPTH, Scan};

/// A text or pattern that is looked for.
pub(super) struct Term {
    pub(super) pattern: Regex,
}

impl Term {
    pub(super) fn text(text: &str) -> Result<Self, String> {
        let pattern = Regex::new(&regex::escape(text)).map_err(|error| error.to_string())?;
        Ok(Self { pattern })
    }
}

/// A place where it is.
pub(super) struct Place {
    /// In words.
    pub(super) text: String,
    pub(super) shown: Shown,
}

/// What has to be looked at to see a place. Layers are counted from 0, paths begin without a slash.
pub(super) enum Shown {
    /// What the image says about itself, but for its history.
    Configuration,
    /// The history: a term, or the variable of this name.
    History(Option<String>),
    /// A variable that the image sets.
    Variable(String),
    /// A layer's list of files.
    Listed { layer: usize, path: Vec<u8> },
    /// A file in a layer.
    Content { layer: usize, path: Vec<u8>, packing: Vec<Packing> },
}

/// How something is packed in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    /// As the file of this name in a zip.
    Zip(String),
}

/// All that is looked for.
pub(super) struct Sought {
    pub(super) terms: Vec<Term>,
    pub(super) secret_names: bool,
    pub(super) secret_files: bool,
    pub(super) allowed: Vec<Text>,
}

impl Sought {
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.terms.iter().any(|term| term.pattern.is_match(bytes))
    }

    fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.accepts(name))
    }

    /// Where it is in what an image says about itself.
    pub(super) fn in_configuration(&self, document: &Value, config: &Config) -> Vec<Place> {
        let mut places = Vec::new();
        visit(document, &mut String::new(), &mut |pointer, text| {
            // What the history says is told below, as instructions.
            if !pointer.starts_with("/history") && self.is_in(text.as_bytes()) {
                let text = format!("in the image's configuration at `{pointer}`");
                places.push(Place { text, shown: Shown::Configuration });
            }
        });
        let history: Vec<String> =
            config.history.iter().flatten().map(saved_image::History::instruction).collect();
        for instruction in history.iter().filter(|text| self.is_in(text.as_bytes())) {
            let text = format!("in the history, in {}", shown(&layer_table::instruction(instruction)));
            places.push(Place { text, shown: Shown::History(None) });
        }
        if self.secret_names {
            let env = config.config.iter().flat_map(|config| config.env.iter().flatten());
            for (name, value) in env.filter_map(|variable| variable.split_once('=')) {
                if names::is_secret(name) && !value.is_empty() && !self.allows(name) {
                    let text = format!("the image sets the variable {}", shown(name));
                    places.push(Place { text, shown: Shown::Variable(name.to_owned()) });
                }
            }
            for instruction in &history {
                for name in names::assigned(instruction) {
                    if !self.allows(name) {
                        let keyword = instruction.split_whitespace().next().unwrap_or_default();
                        let text = format!("the history shows the value of {} in {keyword}", shown(name));
                        places.push(Place { text, shown: Shown::History(Some(name.to_owned())) });
                    }
                }
            }
        }
        places
    }
}

/// Every text of a document, with its JSON pointer.
fn visit(value: &Value, pointer: &mut String, each: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    let mut inside = |key: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(key);
        each(pointer, key);
        visit(value, pointer, each);
        pointer.truncate(length);
    };
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value)),
        Value::Object(map) => map.iter().for_each(|(key, value)| inside(key, value)),
        Value::String(text) => each(pointer, text),
        _ => {}
    }
}

/// A place in a layer.
struct Found {
    path: Vec<u8>,
    /// What of the path it is, such as "in" or "in `a.txt` in".
    how: String,
    /// How it is packed in the file; `None` where it is not in the file but about it.
    packing: Option<Vec<Packing>>,
}

/// Looks at one layer.
pub(super) struct Look<'s> {
    sought: &'s Sought,
    meter: &'s Meter,
    found: Vec<Found>,
    marks: Vec<Mark>,
    /// Of all files, by hash: who only asks whether a file was written again needs no more.
    paths: HashSet<u64>,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// The most places in one layer; more say nothing more.
const FOUND: usize = 100;

impl<'s> Look<'s> {
    pub(super) fn new(sought: &'s Sought, meter: &'s Meter) -> Self {
        let (found, marks) = (Vec::new(), Vec::new());
        Self { sought, meter, found, marks, paths: HashSet::new(), bytes: 0, entries: 0 }
    }
}

impl saved_image::Look for Look<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Unreadable> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        let mut found = |path: &[u8], how: String, packing: Option<Vec<Packing>>| {
            if self.found.len() < FOUND
                && !self.found.iter().any(|found| found.path == path && found.how == how)
            {
                self.found.push(Found { path: path.to_vec(), how, packing });
            }
        };
        if self.sought.is_in(&entry.path) {
            found(&entry.path, "the name of".into(), None);
        }
        if self.sought.is_in(&entry.target) {
            found(&entry.path, "the target of".into(), None);
        }
        if let Some(mark) = entry.mark() {
            self.marks.push(mark);
            return Ok(());
        }
        if self.sought.secret_files {
            let path = String::from_utf8_lossy(&entry.path);
            if let Some(secret) = names::secret_file(&path)
                && !self.sought.allows(&format!("/{secret}"))
                && !self.sought.allows(&format!("/{path}"))
            {
                found(secret.as_bytes(), "there is".into(), None);
            }
        }
        if entry.kind != Kind::Directory {
            self.paths.insert(hash(&entry.path));
        }
        if entry.kind == Kind::File && !self.sought.terms.is_empty() {
            let scan = Scan { terms: &self.sought.terms, meter: self.meter };
            let mut inside = Vec::new();
            scan.all(content, DEPTH, &[], &mut inside)?;
            for packing in inside {
                let place = told(&packing);
                let how = if place.is_empty() { "in".to_owned() } else { format!("in {} in", shown(&place)) };
                found(&entry.path, how, Some(packing));
            }
        }
        Ok(())
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Every place in the layers (from the bottom up), and what became of it above.
pub(super) fn places(looks: &[&Look<'_>], rows: &[Row]) -> Vec<Place> {
    let mut places = Vec::new();
    for (layer, look) in looks.iter().enumerate() {
        for found in &look.found {
            let path = shown(&format!("/{}", String::from_utf8_lossy(&found.path)));
            let made_by = shown(&layer_table::instruction(&rows[layer].instruction));
            let fate = looks[layer + 1..]
                .iter()
                .position(|above| above.covers(&found.path))
                .map(|above| format!(", gone since layer {} but still in the image", layer + above + 2))
                .unwrap_or_default();
            let text = format!("layer {} ({made_by}): {} {path}{fate}", layer + 1, found.how);
            let path = found.path.clone();
            let shown = match &found.packing {
                Some(packing) => Shown::Content { layer, path, packing: packing.clone() },
                None => Shown::Listed { layer, path },
            };
            places.push(Place { text, shown });
        }
    }
    places
}

impl Look<'_> {
    /// Whether this layer deletes, hides or overwrites a path of a layer below.
    fn covers(&self, path: &[u8]) -> bool {
        let below = |folder: &[u8]| {
            folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let marked = self.marks.iter().any(|mark| match mark {
            Mark::Removed(removed) => removed == path || below(removed),
            Mark::Opaque(folder) => below(folder),
            Mark::Private => false,
        });
        marked || self.paths.contains(&hash(path))
    }
}

/// Where in a file, in words; empty for the bytes themselves.
fn told(packing: &[Packing]) -> String {
    let step = |packing: &Packing| match packing {
        Packing::Gzip | Packing::Zstd => "unpacked".to_owned(),
        Packing::Zip(name) => name.clone(),
    };
    packing.iter().map(step).collect::<Vec<_>>().join(", ")
}
