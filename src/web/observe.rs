//! One request, told: its id, its span, the line in the log and the figures for `/metrics`.
//!
//! The outermost layer of the router. Ids are made here and nowhere else: one sent by a client is
//! ignored, since it ends in our log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

use super::AppState;

/// Names one request in answers, pages and the log: 16 hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub struct RequestId(String);

impl RequestId {
    fn new() -> Self {
        let mut digits = Uuid::new_v4().simple().to_string();
        digits.truncate(16);
        Self(digits)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The header that carries a [`RequestId`].
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Upper bounds of the latency buckets, in seconds.
pub const BUCKETS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counts and latency of answers by route. Routes are the router's own patterns, so that the
/// number of series is bounded whatever is asked for.
#[derive(Clone, Debug, Default)]
pub struct HttpFigures(Arc<Mutex<BTreeMap<Series, Figures>>>);

/// What one series of figures is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The route's pattern, or `none` where no route matched.
    pub route: String,
    /// The request's method, or `other`.
    pub method: &'static str,
    /// The answer's status.
    pub status: u16,
}

/// The figures of one series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Answers.
    pub count: u64,
    /// Seconds until the head of the answer, summed.
    pub seconds: f64,
    /// Answers within each of [`BUCKETS`], cumulative.
    pub buckets: [u64; BUCKETS.len()],
}

impl HttpFigures {
    fn count(&self, series: Series, seconds: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = all.entry(series).or_default();
        figures.count += 1;
        figures.seconds += seconds;
        for (bucket, bound) in figures.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// All figures so far.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Series, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Gives the request its id and span, and tells how it went.
pub async fn observe(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let stopwatch = state.clock.stopwatch();
    let id = RequestId::new();
    request.extensions_mut().insert(id.clone());
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        _ => "other",
    };
    // The path without its query: queries may hold what people searched for.
    let span = tracing::info_span!("request", id = %id, method, path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let seconds = stopwatch.seconds();
    let status = response.status().as_u16();
    let route = response
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |matched| matched.as_str().to_owned());
    span.in_scope(|| tracing::info!(route, status, seconds, "web.answered"));
    state.http.count(Series { route, method, status }, seconds);
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
