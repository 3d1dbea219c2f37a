//! `port`: whether a service listens on a port, and on which address.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{self, ended, place};
use super::matcher::listed;
use super::reach;
use super::shell::line;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Listener, Service, Silence};
use crate::units::Span;

/// A service listens on a port, or does not, and on which address.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// The port.
    pub port: u16,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether something should listen there.
    #[serde(default)]
    pub state: PortState,
    /// On which address it listens.
    pub address: Option<Address>,
    /// How long an open port is waited for, because the service may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Whether something listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// Something listens.
    #[default]
    Open,
    /// Nothing listens.
    Closed,
}

/// Where a process listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// Where others reach it: on every address (`0.0.0.0`, `::`) or on the container's own.
    Any,
    /// Only on the container's loopback (`127.0.0.1`, `::1`).
    Loopback,
}

fn patience() -> Span {
    Span::from_secs(2)
}

impl Check for Port {
    const NAME: &'static str = "port";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("port.yaml"),
        evidence: &[
            ("Listening sockets", "every address and port in the container, with its process"),
            ("Last lines of its output", "of the service, where it has ended"),
        ],
        fails: &[
            "nothing listens on the port, or something does and should not",
            "it listens on another address, such as 127.0.0.1 alone",
            "the service has ended",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        reach::port_mistakes(self.port, &mut mistakes);
        if self.state == PortState::Closed && self.address.is_some() {
            mistakes.push("`address` is of an open port; leave it out with `state: closed`".into());
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let expected = self.expected();
        let watch = scene.clock.stopwatch();
        loop {
            let state = service.state().await?;
            let Some(all) = diagnosis::listeners(service).await? else {
                return self.by_connecting(service, expected).await;
            };
            let here: Vec<&Listener> = all
                .iter()
                .filter(|listener| {
                    listener.port == self.port && listener.udp == (self.protocol == Protocol::Udp)
                })
                .collect();
            let over = watch.elapsed() >= self.within.0 || !state.running;
            if self.state == PortState::Open && !self.holds(&here) && !over {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut observed = match here.as_slice() {
                [] => self.nothing(&all),
                here => {
                    let places: Vec<String> = here.iter().map(|listener| place(listener)).collect();
                    let only = here.iter().all(|listener| listener.address.is_loopback());
                    let means = if only { ", so nothing outside its container can reach it" } else { "" };
                    format!(
                        "the process listens on {}{}{means}",
                        listed(&places, "and"),
                        if only { " only" } else { "" }
                    )
                }
            };
            if let Some(ended) = ended(&state) {
                observed = format!("{observed}: {ended}");
            }
            let detail = Detail::new(expected, observed).proof("Listening sockets", diagnosis::sockets(&all));
            let detail = if state.running { detail } else { detail.with_output(&service.output()) };
            return Ok(Finding::of(self.holds(&here), detail.reproduce(Self::command(service))));
        }
    }
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

impl Port {
    fn name(&self) -> String {
        format!("{} port {}", if self.protocol == Protocol::Udp { "UDP" } else { "TCP" }, self.port)
    }

    fn expected(&self) -> String {
        let name = self.name();
        match (self.state, self.address) {
            (PortState::Closed, _) => format!("nothing listens on {name}"),
            (PortState::Open, None) => format!("something listens on {name}"),
            (PortState::Open, Some(Address::Any)) => {
                format!("something listens on {name} at an address that others reach, such as `0.0.0.0`")
            }
            (PortState::Open, Some(Address::Loopback)) => {
                format!("something listens on {name} at the container's loopback address only")
            }
        }
    }

    fn nothing(&self, all: &[Listener]) -> String {
        let others: Vec<String> = all.iter().map(place).collect();
        match others.as_slice() {
            [] => format!("nothing listens on {}, nor on any other port", self.name()),
            others => format!(
                "nothing listens on {}; the container listens on {}",
                self.name(),
                listed(others, "and")
            ),
        }
    }

    fn holds(&self, here: &[&Listener]) -> bool {
        match (self.state, self.address) {
            (PortState::Closed, _) => here.is_empty(),
            (PortState::Open, None) => !here.is_empty(),
            (PortState::Open, Some(Address::Any)) => {
                here.iter().any(|listener| !listener.address.is_loopback())
            }
            (PortState::Open, Some(Address::Loopback)) => {
                !here.is_empty() && here.iter().all(|listener| listener.address.is_loopback())
            }
        }
    }

    /// Where sockets cannot be seen, a TCP connection still tells whether others reach the port.
    async fn by_connecting(&self, service: &Service, expected: String) -> Result<Finding, Fault> {
        if self.protocol == Protocol::Udp || self.address == Some(Address::Loopback) {
            return Err(Fault::Exercise(format!(
                "whether something listens on {} at that address cannot be told under this runtime",
                self.name()
            )));
        }
        let answer = service.connect(service, self.port, self.within.0).await?;
        let observed = match &answer {
            Ok(_) => format!("a connection to {} was taken", self.name()),
            Err(Silence::Refused) => format!("a connection to {} was refused", self.name()),
            Err(_) => format!("a connection to {} was not answered", self.name()),
        };
        let holds = answer.is_ok() == (self.state == PortState::Open);
        Ok(Finding::of(holds, Detail::new(expected, observed).reproduce(Self::command(service))))
    }

    fn command(service: &Service) -> String {
        let name = service.name();
        let run = service.reproduce(&line(["-d", "--name", name]));
        let look = line([
            "docker",
            "run",
            "--rm",
            "--network",
            &format!("container:{name}"),
            "busybox:1.37",
            "netstat",
            "-lntu",
        ]);
        format!("{run} && sleep 1 && {look}")
    }
}
