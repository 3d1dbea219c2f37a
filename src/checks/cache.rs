//! `cache`: a file is changed, the image is built again, and some steps come from the cache.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::listing;
use super::matcher::forms::{Forms, Scalar, deserialize_forms};
use super::matcher::{Text, TextParts, Variables, fill, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::BuildError;
use crate::submissions::Entry;
use crate::submissions::dockerfile::Dockerfile;

mod steps;

use self::steps::State;

/// One file of the submission changes, and the image is built again: given steps come from the cache,
/// others do not. Both builders are understood; on `BuildKit` an instruction that only sets something
/// (`ENV`, `CMD`) goes with the step before it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// The file that changes: a path from the top of the submission. Blank lines are added at its end.
    pub touch: String,
    /// Instructions that come from the cache.
    #[serde(default)]
    pub cached: Vec<Step>,
    /// Instructions that are carried out again.
    #[serde(default)]
    pub rebuilt: Vec<Step>,
}

/// Instructions of the Dockerfile: all that a matcher accepts, written as `RUN pip install …` with
/// continued lines joined, or one by its number, counted from 1 over all instructions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Step {
    /// By number.
    Number(usize),
    /// By its text.
    Text(Text),
}

impl Forms for Step {
    const EXPECTING: &'static str = "an instruction's number or text, or a matcher such as {contains: …}";
    type Parts = TextParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        match scalar {
            Scalar::Integer(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .map(Self::Number)
                .ok_or_else(|| format!("instructions are counted from 1, and this is {number}")),
            scalar => Text::from_scalar(scalar).map(Self::Text),
        }
    }
    fn from_parts(parts: TextParts) -> Result<Self, String> {
        Text::from_parts(parts).map(Self::Text)
    }
}
deserialize_forms!(Step);

impl Check for Cache {
    const NAME: &'static str = "cache";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("cache.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where the file to change is missing"),
            ("Last lines of the build log", "where the second build fails"),
            ("Steps of the second build", "each instruction, and whether it came from the cache"),
        ],
        fails: &[
            "an instruction is carried out again that should come from the cache, or the other way round",
            "the Dockerfile has no such instruction",
            "the file to change is missing, or the build fails after the change",
        ],
    };

    fn deadline(&self) -> Duration {
        // The build has the grading's own bound on its time; this is only beyond any that is allowed.
        Duration::from_hours(1)
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.built(&mut mistakes);
        if self.touch.is_empty()
            || self.touch.starts_with('/')
            || self.touch.split('/').any(|part| part == "..")
        {
            mistakes
                .push(format!("`touch: {}` has to lie inside the submission, as in `app.py`", self.touch));
        }
        if self.cached.is_empty() && self.rebuilt.is_empty() {
            mistakes.push("this check asks nothing; write `cached` or `rebuilt`".into());
        }
        for (field, steps) in [("cached", &self.cached), ("rebuilt", &self.rebuilt)] {
            for step in steps {
                if let Step::Text(text) = step {
                    text.mistakes(field, false, &mut mistakes);
                }
            }
        }
        let number = |step: &Step| match step {
            Step::Number(number) => Some(*number),
            Step::Text(_) => None,
        };
        for both in self.cached.iter().filter_map(number) {
            if self.rebuilt.iter().filter_map(number).any(|number| number == both) {
                mistakes
                    .push(format!("instruction {both} is wanted cached and rebuilt, which can never pass"));
            }
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let sandbox = scene.sandbox.ok_or_else(|| Fault::Exercise("this check needs an engine".into()))?;
        let path = fill(&self.touch, scene.variables);
        let path = path.strip_prefix("./").unwrap_or(&path);
        let wanted = self.wanted(scene.variables)?;
        let expected = wanted.iter().map(|(cached, step)| {
            let how = if *cached { "from the cache" } else { "carried out again" };
            format!("{} {how}", step.describe())
        });
        let expected =
            format!("after a change of {}: {}", shown(path), expected.collect::<Vec<_>>().join(", "));
        let Some(Entry::File { content, .. }) = scene.content.get(path) else {
            let detail = Detail::new(expected, format!("there is no file {} to change", shown(path)));
            return Ok(Finding::Failed(detail.proof("What was handed in", listing(scene.content))));
        };
        let whole = scene.dockerfile.unwrap_or("Dockerfile");
        let dockerfile = scene.content.file(whole).map(|bytes| Dockerfile::read(bytes));
        let Some(Ok(dockerfile)) = dockerfile else {
            return Err(Fault::Exercise(format!("the Dockerfile {whole} that was built cannot be read")));
        };
        let changed = [content, blank_lines(scene).as_bytes()].concat();
        let again = sandbox.build_changed(whole, path, &changed, Arc::new(|_| {})).await;
        let built = match again {
            Ok(Some(built)) => built,
            Ok(None) => {
                return Err(Fault::Exercise("this check needs a build, and nothing was built".into()));
            }
            Err(BuildError::Platform(error)) => return Err(error.into()),
            Err(BuildError::Failed(failure)) => {
                let observed = format!("after the change the image cannot be built: {}", failure.sentence);
                let detail = Detail::new(expected, observed);
                return Ok(Finding::Failed(detail.proof("Last lines of the build log", failure.log_tail)));
            }
        };
        let states = steps::states(&dockerfile, scene.build_args, &built);
        let mut tally = Tally::default();
        tally.expect(expected);
        for (cached, step) in &wanted {
            judge(*cached, step, &dockerfile, &states, &mut tally);
        }
        let mut table = String::new();
        for (index, (instruction, state)) in dockerfile.instructions.iter().zip(&states).enumerate() {
            let text = shown(&instruction.to_string());
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{:>3}  {:<9}  {}", index + 1, state.name(), text.trim_matches('`'));
        }
        let command = format!(
            "docker build -t my-image . && echo >> {} && docker build -t my-image .",
            super::shell::quoted(path)
        );
        let detail = tally.detail().proof("Steps of the second build", table).reproduce(command);
        Ok(tally.finding(detail))
    }
}

impl Cache {
    /// What is wanted, with whether it should come from the cache.
    fn wanted(&self, variables: &Variables) -> Result<Vec<(bool, Step)>, Fault> {
        let both =
            self.cached.iter().map(|step| (true, step)).chain(self.rebuilt.iter().map(|step| (false, step)));
        both.map(|(cached, step)| {
            Ok((
                cached,
                match step {
                    Step::Number(number) => Step::Number(*number),
                    Step::Text(text) => Step::Text(text.resolved(variables).map_err(Fault::Exercise)?),
                },
            ))
        })
        .collect()
    }
}

impl Step {
    fn describe(&self) -> String {
        match self {
            Self::Number(number) => format!("instruction {number}"),
            Self::Text(text) => format!("what {}", text.describe()),
        }
    }
}

fn judge(cached: bool, step: &Step, dockerfile: &Dockerfile, states: &[State], tally: &mut Tally) {
    let mut any = false;
    for (index, (instruction, state)) in dockerfile.instructions.iter().zip(states).enumerate() {
        let text = instruction.to_string();
        let meant = match step {
            Step::Number(number) => *number == index + 1,
            Step::Text(wanted) => wanted.accepts(&text),
        };
        if meant {
            any = true;
            let holds = if cached { *state == State::Cached } else { *state == State::Rebuilt };
            tally.note(holds, "", format!("{} {}", shown(&text), state.phrase()));
        }
    }
    if !any {
        tally.remark(match step {
            Step::Number(number) => format!("the Dockerfile has no instruction {number}"),
            Step::Text(_) => "the Dockerfile has no such instruction".into(),
        });
    }
}

/// Blank lines, which hardly any format minds, in a pattern that no other grading and no other check of
/// this one makes: else a build would find another's steps in the cache.
fn blank_lines(scene: &Scene<'_>) -> String {
    let random = scene.variables.get("random").map(String::as_str).unwrap_or_default();
    let digest = Sha256::digest(format!("{random} {}", scene.id));
    let bits = digest.iter().take(6).flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
    bits.fold("\n".to_owned(), |lines, bit| lines + if bit == 1 { " \n" } else { "\n" })
}
