//! The folder of an exercise as its author sees it: what is wrong with it, which files it has, and what
//! a form brings.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::exercises::{Exercise, FOLDER_LIMITS, Severity, check_slug};
use crate::store::Draft;
use crate::submissions::{Content, Entry};
use crate::web::csrf::CSRF_FIELD;
use crate::web::{AppState, Error, Result};

/// The largest file that is edited in a browser, in bytes.
pub(crate) const TEXT_BYTES: usize = 512 << 10;

/// A mistake in an exercise, for its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Path in the exercise's folder.
    pub(crate) file: String,
    /// From 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// From 1, in characters; 0 where the whole file is meant.
    pub(crate) column: usize,
    pub(crate) message: String,
    /// Whether it does not keep the exercise from being used.
    pub(crate) warning: bool,
}

/// A folder that was read, and all that is wrong with it.
pub(crate) struct Reading {
    /// Only where there is no error.
    pub(crate) exercise: Option<Exercise>,
    pub(crate) told: Vec<Told>,
}

/// Reads a folder as strictly as everywhere.
pub(crate) async fn read(slug: &str, folder: &Content) -> Result<Reading> {
    let (slug, folder) = (slug.to_owned(), folder.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let prefix = format!("{slug}/");
        let (exercise, mistakes) = match Exercise::from_content(&slug, &folder) {
            Ok(exercise) => {
                let warnings = exercise.warnings.clone();
                (Some(exercise), warnings)
            }
            Err(mistakes) => (None, mistakes),
        };
        let told = mistakes.into_iter().map(|mistake| Told {
            file: mistake.file.strip_prefix(&prefix).unwrap_or(&mistake.file).to_owned(),
            line: mistake.line,
            column: mistake.column,
            message: mistake.message,
            warning: mistake.severity == Severity::Warning,
        });
        Reading { exercise, told: told.collect() }
    });
    reading.await.map_err(Error::internal)
}

/// The draft of an exercise and its folder.
///
/// # Errors
/// [`Error::NotFound`] when nobody writes one.
pub(crate) async fn draft_of(state: &AppState, slug: &str) -> Result<(Draft, Content)> {
    let draft = state.store.draft(slug).await?.ok_or_else(|| {
        Error::NotFound("There is no draft of this exercise. Begin one on the exercise's page.".into())
    })?;
    let content = state.store.content(&draft.folder_sha256).await?;
    Ok((draft, content))
}

/// A change to a folder, off the threads that serve pages: a folder may be large.
pub(crate) async fn change(
    folder: &Content,
    change: impl FnOnce(&Content) -> Result<Content, crate::submissions::Refusal> + Send + 'static,
) -> Result<Content> {
    let folder = folder.clone();
    let changed = tokio::task::spawn_blocking(move || change(&folder)).await.map_err(Error::internal)?;
    changed
        .map_err(|refusal| Error::Refused(format!("{}.", refusal.to_string().trim_end_matches('.')).into()))
}

/// Tells one state of a file from another: whoever saves says which one they began with.
pub(crate) fn mark_of(entry: Option<&Entry>) -> String {
    let mut hash = Sha256::new();
    match entry {
        None => return String::new(),
        Some(Entry::File { content, executable }) => {
            hash.update([b'f', u8::from(*executable)]);
            hash.update(content);
        }
        Some(Entry::Directory) => hash.update(b"d"),
        Some(Entry::Symlink { target }) => {
            hash.update(b"l");
            hash.update(target);
        }
    }
    hash.finalize().iter().take(12).fold(String::new(), |mut mark, byte| {
        let _ = write!(mark, "{byte:02x}");
        mark
    })
}

/// The text of a file, where it is one that can be edited as such.
pub(crate) fn text_of(entry: Option<&Entry>) -> Option<&str> {
    let Some(Entry::File { content, .. }) = entry else { return None };
    let text = std::str::from_utf8(content).ok()?;
    (content.len() <= TEXT_BYTES && !text.contains('\0')).then_some(text)
}

/// What a browser sends of a text, with the line ends that the file had.
pub(crate) fn as_written(sent: &str, before: Option<&str>) -> String {
    let text = sent.replace("\r\n", "\n");
    if before.is_some_and(|before| before.contains("\r\n")) { text.replace('\n', "\r\n") } else { text }
}

/// The name of an exercise from a form.
///
/// # Errors
/// [`Error::Refused`] with what is wrong with it.
pub(crate) fn slug_of(typed: &str) -> Result<String> {
    let slug = typed.trim();
    check_slug(slug).map_err(|sentence| Error::Refused(format!("{sentence}.").into()))?;
    Ok(slug.to_owned())
}

/// An uploaded folder, and for which exercise.
pub struct Uploaded {
    pub(crate) slug: String,
    /// Of the draft that it replaces; `None` for a new one.
    pub(crate) revision: Option<i64>,
    pub(crate) folder: Content,
}

impl FromRequest<AppState> for Uploaded {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let mut form = Multipart::from_request(request, state).await?;
        let (mut slug, mut revision) = (String::new(), None);
        let mut archive: Option<Bytes> = None;
        let mut files: Vec<(String, Bytes)> = Vec::new();
        while let Some(field) = form.next_field().await? {
            let file = field.file_name().map(str::to_owned);
            match (field.name().unwrap_or_default().to_owned().as_str(), file) {
                (CSRF_FIELD, _) => drop(field.bytes().await?),
                ("slug", None) => slug = field.text().await?,
                ("revision", None) => revision = field.text().await?.parse().ok(),
                // An input that was left empty sends a part with an empty name.
                ("archive", Some(name)) if !name.is_empty() => archive = Some(field.bytes().await?),
                ("files", Some(name)) if !name.is_empty() => files.push((name, field.bytes().await?)),
                _ => drop(field.bytes().await?),
            }
        }
        let slug = slug_of(&slug)?;
        let folder = tokio::task::spawn_blocking(move || match archive {
            Some(archive) => Content::from_archive(&archive, &FOLDER_LIMITS).map_err(Error::from),
            None if files.is_empty() => {
                Err(Error::Refused("Choose an archive or a folder with an exercise.yaml in it.".into()))
            }
            None => Content::from_files(files, &FOLDER_LIMITS).map_err(Error::from),
        });
        Ok(Self { slug, revision, folder: folder.await.map_err(Error::internal)?? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_stay_as_they_were() {
        assert_eq!(as_written("a\r\nb\r\n", None), "a\nb\n");
        assert_eq!(as_written("a\r\nb", Some("x\ny\n")), "a\nb");
        assert_eq!(as_written("a\r\nb", Some("x\r\ny")), "a\r\nb");
    }

    #[test]
    fn a_mark_tells_bytes_and_bit() {
        let file =
            |text: &'static str, executable| mark_of(Some(&Entry::File { content: text.into(), executable }));
        assert_eq!(file("a", false), file("a", false));
        assert_ne!(file("a", false), file("a", true));
        assert_ne!(file("a", false), file("b", false));
        assert_eq!(mark_of(None), "");
    }
}
