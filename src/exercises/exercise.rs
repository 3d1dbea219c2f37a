//! An exercise, as everybody else works with it.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::Mistake;
use super::reading;
use crate::checks::Kind;
use crate::sandbox::{Limits, StackSpec};
use crate::submissions::Content;

/// One task, as read from its folder. Immutable; shared as `Arc<Exercise>`.
#[derive(Clone, Debug)]
pub struct Exercise {
    /// Name of the folder; lower-case letters, digits and dashes.
    pub slug: String,
    /// SHA-256 of the folder's canonical tar, lower-case hex.
    pub version: String,
    /// For lists and headings.
    pub title: String,
    /// One or two sentences for lists; may be empty.
    pub summary: String,
    /// How long it takes, about.
    pub minutes: u32,
    /// What is learned, as phrases.
    pub objectives: Vec<String>,
    /// Ways to hand in that this exercise takes.
    pub submit: Vec<SubmitKind>,
    /// How the image under test is built; `None` where nothing is.
    pub build: Option<Build>,
    /// What runs.
    pub stack: Option<StackSpec>,
    /// How the submission's own compose file is run.
    pub compose: Option<ComposeRun>,
    /// What the author wrote, before the settings' caps.
    pub limits: Limits,
    /// Points of a check that each hint costs that is asked for.
    pub hint_cost: u32,
    /// What must hold, in the order it is shown.
    pub checks: Vec<CheckSpec>,
    /// Solutions broken on purpose, by name.
    pub mutants: IndexMap<String, Mutant>,
    /// README.md, Markdown.
    pub statement: String,
    /// The whole folder, frozen: what is stored as this version.
    pub folder: Content,
    /// What `drydock exercise verify` will complain about, such as a check that no mutant fails.
    pub warnings: Vec<Mistake>,
}

/// A way to hand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubmitKind {
    /// The address of a Git repository.
    Repository,
    /// A folder, .zip, .tar or .tar.gz.
    Upload,
    /// The reference of an image in a registry.
    Image,
    /// What `docker save` writes.
    Archive,
    /// Answers to the exercise's questions.
    Answers,
    /// A `docker run` line.
    Command,
}

impl SubmitKind {
    /// Its word in `submit`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Upload => "upload",
            Self::Image => "image",
            Self::Archive => "archive",
            Self::Answers => "answers",
            Self::Command => "command",
        }
    }

    /// Whether files come in this way, to be read or built.
    #[must_use]
    pub fn is_files(self) -> bool {
        matches!(self, Self::Repository | Self::Upload)
    }

    /// Whether a finished image comes in this way.
    #[must_use]
    pub fn is_image(self) -> bool {
        matches!(self, Self::Image | Self::Archive)
    }
}

/// How the image under test is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The folder of the submission that is the build context; `.` is the whole.
    pub context: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// The stage to build; the last if nothing is said.
    pub target: Option<String>,
    /// Build arguments; may hold `${random}`.
    pub args: IndexMap<String, String>,
    /// Whether `RUN` steps get a network.
    pub internet: bool,
    /// Ids of the secrets that are made for each grading and can be mounted by `RUN` steps.
    pub secrets: Vec<String>,
}

/// How a submission's compose file is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeRun {
    /// Path of the compose file; `None`: the one that docker compose takes.
    pub file: Option<String>,
    /// Profiles that are active.
    pub profiles: Vec<String>,
    /// Capabilities that each service keeps, without `CAP_`.
    pub capabilities: Vec<String>,
    /// How long checks wait until services with a health check are healthy.
    pub within: Duration,
}

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// Its name in the exercise: lower-case letters, digits, `-` and `_`.
    pub id: String,
    /// What must hold, for people.
    pub title: String,
    /// What it is worth.
    pub points: u32,
    /// Hints in the order they are revealed; the first goes into the report.
    pub hints: Vec<String>,
    /// Where to read on.
    pub explain: Option<String>,
    /// Whether the expectation gives the answer away (`hidden: true`).
    pub hidden: bool,
    /// What is looked at.
    pub kind: Kind,
}

/// A solution broken on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Ids of the checks that fail, and no other does.
    pub fails: Vec<String>,
    /// What is wrong with it.
    pub because: String,
}

impl Build {
    /// Path of the Dockerfile in the submission.
    #[must_use]
    pub fn path(&self) -> String {
        if self.context == "." {
            self.dockerfile.clone()
        } else {
            format!("{}/{}", self.context, self.dockerfile)
        }
    }
}

impl Exercise {
    /// Reads an exercise folder. Reads files, so it blocks.
    ///
    /// # Errors
    /// Every mistake that was found, in the order of the file.
    pub fn read(folder: &Path) -> Result<Self, Vec<Mistake>> {
        reading::read_folder(folder)
    }

    /// Reads a stored version.
    ///
    /// # Errors
    /// Every mistake that was found, in the order of the file.
    pub fn from_content(slug: &str, folder: &Content) -> Result<Self, Vec<Mistake>> {
        reading::read_content(slug, folder, slug)
    }

    /// The starter files, if the exercise has any.
    #[must_use]
    pub fn starter(&self) -> Option<Content> {
        self.folder.subtree("starter")
    }

    /// The reference submission. Answers, where the exercise asks any, are in its `answers.json`.
    #[must_use]
    pub fn solution(&self) -> Option<Content> {
        self.folder.subtree("solution")
    }

    /// The files of a mutant, which are laid over the solution.
    #[must_use]
    pub fn mutant(&self, name: &str) -> Option<Content> {
        self.mutants.contains_key(name).then(|| self.folder.subtree(&format!("mutants/{name}")))?
    }

    /// Whether anything of it is built or run.
    #[must_use]
    pub fn needs_engine(&self) -> bool {
        self.build.is_some()
            || self.stack.is_some()
            || self.compose.is_some()
            || self.submit.iter().any(|kind| kind.is_image())
    }

    /// Whether the history of the work is checked, so that `.git` has to be handed in with it.
    #[must_use]
    pub fn needs_history(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.kind, Kind::Repository(_)))
    }

    /// Points to be had in all.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.checks.iter().map(|check| check.points).sum()
    }

    /// The bounds of an exercise that says nothing about them.
    #[must_use]
    pub fn default_limits() -> Limits {
        Limits {
            memory_bytes: 256 << 20,
            cpu_millis: 1000,
            pids: 128,
            disk_bytes: 512 << 20,
            build_time: Duration::from_mins(2),
            run_time: Duration::from_mins(1),
            log_bytes: 1 << 20,
        }
    }
}
