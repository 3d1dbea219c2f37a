//! `exit`: a service ends by itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, told};
use super::matcher::Number;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::units::Span;

/// A service ends by itself, with a code, within a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// The exit code.
    #[serde(default = "success")]
    pub code: Number,
    /// How long it may run.
    #[serde(default = "patience")]
    pub within: Span,
}

fn success() -> Number {
    Number::Exactly(0)
}

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Exit {
    const NAME: &'static str = "exit";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("exit.yaml"),
        evidence: &[("Last lines of its output", "what the service printed before the end")],
        fails: &["it still runs when the time is over", "it ends with another code, or is killed"],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        self.code.mistakes("code", &(0..=255), &mut mistakes);
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let mut state = service.state().await?;
        if state.running {
            // It may have run a while already; that counts.
            state = service.wait_exit(self.within.0.saturating_sub(state.ran_for)).await?;
        }
        let in_time = !state.running && state.ran_for <= self.within.0;
        let by_itself = !state.oom_killed && !state.over_disk;
        let holds = in_time && by_itself && state.exit_code.is_some_and(|code| self.code.accepts(code));
        let expected =
            format!("the container ends within {} with exit code {}", self.within, self.code.describe());
        let observed = ended(&state)
            .unwrap_or_else(|| format!("the container still runs after {}", told(state.ran_for)));
        let detail = Detail::new(expected, observed)
            .with_output(&service.output())
            .reproduce(format!("{}; echo \"exit code $?\"", service.reproduce("")));
        Ok(Finding::of(holds, detail))
    }
}
