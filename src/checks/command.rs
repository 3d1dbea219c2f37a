//! `command`: a program that runs in a service, or in a fresh container of the image.

use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, plain};
use super::matcher::forms::{Forms, Never, Scalar, deserialize_forms};
use super::matcher::{Literal, Number, Text, Variables, fill, shown};
use super::shell::{line, quoted};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Ran, RunSpec, Service, StartError};
use crate::units::Span;

/// A command in a running service (`docker exec`), or a fresh container of the image
/// (`docker run`): how it ends and what it prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The service it runs in; `app` if nothing is said.
    pub service: Option<String>,
    /// `true`: in a new container of the built image instead, without a network.
    #[serde(default)]
    pub fresh: bool,
    /// What runs in the service: a list of words, or a line for `/bin/sh -c`.
    pub run: Option<CommandLine>,
    /// For a fresh container: the words after the image, which replace its `CMD`.
    pub args: Option<Vec<Literal>>,
    /// For a fresh container: replaces its `ENTRYPOINT`.
    pub entrypoint: Option<Vec<Literal>>,
    /// Environment variables added for it.
    #[serde(default)]
    pub env: IndexMap<String, Literal>,
    /// The user it runs as; the image's if nothing is said.
    pub user: Option<Literal>,
    /// The folder it runs in; the image's if nothing is said.
    pub workdir: Option<String>,
    /// What it reads from its standard input.
    pub stdin: Option<Literal>,
    /// How long it may take.
    #[serde(default = "patience")]
    pub within: Span,
    /// The exit code.
    pub exit_code: Option<Number>,
    /// What it prints on standard output.
    pub stdout: Option<Text>,
    /// What it prints on standard error.
    pub stderr: Option<Text>,
}

/// A command: words, or a line for the shell.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// A program and its arguments.
    Words(Vec<Literal>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl CommandLine {
    /// Nothing to run.
    pub(in crate::checks) fn is_empty(&self) -> bool {
        match self {
            Self::Words(words) => words.is_empty(),
            Self::Shell(line) => line.trim().is_empty(),
        }
    }

    /// Program and arguments, with the grading's values in place of `${name}`.
    pub(in crate::checks) fn words(&self, variables: &Variables) -> Vec<String> {
        match self {
            Self::Words(words) => words.iter().map(|word| fill(&word.0, variables).into_owned()).collect(),
            Self::Shell(line) => vec!["/bin/sh".into(), "-c".into(), fill(line, variables).into_owned()],
        }
    }
}

impl Forms for CommandLine {
    const EXPECTING: &'static str = "a list of words, or a line for the shell";
    type Parts = Never;
    type Item = Literal;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        scalar.into_text().map(Self::Shell)
    }
    fn from_list(list: Vec<Literal>) -> Result<Self, String> {
        Ok(Self::Words(list))
    }
    fn from_parts(parts: Never) -> Result<Self, String> {
        match parts {}
    }
}
deserialize_forms!(CommandLine);

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Command {
    const NAME: &'static str = "command";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("command.yaml"),
        evidence: &[
            ("Standard output", "what the command printed"),
            ("Standard error", "what it printed there"),
            ("Last lines of its output", "of the service, where it has ended"),
        ],
        fails: &[
            "the command cannot be started or does not end in time",
            "exit code or output is not as asked",
            "the service has ended, so that nothing can run in it",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.fresh {
            around.image(&mut mistakes);
            if self.service.is_some() {
                mistakes.push("`fresh: true` is a container of its own; leave `service` out".into());
            }
            if self.run.is_some() {
                mistakes.push(
                    "with `fresh: true` write `args` (after the image) or `entrypoint` instead of `run`"
                        .into(),
                );
            }
        } else {
            around.service("service", self.service.as_deref(), &mut mistakes);
            if self.run.as_ref().is_none_or(CommandLine::is_empty) {
                mistakes.push("nothing to run; write `run`, or `fresh: true` for a new container".into());
            }
            if self.args.is_some() || self.entrypoint.is_some() {
                mistakes.push(
                    "`args` and `entrypoint` are for `fresh: true`; a running service takes `run`".into(),
                );
            }
        }
        if self.env.keys().any(|name| name.is_empty() || name.contains('=')) {
            mistakes.push("`env` has a name that cannot be one".into());
        }
        around.time("within", self.within, &mut mistakes);
        if let Some(code) = &self.exit_code {
            code.mistakes("exit_code", &(0..=255), &mut mistakes);
        }
        for (field, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if let Some(text) = text {
                text.mistakes(field, false, &mut mistakes);
            }
        }
        if self.exit_code.is_none() && self.stdout.is_none() && self.stderr.is_none() {
            mistakes.push("this check asks nothing; write `exit_code`, `stdout` or `stderr`".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let run = self.spec(scene.variables);
        let expected = || Ok::<_, Fault>(self.conditions(scene.variables, None)?.detail().expected);
        let (ran, command) = if self.fresh {
            let sandbox =
                scene.sandbox.ok_or_else(|| Fault::Exercise("this check needs a sandbox".into()))?;
            let command = fresh_line(&run);
            (Box::pin(sandbox.run(&scene.image()?.config().id, run)).await, command)
        } else {
            let service = scene.service(self.service.as_deref())?;
            if let Some(ended) = ended(&service.state().await?) {
                let detail = Detail::new(expected()?, format!("{ended}, so nothing can run in it"));
                let detail = detail.with_output(&service.output()).reproduce(service.reproduce(""));
                return Ok(Finding::Failed(detail));
            }
            let command = exec_line(service, &run);
            (Box::pin(service.exec(run)).await, command)
        };
        let ran = match ran {
            Ok(ran) => ran,
            Err(StartError::Refused { sentence, .. }) => {
                return Ok(Finding::Failed(Detail::new(expected()?, sentence).reproduce(command)));
            }
            Err(StartError::Platform(error)) => return Err(error.into()),
        };
        let tally = self.conditions(scene.variables, Some(&ran))?;
        let mut detail = tally.detail();
        let killed = match ran.exit_code {
            _ if ran.oom_killed => {
                Some("it was killed, because it needed more memory than it may have".to_owned())
            }
            None => Some(format!("it did not end within {} and was killed", self.within)),
            Some(_) => None,
        };
        let holds = killed.is_none() && tally.holds();
        if let Some(killed) = killed {
            detail.observed = killed;
        }
        let detail = detail
            .proof("Standard output", plain(&ran.stdout))
            .proof("Standard error", plain(&ran.stderr))
            .reproduce(command);
        Ok(Finding::of(holds, detail))
    }
}

/// What is added to the time a command may take before the check counts as broken: for the engine.
const MARGIN: Duration = Duration::from_secs(30);

impl Command {
    fn spec(&self, variables: &Variables) -> RunSpec {
        let filled = |text: &Literal| fill(&text.0, variables).into_owned();
        let words = |words: &[Literal]| words.iter().map(filled).collect::<Vec<_>>();
        let command = match (&self.run, &self.args) {
            (Some(run), _) => Some(run.words(variables)),
            (None, args) => args.as_deref().map(words),
        };
        RunSpec {
            command,
            entrypoint: self.entrypoint.as_deref().map(words),
            env: self.env.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
            user: self.user.as_ref().map(filled),
            workdir: self.workdir.clone(),
            stdin: self.stdin.as_ref().map(|text| Bytes::from(filled(text))),
            within: self.within.0,
        }
    }

    /// All conditions, compared with a run if there was one.
    fn conditions(&self, variables: &Variables, ran: Option<&Ran>) -> Result<Tally, Fault> {
        let mut tally = Tally::default();
        let code = ran.and_then(|ran| ran.exit_code);
        if let Some(wanted) = &self.exit_code {
            tally.note(
                code.is_some_and(|code| wanted.accepts(code)),
                format!("exit code {}", wanted.describe()),
                code.map_or_else(|| "no exit code".into(), |code| format!("exit code {code}")),
            );
        }
        let texts = [
            ("standard output", &self.stdout, ran.map(|ran| ran.stdout.as_str())),
            ("standard error", &self.stderr, ran.map(|ran| ran.stderr.as_str())),
        ];
        for (what, wanted, seen) in texts {
            if let Some(wanted) = wanted {
                let wanted = wanted.resolved(variables).map_err(Fault::Exercise)?;
                let seen = plain(seen.unwrap_or_default());
                tally.note(
                    wanted.accepts(&seen),
                    format!("{what} {}", wanted.describe()),
                    format!("{what} is {}", shown(&seen)),
                );
            }
        }
        // Even where nobody asked for it, an exit code says much about output that is not there.
        if let (None, Some(code)) = (&self.exit_code, code)
            && code != 0
            && !tally.holds()
        {
            tally.remark(format!("the exit code is {code}"));
        }
        Ok(tally)
    }
}

/// The options that `docker run` and `docker exec` both have, and a pipe for what is read.
fn options(run: &RunSpec) -> (String, Vec<String>) {
    let mut words = Vec::new();
    let mut pipe = String::new();
    if let Some(text) = &run.stdin {
        words.push("-i".to_owned());
        pipe = format!("printf %s {} | ", quoted(&String::from_utf8_lossy(text)));
    }
    for (name, value) in &run.env {
        words.extend(["-e".to_owned(), format!("{name}={value}")]);
    }
    if let Some(user) = &run.user {
        words.extend(["-u".to_owned(), user.clone()]);
    }
    if let Some(workdir) = &run.workdir {
        words.extend(["-w".to_owned(), workdir.clone()]);
    }
    (pipe, words)
}

fn fresh_line(run: &RunSpec) -> String {
    let (pipe, options) = options(run);
    let mut words: Vec<String> = ["docker", "run", "--rm", "--network", "none"].map(str::to_owned).into();
    words.extend(options);
    let mut arguments = Vec::new();
    match run.entrypoint.as_deref() {
        Some([program, rest @ ..]) => {
            words.extend(["--entrypoint".to_owned(), program.clone()]);
            arguments.extend_from_slice(rest);
        }
        Some([]) => words.extend(["--entrypoint".to_owned(), String::new()]),
        None => {}
    }
    words.push("my-image".into());
    words.extend(arguments);
    words.extend(run.command.iter().flatten().cloned());
    format!("{pipe}{}; echo \"exit code $?\"", line(words))
}

fn exec_line(service: &Service, run: &RunSpec) -> String {
    let (pipe, options) = options(run);
    let mut words = vec!["docker".to_owned(), "exec".to_owned()];
    words.extend(options);
    words.push(service.name().to_owned());
    words.extend(run.command.iter().flatten().cloned());
    let start = service.reproduce(&line(["-d", "--name", service.name()]));
    format!("{start} && sleep 1 && {pipe}{}; echo \"exit code $?\"", line(words))
}
