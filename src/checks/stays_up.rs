//! `stays_up`: a service keeps running.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, told};
use super::shell::line;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::units::Span;

/// A service still runs so long after it was started.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaysUp {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// For how long, counted from its start.
    #[serde(rename = "for", default = "patience")]
    pub duration: Span,
}

fn patience() -> Span {
    Span::from_secs(3)
}

impl Check for StaysUp {
    const NAME: &'static str = "stays_up";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("stays_up.yaml"),
        evidence: &[("Last lines of its output", "what the service printed before the end")],
        fails: &["the service ends before the time is over"],
    };

    fn deadline(&self) -> Duration {
        self.duration.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        around.time("for", self.duration, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let mut state = service.state().await?;
        if state.running {
            state = service.wait_exit(self.duration.0.saturating_sub(state.ran_for)).await?;
        }
        let observed = ended(&state).unwrap_or_else(|| match state.restarts {
            0 => format!("the container still runs after {}", told(state.ran_for)),
            1 => "the container ended and was started again".to_owned(),
            times => format!("the container ended and was started again {times} times"),
        });
        let name = service.name();
        let command = if state.running {
            let start = service.reproduce(&line(["-d", "--name", name]));
            let look = line(["docker", "ps", "--filter", &format!("name={name}")]);
            format!("{start} && sleep {} && {look}", self.duration.0.as_secs().max(1))
        } else {
            service.reproduce("")
        };
        let expected = format!("the container still runs {} after its start", self.duration);
        let detail = Detail::new(expected, observed).with_output(&service.output()).reproduce(command);
        Ok(Finding::of(state.running && state.restarts == 0, detail))
    }
}
