//! The ways between a cohort's pages for its trainers, the same on each of them.

use askama::Template;
use uuid::Uuid;

use crate::web::page::{Frame, Link, home_of};
use crate::web::{Csrf, Scope, Viewer};

/// A page of a cohort that trainers find in its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Students,
    Checks,
    Statistics,
    Reviews,
    Regrades,
    Dates,
    Registries,
    Projector,
}

impl Tab {
    const ALL: [Self; 8] = [
        Self::Students,
        Self::Checks,
        Self::Statistics,
        Self::Reviews,
        Self::Regrades,
        Self::Dates,
        Self::Registries,
        Self::Projector,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Students => "Students",
            Self::Checks => "Checks",
            Self::Statistics => "Statistics",
            Self::Reviews => "Reviews",
            Self::Regrades => "Regrades",
            Self::Dates => "Dates and settings",
            Self::Registries => "Registries",
            Self::Projector => "Projector",
        }
    }

    pub(crate) fn href(self, cohort: Uuid) -> String {
        match self {
            Self::Students => home_of(cohort, crate::accounts::Role::Trainer),
            Self::Checks => super::checks::href(cohort),
            Self::Statistics => super::statistics::href(cohort),
            Self::Regrades => super::regrades::href(cohort),
            Self::Reviews => super::reviews::queue_href(cohort),
            Self::Dates => super::dates::href(cohort),
            Self::Registries => super::registries::href(cohort),
            Self::Projector => super::projector::href(cohort),
        }
    }
}

/// The bar, with where the reader is.
#[derive(Template)]
#[template(path = "trainer/tabs.html")]
pub(crate) struct Tabs {
    links: Vec<Link>,
}

impl askama::filters::HtmlSafe for Tabs {}

impl Tabs {
    pub(crate) fn at(cohort: Uuid, here: Tab) -> Self {
        let link =
            |tab: Tab| Link { href: tab.href(cohort), label: tab.label().to_owned(), current: tab == here };
        Self { links: Tab::ALL.into_iter().map(link).collect() }
    }
}

/// The frame of a trainer's page below a cohort, with the way back to it.
pub(crate) fn frame(viewer: &Viewer, scope: &Scope, csrf: &Csrf) -> Frame {
    let cohort = &scope.cohort;
    Frame::new(Some(viewer), csrf).to(home_of(cohort.id, scope.role), format!("Cohort: {}", cohort.name))
}
