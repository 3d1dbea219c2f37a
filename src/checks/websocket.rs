//! `websocket`: a WebSocket opens, and carries messages to and fro.

mod talk;

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{self, Unreached};
use super::matcher::{Literal, Number, Text};
use super::reach;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::Silence;
use crate::units::Span;

/// A WebSocket connection to a service opens; what is sent over it comes back, or reaches other clients.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    /// The service that is asked; `app` if nothing is said.
    pub service: Option<String>,
    /// The service whose network position the connections are made from; the asked one itself if
    /// nothing is said.
    pub from: Option<String>,
    /// The port it should answer on.
    pub port: u16,
    /// Path with query.
    #[serde(default = "top")]
    pub path: String,
    /// Headers sent with the handshake, by name, such as `Origin`.
    #[serde(default)]
    pub headers: IndexMap<String, Literal>,
    /// A subprotocol that is offered and that the service has to choose.
    pub subprotocol: Option<Literal>,
    /// The status that the handshake is answered with, for a connection that has to be refused; without
    /// it the connection has to open.
    pub status: Option<Number>,
    /// A text that is sent, by the first client where there are several.
    pub send: Option<Literal>,
    /// Whether exactly the text that was sent comes back.
    #[serde(default)]
    pub echo: bool,
    /// One of the messages that come. A byte of a binary message that is not UTF-8 stands as `\xHH`.
    pub receives: Option<Text>,
    /// How many clients there are, 1 to 16. With several the first one sends and every other one has to
    /// receive: a message that fits `receives`, or has in it what was sent if that is not given.
    #[serde(default = "alone")]
    pub clients: usize,
    /// How long all of it may take. A refused connection is tried again as long, because the service may
    /// still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

fn top() -> String {
    "/".into()
}

fn alone() -> usize {
    1
}

fn patience() -> Span {
    Span::from_secs(3)
}

impl Check for WebSocket {
    const NAME: &'static str = "websocket";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("websocket.yaml"),
        evidence: &[
            ("Answer to the handshake", "its status and headers; its body too where it was refused"),
            ("What happened", "when each client opened, received and was closed"),
            ("Listening sockets", "where the connection was refused"),
            ("Last lines of its output", "what the service printed, where it failed"),
        ],
        fails: &[
            "the handshake is answered with another status than 101, or a wrong key",
            "the service does not choose the subprotocol",
            "the message does not come back, or does not reach every other client, in time",
            "the connection is closed before that",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0.saturating_mul(2) + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.ends(self.service.as_deref(), self.from.as_deref(), &mut mistakes);
        self.handshake_mistakes(&mut mistakes);
        if !(1..=16).contains(&self.clients) {
            mistakes.push(format!("`clients: {}` is not between 1 and 16", self.clients));
        }
        if self.clients > 1 && self.send.is_none() {
            mistakes
                .push("`clients` are several so that one sends and the others receive; add `send`".into());
        }
        if self.echo && (self.receives.is_some() || self.clients > 1) {
            mistakes.push(
                "`echo` is of one client and of exactly what it sent; use `receives` for anything else"
                    .into(),
            );
        }
        match (&self.send, self.clients) {
            (None, _) if self.echo => mistakes.push("`echo` needs something to `send`".into()),
            (Some(send), _) if send.0.is_empty() => mistakes.push("`send` is empty".into()),
            (Some(_), 1) if !self.echo && self.receives.is_none() => mistakes.push(
                "`send` says what is sent and nothing what comes back; add `echo: true` or `receives`".into(),
            ),
            _ => {}
        }
        if let Some(text) = &self.receives {
            text.mistakes("receives", false, &mut mistakes);
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let (from, target) = scene.ends(self.service.as_deref(), self.from.as_deref())?;
        let wanted = self.resolved(scene.variables).map_err(Fault::Exercise)?;
        let expected = wanted.expected();
        let stopwatch = scene.clock.stopwatch();
        loop {
            let enough = |events: &[_]| wanted.status.is_some() || wanted.missing(events).is_empty();
            let silence = match from.websocket(target, wanted.talk(), enough).await? {
                Ok(answer) => {
                    let (holds, detail) = wanted.judge(&answer);
                    let detail = if holds { detail } else { detail.with_output(&target.output()) };
                    return Ok(Finding::of(holds, detail.reproduce(wanted.command(target))));
                }
                Err(silence) => silence,
            };
            let failed = |observed: String| Detail::new(expected.clone(), observed);
            let detail = match silence {
                Silence::Refused => {
                    let why = Unreached::after(target, self.port, &stopwatch, self.within).await?;
                    let Some(why) = why else { continue };
                    why.proof(failed(why.observed.clone()))
                }
                Silence::Garbled(how) => failed(format!("the handshake on port {} failed: {how}", self.port))
                    .with_output(&target.output()),
                Silence::TimedOut | Silence::UnknownName => failed(format!(
                    "no complete answer to the handshake on port {} within {}",
                    self.port, self.within
                ))
                .with_output(&target.output()),
            };
            let command = diagnosis::command(target, || wanted.command(target)).await?;
            return Ok(Finding::Failed(detail.reproduce(command)));
        }
    }
}

/// Headers of the handshake that are ours.
const OURS: &[&str] = &[
    "connection",
    "host",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
];

impl WebSocket {
    fn handshake_mistakes(&self, mistakes: &mut Vec<String>) {
        reach::port_mistakes(self.port, mistakes);
        super::http::path_mistakes(&self.path, mistakes);
        for (name, value) in &self.headers {
            if !super::http::header_fits(name, &value.0) {
                mistakes.push(format!("`headers` has a header that cannot be sent: `{name}`"));
            } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                mistakes.push(format!("`headers` has `{name}`, which belongs to the handshake itself"));
            }
        }
        if self.subprotocol.as_ref().is_some_and(|name| !super::http::header_name(&name.0)) {
            mistakes.push("`subprotocol` is no name of one: letters, digits, `.`, `-` and the like".into());
        }
        let Some(status) = &self.status else { return };
        status.mistakes("status", &(100..=999), mistakes);
        if status.accepts(101) {
            mistakes
                .push("`status` is for a connection that is refused, and 101 opens it; leave it out".into());
        }
        let more = self.subprotocol.is_some() || self.send.is_some() || self.echo || self.receives.is_some();
        if more || self.clients > 1 {
            mistakes.push(
                "`status` is for a connection that is refused, over which nothing comes or goes".into(),
            );
        }
    }
}
