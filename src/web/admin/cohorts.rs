//! Cohorts: made, renamed, closed; who trains and who learns in them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::sections::{Sections, frame};
use crate::accounts::{Role, clean_name, new_join_code};
use crate::store::{self, Newcomer};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::shape::Shape;
use crate::web::words::{Moment, count};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body};

/// Codes tried before giving up; one in 30^6 is taken by each cohort.
const CODES: usize = 8;

#[derive(Template)]
#[template(path = "admin/cohorts.html")]
pub(crate) struct CohortsPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) rows: Vec<CohortRow>,
    pub(crate) workshops: Vec<(String, String)>,
    pub(crate) name: String,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct CohortRow {
    pub(crate) href: String,
    pub(crate) grid: String,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) state: &'static str,
    pub(crate) workshop: String,
    pub(crate) code: String,
    pub(crate) members: String,
    pub(crate) since: Moment,
}

/// `GET /admin/cohorts`
///
/// # Errors
/// Faults of ours.
pub async fn list(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    list_page(&state, &viewer, &csrf, String::new(), None).await
}

async fn workshops(state: &AppState) -> Result<Vec<(String, String)>> {
    Ok(state.store.workshops().await?.into_iter().map(|one| (one.slug, one.title)).collect())
}

async fn list_page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    name: String,
    refusal: Option<Error>,
) -> Result<Response> {
    let workshops = workshops(state).await?;
    let mut rows = Vec::new();
    for cohort in state.store.cohorts().await? {
        let members = state.store.members(cohort.id).await?;
        let students = members.iter().filter(|member| member.role == Role::Student).count();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (shape, said) = match cohort.closed_at {
            Some(_) => (Shape::Skipped, "closed"),
            None => (Shape::Passed, "open"),
        };
        let title = workshops.iter().find(|(slug, _)| *slug == cohort.workshop);
        rows.push(CohortRow {
            href: href(cohort.id),
            grid: format!("/cohorts/{}/grid", cohort.id),
            shape,
            state: said,
            workshop: title.map_or(cohort.workshop.clone(), |(_, title)| title.clone()),
            code: cohort.join_code,
            members: format!(
                "{}, {}",
                count(number(students), "student"),
                count(number(members.len() - students), "trainer")
            ),
            since: Moment(cohort.created_at),
            name: cohort.name,
        });
    }
    let status = refusal.as_ref().map_or(StatusCode::OK, Error::status);
    let page = CohortsPage {
        frame: frame(viewer, csrf, "/admin/cohorts", "Cohorts"),
        sections: Sections::at("/admin/cohorts"),
        rows,
        workshops,
        name,
        refusal: refusal.map(|error| error.to_string()),
    };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

fn href(cohort: Uuid) -> String {
    format!("/admin/cohorts/{cohort}")
}

/// A cohort's name and workshop.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Named {
    name: String,
    workshop: String,
}

async fn checked(state: &AppState, named: &Named) -> Result<String> {
    let name = clean_name(&named.name).map_err(|refusal| Error::Refused(refusal.to_string().into()))?;
    if state.store.workshop(&named.workshop).await?.is_none() {
        return Err(Error::Refused("There is no such workshop any more. Choose another one.".into()));
    }
    Ok(name)
}

/// `POST /admin/cohorts`
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(named): body::Form<Named>,
) -> Result<Response> {
    let made = async {
        let name = checked(&state, &named).await?;
        for _ in 0..CODES {
            let by = Some(viewer.person.id);
            match state.store.found_cohort(&name, &named.workshop, &new_join_code(), by).await {
                Err(store::Error::Taken { .. }) => {}
                other => return Ok(other?.id),
            }
        }
        Err(Error::Refused("No free join code was found. Try again.".into()))
    };
    match made.await {
        Ok(cohort) => Ok(Redirect::to(&href(cohort)).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            list_page(&state, &viewer, &csrf, named.name, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

#[derive(Template)]
#[template(path = "admin/cohort.html")]
pub(crate) struct CohortPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) action: String,
    pub(crate) grid: String,
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) workshop: String,
    pub(crate) workshops: Vec<(String, String)>,
    pub(crate) closed: Option<Moment>,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) others: Vec<(Uuid, String)>,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct MemberRow {
    pub(crate) person: Uuid,
    pub(crate) name: String,
    pub(crate) trainer: bool,
    pub(crate) since: Moment,
}

/// `GET /admin/cohorts/{cohort}`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<Response> {
    page(&state, &viewer, &scope.cohort, &csrf, None).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    cohort: &store::Cohort,
    csrf: &Csrf,
    refusal: Option<Error>,
) -> Result<Response> {
    let members = state.store.members(cohort.id).await?.into_iter().map(|member| MemberRow {
        person: member.person,
        name: visible(&member.name).into_owned(),
        trainer: member.role == Role::Trainer,
        since: Moment(member.joined_at),
    });
    let mut members: Vec<MemberRow> = members.collect();
    members.sort_by_key(|member| !member.trainer);
    let others = state.store.cohorts().await?.into_iter().filter(|other| other.id != cohort.id);
    let status = refusal.as_ref().map_or(StatusCode::OK, Error::status);
    let page = CohortPage {
        frame: frame(viewer, csrf, "/admin/cohorts", "Cohorts").at(href(cohort.id), cohort.name.clone()),
        sections: Sections::at("/admin/cohorts"),
        action: href(cohort.id),
        grid: format!("/cohorts/{}/grid", cohort.id),
        name: cohort.name.clone(),
        code: cohort.join_code.clone(),
        workshop: cohort.workshop.clone(),
        workshops: workshops(state).await?,
        closed: cohort.closed_at.map(Moment),
        members,
        others: others.map(|other| (other.id, other.name)).collect(),
        refusal: refusal.map(|error| error.to_string()),
    };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// What is done to a cohort.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Change {
    r#do: String,
    name: String,
    workshop: String,
    role: String,
    person: Option<Uuid>,
    to: Option<Uuid>,
}

/// `POST /admin/cohorts/{cohort}`
///
/// # Errors
/// Faults of ours; what is refused is told on the page.
pub async fn change(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(form): body::Form<Change>,
) -> Result<Response> {
    let cohort = scope.cohort.id;
    match apply(&state, &viewer, cohort, &form).await {
        Ok(()) => Ok(Redirect::to(&href(cohort)).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            let mut response = page(&state, &viewer, &scope.cohort, &csrf, Some(refused)).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

async fn apply(state: &AppState, viewer: &Viewer, cohort: Uuid, form: &Change) -> Result<()> {
    let by = Some(viewer.person.id);
    let store = &state.store;
    let role = if form.role == "trainer" { Role::Trainer } else { Role::Student };
    let nobody = || Error::Refused("Say who is meant.".into());
    match form.r#do.as_str() {
        "change" => {
            let named = Named { name: form.name.clone(), workshop: form.workshop.clone() };
            let name = checked(state, &named).await?;
            store.change_cohort(cohort, &name, &named.workshop, by).await?;
        }
        "close" => store.close_cohort(cohort, true, by).await?,
        "open" => store.close_cohort(cohort, false, by).await?,
        "add" => {
            let Some(person) = store.person_by_name(&form.name).await? else {
                return Err(Error::Refused(
                    "Nobody has this name. Write it as it is in the list of people, or make the account there."
                        .into(),
                ));
            };
            let one = Newcomer {
                name: person.name,
                password_hash: None,
                admin: false,
                cohort: Some((cohort, role)),
            };
            store.admit(&[one], by).await?;
        }
        "role" => {
            let person = store.person(form.person.ok_or_else(nobody)?).await?;
            let one = Newcomer {
                name: person.name,
                password_hash: None,
                admin: false,
                cohort: Some((cohort, role)),
            };
            store.admit(&[one], by).await?;
        }
        "remove" => store.remove_member(cohort, form.person.ok_or_else(nobody)?, by).await?,
        "move" => {
            let to = form.to.ok_or_else(|| Error::Refused("Choose the cohort to move to.".into()))?;
            store.move_member(form.person.ok_or_else(nobody)?, cohort, to, by).await?;
        }
        _ => return Err(Error::Refused("This form says nothing to do. Use one of its buttons.".into())),
    }
    Ok(())
}
