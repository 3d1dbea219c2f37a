//! The JSON API under `/api/v1`, for scripts and other programs.
//!
//! Same rules as the pages: the route table says who may, [`super::access`] enforces it,
//! [`super::error`] writes `problem+json`. People make a bearer token on their account page, or with
//! `POST /api/v1/tokens`. The `OpenAPI` document is generated from these handlers; a test holds it
//! against the route table in both directions.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

mod cohorts;
mod exercises;
mod gradebook;
mod gradings;
mod notes;
mod people;
mod registries;
mod regrades;
mod reviews;
mod submissions;
mod terms;

use super::routes::{Access, Routes};

/// Registers the API.
#[must_use]
pub fn register(routes: Routes) -> Routes {
    use Access::{Anyone, Member, Owner, SignedIn, Trainer};
    routes
        .get("/api/v1/openapi.json", Anyone, openapi)
        .get("/api/v1/me", SignedIn, people::me)
        .get("/api/v1/tokens", SignedIn, people::tokens)
        .post("/api/v1/tokens", SignedIn, people::create_token)
        .delete("/api/v1/tokens/{token}", SignedIn, people::revoke_token)
        .get("/api/v1/exercises", SignedIn, exercises::list)
        .get("/api/v1/exercises/{slug}", SignedIn, exercises::one)
        .get("/api/v1/cohorts", SignedIn, cohorts::list)
        .get("/api/v1/cohorts/{cohort}/progress", Trainer, cohorts::progress)
        .post("/api/v1/cohorts/{cohort}/regrades", Trainer, regrades::ask)
        .get("/api/v1/cohorts/{cohort}/regrades/{regrade}", Trainer, regrades::one)
        .get("/api/v1/cohorts/{cohort}/gradebook.csv", Trainer, gradebook::csv)
        .get("/api/v1/cohorts/{cohort}/gradebook.json", Trainer, gradebook::json)
        .get("/api/v1/cohorts/{cohort}/terms", Trainer, terms::show)
        .post("/api/v1/cohorts/{cohort}/terms", Trainer, terms::set)
        .get("/api/v1/cohorts/{cohort}/registries", Trainer, registries::list)
        .post("/api/v1/cohorts/{cohort}/registries", Trainer, registries::keep)
        .delete("/api/v1/cohorts/{cohort}/registries/{registry}", Trainer, registries::forget)
        .upload("/api/v1/cohorts/{cohort}/exercises/{slug}/submissions", Member, submissions::submit)
        .get("/api/v1/submissions/{submission}", Owner, submissions::one)
        .post("/api/v1/submissions/{submission}/hints", Owner, submissions::hint)
        .post("/api/v1/submissions/{submission}/regrade", Trainer, submissions::regrade)
        .get("/api/v1/submissions/{submission}/notes", Owner, notes::list)
        .post("/api/v1/submissions/{submission}/notes", Trainer, notes::comment)
        .post("/api/v1/submissions/{submission}/overrides", Trainer, notes::decide)
        .get("/api/v1/cohorts/{cohort}/reviews", Trainer, reviews::list)
        .post("/api/v1/submissions/{submission}/reviews", Trainer, reviews::give)
        .get("/api/v1/gradings/{grading}", Owner, gradings::one)
        .stream("/api/v1/gradings/{grading}/events", Owner, gradings::events)
}

/// The document that describes the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Drydock",
        description = "Hand in, watch and read gradings of container exercises. \
            Every error is a problem+json object (RFC 9457) with a request id.",
    ),
    paths(
        openapi,
        people::me,
        people::tokens,
        people::create_token,
        people::revoke_token,
        exercises::list,
        exercises::one,
        cohorts::list,
        cohorts::progress,
        regrades::ask,
        regrades::one,
        gradebook::json,
        gradebook::csv,
        terms::show,
        terms::set,
        registries::list,
        registries::keep,
        registries::forget,
        submissions::submit,
        submissions::one,
        submissions::hint,
        submissions::regrade,
        notes::list,
        notes::comment,
        notes::decide,
        reviews::list,
        reviews::give,
        gradings::one,
        gradings::events,
    ),
    components(schemas(super::error::Problem, crate::live::Event)),
    modifiers(&BearerTokens),
    security(("token" = [])),
)]
pub struct Document;

struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// This document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "about", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub async fn openapi() -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(Document::openapi())).into_response()
}

/// An answer to a `POST` that made something: its address and what it is.
fn made(status: StatusCode, location: &str, body: impl serde::Serialize) -> Response {
    (status, [(header::LOCATION, location)], Json(body)).into_response()
}
