//! The proof of an exercise as it comes about: each trial with its state, live.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::store::{GradingState, Job, JobKind};
use crate::text::visible;
use crate::web::shape::Shape;
use crate::web::sse::{self, Message};
use crate::web::update::{Patch, Update};
use crate::web::words::{Ago, took};
use crate::web::{AppState, Result, Viewer, body};

/// How often is looked at a job that does not ring.
const LOOK: Duration = Duration::from_secs(2);

/// A verification, or how far it is.
#[derive(Template)]
#[template(path = "admin/verification.html")]
pub(crate) struct VerificationPiece {
    pub(crate) shape: Shape,
    pub(crate) said: String,
    pub(crate) at: Ago,
    pub(crate) running: bool,
    pub(crate) ended: usize,
    pub(crate) trials: Vec<TrialRow>,
    /// What is wrong with the whole.
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl askama::filters::HtmlSafe for VerificationPiece {}

pub(crate) struct TrialRow {
    pub(crate) shape: Shape,
    pub(crate) name: String,
    pub(crate) said: String,
    pub(crate) seconds: String,
    pub(crate) problems: Vec<String>,
    pub(crate) faults: Vec<String>,
}

/// As a worker tells of a trial.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Trial {
    name: String,
    state: String,
    phase: Option<String>,
    seconds: f64,
    problems: Vec<String>,
    faults: Vec<String>,
}

fn shown(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| visible(&line).into_owned()).collect()
}

impl From<Trial> for TrialRow {
    fn from(trial: Trial) -> Self {
        let (shape, said) = match trial.state.as_str() {
            "running" => (Shape::Running, trial.phase.unwrap_or_else(|| "begins".into())),
            "passed" => (Shape::Passed, "as it should be".into()),
            "failed" => (Shape::Failed, "not as it should be".into()),
            "fault" => (Shape::Fault, "our fault".into()),
            _ => (Shape::NotStarted, "waits".into()),
        };
        Self {
            shape,
            name: visible(&trial.name).into_owned(),
            said,
            seconds: if trial.seconds > 0.0 { took(trial.seconds) } else { String::new() },
            problems: shown(trial.problems),
            faults: shown(trial.faults),
        }
    }
}

fn strings(value: Option<&Value>, key: &str) -> Vec<String> {
    let list = value.and_then(|value| value.get(key)).and_then(Value::as_array);
    let text = |one: &Value| {
        let sentence = one.get("sentence").unwrap_or(one);
        sentence.as_str().map(|text| visible(text).into_owned())
    };
    list.into_iter().flatten().filter_map(text).collect()
}

impl VerificationPiece {
    pub(crate) fn new(job: &Job, now: DateTime<Utc>) -> Self {
        let told = job.progress.get("trials").cloned().unwrap_or_default();
        let trials: Vec<Trial> = serde_json::from_value(told).unwrap_or_default();
        let trials: Vec<TrialRow> = trials.into_iter().map(TrialRow::from).collect();
        let outcome = job.outcome.as_ref();
        let mut problems = strings(outcome, "problems");
        problems.extend(strings(outcome, "mistakes"));
        problems.extend(
            outcome
                .and_then(|outcome| outcome.get("refused")?.as_str())
                .map(|text| visible(text).into_owned()),
        );
        let ended = trials.iter().filter(|trial| !trial.seconds.is_empty()).count();
        let fault = job.fault.as_deref().map(|fault| visible(fault).into_owned());
        let (shape, said) = match (job.state, job.passed) {
            (GradingState::Queued, _) if job.attempt > 0 => {
                (Shape::Fault, "This was us; it will be tried again".to_owned())
            }
            (GradingState::Queued, _) => {
                (Shape::Waiting, "In the queue, behind what students have handed in".to_owned())
            }
            (GradingState::Running, _) => (Shape::Running, format!("{ended} of {} trials", trials.len())),
            (GradingState::Done, true) => (Shape::Passed, "Proven: every trial went as it should".to_owned()),
            (GradingState::Done, false) if outcome.is_some_and(|outcome| outcome.get("fault").is_some()) => {
                (Shape::Fault, "This was us: it could not be carried out. Ask again.".to_owned())
            }
            (GradingState::Done, false) => (Shape::Failed, "Not proven".to_owned()),
        };
        if matches!(shape, Shape::Fault) {
            problems.extend(fault);
        }
        Self {
            shape,
            said,
            at: Ago { at: job.finished_at.or(job.started_at).unwrap_or(job.queued_at), now },
            running: job.state == GradingState::Running,
            ended,
            trials,
            problems,
            warnings: strings(outcome, "warnings"),
        }
    }
}

/// `GET /admin/jobs/{job}/events`: the job's piece of its page anew whenever something changes.
///
/// # Errors
/// [`crate::web::Error::NotFound`] when there is no such job.
pub async fn events(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Path(id): body::Path<Uuid>,
) -> Result<Response> {
    let job = state.store.job(id).await?;
    if job.state == GradingState::Done {
        use axum::response::IntoResponse as _;
        return Ok(axum::http::StatusCode::NO_CONTENT.into_response());
    }
    let following = Following { state: state.clone(), id, shown: String::new(), ended: false };
    let messages = futures::stream::unfold(following, |mut following| async {
        following.next().await.map(|message| (message, following))
    });
    sse::messages(&state, &viewer, messages)
}

struct Following {
    state: AppState,
    id: Uuid,
    shown: String,
    ended: bool,
}

impl Following {
    async fn next(&mut self) -> Option<Message> {
        while !self.ended {
            let changed = self.state.store.job_changed(self.id, LOOK);
            let job = match self.state.store.job(self.id).await {
                Ok(job) => job,
                Err(error) => {
                    tracing::error!(job = %self.id, %error, "web.follow_failed");
                    return None;
                }
            };
            if job.state == GradingState::Done {
                self.ended = true;
                // What can be done now is another than before: the page is drawn anew.
                return Message::new("update", &Update { reload: true, ..Update::default() });
            }
            if job.kind == JobKind::Verify {
                let piece = VerificationPiece::new(&job, self.state.clock.now()).to_string();
                if piece != self.shown {
                    self.shown.clone_from(&piece);
                    return Message::new("update", &Update::of(Patch::anew("verification", &piece)));
                }
            }
            changed.await;
        }
        None
    }
}
