//! `essay`: a question that is answered with a text, which a trainer reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Check, Detail, Fault, Finding, Manual, Question, Scene, Surroundings, answer};
use crate::report::Phase;

/// A question answered with a text; it waits for a trainer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Essay {
    /// The question, Markdown.
    pub question: String,
    /// What a trainer looks for; the points add up to the check's.
    pub rubric: Vec<Criterion>,
    /// The fewest words that are taken for an answer.
    #[serde(default)]
    pub minimum_words: u32,
    /// Points from which it counts as passed; half of the rubric's, rounded up, if nothing is said.
    pub pass: Option<u32>,
}

/// One thing that a trainer looks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// What the text should show.
    pub criterion: String,
    /// Points for it.
    pub points: u32,
}

impl Check for Essay {
    const NAME: &'static str = "essay";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("essay.yaml"),
        evidence: &[("Answer", "what was written"), ("Rubric", "what the trainer looks for")],
        fails: &[
            "nothing was answered, or fewer words than `minimum_words`",
            "a trainer gives it fewer points than are needed to pass; until then it waits",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.question(&self.question, &mut mistakes);
        if self.rubric.is_empty() {
            mistakes.push("`rubric` is empty; say what a trainer looks for, with points".into());
        }
        for item in &self.rubric {
            if item.criterion.trim().is_empty() {
                mistakes.push("an item of `rubric` has no `criterion`".into());
            }
            if item.points == 0 {
                mistakes.push(format!("the rubric's “{}” is worth 0 points", item.criterion));
            }
        }
        match self.pass {
            Some(0) => {
                mistakes.push("`pass: 0` can never fail; leave it out, or write what is enough".into());
            }
            Some(pass) if pass > self.points() => mistakes.push(format!(
                "`pass: {pass}` can never pass: the rubric's points add up to {}",
                self.points()
            )),
            _ => {}
        }
        mistakes
    }

    fn question(&self) -> Option<Question<'_>> {
        Some(Question::Essay {
            question: &self.question,
            minimum_words: self.minimum_words,
            rubric: &self.rubric,
        })
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let text = match self.minimum_words {
            0 | 1 => "a text".to_owned(),
            words => format!("a text of at least {words} words"),
        };
        let expected = format!("{text} that a trainer reads, on {}", answer::asked(&self.question));
        let Some(answer) = answer::text(scene.answers, scene.id) else {
            return Ok(Finding::Failed(Detail::new(expected, "nothing was answered")));
        };
        let words = answer.split_whitespace().count();
        let counted = if words == 1 { "1 word".to_owned() } else { format!("{words} words") };
        let rubric: Vec<String> =
            self.rubric.iter().map(|item| format!("{} ({})", item.criterion.trim(), item.points)).collect();
        let detail = |observed: String| {
            Detail::new(expected, observed).proof("Answer", answer).proof("Rubric", rubric.join("\n"))
        };
        Ok(if words < self.minimum_words as usize {
            Finding::Failed(detail(counted))
        } else {
            Finding::Waiting(detail(format!("{counted}, waiting for a trainer")))
        })
    }
}

impl Essay {
    /// What the rubric's points add up to; the check is worth as much.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.rubric.iter().map(|item| item.points).fold(0, u32::saturating_add)
    }

    /// Points from which a trainer's score counts as passed.
    #[must_use]
    pub fn enough(&self) -> u32 {
        self.pass.unwrap_or_else(|| self.points().div_ceil(2))
    }
}
