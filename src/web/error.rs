//! What can go wrong for whoever asks, and its two faces: a page and `problem+json` (RFC 9457).
//!
//! Handlers return [`Error`]. It becomes a [`Problem`] that travels in the response's extensions,
//! and [`render`] writes it once the request is known: JSON for the API and for scripts, a page for
//! people. A person never sees SQL or engine internals; they see what is wrong, what to do, and the
//! request id under which the log tells the rest.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{
    BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection, RawPathParamsRejection,
};
use axum::extract::{Request, multipart::MultipartRejection};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::observe::RequestId;
use crate::store;

/// Why a request was not served. The text in each variant is a full sentence for its reader.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in. Pages send people to the sign-in page and back; the API answers 401.
    #[error("Sign in first.")]
    SignInNeeded,
    /// A bearer token that is unknown or revoked.
    #[error("This API token is not valid. Make a new one on your account page.")]
    BadToken,
    /// Signed in, but this is not for them.
    #[error("{0}")]
    NotAllowed(Cow<'static, str>),
    /// It does not exist, or is none of their business.
    #[error("{0}")]
    NotFound(Cow<'static, str>),
    /// The path exists, the method does not.
    #[error("This address does not take {0} requests.")]
    MethodNotAllowed(axum::http::Method),
    /// The request cannot be read.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// It was read, and what it says is not acceptable.
    #[error("{0}")]
    Refused(Cow<'static, str>),
    /// It contradicts what is stored by now.
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// More bytes than this address takes.
    #[error("{0}")]
    TooLarge(Cow<'static, str>),
    /// A body of a type this address does not read.
    #[error("{0}")]
    UnsupportedMediaType(Cow<'static, str>),
    /// Too often.
    #[error("{sentence}")]
    TooMany {
        /// What to do.
        sentence: Cow<'static, str>,
        /// When it makes sense to try again.
        retry_after: Duration,
    },
    /// The body or the answer took too long.
    #[error("This took too long and was given up. Check your connection and send it again.")]
    TimedOut,
    /// Ours, and it passes.
    #[error("{0}")]
    Unavailable(Cow<'static, str>),
    /// Ours. The cause goes to the log and to nobody else.
    #[error("Something went wrong on our side.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A fault of ours, to be logged with its causes.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// "There is no such …", for what does not exist and for what must not be known to exist.
    #[must_use]
    pub fn no_such(what: &str) -> Self {
        Self::NotFound(format!("There is no such {what}, or it is not for you to see.").into())
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignInNeeded | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name for programs, the end of the problem's `type`.
    fn kind(&self) -> &'static str {
        match self {
            Self::SignInNeeded => "sign-in-needed",
            Self::BadToken => "bad-token",
            Self::NotAllowed(_) => "not-allowed",
            Self::NotFound(_) => "not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::BadRequest(_) => "bad-request",
            Self::Refused(_) => "refused",
            Self::Conflict(_) => "conflict",
            Self::TooLarge(_) => "too-large",
            Self::UnsupportedMediaType(_) => "unsupported-media-type",
            Self::TooMany { .. } => "too-many",
            Self::TimedOut => "timed-out",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What people read as the heading.
    fn title(&self) -> &'static str {
        match self {
            Self::SignInNeeded | Self::BadToken => "Please sign in",
            Self::NotAllowed(_) => "Not for you",
            Self::NotFound(_) => "Not found",
            Self::MethodNotAllowed(_) => "Wrong kind of request",
            Self::BadRequest(_) => "We could not read that",
            Self::Refused(_) => "Not accepted",
            Self::Conflict(_) => "That has changed meanwhile",
            Self::TooLarge(_) => "Too large",
            Self::UnsupportedMediaType(_) => "Unknown kind of content",
            Self::TooMany { .. } => "Slow down a little",
            Self::TimedOut => "Took too long",
            Self::Unavailable(_) => "Not available right now",
            Self::Internal(_) => "This was us",
        }
    }
}

/// An error as it is told (RFC 9457), the same for people and programs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A stable name: `urn:drydock:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short heading.
    pub title: &'static str,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// Under which the server's log tells more.
    pub request_id: String,
    /// Seconds after which another try makes sense; also in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            kind: format!("urn:drydock:problem:{}", error.kind()),
            title: error.title(),
            status: error.status().as_u16(),
            detail: error.to_string(),
            request_id: String::new(),
            retry_after: match error {
                Error::TooMany { retry_after, .. } => Some(retry_after.as_secs().max(1)),
                Error::Unavailable(_) => Some(5),
                _ => None,
            },
        }
    }
}

impl IntoResponse for Error {
    /// A bare status with the [`Problem`] in the extensions; [`render`] gives it its face. The cause
    /// of a fault of ours is logged here, inside the request's span.
    fn into_response(self) -> Response {
        if let Self::Internal(cause) = &self {
            let mut chain = cause.to_string();
            let mut next = cause.source();
            while let Some(source) = next {
                chain = format!("{chain}: {source}");
                next = source.source();
            }
            tracing::error!(cause = %chain, "web.failed");
        }
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Problem::from(&self));
        response
    }
}

/// Gives every [`Problem`] its face: `problem+json` under `/api/` and for whoever asks for JSON,
/// the sign-in page for people who are not signed in, else a page.
pub async fn render(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let json = wants_json(&uri, request.headers());
    let navigation = request.method().is_safe();
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let response = next.run(request).await;
    let (mut parts, body) = response.into_parts();
    let Some(mut problem) = parts.extensions.remove::<Problem>() else {
        return Response::from_parts(parts, body);
    };
    problem.request_id = id.to_string();
    let mut response = if json {
        let mut response = Json(&problem).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    } else if problem.status == 401 && navigation {
        let here = uri.path_and_query().map_or("/", |whole| whole.as_str());
        let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
        return Redirect::to(&format!("/sign-in?next={next}")).into_response();
    } else {
        super::page::problem(&problem, exercise_of(&uri).filter(|_| !navigation))
    };
    *response.status_mut() = parts.status;
    if parts.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    // Allow (405) and cookies that were set on the way stay.
    for name in [header::ALLOW, header::SET_COOKIE] {
        for value in parts.headers.get_all(&name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    response
}

/// The exercise that something was handed in for, by the address that it was sent to.
fn exercise_of(uri: &Uri) -> Option<&str> {
    let page = uri.path().strip_suffix("/submissions")?;
    let (_, rest) = page.strip_prefix("/cohorts/")?.split_once('/')?;
    rest.starts_with("exercises/").then_some(page)
}

pub(super) fn wants_json(uri: &Uri, headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    uri.path().starts_with("/api/")
        || (!accept.contains("text/html")
            && (accept.contains("json") || accept.contains("text/event-stream")))
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound { what } => Self::no_such(what),
            store::Error::Changed { .. } => Self::Conflict(
                "Somebody else has changed this meanwhile. Reload the page and look at it again.".into(),
            ),
            store::Error::Refused(sentence) => Self::Refused(sentence.into()),
            store::Error::NotTaken(refusal) => Self::Conflict(
                format!("The terms of the cohort do not let this be handed in now: {refusal:?}").into(),
            ),
            store::Error::Taken { field } => Self::Conflict(format!("This {field} is already taken.").into()),
            other => Self::internal(other),
        }
    }
}

impl From<crate::submissions::Refusal> for Error {
    fn from(refusal: crate::submissions::Refusal) -> Self {
        use crate::submissions::Refusal;
        let sentence = refusal.to_string().into();
        match refusal {
            Refusal::TooLarge(_) => Self::TooLarge(sentence),
            _ => Self::Refused(sentence),
        }
    }
}

/// What an extractor of axum says about a body that is too large, too slow, of the wrong type or
/// unreadable.
fn unreadable(rejection: &(dyn std::error::Error + 'static), status: StatusCode, text: &str) -> Error {
    if super::body::timed_out(rejection) {
        return Error::TimedOut;
    }
    let text = format!("{}.", text.trim_end_matches('.'));
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::TooLarge("This is larger than this address takes. Send less at once.".into())
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::UnsupportedMediaType(text.into()),
        StatusCode::UNPROCESSABLE_ENTITY => Error::Refused(text.into()),
        StatusCode::INTERNAL_SERVER_ERROR => Error::internal(text),
        _ => Error::BadRequest(text.into()),
    }
}

macro_rules! from_rejections {
    ($($rejection:ty),+ $(,)?) => {$(
        impl From<$rejection> for Error {
            fn from(rejection: $rejection) -> Self {
                unreadable(&rejection, rejection.status(), &rejection.body_text())
            }
        }
    )+};
}
from_rejections!(
    BytesRejection,
    FormRejection,
    JsonRejection,
    MultipartRejection,
    QueryRejection,
    RawPathParamsRejection
);

impl From<PathRejection> for Error {
    /// A path that does not parse names nothing.
    fn from(_: PathRejection) -> Self {
        Self::NotFound("There is nothing at this address.".into())
    }
}

impl From<axum::extract::multipart::MultipartError> for Error {
    fn from(error: axum::extract::multipart::MultipartError) -> Self {
        unreadable(&error, error.status(), &error.body_text())
    }
}
