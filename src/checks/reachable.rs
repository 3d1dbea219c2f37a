//! `reachable`: a service reaches another on a TCP port, by its name.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{Unreached, ended};
use super::reach::{self, outcome};
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Service, Silence};
use crate::units::Span;

/// A service reaches another on a TCP port, by its name: tried from its own network.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reachable {
    /// The service that reaches; `app` if nothing is said.
    pub from: Option<String>,
    /// The service that is reached.
    pub to: String,
    /// The TCP port.
    pub port: u16,
    /// How long it is tried again, because the other may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

fn patience() -> Span {
    Span::from_secs(5)
}

impl Check for Reachable {
    const NAME: &'static str = "reachable";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("reachable.yaml"),
        evidence: &[
            ("What was tried", "the name, the addresses that it stands for, and what came of each"),
            ("Listening sockets", "of the other service, where it refused"),
            ("Last lines of its output", "of the other service, where it refused"),
        ],
        fails: &[
            "the name is not known, because the two services share no network",
            "nothing listens on the port, or only on the other's loopback address",
            "one of the two services has ended",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("from", self.from.as_deref(), &mut mistakes);
        around.other("to", Some(&self.to), &mut mistakes);
        if around.stands_for(self.from.as_deref(), &self.to) {
            mistakes.push("`from` and `to` are the same service; see `port` for one that listens".into());
        }
        reach::port_mistakes(self.port, &mut mistakes);
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let from = scene.service(self.from.as_deref())?;
        let to = scene.service(Some(&self.to))?;
        let expected =
            format!("`{}` reaches `{}` by its name on TCP port {}", from.name(), to.name(), self.port);
        let command = reach::command(from, to, self.port);
        if let Some(ended) = ended(&from.state().await?) {
            let detail = Detail::new(expected, format!("{ended}, so `{}` reaches nobody", from.name()));
            return Ok(Finding::Failed(detail.with_output(&from.output()).reproduce(from.reproduce(""))));
        }
        let watch = scene.clock.stopwatch();
        loop {
            let tried = self.try_once(from, to).await?;
            let detail = Detail::new(&expected, &tried.observed)
                .proof("What was tried", &tried.told)
                .reproduce(&command);
            if tried.holds {
                return Ok(Finding::Passed(detail));
            }
            let why = if tried.refused { Some(Unreached::look(to, self.port).await?) } else { None };
            let settled = why.as_ref().is_some_and(|why| why.settled);
            if !settled && watch.elapsed() < self.within.0 {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let detail = match why {
                Some(why) => {
                    let detail = Detail { observed: why.observed.clone(), ..detail };
                    why.proof(detail)
                }
                None => detail,
            };
            return Ok(Finding::Failed(detail));
        }
    }
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one question may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What came of one try.
struct Tried {
    holds: bool,
    refused: bool,
    observed: String,
    told: String,
}

impl Reachable {
    async fn try_once(&self, from: &Service, to: &Service) -> Result<Tried, Fault> {
        let name = to.name();
        let Ok(addresses) = from.resolve(name, ATTEMPT).await? else {
            let observed = if from.shares_network(to) {
                format!("the name `{name}` is not known to `{}`", from.name())
            } else {
                format!("the name `{name}` is not known to `{}`, for the two share no network", from.name())
            };
            let told = format!("{} asks for {name}: the name is not known", from.host_name());
            return Ok(Tried { holds: false, refused: false, observed, told });
        };
        let tries = addresses.iter().map(|address| async move {
            let address = SocketAddr::new(*address, self.port);
            Ok::<_, Fault>((address, from.connect_to(address, ATTEMPT).await?))
        });
        let answers = try_join_all(tries).await?;
        let told = answers.iter().map(|(address, answer)| {
            format!("{} -> {name} at {address}: {}\n", from.host_name(), outcome(answer))
        });
        let told: String = told.collect();
        let failed = answers.iter().find(|(_, answer)| answer.is_err());
        Ok(match failed {
            None => Tried {
                holds: true,
                refused: false,
                observed: format!("`{name}` took the connection on port {}", self.port),
                told,
            },
            Some((address, answer)) => Tried {
                holds: false,
                refused: matches!(answer, Err(Silence::Refused)),
                observed: format!("`{name}` at {address}: {}", outcome(answer)),
                told,
            },
        })
    }
}
