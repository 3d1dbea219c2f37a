//! Submissions: what was handed in, with its first grading.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{JsonText, count};
use super::database::Writing;
use super::gradings::NewGrading;
use super::{Error, Grading, Lane, Result, Store};
use crate::submissions::remote::Credentials;
use crate::submissions::{Answers, Content, Source};

/// What a student handed in once for one exercise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub id: Uuid,
    pub person: Uuid,
    pub cohort: Uuid,
    /// Slug of the exercise.
    pub exercise: String,
    /// The version that was handed out when this was handed in.
    pub exercise_version: String,
    /// 1, 2, … per person, cohort and exercise.
    pub number: i64,
    pub source: Source,
    /// The files, in the content store; `None` where only answers were handed in, an image, or a repository
    /// that has not been fetched yet.
    pub content_sha256: Option<String>,
    /// Files handed in.
    pub files: i64,
    /// Bytes in them.
    pub bytes: i64,
    pub answers: Answers,
    pub created_at: DateTime<Utc>,
}

/// A submission that is not stored yet.
#[derive(Clone, Debug)]
pub struct NewSubmission {
    pub person: Uuid,
    pub cohort: Uuid,
    pub exercise: String,
    pub exercise_version: String,
    pub source: Source,
    pub content: Option<Content>,
    pub answers: Answers,
    /// With which a private repository is fetched.
    pub login: Option<Credentials>,
}

#[derive(sqlx::FromRow)]
pub(super) struct SubmissionRow {
    id: Uuid,
    person: Uuid,
    cohort: Uuid,
    exercise: String,
    exercise_version: String,
    number: i64,
    source: JsonText<Source>,
    content_sha256: Option<String>,
    files: i64,
    bytes: i64,
    answers: JsonText<Answers>,
    created_at: DateTime<Utc>,
}

impl From<SubmissionRow> for Submission {
    fn from(row: SubmissionRow) -> Self {
        Self {
            id: row.id,
            person: row.person,
            cohort: row.cohort,
            exercise: row.exercise,
            exercise_version: row.exercise_version,
            number: row.number,
            source: row.source.0,
            content_sha256: row.content_sha256,
            files: row.files,
            bytes: row.bytes,
            answers: row.answers.0,
            created_at: row.created_at,
        }
    }
}

macro_rules! submission_columns {
    () => {
        "id, person, cohort, exercise, exercise_version, number, source, content_sha256, files, bytes, \
         answers, created_at"
    };
}
pub(super) use submission_columns;

impl Store {
    /// Stores the content, then submission and queued grading in one transaction. When this
    /// returns, nothing of it can be lost.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the person is not a member of the cohort or the version was never
    /// published, [`Error::Refused`] when the exercise is retired, [`Error::NotTaken`] when the cohort's terms do
    /// not let a student hand this in now, [`Error::Content`] and [`Error::Database`] when a store fails. Nothing
    /// is queued then.
    pub async fn submit(&self, new: NewSubmission) -> Result<(Submission, Grading)> {
        self.submit_once(new, None).await
    }

    /// The same, but once only for each key of a person: when the key has already made a submission,
    /// that one is given back with its newest grading, and nothing is stored.
    ///
    /// # Errors
    /// As [`Store::submit`]; [`Error::Taken`] when the key was used for another exercise or cohort.
    pub async fn submit_once(&self, new: NewSubmission, key: Option<&str>) -> Result<(Submission, Grading)> {
        if let Some(content) = &new.content {
            self.keep(content).await?;
        }
        let (files, bytes) = new.content.as_ref().map_or((0, 0), Content::summary);
        let now = self.now();
        let id = self.new_id();

        let mut tx = self.write().await?;
        self.lock_person(&mut tx, new.person).await?;
        if let Some(key) = key
            && let Some(earlier) = self.submission_by_key(&mut tx, new.person, key).await?
        {
            if earlier.cohort != new.cohort || earlier.exercise != new.exercise {
                return Err(Error::Taken { field: "idempotency key" });
            }
            drop(tx);
            let grading = self.latest_grading(earlier.id).await?;
            return Ok((earlier, grading));
        }
        self.still_handed_out(&mut tx, &new.exercise).await?;
        self.keep_to_terms(&mut tx, &new, now).await?;
        if let Some(content) = &new.content {
            self.name_content(&mut tx, content).await?;
        }
        let number = self.count_submission(&mut tx, &new, id, now).await?;
        let submission = Submission {
            id,
            person: new.person,
            cohort: new.cohort,
            exercise: new.exercise,
            exercise_version: new.exercise_version,
            number,
            source: new.source,
            content_sha256: new.content.as_ref().map(|content| content.sha256().to_owned()),
            files: count(files),
            bytes: count(bytes),
            answers: new.answers,
            created_at: now,
        };
        on!(&mut tx.db, db => sqlx::query(concat!(
            "INSERT INTO submissions (", submission_columns!(), ", idempotency_key, credentials)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        ))
        .bind(submission.id)
        .bind(submission.person)
        .bind(submission.cohort)
        .bind(&submission.exercise)
        .bind(&submission.exercise_version)
        .bind(submission.number)
        .bind(JsonText(&submission.source))
        .bind(&submission.content_sha256)
        .bind(submission.files)
        .bind(submission.bytes)
        .bind(JsonText(&submission.answers))
        .bind(submission.created_at)
        .bind(key)
        .bind(new.login.as_ref().map(|login| self.seal_login(id, login)))
        .execute(&mut **db)
        .await
        .map(drop))?;
        let first = NewGrading {
            submission: submission.id,
            person: submission.person,
            exercise_version: &submission.exercise_version,
            lane: Lane::Interactive,
        };
        let grading = self.enqueue(&mut tx, first).await?;
        self.refresh_cell(&mut tx, submission.cohort, submission.person, &submission.exercise).await?;
        tx.ring(Bell::Queue);
        self.commit(tx).await?;
        Ok((submission, grading))
    }

    /// A retired exercise takes no new submissions.
    async fn still_handed_out(&self, tx: &mut Writing, exercise: &str) -> Result<()> {
        let retired: Option<Option<DateTime<Utc>>> = on!(&mut tx.db, db => sqlx::query_scalar("SELECT retired_at FROM exercises WHERE slug = $1")
                .bind(exercise)
                .fetch_optional(&mut **db)
                .await)?;
        if retired.flatten().is_some() {
            return Err(Error::Refused(
                "This exercise has been retired and takes no new submissions. What you handed in for it stays.",
            ));
        }
        Ok(())
    }

    async fn submission_by_key(
        &self,
        tx: &mut Writing,
        person: Uuid,
        key: &str,
    ) -> Result<Option<Submission>> {
        let row: Option<SubmissionRow> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "SELECT ", submission_columns!(), " FROM submissions WHERE person = $1 AND idempotency_key = $2",
        ))
        .bind(person)
        .bind(key)
        .fetch_optional(&mut **db)
        .await)?;
        Ok(row.map(Submission::from))
    }

    /// The submission with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn submission(&self, id: Uuid) -> Result<Submission> {
        let row: Option<SubmissionRow> = on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", submission_columns!(), " FROM submissions WHERE id = $1"),
        )
        .bind(id)
        .fetch_optional(db)
        .await)?;
        row.map(Submission::from).ok_or(Error::NotFound { what: "submission" })
    }

    /// What a person handed in for an exercise, newest first, each with its newest grading (without
    /// its report).
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn submissions_of(
        &self,
        cohort: Uuid,
        person: Uuid,
        exercise: &str,
    ) -> Result<Vec<(Submission, Grading)>> {
        let rows: Vec<SubmissionRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", submission_columns!(), " FROM submissions
             WHERE cohort = $1 AND person = $2 AND exercise = $3 ORDER BY number DESC",
        ))
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .fetch_all(db)
        .await)?;
        // Read after the submissions: each has a grading since the transaction that made it.
        let gradings = self.gradings_in_cell(cohort, person, exercise).await?;
        let mut newest: HashMap<Uuid, Grading> = HashMap::new();
        for grading in gradings {
            newest.insert(grading.submission, grading);
        }
        Ok(rows
            .into_iter()
            .filter_map(|row| newest.remove(&row.id).map(|grading| (Submission::from(row), grading)))
            .collect())
    }
}
