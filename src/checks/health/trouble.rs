//! What is broken so that a health check has something to see, and how it is mended.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::command::CommandLine;
use crate::checks::shell::line;
use crate::checks::{Fault, Scene, Surroundings};
use crate::sandbox::{RunSpec, Service, StartError};

/// One thing to break: `command`, `freeze`, `stop` or `pause`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// This runs in the service: a list of words, or a line for `/bin/sh -c`.
    pub command: Option<CommandLine>,
    /// What mends it: without it the service stays broken for the checks that follow.
    pub repair: Option<CommandLine>,
    /// `true`: the service's process 1 is halted (SIGSTOP), as a server that hangs; then it goes on.
    #[serde(default)]
    pub freeze: bool,
    /// Another service is stopped; then it is started again.
    pub stop: Option<String>,
    /// Another service is paused: it is there and does not answer; then it goes on.
    pub pause: Option<String>,
}

/// How long commands may take that break or mend.
const COMMAND: Duration = Duration::from_secs(10);
/// How long a service may take to stop.
const STOP: Duration = Duration::from_secs(2);

impl Break {
    pub(super) fn mistakes(
        &self,
        own: Option<&str>,
        recovers: bool,
        around: &Surroundings<'_>,
        mistakes: &mut Vec<String>,
    ) {
        let ways = [self.command.is_some(), self.freeze, self.stop.is_some(), self.pause.is_some()];
        if ways.into_iter().filter(|given| *given).count() != 1 {
            mistakes.push("`break` takes one of `command`, `freeze: true`, `stop` and `pause`".into());
        }
        for (field, command) in [("command", &self.command), ("repair", &self.repair)] {
            if command.as_ref().is_some_and(CommandLine::is_empty) {
                mistakes.push(format!("`break.{field}` is empty"));
            }
        }
        if self.repair.is_some() && self.command.is_none() {
            mistakes.push("`break.repair` mends what `command` broke; anything else mends itself".into());
        }
        if recovers && self.command.is_some() && self.repair.is_none() {
            mistakes
                .push("`recovers_within` needs something that mends the service; add `break.repair`".into());
        }
        for (field, other) in [("break.stop", &self.stop), ("break.pause", &self.pause)] {
            let Some(other) = other else { continue };
            around.other(field, Some(other), mistakes);
            if own == Some(other.as_str()) {
                mistakes.push(format!(
                    "`{field}: {other}` is the service itself, in which no check can run then; write `freeze: true`"
                ));
            }
        }
    }

    /// The other service that is needed.
    pub(super) fn other(&self) -> Option<&str> {
        self.stop.as_deref().or(self.pause.as_deref())
    }

    /// "`db` is stopped"
    pub(super) fn what(&self) -> String {
        match (&self.stop, &self.pause) {
            (Some(other), _) => format!("`{other}` is stopped"),
            (None, Some(other)) => format!("`{other}` is paused"),
            (None, None) if self.freeze => "its process 1 is halted".into(),
            (None, None) => "it is broken".into(),
        }
    }

    /// Breaks it, and says what was done, for the time line.
    pub(super) async fn apply(&self, scene: &Scene<'_>, service: &Service) -> Result<String, Fault> {
        if let Some(other) = &self.stop {
            scene.service(Some(other))?.stop(STOP).await?;
        } else if let Some(other) = &self.pause {
            scene.service(Some(other))?.pause().await?;
        } else if self.freeze {
            service.kill("SIGSTOP").await?;
        } else if let Some(command) = &self.command {
            return run(scene, service, command).await;
        }
        Ok(self.what())
    }

    /// Mends it, and says what was done; `None` where nothing can be.
    pub(super) async fn mend(&self, scene: &Scene<'_>, service: &Service) -> Result<Option<String>, Fault> {
        if let Some(other) = &self.stop {
            return match scene.service(Some(other))?.start().await {
                Ok(()) => Ok(Some(format!("`{other}` is started"))),
                Err(StartError::Refused { sentence, .. }) => Ok(Some(sentence)),
                Err(StartError::Platform(error)) => Err(error.into()),
            };
        }
        if let Some(other) = &self.pause {
            scene.service(Some(other))?.unpause().await?;
            return Ok(Some(format!("`{other}` goes on")));
        }
        if self.freeze {
            service.kill("SIGCONT").await?;
            return Ok(Some("its process 1 goes on".into()));
        }
        match &self.repair {
            Some(command) => run(scene, service, command).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same with docker.
    pub(super) fn command(&self, scene: &Scene<'_>, service: &str) -> String {
        if let Some(other) = &self.stop {
            return line(["docker", "stop", other]);
        }
        if let Some(other) = &self.pause {
            return line(["docker", "pause", other]);
        }
        match &self.command {
            None => line(["docker", "kill", "-s", "STOP", service]),
            Some(command) => {
                let words = command.words(scene.variables);
                line(["docker", "exec", service].map(str::to_owned).into_iter().chain(words))
            }
        }
    }
}

async fn run(scene: &Scene<'_>, service: &Service, command: &CommandLine) -> Result<String, Fault> {
    let words = command.words(scene.variables);
    let what = format!("`{}`", line(&words));
    let spec = RunSpec { command: Some(words), within: COMMAND, ..RunSpec::default() };
    match Box::pin(service.exec(spec)).await {
        Ok(ran) => Ok(match ran.exit_code {
            Some(0) => what,
            Some(code) => format!("{what} (exit code {code})"),
            None => format!("{what} (killed after {} s)", COMMAND.as_secs()),
        }),
        Err(StartError::Refused { sentence, .. }) => Ok(format!("{what}: {sentence}")),
        Err(StartError::Platform(error)) => Err(error.into()),
    }
}
