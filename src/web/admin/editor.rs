//! The files of a draft: a tree, an editor for texts, and what is done to files.
//!
//! Whoever saves a file says which state of it they began with. Where somebody else has changed that
//! very file meanwhile, both texts are shown and nothing is lost; a change to another file is no reason
//! to ask.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::exercises::href;
use super::folder::{Told, as_written, change, draft_of, mark_of, read, text_of};
use super::sections::{Sections, frame};
use crate::exercises::FOLDER_LIMITS;
use crate::store;
use crate::submissions::{Content, Entry};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body, markdown, words};

#[derive(Template)]
#[template(path = "admin/editor.html")]
pub(crate) struct EditorPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) slug: String,
    pub(crate) tree: Vec<TreeRow>,
    pub(crate) path: String,
    pub(crate) kind: FileKind,
    pub(crate) text: String,
    pub(crate) executable: bool,
    pub(crate) mark: String,
    /// What is wrong with the file that is open.
    pub(crate) here: Vec<Told>,
    /// What is wrong with others.
    pub(crate) elsewhere: Vec<(Told, String)>,
    /// What somebody else has made of the file meanwhile.
    pub(crate) theirs: Option<Theirs>,
    pub(crate) saved: bool,
    pub(crate) refusal: Option<String>,
}

impl EditorPage {
    fn action(&self) -> String {
        format!("{}/files", href(&self.slug))
    }

    fn is_statement(&self) -> bool {
        self.path == "README.md"
    }
}

/// What is open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Text,
    /// With its size.
    Binary(String),
    Folder,
    /// With its target.
    Link(String),
    /// A name that is not taken yet.
    New,
}

pub(crate) struct TreeRow {
    pub(crate) href: Option<String>,
    pub(crate) name: String,
    /// How deep in the tree, from 1.
    pub(crate) depth: usize,
    /// What stands behind the name: `/` of a folder, ` *` of what can be executed.
    pub(crate) sign: &'static str,
    pub(crate) current: bool,
    pub(crate) bad: bool,
}

pub(crate) struct Theirs {
    pub(crate) by: String,
    pub(crate) text: Option<String>,
    pub(crate) diff: Vec<super::diff::FileDiff>,
}

/// Which file, and whether it has just been saved.
#[derive(Deserialize)]
pub struct Open {
    #[serde(default)]
    path: String,
    #[serde(default)]
    saved: bool,
}

/// `GET /admin/exercises/{slug}/files`
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Query(open): body::Query<Open>,
) -> Result<Response> {
    let (_, folder) = draft_of(&state, &slug).await?;
    let path = if open.path.is_empty() { "exercise.yaml".to_owned() } else { open.path };
    let mut page = page(&viewer, &csrf, &slug, &folder, &path).await?;
    page.saved = open.saved;
    rendered(&page, StatusCode::OK)
}

fn rendered(page: &EditorPage, status: StatusCode) -> Result<Response> {
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// The address of a file.
pub(crate) fn file_href(slug: &str, path: &str) -> String {
    let path: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("{}/files?path={path}", href(slug))
}

async fn page(viewer: &Viewer, csrf: &Csrf, slug: &str, folder: &Content, path: &str) -> Result<EditorPage> {
    let reading = read(slug, folder).await?;
    let entry = folder.get(path);
    let kind = match entry {
        None => FileKind::New,
        Some(Entry::Directory) => FileKind::Folder,
        Some(Entry::Symlink { target }) => {
            FileKind::Link(visible(&String::from_utf8_lossy(target)).into_owned())
        }
        Some(Entry::File { content, .. }) => match text_of(entry) {
            Some(_) => FileKind::Text,
            None => FileKind::Binary(words::bytes(content.len() as u64)),
        },
    };
    let (here, elsewhere): (Vec<Told>, Vec<Told>) =
        reading.told.into_iter().partition(|told| told.file == path);
    let bad = |of: &str| elsewhere.iter().any(|told| told.file == of) || (of == path && !here.is_empty());
    let tree = folder.entries().iter().map(|(raw, entry)| {
        let text = std::str::from_utf8(raw).ok();
        let whole = visible(&String::from_utf8_lossy(raw)).into_owned();
        let name = whole.rsplit('/').next().unwrap_or(&whole).to_owned();
        TreeRow {
            href: text.map(|path| file_href(slug, path)),
            depth: raw.split(|byte| *byte == b'/').count().min(8),
            sign: match entry {
                Entry::Directory => "/",
                Entry::File { executable: true, .. } => " *",
                _ => "",
            },
            current: text == Some(path),
            bad: text.is_some_and(bad),
            name,
        }
    });
    Ok(EditorPage {
        frame: frame(viewer, csrf, href(slug), slug.to_owned()).at(file_href(slug, path), "Files"),
        sections: Sections::at("/admin/exercises"),
        tree: tree.collect(),
        text: text_of(entry).unwrap_or_default().to_owned(),
        executable: matches!(entry, Some(Entry::File { executable: true, .. })),
        mark: mark_of(entry),
        elsewhere: elsewhere
            .into_iter()
            .map(|told| {
                let to = file_href(slug, &told.file);
                (told, to)
            })
            .collect(),
        here,
        kind,
        theirs: None,
        saved: false,
        refusal: None,
        slug: slug.to_owned(),
        path: path.to_owned(),
    })
}

/// What is done to a file.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Edit {
    path: String,
    /// `save`, `rename`, `delete`, or `open` for a name that is to be made.
    r#do: String,
    text: String,
    executable: bool,
    /// The state of the file that the form was made from; empty where there was none.
    mark: String,
    /// The new name.
    to: String,
}

/// `POST /admin/exercises/{slug}/files`
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn edit(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Form(form): body::Form<Edit>,
) -> Result<Response> {
    loop {
        let (draft, folder) = draft_of(&state, &slug).await?;
        let entry = folder.get(&form.path);
        if form.mark != mark_of(entry) {
            return conflict(&viewer, &csrf, &slug, &draft, &folder, &form).await;
        }
        let done = changed(&folder, &form).await;
        let (to, what, after) = match done {
            Ok(done) => done,
            Err(Error::Refused(sentence)) => {
                let mut page = page(&viewer, &csrf, &slug, &folder, &form.path).await?;
                if form.r#do == "save" {
                    page.text.clone_from(&form.text);
                }
                page.refusal = Some(sentence.into_owned());
                return rendered(&page, StatusCode::UNPROCESSABLE_ENTITY);
            }
            Err(error) => return Err(error),
        };
        let by = Some(viewer.person.id);
        match state.store.save_draft(&slug, draft.revision, &after, by, &what).await {
            Ok(_) => return Ok(Redirect::to(&to.address(&slug)).into_response()),
            // Another file was changed in this moment: once more on top of that.
            Err(store::Error::Changed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where an edit leads.
enum Then {
    Saved(String),
    Open(String),
}

impl Then {
    fn address(&self, slug: &str) -> String {
        match self {
            Self::Saved(path) => format!("{}&saved=true", file_href(slug, path)),
            Self::Open(path) => file_href(slug, path),
        }
    }
}

async fn changed(folder: &Content, form: &Edit) -> Result<(Then, String, Content)> {
    let (path, to) = (form.path.trim().to_owned(), form.to.trim().to_owned());
    match form.r#do.as_str() {
        "rename" => {
            let what = format!("{path} renamed to {to}");
            let open = Then::Open(to.clone());
            let after = change(folder, move |folder| folder.renamed(&path, &to, &FOLDER_LIMITS)).await?;
            Ok((open, what, after))
        }
        "delete" => {
            let what = format!("{path} deleted");
            let after = change(folder, move |folder| folder.without(&path, &FOLDER_LIMITS)).await?;
            Ok((Then::Open("exercise.yaml".into()), what, after))
        }
        _ => {
            let entry = folder.get(&path);
            let bytes = match entry {
                // Of what is no text, only the bit is changed here.
                Some(Entry::File { content, .. }) if text_of(entry).is_none() => content.clone(),
                _ => as_written(&form.text, text_of(entry)).into(),
            };
            let (executable, what) = (form.executable, format!("{path} saved"));
            let saved = Then::Saved(path.clone());
            let after =
                change(folder, move |folder| folder.with_file(&path, &bytes, executable, &FOLDER_LIMITS))
                    .await?;
            Ok((saved, what, after))
        }
    }
}

/// Both texts, and the way on: what is saved then lies on top of theirs.
async fn conflict(
    viewer: &Viewer,
    csrf: &Csrf,
    slug: &str,
    draft: &store::Draft,
    folder: &Content,
    form: &Edit,
) -> Result<Response> {
    let mut page = page(viewer, csrf, slug, folder, &form.path).await?;
    let theirs = text_of(folder.get(&form.path)).map(str::to_owned);
    let mut diff = Vec::new();
    if form.r#do == "save" {
        let (path, mine) = (form.path.clone(), as_written(&form.text, theirs.as_deref()).into());
        let executable = form.executable;
        if let Ok(mine) =
            change(folder, move |folder| folder.with_file(&path, &mine, executable, &FOLDER_LIMITS)).await
        {
            diff = super::diff::differences(folder, &mine);
        }
        page.text.clone_from(&form.text);
        page.executable = form.executable;
        if page.kind == FileKind::New {
            page.kind = FileKind::Text;
        }
    }
    let by = draft.changed_by.clone().unwrap_or_else(|| "a worker".into());
    page.theirs = Some(Theirs { by: visible(&by).into_owned(), text: theirs, diff });
    rendered(&page, StatusCode::CONFLICT)
}

/// A text that is being written.
#[derive(Deserialize)]
pub struct Written {
    #[serde(default)]
    path: String,
    #[serde(default)]
    text: String,
}

/// `POST /admin/exercises/{slug}/check`: what would be wrong with the exercise if this file had this text.
/// Nothing is stored.
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn check(
    State(state): State<AppState>,
    body::Path(slug): body::Path<String>,
    body::Form(written): body::Form<Written>,
) -> Result<Response> {
    let (_, folder) = draft_of(&state, &slug).await?;
    let Written { path, text } = written;
    let entry = folder.get(&path);
    let executable = matches!(entry, Some(Entry::File { executable: true, .. }));
    let bytes = as_written(&text, text_of(entry)).into();
    let folder =
        change(&folder, move |folder| folder.with_file(&path, &bytes, executable, &FOLDER_LIMITS)).await?;
    Ok(Json(read(&slug, &folder).await?.told).into_response())
}

/// `POST /admin/exercises/{slug}/preview`: a statement as students will see it, as a piece of a page.
///
/// # Errors
/// Faults of ours.
pub async fn preview(body::Form(written): body::Form<Written>) -> Result<Response> {
    let html = tokio::task::spawn_blocking(move || markdown::document(&written.text)).await;
    Ok(Html(html.map_err(Error::internal)?).into_response())
}

#[derive(Template)]
#[template(path = "admin/preview.html")]
struct PreviewPage {
    frame: Frame,
    sections: Sections,
    slug: String,
    title: String,
    statement: String,
}

/// `GET /admin/exercises/{slug}/preview`: the statement of the draft.
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn statement(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
) -> Result<Response> {
    let (_, folder) = draft_of(&state, &slug).await?;
    let reading = read(&slug, &folder).await?;
    let text = text_of(folder.get("README.md")).unwrap_or("There is no README.md yet.");
    let page = PreviewPage {
        frame: frame(&viewer, &csrf, href(&slug), slug.clone())
            .at(format!("{}/preview", href(&slug)), "Preview"),
        sections: Sections::at("/admin/exercises"),
        title: reading.exercise.map_or_else(|| slug.clone(), |exercise| exercise.title),
        statement: markdown::document(text),
        slug,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// `GET /admin/exercises/{slug}/file`: the bytes of one file of the draft.
///
/// # Errors
/// [`Error::NotFound`] when there is no such file.
pub async fn bytes(
    State(state): State<AppState>,
    body::Path(slug): body::Path<String>,
    body::Query(open): body::Query<Open>,
) -> Result<Response> {
    let (_, folder) = draft_of(&state, &slug).await?;
    let Some(Entry::File { content, .. }) = folder.get(&open.path) else {
        return Err(Error::no_such("file in this draft"));
    };
    // Never shown by the browser: it may be anything.
    let kind = HeaderValue::from_static("application/octet-stream");
    let disposition = HeaderValue::from_static("attachment");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], content.clone())
        .into_response())
}
