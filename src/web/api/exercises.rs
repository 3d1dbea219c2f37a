//! The exercises of the caller's workshops.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::exercises::{Exercise, SubmitKind};
use crate::web::AppState;
use crate::web::access::Viewer;
use crate::web::body;
use crate::web::error::{Error, Problem, Result};

/// An exercise in a list.
#[derive(Serialize, ToSchema)]
pub struct ExerciseSummary {
    slug: String,
    title: String,
    /// Content hash of the published version.
    version: String,
}

/// An exercise.
#[derive(Serialize, ToSchema)]
pub struct ExerciseDetail {
    slug: String,
    title: String,
    /// Content hash of the published version.
    version: String,
    summary: String,
    /// How long it takes most people.
    minutes: u32,
    objectives: Vec<String>,
    /// Ways to hand in: `upload`, `answers`, ….
    submit: Vec<&'static str>,
    /// Points to be had in all.
    points: u32,
    checks: Vec<CheckSummary>,
    /// Markdown.
    statement: String,
    /// Bytes an archive may have.
    archive_bytes: u64,
}

/// What is checked, without how.
#[derive(Serialize, ToSchema)]
pub struct CheckSummary {
    id: String,
    title: String,
    points: u32,
}

/// Published exercises of the caller's workshops; all of them for admins.
#[utoipa::path(
    get, path = "/api/v1/exercises", tag = "exercises",
    responses((status = 200, body = Vec<ExerciseSummary>), (status = 401, body = Problem)),
)]
pub async fn list(State(state): State<AppState>, viewer: Viewer) -> Result<Json<Vec<ExerciseSummary>>> {
    let visible = visible(&state, &viewer).await?;
    let published = state.store.published_exercises().await?;
    Ok(Json(
        published
            .into_iter()
            .filter(|exercise| visible.as_ref().is_none_or(|slugs| slugs.contains(&exercise.slug)))
            .map(|exercise| ExerciseSummary {
                slug: exercise.slug,
                title: exercise.title,
                version: exercise.version,
            })
            .collect(),
    ))
}

/// One exercise with its statement.
#[utoipa::path(
    get, path = "/api/v1/exercises/{slug}", tag = "exercises", params(("slug" = String, Path)),
    responses(
        (status = 200, body = ExerciseDetail),
        (status = 401, body = Problem), (status = 404, body = Problem),
    ),
)]
pub async fn one(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Path(slug): body::Path<String>,
) -> Result<Json<ExerciseDetail>> {
    if visible(&state, &viewer).await?.is_some_and(|slugs| !slugs.contains(&slug)) {
        return Err(Error::no_such("exercise"));
    }
    let exercise = state.shelf.current(&slug).await?;
    Ok(Json(detail(&exercise, state.settings.uploads.archive_bytes)))
}

/// Slugs that the viewer may see; `None` for all.
async fn visible(state: &AppState, viewer: &Viewer) -> Result<Option<BTreeSet<String>>> {
    if viewer.person.admin {
        return Ok(None);
    }
    let mut slugs = BTreeSet::new();
    for (cohort, _) in &viewer.cohorts {
        for section in state.shelf.workshop(cohort).await?.sections {
            slugs.extend(section.exercises);
        }
    }
    Ok(Some(slugs))
}

fn detail(exercise: &Exercise, archive_bytes: u64) -> ExerciseDetail {
    ExerciseDetail {
        slug: exercise.slug.clone(),
        title: exercise.title.clone(),
        version: exercise.version.clone(),
        summary: exercise.summary.clone(),
        minutes: exercise.minutes,
        objectives: exercise.objectives.clone(),
        submit: exercise.submit.iter().map(|kind| way(*kind)).collect(),
        points: exercise.points(),
        checks: exercise
            .checks
            .iter()
            .map(|check| CheckSummary {
                id: check.id.clone(),
                title: check.title.clone(),
                points: check.points,
            })
            .collect(),
        statement: exercise.statement.clone(),
        archive_bytes,
    }
}

fn way(kind: SubmitKind) -> &'static str {
    match kind {
        SubmitKind::Repository => "repository",
        SubmitKind::Upload => "upload",
        SubmitKind::Image => "image",
        SubmitKind::Archive => "archive",
        SubmitKind::Answers => "answers",
        SubmitKind::Command => "command",
    }
}
