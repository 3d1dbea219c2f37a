//! What a trainer sees: their cohorts and each one's grid.

use super::routes::{Access, Routes};

pub mod cohorts;
pub mod grid;
pub mod watch;

/// The routes of this room.
pub fn register(routes: Routes) -> Routes {
    routes
        .get("/cohorts", Access::SignedIn, cohorts::list)
        .post("/cohorts", Access::SignedIn, cohorts::create)
        .get("/cohorts/{cohort}/grid", Access::Trainer, grid::show)
        .stream("/cohorts/{cohort}/grid/events", Access::Trainer, watch::events)
}
