//! `extends`: a service that begins as a copy of another one, of the same file or of another.

use super::canonical::resolve_paths;
use super::files::{PathKind, folder_of, is_remote};
use super::finding::{KeyPath, Origin, quoted};
use super::item::{Item, Map, Value};
use super::load::{Loader, Purpose, Resets, Setting};
use super::merge::merge;
use crate::tree::likely;

/// How many services may extend each other in a row.
const MAX_DEPTH: usize = 16;

/// Where a service is looked for: a file, its services, and the folder of its paths.
struct Source<'s> {
    file: &'s str,
    folder: &'s str,
    services: &'s Map,
}

impl Loader<'_> {
    /// Puts into every service what it extends.
    pub(super) fn extend_services(&mut self, root: &mut Item, resets: &Resets, setting: Setting<'_>) {
        let file = root.at.file.clone();
        let Some(section) = root.get("services") else { return };
        let Some(services) = section.map() else {
            // Nothing laid over services would change nothing, and is not taken all the same.
            let message = format!("expected a map of keys and values, found {}", section.described());
            self.findings.mistake("wrong-type", &section.at, &KeyPath::of(&["services"]), message);
            return;
        };
        if !services.values().any(|field| field.item.get("extends").is_some()) {
            return;
        }
        let services = services.clone();
        let source = Source { file: &file, folder: setting.folder, services: &services };
        let mut merged = services.clone();
        for (name, field) in &mut merged {
            if let Some(item) =
                self.extended(name, &source, &mut vec![resets.clone()], &mut Vec::new(), setting)
            {
                field.item = item;
            }
        }
        if let Some(field) = root.map_mut().and_then(|map| map.get_mut("services")) {
            field.item.value = Value::Map(merged);
        }
    }

    fn extended(
        &mut self,
        name: &str,
        source: &Source<'_>,
        resets: &mut Vec<Resets>,
        trail: &mut Vec<(String, String)>,
        setting: Setting<'_>,
    ) -> Option<Item> {
        let service = &source.services.get(name)?.item;
        let Some(extends) = service.get("extends") else { return Some(service.clone()) };
        let path = KeyPath::of(&["services", name, "extends"]);
        let mut own = service.clone();
        if let Some(map) = own.map_mut() {
            map.shift_remove("extends");
        }
        let (reference, file) = match extends.map() {
            None => (extends.text(), None),
            Some(map) => (
                map.get("service").and_then(|field| field.item.text()),
                map.get("file").map(|field| &field.item),
            ),
        };
        let Some(reference) = reference else {
            let message = "expected the name of a service, or `{service: name, file: path}`";
            self.findings.mistake("wrong-type", &extends.at, &path, message);
            return Some(own);
        };
        let step = (source.file.to_owned(), name.to_owned());
        if trail.contains(&step) || trail.len() >= MAX_DEPTH {
            let message = if trail.contains(&step) {
                format!("the service {} extends itself, perhaps through others", quoted(name))
            } else {
                format!("more than {MAX_DEPTH} services extend each other in a row")
            };
            self.findings.mistake("extends-cycle", &extends.at, &path, message);
            return Some(own);
        }
        trail.push(step);
        let base = match file {
            None => self.base(reference, source, resets, trail, setting, &extends.at, &path),
            Some(file) => match self.other_file(file, &path, source, setting) {
                Some((file, services, more)) => {
                    resets.push(more);
                    let folder = folder_of(&file).to_owned();
                    let source = Source { file: &file, folder: &folder, services: &services };
                    self.base(reference, &source, resets, trail, setting, &extends.at, &path)
                }
                None => None,
            },
        };
        trail.pop();
        let Some(mut base) = base.filter(|base| base.map().is_some()) else { return Some(own) };
        let Some(left) = self.copy_budget.checked_sub(base.weight()) else {
            let message = "the services that are extended are too large together";
            self.findings.refuse("too-large", &extends.at, &path, message);
            return Some(own);
        };
        self.copy_budget = left;
        for reset in resets.iter() {
            reset.apply_to_service(name, &mut base);
        }
        if own.map().is_none() {
            return Some(own);
        }
        let mut merged = merge(base, own, &KeyPath::of(&["services", name]), &mut self.findings);
        if let Some(map) = merged.map_mut() {
            map.shift_remove("extends");
        }
        Some(merged)
    }

    /// The service that is extended, with what it extends itself.
    #[expect(clippy::too_many_arguments, reason = "the way here, and the place for a finding")]
    fn base(
        &mut self,
        reference: &str,
        source: &Source<'_>,
        resets: &mut Vec<Resets>,
        trail: &mut Vec<(String, String)>,
        setting: Setting<'_>,
        at: &Origin,
        path: &KeyPath,
    ) -> Option<Item> {
        if source.services.contains_key(reference) {
            return self.extended(reference, source, resets, trail, setting);
        }
        let near = likely(reference, source.services.keys().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!(", did you mean {}?", quoted(near)));
        let message =
            format!("there is no service {} in {} to extend{hint}", quoted(reference), quoted(source.file));
        self.findings.mistake("unknown-service", at, path, message);
        None
    }

    /// The services of another file, as they are written there.
    fn other_file(
        &mut self,
        file: &Item,
        path: &KeyPath,
        source: &Source<'_>,
        setting: Setting<'_>,
    ) -> Option<(String, Map, Resets)> {
        let path = path.key("file");
        let located = match &file.value {
            Value::Path(located) => located.inside.clone(),
            Value::Text(written) if is_remote(written) => {
                let message = format!(
                    "{} would be fetched from the network; put the file into the submission and extend it there",
                    quoted(written)
                );
                self.findings.refuse("remote-file", &file.at, &path, message);
                return None;
            }
            Value::Text(written) => self.files.locate(source.folder, written),
            _ => {
                let message = format!("expected a path, found {}", file.described());
                self.findings.mistake("wrong-type", &file.at, &path, message);
                return None;
            }
        };
        let located = match located {
            Ok(located) => located,
            Err(message) => {
                self.findings.add(super::Kind::Confined, "outside", &file.at, &path, message);
                return None;
            }
        };
        if self.files.kind(&located) != PathKind::File {
            let message = format!("there is no file {} in the submission", quoted(&located));
            self.findings.mistake("missing-file", &file.at, &path, message);
            return None;
        }
        let empty = Item::new(Origin::file(&located), Value::Map(Map::new()));
        let folder = folder_of(&located).to_owned();
        let inner = Setting { folder: &folder, ..setting };
        let (mut root, resets) = self.file(&located, empty, inner, Purpose::Extended);
        resolve_paths(&mut root, &folder, false, &self.files);
        let services = root.map_mut().and_then(|map| map.swap_remove("services"));
        if let Some(Value::Map(services)) = services.map(|field| field.item.value) {
            return Some((located, services, resets));
        }
        let message = format!("there are no services in {} to extend", quoted(&located));
        self.findings.mistake("unknown-service", &file.at, &path, message);
        None
    }
}
