//! Gradings as they are read. Changing them is `queue`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::columns::{JsonText, Word, points};
use super::database::Writing;
use super::{Error, Result, Store, Submission};
use crate::report::{Points, Report, Verdict};

/// How far a grading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GradingState {
    Queued,
    Running,
    Done,
}

/// Which of the queue's two lanes; everything interactive comes before every regrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for it.
    Interactive,
    /// Asked for by a trainer, for what was handed in earlier.
    Regrade,
}

impl Lane {
    /// As it is stored, and sorts.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Interactive => 0,
            Self::Regrade => 1,
        }
    }
}

/// One run of the grader over a submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Grading {
    pub id: Uuid,
    pub submission: Uuid,
    /// The version it grades by; for a regrade that may be newer than the submission's.
    pub exercise_version: String,
    pub state: GradingState,
    pub lane: Lane,
    /// Attempts begun, this one included; 0 while it was never claimed.
    pub attempt: i32,
    /// The worker that has it, or had it last.
    pub leased_by: Option<String>,
    /// Until when the lease holds; `None` when nobody has it.
    pub lease_until: Option<DateTime<Utc>>,
    /// Not claimed before; later than `queued_at` after a platform fault.
    pub not_before: DateTime<Utc>,
    pub queued_at: DateTime<Utc>,
    /// When the newest attempt began.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub verdict: Option<Verdict>,
    pub points: Points,
    /// Whether a trainer still has to read an answer.
    pub waiting: bool,
    /// The report, once done. Lists leave it out.
    pub report: Option<Report>,
    /// Internal cause of the last platform fault, for trainers and admins.
    pub fault: Option<String>,
}

#[derive(sqlx::FromRow)]
pub(super) struct GradingRow {
    id: Uuid,
    submission: Uuid,
    exercise_version: String,
    state: Word<GradingState>,
    lane: i32,
    attempt: i32,
    leased_by: Option<String>,
    lease_until: Option<DateTime<Utc>>,
    not_before: DateTime<Utc>,
    queued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    verdict: Option<Word<Verdict>>,
    points_earned: i64,
    points_possible: i64,
    waiting: bool,
    report: Option<JsonText<Report>>,
    fault: Option<String>,
}

impl From<GradingRow> for Grading {
    fn from(row: GradingRow) -> Self {
        Self {
            id: row.id,
            submission: row.submission,
            exercise_version: row.exercise_version,
            state: row.state.0,
            lane: if row.lane == Lane::Interactive.number() { Lane::Interactive } else { Lane::Regrade },
            attempt: row.attempt,
            leased_by: row.leased_by,
            lease_until: row.lease_until,
            not_before: row.not_before,
            queued_at: row.queued_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            verdict: row.verdict.map(|word| word.0),
            points: points(row.points_earned, row.points_possible),
            waiting: row.waiting,
            report: row.report.map(|report| report.0),
            fault: row.fault,
        }
    }
}

/// All columns of a [`GradingRow`] but the report, which may be large.
macro_rules! grading_columns {
    () => {
        "id, submission, exercise_version, state, lane, attempt, leased_by, lease_until, not_before, \
         queued_at, started_at, finished_at, verdict, points_earned, points_possible, waiting, fault, \
         CAST(NULL AS TEXT) AS report"
    };
    (with report) => {
        "id, submission, exercise_version, state, lane, attempt, leased_by, lease_until, not_before, \
         queued_at, started_at, finished_at, verdict, points_earned, points_possible, waiting, fault, report"
    };
}
pub(super) use grading_columns;

/// A grading that is not queued yet.
#[derive(Clone, Copy)]
pub(super) struct NewGrading<'a> {
    pub(super) submission: Uuid,
    pub(super) person: Uuid,
    pub(super) exercise_version: &'a str,
    pub(super) lane: Lane,
}

const NO_GRADING: Error = Error::NotFound { what: "grading" };

impl Store {
    /// The grading with this id, with its report.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn grading(&self, id: Uuid) -> Result<Grading> {
        let row: Option<GradingRow> = on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", grading_columns!(with report), " FROM gradings WHERE id = $1"),
        )
        .bind(id)
        .fetch_optional(db)
        .await)?;
        row.map(Grading::from).ok_or(NO_GRADING)
    }

    /// How far a grading is; cheaper than [`Store::grading`], since it leaves the report where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn grading_state(&self, id: Uuid) -> Result<GradingState> {
        let state: Option<Word<GradingState>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT state FROM gradings WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(db)
        .await)?;
        state.map(|word| word.0).ok_or(NO_GRADING)
    }

    /// The newest grading of a submission, with its report.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such submission.
    pub async fn latest_grading(&self, submission: Uuid) -> Result<Grading> {
        let row: Option<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(with report), " FROM gradings
             WHERE submission = $1 ORDER BY queued_at DESC, id DESC LIMIT 1",
        ))
        .bind(submission)
        .fetch_optional(db)
        .await)?;
        row.map(Grading::from).ok_or(NO_GRADING)
    }

    /// The last submission of the same person for the same exercise before this one that was judged, with the
    /// newest report that judged it.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn judged_before(&self, submission: &Submission) -> Result<Option<(Submission, Report)>> {
        let id: Option<Uuid> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT submissions.id FROM submissions
             WHERE cohort = $1 AND person = $2 AND exercise = $3 AND number < $4 AND EXISTS (
                 SELECT 1 FROM gradings
                 WHERE gradings.submission = submissions.id AND gradings.verdict IN ('passed', 'failed'))
             ORDER BY number DESC LIMIT 1",
        )
        .bind(submission.cohort)
        .bind(submission.person)
        .bind(&submission.exercise)
        .bind(submission.number)
        .fetch_optional(db)
        .await)?;
        let Some(id) = id else { return Ok(None) };
        let row: Option<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(with report), " FROM gradings
             WHERE submission = $1 AND verdict IN ('passed', 'failed')
             ORDER BY queued_at DESC, id DESC LIMIT 1",
        ))
        .bind(id)
        .fetch_optional(db)
        .await)?;
        let Some(report) = row.map(Grading::from).and_then(|grading| grading.report) else { return Ok(None) };
        Ok(Some((self.submission(id).await?, report)))
    }

    /// Gradings that met with a fault of ours, newest first, at most `most`, each with its exercise.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn recent_faults(&self, most: i64) -> Result<Vec<(Grading, String)>> {
        let rows: Vec<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings WHERE fault IS NOT NULL
             ORDER BY queued_at DESC, id DESC LIMIT $1",
        ))
        .bind(most)
        .fetch_all(db)
        .await)?;
        let mut found = Vec::new();
        for grading in rows.into_iter().map(Grading::from) {
            let exercise: String = on!(self.reads(), db => sqlx::query_scalar("SELECT exercise FROM submissions WHERE id = $1")
                    .bind(grading.submission)
                    .fetch_one(db)
                    .await)?;
            found.push((grading, exercise));
        }
        Ok(found)
    }

    /// All gradings of a submission, newest first, without their reports.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn gradings_of(&self, submission: Uuid) -> Result<Vec<Grading>> {
        let rows: Vec<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings
             WHERE submission = $1 ORDER BY queued_at DESC, id DESC",
        ))
        .bind(submission)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Grading::from).collect())
    }

    /// Gradings of everything a person handed in for an exercise, oldest first, without reports.
    pub(super) async fn gradings_in_cell(
        &self,
        cohort: Uuid,
        person: Uuid,
        exercise: &str,
    ) -> Result<Vec<Grading>> {
        let rows: Vec<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings
             WHERE submission IN
                 (SELECT s.id FROM submissions s WHERE s.cohort = $1 AND s.person = $2 AND s.exercise = $3)
             ORDER BY queued_at, id",
        ))
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Grading::from).collect())
    }

    /// Puts a grading at the end of its person's line. Needs [`Store::lock_person`] before it.
    pub(super) async fn enqueue(&self, tx: &mut Writing, new: NewGrading<'_>) -> Result<Grading> {
        let now = self.now();
        let row: GradingRow = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "INSERT INTO gradings (id, submission, person, exercise_version, state, lane, turn, attempt,
                 claims, not_before, queued_at, points_earned, points_possible, waiting, last_seq, pruned)
             VALUES ($1, $2, $3, $4, 'queued', $5,
                 (SELECT COUNT(*) FROM gradings WHERE person = $3 AND lane = $5 AND state <> 'done'),
                 0, 0, $6, $6, 0, 0, FALSE, 0, FALSE)
             RETURNING ", grading_columns!(),
        ))
        .bind(self.new_id())
        .bind(new.submission)
        .bind(new.person)
        .bind(new.exercise_version)
        .bind(new.lane.number())
        .bind(now)
        .fetch_one(&mut **db)
        .await)?;
        Ok(row.into())
    }
}
