//! One container of a student's: made with every bound, watched while it runs.
//!
//! `service.rs` (services) and `exec.rs` (fresh runs) make them. Output is attached before the start;
//! a task per container waits for its ends, so that a state is known without asking the engine again,
//! and starts it again where its policy says so. `disk.rs` looks at what it writes.
//!
//! The engine's own restart policies are not used: its restart would run without our reading the
//! output, and it takes a kill asked for through its API for a wish that the container stays down.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerState};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, KillContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::disk::Surveyor;
use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, engine_words, is_connection_trouble, status};
use super::output::Recorder;
use super::owned::{Ledger, Thing};
use super::refusal::StartError;
use super::spec::Restart;
use super::terminal;
use crate::clock::Stopwatch;

/// The container's state.
#[expect(clippy::struct_excessive_bools, reason = "facts that hold in almost any combination")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its main process runs.
    pub running: bool,
    /// Once it has ended.
    pub exit_code: Option<i64>,
    /// A process in it was killed because the memory limit was reached.
    pub oom_killed: bool,
    /// What the containers of the stack wrote, volumes included, passed the disk limit and the sandbox
    /// stopped the container.
    pub over_disk: bool,
    /// How long it ran, or has run; since its last start.
    pub ran_for: Duration,
    /// How often its restart policy started it again.
    pub restarts: u32,
    /// It has ended and its restart policy will start it again in a moment.
    pub restarting: bool,
    /// Why it was never started: what it depends on did not come true.
    pub not_started: Option<String>,
}

/// How long we wait for the rest of the output once the container has ended. A stream can stay open
/// after the end.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a container that ended is left alone before its policy first starts it again; doubled
/// with each time, as the engine does it (moby's `restartmanager`).
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest such delay.
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// One that ran so long before it ended begins anew with the first delay.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a container may take to be gone after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(20);

/// A container of a student's (or of the author's, under the same rules).
pub(super) struct Container {
    pub(super) id: String,
    /// The service's name.
    pub(super) name: String,
    pub(super) ledger: Arc<Ledger>,
    pub(super) output: Arc<Recorder>,
    stdin: bool,
    tty: bool,
    life: watch::Sender<Life>,
    restart: Restart,
    restarts: AtomicU32,
    /// Counts the wishes of ours that it be up or down; a restart that was due before one of them is
    /// not any more. Changed under `switch`.
    wishes: watch::Sender<u64>,
    /// Whoever starts it, or wants it to stay down, has this meanwhile.
    switch: tokio::sync::Mutex<()>,
    pub(super) over_disk: AtomicBool,
    pub(super) disk_limit: u64,
    pub(super) surveyor: tokio::sync::Mutex<Option<Surveyor>>,
}

/// What a container is made from, beside what the engine is told.
pub(super) struct Making {
    /// The service's name.
    pub(super) name: String,
    pub(super) output: Recorder,
    /// Bytes that the whole sandbox may write.
    pub(super) disk_limit: u64,
    pub(super) restart: Restart,
    /// Whether it is handed something on stdin, which then ends.
    pub(super) input: bool,
}

/// Where a container is in its life.
#[derive(Clone, Debug)]
enum Life {
    Created,
    /// It will not be started, for this reason.
    NotStarted(String),
    Running(Stopwatch),
    Ended(State),
    /// The engine cannot tell any more.
    Lost(String),
}

impl Life {
    fn is_over(&self) -> bool {
        match self {
            Self::Created | Self::Running(_) => false,
            Self::Ended(state) => !state.restarting,
            Self::NotStarted(_) | Self::Lost(_) => true,
        }
    }

    /// Says so of one that has ended; whether that is news.
    fn no_more_restarts(&mut self) -> bool {
        match self {
            Self::Ended(state) => std::mem::take(&mut state.restarting),
            _ => false,
        }
    }
}

impl State {
    fn of(running: bool, ran_for: Duration, restarts: u32) -> Self {
        Self {
            running,
            exit_code: None,
            oom_killed: false,
            over_disk: false,
            ran_for,
            restarts,
            restarting: false,
            not_started: None,
        }
    }
}

/// The delay after one of `delay`; the first after none.
fn next_delay(delay: Duration) -> Duration {
    if delay.is_zero() { FIRST_DELAY } else { (delay * 2).min(LONGEST_DELAY) }
}

impl Container {
    /// Makes a container. Where `body.image` is not on the engine it is pulled, if the settings allow.
    pub(super) async fn create(
        ledger: &Arc<Ledger>,
        body: ContainerCreateBody,
        making: Making,
    ) -> Result<Arc<Self>, StartError> {
        let engine = &ledger.engine;
        let Making { name, output, disk_limit, restart, input } = making;
        let tty = body.tty == Some(true);
        let body = ContainerCreateBody {
            attach_stdin: Some(input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(input || body.open_stdin == Some(true)),
            stdin_once: Some(input),
            tty: Some(tty),
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
            .map_err(|error| StartError::judge(&engine.endpoint, &name, "create a container", &error))?;
        Ok(Arc::new(Self {
            id,
            name,
            ledger: Arc::clone(ledger),
            output: Arc::new(output),
            stdin: input,
            tty,
            life: watch::Sender::new(Life::Created),
            restart,
            restarts: AtomicU32::new(0),
            wishes: watch::Sender::new(0),
            switch: tokio::sync::Mutex::default(),
            over_disk: AtomicBool::new(false),
            disk_limit,
            surveyor: tokio::sync::Mutex::default(),
        }))
    }

    /// Starts it, for the first time or again, and hands it `input` on stdin. From then on its restart
    /// policy holds.
    pub(super) async fn start(self: &Arc<Self>, input: Option<Bytes>) -> Result<(), StartError> {
        let _switch = self.switch.lock().await;
        let wish = self.wish();
        let reading = self.run(input).await?;
        tokio::spawn(Arc::clone(self).tend(reading, wish));
        tokio::spawn(Arc::clone(self).watch_disk());
        tokio::spawn(Arc::clone(self).watch_memory());
        Ok(())
    }

    /// It will not be started; who waits for its output waits no longer.
    pub(super) fn leave(&self, reason: String) {
        self.life.send_replace(Life::NotStarted(reason));
        self.output.end();
    }

    /// Attaches to it and starts it. The caller has the switch.
    async fn run(&self, input: Option<Bytes>) -> Result<JoinHandle<()>, StartError> {
        let engine = &self.ledger.engine;
        if let Some(sentence) = engine.blocking_accounts(&self.id).await? {
            return Err(StartError::Refused { service: self.name.clone(), sentence });
        }
        let recorder = Arc::clone(&self.output);
        let mut writer = None;
        let reading = if self.tty {
            let output = terminal::attach(engine, &self.id).await?;
            tokio::spawn(async move { recorder.record(output).await })
        } else {
            let options = AttachContainerOptionsBuilder::default()
                .stdin(self.stdin)
                .stdout(true)
                .stderr(true)
                .stream(true)
                .build();
            let attaching = engine.docker.attach_container(&self.id, Some(options));
            let attached = engine.call("attach to a container", attaching).await?;
            writer = Some(attached.input);
            tokio::spawn(async move { recorder.record(attached.output).await })
        };

        let action = "start a container";
        let starting = engine.docker.start_container(&self.id, None);
        if let Err(error) = engine.answer(action, SLOW_CALL, starting).await? {
            reading.abort();
            return Err(StartError::judge(&engine.endpoint, &self.name, action, &error));
        }
        let since = engine.context.clock.stopwatch();
        self.life.send_replace(Life::Running(since));

        if let (Some(input), Some(mut writer)) = (input, writer) {
            tokio::spawn(async move {
                // A program that does not read its input, or ends early, is within its rights.
                let _ = writer.write_all(&input).await;
                let _ = writer.shutdown().await;
            });
        }
        Ok(reading)
    }

    /// Follows it from a start to its end, and on where it is started again.
    async fn tend(self: Arc<Self>, mut reading: JoinHandle<()>, wish: u64) {
        let engine = &self.ledger.engine;
        let mut wishes = self.wishes.subscribe();
        let mut delay = Duration::ZERO;
        loop {
            let ended = engine.wait_until_ended(&self.id).await;
            if tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
                reading.abort();
            }
            self.output.end();
            let state = match ended {
                Ok(state) => state,
                Err(error) => {
                    self.life.send_replace(Life::Lost(error.to_string()));
                    return;
                }
            };
            delay = if state.ran_for >= SETTLED { FIRST_DELAY } else { next_delay(delay) };
            let over_disk = self.over_disk.load(Ordering::Relaxed);
            let restarts = self.restarts.load(Ordering::Relaxed);
            let restarting = self.restart.again(state.exit_code, restarts) && self.may_restart(wish);
            self.life.send_replace(Life::Ended(State { over_disk, restarts, restarting, ..state }));
            if !restarting {
                return;
            }
            // Sooner, where it becomes clear that it will not be.
            let _ = tokio::time::timeout(delay, wishes.wait_for(|now| *now != wish)).await;
            let _switch = self.switch.lock().await;
            if !self.may_restart(wish) {
                self.life.send_if_modified(Life::no_more_restarts);
                return;
            }
            self.restarts.fetch_add(1, Ordering::Relaxed);
            match self.run(None).await {
                Ok(next) => reading = next,
                Err(error) => {
                    tracing::debug!(service = self.name, %error, "container.not_restarted");
                    self.life.send_if_modified(Life::no_more_restarts);
                    return;
                }
            }
        }
    }

    /// A wish of ours, after which restarts that were due are not any more; its number.
    fn wish(&self) -> u64 {
        self.wishes.send_modify(|wishes| *wishes += 1);
        self.life.send_if_modified(Life::no_more_restarts);
        *self.wishes.borrow()
    }

    fn may_restart(&self, wish: u64) -> bool {
        *self.wishes.borrow() == wish && !self.over_disk.load(Ordering::Relaxed) && !self.ledger.is_closed()
    }

    /// From now on it is not started again by its policy.
    pub(super) async fn hold(&self) {
        let _switch = self.switch.lock().await;
        self.wish();
    }

    /// Kills it and removes it with the volumes of its own; what it wrote there does not count any more.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        self.hold().await;
        self.put_down().await?;
        let mut own = HashSet::from([self.id.clone()]);
        // It has the volumes too; one in use is not removed.
        if let Some(surveyor) = self.surveyor.lock().await.take() {
            own.extend(surveyor.anonymous().map(str::to_owned));
            self.ledger.discard(Thing::Surveyor(surveyor.container)).await;
        }
        self.ledger.discard(Thing::Container(self.id.clone())).await;
        self.ledger.forget_written(&own);
        Ok(())
    }

    /// Kills it if it runs, and waits until it has ended.
    pub(super) async fn put_down(&self) -> Result<(), Error> {
        if !self.is_running() {
            return Ok(());
        }
        self.kill("SIGKILL").await?;
        if tokio::time::timeout(AFTER_KILL, self.ended()).await.is_err() {
            return Err(Error::TimedOut { action: "end a container".into(), seconds: AFTER_KILL.as_secs() });
        }
        Ok(())
    }

    /// The state as far as it is known here: an end is known a few milliseconds after it happened.
    pub(super) fn state(&self) -> Result<State, Error> {
        match &*self.life.borrow() {
            Life::Created => Ok(State::of(false, Duration::ZERO, 0)),
            Life::NotStarted(reason) => {
                Ok(State { not_started: Some(reason.clone()), ..State::of(false, Duration::ZERO, 0) })
            }
            Life::Running(since) => {
                Ok(State::of(true, since.elapsed(), self.restarts.load(Ordering::Relaxed)))
            }
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

    /// Resolves when it does not run and will not be started again by its policy.
    pub(super) async fn gone(&self) {
        let mut life = self.life.subscribe();
        // The sender lives as long as this container does.
        let _ = life.wait_for(Life::is_over).await;
    }

    /// Whether it does not run and will not be started again by its policy.
    pub(super) fn is_gone(&self) -> bool {
        self.life.borrow().is_over()
    }

    /// Resolves when its policy has started it again more often than `restarts` times (`true`), or will
    /// not (`false`).
    pub(super) async fn restarted(&self, restarts: u32) -> bool {
        let mut life = self.life.subscribe();
        let again = |life: &Life| {
            matches!(life, Life::Running(_)) && self.restarts.load(Ordering::Relaxed) > restarts
        };
        let _ = life.wait_for(|life| life.is_over() || again(life)).await;
        let now = life.borrow();
        again(&now)
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
}

impl EngineInner {
    /// Waits for the end of a container, however long it takes, and says how it ended.
    async fn wait_until_ended(&self, id: &str) -> Result<State, Error> {
        let mut attempts = 0;
        loop {
            let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
            // The code comes from the inspection.
            let told = self.docker.wait_container(id, Some(options)).next().await;
            let was_away = match &told {
                Some(Ok(_)) => false,
                Some(Err(error)) => is_connection_trouble(error),
                None => true,
            };
            match self.inspect_end(id).await {
                // An engine that was away ends what still ran when it comes back, and much may have happened
                // meanwhile: that is not how the container would have ended.
                Ok(Some(_)) if was_away => {
                    let action = "tell how a container ended".into();
                    return Err(Error::Engine { action, cause: "it went away meanwhile".into() });
                }
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
                exit_code: state.exit_code,
                oom_killed: state.oom_killed == Some(true),
                ..State::of(false, ran_for(&state), 0)
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
        if !self.settings.pull {
            return Err(Error::ImageMissing { image: image.to_owned(), cause: "sandbox.pull is off".into() });
        }
        super::bases::pull_trusted(self, image).await
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
