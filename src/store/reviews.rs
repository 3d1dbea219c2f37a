//! What trainers made of answers, and the answers that still wait for one.
//!
//! A review belongs to the submission and a check of it. It is put into the report of the newest grading
//! that judged the submission, in the transaction that stores it, and into that of every later one (see
//! `queue`): grading anew never loses it. Rows are only added, so that what it was before can be read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{JsonText, Word, text};
use super::database::Writing;
use super::gradings::{GradingRow, grading_columns};
use super::{Error, Grading, Result, Store};
use crate::report::{Report, Review};

/// An answer that a trainer has to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingReview {
    pub submission: Uuid,
    /// 1, 2, … per person, cohort and exercise.
    pub number: i64,
    pub person: Uuid,
    /// The student's name.
    pub name: String,
    /// Slug of the exercise.
    pub exercise: String,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

/// A review as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReview {
    /// The check's id.
    pub check: String,
    pub reviewer: Uuid,
    pub review: Review,
    pub reviewed_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct WaitingRow {
    submission: Uuid,
    number: i64,
    person: Uuid,
    name: String,
    exercise: String,
    since: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct ReviewRow {
    check_id: String,
    reviewer: Uuid,
    review: JsonText<Review>,
    reviewed_at: DateTime<Utc>,
}

impl Store {
    /// What waits for a trainer in a cohort, longest first. Of several submissions of a person for an
    /// exercise that wait the newest; none where the exercise is passed already.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn waiting_reviews(&self, cohort: Uuid) -> Result<Vec<WaitingReview>> {
        let rows: Vec<WaitingRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT s.id AS submission, s.number, s.person, p.name, s.exercise,
                 COALESCE(g.finished_at, g.queued_at) AS since
             FROM submissions s
             JOIN gradings g ON g.submission = s.id
             JOIN people p ON p.id = s.person
             WHERE s.cohort = $1 AND g.waiting AND g.verdict IN ('passed', 'failed')
                 AND NOT EXISTS (
                     SELECT 1 FROM gradings later
                     WHERE later.submission = g.submission AND later.verdict IN ('passed', 'failed')
                         AND (later.queued_at, later.id) > (g.queued_at, g.id))
                 AND NOT EXISTS (
                     SELECT 1 FROM submissions other JOIN gradings done ON done.submission = other.id
                     WHERE other.cohort = s.cohort AND other.person = s.person
                         AND other.exercise = s.exercise AND done.verdict = 'passed' AND NOT done.waiting
                         AND NOT EXISTS (
                             SELECT 1 FROM gradings later
                             WHERE later.submission = done.submission
                                 AND later.verdict IN ('passed', 'failed')
                                 AND (later.queued_at, later.id) > (done.queued_at, done.id)))",
        )
        .bind(cohort)
        .fetch_all(db)
        .await)?;
        let mut newest: BTreeMap<(Uuid, String), WaitingRow> = BTreeMap::new();
        for row in rows {
            let key = (row.person, row.exercise.clone());
            if newest.get(&key).is_none_or(|known| known.number < row.number) {
                newest.insert(key, row);
            }
        }
        let mut waiting: Vec<WaitingReview> = newest
            .into_values()
            .map(|row| WaitingReview {
                submission: row.submission,
                number: row.number,
                person: row.person,
                name: row.name,
                exercise: row.exercise,
                since: row.since,
            })
            .collect();
        waiting.sort_by_key(|one| (one.since, one.submission));
        Ok(waiting)
    }

    /// Stores a trainer's judgement of an answer and puts it into the newest grading that judged the
    /// submission: points, verdict and the cell follow. Gives that grading back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the submission was not judged yet, or has no answer under this check that
    /// is read by a trainer and worth what was scored.
    pub async fn review(
        &self,
        submission: Uuid,
        check: &str,
        reviewer: Uuid,
        review: &Review,
    ) -> Result<Grading> {
        let of = self.submission(submission).await?;
        let mut tx = self.write().await?;
        // Nothing of the person is finished meanwhile.
        self.lock_person(&mut tx, of.person).await?;
        let mut grading = self.judged_in(&mut tx, submission).await?.ok_or(NOTHING_TO_REVIEW)?;
        let review = Review { comment: text(&review.comment), ..review.clone() };
        let report = grading.report.as_mut().ok_or(NOTHING_TO_REVIEW)?;
        if !report.review(check, &review) {
            return Err(NOTHING_TO_REVIEW);
        }
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO reviews (id, submission, check_id, reviewer, review, reviewed_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.new_id())
        .bind(submission)
        .bind(check)
        .bind(reviewer)
        .bind(JsonText(&review))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.rejudge(&mut tx, &mut grading).await?;
        self.refresh_cell(&mut tx, of.cohort, of.person, &of.exercise).await?;
        tx.ring(Bell::Events(submission));
        self.commit(tx).await?;
        Ok(grading)
    }

    /// The newest grading that judged a submission, with its report.
    pub(super) async fn judged_in(&self, tx: &mut Writing, submission: Uuid) -> Result<Option<Grading>> {
        let row: Option<GradingRow> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(with report), " FROM gradings
             WHERE submission = $1 AND verdict IN ('passed', 'failed')
             ORDER BY queued_at DESC, id DESC LIMIT 1",
        ))
        .bind(submission)
        .fetch_optional(&mut **db)
        .await)?;
        Ok(row.map(Grading::from))
    }

    /// Stores the report of a grading that a trainer has changed, with all that follows from it.
    pub(super) async fn rejudge(&self, tx: &mut Writing, grading: &mut Grading) -> Result<()> {
        let Some(report) = &grading.report else { return Ok(()) };
        (grading.points, grading.waiting) = (report.points, report.waits_for_review());
        grading.verdict = Some(report.verdict);
        on!(&mut tx.db, db => sqlx::query(
            "UPDATE gradings SET verdict = $2, points_earned = $3, points_possible = $4, waiting = $5,
                 report = $6, missed = $7
             WHERE id = $1",
        )
        .bind(grading.id)
        .bind(Word(report.verdict))
        .bind(i64::from(report.points.earned))
        .bind(i64::from(report.points.possible))
        .bind(grading.waiting)
        .bind(JsonText(report))
        .bind(JsonText(report.missed()))
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(())
    }

    /// How many gradings, reviews, decisions and comments a submission has. None is ever taken away, so that
    /// another number says that there is something new.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn judgements_of(&self, submission: Uuid) -> Result<i64> {
        Ok(on!(self.reads(), db => sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM gradings WHERE submission = $1)
                 + (SELECT COUNT(*) FROM reviews WHERE submission = $1)
                 + (SELECT COUNT(*) FROM overrides WHERE submission = $1)
                 + (SELECT COUNT(*) FROM comments WHERE submission = $1)",
        )
        .bind(submission)
        .fetch_one(db)
        .await)?)
    }

    /// Every review of a submission, oldest first; the last of a check counts.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn reviews_of(&self, submission: Uuid) -> Result<Vec<StoredReview>> {
        let rows: Vec<ReviewRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT check_id, reviewer, review, reviewed_at FROM reviews
             WHERE submission = $1 ORDER BY reviewed_at, id",
        )
        .bind(submission)
        .fetch_all(db)
        .await)?;
        Ok(rows
            .into_iter()
            .map(|row| StoredReview {
                check: row.check_id,
                reviewer: row.reviewer,
                review: row.review.0,
                reviewed_at: row.reviewed_at,
            })
            .collect())
    }

    /// A report that is about to be stored, with what trainers made of the same answers before.
    pub(super) async fn reviewed<'r>(
        &self,
        tx: &mut Writing,
        grading: Uuid,
        report: &'r Report,
    ) -> Result<Cow<'r, Report>> {
        if !report.waits_for_review() {
            return Ok(Cow::Borrowed(report));
        }
        let rows: Vec<ReviewRow> = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT check_id, reviewer, review, reviewed_at FROM reviews
             WHERE submission = (SELECT submission FROM gradings WHERE id = $1) ORDER BY reviewed_at, id",
        )
        .bind(grading)
        .fetch_all(&mut **db)
        .await)?;
        let mut report = Cow::Borrowed(report);
        for row in rows {
            report.to_mut().review(&row.check_id, &row.review.0);
        }
        Ok(report)
    }
}

const NOTHING_TO_REVIEW: Error = Error::NotFound { what: "answer to review" };
