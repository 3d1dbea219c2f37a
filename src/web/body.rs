//! Reading what came with a request: our own extractors, whose refusals are sentences.

use axum::extract::{FromRequest, FromRequestParts};
use axum::http::request::Parts;
use http_body_util::LengthLimitError;
use tower_http::timeout::TimeoutError;

use super::error::Error;

/// A URL-encoded form.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Form), rejection(Error))]
pub struct Form<T>(pub T);

/// A JSON body.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(Error))]
pub struct Json<T>(pub T);

/// Parameters of the path.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

/// Parameters of the query.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub struct Query<T>(pub T);

/// Why a body could not be read to its end: too large, too slow, or the connection broke.
pub(super) fn failed(parts: &Parts) -> impl Fn(axum::Error) -> Error + use<> {
    let too_large = parts.extensions.get::<super::access::TooLarge>().cloned();
    move |error| {
        if timed_out(&error) {
            return Error::TimedOut;
        }
        match &too_large {
            Some(sentence) if causes(&error).any(<dyn std::error::Error>::is::<LengthLimitError>) => {
                sentence.error()
            }
            _ => {
                Error::BadRequest("The connection broke before everything had arrived. Send it again.".into())
            }
        }
    }
}

/// Whether a body's deadline ended the reading of it.
pub(super) fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(<dyn std::error::Error>::is::<TimeoutError>)
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
