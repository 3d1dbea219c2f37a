//! How a registry lets in: not at all, with a user name, or with a token from elsewhere (the distribution
//! project's token authentication specification, and RFC 7235).

use hyper::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use crate::submissions::remote::client::{Ask, Client, basic, named};
use crate::submissions::remote::{Credentials, FetchError};

/// The most of an answer with a token.
const TOKEN_BYTES: u64 = 256 << 10;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token from the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What the headers of an answer ask for; a token where there is a choice, as Docker chooses.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut found: Vec<Challenge> = values.filter_map(read).collect();
    let bearer = found.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    if found.is_empty() { None } else { Some(found.swap_remove(bearer.unwrap_or(0))) }
}

fn read(value: &str) -> Option<Challenge> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service) = (None, None);
    let mut rest = rest;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            // A quoted value may have commas in it; none of those that are asked for has a quote.
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        match name.trim_matches([' ', ',']).to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value.to_owned()),
            "service" => service = Some(value.to_owned()),
            _ => {}
        }
        rest = left;
    }
    Some(Challenge::Bearer { realm: realm?, service })
}

/// `Authorization` for a challenge. `repository` alone is asked for, whatever the registry proposes.
pub(super) async fn answer(
    client: &Client,
    challenge: &Challenge,
    registry: &Url,
    repository: &str,
    credentials: Option<&Credentials>,
) -> Result<Option<HeaderValue>, FetchError> {
    let Challenge::Bearer { realm, service } = challenge else {
        return Ok(basic(credentials));
    };
    let wrong = || {
        FetchError::refused(format!(
            "{} sends to a place for tokens that is none; its administrator has to mend it.",
            named(registry)
        ))
    };
    let mut url = Url::parse(realm).map_err(|_| wrong())?;
    let downgraded = url.scheme() == "http" && registry.scheme() == "https";
    let has_secret = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || downgraded || has_secret {
        return Err(wrong());
    }
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &format!("repository:{repository}:pull"));
    }
    let answer = client.send(Ask::get(url).with(basic(credentials)), TOKEN_BYTES).await?;
    if !answer.status.is_success() {
        return Err(refused(registry, credentials.is_some()));
    }
    let token: Token = serde_json::from_slice(&answer.whole().await?).map_err(|_| wrong())?;
    let token = token.token.or(token.access_token).ok_or_else(wrong)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Nobody is let in, or not with these credentials.
pub(super) fn refused(registry: &Url, with_credentials: bool) -> FetchError {
    let host = named(registry);
    FetchError::refused(if with_credentials {
        format!(
            "{host} does not open this image to the user name and token that were given; look at the \
             reference, and at whether the token may read it and is still valid."
        )
    } else {
        format!(
            "{host} does not give out this image to everybody: it is private, or does not exist; look at the \
             reference, make it public, or give a token that may read it."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_they_are_written() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (value, wanted) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"a:b:pull,push\"",
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            ("bearer service=r, realm=\"https://a/t?x=1\"", bearer("https://a/t?x=1", Some("r"))),
            ("Bearer realm=\"https://a", None),
            ("Bearer service=\"a\"", None),
            ("Negotiate", None),
        ] {
            assert_eq!(read(value), wanted, "{value}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(challenge(&headers), None);
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"));
        assert_eq!(challenge(&headers), Some(Challenge::Basic));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"https://t\""));
        assert_eq!(challenge(&headers), bearer("https://t", None));
    }
}
