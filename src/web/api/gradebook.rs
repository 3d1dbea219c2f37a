//! The grade book.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::web::AppState;
use crate::web::access::Scope;
use crate::web::error::{Error, Problem, Result};
use crate::web::gradebook::Gradebook;

/// Every student of a cohort with what counts in every exercise.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/gradebook.json", tag = "cohorts",
    params(("cohort" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = Gradebook),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn json(State(state): State<AppState>, scope: Scope) -> Result<Response> {
    let book = Gradebook::of(&state, &scope.cohort).await?;
    Ok(([(header::CONTENT_DISPOSITION, as_file(&scope, "json")?)], Json(book)).into_response())
}

/// The same for a spreadsheet: UTF-8 with a byte order mark, one line for each student, for each exercise the
/// points that count, the state, the attempts and the days late.
///
/// A text that a spreadsheet would take for a formula, one that begins with `=`, `+`, `-`, `@`, a tab or a
/// line break, has an apostrophe before it.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/gradebook.csv", tag = "cohorts",
    params(("cohort" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = String, content_type = "text/csv"),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn csv(State(state): State<AppState>, scope: Scope) -> Result<Response> {
    let book = Gradebook::of(&state, &scope.cohort).await?;
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, as_file(&scope, "csv")?)];
    Ok((headers, book.csv()?).into_response())
}

/// Named by the cohort, with the letters that every file system takes.
fn as_file(scope: &Scope, ending: &str) -> Result<HeaderValue> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = scope.cohort.name.chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    let name = if parts.is_empty() { "cohort".to_owned() } else { parts.join("-") };
    HeaderValue::from_str(&format!("attachment; filename=\"grade-book-{name}.{ending}\""))
        .map_err(Error::internal)
}
