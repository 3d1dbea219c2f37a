//! Who fails which check of an exercise now: what to explain to the room next.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::report::{OutcomeKind, Verdict};
use crate::store::{Cell, CellState, Standing};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Result, Scope, Viewer, body};

/// Failing submissions that are shown for each check.
const NEWEST: usize = 8;

/// The checks of one exercise.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/checks.html")]
pub struct ChecksPage {
    frame: Frame,
    tabs: Tabs,
    cohort: String,
    exercises: Vec<ExerciseChoice>,
    /// The title of the one that is shown.
    title: Option<String>,
    about: String,
    rows: Vec<CheckRow>,
}

struct ExerciseChoice {
    href: String,
    title: String,
    /// How many are on it and have not passed.
    failing: usize,
    current: bool,
}

struct CheckRow {
    title: String,
    points: String,
    passed: usize,
    failed: usize,
    /// Something before it failed first.
    skipped: usize,
    judged: usize,
    newest: Vec<Failing>,
    more: usize,
}

struct Failing {
    href: String,
    name: String,
    at: Ago,
}

/// Which exercise is looked at; the one that most fail where none is named.
#[derive(Deserialize)]
pub struct Chosen {
    #[serde(default)]
    exercise: String,
}

/// `GET /cohorts/{cohort}/checks`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Query(chosen): body::Query<Chosen>,
) -> Result<ChecksPage> {
    let cohort = &scope.cohort;
    let now = state.clock.now();
    let workshop = state.shelf.workshop(cohort).await?;
    let exercises = state.shelf.of_workshop(&workshop).await?;
    let cells = state.store.cells(cohort.id).await?;
    let slugs: Vec<&String> = workshop
        .sections
        .iter()
        .flat_map(|section| &section.exercises)
        .filter(|slug| exercises.contains_key(*slug))
        .collect();
    let named = slugs.iter().find(|slug| ***slug == chosen.exercise);
    // Of those that equally many fail the first.
    let most = slugs.iter().rev().max_by_key(|slug| failing(&cells, slug));
    let shown = named.or(most).copied();
    let mut about = String::new();
    let mut rows = Vec::new();
    if let Some(exercise) = shown.and_then(|slug| exercises.get(slug)) {
        let standings = state.store.standings(cohort.id, &exercise.slug).await?;
        let passed = standings.iter().filter(|one| one.verdict == Verdict::Passed).count();
        let students = count(standings.len().try_into().unwrap_or(i64::MAX), "student");
        about = format!("{students} had something judged, {passed} passed");
        rows.extend(exercise.checks.iter().map(|check| {
            let points = count(check.points.into(), "point");
            row(&check.id, check.title.clone(), points, &standings, now)
        }));
        rows.sort_by_key(|row| std::cmp::Reverse(row.failed));
    }
    Ok(ChecksPage {
        frame: frame(&viewer, &scope, &csrf).at(href(cohort.id), "Checks"),
        tabs: Tabs::at(cohort.id, Tab::Checks),
        cohort: cohort.name.clone(),
        title: shown.and_then(|slug| exercises.get(slug)).map(|exercise| exercise.title.clone()),
        exercises: slugs
            .iter()
            .map(|slug| ExerciseChoice {
                href: format!("{}?exercise={slug}", href(cohort.id)),
                title: exercises[*slug].title.clone(),
                failing: failing(&cells, slug),
                current: shown == Some(*slug),
            })
            .collect(),
        about,
        rows,
    })
}

fn failing(cells: &[Cell], slug: &str) -> usize {
    cells.iter().filter(|cell| cell.exercise == slug && cell.state == CellState::Failed).count()
}

fn row(
    id: &str,
    title: String,
    points: String,
    standings: &[Standing],
    now: chrono::DateTime<chrono::Utc>,
) -> CheckRow {
    let of = |outcome: OutcomeKind| standings.iter().filter(move |one| one.missed.get(id) == Some(&outcome));
    let failed: Vec<&Standing> = of(OutcomeKind::Failed).collect();
    let newest = failed.iter().take(NEWEST).map(|one| Failing {
        href: format!("/submissions/{}#check-{id}", one.submission),
        name: visible(&one.name).into_owned(),
        at: Ago { at: one.handed_in_at, now },
    });
    CheckRow {
        title,
        points,
        passed: standings.iter().filter(|one| !one.missed.contains_key(id)).count(),
        skipped: of(OutcomeKind::Skipped).count(),
        judged: standings.len(),
        newest: newest.collect(),
        more: failed.len().saturating_sub(NEWEST),
        failed: failed.len(),
    }
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/checks")
}
