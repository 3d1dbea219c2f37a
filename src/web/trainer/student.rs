//! One student of a cohort: how far they are, and all that they did, in time.

use std::collections::HashMap;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::accounts::Role;
use crate::store::{CellState, Grading, GradingState, Lane, Submission};
use crate::terms::Terms;
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::shape::{Shape, of_verdict};
use crate::web::student::board::said;
use crate::web::terms::{hundredths, late};
use crate::web::words::{Ago, Moment, count, took};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// One student.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/student.html")]
pub struct StudentPage {
    frame: Frame,
    tabs: Tabs,
    name: String,
    joined: Moment,
    about: String,
    tasks: Vec<TaskView>,
    days: Vec<Day>,
    /// Where a link to a new password is made.
    reset: String,
}

/// How they stand with one exercise.
struct TaskView {
    title: String,
    shape: Shape,
    said: &'static str,
    /// The newest submission.
    href: Option<String>,
    attempts: i64,
    /// Asked for beside those that come by themselves.
    hints: i64,
    points: String,
    late: Option<String>,
    at: Option<Ago>,
}

/// What they did in one day, newest first.
struct Day {
    /// In UTC.
    date: String,
    entries: Vec<Entry>,
}

struct Entry {
    href: String,
    shape: Shape,
    exercise: String,
    number: i64,
    said: String,
    at: Moment,
    late: Option<String>,
    /// Earlier gradings and regrades, newest first.
    gradings: Vec<String>,
    notes: usize,
}

/// The person of a path.
#[derive(Deserialize)]
pub struct PersonPath {
    person: Uuid,
}

/// `GET /cohorts/{cohort}/people/{person}`
///
/// # Errors
/// [`Error::NotFound`] when they are no student of the cohort.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Path(path): body::Path<PersonPath>,
) -> Result<StudentPage> {
    let cohort = &scope.cohort;
    let now = state.clock.now();
    let members = state.store.members(cohort.id).await?;
    let member = members.iter().find(|member| member.person == path.person && member.role == Role::Student);
    let member = member.ok_or_else(|| Error::no_such("student in this cohort"))?;
    let workshop = state.shelf.workshop(cohort).await?;
    let exercises = state.shelf.of_workshop(&workshop).await?;
    let terms = state.store.terms(cohort.id).await?;
    let cells: HashMap<String, _> = state
        .store
        .cells_of(cohort.id, member.person)
        .await?
        .into_iter()
        .map(|cell| (cell.exercise.clone(), cell))
        .collect();
    let title =
        |slug: &str| exercises.get(slug).map_or_else(|| slug.to_owned(), |exercise| exercise.title.clone());
    let hints = state.store.hints_of(cohort.id, member.person).await?;
    let slugs = workshop.sections.iter().flat_map(|section| &section.exercises);
    let tasks: Vec<TaskView> = slugs
        .map(|slug| {
            let cell = cells.get(slug);
            let standing = cell.map_or(CellState::NotStarted, |cell| cell.state);
            let possible = exercises.get(slug).map_or(0, |exercise| exercise.points());
            let earned = cell.map_or(0, |cell| cell.late.hundredths(cell.points.earned));
            TaskView {
                title: title(slug),
                shape: standing.into(),
                said: if cell.is_some() { said(standing) } else { "not started" },
                href: cell.map(|cell| format!("/submissions/{}", cell.latest_submission)),
                attempts: cell.map_or(0, |cell| cell.attempts),
                hints: hints.get(slug).copied().unwrap_or(0),
                points: format!("{} / {possible}", hundredths(earned)),
                late: cell.and_then(|cell| late(cell.late)),
                at: cell.map(|cell| Ago { at: cell.changed_at, now }),
            }
        })
        .collect();
    let mut counts = state.store.note_counts(cohort.id, member.person).await?;
    let mut days: Vec<Day> = Vec::new();
    for (submission, gradings) in state.store.history_of(cohort.id, member.person).await? {
        let date = submission.created_at.format("%A, %-d %B %Y").to_string();
        let added = counts.remove(&submission.id).unwrap_or_default();
        let held = terms.of(&submission.exercise);
        let entry = entry(&submission, &gradings, title(&submission.exercise), &held, added);
        match days.last_mut() {
            Some(day) if day.date == date => day.entries.push(entry),
            _ => days.push(Day { date, entries: vec![entry] }),
        }
    }
    let passed = tasks.iter().filter(|task| task.shape == Shape::Passed).count();
    let here = href(cohort.id, member.person);
    let name = visible(&member.name).into_owned();
    Ok(StudentPage {
        reset: format!("/cohorts/{}/people/{}/reset", cohort.id, member.person),
        frame: frame(&viewer, &scope, &csrf).at(here, name.clone()),
        tabs: Tabs::at(cohort.id, Tab::Students),
        name,
        joined: Moment(member.joined_at),
        about: format!(
            "{passed} of {} done · {}",
            count(tasks.len().try_into().unwrap_or(i64::MAX), "exercise"),
            count(
                days.iter().map(|day| day.entries.len()).sum::<usize>().try_into().unwrap_or(0),
                "submission"
            )
        ),
        tasks,
        days,
    })
}

fn entry(
    submission: &Submission,
    gradings: &[Grading],
    exercise: String,
    terms: &Terms,
    notes: usize,
) -> Entry {
    let (shape, said) = gradings.first().map_or((Shape::NotStarted, String::new()), told);
    let before = gradings.iter().skip(1).map(|grading| {
        let lane = if grading.lane == Lane::Regrade { "graded anew" } else { "first graded" };
        let (_, said) = told(grading);
        format!("{lane} {}: {said}", grading.queued_at.format("%-d %b %Y, %H:%M UTC"))
    });
    Entry {
        href: format!("/submissions/{}", submission.id),
        shape,
        exercise,
        number: submission.number,
        said,
        at: Moment(submission.created_at),
        late: late(terms.lateness(submission.created_at)),
        gradings: before.collect(),
        notes,
    }
}

fn told(grading: &Grading) -> (Shape, String) {
    match (grading.state, grading.verdict) {
        (GradingState::Queued, _) => (Shape::Waiting, "in the queue".into()),
        (GradingState::Running, _) => (Shape::Running, "being graded".into()),
        (GradingState::Done, None) => (Shape::Fault, "our fault".into()),
        (GradingState::Done, Some(verdict)) => {
            let shape = of_verdict(verdict, grading.waiting);
            let points = format!("{} of {}", grading.points.earned, grading.points.possible);
            let seconds = grading
                .finished_at
                .zip(grading.started_at)
                .map(|(end, start)| (end - start).as_seconds_f64());
            let within = seconds.map(|seconds| format!(", graded in {}", took(seconds))).unwrap_or_default();
            let said = match shape {
                Shape::Passed => format!("passed, {points}{within}"),
                Shape::Waiting => format!("for review, {points} so far{within}"),
                Shape::Failed => format!("not yet, {points}{within}"),
                _ => "our fault; did not count".into(),
            };
            (shape, said)
        }
    }
}

pub(crate) fn href(cohort: Uuid, person: Uuid) -> String {
    format!("/cohorts/{cohort}/people/{person}")
}
