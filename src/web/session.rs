//! Who is asking: sessions in cookies, bearer tokens of the API, and what begins and ends them.
//!
//! A token is 256 random bits. The store keeps only its SHA-256, so that a stolen database opens
//! no session. The cookie is `HttpOnly` and `SameSite=Lax`; `Secure` and `__Host-` everywhere but
//! on the loopback address (see [`AppState::secure_cookies`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponseParts, ResponseParts};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use chrono::{DateTime, TimeDelta, Utc};

use super::AppState;
use super::access::{Credential, Viewer};
use super::error::{Error, Result};
use crate::accounts::{SignInKey, canonical_join_code, check_password, clean_name, hash_token, new_token};
use crate::store::{self, Cohort, Person};

/// Characters of a token: 32 bytes in unpadded base64url.
pub(super) const TOKEN_CHARS: usize = 43;

/// A session ends after so long without a request, and in any case after `sessions.lifetime`.
const IDLE: Duration = Duration::from_hours(24);
/// How much a session has to gain to be written again.
const IDLE_STEP: TimeDelta = TimeDelta::hours(1);

/// Somebody found by their cookie or token.
pub(super) struct Identity {
    pub(super) viewer: Viewer,
    /// The session's CSRF token; none for bearer tokens.
    pub(super) csrf: Option<String>,
}

/// Finds out who asks: by `Authorization: Bearer` on the API, by the session's cookie elsewhere
/// and, for requests of our own pages to the API, there too.
pub(super) async fn identify(state: &AppState, api: bool, headers: &HeaderMap) -> Result<Option<Identity>> {
    if api && let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let token = authorization
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(Error::BadToken)?;
        let person = state.store.person_by_api_token(&hash_token(token)).await?.ok_or(Error::BadToken)?;
        let viewer = viewer(state, person, Credential::Token).await?;
        return Ok(Some(Identity { viewer, csrf: None }));
    }
    let Some(hash) = session_hash(state, headers) else { return Ok(None) };
    let Some(session) = state.store.session(&hash).await? else { return Ok(None) };
    // Written now and then only, not with every request.
    let until = (state.clock.now() + IDLE).min(session.created_at + state.settings.sessions.lifetime);
    if until - session.expires_at > IDLE_STEP {
        state.store.extend_session(&hash, until).await?;
    }
    let viewer = viewer(state, session.person, Credential::Session).await?;
    Ok(Some(Identity { viewer, csrf: Some(session.csrf) }))
}

async fn viewer(state: &AppState, person: Person, credential: Credential) -> Result<Viewer> {
    let cohorts = state.store.cohorts_of(person.id).await?;
    Ok(Viewer { person, cohorts, credential })
}

/// Somebody who has just come in; as part of a response it sets the session's cookie.
#[must_use]
pub struct Entered {
    cookie: String,
}

impl IntoResponseParts for Entered {
    type Error = Error;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts> {
        let cookie = HeaderValue::from_str(&self.cookie).map_err(Error::internal)?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }
}

pub(super) fn session_cookie_name(state: &AppState) -> &'static str {
    if state.secure_cookies() { "__Host-session" } else { "session" }
}

pub(super) fn visit_cookie_name(state: &AppState) -> &'static str {
    if state.secure_cookies() { "__Host-visit" } else { "visit" }
}

pub(super) fn visit_cookie(state: &AppState, token: &str) -> String {
    cookie(state, visit_cookie_name(state), token).to_string()
}

fn cookie<'a>(state: &AppState, name: &'a str, value: &'a str) -> Cookie<'a> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.secure_cookies())
        .build()
}

/// Who sends a request, as far as that shows before they say their name.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it came from: the peer, or what a reverse proxy on this very machine says about it (the last
    /// entry of `X-Forwarded-For`: those before it are the client's own words).
    pub address: IpAddr,
    /// What the browser calls itself; may be empty.
    pub agent: String,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([127, 0, 0, 1]), |ConnectInfo(address)| address.ip());
        let forwarded = || {
            let value = parts.headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            value.rsplit(',').next()?.trim().parse().ok()
        };
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: if peer.is_loopback() { forwarded().unwrap_or(peer) } else { peer },
            agent: agent.unwrap_or_default().to_owned(),
        })
    }
}

/// Signs somebody in: a new session with a new token, whatever cookie they came with.
///
/// Name and address are counted for every failure, so that neither one password can be guessed from
/// many places nor many names tried from one. A name that nobody has takes as long as a wrong
/// password and gives the same answer.
///
/// # Errors
/// [`Error::Refused`] when name and password do not fit, [`Error::TooMany`] after too many failures.
pub async fn sign_in(state: &AppState, from: &Caller, name: &str, password: &str) -> Result<Entered> {
    let keys = [SignInKey::Name(name), SignInKey::Address(from.address)];
    for key in keys {
        if let Some(until) = state.store.sign_in_blocked_until(key).await? {
            return Err(blocked(state, until));
        }
    }
    let person = state.store.person_by_name(name).await?;
    // Without a hash somebody signs in with an OpenID provider alone.
    let person = person.filter(|person| person.deactivated_at.is_none() && !person.password_hash.is_empty());
    let hash = person.as_ref().map(|person| person.password_hash.as_str());
    let fits = state.passwords.verify(password, hash).await.map_err(Error::internal)?;
    let Some(person) = person.filter(|_| fits) else {
        for key in keys {
            state.store.note_failed_sign_in(key).await?;
        }
        tracing::info!(address = %from.address, "web.sign_in_failed");
        return Err(Error::Refused(
            "Name and password do not fit together. Check both; your trainer can make a link with \
             which you choose a new password."
                .into(),
        ));
    };
    // The address keeps its count: one success must not buy more guesses at other names.
    state.store.clear_failed_sign_ins(keys[0]).await?;
    begin(state, from, &person).await
}

/// Begins a session of somebody who has shown who they are.
///
/// # Errors
/// Faults of ours.
pub async fn begin(state: &AppState, from: &Caller, person: &Person) -> Result<Entered> {
    let token = new_token();
    let lifetime = state.settings.sessions.lifetime.min(IDLE);
    state.store.create_session(person.id, &hash_token(&token), &new_token(), lifetime).await?;
    entered(state, from, person, &token).await
}

pub(super) fn blocked(state: &AppState, until: DateTime<Utc>) -> Error {
    let wait = (until - state.clock.now()).to_std().unwrap_or_default().max(Duration::from_secs(1));
    Error::TooMany {
        sentence: format!(
            "Too many sign-ins failed. Wait {} and try again.",
            crate::units::Span(wait_rounded(wait))
        )
        .into(),
        retry_after: wait_rounded(wait),
    }
}

/// Up to the next whole second.
fn wait_rounded(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// Joins a cohort with a new account, signed in at once.
///
/// # Errors
/// [`Error::Refused`] with a sentence about the name or the password, [`Error::Conflict`] for a name
/// that is taken, [`Error::NotFound`] for an unknown code.
pub async fn join(
    state: &AppState,
    from: &Caller,
    code: &str,
    name: &str,
    password: &str,
) -> Result<Entered> {
    let cohort = cohort_by_code(state, from, code).await?;
    let name = clean_name(name).map_err(|refusal| Error::Refused(refusal.to_string().into()))?;
    check_password(password, &name).map_err(|refusal| Error::Refused(refusal.to_string().into()))?;
    if state.store.person_by_name(&name).await?.is_some() {
        return Err(name_taken());
    }
    let hash = state.passwords.hash(password).await.map_err(Error::internal)?;
    let token = new_token();
    let lifetime = state.settings.sessions.lifetime.min(IDLE);
    let joined = state.store.join(cohort.id, &name, &hash, &hash_token(&token), &new_token(), lifetime).await;
    let person = joined.map_err(|error| match error {
        store::Error::Taken { field: "name" } => name_taken(),
        other => other.into(),
    })?;
    entered(state, from, &person, &token).await
}

fn name_taken() -> Error {
    Error::Conflict(
        "Somebody here already has this name. If it is you, sign in instead; if not, add a letter or your \
         surname."
            .into(),
    )
}

/// The open cohort behind a join code. Guessing codes is throttled like guessing passwords.
///
/// # Errors
/// [`Error::NotFound`] for a code that no open cohort has, [`Error::TooMany`] after too many of those.
pub async fn cohort_by_code(state: &AppState, from: &Caller, code: &str) -> Result<Cohort> {
    let key = SignInKey::Address(from.address);
    if let Some(until) = state.store.sign_in_blocked_until(key).await? {
        return Err(blocked(state, until));
    }
    let cohort = match canonical_join_code(code) {
        Some(code) => state.store.cohort_by_join_code(&code).await?,
        None => None,
    };
    let Some(cohort) = cohort else {
        state.store.note_failed_sign_in(key).await?;
        return Err(Error::NotFound(
            "No cohort has this join code. Compare it with what your trainer shows, letter by letter.".into(),
        ));
    };
    if cohort.closed_at.is_some_and(|closed| closed <= state.clock.now()) {
        return Err(Error::NotFound("This cohort is closed. Ask your trainer for a new join code.".into()));
    }
    Ok(cohort)
}

/// Ends the session of the cookie that came along, here and in the store.
///
/// # Errors
/// A fault of ours when the store fails; the session then still stands.
pub async fn sign_out(state: &AppState, headers: &HeaderMap) -> Result<Left> {
    if let Some(hash) = session_hash(state, headers) {
        state.store.end_session(&hash).await?;
    }
    let mut gone = cookie(state, session_cookie_name(state), "");
    gone.make_removal();
    Ok(Left { cookie: gone.to_string() })
}

/// The hash of the session's token that came with a request, by which the store knows the session.
pub(super) fn session_hash(state: &AppState, headers: &HeaderMap) -> Option<[u8; 32]> {
    let jar = CookieJar::from_headers(headers);
    jar.get(session_cookie_name(state)).map(|cookie| hash_token(cookie.value()))
}

async fn entered(state: &AppState, from: &Caller, person: &Person, token: &str) -> Result<Entered> {
    state.store.note_agent(&hash_token(token), &from.agent).await?;
    tracing::info!(person = %person.id, "web.entered");
    Ok(Entered { cookie: cookie(state, session_cookie_name(state), token).to_string() })
}

/// Somebody who has just signed out; as part of a response it removes the cookie and whatever the
/// browser kept of our pages.
#[must_use]
pub struct Left {
    cookie: String,
}

impl IntoResponseParts for Left {
    type Error = Error;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts> {
        let cookie = HeaderValue::from_str(&self.cookie).map_err(Error::internal)?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
        Ok(response)
    }
}
