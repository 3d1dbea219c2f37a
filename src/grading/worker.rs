//! Claims gradings, keeps their leases, grades and stores the reports.
//!
//! A grading is never held in a transaction: the claim writes a lease, which is renewed while the
//! grading goes on, and the report is stored under that lease. A worker that dies leaves nothing
//! but a lease that runs out. A worker whose engine does not answer pauses itself instead of
//! draining the queue: fresh submissions wait, only what was already under way is tried again, and
//! ends as `platform_fault` when its attempts are used up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::course::{Cause, Observer, Step};
use super::fetch::Fetcher;
use super::grade::{Graded, Job, grade};
use super::jobs::Jobs;
use crate::clock::Clock;
use crate::config::WorkerSettings;
use crate::exercises::Exercise;
use crate::live::{Event, Line, Live, Recorder};
use crate::report::Verdict;
use crate::sandbox::{Engine, Point};
use crate::store::{Claim, Error as StoreError, Store, Worker as Seen, WorkerFigures};

/// Something that can carry out gradings: the engine, or in tests a stand-in that produces faults
/// on purpose.
pub trait Grader: Send + Sync + 'static {
    /// Carries out one grading.
    fn grade<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Graded>;
    /// Whether gradings can be carried out now.
    fn ready(&self) -> BoxFuture<'_, Result<(), NotReady>>;
    /// What carries them out, for the list of workers; `None` while it has not answered yet.
    fn describe(&self) -> Option<String>;
    /// Removes all that is kept between gradings.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
    /// The engine that carries them out; `None` where there is none.
    fn engine(&self) -> BoxFuture<'_, Result<Option<Engine>, crate::sandbox::Error>> {
        async { Ok(None) }.boxed()
    }
    /// Whether [`Grader::examine`] has something to tell.
    fn examines(&self) -> bool {
        false
    }
    /// What the engine keeps of the sandbox's rules, measured now.
    fn examine(&self) -> BoxFuture<'_, Option<Vec<Point>>> {
        async { None }.boxed()
    }
}

/// Why nothing can be graded at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It may pass: the engine is being restarted, the network is away. A sentence for admins.
    #[error("{0}")]
    Away(String),
    /// It does not pass by waiting: the settings ask for what this engine cannot do. Grading with less
    /// than what was asked for would be worse than not grading.
    #[error("{0}")]
    Unfit(String),
}

impl From<crate::sandbox::Error> for NotReady {
    fn from(error: crate::sandbox::Error) -> Self {
        match error {
            crate::sandbox::Error::Unfit(sentence) => Self::Unfit(sentence),
            other => Self::Away(other.to_string()),
        }
    }
}

/// Measures an engine, see [`crate::sandbox::examine`].
pub type Examine = Arc<dyn Fn() -> BoxFuture<'static, Vec<Point>> + Send + Sync>;

/// Opens the connection to an engine; called until it succeeds.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Engine, crate::sandbox::Error>> + Send + Sync>;

/// Grades on a Docker engine, connecting when it is there: a server starts and serves pages even
/// while its engine is away.
pub struct EngineGrader {
    connect: Connect,
    engine: tokio::sync::Mutex<Option<Engine>>,
    known: Mutex<Option<Engine>>,
    examine: Option<Examine>,
    clock: Clock,
}

impl EngineGrader {
    /// A grader that connects on first use.
    #[must_use]
    pub fn new(connect: Connect, clock: Clock) -> Self {
        Self { connect, engine: tokio::sync::Mutex::default(), known: Mutex::default(), examine: None, clock }
    }

    /// A grader on a connection that is already open.
    #[must_use]
    pub fn on(engine: Engine, clock: Clock) -> Self {
        let connect: Connect = {
            let engine = engine.clone();
            Arc::new(move || {
                let engine = engine.clone();
                async move { Ok(engine) }.boxed()
            })
        };
        let known = Mutex::new(Some(engine.clone()));
        Self { connect, engine: tokio::sync::Mutex::new(Some(engine)), known, examine: None, clock }
    }

    /// The same, which can also tell how fit its engine is.
    #[must_use]
    pub fn examined_by(self, examine: Examine) -> Self {
        Self { examine: Some(examine), ..self }
    }

    async fn connected(&self) -> Result<Engine, crate::sandbox::Error> {
        let mut slot = self.engine.lock().await;
        if let Some(engine) = &*slot {
            return Ok(engine.clone());
        }
        let engine = (self.connect)().await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.clone());
        Ok(slot.insert(engine).clone())
    }
}

impl Grader for EngineGrader {
    fn grade<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Graded> {
        async move {
            if !job.exercise.needs_engine() {
                return grade(job, None, &self.clock).await;
            }
            match self.connected().await {
                Ok(engine) => grade(job, Some(&engine), &self.clock).await,
                Err(error) => Graded::from_cause(job.exercise, Cause::platform(&error), &self.clock),
            }
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), NotReady>> {
        async move { Ok(self.connected().await?.ping().await?) }.boxed()
    }

    fn describe(&self) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = known.as_ref()?.facts();
        Some(format!("Docker {} ({})", facts.version, facts.runtime))
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        async move {
            let engine = self.engine.lock().await.take();
            if let Some(engine) = engine {
                engine.shutdown().await;
            }
        }
        .boxed()
    }

    fn engine(&self) -> BoxFuture<'_, Result<Option<Engine>, crate::sandbox::Error>> {
        async move { self.connected().await.map(Some) }.boxed()
    }

    fn examines(&self) -> bool {
        self.examine.is_some()
    }

    fn examine(&self) -> BoxFuture<'_, Option<Vec<Point>>> {
        async move {
            match &self.examine {
                Some(examine) => Some(examine().await),
                None => None,
            }
        }
        .boxed()
    }
}

/// Carries out gradings until it is told to stop.
pub struct Worker {
    store: Store,
    live: Live,
    grader: Arc<dyn Grader>,
    fetcher: Fetcher,
    settings: WorkerSettings,
    clock: Clock,
    /// In leases; of this run alone.
    name: String,
    host: String,
    /// Why nothing fresh is claimed at the moment.
    paused: Arc<Mutex<Option<String>>>,
    /// What was done since the start.
    figures: Mutex<WorkerFigures>,
}

/// How long an idle worker sleeps at most before it looks at the queue again; wake-ups come
/// sooner where the store can tell.
const POLL: Duration = Duration::from_millis(500);

/// Why a worker claims nothing fresh in its first moment.
const NOT_YET: &str = "the engine has not answered yet";

/// How often a paused worker asks whether its engine is back, and every worker reports itself.
const HEARTBEAT: Duration = Duration::from_secs(2);

impl Worker {
    /// A worker with a name of its own.
    #[must_use]
    pub fn new(
        store: Store,
        live: Live,
        grader: Arc<dyn Grader>,
        fetcher: Fetcher,
        settings: WorkerSettings,
        clock: Clock,
    ) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = format!("{host}-{}", Uuid::now_v7().simple());
        Self {
            store,
            live,
            grader,
            fetcher,
            settings,
            clock,
            name,
            host,
            paused: Arc::new(Mutex::new(Some(NOT_YET.to_owned()))),
            figures: Mutex::default(),
        }
    }

    /// Claims and grades until `shutdown`; then gives back what it was working on, untouched, and
    /// removes everything from the engine.
    ///
    /// # Errors
    /// [`NotReady::Unfit`] when the settings ask for what the engine cannot do.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), NotReady> {
        let shutdown = shutdown.child_token();
        let worker = Arc::new(self);
        let slots = Arc::new(Semaphore::new(worker.settings.slots.max(1)));
        let tasks = TaskTracker::new();
        let heart = tokio::spawn({
            let (worker, shutdown) = (Arc::clone(&worker), shutdown.clone());
            async move {
                let ended = worker.heartbeat(&shutdown).await;
                shutdown.cancel();
                ended
            }
        });
        let jobs = tokio::spawn({
            let (worker, shutdown) = (Arc::clone(&worker), shutdown.clone());
            worker.jobs(&slots).run(shutdown, move || worker.paused_because())
        });
        info!(worker = %worker.name, slots = worker.settings.slots, "worker.started");
        while !shutdown.is_cancelled() {
            let permit = tokio::select! {
                permit = Arc::clone(&slots).acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            // Asked before looking, so that what is queued in between still wakes us.
            let changed = worker.store.queue_changed();
            match worker.claim().await {
                Ok(Some(claim)) => {
                    let worker = Arc::clone(&worker);
                    let shutdown = shutdown.clone();
                    let slots = Arc::clone(&slots);
                    let cleaning = tasks.clone();
                    tasks.spawn(async move {
                        let graded = worker.carry_out(claim, shutdown).await;
                        drop(permit);
                        drop(slots);
                        if let Some(graded) = graded {
                            cleaning.spawn(graded.clean());
                        }
                    });
                }
                found => {
                    drop(permit);
                    if let Err(error) = found {
                        warn!(worker = %worker.name, %error, "worker.claim_failed");
                    }
                    tokio::select! {
                        () = changed => (),
                        () = tokio::time::sleep(POLL) => (),
                        () = shutdown.cancelled() => break,
                    }
                }
            }
        }
        tasks.close();
        tasks.wait().await;
        if let Err(error) = jobs.await {
            error!(worker = %worker.name, %error, "worker.jobs_failed");
        }
        let ended = heart.await.unwrap_or(Ok(()));
        worker.grader.shutdown().await;
        if let Err(error) = worker.store.worker_gone(&worker.name).await {
            warn!(worker = %worker.name, %error, "worker.goodbye_failed");
        }
        info!(worker = %worker.name, "worker.stopped");
        ended
    }

    /// What does jobs beside the gradings in these places.
    fn jobs(&self, slots: &Arc<Semaphore>) -> Jobs {
        Jobs {
            store: self.store.clone(),
            grader: Arc::clone(&self.grader),
            fetcher: self.fetcher.clone(),
            settings: self.settings.clone(),
            clock: self.clock.clone(),
            name: self.name.clone(),
            host: self.host.clone(),
            slots: Arc::clone(slots),
        }
    }

    async fn claim(&self) -> Result<Option<Claim>, StoreError> {
        let lease = self.settings.lease;
        if self.paused_because().is_some() {
            self.store.claim_retry(&self.name, lease).await
        } else {
            self.store.claim(&self.name, lease).await
        }
    }

    fn paused_because(&self) -> Option<String> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn figures(&self) -> MutexGuard<'_, WorkerFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt, and its verdict if that was stored.
    fn count(&self, graded: &Graded, verdict: Option<Verdict>) {
        let mut figures = self.figures();
        for phase in &graded.report.phases {
            figures.phases.entry(phase.name).or_default().add(phase.seconds);
        }
        if graded.report.verdict == Verdict::PlatformFault {
            figures.faults += 1;
        }
        if let Some(verdict) = verdict {
            *figures.verdicts.entry(verdict).or_default() += 1;
        }
    }

    fn pause(&self, because: Option<String>) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*paused, &because) {
            (None, Some(why)) => warn!(worker = %self.name, because = %why, "worker.paused"),
            (Some(_), None) => info!(worker = %self.name, "worker.resumed"),
            _ => (),
        }
        *paused = because;
    }

    /// Asks the engine whether it is there, and tells the store that this worker is.
    async fn heartbeat(&self, shutdown: &CancellationToken) -> Result<(), NotReady> {
        let started_at = self.clock.now();
        while !shutdown.is_cancelled() {
            let ready = tokio::select! {
                ready = self.grader.ready() => ready,
                () = shutdown.cancelled() => return Ok(()),
            };
            match ready {
                Err(unfit @ NotReady::Unfit(_)) => return Err(unfit),
                Err(NotReady::Away(because)) => {
                    self.figures().silences += 1;
                    self.pause(Some(because));
                }
                Ok(()) => self.pause(None),
            }
            let seen = Seen {
                id: self.name.clone(),
                host: self.host.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                engine: self.grader.describe(),
                started_at,
                last_seen: self.clock.now(),
                paused_because: self.paused_because(),
                figures: self.figures().clone(),
            };
            if let Err(error) = self.store.worker_seen(&seen).await {
                warn!(worker = %self.name, %error, "worker.heartbeat_failed");
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => (),
                () = shutdown.cancelled() => (),
            }
        }
        Ok(())
    }

    /// Grades one claim. Returns what is to be cleaned up, off the student's clock.
    async fn carry_out(&self, claim: Claim, shutdown: CancellationToken) -> Option<Graded> {
        let grading = claim.grading.id;
        let lost = CancellationToken::new();
        let renewal =
            tokio::spawn(renew(self.store.clone(), claim.lease.clone(), self.settings.lease, lost.clone()));
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                info!(%grading, "grading.given_back");
                if let Err(error) = self.store.release(&claim.lease).await {
                    warn!(%grading, %error, "grading.release_failed");
                }
                None
            }
            () = lost.cancelled() => {
                warn!(%grading, "grading.lease_lost");
                None
            }
            graded = self.grade_and_store(&claim) => graded,
        };
        renewal.abort();
        outcome
    }

    async fn grade_and_store(&self, claim: &Claim) -> Option<Graded> {
        let grading = claim.grading.id;
        let stopwatch = self.clock.stopwatch();
        let attempt = claim.lease.attempt;
        let exercise = match self.exercise(claim).await {
            Ok(exercise) => exercise,
            Err(error) => {
                error!(%grading, %error, "grading.exercise_unreadable");
                self.try_again_later(claim, &error).await;
                return None;
            }
        };
        let hints = match self.store.hints_before(claim.grading.submission).await {
            Ok(hints) => hints,
            Err(error) => {
                error!(%grading, %error, "grading.hints_unreadable");
                self.try_again_later(claim, &error.to_string()).await;
                return None;
            }
        };
        let recorder = self.live.record(&claim.lease);
        let mut graded = if attempt > self.settings.attempts {
            // Every attempt before this one took its worker with it.
            let internal = format!("{} attempts ended without a result", attempt - 1);
            let cause = Cause { verdict: Verdict::PlatformFault, internal, engine_away: false };
            Graded::from_cause(&exercise, cause, &self.clock)
        } else {
            let job = Job {
                id: grading.to_string(),
                exercise: &exercise,
                fetch: {
                    let observer = observer(recorder.clone());
                    let exercise = &exercise;
                    async move { self.fetcher.handed(&self.store, claim, exercise, &observer).await }.boxed()
                },
                observer: observer(recorder.clone()),
                hints,
                measured: false,
                trusted: false,
            };
            self.grader.grade(job).await
        };
        graded.report.log_truncated |= recorder.log_truncated();
        let cause = graded.cause.as_ref();
        if cause.is_some_and(|cause| cause.engine_away) {
            self.pause(cause.map(|cause| cause.internal.clone()));
        }
        let retry = graded.report.verdict == Verdict::PlatformFault && attempt < self.settings.attempts;
        let fault = cause.map(|cause| cause.internal.as_str());
        let stored = if retry {
            let fault = fault.unwrap_or("unknown");
            warn!(%grading, attempt, fault, "grading.platform_fault");
            recorder.retry(fault, self.backoff(attempt)).await
        } else {
            recorder.finish(&graded.report, fault, stopwatch.seconds()).await
        };
        let verdict = graded.report.verdict;
        self.count(&graded, (!retry && stored.is_ok()).then_some(verdict));
        match stored {
            Ok(()) => info!(
                %grading,
                exercise = %exercise.slug,
                attempt,
                ?verdict,
                retry,
                seconds = stopwatch.seconds(),
                "grading.finished"
            ),
            // The lease runs out and somebody grades it again; nothing is lost.
            Err(error) => error!(%grading, attempt, %error, "grading.not_stored"),
        }
        Some(graded)
    }

    async fn exercise(&self, claim: &Claim) -> Result<Exercise, String> {
        let slug = &claim.submission.exercise;
        let folder = self
            .store
            .exercise_folder(slug, &claim.grading.exercise_version)
            .await
            .map_err(|error| format!("exercise {slug} cannot be fetched: {error}"))?;
        Exercise::from_content(slug, &folder).map_err(|mistakes| {
            let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
            format!("exercise {slug} cannot be read: {first}")
        })
    }

    /// Without the exercise there is not even a report: it is tried again for as long as it takes,
    /// visible to trainers as a fault of ours.
    async fn try_again_later(&self, claim: &Claim, fault: &str) {
        let backoff = self.backoff(claim.lease.attempt.min(self.settings.attempts));
        if let Err(error) = self.live.record(&claim.lease).retry(fault, backoff).await {
            warn!(grading = %claim.grading.id, %error, "grading.requeue_failed");
        }
    }

    fn backoff(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(6);
        self.settings.backoff * 2_u32.pow(doublings)
    }
}

/// Turns the steps of a grading into events.
fn observer(recorder: Recorder) -> Observer {
    Arc::new(move |step| match step {
        Step::PhaseStarted(phase) => recorder.emit(Event::PhaseStarted { phase }),
        Step::PhaseFinished(phase, seconds) => recorder.emit(Event::PhaseFinished { phase, seconds }),
        Step::Outcome(check) => recorder.emit(Event::Outcome { check }),
        Step::Log(line) => {
            recorder.log(&line.source, Line { text: line.text, stderr: line.stderr });
        }
    })
}

async fn renew(store: Store, lease: crate::store::Lease, length: Duration, lost: CancellationToken) {
    loop {
        tokio::time::sleep(length / 3).await;
        match store.renew(&lease, length).await {
            Ok(()) => (),
            Err(StoreError::LeaseLost(_)) => {
                lost.cancel();
                return;
            }
            // The database is away: the lease may still hold; the next renewal tells.
            Err(error) => warn!(grading = %lease.grading, %error, "lease.renewal_failed"),
        }
    }
}
