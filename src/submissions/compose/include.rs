//! `include`: other compose files whose services, networks, volumes, configs and secrets join this one's.

use super::dotenv::Environment;
use super::files::{PathKind, folder_of, is_remote};
use super::finding::{KeyPath, Kind, Origin, quoted};
use super::item::{Field, Item, Map, Value};
use super::load::{Loader, Setting};
use super::merge::entry_map;

/// How many files may include each other in a row.
const MAX_DEPTH: usize = 10;

impl Loader<'_> {
    /// Puts what is included into the file, in place of `include`.
    pub(super) fn include(&mut self, root: &mut Item, setting: Setting<'_>) {
        let Some(Field { item: include, .. }) = root.map_mut().and_then(|map| map.shift_remove("include"))
        else {
            return;
        };
        let path = KeyPath::of(&["include"]);
        let Value::List(entries) = &include.value else {
            if !include.is_null() {
                let message = format!("expected a list of files, found {}", include.described());
                self.findings.mistake("wrong-type", &include.at, &path, message);
            }
            return;
        };
        let file = root.at.file.to_string();
        for (index, entry) in entries.iter().enumerate() {
            let path = path.index(index);
            if let Some(imported) = self.included(entry, &path, &file, setting) {
                self.import(imported, root, &entry.at);
            }
        }
    }

    /// What one entry includes.
    fn included(&mut self, entry: &Item, path: &KeyPath, file: &str, setting: Setting<'_>) -> Option<Item> {
        let texts = |key: &str| -> Vec<Item> {
            match entry.get(key) {
                Some(Item { value: Value::List(list), .. }) => list.clone(),
                Some(item) if !item.is_null() => vec![item.clone()],
                _ => Vec::new(),
            }
        };
        let (files, env_files) = if entry.map().is_some() {
            (texts("path"), texts("env_file"))
        } else {
            (vec![entry.clone()], vec![])
        };
        if let Some(map) = entry.map() {
            let known = ["path", "env_file", "project_directory"];
            for (key, field) in map.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
                let message = crate::tree::unknown("key", key, known);
                self.findings.mistake("unknown-key", &field.key, &path.key(key), message);
            }
        }
        if files.is_empty() {
            let message = "the key `path` is missing: the file that is included";
            self.findings.mistake("missing-key", &entry.at, path, message);
            return None;
        }
        let files: Option<Vec<String>> =
            files.iter().map(|item| self.included_file(item, path, setting.folder)).collect();
        let files = files?;
        let folder = match entry.get("project_directory") {
            Some(item) => self.included_path(item, &path.key("project_directory"), setting.folder)?,
            None => files.first().map(|file| folder_of(file).to_owned()).unwrap_or_default(),
        };
        let mut chain = setting.chain.to_vec();
        chain.push(file.to_owned());
        if let Some(again) = files.first().filter(|file| chain.contains(file)) {
            let message = format!("{} is included by itself, perhaps through other files", quoted(again));
            self.findings.mistake("include-cycle", &entry.at, path, message);
            return None;
        }
        if chain.len() > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} files include each other in a row");
            self.findings.refuse("too-many", &entry.at, path, message);
            return None;
        }
        let environment = self.included_environment(&env_files, path, &folder, setting)?;
        let inner = Setting { folder: &folder, environment: &environment, chain: &chain };
        Some(self.model(&files, inner))
    }

    fn included_path(&mut self, item: &Item, path: &KeyPath, folder: &str) -> Option<String> {
        let Some(written) = item.text() else {
            let message = format!("expected a path, found {}", item.described());
            self.findings.mistake("wrong-type", &item.at, path, message);
            return None;
        };
        if is_remote(written) {
            let message = format!(
                "{} would be fetched from the network; put the file into the submission and include it there",
                quoted(written)
            );
            self.findings.refuse("remote-file", &item.at, path, message);
            return None;
        }
        match self.files.locate(folder, written) {
            Ok(located) => Some(located),
            Err(message) => {
                self.findings.add(Kind::Confined, "outside", &item.at, path, message);
                None
            }
        }
    }

    /// A path where a file has to be.
    fn included_file(&mut self, item: &Item, path: &KeyPath, folder: &str) -> Option<String> {
        let file = self.included_path(item, path, folder)?;
        if self.files.kind(&file) != PathKind::File {
            let message = format!("there is no file {} in the submission", quoted(&file));
            self.findings.mistake("missing-file", &item.at, path, message);
            return None;
        }
        Some(file)
    }

    /// The variables for included files: those of the file that includes them win.
    fn included_environment(
        &mut self,
        env_files: &[Item],
        path: &KeyPath,
        folder: &str,
        setting: Setting<'_>,
    ) -> Option<Environment> {
        let path = path.key("env_file");
        let mut files = Vec::new();
        for item in env_files {
            files.push(self.included_file(item, &path, setting.folder)?);
        }
        if env_files.is_empty() {
            let own = if folder.is_empty() { ".env".to_owned() } else { format!("{folder}/.env") };
            files.extend((self.files.kind(&own) == PathKind::File).then_some(own));
        }
        let mut environment = setting.environment.clone();
        let mut read = Environment::new();
        for file in files {
            let more = self.variables(&file, &[setting.environment, &read], false)?;
            read.extend(more);
        }
        for (name, value) in read {
            environment.entry(name).or_insert(value);
        }
        Some(environment)
    }

    /// Adds what was included; the same name twice has to be the same thing.
    fn import(&mut self, imported: Item, root: &mut Item, at: &Origin) {
        let Value::Map(mut imported) = imported.value else { return };
        let Some(root) = root.map_mut() else { return };
        for section in ["services", "volumes", "networks", "secrets", "configs"] {
            let Some(Field { item: Item { value: Value::Map(from), .. }, .. }) =
                imported.swap_remove(section)
            else {
                continue;
            };
            let Some(to) = entry_map(root, section, at) else { continue };
            for (name, field) in from {
                match to.get(&name) {
                    Some(there) if there.item.same(&field.item) => {}
                    Some(there) => {
                        let message = format!(
                            "{} is also in an included file, at {}; give one of them another name, or change it in an \
                             override file of what is included",
                            quoted(&name),
                            field.key
                        );
                        let (at, path) = (there.key.clone(), KeyPath::of(&[section, &name]));
                        self.findings.mistake("include-conflict", &at, &path, message);
                    }
                    None => {
                        to.insert(name, field);
                    }
                }
            }
        }
        // An empty section would be one that the file did not have.
        root.retain(|key, field| {
            !["services", "volumes", "networks", "secrets", "configs"].contains(&key.as_str())
                || field.item.map().is_none_or(|map: &Map| !map.is_empty())
        });
    }
}
