//! One container of a student's: made with every bound, watched while it runs.
//!
//! `stack.rs` (services) and `exec.rs` (fresh runs) make them. Output is attached before the start;
//! a task per run waits for the end, so that a state is known without asking the engine again; another
//! looks at the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerState, HostConfig, Mount, MountPoint, MountType};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateImageOptionsBuilder, InspectContainerOptionsBuilder,
    KillContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, engine_words, status};
use super::limits;
use super::output::Recorder;
use super::owned::{Ledger, SURVEYOR};
use super::pod::{Probe, start_probe};
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::stack::unexpected;
use crate::clock::Stopwatch;

/// The container's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its main process runs.
    pub running: bool,
    /// Once it has ended.
    pub exit_code: Option<i64>,
    /// A process in it was killed because the memory limit was reached.
    pub oom_killed: bool,
    /// The writable layer, with the volumes that the image declares, passed the disk limit and the
    /// sandbox stopped the container.
    pub over_disk: bool,
    /// How long it ran, or has run.
    pub ran_for: Duration,
}

/// How long we wait for the rest of the output once the container has ended. A stream can stay open
/// after the end.
const DRAIN: Duration = Duration::from_secs(1);
/// When the writable layer is first measured, and how often at most after that.
const DISK_EVERY: Duration = Duration::from_secs(2);
/// How long a pull of an image that the exercise names may take.
const PULL: Duration = Duration::from_mins(10);

/// A container of a student's (or of the author's, under the same rules).
pub(super) struct Container {
    pub(super) id: String,
    /// The service's name.
    pub(super) name: String,
    ledger: Arc<Ledger>,
    pub(super) output: Arc<Recorder>,
    stdin: bool,
    life: watch::Sender<Life>,
    over_disk: Arc<AtomicBool>,
    disk_limit: u64,
}

/// Where a container is in its life.
#[derive(Clone, Debug)]
enum Life {
    Created,
    Running(Stopwatch),
    Ended(State),
    /// The engine cannot tell any more.
    Lost(String),
}

impl Container {
    /// Makes a container that prints to `output`. Where `body.image` is not on the engine it is
    /// pulled, if the settings allow.
    pub(super) async fn create(
        ledger: &Arc<Ledger>,
        name: &str,
        body: ContainerCreateBody,
        output: Recorder,
        disk_limit: u64,
    ) -> Result<Self, StartError> {
        let engine = &ledger.engine;
        let stdin = body.open_stdin == Some(true);
        let body = ContainerCreateBody {
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            stdin_once: Some(stdin),
            tty: Some(false),
            ..body
        };
        let image = body.image.clone().unwrap_or_default();
        let created = match ledger.create_container("service", body.clone()).await? {
            Err(error) if status(&error) == Some(404) && engine_words(&error).contains("No such image") => {
                engine.pull(&image).await?;
                ledger.create_container("service", body).await?
            }
            created => created,
        };
        let id = created
            .map_err(|error| StartError::judge(&engine.endpoint, name, "create a container", &error))?;
        Ok(Self {
            id,
            name: name.to_owned(),
            ledger: Arc::clone(ledger),
            output: Arc::new(output),
            stdin,
            life: watch::Sender::new(Life::Created),
            over_disk: Arc::default(),
            disk_limit,
        })
    }

    /// Starts it, for the first time or again, and hands it `input` on stdin.
    pub(super) async fn start(&self, input: Option<Bytes>) -> Result<(), StartError> {
        let engine = &self.ledger.engine;
        let options = AttachContainerOptionsBuilder::default()
            .stdin(self.stdin)
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let attaching = engine.docker.attach_container(&self.id, Some(options));
        let attached = engine.call("attach to a container", attaching).await?;
        let recorder = Arc::clone(&self.output);
        let mut reading = tokio::spawn(async move { recorder.record(attached.output).await });

        let action = "start a container";
        let starting = engine.docker.start_container(&self.id, None);
        if let Err(error) = engine.answer(action, SLOW_CALL, starting).await? {
            reading.abort();
            return Err(StartError::judge(&engine.endpoint, &self.name, action, &error));
        }
        let since = engine.context.clock.stopwatch();
        self.life.send_replace(Life::Running(since));

        if let Some(input) = input {
            let mut writer = attached.input;
            tokio::spawn(async move {
                // A program that does not read its input, or ends early, is within its rights.
                let _ = writer.write_all(&input).await;
                let _ = writer.shutdown().await;
            });
        }
        let (id, life, output, over_disk) =
            (self.id.clone(), self.life.clone(), Arc::clone(&self.output), Arc::clone(&self.over_disk));
        let engine = Arc::clone(engine);
        tokio::spawn(async move {
            let ended = engine.wait_until_ended(&id).await;
            if tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
                reading.abort();
            }
            output.end();
            life.send_replace(match ended {
                Ok(state) => Life::Ended(State { over_disk: over_disk.load(Ordering::Relaxed), ..state }),
                Err(error) => Life::Lost(error.to_string()),
            });
        });
        self.watch_disk();
        Ok(())
    }

    /// The state as far as it is known here: an end is known a few milliseconds after it happened.
    pub(super) fn state(&self) -> Result<State, Error> {
        match &*self.life.borrow() {
            Life::Created => Ok(State {
                running: false,
                exit_code: None,
                oom_killed: false,
                over_disk: false,
                ran_for: Duration::ZERO,
            }),
            Life::Running(since) => Ok(State {
                running: true,
                exit_code: None,
                oom_killed: false,
                over_disk: false,
                ran_for: since.elapsed(),
            }),
            Life::Ended(state) => Ok(state.clone()),
            Life::Lost(cause) => {
                Err(Error::Engine { action: "watch a container".into(), cause: cause.clone() })
            }
        }
    }

    /// Resolves when it does not run (any more).
    pub(super) async fn ended(&self) {
        let mut life = self.life.subscribe();
        // The sender lives as long as this container does.
        let _ = life.wait_for(|life| !matches!(life, Life::Running(_))).await;
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(*self.life.borrow(), Life::Running(_))
    }

    /// Sends a signal to the main process; nothing happens if it has ended.
    pub(super) async fn kill(&self, signal: &str) -> Result<(), Error> {
        self.ledger.engine.kill(&self.id, signal).await
    }

    /// The signal that asks the main process to end, from the image (`STOPSIGNAL`), else SIGTERM.
    pub(super) async fn stop_signal(&self) -> Result<String, Error> {
        let engine = &self.ledger.engine;
        let inspection = engine.docker.inspect_container(&self.id, None);
        let found = engine.call("inspect a container", inspection).await?;
        let signal = found.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty());
        Ok(signal.unwrap_or_else(|| "SIGTERM".to_owned()))
    }

    /// Measures the writable layer from time to time and kills the container when it, or all of the
    /// sandbox together, passes the limit.
    fn watch_disk(&self) {
        let (id, ledger, limit) = (self.id.clone(), Arc::clone(&self.ledger), self.disk_limit);
        let (mut life, over_disk) = (self.life.subscribe(), Arc::clone(&self.over_disk));
        tokio::spawn(async move {
            let engine = &ledger.engine;
            let mut surveyor = None;
            let mut pause = DISK_EVERY;
            loop {
                tokio::select! {
                    _ = life.wait_for(|life| !matches!(life, Life::Running(_))) => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let watch = engine.context.clock.stopwatch();
                let options = InspectContainerOptionsBuilder::default().size(true).build();
                let inspection = engine.docker.inspect_container(&id, Some(options));
                // Not told this time: told the next time.
                let Ok(Ok(found)) = engine.answer("measure a container", CALL, inspection).await else {
                    continue;
                };
                let layer = found.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                let volumes = match survey(&ledger, found.mounts.unwrap_or_default(), &mut surveyor).await {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        tracing::warn!(%error, "container.volumes_not_measured");
                        0
                    }
                };
                let bytes = layer + volumes;
                let all: u64 = {
                    let mut disk = ledger.disk.lock().unwrap_or_else(PoisonError::into_inner);
                    disk.insert(id.clone(), bytes);
                    disk.values().sum()
                };
                if all > limit {
                    over_disk.store(true, Ordering::Relaxed);
                    if let Err(error) = engine.kill(&id, "SIGKILL").await {
                        tracing::warn!(%error, "container.not_killed");
                    }
                }
                // Some storage drivers walk every file: never spend more than a tenth of the time.
                pause = DISK_EVERY.max(watch.elapsed() * 10);
            }
        });
    }
}

/// Bytes in the volumes that an image declared. The engine does not measure volumes, so a probe of
/// ours does that has them too, read-only, at paths of our choice.
async fn survey(
    ledger: &Arc<Ledger>,
    mounts: Vec<MountPoint>,
    surveyor: &mut Option<Arc<Probe>>,
) -> Result<u64, Error> {
    let is_volume = |mount: &MountPoint| mount.typ.as_deref() == Some("volume");
    let volumes: Vec<String> = mounts.into_iter().filter(is_volume).filter_map(|mount| mount.name).collect();
    if volumes.is_empty() {
        return Ok(0);
    }
    let path = |index: usize| format!("/volumes/{index}");
    let paths = (0..volumes.len()).map(path).collect();
    if surveyor.is_none() {
        let mounts = volumes.into_iter().enumerate().map(|(index, volume)| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume),
            target: Some(path(index)),
            read_only: Some(true),
            ..Mount::default()
        });
        let body = ContainerCreateBody {
            user: Some("0:0".into()),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                cap_add: Some(vec!["DAC_READ_SEARCH".into()]),
                mounts: Some(mounts.collect()),
                ..limits::ours()
            }),
            ..ContainerCreateBody::default()
        };
        *surveyor = Some(start_probe(ledger, SURVEYOR, body).await?.1);
    }
    let Some(probe) = surveyor else { return Ok(0) };
    match probe.ask(Ask::DiskUsage { paths }, CALL).await? {
        Reply::DiskUsage { bytes } => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

impl EngineInner {
    /// Waits for the end of a container, however long it takes, and says how it ended.
    async fn wait_until_ended(&self, id: &str) -> Result<State, Error> {
        let mut attempts = 0;
        loop {
            let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
            // Any answer is a reason to look; the code comes from the inspection.
            let _ = self.docker.wait_container(id, Some(options)).next().await;
            match self.inspect_end(id).await {
                Ok(Some(state)) => return Ok(state),
                Ok(None) => {}
                Err(error) if attempts >= 5 => return Err(error),
                Err(_) => attempts += 1,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How a container ended; `None` while it runs.
    async fn inspect_end(&self, id: &str) -> Result<Option<State>, Error> {
        let mut looks = 0;
        loop {
            let found = self.call("inspect a container", self.docker.inspect_container(id, None)).await?;
            let state = found.state.unwrap_or_default();
            if state.running == Some(true) {
                return Ok(None);
            }
            // The news that memory ran out may come to the engine a moment after the end itself.
            let perhaps_oom = state.exit_code == Some(137) && state.oom_killed != Some(true);
            if perhaps_oom && looks == 0 {
                looks += 1;
                tokio::time::sleep(Duration::from_millis(30)).await;
                continue;
            }
            return Ok(Some(State {
                running: false,
                exit_code: state.exit_code,
                oom_killed: state.oom_killed == Some(true),
                over_disk: false,
                ran_for: ran_for(&state),
            }));
        }
    }

    /// Sends a signal to a container's main process; nothing happens if it does not run.
    pub(super) async fn kill(&self, id: &str, signal: &str) -> Result<(), Error> {
        let action = "send a signal to a container";
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.answer(action, CALL, self.docker.kill_container(id, Some(options))).await? {
            Ok(()) => Ok(()),
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(self.error(action, &error)),
        }
    }

    /// Pulls an image that the exercise names, where settings allow.
    pub(super) async fn pull(&self, image: &str) -> Result<(), Error> {
        let missing = |cause: String| Error::ImageMissing { image: image.to_owned(), cause };
        if !self.settings.pull {
            return Err(missing("sandbox.pull is off".into()));
        }
        let options = CreateImageOptionsBuilder::default().from_image(image).build();
        let pulling = async {
            let mut progress = self.docker.create_image(Some(options), None, None);
            while let Some(step) = progress.next().await {
                step?;
            }
            Ok(())
        };
        match self.answer("pull an image", PULL, pulling).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(missing(engine_words(&error))),
        }
    }
}

/// From the engine's own clock.
fn ran_for(state: &ContainerState) -> Duration {
    let time = |text: &Option<String>| DateTime::parse_from_rfc3339(text.as_deref()?).ok();
    time(&state.finished_at)
        .zip(time(&state.started_at))
        .and_then(|(finished, started)| (finished - started).to_std().ok())
        .unwrap_or_default()
}
