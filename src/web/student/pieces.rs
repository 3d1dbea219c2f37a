//! The pieces of a submission's page that change while it is graded, each with its template. A page
//! is made of them, and its stream sends them one by one (see [`super::picture`]).

use askama::Template;

use super::picture::Planned;
use crate::report::{CheckReport, OutcomeKind};
use crate::web::markdown;
use crate::web::shape::Shape;
use crate::web::words::count;

/// `verdict` of the page.
#[derive(Template)]
#[template(path = "student/verdict.html")]
pub struct VerdictPiece {
    pub(super) shape: Shape,
    pub(super) headline: String,
    pub(super) about: String,
    pub(super) since: Option<Since>,
}

/// How a submission compares with the one before.
pub(super) struct Since {
    pub(super) number: i64,
    pub(super) href: String,
    pub(super) said: String,
}

/// What became of a check since the submission before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It passes now.
    Gained,
    /// It does not pass any more.
    Lost,
}

/// `steps` of the page.
#[derive(Template)]
#[template(path = "student/steps.html")]
pub struct StepsPiece {
    pub(super) steps: Vec<StepView>,
}

pub(super) struct StepView {
    pub(super) shape: Shape,
    pub(super) title: &'static str,
    pub(super) about: String,
}

/// `checks` of the page.
#[derive(Template)]
#[template(path = "student/checks.html")]
pub struct ChecksPiece<'a> {
    /// In the exercise's order.
    pub checks: Vec<CheckPiece<'a>>,
}

/// `log` of the page.
#[derive(Template)]
#[template(path = "student/log.html")]
pub struct LogPiece {
    /// Ready HTML of the lines.
    pub log: String,
    /// Whether earlier lines were left out.
    pub cut: bool,
}

/// One check of the page.
#[derive(Template)]
#[template(path = "student/check.html")]
pub struct CheckPiece<'a> {
    pub(super) planned: &'a Planned,
    pub(super) report: Option<&'a CheckReport>,
    pub(super) shape: Shape,
    /// Whether an earlier check was stopped by the same, and says so.
    pub(super) repeated: bool,
    pub(super) trainer: bool,
    pub(super) turned: Option<Turn>,
}

impl askama::filters::HtmlSafe for VerdictPiece {}
impl askama::filters::HtmlSafe for StepsPiece {}
impl askama::filters::HtmlSafe for ChecksPiece<'_> {}
impl askama::filters::HtmlSafe for LogPiece {}
impl askama::filters::HtmlSafe for CheckPiece<'_> {}

impl CheckPiece<'_> {
    pub(super) fn element(&self) -> String {
        format!("check-{}", self.planned.id)
    }

    /// The state as a word for screen readers.
    fn word(&self) -> &'static str {
        match self.report {
            Some(report) => outcome_word(report.outcome),
            None if self.shape == Shape::Running => "Being checked",
            None => "Not checked yet",
        }
    }

    fn score(&self) -> String {
        match self.report.map(|report| report.outcome) {
            Some(OutcomeKind::Passed | OutcomeKind::Failed) => {
                format!("{} / {}", self.report.map_or(0, |report| report.points.earned), self.planned.points)
            }
            _ => format!("– / {}", self.planned.points),
        }
    }

    /// Whether the details matter enough to be open.
    fn is_open(&self) -> bool {
        let read = self.report.is_some_and(|report| report.review.is_some() || report.overridden.is_some());
        (matches!(self.shape, Shape::Failed | Shape::Fault) || read) && !self.repeated
    }

    /// The report where there are details to show; a check that was skipped or waits has one
    /// sentence to say.
    fn detailed(&self) -> Option<&CheckReport> {
        self.report.filter(|_| !matches!(self.shape, Shape::Skipped | Shape::Waiting))
    }

    /// The hints of a check that did not pass, as HTML: those that were asked for, all for a trainer.
    fn hints(&self) -> Hints {
        if self.shape != Shape::Failed {
            return Hints::default();
        }
        let Planned { hints, asked, hint_cost, .. } = self.planned;
        let seen = (1 + asked).min(hints.len());
        let shown = if self.trainer { hints.len() } else { seen };
        Hints {
            shown: hints[..shown].iter().map(|hint| markdown::phrase(hint)).collect(),
            seen,
            all: hints.len(),
            cost: (*hint_cost > 0).then(|| count((*hint_cost).into(), "point")),
        }
    }

    /// What hints cost this check, once it is judged.
    fn charge(&self) -> Option<String> {
        let report = self.report.filter(|report| report.hint_points > 0)?;
        match report.outcome {
            OutcomeKind::Passed => {
                Some(format!("{} less, for hints", count(report.hint_points.into(), "point")))
            }
            _ => None,
        }
    }
}

/// The hints of a check as they are shown.
#[derive(Default)]
struct Hints {
    shown: Vec<String>,
    /// How many the student has seen.
    seen: usize,
    /// How many there are.
    all: usize,
    /// What the next one costs.
    cost: Option<String>,
}

/// The outcome in words.
pub(super) fn outcome_word(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Passed => "Passed",
        OutcomeKind::Failed => "Not yet",
        OutcomeKind::Skipped => "Skipped",
        OutcomeKind::Broken => "Our fault",
        OutcomeKind::Waiting => "Waiting for review",
    }
}
