//! `file`: what was handed in at a path.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Mode, Size, Text, fill, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::{Content, Entry};
use crate::units::ByteSize;

/// A path exists in the submission, or does not, and what is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Path from the top of the submission, written with `/`.
    pub path: String,
    /// `true`: nothing is there.
    #[serde(default)]
    pub absent: bool,
    /// What is there; a regular file or a link to one if nothing is said.
    pub kind: Option<EntryKind>,
    /// The file's content, as UTF-8.
    pub content: Option<Text>,
    /// Permission bits. A submission keeps only whether a file is executable: 0755 or 0644.
    pub mode: Option<Mode>,
    /// The file's size.
    pub size: Option<Size>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

impl Check for File {
    const NAME: &'static str = "file";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("file.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where there is nothing at the path"),
            ("the file's path", "its content, where content is asked"),
        ],
        fails: &[
            "nothing is at the path, or something is and should not",
            "what is there is of another kind, mode or size",
            "the content does not fit, or is no UTF-8",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        if self.path.trim_matches('/').is_empty() {
            mistakes.push("`path` is empty; name a file of the submission".into());
        }
        if self.path.starts_with('/') || self.path.split('/').any(|part| part == "..") {
            mistakes
                .push(format!("`path: {}` has to lie inside the submission, as in `src/app.py`", self.path));
        }
        let of_a_file = self.content.is_some() || self.size.is_some();
        let asks = of_a_file || self.mode.is_some() || self.kind.is_some();
        if self.absent && asks {
            mistakes.push("`absent: true` cannot stand beside conditions on what is there".into());
        }
        if of_a_file && matches!(self.kind, Some(EntryKind::Directory | EntryKind::Link)) {
            mistakes.push("`content` and `size` are of a file, and `kind` wants something else".into());
        }
        if let Some(content) = &self.content {
            content.mistakes("content", false, &mut mistakes);
        }
        if let Some(mode) = &self.mode {
            mode.mistakes("mode", &mut mistakes);
        }
        if let Some(size) = &self.size {
            size.mistakes("size", &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let path = fill(&self.path, scene.variables);
        let path = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/');
        let place = shown(path);
        let content = scene.content.file(path);
        let Some(entry) = scene.content.get(path) else {
            let expected = if self.absent { format!("nothing at {place}") } else { self.expected(&place) };
            let detail = Detail::new(expected, format!("there is nothing at {place}"));
            return Ok(if self.absent {
                Finding::Passed(detail)
            } else {
                Finding::Failed(detail.proof("What was handed in", listing(scene.content)))
            });
        };
        let (kind, executable) = match entry {
            Entry::File { executable, .. } => (EntryKind::File, *executable),
            Entry::Directory => (EntryKind::Directory, true),
            Entry::Symlink { .. } => (EntryKind::Link, false),
        };
        let seen = match (entry, content) {
            (Entry::Symlink { target }, _) => {
                format!("a link to {}", shown(&String::from_utf8_lossy(target)))
            }
            (_, Some(content)) => format!("a file of {}", ByteSize(content.len() as u64)),
            _ => "a directory".to_owned(),
        };
        if self.absent {
            return Ok(Finding::Failed(Detail::new(
                format!("nothing at {place}"),
                format!("there is {seen} at {place}"),
            )));
        }
        let mut tally = Tally::default();
        let wanted = self.kind.or((self.content.is_some() || self.size.is_some()).then_some(EntryKind::File));
        let kind_fits = match wanted {
            None => true,
            // A link to a file is as good as the file, unless the exercise asks for what it is.
            Some(EntryKind::File) => kind == EntryKind::File || (self.kind.is_none() && content.is_some()),
            Some(wanted) => wanted == kind,
        };
        tally.note(kind_fits, format!("{} at {place}", wanted.map_or("something", EntryKind::name)), seen);
        if let (Some(wanted), Some(content)) = (&self.content, content) {
            let wanted = wanted.resolved(scene.variables).map_err(Fault::Exercise)?;
            tally.content(&wanted, Some(content));
        }
        if let (Some(wanted), Some(content)) = (&self.size, content) {
            tally.size(wanted, content.len() as u64);
        }
        if let Some(wanted) = &self.mode {
            tally.mode(wanted, if executable { 0o755 } else { 0o644 });
        }
        let mut detail = tally.detail();
        if self.content.is_some() || self.size.is_some() {
            detail =
                detail.proof(path, content.map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default());
        }
        Ok(tally.finding(detail))
    }
}

impl EntryKind {
    /// With its article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a link",
        }
    }
}

impl File {
    fn expected(&self, place: &str) -> String {
        format!("{} at {place}", self.kind.map_or("something", EntryKind::name))
    }
}

/// The paths of a submission, one on a line.
pub(super) fn listing(content: &Content) -> String {
    let paths = content.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned());
    let listing: Vec<String> = paths.take(LISTED).collect();
    let more = content.entries().len() - listing.len();
    let mut listing = listing.join("\n");
    if more > 0 {
        let _ = write!(listing, "\n… and {more} more");
    }
    if listing.is_empty() { "nothing".into() } else { listing }
}

/// How many paths a listing has at most.
const LISTED: usize = 200;
