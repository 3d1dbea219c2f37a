//! The grade book of a cohort: every student with what counts in every exercise, as JSON and for a
//! spreadsheet.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppState;
use super::error::{Error, Result};
use super::terms::hundredths;
use crate::accounts::Role;
use crate::report::Points;
use crate::store::{Cell, CellState, Cohort};
use crate::terms::Lateness;

/// Every student of a cohort with what counts.
#[derive(Serialize, ToSchema)]
pub struct Gradebook {
    cohort: Uuid,
    name: String,
    /// Slug of the workshop.
    workshop: String,
    made_at: DateTime<Utc>,
    /// In the workshop's order.
    exercises: Vec<BookedExercise>,
    /// By name.
    students: Vec<BookedStudent>,
}

/// An exercise of the book.
#[derive(Serialize, ToSchema)]
pub struct BookedExercise {
    /// Its slug.
    exercise: String,
    title: String,
    /// Points to be had.
    possible: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<DateTime<Utc>>,
}

/// A student of the book.
#[derive(Serialize, ToSchema)]
pub struct BookedStudent {
    id: Uuid,
    name: String,
    joined_at: DateTime<Utc>,
    /// Exercises that are passed.
    done: usize,
    /// Sum of what counts, after what lateness takes away.
    counted: f64,
    /// One per exercise in which something was handed in; the others are not started.
    exercises: Vec<Booked>,
}

/// What counts of one student in one exercise.
#[derive(Serialize, ToSchema)]
pub struct Booked {
    /// The exercise's slug.
    exercise: String,
    state: CellState,
    /// Points of the submission that counts, before what lateness takes away.
    points: Points,
    late: Lateness,
    /// Points that count.
    counted: f64,
    submissions: i64,
    /// Those that were judged.
    attempts: i64,
    latest_submission: Uuid,
    changed_at: DateTime<Utc>,
}

/// A text that a spreadsheet takes for nothing but text: what it would take for a formula begins with an
/// apostrophe (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn harmless(text: &str) -> String {
    let formula = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let begins = text.trim_start_matches(' ').starts_with(formula);
    if begins { format!("'{text}") } else { text.to_owned() }
}

/// Points as a number; a grade book has at most millions of them.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 hundredths")]
fn number(points: u64) -> f64 {
    points as f64 / 100.0
}

impl Gradebook {
    /// The book as it is now.
    ///
    /// # Errors
    /// Faults of ours.
    pub async fn of(state: &AppState, cohort: &Cohort) -> Result<Self> {
        let workshop = state.shelf.workshop(cohort).await?;
        let published = state.shelf.of_workshop(&workshop).await?;
        let terms = state.store.terms(cohort.id).await?;
        let members = state.store.members(cohort.id).await?;
        let slugs = workshop.sections.iter().flat_map(|section| section.exercises.iter());
        let exercises: Vec<BookedExercise> = slugs
            .filter_map(|slug| published.get(slug))
            .map(|exercise| BookedExercise {
                exercise: exercise.slug.clone(),
                title: exercise.title.clone(),
                possible: exercise.points(),
                due_at: terms.of(&exercise.slug).due_at,
            })
            .collect();
        let mut cells: HashMap<Uuid, HashMap<String, Cell>> = HashMap::new();
        for cell in state.store.cells(cohort.id).await? {
            cells.entry(cell.person).or_default().insert(cell.exercise.clone(), cell);
        }
        let students = members.into_iter().filter(|member| member.role == Role::Student).map(|member| {
            let mut mine = cells.remove(&member.person).unwrap_or_default();
            let booked: Vec<Cell> =
                exercises.iter().filter_map(|exercise| mine.remove(&exercise.exercise)).collect();
            BookedStudent {
                id: member.person,
                name: member.name,
                joined_at: member.joined_at,
                done: booked.iter().filter(|cell| cell.state == CellState::Passed).count(),
                counted: number(booked.iter().map(|cell| cell.late.hundredths(cell.points.earned)).sum()),
                exercises: booked.into_iter().map(Booked::from).collect(),
            }
        });
        let students = students.collect();
        Ok(Self {
            cohort: cohort.id,
            name: cohort.name.clone(),
            workshop: workshop.slug,
            made_at: state.clock.now(),
            exercises,
            students,
        })
    }

    /// The book as CSV (RFC 4180), one line for each student. It begins with a byte order mark, without which
    /// spreadsheets take it for another encoding.
    ///
    /// # Errors
    /// Faults of ours.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let mut begun = Vec::new();
        begun.extend_from_slice("\u{feff}".as_bytes());
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(begun);
        let mut head: Vec<String> =
            ["student", "id", "joined", "exercises done", "points", "points possible"]
                .map(str::to_owned)
                .to_vec();
        for exercise in &self.exercises {
            for what in ["points", "state", "attempts", "days late"] {
                head.push(format!("{}: {what}", exercise.exercise));
            }
        }
        writer.write_record(&head).map_err(Error::internal)?;
        let possible: u32 = self.exercises.iter().map(|exercise| exercise.possible).sum();
        for student in &self.students {
            let mut row = vec![
                harmless(&student.name),
                student.id.to_string(),
                student.joined_at.format("%Y-%m-%d %H:%M:%S").to_string(),
                student.done.to_string(),
                student.counted.to_string(),
                possible.to_string(),
            ];
            for exercise in &self.exercises {
                match student.exercises.iter().find(|booked| booked.exercise == exercise.exercise) {
                    Some(booked) => row.extend([
                        hundredths(booked.late.hundredths(booked.points.earned)),
                        word(booked.state).to_owned(),
                        booked.attempts.to_string(),
                        booked.late.days.to_string(),
                    ]),
                    None => row.extend(["", "not started", "", ""].map(str::to_owned)),
                }
            }
            writer.write_record(&row).map_err(Error::internal)?;
        }
        writer.into_inner().map_err(|error| Error::internal(error.to_string()))
    }
}

impl From<Cell> for Booked {
    fn from(cell: Cell) -> Self {
        Self {
            counted: number(cell.late.hundredths(cell.points.earned)),
            exercise: cell.exercise,
            state: cell.state,
            points: cell.points,
            late: cell.late,
            submissions: cell.submissions,
            attempts: cell.attempts,
            latest_submission: cell.latest_submission,
            changed_at: cell.changed_at,
        }
    }
}

fn word(state: CellState) -> &'static str {
    match state {
        CellState::NotStarted => "not started",
        CellState::Waiting => "for review",
        CellState::Queued => "in the queue",
        CellState::Running => "being graded",
        CellState::Passed => "passed",
        CellState::Failed => "not yet",
        CellState::Fault => "our fault",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_formula() {
        for name in ["=1+1", "+49", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1+1"] {
            assert_eq!(harmless(name), format!("'{name}"));
        }
        for name in ["Ada", "Ada = Lovelace", "O'Neill", "", "Ünal"] {
            assert_eq!(harmless(name), name);
        }
    }
}
