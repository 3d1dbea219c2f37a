//! `choice`: a question with options.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{listed, shown};
use super::{Check, Detail, Fault, Finding, Manual, Question, Scene, Surroundings, answer};
use crate::report::Phase;

/// A question with options, of which one or several are right.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The question, Markdown.
    pub question: String,
    /// The options. Each student sees them in an order of their own, always the same.
    pub options: Vec<ChoiceOption>,
    /// Whether any number of options may be chosen; exactly the right ones have to be.
    #[serde(default)]
    pub several: bool,
    /// `true`: everyone sees the options as they are written, for those that have an order, such as sizes.
    #[serde(default)]
    pub keep_order: bool,
}

/// One option.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceOption {
    /// Its id, which an answer names: letters, digits, `-` and `_`.
    pub id: String,
    /// What is shown, Markdown.
    pub text: String,
    /// Whether it is right.
    #[serde(default)]
    pub right: bool,
    /// What a student who chose it is told.
    pub feedback: Option<String>,
}

impl Check for Choice {
    const NAME: &'static str = "choice";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("choice.yaml"),
        evidence: &[(
            "the chosen option's text",
            "its `feedback`, where it has any; only of options that were chosen",
        )],
        fails: &["nothing was chosen", "a wrong option was chosen, or a right one was not"],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.question(&self.question, &mut mistakes);
        if self.options.len() < 2 {
            mistakes.push("a choice needs at least two `options`".into());
        }
        let mut seen = HashSet::new();
        for option in &self.options {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if option.id.is_empty() || !option.id.chars().all(good) {
                mistakes.push(format!(
                    "the option id `{}` may only have letters, digits, `-` and `_`",
                    option.id
                ));
            }
            if !seen.insert(option.id.as_str()) {
                mistakes.push(format!("two options have the id `{}`", option.id));
            }
            if option.text.trim().is_empty() {
                mistakes.push(format!("the option `{}` has no `text`", option.id));
            }
        }
        let right = self.options.iter().filter(|option| option.right).count();
        match (right, self.several) {
            (0, false) => mistakes.push("no option is right; mark one with `right: true`".into()),
            // Choosing nothing at all cannot be told from not answering.
            (0, true) => mistakes.push("no option is right; mark those that are with `right: true`".into()),
            (2.., false) => {
                mistakes
                    .push(format!("{right} options are right; write `several: true`, or leave one right"));
            }
            _ => {}
        }
        mistakes
    }

    fn question(&self) -> Option<Question<'_>> {
        Some(Question::Choice {
            question: &self.question,
            options: self.options.iter().map(|option| (option.id.as_str(), option.text.as_str())).collect(),
            several: self.several,
            keep_order: self.keep_order,
        })
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let chosen = answer::choices(scene.answers, scene.id);
        // The right answers are not told: a student may try again.
        let what = if self.several { "exactly the right options" } else { "the right option" };
        let expected = format!("{what} to {}", answer::asked(&self.question));
        if chosen.is_empty() {
            return Ok(Finding::Failed(Detail::new(expected, "nothing was chosen")));
        }
        let unknown: Vec<String> =
            chosen.iter().filter(|id| self.option(id).is_none()).map(|id| shown(id)).collect();
        if !unknown.is_empty() {
            let observed = format!(
                "{} {} no option of this question",
                listed(&unknown, "and"),
                if unknown.len() == 1 { "is" } else { "are" }
            );
            return Ok(Finding::Failed(Detail::new(expected, observed)));
        }
        let options: Vec<&ChoiceOption> =
            self.options.iter().filter(|option| chosen.contains(&option.id.as_str())).collect();
        let holds = self.options.iter().all(|option| option.right == chosen.contains(&option.id.as_str()));
        let names: Vec<String> = options.iter().map(|option| format!("“{}”", option.text.trim())).collect();
        let mut detail = Detail::new(expected, format!("chosen: {}", names.join(", ")));
        for option in options {
            if let Some(feedback) = &option.feedback {
                detail = detail.proof(option.text.trim(), feedback.as_str());
            }
        }
        Ok(Finding::of(holds, detail))
    }
}

impl Choice {
    fn option(&self, id: &str) -> Option<&ChoiceOption> {
        self.options.iter().find(|option| option.id == id)
    }
}
