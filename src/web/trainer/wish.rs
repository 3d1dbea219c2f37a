//! What a trainer asked the grid to show: which students, by what they are sorted, of which section.

use serde::Deserialize;

/// What a trainer asked the grid to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    pub(super) show: String,
    pub(super) sort: String,
    /// The number of a section of the workshop, from 1.
    pub(super) section: String,
    /// A part of a student's name.
    pub(super) name: String,
}

impl Wish {
    pub(super) fn show(&self) -> &'static str {
        match self.show.as_str() {
            "stuck" => "stuck",
            "idle" => "idle",
            "done" => "done",
            _ => "all",
        }
    }

    /// `progress`, `seen`, the slug of an exercise, or else by name.
    pub(super) fn sort<'s>(&'s self, columns: &[(String, bool)]) -> &'s str {
        let known = ["progress", "seen"].contains(&self.sort.as_str());
        if known || columns.iter().any(|(slug, _)| *slug == self.sort) { &self.sort } else { "name" }
    }

    pub(super) fn section(&self) -> Option<usize> {
        self.section.parse::<usize>().ok()?.checked_sub(1)
    }

    pub(super) fn finds(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.name.trim().to_lowercase())
    }

    /// The query of the same wish with something else to show and to sort by.
    pub(super) fn query(&self, show: &str, sort: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("show", show).append_pair("sort", sort);
        for (name, value) in [("section", &self.section), ("name", &self.name)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}
