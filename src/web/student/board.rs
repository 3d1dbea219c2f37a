//! The board, a student's home: the workshop, how far they are, what to do next.

use std::collections::HashMap;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::accounts::Role;
use crate::exercises::{Exercise, Workshop};
use crate::store::{Cell, CellState, CohortTerms};
use crate::web::page::{Frame, home_of};
use crate::web::shape::Shape;
use crate::web::terms::{Told, hundredths, on_board};
use crate::web::words::{ago, count};
use crate::web::{AppState, Csrf, Result, Scope, Viewer};

/// The board of one student.
#[derive(Template, WebTemplate)]
#[template(path = "student/board.html")]
pub struct BoardPage {
    pub(crate) frame: Frame,
    pub(crate) cohort: String,
    pub(crate) workshop: String,
    pub(crate) done: usize,
    pub(crate) tasks: usize,
    pub(crate) earned: String,
    pub(crate) possible: u32,
    pub(crate) next: Next,
    pub(crate) sections: Vec<SectionView>,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// One thing.
    Go { eyebrow: &'static str, title: String, about: String, action: &'static str, href: String },
    /// Everything is handed in, and a trainer reads.
    Wait,
    /// Everything is done.
    Done,
}

pub(crate) struct SectionView {
    pub(crate) title: String,
    pub(crate) done: usize,
    pub(crate) tasks: Vec<Task>,
}

pub(crate) struct Task {
    pub(crate) href: String,
    pub(crate) shape: Shape,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) said: &'static str,
    pub(crate) minutes: u32,
    /// As they count, after what lateness takes away.
    pub(crate) earned: String,
    pub(crate) possible: u32,
    pub(crate) terms: Told,
}

/// `GET /cohorts/{cohort}`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<BoardPage> {
    let cohort = &scope.cohort;
    let workshop = state.shelf.workshop(cohort).await?;
    let exercises = state.shelf.of_workshop(&workshop).await?;
    let cells = state.store.cells_of(cohort.id, viewer.person.id).await?;
    let frame = frame(&viewer, &scope, &csrf).at(format!("/cohorts/{}", cohort.id), "Board");
    let terms = state.store.terms(cohort.id).await?;
    Ok(board(frame, (cohort.id, &cohort.name), &workshop, &exercises, (&cells, &terms), state.clock.now()))
}

/// The frame of a page inside a cohort: the way to its board and, for those who may see it, its grid.
pub(crate) fn frame(viewer: &Viewer, scope: &Scope, csrf: &Csrf) -> Frame {
    let (frame, cohort) = (Frame::new(Some(viewer), csrf), &scope.cohort);
    let board = format!("/cohorts/{}", cohort.id);
    match scope.role {
        Role::Trainer => frame
            .to(home_of(cohort.id, Role::Trainer), format!("Cohort: {}", cohort.name))
            .to(board, "Exercises"),
        Role::Student => frame.to(board, "Board"),
    }
}

/// The page of a board.
pub(crate) fn board(
    frame: Frame,
    (cohort, cohort_name): (Uuid, &str),
    workshop: &Workshop,
    exercises: &HashMap<String, std::sync::Arc<Exercise>>,
    (cells, terms): (&[Cell], &CohortTerms),
    now: DateTime<Utc>,
) -> BoardPage {
    let cells: HashMap<&str, &Cell> = cells.iter().map(|cell| (cell.exercise.as_str(), cell)).collect();
    let (mut earned, mut possible) = (0, 0);
    let mut sections = Vec::new();
    for section in &workshop.sections {
        let mut tasks = Vec::new();
        for exercise in section.exercises.iter().filter_map(|slug| exercises.get(slug)) {
            let cell = cells.get(exercise.slug.as_str());
            let state = cell.map_or(CellState::NotStarted, |cell| cell.state);
            let mine = cell.map_or(0, |cell| cell.late.hundredths(cell.points.earned));
            earned += mine;
            possible += exercise.points();
            let tried = cell.map_or(0, |cell| cell.attempts.try_into().unwrap_or(u32::MAX));
            let done = state == CellState::Passed;
            tasks.push(Task {
                href: href(cohort, &exercise.slug),
                shape: state.into(),
                title: exercise.title.clone(),
                summary: exercise.summary.clone(),
                said: said(state),
                minutes: exercise.minutes,
                earned: hundredths(mine),
                possible: exercise.points(),
                terms: on_board(&terms.of(&exercise.slug), tried, done, now),
            });
        }
        let done = tasks.iter().filter(|task| task.shape == Shape::Passed).count();
        sections.push(SectionView { title: section.title.clone(), done, tasks });
    }
    let in_order: Vec<(&Exercise, Option<&Cell>)> = workshop
        .sections
        .iter()
        .flat_map(|section| &section.exercises)
        .filter_map(|slug| exercises.get(slug))
        .map(|exercise| (&**exercise, cells.get(exercise.slug.as_str()).copied()))
        .collect();
    BoardPage {
        frame,
        cohort: cohort_name.to_owned(),
        workshop: workshop.title.clone(),
        done: sections.iter().map(|section| section.done).sum(),
        tasks: sections.iter().map(|section| section.tasks.len()).sum(),
        earned: hundredths(earned),
        possible,
        next: next(cohort, &in_order, now),
        sections,
    }
}

/// One thing to do: what is being graded, else what was tried last and is not there yet, else the
/// first that was not begun.
fn next(cohort: Uuid, exercises: &[(&Exercise, Option<&Cell>)], now: DateTime<Utc>) -> Next {
    let newest = |wanted: &[CellState]| {
        exercises
            .iter()
            .filter_map(|(exercise, cell)| cell.map(|cell| (*exercise, cell)))
            .filter(|(_, cell)| wanted.contains(&cell.state))
            .max_by_key(|(_, cell)| cell.changed_at)
    };
    if let Some((exercise, cell)) = newest(&[CellState::Running, CellState::Queued]) {
        return Next::Go {
            eyebrow: "Being graded",
            title: exercise.title.clone(),
            about: format!("Submission {} is {}.", cell.submissions, said(cell.state)),
            action: "Watch it",
            href: format!("/submissions/{}", cell.latest_submission),
        };
    }
    if let Some((exercise, cell)) = newest(&[CellState::Failed, CellState::Fault]) {
        let last = ago(cell.changed_at, now);
        let about = match cell.state {
            CellState::Fault => {
                format!("The last submission failed because of us, {last}. It did not count.")
            }
            _ => format!(
                "Not yet: {} of {}, {last}",
                cell.points.earned,
                count(exercise.points().into(), "point")
            ),
        };
        return Next::Go {
            eyebrow: "Go on where you were",
            title: exercise.title.clone(),
            about,
            action: "Go on",
            href: href(cohort, &exercise.slug),
        };
    }
    if let Some((exercise, _)) = exercises.iter().find(|(_, cell)| cell.is_none()) {
        let begun = exercises.iter().any(|(_, cell)| cell.is_some());
        return Next::Go {
            eyebrow: if begun { "Next" } else { "Start here" },
            title: exercise.title.clone(),
            about: format!("{} About {} minutes.", exercise.summary, exercise.minutes).trim().to_owned(),
            action: if begun { "Open" } else { "Start" },
            href: href(cohort, &exercise.slug),
        };
    }
    let waits = exercises.iter().any(|(_, cell)| cell.is_some_and(|cell| cell.state == CellState::Waiting));
    if waits { Next::Wait } else { Next::Done }
}

/// The page of an exercise.
pub(crate) fn href(cohort: Uuid, slug: &str) -> String {
    format!("/cohorts/{cohort}/exercises/{slug}")
}

pub(crate) fn said(state: CellState) -> &'static str {
    match state {
        CellState::NotStarted => "",
        CellState::Waiting => "for review",
        CellState::Queued => "in the queue",
        CellState::Running => "being graded",
        CellState::Passed => "passed",
        CellState::Failed => "not yet",
        CellState::Fault => "our fault",
    }
}
