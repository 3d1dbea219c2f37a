//! Which hints students asked for. The first hint of a check comes with its failure; each further one is
//! asked for, written down, and charged to what is handed in after it where the exercise says so.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::text;
use super::{Result, Store, Submission};

/// A hint that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TakenHint {
    /// The check's id.
    #[sqlx(rename = "check_id")]
    pub check: String,
    /// 2, 3, … in the exercise's order.
    pub hint: i64,
    /// On whose page.
    pub submission: Uuid,
    pub taken_at: DateTime<Utc>,
}

impl Store {
    /// Reveals the next hint of a check to whom the submission is of, of `all` that there are. Tells how many
    /// were asked for now; asking for more than there are changes nothing.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn take_hint(&self, submission: &Submission, check: &str, all: usize) -> Result<usize> {
        let mut tx = self.write().await?;
        self.lock_person(&mut tx, submission.person).await?;
        let taken: i64 = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT COUNT(*) FROM hints
             WHERE cohort = $1 AND person = $2 AND exercise = $3 AND check_id = $4",
        )
        .bind(submission.cohort)
        .bind(submission.person)
        .bind(&submission.exercise)
        .bind(text(check))
        .fetch_one(&mut **db)
        .await)?;
        let before = usize::try_from(taken).unwrap_or(0);
        if before + 1 >= all {
            return Ok(before);
        }
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO hints (cohort, person, exercise, check_id, hint, submission, taken_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(submission.cohort)
        .bind(submission.person)
        .bind(&submission.exercise)
        .bind(text(check))
        .bind(taken + 2)
        .bind(submission.id)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await?;
        Ok(before + 1)
    }

    /// The hints that somebody asked for in an exercise, oldest first.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn hints_taken(&self, cohort: Uuid, person: Uuid, exercise: &str) -> Result<Vec<TakenHint>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT check_id, hint, submission, taken_at FROM hints
             WHERE cohort = $1 AND person = $2 AND exercise = $3 ORDER BY taken_at, check_id, hint",
        )
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .fetch_all(db)
        .await)?)
    }

    /// How many hints somebody asked for in a cohort, by exercise.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn hints_of(&self, cohort: Uuid, person: Uuid) -> Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> = on!(self.reads(), db => sqlx::query_as(
            "SELECT exercise, COUNT(*) FROM hints WHERE cohort = $1 AND person = $2 GROUP BY exercise",
        )
        .bind(cohort)
        .bind(person)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().collect())
    }

    /// How many hints were asked for of each check before a submission was handed in: what is asked for
    /// afterwards takes nothing away from it.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn hints_before(&self, submission: Uuid) -> Result<BTreeMap<String, u32>> {
        let rows: Vec<(String, i64)> = on!(self.reads(), db => sqlx::query_as(
            "SELECT hints.check_id, COUNT(*) FROM submissions
             JOIN hints ON hints.cohort = submissions.cohort AND hints.person = submissions.person
                 AND hints.exercise = submissions.exercise AND hints.taken_at <= submissions.created_at
             WHERE submissions.id = $1 GROUP BY hints.check_id",
        )
        .bind(submission)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|(check, taken)| (check, u32::try_from(taken).unwrap_or(u32::MAX))).collect())
    }
}
