//! The seven states as people see them: a shape first, a colour second, the same on every page.
//!
//! Pages turn what the store and reports say (cells, outcomes, verdicts) into a [`Shape`]; the
//! drawing is the symbol of that name in `assets/icons.svg`, the colour the class `is-…`.

use std::fmt;

use crate::report::{OutcomeKind, Verdict};
use crate::store::CellState;

/// What state something is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A disc with a tick.
    Passed,
    /// A square with a cross.
    Failed,
    /// An open ring.
    Running,
    /// A half disc: in the queue, or for a trainer to read.
    Waiting,
    /// A triangle: ours.
    Fault,
    /// A dash.
    Skipped,
    /// A dot.
    NotStarted,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::Failed,
        Self::Running,
        Self::Waiting,
        Self::Fault,
        Self::Skipped,
        Self::NotStarted,
    ];

    /// The symbol's id and the end of the class name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Fault => "fault",
            Self::Skipped => "skipped",
            Self::NotStarted => "not-started",
        }
    }
}

/// The drawing, for a page. It is hidden from screen readers: a word always stands beside it.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, assets) = (self.name(), super::assets::base());
        write!(
            f,
            "<svg class=\"state is-{name}\" aria-hidden=\"true\"><use href=\"{assets}/icons.svg#{name}\"/></svg>"
        )
    }
}

impl askama::FastWritable for Shape {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(dest, "{self}")?;
        Ok(())
    }
}

impl askama::filters::HtmlSafe for Shape {}

impl From<OutcomeKind> for Shape {
    fn from(outcome: OutcomeKind) -> Self {
        match outcome {
            OutcomeKind::Passed => Self::Passed,
            OutcomeKind::Failed => Self::Failed,
            OutcomeKind::Skipped => Self::Skipped,
            OutcomeKind::Broken => Self::Fault,
            OutcomeKind::Waiting => Self::Waiting,
        }
    }
}

impl From<CellState> for Shape {
    fn from(state: CellState) -> Self {
        match state {
            CellState::NotStarted => Self::NotStarted,
            CellState::Waiting | CellState::Queued => Self::Waiting,
            CellState::Running => Self::Running,
            CellState::Passed => Self::Passed,
            CellState::Failed => Self::Failed,
            CellState::Fault => Self::Fault,
        }
    }
}

/// The shape of a finished grading; `waiting` when a trainer still has to read an answer of it.
#[must_use]
pub fn of_verdict(verdict: Verdict, waiting: bool) -> Shape {
    match verdict {
        Verdict::Passed if waiting => Shape::Waiting,
        Verdict::Passed => Shape::Passed,
        Verdict::Failed => Shape::Failed,
        Verdict::ExerciseFault | Verdict::PlatformFault => Shape::Fault,
    }
}
