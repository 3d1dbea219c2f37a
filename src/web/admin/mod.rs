//! What an admin sees first: cohorts, people, exercises, workers and queue at a glance. The manual of the
//! check kinds is beside it.

pub mod audit;
pub mod cohorts;
pub mod diff;
pub mod editor;
pub mod engine;
pub mod exercise;
pub mod exercises;
mod folder;
pub mod groups;
pub mod kinds;
pub mod newcomers;
pub mod people;
pub(crate) mod sections;
pub mod verification;
pub mod workshops;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;

use super::page::Frame;
use super::routes::{Access, Routes};
use super::shape::Shape;
use super::words::{Ago, Moment};
use super::{AppState, Csrf, Result, Viewer};
use crate::exercises::Workshop;

/// Silence after which a worker counts as gone.
const GONE_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(90);

/// The routes of this room.
pub fn register(routes: Routes) -> Routes {
    let routes = routes
        .get("/admin", Access::Admin, home)
        .get("/admin/kinds", Access::Admin, kinds::show)
        .get("/admin/groups", Access::Admin, groups::show)
        .post("/admin/groups", Access::Admin, groups::change)
        .stream("/admin/jobs/{job}/events", Access::Admin, verification::events);
    let routes = routes
        .get("/admin/workshops", Access::Admin, workshops::list)
        .post("/admin/workshops", Access::Admin, workshops::create)
        .get("/admin/workshops/{workshop}", Access::Admin, workshops::show)
        .post("/admin/workshops/{workshop}", Access::Admin, workshops::edit)
        .get("/admin/cohorts", Access::Admin, cohorts::list)
        .post("/admin/cohorts", Access::Admin, cohorts::create)
        .get("/admin/cohorts/{cohort}", Access::Admin, cohorts::show)
        .post("/admin/cohorts/{cohort}", Access::Admin, cohorts::change)
        .get("/admin/people", Access::Admin, people::list)
        .post("/admin/people", Access::Admin, people::create)
        .get("/admin/people/import", Access::Admin, newcomers::show)
        .post("/admin/people/import", Access::Admin, newcomers::import)
        .post("/admin/people/{person}", Access::Admin, people::change)
        .get("/admin/engine", Access::Admin, engine::show)
        .post("/admin/engine", Access::Admin, engine::ask)
        .stream("/admin/engine/events", Access::Admin, engine::events)
        .get("/admin/audit", Access::Admin, audit::show);
    authoring(routes)
}

fn authoring(routes: Routes) -> Routes {
    routes
        .get("/admin/exercises", Access::Admin, exercises::list)
        .post("/admin/exercises", Access::Admin, exercises::create)
        .upload("/admin/exercises/upload", Access::Admin, exercises::upload)
        .post("/admin/exercises/import", Access::Admin, exercises::import)
        .get("/admin/exercises/{slug}", Access::Admin, exercise::show)
        .post("/admin/exercises/{slug}/draft", Access::Admin, exercise::draft)
        .post("/admin/exercises/{slug}/discard", Access::Admin, exercise::discard)
        .post("/admin/exercises/{slug}/verify", Access::Admin, exercise::verify)
        .post("/admin/exercises/{slug}/publish", Access::Admin, exercise::publish)
        .post("/admin/exercises/{slug}/retire", Access::Admin, exercise::retire)
        .get("/admin/exercises/{slug}/diff", Access::Admin, diff::show)
        .get("/admin/exercises/{slug}/folder.zip", Access::Admin, exercise::zip)
        .get("/admin/exercises/{slug}/files", Access::Admin, editor::show)
        .upload("/admin/exercises/{slug}/files", Access::Admin, editor::edit)
        .get("/admin/exercises/{slug}/file", Access::Admin, editor::bytes)
        .upload("/admin/exercises/{slug}/check", Access::Admin, editor::check)
        .get("/admin/exercises/{slug}/preview", Access::Admin, editor::statement)
        .upload("/admin/exercises/{slug}/preview", Access::Admin, editor::preview)
}

/// Whether a workshop has an exercise.
pub(crate) fn has(workshop: &Workshop, slug: &str) -> bool {
    workshop.sections.iter().any(|section| section.exercises.iter().any(|theirs| theirs == slug))
}

/// The home of an admin.
#[derive(Template, WebTemplate)]
#[template(path = "admin/home.html")]
pub struct HomePage {
    pub(crate) frame: Frame,
    pub(crate) sections: sections::Sections,
    pub(crate) queued: i64,
    pub(crate) oldest: Option<Ago>,
    pub(crate) running: usize,
    pub(crate) workers: Vec<WorkerRow>,
    pub(crate) cohorts: Vec<CohortRow>,
    pub(crate) people: Vec<PersonRow>,
    pub(crate) exercises: Vec<ExerciseRow>,
}

pub(crate) struct WorkerRow {
    pub(crate) shape: Shape,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) seen: Ago,
}

pub(crate) struct CohortRow {
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) workshop: String,
    pub(crate) code: String,
    pub(crate) since: Moment,
}

pub(crate) struct PersonRow {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) since: Moment,
}

pub(crate) struct ExerciseRow {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) published: Moment,
}

/// `GET /admin`
///
/// # Errors
/// Faults of ours.
pub async fn home(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<HomePage> {
    let now = state.clock.now();
    let (queued, oldest) = state.store.queue_depth().await?;
    let running = state.store.running().await?.len();
    let workers = state.store.workers().await?.into_iter().map(|worker| {
        let (shape, said) = engine::standing(&worker, now);
        WorkerRow {
            shape,
            host: worker.host,
            state: said,
            engine: worker.engine.unwrap_or_else(|| "not known yet".into()),
            version: worker.version,
            seen: Ago { at: worker.last_seen, now },
        }
    });
    let workers = workers.collect();
    let cohorts = state.store.cohorts().await?.into_iter().map(|cohort| CohortRow {
        href: format!("/cohorts/{}/grid", cohort.id),
        name: cohort.name,
        workshop: cohort.workshop,
        code: cohort.join_code,
        since: Moment(cohort.created_at),
    });
    let cohorts: Vec<CohortRow> = cohorts.collect();
    let exercises = state.store.published_exercises().await?.into_iter().map(|exercise| ExerciseRow {
        slug: exercise.slug,
        title: exercise.title,
        version: exercise.version.chars().take(12).collect(),
        published: Moment(exercise.published_at),
    });
    let exercises = exercises.collect();
    let people = state.store.people().await?.into_iter().map(|person| PersonRow {
        name: person.name,
        role: match (person.deactivated_at.is_some(), person.admin) {
            (true, _) => "deactivated",
            (false, true) => "admin",
            (false, false) => "",
        },
        since: Moment(person.created_at),
    });
    Ok(HomePage {
        frame: Frame::new(Some(&viewer), &csrf).at("/admin", "Admin"),
        sections: sections::Sections::at("/admin"),
        queued,
        oldest: oldest.map(|at| Ago { at, now }),
        running,
        workers,
        cohorts,
        people: people.collect(),
        exercises,
    })
}
