//! From files to one tree: each file is read, its variables are filled in, what it extends and includes
//! is put in, and it is laid over the files before it.
//!
//! The order of these steps is docker compose's, and it matters: variables before everything else,
//! shapes checked after each file, short forms made long only then.

use std::sync::Arc;

use super::canonical::{canonical, resolve_paths};
use super::dotenv::{self, Environment};
use super::files::Files;
use super::finding::{Finding, Findings, KeyPath, Kind, Origin, quoted};
use super::item::{Field, Item, Map, Value};
use super::merge::{enforce_unique, merge};
use super::schema::PROJECT;
use super::template::Scope;
use crate::tree::Place;

/// The most services, networks, volumes, configs or secrets in a project.
const MAX_SERVICES: usize = 40;
const MAX_OBJECTS: usize = 60;
/// Bytes that variables may make, over all files.
const MAX_FILLED: usize = 4 << 20;
/// Bytes that services may have which are copied by `extends`.
const MAX_COPIED: usize = 16 << 20;

/// Compose's own tags; see `!reset` and `!override` in 13-merge of the specification.
const TAGS: &[&str] = &["!reset", "!override"];

/// Keys whose earlier values a file takes away, before it is laid over them.
#[derive(Clone, Debug, Default)]
pub(super) struct Resets(Vec<Vec<String>>);

/// What a file is read for, which decides on the steps that it goes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is part of a project, or of one that is included.
    Project,
    /// One of its services is extended.
    Extended,
}

/// Where a file stands: the folder that its paths are relative to, and its variables.
#[derive(Clone, Copy)]
pub(super) struct Setting<'s> {
    pub(super) folder: &'s str,
    pub(super) environment: &'s Environment,
    /// Files that include each other, from the outermost.
    pub(super) chain: &'s [String],
}

/// Reads the files of a project.
pub(super) struct Loader<'c> {
    pub(super) files: Files<'c>,
    pub(super) findings: Findings,
    /// Bytes that variables may still make.
    pub(super) fill_budget: usize,
    /// Bytes of services that may still be copied.
    pub(super) copy_budget: usize,
}

impl<'c> Loader<'c> {
    pub(super) fn new(files: Files<'c>) -> Self {
        Self { files, findings: Findings::default(), fill_budget: MAX_FILLED, copy_budget: MAX_COPIED }
    }

    /// The files laid over each other, with every path resolved.
    pub(super) fn model(&mut self, paths: &[String], setting: Setting<'_>) -> Item {
        let at = Origin::file(paths.first().map_or("", String::as_str));
        let mut root = Item::new(at, Value::Map(Map::new()));
        for path in paths {
            root = self.file(path, root, setting, Purpose::Project).0;
        }
        resolve_paths(&mut root, setting.folder, true, &self.files);
        resolve_environment(&mut root, setting.environment);
        root
    }

    /// One file laid over `root`. Returns the resets of its last document, too.
    pub(super) fn file(
        &mut self,
        path: &str,
        mut root: Item,
        setting: Setting<'_>,
        purpose: Purpose,
    ) -> (Item, Resets) {
        let file: Arc<str> = path.into();
        let documents = match self.files.read(path) {
            Ok(bytes) => crate::yaml::documents(&bytes, TAGS),
            Err(message) => {
                self.findings.unreadable(&Origin::file(path), message);
                return (root, Resets::default());
            }
        };
        let documents = match documents {
            Ok(documents) => documents,
            Err(error) => {
                self.findings.unreadable(&Origin { file, place: error.place }, error.message);
                return (root, Resets::default());
            }
        };
        let mut last = Resets::default();
        for document in &documents {
            let mut item = Item::from_yaml(document, &file);
            let mut resets = Resets::default();
            untag(&mut item, &mut Vec::new(), &mut resets);
            root = self.document(item, &resets, root, setting, purpose);
            last = resets;
        }
        (root, last)
    }

    fn document(
        &mut self,
        mut item: Item,
        resets: &Resets,
        mut root: Item,
        setting: Setting<'_>,
        purpose: Purpose,
    ) -> Item {
        if item.map().is_none() {
            let message = format!(
                "expected a map with keys such as `services`, found {}; is this a compose file?",
                item.described()
            );
            self.findings.add(Kind::Unreadable, "unreadable", &item.at, &KeyPath::default(), message);
            return root;
        }
        if self.too_many(&item) {
            return root;
        }
        self.fill(&mut item, &KeyPath::default(), setting.environment);
        if purpose == Purpose::Project {
            self.extend_services(&mut item, resets, setting);
        }
        resets.apply(&mut root);
        if purpose == Purpose::Project {
            self.include(&mut item, setting);
        }
        root = merge(root, item, &KeyPath::default(), &mut self.findings);
        enforce_unique(&mut root, &mut self.findings);
        if purpose == Purpose::Project {
            PROJECT.check(&root, &KeyPath::default(), &mut self.findings);
            self.tell_obsolete_version(&mut root);
        }
        canonical(&mut root, &mut self.findings);
        enforce_unique(&mut root, &mut self.findings);
        root
    }

    /// Whether there are more of a kind than a project may have: asked before any work is done on a file,
    /// and of all of them together.
    pub(super) fn too_many(&mut self, item: &Item) -> bool {
        let mut found = false;
        for (section, most) in [
            ("services", MAX_SERVICES),
            ("networks", MAX_OBJECTS),
            ("volumes", MAX_OBJECTS),
            ("configs", MAX_OBJECTS),
            ("secrets", MAX_OBJECTS),
        ] {
            let Some(map) = item.get(section) else { continue };
            let count = map.map().map_or(0, Map::len);
            if count > most {
                let message = format!("there are {count} {section}; a stack here has at most {most}");
                self.findings.refuse("too-many", &map.at, &KeyPath::of(&[section]), message);
                found = true;
            }
        }
        found
    }

    fn tell_obsolete_version(&mut self, root: &mut Item) {
        if let Some(field) = root.map_mut().and_then(|map| map.shift_remove("version")) {
            let message = "`version` is obsolete and has no effect; it can be left out";
            self.findings.add(
                Kind::Note,
                "obsolete-version",
                &field.key,
                &KeyPath::of(&["version"]),
                message,
            );
        }
    }

    /// Fills in the variables of every text.
    fn fill(&mut self, item: &mut Item, path: &KeyPath, environment: &Environment) {
        match &mut item.value {
            Value::Map(map) => {
                for (key, field) in map {
                    self.fill(&mut field.item, &path.key(key), environment);
                }
            }
            Value::List(list) => {
                for (index, entry) in list.iter_mut().enumerate() {
                    self.fill(entry, &path.index(index), environment);
                }
            }
            Value::Text(text) if text.contains('$') => {
                let mut scope = Scope::new(vec![environment], self.fill_budget);
                match scope.fill(text) {
                    Ok(filled) => *text = filled,
                    Err(error) => {
                        self.findings.mistake("variable", &item.at, path, error.sentence());
                        // Empty, so that nothing is made of it by a later step.
                        text.clear();
                    }
                }
                self.fill_budget = scope.budget;
                let unset = scope.unset;
                tell_unset(&mut self.findings, &unset, &item.at, path);
            }
            _ => {}
        }
    }

    /// The variables of a file of variables; nothing where it cannot be read, which is told.
    pub(super) fn variables(&mut self, path: &str, outer: &[&Environment], raw: bool) -> Option<Environment> {
        let text = match self.files.read_text(path) {
            Ok(text) => text,
            Err(message) => {
                self.findings.unreadable(&Origin::file(path), message);
                return None;
            }
        };
        let read = if raw {
            dotenv::read_raw(&text).map(|map| (map, Vec::new()))
        } else {
            dotenv::read(&text, outer, &mut self.fill_budget)
        };
        match read {
            Ok((map, unset)) => {
                tell_unset(&mut self.findings, &unset, &Origin::file(path), &KeyPath::default());
                Some(map)
            }
            Err(error) => {
                let place = Place { line: error.line, column: 1 };
                let origin = Origin { file: path.into(), place };
                self.findings.mistake("variable", &origin, &KeyPath::default(), error.message);
                None
            }
        }
    }

    /// What was found, in the end.
    pub(super) fn finish(self) -> Vec<Finding> {
        self.findings.finish()
    }
}

fn tell_unset(findings: &mut Findings, unset: &[String], at: &Origin, path: &KeyPath) {
    for name in unset {
        let message = format!(
            "the variable {} is not set, so nothing takes its place; set it in the file `.env` or give it a default, \
             `${{{name}:-…}}`",
            quoted(name)
        );
        findings.add(Kind::Note, "unset-variable", at, path, message);
    }
}

/// Takes the tags off, and with them the values that are only reset.
fn untag(item: &mut Item, path: &mut Vec<String>, resets: &mut Resets) -> bool {
    if let Value::Map(map) = &mut item.value
        && map.len() == 1
        && let Some(tag) = TAGS.iter().find(|tag| map.contains_key(**tag))
    {
        resets.0.push(path.clone());
        if *tag == "!reset" {
            return false;
        }
        if let Some(field) = map.swap_remove(*tag) {
            *item = field.item;
        }
        return true;
    }
    match &mut item.value {
        Value::Map(map) => map.retain(|key, field| {
            path.push(key.clone());
            let stays = untag(&mut field.item, path, resets);
            path.pop();
            stays
        }),
        Value::List(list) => {
            let mut index = 0;
            list.retain_mut(|entry| {
                path.push(format!("[{index}]"));
                index += 1;
                let stays = untag(entry, path, resets);
                path.pop();
                stays
            });
        }
        _ => {}
    }
    true
}

impl Resets {
    /// Takes the values away that are at these keys.
    pub(super) fn apply(&self, root: &mut Item) {
        for path in &self.0 {
            let Some((last, above)) = path.split_last() else { continue };
            let mut at = Some(&mut *root);
            for key in above {
                at = at.and_then(Item::map_mut).and_then(|map| map.get_mut(key)).map(|field| &mut field.item);
            }
            if let Some(map) = at.and_then(Item::map_mut) {
                map.shift_remove(last);
            }
        }
    }

    /// The same for one service, given by itself, under the name that the keys call it.
    pub(super) fn apply_to_service(&self, name: &str, service: &mut Item) {
        let of_service: Vec<Vec<String>> = self
            .0
            .iter()
            .filter(|path| path.len() > 2 && path[0] == "services" && path[1] == name)
            .map(|path| path[2..].to_vec())
            .collect();
        Self(of_service).apply(service);
    }
}

/// Variables that a list of a service's `environment` names without a value, where they have one here.
fn resolve_environment(root: &mut Item, environment: &Environment) {
    let services = root.map_mut().and_then(|map| map.get_mut("services"));
    let services = services.and_then(|field| field.item.map_mut());
    for Field { item, .. } in services.into_iter().flatten().map(|(_, field)| field) {
        let list = item.map_mut().and_then(|map| map.get_mut("environment"));
        for entry in list.and_then(|field| field.item.list_mut()).into_iter().flatten() {
            if let Value::Text(text) = &mut entry.value
                && let Some(value) = environment.get(text.as_str())
            {
                *text = format!("{text}={value}");
            }
        }
    }
}
