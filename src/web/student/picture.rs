//! What the page of a submission shows, folded from the grading's events.
//!
//! The page draws a [`Picture`] of all events so far; the stream of the same page folds every
//! further event into its own picture and sends the pieces that changed as [`Update`]s. So what a
//! page shows does not depend on when it was opened, and every piece of markup exists once, in a
//! template.

mod drawing;

use std::collections::HashMap;

use super::pieces::outcome_word;
use crate::exercises::Exercise;
use crate::live::Event;
use crate::report::{CheckReport, OutcomeKind, Phase, Points, Report, Verdict};
use crate::text;
use crate::web::shape::Shape;
use crate::web::update::{Patch, Update};
use crate::web::words::escaped;

/// The most lines of log that a page carries; the rest is behind a link.
pub const LOG_LINES: usize = 10_000;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Hidden expectations are kept back.
    Student,
    /// The same, where every expectation is hidden.
    KeptBack,
    /// Sees everything.
    Trainer,
}

/// What the page needs of the exercise: its checks in order.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// In the exercise's order.
    pub checks: Vec<Planned>,
    /// The submission before, where there is one to compare with.
    pub before: Option<Before>,
}

/// What became of the checks in the submission before.
#[derive(Clone, Debug)]
pub struct Before {
    /// The submission's number.
    pub number: i64,
    /// Its page.
    pub href: String,
    /// By check.
    pub outcomes: HashMap<String, OutcomeKind>,
}

/// A check before it has an outcome.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its id in the exercise.
    pub id: String,
    /// What must hold.
    pub title: String,
    /// Points to be had.
    pub points: u32,
    /// When it is looked at.
    pub phase: Phase,
    /// Every hint, the first included.
    pub hints: Vec<String>,
    /// How many hints the student asked for beside the first.
    pub asked: usize,
    /// Points that each of those costs.
    pub hint_cost: u32,
}

impl From<&Exercise> for Outline {
    fn from(exercise: &Exercise) -> Self {
        let checks = exercise.checks.iter().map(|check| Planned {
            id: check.id.clone(),
            title: check.title.clone(),
            points: check.points,
            phase: check.kind.phase(),
            hints: check.hints.clone(),
            asked: 0,
            hint_cost: exercise.hint_cost,
        });
        Self { checks: checks.collect(), before: None }
    }
}

impl Outline {
    /// With the hints that were asked for, each named by its check.
    #[must_use]
    pub fn asked<'h>(mut self, hints: impl IntoIterator<Item = &'h str>) -> Self {
        for id in hints {
            if let Some(check) = self.checks.iter_mut().find(|check| check.id == id) {
                check.asked += 1;
            }
        }
        self
    }
}

/// How far the grading is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Not begun.
    Queued {
        /// Gradings before this one; `None` when that is not known.
        ahead: Option<i64>,
    },
    /// A worker has it.
    Running {
        /// The first is 1.
        attempt: i32,
    },
    /// Ours failed, and another attempt follows.
    Retrying {
        /// Seconds until then, from when that was decided.
        in_seconds: u64,
    },
    /// The verdict is there.
    Done {
        /// The judgement.
        verdict: Verdict,
        /// The sum over the checks.
        points: Points,
        /// Whether a trainer still has to read an answer.
        waiting: bool,
        /// From the first attempt's start to the verdict.
        seconds: Option<f64>,
        /// A sentence about a fault.
        fault: Option<String>,
    },
}

struct Step {
    phase: Phase,
    shape: Shape,
    seconds: Option<f64>,
}

/// Everything that is shown of a grading.
pub struct Picture {
    audience: Audience,
    outline: Outline,
    stage: Stage,
    steps: Vec<Step>,
    reports: Vec<Option<CheckReport>>,
    log: Vec<String>,
    log_source: Option<String>,
}

impl Picture {
    /// Before anything happened.
    #[must_use]
    pub fn new(outline: Outline, audience: Audience) -> Self {
        let mut picture = Self {
            audience,
            reports: Vec::new(),
            outline,
            stage: Stage::Queued { ahead: None },
            steps: Vec::new(),
            log: Vec::new(),
            log_source: None,
        };
        picture.forget();
        picture
    }

    /// What the page knows of the exercise.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// How far the grading is.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether the verdict is there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done { .. })
    }

    /// Whether anything of this exercise prints into the log.
    #[must_use]
    pub fn has_log(&self) -> bool {
        !self.log.is_empty() || self.outline.checks.iter().any(|check| check.phase > Phase::Read)
    }

    /// Tells the place in the queue; nothing happens once a worker has it.
    pub fn queued(&mut self, ahead: i64) -> Update {
        if self.stage == (Stage::Queued { ahead: Some(ahead) }) || !matches!(self.stage, Stage::Queued { .. })
        {
            return Update::default();
        }
        self.stage = Stage::Queued { ahead: Some(ahead) };
        self.verdict_update(None)
    }

    /// Takes the stored report for what happened: it is the last word.
    pub fn settle(&mut self, report: &Report, seconds: Option<f64>) {
        for check in &report.checks {
            self.set(check.clone());
        }
        for step in &mut self.steps {
            step.seconds =
                report.phases.iter().find(|phase| phase.name == step.phase).map(|phase| phase.seconds);
        }
        self.stage = Stage::Done {
            verdict: report.verdict,
            points: report.points,
            waiting: report.waits_for_review(),
            seconds,
            fault: report.fault().map(str::to_owned),
        };
        self.settle_steps();
    }

    /// Whether a trainer still has to read an answer before everything is told.
    #[must_use]
    pub fn awaits_review(&self) -> bool {
        matches!(self.stage, Stage::Done { waiting: true, .. })
    }

    /// Takes in what a trainer made of answers after the verdict; what that changes on an open page. With
    /// `all` everything that was scored is told, for a page of which it is not known what it shows.
    pub fn reviewed(&mut self, report: &Report, all: bool) -> Update {
        let Stage::Done { seconds, .. } = self.stage else { return Update::default() };
        let before = self.reports.clone();
        self.settle(report, seconds);
        let changed = |index: &usize| {
            let now = &self.reports[*index];
            let touched = |report: &CheckReport| report.review.is_some() || report.overridden.is_some();
            *now != before[*index] || all && now.as_ref().is_some_and(touched)
        };
        let changed: Vec<usize> = (0..self.reports.len()).filter(changed).collect();
        if changed.is_empty() {
            return Update::default();
        }
        let mut update = self.verdict_update(Some(self.headline()));
        update.patches.push(self.steps_patch());
        update.patches.extend(changed.into_iter().map(|index| self.check_patch(index)));
        update.done = !self.awaits_review();
        update
    }

    /// Folds one event in; what it changes on an open page.
    pub fn apply(&mut self, event: &Event) -> Update {
        match event {
            Event::Started { attempt } => {
                self.forget();
                self.stage = Stage::Running { attempt: *attempt };
                let mut update = self.verdict_update(Some("Grading has started.".into()));
                update.patches.extend([self.steps_patch(), self.checks_patch(), self.log_patch()]);
                update
            }
            Event::PhaseStarted { phase } => self.phase(*phase, Shape::Running, None),
            Event::PhaseFinished { phase, seconds } => {
                let failed = self.any(*phase, &[OutcomeKind::Failed]);
                let broken = self.any(*phase, &[OutcomeKind::Broken]);
                let shape = if broken {
                    Shape::Fault
                } else if failed {
                    Shape::Failed
                } else {
                    Shape::Passed
                };
                self.phase(*phase, shape, Some(*seconds))
            }
            Event::Log { source, lines } => {
                let html = self.log_lines(source, lines);
                self.log.push(html.clone());
                Update::of(Patch { id: "log".into(), html, append: true })
            }
            Event::LogTruncated { source } => {
                let html = format!(
                    "<p class=\"note\">The log of {} was cut here: it reached its limit.</p>",
                    escaped(&text::visible(source))
                );
                self.log.push(html.clone());
                Update::of(Patch { id: "log".into(), html, append: true })
            }
            Event::Outcome { check } => self.outcome((**check).clone()),
            Event::Retrying { in_seconds, .. } => {
                self.stage = Stage::Retrying { in_seconds: *in_seconds };
                self.verdict_update(Some("This was us; it did not count. We try again.".into()))
            }
            Event::Finished { verdict, points, waiting, seconds } => {
                self.stage = Stage::Done {
                    verdict: *verdict,
                    points: *points,
                    waiting: *waiting,
                    seconds: Some(*seconds),
                    fault: self.fault(),
                };
                self.settle_steps();
                let said = self.headline();
                let mut update = self.verdict_update(Some(said));
                update.patches.extend([self.steps_patch(), self.checks_patch()]);
                update.done = !*waiting;
                update
            }
        }
    }

    /// Back to before the first attempt, but for the place in the queue.
    fn forget(&mut self) {
        let used = |phase: Phase| match phase {
            Phase::Clean => false,
            Phase::Fetch | Phase::Read => true,
            // A build without checks of its own still happens before the checks that need an image.
            Phase::Build => self.outline.checks.iter().any(|check| check.phase >= Phase::Build),
            later => self.outline.checks.iter().any(|check| check.phase == later),
        };
        self.steps = Phase::ALL
            .into_iter()
            .filter(|phase| used(*phase))
            .map(|phase| Step { phase, shape: Shape::NotStarted, seconds: None })
            .collect();
        self.reports = vec![None; self.outline.checks.len()];
        self.log.clear();
        self.log_source = None;
    }

    fn set(&mut self, mut check: CheckReport) -> Option<usize> {
        let index = self.outline.checks.iter().position(|planned| planned.id == check.id)?;
        check.hidden |= self.audience == Audience::KeptBack;
        if self.audience != Audience::Trainer {
            check.redact();
        }
        self.reports[index] = Some(check);
        Some(index)
    }

    fn outcome(&mut self, check: CheckReport) -> Update {
        let said = format!("{}: {}", outcome_word(check.outcome), check.title);
        let Some(index) = self.set(check) else { return Update::default() };
        let mut update = self.verdict_update(Some(said));
        update.patches.push(self.check_patch(index));
        update
    }

    fn phase(&mut self, phase: Phase, shape: Shape, seconds: Option<f64>) -> Update {
        let Some(step) = self.steps.iter_mut().find(|step| step.phase == phase) else {
            return Update::default();
        };
        step.shape = shape;
        step.seconds = seconds;
        let mut update = Update::of(self.steps_patch());
        if shape == Shape::Running {
            for index in 0..self.outline.checks.len() {
                if self.outline.checks[index].phase == phase && self.reports[index].is_none() {
                    update.patches.push(self.check_patch(index));
                }
            }
        }
        update
    }

    /// After the verdict no step is under way: it did what its checks say, or was not reached.
    fn settle_steps(&mut self) {
        // Where something had to be skipped, it is because of the last step that ran.
        let skipped = self.reports.iter().flatten().any(|report| report.outcome == OutcomeKind::Skipped);
        let stopped_at = self.steps.iter().rposition(|step| skipped && step.seconds.is_some());
        for index in 0..self.steps.len() {
            let phase = self.steps[index].phase;
            let shape = if self.any(phase, &[OutcomeKind::Broken]) {
                Shape::Fault
            } else if self.any(phase, &[OutcomeKind::Failed]) || stopped_at == Some(index) {
                Shape::Failed
            } else if self.any(phase, &[OutcomeKind::Skipped]) {
                Shape::Skipped
            } else if self.steps[index].seconds.is_some()
                || self.any(phase, &[OutcomeKind::Passed, OutcomeKind::Waiting])
            {
                Shape::Passed
            } else {
                Shape::Skipped
            };
            self.steps[index].shape = shape;
        }
    }

    /// What the first broken check says, as [`Report::fault`].
    fn fault(&self) -> Option<String> {
        let mut reports = self.reports.iter().flatten();
        reports.find(|report| report.outcome == OutcomeKind::Broken).map(|report| report.observed.clone())
    }

    fn any(&self, phase: Phase, kinds: &[OutcomeKind]) -> bool {
        self.outline
            .checks
            .iter()
            .zip(&self.reports)
            .filter_map(|(planned, report)| report.as_ref().filter(|_| planned.phase == phase))
            .any(|report| kinds.contains(&report.outcome))
    }
}
