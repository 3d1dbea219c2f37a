//! Requests that change something must come from our own pages.
//!
//! Two independent defences: the browser's own account of where a request comes from
//! (`Sec-Fetch-Site`, `Origin`; `tower_http`'s layer, see [`super::router`]) and a token that only our pages
//! know. The token is the session's; for somebody who is not signed in yet it is a random value in
//! a cookie of the visit, so that nobody can be signed in to somebody else's account unawares.
//!
//! The token is looked for in the header `x-csrf-token`, in the field `csrf` of a form, and in the
//! first part, named `csrf`, of a multipart form: it has to stand before the files, so that a
//! forged upload is refused before its megabytes are read.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum_extra::extract::cookie::CookieJar;
use futures::StreamExt as _;

use super::error::{Error, Result};
use super::{AppState, session};
use crate::accounts::{new_token, same};

/// The header for requests made by scripts.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// The name of the hidden field.
pub const CSRF_FIELD: &str = "csrf";

/// How far into a multipart body the token is looked for.
const FIRST_PART_BYTES: usize = 4 << 10;

/// The token of this session or visit, for the forms of a page.
#[derive(Clone, Debug)]
pub struct Csrf {
    known: Option<Arc<str>>,
    fresh: Arc<OnceLock<String>>,
}

impl Csrf {
    pub(super) fn new(state: &AppState, of_session: Option<String>, headers: &HeaderMap) -> Self {
        let known = of_session.or_else(|| {
            let jar = CookieJar::from_headers(headers);
            let cookie = jar.get(session::visit_cookie_name(state))?;
            (cookie.value().len() == session::TOKEN_CHARS).then(|| cookie.value().to_owned())
        });
        Self { known: known.map(Arc::from), fresh: Arc::default() }
    }

    /// The value for the hidden field `csrf`, or for the header in a script's request. The first
    /// call in a visit without one makes it.
    #[must_use]
    pub fn token(&self) -> &str {
        match &self.known {
            Some(known) => known,
            None => self.fresh.get_or_init(new_token),
        }
    }

    /// Sets the visit's cookie if a token was made for it.
    pub(super) fn remember(&self, state: &AppState, response: &mut Response) {
        if let Some(fresh) = self.fresh.get()
            && let Ok(cookie) = HeaderValue::from_str(&session::visit_cookie(state, fresh))
        {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// Lets the request through if it carries the token.
    pub(super) async fn check(&self, request: Request) -> Result<Request> {
        let Some(known) = self.known.clone() else { return Err(stale()) };
        let matches = |given: &[u8]| std::str::from_utf8(given).is_ok_and(|given| same(&known, given));
        if let Some(given) = request.headers().get(CSRF_HEADER) {
            return if matches(given.as_bytes()) { Ok(request) } else { Err(stale()) };
        }
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let (parts, body) = request.into_parts();
        let (given, body) = if kind.starts_with("application/x-www-form-urlencoded") {
            let whole = axum::body::to_bytes(body, usize::MAX).await.map_err(super::body::failed(&parts))?;
            (field_of_form(&whole), Body::from(whole))
        } else if kind.starts_with("multipart/form-data") {
            let (start, body) = peek(body).await.map_err(super::body::failed(&parts))?;
            (first_part(&start), body)
        } else {
            (None, body)
        };
        if given.is_some_and(|given| matches(&given)) {
            Ok(Request::from_parts(parts, body))
        } else {
            Err(stale())
        }
    }
}

fn stale() -> Error {
    Error::NotAllowed(
        "This form is too old, or did not come from one of our pages. Go back, reload the page and send \
         it again."
            .into(),
    )
}

/// Where a request came from did not fit; the answer of the layer that looks at `Origin`.
pub(super) fn foreign() -> Error {
    Error::NotAllowed(
        "This request came from another site, so nothing was changed. Open the page here and send it again."
            .into(),
    )
}

/// The field `csrf` of a URL-encoded form.
fn field_of_form(body: &[u8]) -> Option<Vec<u8>> {
    form_urlencoded::parse(body)
        .find(|(name, _)| name == CSRF_FIELD)
        .map(|(_, value)| value.into_owned().into_bytes())
}

/// Reads the beginning of a body, as far as the first part may reach, and gives the whole body back.
async fn peek(body: Body) -> Result<(Bytes, Body), axum::Error> {
    let mut stream = body.into_data_stream();
    let mut start = Vec::new();
    while start.len() < FIRST_PART_BYTES && first_part(&start).is_none() {
        match stream.next().await {
            Some(frame) => start.extend_from_slice(&frame?),
            None => break,
        }
    }
    let start = Bytes::from(start);
    let head = futures::stream::iter([Ok(start.clone())]);
    Ok((start, Body::from_stream(head.chain(stream))))
}

/// The value of the first part if it is named `csrf` and complete (RFC 7578, section 4).
fn first_part(start: &[u8]) -> Option<Vec<u8>> {
    let start = &start[..start.len().min(FIRST_PART_BYTES)];
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let head_end = find(start, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&start[..head_end]).ok()?;
    let (boundary, headers) = head.split_once("\r\n")?;
    if !boundary.starts_with("--") || !headers.contains(&format!("name=\"{CSRF_FIELD}\"")) {
        return None;
    }
    let value = &start[head_end + 4..];
    let end = find(value, format!("\r\n{boundary}").as_bytes())?;
    Some(value[..end].to_vec())
}

impl FromRequestParts<AppState> for Csrf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Error::internal("the route has no guard"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--b0\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\ntoken\r\n--b0\r\n\
        Content-Disposition: form-data; name=\"archive\"; filename=\"a.zip\"\r\n\r\nPK";

    #[test]
    fn the_token_is_found_in_the_first_part_only() {
        assert_eq!(first_part(BODY).as_deref(), Some(&b"token"[..]));
        assert_eq!(first_part(&BODY[..60]), None, "an incomplete part is no token");
        let later = String::from_utf8_lossy(BODY).replacen("name=\"csrf\"", "name=\"other\"", 1);
        assert_eq!(first_part(later.as_bytes()), None);
    }

    #[tokio::test]
    async fn peeking_keeps_the_body_whole() {
        let frames: Vec<Result<Bytes, std::io::Error>> =
            BODY.chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let (start, body) = peek(Body::from_stream(futures::stream::iter(frames))).await.unwrap();
        assert_eq!(first_part(&start).as_deref(), Some(&b"token"[..]));
        assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), BODY);
    }

    #[test]
    fn a_form_field_is_found_anywhere() {
        assert_eq!(field_of_form(b"name=a&csrf=t0ken&x=y").as_deref(), Some(&b"t0ken"[..]));
        assert_eq!(field_of_form(b"csrf=t%2Dk%5F").as_deref(), Some(&b"t-k_"[..]), "escapes are undone");
        assert_eq!(field_of_form(b"xcsrf=t0ken"), None);
    }
}
