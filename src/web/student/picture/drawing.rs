//! The picture as pieces of the page and in words.

use super::{Audience, LOG_LINES, Picture, Stage};
use crate::live::Line;
use crate::report::{CheckReport, OutcomeKind, Phase, Verdict};
use crate::text;
use crate::web::shape::{self, Shape};
use crate::web::student::pieces::{
    CheckPiece, ChecksPiece, LogPiece, Since, StepView, StepsPiece, Turn, VerdictPiece,
};
use crate::web::update::{Patch, Update};
use crate::web::words::{count, escaped, took};

impl Picture {
    /// The verdict in one line, as it is also the browser's title.
    #[must_use]
    pub fn headline(&self) -> String {
        match &self.stage {
            Stage::Queued { ahead: None } => "In the queue".into(),
            Stage::Queued { ahead: Some(0) } => "Next in the queue".into(),
            Stage::Queued { ahead: Some(ahead) } => format!("In the queue, {ahead} before you"),
            Stage::Running { .. } => {
                let done = self.reports.iter().flatten().count();
                format!("Grading: {done} of {}", count(self.reports.len().try_into().unwrap_or(0), "check"))
            }
            Stage::Retrying { .. } => "Trying again".into(),
            Stage::Done { verdict: Verdict::Passed, waiting: true, points, .. } => {
                if points.possible == 0 {
                    "Waiting for review".into()
                } else {
                    format!("Waiting for review: {} of {} so far", points.earned, of_points(points.possible))
                }
            }
            Stage::Done { verdict: Verdict::Passed, points, .. } => {
                format!("Passed: {} of {}", points.earned, of_points(points.possible))
            }
            Stage::Done { verdict: Verdict::Failed, points, .. } => {
                format!("Not yet: {} of {}", points.earned, of_points(points.possible))
            }
            Stage::Done { verdict: Verdict::ExerciseFault | Verdict::PlatformFault, .. } => {
                "This was us; it did not count".into()
            }
        }
    }

    /// The line under the headline.
    fn about(&self) -> String {
        match &self.stage {
            Stage::Queued { ahead: None | Some(0) } => "starts as soon as a worker is free".into(),
            Stage::Queued { .. } => "this page shows when it starts".into(),
            Stage::Running { attempt } if *attempt > 1 => format!("attempt {attempt}"),
            Stage::Retrying { in_seconds } => {
                format!("This was us; it did not count. Next attempt in {}.", took_whole(*in_seconds))
            }
            Stage::Done { fault: Some(fault), .. } => fault.clone(),
            Stage::Done { verdict: Verdict::ExerciseFault, .. } => {
                "The exercise itself is at fault; your trainer has been told.".into()
            }
            Stage::Done { verdict: Verdict::PlatformFault, .. } => {
                "We tried several times. Hand it in again later, or ask your trainer.".into()
            }
            Stage::Done { seconds: Some(seconds), waiting, .. } => {
                let verdict = format!("verdict in {}", took(*seconds));
                match self.unread() {
                    some if *waiting && some > 0 => {
                        let waits = if some == 1 { "waits" } else { "wait" };
                        format!("{verdict} · {} {waits} for a trainer", count(some, "more point"))
                    }
                    _ => verdict,
                }
            }
            Stage::Running { .. } | Stage::Done { .. } => String::new(),
        }
    }

    /// Points of answers that a trainer has not read yet.
    fn unread(&self) -> i64 {
        let waiting = |report: &&CheckReport| report.outcome == OutcomeKind::Waiting;
        self.reports.iter().flatten().filter(waiting).map(|report| i64::from(report.points.possible)).sum()
    }

    /// The shape of the whole.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match &self.stage {
            Stage::Queued { .. } => Shape::Waiting,
            Stage::Running { .. } => Shape::Running,
            Stage::Retrying { .. } => Shape::Fault,
            Stage::Done { verdict, waiting, .. } => shape::of_verdict(*verdict, *waiting),
        }
    }

    /// The headline as a piece of the page.
    #[must_use]
    pub fn verdict(&self) -> VerdictPiece {
        VerdictPiece {
            shape: self.shape(),
            headline: self.headline(),
            about: self.about(),
            since: self.since(),
        }
    }

    /// How it compares with the submission before, once the verdict is there.
    fn since(&self) -> Option<Since> {
        let before = self.outline.before.as_ref()?;
        let Stage::Done { verdict: Verdict::Passed | Verdict::Failed, .. } = self.stage else { return None };
        let turned: Vec<Turn> =
            (0..self.outline.checks.len()).filter_map(|index| self.turned(index)).collect();
        let of = |wanted: Turn| turned.iter().filter(|turn| **turn == wanted).count();
        let mut said = Vec::new();
        match of(Turn::Gained) {
            0 => {}
            1 => said.push("1 more check passes".to_owned()),
            some => said.push(format!("{some} more checks pass")),
        }
        match of(Turn::Lost) {
            0 => {}
            1 => said.push("1 no longer passes".to_owned()),
            some => said.push(format!("{some} no longer pass")),
        }
        if said.is_empty() {
            said.push("the same checks pass".to_owned());
        }
        Some(Since { number: before.number, href: before.href.clone(), said: said.join(", ") })
    }

    /// Whether a check became something else than it was in the submission before.
    fn turned(&self, index: usize) -> Option<Turn> {
        let before = self.outline.before.as_ref()?;
        let was = *before.outcomes.get(&self.outline.checks[index].id)?;
        let is = self.reports[index].as_ref()?.outcome;
        match (was == OutcomeKind::Passed, is) {
            (false, OutcomeKind::Passed) => Some(Turn::Gained),
            (true, OutcomeKind::Failed | OutcomeKind::Skipped) => Some(Turn::Lost),
            _ => None,
        }
    }

    /// The phases as a piece of the page.
    #[must_use]
    pub fn steps(&self) -> StepsPiece {
        let steps = self.steps.iter().map(|step| {
            let checks = self.outline.checks.iter().filter(|check| check.phase == step.phase).count();
            let mut about = Vec::new();
            if checks > 0 {
                about.push(count(checks.try_into().unwrap_or(0), "check"));
            }
            about.extend(step.seconds.map(took));
            StepView {
                shape: step.shape,
                title: step_title(step.phase, step.shape),
                about: about.join(" · "),
            }
        });
        StepsPiece { steps: steps.collect() }
    }

    /// The checks, in the exercise's order.
    #[must_use]
    pub fn checks(&self) -> Vec<CheckPiece<'_>> {
        (0..self.outline.checks.len()).map(|index| self.check(index)).collect()
    }

    /// The newest [`LOG_LINES`] lines of the log as HTML, and whether earlier ones were left out.
    #[must_use]
    pub fn log(&self) -> (String, bool) {
        let mut lines = 0;
        let mut from = self.log.len();
        while from > 0 && lines < LOG_LINES {
            from -= 1;
            lines += self.log[from].matches("<p").count();
        }
        (self.log[from..].concat(), from > 0)
    }

    fn check(&self, index: usize) -> CheckPiece<'_> {
        let planned = &self.outline.checks[index];
        let report = self.reports[index].as_ref();
        let under_way =
            self.steps.iter().any(|step| step.phase == planned.phase && step.shape == Shape::Running);
        let shape = match report {
            Some(report) => report.outcome.into(),
            None if self.is_done() => Shape::Skipped,
            None if under_way => Shape::Running,
            None => Shape::NotStarted,
        };
        let stopped =
            |report: &&CheckReport| matches!(report.outcome, OutcomeKind::Skipped | OutcomeKind::Broken);
        let repeated = report.filter(stopped).is_some_and(|report| {
            let mut earlier = self.reports[..index].iter().flatten().filter(stopped);
            earlier.any(|one| one.observed == report.observed)
        });
        let trainer = self.audience == Audience::Trainer;
        CheckPiece { planned, report, shape, repeated, trainer, turned: self.turned(index) }
    }

    pub(super) fn verdict_update(&self, say: Option<String>) -> Update {
        Update {
            patches: vec![Patch::anew("verdict", &self.verdict())],
            say,
            title: Some(self.headline()),
            icon: Some(self.shape().name()),
            ..Update::default()
        }
    }

    pub(super) fn steps_patch(&self) -> Patch {
        Patch::anew("steps", &self.steps())
    }

    pub(super) fn checks_patch(&self) -> Patch {
        Patch::anew("checks", &ChecksPiece { checks: self.checks() })
    }

    pub(super) fn check_patch(&self, index: usize) -> Patch {
        let check = self.check(index);
        Patch::anew(check.element(), &check)
    }

    pub(super) fn log_patch(&self) -> Patch {
        let (log, cut) = self.log();
        Patch::anew("log", &LogPiece { log, cut })
    }

    pub(super) fn log_lines(&mut self, source: &str, lines: &[Line]) -> String {
        let mut html = String::new();
        if self.log_source.as_deref() != Some(source) {
            let name = if source == "build" {
                "Build".into()
            } else {
                format!("Output of {}", text::visible(source))
            };
            html.push_str("<p class=\"source\">");
            html.push_str(&escaped(&name));
            html.push_str("</p>");
            self.log_source = Some(source.to_owned());
        }
        for line in lines {
            html.push_str(match source {
                "build" if line.text.starts_with("Step ") => "<p class=\"step\">",
                "build" => "<p>",
                _ if line.stderr => "<p class=\"e\">",
                _ => "<p>",
            });
            html.push_str(&text::ansi_to_html(&line.text));
            html.push_str("</p>");
        }
        html
    }
}

fn of_points(points: u32) -> String {
    count(points.into(), "point")
}

fn took_whole(seconds: u64) -> String {
    crate::units::Span::from_secs(seconds).to_string()
}

fn step_title(phase: Phase, shape: Shape) -> &'static str {
    let done = matches!(shape, Shape::Passed | Shape::Waiting);
    match (phase, done) {
        (Phase::Fetch, false) => "Fetch",
        (Phase::Fetch, true) => "Fetched",
        (Phase::Read, _) => "Read",
        (Phase::Build, false) => "Build",
        (Phase::Build, true) => "Built",
        (Phase::Image, _) => "Image",
        (Phase::Run, false) => "Run",
        (Phase::Run, true) => "Ran",
        (Phase::Disturb, _) => "Trouble",
        (Phase::Clean, _) => "Clean up",
    }
}
