//! The labels on everything this room makes, by which a sweep tells whose it is.

use std::collections::HashMap;

/// Which installation made it: the content of `<state_dir>/installation-id`.
pub(super) const SERVER: &str = "drydock.server";
/// Which process (owner) of the installation made it; see `owner.rs`.
pub(super) const OWNER: &str = "drydock.owner";
/// For which grading.
pub(super) const GRADING: &str = "drydock.grading";
/// What it is for, such as `pod`, `inspector`, `service`.
pub(super) const ROLE: &str = "drydock.role";

/// Whether a label is one of ours, to be left out of what a student's image is said to have.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("drydock.")
}

/// Whose objects are: goes onto each container, network, volume and image.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) server: String,
    pub(super) owner: String,
}

impl Labels {
    /// The labels of an object; `grading` is `None` for what serves no grading yet (a warm pod).
    pub(super) fn of(&self, role: &str, grading: Option<&str>) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (SERVER.to_owned(), self.server.clone()),
            (OWNER.to_owned(), self.owner.clone()),
            (ROLE.to_owned(), role.to_owned()),
        ]);
        if let Some(grading) = grading {
            labels.insert(GRADING.to_owned(), grading.to_owned());
        }
        labels
    }

    /// The engine's list filter for everything of this installation.
    pub(super) fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{SERVER}={}", self.server)])])
    }
}
