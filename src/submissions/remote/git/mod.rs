//! Git repositories over HTTP.
//!
//! A small client of our own on top of the reader of packs that the check `repository` needs anyway: gix
//! would bring some fifty crates, connections of its own (curl or reqwest), and a receiver of packs that
//! writes them into a folder, where here every address is judged and every byte counted. What is left to do
//! is two requests of protocol version 2 (`service`, in `packets`), and to tell what a name stands for
//! (`fetch`).

mod address;
mod fetch;
mod packets;
mod service;

use chrono::{DateTime, Utc};

pub use address::{GitAddress, Revision};
pub(super) use fetch::fetch;

use crate::submissions::Content;

/// What was fetched of a repository.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The files of the commit, with its `.git` where the history was asked for.
    pub content: Content,
    /// The commit.
    pub commit: Commit,
    /// What the student should know: sentences about submodules and files of Git LFS that are not there.
    pub notes: Vec<String>,
}

/// The commit that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name, 40 hexadecimal digits.
    pub hash: String,
    /// Where it was found; `None` where it was asked for by its name.
    pub origin: Option<Origin>,
    /// When its author made it; `None` where that is no time.
    pub authored: Option<DateTime<Utc>>,
    /// The first line of its message, at most 200 characters, as it was written: data, to be escaped.
    pub subject: String,
}

/// What led to a commit; the name without `refs/heads/` or `refs/tags/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A branch.
    Branch(String),
    /// A tag, annotated or not.
    Tag(String),
}
