//! `dns`: what a name stands for in a service's network.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Literal, fill, listed};
use super::shell::line;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Error, Service, Silence, Stack};
use crate::units::Span;

/// A name is known where a service stands, and is that of a service; or it is not known there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name that is looked up, as the service would: in its list of hosts, then at its network's
    /// name server.
    pub name: Literal,
    /// The service from whose place it is looked up; `app` if nothing is said.
    pub from: Option<String>,
    /// The service that it stands for: every address that is found is one of its own.
    pub service: Option<String>,
    /// `true`: it is not known there.
    #[serde(default)]
    pub absent: bool,
    /// How long the answer may take. An engine's name server is silent about a name that is not on an
    /// internal network, so a check for `absent` takes this long.
    #[serde(default = "patience")]
    pub within: Span,
}

fn patience() -> Span {
    Span::from_secs(1)
}

impl Check for Dns {
    const NAME: &'static str = "dns";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("dns.yaml"),
        evidence: &[
            ("Addresses found", "each with the service whose it is"),
            ("Addresses of the services", "all of the stack"),
        ],
        fails: &[
            "the name is not known where the asking service stands",
            "the name stands for another service, or for one more",
            "the name is known where it should not be",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + CONTROL + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("from", self.from.as_deref(), &mut mistakes);
        around.other("service", self.service.as_deref(), &mut mistakes);
        let name = &self.name.0;
        if name.parse::<IpAddr>().is_ok() {
            mistakes.push(format!("`name: {name}` is an address, and those are not looked up"));
        } else if name.is_empty()
            || name.len() > 253
            || name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            mistakes.push("`name` is no name of a host".into());
        }
        match (&self.service, self.absent) {
            (None, false) => mistakes.push(
                "this check asks nothing; write the `service` that the name stands for, or `absent: true`"
                    .into(),
            ),
            (Some(_), true) => mistakes.push("`absent` cannot stand beside `service`".into()),
            _ => {}
        }
        if around.main_service().is_some_and(|main| self.from.as_deref().unwrap_or(main) == name) {
            mistakes.push(format!(
                "`name: {name}` is the name of the service that asks, which each has in its own list of hosts; \
                 ask from another"
            ));
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let from = scene.service(self.from.as_deref())?;
        let target = scene.other(self.service.as_deref())?;
        let name = fill(&self.name.0, scene.variables);
        let expected = match target {
            Some(target) => {
                format!("`{name}` is known to `{}` as an address of `{}`", from.name(), target.name())
            }
            None => format!("`{name}` is not known to `{}`", from.name()),
        };
        let stopwatch = scene.clock.stopwatch();
        let found = loop {
            let left = self.within.0.saturating_sub(stopwatch.elapsed());
            match from.resolve(&name, left.max(PAUSE)).await? {
                Ok(addresses) => break addresses,
                // A name that is to be known may yet become so.
                Err(Silence::UnknownName) if target.is_some() && left > PAUSE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Silence::UnknownName) => break Vec::new(),
                // On an internal network the engine passes a name it does not know on to servers that
                // cannot be reached, and then says nothing.
                Err(_) if from.names_are_served(CONTROL).await? => break Vec::new(),
                Err(_) => {
                    return Err(Fault::Platform(Error::TimedOut {
                        action: "answer any name in a stack's network".into(),
                        seconds: CONTROL.as_secs(),
                    }));
                }
            }
        };
        let holds = match target {
            Some(target) => {
                !found.is_empty() && found.iter().all(|address| any_owns(scene.stack, target, *address))
            }
            None => found.is_empty(),
        };
        let stack = scene.stack;
        let observed = if found.is_empty() {
            format!("`{name}` is not known to `{}`", from.name())
        } else {
            let told: Vec<String> = found.iter().map(|address| told(stack, *address)).collect();
            format!("`{name}` is known to `{}` as {}", from.name(), listed(&told, "and"))
        };
        let lines: Vec<String> =
            found.iter().map(|address| format!("{name}  {}", told(stack, *address))).collect();
        let own = stack.into_iter().flat_map(Stack::services);
        let own: Vec<String> =
            own.map(|service| format!("{}  {}", service.name(), service.address())).collect();
        let detail = Detail::new(expected, observed)
            .proof("Addresses found", lines.join("\n"))
            .proof("Addresses of the services", own.join("\n"));
        Ok(Finding::of(holds, detail.reproduce(command(from, target, &name))))
    }
}

/// Between two tries, and the least that one takes.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a name server may take to answer for a name that it surely has.
const CONTROL: Duration = Duration::from_secs(5);

fn owns(service: &Service, address: IpAddr) -> bool {
    service.addresses().values().any(|own| *own == address)
}

/// Whether a container of the service has this address.
fn any_owns(stack: Option<&Stack>, target: &Service, address: IpAddr) -> bool {
    let replicas = stack.map_or(&[][..], |stack| stack.replicas(target.name()));
    replicas.iter().any(|service| owns(service, address))
}

/// "172.18.0.3 (`db`)"
fn told(stack: Option<&Stack>, address: IpAddr) -> String {
    let owner = stack.into_iter().flat_map(Stack::services).find(|service| owns(service, address));
    match owner {
        Some(owner) => format!("{address} (`{}`)", owner.name()),
        None => format!("{address} (no service of the stack)"),
    }
}

/// Both services, and a look-up in the asking one's network namespace.
fn command(from: &Service, target: Option<&Service>, name: &str) -> String {
    let mut services = vec![from];
    services.extend(target.filter(|target| target.name() != from.name()));
    let mut steps: Vec<String> =
        services.iter().map(|service| service.reproduce(&line(["-d", "--name", service.name()]))).collect();
    let network = format!("container:{}", from.name());
    steps.push(line(["docker", "run", "--rm", "--network", &network, "busybox:1.37", "nslookup", name]));
    steps.join(" && ")
}
