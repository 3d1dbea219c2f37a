//! What is known of each check while a grading goes by: pure bookkeeping, no waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checks::{Detail, Fault, Finding};
use crate::clock::{Clock, Stopwatch};
use crate::exercises::{CheckSpec, Exercise};
use crate::report::{
    CheckReport, EngineReport, Evidence, ImageReport, OutcomeKind, Phase, PhaseReport, Points, Report,
    Verdict,
};
use crate::sandbox::LogLine;

/// Something that happened while grading, for whoever watches.
#[derive(Clone, Debug)]
pub enum Step {
    /// A phase began.
    PhaseStarted(Phase),
    /// A phase ended after so many seconds.
    PhaseFinished(Phase, f64),
    /// One line of output.
    Log(LogLine),
    /// One check has its outcome.
    Outcome(Box<CheckReport>),
}

/// Receives steps as they happen. Called often: must not block.
pub type Observer = Arc<dyn Fn(Step) + Send + Sync>;

/// Why a grading could not be carried out: never the student's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// [`Verdict::PlatformFault`] or [`Verdict::ExerciseFault`].
    pub verdict: Verdict,
    /// The sentence for trainers and admins, with the internals.
    pub internal: String,
    /// Whether the engine itself did not answer, on which a worker pauses.
    pub engine_away: bool,
}

impl Cause {
    /// A fault of engine, disk or network.
    #[must_use]
    pub fn platform(error: &crate::sandbox::Error) -> Self {
        Self {
            verdict: Verdict::PlatformFault,
            internal: error.to_string(),
            engine_away: matches!(error, crate::sandbox::Error::Unreachable { .. }),
        }
    }

    /// A fault of the exercise's definition.
    #[must_use]
    pub fn exercise(internal: impl Into<String>) -> Self {
        Self { verdict: Verdict::ExerciseFault, internal: internal.into(), engine_away: false }
    }

    /// What the student reads.
    #[must_use]
    pub fn for_student(&self) -> &'static str {
        match self.verdict {
            Verdict::ExerciseFault => {
                "This was us: the exercise itself has a mistake. It did not count; your trainer has been told."
            }
            _ => {
                "This was us: the machine that grades had a problem. It did not count; nothing is wrong with your submission."
            }
        }
    }
}

impl From<&Fault> for Cause {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Platform(error) => Self::platform(error),
            Fault::Exercise(sentence) => Self::exercise(sentence.clone()),
            Fault::NoService(..) => Self::exercise(fault.to_string()),
        }
    }
}

/// Outcomes, phases and facts gathered so far.
pub(super) struct Course<'a> {
    exercise: &'a Exercise,
    observer: Observer,
    clock: &'a Clock,
    /// How many hints were asked for, by check.
    hints: BTreeMap<String, u32>,
    outcomes: Vec<Option<CheckReport>>,
    phases: Vec<PhaseReport>,
    running: Option<(Phase, Stopwatch)>,
    /// The first fault decides what the verdict is.
    pub cause: Option<Cause>,
    pub log_truncated: bool,
    pub image: Option<ImageReport>,
    pub engine: Option<EngineReport>,
    /// What all checks of a running stack have to do with, and the first of them, which tells it.
    remark: Option<(usize, Evidence)>,
}

impl<'a> Course<'a> {
    pub fn new(exercise: &'a Exercise, observer: Observer, clock: &'a Clock) -> Self {
        Self {
            exercise,
            observer,
            clock,
            hints: BTreeMap::new(),
            outcomes: vec![None; exercise.checks.len()],
            phases: Vec::new(),
            running: None,
            cause: None,
            log_truncated: false,
            image: None,
            engine: None,
            remark: None,
        }
    }

    /// Takes off what hints cost that were asked for, so many of each check.
    pub fn charge(&mut self, hints: BTreeMap<String, u32>) {
        self.hints = hints;
    }

    /// Gives the first check of the stack, as the exercise has them, a further piece of evidence, whatever its
    /// outcome will be: something that concerns all of them and is read once.
    pub fn remark(&mut self, evidence: Evidence) {
        let lives = |check: &CheckSpec| matches!(check.kind.phase(), Phase::Run | Phase::Disturb);
        let checks = &self.exercise.checks;
        // What a hidden check found is not for the student.
        let shown = checks.iter().position(|check| lives(check) && !check.hidden);
        self.remark = shown.or_else(|| checks.iter().position(lives)).map(|first| (first, evidence));
    }

    /// Ends the phase before, if one runs, and begins this one.
    pub fn begin(&mut self, phase: Phase) {
        self.end();
        (self.observer)(Step::PhaseStarted(phase));
        self.running = Some((phase, self.clock.stopwatch()));
    }

    /// Ends the phase that runs.
    pub fn end(&mut self) {
        if let Some((phase, stopwatch)) = self.running.take() {
            let seconds = stopwatch.seconds();
            self.phases.push(PhaseReport { name: phase, seconds });
            (self.observer)(Step::PhaseFinished(phase, seconds));
        }
    }

    /// Checks of a phase that have no outcome yet, with their index.
    pub fn open(&self, phase: Phase) -> Vec<(usize, &'a CheckSpec)> {
        self.exercise
            .checks
            .iter()
            .enumerate()
            .filter(|(index, check)| check.kind.phase() == phase && self.outcomes[*index].is_none())
            .collect()
    }

    /// Whether the exercise has checks in this phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.exercise.checks.iter().any(|check| check.kind.phase() == phase)
    }

    /// Records what a check found, or why it could not tell.
    pub fn settle(&mut self, index: usize, found: Result<Finding, Fault>, seconds: f64) {
        match found {
            Ok(Finding::Passed(detail)) => self.record(index, OutcomeKind::Passed, detail, seconds),
            Ok(Finding::Failed(detail)) => self.record(index, OutcomeKind::Failed, detail, seconds),
            Ok(Finding::Waiting(detail)) => self.record(index, OutcomeKind::Waiting, detail, seconds),
            Err(fault) => {
                let cause = Cause::from(&fault);
                self.broken(index, &cause, seconds);
                self.cause.get_or_insert(cause);
            }
        }
    }

    /// Marks every check without an outcome as skipped, and says why. The log tail or the like goes
    /// to the first of them, where it is read once.
    pub fn skip_rest(&mut self, because: &str, evidence: Option<Evidence>) {
        let mut evidence = evidence;
        for index in 0..self.outcomes.len() {
            if self.outcomes[index].is_none() {
                let detail = Detail {
                    observed: because.to_owned(),
                    evidence: evidence.take().into_iter().collect(),
                    ..Detail::default()
                };
                self.record(index, OutcomeKind::Skipped, detail, 0.0);
            }
        }
    }

    /// Marks every check without an outcome as broken by `cause`.
    pub fn break_rest(&mut self, cause: Cause) {
        for index in 0..self.outcomes.len() {
            if self.outcomes[index].is_none() {
                self.broken(index, &cause, 0.0);
            }
        }
        self.cause.get_or_insert(cause);
    }

    fn broken(&mut self, index: usize, cause: &Cause, seconds: f64) {
        let detail = Detail { observed: cause.for_student().to_owned(), ..Detail::default() };
        self.record(index, OutcomeKind::Broken, detail, seconds);
    }

    fn record(&mut self, index: usize, outcome: OutcomeKind, detail: Detail, seconds: f64) {
        let mut detail = detail;
        detail
            .evidence
            .extend(self.remark.take_if(|(first, _)| *first == index).map(|(_, evidence)| evidence));
        let check = &self.exercise.checks[index];
        let hints = self.hints.get(&check.id).copied().unwrap_or(0);
        let hint_points = hints.saturating_mul(self.exercise.hint_cost).min(check.points);
        let earned = if outcome == OutcomeKind::Passed { check.points - hint_points } else { 0 };
        let wants_hint = matches!(outcome, OutcomeKind::Failed);
        let report = CheckReport {
            id: check.id.clone(),
            kind: check.kind.name().to_owned(),
            title: check.title.clone(),
            outcome,
            points: Points { earned, possible: check.points },
            expected: detail.expected,
            observed: detail.observed,
            evidence: detail.evidence,
            reproduce: detail.reproduce,
            hint: check.hints.first().filter(|_| wants_hint).cloned(),
            explain: check.explain.clone().filter(|_| wants_hint),
            hidden: check.hidden,
            hint_points,
            review: None,
            overridden: None,
            seconds,
        };
        (self.observer)(Step::Outcome(Box::new(report.clone())));
        self.outcomes[index] = Some(report);
    }

    /// The finished report. Checks that nothing settled would be a mistake of ours: they are broken.
    pub fn into_report(mut self) -> (Report, Option<Cause>) {
        self.end();
        if self.outcomes.iter().any(Option::is_none) {
            let cause = Cause {
                verdict: Verdict::PlatformFault,
                internal: "a check was left without an outcome".to_owned(),
                engine_away: false,
            };
            self.break_rest(cause);
        }
        let checks: Vec<CheckReport> = self.outcomes.into_iter().flatten().collect();
        let broken = self.cause.as_ref().map_or(Verdict::PlatformFault, |cause| cause.verdict);
        let (verdict, points) = Report::judge(&checks, broken);
        let report = Report {
            exercise: self.exercise.slug.clone(),
            exercise_version: self.exercise.version.clone(),
            verdict,
            points,
            checks,
            phases: self.phases,
            log_truncated: self.log_truncated,
            image: self.image,
            engine: self.engine,
        };
        (report, self.cause)
    }
}
