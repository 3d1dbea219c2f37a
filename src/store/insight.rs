//! What a cohort's submissions tell its trainers: who fails which check, what was handed in when, and all
//! that one student did.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::{JsonText, Word};
use super::gradings::{GradingRow, grading_columns};
use super::submissions::{SubmissionRow, submission_columns};
use super::{Grading, Result, Store, Submission};
use crate::report::{OutcomeKind, Verdict};

/// Where a student stands with an exercise: their newest submission that was judged, or the one that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub person: Uuid,
    pub name: String,
    pub submission: Uuid,
    /// 1, 2, … per person, cohort and exercise.
    pub number: i64,
    pub handed_in_at: DateTime<Utc>,
    pub verdict: Verdict,
    /// What became of each check that did not pass, by its id.
    pub missed: BTreeMap<String, OutcomeKind>,
}

/// A check that somebody fails again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stumble {
    /// The check's id.
    pub check: String,
    /// How many submissions in a row failed it, up to the newest.
    pub times: usize,
    /// When the first of them was handed in.
    pub since: DateTime<Utc>,
}

/// Something that was handed in, as far as statistics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedIn {
    pub person: Uuid,
    /// Slug of the exercise.
    pub exercise: String,
    pub at: DateTime<Utc>,
    /// The last judgement, if there is one.
    pub verdict: Option<Verdict>,
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    person: Uuid,
    name: String,
    submission: Uuid,
    number: i64,
    created_at: DateTime<Utc>,
    verdict: Word<Verdict>,
    missed: JsonText<BTreeMap<String, OutcomeKind>>,
}

#[derive(sqlx::FromRow)]
struct FailedRow {
    person: Uuid,
    exercise: String,
    submission: Uuid,
    created_at: DateTime<Utc>,
    missed: JsonText<BTreeMap<String, OutcomeKind>>,
}

#[derive(sqlx::FromRow)]
struct HandedInRow {
    id: Uuid,
    person: Uuid,
    exercise: String,
    created_at: DateTime<Utc>,
    verdict: Option<Word<Verdict>>,
}

impl Store {
    /// Where each student stands with an exercise who had something judged, newest first.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn standings(&self, cohort: Uuid, exercise: &str) -> Result<Vec<Standing>> {
        let rows: Vec<StandingRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT s.person, p.name, s.id AS submission, s.number, s.created_at, g.verdict, g.missed
             FROM submissions s
             JOIN gradings g ON g.submission = s.id
             JOIN people p ON p.id = s.person
             JOIN members m ON m.cohort = s.cohort AND m.person = s.person
             WHERE s.cohort = $1 AND s.exercise = $2 AND m.role = 'student'
                 AND g.verdict IN ('passed', 'failed')
             ORDER BY s.number, g.queued_at, g.id",
        )
        .bind(cohort)
        .bind(exercise)
        .fetch_all(db)
        .await)?;
        let mut of_submission: BTreeMap<(Uuid, i64), Standing> = BTreeMap::new();
        for row in rows {
            let standing = Standing {
                person: row.person,
                name: row.name,
                submission: row.submission,
                number: row.number,
                handed_in_at: row.created_at,
                verdict: row.verdict.0,
                missed: row.missed.0,
            };
            // The last judgement of a submission is the one that counts.
            of_submission.insert((row.person, row.number), standing);
        }
        let mut now: HashMap<Uuid, Standing> = HashMap::new();
        for standing in of_submission.into_values() {
            let passed = now.get(&standing.person).is_some_and(|known| known.verdict == Verdict::Passed);
            if !passed || standing.verdict == Verdict::Passed {
                now.insert(standing.person, standing);
            }
        }
        let mut standings: Vec<Standing> = now.into_values().collect();
        standings.sort_by_key(|standing| (std::cmp::Reverse(standing.handed_in_at), standing.person));
        Ok(standings)
    }

    /// The check that each student failed most often in a row, of those exercises that they tried at least
    /// so often without passing.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn stumbles(&self, cohort: Uuid, at_least: i64) -> Result<HashMap<(Uuid, String), Stumble>> {
        let rows: Vec<FailedRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT s.person, s.exercise, s.id AS submission, s.created_at, g.missed
             FROM cells c
             JOIN submissions s ON s.cohort = c.cohort AND s.person = c.person AND s.exercise = c.exercise
             JOIN gradings g ON g.submission = s.id
             WHERE c.cohort = $1 AND c.state = 'failed' AND c.attempts >= $2 AND g.verdict = 'failed'
             ORDER BY s.person, s.exercise, s.number DESC, g.queued_at DESC, g.id DESC",
        )
        .bind(cohort)
        .bind(at_least)
        .fetch_all(db)
        .await)?;
        let mut stumbles = HashMap::new();
        for of_cell in rows.chunk_by(|one, next| one.person == next.person && one.exercise == next.exercise) {
            // Newest first; of several gradings of a submission the last.
            let mut each: Vec<&FailedRow> = of_cell.iter().collect();
            each.dedup_by_key(|row| row.submission);
            let failed = |row: &FailedRow, check: &str| row.missed.0.get(check) == Some(&OutcomeKind::Failed);
            let newest = each[0];
            let of_check = newest.missed.0.iter().filter(|(_, outcome)| **outcome == OutcomeKind::Failed);
            let longest = of_check
                .map(|(check, _)| (check, each.iter().take_while(|row| failed(row, check)).count()))
                .max_by_key(|(_, times)| *times);
            if let Some((check, times)) = longest {
                let since = each[times - 1].created_at;
                let stumble = Stumble { check: check.clone(), times, since };
                stumbles.insert((newest.person, newest.exercise.clone()), stumble);
            }
        }
        Ok(stumbles)
    }

    /// Everything that students of a cohort handed in, oldest first.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn handed_in(&self, cohort: Uuid) -> Result<Vec<HandedIn>> {
        let mut rows: Vec<HandedInRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT s.id, s.person, s.exercise, s.created_at, g.verdict
             FROM submissions s
             JOIN members m ON m.cohort = s.cohort AND m.person = s.person
             LEFT JOIN gradings g ON g.submission = s.id AND g.verdict IN ('passed', 'failed')
             WHERE s.cohort = $1 AND m.role = 'student'
             ORDER BY s.created_at, s.id, g.queued_at DESC, g.id DESC",
        )
        .bind(cohort)
        .fetch_all(db)
        .await)?;
        rows.dedup_by_key(|row| row.id);
        let one = |row: HandedInRow| HandedIn {
            person: row.person,
            exercise: row.exercise,
            at: row.created_at,
            verdict: row.verdict.map(|word| word.0),
        };
        Ok(rows.into_iter().map(one).collect())
    }

    /// Everything that a person handed in in a cohort, newest first, each with its gradings, newest first
    /// and without their reports.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn history_of(&self, cohort: Uuid, person: Uuid) -> Result<Vec<(Submission, Vec<Grading>)>> {
        let rows: Vec<SubmissionRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", submission_columns!(), " FROM submissions
             WHERE cohort = $1 AND person = $2 ORDER BY created_at DESC, id DESC",
        ))
        .bind(cohort)
        .bind(person)
        .fetch_all(db)
        .await)?;
        let gradings: Vec<GradingRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", grading_columns!(), " FROM gradings
             WHERE submission IN (SELECT s.id FROM submissions s WHERE s.cohort = $1 AND s.person = $2)
             ORDER BY queued_at DESC, id DESC",
        ))
        .bind(cohort)
        .bind(person)
        .fetch_all(db)
        .await)?;
        let mut of_submission: HashMap<Uuid, Vec<Grading>> = HashMap::new();
        for grading in gradings.into_iter().map(Grading::from) {
            of_submission.entry(grading.submission).or_default().push(grading);
        }
        let with_gradings = |row: SubmissionRow| {
            let submission = Submission::from(row);
            let gradings = of_submission.remove(&submission.id).unwrap_or_default();
            (submission, gradings)
        };
        Ok(rows.into_iter().map(with_gradings).collect())
    }
}
