//! A cohort in plots: what was handed in when, how far everybody is, and what each exercise takes.

use std::collections::{HashMap, HashSet};

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::plots::{BarRow, Bars, Column, Columns, Part, as_number};
use super::tabs::{Tab, Tabs, frame};
use crate::accounts::Role;
use crate::report::Verdict;
use crate::store::{Cell, CellState, HandedIn};
use crate::web::page::Frame;
use crate::web::words::count;
use crate::web::{AppState, Csrf, Result, Scope, Viewer};

/// The most columns of the plot over time.
const COLUMNS: i64 = 48;
/// Minutes that a column may stand for.
const SPANS: [i64; 9] = [5, 15, 30, 60, 180, 360, 1440, 7 * 1440, 28 * 1440];

/// The plots of a cohort.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/statistics.html")]
pub struct StatisticsPage {
    frame: Frame,
    tabs: Tabs,
    cohort: String,
    over_time: Option<Columns>,
    bars: Vec<Bars>,
}

/// `GET /cohorts/{cohort}/statistics`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<StatisticsPage> {
    let cohort = &scope.cohort;
    let workshop = state.shelf.workshop(cohort).await?;
    let exercises = state.shelf.of_workshop(&workshop).await?;
    let members = state.store.members(cohort.id).await?;
    let students: HashSet<Uuid> =
        members.iter().filter(|member| member.role == Role::Student).map(|member| member.person).collect();
    let all = state.store.handed_in(cohort.id).await?;
    let mut cells = state.store.cells(cohort.id).await?;
    cells.retain(|cell| students.contains(&cell.person));
    let named: Vec<(&str, String)> = workshop
        .sections
        .iter()
        .flat_map(|section| &section.exercises)
        .filter_map(|slug| exercises.get(slug))
        .map(|exercise| (exercise.slug.as_str(), exercise.title.clone()))
        .collect();
    let bars = if all.is_empty() {
        Vec::new()
    } else {
        vec![completion(&named, &cells, students.len()), attempts(&named, &all), time(&named, &all)]
    };
    Ok(StatisticsPage {
        frame: frame(&viewer, &scope, &csrf).at(href(cohort.id), "Statistics"),
        tabs: Tabs::at(cohort.id, Tab::Statistics),
        cohort: cohort.name.clone(),
        over_time: over_time(&all),
        bars,
    })
}

/// Submissions in spans of equal length from the first to the last.
fn over_time(all: &[HandedIn]) -> Option<Columns> {
    let (first, last) = (all.first()?.at, all.last()?.at);
    let minutes = SPANS.into_iter().find(|minutes| (last - first).num_minutes() / minutes < COLUMNS - 1);
    let span = TimeDelta::minutes(minutes.unwrap_or(SPANS[SPANS.len() - 1]));
    let seconds = span.num_seconds();
    // Columns begin at whole hours and days.
    let begin = DateTime::from_timestamp(first.timestamp().div_euclid(seconds) * seconds, 0)?;
    let place = |at: DateTime<Utc>| usize::try_from((at - begin).num_seconds() / seconds).unwrap_or(0);
    let form = if seconds < 86_400 { "%-d %b, %H:%M" } else { "%-d %b %Y" };
    let short = if seconds < 86_400 && (last - first) < TimeDelta::days(1) { "%H:%M" } else { "%-d %b" };
    let number = place(last) + 1;
    let every = number.div_ceil(8);
    let mut columns: Vec<Column> = (0..number)
        .map(|index| {
            let at = begin + span * i32::try_from(index).unwrap_or(i32::MAX);
            let tick = if index % every == 0 { at.format(short).to_string() } else { String::new() };
            Column { name: format!("{} UTC", at.format(form)), tick, values: vec![0; 3] }
        })
        .collect();
    for one in all {
        let part = match one.verdict {
            Some(Verdict::Passed) => 0,
            Some(_) => 1,
            None => 2,
        };
        columns[place(one.at)].values[part] += 1;
    }
    Some(Columns {
        id: "over-time",
        title: "Submissions over time",
        about: format!(
            "{} between {} and {} UTC, in spans of {}.",
            count(all.len().try_into().unwrap_or(i64::MAX), "submission"),
            first.format("%-d %b %Y, %H:%M"),
            last.format("%-d %b %Y, %H:%M"),
            crate::web::terms::waiting(span)
        ),
        parts: vec![
            Part { name: "passed", class: "passed" },
            Part { name: "not yet", class: "failed" },
            Part { name: "not judged", class: "skipped" },
        ],
        spans: columns,
    })
}

fn completion(exercises: &[(&str, String)], cells: &[Cell], students: usize) -> Bars {
    let rows = exercises.iter().map(|(slug, title)| {
        let of = |states: &[CellState]| {
            cells.iter().filter(|cell| cell.exercise == *slug && states.contains(&cell.state)).count()
        };
        let passed = of(&[CellState::Passed]);
        let under_way = of(&[CellState::Queued, CellState::Running, CellState::Waiting, CellState::Fault]);
        let failed = of(&[CellState::Failed]);
        let not_started = students.saturating_sub(passed + under_way + failed);
        let numbers = [passed, under_way, failed, not_started];
        BarRow {
            name: title.clone(),
            values: numbers.iter().map(|number| as_number(*number)).collect(),
            words: numbers.iter().map(usize::to_string).collect(),
            told: format!("{passed} of {students}"),
        }
    });
    Bars {
        id: "completion",
        title: "Completion",
        about: format!(
            "How many of {} have passed each exercise.",
            count(students.try_into().unwrap_or(i64::MAX), "student")
        ),
        parts: vec![
            Part { name: "passed", class: "passed" },
            Part { name: "under way or for review", class: "waiting" },
            Part { name: "not yet", class: "failed" },
            Part { name: "not started", class: "line" },
        ],
        rows: rows.collect(),
    }
}

/// What each student handed in in an exercise, oldest first.
fn by_student<'a>(all: &'a [HandedIn], slug: &str) -> Vec<Vec<&'a HandedIn>> {
    let mut mine: HashMap<Uuid, Vec<&HandedIn>> = HashMap::new();
    for one in all.iter().filter(|one| one.exercise == slug) {
        mine.entry(one.person).or_default().push(one);
    }
    mine.into_values().collect()
}

fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

/// A number with at most one decimal.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.trim_end_matches(".0").to_owned()
}

fn attempts(exercises: &[(&str, String)], all: &[HandedIn]) -> Bars {
    let rows = exercises.iter().map(|(slug, title)| {
        let mut judged: Vec<f64> = by_student(all, slug)
            .iter()
            .map(|mine| as_number(mine.iter().filter(|one| one.verdict.is_some()).count()))
            .filter(|number| *number > 0.0)
            .collect();
        let most = judged.iter().copied().fold(0.0, f64::max);
        let middle = median(&mut judged);
        BarRow {
            name: title.clone(),
            values: vec![middle.unwrap_or_default()],
            words: vec![middle.map_or_else(|| "–".to_owned(), short)],
            told: match middle {
                None => "nobody yet".into(),
                Some(middle) => format!("{}, at most {}", short(middle), short(most)),
            },
        }
    });
    Bars {
        id: "attempts",
        title: "Attempts",
        about: "How often something was handed in that was judged: half of those who tried needed fewer, half more."
            .into(),
        parts: vec![Part { name: "median of attempts", class: "action" }],
        rows: rows.collect(),
    }
}

fn time(exercises: &[(&str, String)], all: &[HandedIn]) -> Bars {
    let rows = exercises.iter().map(|(slug, title)| {
        let mut minutes: Vec<f64> = by_student(all, slug)
            .iter()
            .filter_map(|mine| {
                let passed = mine.iter().find(|one| one.verdict == Some(Verdict::Passed))?;
                Some((passed.at - mine[0].at).as_seconds_f64() / 60.0)
            })
            .collect();
        let passed = minutes.len();
        let middle = median(&mut minutes);
        let told = middle.map(|middle| format!("{} min", short(middle)));
        BarRow {
            name: title.clone(),
            values: vec![middle.unwrap_or_default()],
            words: vec![told.clone().unwrap_or_else(|| "–".into())],
            told: match told {
                None => "nobody passed yet".into(),
                Some(told) => format!("{told}, of {passed}"),
            },
        }
    });
    Bars {
        id: "time",
        title: "Time",
        about: "From the first submission to the first that passed: half of those who passed took less, half more."
            .into(),
        parts: vec![Part { name: "median of minutes", class: "action" }],
        rows: rows.collect(),
    }
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/statistics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_in(person: u128, minutes: i64, verdict: Option<Verdict>) -> HandedIn {
        let begin = DateTime::parse_from_rfc3339("2026-03-01T08:02:00Z").unwrap().to_utc();
        let at = begin + TimeDelta::minutes(minutes);
        HandedIn { person: Uuid::from_u128(person), exercise: "x".into(), at, verdict }
    }

    #[test]
    fn spans_are_as_long_as_they_have_to_be() {
        assert!(over_time(&[]).is_none());
        for (minutes, columns, begin) in
            [(0, 1, "1 Mar, 08:00 UTC"), (100, 21, "1 Mar, 08:00 UTC"), (60 * 24 * 30, 31, "1 Mar 2026 UTC")]
        {
            let plot = over_time(&[handed_in(1, 0, None), handed_in(1, minutes, None)]).unwrap();
            assert_eq!((plot.spans.len(), plot.spans[0].name.as_str()), (columns, begin), "{minutes}");
            let sum: usize = plot.spans.iter().flat_map(|column| &column.values).sum();
            assert_eq!(sum, 2, "everything is in a column");
        }
    }

    #[test]
    fn the_middle_of_those_who_passed() {
        let (passed, failed) = (Some(Verdict::Passed), Some(Verdict::Failed));
        let all = [
            handed_in(1, 0, failed),
            handed_in(2, 1, passed),
            handed_in(1, 10, passed),
            handed_in(3, 12, failed),
            handed_in(3, 13, None),
        ];
        let named = [("x", "An exercise".to_owned()), ("y", "Another".to_owned())];
        let plot = time(&named, &all);
        assert_eq!(
            (plot.rows[0].told.as_str(), plot.rows[1].told.as_str()),
            ("5 min, of 2", "nobody passed yet")
        );
        let plot = attempts(&named, &all);
        assert_eq!((plot.rows[0].told.as_str(), plot.rows[1].told.as_str()), ("1, at most 2", "nobody yet"));
    }
}
