//! Grading anew what a whole cohort, or everybody in one exercise, handed in last: asked for together,
//! followed together, with what counted before beside what counts now.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{Word, points};
use super::database::{On, Writing};
use super::{Deed, Error, GradingState, Lane, Result, Store};
use crate::report::{Points, Verdict};

/// What is to be graded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegradeOf<'a> {
    /// The newest submission of each student in each exercise.
    Cohort,
    /// The newest submission of each student in one exercise.
    Exercise(&'a str),
    /// One submission.
    Submission(Uuid),
}

/// Gradings that a trainer asked for together, and how far they are.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Regrade {
    pub id: Uuid,
    /// The trainer's name, as it is now.
    pub by: String,
    /// Slug of the exercise, where it was one.
    pub exercise: Option<String>,
    pub asked_at: DateTime<Utc>,
    /// How many submissions are graded anew.
    pub total: i64,
    /// How many of them are done.
    pub done: i64,
}

/// One submission that is graded anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regraded {
    pub submission: Uuid,
    /// 1, 2, … per person, cohort and exercise.
    pub number: i64,
    pub person: Uuid,
    pub name: String,
    /// Slug of the exercise.
    pub exercise: String,
    /// What counted before; `None` where nothing did.
    pub before: Option<(Verdict, Points)>,
    pub grading: Uuid,
    pub state: GradingState,
    /// What the new grading found, once it is done.
    pub after: Option<(Verdict, Points)>,
}

#[derive(sqlx::FromRow)]
struct RegradedRow {
    submission: Uuid,
    number: i64,
    person: Uuid,
    name: String,
    exercise: String,
    before_verdict: Option<Word<Verdict>>,
    before_earned: i64,
    before_possible: i64,
    grading: Uuid,
    state: Word<GradingState>,
    verdict: Option<Word<Verdict>>,
    points_earned: i64,
    points_possible: i64,
}

impl From<RegradedRow> for Regraded {
    fn from(row: RegradedRow) -> Self {
        Self {
            submission: row.submission,
            number: row.number,
            person: row.person,
            name: row.name,
            exercise: row.exercise,
            before: row.before_verdict.map(|word| (word.0, points(row.before_earned, row.before_possible))),
            grading: row.grading,
            state: row.state.0,
            after: row.verdict.map(|word| (word.0, points(row.points_earned, row.points_possible))),
        }
    }
}

/// The gradings' ids come from the database: it makes tens of thousands in one statement.
macro_rules! choose {
    ($new_id:literal) => {
        concat!(
            "INSERT INTO regraded (regrade, submission, verdict, points_earned, points_possible, grading)
             SELECT $1, s.id, g.verdict, COALESCE(g.points_earned, 0), COALESCE(g.points_possible, 0), ",
            $new_id,
            " FROM submissions s
             JOIN exercises e ON e.slug = s.exercise
             JOIN members m ON m.cohort = s.cohort AND m.person = s.person
             LEFT JOIN gradings g ON g.submission = s.id AND g.verdict IN ('passed', 'failed')
                 AND NOT EXISTS (
                     SELECT 1 FROM gradings later
                     WHERE later.submission = g.submission AND later.verdict IN ('passed', 'failed')
                         AND (later.queued_at, later.id) > (g.queued_at, g.id))
             WHERE s.cohort = $2 AND ($3 = '' OR s.exercise = $3)
                 AND (s.id = $4 OR $4 IS NULL AND m.role = 'student'
                     AND s.id IN (SELECT latest_submission FROM cells WHERE cohort = $2))
                 AND NOT EXISTS (
                     SELECT 1 FROM gradings q WHERE q.submission = s.id AND q.state = 'queued'
                         AND q.exercise_version = e.version)",
        )
    };
}

macro_rules! regrade_columns {
    () => {
        "SELECT regrades.id, people.name AS by, regrades.exercise, regrades.asked_at, COUNT(*) AS total,
             SUM(CASE WHEN gradings.state = 'done' THEN 1 ELSE 0 END) AS done
         FROM regrades
         JOIN people ON people.id = regrades.person
         JOIN regraded ON regraded.regrade = regrades.id
         JOIN gradings ON gradings.id = regraded.grading
         WHERE regrades.cohort = $1"
    };
}

impl Store {
    /// Queues new gradings, by the versions that are handed out now, in the lane of regrades. What waits to
    /// be graded by such a version already, and what is handed out no more, is left out. Its id; `None` when
    /// nothing is left.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn regrade_many(&self, cohort: Uuid, of: RegradeOf<'_>, by: Uuid) -> Result<Option<Uuid>> {
        let (exercise, submission) = match of {
            RegradeOf::Cohort => ("", None),
            RegradeOf::Exercise(slug) => (slug, None),
            RegradeOf::Submission(id) => ("", Some(id)),
        };
        let id = self.new_id();
        let now = self.now();
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO regrades (id, cohort, person, exercise, asked_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(cohort)
        .bind(by)
        .bind(Some(exercise).filter(|slug| !slug.is_empty()))
        .bind(now)
        .execute(&mut **db)
        .await
        .map(drop))?;
        let choose = match &tx.db {
            On::Sqlite(_) => choose!("randomblob(16)"),
            On::Postgres(_) => choose!("gen_random_uuid()"),
        };
        let chosen = on!(&mut tx.db, db => sqlx::query(choose)
            .bind(id)
            .bind(cohort)
            .bind(exercise)
            .bind(submission)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        if chosen == 0 {
            return Ok(None);
        }
        self.queue_chosen(&mut tx, id, now).await?;
        let revision = self.next_revision(&mut tx, cohort).await?;
        on!(&mut tx.db, db => sqlx::query(
            "UPDATE cells SET state = 'queued', changed_at = $2, revision = $3
             WHERE cohort = $4 AND state <> 'running' AND (person, exercise) IN (
                 SELECT s.person, s.exercise FROM regraded r JOIN submissions s ON s.id = r.submission
                 WHERE r.regrade = $1)",
        )
        .bind(id)
        .bind(now)
        .bind(revision)
        .bind(cohort)
        .execute(&mut **db)
        .await
        .map(drop))?;
        let deed = Deed {
            by: Some(by),
            action: "submissions.regraded",
            cohort: Some(cohort),
            subject: match of {
                RegradeOf::Cohort => "every exercise".to_owned(),
                RegradeOf::Exercise(slug) => slug.to_owned(),
                RegradeOf::Submission(_) => "one submission".to_owned(),
            },
            details: json!({"regrade": id, "submission": submission, "submissions": chosen}),
        };
        self.insert_record(&mut tx, deed).await?;
        tx.ring(Bell::Queue);
        tx.ring(Bell::Cells(cohort));
        if let Some(submission) = submission {
            tx.ring(Bell::Events(submission));
        }
        self.commit(tx).await?;
        Ok(Some(id))
    }

    /// Puts what was chosen at the end of each person's line.
    async fn queue_chosen(&self, tx: &mut Writing, regrade: Uuid, now: DateTime<Utc>) -> Result<()> {
        if let On::Postgres(db) = &mut tx.db {
            sqlx::query(
                "SELECT id FROM people WHERE id IN (
                     SELECT s.person FROM regraded r JOIN submissions s ON s.id = r.submission
                     WHERE r.regrade = $1)
                 ORDER BY id FOR NO KEY UPDATE",
            )
            .bind(regrade)
            .execute(&mut **db)
            .await?;
        }
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO gradings (id, submission, person, exercise_version, state, lane, turn, attempt,
                 claims, not_before, queued_at, points_earned, points_possible, waiting, last_seq, pruned)
             SELECT r.grading, s.id, s.person, e.version, 'queued', $2,
                 (SELECT COUNT(*) FROM gradings g
                     WHERE g.person = s.person AND g.lane = $2 AND g.state <> 'done')
                 + ROW_NUMBER() OVER (PARTITION BY s.person ORDER BY s.exercise, s.id) - 1,
                 0, 0, $3, $3, 0, 0, FALSE, 0, FALSE
             FROM regraded r
             JOIN submissions s ON s.id = r.submission
             JOIN exercises e ON e.slug = s.exercise
             WHERE r.regrade = $1",
        )
        .bind(regrade)
        .bind(Lane::Regrade.number())
        .bind(now)
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(())
    }

    /// What was graded anew in a cohort, newest first, at most 50.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn regrades(&self, cohort: Uuid) -> Result<Vec<Regrade>> {
        Ok(on!(self.reads(), db => sqlx::query_as(concat!(
            regrade_columns!(),
            " GROUP BY regrades.id, people.name, regrades.exercise, regrades.asked_at
             ORDER BY regrades.asked_at DESC, regrades.id DESC LIMIT 50",
        ))
        .bind(cohort)
        .fetch_all(db)
        .await)?)
    }

    /// One of them with each of its submissions, by the students' names.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the cohort has none with this id.
    pub async fn regrade_with(&self, cohort: Uuid, regrade: Uuid) -> Result<(Regrade, Vec<Regraded>)> {
        let found: Option<Regrade> = on!(self.reads(), db => sqlx::query_as(concat!(
            regrade_columns!(),
            " AND regrades.id = $2 GROUP BY regrades.id, people.name, regrades.exercise, regrades.asked_at",
        ))
        .bind(cohort)
        .bind(regrade)
        .fetch_optional(db)
        .await)?;
        let found = found.ok_or(Error::NotFound { what: "regrade" })?;
        let rows: Vec<RegradedRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT r.submission, s.number, s.person, p.name, s.exercise, r.verdict AS before_verdict,
                 r.points_earned AS before_earned, r.points_possible AS before_possible, r.grading,
                 g.state, g.verdict, g.points_earned, g.points_possible
             FROM regraded r
             JOIN submissions s ON s.id = r.submission
             JOIN people p ON p.id = s.person
             JOIN gradings g ON g.id = r.grading
             WHERE r.regrade = $1 ORDER BY p.name_key, s.exercise",
        )
        .bind(regrade)
        .fetch_all(db)
        .await)?;
        Ok((found, rows.into_iter().map(Regraded::from).collect()))
    }
}
