//! The grid from its cells.

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
    Grid::new(Uuid::from_u128(77), &workshop(), None, &members, cells)
}

#[test]
fn a_row_tells_state_progress_and_who_is_stuck() {
    let grid = grid();
    let row = grid.row(Uuid::from_u128(1), &Wish::default(), now()).unwrap().to_string();
    assert!(row.contains("Ada &#60;b&#62;") || row.contains("Ada &lt;b&gt;"), "{row}");
    assert!(row.contains("class=\"stuck idle\""), "{row}");
    assert!(row.contains("<td class=\"p\"><a href=\"/submissions/"), "{row}");
    assert!(row.contains("not yet, 3 of 5"), "{row}");
    assert!(row.contains("41 min ago</time>, <b>stuck on ports-and-env</b>"), "{row}");
    assert!(row.contains("<progress value=\"1\" max=\"4\">"), "{row}");
    assert_eq!(row.matches("<td").count(), 4 + 2, "a cell for each exercise, progress and last seen: {row}");
    let never = grid.row(Uuid::from_u128(3), &Wish::default(), now()).unwrap().to_string();
    assert!(never.contains("not started") && never.contains("class=\"idle\""), "{never}");
    assert!(grid.row(Uuid::from_u128(9), &Wish::default(), now()).is_none(), "a trainer has no row");
}

#[test]
fn the_summary_counts_students_only() {
    let grid = grid();
    let summary = grid.summary().to_string();
    assert!(
        summary.contains("3 students · containers-from-zero · 1 of 12 done · 1 grading now"),
        "{summary}"
    );
    let wish =
        Wish { show: "stuck".into(), sort: "evil\">".into(), name: "a&b\">".into(), ..Wish::default() };
    let filters = grid.filters(&wish, now());
    let counts = filters.choices.each_ref().map(|choice| choice.students);
    assert_eq!(counts, [None, Some(1), Some(2), Some(0)]);
    assert!(filters.choices[1].current && !filters.choices[0].current);
    assert_eq!(filters.choices[2].href, "?show=idle&sort=name&name=a%26b%22%3E");
}

#[test]
fn a_row_says_why_somebody_is_stuck() {
    let mut grid = grid();
    let stumble = Stumble { check: "port".into(), times: 3, since: now() - TimeDelta::minutes(41) };
    grid.explain(HashMap::from([((Uuid::from_u128(1), "ports-and-env".to_owned()), stumble)]));
    grid.checks.insert(("ports-and-env".into(), "port".into()), "It <i>listens</i>".into());
    let row = grid.row(Uuid::from_u128(1), &Wish::default(), now()).unwrap().to_string();
    assert!(row.contains("It &#60;i&#62;listens&#60;/i&#62;” failed 3 times, since <time"), "{row}");
}

#[test]
fn one_section_is_a_grid_of_its_own() {
    let members = [member(1, "Ada", Role::Student)];
    let cells = vec![cell(1, "what-is-a-container", CellState::Passed, 1, 50)];
    let wish = Wish { section: "1".into(), ..Wish::default() };
    let grid = Grid::new(Uuid::nil(), &workshop(), wish.section(), &members, cells.clone());
    let row = grid.row(Uuid::from_u128(1), &wish, now()).unwrap().to_string();
    assert!(row.contains("class=\"done\"") && row.contains("1 of 1"), "{row}");
    for odd in ["0", "9", "x", "-1"] {
        let wish = Wish { section: odd.into(), ..Wish::default() };
        let grid = Grid::new(Uuid::nil(), &workshop(), wish.section(), &members, cells.clone());
        assert_eq!(grid.columns.len(), 4, "{odd} is no section");
    }
}

#[test]
fn who_has_most_trouble_with_an_exercise_comes_first() {
    let members = [
        member(1, "Ada", Role::Student),
        member(2, "Bilal", Role::Student),
        member(3, "Chen", Role::Student),
        member(4, "Dana", Role::Student),
    ];
    let cells = vec![
        cell(1, "ports-and-env", CellState::Passed, 1, 5),
        cell(2, "ports-and-env", CellState::Failed, 1, 5),
        cell(4, "ports-and-env", CellState::Failed, 4, 5),
    ];
    let grid = Grid::new(Uuid::nil(), &workshop(), None, &members, cells);
    let wish = Wish { sort: "ports-and-env".into(), name: "DA".into(), ..Wish::default() };
    let rows = grid.rows(&wish, now());
    let names: Vec<(&str, bool)> =
        rows.iter().map(|row| (row.name.as_str(), row.class.contains("out"))).collect();
    assert_eq!(names, [("Dana", false), ("Bilal", true), ("Chen", true), ("Ada", false)]);
}

#[test]
fn what_is_already_known_changes_nothing() {
    let mut grid = grid();
    assert!(!grid.put(cell(2, "first-container", CellState::Running, 0, 1)));
    assert!(grid.put(cell(2, "first-container", CellState::Passed, 1, 0)));
    let members = [member(1, "Ada <b>", Role::Student), member(4, "Dana", Role::Student)];
    assert_eq!(grid.join(&members), [Uuid::from_u128(4)]);
}
