//! The server as browsers and programs meet it: over a real port, on a real database.

#[path = "../common/app.rs"]
mod app;

mod addresses;
mod api;
mod authoring;
mod gradebook;
mod graded;
mod hints;
mod house;
mod insight;
mod notes;
mod openid;
mod pages;
mod projector;
#[path = "../common/provider.rs"]
mod provider;
mod regrades;
mod resets;
mod reviews;
mod secrets;
mod sessions;
mod shield;
mod streams;
mod terms;
mod uploads;
