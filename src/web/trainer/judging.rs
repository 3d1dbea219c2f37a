//! What a trainer does with one submission: comment on it, decide about a check against the machine.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use crate::report::{OutcomeKind, Verdict};
use crate::store::{self, Grading};
use crate::web::page::CsrfField;
use crate::web::student::submission;
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// The longest comment or reason, in bytes.
pub(crate) const LONGEST_BYTES: usize = 10_000;

/// What was typed and not taken.
#[derive(Default)]
pub(crate) struct Typed {
    pub(crate) comment: String,
    pub(crate) decided: Decided,
    pub(crate) refusal: Option<String>,
}

/// The trainer's part of a submission's page.
#[derive(Template)]
#[template(path = "trainer/judging.html")]
pub(crate) struct JudgingPiece {
    csrf: CsrfField,
    here: String,
    checks: Vec<Decidable>,
    longest: usize,
    typed: Typed,
}

impl askama::filters::HtmlSafe for JudgingPiece {}

/// A check that a trainer may decide about.
struct Decidable {
    id: String,
    title: String,
    word: &'static str,
    overridden: bool,
}

impl JudgingPiece {
    pub(crate) fn new(csrf: CsrfField, grading: &Grading, typed: Typed) -> Self {
        let judged = matches!(grading.verdict, Some(Verdict::Passed | Verdict::Failed));
        let report = grading.report.as_ref().filter(|_| judged);
        let by_machine = |outcome: OutcomeKind| {
            matches!(outcome, OutcomeKind::Passed | OutcomeKind::Failed | OutcomeKind::Skipped)
        };
        let checks = report.into_iter().flat_map(|report| &report.checks);
        let checks = checks.filter(|check| check.review.is_none() && by_machine(check.outcome));
        Self {
            csrf,
            here: format!("/submissions/{}", grading.submission),
            checks: checks
                .map(|check| Decidable {
                    id: check.id.clone(),
                    title: check.title.clone(),
                    word: submission::word(check.outcome),
                    overridden: check.overridden.is_some(),
                })
                .collect(),
            longest: LONGEST_BYTES,
            typed,
        }
    }
}

/// A text for the student.
#[derive(Deserialize)]
pub struct NewComment {
    comment: String,
}

/// `POST /submissions/{submission}/comments`
///
/// # Errors
/// Faults of ours; what is wrong is told on the page.
pub async fn comment(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(new): body::Form<NewComment>,
) -> Result<Response> {
    match say(&state, &viewer, &scope, &new.comment).await {
        Ok(()) => Ok(Redirect::to(&format!("/submissions/{}#notes", scope.submission()?.id)).into_response()),
        Err(error) => {
            let typed = Typed { comment: new.comment, ..Typed::default() };
            refused(&state, &viewer, &scope, &csrf, typed, error).await
        }
    }
}

/// Keeps a comment on the scope's submission.
///
/// # Errors
/// [`Error::Refused`] when it is empty or too long.
pub(crate) async fn say(state: &AppState, viewer: &Viewer, scope: &Scope, comment: &str) -> Result<()> {
    let comment = fitting(comment, "comment")?;
    if comment.is_empty() {
        return Err(Error::Refused("The comment is empty. Write something for the student.".into()));
    }
    let submission = scope.submission()?.id;
    state.store.comment(submission, viewer.person.id, comment).await?;
    tracing::info!(%submission, by = %viewer.person.id, "web.commented");
    Ok(())
}

fn fitting<'t>(text: &'t str, what: &str) -> Result<&'t str> {
    let text = text.trim();
    if text.len() > LONGEST_BYTES {
        return Err(Error::Refused(
            format!("A {what} has at most {LONGEST_BYTES} bytes. Shorten it.").into(),
        ));
    }
    Ok(text)
}

/// A decision about a check.
#[derive(Clone, Default, Deserialize)]
pub struct Decided {
    pub(crate) check: String,
    /// `passed`, `failed`, or `machine` to take the decision before back.
    #[serde(default)]
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// `POST /submissions/{submission}/overrides`
///
/// # Errors
/// Faults of ours; what is wrong is told on the page.
pub async fn decide(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(decided): body::Form<Decided>,
) -> Result<Response> {
    let outcome = match decided.outcome.as_str() {
        "passed" => Ok(Some(OutcomeKind::Passed)),
        "failed" => Ok(Some(OutcomeKind::Failed)),
        "machine" => Ok(None),
        _ => Err(Error::Refused("Choose how the check is to be judged.".into())),
    };
    let done = match outcome {
        Ok(outcome) => judge(&state, &viewer, &scope, &decided.check, outcome, &decided.reason).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => {
            let here = format!("/submissions/{}#notes", scope.submission()?.id);
            Ok(Redirect::to(&here).into_response())
        }
        Err(error) => {
            let typed = Typed { decided, ..Typed::default() };
            refused(&state, &viewer, &scope, &csrf, typed, error).await
        }
    }
}

/// Stores a decision about a check of the scope's submission; `None` takes the one before back.
///
/// # Errors
/// [`Error::Refused`] without a reason, [`Error::Conflict`] where there is nothing that could be decided.
pub(crate) async fn judge(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    check: &str,
    outcome: Option<OutcomeKind>,
    reason: &str,
) -> Result<Grading> {
    let reason = fitting(reason, "reason")?;
    if outcome.is_some() && reason.is_empty() {
        return Err(Error::Refused("Write the reason: the student reads it beside the check.".into()));
    }
    let submission = scope.submission()?.id;
    let decided = state.store.decide(submission, check, viewer.person.id, outcome, reason).await;
    let grading = decided.map_err(|error| match error {
        store::Error::NotFound { .. } => Error::Conflict(
            "There is nothing to decide here: the submission was not judged, the check is scored by a trainer \
             or not there, or there is no decision to take back."
                .into(),
        ),
        error => error.into(),
    })?;
    tracing::info!(%submission, check, by = %viewer.person.id, "web.check_overridden");
    Ok(grading)
}

async fn refused(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    typed: Typed,
    error: Error,
) -> Result<Response> {
    if !error.status().is_client_error() {
        return Err(error);
    }
    let typed = Typed { refusal: Some(error.to_string()), ..typed };
    let status = if error.status() == StatusCode::CONFLICT {
        error.status()
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let page = submission::page(state, viewer, scope, csrf, typed).await?;
    Ok((status, page).into_response())
}
