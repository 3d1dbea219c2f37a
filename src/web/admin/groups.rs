//! Into which cohorts the groups of the OpenID provider lead.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::sections::{Sections, frame};
use crate::accounts::Role;
use crate::store::{self, Cohort, GroupRule};
use crate::web::page::Frame;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// The longest name of a group, in characters.
const LONGEST_GROUP: usize = 250;

#[derive(Template)]
#[template(path = "admin/groups.html")]
pub(crate) struct GroupsPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    /// What the provider is called; none where nobody signs in with one.
    pub(crate) provider: Option<String>,
    pub(crate) claim: String,
    pub(crate) admin_groups: Vec<String>,
    pub(crate) rules: Vec<GroupRule>,
    pub(crate) cohorts: Vec<Cohort>,
    pub(crate) group: String,
    pub(crate) refusal: Option<String>,
}

/// `GET /admin/groups`
///
/// # Errors
/// Faults of ours.
pub async fn show(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    page(&state, &viewer, &csrf, String::new(), None).await
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    group: String,
    refusal: Option<&'static str>,
) -> Result<Response> {
    let settings = &state.settings.openid;
    let cohorts = state.store.cohorts().await?;
    let page = GroupsPage {
        frame: frame(viewer, csrf, "/admin/groups", "Groups"),
        sections: Sections::at("/admin/groups"),
        provider: state.openid.as_ref().map(|openid| openid.name().to_owned()),
        claim: settings.groups_claim.clone(),
        admin_groups: settings.admin_groups.clone(),
        rules: state.store.group_rules().await?,
        cohorts: cohorts.into_iter().filter(|cohort| cohort.closed_at.is_none()).collect(),
        group,
        refusal: refusal.map(str::to_owned),
    };
    let status = if refusal.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// A rule to be made, or with `role` left out one that goes.
#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    group: String,
    cohort: Option<Uuid>,
    role: Option<Role>,
}

/// `POST /admin/groups`
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn change(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(change): body::Form<Change>,
) -> Result<Response> {
    let group = change.group.trim().to_owned();
    let wrong = if group.is_empty() {
        Some("A rule is about a group. Write its name as the sign-in service does.")
    } else if group.chars().count() > LONGEST_GROUP {
        Some("No group has a name as long as this. Write it as the sign-in service does.")
    } else if crate::text::visible(&group) != group {
        Some("That name contains an invisible or control character. Type it by hand instead of pasting it.")
    } else {
        None
    };
    let Some(cohort) = change.cohort.filter(|_| wrong.is_none()) else {
        return page(&state, &viewer, &csrf, group, wrong.or(Some("Choose the cohort."))).await;
    };
    match state.store.set_group_rule(&group, cohort, change.role, viewer.person.id).await {
        Ok(()) => {
            tracing::info!(group, %cohort, by = %viewer.person.id, "web.group_rule_changed");
            Ok(Redirect::to("/admin/groups").into_response())
        }
        Err(store::Error::NotFound { .. }) => {
            let gone = Some("There is no such cohort any more. Choose another one.");
            page(&state, &viewer, &csrf, group, gone).await
        }
        Err(error) => Err(error.into()),
    }
}
