//! `mounts` of a service: volumes of the stack and folders of the submission.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Reader, relative};
use crate::exercises::definition::MountDefinition;
use crate::sandbox::{MountSpec, Source, StackSpec};
use crate::text::visible;
use crate::tree::{Node, Place, unknown};
use crate::units::ByteSize;

impl Reader<'_> {
    pub(super) fn mounts(
        &mut self,
        service: &str,
        mounts: Vec<MountDefinition>,
        tmpfs: &IndexMap<String, ByteSize>,
        volumes: &[String],
    ) -> Vec<MountSpec> {
        let places = self.places(&["stack", "services", service, "mounts"]);
        let mut taken: HashSet<String> = tmpfs.keys().map(|path| plain(path)).collect();
        let mut read = Vec::new();
        for (index, mount) in mounts.into_iter().enumerate() {
            let place = places.get(index).copied().unwrap_or_default();
            let target = mount.target.unwrap_or_default();
            if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
                self.mistakes.at(
                    place,
                    match target.as_str() {
                        "" => "a mount needs a `target`: where in the container, such as `/data`".into(),
                        target => format!("`target: {}` is not an absolute path", visible(target)),
                    },
                );
            } else if plain(&target).is_empty() {
                self.mistakes.at(place, "`target: /` would hide the whole image; mount below it");
            } else if target.contains([':', ',']) {
                self.mistakes.at(place, "a `target` with `:` or `,` could not be written for docker");
            } else if !taken.insert(plain(&target)) {
                self.mistakes.at(place, format!("two things are mounted at `{}`", visible(&target)));
            }
            if let Some(source) = self.source(place, mount.volume, mount.folder, volumes) {
                read.push(MountSpec { source, target, read_only: mount.read_only });
            }
        }
        read
    }

    fn source(
        &mut self,
        place: Place,
        volume: Option<String>,
        folder: Option<String>,
        volumes: &[String],
    ) -> Option<Source> {
        match (volume, folder) {
            (Some(name), None) => {
                if !volumes.contains(&name) {
                    let sentence = unknown("volume", &name, volumes.iter().map(String::as_str));
                    let add = if volumes.is_empty() { "; add it to `stack.volumes`" } else { "" };
                    self.mistakes.at(place, format!("{sentence}{add}"));
                }
                Some(Source::Volume(name))
            }
            (None, Some(path)) => {
                let Some(clean) = relative(&path).filter(|clean| !clean.is_empty() || path.starts_with('.'))
                else {
                    self.mistakes.at(
                        place,
                        "`folder` is a folder of the submission, such as `site`, or `.` for the whole, without `..`",
                    );
                    return None;
                };
                Some(Source::Folder(if clean.is_empty() { ".".into() } else { clean }))
            }
            (None, None) => {
                self.mistakes.at(place, "a mount says what is mounted: a `volume` or a `folder`");
                None
            }
            (Some(_), Some(_)) => {
                self.mistakes.at(place, "a mount is of a `volume` or of a `folder`, not of both");
                None
            }
        }
    }

    /// Whether submissions can have the folders that services mount, and the solution does.
    pub(super) fn mounted_folders(&mut self, stack: Option<&StackSpec>, takes_files: bool) {
        let mut seen = HashSet::new();
        for (name, service) in stack.into_iter().flat_map(|stack| &stack.services) {
            for mount in &service.mounts {
                let Source::Folder(folder) = &mount.source else { continue };
                if !takes_files {
                    self.wrong(
                        &["stack", "services", name, "mounts"],
                        "a folder of the submission is mounted, and `submit` takes no files; add `upload`",
                    );
                } else if folder != "."
                    && seen.insert(folder.clone())
                    && self.is_folder("solution")
                    && !self.is_folder(&format!("solution/{folder}"))
                {
                    let path = format!("{}/solution/{folder}", self.shown);
                    self.mistakes
                        .elsewhere(path, format!("the folder is missing; the service `{name}` mounts it"));
                }
            }
        }
    }

    /// Where the items of a list stand.
    pub(super) fn places(&self, path: &[&str]) -> Vec<Place> {
        let mut node = Some(&self.node);
        for key in path {
            node = node.and_then(|node| node.get(key));
        }
        node.and_then(Node::list).into_iter().flatten().map(|node| node.place).collect()
    }
}

/// A path without the slashes that do not matter.
fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}
