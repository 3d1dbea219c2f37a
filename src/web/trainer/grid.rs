//! The cohort grid: students by exercises, each cell's state at a glance.

use std::collections::HashMap;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs};
use crate::accounts::Role;
use crate::exercises::Workshop;
use crate::store::{Cell, CellState, Cohort, Member};
use crate::web::page::Frame;
use crate::web::terms;
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Result, Scope, Viewer, body};

/// Attempts at one exercise without passing it after which somebody counts as stuck.
const STUCK_AFTER: i64 = 3;
/// Silence after which somebody who is not done counts as idle.
const IDLE_AFTER: TimeDelta = TimeDelta::minutes(30);

/// What a trainer asked the grid to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    show: String,
    sort: String,
}

impl Wish {
    fn show(&self) -> &'static str {
        match self.show.as_str() {
            "stuck" => "stuck",
            "idle" => "idle",
            _ => "all",
        }
    }

    fn sort(&self) -> &'static str {
        match self.sort.as_str() {
            "progress" => "progress",
            "seen" => "seen",
            _ => "name",
        }
    }
}

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
    pub(crate) sort: &'static str,
    pub(crate) columns: Vec<ColumnView>,
    pub(crate) rows: Vec<RowPiece>,
}

pub(crate) struct ColumnView {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) gap: bool,
}

/// `summary` of the page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "trainer/summary.html")]
pub(crate) struct SummaryPiece {
    students: String,
    workshop: String,
    done: usize,
    total: usize,
    grading: usize,
    queued: usize,
    for_review: usize,
}

/// `filters` of the page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "trainer/filters.html")]
pub(crate) struct FiltersPiece {
    show: &'static str,
    sort: &'static str,
    stuck: usize,
    idle: usize,
}

/// One student's row of the page.
#[derive(Template)]
#[template(path = "trainer/row.html")]
pub(crate) struct RowPiece {
    cohort: Uuid,
    person: Uuid,
    name: String,
    class: &'static str,
    cells: Vec<Spot>,
    done: usize,
    total: usize,
    seen: Option<Ago>,
    stuck: Option<String>,
}

impl askama::filters::HtmlSafe for SummaryPiece {}
impl askama::filters::HtmlSafe for FiltersPiece {}
impl askama::filters::HtmlSafe for RowPiece {}

/// One cell.
enum Spot {
    Empty { gap: bool },
    Filled { gap: bool, late: bool, letter: &'static str, submission: Uuid, words: String },
}

/// Who does what, as far as the cells tell.
pub(crate) struct Grid {
    cohort: Uuid,
    workshop: String,
    /// Slugs in the workshop's order, and whether a section begins there.
    columns: Vec<(String, bool)>,
    students: Vec<(Uuid, String)>,
    cells: HashMap<Uuid, HashMap<String, Cell>>,
}

impl Grid {
    pub(crate) fn new(cohort: Uuid, workshop: &Workshop, members: &[Member], cells: Vec<Cell>) -> Self {
        let mut columns = Vec::new();
        for (index, section) in workshop.sections.iter().enumerate() {
            for (place, slug) in section.exercises.iter().enumerate() {
                columns.push((slug.clone(), index > 0 && place == 0));
            }
        }
        let mut grid = Self {
            cohort,
            workshop: workshop.slug.clone(),
            columns,
            students: students(members),
            cells: HashMap::new(),
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

    pub(crate) fn row(&self, person: Uuid, now: DateTime<Utc>) -> Option<RowPiece> {
        let (_, name) = self.students.iter().find(|(id, _)| *id == person)?;
        Some(self.row_of(person, name, now))
    }

    fn row_of(&self, person: Uuid, name: &str, now: DateTime<Utc>) -> RowPiece {
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
        let stuck = Self::stuck(mine);
        let idle = self.idle(mine, now);
        RowPiece {
            cohort: self.cohort,
            person,
            name: name.to_owned(),
            class: match (stuck.is_some(), idle) {
                (true, true) => "stuck idle",
                (true, false) => "stuck",
                (false, true) => "idle",
                (false, false) => "",
            },
            cells: cells.collect(),
            done,
            total: self.columns.len(),
            seen: seen.map(|at| Ago { at, now }),
            stuck: stuck.map(str::to_owned),
        }
    }

    fn done(&self, mine: &HashMap<String, Cell>) -> usize {
        self.columns
            .iter()
            .filter(|(slug, _)| mine.get(slug).is_some_and(|cell| cell.state == CellState::Passed))
            .count()
    }

    /// The exercise tried most often without passing it.
    fn stuck(mine: &HashMap<String, Cell>) -> Option<&str> {
        mine.values()
            .filter(|cell| cell.state == CellState::Failed && cell.attempts >= STUCK_AFTER)
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
        FiltersPiece {
            show: wish.show(),
            sort: wish.sort(),
            stuck: mine().filter(|mine| Self::stuck(mine).is_some()).count(),
            idle: mine().filter(|mine| self.idle(mine, now)).count(),
        }
    }

    fn rows(&self, wish: &Wish, now: DateTime<Utc>) -> Vec<RowPiece> {
        let mut rows: Vec<RowPiece> =
            self.students.iter().map(|(id, name)| self.row_of(*id, name, now)).collect();
        match wish.sort() {
            // The least and the longest silent first: they are who a trainer looks for.
            "progress" => rows.sort_by_key(|row| row.done),
            "seen" => rows.sort_by_key(|row| row.seen.map(|seen| seen.at)),
            _ => {}
        }
        rows
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

/// The grid as it is stored now.
pub(crate) async fn load(state: &AppState, cohort: &Cohort) -> Result<Grid> {
    let workshop = state.shelf.workshop(cohort).await?;
    let members = state.store.members(cohort.id).await?;
    let cells = state.store.cells(cohort.id).await?;
    Ok(Grid::new(cohort.id, &workshop, &members, cells))
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
    let grid = load(&state, cohort).await?;
    let titles: HashMap<String, String> =
        state.store.published_exercises().await?.into_iter().map(|one| (one.slug, one.title)).collect();
    let here = format!("/cohorts/{}/grid", cohort.id);
    let origin =
        state.settings.public_url.clone().unwrap_or_else(|| format!("http://{}", state.settings.listen));
    let columns = grid.columns.iter().map(|(slug, gap)| ColumnView {
        title: titles.get(slug).unwrap_or(slug).clone(),
        href: crate::web::student::board::href(cohort.id, slug),
        slug: slug.clone(),
        gap: *gap,
    });
    Ok(GridPage {
        frame: crate::web::student::board::frame(&viewer, &scope, &csrf).at(&here, "Cohort"),
        tabs: Tabs::at(cohort.id, Tab::Students),
        cohort: cohort.name.clone(),
        summary: grid.summary(),
        filters: grid.filters(&wish, now),
        stream: format!(
            "{here}/events?since={}&show={}&sort={}",
            now.timestamp_micros(),
            wish.show(),
            wish.sort()
        ),
        join_link: format!("{}/join/{}", origin.trim_end_matches('/'), cohort.join_code),
        join_code: cohort.join_code.clone(),
        show: wish.show(),
        sort: wish.sort(),
        columns: columns.collect(),
        rows: grid.rows(&wish, now),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::exercises::Section;
    use crate::report::Points;

    pub(crate) fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc()
    }

    pub(crate) fn workshop() -> Workshop {
        let section = |title: &str, exercises: &[&str]| Section {
            title: title.into(),
            exercises: exercises.iter().map(|slug| (*slug).to_owned()).collect(),
        };
        Workshop {
            slug: "containers-from-zero".into(),
            title: "Containers from zero".into(),
            audience: "Developers".into(),
            sections: vec![
                section("First steps", &["what-is-a-container"]),
                section("Images", &["first-container", "dockerfile-basics", "ports-and-env"]),
            ],
        }
    }

    pub(crate) fn member(number: u128, name: &str, role: Role) -> Member {
        Member { person: Uuid::from_u128(number), name: name.into(), role, joined_at: now() }
    }

    pub(crate) fn cell(person: u128, exercise: &str, state: CellState, attempts: i64, minutes: i64) -> Cell {
        Cell {
            person: Uuid::from_u128(person),
            exercise: exercise.into(),
            state,
            submissions: attempts,
            attempts,
            points: Points { earned: 3, possible: 5 },
            late: crate::terms::Lateness::NONE,
            latest_submission: Uuid::from_u128(person + 1000),
            changed_at: now() - TimeDelta::minutes(minutes),
        }
    }

    fn grid() -> Grid {
        let members = [
            member(1, "Ada <b>", Role::Student),
            member(2, "Bilal", Role::Student),
            member(3, "Chen", Role::Student),
            member(9, "Tess", Role::Trainer),
        ];
        let cells = vec![
            cell(1, "what-is-a-container", CellState::Passed, 1, 50),
            cell(1, "ports-and-env", CellState::Failed, 3, 41),
            cell(2, "first-container", CellState::Running, 0, 1),
        ];
        Grid::new(Uuid::from_u128(77), &workshop(), &members, cells)
    }

    #[test]
    fn a_row_tells_state_progress_and_who_is_stuck() {
        let grid = grid();
        let row = grid.row(Uuid::from_u128(1), now()).unwrap().to_string();
        assert!(row.contains("Ada &#60;b&#62;") || row.contains("Ada &lt;b&gt;"), "{row}");
        assert!(row.contains("class=\"stuck idle\""), "{row}");
        assert!(row.contains("<td class=\"p\"><a href=\"/submissions/"), "{row}");
        assert!(row.contains("not yet, 3 of 5"), "{row}");
        assert!(row.contains("41 min ago</time>, <b>stuck on ports-and-env</b>"), "{row}");
        assert!(row.contains("<progress value=\"1\" max=\"4\">"), "{row}");
        assert_eq!(
            row.matches("<td").count(),
            4 + 2,
            "a cell for each exercise, progress and last seen: {row}"
        );
        let never = grid.row(Uuid::from_u128(3), now()).unwrap().to_string();
        assert!(never.contains("not started") && never.contains("class=\"idle\""), "{never}");
        assert!(grid.row(Uuid::from_u128(9), now()).is_none(), "a trainer has no row");
    }

    #[test]
    fn the_summary_counts_students_only() {
        let grid = grid();
        let summary = grid.summary().to_string();
        assert!(
            summary.contains("3 students · containers-from-zero · 1 of 12 done · 1 grading now"),
            "{summary}"
        );
        let filters = grid.filters(&Wish { show: "stuck".into(), sort: "evil\">".into() }, now());
        assert_eq!((filters.stuck, filters.idle, filters.show, filters.sort), (1, 2, "stuck", "name"));
    }

    #[test]
    fn what_is_already_known_changes_nothing() {
        let mut grid = grid();
        assert!(!grid.put(cell(2, "first-container", CellState::Running, 0, 1)));
        assert!(grid.put(cell(2, "first-container", CellState::Passed, 1, 0)));
        let members = [member(1, "Ada <b>", Role::Student), member(4, "Dana", Role::Student)];
        assert_eq!(grid.join(&members), [Uuid::from_u128(4)]);
    }
}
