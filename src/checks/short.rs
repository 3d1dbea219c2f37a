//! `short`: a question that is answered with a few words or a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Literal, Pattern, fill, shown};
use super::{Check, Detail, Fault, Finding, Question, Scene, Surroundings, answer};
use crate::report::Phase;

/// A question answered with a few words, of which spellings are accepted, or with a number.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// The question, Markdown.
    pub question: String,
    /// Accepted spellings.
    #[serde(default)]
    pub accepts: Vec<Literal>,
    /// An accepted pattern, for answers with many spellings. The whole answer has to fit.
    pub matches: Option<Pattern>,
    /// Whether upper and lower case differ.
    #[serde(default)]
    pub case_sensitive: bool,
    /// Whether blanks count: otherwise those around the answer do not, and several are one.
    #[serde(default)]
    pub exact_spaces: bool,
    /// The answer is a number.
    pub number: Option<NumberAnswer>,
}

/// A number and how far off an answer may be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberAnswer {
    /// The right number.
    pub value: f64,
    /// The largest difference that still counts as right.
    #[serde(default)]
    pub tolerance: f64,
}

impl Check for Short {
    const NAME: &'static str = "short";
    const PHASE: Phase = Phase::Read;

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.question(&self.question, &mut mistakes);
        let text = !self.accepts.is_empty() || self.matches.is_some();
        if !text && self.number.is_none() {
            mistakes.push("no answer is right; write `accepts`, `matches` or `number`".into());
        }
        if text && self.number.is_some() {
            mistakes.push("`number` cannot stand beside `accepts` or `matches`".into());
        }
        if self.accepts.iter().any(|text| self.normal(&text.0).is_empty()) {
            mistakes.push("an entry of `accepts` is empty; an empty answer is never accepted".into());
        }
        if self.matches.as_ref().is_some_and(Pattern::fits_everything) {
            mistakes.push("`matches` can never fail: it fits every text".into());
        }
        if let Some(number) = &self.number {
            let fine = number.value.is_finite() && number.tolerance.is_finite() && number.tolerance >= 0.0;
            if !fine {
                mistakes.push("`number` needs a `value` and a `tolerance` that is not negative".into());
            }
        }
        mistakes
    }

    fn question(&self) -> Option<Question<'_>> {
        Some(Question::Short { question: &self.question, number: self.number.is_some() })
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let expected = if self.number.is_some() { "the right number" } else { "the right answer" };
        let Some(answer) = answer::text(scene.answers, scene.id) else {
            return Ok(Finding::Failed(Detail::new(expected, "nothing was answered")));
        };
        if let Some(wanted) = &self.number {
            return Ok(match number(answer) {
                Some(given) => Finding::of(
                    // The last digits of a sum of decimals are not the student's.
                    (given - wanted.value).abs()
                        <= wanted.tolerance + f64::EPSILON * wanted.value.abs().max(1.0) * 4.0,
                    Detail::new(expected, format!("answered {}", shown(answer))),
                ),
                None => Finding::Failed(Detail::new(expected, format!("{} is not a number", shown(answer)))),
            });
        }
        let given = self.normal(answer);
        let mut holds = self.accepts.iter().any(|text| self.normal(&fill(&text.0, scene.variables)) == given);
        if let Some(pattern) = &self.matches {
            let whole = pattern.whole(!self.case_sensitive, scene.variables).map_err(Fault::Exercise)?;
            holds |= whole.is_match(answer.trim());
        }
        Ok(Finding::of(holds, Detail::new(expected, format!("answered {}", shown(answer)))))
    }
}

impl Short {
    /// What of an answer counts.
    fn normal(&self, answer: &str) -> String {
        let spaced = if self.exact_spaces {
            answer.to_owned()
        } else {
            answer.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        if self.case_sensitive { spaced } else { spaced.to_lowercase() }
    }
}

/// A number as people write one: `1,5` and `1.5`, `1 000` and `1_000`.
fn number(answer: &str) -> Option<f64> {
    let digits: String = answer.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            .then(|| text.parse().ok())
            .flatten()
    };
    plain(&digits).or_else(|| plain(&digits.replacen(',', ".", 1))).filter(|number: &f64| number.is_finite())
}
