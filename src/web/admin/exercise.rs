//! One exercise for its authors: the draft and what is wrong with it, its verification, its versions,
//! where it is used; and what is done with it.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::exercises::{Standing, href};
use super::folder::{Told, draft_of, read};
use super::sections::{Sections, frame};
use super::verification::VerificationPiece;
use crate::exercises::Exercise;
use crate::store::{GradingState, Job, JobKind, NewJob, Version};
use crate::submissions::Content;
use crate::web::page::Frame;
use crate::web::words::{Ago, Moment, count};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

#[derive(Template)]
#[template(path = "admin/exercise.html")]
pub(crate) struct ExercisePage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) standing: Standing,
    pub(crate) draft: Option<DraftCard>,
    pub(crate) import: Option<ImportCard>,
    pub(crate) verification: Option<VerificationPiece>,
    pub(crate) live: Option<String>,
    pub(crate) publish: Option<Publish>,
    pub(crate) versions: Vec<VersionRow>,
    pub(crate) retired: bool,
    pub(crate) used: Vec<Used>,
    pub(crate) outdated: Vec<Outdated>,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct DraftCard {
    pub(crate) revision: i64,
    pub(crate) about: String,
    pub(crate) changed: Ago,
    pub(crate) by: String,
    pub(crate) errors: Vec<Told>,
    pub(crate) warnings: Vec<Told>,
    /// The version to compare with.
    pub(crate) published: Option<String>,
}

pub(crate) struct ImportCard {
    pub(crate) url: String,
    pub(crate) state: &'static str,
    pub(crate) sentence: String,
    pub(crate) running: bool,
}

pub(crate) struct Publish {
    pub(crate) content: String,
}

pub(crate) struct VersionRow {
    pub(crate) version: String,
    pub(crate) short: String,
    pub(crate) title: String,
    pub(crate) published: Moment,
    pub(crate) by: String,
    pub(crate) submissions: String,
    pub(crate) current: bool,
    /// The version before it.
    pub(crate) before: Option<String>,
}

pub(crate) struct Used {
    pub(crate) workshop: String,
    pub(crate) href: String,
    pub(crate) cohorts: Vec<(String, String)>,
}

pub(crate) struct Outdated {
    pub(crate) cohort: String,
    pub(crate) href: String,
    pub(crate) submissions: String,
}

/// `GET /admin/exercises/{slug}`
///
/// # Errors
/// [`Error::NotFound`] when there is nothing of that name.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
) -> Result<Response> {
    page(&state, &viewer, &csrf, &slug, None).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    slug: &str,
    refusal: Option<String>,
) -> Result<Response> {
    let now = state.clock.now();
    let store = &state.store;
    let draft = store.draft(slug).await?;
    let published = store.published_exercises().await?.into_iter().find(|one| one.slug == slug);
    let versions = store.versions(slug).await?;
    let verifications = store.jobs_of(JobKind::Verify, slug, 20).await?;
    let import = store.jobs_of(JobKind::Import, slug, 1).await?.into_iter().next();
    if draft.is_none() && versions.is_empty() && import.is_none() {
        return Err(Error::no_such("exercise"));
    }
    let content = draft.as_ref().map(|draft| draft.folder_sha256.clone());
    let content = content.or_else(|| published.as_ref().map(|one| one.folder_sha256.clone()));
    let own: Vec<&Job> = verifications
        .iter()
        .filter(|job| job.content_sha256.is_some() && job.content_sha256 == content)
        .collect();
    let verification = own.first().copied();
    let standing = Standing::of(
        published.is_some(),
        published.as_ref().is_some_and(|one| one.retired_at.is_some()),
        draft.as_ref().map(|draft| draft.folder_sha256.as_str()),
        verification,
        import.as_ref(),
    );
    let mut title = published.as_ref().map(|one| one.title.clone());
    let mut card = None;
    if let Some(draft) = &draft {
        let folder = store.content(&draft.folder_sha256).await?;
        let reading = read(slug, &folder).await?;
        title = reading.exercise.map(|exercise| exercise.title).or(title);
        let (files, bytes) = folder.summary();
        let (warnings, errors) = reading.told.into_iter().partition(|told| told.warning);
        card = Some(DraftCard {
            revision: draft.revision,
            about: format!(
                "{}, {}",
                count(i64::try_from(files).unwrap_or(i64::MAX), "file"),
                crate::web::words::bytes(bytes)
            ),
            changed: Ago { at: draft.changed_at, now },
            by: draft.changed_by.clone().unwrap_or_else(|| "a worker".into()),
            errors,
            warnings,
            published: published.as_ref().map(|one| one.version.clone()),
        });
    }
    let proven = own.iter().any(|job| job.passed);
    let running = own.iter().find(|job| job.state != GradingState::Done).copied();
    let page = ExercisePage {
        frame: frame(viewer, csrf, "/admin/exercises", "Exercises").at(href(slug), slug.to_owned()),
        sections: Sections::at("/admin/exercises"),
        title: title.unwrap_or_else(|| slug.to_owned()),
        standing,
        import: import
            .as_ref()
            .filter(|_| draft.is_none() || standing == Standing::Importing)
            .map(import_card),
        live: running
            .or(import.as_ref().filter(|job| job.state != GradingState::Done))
            .map(|job| format!("/admin/jobs/{}/events", job.id)),
        publish: match (&draft, proven) {
            (Some(draft), true) => Some(Publish { content: draft.folder_sha256.clone() }),
            _ => None,
        },
        verification: verification.map(|job| VerificationPiece::new(job, now)),
        draft: card,
        retired: published.as_ref().is_some_and(|one| one.retired_at.is_some()),
        versions: version_rows(&versions, published.as_ref().map(|one| one.version.as_str())),
        used: used(state, slug).await?,
        outdated: outdated(state, slug).await?,
        slug: slug.to_owned(),
        refusal,
    };
    let status = if page.refusal.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

fn import_card(job: &Job) -> ImportCard {
    let word = |value: &serde_json::Value, key: &str| {
        crate::text::visible(value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default())
            .into_owned()
    };
    let refused = job.outcome.as_ref().map(|outcome| word(outcome, "refused")).unwrap_or_default();
    let (state, sentence) = match (job.state, job.passed) {
        (GradingState::Queued, _) if job.attempt > 0 => {
            ("to be tried again", job.fault.clone().unwrap_or_default())
        }
        (GradingState::Queued, _) => ("in the queue", String::new()),
        (GradingState::Running, _) => ("being fetched", String::new()),
        (GradingState::Done, true) => ("fetched", String::new()),
        (GradingState::Done, false) if refused.is_empty() => {
            ("not fetched", job.fault.clone().unwrap_or_default())
        }
        (GradingState::Done, false) => ("not fetched", refused),
    };
    ImportCard { url: word(&job.wish, "url"), state, sentence, running: job.state != GradingState::Done }
}

fn version_rows(versions: &[Version], current: Option<&str>) -> Vec<VersionRow> {
    let row = |(index, version): (usize, &Version)| VersionRow {
        short: version.version.chars().take(12).collect(),
        title: version.title.clone(),
        published: Moment(version.published_at),
        by: version.published_by.clone().unwrap_or_else(|| "the exercises folder".into()),
        submissions: count(version.submissions, "submission"),
        current: current == Some(&version.version),
        before: versions.get(index + 1).map(|before| before.version.clone()),
        version: version.version.clone(),
    };
    versions.iter().enumerate().map(row).collect()
}

async fn used(state: &AppState, slug: &str) -> Result<Vec<Used>> {
    let cohorts = state.store.cohorts().await?;
    let workshops = state.store.workshops().await?.into_iter().filter(|workshop| super::has(workshop, slug));
    let used = workshops.map(|workshop| Used {
        href: format!("/admin/workshops/{}", workshop.slug),
        cohorts: cohorts
            .iter()
            .filter(|cohort| cohort.workshop == workshop.slug)
            .map(|cohort| (format!("/cohorts/{}/grid", cohort.id), cohort.name.clone()))
            .collect(),
        workshop: workshop.title,
    });
    Ok(used.collect())
}

async fn outdated(state: &AppState, slug: &str) -> Result<Vec<Outdated>> {
    let found = state.store.graded_by_earlier_versions(slug).await?;
    let told = found.into_iter().map(|(cohort, name, submissions)| Outdated {
        cohort: name,
        href: format!("/cohorts/{cohort}/regrades?exercise={slug}"),
        submissions: count(submissions, "submission"),
    });
    Ok(told.collect())
}

async fn answer(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    slug: &str,
    done: Result<String>,
) -> Result<Response> {
    match done {
        Ok(to) => Ok(Redirect::to(&to).into_response()),
        Err(refused @ (Error::Refused(_) | Error::Conflict(_))) => {
            let status = refused.status();
            let mut response = page(state, viewer, csrf, slug, Some(refused.to_string())).await?;
            *response.status_mut() = status;
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// From which version a draft begins.
#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    version: String,
}

/// `POST /admin/exercises/{slug}/draft`: begins a draft from a version.
///
/// # Errors
/// [`Error::NotFound`] when there is no such version.
pub async fn draft(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Form(from): body::Form<From>,
) -> Result<Response> {
    let done = async {
        let folder = state.store.exercise_folder(&slug, &from.version).await?;
        let how = format!("version {}", from.version.chars().take(12).collect::<String>());
        let made = state.store.create_draft(&slug, &folder, Some(viewer.person.id), &how).await;
        made.map_err(|error| match error {
            crate::store::Error::Taken { .. } => {
                Error::Conflict("There is a draft already. Go on with that one, or discard it first.".into())
            }
            other => other.into(),
        })?;
        Ok(format!("{}/files", href(&slug)))
    };
    let done = done.await;
    answer(&state, &viewer, &csrf, &slug, done).await
}

/// Which revision of a draft is meant.
#[derive(Deserialize)]
pub struct Meant {
    #[serde(default)]
    revision: i64,
}

/// `POST /admin/exercises/{slug}/discard`
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn discard(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Form(meant): body::Form<Meant>,
) -> Result<Response> {
    draft_of(&state, &slug).await?;
    let done = async {
        state.store.discard_draft(&slug, meant.revision, Some(viewer.person.id)).await?;
        let left = !state.store.versions(&slug).await?.is_empty();
        Ok(if left { href(&slug) } else { "/admin/exercises".to_owned() })
    };
    let done = done.await;
    answer(&state, &viewer, &csrf, &slug, done).await
}

/// `POST /admin/exercises/{slug}/verify`: asks for the proof of the draft, or of what is published where
/// there is none.
///
/// # Errors
/// [`Error::NotFound`] when there is nothing of that name.
pub async fn verify(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
) -> Result<Response> {
    let content = if let Some(draft) = state.store.draft(&slug).await? {
        draft.folder_sha256
    } else {
        let published = state.store.published_exercises().await?;
        let found = published.into_iter().find(|one| one.slug == slug);
        found.ok_or_else(|| Error::no_such("exercise"))?.folder_sha256
    };
    let done = async {
        let folder = state.store.content(&content).await?;
        let reading = read(&slug, &folder).await?;
        if reading.exercise.is_none() {
            return Err(Error::Refused(
                "The exercise has mistakes, which are listed below. Mend them first; then it can be verified."
                    .into(),
            ));
        }
        let new = NewJob {
            kind: JobKind::Verify,
            subject: &slug,
            content: Some(&content),
            wish: json!({}),
            worker: None,
            login: None,
            delay: std::time::Duration::ZERO,
            by: Some(viewer.person.id),
        };
        state.store.ask(new).await?;
        Ok(format!("{}#verification", href(&slug)))
    };
    let done = done.await;
    answer(&state, &viewer, &csrf, &slug, done).await
}

/// Which content is to be published: that of the page on which it was decided.
#[derive(Deserialize)]
pub struct Decided {
    #[serde(default)]
    content: String,
}

/// `POST /admin/exercises/{slug}/publish`
///
/// # Errors
/// [`Error::NotFound`] when there is no draft.
pub async fn publish(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Form(decided): body::Form<Decided>,
) -> Result<Response> {
    let (draft, folder) = draft_of(&state, &slug).await?;
    let done = async {
        if draft.folder_sha256 != decided.content {
            return Err(Error::Conflict(
                "Somebody has changed the draft since this page was shown, so nothing was published. Look at it \
                 again."
                    .into(),
            ));
        }
        let exercise = parsed(&slug, folder).await?;
        state.store.publish_verified(&exercise, Some(viewer.person.id)).await?;
        tracing::info!(exercise = slug, version = exercise.version, by = %viewer.person.id, "web.exercise_published");
        Ok(href(&slug))
    };
    let done = done.await;
    answer(&state, &viewer, &csrf, &slug, done).await
}

async fn parsed(slug: &str, folder: Content) -> Result<Exercise> {
    read(slug, &folder).await?.exercise.ok_or_else(|| {
        Error::Refused("The exercise has mistakes, so it is not published. Mend them and verify it.".into())
    })
}

/// Retired, or brought back.
#[derive(Deserialize)]
pub struct Retire {
    #[serde(default)]
    retired: bool,
}

/// `POST /admin/exercises/{slug}/retire`
///
/// # Errors
/// [`Error::NotFound`] when it was never published.
pub async fn retire(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Path(slug): body::Path<String>,
    body::Form(form): body::Form<Retire>,
) -> Result<Redirect> {
    state.store.set_retired(&slug, form.retired, Some(viewer.person.id)).await?;
    Ok(Redirect::to(&href(&slug)))
}

/// Which version of the folder is wanted; the draft where none is named.
#[derive(Deserialize)]
pub struct Which {
    #[serde(default)]
    version: String,
}

/// `GET /admin/exercises/{slug}/folder.zip`
///
/// # Errors
/// [`Error::NotFound`] when there is no such version, or no draft.
pub async fn zip(
    State(state): State<AppState>,
    body::Path(slug): body::Path<String>,
    body::Query(which): body::Query<Which>,
) -> Result<Response> {
    let folder = if which.version.is_empty() {
        draft_of(&state, &slug).await?.1
    } else {
        state.store.exercise_folder(&slug, &which.version).await?
    };
    let name = slug.clone();
    let zip = tokio::task::spawn_blocking(move || folder.zip(&name)).await.map_err(Error::internal)?;
    let disposition =
        HeaderValue::from_str(&format!("attachment; filename=\"{slug}.zip\"")).map_err(Error::internal)?;
    let kind = HeaderValue::from_static("application/zip");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], zip).into_response())
}
