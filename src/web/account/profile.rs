//! One's own account: the password, and where one is signed in.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Provider, rendered};
use crate::accounts::passwords::SHORTEST_PASSWORD;
use crate::accounts::{SignInKey, check_password};
use crate::store::OpenSession;
use crate::web::page::Frame;
use crate::web::session::{self, Caller, session_hash};
use crate::web::words::{Ago, Moment};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

#[derive(Template)]
#[template(path = "account/profile.html")]
pub(crate) struct ProfilePage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    pub(crate) has_password: bool,
    pub(crate) password_min: usize,
    pub(crate) openid: Option<Provider>,
    /// Whether they sign in with the provider already.
    pub(crate) linked: bool,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) refusal: Option<String>,
    pub(crate) done: Option<&'static str>,
}

/// A browser somewhere.
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) since: Moment,
    pub(crate) seen: Ago,
    /// Whether it is the one that the page is shown in.
    pub(crate) here: bool,
}

/// What was done just before.
#[derive(Deserialize)]
pub struct Done {
    #[serde(default)]
    done: String,
}

/// `GET /account`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    headers: HeaderMap,
    body::Query(Done { done }): body::Query<Done>,
) -> Result<Response> {
    let done = match done.as_str() {
        "password" => Some("The new password holds. You are signed out everywhere else."),
        "sessions" => Some("Signed out there."),
        "openid" => Some("Connected. From now on you can sign in that way too."),
        _ => None,
    };
    page(&state, &viewer, &csrf, &headers, None, done).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    headers: &HeaderMap,
    refused: Option<Error>,
    done: Option<&'static str>,
) -> Result<Response> {
    let here = session_hash(state, headers);
    let now = state.clock.now();
    let sessions = state.store.sessions_of(viewer.person.id).await?;
    let row = |session: OpenSession| SessionRow {
        here: here.is_some_and(|here| session.token_hash == here),
        id: hex(&session.token_hash),
        what: browser(&session.agent),
        since: Moment(session.created_at),
        seen: Ago { at: session.seen_at, now },
    };
    let status = refused.as_ref().map_or(StatusCode::OK, Error::status);
    let page = ProfilePage {
        frame: Frame::new(Some(viewer), csrf).at("/account", "Account"),
        name: crate::text::visible(&viewer.person.name).into_owned(),
        has_password: !viewer.person.password_hash.is_empty(),
        password_min: SHORTEST_PASSWORD,
        openid: state.openid.as_ref().map(|openid| Provider {
            name: openid.name().to_owned(),
            // Tokens are base64url, which an address gives no meaning.
            href: format!("/account/openid?csrf={}", csrf.token()),
        }),
        linked: state.store.identities_of(viewer.person.id).await? > 0,
        sessions: sessions.into_iter().map(row).collect(),
        refusal: refused.map(|refused| refused.to_string()),
        done,
    };
    rendered(&page, status)
}

/// The old password and the new one.
#[derive(Deserialize)]
pub struct NewPassword {
    current: String,
    new: String,
}

/// `POST /account/password`: every other session ends, this browser gets a new one.
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn change_password(
    State(state): State<AppState>,
    viewer: Viewer,
    from: Caller,
    csrf: Csrf,
    headers: HeaderMap,
    body::Form(form): body::Form<NewPassword>,
) -> Result<Response> {
    match changed(&state, &viewer, &form).await {
        Ok(()) => {
            let entered = session::begin(&state, &from, &viewer.person).await?;
            Ok((entered, Redirect::to("/account?done=password")).into_response())
        }
        Err(refused) if refused.status().is_client_error() => {
            page(&state, &viewer, &csrf, &headers, Some(refused), None).await
        }
        Err(error) => Err(error),
    }
}

async fn changed(state: &AppState, viewer: &Viewer, form: &NewPassword) -> Result<()> {
    let person = &viewer.person;
    let refused = |sentence: String| Error::Refused(sentence.into());
    // Whoever finds a browser that is signed in must not guess the password there.
    let key = SignInKey::Name(&person.name);
    if let Some(until) = state.store.sign_in_blocked_until(key).await? {
        return Err(session::blocked(state, until));
    }
    if person.password_hash.is_empty() {
        return Err(refused("You sign in without a password here, so there is none to change.".into()));
    }
    let hash = Some(person.password_hash.as_str());
    if !state.passwords.verify(&form.current, hash).await.map_err(Error::internal)? {
        state.store.note_failed_sign_in(key).await?;
        return Err(refused("That is not your current password. Type it again.".into()));
    }
    check_password(&form.new, &person.name).map_err(|refusal| refused(refusal.to_string()))?;
    let hash = state.passwords.hash(&form.new).await.map_err(Error::internal)?;
    state.store.set_password(person.id, &hash).await?;
    tracing::info!(person = %person.id, "web.password_changed");
    Ok(())
}

/// Which session is to end; `others` for all but the one that asks.
#[derive(Deserialize)]
pub struct End {
    end: String,
}

/// `POST /account/sessions`
///
/// # Errors
/// [`Error::BadRequest`] for what names no session.
pub async fn end_sessions(
    State(state): State<AppState>,
    viewer: Viewer,
    headers: HeaderMap,
    body::Form(End { end }): body::Form<End>,
) -> Result<Response> {
    let here = session_hash(&state, &headers).unwrap_or_default();
    if end == "others" {
        state.store.end_other_sessions(viewer.person.id, &here).await?;
    } else {
        let Some(hash) = unhex(&end) else {
            return Err(Error::BadRequest("This names no session. Reload the page and try again.".into()));
        };
        state.store.end_session_of(viewer.person.id, &hash).await?;
        if hash == here {
            return Ok(Redirect::to("/sign-in").into_response());
        }
    }
    Ok(Redirect::to("/account?done=sessions").into_response())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().as_chunks::<2>();
    if !pairs.1.is_empty() || text.len() != 64 {
        return None;
    }
    pairs.0.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A browser and its system in a few words, from what it calls itself. Every browser names others too, so that
/// the order counts.
fn browser(agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Another browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{browser, hex, unhex};

    #[test]
    fn browsers_are_told_apart_by_what_they_call_themselves() {
        for (agent, said) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.0", "Another browser"),
            ("", "Another browser"),
        ] {
            assert_eq!(browser(agent), said, "{agent}");
        }
    }

    #[test]
    fn a_session_is_named_in_hex() {
        let hash: Vec<u8> = (0..32).map(|byte| byte * 8).collect();
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        for wrong in ["", "00", "zz", &"é".repeat(32), &"0".repeat(63)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
