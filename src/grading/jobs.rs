//! What a worker does beside gradings: one job at a time, in a place of its own, so that nobody's
//! submission waits for it.
//!
//! A job is claimed with a lease, tells how far it is, and is tried again after a fault of ours. One
//! that is killed half way is claimed again when its lease has run out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::course::{Observer, Step};
use super::fetch::Fetcher;
use super::grade::Halt;
use super::verify::{Plan, Progress, Trial, planned, verify};
use super::worker::Grader;
use crate::clock::Clock;
use crate::config::WorkerSettings;
use crate::exercises::Exercise;
use crate::report::Phase;
use crate::store::{Error as StoreError, Job, JobKind, JobLease, NewJob, Store};
use crate::submissions::remote::GitAddress;

/// How long to wait before the queue is looked at again; wake-ups come sooner where the store can tell.
const POLL: Duration = Duration::from_secs(1);

/// How long a worker that has just started leaves its engine to gradings before it looks at its images.
const SETTLE: Duration = Duration::from_secs(30);

/// How long an examination keeps new gradings back while it waits for those that run.
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// How long an examination may take, which keeps all gradings back.
const EXAMINED_WITHIN: Duration = Duration::from_mins(1);

/// The part of a worker that does jobs.
pub(super) struct Jobs {
    pub(super) store: Store,
    pub(super) grader: Arc<dyn Grader>,
    pub(super) fetcher: Fetcher,
    pub(super) settings: WorkerSettings,
    pub(super) clock: Clock,
    /// The worker's name in leases.
    pub(super) name: String,
    pub(super) host: String,
    /// The places for gradings.
    pub(super) slots: Arc<Semaphore>,
}

/// What came of a job.
enum Done {
    /// The end of it, for whoever asked.
    Ended { passed: bool, outcome: Value },
    /// A folder for the draft, and what it is.
    Fetched { folder: crate::submissions::Content, from: Option<i64>, outcome: Value },
    /// A fault of ours, with its internal cause.
    Fault(String),
}

fn refused(sentence: impl Into<String>) -> Done {
    Done::Ended { passed: false, outcome: json!({"refused": sentence.into()}) }
}

impl Jobs {
    /// Claims and does jobs until `shutdown`. While `paused` tells a reason, nothing is claimed.
    pub(super) async fn run(self, shutdown: CancellationToken, paused: impl Fn() -> Option<String>) {
        if self.grader.examines()
            && let Err(error) = self.ask_for_images().await
        {
            warn!(worker = %self.name, %error, "worker.images_not_asked");
        }
        while !shutdown.is_cancelled() {
            let changed = self.store.queue_changed();
            let claimed = if paused().is_some() {
                Ok(None)
            } else {
                self.store.claim_job(&self.name, self.settings.lease).await
            };
            match claimed {
                Ok(Some((job, lease))) => self.carry_out(&job, &lease, &shutdown).await,
                found => {
                    if let Err(error) = found {
                        warn!(worker = %self.name, %error, "worker.job_claim_failed");
                    }
                    tokio::select! {
                        () = changed => tokio::time::sleep(POLL / 4).await,
                        () = tokio::time::sleep(POLL) => (),
                        () = shutdown.cancelled() => (),
                    }
                }
            }
        }
    }

    /// Which images an engine has may have changed while nobody worked on it. It is examined when an admin asks:
    /// that takes the machine from whoever hands in.
    async fn ask_for_images(&self) -> Result<(), StoreError> {
        let new = NewJob {
            kind: JobKind::Images,
            subject: &self.host,
            content: None,
            wish: json!({}),
            worker: Some(&self.name),
            login: None,
            delay: SETTLE,
            by: None,
        };
        self.store.ask(new).await.map(drop)
    }

    async fn carry_out(&self, job: &Job, lease: &JobLease, shutdown: &CancellationToken) {
        let stopwatch = self.clock.stopwatch();
        let done = tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                if let Err(error) = self.store.release_job(lease).await {
                    warn!(job = %job.id, %error, "job.release_failed");
                }
                return;
            }
            () = self.keep_lease(lease) => {
                warn!(job = %job.id, "job.lease_lost");
                return;
            }
            done = self.attempt(job, lease) => done,
        };
        let passed = matches!(&done, Done::Ended { passed: true, .. } | Done::Fetched { .. });
        match self.finish(job, lease, done).await {
            Ok(()) => info!(
                job = %job.id, kind = ?job.kind, subject = %job.subject, attempt = lease.attempt, passed,
                seconds = stopwatch.seconds(), "job.finished"
            ),
            // The lease runs out and somebody does it again.
            Err(error) => error!(job = %job.id, %error, "job.not_stored"),
        }
    }

    /// Ends only when the lease is lost.
    async fn keep_lease(&self, lease: &JobLease) {
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            match self.store.renew_job(lease, self.settings.lease).await {
                Ok(()) => (),
                Err(StoreError::LeaseLost(_)) => return,
                Err(error) => warn!(job = %lease.job, %error, "job.renewal_failed"),
            }
        }
    }

    async fn finish(&self, job: &Job, lease: &JobLease, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Ended { passed, outcome } => self.store.finish_job(lease, passed, &outcome, None).await,
            Done::Fetched { folder, from, outcome } => {
                match self.store.finish_import(lease, job, from, &folder, &outcome).await {
                    Err(StoreError::Taken { .. }) => {
                        let sentence = "Meanwhile somebody began a draft of this name, so what was fetched was left aside.";
                        self.store.finish_job(lease, false, &json!({"refused": sentence}), None).await
                    }
                    Err(StoreError::Changed { .. }) => {
                        let sentence = "Meanwhile somebody changed the draft, so what was fetched was left aside. Import again to replace it.";
                        self.store.finish_job(lease, false, &json!({"refused": sentence}), None).await
                    }
                    other => other,
                }
            }
            Done::Fault(fault) if lease.attempt < self.settings.attempts => {
                warn!(job = %job.id, attempt = lease.attempt, fault, "job.platform_fault");
                let doublings = u32::try_from(lease.attempt.saturating_sub(1)).unwrap_or(0).min(6);
                self.store.retry_job(lease, &fault, self.settings.backoff * 2_u32.pow(doublings)).await
            }
            Done::Fault(fault) => {
                let outcome = json!({"fault": true});
                self.store.finish_job(lease, false, &outcome, Some(&fault)).await
            }
        }
    }

    async fn attempt(&self, job: &Job, lease: &JobLease) -> Done {
        if lease.attempt > self.settings.attempts {
            // Every attempt before this one took its worker with it.
            return Done::Fault(format!("{} attempts ended without a result", lease.attempt - 1));
        }
        match job.kind {
            JobKind::Verify => self.verify(job, lease).await,
            JobKind::Import => self.import(job).await,
            JobKind::Doctor => self.examine(lease).await,
            JobKind::Images => self.images(job, lease).await,
        }
    }

    /// Tells progress whenever it changes; never ends.
    async fn tell(&self, lease: &JobLease, mut progress: watch::Receiver<Value>) {
        loop {
            let now = progress.borrow_and_update().clone();
            if let Err(error) = self.store.job_progress(lease, &now).await {
                warn!(job = %lease.job, %error, "job.progress_not_stored");
            }
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn verify(&self, job: &Job, lease: &JobLease) -> Done {
        let Some(sha256) = &job.content_sha256 else { return refused("There is nothing to verify.") };
        let folder = match self.store.content(sha256).await {
            Ok(folder) => folder,
            Err(error) => return Done::Fault(format!("the content cannot be read: {error}")),
        };
        let slug = job.subject.clone();
        let read = tokio::task::spawn_blocking(move || Exercise::from_content(&slug, &folder)).await;
        let exercise = match read {
            Ok(Ok(exercise)) => Arc::new(exercise),
            Ok(Err(mistakes)) => {
                let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                return Done::Ended { passed: false, outcome: json!({"mistakes": told}) };
            }
            Err(error) => return Done::Fault(format!("reading the exercise failed: {error}")),
        };
        let engine = if exercise.needs_engine() {
            match self.grader.engine().await {
                Ok(engine) => engine,
                Err(error) => return Done::Fault(error.to_string()),
            }
        } else {
            None
        };
        let trials: Vec<Value> = planned(&exercise)
            .iter()
            .map(|(trial, run)| json!({"name": trial.to_string(), "run": run, "state": "waiting"}))
            .collect();
        let (sender, receiver) = watch::channel(json!({"trials": trials}));
        let sender = Arc::new(sender);
        let observer: Observer = {
            let sender = Arc::clone(&sender);
            Arc::new(move |step| {
                if let Step::PhaseStarted(phase) = step {
                    sender.send_modify(|progress| began_phase(progress, phase));
                }
            })
        };
        let plan = Plan { jobs: 1, repeat: 1 };
        let exercises = [exercise];
        let proving = verify(&exercises, engine.as_ref(), &self.clock, observer, plan, |progress| {
            sender.send_modify(|told| match progress {
                Progress::Began { trial: (trial, run), .. } => {
                    change(told, trial, run, &json!({"state": "running"}));
                }
                Progress::Ended { result, .. } => {
                    let state = match (result.platform_fault, result.problems.is_empty()) {
                        (true, _) => "fault",
                        (false, true) => "passed",
                        (false, false) => "failed",
                    };
                    let ended = json!({
                        "state": state, "phase": null, "seconds": result.seconds,
                        "problems": result.problems, "faults": result.faults,
                    });
                    change(told, &result.trial, result.run, &ended);
                }
            });
        });
        let proofs = tokio::select! {
            proofs = proving => proofs,
            () = self.tell(lease, receiver) => Vec::new(),
        };
        let Some(proof) = proofs.first() else { return Done::Fault("no proof was made".into()) };
        if proof.platform_fault() {
            let faults = proof.trials.iter().filter(|trial| trial.platform_fault);
            let told: Vec<String> = faults.flat_map(|trial| trial.problems.clone()).collect();
            return Done::Fault(told.join("; "));
        }
        let progress = sender.borrow().clone();
        if let Err(error) = self.store.job_progress(lease, &progress).await {
            warn!(job = %lease.job, %error, "job.progress_not_stored");
        }
        match serde_json::to_value(proof) {
            Ok(outcome) => Done::Ended { passed: proof.holds(), outcome },
            Err(error) => Done::Fault(format!("the proof cannot be written: {error}")),
        }
    }

    async fn import(&self, job: &Job) -> Done {
        let word = |key: &str| job.wish.get(key).and_then(Value::as_str).unwrap_or_default();
        let (url, revision, below) = (word("url"), word("revision"), word("folder"));
        let address = match GitAddress::read(url) {
            Ok((address, _)) => address,
            Err(sentence) => return refused(sentence),
        };
        let login = match self.store.job_login(job.id).await {
            Ok(login) => login,
            Err(error) => return Done::Fault(format!("the token cannot be read: {error}")),
        };
        let revision = Some(revision).filter(|name| !name.is_empty());
        let fetched = match self.fetcher.folder(&address, revision, login.as_ref()).await {
            Ok(fetched) => fetched,
            Err(Halt::Student(sentence, _)) => return refused(sentence),
            Err(Halt::Fault(cause)) => return Done::Fault(cause.internal),
        };
        let folder = match fetched.content.subtree(below) {
            Some(folder) if !folder.is_empty() => folder,
            _ => {
                return refused(format!(
                    "The repository has no folder `{}` with files in it. Name the folder that holds exercise.yaml.",
                    crate::text::visible(below)
                ));
            }
        };
        let commit = fetched.commit.hash.get(..12).unwrap_or(&fetched.commit.hash).to_owned();
        let what = format!("commit {commit} of {}", address.as_str());
        let from = job.wish.get("from").and_then(Value::as_i64);
        Done::Fetched { folder, from, outcome: json!({"what": what, "subject": fetched.commit.subject}) }
    }

    /// The shares of processor and memory show only while nothing else of ours runs: gradings wait for
    /// the some ten seconds that it takes.
    async fn examine(&self, lease: &JobLease) -> Done {
        let all = u32::try_from(self.settings.slots.max(1)).unwrap_or(u32::MAX);
        let _quiet = match timeout(QUIET_WITHIN, self.slots.acquire_many(all)).await {
            Ok(Ok(quiet)) => quiet,
            Ok(Err(_)) => return refused("The worker is stopping."),
            Err(_) => {
                return refused(
                    "Gradings went on all the time, and what is measured needs the machine for itself. Ask again \
                     when it is quieter.",
                );
            }
        };
        let points = match timeout(EXAMINED_WITHIN, self.grader.examine()).await {
            Ok(Some(points)) => points,
            Ok(None) => return refused("This worker grades without an engine."),
            Err(_) => {
                return refused(
                    "The engine took too long to be examined. Try `drydock doctor` on that machine.",
                );
            }
        };
        let told = serde_json::to_value(&points).unwrap_or_default();
        let stored = self.store.worker_examined(&lease.worker, &told).await;
        match stored {
            Ok(()) => Done::Ended { passed: true, outcome: json!({"points": points.len()}) },
            Err(error) => Done::Fault(format!("what was found cannot be stored: {error}")),
        }
    }

    async fn images(&self, job: &Job, lease: &JobLease) -> Done {
        let engine = match self.grader.engine().await {
            Ok(Some(engine)) => engine,
            Ok(None) => return refused("This worker grades without an engine."),
            Err(error) => return Done::Fault(error.to_string()),
        };
        let users = match self.images_needed().await {
            Ok(users) => users,
            Err(error) => return Done::Fault(format!("the exercises cannot be read: {error}")),
        };
        let pull = job.wish.get("pull").and_then(Value::as_bool).unwrap_or(false);
        let waiting = users.into_iter().map(|(image, exercises)| {
            json!({"image": image, "exercises": exercises, "bytes": null, "state": "waiting"})
        });
        let mut images: Vec<Value> = waiting.collect();
        for index in 0..images.len() {
            let image = images[index]["image"].as_str().unwrap_or_default().to_owned();
            let mut bytes = match engine.image_bytes(&image).await {
                Ok(bytes) => bytes,
                Err(error) => return Done::Fault(error.to_string()),
            };
            let mut refusal = None;
            if bytes.is_none() && pull {
                images[index]["state"] = json!("pulling");
                let progress = json!({"images": images});
                if let Err(error) = self.store.job_progress(lease, &progress).await {
                    warn!(job = %lease.job, %error, "job.progress_not_stored");
                }
                match engine.pull_image(&image).await {
                    Ok(()) => bytes = engine.image_bytes(&image).await.unwrap_or_default(),
                    Err(error) => refusal = Some(error.to_string()),
                }
            }
            images[index]["bytes"] = json!(bytes);
            images[index]["state"] = json!(if bytes.is_some() { "there" } else { "missing" });
            images[index]["refusal"] = json!(refusal);
        }
        let missing = images.iter().filter(|image| image["state"] == "missing").count();
        let told = json!({"images": images});
        match self.store.worker_images(&lease.worker, &told).await {
            Ok(()) => Done::Ended { passed: missing == 0 || !pull, outcome: told },
            Err(error) => Done::Fault(format!("what was found cannot be stored: {error}")),
        }
    }

    /// The images that the published exercises stand on, each with the exercises that do.
    async fn images_needed(&self) -> Result<indexmap::IndexMap<String, Vec<String>>, String> {
        let mut users: indexmap::IndexMap<String, Vec<String>> = indexmap::IndexMap::new();
        let published = self.store.published_exercises().await.map_err(|error| error.to_string())?;
        for one in published.into_iter().filter(|one| one.retired_at.is_none()) {
            let folder = self.store.content(&one.folder_sha256).await.map_err(|error| error.to_string())?;
            let slug = one.slug.clone();
            let read = tokio::task::spawn_blocking(move || {
                Exercise::from_content(&slug, &folder).map(|exercise| exercise.images())
            });
            // One that cannot be read any more is told where it is graded.
            if let Ok(Ok(images)) = read.await {
                for image in images {
                    users.entry(image).or_default().push(one.slug.clone());
                }
            }
        }
        users.sort_unstable_keys();
        Ok(users)
    }
}

/// Notes what is known now of a trial.
fn change(progress: &mut Value, trial: &Trial, run: u32, news: &Value) {
    let name = trial.to_string();
    let trials = progress.get_mut("trials").and_then(Value::as_array_mut);
    let found = trials.into_iter().flatten().find(|one| one["name"] == name && one["run"] == run);
    if let (Some(Value::Object(known)), Value::Object(news)) = (found, news) {
        known.extend(news.clone());
    }
}

/// The trial that runs, of which there is one at a time, has come to another phase.
fn began_phase(progress: &mut Value, phase: Phase) {
    let trials = progress.get_mut("trials").and_then(Value::as_array_mut);
    if let Some(running) = trials.into_iter().flatten().find(|one| one["state"] == "running") {
        running["phase"] = json!(phase);
    }
}
