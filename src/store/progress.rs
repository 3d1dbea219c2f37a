//! The cells of board and grid: how far a person is with an exercise.
//!
//! A cell follows from the gradings of its submissions, and is worked out again from them in the
//! transaction that changes one of them, so it cannot drift. Every change takes the next revision of
//! its cohort, whose row is locked from then to the commit: transactions that touch the same cell
//! come one after the other, and revisions are in the order of commits. So "whatever is newer than
//! this revision" is exact, and a process that shows a grid again and again reads only what changed:
//! it keeps the cells of the cohorts that were asked for last (`grids`).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bells::Bell;
use super::columns::{Word, points};
use super::database::Writing;
use super::{Error, GradingState, NewSubmission, Result, Store};
use crate::report::{Points, Verdict};
use crate::terms::{Lateness, Terms};

/// One cell of a cohort's grid: the best grading of one student in one exercise and the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cell {
    pub person: Uuid,
    /// Slug of the exercise.
    pub exercise: String,
    pub state: CellState,
    /// How often something was handed in.
    pub submissions: i64,
    /// How many of these count as attempts: those that passed or failed, never those that a fault of
    /// ours or of the exercise ended.
    pub attempts: i64,
    /// Points of the best submission, before what its lateness takes away.
    pub points: Points,
    /// How late that one was, and what is left of its points.
    pub late: Lateness,
    pub latest_submission: Uuid,
    pub changed_at: DateTime<Utc>,
}

/// The seven states that are shown everywhere (board, grid, …). `Passed` is kept once reached,
/// unless something newer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Nothing was handed in; such a cell is not stored.
    NotStarted,
    /// Passed as far as a machine can tell; a trainer has to read an answer.
    Waiting,
    Queued,
    Running,
    Passed,
    Failed,
    /// The newest submission could not be judged, which was not the student's fault.
    Fault,
}

#[derive(sqlx::FromRow)]
struct CellRow {
    person: Uuid,
    exercise: String,
    state: Word<CellState>,
    submissions: i64,
    attempts: i64,
    points_earned: i64,
    points_possible: i64,
    late_days: i64,
    kept_percent: i64,
    latest_submission: Uuid,
    changed_at: DateTime<Utc>,
}

impl From<CellRow> for Cell {
    fn from(row: CellRow) -> Self {
        Self {
            person: row.person,
            exercise: row.exercise,
            state: row.state.0,
            submissions: row.submissions,
            attempts: row.attempts,
            points: points(row.points_earned, row.points_possible),
            late: Lateness {
                days: row.late_days.try_into().unwrap_or(u32::MAX),
                percent: row.kept_percent.try_into().unwrap_or(100),
            },
            latest_submission: row.latest_submission,
            changed_at: row.changed_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct RevisedRow {
    #[sqlx(flatten)]
    cell: CellRow,
    revision: i64,
}

/// Cohorts whose cells are kept; 1,000 people with 40 exercises take about 5 MiB.
const GRIDS: usize = 8;

/// The cells of the cohorts that were asked for last.
#[derive(Default)]
pub(super) struct Grids(Mutex<VecDeque<(Uuid, Arc<tokio::sync::Mutex<Grid>>)>>);

/// The cells of a cohort as they were at a revision.
#[derive(Default)]
struct Grid {
    revision: i64,
    cells: Vec<Cell>,
    places: HashMap<(Uuid, String), usize>,
}

impl Grids {
    fn of(&self, cohort: Uuid) -> Arc<tokio::sync::Mutex<Grid>> {
        let mut grids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = grids.iter().position(|(id, _)| *id == cohort).and_then(|place| grids.remove(place));
        let (_, grid) = known.unwrap_or_default();
        grids.push_front((cohort, Arc::clone(&grid)));
        grids.truncate(GRIDS);
        grid
    }
}

impl Grid {
    fn take(&mut self, revision: i64, cell: Cell) {
        self.revision = self.revision.max(revision);
        match self.places.entry((cell.person, cell.exercise.clone())) {
            Entry::Occupied(place) => self.cells[*place.get()] = cell,
            Entry::Vacant(place) => {
                place.insert(self.cells.len());
                self.cells.push(cell);
            }
        }
    }
}

macro_rules! cell_columns {
    () => {
        "person, exercise, state, submissions, attempts, points_earned, points_possible, \
         late_days, kept_percent, latest_submission, changed_at"
    };
}

/// One grading of a cell.
#[derive(sqlx::FromRow)]
struct Fact {
    submission: Uuid,
    created_at: DateTime<Utc>,
    state: Word<GradingState>,
    verdict: Option<Word<Verdict>>,
    points_earned: i64,
    points_possible: i64,
    waiting: bool,
}

/// What follows from the facts.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    state: CellState,
    attempts: i64,
    earned: i64,
    possible: i64,
    late: Lateness,
}

/// Works out a cell from its gradings, ordered by submission and, within one, by age.
///
/// What counts of a submission is its newest grading that judged it: a regrade replaces the verdict
/// before it, a fault replaces nothing.
fn standing(facts: &[Fact], terms: &Terms) -> Standing {
    let mut attempts = 0;
    let mut best: Option<(&Fact, bool, bool, Lateness)> = None;
    let mut newest_was_judged = false;
    for of_one in facts.chunk_by(|one, next| one.submission == next.submission) {
        let judged = of_one.iter().rev().find_map(|fact| match fact.verdict {
            Some(Word(verdict @ (Verdict::Passed | Verdict::Failed))) => Some((verdict, fact)),
            _ => None,
        });
        newest_was_judged = judged.is_some();
        if let Some((verdict, fact)) = judged {
            attempts += 1;
            let passed = verdict == Verdict::Passed;
            // Read to its end, and passed, beats passed and waiting, beats failed; then by what counts.
            let this = (fact, passed, passed && !fact.waiting, terms.lateness(fact.created_at));
            let rank = |(fact, passed, whole, late): (&Fact, bool, bool, Lateness)| {
                (whole, passed, fact.points_earned * i64::from(late.percent))
            };
            if best.is_none_or(|best| rank(this) >= rank(best)) {
                best = Some(this);
            }
        }
    }
    let any = |state: GradingState| facts.iter().any(|fact| fact.state.0 == state);
    let state = if any(GradingState::Running) {
        CellState::Running
    } else if any(GradingState::Queued) {
        CellState::Queued
    } else {
        match best {
            Some((_, true, true, _)) => CellState::Passed,
            Some((_, true, false, _)) => CellState::Waiting,
            _ if newest_was_judged => CellState::Failed,
            _ => CellState::Fault,
        }
    };
    let (earned, possible) = best.map_or((0, 0), |(fact, ..)| (fact.points_earned, fact.points_possible));
    let late = best.map_or(Lateness::NONE, |(.., late)| late);
    Standing { state, attempts, earned, possible, late }
}

impl Store {
    /// All cells of a cohort, in no particular order. Who has handed in nothing has none.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn cells(&self, cohort: Uuid) -> Result<Vec<Cell>> {
        let grid = self.inner.grids.of(cohort);
        let mut grid = grid.lock().await;
        let rows: Vec<RevisedRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", cell_columns!(), ", revision FROM cells WHERE cohort = $1 AND revision > $2",
        ))
        .bind(cohort)
        .bind(grid.revision)
        .fetch_all(db)
        .await)?;
        for row in rows {
            grid.take(row.revision, row.cell.into());
        }
        Ok(grid.cells.clone())
    }

    /// The cells of one person.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn cells_of(&self, cohort: Uuid, person: Uuid) -> Result<Vec<Cell>> {
        let rows: Vec<CellRow> = on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", cell_columns!(), " FROM cells WHERE cohort = $1 AND person = $2"),
        )
        .bind(cohort)
        .bind(person)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Cell::from).collect())
    }

    /// One cell; `None` when nothing was handed in.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn cell(&self, cohort: Uuid, person: Uuid, exercise: &str) -> Result<Option<Cell>> {
        let row: Option<CellRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", cell_columns!(), " FROM cells WHERE cohort = $1 AND person = $2 AND exercise = $3",
        ))
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .fetch_optional(db)
        .await)?;
        Ok(row.map(Cell::from))
    }

    /// Cells changed at or after `since`, oldest change first, for the grid's live updates across
    /// processes. A change is dated before it is committed, by the clock of whoever made it: read a
    /// little further back than the last one seen.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn cells_changed_since(&self, cohort: Uuid, since: DateTime<Utc>) -> Result<Vec<Cell>> {
        let rows: Vec<CellRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", cell_columns!(), " FROM cells WHERE cohort = $1 AND changed_at >= $2
             ORDER BY changed_at",
        ))
        .bind(cohort)
        .bind(since)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(Cell::from).collect())
    }

    /// Takes the next revision of a cohort and with it the right to change its cells until the commit.
    /// Comes before any statement that locks a cell.
    pub(super) async fn next_revision(&self, tx: &mut Writing, cohort: Uuid) -> Result<i64> {
        let revision: Option<i64> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE cohorts SET revision = revision + 1 WHERE id = $1 RETURNING revision",
        )
        .bind(cohort)
        .fetch_optional(&mut **db)
        .await)?;
        revision.ok_or(Error::NotFound { what: "cohort" })
    }

    /// Makes the cell if it is not there, counts a submission in it and returns its number.
    pub(super) async fn count_submission(
        &self,
        tx: &mut Writing,
        new: &NewSubmission,
        submission: Uuid,
        now: DateTime<Utc>,
    ) -> Result<i64> {
        let revision = self.next_revision(tx, new.cohort).await?;
        Ok(on!(&mut tx.db, db => sqlx::query_scalar(
            "INSERT INTO cells (cohort, person, exercise, state, submissions, attempts, points_earned,
                 points_possible, latest_submission, changed_at, revision)
             VALUES ($1, $2, $3, $4, 1, 0, 0, 0, $5, $6, $7)
             ON CONFLICT (cohort, person, exercise) DO UPDATE
             SET submissions = cells.submissions + 1, latest_submission = excluded.latest_submission
             RETURNING submissions",
        )
        .bind(new.cohort)
        .bind(new.person)
        .bind(&new.exercise)
        .bind(Word(CellState::Queued))
        .bind(submission)
        .bind(now)
        .bind(revision)
        .fetch_one(&mut **db)
        .await)?)
    }

    /// Works the cell out again after one of its gradings changed.
    pub(super) async fn refresh_cell(
        &self,
        tx: &mut Writing,
        cohort: Uuid,
        person: Uuid,
        exercise: &str,
    ) -> Result<()> {
        // First the lock, then the look: otherwise two transactions could each miss the other's change.
        let revision = self.next_revision(tx, cohort).await?;
        let facts: Vec<Fact> = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT g.submission, s.created_at, g.state, g.verdict, g.points_earned, g.points_possible, g.waiting
             FROM submissions s JOIN gradings g ON g.submission = s.id
             WHERE s.cohort = $1 AND s.person = $2 AND s.exercise = $3
             ORDER BY s.number, g.queued_at, g.id",
        )
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .fetch_all(&mut **db)
        .await)?;
        let standing = standing(&facts, &self.terms_in(tx, cohort, exercise).await?);
        on!(&mut tx.db, db => sqlx::query(
            "UPDATE cells SET state = $4, attempts = $5, points_earned = $6, points_possible = $7,
                 changed_at = $8, revision = $9, late_days = $10, kept_percent = $11
             WHERE cohort = $1 AND person = $2 AND exercise = $3",
        )
        .bind(cohort)
        .bind(person)
        .bind(exercise)
        .bind(Word(standing.state))
        .bind(standing.attempts)
        .bind(standing.earned)
        .bind(standing.possible)
        .bind(self.now())
        .bind(revision)
        .bind(i64::from(standing.late.days))
        .bind(i64::from(standing.late.percent))
        .execute(&mut **db)
        .await
        .map(drop))?;
        tx.ring(Bell::Cells(cohort));
        Ok(())
    }
}
