//! The queue: gradings as rows, claimed with a lease that runs out.
//!
//! Order: interactive before regrades; then by `turn`, the number of unfinished gradings of the same
//! person that come before (running ones count), so that everybody's first comes before anybody's
//! second; then by age. `turn` is kept up to date where gradings are queued and finished, which
//! touches a handful of rows, so that claiming and telling the place are one probe of one index
//! however long the queue is.
//!
//! A lease is fenced by a number that grows with every claim: a worker that was slow, or thought dead,
//! cannot write to what somebody else has claimed meanwhile. A lease that runs out counts as an
//! attempt, so that a grading that kills its worker does not go on for ever.
//!
//! Locks are taken in one order (person, gradings, cohort, cell), so that no two transactions wait for
//! each other.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{JsonText, Word, text};
use super::database::{On, Writing};
use super::gradings::{GradingRow, NewGrading, grading_columns};
use super::submissions::{SubmissionRow, submission_columns};
use super::{Error, Grading, Lane, Result, Store, StoredEvent, Submission, after, one_row};
use crate::report::Report;

/// A claimed grading with what the worker needs.
#[derive(Clone, Debug)]
pub struct Claim {
    pub grading: Grading,
    pub submission: Submission,
    pub lease: Lease,
}

/// The right to write to a grading: who holds it, in which attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub grading: Uuid,
    pub worker: String,
    /// Attempts begun, this one included.
    pub attempt: i32,
    /// Which claim of this grading it is; never the same twice.
    pub claim: i64,
}

/// How long to wait for a row that another transaction holds before looking again. PostgreSQL skips
/// such rows, and one may be held not by another claimer but by a grading that ended and moves its
/// person's others up. That rings when it is committed, so that nobody has to wait longer.
const LOCKED_FOR: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
];

macro_rules! claim_next {
    ($lock:literal) => {
        concat!(
            "UPDATE gradings SET state = 'running', attempt = attempt + 1, claims = claims + 1,
                 leased_by = $1, lease_until = $2, started_at = $3
             WHERE id = (
                 SELECT id FROM gradings WHERE state = 'queued' AND not_before <= $3 AND attempt >= $4
                 ORDER BY lane, turn, queued_at, id LIMIT 1 ",
            $lock,
            ") RETURNING claims, ",
            grading_columns!(),
        )
    };
}

macro_rules! expire {
    ($lock:literal) => {
        concat!(
            "UPDATE gradings SET state = 'queued', lease_until = NULL
             WHERE id IN (SELECT id FROM gradings WHERE state = 'running' AND lease_until <= $1 ",
            $lock,
            ") RETURNING submission",
        )
    };
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    claims: i64,
    #[sqlx(flatten)]
    grading: GradingRow,
}

/// What is left to do around a grading whose lease was given up.
#[derive(sqlx::FromRow)]
struct Place {
    submission: Uuid,
    person: Uuid,
    lane: i32,
    turn: i64,
}

impl Store {
    /// Claims the next grading: interactive before regrades, each student's first waiting one before
    /// anyone's second, then age; `not_before` respected; gradings whose lease has run out are claimed
    /// again with `attempt + 1`.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn claim(&self, worker: &str, lease: Duration) -> Result<Option<Claim>> {
        self.claim_tried(worker, lease, 0).await
    }

    /// Claims as [`Store::claim`] does, but only what has been attempted before: for a worker whose
    /// engine is away, so that what was under way comes to its end while fresh submissions wait.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn claim_retry(&self, worker: &str, lease: Duration) -> Result<Option<Claim>> {
        self.claim_tried(worker, lease, 1).await
    }

    async fn claim_tried(&self, worker: &str, lease: Duration, attempts: i32) -> Result<Option<Claim>> {
        for wait in LOCKED_FOR {
            if !self.anything_to_claim(self.now(), attempts).await? {
                return Ok(None);
            }
            if let Some(claim) = self.claim_unlocked(worker, lease, attempts).await? {
                return Ok(Some(claim));
            }
            tokio::time::sleep(wait).await;
        }
        Ok(None)
    }

    async fn claim_unlocked(&self, worker: &str, lease: Duration, attempts: i32) -> Result<Option<Claim>> {
        let now = self.now();
        let mut tx = self.write().await?;
        let expire = match &tx.db {
            On::Sqlite(_) => expire!(""),
            On::Postgres(_) => expire!("FOR UPDATE SKIP LOCKED"),
        };
        let expired: Vec<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(expire)
            .bind(now)
            .fetch_all(&mut **db)
            .await)?;
        let next = match &tx.db {
            On::Sqlite(_) => claim_next!(""),
            On::Postgres(_) => claim_next!("FOR UPDATE SKIP LOCKED"),
        };
        let claimed: Option<ClaimRow> = on!(&mut tx.db, db => sqlx::query_as(next)
            .bind(worker)
            .bind(after(now, lease))
            .bind(now)
            .bind(attempts)
            .fetch_optional(&mut **db)
            .await)?;
        let claimed = claimed.map(|row| (row.claims, Grading::from(row.grading)));
        let mut touched = expired;
        touched.extend(claimed.iter().map(|(_, grading)| grading.submission));
        self.refresh_cells_of(&mut tx, &touched).await?;
        let claim = match claimed {
            None => None,
            Some((claim, grading)) => {
                let submission: SubmissionRow = on!(&mut tx.db, db => sqlx::query_as(
                    concat!("SELECT ", submission_columns!(), " FROM submissions WHERE id = $1"),
                )
                .bind(grading.submission)
                .fetch_one(&mut **db)
                .await)?;
                let lease =
                    Lease { grading: grading.id, worker: worker.to_owned(), attempt: grading.attempt, claim };
                Some(Claim { grading, submission: submission.into(), lease })
            }
        };
        self.commit(tx).await?;
        Ok(claim)
    }

    /// A look without a lock, so that idle workers that poll do not stand in the writers' line.
    async fn anything_to_claim(&self, now: DateTime<Utc>, attempts: i32) -> Result<bool> {
        let found: Option<i32> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT 1 WHERE EXISTS
                     (SELECT id FROM gradings WHERE state = 'queued' AND not_before <= $1 AND attempt >= $2)
                 OR EXISTS (SELECT id FROM gradings WHERE state = 'running' AND lease_until <= $1)",
        )
        .bind(now)
        .bind(attempts)
        .fetch_optional(db)
        .await)?;
        Ok(found.is_some())
    }

    /// Makes the lease last for so long from now.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading or it was finished.
    pub async fn renew(&self, lease: &Lease, for_how_long: Duration) -> Result<()> {
        let mut tx = self.write().await?;
        let renewed = on!(&mut tx.db, db => sqlx::query(
            "UPDATE gradings SET lease_until = $4
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'",
        )
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(after(self.now(), for_how_long))
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(renewed, Error::LeaseLost(lease.grading))?;
        self.commit(tx).await
    }

    /// Stores the report, and `last_event` as the grading's last, under the lease: exactly one row or
    /// [`Error::LeaseLost`]. Callers go through [`crate::live::Recorder::finish`], which writes the
    /// event.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading or it was finished.
    pub async fn finish(
        &self,
        lease: &Lease,
        report: &Report,
        fault: Option<&str>,
        last_event: &str,
    ) -> Result<StoredEvent> {
        let mut tx = self.write().await?;
        self.lock_person_of(&mut tx, lease.grading).await?;
        let event = self.append_in(&mut tx, lease, &[last_event]).await?.pop();
        let report = self.reviewed(&mut tx, lease.grading, report).await?;
        let report = &*self.decided(&mut tx, lease.grading, report).await?;
        let place: Option<Place> = on!(&mut tx.db, db => sqlx::query_as(
            "UPDATE gradings SET state = 'done', lease_until = NULL, finished_at = $4, verdict = $5,
                 points_earned = $6, points_possible = $7, waiting = $8, report = $9,
                 fault = COALESCE($10, fault), missed = $11
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running'
             RETURNING submission, person, lane, turn",
        )
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(self.now())
        .bind(Word(report.verdict))
        .bind(i64::from(report.points.earned))
        .bind(i64::from(report.points.possible))
        .bind(report.waits_for_review())
        .bind(JsonText(report))
        .bind(fault.map(text))
        .bind(JsonText(report.missed()))
        .fetch_optional(&mut **db)
        .await)?;
        let (Some(place), Some(event)) = (place, event) else { return Err(Error::LeaseLost(lease.grading)) };
        let moved_up = on!(&mut tx.db, db => sqlx::query(
            "UPDATE gradings SET turn = turn - 1
             WHERE person = $1 AND lane = $2 AND turn > $3 AND state <> 'done'",
        )
        .bind(place.person)
        .bind(place.lane)
        .bind(place.turn)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        if moved_up > 0 {
            tx.ring(Bell::Queue);
        }
        self.refresh_cells_of(&mut tx, &[place.submission]).await?;
        self.commit(tx).await?;
        Ok(event)
    }

    /// Puts it back after a platform fault, to be claimed again after `backoff`, with `event` telling
    /// so. Callers go through [`crate::live::Recorder::retry`], which writes the event.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading or it was finished.
    pub async fn requeue(
        &self,
        lease: &Lease,
        fault: &str,
        backoff: Duration,
        event: &str,
    ) -> Result<StoredEvent> {
        let mut tx = self.write().await?;
        let event = self.append_in(&mut tx, lease, &[event]).await?.pop();
        let put_back: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE gradings SET state = 'queued', lease_until = NULL, not_before = $4, fault = $5
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running' RETURNING submission",
        )
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(after(self.now(), backoff))
        .bind(text(fault))
        .fetch_optional(&mut **db)
        .await)?;
        let (Some(submission), Some(event)) = (put_back, event) else {
            return Err(Error::LeaseLost(lease.grading));
        };
        self.refresh_cells_of(&mut tx, &[submission]).await?;
        tx.ring(Bell::Queue);
        self.commit(tx).await?;
        Ok(event)
    }

    /// Gives back a claim untouched (a worker that shuts down, or whose engine is away): no attempt
    /// counted.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading or it was finished.
    pub async fn release(&self, lease: &Lease) -> Result<()> {
        let mut tx = self.write().await?;
        let put_back: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE gradings SET state = 'queued', lease_until = NULL, attempt = attempt - 1
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running' RETURNING submission",
        )
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .fetch_optional(&mut **db)
        .await)?;
        let submission = put_back.ok_or(Error::LeaseLost(lease.grading))?;
        self.refresh_cells_of(&mut tx, &[submission]).await?;
        tx.ring(Bell::Queue);
        self.commit(tx).await
    }

    /// How many gradings will be claimed before this one; 0 when it is next or no longer queued.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn place_in_queue(&self, grading: Uuid) -> Result<i64> {
        Ok(on!(self.reads(), db => sqlx::query_scalar(
            "SELECT COUNT(*) FROM gradings AS mine JOIN gradings AS other
                 ON (other.lane, other.turn, other.queued_at, other.id)
                     < (mine.lane, mine.turn, mine.queued_at, mine.id)
             WHERE mine.id = $1 AND mine.state = 'queued'
                 AND other.state = 'queued' AND other.not_before <= $2",
        )
        .bind(grading)
        .bind(self.now())
        .fetch_one(db)
        .await)?)
    }

    /// Queues another grading of a submission, by the version that is handed out now. If one is
    /// waiting already, that one is returned.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such submission or its exercise is handed out no more.
    pub async fn regrade(&self, submission: Uuid) -> Result<Grading> {
        let submission = self.submission(submission).await?;
        let mut tx = self.write().await?;
        self.lock_person(&mut tx, submission.person).await?;
        let version: Option<String> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT version FROM exercises WHERE slug = $1",
        )
        .bind(&submission.exercise)
        .fetch_optional(&mut **db)
        .await)?;
        let version = version.ok_or(Error::NotFound { what: "exercise" })?;
        let waiting: Option<GradingRow> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings
             WHERE submission = $1 AND exercise_version = $2 AND state = 'queued' LIMIT 1",
        ))
        .bind(submission.id)
        .bind(&version)
        .fetch_optional(&mut **db)
        .await)?;
        if let Some(waiting) = waiting {
            return Ok(waiting.into());
        }
        let again = NewGrading {
            submission: submission.id,
            person: submission.person,
            exercise_version: &version,
            lane: Lane::Regrade,
        };
        let grading = self.enqueue(&mut tx, again).await?;
        self.refresh_cell(&mut tx, submission.cohort, submission.person, &submission.exercise).await?;
        tx.ring(Bell::Queue);
        self.commit(tx).await?;
        Ok(grading)
    }

    /// Queued gradings, and since when the oldest waits.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn queue_depth(&self) -> Result<(i64, Option<DateTime<Utc>>)> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT COUNT(*), MIN(queued_at) FROM gradings WHERE state = 'queued'",
        )
        .fetch_one(db)
        .await)?)
    }

    /// Gradings that are being worked on, longest first, without reports.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn running(&self) -> Result<Vec<Grading>> {
        let rows: Vec<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings WHERE state = 'running' ORDER BY started_at, id",
        ))
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Grading::from).collect())
    }

    /// Lets the transactions that change a person's turns come one after the other. SQLite's writers
    /// do so anyway.
    pub(super) async fn lock_person(&self, tx: &mut Writing, person: Uuid) -> Result<()> {
        if let On::Postgres(db) = &mut tx.db {
            sqlx::query("SELECT id FROM people WHERE id = $1 FOR NO KEY UPDATE")
                .bind(person)
                .execute(&mut **db)
                .await?;
        }
        Ok(())
    }

    async fn lock_person_of(&self, tx: &mut Writing, grading: Uuid) -> Result<()> {
        if let On::Postgres(db) = &mut tx.db {
            sqlx::query(
                "SELECT id FROM people WHERE id = (SELECT person FROM gradings WHERE id = $1)
                 FOR NO KEY UPDATE",
            )
            .bind(grading)
            .execute(&mut **db)
            .await?;
        }
        Ok(())
    }

    /// Works the cells of these submissions out again, in one order for everybody.
    async fn refresh_cells_of(&self, tx: &mut Writing, submissions: &[Uuid]) -> Result<()> {
        let mut cells = BTreeSet::new();
        for submission in submissions {
            let key: (Uuid, Uuid, String) = on!(&mut tx.db, db => sqlx::query_as(
                "SELECT cohort, person, exercise FROM submissions WHERE id = $1",
            )
            .bind(submission)
            .fetch_one(&mut **db)
            .await)?;
            cells.insert(key);
        }
        for (cohort, person, exercise) in cells {
            self.refresh_cell(tx, cohort, person, &exercise).await?;
        }
        Ok(())
    }
}
