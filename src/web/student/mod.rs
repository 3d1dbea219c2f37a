//! What a student sees: board, exercise, submission.

use super::routes::{Access, Routes};

pub mod board;
pub mod exercise;
pub mod notes;
pub mod picture;
#[cfg(test)]
mod picture_tests;
pub mod pieces;
pub mod question;
pub mod submission;

/// The routes of this room.
pub fn register(routes: Routes) -> Routes {
    routes
        .get("/cohorts/{cohort}", Access::Member, board::show)
        .get("/cohorts/{cohort}/exercises/{slug}", Access::Member, exercise::show)
        .get("/cohorts/{cohort}/exercises/{slug}/starter.zip", Access::Member, exercise::starter)
        .upload("/cohorts/{cohort}/exercises/{slug}/submissions", Access::Member, exercise::hand_in)
        .get("/submissions/{submission}", Access::Owner, submission::show)
        .stream("/submissions/{submission}/events", Access::Owner, submission::events)
        .post("/submissions/{submission}/hints", Access::Owner, submission::hint)
        .get("/submissions/{submission}/log.txt", Access::Owner, submission::log)
}
