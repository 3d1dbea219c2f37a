//! What trainers add to a submission: comments, and decisions about its checks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gradings::GradingView;
use crate::report::OutcomeKind;
use crate::store::{Note, Said};
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Error, Problem, Result};
use crate::web::trainer::judging;
use crate::web::{AppState, body};

/// Something that a trainer added.
#[derive(Serialize, ToSchema)]
pub struct NoteView {
    /// The trainer's name.
    by: String,
    at: DateTime<Utc>,
    /// The id of the check that was decided about; absent for a comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    /// How it was decided; absent for a comment, and where a decision was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeKind>,
    /// The comment, or the reason.
    text: String,
}

impl From<Note> for NoteView {
    fn from(note: Note) -> Self {
        let (check, outcome, text) = match note.said {
            Said::Comment(text) => (None, None, text),
            Said::Decided { check, outcome, reason } => (Some(check), outcome, reason),
        };
        Self { by: note.by, at: note.at, check, outcome, text }
    }
}

/// What trainers added to a submission, oldest first.
#[utoipa::path(
    get, path = "/api/v1/submissions/{submission}/notes", tag = "submissions", params(("submission" = uuid::Uuid, Path)),
    responses((status = 200, body = Vec<NoteView>), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn list(State(state): State<AppState>, scope: Scope) -> Result<Json<Vec<NoteView>>> {
    let notes = state.store.notes_of(scope.submission()?.id).await?;
    Ok(Json(notes.into_iter().map(NoteView::from).collect()))
}

/// A text for the student.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    text: String,
}

/// Comments on a submission; the student reads it.
#[utoipa::path(
    post, path = "/api/v1/submissions/{submission}/notes", tag = "submissions", params(("submission" = uuid::Uuid, Path)),
    request_body = NewComment,
    responses(
        (status = 201, description = "Everything that was added so far", body = Vec<NoteView>),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
        (status = 422, description = "It is empty or too long", body = Problem),
    ),
)]
pub async fn comment(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewComment>,
) -> Result<(StatusCode, Json<Vec<NoteView>>)> {
    judging::say(&state, &viewer, &scope, &new.text).await?;
    Ok((StatusCode::CREATED, list(State(state), scope).await?))
}

/// A decision about a check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOverride {
    /// The check's id.
    check: String,
    /// `passed` or `failed`; `null` takes the decision before back.
    outcome: Option<OutcomeKind>,
    /// Why; the student reads it.
    #[serde(default)]
    reason: String,
}

/// Decides about a check against the machine, or takes a decision back; points and verdict follow. Answers with
/// the grading as it is now.
#[utoipa::path(
    post, path = "/api/v1/submissions/{submission}/overrides", tag = "submissions",
    params(("submission" = uuid::Uuid, Path)), request_body = NewOverride,
    responses(
        (status = 200, body = GradingView),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "There is nothing to decide", body = Problem),
        (status = 422, description = "There is no reason, or the outcome cannot be decided", body = Problem),
    ),
)]
pub async fn decide(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewOverride>,
) -> Result<Json<GradingView>> {
    if !matches!(new.outcome, None | Some(OutcomeKind::Passed | OutcomeKind::Failed)) {
        return Err(Error::Refused("A check is decided to be `passed` or `failed`, nothing else.".into()));
    }
    let grading = judging::judge(&state, &viewer, &scope, &new.check, new.outcome, &new.reason).await?;
    Ok(Json(GradingView::new(&state, &scope, grading).await?))
}
