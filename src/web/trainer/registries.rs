//! With which logins a cohort's images are pulled.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::store::RegistryLogin;
use crate::submissions::reference::Reference;
use crate::submissions::remote::Credentials;
use crate::web::page::Frame;
use crate::web::words::Ago;
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// The longest user name and the longest password or token, in bytes.
const LONGEST: usize = 4096;

#[derive(Template)]
#[template(path = "trainer/registries.html")]
pub(crate) struct RegistriesPage {
    pub(crate) frame: Frame,
    pub(crate) tabs: Tabs,
    pub(crate) action: String,
    pub(crate) rows: Vec<RegistryRow>,
    pub(crate) registry: String,
    pub(crate) username: String,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct RegistryRow {
    pub(crate) registry: String,
    pub(crate) username: String,
    pub(crate) changed: Ago,
}

impl RegistryRow {
    pub(crate) fn new(login: RegistryLogin, now: DateTime<Utc>) -> Self {
        let RegistryLogin { registry, username, changed_at } = login;
        let username = crate::text::visible(&username).into_owned();
        Self { registry, username, changed: Ago { at: changed_at, now } }
    }
}

/// `GET /cohorts/{cohort}/registries`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<Response> {
    page(&state, &viewer, &scope, &csrf, Change::default(), None).await
}

/// What a trainer sends: a login to be kept, or with `forget` the registry whose login goes.
#[derive(Default, Deserialize)]
pub struct Change {
    #[serde(default)]
    registry: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
    forget: Option<String>,
}

/// `POST /cohorts/{cohort}/registries`
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn change(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(change): body::Form<Change>,
) -> Result<Response> {
    let changed = match &change.forget {
        Some(registry) => forget(&state, &viewer, scope.cohort.id, registry).await,
        None => keep(&state, &viewer, scope.cohort.id, &change.registry, &change.username, &change.secret)
            .await
            .map(drop),
    };
    match changed {
        // One that is gone already was forgotten by somebody who was quicker.
        Ok(()) | Err(Error::NotFound(_)) => Ok(Redirect::to(&href(scope.cohort.id)).into_response()),
        Err(Error::Refused(sentence)) => {
            let refusal = Some(sentence.into_owned());
            let mut response = page(&state, &viewer, &scope, &csrf, change, refusal).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// Keeps a login in place of the one before; the registry's name as it is kept.
///
/// # Errors
/// A sentence for the trainer when the registry is none, or name or secret are missing.
pub async fn keep(
    state: &AppState,
    viewer: &Viewer,
    cohort: Uuid,
    registry: &str,
    username: &str,
    secret: &str,
) -> Result<String> {
    let registry = registry.trim().trim_start_matches("https://").trim_end_matches('/').to_lowercase();
    // A name is a registry's if a reference that begins with it is read so.
    let read = format!("{registry}/image").parse::<Reference>().ok();
    let registry = read.filter(|read| ["image", "library/image"].contains(&read.repository.as_str()));
    let Some(registry) = registry.map(|read| read.registry) else {
        return Err(Error::Refused(
            "This is no registry; write its host, with the port if it has one, such as `registry.example.org` or \
             `registry.example.org:5000`."
                .into(),
        ));
    };
    let username = username.trim();
    if username.is_empty() || secret.is_empty() {
        return Err(Error::Refused("A login has a user name and a password or token; write both.".into()));
    }
    if username.len().max(secret.len()) > LONGEST || username.contains([':', '\n']) || secret.contains('\n') {
        return Err(Error::Refused(
            format!("User name and password have at most {LONGEST} bytes and no line breaks; the name has no colon.")
                .into(),
        ));
    }
    let login = Credentials::new(username, secret);
    state.store.set_registry_login(cohort, &registry, &login).await?;
    tracing::info!(%cohort, registry, by = %viewer.person.id, "web.registry_login_set");
    Ok(registry)
}

/// Forgets a login.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn forget(state: &AppState, viewer: &Viewer, cohort: Uuid, registry: &str) -> Result<()> {
    state.store.remove_registry_login(cohort, registry).await?;
    tracing::info!(%cohort, registry, by = %viewer.person.id, "web.registry_login_removed");
    Ok(())
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/registries")
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    change: Change,
    refusal: Option<String>,
) -> Result<Response> {
    let cohort = &scope.cohort;
    let now = state.clock.now();
    let logins = state.store.registry_logins(cohort.id).await?;
    let page = RegistriesPage {
        frame: frame(viewer, scope, csrf).at(href(cohort.id), "Registries"),
        tabs: Tabs::at(cohort.id, Tab::Registries),
        action: href(cohort.id),
        rows: logins.into_iter().map(|login| RegistryRow::new(login, now)).collect(),
        registry: change.registry,
        username: change.username,
        refusal,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}
