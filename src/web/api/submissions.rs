//! Handing in, and what was handed in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::gradings::GradingView;
use super::made;
use crate::store::{Grading, Submission};
use crate::submissions::{Answers, Source};
use crate::terms::Lateness;
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::handin::{self, HandIn, HandInBody};
use crate::web::student::submission::next_hint;
use crate::web::{AppState, body};

/// What was handed in once.
#[derive(Serialize, ToSchema)]
pub struct SubmissionView {
    id: Uuid,
    cohort: Uuid,
    student: Uuid,
    exercise: String,
    /// Content hash of the exercise it was handed in for.
    exercise_version: String,
    /// 1, 2, … per student, cohort and exercise.
    number: i64,
    source: Source,
    files: i64,
    bytes: i64,
    answers: Answers,
    created_at: DateTime<Utc>,
    /// How late it came by the terms as they are now, and what is left of its points.
    late: Lateness,
    /// The newest grading.
    grading: GradingView,
}

impl SubmissionView {
    async fn new(state: &AppState, scope: &Scope, submission: Submission, grading: Grading) -> Result<Self> {
        let terms = state.store.terms(submission.cohort).await?.of(&submission.exercise);
        Ok(Self {
            late: terms.lateness(submission.created_at),
            grading: GradingView::new(state, scope, grading).await?,
            id: submission.id,
            cohort: submission.cohort,
            student: submission.person,
            exercise: submission.exercise,
            exercise_version: submission.exercise_version,
            number: submission.number,
            source: submission.source,
            files: submission.files,
            bytes: submission.bytes,
            answers: submission.answers,
            created_at: submission.created_at,
        })
    }
}

/// Hands in an archive, a repository or an image by its address, or answers. It is accepted for grading when this answers; follow `Location`.
///
/// With an `Idempotency-Key` the same request can be sent again after a lost answer: the submission
/// that the key already made is given back.
#[utoipa::path(
    post, path = "/api/v1/cohorts/{cohort}/exercises/{slug}/submissions", tag = "submissions",
    params(
        ("cohort" = Uuid, Path), ("slug" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 100 visible ASCII characters"),
    ),
    request_body(
        description = "An archive by itself; a form with `archive`, or `files` parts named by their paths, and \
            `answer:<check>` fields; or addresses and answers as JSON",
        content(
            (HandInBody = "application/json"),
            (Vec<u8> = "application/zip"),
            (Vec<u8> = "application/gzip"),
            (Vec<u8> = "application/x-tar"),
            (serde_json::Value = "multipart/form-data"),
        ),
    ),
    responses(
        (status = 202, description = "Accepted and queued", body = SubmissionView,
            headers(("Location" = String, description = "Where to read the submission"))),
        (status = 401, body = Problem),
        (status = 404, description = "No such cohort, or its workshop has no such exercise", body = Problem),
        (status = 409, description = "The cohort is closed, or its terms do not let this be handed in now", body = Problem),
        (status = 413, body = Problem),
        (status = 415, body = Problem),
        (status = 422, description = "The archive or the answers are not acceptable", body = Problem),
        (status = 429, body = Problem),
    ),
)]
pub async fn submit(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Path(path): body::Path<ExercisePath>,
    hand_in: HandIn,
) -> Result<Response> {
    let exercise = state.shelf.of_cohort(&scope.cohort, &path.slug).await?;
    let (submission, grading) = handin::submit(&state, &viewer, &scope, &exercise, hand_in).await?;
    let location = format!("/api/v1/submissions/{}", submission.id);
    let view = SubmissionView::new(&state, &scope, submission, grading).await?;
    Ok(made(StatusCode::ACCEPTED, &location, view))
}

/// The part of the path that the scope does not tell.
#[derive(Deserialize)]
pub struct ExercisePath {
    slug: String,
}

/// A submission with its newest grading.
#[utoipa::path(
    get, path = "/api/v1/submissions/{submission}", tag = "submissions", params(("submission" = Uuid, Path)),
    responses((status = 200, body = SubmissionView), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn one(State(state): State<AppState>, scope: Scope) -> Result<Json<SubmissionView>> {
    let (submission, grading) = (scope.submission()?.clone(), scope.grading()?.clone());
    Ok(Json(SubmissionView::new(&state, &scope, submission, grading).await?))
}

/// The check whose next hint is wanted.
#[derive(Deserialize, ToSchema)]
pub struct HintWanted {
    /// Its id; it did not pass in the submission's newest grading.
    check: String,
}

/// The hints of a check that the student has seen.
#[derive(Serialize, ToSchema)]
pub struct HintsView {
    check: String,
    /// In Markdown, the newest last.
    hints: Vec<String>,
    /// How many there are in all.
    all: usize,
}

/// Reveals the next hint of a check, which is written down and costs what the exercise says.
#[utoipa::path(
    post, path = "/api/v1/submissions/{submission}/hints", tag = "submissions",
    params(("submission" = Uuid, Path)), request_body = HintWanted,
    responses(
        (status = 200, body = HintsView),
        (status = 401, body = Problem),
        (status = 403, description = "For the student alone", body = Problem),
        (status = 404, body = Problem),
        (status = 422, description = "The check did not fail", body = Problem),
    ),
)]
pub async fn hint(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(wanted): body::Json<HintWanted>,
) -> Result<Json<HintsView>> {
    let (hints, all) = next_hint(&state, &viewer, &scope, &wanted.check).await?;
    Ok(Json(HintsView { check: wanted.check, hints, all }))
}

/// Grades a submission again, as a new grading in the slower lane.
#[utoipa::path(
    post, path = "/api/v1/submissions/{submission}/regrade", tag = "submissions",
    params(("submission" = Uuid, Path)),
    responses(
        (status = 202, description = "Queued", body = GradingView,
            headers(("Location" = String, description = "Where to read the new grading"))),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn regrade(State(state): State<AppState>, viewer: Viewer, scope: Scope) -> Result<Response> {
    let grading = state.store.regrade(scope.submission()?.id).await?;
    tracing::info!(grading = %grading.id, submission = %grading.submission, by = %viewer.person.id, "web.regraded");
    let location = format!("/api/v1/gradings/{}", grading.id);
    let view = GradingView::new(&state, &scope, grading).await?;
    Ok(made(StatusCode::ACCEPTED, &location, view))
}
