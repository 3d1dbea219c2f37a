//! Gradings: their state, their report and their events.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::live::Event;
use crate::report::Report;
use crate::store::{Grading, GradingState};
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::{AppState, body, sse};

/// One run of the grader. Once it is done, the fields of its report stand beside these, the very
/// same that `drydock grade --json` prints.
#[derive(Serialize, ToSchema)]
pub struct GradingView {
    id: Uuid,
    submission: Uuid,
    state: GradingState,
    /// How often a worker has taken it.
    attempt: i32,
    /// How many gradings come before it; while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    place_in_queue: Option<i64>,
    queued_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    /// Whether a trainer still has to read an answer.
    waiting: bool,
    /// What went wrong on our side in the last attempt; for trainers and admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(flatten)]
    report: Option<Report>,
}

impl GradingView {
    pub(super) async fn new(state: &AppState, scope: &Scope, grading: Grading) -> Result<Self> {
        let place_in_queue = match grading.state {
            GradingState::Queued => Some(state.store.place_in_queue(grading.id).await?),
            GradingState::Running | GradingState::Done => None,
        };
        let everything = scope.sees_everything();
        let mut report = grading.report;
        if let Some(report) = &mut report
            && !everything
            && state.store.terms(scope.cohort.id).await?.of(&report.exercise).hides_expected()
        {
            report.keep_back();
        }
        Ok(Self {
            id: grading.id,
            submission: grading.submission,
            state: grading.state,
            attempt: grading.attempt,
            place_in_queue,
            queued_at: grading.queued_at,
            started_at: grading.started_at,
            finished_at: grading.finished_at,
            waiting: grading.waiting,
            cause: grading.fault.filter(|_| everything),
            report: report.map(|report| if everything { report } else { report.for_student() }),
        })
    }
}

/// A grading; with its report once it is done.
#[utoipa::path(
    get, path = "/api/v1/gradings/{grading}", tag = "gradings", params(("grading" = Uuid, Path)),
    responses((status = 200, body = GradingView), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn one(State(state): State<AppState>, scope: Scope) -> Result<Json<GradingView>> {
    let grading = scope.grading()?.clone();
    Ok(Json(GradingView::new(&state, &scope, grading).await?))
}

/// What happens in a grading, as it happens: server-sent events named by their `type`, with a
/// [`crate::live::Event`] as data and its number as id. The stream begins with the first event, or
/// after the one in `Last-Event-ID` or `after`; it ends after `finished`. While the grading is
/// queued, `queued` events without an id tell its place.
#[utoipa::path(
    get, path = "/api/v1/gradings/{grading}/events", tag = "gradings",
    params(
        ("grading" = Uuid, Path),
        ("after" = Option<i64>, Query, description = "Go on after the event of this number"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The same, as browsers send it"),
    ),
    responses(
        (status = 200, description = "The events", body = crate::live::Event, content_type = "text/event-stream"),
        (status = 204, description = "It is done and there is nothing more to tell"),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem),
    ),
)]
pub async fn events(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Query(from): body::Query<sse::After>,
    headers: HeaderMap,
) -> Result<Response> {
    let everything = scope.sees_everything();
    let kept_back = !everything && scope.terms(&state).await?.hides_expected();
    let teller = Plain { everything, kept_back };
    sse::grading(&state, &viewer, scope.grading()?, from.after(&headers)?, teller).await
}

/// Events as they are stored, but for what a student must not see.
struct Plain {
    everything: bool,
    /// Whether every expectation is, not only those that the exercise hides.
    kept_back: bool,
}

/// The place in the queue.
#[derive(Serialize)]
struct Queued {
    r#type: &'static str,
    place_in_queue: i64,
}

impl sse::Teller for Plain {
    fn queued(&mut self, ahead: i64) -> Option<sse::Message> {
        sse::Message::new("queued", &Queued { r#type: "queued", place_in_queue: ahead })
    }

    fn event(&mut self, json: &str) -> Option<sse::Message> {
        let name = sse::event_type(json).into_owned();
        if name != "outcome" || self.everything {
            return Some(sse::Message { name: name.into(), json: json.to_owned() });
        }
        let mut event = serde_json::from_str(json).ok()?;
        if let Event::Outcome { check } = &mut event {
            check.hidden |= self.kept_back;
            check.redact();
        }
        sse::Message::new(name, &event)
    }
}
