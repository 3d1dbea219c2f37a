//! The server as browsers and programs meet it: over a real port, on a real database.

#[path = "../common/app.rs"]
mod app;

mod addresses;
mod api;
mod gradebook;
mod graded;
mod insight;
mod notes;
mod pages;
mod projector;
mod regrades;
mod reviews;
mod secrets;
mod sessions;
mod shield;
mod streams;
mod terms;
mod uploads;
