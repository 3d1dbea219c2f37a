//! Everybody with an account: found by name, made, made admin, kept out and let in again.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::newcomers::{self, Line, Made};
use super::sections::{Sections, frame};
use crate::accounts::Role;
use crate::store::PersonChange;
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::shape::Shape;
use crate::web::words::{Moment, count};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// People on one page.
const PAGE: i64 = 50;

#[derive(Template)]
#[template(path = "admin/people.html")]
pub(crate) struct PeoplePage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) search: String,
    pub(crate) total: String,
    pub(crate) rows: Vec<PersonRow>,
    /// Where the next page is.
    pub(crate) more: Option<String>,
    /// Where the first page is, on every other one.
    pub(crate) first: Option<String>,
    pub(crate) cohorts: Vec<(String, String)>,
    pub(crate) form: NewPerson,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct PersonRow {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) state: &'static str,
    pub(crate) cohorts: Vec<(String, String, &'static str)>,
    pub(crate) since: Moment,
    pub(crate) actions: Vec<Action>,
}

/// Something that can be done with somebody: a button of a form.
pub(crate) struct Action {
    pub(crate) href: String,
    /// The field `do` of the form.
    pub(crate) word: &'static str,
    pub(crate) label: &'static str,
}

impl PersonRow {
    /// What an admin can do with somebody, in order.
    fn actions(id: Uuid, admin: bool, deactivated: bool) -> Vec<Action> {
        let own = |word, label| Action { href: format!("/admin/people/{id}"), word, label };
        let reset =
            Action { href: format!("/admin/people/{id}/reset"), word: "reset", label: "New password" };
        let mut actions = vec![
            if admin { own("no-admin", "Take admin role") } else { own("admin", "Make admin") },
            if deactivated { own("activate", "Activate") } else { own("deactivate", "Deactivate") },
        ];
        if !deactivated {
            actions.push(reset);
        }
        actions
    }
}

/// What is looked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    search: String,
    after: String,
}

/// `GET /admin/people`
///
/// # Errors
/// Faults of ours.
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Query(wish): body::Query<Wish>,
) -> Result<Response> {
    page(&state, &viewer, &csrf, wish, NewPerson::default(), None).await
}

fn address(search: &str, after: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("search", search)
        .append_pair("after", after)
        .finish();
    format!("/admin/people?{query}")
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    wish: Wish,
    form: NewPerson,
    refusal: Option<Error>,
) -> Result<Response> {
    let store = &state.store;
    let mut people = store.find_people(&wish.search, &wish.after, PAGE + 1).await?;
    let size = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = (people.len() > size).then(|| address(&wish.search, &people[size - 1].name));
    people.truncate(size);
    let mut rows = Vec::new();
    for person in people {
        let cohorts = store.cohorts_of(person.id).await?.into_iter().map(|(cohort, role)| {
            let role = if role == Role::Trainer { "trainer" } else { "" };
            (format!("/admin/cohorts/{}", cohort.id), cohort.name, role)
        });
        let deactivated = person.deactivated_at.is_some();
        let (shape, said) = match (deactivated, person.admin) {
            (true, _) => (Shape::Skipped, "deactivated"),
            (false, true) => (Shape::Passed, "admin"),
            (false, false) => (Shape::NotStarted, "active"),
        };
        rows.push(PersonRow {
            name: visible(&person.name).into_owned(),
            shape,
            state: said,
            cohorts: cohorts.collect(),
            since: Moment(person.created_at),
            actions: PersonRow::actions(person.id, person.admin, deactivated),
        });
    }
    let cohorts = store.cohorts().await?.into_iter().filter(|cohort| cohort.closed_at.is_none());
    let total = store.count_people(&wish.search).await?;
    let status = refusal.as_ref().map_or(StatusCode::OK, Error::status);
    let page = PeoplePage {
        frame: frame(viewer, csrf, "/admin/people", "People"),
        sections: Sections::at("/admin/people"),
        total: if total == 1 {
            "1 person".into()
        } else {
            count(total, "people").replace("peoples", "people")
        },
        rows,
        more,
        first: (!wish.after.is_empty()).then(|| address(&wish.search, "")),
        cohorts: cohorts.map(|cohort| (cohort.id.to_string(), cohort.name)).collect(),
        search: wish.search,
        form: NewPerson { password: String::new(), ..form },
        refusal: refusal.map(|refused| refused.to_string()),
    };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// Somebody new.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct NewPerson {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) cohort: String,
    pub(crate) role: String,
}

/// `POST /admin/people`: makes an account; a password that was made for it is shown once.
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(form): body::Form<NewPerson>,
) -> Result<Response> {
    let line = Line {
        number: 1,
        name: form.name.clone(),
        password: form.password.clone(),
        cohort: form.cohort.clone(),
        role: form.role.clone(),
    };
    let judged = newcomers::judge(&state, vec![line]).await?;
    if let Some(refusal) = judged.iter().find_map(|one| one.refusal.clone()) {
        let refusal = Some(Error::Refused(refusal.into()));
        return page(&state, &viewer, &csrf, Wish::default(), form, refusal).await;
    }
    match newcomers::admit(&state, &viewer, judged).await {
        Ok(made) if made.iter().any(|one| one.password.is_some()) => {
            newcomers::shown_once(&viewer, &csrf, made)
        }
        Ok(made) => {
            let name = made.first().map_or("", |one: &Made| one.name.as_str());
            Ok(Redirect::to(&address(name, "")).into_response())
        }
        Err(refused) if refused.status().is_client_error() => {
            page(&state, &viewer, &csrf, Wish::default(), form, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

/// What is done with somebody.
#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    r#do: String,
    /// What was looked for on the page.
    #[serde(default)]
    search: String,
}

/// `POST /admin/people/{person}`
///
/// # Errors
/// [`Error::NotFound`] when there is no such person.
pub async fn change(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(person): body::Path<Uuid>,
    body::Form(form): body::Form<Change>,
) -> Result<Response> {
    let change = match form.r#do.as_str() {
        "admin" => PersonChange::Admin(true),
        "no-admin" => PersonChange::Admin(false),
        "deactivate" => PersonChange::Deactivated(true),
        "activate" => PersonChange::Deactivated(false),
        _ => return Err(Error::Refused("This form says nothing to do. Use one of its buttons.".into())),
    };
    let refused = if person == viewer.person.id
        && matches!(change, PersonChange::Admin(false) | PersonChange::Deactivated(true))
    {
        Err(Error::Refused("You cannot take this from yourself. Ask another admin.".into()))
    } else {
        state.store.change_person(person, change, Some(viewer.person.id)).await.map_err(Error::from)
    };
    match refused {
        Ok(()) => Ok(Redirect::to(&address(&form.search, "")).into_response()),
        Err(refused @ Error::Refused(_)) => {
            let wish = Wish { search: form.search, ..Wish::default() };
            page(&state, &viewer, &csrf, wish, NewPerson::default(), Some(refused)).await
        }
        Err(error) => Err(error),
    }
}
