//! `http`: a request to a service from inside the stack's network.

mod exchange;

use std::fmt::Write as _;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{self, Unreached};
use super::matcher::{Literal, Number, Text};
use super::reach;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{HttpResponse, Silence};
use crate::units::Span;

/// A request to a service and what it answers. Redirects are not followed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The service that is asked; `app` if nothing is said.
    pub service: Option<String>,
    /// The service whose network position the request is made from; the asked one itself if nothing
    /// is said.
    pub from: Option<String>,
    /// The port it should answer on.
    pub port: u16,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// Path with query.
    #[serde(default = "top")]
    pub path: String,
    /// The Host header; the service's name if nothing is said.
    pub host: Option<String>,
    /// What is sent along.
    #[serde(default)]
    pub send: Send,
    /// The status.
    pub status: Option<Number>,
    /// Headers by name; of one that comes several times, any may fit.
    #[serde(default)]
    pub headers: IndexMap<String, Text>,
    /// The body, as UTF-8.
    pub body: Option<Text>,
    /// The answer is a redirect, and this is its Location.
    pub redirect: Option<Text>,
    /// The whole answer comes within this time.
    pub time: Option<Span>,
    /// How long a refused connection is tried again, because the service may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

/// What a request carries.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Headers by name.
    #[serde(default)]
    pub headers: IndexMap<String, Literal>,
    /// The body as it is.
    pub body: Option<Literal>,
    /// The body as JSON; `Content-Type: application/json` goes with it.
    pub json: Option<serde_json::Value>,
}

fn get() -> String {
    "GET".into()
}

fn top() -> String {
    "/".into()
}

fn patience() -> Span {
    Span::from_secs(2)
}

impl Check for Http {
    const NAME: &'static str = "http";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("http.yaml"),
        evidence: &[
            ("Request", "as it was sent"),
            ("Response", "status, headers and body as they came"),
            ("Listening sockets", "what listens in the container, where nothing answers"),
            ("Last lines of its output", "of the service, where nothing answers because it ended"),
        ],
        fails: &[
            "nothing listens on the port, or only on the container's loopback",
            "no whole answer comes in time",
            "status, a header, the body or the redirect is not as asked",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + self.answer_within() + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.ends(self.service.as_deref(), self.from.as_deref(), &mut mistakes);
        reach::port_mistakes(self.port, &mut mistakes);
        if self.method.is_empty()
            || !self.method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        {
            mistakes
                .push(format!("`method: {}` is no HTTP method; write for example GET or POST", self.method));
        }
        path_mistakes(&self.path, &mut mistakes);
        for (name, value) in &self.send.headers {
            if !header_fits(name, &value.0) {
                mistakes.push(format!("`send.headers` has a header that cannot be sent: `{name}`"));
            }
        }
        if self.host.as_deref().is_some_and(|host| host.is_empty() || !header_fits("host", host)) {
            mistakes.push("`host` cannot be sent as a header".into());
        }
        if self.send.body.is_some() && self.send.json.is_some() {
            mistakes.push("`send` has a `body` and `json`; only one can be sent".into());
        }
        if let Some(status) = &self.status {
            status.mistakes("status", &(100..=999), &mut mistakes);
        }
        for (name, wanted) in &self.headers {
            if !header_name(name) {
                mistakes.push(format!("`headers` has a name that is none: `{name}`"));
            }
            wanted.mistakes(&format!("headers.{name}"), true, &mut mistakes);
        }
        for (field, text) in [("body", &self.body), ("redirect", &self.redirect)] {
            if let Some(text) = text {
                text.mistakes(field, false, &mut mistakes);
            }
        }
        if self.method == "HEAD" && self.body.is_some() {
            mistakes.push("an answer to HEAD has no body, so `body` says nothing".into());
        }
        if self.redirect.is_some()
            && matches!(self.status, Some(Number::Exactly(status)) if !(300..400).contains(&status))
        {
            mistakes.push("`redirect` contradicts a `status` outside 300 to 399".into());
        }
        around.time("within", self.within, &mut mistakes);
        if let Some(time) = self.time {
            around.time("time", time, &mut mistakes);
        }
        let asks = self.status.is_some()
            || !self.headers.is_empty()
            || self.body.is_some()
            || self.redirect.is_some()
            || self.time.is_some();
        if !asks {
            mistakes.push("this check asks nothing of the answer; write for example `status: 200`".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let (from, target) = scene.ends(self.service.as_deref(), self.from.as_deref())?;
        let wanted = self.resolved(scene.variables).map_err(Fault::Exercise)?;
        let expected = wanted.expected();
        let stopwatch = scene.clock.stopwatch();
        loop {
            let silence = match from.http(target, wanted.request()).await? {
                Ok(response) => {
                    let detail = |detail: Detail| {
                        detail
                            .proof("Request", wanted.request_text(target.name()))
                            .proof("Response", response_text(&response))
                    };
                    let tally = wanted.judge(&response);
                    return Ok(tally.finding(detail(tally.detail()).reproduce(wanted.command(target))));
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
                Silence::TimedOut if !from.shares_network(target) => failed(format!(
                    "nothing answers on port {}: no network has both `{}` and `{}` on it",
                    self.port,
                    from.name(),
                    target.name()
                )),
                Silence::TimedOut => failed(format!(
                    "no complete answer on port {} within {}",
                    self.port,
                    Span(self.answer_within())
                ))
                .with_output(&target.output()),
                Silence::UnknownName => failed("the service's name is not known in its network".into()),
                Silence::Garbled(how) => {
                    failed(format!("the answer on port {} is not HTTP: {how}", self.port))
                        .with_output(&target.output())
                }
            };
            let command = diagnosis::command(target, || wanted.command(target)).await?;
            return Ok(Finding::Failed(
                detail.proof("Request", wanted.request_text(target.name())).reproduce(command),
            ));
        }
    }
}

/// How long an answer may take where the exercise says nothing.
const ANSWER: Duration = Duration::from_secs(10);

/// How much of a body is kept to be matched, in bytes.
const BODY_BYTES: u64 = 1 << 20;

/// What is wrong with a request's path.
pub(super) fn path_mistakes(path: &str, mistakes: &mut Vec<String>) {
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        mistakes.push(format!("`path: {path}` has to start with `/` and have no blanks"));
    }
    if path.contains('#') {
        mistakes.push("`path` has a fragment (`#…`), which is never sent to a server".into());
    }
}

/// Whether a header can be sent.
pub(super) fn header_fits(name: &str, value: &str) -> bool {
    header_name(name) && !value.contains(['\r', '\n', '\0'])
}

/// A token of RFC 9110, 5.6.2.
pub(super) fn header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A response as it came, without what is no text.
pub(super) fn response_text(response: &HttpResponse) -> String {
    let mut text = format!("HTTP {}\n", response.status);
    for (name, value) in &response.headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = write!(text, "\n{}", String::from_utf8_lossy(&response.body));
    if response.truncated {
        text += "\n… the rest was not kept";
    }
    text
}
