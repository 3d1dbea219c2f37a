//! Who changed what of the house, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::sections::{Sections, frame};
use crate::store::AuditWish;
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::words::Moment;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// Records on one page.
const PAGE: i64 = 50;
/// The longest value that is shown in a list, in characters.
const LONGEST: usize = 200;

/// Kinds of things that are changed, as actions begin.
const THINGS: [(&str, &str); 11] = [
    ("exercise.", "exercises"),
    ("draft.", "drafts"),
    ("workshop.", "workshops"),
    ("cohort.", "cohorts"),
    ("member.", "members"),
    ("person.", "people"),
    ("token.", "API tokens"),
    ("check.", "checks"),
    ("grading.", "gradings"),
    ("review.", "reviews"),
    ("engine.", "engine"),
];

#[derive(Template)]
#[template(path = "admin/audit.html")]
pub(crate) struct AuditPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) things: &'static [(&'static str, &'static str)],
    pub(crate) rows: Vec<RecordRow>,
    pub(crate) by: String,
    pub(crate) unknown: bool,
    pub(crate) cohort: String,
    pub(crate) cohorts: Vec<(String, String)>,
    pub(crate) action: String,
    pub(crate) more: Option<String>,
    pub(crate) first: Option<String>,
}

pub(crate) struct RecordRow {
    pub(crate) at: Moment,
    pub(crate) by: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) cohort: String,
    pub(crate) details: Vec<(String, String)>,
}

/// Which records are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    by: String,
    cohort: String,
    action: String,
    before: String,
}

impl Wish {
    fn address(&self, before: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("by", &self.by)
            .append_pair("cohort", &self.cohort)
            .append_pair("action", &self.action)
            .append_pair("before", before)
            .finish();
        format!("/admin/audit?{query}")
    }
}

/// `GET /admin/audit`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Query(wish): body::Query<Wish>,
) -> Result<Response> {
    let person = match wish.by.trim() {
        "" => None,
        name => Some(state.store.person_by_name(name).await?.map(|person| person.id)),
    };
    let unknown = person == Some(None);
    let narrowed = AuditWish {
        by: person.flatten(),
        cohort: Uuid::parse_str(&wish.cohort).ok(),
        action: wish.action.replace('\0', ""),
        before: Uuid::parse_str(&wish.before).ok(),
    };
    let mut records = if unknown { Vec::new() } else { state.store.records(&narrowed, PAGE + 1).await? };
    let size = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = (records.len() > size).then(|| wish.address(&records[size - 1].id.to_string()));
    records.truncate(size);
    let rows = records.into_iter().map(|record| RecordRow {
        at: Moment(record.at),
        by: record.by.map_or_else(|| "command line or worker".into(), |name| visible(&name).into_owned()),
        action: record.action.replace('_', " ").replacen('.', ": ", 1),
        subject: visible(&record.subject).into_owned(),
        cohort: record.cohort.map(|name| visible(&name).into_owned()).unwrap_or_default(),
        details: details(&record.details),
    });
    let cohorts = state.store.cohorts().await?.into_iter().map(|cohort| (cohort.id.to_string(), cohort.name));
    let page = AuditPage {
        frame: frame(&viewer, &csrf, "/admin/audit", "Audit log"),
        sections: Sections::at("/admin/audit"),
        things: &THINGS,
        rows: rows.collect(),
        first: (!wish.before.is_empty()).then(|| wish.address("")),
        more,
        unknown,
        cohorts: cohorts.collect(),
        by: wish.by,
        cohort: wish.cohort,
        action: wish.action,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// Names and values, short enough for a list.
fn details(details: &Value) -> Vec<(String, String)> {
    let Value::Object(map) = details else { return Vec::new() };
    map.iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let mut shown: String = visible(&text).chars().take(LONGEST).collect();
            if text.chars().count() > LONGEST {
                shown.push('…');
            }
            (visible(name).into_owned(), shown)
        })
        .collect()
}
