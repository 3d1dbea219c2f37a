//! A question as a field of a form. The right answers are not in it: [`Question`] has none.

use askama::Template;

use crate::checks::Question;
use crate::exercises::CheckSpec;
use crate::submissions::{Answer, Answers};
use crate::web::markdown;
use crate::web::words::count;

/// One question with what the student answered so far.
#[derive(Template)]
#[template(path = "student/question.html")]
pub(crate) struct QuestionPiece {
    id: String,
    title: String,
    points: String,
    text: String,
    field: Field,
}

impl askama::filters::HtmlSafe for QuestionPiece {}

enum Field {
    Options { several: bool, options: Vec<OptionView> },
    Line { number: bool, value: String },
    Text { minimum_words: u32, rubric: Vec<RubricLine>, value: String },
}

struct OptionView {
    id: String,
    text: String,
    chosen: bool,
}

struct RubricLine {
    criterion: String,
    points: String,
}

impl QuestionPiece {
    /// The field for a check that is answered; `None` for every other kind.
    pub(crate) fn new(check: &CheckSpec, answers: &Answers) -> Option<Self> {
        let given = answers.0.get(&check.id);
        let value = || match given {
            Some(Answer::Text(text)) => text.clone(),
            Some(Answer::Choices(options)) => options.join("\n"),
            None => String::new(),
        };
        let (text, field) = match check.kind.question()? {
            Question::Choice { question, options, several } => {
                let chosen = |id: &str| match given {
                    Some(Answer::Choices(options)) => options.iter().any(|option| option == id),
                    Some(Answer::Text(text)) => text == id,
                    None => false,
                };
                let options = options.into_iter().map(|(id, text)| OptionView {
                    chosen: chosen(id),
                    id: id.to_owned(),
                    text: markdown::phrase(text),
                });
                (question, Field::Options { several, options: options.collect() })
            }
            Question::Short { question, number } => (question, Field::Line { number, value: value() }),
            Question::Essay { question, minimum_words, rubric } => {
                let rubric = rubric.iter().map(|line| RubricLine {
                    criterion: line.criterion.clone(),
                    points: count(line.points.into(), "point"),
                });
                (question, Field::Text { minimum_words, rubric: rubric.collect(), value: value() })
            }
        };
        Some(Self {
            id: check.id.clone(),
            title: check.title.clone(),
            points: count(check.points.into(), "point"),
            text: markdown::document(text),
            field,
        })
    }
}
