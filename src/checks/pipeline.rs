//! `pipeline`: a CI definition builds, pushes and deploys, in that order.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::listing;
use super::matcher::{Literal, fill, listed, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::Content;
use crate::submissions::pipeline::{Action, Pipeline as Definition, Step};

/// A CI definition (GitHub Actions, GitLab CI, Cloud Build) has steps that test, build, push or deploy, in
/// order. It is read as structure: jobs with what they wait for, scripts with their commands and
/// variables. What lies in other files (reusable workflows, `include`, scripts that are called) does not
/// count.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Path in the submission. If nothing is said, any of the usual ones: `.github/workflows/*.yml`,
    /// `.gitlab-ci.yml`, `cloudbuild.yaml`.
    pub path: Option<String>,
    /// These happen one after another, each done when the next begins.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What is built is what is pushed and deployed: the steps name the same image.
    #[serde(default)]
    pub same_image: bool,
    /// Tests are done before each step of this kind begins.
    pub tests_before: Option<Step>,
    /// What starts these steps. Cloud Build does not say that in the file.
    pub on: Option<On>,
}

/// What starts a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// A push of this branch.
    pub branch: Literal,
}

impl Check for Pipeline {
    const NAME: &'static str = "pipeline";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("pipeline.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where there is no definition"),
            (
                "the definition's path",
                "every command that tests, builds, pushes or deploys, with line and job",
            ),
            ("Images", "the images that these commands name, variables put in"),
        ],
        fails: &[
            "there is no definition at the path or in the usual places, or it is no YAML",
            "one of the steps is missing, or does not wait for the one before it",
            "the steps name different images, or one names none",
            "something is done before the tests",
            "a push of the branch does not start it",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        if let Some(path) = &self.path
            && (path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == ".."))
        {
            mistakes
                .push(format!("`path: {path}` has to lie inside the submission, as in `cloudbuild.yaml`"));
        }
        if self.steps.is_empty() && self.tests_before.is_none() {
            mistakes.push("this check asks nothing; write for example `steps: [build, push, deploy]`".into());
        }
        for (index, step) in self.steps.iter().enumerate() {
            if self.steps[..index].contains(step) {
                mistakes.push(format!("`steps` names `{}` twice", step.name()));
            }
        }
        let with_image = self.steps.iter().filter(|step| **step != Step::Test).count();
        if self.same_image && with_image < 2 {
            mistakes.push("`same_image` needs at least two of build, push and deploy in `steps`".into());
        }
        if self.tests_before == Some(Step::Test) {
            mistakes
                .push("`tests_before` takes build, push or deploy; tests do not come before tests".into());
        }
        if self.on.as_ref().is_some_and(|on| on.branch.0.trim().is_empty()) {
            mistakes.push("`on.branch` is empty; name a branch such as main".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let branch = self.on.as_ref().map(|on| fill(&on.branch.0, scene.variables).into_owned());
        let found = self.files(scene);
        if found.is_empty() {
            let mut tally = Tally::default();
            self.expect(branch.as_deref(), &mut tally);
            let observed = match &self.path {
                Some(path) => format!("there is no file {}", shown(path)),
                None => "there is no definition of GitHub Actions, GitLab CI or Cloud Build".into(),
            };
            let detail = Detail::new(tally.detail().expected, observed);
            return Ok(Finding::Failed(detail.proof("What was handed in", listing(scene.content))));
        }
        let asks = self.clone();
        // A hundred thousand lines take a moment.
        let reading = tokio::task::spawn_blocking(move || {
            let findings = found.iter().map(|(path, bytes)| asks.judge(path, bytes, branch.as_deref()));
            let mut findings: Vec<Finding> = findings.collect();
            // Of several, one that does it all is enough; of none, the one that does most tells most.
            let best = findings.iter().position(|finding| matches!(finding, Finding::Passed(_)));
            let most =
                || (0..findings.len()).rev().max_by_key(|index| findings[*index].detail().evidence.len());
            best.or_else(most).map(|index| findings.swap_remove(index))
        });
        match reading.await {
            Ok(finding) => Ok(finding.unwrap_or_else(|| unreachable!("there is at least one file"))),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Pipeline {
    /// The definitions to look at, with their paths.
    fn files(&self, scene: &Scene<'_>) -> Vec<(String, bytes::Bytes)> {
        let content: &Content = scene.content;
        let file = |path: &str| content.file(path).map(|bytes| (path.to_owned(), bytes.clone()));
        if let Some(path) = &self.path {
            return file(&fill(path, scene.variables)).into_iter().collect();
        }
        let paths = content.entries().keys().filter_map(|path| std::str::from_utf8(path).ok());
        paths.filter(|path| Definition::is_known_place(path)).take(MOST_FILES).filter_map(file).collect()
    }

    /// What is expected, for where there is nothing to look at.
    fn expect(&self, branch: Option<&str>, tally: &mut Tally) {
        tally.expect(self.steps_phrase());
        tally.expect(self.tests_before.map(tests_phrase).unwrap_or_default());
        tally.expect(branch.map(branch_phrase).unwrap_or_default());
    }

    fn steps_phrase(&self) -> String {
        let names: Vec<String> = self.steps.iter().map(|step| format!("`{}`", step.name())).collect();
        let same = if self.same_image { ", with the same image" } else { "" };
        match names.as_slice() {
            [] => String::new(),
            [one] => format!("a step that does {one}"),
            several => format!("steps that do {}, in this order{same}", listed(several, "and")),
        }
    }

    fn judge(&self, path: &str, bytes: &[u8], branch: Option<&str>) -> Finding {
        let mut tally = Tally::default();
        let definition = match Definition::read(bytes) {
            Ok(definition) => definition,
            Err(why) => {
                self.expect(branch, &mut tally);
                let observed = format!("{} cannot be read: {why}", shown(path));
                return Finding::Failed(Detail::new(tally.detail().expected, observed));
            }
        };
        let chain = definition.chain(&self.steps, self.same_image);
        if !self.steps.is_empty() {
            let observed = match &chain {
                Some(chain) => done(chain.iter().map(|index| &definition.actions[*index])),
                None => self.missing(&definition),
            };
            tally.note(chain.is_some(), self.steps_phrase(), observed);
        }
        if let Some(step) = self.tests_before {
            tests_first(&definition, step, &mut tally);
        }
        if let Some(branch) = branch {
            let all = || {
                (0..definition.actions.len()).filter(|index| self.asks_for(definition.actions[*index].step))
            };
            let units = chain.clone().unwrap_or_else(|| all().collect());
            starts(&definition, &units, branch, &mut tally);
        }
        let mut told = definition.actions.iter().fold(String::new(), |mut told, action| {
            let unit = &definition.units[action.unit].name;
            let _ = writeln!(
                told,
                "line {:>3}  {:<6}  {}  ({unit})",
                action.line,
                action.step.name(),
                action.what.replace('\n', " ")
            );
            told
        });
        if told.is_empty() {
            told.push_str("nothing that tests, builds, pushes or deploys");
        }
        let detail = tally.detail().proof(&format!("{path} ({})", definition.system.name()), told);
        tally.finding(detail.proof("Images", images(&definition.actions)))
    }

    fn asks_for(&self, step: Step) -> bool {
        self.steps.contains(&step) || self.tests_before == Some(step)
    }

    /// Why there is no chain.
    fn missing(&self, definition: &Definition) -> String {
        let of = |step: Step| definition.actions.iter().filter(move |action| action.step == step);
        let absent: Vec<String> =
            self.steps.iter().filter(|step| of(**step).next().is_none()).map(|step| nothing(*step)).collect();
        if !absent.is_empty() {
            return listed(&absent, "and");
        }
        let seen =
            done(definition.actions.iter().filter(|action| self.steps.contains(&action.step)).take(12));
        if definition.chain(&self.steps, false).is_some() {
            let named = self.steps.iter().filter(|step| **step != Step::Test).map(|step| {
                let mut names: Vec<String> = of(*step)
                    .flat_map(|action| &action.images)
                    .map(|image| shown(&image.to_string()))
                    .collect();
                names.sort();
                names.dedup();
                names.truncate(5);
                let names = if names.is_empty() { "no image that is named".into() } else { names.join(", ") };
                format!("`{}` is about {names}", step.name())
            });
            return named.collect::<Vec<_>>().join("; ");
        }
        format!("there is no order like that: {seen}")
    }
}

/// How many definitions are looked at where no path is given.
const MOST_FILES: usize = 20;

fn nothing(step: Step) -> String {
    let what = match step {
        Step::Test => "runs tests",
        Step::Build => "builds an image",
        Step::Push => "pushes an image",
        Step::Deploy => "deploys anything",
    };
    format!("nothing {what}")
}

fn tests_phrase(step: Step) -> String {
    format!("tests before each `{}`", step.name())
}

fn branch_phrase(branch: &str) -> String {
    format!("started by a push of {}", shown(branch))
}

/// "`build` in line 3, `push` in line 7".
fn done<'a>(actions: impl Iterator<Item = &'a Action>) -> String {
    let each: Vec<String> =
        actions.map(|action| format!("`{}` in line {}", action.step.name(), action.line)).collect();
    each.join(", ")
}

fn tests_first(definition: &Definition, step: Step, tally: &mut Tally) {
    let all = || 0..definition.actions.len();
    let of = |wanted: Step| all().filter(move |index| definition.actions[*index].step == wanted);
    let tested = |then: &usize| of(Step::Test).any(|test| definition.is_before(test, *then));
    let untested = of(step).find(|index| !tested(index));
    let (holds, observed) = match untested {
        None if of(step).next().is_none() => (false, nothing(step)),
        None => (true, done(of(Step::Test).map(|index| &definition.actions[index]))),
        Some(index) if of(Step::Test).next().is_none() => (
            false,
            format!("{}, and {}", done([&definition.actions[index]].into_iter()), nothing(Step::Test)),
        ),
        Some(index) => {
            let tests = done(of(Step::Test).map(|index| &definition.actions[index]));
            (false, format!("{} does not wait for {tests}", done([&definition.actions[index]].into_iter())))
        }
    };
    tally.note(holds, tests_phrase(step), observed);
}

fn starts(definition: &Definition, actions: &[usize], branch: &str, tally: &mut Tally) {
    let mut units: Vec<usize> = actions.iter().map(|index| definition.actions[*index].unit).collect();
    units.sort_unstable();
    units.dedup();
    let name = |unit: usize| shown(&definition.units[unit].name);
    let observed = |unit: usize| match definition.starts_on(unit, branch) {
        Some(true) => None,
        Some(false) => Some(format!("a push of {} does not start {}", shown(branch), name(unit))),
        None => Some(format!("a definition of {} does not say what starts it", definition.system.name())),
    };
    let wrong = units.iter().find_map(|unit| observed(*unit));
    let holds = wrong.is_none() && !units.is_empty();
    let started = || {
        let names: Vec<String> = units.iter().map(|unit| name(*unit)).collect();
        if names.is_empty() {
            "no such step is started by anything".into()
        } else {
            format!("it starts {}", listed(&names, "and"))
        }
    };
    tally.note(holds, branch_phrase(branch), wrong.unwrap_or_else(started));
}

/// Which images the steps name.
fn images(actions: &[Action]) -> String {
    let named = actions.iter().filter(|action| !action.images.is_empty());
    named.fold(String::new(), |mut told, action| {
        let images: Vec<String> = action.images.iter().map(ToString::to_string).collect();
        let _ = writeln!(told, "line {:>3}  {:<6}  {}", action.line, action.step.name(), images.join(", "));
        told
    })
}
