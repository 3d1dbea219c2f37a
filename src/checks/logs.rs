//! `logs`: what a service prints.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, plain};
use super::matcher::{Text, shown};
use super::shell::line;
use super::tally::Tally;
use super::{Check, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Output, Service};
use crate::units::Span;

/// What a service prints within a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// Standard output.
    pub stdout: Option<Text>,
    /// Standard error.
    pub stderr: Option<Text>,
    /// Either of them: one of the two fits.
    pub output: Option<Text>,
    /// This is in neither of them, until the service ends or the time is over.
    pub absent: Option<Text>,
    /// How long it is waited for.
    #[serde(default = "patience")]
    pub within: Span,
}

fn patience() -> Span {
    Span::from_secs(5)
}

impl Check for Logs {
    const NAME: &'static str = "logs";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("logs.yaml"),
        evidence: &[
            ("Standard output", "what the service printed"),
            ("Standard error", "what it printed there"),
        ],
        fails: &["nothing fitting is printed in time", "something is printed that should not be"],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        let texts = [
            ("stdout", &self.stdout),
            ("stderr", &self.stderr),
            ("output", &self.output),
            ("absent", &self.absent),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                text.mistakes(field, false, &mut mistakes);
            }
        }
        if texts.iter().all(|(_, text)| text.is_none()) {
            mistakes.push("this check asks nothing; write `stdout`, `stderr`, `output` or `absent`".into());
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let resolved = |text: &Option<Text>| {
            text.as_ref().map(|text| text.resolved(scene.variables)).transpose().map_err(Fault::Exercise)
        };
        let wanted = Self {
            stdout: resolved(&self.stdout)?,
            stderr: resolved(&self.stderr)?,
            output: resolved(&self.output)?,
            absent: resolved(&self.absent)?,
            ..self.clone()
        };
        let watch = scene.clock.stopwatch();
        loop {
            let state = service.state().await?;
            // Asked for after the state: whatever was printed before the end is in it.
            let output = service.output();
            let tally = wanted.judge(&output);
            let left = self.within.0.saturating_sub(watch.elapsed());
            let over = !state.running || left.is_zero();
            // What must not be seen can be told as soon as it is, its absence only at the end.
            let unwanted = wanted.absent.as_ref().is_some_and(|text| either(text, &output));
            if over || unwanted || (tally.holds() && !wanted.has_to_wait()) {
                let mut detail = tally.detail();
                if !tally.holds() && !unwanted {
                    let when = ended(&state).unwrap_or_else(|| format!("waited {}", self.within));
                    detail.observed = format!("{} ({when})", detail.observed);
                }
                let detail = detail
                    .proof("Standard output", plain(&output.stdout))
                    .proof("Standard error", plain(&output.stderr))
                    .reproduce(self.command(service, state.running));
                return Ok(tally.finding(detail));
            }
            let seen = output.stdout.len() + output.stderr.len();
            let _ = tokio::time::timeout(left, service.more_output(seen)).await;
            if output.truncated {
                // Nothing more is kept, so nothing more announces itself.
                tokio::time::sleep(left.min(PAUSE)).await;
            }
        }
    }
}

/// Between two looks where nothing announces itself.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a text fits one of the two streams.
fn either(text: &Text, output: &Output) -> bool {
    text.accepts(&plain(&output.stdout)) || text.accepts(&plain(&output.stderr))
}

impl Logs {
    fn has_to_wait(&self) -> bool {
        let changeable = [&self.stdout, &self.stderr, &self.output];
        self.absent.is_some() || changeable.into_iter().flatten().any(Text::may_change_its_mind)
    }

    fn judge(&self, output: &Output) -> Tally {
        let mut tally = Tally::default();
        let streams = [
            ("standard output", &self.stdout, &output.stdout),
            ("standard error", &self.stderr, &output.stderr),
        ];
        for (what, wanted, seen) in streams {
            if let Some(wanted) = wanted {
                let seen = plain(seen);
                tally.note(
                    wanted.accepts(&seen),
                    format!("{what} {}", wanted.describe()),
                    format!("{what} is {}", last(&seen)),
                );
            }
        }
        let both = || match (output.stdout.is_empty(), output.stderr.is_empty()) {
            (true, true) => "nothing was printed".to_owned(),
            (false, true) => format!("printed: {}", last(&plain(&output.stdout))),
            (true, false) => format!("printed on standard error: {}", last(&plain(&output.stderr))),
            (false, false) => format!(
                "printed: {}, and on standard error: {}",
                last(&plain(&output.stdout)),
                last(&plain(&output.stderr))
            ),
        };
        if let Some(wanted) = &self.output {
            // A denial is of both: in either one it would hold whenever the other is empty.
            let holds = if wanted.may_change_its_mind() {
                wanted.accepts(&plain(&output.stdout)) && wanted.accepts(&plain(&output.stderr))
            } else {
                either(wanted, output)
            };
            tally.note(holds, format!("output that {}", wanted.describe()), both());
        }
        if let Some(unwanted) = &self.absent {
            tally.note(!either(unwanted, output), format!("no output that {}", unwanted.describe()), both());
        }
        tally
    }

    fn command(&self, service: &Service, running: bool) -> String {
        if !running {
            return service.reproduce("");
        }
        let name = service.name();
        let start = service.reproduce(&line(["-d", "--name", name]));
        let seconds = self.within.0.as_secs().clamp(1, 60);
        format!("{start} && sleep {seconds} && {}", line(["docker", "logs", name]))
    }
}

/// The end of an output, where what went wrong mostly stands.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.as_slice() {
        [] | [_] => shown(text),
        [.., end] => format!("{} lines, the last of them {}", lines.len(), shown(end)),
    }
}
