//! A student's answers to an exercise's questions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::{Refusal, shown};
use crate::units::ByteSize;

/// The most that all answers of a submission may take, names of the questions included.
pub const ANSWERS_BYTES: usize = 100 * 1024;

/// A student's answers by question (check id). Choices are option ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Answers(pub BTreeMap<String, Answer>);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Answer {
    /// Ids of the chosen options.
    Choices(Vec<String>),
    /// What was written.
    Text(String),
}

impl Answers {
    /// Reads `{"question": "text", "other-question": ["option", …]}`. A number counts as the text it
    /// is written with.
    ///
    /// # Errors
    /// A [`Refusal`] that names the answer that cannot be one.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > ANSWERS_BYTES {
            return Err(too_large(json.len()));
        }
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            Refusal::Damaged(format!(
                "The answers are no JSON (line {}, column {}): {}",
                error.line(),
                error.column(),
                match error.classify() {
                    serde_json::error::Category::Eof => "they end too early",
                    _ => "there is something else than JSON allows",
                }
            ))
        })?;
        let Value::Object(members) = value else {
            return Err(Refusal::Damaged(format!(
                "The answers are {}, and should be an object: {{\"question\": \"answer\", …}}",
                kind(&value)
            )));
        };
        members
            .into_iter()
            .map(|(question, value)| match answer(value) {
                Ok(answer) => Ok((question, answer)),
                Err(found) => Err(Refusal::Damaged(format!(
                    "The answer to {} is {found}, and should be a text or a list of option names",
                    shown(question.as_bytes())
                ))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// These answers, unless they are larger than [`ANSWERS_BYTES`] together. For answers that come
    /// from a form.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] with the figures.
    pub fn capped(self) -> Result<Self, Refusal> {
        let length = |answer: &Answer| match answer {
            Answer::Text(text) => text.len(),
            Answer::Choices(options) => options.iter().map(String::len).sum(),
        };
        let bytes = self.0.iter().map(|(question, given)| question.len() + length(given)).sum();
        if bytes > ANSWERS_BYTES { Err(too_large(bytes)) } else { Ok(self) }
    }
}

fn too_large(bytes: usize) -> Refusal {
    Refusal::TooLarge(format!(
        "The answers are {} together, and {} is the limit; shorten them",
        ByteSize(bytes as u64),
        ByteSize(ANSWERS_BYTES as u64)
    ))
}

fn answer(value: Value) -> Result<Answer, &'static str> {
    match value {
        Value::String(text) => Ok(Answer::Text(text)),
        Value::Number(number) => Ok(Answer::Text(number.to_string())),
        Value::Array(options) => options
            .into_iter()
            .map(|option| match option {
                Value::String(option) => Ok(option),
                _ => Err("a list of something else than texts"),
            })
            .collect::<Result<_, _>>()
            .map(Answer::Choices),
        other => Err(kind(&other)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
