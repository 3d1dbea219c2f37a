//! Files of variables: `.env` for the compose files, `env_file` and `label_file` for services.

use super::dotenv::Environment;
use super::files::PathKind;
use super::finding::{KeyPath, Kind, Origin, quoted};
use super::item::Value;
use super::load::Loader;
use super::model::Service;
use super::project::in_folder;
use super::reading::{OWN_LABEL, View, is_own_label};
use super::scalars;

impl Loader<'_> {
    /// `.env` beside the compose file.
    pub(super) fn own_variables(&mut self, folder: &str) -> Environment {
        let path = in_folder(folder, ".env");
        match self.files.locate(folder, ".env") {
            Err(message) => {
                let origin = Origin::file(&path);
                self.findings.add(Kind::Confined, "outside", &origin, &KeyPath::default(), message);
                Environment::new()
            }
            Ok(path) if self.files.kind(&path) == PathKind::File => {
                self.variables(&path, &[], false).unwrap_or_default()
            }
            Ok(_) => Environment::new(),
        }
    }

    /// Puts `env_file` under `environment`, and gives names without a value the one of `.env`.
    pub(super) fn environment(&mut self, service: &mut Service, view: &View<'_>, environment: &Environment) {
        let mut read = Environment::new();
        for entry in view.get("env_file").iter().flat_map(View::entries) {
            let Some(path) = entry.get("path") else { continue };
            let raw = match entry.get("format").as_ref().and_then(View::text) {
                None | Some("") => false,
                Some("raw") => true,
                Some(format) => {
                    let message =
                        format!("{} is no format of such files; there is `raw`, or none", quoted(format));
                    self.findings.mistake("wrong-value", &entry.item.at, &entry.path, message);
                    continue;
                }
            };
            let required =
                entry.get("required").is_none_or(|view| scalars::boolean(view.item).unwrap_or(true));
            let Some(file) = self.named_file(&path, required) else { continue };
            if let Some(more) = self.variables(&file, &[&read, environment], raw) {
                read.extend(more);
            }
        }
        for (name, value) in &mut service.environment {
            if value.is_none() {
                *value = environment.get(name).cloned();
            }
            if value.is_none()
                && let Some(view) = view.get("environment")
            {
                let message = format!(
                    "{} has no value and is not set: docker would take it from the shell, and here there is only the file \
                     `.env`",
                    quoted(name)
                );
                self.findings.add(Kind::Note, "unset-variable", &view.key, &view.path.key(name), message);
            }
        }
        let own = std::mem::take(&mut service.environment);
        service.environment = read.into_iter().map(|(name, value)| (name, Some(value))).collect();
        service.environment.extend(own);
    }

    /// Puts `label_file` under `labels`.
    pub(super) fn label_files(&mut self, service: &mut Service, view: &View<'_>) {
        let mut read = Environment::new();
        for entry in view.get("label_file").iter().flat_map(View::entries) {
            let Some(file) = self.named_file(&entry, true) else { continue };
            let Some(mut more) = self.variables(&file, &[&read], false) else { continue };
            if more.keys().any(|name| is_own_label(name)) {
                self.findings.refuse("labels", &entry.item.at, &entry.path, OWN_LABEL);
                more.retain(|name, _| !is_own_label(name));
            }
            read.extend(more);
        }
        let own = std::mem::take(&mut service.labels);
        service.labels = read.into_iter().collect();
        service.labels.extend(own);
    }

    /// The path of a file that is named, if it may be read and is there.
    fn named_file(&mut self, view: &View<'_>, required: bool) -> Option<String> {
        let Value::Path(located) = &view.item.value else { return None };
        let path = match &located.inside {
            Ok(path) => path.clone(),
            Err(message) => {
                self.findings.add(Kind::Confined, "outside", &view.item.at, &view.path, message);
                return None;
            }
        };
        if self.files.kind(&path) == PathKind::File {
            return Some(path);
        }
        if required {
            let message = format!("there is no file {} in the submission", quoted(&path));
            self.findings.mistake("missing-file", &view.item.at, &view.path, message);
        }
        None
    }
}
