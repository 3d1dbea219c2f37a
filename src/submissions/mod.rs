//! What is handed in: archives, folders and answers, read safely and frozen to content.
//!
//! Called by `web`, the API and the command line with what a person handed in, by `exercises` for
//! the folders of its definitions, and by `grading` and `checks` to read it all again. Nothing is
//! ever unpacked onto a disk of ours: an archive is read entry by entry into a tree in memory, so
//! that no link can be followed and no path can leave it. The room knows nothing of exercises,
//! people, the engine or SQL.
//!
//! The way of the bytes: `archive` tells the formats apart, `untar` and `unzip` read entries (and
//! `gunzip` what is packed), `folder` reads a folder of this machine; all of them fill a `tree`,
//! which keeps the rules about names, links and limits; `freeze` writes the tree as the one
//! canonical tar whose SHA-256 is its name, and that is a [`Content`]. `handout` goes the other
//! way, for students who want the starter files. `dockerfile` reads the one file that everybody asks
//! about, `dockerignore` keeps out of a build what the student's ignore file says, `saved_image` reads
//! what `docker save` wrote, also when it comes from the engine, `pipeline` reads CI definitions,
//! `compose` compose files with everything that they include, `repository` the history in a `.git` folder. `shell` takes scripts in Dockerfiles and pipelines apart.
//!
//! `remote` fetches what lies elsewhere: a git repository becomes a [`Content`] like any other, an image
//! that a [`mod@reference`] names becomes files in a temporary folder.

mod answers;
mod archive;
pub mod compose;
mod content;
pub mod dockerfile;
pub mod dockerignore;
mod edit;
mod folder;
mod freeze;
mod gunzip;
mod handout;
mod limits;
mod path;
pub mod pipeline;
pub mod reference;
mod refusal;
pub mod remote;
pub mod repository;
pub mod saved_image;
mod shell;
mod source;
mod tree;
mod untar;
mod unzip;

pub use answers::{ANSWERS_BYTES, Answer, Answers};
pub use content::{Content, Entry};
pub use dockerignore::Dockerignore;
pub use limits::ContentLimits;
pub use refusal::Refusal;
pub use source::Source;
