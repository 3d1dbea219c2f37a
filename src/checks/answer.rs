//! Questions that a person answers, as pages and the API show them.

use pulldown_cmark::{Event, Parser, TagEnd};
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
        /// The options as they are written: id and text (Markdown).
        options: Vec<(&'a str, &'a str)>,
        /// Whether more than one may be chosen.
        several: bool,
        /// Whether they are shown in this order, or in one of each student's own.
        keep_order: bool,
    },
    /// A few words or a number.
    Short {
        /// The question, Markdown.
        question: &'a str,
        /// Whether a number is asked for.
        number: bool,
        /// The unit that the number is in.
        unit: Option<&'a str>,
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

/// How much of a question's beginning and end stands in a phrase, in characters.
const BEGINNING: usize = 70;
const END: usize = 40;

/// The question in a phrase, so that the failures of several are told apart: without its Markdown, on one
/// line. Of a long one the beginning and the end, where many that begin alike differ.
pub(super) fn asked(question: &str) -> String {
    let mut plain = String::new();
    for event in Parser::new(question) {
        match event {
            Event::Text(text) => plain.push_str(&text),
            Event::Code(code) => {
                plain.push('`');
                plain.push_str(&code.replace('`', "'"));
                plain.push('`');
            }
            Event::SoftBreak | Event::HardBreak => plain.push(' '),
            Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::CodeBlock | TagEnd::Heading(_)) => {
                plain.push(' ');
            }
            _ => {}
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    let whole = words.join(" ");
    if whole.chars().count() <= BEGINNING + END {
        return format!("“{whole}”");
    }
    let beginning = closed(&fitting(words.iter(), BEGINNING).join(" "));
    let mut end = fitting(words.iter().rev(), END);
    end.reverse();
    format!("“{beginning} … {}”", closed(&end.join(" ")))
}

/// The first words that fit; at least one, cut if it has to be.
fn fitting<'w>(words: impl Iterator<Item = &'w &'w str>, most: usize) -> Vec<String> {
    let mut left = most;
    let mut fit = Vec::new();
    for word in words {
        let length = word.chars().count() + 1;
        if length > left {
            if fit.is_empty() {
                fit.push(word.chars().take(most).collect());
            }
            break;
        }
        left -= length;
        fit.push((*word).to_owned());
    }
    fit
}

/// Without the backticks of code that was cut through.
fn closed(part: &str) -> String {
    if part.matches('`').count().is_multiple_of(2) { part.to_owned() } else { part.replace('`', "") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_a_phrase() {
        assert_eq!(asked("What is *shared*\nby `a` and **b**?"), "“What is shared by `a` and b?”");
        assert_eq!(asked("1. `*.csv`\n2. `!a.csv`\n\nWhich\n"), "“`*.csv` `!a.csv` Which”");
        let long = |word: &str| {
            asked(&format!(
                "A web application and its database run in two containers on one server; only the {word} is published. Which driver?"
            ))
        };
        assert_eq!(
            long("web application"),
            "“A web application and its database run in two containers on one … application is published. Which driver?”"
        );
        assert_ne!(long("web application"), long("database"));
        let cut = asked(&format!("`docker {}` and then `{} x`", "run ".repeat(40), "y ".repeat(30)));
        assert_eq!(cut.matches('`').count() % 2, 0, "{cut}");
        assert!(asked(&"ü".repeat(500)).chars().count() < 130);
    }
}
