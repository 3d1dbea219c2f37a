//! `stops`: a service ends by itself when it is asked to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, told};
use super::matcher::{Argv, Number};
use super::shell::line;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings, main_process};
use crate::report::Phase;
use crate::sandbox::{Process, Service, StartError, Stopped};
use crate::units::Span;

/// The stop signal (SIGTERM unless the image says otherwise) ends a service within a time, by
/// itself. Afterwards it is started again for the checks that follow.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stops {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// How long it may take.
    #[serde(default = "patience")]
    pub within: Span,
    /// The exit code; anything but 137 (killed) if nothing is said.
    pub exit_code: Option<Number>,
}

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Stops {
    const NAME: &'static str = "stops";
    const PHASE: Phase = Phase::Disturb;
    const MANUAL: Manual = Manual {
        examples: include_str!("stops.yaml"),
        evidence: &[
            ("Processes before it was asked to stop", "with ids, users and command lines"),
            ("Last lines of its output", "what the service printed before the end"),
            ("When it was started again", "why it could not be started, where it could not"),
        ],
        fails: &[
            "the signal does not end it in time, so that it is killed",
            "it ends with another code",
            "it had ended before it was asked to",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        around.time("within", self.within, &mut mistakes);
        if let Some(code) = &self.exit_code {
            code.mistakes("exit_code", &(0..=255), &mut mistakes);
            if matches!(code, Number::Exactly(KILLED)) {
                mistakes.push(
                    "`exit_code: 137` is that of a killed process, which did not stop by itself".into(),
                );
            }
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let code = self.exit_code.as_ref().map_or_else(|| "other than 137".into(), Number::describe);
        let expected =
            format!("the stop signal ends the container within {}, with an exit code {code}", self.within);
        if let Some(ended) = ended(&service.state().await?) {
            let detail = Detail::new(expected, format!("{ended}, before it was asked to stop"));
            return Ok(Finding::Failed(
                detail.with_output(&service.output()).reproduce(service.reproduce("")),
            ));
        }
        // Looked at before, for afterwards there is nothing to see.
        let processes = main_process::processes(service).await?.unwrap_or_default();
        let stopped = service.stop(self.within.0).await?;
        let fits = match (&self.exit_code, stopped.exit_code) {
            (_, None) => false,
            (Some(wanted), Some(code)) => wanted.accepts(code),
            (None, Some(code)) => code != KILLED,
        };
        let detail = Detail::new(expected, observed(&stopped, &processes))
            .proof("Processes before it was asked to stop", main_process::table(&processes))
            .with_output(&service.output())
            .reproduce(self.command(service));
        let detail = match service.start().await {
            Ok(()) => detail,
            Err(StartError::Refused { sentence, .. }) => detail.proof("When it was started again", sentence),
            Err(StartError::Platform(error)) => return Err(error.into()),
        };
        Ok(Finding::of(stopped.by_itself && fits, detail))
    }
}

/// What is added to the waiting time before the check counts as broken: for the engine, and for the
/// service that is started again and takes its time to be ready.
const MARGIN: Duration = Duration::from_mins(1);

/// The exit code of what SIGKILL ended: 128 and the signal's number.
const KILLED: i64 = 137;

fn observed(stopped: &Stopped, processes: &[Process]) -> String {
    let took = told(stopped.took);
    match (stopped.by_itself, stopped.exit_code, processes.first()) {
        (true, Some(code), _) => format!("it ended by itself after {took} with exit code {code}"),
        (true, None, _) => format!("it ended by itself after {took}"),
        (false, _, main) => {
            let killed =
                format!("it did not end within {} and had to be killed (exit code 137)", Span(stopped.given));
            match main {
                Some(main) if main_process::is_shell(main) => format!(
                    "{killed}: process 1 is the shell {}, which does not pass the signal on",
                    Argv::show(Some(&main.argv))
                ),
                Some(_) => {
                    format!("{killed}: as process 1 it ignores signals that it has no handler for")
                }
                None => killed,
            }
        }
    }
}

impl Stops {
    fn command(&self, service: &Service) -> String {
        let name = service.name();
        let start = service.reproduce(&line(["-d", "--name", name]));
        let seconds = self.within.0.as_secs().max(1).to_string();
        // `docker wait` prints the exit code; it has to be asked before the container is gone.
        format!(
            "{start} && {{ {} & sleep 1; {}; wait; }}",
            line(["docker", "wait", name]),
            line(["docker", "stop", "-t", &seconds, name])
        )
    }
}
