//! Compose files: what a student's `compose.yaml` says, read to a typed model and judged by the sandbox's
//! policy, without an engine and without docker compose.
//!
//! Called by the command `drydock compose`, by `checks` that look at a project, and by whoever turns the
//! model into a stack. Everything is read from the frozen [`Content`]; variables come from the submission's
//! own `.env`, never from the server's environment. The room knows nothing of the engine: the model is all
//! that it gives, and no key reaches it that is not read by name.
//!
//! The way of a project, as docker compose 2 has it: `load` reads the files (YAML with Compose's tags),
//! fills in variables (`template`, `dotenv`, `variables`), puts in what services extend (`extends`) and files include
//! (`include`), lays override files over what was there (`merge`), checks each value's kind (`shape`,
//! `schema`) and gives short forms their long one (`canonical`, `short`). `reading` turns the tree into the
//! [`model`] and judges every key on the way: [`Finding`]s say what is wrong, refused, rewritten or
//! ignored, each with its file, line and column.

mod canonical;
mod dotenv;
mod extends;
mod files;
mod finding;
mod include;
mod item;
mod load;
mod merge;
pub mod model;
mod project;
mod reading;
mod scalars;
mod schema;
mod shape;
mod short;
mod template;
mod variables;

pub use files::PathKind;
pub use finding::{Finding, Kind, Origin, page};
pub use model::{Limits, Project};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::content::Content;

/// What is asked for beside the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Path of the compose file in the submission. `None`: the one that docker compose would take.
    pub file: Option<String>,
    /// The project's name where the files say none and lie in no folder of the submission: what that itself
    /// is called.
    pub name: String,
    /// Profiles that are active, beside those of `COMPOSE_PROFILES` in `.env`.
    pub profiles: Vec<String>,
    /// Capabilities that services may add, in capitals and without `CAP_`.
    pub capabilities: Vec<String>,
    /// The most that each container gets; what a service asks for beyond it is rewritten.
    pub limits: Limits,
    /// What the engine's machine executes, such as `linux/amd64`; `None` where nothing will run, so that no
    /// platform is refused.
    pub platform: Option<String>,
}

/// A project as it was read, and what was found in it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The files it was read from, in their order: the compose file, then those laid over it.
    pub files: Vec<String>,
    /// The model; where [`Reading::runs`] is false, only as far as it could be understood.
    pub project: Project,
    /// What stops the project first, then the rest, each by file and line.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// Whether the project may be run: nothing in it was unreadable, wrong or refused.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.findings.iter().any(|finding| finding.kind.stops())
    }

    /// Whether a file could not be read at all.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == Kind::Unreadable)
    }
}

/// Reads the compose project of a submission.
///
/// Never fails: what is wrong is among the [`Reading::findings`]. Bounded in time and memory, whatever the
/// files say.
#[must_use]
pub fn read(content: &Content, options: &Options) -> Reading {
    project::read(content, options)
}

/// `{"runs", "files", "project", "findings": [{"kind", "rule", "file", "line", "column", "path", "message"}]}`;
/// `project` is null where a file could not be read.
impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Reading", 4)?;
        out.serialize_field("runs", &self.runs())?;
        out.serialize_field("files", &self.files)?;
        out.serialize_field("project", &(!self.is_unreadable()).then_some(&self.project))?;
        out.serialize_field("findings", &self.findings)?;
        out.end()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Finding", 7)?;
        out.serialize_field("kind", &self.kind)?;
        out.serialize_field("rule", self.rule)?;
        out.serialize_field("file", &*self.origin.file)?;
        out.serialize_field("line", &self.origin.place.line)?;
        out.serialize_field("column", &self.origin.place.column)?;
        out.serialize_field("path", &self.path)?;
        out.serialize_field("message", &self.message)?;
        out.end()
    }
}
