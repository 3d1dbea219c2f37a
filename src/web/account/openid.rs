//! Sign-in with an OpenID provider: off to it, and back.
//!
//! What has to be known on the way back lies sealed in a cookie of the browser that left, so that nobody can be
//! signed in, or linked, with somebody else's answer.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::reset::origin;
use super::{Next, inside, sign_in_page};
use crate::accounts::openid::{AWAY_AT_MOST, Arrival, Departure, Failure, OpenId};
use crate::accounts::same;
use crate::store;
use crate::web::session::{self, Caller};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// What the cookie is sealed for.
const SEALED_FOR: &str = "openid departure";

/// `GET /sign-in/openid`
///
/// # Errors
/// [`Error::NotFound`] where there is no provider.
pub async fn depart(
    State(state): State<AppState>,
    csrf: Csrf,
    headers: HeaderMap,
    body::Query(Next { next }): body::Query<Next>,
) -> Result<Response> {
    off(&state, &csrf, &headers, inside(&next).to_owned(), None).await
}

/// The token of the page that the link stood on: somebody who is lured to the address must not get somebody
/// else's identity as a second way into their account.
#[derive(Deserialize)]
pub struct Meant {
    #[serde(default)]
    csrf: String,
}

/// `GET /account/openid`: lets somebody who has an account sign in with the provider too.
///
/// # Errors
/// [`Error::NotAllowed`] when it was not one of our pages that led here.
pub async fn link(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    headers: HeaderMap,
    body::Query(meant): body::Query<Meant>,
) -> Result<Response> {
    if !same(csrf.token(), &meant.csrf) {
        return Err(Error::NotAllowed(
            "This link is too old. Go to your account page and use the one there.".into(),
        ));
    }
    off(&state, &csrf, &headers, "/account?done=openid".into(), Some(viewer.person.id)).await
}

async fn off(
    state: &AppState,
    csrf: &Csrf,
    headers: &HeaderMap,
    next: String,
    link_to: Option<uuid::Uuid>,
) -> Result<Response> {
    let provider = provider(state)?;
    match provider.depart(&way_back(state, headers), next.clone(), link_to).await {
        Ok((url, departure)) => {
            let sealed = serde_json::to_string(&departure).map_err(Error::internal)?;
            let sealed = URL_SAFE_NO_PAD.encode(state.store.seal().close(&sealed, SEALED_FOR));
            Ok((set_cookie(state, &sealed)?, Redirect::to(&url)).into_response())
        }
        Err(failure) => failed(state, csrf, next, &failure),
    }
}

fn provider(state: &AppState) -> Result<&OpenId> {
    state
        .openid
        .as_ref()
        .ok_or_else(|| Error::NotFound("Nobody signs in with a provider here. Use name and password.".into()))
}

/// Where the provider sends people back to; the provider has to know this very address.
fn way_back(state: &AppState, headers: &HeaderMap) -> String {
    format!("{}/sign-in/openid/back", origin(state, headers))
}

/// What the provider sends somebody back with.
#[derive(Deserialize)]
pub struct Back {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    error: Option<String>,
}

/// `GET /sign-in/openid/back`
///
/// # Errors
/// Faults of ours; what went wrong at the provider is told on the sign-in page.
pub async fn arrive(
    State(state): State<AppState>,
    viewer: Option<Viewer>,
    from: Caller,
    csrf: Csrf,
    headers: HeaderMap,
    body::Query(back): body::Query<Back>,
) -> Result<Response> {
    let departure = departure(&state, &headers);
    let next = departure.as_ref().map(|departure| departure.next.clone()).unwrap_or_default();
    let gone = set_cookie(&state, "")?;
    let response = match arrival(&state, &headers, departure.as_ref(), back).await {
        Ok((departure, arrival)) => entered(&state, &from, &csrf, viewer, departure, &arrival).await?,
        Err(failure) => failed(&state, &csrf, next, &failure)?,
    };
    Ok((gone, response).into_response())
}

async fn arrival<'d>(
    state: &AppState,
    headers: &HeaderMap,
    departure: Option<&'d Departure>,
    back: Back,
) -> Result<(&'d Departure, Arrival), Failure> {
    let refused = |why: &str| Failure::Refused(why.to_owned());
    let departure = departure.ok_or_else(|| refused("this browser did not depart"))?;
    if let Some(error) = back.error {
        return Err(Failure::Refused(error));
    }
    let provider = state.openid.as_ref().ok_or_else(|| refused("there is no provider any more"))?;
    let arrival = provider.arrive(&way_back(state, headers), departure, back.code, &back.state).await?;
    Ok((departure, arrival))
}

async fn entered(
    state: &AppState,
    from: &Caller,
    csrf: &Csrf,
    viewer: Option<Viewer>,
    departure: &Departure,
    arrival: &Arrival,
) -> Result<Response> {
    if let Some(person) = departure.link_to {
        let Some(viewer) = viewer.filter(|viewer| viewer.person.id == person) else {
            return Err(Error::Conflict(
                "You have signed out, or in as somebody else, meanwhile. Start again.".into(),
            ));
        };
        return match state.store.link_identity(&viewer.person, &arrival.issuer, &arrival.subject).await {
            Ok(()) => Ok(Redirect::to(inside(&departure.next)).into_response()),
            Err(store::Error::Taken { .. }) => Err(Error::Conflict(
                "Somebody else here signs in with that account already. Sign in with it, or ask an admin."
                    .into(),
            )),
            Err(error) => Err(error.into()),
        };
    }
    let Some(person) = state.store.enter_known(arrival).await? else {
        let locked = "This account is locked. Ask your trainer or an admin.".to_owned();
        return sign_in_page(state, csrf, String::new(), String::new(), Some(locked), StatusCode::FORBIDDEN);
    };
    Ok((session::begin(state, from, &person).await?, Redirect::to(inside(&departure.next))).into_response())
}

fn failed(state: &AppState, csrf: &Csrf, next: String, failure: &Failure) -> Result<Response> {
    tracing::warn!(%failure, "web.openid_failed");
    let status = match failure {
        Failure::Provider(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Refused(_) => StatusCode::FORBIDDEN,
    };
    sign_in_page(state, csrf, String::new(), next, Some(failure.sentence().to_owned()), status)
}

fn cookie_name(state: &AppState) -> &'static str {
    if state.secure_cookies() { "__Host-openid" } else { "openid" }
}

/// The cookie with this value; an empty one removes it.
fn set_cookie(
    state: &AppState,
    value: &str,
) -> Result<AppendHeaders<[(header::HeaderName, HeaderValue); 1]>> {
    let seconds = if value.is_empty() { 0 } else { AWAY_AT_MOST.num_seconds() };
    let cookie = Cookie::build((cookie_name(state), value))
        .path("/")
        .http_only(true)
        // Lax: the way back is a navigation that another site begins.
        .same_site(SameSite::Lax)
        .secure(state.secure_cookies())
        .build();
    let text = format!("{cookie}; Max-Age={seconds}");
    Ok(AppendHeaders([(header::SET_COOKIE, HeaderValue::from_str(&text).map_err(Error::internal)?)]))
}

fn departure(state: &AppState, headers: &HeaderMap) -> Option<Departure> {
    let jar = CookieJar::from_headers(headers);
    let sealed = URL_SAFE_NO_PAD.decode(jar.get(cookie_name(state))?.value()).ok()?;
    serde_json::from_str(&state.store.seal().open(&sealed, SEALED_FOR).ok()?).ok()
}
