//! `tcp`: bytes to a service, and the bytes that it answers.

mod bytes;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in crate::checks) use self::bytes::readable;
use self::bytes::{hex_dump, hex_read, unescaped};
use super::diagnosis::{self, Unreached};
use super::matcher::{Literal, Text, Variables, fill, shown};
use super::reach;
use super::shell::{line, netcat, printf};
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Service, Silence, TcpAnswer, TcpEnd, TcpExchange};
use crate::units::Span;

/// Bytes sent to a service over TCP, and what it answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// The service that is asked; `app` if nothing is said.
    pub service: Option<String>,
    /// The service whose network position the connection is made from; the asked one itself if nothing
    /// is said.
    pub from: Option<String>,
    /// The port it should answer on.
    pub port: u16,
    /// What is sent once the connection is open. `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` (a byte) stand for
    /// what they do in most languages.
    pub send: Option<Literal>,
    /// What is sent, in hexadecimal digits; blanks between them do not count.
    pub send_hex: Option<String>,
    /// Whether our side is closed after sending, as `nc -N` does, for a service that answers when it has
    /// read everything.
    #[serde(default)]
    pub half_close: bool,
    /// The answer, as UTF-8; a byte that is none stands as `\xHH`, in lower case.
    pub answer: Option<Text>,
    /// How much of the answer is waited for.
    #[serde(default)]
    pub until: Until,
    /// How long the answer may take. A refused connection is tried again as long, because the service
    /// may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

/// How much of an answer is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until what came so far fits `answer`, the service closes the connection, or the time is over.
    #[default]
    Fits,
    /// Until the service closes the connection, which it has to do in time.
    Close,
    /// Until the time is over (or the service closes the connection): nothing else comes.
    Timeout,
}

fn patience() -> Span {
    Span::from_secs(3)
}

impl Check for Tcp {
    const NAME: &'static str = "tcp";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("tcp.yaml"),
        evidence: &[
            ("Sent", "the bytes, those that are no text as `\\xHH`"),
            ("Answer", "the bytes that came, in the same way"),
            ("Answer, byte by byte", "in hexadecimal digits, where not all of it is text"),
            ("Listening sockets", "where the connection was refused"),
            ("Last lines of its output", "what the service printed, where it failed"),
        ],
        fails: &[
            "nothing listens on the port, or only on the container's loopback address",
            "the answer is another one, or does not come in time",
            "the service keeps the connection, or breaks it off, where it should close it",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0.saturating_mul(2) + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.ends(self.service.as_deref(), self.from.as_deref(), &mut mistakes);
        reach::port_mistakes(self.port, &mut mistakes);
        if self.send.is_some() && self.send_hex.is_some() {
            mistakes.push("`send` and `send_hex` are two ways to say the same; give one of them".into());
        }
        if let Err(mistake) = self.sent(&Variables::new()) {
            mistakes.push(mistake);
        }
        if let Some(answer) = &self.answer {
            answer.mistakes("answer", false, &mut mistakes);
        } else if self.until != Until::Close {
            mistakes.push("this check asks nothing of the answer; write `answer` or `until: close`".into());
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let (from, target) = scene.ends(self.service.as_deref(), self.from.as_deref())?;
        let send = self.sent(scene.variables).map_err(Fault::Exercise)?;
        let wanted = self.answer.as_ref().map(|answer| answer.resolved(scene.variables));
        let wanted = wanted.transpose().map_err(Fault::Exercise)?;
        let expected = self.expected(wanted.as_ref());
        // What may yet turn into a refusal is waited for.
        let early = wanted.as_ref().filter(|text| self.until == Until::Fits && !text.may_change_its_mind());
        let stopwatch = scene.clock.stopwatch();
        loop {
            let exchange = TcpExchange {
                port: self.port,
                send: send.clone(),
                half_close: self.half_close,
                within: self.within.0,
                cap_bytes: ANSWER_BYTES,
            };
            let enough = |bytes: &[u8]| early.is_some_and(|text| text.accepts(&readable(bytes)));
            let detail = match from.exchange(target, exchange, enough).await? {
                Ok(answer) => {
                    let text = readable(&answer.bytes);
                    let fits = wanted.as_ref().is_none_or(|wanted| wanted.accepts(&text));
                    let closed = self.until != Until::Close || answer.end == TcpEnd::Closed;
                    let detail = Detail::new(expected, self.observed(&answer, &text))
                        .proof("Sent", readable(&send))
                        .proof("Answer", text)
                        .proof("Answer, byte by byte", hex_dump(&answer.bytes));
                    let detail = if fits && closed { detail } else { detail.with_output(&target.output()) };
                    return Ok(Finding::of(fits && closed, detail.reproduce(self.command(target, &send))));
                }
                Err(Silence::Refused) => {
                    let why = Unreached::after(target, self.port, &stopwatch, self.within).await?;
                    let Some(why) = why else { continue };
                    why.proof(Detail::new(expected, &why.observed))
                }
                Err(silence) => {
                    let observed = match silence {
                        Silence::Garbled(how) => format!("no connection to port {}: {how}", self.port),
                        _ => {
                            format!("a connection to port {} was not taken within {}", self.port, self.within)
                        }
                    };
                    Detail::new(expected, observed).with_output(&target.output())
                }
            };
            let command = diagnosis::command(target, || self.command(target, &send)).await?;
            return Ok(Finding::Failed(detail.proof("Sent", readable(&send)).reproduce(command)));
        }
    }
}

/// How much of an answer is kept to be matched.
const ANSWER_BYTES: u64 = 64 << 10;

impl Tcp {
    fn sent(&self, variables: &Variables) -> Result<Vec<u8>, String> {
        match (&self.send, &self.send_hex) {
            (Some(text), _) => unescaped(&fill(&text.0, variables)).map_err(|why| format!("`send` {why}")),
            (None, Some(digits)) => hex_read(digits).map_err(|why| format!("`send_hex` {why}")),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn expected(&self, wanted: Option<&Text>) -> String {
        let answer = wanted.map(|wanted| format!("an answer that {}", wanted.describe()));
        let end = match self.until {
            Until::Fits => "",
            Until::Close => "the service closes the connection",
            Until::Timeout => "nothing else",
        };
        let parts: Vec<&str> =
            answer.as_deref().into_iter().chain([end]).filter(|part| !part.is_empty()).collect();
        format!("port {}, within {}: {}", self.port, self.within, parts.join(", and "))
    }

    fn observed(&self, answer: &TcpAnswer, text: &str) -> String {
        let end = match answer.end {
            TcpEnd::Enough => String::new(),
            TcpEnd::Closed => "then it closed the connection".into(),
            TcpEnd::Reset => "then it broke the connection off".into(),
            TcpEnd::TimedOut => {
                format!("then nothing else, and the connection was open after {}", self.within)
            }
            TcpEnd::Full => format!("and more than the {ANSWER_BYTES} bytes that are kept"),
        };
        match (text.is_empty(), end.as_str()) {
            (true, end) => {
                format!("port {} took the connection and answered nothing, {end}", self.port)
            }
            (false, "") => format!("it answered {}", shown(text)),
            (false, end) => format!("it answered {}, {end}", shown(text)),
        }
    }

    /// The container, and a client in its network namespace.
    fn command(&self, target: &Service, send: &[u8]) -> String {
        let name = target.name();
        let run = target.reproduce(&line(["-d", "--name", name]));
        let seconds = self.within.0.as_secs().clamp(1, 60);
        let keep = if self.half_close { String::new() } else { format!("; sleep {seconds}") };
        let client = netcat(name, self.port, seconds + 1);
        format!("{run} && sleep 1 && ({}{keep}) | {client}", printf(send))
    }
}
