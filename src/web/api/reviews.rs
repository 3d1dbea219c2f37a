//! Answers that trainers read.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::gradings::GradingView;
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::trainer::reviews;
use crate::web::{AppState, body};

/// A submission with answers that wait for a trainer.
#[derive(Serialize, ToSchema)]
pub struct WaitingView {
    submission: Uuid,
    /// 1, 2, … per student, cohort and exercise.
    number: i64,
    student: Uuid,
    name: String,
    exercise: String,
    /// Since when it waits.
    since: DateTime<Utc>,
}

/// What waits for a trainer in a cohort, longest first.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/reviews", tag = "reviews", params(("cohort" = Uuid, Path)),
    responses(
        (status = 200, body = Vec<WaitingView>),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn list(State(state): State<AppState>, scope: Scope) -> Result<Json<Vec<WaitingView>>> {
    let waiting = state.store.waiting_reviews(scope.cohort.id).await?;
    let view = waiting.into_iter().map(|one| WaitingView {
        submission: one.submission,
        number: one.number,
        student: one.person,
        name: one.name,
        exercise: one.exercise,
        since: one.since,
    });
    Ok(Json(view.collect()))
}

/// A score by a rubric.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReview {
    /// The id of the check whose answer was read.
    check: String,
    /// Points for each item of its rubric, in its order.
    scores: Vec<u32>,
    /// What the student is told.
    #[serde(default)]
    comment: String,
}

/// Scores an answer by its rubric. Points and verdict of the submission's newest grading follow; a later
/// score of the same answer replaces this one, and grading again keeps it.
#[utoipa::path(
    post, path = "/api/v1/submissions/{submission}/reviews", tag = "reviews",
    params(("submission" = Uuid, Path)), request_body = NewReview,
    responses(
        (status = 200, description = "The grading as it is now", body = GradingView),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "Not judged yet, or the rubric has changed", body = Problem),
        (status = 422, description = "The scores do not fit the rubric", body = Problem),
    ),
)]
pub async fn give(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewReview>,
) -> Result<Json<GradingView>> {
    let grading = reviews::give(&state, &viewer, &scope, &new.check, &new.scores, &new.comment).await?;
    Ok(Json(GradingView::new(&state, &scope, grading).await?))
}
