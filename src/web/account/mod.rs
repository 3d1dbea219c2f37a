//! Coming in and going out: join, sign in, sign out, and the way home.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::page::{Frame, home_of};
use super::routes::{Access, Routes};
use super::session::{self, Caller};
use super::{AppState, Csrf, Error, Result, Viewer, body};
use crate::accounts::Role;
use crate::accounts::passwords::SHORTEST_PASSWORD;
use crate::store::Cohort;

pub mod openid;
pub mod profile;
pub mod reset;
pub mod tokens;

/// The routes of this room.
pub fn register(routes: Routes) -> Routes {
    routes
        .get("/sign-in/openid", Access::Anyone, openid::depart)
        .get("/sign-in/openid/back", Access::Anyone, openid::arrive)
        .get("/account/openid", Access::SignedIn, openid::link)
        .get("/account", Access::SignedIn, profile::show)
        .post("/account/password", Access::SignedIn, profile::change_password)
        .post("/account/sessions", Access::SignedIn, profile::end_sessions)
        .post("/cohorts/{cohort}/people/{person}/reset", Access::Trainer, reset::make)
        .post("/admin/people/{person}/reset", Access::Admin, reset::make_for_anyone)
        .get("/account/tokens", Access::SignedIn, tokens::show)
        .post("/account/tokens", Access::SignedIn, tokens::create)
        .post("/account/tokens/{token}/revoke", Access::SignedIn, tokens::revoke)
        .get("/reset", Access::Anyone, reset::show)
        .post("/reset", Access::Anyone, reset::choose)
        .get("/", Access::Anyone, home)
        .get("/sign-in", Access::Anyone, sign_in_form)
        .post("/sign-in", Access::Anyone, sign_in)
        .post("/sign-out", Access::Anyone, sign_out)
        .get("/join", Access::Anyone, join_code)
        .get("/join/{code}", Access::Anyone, join_form)
        .post("/join/{code}", Access::Anyone, join)
}

#[derive(Template)]
#[template(path = "account/sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    pub(crate) next: String,
    pub(crate) openid: Option<Provider>,
    pub(crate) refusal: Option<String>,
}

/// The provider's button.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) href: String,
}

impl Provider {
    /// The button of a page from which a sign-in leads to `next`.
    fn of(state: &AppState, next: &str) -> Option<Self> {
        let name = state.openid.as_ref()?.name().to_owned();
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        Some(Self { name, href: format!("/sign-in/openid?next={next}") })
    }
}

#[derive(Template)]
#[template(path = "account/join.html")]
pub(crate) struct JoinPage {
    pub(crate) frame: Frame,
    pub(crate) cohort: Option<Joined>,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) password_min: usize,
    pub(crate) openid: Option<Provider>,
    pub(crate) refusal: Option<String>,
}

/// The cohort that is joined.
pub(crate) struct Joined {
    pub(crate) name: String,
    pub(crate) code: String,
}

/// `GET /`: to where whoever asks begins.
pub async fn home(viewer: Option<Viewer>) -> Redirect {
    Redirect::to(&viewer.map_or_else(|| "/sign-in".into(), |viewer| home_for(&viewer)))
}

/// An admin begins with the whole, everybody else with the cohort they joined last.
fn home_for(viewer: &Viewer) -> String {
    match viewer.cohorts.first() {
        _ if viewer.person.admin => "/admin".into(),
        Some((cohort, role)) => home_of(cohort.id, *role),
        None => "/join".into(),
    }
}

/// Where a sign-in leads to.
#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`
///
/// # Errors
/// Faults of ours.
pub async fn sign_in_form(
    State(state): State<AppState>,
    viewer: Option<Viewer>,
    csrf: Csrf,
    body::Query(Next { next }): body::Query<Next>,
) -> Result<Response> {
    if viewer.is_some() {
        return Ok(Redirect::to(inside(&next)).into_response());
    }
    sign_in_page(&state, &csrf, String::new(), next, None, StatusCode::OK)
}

fn sign_in_page(
    state: &AppState,
    csrf: &Csrf,
    name: String,
    next: String,
    refusal: Option<String>,
    status: StatusCode,
) -> Result<Response> {
    let openid = Provider::of(state, &next);
    let page = SignInPage { frame: Frame::new(None, csrf), name, next, openid, refusal };
    rendered(&page, status)
}

/// Name and password.
#[derive(Deserialize)]
pub struct SignIn {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in`
///
/// # Errors
/// Faults of ours.
pub async fn sign_in(
    State(state): State<AppState>,
    from: Caller,
    csrf: Csrf,
    body::Form(form): body::Form<SignIn>,
) -> Result<Response> {
    match session::sign_in(&state, &from, &form.name, &form.password).await {
        Ok(entered) => Ok((entered, Redirect::to(inside(&form.next))).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            let (status, refusal) = (refused.status(), Some(refused.to_string()));
            sign_in_page(&state, &csrf, form.name, form.next, refusal, status)
        }
        Err(error) => Err(error),
    }
}

/// `POST /sign-out`
///
/// # Errors
/// Faults of ours.
pub async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Result<Response> {
    let left = session::sign_out(&state, &headers).await?;
    Ok((left, Redirect::to("/sign-in")).into_response())
}

/// A code that was typed.
#[derive(Deserialize)]
pub struct Typed {
    #[serde(default)]
    code: String,
}

/// `GET /join`
///
/// # Errors
/// Faults of ours.
pub async fn join_code(
    State(state): State<AppState>,
    from: Caller,
    viewer: Option<Viewer>,
    csrf: Csrf,
    body::Query(Typed { code }): body::Query<Typed>,
) -> Result<Response> {
    let frame = Frame::new(viewer.as_ref(), &csrf);
    if code.trim().is_empty() {
        return ask_for_code(frame, String::new(), None);
    }
    match session::cohort_by_code(&state, &from, &code).await {
        Ok(cohort) => Ok(Redirect::to(&format!("/join/{}", cohort.join_code)).into_response()),
        Err(refused) if refused.status().is_client_error() => ask_for_code(frame, code, Some(refused)),
        Err(error) => Err(error),
    }
}

fn ask_for_code(frame: Frame, code: String, refused: Option<Error>) -> Result<Response> {
    let status = refused.as_ref().map_or(StatusCode::OK, Error::status);
    let page = JoinPage {
        frame,
        cohort: None,
        code,
        name: String::new(),
        password_min: SHORTEST_PASSWORD,
        openid: None,
        refusal: refused.map(|refused| refused.to_string()),
    };
    rendered(&page, status)
}

/// `GET /join/{code}`
///
/// # Errors
/// Faults of ours.
pub async fn join_form(
    State(state): State<AppState>,
    from: Caller,
    viewer: Option<Viewer>,
    csrf: Csrf,
    body::Path(code): body::Path<String>,
) -> Result<Response> {
    let frame = Frame::new(viewer.as_ref(), &csrf);
    let cohort = match session::cohort_by_code(&state, &from, &code).await {
        Ok(cohort) => cohort,
        Err(refused) if refused.status().is_client_error() => {
            return ask_for_code(frame, code, Some(refused));
        }
        Err(error) => return Err(error),
    };
    if let Some(role) = viewer.as_ref().and_then(|viewer| member(viewer, &cohort)) {
        return Ok(Redirect::to(&home_of(cohort.id, role)).into_response());
    }
    rendered(&join_page(&state, frame, cohort, String::new(), None), StatusCode::OK)
}

/// Who joins; nothing of it for somebody who is signed in.
#[derive(Deserialize)]
pub struct Join {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

/// `POST /join/{code}`
///
/// # Errors
/// Faults of ours.
pub async fn join(
    State(state): State<AppState>,
    from: Caller,
    viewer: Option<Viewer>,
    csrf: Csrf,
    body::Path(code): body::Path<String>,
    body::Form(form): body::Form<Join>,
) -> Result<Response> {
    let cohort = session::cohort_by_code(&state, &from, &code).await?;
    if let Some(viewer) = viewer {
        let role = if let Some(role) = member(&viewer, &cohort) {
            role
        } else {
            state.store.add_member(cohort.id, viewer.person.id, Role::Student).await?;
            Role::Student
        };
        return Ok(Redirect::to(&home_of(cohort.id, role)).into_response());
    }
    match session::join(&state, &from, &code, &form.name, &form.password).await {
        Ok(entered) => Ok((entered, Redirect::to(&home_of(cohort.id, Role::Student))).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            let refusal = Some(refused.to_string());
            let page = join_page(&state, Frame::new(None, &csrf), cohort, form.name, refusal);
            rendered(&page, refused.status())
        }
        Err(error) => Err(error),
    }
}

fn member(viewer: &Viewer, cohort: &Cohort) -> Option<Role> {
    viewer.cohorts.iter().find(|(theirs, _)| theirs.id == cohort.id).map(|(_, role)| *role)
}

fn join_page(
    state: &AppState,
    frame: Frame,
    cohort: Cohort,
    name: String,
    refusal: Option<String>,
) -> JoinPage {
    JoinPage {
        frame,
        openid: Provider::of(state, &format!("/join/{}", cohort.join_code)),
        code: cohort.join_code.clone(),
        cohort: Some(Joined { name: cohort.name, code: cohort.join_code }),
        name,
        password_min: SHORTEST_PASSWORD,
        refusal,
    }
}

pub(super) fn rendered(page: &impl Template, status: StatusCode) -> Result<Response> {
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// A place of ours to go on to: a path, and nothing that a browser takes for another host.
fn inside(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && !next.chars().any(|c| c.is_control() || c == '\\');
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_sign_in_leads_nowhere_else() {
        for ours in ["/", "/submissions/1?x=//y", "/join/K7M-4QX"] {
            assert_eq!(inside(ours), ours);
        }
        for theirs in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:1",
        ] {
            assert_eq!(inside(theirs), "/", "{theirs:?}");
        }
    }
}
