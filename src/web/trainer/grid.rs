//! The cohort grid: students by exercises, each cell's state at a glance.

mod pieces;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::tabs::{Tab, Tabs};
use super::wish::Wish;
use pieces::{FilterView, Spot, StuckView};
pub(crate) use pieces::{FiltersPiece, RowPiece, SummaryPiece};

use crate::accounts::Role;
use crate::exercises::Workshop;
use crate::store::{Cell, CellState, Cohort, Member, Stumble};
use crate::web::page::Frame;
use crate::web::terms;
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Result, Scope, Viewer, body};

/// Attempts at one exercise without passing it after which somebody counts as stuck.
const STUCK_AFTER: i64 = 3;
/// Silence after which somebody who is not done counts as idle.
const IDLE_AFTER: TimeDelta = TimeDelta::minutes(30);

/// The grid of a cohort.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/grid.html")]
pub struct GridPage {
    pub(crate) frame: Frame,
    pub(crate) tabs: Tabs,
    pub(crate) cohort: String,
    pub(crate) summary: SummaryPiece,
    pub(crate) filters: FiltersPiece,
    pub(crate) stream: String,
    pub(crate) join_code: String,
    pub(crate) join_link: String,
    pub(crate) show: &'static str,
    pub(crate) sort: String,
    pub(crate) name: String,
    pub(crate) sections: Vec<SectionChoice>,
    pub(crate) by_name: String,
    pub(crate) by_progress: String,
    pub(crate) by_seen: String,
    pub(crate) book: String,
    pub(crate) columns: Vec<ColumnView>,
    pub(crate) rows: Vec<RowPiece>,
}

/// A section that the grid can be cut down to.
pub(crate) struct SectionChoice {
    number: usize,
    title: String,
    chosen: bool,
}

pub(crate) struct ColumnView {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) gap: bool,
    pub(crate) sorted: bool,
}

/// Who does what, as far as the cells tell.
pub(crate) struct Grid {
    cohort: Uuid,
    workshop: String,
    /// Slugs in the workshop's order, and whether a section begins there.
    columns: Vec<(String, bool)>,
    students: Vec<(Uuid, String)>,
    cells: HashMap<Uuid, HashMap<String, Cell>>,
    /// Titles of checks, by exercise and id.
    checks: HashMap<(String, String), String>,
    stumbles: HashMap<(Uuid, String), Stumble>,
}

impl Grid {
    /// Of all sections, or of one where there is one of this index.
    pub(crate) fn new(
        cohort: Uuid,
        workshop: &Workshop,
        section: Option<usize>,
        members: &[Member],
        cells: Vec<Cell>,
    ) -> Self {
        let only = section.filter(|index| *index < workshop.sections.len());
        let mut columns = Vec::new();
        for (index, section) in workshop.sections.iter().enumerate() {
            if only.is_some_and(|only| only != index) {
                continue;
            }
            for (place, slug) in section.exercises.iter().enumerate() {
                columns.push((slug.clone(), !columns.is_empty() && place == 0));
            }
        }
        let mut grid = Self {
            cohort,
            workshop: workshop.slug.clone(),
            columns,
            students: students(members),
            cells: HashMap::new(),
            checks: HashMap::new(),
            stumbles: HashMap::new(),
        };
        for cell in cells {
            grid.put(cell);
        }
        grid
    }

    /// Takes a cell in; whether that changes anything.
    pub(crate) fn put(&mut self, cell: Cell) -> bool {
        let of_person = self.cells.entry(cell.person).or_default();
        if of_person.get(&cell.exercise) == Some(&cell) {
            return false;
        }
        of_person.insert(cell.exercise.clone(), cell);
        true
    }

    /// Takes in who is a member now; the students who are new.
    pub(crate) fn join(&mut self, members: &[Member]) -> Vec<Uuid> {
        let now = students(members);
        let new = now.iter().filter(|student| !self.students.contains(student)).map(|(id, _)| *id).collect();
        self.students = now;
        new
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.students.is_empty()
    }

    /// Takes in over which checks students stumble now.
    pub(crate) fn explain(&mut self, stumbles: HashMap<(Uuid, String), Stumble>) {
        self.stumbles = stumbles;
    }

    pub(crate) fn row(&self, person: Uuid, wish: &Wish, now: DateTime<Utc>) -> Option<RowPiece> {
        let (_, name) = self.students.iter().find(|(id, _)| *id == person)?;
        Some(self.row_of(person, name, wish, now))
    }

    fn row_of(&self, person: Uuid, name: &str, wish: &Wish, now: DateTime<Utc>) -> RowPiece {
        let none = HashMap::new();
        let mine = self.cells.get(&person).unwrap_or(&none);
        let cells = self.columns.iter().map(|(slug, gap)| match mine.get(slug) {
            None => Spot::Empty { gap: *gap },
            Some(cell) => {
                let (letter, word) = letter(cell.state);
                let mut points = format!("{} of {}", cell.points.earned, cell.points.possible);
                if let Some(late) = terms::late(cell.late) {
                    points = format!("{points}, {late}");
                }
                let words = match cell.state {
                    CellState::Passed | CellState::Failed if cell.points.possible > 0 => {
                        format!("{word}, {points}")
                    }
                    _ => word.to_owned(),
                };
                Spot::Filled {
                    gap: *gap,
                    late: cell.late.days > 0,
                    letter,
                    submission: cell.latest_submission,
                    words,
                }
            }
        });
        let seen = mine.values().map(|cell| cell.changed_at).max();
        let done = self.done(mine);
        let stuck = self.stuck(mine);
        let classes = [
            ("stuck", stuck.is_some()),
            ("idle", self.idle(mine, now)),
            ("done", self.all_done(mine)),
            ("out", !wish.finds(name)),
        ];
        let classes: Vec<&str> =
            classes.iter().filter(|(_, holds)| *holds).map(|(class, _)| *class).collect();
        RowPiece {
            cohort: self.cohort,
            person,
            name: name.to_owned(),
            class: classes.join(" "),
            cells: cells.collect(),
            done,
            total: self.columns.len(),
            seen: seen.map(|at| Ago { at, now }),
            stuck: stuck.map(|slug| self.why(person, slug, now)),
        }
    }

    fn done(&self, mine: &HashMap<String, Cell>) -> usize {
        self.columns
            .iter()
            .filter(|(slug, _)| mine.get(slug).is_some_and(|cell| cell.state == CellState::Passed))
            .count()
    }

    fn why(&self, person: Uuid, exercise: &str, now: DateTime<Utc>) -> StuckView {
        let why = self.stumbles.get(&(person, exercise.to_owned())).map(|stumble| {
            let id = (exercise.to_owned(), stumble.check.clone());
            let title = self.checks.get(&id).unwrap_or(&stumble.check);
            (title.clone(), stumble.times, Ago { at: stumble.since, now })
        });
        StuckView { exercise: exercise.to_owned(), why }
    }

    fn all_done(&self, mine: &HashMap<String, Cell>) -> bool {
        !self.columns.is_empty() && self.done(mine) == self.columns.len()
    }

    /// The exercise tried most often without passing it.
    fn stuck<'c>(&self, mine: &'c HashMap<String, Cell>) -> Option<&'c str> {
        let shown = |cell: &&Cell| self.columns.iter().any(|(slug, _)| *slug == cell.exercise);
        mine.values()
            .filter(|cell| cell.state == CellState::Failed && cell.attempts >= STUCK_AFTER)
            .filter(shown)
            .max_by_key(|cell| (cell.attempts, cell.changed_at))
            .map(|cell| cell.exercise.as_str())
    }

    fn idle(&self, mine: &HashMap<String, Cell>, now: DateTime<Utc>) -> bool {
        let seen = mine.values().map(|cell| cell.changed_at).max();
        self.done(mine) < self.columns.len() && seen.is_none_or(|seen| now - seen > IDLE_AFTER)
    }

    pub(crate) fn summary(&self) -> SummaryPiece {
        let of_state = |state: CellState| {
            let students = self.students.iter().filter_map(|(id, _)| self.cells.get(id));
            students.flat_map(HashMap::values).filter(|cell| cell.state == state).count()
        };
        SummaryPiece {
            students: count(self.students.len().try_into().unwrap_or(i64::MAX), "student"),
            workshop: self.workshop.clone(),
            done: self
                .students
                .iter()
                .filter_map(|(id, _)| self.cells.get(id))
                .map(|mine| self.done(mine))
                .sum(),
            total: self.students.len() * self.columns.len(),
            grading: of_state(CellState::Running),
            queued: of_state(CellState::Queued),
            for_review: of_state(CellState::Waiting),
        }
    }

    pub(crate) fn filters(&self, wish: &Wish, now: DateTime<Utc>) -> FiltersPiece {
        let none = HashMap::new();
        let mine = || self.students.iter().map(|(id, _)| self.cells.get(id).unwrap_or(&none));
        let sort = wish.sort(&self.columns);
        let choice = |show, label, class, students| FilterView {
            show,
            label,
            class,
            href: format!("?{}", wish.query(show, sort)),
            students,
            current: wish.show() == show,
        };
        FiltersPiece {
            choices: [
                choice("all", "All", "", None),
                choice(
                    "stuck",
                    "Stuck",
                    " is-failed",
                    Some(mine().filter(|mine| self.stuck(mine).is_some()).count()),
                ),
                choice(
                    "idle",
                    "Idle",
                    " is-waiting",
                    Some(mine().filter(|mine| self.idle(mine, now)).count()),
                ),
                choice("done", "Done", " is-passed", Some(mine().filter(|mine| self.all_done(mine)).count())),
            ],
        }
    }

    fn rows(&self, wish: &Wish, now: DateTime<Utc>) -> Vec<RowPiece> {
        let mut rows: Vec<RowPiece> =
            self.students.iter().map(|(id, name)| self.row_of(*id, name, wish, now)).collect();
        match wish.sort(&self.columns) {
            // The least and the longest silent first: they are who a trainer looks for.
            "progress" => rows.sort_by_key(|row| row.done),
            "seen" => rows.sort_by_key(|row| row.seen.map(|seen| seen.at)),
            "name" => {}
            // Who has most trouble with it first, who has passed it last.
            slug => rows.sort_by_cached_key(|row| {
                let cell = self.cells.get(&row.person).and_then(|mine| mine.get(slug));
                let (state, attempts) =
                    cell.map_or((CellState::NotStarted, 0), |cell| (cell.state, cell.attempts));
                (trouble(state), std::cmp::Reverse(attempts))
            }),
        }
        rows
    }
}

/// The order in which a trainer looks at the cells of an exercise.
fn trouble(state: CellState) -> u8 {
    match state {
        CellState::Failed => 0,
        CellState::Fault => 1,
        CellState::Waiting => 2,
        CellState::Running | CellState::Queued => 3,
        CellState::NotStarted => 4,
        CellState::Passed => 5,
    }
}

fn students(members: &[Member]) -> Vec<(Uuid, String)> {
    let students = members.iter().filter(|member| member.role == Role::Student);
    students.map(|member| (member.person, member.name.clone())).collect()
}

/// The class of a cell, which is short because a grid has thousands, and its word.
fn letter(state: CellState) -> (&'static str, &'static str) {
    match state {
        CellState::NotStarted => ("n", "not started"),
        CellState::Waiting => ("w", "for review"),
        CellState::Queued => ("w", "in the queue"),
        CellState::Running => ("r", "grading"),
        CellState::Passed => ("p", "passed"),
        CellState::Failed => ("f", "not yet"),
        CellState::Fault => ("t", "our fault"),
    }
}

/// Over which checks those stumble who are stuck.
pub(crate) async fn stumbles(state: &AppState, cohort: Uuid) -> Result<HashMap<(Uuid, String), Stumble>> {
    Ok(state.store.stumbles(cohort, STUCK_AFTER).await?)
}

/// Whether a cell may be a reason to be stuck.
pub(crate) fn troubles(cell: &Cell) -> bool {
    cell.state == CellState::Failed && cell.attempts >= STUCK_AFTER
}

/// Where students join.
pub(crate) fn join_link(state: &AppState, cohort: &Cohort) -> String {
    let listen = || format!("http://{}", state.settings.listen);
    let origin = state.settings.public_url.clone().unwrap_or_else(listen);
    format!("{}/join/{}", origin.trim_end_matches('/'), cohort.join_code)
}

/// The grid as it is stored now.
pub(crate) async fn load(state: &AppState, cohort: &Cohort, wish: &Wish) -> Result<Grid> {
    let workshop = state.shelf.workshop(cohort).await?;
    let members = state.store.members(cohort.id).await?;
    let cells = state.store.cells(cohort.id).await?;
    let mut grid = Grid::new(cohort.id, &workshop, wish.section(), &members, cells);
    grid.explain(stumbles(state, cohort.id).await?);
    for exercise in state.shelf.of_workshop(&workshop).await?.into_values() {
        for check in &exercise.checks {
            grid.checks.insert((exercise.slug.clone(), check.id.clone()), check.title.clone());
        }
    }
    Ok(grid)
}

/// `GET /cohorts/{cohort}/grid`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Query(wish): body::Query<Wish>,
) -> Result<GridPage> {
    let cohort = &scope.cohort;
    // What changes between here and the stream's beginning is found by its first look back.
    let now = state.clock.now();
    let grid = load(&state, cohort, &wish).await?;
    let workshop = state.shelf.workshop(cohort).await?;
    let sort = wish.sort(&grid.columns).to_owned();
    let by = |sort: &str| format!("?{}", wish.query(wish.show(), sort));
    let titles: HashMap<String, String> =
        state.store.published_exercises().await?.into_iter().map(|one| (one.slug, one.title)).collect();
    let here = format!("/cohorts/{}/grid", cohort.id);
    let columns = grid.columns.iter().map(|(slug, gap)| ColumnView {
        title: titles.get(slug).unwrap_or(slug).clone(),
        href: by(slug),
        sorted: sort == *slug,
        slug: slug.clone(),
        gap: *gap,
    });
    Ok(GridPage {
        frame: crate::web::student::board::frame(&viewer, &scope, &csrf).at(&here, "Cohort"),
        tabs: Tabs::at(cohort.id, Tab::Students),
        cohort: cohort.name.clone(),
        summary: grid.summary(),
        filters: grid.filters(&wish, now),
        stream: format!("{here}/events?since={}&{}", now.timestamp_micros(), wish.query(wish.show(), &sort)),
        join_link: join_link(&state, cohort),
        join_code: cohort.join_code.clone(),
        show: wish.show(),
        name: wish.name.clone(),
        sections: workshop
            .sections
            .iter()
            .enumerate()
            .map(|(index, section)| SectionChoice {
                number: index + 1,
                title: section.title.clone(),
                chosen: wish.section() == Some(index),
            })
            .collect(),
        by_name: by("name"),
        by_progress: by("progress"),
        by_seen: by("seen"),
        book: format!("/api/v1/cohorts/{}/gradebook", cohort.id),
        columns: columns.collect(),
        sort: sort.clone(),
        rows: grid.rows(&wish, now),
    })
}
