//! Dates, attempts and what comes late.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::terms::Terms;
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::trainer::dates;
use crate::web::{AppState, body};

/// Every term of a cohort.
#[derive(Serialize, ToSchema)]
pub struct TermsView {
    /// What holds for all exercises.
    all: Terms,
    /// What single exercises have of their own, by slug; a field that is absent is as for all.
    exercises: BTreeMap<String, Terms>,
}

impl TermsView {
    async fn of(state: &AppState, scope: &Scope) -> Result<Json<Self>> {
        let terms = state.store.terms(scope.cohort.id).await?;
        Ok(Json(Self { all: terms.all, exercises: terms.own }))
    }
}

/// Dates, attempts and what comes late, of a cohort and its exercises.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/terms", tag = "cohorts", params(("cohort" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = TermsView),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn show(State(state): State<AppState>, scope: Scope) -> Result<Json<TermsView>> {
    TermsView::of(&state, &scope).await
}

/// Terms in place of those before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTerms {
    /// Slug of the exercise that they are for; absent for all exercises.
    #[serde(default)]
    exercise: Option<String>,
    /// Every term; empty takes those before away.
    terms: Terms,
}

/// Sets the terms of a cohort or of one of its exercises.
#[utoipa::path(
    post, path = "/api/v1/cohorts/{cohort}/terms", tag = "cohorts", params(("cohort" = uuid::Uuid, Path)),
    request_body = NewTerms,
    responses(
        (status = 200, description = "All terms as they are now", body = TermsView),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, description = "No such cohort, or its workshop has no such exercise", body = Problem),
        (status = 422, description = "They make no sense", body = Problem),
    ),
)]
pub async fn set(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewTerms>,
) -> Result<Json<TermsView>> {
    dates::keep(&state, &viewer, &scope, new.exercise.as_deref().unwrap_or_default(), &new.terms).await?;
    TermsView::of(&state, &scope).await
}
