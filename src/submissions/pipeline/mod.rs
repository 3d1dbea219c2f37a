//! A CI definition as what it does: which commands build, push, deploy and test, and in which order.
//!
//! The check `pipeline` calls it. GitHub Actions, GitLab CI and Cloud Build are read as structure: their
//! jobs and steps with what they wait for (`github`, `gitlab`, `cloud_build`), the scripts in them by a
//! shell parser, variables put in (`variables`), and then `commands` says what a command does. Files of a
//! stranger: reading never panics and never takes long. What another file says (reusable workflows,
//! `include`, scripts that are called) is not followed.

mod cloud_build;
mod commands;
mod github;
mod gitlab;
mod images;
mod script;
mod variables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use images::Image;

use crate::yaml;

/// The most jobs or steps, and commands that do something, that are read.
const MOST_UNITS: usize = 300;
const MOST_ACTIONS: usize = 1_000;

/// What a command of a pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Runs tests.
    Test,
    /// Builds an image.
    Build,
    /// Pushes an image to a registry.
    Push,
    /// Brings an image to where it runs.
    Deploy,
}

impl Step {
    /// As it is written in exercises.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Build => "build",
            Self::Push => "push",
            Self::Deploy => "deploy",
        }
    }
}

/// Whose definition it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `.github/workflows/*.yml`
    GitHubActions,
    /// `.gitlab-ci.yml`
    GitLab,
    /// `cloudbuild.yaml`
    CloudBuild,
}

impl System {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHubActions => "GitHub Actions",
            Self::GitLab => "GitLab CI",
            Self::CloudBuild => "Cloud Build",
        }
    }
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What kind of thing.
    pub step: Step,
    /// Line of the file, from 1.
    pub line: usize,
    /// The command or the used action, for people.
    pub what: String,
    /// The images that it is done with, as far as it names them, variables put in.
    pub images: Vec<Image>,
    /// The job or step it is part of, among [`Pipeline::units`].
    pub unit: usize,
}

/// A job, or in Cloud Build a step: what is in it runs one after another.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// Its name, for people.
    pub name: String,
    /// The units that it waits for by itself.
    after: Vec<usize>,
    /// Pushes of which branches start it.
    starts: Trigger,
}

/// When a push of a branch starts something.
#[derive(Clone, Debug, Default)]
enum Trigger {
    #[default]
    Always,
    Never,
    /// The definition does not say.
    Elsewhere,
    /// GitHub's filters of the workflow.
    GitHub(github::Filters),
    /// GitLab's rules of the job, and those of the whole pipeline.
    GitLab(Box<gitlab::Rules>),
}

/// What a definition does.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Whose it is.
    pub system: System,
    /// Jobs, or steps of Cloud Build.
    pub units: Vec<Unit>,
    /// What is done, unit by unit in their order.
    pub actions: Vec<Action>,
    /// Per unit, all units that are done before it begins.
    before: Vec<Vec<bool>>,
}

/// Why there is nothing to read. `Display` is a sentence for the student, without the file's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No YAML, or none that is read here.
    #[error("line {line}: {message}")]
    Yaml {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// YAML of something else.
    #[error("it is no definition of GitHub Actions, GitLab CI or Cloud Build")]
    Other,
    /// Beyond what is read.
    #[error("it has more than {MOST_UNITS} jobs or {MOST_ACTIONS} commands, and more are not read")]
    TooLarge,
}

impl Pipeline {
    /// Where definitions lie if nobody says otherwise: whether `path` is such a place.
    #[must_use]
    pub fn is_known_place(path: &str) -> bool {
        let workflow = path.strip_prefix(".github/workflows/").is_some_and(|name| {
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            !name.contains('/') && matches!(ending, "yml" | "yaml")
        });
        workflow
            || matches!(
                path,
                ".gitlab-ci.yml"
                    | ".gitlab-ci.yaml"
                    | "cloudbuild.yaml"
                    | "cloudbuild.yml"
                    | "cloudbuild.json"
            )
    }

    /// Reads a definition; whose it is shows by what is in it.
    ///
    /// # Errors
    /// [`Unreadable`], a sentence for the student.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let root = yaml::parse(bytes)
            .map_err(|error| Unreadable::Yaml { line: error.place.line, message: error.message })?;
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().collect();
        let mut draft = Draft { lines: &lines, units: Vec::new(), actions: Vec::new(), aliases: Vec::new() };
        // The shell parser is another's and reads a stranger's file; see `Dockerfile::read`.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if root.get("jobs").is_some_and(|jobs| jobs.map().is_some()) {
                github::read(&root, &mut draft);
                Ok(System::GitHubActions)
            } else if root.get("steps").is_some_and(|steps| steps.list().is_some()) {
                cloud_build::read(&root, &mut draft);
                Ok(System::CloudBuild)
            } else if gitlab::is_one(&root) {
                gitlab::read(&root, &mut draft);
                Ok(System::GitLab)
            } else {
                Err(Unreadable::Other)
            }
        }));
        let system = read.unwrap_or(Err(Unreadable::Other))?;
        if draft.units.len() > MOST_UNITS || draft.actions.len() > MOST_ACTIONS {
            return Err(Unreadable::TooLarge);
        }
        let Draft { units, mut actions, aliases, .. } = draft;
        images::join(&mut actions, &aliases);
        let before = closure(&units);
        Ok(Self { system, units, actions, before })
    }

    /// Whether `first` is done when `then` begins.
    #[must_use]
    pub fn is_before(&self, first: usize, then: usize) -> bool {
        let (a, b) = (&self.actions[first], &self.actions[then]);
        // One command may do two things (`buildx build --push`), written down in their order.
        if a.unit == b.unit { first < then } else { self.before[b.unit][a.unit] }
    }

    /// Actions that do `steps` one after another, each done when the next begins; where `same_image`,
    /// with an image that all but the tests name.
    #[must_use]
    pub fn chain(&self, steps: &[Step], same_image: bool) -> Option<Vec<usize>> {
        if !same_image {
            return self.chain_of(steps, |_| true);
        }
        let images = self.actions.iter().flat_map(|action| &action.images);
        images.collect::<std::collections::BTreeSet<_>>().into_iter().find_map(|image| {
            self.chain_of(steps, |action| action.step == Step::Test || action.is_about(image))
        })
    }

    fn chain_of(&self, steps: &[Step], fits: impl Fn(&Action) -> bool) -> Option<Vec<usize>> {
        // Per action of the step, the chain that ends in it; one is enough, what comes later does not
        // depend on how it began.
        let mut chains: Vec<Vec<usize>> = vec![Vec::new()];
        for step in steps {
            let here = self.actions.iter().enumerate().filter(|(_, a)| a.step == *step && fits(a));
            let mut longer = Vec::new();
            for (index, _) in here {
                let follows =
                    |chain: &&Vec<usize>| chain.last().is_none_or(|last| self.is_before(*last, index));
                if let Some(chain) = chains.iter().find(follows) {
                    longer.push([chain.as_slice(), &[index]].concat());
                }
            }
            chains = longer;
        }
        chains.into_iter().next().filter(|chain| !chain.is_empty())
    }

    /// Whether a push of `branch` starts the unit; `None` where the definition does not say.
    #[must_use]
    pub fn starts_on(&self, unit: usize, branch: &str) -> Option<bool> {
        match &self.units[unit].starts {
            Trigger::Always => Some(true),
            Trigger::Never => Some(false),
            Trigger::Elsewhere => None,
            Trigger::GitHub(filters) => Some(filters.take(branch)),
            Trigger::GitLab(rules) => Some(rules.take(branch)),
        }
    }
}

impl Action {
    fn is_about(&self, image: &Image) -> bool {
        self.images.iter().any(|own| own.may_be(image))
    }
}

/// Per unit, which units are done before it: those it waits for, and those that they wait for.
fn closure(units: &[Unit]) -> Vec<Vec<bool>> {
    let mut before = vec![vec![false; units.len()]; units.len()];
    for (index, row) in before.iter_mut().enumerate() {
        let mut ahead = units[index].after.clone();
        while let Some(next) = ahead.pop() {
            // A unit that waits for itself never begins; it is left as it is.
            if next != index && next < units.len() && !row[next] {
                row[next] = true;
                ahead.extend(&units[next].after);
            }
        }
    }
    before
}

/// What is filled while a definition is read.
struct Draft<'a> {
    lines: &'a [&'a str],
    units: Vec<Unit>,
    actions: Vec<Action>,
    /// Images that got another name (`docker tag`).
    aliases: Vec<(Image, Image)>,
}

impl Draft<'_> {
    /// Begins a unit; `None` past the bound.
    fn unit(&mut self, unit: Unit) -> usize {
        self.units.push(unit);
        self.units.len() - 1
    }

    /// Whether there is room for more.
    fn is_full(&self) -> bool {
        self.units.len() > MOST_UNITS || self.actions.len() > MOST_ACTIONS
    }
}
