//! Grading anew what a cohort handed in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::made;
use crate::report::{Points, Verdict};
use crate::store::{GradingState, Regrade, RegradeOf, Regraded};
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::trainer::regrades::{Change, RegradePath, start};
use crate::web::{AppState, body};

/// Gradings that were asked for together.
#[derive(Serialize, ToSchema)]
pub struct RegradeView {
    id: Uuid,
    /// The trainer's name.
    by: String,
    /// Slug of the exercise; absent where it was every one, or a single submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    exercise: Option<String>,
    asked_at: DateTime<Utc>,
    /// How many submissions are graded anew, and how many of them are done.
    total: i64,
    done: i64,
    submissions: Vec<RegradedView>,
}

/// One of their submissions.
#[derive(Serialize, ToSchema)]
pub struct RegradedView {
    submission: Uuid,
    number: i64,
    student: Uuid,
    name: String,
    exercise: String,
    /// The new grading.
    grading: Uuid,
    state: GradingState,
    /// What counted before; absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Judged>,
    /// What the new grading found, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Judged>,
    /// `gained`, `lost`, `unchanged` or `our fault`, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
}

/// A verdict with its points.
#[derive(Serialize, ToSchema)]
pub struct Judged {
    verdict: Verdict,
    points: Points,
}

impl From<(Verdict, Points)> for Judged {
    fn from((verdict, points): (Verdict, Points)) -> Self {
        Self { verdict, points }
    }
}

impl RegradeView {
    fn new((regrade, all): (Regrade, Vec<Regraded>)) -> Self {
        let one = |one: Regraded| RegradedView {
            change: Change::of(&one).map(Change::word),
            submission: one.submission,
            number: one.number,
            student: one.person,
            name: one.name,
            exercise: one.exercise,
            grading: one.grading,
            state: one.state,
            before: one.before.map(Judged::from),
            after: one.after.map(Judged::from),
        };
        Self {
            id: regrade.id,
            by: regrade.by,
            exercise: regrade.exercise,
            asked_at: regrade.asked_at,
            total: regrade.total,
            done: regrade.done,
            submissions: all.into_iter().map(one).collect(),
        }
    }
}

/// What is to be graded anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegrade {
    /// Slug of the exercise; `null` for every one.
    exercise: Option<String>,
    /// Has to be true where no exercise is named.
    #[serde(default)]
    all: bool,
}

/// Grades the newest submission of each student anew, in one exercise or in all of them.
#[utoipa::path(
    post, path = "/api/v1/cohorts/{cohort}/regrades", tag = "cohorts", params(("cohort" = Uuid, Path)),
    request_body = NewRegrade,
    responses(
        (status = 202, description = "Queued", body = RegradeView,
            headers(("Location" = String, description = "Where to follow it"))),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
        (status = 422, description = "There is nothing to grade anew", body = Problem),
    ),
)]
pub async fn ask(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewRegrade>,
) -> Result<Response> {
    let of = match (&new.exercise, new.all) {
        (Some(slug), false) => RegradeOf::Exercise(slug),
        (None, true) => RegradeOf::Cohort,
        _ => {
            return Err(crate::web::Error::Refused(
                "Name an exercise, or set `all` to true for every one of them.".into(),
            ));
        }
    };
    let cohort = scope.cohort.id;
    let id = start(&state, &viewer, &scope, of).await?;
    let view = RegradeView::new(state.store.regrade_with(cohort, id).await?);
    Ok(made(StatusCode::ACCEPTED, &format!("/api/v1/cohorts/{cohort}/regrades/{id}"), view))
}

/// How far a regrade is, and what it changed.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/regrades/{regrade}", tag = "cohorts",
    params(("cohort" = Uuid, Path), ("regrade" = Uuid, Path)),
    responses(
        (status = 200, body = RegradeView),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn one(
    State(state): State<AppState>,
    scope: Scope,
    body::Path(path): body::Path<RegradePath>,
) -> Result<Json<RegradeView>> {
    Ok(Json(RegradeView::new(state.store.regrade_with(scope.cohort.id, path.regrade).await?)))
}
