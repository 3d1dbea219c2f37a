//! One HTTP/1.1 request to a service that may do its worst.
//!
//! No redirect is followed and nothing is decompressed, so a body cannot grow beyond what came over
//! the wire; hyper bounds the head (buffer and number of headers), we bound body and time.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{micros, silence};
use crate::clock::{Clock, Stopwatch};
use crate::sandbox::network::{HttpRequest, Silence};
use crate::sandbox::protocol::Reply;

/// The most that is kept of a body, whatever the caller asks: a pod has little memory.
const BODY_BYTES: u64 = 8 << 20;
/// The most that a response's head may have.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 256;

/// Asks, at most `request.within` long. The time includes the body; a body that has not ended by
/// then is kept as far as it came.
pub(super) async fn ask(address: IpAddr, host: &str, request: HttpRequest) -> Reply {
    let watch = Clock::system().stopwatch();
    let (port, within, cap) = (request.port, request.within, request.cap_bytes.min(BODY_BYTES));
    let request = match build(host, request) {
        Ok(request) => request,
        Err(cause) => return Reply::Unable(cause),
    };
    let head = async {
        let (mut sender, connection) = open(address, port).await?;
        let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
        // The sender lives until the body is read: some servers end early when their client
        // half-closes.
        Ok::<_, Silence>((response, sender, connection))
    };
    match tokio::time::timeout(within, head).await {
        Err(_) => Reply::Silent(Silence::TimedOut),
        Ok(Err(silence)) => Reply::Silent(silence),
        Ok(Ok((response, _sender, _connection))) => read(response, cap, within, watch).await,
    }
}

/// A connection on which requests can be made.
pub(super) async fn open(
    address: IpAddr,
    port: u16,
) -> Result<(http1::SendRequest<Full<Bytes>>, Connection), Silence> {
    let stream = TcpStream::connect((address, port)).await.map_err(|error| silence(&error))?;
    // Small requests and answers: do not wait for more to send.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| garbled(&error))?;
    let moving = tokio::spawn(async move {
        // An error of the connection is seen by whoever reads the response.
        let _ = connection.with_upgrades().await;
    });
    Ok((sender, Connection(moving)))
}

/// The task that moves a connection's bytes; ended when nobody reads any more.
pub(super) struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn build(host: &str, request: HttpRequest) -> Result<hyper::Request<Full<Bytes>>, String> {
    let host = request.host.unwrap_or_else(|| host.to_owned());
    let mut built = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(request.path.as_str())
        .body(Full::new(request.body.unwrap_or_default()))
        .map_err(|error| format!("{} {} is not a request ({error})", request.method, request.path))?;
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("\"{name}\" cannot be the name of a header"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("\"{value}\" cannot be the value of the header {name}"))?;
        built.headers_mut().append(name, value);
    }
    if !built.headers().contains_key(HOST) {
        let value =
            HeaderValue::from_str(&host).map_err(|_| format!("\"{host}\" cannot be the Host header"))?;
        built.headers_mut().insert(HOST, value);
    }
    built.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    Ok(built)
}

pub(super) async fn read(
    response: hyper::Response<Incoming>,
    cap: u64,
    within: Duration,
    watch: Stopwatch,
) -> Reply {
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    let cap = usize::try_from(cap).unwrap_or(usize::MAX);
    let reading = async {
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| garbled(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            let kept = data.len().min(cap - body.len());
            body.extend_from_slice(&data[..kept]);
            if kept < data.len() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let left = within.saturating_sub(watch.elapsed());
    let truncated = match tokio::time::timeout(left, reading).await {
        Ok(Ok(truncated)) => truncated,
        Ok(Err(silence)) => return Reply::Silent(silence),
        Err(_) => true,
    };
    let headers = listed(&parts.headers);
    Reply::Http { status: parts.status.as_u16(), headers, body, truncated, micros: micros(watch.elapsed()) }
}

pub(super) fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// hyper's errors in words for someone who looks at a server, not at hyper.
pub(super) fn garbled(error: &hyper::Error) -> Silence {
    use std::error::Error as _;
    let words = if error.is_incomplete_message() {
        "it closed the connection before its response was complete".to_owned()
    } else if error.is_parse_too_large() {
        "the head of its response is too large".to_owned()
    } else if error.is_parse() {
        format!("its answer is not HTTP/1.1 ({error})")
    } else if let Some(cause) = error.source() {
        format!("the connection broke ({cause})")
    } else {
        format!("the connection broke ({error})")
    };
    Silence::Garbled(words)
}
