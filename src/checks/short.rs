//! `short`: a question that is answered with a few words or a number.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Literal, Pattern, fill, shown};
use super::{Check, Detail, Fault, Finding, Manual, Question, Scene, Surroundings, answer};
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
    /// The unit that `value` is in, such as `MiB`. It is shown, and may be left out of an answer.
    pub unit: Option<String>,
    /// Other units in which it may be answered, and how many of `unit` one of them is: `{GiB: 1024}`.
    #[serde(default)]
    pub units: IndexMap<String, f64>,
}

impl Check for Short {
    const NAME: &'static str = "short";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("short.yaml"),
        evidence: &[],
        fails: &[
            "nothing was answered",
            "no accepted spelling or pattern fits, or the number is too far off or in another unit",
        ],
    };

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
            number.unit_mistakes(&mut mistakes);
        }
        mistakes
    }

    fn question(&self) -> Option<Question<'_>> {
        Some(Question::Short {
            question: &self.question,
            number: self.number.is_some(),
            unit: self.number.as_ref().and_then(|number| number.unit.as_deref()),
        })
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let what = if self.number.is_some() { "the right number" } else { "the right answer" };
        let expected = format!("{what} to {}", answer::asked(&self.question));
        let Some(answer) = answer::text(scene.answers, scene.id) else {
            return Ok(Finding::Failed(Detail::new(expected, "nothing was answered")));
        };
        if let Some(wanted) = &self.number {
            return Ok(match wanted.read(answer) {
                Ok(given) => Finding::of(
                    wanted.accepts(given),
                    Detail::new(expected, format!("answered {}", shown(answer))),
                ),
                Err(observed) => Finding::Failed(Detail::new(expected, observed)),
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

impl NumberAnswer {
    fn accepts(&self, given: f64) -> bool {
        // The last digits of a sum of decimals are not the student's.
        (given - self.value).abs() <= self.tolerance + f64::EPSILON * self.value.abs().max(1.0) * 4.0
    }

    /// What was answered, in `unit`; or what is the matter with it.
    fn read(&self, answer: &str) -> Result<f64, String> {
        let unit_begins = |c: char| !(c.is_ascii_digit() || c.is_whitespace() || "+-.,_".contains(c));
        let answer = answer.trim();
        // `1e3` is a number, and no number of a unit called e3.
        if let Some(given) = number(answer) {
            return Ok(given);
        }
        let (digits, unit) = answer.split_at(answer.find(unit_begins).unwrap_or(answer.len()));
        let given = number(digits).ok_or_else(|| format!("{} is not a number", shown(answer)))?;
        self.one_of(unit.trim())
            .map(|factor| given * factor)
            .ok_or_else(|| format!("{} is a number with a unit that is not asked for", shown(answer)))
    }

    /// How many of `unit` one of these is. Upper and lower case count only where they tell units apart.
    fn one_of(&self, written: &str) -> Option<f64> {
        let known = || {
            let own = self.unit.iter().map(|unit| (unit.as_str(), 1.0));
            own.chain(self.units.iter().map(|(unit, factor)| (unit.as_str(), *factor)))
        };
        if let Some((_, factor)) = known().find(|(unit, _)| *unit == written) {
            return Some(factor);
        }
        let mut alike = known().filter(|(unit, _)| unit.eq_ignore_ascii_case(written));
        alike.next().filter(|_| alike.next().is_none()).map(|(_, factor)| factor)
    }

    fn unit_mistakes(&self, mistakes: &mut Vec<String>) {
        if self.unit.is_none() && !self.units.is_empty() {
            mistakes.push("`number.units` needs a `unit`, which `value` is in".into());
        }
        for unit in self.unit.iter().chain(self.units.keys()) {
            if !unit.trim().starts_with(|c: char| c.is_alphabetic() || "%°µ".contains(c)) {
                mistakes.push(format!(
                    "`number`: {} cannot be a unit; it has to begin with a letter",
                    shown(unit)
                ));
            }
        }
        for (unit, factor) in &self.units {
            if !(factor.is_finite() && *factor > 0.0) {
                mistakes.push(format!("`number.units`: one {unit} has to be more than 0 of `unit`"));
            }
        }
        if let Some(unit) = self.unit.as_ref().filter(|unit| self.units.contains_key(*unit)) {
            mistakes.push(format!("`number.units` has {} again, which is the `unit`", shown(unit)));
        }
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
