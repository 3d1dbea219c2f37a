//! What trainers added to a submission, as a piece of its page: comments, and decisions about its checks.

use askama::Template;
use chrono::{DateTime, Utc};

use super::picture::Outline;
use super::pieces::outcome_word;
use crate::store::{Note, Said};
use crate::text::visible;
use crate::web::words::Ago;

/// `notes` of the page.
#[derive(Template)]
#[template(path = "student/notes.html")]
pub struct NotesPiece {
    notes: Vec<NoteView>,
}

struct NoteView {
    by: String,
    at: Ago,
    /// What was done, where it is no comment.
    deed: Option<String>,
    text: String,
}

impl askama::filters::HtmlSafe for NotesPiece {}

impl NotesPiece {
    /// Newest last, as a conversation is read.
    pub(crate) fn new(notes: Vec<Note>, outline: &Outline, now: DateTime<Utc>) -> Self {
        let title = |id: &str| {
            let check = outline.checks.iter().find(|check| check.id == id);
            check.map_or_else(|| id.to_owned(), |check| check.title.clone())
        };
        let view = |note: Note| {
            let (deed, text) = match note.said {
                Said::Comment(text) => (None, text),
                Said::Decided { check, outcome: Some(outcome), reason } => {
                    (Some(format!("decided about “{}”: {}", title(&check), outcome_word(outcome))), reason)
                }
                Said::Decided { check, outcome: None, reason } => {
                    (Some(format!("took back the decision about “{}”", title(&check))), reason)
                }
            };
            NoteView {
                by: visible(&note.by).into_owned(),
                at: Ago { at: note.at, now },
                deed,
                text: visible(&text).into_owned(),
            }
        };
        Self { notes: notes.into_iter().map(view).collect() }
    }
}
