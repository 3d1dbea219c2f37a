//! The one place that decides who gets past a route's door.
//!
//! For every request to a registered route: who asks (cookie or bearer token), whether the request
//! was really meant (CSRF), what the path's thing is and what the asker is there, and how long and
//! how large the request may be. Handlers find the answers in their extractors: [`Viewer`],
//! [`Scope`] and [`csrf::Csrf`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use tower_http::timeout::DeadlineBody;
use uuid::Uuid;

use super::error::{Error, Result};
use super::routes::{Access, Pace, Row};
use super::{AppState, csrf, session};
use crate::accounts::Role;
use crate::store::{Cohort, Grading, Person, Submission};
use crate::units::ByteSize;

/// Bytes of a form or of a small JSON body.
pub const FORM_BYTES: usize = 64 << 10;
/// Bytes that multipart framing and answers may add around an archive.
pub const UPLOAD_OVERHEAD_BYTES: u64 = 1 << 20;

/// How much of a body that is too large is still read, to be able to say so.
const SWALLOWED_BYTES: usize = 256 << 20;

/// How long clients and handlers may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a request's head, and for an idle connection.
    pub head: Duration,
    /// For the body of a form, and then for the answer.
    pub brisk: Duration,
    /// For the body of an upload.
    pub upload: Duration,
}

impl Default for Patience {
    /// Half a minute; five for an archive over a slow line.
    fn default() -> Self {
        Self { head: Duration::from_secs(30), brisk: Duration::from_secs(30), upload: Duration::from_mins(5) }
    }
}

/// How somebody showed who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session's cookie.
    Session,
    /// A bearer token.
    Token,
}

/// The person who asks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Who.
    pub person: Person,
    /// Their cohorts, newest membership first, with what they are in each.
    pub cohorts: Vec<(Cohort, Role)>,
    /// How they showed it.
    pub credential: Credential,
}

impl Viewer {
    /// What they are in a cohort, admins counting as trainers everywhere.
    #[must_use]
    pub fn role_in(&self, cohort: Uuid) -> Option<Role> {
        if self.person.admin {
            return Some(Role::Trainer);
        }
        self.cohorts.iter().find(|(theirs, _)| theirs.id == cohort).map(|(_, role)| *role)
    }

    /// Whether they train any cohort, or are an admin.
    #[must_use]
    pub fn is_trainer(&self) -> bool {
        self.person.admin || self.cohorts.iter().any(|(_, role)| *role == Role::Trainer)
    }
}

/// What a path is about, as far as its names tell, and what the viewer is there.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The cohort that everything below belongs to.
    pub cohort: Cohort,
    /// What the viewer is in it; admins count as trainers.
    pub role: Role,
    /// The path's submission, or that of the path's grading.
    pub submission: Option<Submission>,
    /// The path's grading, or the newest of the path's submission.
    pub grading: Option<Grading>,
}

impl Scope {
    /// The path's submission.
    ///
    /// # Errors
    /// A fault of ours when the route's path has none.
    pub fn submission(&self) -> Result<&Submission> {
        self.submission.as_ref().ok_or_else(|| Error::internal("the route has no submission in its path"))
    }

    /// The path's grading, or the newest of the path's submission.
    ///
    /// # Errors
    /// A fault of ours when the route's path has neither.
    pub fn grading(&self) -> Result<&Grading> {
        self.grading.as_ref().ok_or_else(|| Error::internal("the route has no grading in its path"))
    }

    /// What holds for the path's submission.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn terms(&self, state: &AppState) -> Result<crate::terms::Terms> {
        Ok(state.store.terms(self.cohort.id).await?.of(&self.submission()?.exercise))
    }

    /// Whether hidden expectations and internal causes may be shown.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        self.role == Role::Trainer
    }
}

/// A route's door: its row and what is needed to judge.
#[derive(Clone)]
pub struct Gate {
    pub(super) state: AppState,
    pub(super) row: Row,
}

/// Lets a request through to its handler, or answers why not.
pub async fn guard(
    State(gate): State<Gate>,
    matched: Option<MatchedPath>,
    path: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let patience = gate.state.patience;
    let mut response = match enter(&gate, path, request).await {
        Ok((request, csrf)) => {
            // The body's own deadline ends first and tells what was slow.
            let mut response = match gate.row.pace {
                Pace::Stream => next.run(request).await,
                Pace::Brisk => within(patience.brisk * 2, next.run(request)).await,
                Pace::Upload => within(patience.upload + patience.brisk, next.run(request)).await,
            };
            csrf.remember(&gate.state, &mut response);
            response
        }
        Err(error) => error.into_response(),
    };
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

async fn within(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Error::TimedOut.into_response())
}

async fn enter(
    gate: &Gate,
    path: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
) -> Result<(Request, csrf::Csrf)> {
    let state = &gate.state;
    let mut request = limited(gate, request).await?;
    let identity = session::identify(state, gate.row.is_api(), request.headers()).await?;
    let csrf =
        csrf::Csrf::new(state, identity.as_ref().and_then(|found| found.csrf.clone()), request.headers());
    let by_token = identity.as_ref().is_some_and(|found| found.viewer.credential == Credential::Token);
    let viewer = identity.map(|found| found.viewer);
    if gate.row.access != Access::Anyone && viewer.is_none() {
        return Err(Error::SignInNeeded);
    }
    if gate.row.access == Access::Admin && !viewer.as_ref().is_some_and(|viewer| viewer.person.admin) {
        return Err(Error::NotAllowed("Only admins can do this.".into()));
    }
    if let Some(viewer) = &viewer
        && let Some(scope) = scope(state, viewer, &path?).await?
    {
        allow(gate.row.access, &scope)?;
        request.extensions_mut().insert(scope);
    }
    // A bearer token is never sent by a browser on its own, so there is nothing to forge.
    if !request.method().is_safe() && !by_token {
        request = csrf.check(request).await?;
    }
    if let Some(viewer) = viewer {
        request.extensions_mut().insert(viewer);
    }
    request.extensions_mut().insert(csrf.clone());
    Ok((request, csrf))
}

/// The request with its body bounded in bytes and in time. A body that is too large by its own
/// account is refused before it is read.
async fn limited(gate: &Gate, request: Request) -> Result<Request> {
    let (bytes, time) = match gate.row.pace {
        Pace::Upload => {
            // What the exercise takes is known later, see `handin`.
            (
                usize::try_from(most_uploaded(&gate.state) + UPLOAD_OVERHEAD_BYTES).unwrap_or(usize::MAX),
                gate.state.patience.upload,
            )
        }
        Pace::Brisk | Pace::Stream => (FORM_BYTES, gate.state.patience.brisk),
    };
    // What an upload may have depends on the exercise, so that it is judged in `handin`.
    let request = match gate.row.pace {
        Pace::Upload => request,
        Pace::Brisk | Pace::Stream => {
            announced(request, bytes, gate.state.patience, &too_large(&gate.state, gate.row.pace)).await?
        }
    };
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(too_large(&gate.state, gate.row.pace));
    Ok(Request::from_parts(parts, Body::new(Limited::new(DeadlineBody::new(time, body), bytes))))
}

/// The request, if its body has by its own account at most so many bytes; it is refused before it is read
/// otherwise.
pub(super) async fn announced(
    request: Request,
    bytes: usize,
    patience: Patience,
    sentence: &TooLarge,
) -> Result<Request> {
    let announced = request
        .headers()
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > bytes) {
        let _ = tokio::time::timeout(patience.brisk, swallow(request.into_body())).await;
        return Err(sentence.error());
    }
    Ok(request)
}

/// Reads a body to its end, or as far as [`SWALLOWED_BYTES`], and forgets it. A browser shows an answer
/// only when it could send everything; one that is cut off tells of a broken connection instead.
async fn swallow(body: Body) {
    let mut body = Limited::new(body, SWALLOWED_BYTES);
    while let Some(Ok(_)) = body.frame().await {}
}

/// The sentence for a body over the limit of this pace.
fn too_large(state: &AppState, pace: Pace) -> TooLarge {
    match pace {
        Pace::Upload => upload_too_large(most_uploaded(state)),
        Pace::Brisk | Pace::Stream => TooLarge(format!(
            "This is longer than the {} that a form takes. Shorten it.",
            ByteSize(FORM_BYTES as u64)
        )),
    }
}

/// The most that any exercise takes, in bytes.
fn most_uploaded(state: &AppState) -> u64 {
    let uploads = &state.settings.uploads;
    uploads.archive_bytes.max(uploads.saved_image_bytes)
}

/// The sentence for an upload of more than so many bytes.
pub(super) fn upload_too_large(bytes: u64) -> TooLarge {
    TooLarge(format!(
        "This is larger than the {} that can be handed in at once. Leave out what the exercise does not need \
         (such as dependencies and build output) and try again.",
        ByteSize(bytes)
    ))
}

/// What to say when a request's body turns out to be over its limit.
#[derive(Clone, Debug)]
pub(super) struct TooLarge(String);

impl TooLarge {
    pub(super) fn error(&self) -> Error {
        Error::TooLarge(self.0.clone().into())
    }
}

async fn scope(state: &AppState, viewer: &Viewer, path: &RawPathParams) -> Result<Option<Scope>> {
    let mut found = None;
    for (name, value) in path {
        let (what, is_scope) = match name {
            "cohort" => ("cohort", true),
            "submission" => ("submission", true),
            "grading" => ("grading", true),
            other => (other, false),
        };
        if !is_scope || found.is_some() {
            continue;
        }
        let id: Uuid = value.parse().map_err(|_| Error::no_such(what))?;
        let (cohort, submission, grading) = match what {
            "cohort" => (id, None, None),
            "submission" => {
                let submission = state.store.submission(id).await?;
                let grading = state.store.latest_grading(id).await?;
                (submission.cohort, Some(submission), Some(grading))
            }
            _ => {
                let grading = state.store.grading(id).await?;
                let submission = state.store.submission(grading.submission).await?;
                (submission.cohort, Some(submission), Some(grading))
            }
        };
        // Whoever has no part in a cohort is not told that it exists.
        let Some(role) = viewer.role_in(cohort) else { return Err(Error::no_such(what)) };
        let cohort = match viewer.cohorts.iter().find(|(theirs, _)| theirs.id == cohort) {
            Some((theirs, _)) => theirs.clone(),
            None => state.store.cohort(cohort).await.map_err(|error| match error {
                crate::store::Error::NotFound { .. } => Error::no_such(what),
                other => other.into(),
            })?,
        };
        // Somebody else's submission does not exist for a student, whatever the route asks for.
        if role == Role::Student
            && submission.as_ref().is_some_and(|submission| submission.person != viewer.person.id)
        {
            return Err(Error::no_such(what));
        }
        found = Some(Scope { cohort, role, submission, grading });
    }
    Ok(found)
}

fn allow(access: Access, scope: &Scope) -> Result<()> {
    match access {
        Access::Anyone | Access::SignedIn | Access::Member | Access::Owner | Access::Admin => Ok(()),
        Access::Trainer if scope.role == Role::Trainer => Ok(()),
        Access::Trainer => Err(Error::NotAllowed("Only trainers of this cohort can do this.".into())),
    }
}

impl FromRequestParts<AppState> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::SignInNeeded)
    }
}

impl OptionalFromRequestParts<AppState> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Option<Self>> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

impl FromRequestParts<AppState> for Scope {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::internal("the route has no cohort, submission or grading in its path"))
    }
}
