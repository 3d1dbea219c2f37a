//! What workers do beside gradings, as rows with a lease: prove an exercise, bring one from a
//! repository, look at the engine, bring its images.
//!
//! A job is claimed only while no submission waits that somebody has just handed in. Its lease is
//! fenced by the number of its claim, as a grading's is; what it has done so far is kept as JSON and
//! every change rings, so that a page can follow it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::Deed;
use super::bells::Bell;
use super::columns::{JsonText, Word, text};
use super::database::{On, Writing};
use super::{Error, GradingState, Result, Store, after, one_row};
use crate::submissions::Content;
use crate::submissions::remote::Credentials;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Prove an exercise by its solution, starter and mutants.
    Verify,
    /// Bring an exercise's folder from a Git repository into a draft.
    Import,
    /// Measure what the worker's engine keeps of the sandbox's rules.
    Doctor,
    /// See which images the engine has, and pull those that are wished for.
    Images,
}

/// Something for a worker to do, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: Uuid,
    pub kind: JobKind,
    /// The exercise's slug, or the host for [`JobKind::Doctor`] and [`JobKind::Images`].
    pub subject: String,
    /// The folder that is proven.
    pub content_sha256: Option<String>,
    /// What is asked for beyond that.
    pub wish: Value,
    /// The only worker that may take it.
    pub worker: Option<String>,
    pub asked_by: Option<Uuid>,
    pub state: GradingState,
    /// Attempts begun, this one included.
    pub attempt: i32,
    /// The worker that has it, or had it last.
    pub leased_by: Option<String>,
    pub queued_at: DateTime<Utc>,
    /// Not claimed before; later than `queued_at` after a fault of ours.
    pub not_before: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// How far it is, as the worker tells.
    pub progress: Value,
    /// What came of it, once done.
    pub outcome: Option<Value>,
    /// Whether that is what was hoped for.
    pub passed: bool,
    /// Internal cause of the last fault of ours.
    pub fault: Option<String>,
}

/// Something that is asked for.
#[derive(Debug)]
pub struct NewJob<'a> {
    pub kind: JobKind,
    pub subject: &'a str,
    /// The folder that is proven; has to be in the content store.
    pub content: Option<&'a str>,
    pub wish: Value,
    pub worker: Option<&'a str>,
    /// With which a private repository is fetched.
    pub login: Option<&'a Credentials>,
    /// How long it waits at least.
    pub delay: Duration,
    pub by: Option<Uuid>,
}

/// The right to write to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLease {
    pub job: Uuid,
    pub worker: String,
    pub attempt: i32,
    /// Which claim of this job it is; never the same twice.
    pub claim: i64,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: Uuid,
    kind: Word<JobKind>,
    subject: String,
    content_sha256: Option<String>,
    wish: JsonText<Value>,
    worker: Option<String>,
    asked_by: Option<Uuid>,
    state: Word<GradingState>,
    attempt: i32,
    leased_by: Option<String>,
    queued_at: DateTime<Utc>,
    not_before: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    progress: JsonText<Value>,
    outcome: Option<JsonText<Value>>,
    passed: bool,
    fault: Option<String>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind.0,
            subject: row.subject,
            content_sha256: row.content_sha256,
            wish: row.wish.0,
            worker: row.worker,
            asked_by: row.asked_by,
            state: row.state.0,
            attempt: row.attempt,
            leased_by: row.leased_by,
            queued_at: row.queued_at,
            not_before: row.not_before,
            started_at: row.started_at,
            finished_at: row.finished_at,
            progress: row.progress.0,
            outcome: row.outcome.map(|outcome| outcome.0),
            passed: row.passed,
            fault: row.fault,
        }
    }
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    claims: i64,
    #[sqlx(flatten)]
    job: JobRow,
}

macro_rules! job_columns {
    () => {
        "id, kind, subject, content_sha256, wish, worker, asked_by, state, attempt, leased_by, queued_at, \
         not_before, started_at, finished_at, progress, outcome, passed, fault"
    };
}

macro_rules! claim_next {
    ($lock:literal) => {
        concat!(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, claims = claims + 1,
                 leased_by = $1, lease_until = $2, started_at = $3
             WHERE id = (
                 SELECT id FROM jobs
                 WHERE ((state = 'queued' AND not_before <= $3) OR (state = 'running' AND lease_until <= $3))
                     AND (worker IS NULL OR worker = $1)
                 ORDER BY queued_at, id LIMIT 1 ",
            $lock,
            ") RETURNING claims, ",
            job_columns!(),
        )
    };
}

const NO_JOB: Error = Error::NotFound { what: "job" };

fn owner(job: Uuid) -> String {
    format!("job {job}")
}

impl Store {
    /// Asks for something to be done. Where the same is waiting or under way already, that is returned.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the content or the person is not known.
    pub async fn ask(&self, new: NewJob<'_>) -> Result<Job> {
        let id = self.new_id();
        let now = self.now();
        let mut tx = self.write().await?;
        let same: Option<JobRow> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "SELECT ", job_columns!(), " FROM jobs
             WHERE kind = $1 AND subject = $2 AND state <> 'done' AND wish = $3
                 AND COALESCE(content_sha256, '') = $4 AND COALESCE(worker, '') = $5
             ORDER BY queued_at LIMIT 1",
        ))
        .bind(Word(new.kind))
        .bind(text(new.subject))
        .bind(JsonText(&new.wish))
        .bind(new.content.unwrap_or_default())
        .bind(new.worker.unwrap_or_default())
        .fetch_optional(&mut **db)
        .await)?;
        if let Some(same) = same {
            return self.hasten(tx, same.into(), after(now, new.delay)).await;
        }
        let sealed = new.login.map(|login| {
            self.inner.seal.close(&format!("{}\n{}", login.username(), login.secret()), &owner(id))
        });
        let row: JobRow = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "INSERT INTO jobs (id, kind, subject, content_sha256, wish, credentials, worker, asked_by, state,
                 attempt, claims, not_before, queued_at, progress, passed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', 0, 0, $9, $10, 'null', FALSE)
             RETURNING ", job_columns!(),
        ))
        .bind(id)
        .bind(Word(new.kind))
        .bind(text(new.subject))
        .bind(new.content)
        .bind(JsonText(&new.wish))
        .bind(sealed)
        .bind(new.worker)
        .bind(new.by)
        .bind(after(now, new.delay))
        .bind(now)
        .fetch_one(&mut **db)
        .await)?;
        if new.by.is_some() {
            let action = match new.kind {
                JobKind::Verify => "exercise.verification_asked",
                JobKind::Import => "draft.import_asked",
                JobKind::Doctor => "engine.examination_asked",
                JobKind::Images => "engine.images_asked",
            };
            let details = json!({"content": new.content, "wish": new.wish});
            let deed = Deed { by: new.by, action, cohort: None, subject: new.subject.to_owned(), details };
            self.insert_record(&mut tx, deed).await?;
        }
        tx.ring(Bell::Queue);
        self.commit(tx).await?;
        Ok(row.into())
    }

    /// A job that is asked for again waits no longer than it would if it were new.
    async fn hasten(&self, mut tx: Writing, job: Job, not_before: DateTime<Utc>) -> Result<Job> {
        if job.state != GradingState::Queued || job.not_before <= not_before {
            return Ok(job);
        }
        on!(&mut tx.db, db => sqlx::query("UPDATE jobs SET not_before = $2 WHERE id = $1 AND state = 'queued'")
            .bind(job.id)
            .bind(not_before)
            .execute(&mut **db)
            .await
            .map(drop))?;
        tx.ring(Bell::Queue);
        self.commit(tx).await?;
        Ok(Job { not_before, ..job })
    }

    /// Claims the oldest job that this worker may take, unless a submission waits that somebody has
    /// just handed in. One whose lease has run out is claimed again.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn claim_job(&self, worker: &str, lease: Duration) -> Result<Option<(Job, JobLease)>> {
        let now = self.now();
        // A look without a lock, so that idle workers do not stand in the writers' line.
        let free: Option<i32> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT 1 WHERE EXISTS (
                 SELECT id FROM jobs
                 WHERE ((state = 'queued' AND not_before <= $1) OR (state = 'running' AND lease_until <= $1))
                     AND (worker IS NULL OR worker = $2))
             AND NOT EXISTS (
                 SELECT id FROM gradings WHERE state = 'queued' AND lane = 0 AND not_before <= $1)",
        )
        .bind(now)
        .bind(worker)
        .fetch_optional(db)
        .await)?;
        if free.is_none() {
            return Ok(None);
        }
        let mut tx = self.write().await?;
        let next = match &tx.db {
            On::Sqlite(_) => claim_next!(""),
            On::Postgres(_) => claim_next!("FOR UPDATE SKIP LOCKED"),
        };
        let claimed: Option<ClaimRow> = on!(&mut tx.db, db => sqlx::query_as(next)
            .bind(worker)
            .bind(after(now, lease))
            .bind(now)
            .fetch_optional(&mut **db)
            .await)?;
        let Some(ClaimRow { claims, job }) = claimed else { return Ok(None) };
        let job = Job::from(job);
        tx.ring(Bell::Events(job.id));
        self.commit(tx).await?;
        let lease = JobLease { job: job.id, worker: worker.to_owned(), attempt: job.attempt, claim: claims };
        Ok(Some((job, lease)))
    }

    /// Makes the lease last for so long from now.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the job or it was finished.
    pub async fn renew_job(&self, lease: &JobLease, for_how_long: Duration) -> Result<()> {
        let mut tx = self.write().await?;
        let renewed = on!(&mut tx.db, db => sqlx::query(
            "UPDATE jobs SET lease_until = $4
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'",
        )
        .bind(lease.job)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(after(self.now(), for_how_long))
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(renewed, Error::LeaseLost(lease.job))?;
        self.commit(tx).await
    }

    /// Tells how far a job is, in place of what was told before.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the job or it was finished.
    pub async fn job_progress(&self, lease: &JobLease, progress: &Value) -> Result<()> {
        let mut tx = self.write().await?;
        let told = on!(&mut tx.db, db => sqlx::query(
            "UPDATE jobs SET progress = $4
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'",
        )
        .bind(lease.job)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(JsonText(progress))
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(told, Error::LeaseLost(lease.job))?;
        tx.ring(Bell::Events(lease.job));
        self.commit(tx).await
    }

    /// Stores what came of a job.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the job or it was finished.
    pub async fn finish_job(
        &self,
        lease: &JobLease,
        passed: bool,
        outcome: &Value,
        fault: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        self.end_job(&mut tx, lease, passed, outcome, fault).await?;
        self.commit(tx).await
    }

    async fn end_job(
        &self,
        tx: &mut Writing,
        lease: &JobLease,
        passed: bool,
        outcome: &Value,
        fault: Option<&str>,
    ) -> Result<()> {
        let finished = on!(&mut tx.db, db => sqlx::query(
            "UPDATE jobs SET state = 'done', lease_until = NULL, finished_at = $4, passed = $5, outcome = $6,
                 fault = COALESCE($7, fault), credentials = NULL
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'",
        )
        .bind(lease.job)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(self.now())
        .bind(passed)
        .bind(JsonText(outcome))
        .bind(fault.map(text))
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(finished, Error::LeaseLost(lease.job))?;
        tx.ring(Bell::Events(lease.job));
        Ok(())
    }

    /// Puts what was fetched into the draft that it was fetched for (a new one, or revision `from`), and
    /// ends the job, in one transaction.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]; [`Error::Taken`] or [`Error::Changed`] when the draft is not as it was.
    pub async fn finish_import(
        &self,
        lease: &JobLease,
        job: &Job,
        from: Option<i64>,
        folder: &Content,
        outcome: &Value,
    ) -> Result<()> {
        self.keep(folder).await?;
        let how = outcome.get("what").and_then(Value::as_str).unwrap_or("a repository");
        let mut tx = self.write().await?;
        match from {
            None => self.insert_draft(&mut tx, &job.subject, folder, job.asked_by, how).await?,
            Some(from) => {
                self.update_draft(&mut tx, &job.subject, from, folder, job.asked_by, how).await?;
            }
        }
        self.end_job(&mut tx, lease, true, outcome, None).await?;
        self.commit(tx).await
    }

    /// Puts a job back after a fault of ours, to be claimed again after `backoff`.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the job or it was finished.
    pub async fn retry_job(&self, lease: &JobLease, fault: &str, backoff: Duration) -> Result<()> {
        self.put_back(lease, 0, Some(fault), backoff).await
    }

    /// Gives a job back untouched; no attempt is counted.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the job or it was finished.
    pub async fn release_job(&self, lease: &JobLease) -> Result<()> {
        self.put_back(lease, 1, None, Duration::ZERO).await
    }

    async fn put_back(
        &self,
        lease: &JobLease,
        uncounted: i32,
        fault: Option<&str>,
        backoff: Duration,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let put_back = on!(&mut tx.db, db => sqlx::query(
            "UPDATE jobs SET state = 'queued', lease_until = NULL, attempt = attempt - $4, not_before = $5,
                 fault = COALESCE($6, fault), progress = 'null'
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'",
        )
        .bind(lease.job)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(uncounted)
        .bind(after(self.now(), backoff))
        .bind(fault.map(text))
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(put_back, Error::LeaseLost(lease.job))?;
        tx.ring(Bell::Queue);
        tx.ring(Bell::Events(lease.job));
        self.commit(tx).await
    }

    /// The login that was given with a job, while it is not done.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was sealed with another key.
    pub async fn job_login(&self, job: Uuid) -> Result<Option<Credentials>> {
        let sealed: Option<Vec<u8>> = on!(self.reads(), db => sqlx::query_scalar("SELECT credentials FROM jobs WHERE id = $1")
                .bind(job)
                .fetch_one(db)
                .await)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.inner.seal.open(&sealed, &owner(job))?;
        let (username, secret) = plain.split_once('\n').unwrap_or(("", &plain));
        Ok(Some(Credentials::new(username, secret)))
    }

    /// The job with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn job(&self, id: Uuid) -> Result<Job> {
        let row: Option<JobRow> = on!(self.reads(), db => sqlx::query_as(concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1"))
                .bind(id)
                .fetch_optional(db)
                .await)?;
        row.map(Job::from).ok_or(NO_JOB)
    }

    /// Jobs of a kind about something, newest first, at most `most`.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn jobs_of(&self, kind: JobKind, subject: &str, most: i64) -> Result<Vec<Job>> {
        let rows: Vec<JobRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", job_columns!(), " FROM jobs WHERE kind = $1 AND subject = $2
             ORDER BY queued_at DESC, id DESC LIMIT $3",
        ))
        .bind(Word(kind))
        .bind(text(subject))
        .bind(most)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Job::from).collect())
    }

    /// The newest job of a kind about everything it was asked for, in no particular order.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn newest_jobs(&self, kind: JobKind) -> Result<Vec<Job>> {
        let rows: Vec<JobRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", job_columns!(), " FROM jobs WHERE kind = $1 AND NOT EXISTS (
                 SELECT 1 FROM jobs newer WHERE newer.kind = jobs.kind AND newer.subject = jobs.subject
                     AND (newer.queued_at, newer.id) > (jobs.queued_at, jobs.id))",
        ))
        .bind(Word(kind))
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Job::from).collect())
    }

    /// Jobs that are waiting or under way, oldest first; without those that only a worker could do that has
    /// not been heard of since `silent_since`.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn unfinished_jobs(&self, silent_since: DateTime<Utc>) -> Result<Vec<Job>> {
        let rows: Vec<JobRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", job_columns!(), " FROM jobs WHERE state <> 'done' AND (worker IS NULL OR EXISTS (
                 SELECT 1 FROM workers WHERE workers.id = jobs.worker AND workers.last_seen >= $1))
             ORDER BY queued_at, id",
        ))
        .bind(silent_since)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Job::from).collect())
    }

    /// Resolves when something about this job may have changed, and at the latest after `patience`.
    pub fn job_changed(&self, id: Uuid, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut rung = self.events_rung();
        async move {
            let heard = async {
                loop {
                    match rung.recv().await {
                        Ok(Some(which)) if which != id => {}
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => {
                            std::future::pending::<()>().await;
                        }
                        _ => return,
                    }
                }
            };
            let _ = tokio::time::timeout(patience, heard).await;
        }
    }
}
