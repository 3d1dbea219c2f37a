//! A question as a field of a form. The right answers are not in it: [`Question`] has none.

use askama::Template;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

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
    Line { number: bool, unit: Option<String>, value: String },
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
    /// The field for a check that is answered; `None` for every other kind. `whose` are the student and
    /// the exercise, by which the order of options is made.
    pub(crate) fn new(check: &CheckSpec, answers: &Answers, whose: (Uuid, &str)) -> Option<Self> {
        let given = answers.0.get(&check.id);
        let value = || match given {
            Some(Answer::Text(text)) => text.clone(),
            Some(Answer::Choices(options)) => options.join("\n"),
            None => String::new(),
        };
        let (text, field) = match check.kind.question()? {
            Question::Choice { question, mut options, several, keep_order } => {
                if !keep_order {
                    options.sort_by_cached_key(|(option, _)| place(whose, &check.id, option));
                }
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
            Question::Short { question, number, unit } => {
                (question, Field::Line { number, unit: unit.map(str::to_owned), value: value() })
            }
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

/// Where an option stands for a student: by a hash, so that neighbours see different orders and each the
/// same one whenever they look. Keyed with the student's identifier, which no other student knows.
fn place((person, exercise): (Uuid, &str), check: &str, option: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [person.as_bytes().as_slice(), exercise.as_bytes(), check.as_bytes(), option.as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checks::Kind;

    fn check(keep_order: bool) -> CheckSpec {
        let options: Vec<_> = (0..5)
            .map(|at| serde_json::json!({"id": format!("o{at}"), "text": format!("T{at}"), "right": at == 0}))
            .collect();
        let fields = serde_json::json!({"question": "Q", "options": options, "keep_order": keep_order});
        CheckSpec {
            id: "which".into(),
            title: "Which".into(),
            points: 1,
            hints: Vec::new(),
            explain: None,
            hidden: false,
            kind: Kind::read("choice", &fields).unwrap(),
        }
    }

    fn order(check: &CheckSpec, whose: (Uuid, &str)) -> Vec<String> {
        let piece = QuestionPiece::new(check, &Answers::default(), whose).unwrap();
        let Field::Options { options, .. } = piece.field else { panic!("options") };
        options.into_iter().map(|option| option.id).collect()
    }

    #[test]
    fn every_student_has_an_order_of_their_own_that_stays() {
        let check_shuffled = check(false);
        let orders: Vec<_> =
            (0..40).map(|person| order(&check_shuffled, (Uuid::from_u128(person), "alpha"))).collect();
        let again: Vec<_> =
            (0..40).map(|person| order(&check_shuffled, (Uuid::from_u128(person), "alpha"))).collect();
        assert_eq!(orders, again);
        assert!(orders.iter().collect::<BTreeSet<_>>().len() > 20, "{orders:?}");
        let firsts: BTreeSet<_> = orders.iter().map(|order| order[0].clone()).collect();
        assert_eq!(firsts.len(), 5, "every option is first for somebody");
        let elsewhere: Vec<_> =
            (0..40).map(|person| order(&check_shuffled, (Uuid::from_u128(person), "bravo"))).collect();
        assert_ne!(orders, elsewhere);
    }

    #[test]
    fn options_with_an_order_keep_it() {
        let written: Vec<String> = (0..5).map(|at| format!("o{at}")).collect();
        for person in 0..10 {
            assert_eq!(order(&check(true), (Uuid::from_u128(person), "alpha")), written);
        }
    }
}
