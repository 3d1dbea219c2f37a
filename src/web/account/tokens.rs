//! Tokens with which programs act for whoever is signed in: made, shown once, revoked.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::accounts::{clean_name, hash_token, new_api_token};
use crate::store::Deed;
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::words::Ago;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

#[derive(Template)]
#[template(path = "account/tokens.html")]
pub(crate) struct TokensPage {
    pub(crate) frame: Frame,
    pub(crate) rows: Vec<TokenRow>,
    pub(crate) made: Option<MadeToken>,
    pub(crate) name: String,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct TokenRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) made: Ago,
}

/// A token that was made just now.
pub(crate) struct MadeToken {
    pub(crate) name: String,
    pub(crate) token: String,
}

/// `GET /account/tokens`
///
/// # Errors
/// Faults of ours.
pub async fn show(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    page(&state, &viewer, &csrf, None, String::new(), None).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    made: Option<MadeToken>,
    name: String,
    refusal: Option<Error>,
) -> Result<Response> {
    let now = state.clock.now();
    let rows = state.store.api_tokens(viewer.person.id).await?.into_iter().map(|token| TokenRow {
        id: token.id,
        name: visible(&token.name).into_owned(),
        made: Ago { at: token.created_at, now },
    });
    let status = refusal.as_ref().map_or(StatusCode::OK, Error::status);
    let page = TokensPage {
        frame: Frame::new(Some(viewer), csrf).at("/account/tokens", "API tokens"),
        rows: rows.collect(),
        made,
        name,
        refusal: refusal.map(|error| error.to_string()),
    };
    // A token must not come back out of a browser's memory.
    let keep = HeaderValue::from_static("no-store");
    Ok((status, [(header::CACHE_CONTROL, keep)], Html(page.render().map_err(Error::internal)?))
        .into_response())
}

/// What a token is for.
#[derive(Deserialize)]
pub struct New {
    #[serde(default)]
    name: String,
}

/// `POST /account/tokens`: the answer is the one time that the token is shown.
///
/// # Errors
/// Faults of ours; what is wrong with the name is told on the page.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(new): body::Form<New>,
) -> Result<Response> {
    let Ok(name) = clean_name(&new.name) else {
        let refusal = Error::Refused(
            "A token needs a name of 1 to 80 visible characters that says what it is for.".into(),
        );
        return page(&state, &viewer, &csrf, None, new.name, Some(refusal)).await;
    };
    let token = new_api_token();
    state.store.create_api_token(viewer.person.id, &name, &hash_token(&token)).await?;
    written_down(&state, &viewer, "token.created", &name).await?;
    let made = Some(MadeToken { name: visible(&name).into_owned(), token });
    page(&state, &viewer, &csrf, made, String::new(), None).await
}

/// `POST /account/tokens/{token}/revoke`
///
/// # Errors
/// [`Error::NotFound`] when the viewer has no such token.
pub async fn revoke(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Path(token): body::Path<Uuid>,
) -> Result<Redirect> {
    let tokens = state.store.api_tokens(viewer.person.id).await?;
    let name = tokens.into_iter().find(|one| one.id == token).map(|one| one.name).unwrap_or_default();
    state.store.revoke_api_token(viewer.person.id, token).await?;
    written_down(&state, &viewer, "token.revoked", &name).await?;
    Ok(Redirect::to("/account/tokens"))
}

async fn written_down(state: &AppState, viewer: &Viewer, action: &'static str, name: &str) -> Result<()> {
    let deed = Deed {
        by: Some(viewer.person.id),
        action,
        cohort: None,
        subject: name.to_owned(),
        details: json!({}),
    };
    Ok(state.store.record(deed).await?)
}
