//! Terms of a cohort and its exercises, and keeping them: what is handed in outside of them is refused in
//! the transaction that would take it, and when they change, the cells that they change follow.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::{JsonText, Word};
use super::database::Writing;
use super::{Deed, Error, NewSubmission, Result, Store};
use crate::accounts::Role;
use crate::terms::{Terms, Tried};

/// Every term of a cohort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CohortTerms {
    /// For all exercises.
    pub all: Terms,
    /// Those that exercises have of their own, by slug.
    pub own: BTreeMap<String, Terms>,
}

impl CohortTerms {
    /// What holds for an exercise.
    #[must_use]
    pub fn of(&self, exercise: &str) -> Terms {
        self.own.get(exercise).map_or_else(|| self.all.clone(), |own| own.within(&self.all))
    }

    fn from_rows(rows: Vec<(String, JsonText<Terms>)>) -> Self {
        let mut own: BTreeMap<String, Terms> =
            rows.into_iter().map(|(slug, terms)| (slug, terms.0)).collect();
        Self { all: own.remove("").unwrap_or_default(), own }
    }
}

macro_rules! tried {
    () => {
        "SELECT COUNT(*), MAX(s.created_at) FROM submissions s
         WHERE s.cohort = $1 AND s.person = $2 AND s.exercise = $3 AND EXISTS (
             SELECT 1 FROM gradings g WHERE g.submission = s.id
                 AND (g.verdict IN ('passed', 'failed') OR g.state <> 'done'))"
    };
}

fn as_tried((attempts, newest_at): (i64, Option<DateTime<Utc>>)) -> Tried {
    Tried { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), newest_at }
}

impl Store {
    /// Every term of a cohort.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn terms(&self, cohort: Uuid) -> Result<CohortTerms> {
        let rows = on!(self.reads(), db => sqlx::query_as("SELECT exercise, terms FROM terms WHERE cohort = $1")
            .bind(cohort)
            .fetch_all(db)
            .await)?;
        Ok(CohortTerms::from_rows(rows))
    }

    /// What somebody has tried of an exercise. What a fault ended does not count.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn tried(&self, cohort: Uuid, person: Uuid, exercise: &str) -> Result<Tried> {
        let found = on!(self.reads(), db => sqlx::query_as(tried!())
            .bind(cohort)
            .bind(person)
            .bind(exercise)
            .fetch_one(db)
            .await)?;
        Ok(as_tried(found))
    }

    /// Sets the terms of a cohort, or of one of its exercises; terms that say nothing are taken away. Points
    /// of what came late follow at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn set_terms(
        &self,
        cohort: Uuid,
        exercise: Option<&str>,
        terms: &Terms,
        by: Uuid,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        // Whoever works out a cell waits here, and then reads the new terms.
        self.next_revision(&mut tx, cohort).await?;
        let before = self.all_terms_in(&mut tx, cohort).await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO terms (cohort, exercise, terms, changed_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (cohort, exercise) DO UPDATE
             SET terms = excluded.terms, changed_at = excluded.changed_at",
        )
        .bind(cohort)
        .bind(exercise.unwrap_or_default())
        .bind(JsonText(terms))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        if *terms == Terms::default() {
            on!(&mut tx.db, db => sqlx::query("DELETE FROM terms WHERE cohort = $1 AND exercise = $2")
                .bind(cohort)
                .bind(exercise.unwrap_or_default())
                .execute(&mut **db)
                .await
                .map(drop))?;
        }
        let after = self.all_terms_in(&mut tx, cohort).await?;
        self.refresh_late(&mut tx, cohort, exercise, &before, &after).await?;
        let deed = Deed {
            by: Some(by),
            action: "terms.set",
            cohort: Some(cohort),
            subject: exercise.unwrap_or("all exercises").to_owned(),
            details: serde_json::to_value(terms).unwrap_or_default(),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// Works out the cells again whose submissions are judged otherwise by the new terms.
    async fn refresh_late(
        &self,
        tx: &mut Writing,
        cohort: Uuid,
        exercise: Option<&str>,
        before: &CohortTerms,
        after: &CohortTerms,
    ) -> Result<()> {
        let handed_in: Vec<(Uuid, String, DateTime<Utc>)> = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT person, exercise, MAX(created_at) FROM submissions
             WHERE cohort = $1 AND ($2 = '' OR exercise = $2)
             GROUP BY person, exercise ORDER BY person, exercise",
        )
        .bind(cohort)
        .bind(exercise.unwrap_or_default())
        .fetch_all(&mut **db)
        .await)?;
        for (person, exercise, newest) in handed_in {
            let (before, after) = (before.of(&exercise), after.of(&exercise));
            let same = (before.due_at, before.late) == (after.due_at, after.late);
            // What is late is what came last, so that nothing is where the newest was in time.
            let late = [&before, &after].iter().any(|terms| terms.lateness(newest).days > 0);
            if !same && late {
                self.refresh_cell(tx, cohort, person, &exercise).await?;
            }
        }
        Ok(())
    }

    async fn all_terms_in(&self, tx: &mut Writing, cohort: Uuid) -> Result<CohortTerms> {
        let rows = on!(&mut tx.db, db => sqlx::query_as("SELECT exercise, terms FROM terms WHERE cohort = $1")
            .bind(cohort)
            .fetch_all(&mut **db)
            .await)?;
        Ok(CohortTerms::from_rows(rows))
    }

    /// What holds for an exercise of a cohort.
    pub(super) async fn terms_in(&self, tx: &mut Writing, cohort: Uuid, exercise: &str) -> Result<Terms> {
        let rows = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT exercise, terms FROM terms WHERE cohort = $1 AND exercise IN ('', $2)",
        )
        .bind(cohort)
        .bind(exercise)
        .fetch_all(&mut **db)
        .await)?;
        Ok(CohortTerms::from_rows(rows).of(exercise))
    }

    /// Refuses what a student may not hand in now. Needs [`Store::lock_person`] before it, so that two at
    /// once do not both take the last attempt. Trainers try things out whenever they like.
    pub(super) async fn keep_to_terms(
        &self,
        tx: &mut Writing,
        new: &NewSubmission,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let role: Option<Word<Role>> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT role FROM members WHERE cohort = $1 AND person = $2",
        )
        .bind(new.cohort)
        .bind(new.person)
        .fetch_optional(&mut **db)
        .await)?;
        if !role.is_some_and(|role| role.0 == Role::Student) {
            return Ok(());
        }
        let terms = self.terms_in(tx, new.cohort, &new.exercise).await?;
        if terms == Terms::default() {
            return Ok(());
        }
        let tried = on!(&mut tx.db, db => sqlx::query_as(tried!())
            .bind(new.cohort)
            .bind(new.person)
            .bind(&new.exercise)
            .fetch_one(&mut **db)
            .await)?;
        terms.admit(as_tried(tried), now).map_err(Error::NotTaken)
    }
}
