//! A new password for somebody who forgot theirs: a trainer makes a link and hands it over, its reader
//! chooses.
//!
//! Whoever has the link can sign in as that person, so that a trainer makes one for students only: not for
//! trainers, of whatever cohort, and not for admins.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::rendered;
use crate::accounts::passwords::SHORTEST_PASSWORD;
use crate::accounts::{Role, check_password, hash_token, new_token};
use crate::store::{self, Person};
use crate::web::page::{Frame, home_of};
use crate::web::session::{self, Caller};
use crate::web::words::Moment;
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// How long a link holds.
const LIFETIME: Duration = Duration::from_hours(24);

#[derive(Template)]
#[template(path = "account/reset_link.html")]
pub(crate) struct LinkPage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) until: Moment,
    pub(crate) back: String,
}

#[derive(Template)]
#[template(path = "account/reset.html")]
pub(crate) struct ResetPage {
    pub(crate) frame: Frame,
    /// Whose password it is; nobody's where the link does not hold.
    pub(crate) name: Option<String>,
    pub(crate) password_min: usize,
    pub(crate) refusal: Option<String>,
}

/// `POST /cohorts/{cohort}/people/{person}/reset`: the link, shown once.
///
/// # Errors
/// [`Error::NotFound`] for somebody who is not in the cohort, [`Error::NotAllowed`] for whom only an admin may
/// do this.
pub async fn make(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    headers: HeaderMap,
    body::Path((_, person)): body::Path<(Uuid, Uuid)>,
) -> Result<Response> {
    let cohort = &scope.cohort;
    if state.store.role_in(cohort.id, person).await?.is_none() {
        return Err(Error::NotFound("Nobody in this cohort has this address.".into()));
    }
    let person = state.store.person(person).await?;
    let trains = state.store.cohorts_of(person.id).await?.iter().any(|(_, role)| *role == Role::Trainer);
    if !viewer.person.admin && (person.admin || trains) {
        return Err(Error::NotAllowed(
            "Only an admin makes a link for somebody who is a trainer or an admin.".into(),
        ));
    }
    let frame = Frame::new(Some(&viewer), &csrf)
        .to(home_of(cohort.id, scope.role), format!("Cohort: {}", cohort.name))
        .at("", "New password");
    let back = home_of(cohort.id, scope.role);
    link(&state, &viewer, frame, &headers, &person, Some(cohort.id), back).await
}

/// `POST /admin/people/{person}/reset`: the same for whomever, by an admin.
///
/// # Errors
/// [`Error::NotFound`] when there is no such person.
pub async fn make_for_anyone(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    headers: HeaderMap,
    body::Path(person): body::Path<Uuid>,
) -> Result<Response> {
    let person = state.store.person(person).await?;
    let frame = Frame::new(Some(&viewer), &csrf).to("/admin", "Admin").at("", "New password");
    link(&state, &viewer, frame, &headers, &person, None, "/admin".into()).await
}

async fn link(
    state: &AppState,
    viewer: &Viewer,
    frame: Frame,
    headers: &HeaderMap,
    person: &Person,
    cohort: Option<Uuid>,
    back: String,
) -> Result<Response> {
    if person.deactivated_at.is_some() {
        return Err(Error::Conflict("This person is locked out. Let them in again first.".into()));
    }
    let token = new_token();
    let until =
        state.store.create_reset(person, viewer.person.id, cohort, &hash_token(&token), LIFETIME).await?;
    tracing::info!(person = %person.id, by = %viewer.person.id, "web.reset_link_made");
    let page = LinkPage {
        frame,
        name: crate::text::visible(&person.name).into_owned(),
        link: format!("{}/reset?token={token}", origin(state, headers)),
        until: Moment(until),
        back,
    };
    rendered(&page, StatusCode::OK)
}

/// Under which address people reach us, for links that are handed over.
pub(crate) fn origin(state: &AppState, headers: &HeaderMap) -> String {
    if let Some(url) = &state.settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.map_or_else(|| state.settings.listen.to_string(), str::to_owned))
}

/// The link's secret. It stands in the query, which is in no log.
#[derive(Deserialize)]
pub struct Holder {
    #[serde(default)]
    token: String,
}

/// `GET /reset`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    csrf: Csrf,
    body::Query(Holder { token }): body::Query<Holder>,
) -> Result<Response> {
    let person = state.store.person_of_reset(&hash_token(&token)).await?;
    let status = if person.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    page(&csrf, person.as_ref(), None, status)
}

fn page(
    csrf: &Csrf,
    person: Option<&Person>,
    refusal: Option<String>,
    status: StatusCode,
) -> Result<Response> {
    let page = ResetPage {
        frame: Frame::new(None, csrf),
        name: person.map(|person| crate::text::visible(&person.name).into_owned()),
        password_min: SHORTEST_PASSWORD,
        refusal,
    };
    rendered(&page, status)
}

/// The password that was chosen.
#[derive(Deserialize)]
pub struct Chosen {
    password: String,
}

/// `POST /reset`: uses the link up and signs its person in.
///
/// # Errors
/// Faults of ours; what is wrong with the form, or with the link, is told on the page.
pub async fn choose(
    State(state): State<AppState>,
    from: Caller,
    csrf: Csrf,
    body::Query(Holder { token }): body::Query<Holder>,
    body::Form(Chosen { password }): body::Form<Chosen>,
) -> Result<Response> {
    let hash = hash_token(&token);
    let Some(person) = state.store.person_of_reset(&hash).await? else {
        return page(&csrf, None, None, StatusCode::NOT_FOUND);
    };
    if let Err(refusal) = check_password(&password, &person.name) {
        return page(&csrf, Some(&person), Some(refusal.to_string()), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let password = state.passwords.hash(&password).await.map_err(Error::internal)?;
    match state.store.use_reset(&hash, &password).await {
        Ok(person) => {
            // Whoever mistyped the old password many times is not kept out with the new one.
            state.store.clear_failed_sign_ins(crate::accounts::SignInKey::Name(&person.name)).await?;
            tracing::info!(person = %person.id, "web.password_reset");
            Ok((session::begin(&state, &from, &person).await?, Redirect::to("/")).into_response())
        }
        // Somebody was quicker with the same link.
        Err(store::Error::NotFound { .. }) => page(&csrf, None, None, StatusCode::NOT_FOUND),
        Err(error) => Err(error.into()),
    }
}
