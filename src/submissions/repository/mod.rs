//! A git repository in a submission: its `.git` folder, read where it lies in memory.
//!
//! The check `repository` calls it. Nothing is checked out and no program runs, so no hook, filter or
//! setting of a stranger's repository does anything. `refs` reads branches and tags, `objects` the loose
//! objects and `pack` the packed ones, `history` walks commits and their trees. What a server sends instead,
//! a pack without an index, is named by `received`, and `checkout` makes a tree of the files of one commit.
//! Everything that is unpacked is counted, and every object has to have the hash that names it. Formats are
//! those of git's manual (gitformat-pack, gitrepository-layout); what only other settings make (SHA-256 names, reftable,
//! alternates, partial clones) is refused with a sentence.

mod checkout;
mod history;
mod objects;
mod pack;
mod received;
mod refs;

use std::collections::BTreeMap;

pub(in crate::submissions) use checkout::{Reception, Uncheckable};
pub use history::{Commit, Committed};
pub use objects::{Bounds, Id};

use self::objects::Objects;
use super::Content;

/// Why a repository cannot be read. `Display` is a sentence for the student, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is none.
    #[error(
        "there is no `.git` folder; hand in the whole folder of the repository, packed with what is hidden"
    )]
    Missing,
    /// A worktree or submodule, whose repository lies elsewhere.
    #[error("`.git` only points to a repository elsewhere; hand in the folder of that repository")]
    Elsewhere,
    /// A format that is not read here.
    #[error("the repository {0}, which is not read here; hand in a clone made with git's usual settings")]
    Format(&'static str),
    /// It contradicts itself.
    #[error("the repository is damaged: {0}; look at it with `git fsck`")]
    Damaged(String),
    /// Beyond [`Bounds`].
    #[error("the repository is too large to be read here: {0}")]
    TooLarge(&'static str),
}

/// A repository that could be opened.
pub struct Repository {
    objects: Objects,
    /// The branch that is checked out; `None` where a commit is.
    pub current: Option<String>,
    head: Option<Id>,
    /// Branches by name, those of remotes as `origin/main`.
    pub branches: BTreeMap<String, Id>,
    /// Tags by name.
    pub tags: BTreeMap<String, Tag>,
    /// All that is kept: branches, tags, stashes, the commit that is checked out.
    roots: Vec<Id>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The commit it stands for; `None` where it stands for something else.
    pub commit: Option<Id>,
    /// Whether it has an author and a message of its own.
    pub annotated: bool,
}

impl Repository {
    /// Opens the repository of a submission: its `.git` folder, or all of it where that folder itself was
    /// handed in.
    ///
    /// # Errors
    /// [`Unreadable`], a sentence for the student.
    pub fn open(content: &Content, bounds: Bounds) -> Result<Self, Unreadable> {
        let place = if content.file(".git/HEAD").is_some() {
            ".git/"
        } else if content.file(".git").is_some() {
            return Err(Unreadable::Elsewhere);
        } else if content.file("HEAD").is_some() && content.get("objects").is_some() {
            ""
        } else {
            return Err(Unreadable::Missing);
        };
        let file = |path: &str| content.file(&format!("{place}{path}"));
        let config = file("config").map(|bytes| String::from_utf8_lossy(bytes).to_lowercase());
        let setting = |name: &str, value: &str| {
            config.as_deref().is_some_and(|config| {
                config.lines().any(|line| {
                    line.split_once('=').is_some_and(|(key, set)| key.trim() == name && set.trim() == value)
                })
            })
        };
        if setting("objectformat", "sha256") {
            return Err(Unreadable::Format("names its objects by SHA-256"));
        }
        if setting("refstorage", "reftable") || file("reftable/tables.list").is_some() {
            return Err(Unreadable::Format("keeps its branches as a reftable"));
        }
        if file("objects/info/alternates").is_some_and(|file| !file.is_empty()) {
            return Err(Unreadable::Format("borrows objects from another repository"));
        }
        if file("shallow").is_some_and(|file| !file.is_empty()) {
            return Err(Unreadable::Format("is a shallow clone, without its history"));
        }
        let objects = Objects::open(content, place, bounds)?;
        let refs = refs::read(content, place)?;
        let head =
            refs.head.or_else(|| refs.all.get(&format!("refs/heads/{}", refs.current.as_deref()?)).copied());
        let mut repository = Self {
            objects,
            current: refs.current,
            head,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            roots: head.into_iter().collect(),
        };
        for (name, id) in &refs.all {
            repository.roots.push(*id);
            if let Some(branch) =
                name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/remotes/"))
            {
                repository.branches.insert(branch.to_owned(), *id);
            } else if let Some(tag) = name.strip_prefix("refs/tags/") {
                let found = repository.tag(*id)?;
                repository.tags.insert(tag.to_owned(), found);
            }
        }
        Ok(repository)
    }

    /// What is only objects, with no names of branches and tags.
    fn of(objects: Objects) -> Self {
        Self {
            objects,
            current: None,
            head: None,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            roots: Vec::new(),
        }
    }

    /// The commit of a branch, or the one that is checked out. A branch that only a remote has counts,
    /// as it does for `git switch`.
    #[must_use]
    pub fn tip(&self, branch: Option<&str>) -> Option<Id> {
        match branch {
            Some(name) => {
                self.branches.get(name).or_else(|| self.branches.get(&format!("origin/{name}"))).copied()
            }
            None => self.head,
        }
    }
}
