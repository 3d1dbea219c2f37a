//! With which logins a cohort's images are pulled.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};
use crate::web::trainer::registries;
use crate::web::{AppState, body};

/// A registry for which the cohort has a login; the password is never told.
#[derive(Serialize, ToSchema)]
pub struct RegistryView {
    /// Host, with its port if it has one.
    registry: String,
    username: String,
    changed_at: DateTime<Utc>,
}

/// The registries for which a cohort has a login.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/registries", tag = "cohorts", params(("cohort" = Uuid, Path)),
    responses(
        (status = 200, body = Vec<RegistryView>),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn list(State(state): State<AppState>, scope: Scope) -> Result<Json<Vec<RegistryView>>> {
    let logins = state.store.registry_logins(scope.cohort.id).await?;
    let view = logins.into_iter().map(|login| RegistryView {
        registry: login.registry,
        username: login.username,
        changed_at: login.changed_at,
    });
    Ok(Json(view.collect()))
}

/// A login for a registry.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    /// Host, with its port if it has one, such as `registry.example.org:5000`.
    registry: String,
    username: String,
    /// The password or token; stored sealed.
    secret: String,
}

/// Keeps a login for a registry in place of the one before.
#[utoipa::path(
    post, path = "/api/v1/cohorts/{cohort}/registries", tag = "cohorts",
    params(("cohort" = Uuid, Path)), request_body = NewLogin,
    responses(
        (status = 204, description = "Kept"),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
        (status = 422, description = "It is no registry, or something is missing", body = Problem),
    ),
)]
pub async fn keep(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Json(new): body::Json<NewLogin>,
) -> Result<StatusCode> {
    let NewLogin { registry, username, secret } = new;
    registries::keep(&state, &viewer, scope.cohort.id, &registry, &username, &secret).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The part of the path that the scope does not tell.
#[derive(Deserialize)]
pub struct RegistryPath {
    registry: String,
}

/// Forgets a login for a registry.
#[utoipa::path(
    delete, path = "/api/v1/cohorts/{cohort}/registries/{registry}", tag = "cohorts",
    params(("cohort" = Uuid, Path), ("registry" = String, Path)),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, description = "There is no such cohort, or no such login", body = Problem),
    ),
)]
pub async fn forget(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Path(path): body::Path<RegistryPath>,
) -> Result<StatusCode> {
    registries::forget(&state, &viewer, scope.cohort.id, &path.registry).await?;
    Ok(StatusCode::NO_CONTENT)
}
