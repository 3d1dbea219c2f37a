//! `scales`: a service has several containers, and requests reach all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::ended;
use super::matcher::shown;
use super::reach;
use super::shell::line;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{HttpRequest, HttpResponse, Service, Silence};
use crate::units::Span;

/// A service with several containers: all run, and requests reach all of them, by the service's name
/// or through another service in front. Who answered is told by the body or a header of the answer,
/// which has to differ from container to container, such as the host name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scales {
    /// The service with `replicas`; `app` if nothing is said.
    pub service: Option<String>,
    /// A service that passes requests on to it; without one the service's name is asked for, and the
    /// addresses that it stands for in turn.
    pub through: Option<String>,
    /// The port that is asked.
    pub port: u16,
    /// Path with query.
    #[serde(default = "top")]
    pub path: String,
    /// The header that tells who answered; the body if nothing is said.
    pub header: Option<String>,
    /// How many requests are made.
    #[serde(default = "several")]
    pub requests: u32,
    /// How long it may take until everybody has answered, because some may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

fn top() -> String {
    "/".into()
}

fn several() -> u32 {
    20
}

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Scales {
    const NAME: &'static str = "scales";
    const PHASE: Phase = Phase::Disturb;
    const MANUAL: Manual = Manual {
        examples: include_str!("scales.yaml"),
        evidence: &[
            ("Who answered", "each answer that came, and how often"),
            ("Last lines of its output", "of a container that has ended"),
        ],
        fails: &[
            "what stands in front knows only one of the containers, or only its old address",
            "a container ended, for example because all of them lock one file of a shared volume",
            "all answers are alike, so that they do not tell who answered",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ANSWER * 2 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        around.other("through", self.through.as_deref(), &mut mistakes);
        reach::port_mistakes(self.port, &mut mistakes);
        if !self.path.starts_with('/') || self.path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            mistakes.push(format!("`path: {}` has to start with `/` and have no blanks", self.path));
        }
        if !(2..=200).contains(&self.requests) {
            mistakes.push(format!("`requests: {}` can be between 2 and 200", self.requests));
        }
        if let Some(spec) = around.spec(self.service.as_deref()) {
            if spec.replicas < 2 {
                mistakes.push(
                    "this check can never fail: the service has one container; give it `replicas`".into(),
                );
            } else if self.requests < spec.replicas {
                mistakes.push(format!(
                    "this check can never pass: {} requests do not reach {} containers",
                    self.requests, spec.replicas
                ));
            }
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let replicas = scene.replicas(service.name());
        let front = scene.other(self.through.as_deref())?;
        let expected = format!(
            "{} requests to `{}` reach all {} containers of `{}`",
            self.requests,
            front.unwrap_or(service).name(),
            replicas.len(),
            service.name()
        );
        let watch = scene.clock.stopwatch();
        loop {
            let round = self.round(service, replicas, front).await?;
            let reached = round.answers.len();
            let over = watch.elapsed() >= self.within.0;
            if reached < replicas.len() && !over {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let observed = match (reached, &round.silence) {
                (0, Some(silence)) => format!("nobody answers: {silence}"),
                (reached, _) if reached > replicas.len() => format!(
                    "{reached} different answers came from {} containers, so that they do not tell who answered",
                    replicas.len()
                ),
                (1, _) => "all answers are the same: one container was reached".into(),
                (reached, _) => format!("{reached} containers answered"),
            };
            let mut detail = Detail::new(expected, observed).proof("Who answered", round.table());
            for replica in replicas {
                if let Some(ended) = ended(&replica.state().await?) {
                    detail.observed = format!("{}; {}: {ended}", detail.observed, replica.host_name());
                    detail = detail.with_output(&replica.output());
                }
            }
            let holds = reached == replicas.len();
            return Ok(Finding::of(holds, detail.reproduce(self.command(replicas, front))));
        }
    }
}

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(300);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How much of a body tells who answered.
const BODY_BYTES: u64 = 4096;

/// The answers of one round of requests.
#[derive(Default)]
struct Round {
    /// How often each came.
    answers: BTreeMap<String, u32>,
    /// Requests without an answer.
    unanswered: u32,
    /// Why the last of them had none.
    silence: Option<String>,
}

impl Round {
    fn note(&mut self, answer: Result<String, String>) {
        match answer {
            Ok(who) => *self.answers.entry(who).or_default() += 1,
            Err(silence) => {
                self.unanswered += 1;
                self.silence = Some(silence);
            }
        }
    }

    fn table(&self) -> String {
        let mut table = String::new();
        for (who, times) in &self.answers {
            let _ = writeln!(table, "{times:>4} times  {}", shown(who).trim_matches('`'));
        }
        if let Some(silence) = &self.silence {
            let _ = writeln!(table, "{:>4} times  no answer: {silence}", self.unanswered);
        }
        table
    }
}

impl Scales {
    /// Asks as often as is wanted, until everybody has answered at most.
    async fn round(
        &self,
        service: &Service,
        replicas: &[Service],
        front: Option<&Service>,
    ) -> Result<Round, Fault> {
        let mut round = Round::default();
        let targets: Vec<&Service> = if let Some(front) = front {
            vec![front]
        } else {
            // Whoever asks by the name gets these addresses, of which one after the other is taken.
            let known = service.resolve(service.name(), ANSWER).await?.unwrap_or_default();
            let is_known =
                |replica: &&Service| replica.addresses().values().any(|address| known.contains(address));
            replicas.iter().filter(is_known).collect()
        };
        if targets.is_empty() {
            round.note(Err(format!("the name `{}` is not known", service.name())));
            return Ok(round);
        }
        for target in targets.iter().cycle().take(self.requests as usize) {
            let answer = match front.unwrap_or(service).http(target, self.request()).await? {
                Ok(response) => self.who(&response),
                Err(silence) => Err(words(&silence)),
            };
            let hopeless = answer.is_err();
            round.note(answer);
            // One that does not answer keeps everybody waiting.
            if hopeless && round.unanswered >= 3 {
                break;
            }
        }
        Ok(round)
    }

    fn request(&self) -> HttpRequest {
        HttpRequest {
            method: "GET".into(),
            port: self.port,
            path: self.path.clone(),
            host: None,
            headers: Vec::new(),
            body: None::<Bytes>,
            within: ANSWER,
            cap_bytes: BODY_BYTES,
        }
    }

    /// What tells who answered.
    fn who(&self, response: &HttpResponse) -> Result<String, String> {
        if response.status >= 400 {
            return Err(format!("status {}", response.status));
        }
        match &self.header {
            None => Ok(String::from_utf8_lossy(&response.body).trim().to_owned()),
            Some(wanted) => response
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.clone())
                .ok_or_else(|| format!("no header `{wanted}`")),
        }
    }

    fn command(&self, replicas: &[Service], front: Option<&Service>) -> String {
        let start = |service: &Service| service.reproduce(&line(["-d", "--name", service.host_name()]));
        let mut commands: Vec<String> = replicas.iter().chain(front).map(start).collect();
        let Some(target) = front.or(replicas.first()) else { return String::new() };
        let header = if self.header.is_some() { " -S" } else { "" };
        let ask = format!(
            "for i in $(seq {}); do wget -q{header} -O - http://{}:{}{} 2>&1; done | sort | uniq -c",
            self.requests,
            target.name(),
            self.port,
            self.path
        );
        let network = format!("container:{}", target.host_name());
        commands.push("sleep 2".into());
        commands.push(line([
            "docker",
            "run",
            "--rm",
            "--network",
            &network,
            "busybox:1.37",
            "sh",
            "-c",
            &ask,
        ]));
        commands.join(" && ")
    }
}

fn words(silence: &Silence) -> String {
    match silence {
        Silence::Refused => "the connection was refused".into(),
        Silence::TimedOut => "no answer in time".into(),
        Silence::UnknownName => "the name is not known".into(),
        Silence::Garbled(how) => format!("the answer is not HTTP: {how}"),
    }
}
