//! Who the caller is, and their tokens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::made;
use crate::accounts::{Role, hash_token, new_api_token};
use crate::web::AppState;
use crate::web::access::Viewer;
use crate::web::body;
use crate::web::error::{Error, Problem, Result};

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct Me {
    id: Uuid,
    name: String,
    admin: bool,
    /// Newest membership first.
    cohorts: Vec<Membership>,
}

/// What somebody is in a cohort.
#[derive(Serialize, ToSchema)]
pub struct Membership {
    id: Uuid,
    name: String,
    /// The workshop's slug.
    workshop: String,
    role: Role,
    /// Nothing can be handed in from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<DateTime<Utc>>,
}

impl Membership {
    pub(super) fn new(cohort: &crate::store::Cohort, role: Role) -> Self {
        Self {
            id: cohort.id,
            name: cohort.name.clone(),
            workshop: cohort.workshop.clone(),
            role,
            closed_at: cohort.closed_at,
        }
    }
}

/// Who the token belongs to.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "people",
    responses((status = 200, body = Me), (status = 401, body = Problem)),
)]
pub async fn me(viewer: Viewer) -> Json<Me> {
    Json(Me {
        id: viewer.person.id,
        name: viewer.person.name.clone(),
        admin: viewer.person.admin,
        cohorts: viewer.cohorts.iter().map(|(cohort, role)| Membership::new(cohort, *role)).collect(),
    })
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
pub struct Token {
    id: Uuid,
    /// What its owner calls it.
    name: String,
    created_at: DateTime<Utc>,
}

/// A name for a new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, in at most 80 characters.
    name: String,
}

/// A token that was just made. The secret is shown this once and kept nowhere.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    id: Uuid,
    name: String,
    /// For `Authorization: Bearer …`.
    token: String,
}

/// The caller's tokens.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "people",
    responses((status = 200, body = Vec<Token>), (status = 401, body = Problem)),
)]
pub async fn tokens(State(state): State<AppState>, viewer: Viewer) -> Result<Json<Vec<Token>>> {
    let tokens = state.store.api_tokens(viewer.person.id).await?;
    Ok(Json(
        tokens
            .into_iter()
            .map(|token| Token { id: token.id, name: token.name, created_at: token.created_at })
            .collect(),
    ))
}

/// Makes a token with all rights of the caller.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "people", request_body = NewToken,
    responses(
        (status = 201, body = MadeToken),
        (status = 401, body = Problem), (status = 422, body = Problem),
    ),
)]
pub async fn create_token(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Json(new): body::Json<NewToken>,
) -> Result<Response> {
    let name = crate::accounts::clean_name(&new.name).map_err(|_| {
        Error::Refused("A token needs a name of 1 to 80 visible characters that says what it is for.".into())
    })?;
    let token = new_api_token();
    let id = state.store.create_api_token(viewer.person.id, &name, &hash_token(&token)).await?;
    Ok(made(StatusCode::CREATED, &format!("/api/v1/tokens/{id}"), MadeToken { id, name, token }))
}

/// Revokes a token of the caller's.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token}", tag = "people", params(("token" = Uuid, Path, description = "Its id")),
    responses(
        (status = 204, description = "It no longer works"),
        (status = 401, body = Problem), (status = 404, body = Problem),
    ),
)]
pub async fn revoke_token(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Path(token): body::Path<Uuid>,
) -> Result<StatusCode> {
    state.store.revoke_api_token(viewer.person.id, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
