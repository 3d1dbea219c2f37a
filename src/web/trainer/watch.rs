//! The grid's event stream: rows anew whenever a cell of theirs changes.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Deserialize;
use uuid::Uuid;

use super::grid::{FiltersPiece, Grid, SummaryPiece, load, stumbles, troubles};
use super::wish::Wish;
use crate::live::CohortChange;
use crate::store::{Cell, Cohort};
use crate::web::sse::{self, Message};
use crate::web::update::{Patch, Update};
use crate::web::{AppState, Error, Result, Scope, Viewer, body};

/// How often is looked for who has joined, and for who has become idle.
const LOOK: Duration = Duration::from_secs(5);

/// When the page was drawn, in microseconds since 1970.
#[derive(Deserialize)]
pub struct Since {
    since: Option<i64>,
}

/// `GET /cohorts/{cohort}/grid/events`
///
/// # Errors
/// [`crate::web::Error::TooMany`] when the viewer follows too much at once.
pub async fn events(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Query(wish): body::Query<Wish>,
    body::Query(Since { since }): body::Query<Since>,
) -> Result<Response> {
    let now = state.clock.now();
    // The page may be older than this grid, and a browser that comes back has the page of long ago:
    // everybody who did something since is told of once at the beginning.
    let drawn = since.and_then(DateTime::from_timestamp_micros).unwrap_or(now);
    let changes = state.live.follow_cohort(scope.cohort.id, Some(drawn)).boxed();
    let grid = load(&state, &scope.cohort, &wish).await?;
    let watcher = Watcher {
        summary: grid.summary(),
        filters: grid.filters(&wish, now),
        grid,
        cohort: scope.cohort,
        wish,
        first: true,
        changes,
        look: tokio::time::interval(LOOK),
        state: state.clone(),
    };
    let messages = futures::stream::unfold(watcher, |mut watcher| async {
        watcher.next().await.map(|message| (message, watcher))
    });
    sse::messages(&state, &viewer, messages)
}

struct Watcher {
    state: AppState,
    cohort: Cohort,
    wish: Wish,
    grid: Grid,
    /// As the page has them.
    summary: SummaryPiece,
    filters: FiltersPiece,
    /// Whether nothing was told yet.
    first: bool,
    changes: BoxStream<'static, CohortChange>,
    look: tokio::time::Interval,
}

impl Watcher {
    /// The next change; `None` at the end, after which the browser comes back by itself.
    async fn next(&mut self) -> Option<Message> {
        loop {
            let told = tokio::select! {
                change = self.changes.next() => {
                    match serde_json::from_str(&change?.cells) {
                        Ok(cells) => self.cells(cells).await,
                        Err(error) => Err(Error::internal(error)),
                    }
                }
                _ = self.look.tick() => self.members().await,
            };
            match told {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, cohort = %self.cohort.id, "web.grid_stream_broke");
                    return None;
                }
            }
        }
    }

    async fn cells(&mut self, cells: Vec<Cell>) -> Result<Option<Message>> {
        let now = self.state.clock.now();
        if cells.iter().any(troubles) {
            self.grid.explain(stumbles(&self.state, self.cohort.id).await?);
        }
        let mut people = BTreeSet::new();
        for cell in cells {
            let person = cell.person;
            if self.grid.put(cell) || self.first {
                people.insert(person);
            }
        }
        self.first = false;
        let rows = people.into_iter().filter_map(|person| self.row(person, now, false)).collect();
        Ok(self.told(rows, now))
    }

    async fn members(&mut self) -> Result<Option<Message>> {
        let now = self.state.clock.now();
        let members = self.state.store.members(self.cohort.id).await?;
        let was_empty = self.grid.is_empty();
        let joined = self.grid.join(&members);
        if was_empty && !joined.is_empty() {
            // The page has no table yet.
            return Ok(Message::new("update", &Update { reload: true, ..Update::default() }));
        }
        let rows = joined.into_iter().filter_map(|person| self.row(person, now, true)).collect();
        Ok(self.told(rows, now))
    }

    /// Rows, and what follows from them.
    fn told(&mut self, mut patches: Vec<Patch>, now: DateTime<Utc>) -> Option<Message> {
        let (summary, filters) = (self.grid.summary(), self.grid.filters(&self.wish, now));
        if summary != self.summary {
            patches.push(Patch::anew("summary", &summary));
            self.summary = summary;
        }
        if filters != self.filters {
            patches.push(Patch::anew("filters", &filters));
            self.filters = filters;
        }
        if patches.is_empty() {
            return None;
        }
        Message::new("update", &Update { patches, ..Update::default() })
    }

    fn row(&self, person: Uuid, now: DateTime<Utc>, new: bool) -> Option<Patch> {
        let row = self.grid.row(person, &self.wish, now)?;
        let id = if new { "rows".to_owned() } else { format!("p-{person}") };
        Some(Patch { id, html: row.to_string(), append: new })
    }
}
