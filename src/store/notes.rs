//! What trainers add to a submission after the machine: comments, and decisions about a check against it.
//!
//! A decision belongs to the submission and a check of it. It is put into the report of the newest grading
//! that judged the submission, in the transaction that stores it, and into that of every later one (see
//! `queue`): grading anew never loses it. Rows are only added, so that what was decided before can be read.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{Word, text};
use super::database::Writing;
use super::{Deed, Error, Grading, Result, Store};
use crate::report::{Decision, OutcomeKind, Report, Verdict};

/// Something that a trainer added to a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The trainer's name, as it is now.
    pub by: String,
    pub at: DateTime<Utc>,
    pub said: Said,
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text for the student.
    Comment(String),
    /// How a check is to be judged.
    Decided {
        /// The check's id.
        check: String,
        /// [`OutcomeKind::Passed`] or [`OutcomeKind::Failed`]; `None` for as the machine judged it.
        outcome: Option<OutcomeKind>,
        reason: String,
    },
}

#[derive(sqlx::FromRow)]
struct NoteRow {
    by: String,
    at: DateTime<Utc>,
    check_id: Option<String>,
    outcome: Option<Word<OutcomeKind>>,
    said: String,
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    check_id: String,
    by: String,
    outcome: Option<Word<OutcomeKind>>,
    reason: String,
}

impl Store {
    /// Keeps a text for the student with the submission.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such submission.
    pub async fn comment(&self, submission: Uuid, by: Uuid, said: &str) -> Result<()> {
        let of = self.submission(submission).await?;
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO comments (id, submission, person, text, written_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(self.new_id())
        .bind(submission)
        .bind(by)
        .bind(text(said))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        let deed = Deed {
            by: Some(by),
            action: "submission.commented",
            cohort: Some(of.cohort),
            subject: format!("submission {} of {}", of.number, of.exercise),
            details: json!({"submission": submission, "comment": said}),
        };
        self.insert_record(&mut tx, deed).await?;
        tx.ring(Bell::Events(submission));
        self.commit(tx).await
    }

    /// Judges a check of a submission as `outcome` says ([`OutcomeKind::Passed`] with all points or
    /// [`OutcomeKind::Failed`] with none), or with `None` as the machine did: points, verdict and the cell
    /// follow. Gives the grading back that was changed, the newest that judged the submission.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the submission was not judged yet, the check is none that the machine judged,
    /// or there is no decision to take back.
    pub async fn decide(
        &self,
        submission: Uuid,
        check: &str,
        by: Uuid,
        outcome: Option<OutcomeKind>,
        reason: &str,
    ) -> Result<Grading> {
        let of = self.submission(submission).await?;
        let by_name = self.person(by).await?.name;
        let reason = text(reason);
        let mut tx = self.write().await?;
        // Nothing of the person is finished meanwhile.
        self.lock_person(&mut tx, of.person).await?;
        let mut grading = self.judged_in(&mut tx, submission).await?.ok_or(NOTHING_TO_DECIDE)?;
        let report = grading.report.as_mut().ok_or(NOTHING_TO_DECIDE)?;
        let decision = outcome.map(|outcome| Decision { outcome, reason: reason.clone(), by: by_name });
        if !report.decide(check, decision.as_ref()) {
            return Err(NOTHING_TO_DECIDE);
        }
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO overrides (id, submission, check_id, person, outcome, reason, decided_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.new_id())
        .bind(submission)
        .bind(check)
        .bind(by)
        .bind(outcome.map(Word))
        .bind(&reason)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.rejudge(&mut tx, &mut grading).await?;
        self.refresh_cell(&mut tx, of.cohort, of.person, &of.exercise).await?;
        let deed = Deed {
            by: Some(by),
            action: if outcome.is_some() { "check.overridden" } else { "check.override_taken_back" },
            cohort: Some(of.cohort),
            subject: format!("{check} in submission {} of {}", of.number, of.exercise),
            details: json!({"submission": submission, "outcome": outcome, "reason": reason}),
        };
        self.insert_record(&mut tx, deed).await?;
        tx.ring(Bell::Events(submission));
        self.commit(tx).await?;
        Ok(grading)
    }

    /// Everything that trainers added to a submission, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn notes_of(&self, submission: Uuid) -> Result<Vec<Note>> {
        let rows: Vec<NoteRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT people.name AS by, comments.written_at AS at, NULL AS check_id, NULL AS outcome,
                 comments.text AS said, comments.id
             FROM comments JOIN people ON people.id = comments.person WHERE comments.submission = $1
             UNION ALL
             SELECT people.name, overrides.decided_at, overrides.check_id, overrides.outcome,
                 overrides.reason, overrides.id
             FROM overrides JOIN people ON people.id = overrides.person WHERE overrides.submission = $1
             ORDER BY 2, 6",
        )
        .bind(submission)
        .fetch_all(db)
        .await)?;
        let note = |row: NoteRow| Note {
            by: row.by,
            at: row.at,
            said: match row.check_id {
                None => Said::Comment(row.said),
                Some(check) => {
                    Said::Decided { check, outcome: row.outcome.map(|word| word.0), reason: row.said }
                }
            },
        };
        Ok(rows.into_iter().map(note).collect())
    }

    /// How much trainers added to each submission of a person in a cohort.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn note_counts(&self, cohort: Uuid, person: Uuid) -> Result<HashMap<Uuid, usize>> {
        let submissions: Vec<Uuid> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT s.id FROM submissions s JOIN comments c ON c.submission = s.id
             WHERE s.cohort = $1 AND s.person = $2
             UNION ALL
             SELECT s.id FROM submissions s JOIN overrides o ON o.submission = s.id
             WHERE s.cohort = $1 AND s.person = $2",
        )
        .bind(cohort)
        .bind(person)
        .fetch_all(db)
        .await)?;
        let mut counts = HashMap::new();
        for submission in submissions {
            *counts.entry(submission).or_default() += 1;
        }
        Ok(counts)
    }

    /// A report that is about to be stored, with what trainers decided about the same submission before.
    pub(super) async fn decided<'r>(
        &self,
        tx: &mut Writing,
        grading: Uuid,
        mut report: Cow<'r, Report>,
    ) -> Result<Cow<'r, Report>> {
        if !matches!(report.verdict, Verdict::Passed | Verdict::Failed) {
            return Ok(report);
        }
        let rows: Vec<DecisionRow> = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT overrides.check_id, people.name AS by, overrides.outcome, overrides.reason
             FROM overrides JOIN people ON people.id = overrides.person
             WHERE overrides.submission = (SELECT submission FROM gradings WHERE id = $1)
             ORDER BY overrides.decided_at, overrides.id",
        )
        .bind(grading)
        .fetch_all(&mut **db)
        .await)?;
        for row in rows {
            let decision =
                row.outcome.map(|outcome| Decision { outcome: outcome.0, reason: row.reason, by: row.by });
            // A check that is gone by now has nothing to be decided.
            report.to_mut().decide(&row.check_id, decision.as_ref());
        }
        Ok(report)
    }
}

const NOTHING_TO_DECIDE: Error = Error::NotFound { what: "check to decide" };
