//! Dates, attempts and what comes late, for a cohort and each of its exercises; and the cohort's own
//! settings.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::accounts::{clean_name, new_join_code};
use crate::store::{self, CohortTerms};
use crate::terms::{LatePolicy, Terms};
use crate::web::page::Frame;
use crate::web::terms::waiting;
use crate::web::words::{Moment, count};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// Codes tried before giving up.
const CODES: usize = 8;

#[derive(Template)]
#[template(path = "trainer/dates.html")]
pub(crate) struct DatesPage {
    frame: Frame,
    tabs: Tabs,
    cohort: String,
    closed: Option<Moment>,
    join_code: String,
    action: String,
    settings_action: String,
    all: TermsForm,
    own: Option<TermsForm>,
    rows: Vec<TermsRow>,
    refusal: Option<String>,
    /// Of the cohort's settings.
    settings_refusal: Option<String>,
    name: String,
}

/// What holds for one exercise, in words.
struct TermsRow {
    slug: String,
    title: String,
    change: String,
    own: bool,
    opens: Option<Moment>,
    due: Option<Moment>,
    closes: Option<Moment>,
    late: String,
    attempts: String,
    expected: &'static str,
}

/// The fields as they are sent and shown again.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TermsFields {
    /// Slug of the exercise; empty for the whole cohort.
    exercise: String,
    #[serde(default)]
    opens_at: String,
    #[serde(default)]
    due_at: String,
    #[serde(default)]
    closes_at: String,
    #[serde(default)]
    late: String,
    #[serde(default)]
    percent: String,
    #[serde(default)]
    floor: String,
    #[serde(default)]
    attempts: String,
    #[serde(default)]
    cooldown_minutes: String,
    #[serde(default)]
    hide_expected: String,
}

struct TermsForm {
    /// In front of the fields' ids.
    id: &'static str,
    title: String,
    /// Whether an empty field means "as the cohort".
    own: bool,
    fields: TermsFields,
}

impl TermsFields {
    fn of(exercise: &str, terms: &Terms) -> Self {
        let date = |at: Option<DateTime<Utc>>| {
            at.map(|at| at.format("%Y-%m-%dT%H:%M").to_string()).unwrap_or_default()
        };
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let (percent, floor) = match terms.late {
            Some(LatePolicy::PerDay { percent, floor }) => (percent.to_string(), floor.to_string()),
            _ => (String::new(), String::new()),
        };
        Self {
            exercise: exercise.to_owned(),
            opens_at: date(terms.opens_at),
            due_at: date(terms.due_at),
            closes_at: date(terms.closes_at),
            late: match terms.late {
                None => "",
                Some(LatePolicy::Full) => "full",
                Some(LatePolicy::PerDay { .. }) => "per_day",
                Some(LatePolicy::Refused) => "refused",
            }
            .to_owned(),
            percent,
            floor,
            attempts: number(terms.attempts),
            cooldown_minutes: number(terms.cooldown_minutes),
            hide_expected: terms.hide_expected.map(|hide| hide.to_string()).unwrap_or_default(),
        }
    }

    /// The terms that the fields say.
    fn read(&self) -> Result<Terms> {
        let late = match self.late.as_str() {
            "" => None,
            "full" => Some(LatePolicy::Full),
            "refused" => Some(LatePolicy::Refused),
            "per_day" => Some(LatePolicy::PerDay {
                percent: number("the per cent for each day late", &self.percent)?.unwrap_or_default(),
                floor: number("the per cent that always stay", &self.floor)?.unwrap_or_default(),
            }),
            other => return Err(refuse(format!("“{other}” is no way to treat what comes late."))),
        };
        let terms = Terms {
            opens_at: date("the opening", &self.opens_at)?,
            due_at: date("the due date", &self.due_at)?,
            closes_at: date("the closing", &self.closes_at)?,
            late,
            attempts: number("the attempts", &self.attempts)?,
            cooldown_minutes: number("the wait between attempts", &self.cooldown_minutes)?,
            hide_expected: match self.hide_expected.as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        };
        terms.check().map_err(refuse)?;
        Ok(terms)
    }
}

fn refuse(sentence: String) -> Error {
    Error::Refused(sentence.into())
}

/// A moment as a browser's field sends it; our script has turned it into UTC.
fn date(what: &str, text: &str) -> Result<Option<DateTime<Utc>>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let read = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    match read {
        Some(at) => Ok(Some(at.and_utc())),
        None => Err(refuse(format!(
            "For {what}, “{}” is no date and time. Write it as 2026-03-01 08:00, in UTC.",
            crate::text::visible(text)
        ))),
    }
}

fn number<N: std::str::FromStr>(what: &str, text: &str) -> Result<Option<N>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong =
        |_| refuse(format!("For {what}, “{}” is no whole number that fits.", crate::text::visible(text)));
    text.parse().map(Some).map_err(wrong)
}

/// Which exercise's own terms are to be changed.
#[derive(Default, Deserialize)]
pub struct Chosen {
    #[serde(default)]
    exercise: String,
}

/// `GET /cohorts/{cohort}/dates`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Query(chosen): body::Query<Chosen>,
) -> Result<Response> {
    Shown { chosen: chosen.exercise, ..Shown::default() }.page(&state, &viewer, &scope, &csrf).await
}

/// `POST /cohorts/{cohort}/dates`
///
/// # Errors
/// [`Error::NotFound`] for an exercise that the workshop does not have; what is wrong with the fields is
/// told on the page.
pub async fn set(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(fields): body::Form<TermsFields>,
) -> Result<Response> {
    let stored = match fields.read() {
        Ok(terms) => keep(&state, &viewer, &scope, &fields.exercise, &terms).await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(()) => Ok(Redirect::to(&href(scope.cohort.id)).into_response()),
        Err(Error::Refused(sentence)) => {
            let shown = Shown {
                chosen: fields.exercise.clone(),
                fields: Some(fields),
                refusal: Some(sentence.into_owned()),
                ..Shown::default()
            };
            shown.page(&state, &viewer, &scope, &csrf).await
        }
        Err(error) => Err(error),
    }
}

/// Stores the terms of the cohort, or of the exercise with this slug.
///
/// # Errors
/// [`Error::Refused`] when they make no sense with those of the cohort, [`Error::NotFound`] for an exercise
/// that the workshop does not have.
pub(crate) async fn keep(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    exercise: &str,
    terms: &Terms,
) -> Result<()> {
    let cohort = scope.cohort.id;
    terms.check().map_err(refuse)?;
    let stored = state.store.terms(cohort).await?;
    let exercise = match exercise {
        "" => None,
        slug => {
            let workshop = state.shelf.workshop(&scope.cohort).await?;
            if !workshop.sections.iter().any(|section| section.exercises.iter().any(|theirs| theirs == slug))
            {
                return Err(Error::no_such("exercise in this workshop"));
            }
            Some(slug)
        }
    };
    // An exercise's dates have to be in order with those that it has from the cohort.
    match exercise {
        Some(_) => terms.within(&stored.all).check().map_err(refuse)?,
        None => {
            for (slug, own) in &stored.own {
                own.within(terms)
                    .check()
                    .map_err(|wrong| refuse(format!("With the dates that {slug} has: {wrong}")))?;
            }
        }
    }
    state.store.set_terms(cohort, exercise, terms, viewer.person.id).await?;
    tracing::info!(%cohort, exercise, by = %viewer.person.id, "web.terms_set");
    Ok(())
}

/// A change of the cohort itself.
#[derive(Deserialize)]
pub struct Settings {
    /// `rename`, `close`, `open` or `code`.
    change: String,
    #[serde(default)]
    name: String,
}

/// `POST /cohorts/{cohort}/settings`
///
/// # Errors
/// Faults of ours; what is wrong is told on the page.
pub async fn settings(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(wanted): body::Form<Settings>,
) -> Result<Response> {
    let (cohort, by) = (scope.cohort.id, viewer.person.id);
    let refusal = match wanted.change.as_str() {
        "rename" => match clean_name(&wanted.name) {
            Ok(name) => {
                state.store.rename_cohort(cohort, &name, Some(by)).await?;
                None
            }
            Err(refusal) => Some(refusal.to_string()),
        },
        "close" | "open" => {
            state.store.close_cohort(cohort, wanted.change == "close", Some(by)).await?;
            None
        }
        "code" => new_code(&state, cohort, by).await?,
        _ => {
            Some("Choose what to change: the name, the join code, or whether the cohort is open.".to_owned())
        }
    };
    tracing::info!(%cohort, change = wanted.change, %by, "web.cohort_changed");
    match refusal {
        None => Ok(Redirect::to(&href(cohort)).into_response()),
        settings_refusal => {
            let shown = Shown { settings_refusal, name: Some(wanted.name), ..Shown::default() };
            shown.page(&state, &viewer, &scope, &csrf).await
        }
    }
}

async fn new_code(state: &AppState, cohort: Uuid, by: Uuid) -> Result<Option<String>> {
    for _ in 0..CODES {
        match state.store.set_join_code(cohort, &new_join_code(), Some(by)).await {
            Ok(()) => return Ok(None),
            Err(store::Error::Taken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some("No free join code was found. Try again.".to_owned()))
}

pub(crate) fn href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/dates")
}

/// What the page shows beside what is stored.
#[derive(Default)]
struct Shown {
    chosen: String,
    fields: Option<TermsFields>,
    refusal: Option<String>,
    settings_refusal: Option<String>,
    name: Option<String>,
}

impl Shown {
    async fn page(self, state: &AppState, viewer: &Viewer, scope: &Scope, csrf: &Csrf) -> Result<Response> {
        let cohort = &scope.cohort;
        let refused = self.refusal.is_some() || self.settings_refusal.is_some();
        let workshop = state.shelf.workshop(cohort).await?;
        let exercises = state.shelf.of_workshop(&workshop).await?;
        let terms = state.store.terms(cohort.id).await?;
        let title = |slug: &str| {
            exercises.get(slug).map_or_else(|| slug.to_owned(), |exercise| exercise.title.clone())
        };
        let slugs = workshop.sections.iter().flat_map(|section| &section.exercises);
        let rows = slugs.clone().map(|slug| row(cohort.id, slug, title(slug), &terms));
        let fields = |exercise: &str, stored: &Terms| match &self.fields {
            Some(fields) if fields.exercise == exercise => fields.clone(),
            _ => TermsFields::of(exercise, stored),
        };
        let own = slugs.clone().find(|slug| **slug == self.chosen).map(|slug| TermsForm {
            id: "own",
            title: title(slug),
            own: true,
            fields: fields(slug, terms.own.get(slug).unwrap_or(&Terms::default())),
        });
        let page = DatesPage {
            frame: frame(viewer, scope, csrf).at(href(cohort.id), "Dates and settings"),
            tabs: Tabs::at(cohort.id, Tab::Dates),
            cohort: cohort.name.clone(),
            closed: cohort.closed_at.map(Moment),
            join_code: cohort.join_code.clone(),
            action: href(cohort.id),
            settings_action: format!("/cohorts/{}/settings", cohort.id),
            all: TermsForm {
                id: "all",
                title: "All exercises".to_owned(),
                own: false,
                fields: fields("", &terms.all),
            },
            own,
            rows: rows.collect(),
            refusal: self.refusal,
            settings_refusal: self.settings_refusal,
            name: self.name.unwrap_or_else(|| cohort.name.clone()),
        };
        let mut response = Html(page.render().map_err(Error::internal)?).into_response();
        if refused {
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        }
        Ok(response)
    }
}

fn row(cohort: Uuid, slug: &str, title: String, terms: &CohortTerms) -> TermsRow {
    let held = terms.of(slug);
    let attempts = match held.attempt_limit() {
        None => "any number".to_owned(),
        Some(limit) => count(limit.into(), "attempt"),
    };
    let cooldown = held.cooldown();
    TermsRow {
        change: format!("{}?exercise={slug}#own", href(cohort)),
        slug: slug.to_owned(),
        title,
        own: terms.own.contains_key(slug),
        opens: held.opens_at.map(Moment),
        due: held.due_at.map(Moment),
        closes: held.closes_at.map(Moment),
        late: match (held.due_at, held.late.unwrap_or(LatePolicy::Full)) {
            (None, _) => String::new(),
            (_, LatePolicy::Full) => "counts in full".into(),
            (_, LatePolicy::PerDay { percent, floor: 0 }) => format!("−{percent} % a day"),
            (_, LatePolicy::PerDay { percent, floor }) => format!("−{percent} % a day, {floor} % stay"),
            (_, LatePolicy::Refused) => "not taken".into(),
        },
        attempts: if cooldown.is_zero() {
            attempts
        } else {
            format!("{attempts}, {} apart", waiting(cooldown))
        },
        expected: if held.hides_expected() { "hidden" } else { "shown" },
    }
}
