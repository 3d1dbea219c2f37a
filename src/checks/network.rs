//! `network`: the networks of a stack, and who stands on them.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::isolated::{is_through, outside};
use super::matcher::{Text, listed};
use super::reach::outcome;
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{NetworkFacts, Stack};

/// A network of the stack as the engine has it, and which services share one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The network by its name in the stack; the only one if nothing is said.
    pub name: Option<String>,
    /// Its driver, such as `bridge`.
    pub driver: Option<Text>,
    /// Whether the engine keeps it from the outside.
    pub internal: Option<bool>,
    /// These services share a network: the named one, or else any.
    #[serde(default)]
    pub shared_by: Vec<String>,
    /// No two of these services share a network.
    #[serde(default)]
    pub apart: Vec<String>,
    /// `true`: from no service on it, or else from none of the stack, something outside is reached.
    #[serde(default)]
    pub no_way_out: bool,
}

impl Check for Network {
    const NAME: &'static str = "network";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("network.yaml"),
        evidence: &[
            ("Networks", "each with its driver and the services on it"),
            ("What was tried", "addresses outside, and what came of each"),
        ],
        fails: &[
            "there is no network of that name, or it has another driver",
            "a service does not stand on the network that it should share",
            "two services share a network that should be apart",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.running(&mut mistakes);
        if around.composed && self.internal.is_some() {
            mistakes.push(
                "in the sandbox every network is internal; ask the compose file itself, such as `compose: {model: {json: {/networks/back/internal: true}}}`"
                    .into(),
            );
        }
        if around.composed && self.name.is_none() && self.driver.is_some() {
            mistakes.push("`driver` is of one network; add its `name`".into());
        }
        for (field, services) in [("shared_by", &self.shared_by), ("apart", &self.apart)] {
            for (index, service) in services.iter().enumerate() {
                around.other(field, Some(service), &mut mistakes);
                if services[..index].contains(service) {
                    mistakes.push(format!("`{field}` names `{service}` twice"));
                }
            }
            if services.len() == 1 {
                mistakes.push(format!("`{field}` is about at least two services"));
            }
        }
        if let Some(stack) = around.stack {
            let names = stack.network_names();
            match self.name.as_deref() {
                Some(name) if !names.contains(&name) => {
                    mistakes.push(crate::tree::unknown("network", name, names.iter().copied()));
                }
                None if names.len() > 1 && (self.driver.is_some() || self.internal.is_some()) => {
                    mistakes.push("`driver` and `internal` are of one network; add its `name`".into());
                }
                _ => {}
            }
        }
        if let Some(driver) = &self.driver {
            driver.mistakes("driver", false, &mut mistakes);
        }
        let asks = self.driver.is_some()
            || self.internal.is_some()
            || !self.shared_by.is_empty()
            || !self.apart.is_empty()
            || self.no_way_out;
        if !asks {
            mistakes.push(
                "this check asks nothing; write `driver`, `internal`, `shared_by`, `apart` or `no_way_out: true`"
                    .into(),
            );
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let stack = scene.stack()?;
        let mut all = Vec::new();
        for name in stack.networks() {
            if let Some(facts) = stack.network(name).await? {
                all.push((name.to_owned(), facts));
            }
        }
        let mut tally = Tally::default();
        self.one(&all, &mut tally);
        self.standing(&all, &mut tally);
        let tried =
            if self.no_way_out { self.ways_out(stack, &all, &mut tally).await? } else { String::new() };
        let mut networks = String::new();
        for (name, NetworkFacts { driver, internal, services }) in &all {
            let internal = if *internal { ", internal" } else { "" };
            let _ = writeln!(networks, "{name} ({driver}{internal}): {}", services.join(", "));
        }
        let detail = tally.detail().proof("Networks", networks).proof("What was tried", tried);
        Ok(tally
            .finding(detail.reproduce("docker network ls && docker network inspect $(docker network ls -q)")))
    }
}

impl Network {
    /// Whether a network is among those that are meant.
    fn means(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// What is asked of one network.
    fn one(&self, all: &[(String, NetworkFacts)], tally: &mut Tally) {
        let found = all.iter().find(|(name, _)| self.means(name));
        let Some((name, facts)) = found else {
            let name = self.name.as_deref().unwrap_or_default();
            tally.note(false, format!("a network `{name}`"), format!("there is no network `{name}`"));
            return;
        };
        if let Some(wanted) = &self.driver {
            tally.note(
                wanted.accepts(&facts.driver),
                format!("the driver of `{name}` {}", wanted.describe()),
                format!("the driver of `{name}` is `{}`", facts.driver),
            );
        }
        let words = |internal| if internal { "internal" } else { "not internal" };
        if let Some(wanted) = self.internal {
            tally.note(
                wanted == facts.internal,
                format!("the network `{name}` is {}", words(wanted)),
                format!("the network `{name}` is {}", words(facts.internal)),
            );
        }
    }

    /// Who shares a network and who does not.
    fn standing(&self, all: &[(String, NetworkFacts)], tally: &mut Tally) {
        let quoted = |services: &[String]| -> Vec<String> {
            services.iter().map(|service| format!("`{service}`")).collect()
        };
        if !self.shared_by.is_empty() {
            let together = all.iter().find(|(name, facts)| {
                self.means(name) && self.shared_by.iter().all(|service| facts.services.contains(service))
            });
            let services = listed(&quoted(&self.shared_by), "and");
            let network =
                self.name.as_ref().map_or("a network".into(), |name| format!("the network `{name}`"));
            tally.note(
                together.is_some(),
                format!("{services} share {network}"),
                match together {
                    Some((name, _)) => format!("{services} stand on `{name}`"),
                    None => format!("{services} do not all stand on one network"),
                },
            );
        }
        if !self.apart.is_empty() {
            let shared = all.iter().filter(|(name, _)| self.means(name)).find_map(|(name, facts)| {
                let here: Vec<String> =
                    self.apart.iter().filter(|service| facts.services.contains(service)).cloned().collect();
                (here.len() > 1).then_some((name, here))
            });
            let services = listed(&quoted(&self.apart), "and");
            tally.note(
                shared.is_none(),
                format!("no two of {services} share a network"),
                match shared {
                    Some((name, here)) => format!("{} share `{name}`", listed(&quoted(&here), "and")),
                    None => format!("{services} share none"),
                },
            );
        }
    }

    /// Tries to get out from every service that is meant.
    async fn ways_out(
        &self,
        stack: &Stack,
        all: &[(String, NetworkFacts)],
        tally: &mut Tally,
    ) -> Result<String, Fault> {
        let mut told = String::new();
        let mut out = Vec::new();
        let meant = all.iter().filter(|(name, _)| self.means(name)).flat_map(|(_, facts)| &facts.services);
        let mut tried: Vec<&String> = Vec::new();
        for name in meant {
            if tried.contains(&name) {
                continue;
            }
            tried.push(name);
            let Some(service) = stack.service(name) else { continue };
            for (address, answer) in outside(service).await? {
                if is_through(&answer) {
                    out.push(format!("`{name}` reached {address}"));
                }
                let _ = writeln!(told, "{name} -> {address}: {}", outcome(&answer));
            }
        }
        let observed = if out.is_empty() { "nothing outside answered".into() } else { out.join(", ") };
        tally.note(out.is_empty(), "no way out", observed);
        Ok(told)
    }
}
