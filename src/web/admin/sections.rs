//! The ways between an admin's pages, on each of them.

use askama::Template;

use crate::web::page::Frame;
use crate::web::{Csrf, Viewer};

/// Where an admin can go, with the place of the page marked.
#[derive(Template)]
#[template(path = "admin/sections.html")]
pub(crate) struct Sections {
    here: &'static str,
    all: &'static [(&'static str, &'static str)],
}

impl askama::filters::HtmlSafe for Sections {}

const ALL: [(&str, &str); 9] = [
    ("/admin", "At a glance"),
    ("/admin/exercises", "Exercises"),
    ("/admin/workshops", "Workshops"),
    ("/admin/cohorts", "Cohorts"),
    ("/admin/people", "People"),
    ("/admin/groups", "Groups"),
    ("/admin/engine", "Engine"),
    ("/admin/audit", "Audit log"),
    ("/admin/kinds", "Check kinds"),
];

impl Sections {
    pub(crate) fn at(here: &'static str) -> Self {
        Self { here, all: &ALL }
    }
}

/// The frame of an admin's page, a step below the admin's home.
pub(crate) fn frame(
    viewer: &Viewer,
    csrf: &Csrf,
    href: impl Into<String>,
    label: impl Into<String>,
) -> Frame {
    Frame::new(Some(viewer), csrf).to("/admin", "Admin").at(href, label)
}
