//! What is thrown onto the wall: how to join, how far the room is, how long there is left. Nobody's name is
//! on it.

use std::fmt::Write as _;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures::StreamExt as _;
use qrcode::{Color, EcLevel, QrCode};
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::frame;
use crate::accounts::Role;
use crate::store::{CellState, Cohort};
use crate::web::page::{Frame, home_of};
use crate::web::sse::{self, Message};
use crate::web::update::{Patch, Update};
use crate::web::words::count;
use crate::web::{AppState, Csrf, Result, Scope, Viewer, body};

/// Modules of white around the code; less is not read reliably (ISO/IEC 18004).
const QUIET: usize = 4;
/// How often is looked for who has joined.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// The page.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/projector.html")]
pub struct ProjectorPage {
    frame: Frame,
    cohort: String,
    back: String,
    join_code: String,
    join_link: String,
    /// Whether anybody can join.
    open: bool,
    code: Option<Code>,
    stream: String,
    /// Until when, as the form has it, and as a moment.
    until: String,
    ends: Option<(String, String)>,
    room: RoomPiece,
}

/// A QR code as a drawing.
struct Code {
    /// Modules along a side, the white around them included.
    side: usize,
    path: String,
}

impl Code {
    /// `None` for a link that is longer than a code can be.
    fn of(link: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(link, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (index, colour) in code.to_colors().into_iter().enumerate() {
            if colour == Color::Dark {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h1v1h-1z", index % width + QUIET, index / width + QUIET);
            }
        }
        Some(Self { side: width + 2 * QUIET, path })
    }
}

/// `room` of the page.
#[derive(Clone, PartialEq, Eq, Template)]
#[template(path = "trainer/room.html")]
pub(crate) struct RoomPiece {
    students: usize,
    done: usize,
    total: usize,
    rows: Vec<RoomRow>,
}

#[derive(Clone, PartialEq, Eq)]
struct RoomRow {
    title: String,
    passed: usize,
    /// Who are on it now and not through.
    at_it: usize,
}

impl askama::filters::HtmlSafe for RoomPiece {}

impl RoomPiece {
    async fn of(state: &AppState, cohort: &Cohort) -> Result<Self> {
        let workshop = state.shelf.workshop(cohort).await?;
        let titles: std::collections::HashMap<String, String> =
            state.store.published_exercises().await?.into_iter().map(|one| (one.slug, one.title)).collect();
        let members = state.store.members(cohort.id).await?;
        let students: std::collections::HashSet<Uuid> = members
            .iter()
            .filter(|member| member.role == Role::Student)
            .map(|member| member.person)
            .collect();
        let mut cells = state.store.cells(cohort.id).await?;
        cells.retain(|cell| students.contains(&cell.person));
        let slugs = workshop.sections.iter().flat_map(|section| &section.exercises);
        let rows: Vec<RoomRow> = slugs
            .map(|slug| {
                let mine = || cells.iter().filter(|cell| cell.exercise == *slug);
                let passed = mine().filter(|cell| cell.state == CellState::Passed).count();
                RoomRow {
                    title: titles.get(slug).unwrap_or(slug).clone(),
                    passed,
                    at_it: mine().count() - passed,
                }
            })
            .collect();
        Ok(Self {
            students: students.len(),
            done: rows.iter().map(|row| row.passed).sum(),
            total: students.len() * rows.len(),
            rows,
        })
    }

    fn said(&self) -> String {
        count(self.students.try_into().unwrap_or(i64::MAX), "student")
    }
}

/// Until when the countdown runs, in UTC.
#[derive(Deserialize)]
pub struct Until {
    #[serde(default)]
    until: String,
}

impl Until {
    fn moment(&self) -> Option<DateTime<Utc>> {
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
        let read = |form: &&str| NaiveDateTime::parse_from_str(self.until.trim(), form).ok();
        forms.iter().find_map(read).map(|at| at.and_utc())
    }
}

/// `GET /cohorts/{cohort}/projector`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Query(until): body::Query<Until>,
) -> Result<ProjectorPage> {
    let cohort = &scope.cohort;
    let here = href(cohort.id);
    let join_link = super::grid::join_link(&state, cohort);
    let ends = until.moment();
    Ok(ProjectorPage {
        frame: frame(&viewer, &scope, &csrf).at(&here, "Projector"),
        cohort: cohort.name.clone(),
        back: home_of(cohort.id, Role::Trainer),
        join_code: cohort.join_code.clone(),
        open: cohort.closed_at.is_none(),
        code: Code::of(&join_link),
        join_link,
        stream: format!("{here}/events"),
        until: ends.map(|at| at.format("%Y-%m-%dT%H:%M").to_string()).unwrap_or_default(),
        ends: ends.map(|at| {
            (at.format("%Y-%m-%dT%H:%M:%SZ").to_string(), at.format("until %H:%M UTC").to_string())
        }),
        room: RoomPiece::of(&state, cohort).await?,
    })
}

/// `GET /cohorts/{cohort}/projector/events`
///
/// # Errors
/// [`crate::web::Error::TooMany`] when the viewer follows too much at once.
pub async fn events(State(state): State<AppState>, viewer: Viewer, scope: Scope) -> Result<Response> {
    let changes = state.live.follow_cohort(scope.cohort.id, None).boxed();
    let look = tokio::time::interval(LOOK);
    let begin = (state.clone(), scope.cohort, changes, look, None::<RoomPiece>);
    let messages =
        futures::stream::unfold(begin, |(state, cohort, mut changes, mut look, known)| async move {
            loop {
                let room = match RoomPiece::of(&state, &cohort).await {
                    Ok(room) => room,
                    Err(error) => {
                        tracing::warn!(%error, cohort = %cohort.id, "web.projector_stream_broke");
                        return None;
                    }
                };
                if known.as_ref() != Some(&room) {
                    let message = Message::new("update", &Update::of(Patch::anew("room", &room)))?;
                    return Some((message, (state, cohort, changes, look, Some(room))));
                }
                tokio::select! {
                    change = changes.next() => drop(change?),
                    _ = look.tick() => {}
                }
            }
        });
    sse::messages(&state, &viewer, messages)
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/projector")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_white_around_it() {
        let code = Code::of("https://drydock.example.org/join/K7M-4QX").unwrap();
        assert_eq!(code.side, 29 + 2 * QUIET, "version 3 holds it");
        for corner in ["M4 4h1v1h-1z", "M32 4h1v1h-1z", "M4 32h1v1h-1z"] {
            assert!(code.path.contains(corner), "{corner} is dark");
        }
        let outside = code.path.split('M').skip(1).filter(|module| {
            let (x, rest) = module.split_once(' ').unwrap();
            let y = rest.split_once('h').unwrap().0;
            [x, y].iter().any(|at| !(4..33).contains(&at.parse::<usize>().unwrap()))
        });
        assert_eq!(outside.count(), 0, "the quiet zone is white");
        assert!(Code::of(&"x".repeat(10_000)).is_none());
    }

    #[test]
    fn an_end_is_read_in_utc() {
        let until = |text: &str| Until { until: text.into() }.moment().map(|at| at.to_rfc3339());
        assert_eq!(until("2026-03-01T12:00").as_deref(), Some("2026-03-01T12:00:00+00:00"));
        assert_eq!(until("soon"), None);
        assert_eq!(until(""), None);
    }
}
