//! `repository`: branches, tags and commits of a git repository that was handed in.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::listing;
use super::matcher::{Literal, Number, Set, Text, Variables, fill, listed, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings, secrets};
use crate::report::Phase;
use crate::submissions::repository::{Bounds, Commit, Committed, Id, Repository as Git, Unreadable};
use crate::units::ByteSize;

/// What the history of the handed in git repository says; the submission holds its `.git` folder. The
/// repository is only read: nothing is checked out, and no hook or setting of it does anything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// There is this branch, and what follows is about the commits that lead to it. If nothing is said,
    /// about those that lead to what is checked out.
    pub branch: Option<Literal>,
    /// One of these commits has such a tag.
    pub tag: Option<Text>,
    /// Whether that tag has an author and a message of its own (`git tag -a`).
    pub annotated: Option<bool>,
    /// How many commits there are.
    pub commits: Option<Number>,
    /// How many of the commits changed a file or folder.
    #[serde(default)]
    pub history: Vec<History>,
    /// The message of at least one commit, its first line alone or all of it.
    pub message: Option<Text>,
    /// The first line of the message of every commit that is no merge.
    pub every_message: Option<Text>,
    /// Authors of the commits, each as `Name <address>`.
    pub authors: Option<Set>,
    /// No file of any commit of any branch or tag, deleted ones too, is larger than this.
    pub no_large_files: Option<ByteSize>,
    /// No commit of any branch or tag has a file whose name is one of a secret (`.env`, `id_rsa`,
    /// `*.pem`, `credentials`), also if it was deleted later.
    #[serde(default)]
    pub no_secret_files: bool,
    /// Paths that do not count for `no_secret_files`.
    #[serde(default)]
    pub allowed: Vec<Literal>,
}

/// A path and how often it was changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Of a file or folder of the repository.
    pub path: Literal,
    /// How many commits changed it; the first one counts.
    pub commits: Number,
}

impl Check for Repository {
    const NAME: &'static str = "repository";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("repository.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where no repository can be read"),
            ("Branches and tags", "each with its commit, and which branch is checked out"),
            ("Commits", "the newest commits that were looked at, with author and first line"),
            ("Found in commits", "files that are too large or look secret, each with a commit that has it"),
        ],
        fails: &[
            "there is no `.git` folder, or what is in it is damaged or only a part of the history",
            "the branch or the tag is missing, or the tag is on no commit of the branch",
            "there are more or fewer commits than asked, or a path was changed more or less often",
            "messages or authors are not as asked",
            "a file that is too large or looks secret was ever committed",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        let asks = self.branch.is_some()
            || self.tag.is_some()
            || self.commits.is_some()
            || !self.history.is_empty()
            || self.message.is_some()
            || self.every_message.is_some()
            || self.authors.is_some()
            || self.no_large_files.is_some()
            || self.no_secret_files;
        if !asks && self.annotated.is_none() {
            mistakes.push("this check asks nothing; write for example `commits: {at_least: 3}`".into());
        }
        if self.branch.as_ref().is_some_and(|branch| branch.0.trim().is_empty()) {
            mistakes.push("`branch` is empty; name a branch such as main".into());
        }
        if self.annotated.is_some() && self.tag.is_none() {
            mistakes.push("`annotated` is about the `tag`, and none is asked for".into());
        }
        for (field, text) in
            [("tag", &self.tag), ("message", &self.message), ("every_message", &self.every_message)]
        {
            if let Some(text) = text {
                text.mistakes(field, false, &mut mistakes);
            }
        }
        if let Some(commits) = &self.commits {
            // Without a commit there is no branch.
            commits.mistakes("commits", &(1..=i64::MAX), &mut mistakes);
        }
        for History { path, commits } in &self.history {
            if path.0.is_empty() || path.0.starts_with('/') || path.0.split('/').any(|part| part == "..") {
                mistakes.push(format!("`history`: `{}` has to lie inside the repository", path.0));
            }
            commits.mistakes("history.commits", &(0..=i64::MAX), &mut mistakes);
        }
        if let Some(authors) = &self.authors {
            authors.mistakes("authors", &mut mistakes);
        }
        if !self.allowed.is_empty() && !self.no_secret_files {
            mistakes.push("`allowed` is for `no_secret_files`, which is not asked".into());
        }
        for path in &self.allowed {
            if suspicious(&path.0).is_none() {
                mistakes.push(format!("`allowed`: `{}` has no name of a secret anyway", path.0));
            }
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let asks = self.resolved(scene.variables)?;
        let content = scene.content.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let git = Git::open(&content, Bounds::default());
            git.and_then(|git| asks.judge(&git)).map_err(|why| (why, asks.expected()))
        });
        match reading.await {
            Ok(Ok(finding)) => Ok(finding),
            Ok(Err((why, expected))) => {
                let detail = Detail::new(expected, why.to_string());
                Ok(Finding::Failed(detail.proof("What was handed in", listing(scene.content))))
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Why a path looks like one of a secret: the part of it that does.
fn suspicious(path: &str) -> Option<&str> {
    /// Keys that everybody may have.
    const PUBLIC: [&str; 8] = ["ca", "cert", "certificate", "certs", "chain", "fullchain", "pub", "public"];
    let name = path.rsplit('/').next().unwrap_or(path);
    let key = name.strip_suffix(".pem").or_else(|| name.strip_suffix(".key"));
    let secret = key.is_some_and(|stem| {
        let stem = stem.to_lowercase();
        !stem.split(['-', '_', '.']).any(|word| PUBLIC.contains(&word))
    });
    secrets::secret_file(path).or_else(|| (secret || name == "credentials").then_some(path))
}

impl Repository {
    /// With the grading's values in place of `${name}`.
    fn resolved(&self, variables: &Variables) -> Result<Self, Fault> {
        let text = |text: &Option<Text>| {
            text.as_ref().map(|text| text.resolved(variables)).transpose().map_err(Fault::Exercise)
        };
        let literal = |literal: &Literal| Literal(fill(&literal.0, variables).into_owned());
        let authors = self.authors.as_ref().map(|set| set.resolved(variables)).transpose();
        let history = self.history.iter();
        Ok(Self {
            branch: self.branch.as_ref().map(literal),
            tag: text(&self.tag)?,
            message: text(&self.message)?,
            every_message: text(&self.every_message)?,
            authors: authors.map_err(Fault::Exercise)?,
            history: history.map(|asked| History { path: literal(&asked.path), ..asked.clone() }).collect(),
            ..self.clone()
        })
    }

    fn expected(&self) -> String {
        let mut said = Vec::new();
        said.extend(self.branch.as_ref().map(|branch| format!("a branch {}", shown(&branch.0))));
        said.extend(self.tag.as_ref().map(|tag| self.tag_phrase(tag)));
        said.extend(self.commits.as_ref().map(|count| format!("{} commits", count.describe())));
        said.extend(self.history.iter().map(History::phrase));
        said.extend(self.message.as_ref().map(|text| format!("a message that {}", text.describe())));
        said.extend(self.every_message.as_ref().map(every_phrase));
        said.extend(self.authors.as_ref().map(|set| format!("authors: {}", set.describe())));
        said.extend(self.no_large_files.map(large_phrase));
        said.extend(self.no_secret_files.then(|| SECRET_PHRASE.to_owned()));
        said.join(", ")
    }

    fn tag_phrase(&self, tag: &Text) -> String {
        let how = match self.annotated {
            Some(true) => "an annotated tag",
            Some(false) => "a lightweight tag",
            None => "a tag",
        };
        format!("{how} whose name {}", tag.describe())
    }

    fn judge(&self, git: &Git) -> Result<Finding, Unreadable> {
        let mut tally = Tally::default();
        let branch = self.branch.as_ref().map(|branch| branch.0.as_str());
        let tip = git.tip(branch);
        if let Some(branch) = branch {
            let names: Vec<String> = git.branches.keys().take(20).map(|name| shown(name)).collect();
            let names = if names.is_empty() { "there are no branches".into() } else { listed(&names, "and") };
            let observed = if tip.is_some() {
                format!("there is {}", shown(branch))
            } else {
                format!("there is only {names}")
            };
            tally.note(tip.is_some(), format!("a branch {}", shown(branch)), observed);
        }
        let commits = match tip {
            Some(tip) => git.commits(tip)?,
            None => Vec::new(),
        };
        self.tags(git, &commits, &mut tally);
        if let Some(wanted) = &self.commits {
            let found = i64::try_from(commits.len()).unwrap_or(i64::MAX);
            tally.note(
                wanted.accepts(found),
                format!("{} commits", wanted.describe()),
                counted(commits.len()),
            );
        }
        for asked in &self.history {
            let changes = git.changes_of(asked.path.0.trim_end_matches('/'), &commits)?;
            let found = i64::try_from(changes.len()).unwrap_or(i64::MAX);
            let observed = match changes.as_slice() {
                [] => format!("no commit changed {}", shown(&asked.path.0)),
                [newest, ..] => {
                    format!(
                        "{} changed {}, last {}",
                        counted(changes.len()),
                        shown(&asked.path.0),
                        told(newest)
                    )
                }
            };
            tally.note(asked.commits.accepts(found), asked.phrase(), observed);
        }
        self.words(&commits, &mut tally);
        let found = self.files(git, &mut tally)?;
        let detail = tally.detail().proof("Branches and tags", names(git)).proof("Commits", log(&commits));
        let detail = detail.proof("Found in commits", found);
        let looked_at_files = self.no_secret_files || self.no_large_files.is_some();
        Ok(tally.finding(if looked_at_files {
            detail.reproduce("git log --all --oneline --name-status")
        } else {
            detail
        }))
    }

    fn tags(&self, git: &Git, commits: &[Commit], tally: &mut Tally) {
        let Some(wanted) = &self.tag else { return };
        let fitting: Vec<_> = git.tags.iter().filter(|(name, _)| wanted.accepts(name)).collect();
        let here = |id: Option<Id>| id.is_some_and(|id| commits.iter().any(|commit| commit.id == id));
        let kind = |annotated| self.annotated.is_none_or(|wanted| wanted == annotated);
        let good = fitting.iter().find(|(_, tag)| here(tag.commit) && kind(tag.annotated));
        let observed = match (good, fitting.as_slice()) {
            (Some((name, tag)), _) => {
                format!("{} is {} on {}", shown(name), how(tag.annotated), place(tag.commit))
            }
            (None, [(name, tag), ..]) if !here(tag.commit) => {
                format!("{} is on {}, which does not lead here", shown(name), place(tag.commit))
            }
            (None, [(name, tag), ..]) => format!("{} is {}", shown(name), how(tag.annotated)),
            (None, []) => {
                let names: Vec<String> = git.tags.keys().take(20).map(|name| shown(name)).collect();
                if names.is_empty() {
                    "there are no tags".into()
                } else {
                    format!("the tags are {}", listed(&names, "and"))
                }
            }
        };
        tally.note(good.is_some(), self.tag_phrase(wanted), observed);
    }

    fn words(&self, commits: &[Commit], tally: &mut Tally) {
        if let Some(wanted) = &self.message {
            let good = commits
                .iter()
                .find(|commit| wanted.accepts(commit.subject()) || wanted.accepts(&commit.message));
            let observed = good.map_or_else(|| "no commit has such a message".into(), told);
            tally.note(good.is_some(), format!("a message that {}", wanted.describe()), observed);
        }
        if let Some(wanted) = &self.every_message {
            let mut own = commits.iter().filter(|commit| commit.parents.len() < 2);
            let wrong = own.find(|commit| !wanted.accepts(commit.subject()));
            let observed =
                wrong.map_or_else(|| counted(commits.len()), |commit| format!("there is {}", told(commit)));
            tally.note(wrong.is_none() && !commits.is_empty(), every_phrase(wanted), observed);
        }
        if let Some(wanted) = &self.authors {
            let mut authors: Vec<String> = commits.iter().map(|commit| commit.author.clone()).collect();
            authors.sort();
            authors.dedup();
            let names: Vec<String> = authors.iter().take(20).map(|author| shown(author)).collect();
            let observed = if names.is_empty() { "no author".into() } else { listed(&names, "and") };
            tally.note(wanted.accepts(&authors), format!("authors: {}", wanted.describe()), observed);
        }
    }

    /// Looks at everything that was ever committed; the proof.
    fn files(&self, git: &Git, tally: &mut Tally) -> Result<String, Unreadable> {
        if self.no_large_files.is_none() && !self.no_secret_files {
            return Ok(String::new());
        }
        let commits = git.all_commits()?;
        let files = git.files(&commits)?;
        let mut proof = String::new();
        let mut note = |expected: String, found: Vec<&Committed>, nothing: &str| -> Result<(), Unreadable> {
            let mut seen = Vec::new();
            for file in found.iter().take(FOUND) {
                let commit = commits.iter().find(|commit| commit.id == file.commit);
                let size = file.bytes.map(|bytes| format!(" of {}", ByteSize(bytes))).unwrap_or_default();
                let now = match git.tip(None).and_then(|tip| commits.iter().find(|commit| commit.id == tip)) {
                    Some(tip) if git.has(tip, &file.path)? => "",
                    _ => ", and is still in the history though it was deleted",
                };
                let told = commit.map(told).unwrap_or_default();
                seen.push(format!("{}{size} in {told}", shown(&file.path)));
                let _ = writeln!(proof, "{}{size} is in {told}{now}", file.path);
            }
            let more = found.len().saturating_sub(FOUND);
            if more > 0 {
                let _ = writeln!(proof, "… and {more} more");
            }
            let observed =
                if seen.is_empty() { nothing.to_owned() } else { listed(&seen[..seen.len().min(3)], "and") };
            tally.note(found.is_empty(), expected, observed);
            Ok(())
        };
        if let Some(most) = self.no_large_files {
            let large = files.iter().filter(|file| file.bytes.is_some_and(|bytes| bytes > most.0));
            note(
                large_phrase(most),
                large.collect(),
                &format!("{} files in {}", files.len(), counted(commits.len())),
            )?;
        }
        if self.no_secret_files {
            let mut paths = std::collections::BTreeSet::new();
            let secret = files.iter().filter(|file| {
                suspicious(&file.path).is_some()
                    && !self.allowed.iter().any(|allowed| allowed.0 == file.path)
                    && paths.insert(&file.path)
            });
            note(SECRET_PHRASE.to_owned(), secret.collect(), "no name of a secret in any commit")?;
        }
        Ok(proof)
    }
}

impl History {
    fn phrase(&self) -> String {
        format!("{} commits that changed {}", self.commits.describe(), shown(&self.path.0))
    }
}

const SECRET_PHRASE: &str = "no file in any commit with a name of a secret";

fn every_phrase(text: &Text) -> String {
    format!("every message {}", text.describe())
}

fn large_phrase(most: ByteSize) -> String {
    format!("no file in any commit larger than {most}")
}

fn counted(commits: usize) -> String {
    if commits == 1 { "1 commit".into() } else { format!("{commits} commits") }
}

fn how(annotated: bool) -> &'static str {
    if annotated { "an annotated tag" } else { "a lightweight tag" }
}

fn place(id: Option<Id>) -> String {
    id.map_or_else(|| "something that is no commit".into(), |id| id.short())
}

/// "1a2b3c4 `Add the app`".
fn told(commit: &Commit) -> String {
    format!("{} {}", commit.id.short(), shown(commit.subject()))
}

/// How much of what is found the evidence shows.
const FOUND: usize = 50;
const LOGGED: usize = 30;

fn names(git: &Git) -> String {
    let mut told = match &git.current {
        Some(branch) => format!("checked out: {branch}\n"),
        None => "checked out: a commit without a branch\n".to_owned(),
    };
    for (name, id) in git.branches.iter().take(FOUND) {
        let _ = writeln!(told, "branch {name}  {}", id.short());
    }
    for (name, tag) in git.tags.iter().take(FOUND) {
        let _ = writeln!(told, "tag    {name}  {}  {}", place(tag.commit), how(tag.annotated));
    }
    told
}

fn log(commits: &[Commit]) -> String {
    let mut told = String::new();
    for commit in commits.iter().take(LOGGED) {
        let time = chrono::DateTime::from_timestamp(commit.seconds, 0);
        let day = time.map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default();
        let _ = writeln!(told, "{}  {day}  {}: {}", commit.id.short(), commit.author, commit.subject());
    }
    if commits.len() > LOGGED {
        let _ = writeln!(told, "… and {} more", commits.len() - LOGGED);
    }
    told
}
