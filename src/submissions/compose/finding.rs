//! What was found in a compose file, in sentences for the student who wrote it.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexSet;
use serde::Serialize;

use crate::text::{cut_middle, visible};
use crate::tree::Place;

/// How many findings are told; after that one more says how many are left out.
const MAX_FINDINGS: usize = 100;

/// Where something stands in the submission.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Path of the file, relative to the submission's root.
    pub file: Arc<str>,
    /// Line and column in it; 0:0 where the file as a whole is meant.
    pub place: Place,
}

impl Origin {
    /// The file as a whole.
    pub(super) fn file(file: &str) -> Self {
        Self { file: file.into(), place: Place::default() }
    }
}

/// `compose.yaml:3:5`, or the file alone where no line is known.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.file))?;
        if self.place == Place::default() {
            return Ok(());
        }
        write!(f, ":{}:{}", self.place.line, self.place.column)
    }
}

/// What a finding means for the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file that cannot be read at all: missing, no YAML, too large.
    Unreadable,
    /// `docker compose` would not take it either.
    Mistake,
    /// Valid, but not run here: it reaches for something outside of the stack, or is not supported.
    Refused,
    /// A path that leads out of the submission, or through a link.
    Confined,
    /// Run in another way than it is written.
    Rewritten,
    /// Read, and without effect here.
    Ignored,
    /// Nothing changes; worth knowing.
    Note,
}

impl Kind {
    /// Whether a project with such a finding is not run.
    #[must_use]
    pub const fn stops(self) -> bool {
        matches!(self, Self::Unreadable | Self::Mistake | Self::Refused | Self::Confined)
    }

    /// The word for it, as in the JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Mistake => "mistake",
            Self::Refused => "refused",
            Self::Confined => "confined",
            Self::Rewritten => "rewritten",
            Self::Ignored => "ignored",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What it means.
    pub kind: Kind,
    /// Which rule it is about, a stable word such as `privileged`, for tests and counts.
    pub rule: &'static str,
    /// Where.
    pub origin: Origin,
    /// The keys that lead there, `services.web.ports[0]`; empty for a file as a whole.
    pub path: String,
    /// What is wrong or different and what to do, for the student.
    pub message: String,
}

/// `compose.yaml:3:5: services.web.privileged: …`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", visible(&self.path))?;
        }
        f.write_str(&self.message)
    }
}

/// Findings as a page of text, in the order of what they mean: each group under its heading, each finding in
/// a line of its own with its file, line and column.
#[must_use]
pub fn page(findings: &[Finding]) -> String {
    type Belongs = fn(Kind) -> bool;
    let groups: [(&str, Belongs); 4] = [
        ("What stops it", Kind::stops),
        ("Run in another way than it is written", |kind| kind == Kind::Rewritten),
        ("Without effect here", |kind| kind == Kind::Ignored),
        ("Worth knowing", |kind| kind == Kind::Note),
    ];
    let told = groups.iter().filter_map(|(heading, belongs)| {
        let lines: Vec<String> =
            findings.iter().filter(|finding| belongs(finding.kind)).map(ToString::to_string).collect();
        (!lines.is_empty()).then(|| format!("{heading} ({}):\n{}", lines.len(), lines.join("\n")))
    });
    told.collect::<Vec<_>>().join("\n\n")
}

/// The keys that lead to a value.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyPath(Vec<String>);

impl KeyPath {
    /// `services.web` as a path of two keys. No key in it may contain a dot.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.key(&format!("[{index}]"))
    }

    /// To match a path against a pattern of keys.
    pub(super) fn parts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 && !key.starts_with('[') {
                f.write_str(".")?;
            }
            f.write_str(&cut_middle(key, 120))?;
        }
        Ok(())
    }
}

/// Collects findings: each once, and not endlessly many.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: IndexSet<Finding>,
    left_out: usize,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        kind: Kind,
        rule: &'static str,
        origin: &Origin,
        path: &KeyPath,
        message: impl Into<String>,
    ) {
        let finding =
            Finding { kind, rule, origin: origin.clone(), path: path.to_string(), message: message.into() };
        self.insert(finding);
    }

    fn insert(&mut self, finding: Finding) {
        if self.found.len() < MAX_FINDINGS || self.found.contains(&finding) {
            self.found.insert(finding);
            return;
        }
        // What stops the project is never the one that is left out.
        if finding.kind.stops() && !self.stops() {
            self.found.pop();
            self.found.insert(finding);
        }
        self.left_out += 1;
    }

    pub(super) fn mistake(
        &mut self,
        rule: &'static str,
        origin: &Origin,
        path: &KeyPath,
        message: impl Into<String>,
    ) {
        self.add(Kind::Mistake, rule, origin, path, message);
    }

    pub(super) fn refuse(
        &mut self,
        rule: &'static str,
        origin: &Origin,
        path: &KeyPath,
        message: impl Into<String>,
    ) {
        self.add(Kind::Refused, rule, origin, path, message);
    }

    pub(super) fn unreadable(&mut self, origin: &Origin, message: impl Into<String>) {
        self.add(Kind::Unreadable, "unreadable", origin, &KeyPath::default(), message);
    }

    /// Takes over those of the kinds that are wanted.
    pub(super) fn append(&mut self, other: Self, wanted: impl Fn(Kind) -> bool) {
        for finding in other.found {
            if wanted(finding.kind) {
                self.insert(finding);
            }
        }
        self.left_out += other.left_out;
    }

    /// Counts a finding that is not told, where there is no more room; then its sentence need not be made.
    pub(super) fn leave_out(&mut self) -> bool {
        let full = self.found.len() >= MAX_FINDINGS && self.stops();
        self.left_out += usize::from(full);
        full
    }

    /// Whether something that stops the project was found at this place or below it.
    pub(super) fn tell_of(&self, path: &KeyPath) -> bool {
        let path = path.to_string();
        self.found.iter().filter(|finding| finding.kind.stops()).any(|finding| {
            finding
                .path
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether there is more of something than is read.
    pub(super) fn tell_of_too_many(&self) -> bool {
        self.found.iter().any(|finding| finding.rule == "too-many")
    }

    /// Whether a file is missing from the project, so that nothing can be said of what is not there.
    pub(super) fn lack_a_file(&self) -> bool {
        self.found.iter().any(|finding| finding.path.is_empty() && finding.kind.stops())
    }

    pub(super) fn stops(&self) -> bool {
        self.found.iter().any(|finding| finding.kind.stops())
    }

    /// What stops the project first, then by place.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.found.into_iter().collect();
        found.sort_by(|one, two| {
            let key = |finding: &Finding| (!finding.kind.stops(), finding.origin.file.clone());
            key(one).cmp(&key(two)).then(one.origin.place.cmp(&two.origin.place))
        });
        if self.left_out > 0
            && let Some(last) = found.last()
        {
            let (kind, origin) = (Kind::Note, Origin::file(&last.origin.file));
            let message = format!("{} more findings are not told; mend these first", self.left_out);
            found.push(Finding { kind, rule: "more", origin, path: String::new(), message });
        }
        found
    }
}

/// A text of the student's as a sentence may show it.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", visible(&cut_middle(text, 80)).replace(['\n', '\t'], " "))
}

/// "`a`, `b` and `c`".
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match words.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
