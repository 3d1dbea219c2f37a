//! A commented exercise to begin with, which passes `check` and `verify` as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::reading::{FOLDER_LIMITS, check_slug};
use crate::submissions::Content;

/// Why no skeleton was written. `Display` is a sentence for the author.
#[derive(Debug, thiserror::Error)]
pub enum SkeletonError {
    /// The name cannot be an exercise's.
    #[error("{0}")]
    Slug(String),
    /// There is something already.
    #[error("{} is already there; choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    /// The file system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => { [$(($path, include_str!(concat!("skeleton/", $path)))),+] };
}

const FILES: [(&str, &str); 8] = files![
    "exercise.yaml",
    "README.md",
    "starter/Dockerfile",
    "starter/start.sh",
    "solution/Dockerfile",
    "solution/start.sh",
    "mutants/port-not-exposed/Dockerfile",
    "mutants/greeting-baked-in/start.sh",
];

/// Writes a skeleton for an exercise called `slug` to `folder`, which must not be there yet. Either all
/// of it is there afterwards or nothing.
///
/// # Errors
/// A bad slug, a folder that is there already, a file system that refuses.
pub fn skeleton(slug: &str, folder: &Path) -> Result<(), SkeletonError> {
    check_slug(slug).map_err(SkeletonError::Slug)?;
    if folder.symlink_metadata().is_ok() {
        return Err(SkeletonError::Exists(folder.to_owned()));
    }
    let failed = |path: &Path, source| SkeletonError::Io { path: path.to_owned(), source };
    // Written beside its place and then moved there: a reader never sees half an exercise. The name
    // begins with a dot, so that a catalogue does not look at it.
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = parent.join(format!(".{slug}.{}", std::process::id()));
    fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    let written = write(slug, &draft).and_then(|()| {
        fs::rename(&draft, folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::NotADirectory => SkeletonError::Exists(folder.to_owned()),
            _ => failed(folder, source),
        })
    });
    if written.is_err() {
        // What could not be finished is of no use; the first error is the one to tell.
        let _ = fs::remove_dir_all(&draft);
    }
    written
}

/// The skeleton as a frozen folder.
///
/// # Errors
/// A sentence for the author when `slug` is no name for an exercise.
pub fn skeleton_content(slug: &str) -> Result<Content, String> {
    check_slug(slug)?;
    let title = title(slug);
    let files = FILES.map(|(path, text)| (path.to_owned(), text.replace("TITLE", &title).into()));
    Content::from_files(files.into(), &FOLDER_LIMITS).map_err(|refusal| refusal.to_string())
}

fn write(slug: &str, folder: &Path) -> Result<(), SkeletonError> {
    let title = title(slug);
    for (path, text) in FILES {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text.replace("TITLE", &title)))
            .map_err(|source| SkeletonError::Io { path: path.clone(), source })?;
    }
    Ok(())
}

/// `ports-and-env` as "Ports and env".
fn title(slug: &str) -> String {
    let words = slug.replace('-', " ");
    let first = words.chars().next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(words.chars().skip(1)).collect()
}
