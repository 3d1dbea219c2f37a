//! One conversation: what is said, what is wanted, what came of it, the same with a plain client.

use std::fmt::Write as _;
use std::time::Duration;

use super::WebSocket;
use crate::checks::Detail;
use crate::checks::diagnosis::told;
use crate::checks::http::response_text;
use crate::checks::matcher::{Literal, Variables, fill, shown};
use crate::checks::shell::{line, netcat, printf};
use crate::checks::tcp::readable;
use crate::sandbox::{HttpRequest, Service, TcpEnd, WebSocketAnswer, WebSocketEvent, WebSocketTalk};

/// What happened, and when.
type Events = [(Duration, WebSocketEvent)];

/// How much of all messages is kept, in bytes.
const MESSAGES_BYTES: u64 = 256 << 10;

/// What a handshake is answered with in RFC 6455, 1.2, where the key is this one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

impl WebSocket {
    /// With the grading's values in place of `${name}`.
    pub(super) fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        let filled = |text: &Literal| Literal(fill(&text.0, variables).into_owned());
        Ok(Self {
            path: fill(&self.path, variables).into_owned(),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
            subprotocol: self.subprotocol.as_ref().map(filled),
            send: self.send.as_ref().map(filled),
            receives: self.receives.as_ref().map(|text| text.resolved(variables)).transpose()?,
            ..self.clone()
        })
    }

    pub(super) fn talk(&self) -> WebSocketTalk {
        WebSocketTalk {
            request: HttpRequest {
                method: "GET".into(),
                port: self.port,
                path: self.path.clone(),
                host: None,
                headers: self.sent_headers(),
                body: None,
                within: self.within.0,
                cap_bytes: MESSAGES_BYTES,
            },
            clients: self.clients,
            send: self.send.as_ref().map(|text| text.0.clone()),
        }
    }

    fn sent_headers(&self) -> Vec<(String, String)> {
        let own = self.headers.iter().map(|(name, value)| (name.clone(), value.0.clone()));
        let offered =
            self.subprotocol.iter().map(|name| ("sec-websocket-protocol".to_owned(), name.0.clone()));
        own.chain(offered).collect()
    }

    /// Clients that have to receive something, counted from 0.
    fn receivers(&self) -> std::ops::Range<usize> {
        match (self.clients, self.echo || self.receives.is_some()) {
            (1, false) => 0..0,
            (1, true) => 0..1,
            (clients, _) => 1..clients,
        }
    }

    fn fits(&self, message: &str) -> bool {
        let sent = self.send.as_ref().map(|text| text.0.as_str()).unwrap_or_default();
        match &self.receives {
            Some(wanted) => wanted.accepts(message),
            None if self.echo => message == sent,
            None => message.contains(sent),
        }
    }

    /// What is not there yet: clients that wait for a message, or a connection that has to open.
    pub(super) fn missing(&self, events: &Events) -> Vec<usize> {
        let opened = |client: usize| {
            events.iter().any(
                |(_, event)| matches!(event, WebSocketEvent::Opened { client: own, .. } if *own == client),
            )
        };
        let received = |client: usize| {
            events.iter().any(|(_, event)| match event {
                WebSocketEvent::Message { client: own, content, .. } => {
                    *own == client && self.fits(&readable(content))
                }
                _ => false,
            })
        };
        let receivers = self.receivers();
        (0..self.clients)
            .filter(|client| !opened(*client) || receivers.contains(client) && !received(*client))
            .collect()
    }

    pub(super) fn expected(&self) -> String {
        if let Some(status) = &self.status {
            return format!("the handshake is answered with status {}", status.describe());
        }
        let mut parts = vec![match self.clients {
            1 => format!("a WebSocket opens at `{}`", self.path),
            clients => format!("{clients} WebSockets open at `{}`", self.path),
        }];
        if let Some(name) = &self.subprotocol {
            parts.push(format!("with the subprotocol `{}`", name.0));
        }
        let sent = self.send.as_ref().map(|text| shown(&text.0));
        let what = match (&self.receives, &sent) {
            (Some(wanted), _) => format!("a message that {}", wanted.describe()),
            (None, Some(sent)) if self.echo => format!("exactly {sent}"),
            (None, Some(sent)) => format!("a message that contains {sent}"),
            (None, None) => String::new(),
        };
        match (self.clients, &sent) {
            _ if self.receivers().is_empty() => {}
            (1, Some(sent)) => parts.push(format!("{sent} is answered with {what} within {}", self.within)),
            (1, None) => parts.push(format!("{what} comes within {}", self.within)),
            (_, sent) => parts.push(format!(
                "when the first client sends {}, every other receives {what} within {}",
                sent.as_deref().unwrap_or_default(),
                self.within
            )),
        }
        parts.join(", ")
    }

    /// Whether it is what is wanted, and what was seen.
    pub(super) fn judge(&self, answer: &WebSocketAnswer) -> (bool, Detail) {
        let (events, end) = match answer {
            WebSocketAnswer::Refused(response) => {
                let holds = self.status.as_ref().is_some_and(|wanted| wanted.accepts(response.status.into()));
                let observed = format!("the handshake was answered with status {}", response.status);
                let detail = Detail::new(self.expected(), observed)
                    .proof("Answer to the handshake", response_text(response));
                return (holds, detail);
            }
            WebSocketAnswer::Talked { events, end } => (events, *end),
        };
        let headers = events.iter().find_map(|(_, event)| match event {
            WebSocketEvent::Opened { headers, .. } => Some(headers.as_slice()),
            _ => None,
        });
        let headers = headers.unwrap_or_default();
        let chosen = headers
            .iter()
            .find(|(name, _)| name == "sec-websocket-protocol")
            .map(|(_, value)| value.as_str());
        let mut holds = self.status.is_none();
        let mut seen = Vec::new();
        if !holds {
            seen.push("the connection was opened (status 101)".to_owned());
        }
        if let Some(name) = &self.subprotocol
            && chosen != Some(name.0.as_str())
        {
            holds = false;
            seen.push(match chosen {
                Some(other) => format!("the service chose the subprotocol {}", shown(other)),
                None => "the service chose no subprotocol".into(),
            });
        }
        let missing = if self.status.is_some() { Vec::new() } else { self.missing(events) };
        for client in &missing {
            seen.push(self.received(*client, events, end));
        }
        holds = holds && missing.is_empty();
        if holds {
            seen.push(match self.clients {
                1 => "it opened".into(),
                clients => format!("{clients} connections opened"),
            });
            seen.extend(self.receivers().map(|client| self.received(client, events, end)));
        }
        let mut text = "HTTP 101\n".to_owned();
        for (name, value) in headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        let detail = Detail::new(self.expected(), seen.join(", "))
            .proof("Answer to the handshake", text)
            .proof("What happened", self.story(events));
        (holds, detail)
    }

    /// "client 2 received `hello`"
    fn received(&self, client: usize, events: &Events, end: TcpEnd) -> String {
        let who = self.name(client);
        let mut last = None;
        let mut closed = None;
        let mut count = 0;
        for (_, event) in events {
            match event {
                WebSocketEvent::Message { client: own, content, .. } if *own == client => {
                    let text = readable(content);
                    if self.fits(&text) {
                        return format!("{who} received {}", shown(&text));
                    }
                    last = Some(text);
                    count += 1;
                }
                WebSocketEvent::Closed { client: own, how } if *own == client => closed = Some(how),
                _ => {}
            }
        }
        let until = match (closed, end) {
            (Some(how), _) => format!("the connection was closed {how}"),
            (None, TcpEnd::TimedOut) => format!("waited {}", self.within),
            (None, TcpEnd::Full) => "more came than is kept".into(),
            (None, _) => "the connection ended".into(),
        };
        match (last, count) {
            (None, _) => format!("{who} received nothing ({until})"),
            (Some(text), 1) => format!("{who} received {} and nothing else ({until})", shown(&text)),
            (Some(text), count) => {
                format!("{who} received {count} messages, the last {} ({until})", shown(&text))
            }
        }
    }

    fn name(&self, client: usize) -> String {
        if self.clients == 1 { "the client".into() } else { format!("client {}", client + 1) }
    }

    /// One event on a line.
    fn story(&self, events: &Events) -> String {
        let mut text = String::new();
        for (when, event) in events {
            let (client, what) = match event {
                WebSocketEvent::Opened { client, .. } => (*client, "opened".to_owned()),
                WebSocketEvent::Message { client, content, binary } => {
                    let kind = if *binary { "received (binary)" } else { "received" };
                    (*client, format!("{kind}  {}", readable(content)))
                }
                WebSocketEvent::Closed { client, how } => (*client, format!("closed {how}")),
            };
            let _ = writeln!(text, "{:>8}  {}  {what}", told(*when), self.name(client));
        }
        text
    }

    /// The container, and clients in its network namespace: the handshake as it is written, and frames
    /// whose mask is zero, so that their text stands as it is.
    pub(super) fn command(&self, target: &Service) -> String {
        let name = target.name();
        let run = target.reproduce(&line(["-d", "--name", name]));
        let mut handshake = format!("GET {} HTTP/1.1\r\nHost: {name}:{}\r\n", self.path, self.port);
        let ours = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (name, value) in ours.into_iter().chain(self.sent_headers()) {
            let _ = write!(handshake, "{name}: {value}\r\n");
        }
        handshake.push_str("\r\n");
        let handshake = printf(handshake.as_bytes());
        let client = netcat(name, self.port, 6);
        let speaker = match &self.send {
            Some(text) => format!("({handshake}; sleep 1; {}; sleep 2) | {client}", printf(&frame(&text.0))),
            None => format!("({handshake}; sleep 2) | {client}"),
        };
        if self.clients == 1 {
            return format!("{run} && sleep 1 && {speaker}");
        }
        format!("{run} && sleep 1 && {{ ({handshake}; sleep 5) | {client} & sleep 1; {speaker}; wait; }}")
    }
}

/// A whole text in one frame (RFC 6455, 5.2), masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    // The mask's bit, with the length or what says how many bytes have it.
    let mut frame = vec![0x81];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ 0..=125), _) => frame.push(0x80 | short),
        (_, Ok(length)) => {
            frame.push(0xfe);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0xff);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
