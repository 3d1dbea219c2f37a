//! What the probe and its caller say to each other: one JSON object per line.
//!
//! Requests go to the probe's stdin, answers come from its stdout, in any order, matched by `id`.
//! Both ends are always the same build (the image is made from the very executable that talks to
//! it), so there is no version.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::network::{HttpRequest, Listener, Silence, TcpEnd, TcpExchange, WebSocketEvent, WebSocketTalk};
use super::processes::Process;

/// What `drydock probe --objects` prints: all files the executable needs to run in an empty root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// The loader named in the ELF header; `None` for a static executable.
    pub interpreter: Option<String>,
    /// Shared objects mapped while it runs, by absolute path.
    pub objects: Vec<String>,
}

/// What `drydock probe --look-around` is to try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Addresses that must not be reached.
    pub reach: Vec<SocketAddr>,
    /// Ports on which the first address of each of its own networks is tried: where the bridge has its.
    pub gateway_ports: Vec<u16>,
    /// Name servers that are asked beside its own.
    pub name_servers: Vec<IpAddr>,
    /// The name they are asked.
    pub name: String,
    /// How many files it tries to have open.
    pub files: u64,
}

/// What it found, mostly as the kernel tells it; it is for the doctor to judge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `/proc/self/status`
    pub status: String,
    /// `/proc/self/uid_map`
    pub uid_map: String,
    /// `/proc/self/mountinfo`
    pub mounts: String,
    /// `/proc/self/oom_score_adj`
    pub oom_score: String,
    /// The release of the kernel that answers it, as uname(2) tells.
    pub kernel: String,
    /// `/proc/net/if_inet6`
    pub addresses_v6: String,
    /// What is in `/dev`.
    pub devices: Vec<String>,
    /// `/proc/self/ns`, and where its links lead.
    pub namespaces: BTreeMap<String, String>,
    /// Files of the kernel that it could open for writing.
    pub writable: Vec<String>,
    /// How many files it had open at last.
    pub open_files: u64,
    /// Addresses that it got through to: by a connection or by a refusal.
    pub reached: Vec<SocketAddr>,
    /// Name servers that answered, and their response codes.
    pub answered: Vec<(IpAddr, u8)>,
}

/// One line to the probe.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub ask: Ask,
    /// The probe answers within this time, whatever happens; milliseconds.
    pub within_ms: u64,
}

/// What the probe is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Only answer.
    Ping,
    /// An HTTP request to an address. `host` is the header to send where the request has none.
    Http { address: IpAddr, host: String, request: HttpRequest },
    /// Send bytes over a TCP connection and hand back what comes, piece by piece.
    Exchange { address: IpAddr, exchange: TcpExchange },
    /// Open WebSocket connections and hand back what happens on them, event by event. `host` is as in
    /// `Http`.
    WebSocket { address: IpAddr, host: String, talk: WebSocketTalk },
    /// Open a TCP connection and close it.
    Connect { address: SocketAddr },
    /// All listening sockets of the namespace.
    Listeners,
    /// Answer as soon as a TCP socket of the namespace listens on the port, on any address.
    WaitForPort { port: u16 },
    /// Answer as soon as a TCP connection to the address is taken.
    WaitForConnection { address: SocketAddr },
    /// The addresses of a name.
    Resolve { name: String },
    /// All processes of the PID namespace but the probe itself.
    Processes,
    /// Kill the process that was started from outside the PID namespace (`docker exec`) so long ago,
    /// or the one nearest to that, and all its descendants.
    KillForeign { age_ms: u64 },
    /// Bytes that the files under these paths occupy.
    DiskUsage { paths: Vec<String> },
    /// Stop working on the request with this id. Has no answer.
    Cancel { id: u64 },
}

/// One line from the probe.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    pub reply: Reply,
    /// This is a part of the answer; others follow.
    #[serde(default)]
    pub more: bool,
}

/// The probe's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Pong,
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        #[serde(with = "base64_bytes")]
        body: Vec<u8>,
        truncated: bool,
        micros: u64,
    },
    /// A part of what came over a connection.
    Piece(#[serde(with = "base64_bytes")] Vec<u8>),
    /// Something happened on a WebSocket connection.
    WebSocket(WebSocketEvent),
    /// Nothing more is read from a connection.
    Ended(TcpEnd),
    /// A connection was taken, or a port listens.
    Connected {
        micros: u64,
    },
    Listeners(Vec<Listener>),
    Addresses(Vec<IpAddr>),
    Processes(Vec<Process>),
    Killed {
        processes: usize,
    },
    DiskUsage {
        bytes: u64,
    },
    Silent(Silence),
    /// The probe itself could not do what was asked; a phrase for an admin.
    Unable(String),
}

/// Bodies as base64, for JSON has no bytes.
pub mod base64_bytes {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    /// # Errors
    /// When the text is not base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(de::Error::custom)
    }
}
