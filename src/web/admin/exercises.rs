//! All exercises with their states, and the ways to begin one: a skeleton, an upload, a repository.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::folder::{Uploaded, slug_of};
use super::sections::{Sections, frame};
use crate::exercises::skeleton_content;
use crate::store::{self, GradingState, Job, JobKind, NewJob};
use crate::submissions::remote::{Credentials, GitAddress, Revision};
use crate::web::page::Frame;
use crate::web::shape::Shape;
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

#[derive(Template)]
#[template(path = "admin/exercises.html")]
pub(crate) struct ExercisesPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) rows: Vec<ExerciseRow>,
    pub(crate) form: Begin,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct ExerciseRow {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) standing: Standing,
    pub(crate) versions: i64,
    pub(crate) changed: Option<Ago>,
    pub(crate) workshops: Vec<String>,
    pub(crate) cohorts: i64,
}

impl ExerciseRow {
    fn cohorts_said(&self) -> String {
        count(self.cohorts, "cohort")
    }
}

/// How far an exercise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Importing,
    NotImported,
    Draft,
    Verifying,
    Unproven,
    Verified,
    Published,
    Retired,
}

impl Standing {
    /// From what there is of it: whether it is published, retired, being written, and the newest jobs.
    pub(crate) fn of(
        published: bool,
        retired: bool,
        draft: Option<&str>,
        verification: Option<&Job>,
        import: Option<&Job>,
    ) -> Self {
        let under_way = |job: &Job| job.state != GradingState::Done;
        if import.is_some_and(under_way) {
            return Self::Importing;
        }
        match draft {
            Some(content) => {
                let own = verification.filter(|job| job.content_sha256.as_deref() == Some(content));
                match own {
                    Some(job) if under_way(job) => Self::Verifying,
                    Some(job) if job.passed => Self::Verified,
                    Some(_) => Self::Unproven,
                    None => Self::Draft,
                }
            }
            None if retired => Self::Retired,
            None if published => Self::Published,
            None => Self::NotImported,
        }
    }

    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Importing | Self::Verifying => Shape::Running,
            Self::NotImported | Self::Unproven => Shape::Failed,
            Self::Draft => Shape::NotStarted,
            Self::Verified => Shape::Waiting,
            Self::Published => Shape::Passed,
            Self::Retired => Shape::Skipped,
        }
    }

    pub(crate) fn said(self) -> &'static str {
        match self {
            Self::Importing => "being imported",
            Self::NotImported => "not imported",
            Self::Draft => "draft",
            Self::Verifying => "verifying",
            Self::Unproven => "draft, not proven",
            Self::Verified => "verified, to be published",
            Self::Published => "published",
            Self::Retired => "retired",
        }
    }
}

/// `GET /admin/exercises`
///
/// # Errors
/// Faults of ours.
pub async fn list(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    page(&state, &viewer, &csrf, Begin::default(), None).await
}

#[derive(Default)]
struct Known {
    title: Option<String>,
    published: bool,
    retired: bool,
    draft: Option<store::Draft>,
    changed: Option<chrono::DateTime<chrono::Utc>>,
}

async fn rows(state: &AppState) -> Result<Vec<ExerciseRow>> {
    let now = state.clock.now();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for one in state.store.published_exercises().await? {
        let row = known.entry(one.slug).or_default();
        *row = Known {
            title: Some(one.title),
            published: true,
            retired: one.retired_at.is_some(),
            draft: None,
            changed: Some(one.published_at),
        };
    }
    for draft in state.store.drafts().await? {
        let row = known.entry(draft.slug.clone()).or_default();
        row.changed = Some(draft.changed_at);
        row.draft = Some(draft);
    }
    let by_subject = |jobs: Vec<Job>| -> BTreeMap<String, Job> {
        jobs.into_iter().map(|job| (job.subject.clone(), job)).collect()
    };
    let verifications = by_subject(state.store.newest_jobs(JobKind::Verify).await?);
    let imports = by_subject(state.store.newest_jobs(JobKind::Import).await?);
    for (slug, import) in &imports {
        if import.state != GradingState::Done {
            known.entry(slug.clone()).or_default();
        }
    }
    let versions = state.store.version_counts().await?;
    let workshops = state.store.workshops().await?;
    let cohorts = state.store.cohorts().await?;
    let rows = known.into_iter().map(|(slug, known)| {
        let used: Vec<_> = workshops.iter().filter(|workshop| super::has(workshop, &slug)).collect();
        let is_used = |workshop: &str| used.iter().any(|used| used.slug == workshop);
        let classes = cohorts.iter().filter(|cohort| is_used(&cohort.workshop)).count();
        ExerciseRow {
            standing: Standing::of(
                known.published,
                known.retired,
                known.draft.as_ref().map(|draft| draft.folder_sha256.as_str()),
                verifications.get(&slug),
                imports.get(&slug),
            ),
            title: known.title.unwrap_or_else(|| "never published".into()),
            versions: versions.get(&slug).copied().unwrap_or_default(),
            changed: known.changed.map(|at| Ago { at, now }),
            workshops: used.iter().map(|workshop| workshop.title.clone()).collect(),
            cohorts: i64::try_from(classes).unwrap_or(i64::MAX),
            slug,
        }
    });
    Ok(rows.collect())
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    form: Begin,
    refusal: Option<String>,
) -> Result<Response> {
    let page = ExercisesPage {
        frame: frame(viewer, csrf, "/admin/exercises", "Exercises"),
        sections: Sections::at("/admin/exercises"),
        rows: rows(state).await?,
        form: Begin { token: String::new(), ..form },
        refusal,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

async fn told(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    form: Begin,
    refused: Error,
) -> Result<Response> {
    if !refused.status().is_client_error() {
        return Err(refused);
    }
    let status = refused.status();
    let mut response = page(state, viewer, csrf, form, Some(refused.to_string())).await?;
    *response.status_mut() =
        if status == StatusCode::CONFLICT { status } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(response)
}

/// A new exercise: from the skeleton where `url` is empty, else from a repository.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Begin {
    pub(crate) slug: String,
    pub(crate) url: String,
    pub(crate) revision: String,
    pub(crate) folder: String,
    pub(crate) username: String,
    pub(crate) token: String,
    /// Of the draft that is replaced.
    pub(crate) from: Option<i64>,
}

/// The address of an exercise's page.
pub(crate) fn href(slug: &str) -> String {
    format!("/admin/exercises/{slug}")
}

/// `POST /admin/exercises`: begins a draft from the skeleton.
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(form): body::Form<Begin>,
) -> Result<Response> {
    let made = async {
        let slug = slug_of(&form.slug)?;
        free(&state, &slug).await?;
        let folder = skeleton_content(&slug).map_err(|sentence| Error::Refused(sentence.into()))?;
        begin(&state, &viewer, &slug, &folder, "the skeleton").await?;
        Ok(slug)
    };
    match made.await {
        Ok(slug) => Ok(Redirect::to(&format!("{}/files?path=exercise.yaml", href(&slug))).into_response()),
        Err(refused) => told(&state, &viewer, &csrf, form, refused).await,
    }
}

/// A name that no exercise has.
async fn free(state: &AppState, slug: &str) -> Result<()> {
    if state.store.versions(slug).await?.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(
        format!(
            "There is an exercise `{slug}` already. Open it and begin a draft there, or choose another name."
        )
        .into(),
    ))
}

async fn begin(
    state: &AppState,
    viewer: &Viewer,
    slug: &str,
    folder: &crate::submissions::Content,
    how: &str,
) -> Result<()> {
    let made = state.store.create_draft(slug, folder, Some(viewer.person.id), how).await;
    made.map(drop).map_err(|error| match error {
        store::Error::Taken { .. } => Error::Conflict(
            format!("There is a draft of `{slug}` already. Open that one, or choose another name.").into(),
        ),
        other => other.into(),
    })
}

/// `POST /admin/exercises/upload`: a draft from an uploaded folder, or another folder for a draft.
///
/// # Errors
/// Faults of ours; what is refused is told on the page.
pub async fn upload(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    uploaded: Result<Uploaded>,
) -> Result<Response> {
    let mut form = Begin::default();
    let kept = async {
        let Uploaded { slug, revision, folder } = uploaded?;
        form.slug.clone_from(&slug);
        match revision {
            None => begin(&state, &viewer, &slug, &folder, "an upload").await?,
            Some(from) => {
                let by = Some(viewer.person.id);
                state.store.save_draft(&slug, from, &folder, by, "replaced by an upload").await?;
            }
        }
        Ok(slug)
    };
    match kept.await {
        Ok(slug) => Ok(Redirect::to(&href(&slug)).into_response()),
        Err(refused) => told(&state, &viewer, &csrf, form, refused).await,
    }
}

/// `POST /admin/exercises/import`: asks a worker to bring a folder from a repository.
///
/// # Errors
/// Faults of ours; what is refused is told on the page.
pub async fn import(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(form): body::Form<Begin>,
) -> Result<Response> {
    let asked = async {
        let slug = slug_of(&form.slug)?;
        let refuse = |sentence: String| Error::Refused(sentence.into());
        let (address, within) = GitAddress::read(&form.url).map_err(refuse)?;
        let revision = Some(form.revision.trim().to_owned()).filter(|name| !name.is_empty());
        if let Some(name) = &revision {
            Revision::read(name).map_err(refuse)?;
        }
        if form.from.is_none() && state.store.draft(&slug).await?.is_some() {
            return Err(Error::Conflict(
                format!("There is a draft of `{slug}` already. Open that one, or choose another name.")
                    .into(),
            ));
        }
        let given = (!form.token.is_empty())
            .then(|| Credentials::new(form.username.trim(), form.token.trim()))
            .or(within);
        let new = NewJob {
            kind: JobKind::Import,
            subject: &slug,
            content: None,
            wish: json!({
                "url": address.as_str(), "revision": revision, "folder": form.folder.trim(), "from": form.from,
            }),
            worker: None,
            login: given.as_ref(),
            delay: std::time::Duration::ZERO,
            by: Some(viewer.person.id),
        };
        state.store.ask(new).await?;
        Ok(slug)
    };
    match asked.await {
        Ok(slug) => Ok(Redirect::to(&href(&slug)).into_response()),
        Err(refused) => told(&state, &viewer, &csrf, form, refused).await,
    }
}
