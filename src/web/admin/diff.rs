//! Two states of an exercise's folder side by side: file by file, as unified differences.

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use serde::Deserialize;
use similar::{Algorithm, ChangeTag, TextDiff};

use super::exercises::href;
use super::folder::draft_of;
use super::sections::{Sections, frame};
use crate::submissions::{Content, Entry};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// How long differences of one file are looked for; after that they are told in larger pieces.
const PATIENCE: Duration = Duration::from_millis(300);
/// Lines that are shown around a difference.
const AROUND: usize = 3;

#[derive(Template)]
#[template(path = "admin/diff.html")]
pub(crate) struct DiffPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) slug: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) files: Vec<FileDiff>,
}

/// What became of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileDiff {
    pub(crate) path: String,
    pub(crate) what: String,
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) hunks: Vec<Hunk>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub(crate) head: String,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// `add`, `del` or nothing.
    pub(crate) class: &'static str,
    pub(crate) sign: char,
    pub(crate) text: String,
}

/// Two states: names of versions, or `draft`.
#[derive(Deserialize)]
pub struct Between {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// `GET /admin/exercises/{slug}/diff`
///
/// # Errors
/// [`Error::NotFound`] when one of the two is not there.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Query(between): body::Query<Between>,
) -> Result<Response> {
    let (from, before) = folder(&state, &slug, &between.from).await?;
    let (to, after) = folder(&state, &slug, &between.to).await?;
    let files = tokio::task::spawn_blocking(move || differences(&before, &after));
    let page = DiffPage {
        frame: frame(&viewer, &csrf, href(&slug), slug.clone()),
        sections: Sections::at("/admin/exercises"),
        slug,
        from,
        to,
        files: files.await.map_err(Error::internal)?,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

async fn folder(state: &AppState, slug: &str, which: &str) -> Result<(String, Content)> {
    if which == "draft" {
        let (draft, content) = draft_of(state, slug).await?;
        return Ok((format!("draft, revision {}", draft.revision), content));
    }
    let content = state.store.exercise_folder(slug, which).await?;
    Ok((format!("version {}", which.chars().take(12).collect::<String>()), content))
}

/// What differs between two trees, by path.
pub(crate) fn differences(before: &Content, after: &Content) -> Vec<FileDiff> {
    let paths: BTreeSet<&Vec<u8>> = before.entries().keys().chain(after.entries().keys()).collect();
    let differs = |path: &&Vec<u8>| {
        let (old, new) = (before.entries().get(*path), after.entries().get(*path));
        old != new && ![old, new].into_iter().all(|one| matches!(one, None | Some(Entry::Directory)))
    };
    paths
        .into_iter()
        .filter(differs)
        .map(|path| file(path, before.entries().get(path), after.entries().get(path)))
        .collect()
}

fn file(path: &[u8], old: Option<&Entry>, new: Option<&Entry>) -> FileDiff {
    let path = visible(&String::from_utf8_lossy(path)).into_owned();
    let what = match (old, new) {
        (None, _) => "new".to_owned(),
        (_, None) => "deleted".to_owned(),
        (
            Some(Entry::File { executable: was, content: one }),
            Some(Entry::File { executable: is, content: other }),
        ) => match (was == is, one == other) {
            (true, _) => "changed".to_owned(),
            (false, same) => {
                let bit = if *is { "now executable" } else { "no longer executable" };
                if same { bit.to_owned() } else { format!("changed, {bit}") }
            }
        },
        _ => "of another kind".to_owned(),
    };
    let (Some(one), Some(other)) = (text(old), text(new)) else {
        return FileDiff { path, what: format!("{what}, not text"), added: 0, removed: 0, hunks: Vec::new() };
    };
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(&one, &other);
    let (mut added, mut removed) = (0, 0);
    let mut hunks = Vec::new();
    for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
        let lines = hunk.iter_changes().map(|change| {
            let (class, sign) = match change.tag() {
                ChangeTag::Equal => ("", ' '),
                ChangeTag::Delete => ("del", '-'),
                ChangeTag::Insert => ("add", '+'),
            };
            added += usize::from(sign == '+');
            removed += usize::from(sign == '-');
            let text = visible(change.value().trim_end_matches('\n')).into_owned();
            Line { class, sign, text }
        });
        let lines = lines.collect();
        hunks.push(Hunk { head: hunk.header().to_string(), lines });
    }
    FileDiff { path, what, added, removed, hunks }
}

/// What can be compared line by line; nothing is an empty text.
fn text(entry: Option<&Entry>) -> Option<String> {
    match entry {
        None | Some(Entry::Directory) => Some(String::new()),
        Some(Entry::Symlink { target }) => Some(format!("link to {}\n", String::from_utf8_lossy(target))),
        Some(Entry::File { content, .. }) => {
            let text = std::str::from_utf8(content).ok()?;
            (!text.contains('\0')).then(|| text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercises::FOLDER_LIMITS;

    #[test]
    fn files_are_told_by_what_became_of_them() {
        let tree = |files: &[(&str, &[u8])]| {
            let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec().into()));
            Content::from_files(files.collect(), &FOLDER_LIMITS).unwrap()
        };
        let before = tree(&[("a", b"1\n2\n3\n"), ("gone/b", b"x\n"), ("same", b"s"), ("raw", b"\0")]);
        let after = tree(&[("a", b"1\nTWO\n3\n4\n"), ("new", b"#!n\n"), ("same", b"s"), ("raw", b"\0\0")]);
        let found = differences(&before, &after);
        let told: Vec<_> =
            found.iter().map(|one| (one.path.as_str(), one.what.as_str(), one.added, one.removed)).collect();
        assert_eq!(
            told,
            [
                ("a", "changed", 2, 1),
                ("gone/b", "deleted", 0, 1),
                ("new", "new", 1, 0),
                ("raw", "changed, not text", 0, 0)
            ]
        );
        let signs: String = found[0].hunks[0].lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, " -+ +");
        let bit = before.with_file("same", &"s".into(), true, &FOLDER_LIMITS).unwrap();
        assert_eq!(differences(&before, &bit)[0].what, "now executable");
        assert!(differences(&before, &before).is_empty());
    }
}
