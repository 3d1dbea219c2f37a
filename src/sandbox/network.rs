//! What can be asked over a stack's network, and what came of it. Plain data, shared by the
//! services' methods and by the probe that does the asking.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::protocol::base64_bytes;

/// A listening socket in a service's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// UDP rather than TCP.
    pub udp: bool,
    /// The address it is bound to; `0.0.0.0` or `::` for all.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// An HTTP request made from a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Such as `GET`.
    pub method: String,
    /// On the target.
    pub port: u16,
    /// Path with query.
    pub path: String,
    /// Host header; the target service's name (and its port, unless it is 80) if not given.
    pub host: Option<String>,
    /// Sent as they are, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Sent with its length.
    #[serde(with = "optional_body")]
    pub body: Option<Bytes>,
    /// From the first packet to the last byte kept of the body.
    pub within: Duration,
    /// How much of the response body is kept.
    pub cap_bytes: u64,
}

/// A response, as it came (redirects are not followed, bodies not decompressed).
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// At most the request's `cap_bytes`.
    pub body: Bytes,
    /// The body was longer than the cap, or had not ended when the time was over.
    pub truncated: bool,
    /// Until the body was read.
    pub took: Duration,
}

/// Bytes over a TCP connection made from a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TcpExchange {
    /// On the target.
    pub port: u16,
    /// Sent as soon as the connection is open.
    #[serde(with = "base64_bytes")]
    pub send: Vec<u8>,
    /// Whether our side is closed after that, so that the other reads an end.
    pub half_close: bool,
    /// From the first packet to the last byte kept.
    pub within: Duration,
    /// How much of the answer is kept.
    pub cap_bytes: u64,
}

/// What came over a TCP connection.
#[derive(Clone, Debug)]
pub struct TcpAnswer {
    /// At most the exchange's `cap_bytes`.
    pub bytes: Vec<u8>,
    /// Why nothing more was read.
    pub end: TcpEnd,
}

/// Why nothing more was read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TcpEnd {
    /// Whoever asked had seen enough.
    Enough,
    /// The other side closed it.
    Closed,
    /// The other side broke it off (RST).
    Reset,
    /// The time was over.
    TimedOut,
    /// More came than is kept.
    Full,
}

/// A conversation over WebSocket connections made from a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebSocketTalk {
    /// What opens each connection; the headers of the handshake (RFC 6455, 4.1) are added. Its time is
    /// that of the whole conversation, its cap that of all messages together.
    pub request: HttpRequest,
    /// How many connections are opened, one after another.
    pub clients: usize,
    /// A text that the first of them sends when all are open.
    pub send: Option<String>,
}

/// Something that happened on a WebSocket connection. Clients are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebSocketEvent {
    /// A connection was opened; the headers of the handshake's answer, names in lower case.
    Opened {
        /// Whose.
        client: usize,
        /// As they came.
        headers: Vec<(String, String)>,
    },
    /// A message came.
    Message {
        /// To whom.
        client: usize,
        /// Its content.
        #[serde(with = "base64_bytes")]
        content: Vec<u8>,
        /// It was sent as binary, not as text.
        binary: bool,
    },
    /// A connection is closed.
    Closed {
        /// Whose.
        client: usize,
        /// A phrase about it, such as `with code 1000`.
        how: String,
    },
}

/// What became of an attempt to talk over WebSocket.
#[derive(Clone, Debug)]
pub enum WebSocketAnswer {
    /// The handshake was answered with something else than 101.
    Refused(HttpResponse),
    /// All connections were opened.
    Talked {
        /// What happened, in the order in which it did, and when after the beginning.
        events: Vec<(Duration, WebSocketEvent)>,
        /// Why nothing more was read.
        end: TcpEnd,
    },
}

/// Why a network question of a probe got no answer: a finding about the student's service,
/// not a fault of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Silence {
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The name is not known.
    UnknownName,
    /// It answered, but not in the protocol expected; says how.
    Garbled(String),
}

mod optional_body {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::sandbox::protocol::base64_bytes;

    #[derive(Serialize, Deserialize)]
    struct Body(#[serde(with = "base64_bytes")] Vec<u8>);

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(body: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        body.as_ref().map(|bytes| Body(bytes.to_vec())).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Option::<Body>::deserialize(deserializer)?.map(|body| Bytes::from(body.0)))
    }
}
