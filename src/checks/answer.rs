//! Questions that a person answers, as pages and the API show them.

use serde::Serialize;
use utoipa::ToSchema;

use super::essay::Criterion;
use crate::submissions::{Answer, Answers};

/// A question without its right answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question<'a> {
    /// One option, or any number of them.
    Choice {
        /// The question, Markdown.
        question: &'a str,
        /// The options in the order they are shown: id and text (Markdown).
        options: Vec<(&'a str, &'a str)>,
        /// Whether more than one may be chosen.
        several: bool,
    },
    /// A few words or a number.
    Short {
        /// The question, Markdown.
        question: &'a str,
        /// Whether a number is asked for.
        number: bool,
    },
    /// A text that a trainer reads.
    Essay {
        /// The question, Markdown.
        question: &'a str,
        /// The fewest words that are taken for an answer; 0 where it does not matter.
        minimum_words: u32,
        /// What the trainer looks for; shown, because nobody can meet what they do not know.
        rubric: &'a [Criterion],
    },
}

/// The answer's text, `None` where nothing was answered.
pub(super) fn text<'a>(answers: &'a Answers, id: &str) -> Option<&'a str> {
    match answers.0.get(id)? {
        Answer::Text(text) => Some(text.as_str()),
        Answer::Choices(choices) => choices.first().map(String::as_str),
    }
    .filter(|text| !text.trim().is_empty())
}

/// The chosen option ids; a single text counts as one choice.
pub(super) fn choices<'a>(answers: &'a Answers, id: &str) -> Vec<&'a str> {
    match answers.0.get(id) {
        None => Vec::new(),
        Some(Answer::Choices(choices)) => choices.iter().map(String::as_str).collect(),
        Some(Answer::Text(text)) if text.trim().is_empty() => Vec::new(),
        Some(Answer::Text(text)) => vec![text.trim()],
    }
}
