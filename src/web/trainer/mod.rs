//! What a trainer sees: their cohorts, each one's grid, dates and settings, the answers that they read, and
//! the logins for registries.

use super::routes::{Access, Routes};

pub mod checks;
pub mod cohorts;
pub mod dates;
pub mod grid;
pub mod judging;
mod plots;
pub mod projector;
pub mod registries;
pub mod regrades;
pub mod reviews;
pub mod statistics;
pub mod student;
mod tabs;
pub mod watch;
pub mod wish;

/// The routes of this room.
pub fn register(routes: Routes) -> Routes {
    routes
        .get("/cohorts", Access::SignedIn, cohorts::list)
        .post("/cohorts", Access::SignedIn, cohorts::create)
        .get("/cohorts/{cohort}/grid", Access::Trainer, grid::show)
        .stream("/cohorts/{cohort}/grid/events", Access::Trainer, watch::events)
        .get("/cohorts/{cohort}/dates", Access::Trainer, dates::show)
        .post("/cohorts/{cohort}/dates", Access::Trainer, dates::set)
        .post("/cohorts/{cohort}/settings", Access::Trainer, dates::settings)
        .get("/cohorts/{cohort}/registries", Access::Trainer, registries::show)
        .post("/cohorts/{cohort}/registries", Access::Trainer, registries::change)
        .get("/cohorts/{cohort}/checks", Access::Trainer, checks::show)
        .get("/cohorts/{cohort}/statistics", Access::Trainer, statistics::show)
        .get("/cohorts/{cohort}/projector", Access::Trainer, projector::show)
        .stream("/cohorts/{cohort}/projector/events", Access::Trainer, projector::events)
        .get("/cohorts/{cohort}/people/{person}", Access::Trainer, student::show)
        .get("/cohorts/{cohort}/regrades", Access::Trainer, regrades::list)
        .post("/cohorts/{cohort}/regrades", Access::Trainer, regrades::ask)
        .get("/cohorts/{cohort}/regrades/{regrade}", Access::Trainer, regrades::show)
        .stream("/cohorts/{cohort}/regrades/{regrade}/events", Access::Trainer, regrades::events)
        .post("/submissions/{submission}/regrade", Access::Trainer, regrades::ask_one)
        .get("/cohorts/{cohort}/reviews", Access::Trainer, reviews::list)
        .post("/submissions/{submission}/comments", Access::Trainer, judging::comment)
        .post("/submissions/{submission}/overrides", Access::Trainer, judging::decide)
        .get("/submissions/{submission}/review", Access::Trainer, reviews::show)
        .post("/submissions/{submission}/review", Access::Trainer, reviews::score)
}
