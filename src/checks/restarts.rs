//! `restarts`: a service comes back after its main process was killed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, told};
use super::matcher::{Literal, fill};
use super::shell::line;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Restart, Service, StartError, State};
use crate::units::Span;

/// The main process of a service is killed; its restart policy starts it again, and it is ready again
/// within a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restarts {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// The signal that ends it, such as `KILL` or `TERM`.
    #[serde(default = "kill")]
    pub signal: Literal,
    /// How long it may take from the signal until it is ready again.
    #[serde(default = "patience")]
    pub within: Span,
}

fn kill() -> Literal {
    Literal("KILL".into())
}

fn patience() -> Span {
    Span::from_secs(10)
}

/// Signals that are meant to end a process.
const SIGNALS: [&str; 9] = ["KILL", "TERM", "INT", "QUIT", "HUP", "ABRT", "SEGV", "USR1", "USR2"];

impl Check for Restarts {
    const NAME: &'static str = "restarts";
    const PHASE: Phase = Phase::Disturb;
    const MANUAL: Manual = Manual {
        examples: include_str!("restarts.yaml"),
        evidence: &[
            (
                "Time line",
                "when the signal was sent, the process ended, and the service was up and ready again",
            ),
            ("Last lines of its output", "what the service printed before and after"),
        ],
        fails: &[
            "its policy does not start it again, because it is `no`, or because of its exit code",
            "it does not come up a second time, for example because of a file that the first left behind",
            "the signal does not end it, or it had ended before",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if !SIGNALS.contains(&bare(&self.signal.0)) {
            mistakes.push(format!("`signal: {}` is not one of {}", self.signal.0, SIGNALS.join(", ")));
        }
        if around.spec(self.service.as_deref()).is_some_and(|spec| spec.restart == Restart::No) {
            mistakes.push(
                "this check can never pass: the service is never started again; give it a `restart` policy"
                    .into(),
            );
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let signal = format!("SIG{}", bare(&fill(&self.signal.0, scene.variables)));
        let expected = format!("after {signal} the service is up and ready again within {}", self.within);
        let before = service.state().await?;
        if let Some(ended) = ended(&before) {
            let detail = Detail::new(expected, format!("{ended}, before it was sent any signal"));
            let detail = detail.with_output(&service.output()).reproduce(service.reproduce(""));
            return Ok(Finding::Failed(detail));
        }
        let watch = scene.clock.stopwatch();
        let mut line = TimeLine::default();
        line.note(Duration::ZERO, format!("{signal} is sent"));
        service.kill(&signal).await?;
        let end = service.wait_exit(self.within.0).await?;
        if end.running && end.restarts == before.restarts {
            let observed = format!("{signal} did not end the main process within {}", self.within);
            return Ok(Finding::Failed(self.detail(service, expected, observed, &line)));
        }
        line.note(watch.elapsed(), end_told(&end));
        let left = |watch: &crate::clock::Stopwatch| self.within.0.saturating_sub(watch.elapsed());
        let again = service.restarted(before.restarts, left(&watch)).await;
        let mut observed = None;
        if again {
            line.note(watch.elapsed(), "it was started again");
            let ready = tokio::time::timeout(left(&watch), service.wait_ready()).await;
            let took = watch.elapsed();
            if ready.unwrap_or(Ok(false))? {
                line.note(took, "it is ready");
                let observed = format!("it was up and ready again after {}", told(took));
                return Ok(Finding::Passed(self.detail(service, expected, observed, &line)));
            }
            observed = Some(format!("it was started again, but was not ready within {}", self.within));
        }
        let state = service.state().await?;
        let observed =
            observed.unwrap_or_else(|| format!("{}, and it was not started again", end_told(&end)));
        if let Some(ended) = ended(&state) {
            line.note(watch.elapsed(), ended);
        }
        let detail = self.detail(service, expected, observed, &line);
        // For the checks that follow.
        let detail = if state.running {
            detail
        } else {
            match service.start().await {
                Ok(()) => detail,
                Err(StartError::Refused { sentence, .. }) => {
                    detail.proof("When it was started again", sentence)
                }
                Err(StartError::Platform(error)) => return Err(error.into()),
            }
        };
        Ok(Finding::Failed(detail))
    }
}

/// What is added to the waiting time before the check counts as broken: for the engine, and for a
/// service that is started again for the checks that follow.
const MARGIN: Duration = Duration::from_mins(1);

/// A signal's name without what it may begin with.
fn bare(signal: &str) -> &str {
    signal.strip_prefix("SIG").unwrap_or(signal)
}

fn end_told(state: &State) -> String {
    match state.exit_code {
        Some(code) => format!("the main process ended with exit code {code}"),
        None => "the main process ended".into(),
    }
}

impl Restarts {
    fn detail(&self, service: &Service, expected: String, observed: String, line: &TimeLine) -> Detail {
        Detail::new(expected, observed)
            .proof("Time line", line.text())
            .with_output(&service.output())
            .reproduce(self.command(service))
    }

    /// `docker kill` would count as a wish to stop, and process 1 hears no deadly signal from inside: it
    /// is killed by its id outside of the container.
    fn command(&self, service: &Service) -> String {
        let name = service.host_name();
        format!(
            "{} && sleep 2 && docker run --rm --pid host busybox:1.37 kill -{} \"$({})\" && sleep 5 && {}",
            service.reproduce(&line(["-d", "--name", name])),
            bare(&self.signal.0),
            line(["docker", "inspect", "-f", "{{.State.Pid}}", name]),
            line(["docker", "inspect", "-f", "{{.State.Status}} {{.RestartCount}}", name])
        )
    }
}

/// What happened when, from the disturbance on.
#[derive(Default)]
pub(super) struct TimeLine(Vec<String>);

impl TimeLine {
    pub(super) fn note(&mut self, after: Duration, what: impl std::fmt::Display) {
        self.0.push(format!("{:>8.3} s  {what}", after.as_secs_f64()));
    }

    pub(super) fn text(&self) -> String {
        self.0.join("\n")
    }
}
