//! Cohorts and how far they are.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::people::Membership;
use crate::accounts::Role;
use crate::report::Points;
use crate::store::CellState;
use crate::terms::Lateness;
use crate::web::AppState;
use crate::web::access::{Scope, Viewer};
use crate::web::error::{Problem, Result};

/// The caller's cohorts, newest membership first; all cohorts for admins.
#[utoipa::path(
    get, path = "/api/v1/cohorts", tag = "cohorts",
    responses((status = 200, body = Vec<Membership>), (status = 401, body = Problem)),
)]
pub async fn list(State(state): State<AppState>, viewer: Viewer) -> Result<Json<Vec<Membership>>> {
    if viewer.person.admin {
        let all = state.store.cohorts().await?;
        return Ok(Json(all.iter().map(|cohort| Membership::new(cohort, Role::Trainer)).collect()));
    }
    Ok(Json(viewer.cohorts.iter().map(|(cohort, role)| Membership::new(cohort, *role)).collect()))
}

/// How far a cohort is.
#[derive(Serialize, ToSchema)]
pub struct Progress {
    /// The cohort.
    cohort: Uuid,
    /// Slugs in the workshop's order.
    exercises: Vec<String>,
    students: Vec<StudentProgress>,
}

/// How far one student is.
#[derive(Serialize, ToSchema)]
pub struct StudentProgress {
    id: Uuid,
    name: String,
    joined_at: DateTime<Utc>,
    /// One per exercise in which something was handed in; the others are not started.
    exercises: Vec<ExerciseProgress>,
}

/// One student in one exercise.
#[derive(Serialize, ToSchema)]
pub struct ExerciseProgress {
    exercise: String,
    state: CellState,
    /// Before what its lateness takes away.
    points: Points,
    late: Lateness,
    submissions: i64,
    latest_submission: Uuid,
    changed_at: DateTime<Utc>,
}

/// Every student of a cohort in every exercise.
#[utoipa::path(
    get, path = "/api/v1/cohorts/{cohort}/progress", tag = "cohorts", params(("cohort" = Uuid, Path)),
    responses(
        (status = 200, body = Progress),
        (status = 401, body = Problem),
        (status = 403, description = "For trainers of the cohort only", body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub async fn progress(State(state): State<AppState>, scope: Scope) -> Result<Json<Progress>> {
    let workshop = state.shelf.workshop(&scope.cohort).await?;
    let members = state.store.members(scope.cohort.id).await?;
    let mut cells = std::collections::HashMap::<Uuid, Vec<ExerciseProgress>>::new();
    for cell in state.store.cells(scope.cohort.id).await? {
        cells.entry(cell.person).or_default().push(ExerciseProgress {
            exercise: cell.exercise,
            state: cell.state,
            points: cell.points,
            late: cell.late,
            submissions: cell.submissions,
            latest_submission: cell.latest_submission,
            changed_at: cell.changed_at,
        });
    }
    let students = members.into_iter().filter(|member| member.role == Role::Student);
    Ok(Json(Progress {
        cohort: scope.cohort.id,
        exercises: workshop.sections.into_iter().flat_map(|section| section.exercises).collect(),
        students: students
            .map(|member| StudentProgress {
                exercises: cells.remove(&member.person).unwrap_or_default(),
                id: member.person,
                name: member.name,
                joined_at: member.joined_at,
            })
            .collect(),
    }))
}
