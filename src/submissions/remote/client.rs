//! The one HTTP client of this room.
//!
//! It is hyper with a connector of ours, and nothing between that could follow, unpack, remember or send more
//! than is written here: no proxy of the environment, no cookies, no unpacking of bodies. Redirects are
//! followed by hand, each one judged as if it had been typed, and a secret never goes to another host.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::CertificateError;
use tokio::time::timeout;
use url::Url;

use super::connect::{Connector, NoConnection};
use super::error::causes;
use super::reach::Reach;
use super::{Credentials, FetchError};
use crate::submissions::refusal::shown;
use crate::units::{ByteSize, Span};

/// How many redirects are followed in a row.
const REDIRECTS: usize = 5;
/// How long an answer's head is waited for, from the start of the connection: servers count and pack before
/// they begin.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long the next bytes of a body are waited for.
const NEXT_WITHIN: Duration = Duration::from_secs(30);
/// How we call ourselves.
const USER_AGENT: &str = concat!("drydock/", env!("CARGO_PKG_VERSION"));

/// The one HTTP client of this room. Clones share their connections.
#[derive(Clone)]
pub(super) struct Client {
    pool: Pool<HttpsConnector<Connector>, Full<Bytes>>,
    reach: Reach,
}

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// `Authorization`, for the host of `url` alone.
    pub(super) secret: Option<HeaderValue>,
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: Vec::new(), body: Bytes::new(), secret: None }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    pub(super) fn with(mut self, secret: Option<HeaderValue>) -> Self {
        self.secret = secret;
        self
    }
}

/// An answer, its body still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, after all redirects.
    pub(super) url: Url,
    body: Incoming,
    received: u64,
    most: u64,
}

impl Client {
    pub(super) fn new(reach: Reach) -> Result<Self, String> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(crate::tls::client_config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector { reach: reach.clone() });
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(4)
            .build(connector);
        Ok(Self { pool, reach })
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Sends a request and follows where it is sent on to. At most `most` bytes of the body are taken.
    pub(super) async fn send(&self, ask: Ask, most: u64) -> Result<Answer, FetchError> {
        let mut ask = ask;
        for _ in 0..=REDIRECTS {
            let answer = self.once(&ask, most).await?;
            let Some(next) = next(&answer)? else { return Ok(answer) };
            if ask.method != Method::GET {
                return Err(FetchError::refused(format!(
                    "{} sends a request on that has content; write the address that it sends on to, which is \
                     one of {}.",
                    named(&ask.url),
                    named(&next)
                )));
            }
            if next.scheme() == "http" && ask.url.scheme() == "https" {
                return Err(FetchError::refused(format!(
                    "{} sends on to an address without TLS, which is not followed; write the address that it \
                     sends on to.",
                    named(&ask.url)
                )));
            }
            if next.origin() != ask.url.origin() {
                ask.secret = None;
            }
            ask.url = next;
        }
        Err(FetchError::refused(format!(
            "{} sends on to other addresses more than {REDIRECTS} times; write the last of them.",
            named(&ask.url)
        )))
    }

    async fn once(&self, ask: &Ask, most: u64) -> Result<Answer, FetchError> {
        let Ask { method, url, headers, body, secret } = ask;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
        if secret.is_some() && url.scheme() == "http" && !self.reach.plain(host, port) {
            return Err(FetchError::refused(format!(
                "{} is spoken to without TLS, and a password or token could be read on the way; write the \
                 address with `https://`.",
                named(url)
            )));
        }
        let unusable = || FetchError::refused(format!("The address of {} cannot be used.", named(url)));
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(body.clone()))
            .map_err(|_| unusable())?;
        for (name, value) in headers {
            request.headers_mut().append(name, value.clone());
        }
        if let Some(secret) = secret {
            request.headers_mut().insert(header::AUTHORIZATION, secret.clone());
        }
        let answer = timeout(HEAD_WITHIN, self.pool.request(request))
            .await
            .map_err(|late| {
                let sentence =
                    format!("{} does not answer within {}; try again later.", named(url), Span(HEAD_WITHIN));
                FetchError::Unreachable(sentence, late.to_string())
            })?
            .map_err(|error| unanswered(url, &error))?;
        let (head, body) = answer.into_parts();
        let answer =
            Answer { status: head.status, headers: head.headers, url: url.clone(), body, received: 0, most };
        if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(FetchError::Unreachable(
                format!("{} cannot answer at the moment ({}); try again later.", named(url), answer.status),
                format!("status {}", answer.status),
            ));
        }
        Ok(answer)
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            let lost = |cause: String| {
                let sentence = format!("The connection to {} was lost; try again later.", named(&self.url));
                FetchError::Unreachable(sentence, cause)
            };
            let frame = match timeout(NEXT_WITHIN, self.body.frame()).await {
                Err(late) => return Err(lost(late.to_string())),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(lost(causes(&error))),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing that is wanted.
            let Ok(data) = frame.into_data() else { continue };
            self.received += data.len() as u64;
            if self.received > self.most {
                return Err(FetchError::refused(format!(
                    "What {} sends is larger than {}, which is the limit; leave out what is not needed.",
                    named(&self.url),
                    ByteSize(self.most)
                )));
            }
            return Ok(Some(data));
        }
    }

    /// The whole body.
    pub(super) async fn whole(mut self) -> Result<Bytes, FetchError> {
        let mut whole = Vec::new();
        while let Some(data) = self.chunk().await? {
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    }

    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Where an answer sends on to.
fn next(answer: &Answer) -> Result<Option<Url>, FetchError> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let nowhere =
        || FetchError::refused(format!("{} sends on to nowhere; look at the address.", named(&answer.url)));
    let location = answer.header(&header::LOCATION).ok_or_else(nowhere)?;
    let mut next = answer.url.join(location).map_err(|_| nowhere())?;
    if !matches!(next.scheme(), "http" | "https") || next.host_str().is_none() {
        return Err(nowhere());
    }
    let _ = next.set_username("");
    let _ = next.set_password(None);
    next.set_fragment(None);
    Ok(Some(next))
}

/// A host in a sentence.
pub(super) fn named(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    shown(host.as_bytes())
}

/// Why there is no answer.
fn unanswered(url: &Url, error: &legacy::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(why) = inner.downcast_ref::<NoConnection>() {
            let sentence = match why {
                NoConnection::Forbidden => {
                    return FetchError::refused(format!(
                        "There is no host {} that may be spoken to from here: it has no address on the public \
                         Internet; look for a mistake in it, or ask an administrator to allow the host \
                         (`fetch.allowed_hosts`).",
                        named(url)
                    ));
                }
                NoConnection::Resolver(_) => {
                    format!("The name {} cannot be looked up at the moment; try again later.", named(url))
                }
                NoConnection::Failed(_) => {
                    format!("There is no connection to {} at the moment; try again later.", named(url))
                }
            };
            return FetchError::Unreachable(sentence, causes(why));
        }
        if let Some(why) = tls_fault(inner) {
            return FetchError::refused(format!(
                "The certificate of {} is not trusted here ({why}); have it mended, or ask an administrator to \
                 install the authority that signed it.",
                named(url)
            ));
        }
        cause = inner.source();
    }
    let sentence = format!("The connection to {} was lost; try again later.", named(url));
    FetchError::Unreachable(sentence, causes(error))
}

/// What is wrong with a certificate, where that is what is wrong.
fn tls_fault(error: &(dyn Error + 'static)) -> Option<&'static str> {
    // TLS comes as an error of input and output, which may be inside of another one.
    if let Some(outer) = error.downcast_ref::<std::io::Error>() {
        return tls_fault(outer.get_ref()?);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(why) => Some(match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it is over",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another host"
            }
            CertificateError::UnknownIssuer => "nobody who is known here signed it",
            _ => "it is not valid",
        }),
        _ => None,
    }
}

/// The header of credentials, if there are any.
pub(super) fn basic(credentials: Option<&Credentials>) -> Option<HeaderValue> {
    credentials.map(Credentials::basic)
}

/// Ends what takes too long.
pub(super) async fn at_most<T>(
    within: Duration,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    match timeout(within, work).await {
        Ok(done) => done,
        Err(late) => Err(FetchError::Unreachable(
            format!(
                "It takes longer than {} to fetch this, longer than is waited; try again later, with less in it \
                 if it stays so.",
                Span(within)
            ),
            late.to_string(),
        )),
    }
}
