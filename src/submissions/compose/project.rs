//! A project from its files to its model: which files there are, its variables, its name, its profiles.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::super::content::Content;
use super::dotenv::Environment;
use super::files::{Files, PathKind, folder_of};
use super::finding::{Findings, KeyPath, Kind, Origin, listed, quoted};
use super::item::{Item, Map};
use super::load::{Loader, Setting};
use super::model::{MountKind, Network, Project, Service};
use super::reading::{Reader, View, read_network, read_service, read_shared_file, read_volume};
use super::template::Scope;
use super::{Options, Reading};
use crate::tree::Place;

/// Docker's order of preference.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Laid over the first, where nothing else is asked for.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

pub(super) fn read(content: &Content, options: &Options) -> Reading {
    let mut loader = Loader::new(Files::new(content));
    let folder = options.file.as_deref().map_or("", folder_of).to_owned();
    let mut environment = loader.own_variables(&folder);
    let files = project_files(&mut loader, options, &folder, &environment);
    let name = project_name(&mut loader, content, &files, &environment, options);
    environment.insert("COMPOSE_PROJECT_NAME".into(), name.clone());

    let setting = Setting { folder: &folder, environment: &environment, chain: &[] };
    let root = loader.model(&files, setting);
    loader.too_many(&root);
    if let (Some(file), Some(0)) = (files.first(), root.map().map(Map::len))
        && !loader.findings.lack_a_file()
    {
        let place = Place { line: 1, column: 1 };
        let origin = Origin { file: file.as_str().into(), place };
        loader.findings.unreadable(&origin, "the file is empty (or has nothing but comments)");
    }
    // What is too large is not read any further.
    let project = if files.is_empty() || loader.findings.tell_of_too_many() {
        empty(name)
    } else {
        model(&mut loader, &root, name, &environment, options)
    };
    Reading { files, project, findings: loader.finish() }
}

fn empty(name: String) -> Project {
    Project {
        name,
        services: IndexMap::new(),
        networks: IndexMap::new(),
        volumes: IndexMap::new(),
        configs: IndexMap::new(),
        secrets: IndexMap::new(),
    }
}

pub(super) fn in_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The compose file and those that are laid over it.
fn project_files(
    loader: &mut Loader<'_>,
    options: &Options,
    folder: &str,
    environment: &Environment,
) -> Vec<String> {
    let asked = options.file.as_deref();
    let standard = asked.is_none_or(|file| NAMES.iter().any(|name| in_folder(folder, name) == file));
    if asked.is_none()
        && let Some(list) = environment.get("COMPOSE_FILE").filter(|list| !list.is_empty())
    {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
        return listed_files(loader, folder, list.split(if separator.is_empty() { ":" } else { separator }));
    }
    let there = |names: &[&str]| -> Vec<String> {
        let paths = names.iter().map(|name| in_folder(folder, name));
        // A link counts as there, so that it is told and not passed over.
        paths
            .filter(|path| {
                loader.files.locate("", path).is_err() || loader.files.kind(path) == PathKind::File
            })
            .collect()
    };
    let mains = match asked {
        Some(file) => vec![file.to_owned()],
        None => there(&NAMES),
    };
    let overrides = if standard { there(&OVERRIDES) } else { Vec::new() };
    let Some(main) = mains.first() else {
        let message =
            format!("there is no compose file in the submission; docker compose looks for {}", listed(NAMES));
        loader.findings.unreadable(&Origin::file(NAMES[0]), message);
        return Vec::new();
    };
    for found in [&mains, &overrides] {
        if let [first, _, ..] = found.as_slice() {
            let message =
                format!("there are several such files; docker compose takes {} alone", quoted(first));
            let origin = Origin::file(first);
            loader.findings.add(Kind::Note, "several-files", &origin, &KeyPath::default(), message);
        }
    }
    let chosen: Vec<String> = [Some(main), overrides.first()].into_iter().flatten().cloned().collect();
    listed_files(loader, "", chosen.iter().map(String::as_str))
}

/// Those of the paths that may be read.
fn listed_files<'p>(
    loader: &mut Loader<'_>,
    folder: &str,
    paths: impl Iterator<Item = &'p str>,
) -> Vec<String> {
    let mut files = Vec::new();
    for path in paths {
        match loader.files.locate(folder, path) {
            Ok(path) => files.push(path),
            Err(message) => {
                let origin = Origin::file(path);
                loader.findings.add(Kind::Confined, "outside", &origin, &KeyPath::default(), message);
            }
        }
    }
    files
}

/// What the project is called: `COMPOSE_PROJECT_NAME`, the last `name` of the files, or the folder's name.
fn project_name(
    loader: &mut Loader<'_>,
    content: &Content,
    files: &[String],
    environment: &Environment,
    options: &Options,
) -> String {
    if let Some(name) = environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()) {
        if normalized(name) != *name {
            let message = format!(
                "{} is no name of a project: it has lower-case letters, digits, `-` and `_`, and begins with a letter or \
                 digit",
                quoted(name)
            );
            loader.findings.mistake(
                "bad-name",
                &Origin::file(".env"),
                &KeyPath::of(&["COMPOSE_PROJECT_NAME"]),
                message,
            );
        }
        return normalized(name);
    }
    // The files are read for good later, when this name is among the variables.
    let mut written = None;
    for path in files {
        let Some(super::super::content::Entry::File { content, .. }) = content.get(path) else { continue };
        for document in crate::yaml::documents(content, &["!reset", "!override"]).unwrap_or_default() {
            if let Some(crate::tree::Value::Text(name)) = document.get("name").map(|node| &node.value)
                && !name.is_empty()
            {
                written = Some(name.clone());
            }
        }
    }
    let filled = written.and_then(|name| Scope::new(vec![environment], 10_000).fill(&name).ok());
    if let Some(name) = filled.as_deref().filter(|name| normalized(name).is_empty()) {
        let message = format!(
            "nothing is left of the name {}: only letters, digits, `-` and `_` stay, and it begins with a letter or digit",
            quoted(name)
        );
        let origin = Origin::file(files.last().map_or("", String::as_str));
        loader.findings.mistake("bad-name", &origin, &KeyPath::of(&["name"]), message);
    }
    let folder = options.file.as_deref().map_or("", folder_of);
    let folder = folder.rsplit('/').next().unwrap_or_default();
    let names = [filled.as_deref().unwrap_or_default(), folder, options.name.as_str(), "project"];
    names.into_iter().map(normalized).find(|name| !name.is_empty()).unwrap_or_default()
}

fn normalized(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = name.to_lowercase().chars().filter(fits).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}

/// The model out of the merged tree.
fn model(
    loader: &mut Loader<'_>,
    root: &Item,
    name: String,
    environment: &Environment,
    options: &Options,
) -> Project {
    let root = View::new(root, &root.at, KeyPath::default());
    let listed = environment.get("COMPOSE_PROFILES").map_or("", String::as_str).split(',').map(str::trim);
    let profiles: Vec<&str> = options.profiles.iter().map(String::as_str).chain(listed).collect();
    let active = |service: &Service| {
        service.profiles.is_empty()
            || profiles.contains(&"*")
            || service.profiles.iter().any(|profile| profiles.contains(&profile.as_str()))
    };
    let mut project = empty(name);
    let mut disabled = Vec::new();
    let declared_secrets: BTreeSet<String> =
        root.get("secrets").iter().flat_map(View::fields).map(|(name, _)| name.to_owned()).collect();

    for (name, view) in root.get("services").iter().flat_map(View::fields) {
        if view.item.map().is_none() {
            continue;
        }
        let mut findings = Findings::default();
        let mut reader = Reader {
            findings: &mut findings,
            files: &loader.files,
            options,
            environment,
            declared_secrets: &declared_secrets,
        };
        let service = read_service(&mut reader, &view);
        if active(&service) {
            loader.findings.append(findings, |_| true);
            project.services.insert(name.to_owned(), service);
        } else {
            loader.findings.append(findings, |kind| kind == Kind::Mistake);
            let message = format!(
                "the service is left out, since none of its profiles is active: {}",
                super::finding::listed(service.profiles.iter().map(String::as_str))
            );
            loader.findings.add(Kind::Note, "inactive-profile", &view.key, &view.path, message);
            disabled.push(name.to_owned());
        }
    }
    for (name, service) in &mut project.services {
        if let Some(view) = root.get("services").and_then(|services| services.get(name)) {
            loader.environment(service, &view, environment);
            loader.label_files(service, &view);
        }
    }
    shared(loader, &root, &mut project, options, environment, &declared_secrets);
    let mut reader = Reader {
        findings: &mut loader.findings,
        files: &loader.files,
        options,
        environment,
        declared_secrets: &declared_secrets,
    };
    reader.wire(&mut project, &root, &disabled);
    project
}

/// Networks, volumes, configs and secrets: all are read, those that a service uses are kept and judged.
fn shared(
    loader: &mut Loader<'_>,
    root: &View<'_>,
    project: &mut Project,
    options: &Options,
    environment: &Environment,
    declared_secrets: &BTreeSet<String>,
) {
    let used = Used::by(project);
    let empty = Item::new(root.item.at.clone(), super::item::Value::Map(Map::new()));
    for section in ["networks", "volumes", "configs", "secrets"] {
        for (name, view) in root.get(section).iter().flat_map(View::fields) {
            let is_used = used.contains(section, name);
            let mut findings = Findings::default();
            let mut reader = Reader {
                findings: &mut findings,
                files: &loader.files,
                options,
                environment,
                declared_secrets,
            };
            // A name with nothing behind it is one with no options.
            let view = if view.item.is_null() { View { item: &empty, ..view } } else { view };
            match section {
                "networks" => {
                    let network = read_network(&mut reader, &view);
                    if is_used {
                        project.networks.insert(name.to_owned(), network);
                    }
                }
                "volumes" => {
                    let volume = read_volume(&mut reader, &view);
                    if is_used {
                        project.volumes.insert(name.to_owned(), volume);
                    }
                }
                _ => {
                    let file = read_shared_file(&mut reader, section, &view);
                    let files =
                        if section == "configs" { &mut project.configs } else { &mut project.secrets };
                    if let Some(file) = file.filter(|_| is_used) {
                        files.insert(name.to_owned(), file);
                    }
                }
            }
            loader.findings.append(findings, |kind| is_used || kind == Kind::Mistake);
            if !is_used {
                let message = "no service that runs uses it, so it is left out";
                loader.findings.add(Kind::Note, "unused", &view.key, &view.path, message);
            }
        }
    }
    let first = project.services.values().find(|service| service.networks.contains_key("default"));
    if let Some(service) = first
        && !project.networks.contains_key("default")
    {
        let (origin, pools, labels) = (service.origin.clone(), Vec::new(), IndexMap::new());
        let network = Network { origin, internal: false, enable_ipv6: None, pools, labels };
        project.networks.insert("default".into(), network);
    }
}

/// The names that services use, by section.
struct Used(BTreeSet<(&'static str, String)>);

impl Used {
    fn by(project: &Project) -> Self {
        let mut used = BTreeSet::new();
        for service in project.services.values() {
            used.extend(service.networks.keys().map(|name| ("networks", name.clone())));
            used.extend(service.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Volume { source: Some(name), .. } => Some(("volumes", name.clone())),
                _ => None,
            }));
            used.extend(service.configs.iter().map(|mount| ("configs", mount.source.clone())));
            let of_build = service.build.iter().flat_map(|build| &build.secrets);
            used.extend(
                service.secrets.iter().chain(of_build).map(|mount| ("secrets", mount.source.clone())),
            );
        }
        Self(used)
    }

    fn contains(&self, section: &'static str, name: &str) -> bool {
        self.0.contains(&(section, name.to_owned()))
    }
}
