//! The server as browsers and programs meet it: over a real port, on a real database.

#[path = "../common/app.rs"]
mod app;

mod api;
mod pages;
mod sessions;
mod shield;
mod streams;
mod uploads;
