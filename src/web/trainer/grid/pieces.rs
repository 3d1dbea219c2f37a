//! The pieces of the grid's page that change while it is open, each with its template.

use askama::Template;
use uuid::Uuid;

use crate::web::words::Ago;

/// `summary` of the page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "trainer/summary.html")]
pub(crate) struct SummaryPiece {
    pub(super) students: String,
    pub(super) workshop: String,
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) grading: usize,
    pub(super) queued: usize,
    pub(super) for_review: usize,
}

/// `filters` of the page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "trainer/filters.html")]
pub(crate) struct FiltersPiece {
    pub(super) choices: [FilterView; 4],
}

/// What is shown of the students.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilterView {
    pub(super) show: &'static str,
    pub(super) label: &'static str,
    pub(super) class: &'static str,
    pub(super) href: String,
    pub(super) students: Option<usize>,
    pub(super) current: bool,
}

/// One student's row of the page.
#[derive(Template)]
#[template(path = "trainer/row.html")]
pub(crate) struct RowPiece {
    pub(super) cohort: Uuid,
    pub(super) person: Uuid,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) cells: Vec<Spot>,
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) seen: Option<Ago>,
    pub(super) stuck: Option<StuckView>,
}

/// On what somebody is stuck, and why.
pub(super) struct StuckView {
    pub(super) exercise: String,
    pub(super) why: Option<(String, usize, Ago)>,
}

impl askama::filters::HtmlSafe for SummaryPiece {}
impl askama::filters::HtmlSafe for FiltersPiece {}
impl askama::filters::HtmlSafe for RowPiece {}

/// One cell.
pub(super) enum Spot {
    Empty { gap: bool },
    Filled { gap: bool, late: bool, letter: &'static str, submission: Uuid, words: String },
}
