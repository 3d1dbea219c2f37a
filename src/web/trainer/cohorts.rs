//! The list of cohorts, and making one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use crate::accounts::{Role, clean_name, new_join_code};
use crate::exercises::Workshop;
use crate::store;
use crate::web::page::{Frame, home_of};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// Codes tried before giving up; one in 30^6 is taken by each cohort.
const CODES: usize = 8;

#[derive(Template)]
#[template(path = "trainer/cohorts.html")]
pub(crate) struct CohortsPage {
    pub(crate) frame: Frame,
    pub(crate) cohorts: Vec<CohortRow>,
    pub(crate) may_create: bool,
    pub(crate) workshops: Vec<Workshop>,
    pub(crate) name: String,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct CohortRow {
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) workshop: String,
    pub(crate) about: &'static str,
}

/// `GET /cohorts`
///
/// # Errors
/// Faults of ours.
pub async fn list(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    page(&state, &viewer, &csrf, String::new(), None).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    name: String,
    refusal: Option<String>,
) -> Result<Response> {
    let workshops = state.store.workshops().await?;
    let title = |slug: &str| {
        let found = workshops.iter().find(|workshop| workshop.slug == slug);
        found.map_or_else(|| slug.to_owned(), |workshop| workshop.title.clone())
    };
    let mine = if viewer.person.admin {
        state.store.cohorts().await?.into_iter().map(|cohort| (cohort, Role::Trainer)).collect()
    } else {
        viewer.cohorts.clone()
    };
    let rows = mine.iter().map(|(cohort, role)| CohortRow {
        href: home_of(cohort.id, *role),
        name: cohort.name.clone(),
        workshop: title(&cohort.workshop),
        about: match (role, cohort.closed_at.is_some()) {
            (_, true) => "closed",
            (Role::Trainer, false) => "",
            (Role::Student, false) => "as a student",
        },
    });
    let page = CohortsPage {
        frame: Frame::new(Some(viewer), csrf).at("/cohorts", "Cohorts"),
        cohorts: rows.collect(),
        may_create: viewer.is_trainer(),
        workshops,
        name,
        refusal,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// A new cohort.
#[derive(Deserialize)]
pub struct New {
    name: String,
    workshop: String,
}

/// `POST /cohorts`
///
/// # Errors
/// [`Error::NotAllowed`] for students.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(new): body::Form<New>,
) -> Result<Response> {
    if !viewer.is_trainer() {
        return Err(Error::NotAllowed("Only trainers can make a cohort.".into()));
    }
    let refusal = match (clean_name(&new.name), state.store.workshop(&new.workshop).await?) {
        (Err(refusal), _) => refusal.to_string(),
        (_, None) => "There is no such workshop any more. Choose another one.".to_owned(),
        (Ok(name), Some(_)) => {
            for _ in 0..CODES {
                match state.store.create_cohort(&name, &new.workshop, &new_join_code()).await {
                    Ok(cohort) => {
                        state.store.add_member(cohort.id, viewer.person.id, Role::Trainer).await?;
                        tracing::info!(cohort = %cohort.id, by = %viewer.person.id, "web.cohort_made");
                        return Ok(Redirect::to(&home_of(cohort.id, Role::Trainer)).into_response());
                    }
                    Err(store::Error::Taken { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            "No free join code was found. Try again.".to_owned()
        }
    };
    let mut response = page(&state, &viewer, &csrf, new.name, Some(refusal)).await?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}
