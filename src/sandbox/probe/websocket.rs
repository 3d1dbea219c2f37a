//! WebSocket connections (RFC 6455) to a service that may do its worst.
//!
//! The handshake is ours, over hyper as every other HTTP request, so that a refusal is seen as it came;
//! the frames are tungstenite's, which bounds each message. We bound how many there are, and time.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::stream::SelectAll;
use futures::{SinkExt as _, StreamExt as _};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rand::distr::{Alphanumeric, SampleString as _};
use sha1::{Digest as _, Sha1};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::Pieces;
use super::http::{self, garbled};
use crate::clock::Clock;
use crate::sandbox::network::{HttpRequest, Silence, TcpEnd, WebSocketEvent, WebSocketTalk};
use crate::sandbox::protocol::Reply;

/// The largest message that is taken.
const MESSAGE_BYTES: usize = 64 << 10;
/// The most messages, whatever their size.
const MESSAGES: usize = 1000;
/// The most that is handed on of all messages, whatever the caller asks.
const ALL_BYTES: u64 = 1 << 20;
/// How long clients wait to be answered before the first one speaks, where there are several.
const SETTLE: Duration = Duration::from_millis(300);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// An attempt to open a connection.
enum Handshake {
    Opened(Box<Socket>, Vec<(String, String)>),
    Refused(Reply),
}

/// Opens the connections, says what is to be said and listens, at most `talk.request.within` long.
pub(super) async fn talk(address: IpAddr, host: &str, talk: WebSocketTalk, pieces: &Pieces) -> Reply {
    let watch = Clock::system().stopwatch();
    let WebSocketTalk { request, clients, send } = talk;
    let within = request.within;
    let cap = usize::try_from(request.cap_bytes.min(ALL_BYTES)).unwrap_or(usize::MAX);
    let mut sockets = Vec::new();
    let opening = async {
        for client in 0..clients {
            match open(address, host, request.clone()).await? {
                Handshake::Opened(socket, headers) => {
                    pieces.send(Reply::WebSocket(WebSocketEvent::Opened { client, headers })).await;
                    sockets.push(*socket);
                }
                Handshake::Refused(reply) => return Ok(Some(reply)),
            }
        }
        Ok(None)
    };
    match tokio::time::timeout(within, opening).await {
        Err(_) => return Reply::Silent(Silence::TimedOut),
        Ok(Err(reply) | Ok(Some(reply))) => return reply,
        Ok(Ok(None)) => {}
    }
    let left = within.saturating_sub(watch.elapsed());
    let end = tokio::time::timeout(left, converse(sockets, send, cap, pieces)).await;
    Reply::Ended(end.unwrap_or(TcpEnd::TimedOut))
}

/// RFC 6455, 4.1. The error is the answer to whoever asked.
async fn open(address: IpAddr, host: &str, mut request: HttpRequest) -> Result<Handshake, Reply> {
    let watch = Clock::system().stopwatch();
    let key = BASE64_STANDARD.encode(Alphanumeric.sample_string(&mut rand::rng(), 16));
    for (name, value) in [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, &key),
    ] {
        request.headers.push((name.to_string(), value.to_owned()));
    }
    let (port, within, cap) = (request.port, request.within, request.cap_bytes.min(ALL_BYTES));
    let request = http::build(host, request).map_err(Reply::Unable)?;
    let (mut sender, connection) = http::open(address, port).await.map_err(Reply::Silent)?;
    let mut response = sender.send_request(request).await.map_err(|error| Reply::Silent(garbled(&error)))?;
    if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
        let reply = http::read(response, cap, within, watch).await;
        drop(connection);
        return Ok(Handshake::Refused(reply));
    }
    accepted(response.headers(), &key).map_err(|how| Reply::Silent(Silence::Garbled(how)))?;
    let headers = http::listed(response.headers());
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| Reply::Silent(garbled(&error)))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
    Ok(Handshake::Opened(Box::new(socket), headers))
}

/// Whether the answer with status 101 is one to our handshake.
fn accepted(headers: &HeaderMap, key: &str) -> Result<(), String> {
    let tokens = |name: HeaderName| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|token| token.trim().to_owned()).collect::<Vec<_>>()
    };
    for (name, wanted) in [(UPGRADE, "websocket"), (CONNECTION, "Upgrade")] {
        if !tokens(name.clone()).iter().any(|token| token.eq_ignore_ascii_case(wanted)) {
            return Err(format!("it answered with status 101, but without `{name}: {wanted}`"));
        }
    }
    if tokens(SEC_WEBSOCKET_ACCEPT) != [answer_to(key)] {
        return Err(
            "it answered with status 101, but its `sec-websocket-accept` is not the answer to the key".into(),
        );
    }
    Ok(())
}

/// What proves that a server understood the handshake (RFC 6455, 1.3).
pub(super) fn answer_to(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

async fn converse(sockets: Vec<Socket>, send: Option<String>, cap: usize, pieces: &Pieces) -> TcpEnd {
    let clients = sockets.len();
    let (mut sinks, mut incoming) = (Vec::new(), SelectAll::new());
    for (client, socket) in sockets.into_iter().enumerate() {
        let (sink, stream) = socket.split();
        sinks.push(sink);
        incoming.push(stream.map(move |message| (client, message)));
    }
    let mut kept = Kept { messages: MESSAGES, bytes: cap };
    if clients > 1 {
        // A server may take note of a client only after the handshake: one that answers, it knows.
        for sink in &mut sinks {
            let _ = sink.send(Message::Ping(Vec::new().into())).await;
        }
        let mut silent: Vec<usize> = (0..clients).collect();
        let answers = async {
            while !silent.is_empty() {
                let Some((client, message)) = incoming.next().await else { return TcpEnd::Closed };
                if matches!(message, Ok(Message::Pong(_))) {
                    silent.retain(|other| *other != client);
                } else if !kept.hand_on(client, message, pieces).await {
                    return TcpEnd::Full;
                }
            }
            TcpEnd::Enough
        };
        match tokio::time::timeout(SETTLE, answers).await {
            Ok(TcpEnd::Enough) | Err(_) => {}
            Ok(end) => return end,
        }
    }
    if let (Some(text), Some(first)) = (send, sinks.first_mut()) {
        // A connection that is broken says so to whoever reads.
        let _ = first.send(Message::text(text)).await;
    }
    while let Some((client, message)) = incoming.next().await {
        if !kept.hand_on(client, message, pieces).await {
            return TcpEnd::Full;
        }
    }
    TcpEnd::Closed
}

/// How much more is handed on.
struct Kept {
    messages: usize,
    bytes: usize,
}

impl Kept {
    /// `false`: more came than is handed on.
    async fn hand_on(
        &mut self,
        client: usize,
        message: tungstenite::Result<Message>,
        pieces: &Pieces,
    ) -> bool {
        let event = match message {
            Ok(Message::Text(text)) => {
                WebSocketEvent::Message { client, content: text.as_bytes().to_vec(), binary: false }
            }
            Ok(Message::Binary(bytes)) => {
                WebSocketEvent::Message { client, content: bytes.to_vec(), binary: true }
            }
            Ok(Message::Close(frame)) => WebSocketEvent::Closed {
                client,
                how: match frame {
                    Some(frame) if frame.reason.is_empty() => format!("with code {}", u16::from(frame.code)),
                    Some(frame) => format!("with code {} ({})", u16::from(frame.code), frame.reason),
                    None => "without a code".into(),
                },
            },
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))
            | Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return true,
            Err(error) => WebSocketEvent::Closed { client, how: broken(&error) },
        };
        let bytes = if let WebSocketEvent::Message { content, .. } = &event { content.len() } else { 0 };
        if self.messages == 0 || bytes > self.bytes {
            return false;
        }
        self.messages -= 1;
        self.bytes -= bytes;
        pieces.send(Reply::WebSocket(event)).await;
        true
    }
}

fn broken(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | tungstenite::Error::Io(_) => "without a close frame".into(),
        tungstenite::Error::Capacity(_) => {
            format!("by us, after a message of more than {MESSAGE_BYTES} bytes")
        }
        error => format!("by us, after what is no WebSocket frame ({error})"),
    }
}
