//! A folder of exercises, and the workshops that put them in order.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::exercise::Exercise;
use super::mistake::{Mistake, Mistakes};
use super::reading::check_slug;
use crate::tree::{Node, Place, unknown};

/// An ordered list of exercises in sections, for one audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workshop {
    /// Name of its file without `.yaml`.
    pub slug: String,
    /// For lists and headings.
    pub title: String,
    /// Whom it is for.
    pub audience: String,
    /// In their order.
    pub sections: Vec<Section>,
}

/// A part of a workshop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Slugs of its exercises, in their order.
    pub exercises: Vec<String>,
}

/// A workshop as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WorkshopDefinition {
    title: String,
    audience: String,
    sections: Vec<SectionDefinition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SectionDefinition {
    title: String,
    exercises: Vec<String>,
}

/// All exercises and workshops under a root folder (`exercises/`).
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By slug, in alphabetical order.
    pub exercises: IndexMap<String, Arc<Exercise>>,
    /// By slug, in alphabetical order.
    pub workshops: IndexMap<String, Workshop>,
}

impl Catalogue {
    /// Reads every folder in `root` as an exercise and `root/workshops/*.yaml` as workshops. What begins
    /// with a dot, and files beside the folders, are left alone. Reads files, so it blocks.
    ///
    /// # Errors
    /// Every mistake in any of them.
    pub fn read(root: &Path) -> Result<Self, Vec<Mistake>> {
        let mut catalogue = Self::default();
        let mut mistakes = Vec::new();
        let mut slugs = Vec::new();
        for (name, path) in entries(root, &mut mistakes) {
            if name == "workshops" || !path.is_dir() {
                continue;
            }
            slugs.push(name.clone());
            match Exercise::read(&path) {
                Ok(exercise) => drop(catalogue.exercises.insert(name, Arc::new(exercise))),
                Err(found) => mistakes.extend(found),
            }
        }
        let folder = root.join("workshops");
        if folder.is_dir() {
            for (name, path) in entries(&folder, &mut mistakes) {
                match read_workshop(&name, &path, &slugs) {
                    Ok(workshop) => drop(catalogue.workshops.insert(workshop.slug.clone(), workshop)),
                    Err(found) => mistakes.extend(found),
                }
            }
        }
        if mistakes.is_empty() { Ok(catalogue) } else { Err(mistakes) }
    }
}

/// What lies in a folder, by name, in alphabetical order.
fn entries(folder: &Path, mistakes: &mut Vec<Mistake>) -> Vec<(String, std::path::PathBuf)> {
    let mut found = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    found.push((name, entry.path()));
                }
            }
        }
        Err(error) => {
            let mut alone = Mistakes::of(folder.display().to_string());
            alone.at(Place::default(), format!("the folder cannot be opened: {error}"));
            mistakes.extend(alone.sorted().0);
        }
    }
    found.sort();
    found
}

/// `slugs` are the exercises that there are.
fn read_workshop(name: &str, path: &Path, slugs: &[String]) -> Result<Workshop, Vec<Mistake>> {
    let mut mistakes = Mistakes::of(path.display().to_string());
    let top = Place::default();
    let Some(slug) = name.strip_suffix(".yaml") else {
        mistakes.at(top, "a workshop is a file that ends in `.yaml`");
        return Err(mistakes.sorted().0);
    };
    if check_slug(slug).is_err() {
        mistakes.at(top, "this is no name for a workshop; use lower-case words joined by dashes");
    }
    let node = std::fs::read(path).map_err(|error| format!("the file cannot be read: {error}"));
    let node = match node.map(|bytes| crate::yaml::parse(&bytes)) {
        Err(message) => {
            mistakes.at(top, message);
            return Err(mistakes.sorted().0);
        }
        Ok(Err(error)) => {
            mistakes.error(error);
            return Err(mistakes.sorted().0);
        }
        Ok(Ok(node)) => node,
    };
    let (definition, errors) = node.read_partly::<WorkshopDefinition>();
    let unread = !errors.is_empty();
    mistakes.errors(errors);
    for (key, text) in [("title", &definition.title), ("audience", &definition.audience)] {
        if text.trim().is_empty() && node.get(key).is_none() {
            mistakes.at(node.place, format!("`{key}` is missing"));
        } else if text.trim().is_empty() && !unread {
            mistakes.at(node.key_place(key), format!("`{key}` is empty"));
        }
    }
    if definition.sections.is_empty() && !unread {
        mistakes.at(
            node.key_place("sections"),
            "a workshop needs `sections`, each with a `title` and `exercises`",
        );
    }
    judge_sections(&node, &definition.sections, slugs, &mut mistakes);
    let (errors, _) = mistakes.sorted();
    if !errors.is_empty() {
        return Err(errors);
    }
    let section = |section: SectionDefinition| Section { title: section.title, exercises: section.exercises };
    Ok(Workshop {
        slug: slug.to_owned(),
        title: definition.title,
        audience: definition.audience,
        sections: definition.sections.into_iter().map(section).collect(),
    })
}

fn judge_sections(node: &Node, sections: &[SectionDefinition], slugs: &[String], mistakes: &mut Mistakes) {
    let nodes = node.get("sections").and_then(Node::list).unwrap_or_default();
    let mut seen: IndexMap<&str, Place> = IndexMap::new();
    for (section, node) in sections.iter().zip(nodes) {
        if section.title.trim().is_empty() {
            mistakes.at(node.key_place("title"), "a section needs a `title`");
        }
        if section.exercises.is_empty() {
            mistakes.at(node.key_place("exercises"), "a section needs `exercises`, a list of their names");
        }
        let places = node.get("exercises").and_then(Node::list).unwrap_or_default();
        for (slug, place) in section.exercises.iter().zip(places.iter().map(|node| node.place)) {
            if !slugs.contains(slug) {
                mistakes.at(place, unknown("exercise", slug, slugs.iter().map(String::as_str)));
            } else if let Some(first) = seen.insert(slug, place) {
                let message = format!("the exercise `{slug}` is there twice, first in line {}", first.line);
                mistakes.at(place, message);
            }
        }
    }
}
