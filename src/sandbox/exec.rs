//! Commands that run to their end: in a service's container, or in a fresh one.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig};
use bytes::Bytes;
use indexmap::IndexMap;
use tokio::io::AsyncWriteExt;

use super::container::{Container, Making};
use super::engine::CALL;
use super::error::{Error, is_not_running};
use super::limits;
use super::output::Recorder;
use super::owned::Sandbox;
use super::refusal::{self, StartError};
use super::service::Service;
use super::spec::Restart;

/// Something to run to its end in a container.
#[derive(Clone, Debug, Default)]
pub struct RunSpec {
    /// Instead of the image's CMD; in a running service the whole command.
    pub command: Option<Vec<String>>,
    /// Instead of the image's ENTRYPOINT; in a running service put before `command`.
    pub entrypoint: Option<Vec<String>>,
    /// Beside what the container has.
    pub env: IndexMap<String, String>,
    /// Instead of the container's.
    pub user: Option<String>,
    /// Instead of the container's.
    pub workdir: Option<String>,
    /// Written to stdin, which then ends; without it stdin is empty.
    pub stdin: Option<Bytes>,
    /// After this it is killed.
    pub within: Duration,
}

/// How a command ended and what it printed (capped, lossy UTF-8).
#[derive(Clone, Debug)]
pub struct Ran {
    /// `None` when it was killed because `within` had passed.
    pub exit_code: Option<i64>,
    /// At most the log limit, together with `stderr`.
    pub stdout: String,
    /// As `stdout`.
    pub stderr: String,
    /// More was printed than is kept.
    pub truncated: bool,
    /// A process was killed because the memory limit was reached.
    pub oom_killed: bool,
    /// What it wrote passed the disk limit, and the sandbox killed it.
    pub over_disk: bool,
    /// From the start to the end.
    pub took: Duration,
}

/// How long a command may have ended before its output does: a child of it can hold the pipe.
const DRAIN: Duration = Duration::from_millis(300);

impl Sandbox {
    /// Runs a fresh container of `image` without a network until it ends or `within` passes (then it
    /// is killed). For `command` with `fresh: true`.
    ///
    /// # Errors
    /// [`StartError::Refused`] where the image or command, as it is, cannot be started.
    pub async fn run(&self, image: &str, run: RunSpec) -> Result<Ran, StartError> {
        let clock = &self.engine.context.clock;
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            env: Some(run.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            cmd: run.command,
            entrypoint: run.entrypoint,
            user: run.user,
            working_dir: run.workdir,
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                ..limits::student(&self.limits, &[], &self.engine.settings.runtime)
            }),
            ..ContainerCreateBody::default()
        };
        let making = Making {
            name: "command".into(),
            output: Recorder::new(self.limits.log_bytes, "command", None),
            disk_limit: self.limits.disk_bytes,
            restart: Restart::No,
            input: run.stdin.is_some(),
        };
        let container = Container::create(&self.ledger, body, making).await?;
        container.start(run.stdin).await?;
        let watch = clock.stopwatch();
        let in_time = tokio::time::timeout(run.within, container.ended()).await.is_ok();
        if !in_time {
            container.put_down().await?;
        }
        let (state, output) = (container.state()?, container.output.output());
        self.engine.tasks.spawn(async move {
            if let Err(error) = container.remove().await {
                tracing::warn!(%error, "command.not_removed");
            }
        });
        Ok(Ran {
            exit_code: state.exit_code.filter(|_| in_time),
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
            oom_killed: state.oom_killed,
            over_disk: state.over_disk,
            took: if in_time { state.ran_for } else { watch.elapsed() },
        })
    }
}

impl Service {
    /// Runs a command in the service's container (`docker exec`).
    ///
    /// # Errors
    /// [`StartError::Refused`] where the command cannot be started, or the service does not run.
    pub async fn exec(&self, run: RunSpec) -> Result<Ran, StartError> {
        self.exec_recorded(run, Recorder::new(self.limits.log_bytes, "command", None)).await
    }

    /// As [`Self::exec`]; what is printed goes to the recorder, which is new.
    pub(super) async fn exec_recorded(&self, run: RunSpec, recorder: Recorder) -> Result<Ran, StartError> {
        let engine = &self.ledger.engine;
        let refused = |sentence: String| StartError::Refused { service: self.name().to_owned(), sentence };
        let config = ExecConfig {
            attach_stdin: Some(run.stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            env: Some(run.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            cmd: Some(run.entrypoint.into_iter().chain(run.command).flatten().collect()),
            user: run.user,
            working_dir: run.workdir,
            ..ExecConfig::default()
        };
        let action = "run a command in a container";
        let not_running = || refused(format!("The service {} does not run any more.", self.name()));
        let container = self.container();
        let creation = engine.docker.create_exec(&container.id, config);
        let exec = match engine.answer(action, CALL, creation).await? {
            Ok(created) => created.id,
            Err(error) if is_not_running(&error) => return Err(not_running()),
            Err(error) => return Err(StartError::judge(&engine.endpoint, self.name(), action, &error)),
        };
        let watch = engine.context.clock.stopwatch();
        let starting = engine.docker.start_exec(&exec, None::<StartExecOptions>);
        let (output, mut input) = match engine.answer(action, CALL, starting).await? {
            Ok(StartExecResults::Attached { output, input }) => (output, input),
            Ok(StartExecResults::Detached) => {
                return Err(Error::Engine { action: action.into(), cause: "it was detached".into() }.into());
            }
            Err(error) if is_not_running(&error) => return Err(not_running()),
            Err(error) => return Err(StartError::judge(&engine.endpoint, self.name(), action, &error)),
        };
        if let Some(stdin) = run.stdin {
            tokio::spawn(async move {
                // A command that does not read its input, or ends early, is within its rights.
                let _ = input.write_all(&stdin).await;
                let _ = input.shutdown().await;
            });
        }
        let in_time = {
            let mut reading = std::pin::pin!(recorder.record(output));
            let reading_or_end = async {
                tokio::select! {
                    () = &mut reading => {}
                    () = self.exec_ended(&exec) => {
                        // A child in the background may hold the pipe for ever.
                        let _ = tokio::time::timeout(DRAIN, &mut reading).await;
                    }
                }
            };
            tokio::time::timeout(run.within, reading_or_end).await.is_ok()
        };
        recorder.end();
        let took = watch.elapsed();
        let exit_code = if in_time {
            let Some(end) = self.exec_end(&exec).await? else { return Err(not_running()) };
            end
        } else {
            Box::pin(self.kill_exec(watch)).await;
            None
        };
        let output = recorder.output();
        // The engine says in the command's own output that there was none to start.
        let said = output.stdout.trim_start();
        if matches!(exit_code, Some(126..=128))
            && (said.starts_with("OCI runtime exec failed") || said.starts_with("unable to find user"))
        {
            if let Some(sentence) = refusal::sentence(said) {
                return Err(refused(sentence));
            }
            // A container that ends at this moment gives texts of its own.
            if !container.is_running() || said.contains("stopped container") {
                return Err(not_running());
            }
        }
        Ok(Ran {
            exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
            oom_killed: false,
            over_disk: false,
            took,
        })
    }

    /// Resolves when the command has ended, which its output need not show.
    async fn exec_ended(&self, exec: &str) {
        let engine = &self.ledger.engine;
        let mut pause = Duration::from_millis(100);
        loop {
            tokio::time::sleep(pause).await;
            let inspection = engine.docker.inspect_exec(exec);
            match engine.call_running("inspect a command", inspection).await {
                Ok(Some(found)) if found.running == Some(false) => return,
                Ok(None) => return,
                Ok(Some(_)) | Err(_) => pause = (pause * 2).min(Duration::from_secs(1)),
            }
        }
    }

    /// The exit code of a command whose output has ended; outer `None` where the container ended too
    /// and took the engine's knowledge of the command with it.
    async fn exec_end(&self, exec: &str) -> Result<Option<Option<i64>>, Error> {
        let engine = &self.ledger.engine;
        // The output can end a moment before the engine knows the code.
        for _ in 0..100 {
            let inspection = engine.docker.inspect_exec(exec);
            match engine.call_running("inspect a command", inspection).await? {
                None => return Ok(None),
                Some(found) if found.running != Some(true) => return Ok(Some(found.exit_code)),
                Some(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Error::TimedOut { action: "end a command".into(), seconds: 2 })
    }
}
