//! `limits`: memory, CPUs and processes that a service's container may have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::forms::{Forms, Scalar, deserialize_forms};
use super::matcher::{Number, Size};
use super::shell::line;
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::units::ByteSize;

/// The bounds that a service's container has in the engine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// Its memory.
    pub memory: Option<Size>,
    /// Its CPUs.
    pub cpus: Option<Cpus>,
    /// Its processes and threads.
    pub pids: Option<Number>,
}

/// A number of CPUs: the number itself, or bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Cpus {
    /// Exactly so many.
    Exactly(f64),
    /// Bounds.
    Parts(CpusParts),
}

/// Bounds of a number of CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpusParts {
    /// This or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// This or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

impl Forms for Cpus {
    const EXPECTING: &'static str = "a number of CPUs such as 0.5, or {at_least, at_most}";
    type Parts = CpusParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        let wrong = || format!("expected {}", Self::EXPECTING);
        let text = match scalar {
            Scalar::Float(number) => return Ok(Self::Exactly(number)),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Text(text) => text,
            Scalar::Bool(_) => return Err(wrong()),
        };
        text.trim().parse().map(Self::Exactly).map_err(|_| wrong())
    }
    fn from_parts(parts: CpusParts) -> Result<Self, String> {
        if parts == CpusParts::default() {
            return Err("nothing is asked here; write at_least or at_most".into());
        }
        Ok(Self::Parts(parts))
    }
}
deserialize_forms!(Cpus);

impl Cpus {
    /// The engine keeps them in thousandths.
    fn accepts(self, millis: u32) -> bool {
        let seen = f64::from(millis) / 1000.0;
        match self {
            Self::Exactly(number) => (number - seen).abs() < 0.0005,
            Self::Parts(parts) => {
                parts.at_least.is_none_or(|least| seen >= least)
                    && parts.at_most.is_none_or(|most| seen <= most)
            }
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Exactly(number) => number.to_string(),
            Self::Parts(CpusParts { at_least: Some(least), at_most: Some(most) }) => {
                format!("between {least} and {most}")
            }
            Self::Parts(CpusParts { at_least: Some(least), .. }) => format!("at least {least}"),
            Self::Parts(CpusParts { at_most: Some(most), .. }) => format!("at most {most}"),
            Self::Parts(_) => "of any number".into(),
        }
    }

    fn mistakes(self, mistakes: &mut Vec<String>) {
        let (least, most) = match self {
            Self::Exactly(number) => (Some(number), Some(number)),
            Self::Parts(parts) => (parts.at_least, parts.at_most),
        };
        if most.is_some_and(|most| most.is_nan() || most <= 0.0) {
            mistakes.push("`cpus` can never pass: a container has more than none".into());
        } else if most.is_none() && least.is_none_or(|least| least.is_nan() || least <= 0.0) {
            mistakes.push("`cpus` can never fail: a container always has some".into());
        } else if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            mistakes.push("`cpus` can never pass: its bounds leave nothing between them".into());
        }
    }
}

impl Check for Limits {
    const NAME: &'static str = "limits";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("limits.yaml"),
        evidence: &[("Bounds of the container", "memory, CPUs and processes as the engine has them")],
        fails: &["a bound is another than wanted", "the container has no such bound"],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if let Some(size) = &self.memory {
            size.mistakes("memory", &mut mistakes);
        }
        if let Some(cpus) = self.cpus {
            cpus.mistakes(&mut mistakes);
        }
        if let Some(pids) = &self.pids {
            pids.mistakes("pids", &(1..=i64::from(u32::MAX)), &mut mistakes);
        }
        if self.memory.is_none() && self.cpus.is_none() && self.pids.is_none() {
            mistakes.push("this check asks nothing; write `memory`, `cpus` or `pids`".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let bounds = service.bounds().await?;
        let memory =
            bounds.memory_bytes.map_or_else(|| "without bound".into(), |bytes| ByteSize(bytes).to_string());
        let cpus = bounds
            .cpu_millis
            .map_or_else(|| "without bound".into(), |millis| (f64::from(millis) / 1000.0).to_string());
        let pids = bounds.pids.map_or_else(|| "without bound".into(), |pids| pids.to_string());
        let mut tally = Tally::default();
        if let Some(wanted) = &self.memory {
            tally.note(
                bounds.memory_bytes.is_some_and(|bytes| wanted.accepts(bytes)),
                format!("memory {}", wanted.describe()),
                format!("memory {memory}"),
            );
        }
        if let Some(wanted) = self.cpus {
            tally.note(
                bounds.cpu_millis.is_some_and(|millis| wanted.accepts(millis)),
                format!("CPUs {}", wanted.describe()),
                format!("CPUs {cpus}"),
            );
        }
        if let Some(wanted) = &self.pids {
            tally.note(
                bounds.pids.is_some_and(|pids| wanted.accepts(pids.into())),
                format!("processes {}", wanted.describe()),
                format!("processes {pids}"),
            );
        }
        let name = service.host_name();
        let format = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
        let command = format!(
            "{} && {}",
            service.reproduce(&line(["-d", "--name", name])),
            line(["docker", "inspect", "-f", format, name])
        );
        let told = format!("memory     {memory}\nCPUs       {cpus}\nprocesses  {pids}");
        Ok(tally.finding(tally.detail().proof("Bounds of the container", told).reproduce(command)))
    }
}
