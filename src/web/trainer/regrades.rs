//! Grading anew what a cohort handed in: asking for it, following it, and what it changed.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::report::{Points, Verdict};
use crate::store::{Regrade, RegradeOf, Regraded};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::shape::{Shape, of_verdict};
use crate::web::sse::{self, Message};
use crate::web::update::{Patch, Update};
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// Rows of a list that a page shows; a cohort has at most tens of thousands of submissions.
const ROWS: usize = 500;
/// Changes so close together are told as one.
const GATHER: Duration = Duration::from_millis(400);

#[derive(Template)]
#[template(path = "trainer/regrades.html")]
pub(crate) struct RegradesPage {
    frame: Frame,
    tabs: Tabs,
    cohort: String,
    action: String,
    exercises: Vec<(String, String)>,
    rows: Vec<RegradeRow>,
    refusal: Option<String>,
}

struct RegradeRow {
    href: String,
    what: String,
    by: String,
    at: Ago,
    done: i64,
    total: i64,
}

#[derive(Template)]
#[template(path = "trainer/regrade.html")]
pub(crate) struct RegradePage {
    frame: Frame,
    tabs: Tabs,
    what: String,
    by: String,
    at: Ago,
    stream: Option<String>,
    outcome: OutcomePiece,
}

/// `outcome` of the page: how far it is, and what it changed.
#[derive(Template)]
#[template(path = "trainer/regraded.html")]
struct OutcomePiece {
    done: i64,
    total: i64,
    counts: [(Change, usize); 4],
    rows: Vec<ChangedRow>,
    left_out: usize,
}

impl askama::filters::HtmlSafe for OutcomePiece {}

struct ChangedRow {
    href: String,
    name: String,
    exercise: String,
    number: i64,
    before: (Shape, String),
    after: (Shape, String),
    change: Change,
}

/// What grading anew did to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Gained,
    Lost,
    /// The new grading could not judge, so that the one before counts.
    Fault,
    Same,
}

impl Change {
    /// `None` while it is not done.
    pub(crate) fn of(one: &Regraded) -> Option<Self> {
        let rank = |(verdict, points): (Verdict, Points)| (verdict == Verdict::Passed, points.earned);
        let after = one.after?;
        if !matches!(after.0, Verdict::Passed | Verdict::Failed) {
            return Some(Self::Fault);
        }
        let before = one.before.map_or((false, 0), rank);
        Some(match rank(after).cmp(&before) {
            std::cmp::Ordering::Greater => Self::Gained,
            std::cmp::Ordering::Less => Self::Lost,
            std::cmp::Ordering::Equal => Self::Same,
        })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::Fault => "our fault",
            Self::Same => "unchanged",
        }
    }

    fn shape(self) -> Shape {
        match self {
            Self::Gained => Shape::Passed,
            Self::Lost => Shape::Failed,
            Self::Fault => Shape::Fault,
            Self::Same => Shape::Skipped,
        }
    }
}

fn told(judged: Option<(Verdict, Points)>) -> (Shape, String) {
    match judged {
        None => (Shape::NotStarted, "not judged".into()),
        Some((verdict, points)) => {
            let shape = of_verdict(verdict, false);
            let said = match shape {
                Shape::Fault => "our fault".to_owned(),
                _ => format!("{} of {}", points.earned, points.possible),
            };
            (shape, said)
        }
    }
}

impl OutcomePiece {
    fn new(regrade: &Regrade, all: Vec<Regraded>) -> Self {
        let mut changed: Vec<(Change, Regraded)> =
            all.into_iter().filter_map(|one| Some((Change::of(&one)?, one))).collect();
        let counts = [Change::Gained, Change::Lost, Change::Fault, Change::Same]
            .map(|change| (change, changed.iter().filter(|(theirs, _)| *theirs == change).count()));
        // By name within each, as they came.
        changed.sort_by_key(|(change, _)| *change);
        let left_out = changed.len().saturating_sub(ROWS);
        let rows = changed.into_iter().take(ROWS).map(|(change, one)| ChangedRow {
            href: format!("/submissions/{}", one.submission),
            name: visible(&one.name).into_owned(),
            exercise: one.exercise,
            number: one.number,
            before: told(one.before),
            after: told(one.after),
            change,
        });
        Self { done: regrade.done, total: regrade.total, counts, rows: rows.collect(), left_out }
    }
}

/// `GET /cohorts/{cohort}/regrades`
///
/// # Errors
/// Faults of ours.
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<Response> {
    page(&state, &viewer, &scope, &csrf, None).await
}

/// What a trainer wants to be graded anew.
#[derive(Deserialize)]
pub struct Wanted {
    /// Slug of the exercise, or `*` for every exercise.
    exercise: String,
}

/// `POST /cohorts/{cohort}/regrades`
///
/// # Errors
/// Faults of ours; that there is nothing to grade is told on the page.
pub async fn ask(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(wanted): body::Form<Wanted>,
) -> Result<Response> {
    let of = match wanted.exercise.as_str() {
        "*" => RegradeOf::Cohort,
        slug => RegradeOf::Exercise(slug),
    };
    match start(&state, &viewer, &scope, of).await {
        Ok(id) => Ok(Redirect::to(&href_of(scope.cohort.id, id)).into_response()),
        Err(Error::Refused(sentence)) => {
            let mut response = page(&state, &viewer, &scope, &csrf, Some(sentence.into_owned())).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

/// `POST /submissions/{submission}/regrade`
///
/// # Errors
/// [`Error::Refused`] when it waits to be graded already.
pub async fn ask_one(State(state): State<AppState>, viewer: Viewer, scope: Scope) -> Result<Response> {
    let submission = scope.submission()?.id;
    start(&state, &viewer, &scope, RegradeOf::Submission(submission)).await?;
    Ok(Redirect::to(&format!("/submissions/{submission}")).into_response())
}

/// Queues what is wanted; its id.
///
/// # Errors
/// [`Error::Refused`] when there is nothing to be graded anew.
pub(crate) async fn start(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    of: RegradeOf<'_>,
) -> Result<Uuid> {
    let cohort = scope.cohort.id;
    let asked = state.store.regrade_many(cohort, of, viewer.person.id).await?;
    let id = asked.ok_or_else(|| {
        Error::Refused(
            "There is nothing to grade anew: nothing was handed in there, or it waits to be graded already."
                .into(),
        )
    })?;
    tracing::info!(%cohort, regrade = %id, by = %viewer.person.id, "web.regrade_asked");
    Ok(id)
}

async fn titles(state: &AppState) -> Result<HashMap<String, String>> {
    let published = state.store.published_exercises().await?;
    Ok(published.into_iter().map(|one| (one.slug, one.title)).collect())
}

fn what(exercise: Option<&str>, total: i64, titles: &HashMap<String, String>) -> String {
    match exercise {
        Some(slug) => titles.get(slug).cloned().unwrap_or_else(|| slug.to_owned()),
        None if total == 1 => "One submission".into(),
        None => "Every exercise".into(),
    }
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    refusal: Option<String>,
) -> Result<Response> {
    let cohort = &scope.cohort;
    let now = state.clock.now();
    let titles = titles(state).await?;
    let workshop = state.shelf.workshop(cohort).await?;
    let slugs = workshop.sections.into_iter().flat_map(|section| section.exercises);
    let rows = state.store.regrades(cohort.id).await?.into_iter().map(|regrade| RegradeRow {
        href: href_of(cohort.id, regrade.id),
        what: what(regrade.exercise.as_deref(), regrade.total, &titles),
        by: visible(&regrade.by).into_owned(),
        at: Ago { at: regrade.asked_at, now },
        done: regrade.done,
        total: regrade.total,
    });
    let page = RegradesPage {
        frame: frame(viewer, scope, csrf).at(href(cohort.id), "Regrades"),
        tabs: Tabs::at(cohort.id, Tab::Regrades),
        cohort: cohort.name.clone(),
        action: href(cohort.id),
        exercises: slugs
            .filter_map(|slug| titles.get(&slug).map(|title| (slug.clone(), title.clone())))
            .collect(),
        rows: rows.collect(),
        refusal,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// The regrade of a path.
#[derive(Deserialize)]
pub struct RegradePath {
    pub(crate) regrade: Uuid,
}

/// `GET /cohorts/{cohort}/regrades/{regrade}`
///
/// # Errors
/// [`Error::NotFound`] when the cohort has none with this id.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Path(path): body::Path<RegradePath>,
) -> Result<Response> {
    let cohort = scope.cohort.id;
    let (regrade, all) = state.store.regrade_with(cohort, path.regrade).await?;
    let here = href_of(cohort, regrade.id);
    let page = RegradePage {
        frame: frame(&viewer, &scope, &csrf).to(href(cohort), "Regrades").at(&here, "Regrade"),
        tabs: Tabs::at(cohort, Tab::Regrades),
        what: what(regrade.exercise.as_deref(), regrade.total, &titles(&state).await?),
        by: visible(&regrade.by).into_owned(),
        at: Ago { at: regrade.asked_at, now: state.clock.now() },
        stream: (regrade.done < regrade.total).then(|| format!("{here}/events")),
        outcome: OutcomePiece::new(&regrade, all),
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// `GET /cohorts/{cohort}/regrades/{regrade}/events`
///
/// # Errors
/// [`Error::NotFound`] when the cohort has none with this id, [`Error::TooMany`] when the viewer follows too
/// much at once.
pub async fn events(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Path(path): body::Path<RegradePath>,
) -> Result<Response> {
    let (cohort, id) = (scope.cohort.id, path.regrade);
    let changes = state.live.follow_cohort(cohort, Some(state.clock.now())).boxed();
    state.store.regrade_with(cohort, id).await?;
    let begin = (state.clone(), changes, None::<i64>, false);
    let messages = futures::stream::unfold(begin, move |(state, mut changes, known, over)| async move {
        if over {
            return None;
        }
        let mut first = known.is_none();
        loop {
            if !std::mem::take(&mut first) {
                changes.next().await?;
                tokio::time::sleep(GATHER).await;
            }
            let (regrade, all) = match state.store.regrade_with(cohort, id).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, regrade = %id, "web.regrade_stream_broke");
                    return None;
                }
            };
            if known == Some(regrade.done) {
                continue;
            }
            let over = regrade.done >= regrade.total;
            let patches = vec![Patch::anew("outcome", &OutcomePiece::new(&regrade, all))];
            let say = over.then(|| format!("All {} are graded.", count(regrade.total, "submission")));
            let update = Update { patches, say, done: over, ..Update::default() };
            return Some((Message::new("update", &update)?, (state, changes, Some(regrade.done), over)));
        }
    });
    sse::messages(&state, &viewer, messages)
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/regrades")
}

fn href_of(cohort: Uuid, regrade: Uuid) -> String {
    format!("/cohorts/{cohort}/regrades/{regrade}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GradingState;

    #[test]
    fn a_change_is_by_verdict_first_and_then_by_points() {
        let points = |earned| Points { earned, possible: 5 };
        let one = |before, after| Regraded {
            submission: Uuid::nil(),
            number: 1,
            person: Uuid::nil(),
            name: "Ada".into(),
            exercise: "x".into(),
            before,
            grading: Uuid::nil(),
            state: GradingState::Done,
            after,
        };
        let (passed, failed) = (Verdict::Passed, Verdict::Failed);
        for (before, after, change) in [
            (Some((failed, points(3))), Some((passed, points(3))), Some(Change::Gained)),
            (Some((failed, points(3))), Some((failed, points(4))), Some(Change::Gained)),
            (Some((passed, points(5))), Some((failed, points(5))), Some(Change::Lost)),
            (Some((failed, points(3))), Some((failed, points(3))), Some(Change::Same)),
            (Some((passed, points(5))), Some((Verdict::PlatformFault, points(0))), Some(Change::Fault)),
            (None, Some((failed, points(0))), Some(Change::Same)),
            (None, Some((passed, points(1))), Some(Change::Gained)),
            (Some((failed, points(3))), None, None),
        ] {
            assert_eq!(Change::of(&one(before, after)), change, "{before:?} {after:?}");
        }
    }
}
