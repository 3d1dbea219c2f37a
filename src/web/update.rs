//! What changes on an open page, sent over the page's stream: `assets/live.js` puts it in.

use std::fmt::Display;

use serde::Serialize;

/// A piece of the page and what it is replaced by, or what is added at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// The element's id.
    pub id: String,
    /// The element anew, or what comes into it at the end.
    pub html: String,
    /// Whether `html` is added at the end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
}

/// What one event changes on an open page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Update {
    /// Pieces of the page.
    pub patches: Vec<Patch>,
    /// A sentence for screen readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// The state's words for the browser's tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The state's drawing for the browser's tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<&'static str>,
    /// Whether the verdict is there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// Whether something may follow even so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Whether the page has to be drawn anew.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reload: bool,
}

impl Patch {
    /// An element that takes the place of the one with its id.
    #[must_use]
    pub fn anew(id: impl Into<String>, piece: &impl Display) -> Self {
        Self { id: id.into(), html: piece.to_string(), append: false }
    }
}

impl Update {
    #[must_use]
    pub fn of(patch: Patch) -> Self {
        Self { patches: vec![patch], ..Self::default() }
    }

    /// Whether an open page stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty() && self.say.is_none() && !self.done && !self.reload
    }
}
