//! What a grading found: verdict, outcomes and evidence, as data.
//!
//! `grading` makes reports, `store` keeps them, `web` and the command line show
//! them; this room only says what they are. Nothing here runs, waits or asks:
//! every function is pure. The JSON form is a contract with scripts, see
//! "The report" in the exercise format.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the submission holds, or why that could not be told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check that could be judged passed.
    Passed,
    /// At least one check failed, or was skipped because of a failure of the student's.
    Failed,
    /// The exercise's definition is wrong; the student loses nothing.
    ExerciseFault,
    /// Engine, disk, registry: ours; the student loses nothing.
    PlatformFault,
}

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// Not tried, because something it needs failed first.
    Skipped,
    /// We could not tell; never the student's fault.
    Broken,
    /// An answer that a trainer has to read; its points are not counted as lost meanwhile.
    Waiting,
}

/// Points of a check or of a whole report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Points {
    /// Earned so far.
    pub earned: u32,
    /// To be had; in a report's total without those that wait for a trainer.
    pub possible: u32,
}

/// Something that was seen: an inspect field, a response, a log tail, a file listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Evidence {
    /// What it is, in a few words ("Response body", "Last 20 log lines").
    pub title: String,
    /// The thing itself, as it was seen; capped by [`crate::checks::EVIDENCE_BYTES`].
    pub text: String,
}

/// One check in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CheckReport {
    /// The check's id in the exercise.
    pub id: String,
    /// The check's kind, as written in the exercise (`http`, `stops`, …).
    pub kind: String,
    /// What must hold, for people.
    pub title: String,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Points earned and possible.
    pub points: Points,
    /// What should have been seen. For a skipped check: empty.
    pub expected: String,
    /// What was seen. For a skipped or broken check: why nothing was.
    pub observed: String,
    /// The proof, enough for a trainer to judge without running it again.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// A command that shows the same with plain docker, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
    /// The author's first hint, for a check that did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
    /// Whether `expected` gives the answer away and is kept from students.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Points taken off for hints that were asked for before this was handed in; already left out of `points`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hint_points: u32,
    /// What a trainer made of the answer, once one has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// What a trainer decided against the machine, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
    /// How long the check took.
    pub seconds: f64,
}

/// How a trainer wants a check to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// [`OutcomeKind::Passed`] with all of the points but those that hints cost, or [`OutcomeKind::Failed`] with
    /// none.
    pub outcome: OutcomeKind,
    /// Why, for the student.
    pub reason: String,
    /// The trainer's name.
    pub by: String,
}

/// A trainer's decision in a report, with what the machine had found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Override {
    /// Why, for the student.
    pub reason: String,
    /// The trainer's name.
    pub by: String,
    /// What became of the check before the decision.
    pub machine_outcome: OutcomeKind,
    /// Points earned before the decision.
    pub machine_points: u32,
}

/// A trainer's judgement of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Review {
    /// Points for each item of the rubric, in its order.
    pub scores: Vec<Score>,
    /// What the trainer wrote to the student; may be empty.
    pub comment: String,
    /// The trainer's name.
    pub by: String,
    /// Whether the points are enough for the check to pass.
    pub passed: bool,
}

/// Points for one item of a rubric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Score {
    /// What the answer should show.
    pub criterion: String,
    /// Points given and to be had.
    pub points: Points,
}

impl Review {
    /// Points of all items together.
    #[must_use]
    pub fn points(&self) -> Points {
        self.scores.iter().fold(Points::default(), |sum, score| Points {
            earned: sum.earned.saturating_add(score.points.earned),
            possible: sum.possible.saturating_add(score.points.possible),
        })
    }
}

/// One phase of a grading and the time it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct PhaseReport {
    /// Which phase.
    pub name: Phase,
    /// How long it took.
    pub seconds: f64,
}

/// The steps of a grading, in their order. Each check kind belongs to one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The content is brought here.
    Fetch,
    /// Files, Dockerfile and answers are read; nothing runs.
    Read,
    /// The image is built.
    Build,
    /// The image is inspected without running it.
    Image,
    /// The stack runs and live checks look at it side by side.
    Run,
    /// Checks that stop, kill or recreate, one after another.
    Disturb,
    /// Everything made is removed; never on the student's clock.
    Clean,
}

impl Phase {
    /// Every phase in order.
    pub const ALL: [Self; 7] =
        [Self::Fetch, Self::Read, Self::Build, Self::Image, Self::Run, Self::Disturb, Self::Clean];

    /// The name used in JSON and in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Read => "read",
            Self::Build => "build",
            Self::Image => "image",
            Self::Run => "run",
            Self::Disturb => "disturb",
            Self::Clean => "clean",
        }
    }
}

/// The built or given image, as far as a report tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ImageReport {
    /// Content id, `sha256:…`.
    pub id: String,
    /// Size of all layers in bytes.
    pub size_bytes: u64,
    /// Number of layers with files in them.
    pub layers: u32,
}

/// The engine that the grading ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct EngineReport {
    /// The engine's version.
    pub version: String,
    /// OCI runtime of the student's containers (`runc`, `runsc`).
    pub runtime: String,
    /// `classic` or `buildkit`; absent where nothing was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
}

/// Everything one grading found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct Report {
    /// The exercise's slug.
    pub exercise: String,
    /// Content hash of the exercise folder the grading used.
    pub exercise_version: String,
    /// The judgement.
    pub verdict: Verdict,
    /// Sum over the checks.
    pub points: Points,
    /// One entry per check, in the exercise's order.
    pub checks: Vec<CheckReport>,
    /// Phases with their times, in order.
    pub phases: Vec<PhaseReport>,
    /// Whether log output was cut at its limit.
    pub log_truncated: bool,
    /// The image that was judged, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
    /// The engine, if it was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Report {
    /// The verdict and total that follow from the outcomes. Broken checks decide first, since
    /// nothing may be held against a student when we could not tell; `broken` is the verdict
    /// that a broken check leads to (whose fault it was).
    #[must_use]
    pub fn judge(checks: &[CheckReport], broken: Verdict) -> (Verdict, Points) {
        let mut points = Points::default();
        for check in checks {
            points.earned += check.points.earned;
            if check.outcome != OutcomeKind::Waiting {
                points.possible += check.points.possible;
            }
        }
        let any = |kind: OutcomeKind| checks.iter().any(|check| check.outcome == kind);
        let verdict = if any(OutcomeKind::Broken) {
            broken
        } else if any(OutcomeKind::Failed) || any(OutcomeKind::Skipped) {
            Verdict::Failed
        } else {
            Verdict::Passed
        };
        (verdict, points)
    }

    /// What a student is told about a fault: the first broken check says it. `None` without a fault.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.checks
            .iter()
            .find(|check| check.outcome == OutcomeKind::Broken)
            .map(|check| check.observed.as_str())
    }

    /// Whether a trainer still has to read an answer.
    #[must_use]
    pub fn waits_for_review(&self) -> bool {
        self.checks.iter().any(|check| check.outcome == OutcomeKind::Waiting)
    }

    /// Puts a trainer's judgement of a check into it, and judges the whole anew. `false`, and nothing
    /// changes, where no answer waits under this id or is worth as much as the rubric that was scored: then
    /// the exercise has changed, and a trainer has to read again.
    pub fn review(&mut self, check: &str, review: &Review) -> bool {
        let points = review.points();
        let found = self.checks.iter_mut().find(|found| {
            let read = found.outcome == OutcomeKind::Waiting || found.review.is_some();
            found.id == check && found.points.possible == points.possible && read
        });
        let Some(found) = found else { return false };
        found.outcome = if review.passed { OutcomeKind::Passed } else { OutcomeKind::Failed };
        found.points.earned = points.earned.saturating_sub(found.hint_points);
        found.observed = format!("{} of {} points by {}", points.earned, points.possible, review.by);
        found.review = Some(review.clone());
        // What was broken stays broken: a trainer cannot mend it.
        (self.verdict, self.points) = Self::judge(&self.checks, self.verdict);
        true
    }

    /// Puts a trainer's decision about a check into it, or with `None` takes out the one that is in it, and
    /// judges the whole anew. `false`, and nothing changes, where nothing was judged under this id by a
    /// machine, or there is nothing to take out.
    pub fn decide(&mut self, check: &str, decision: Option<&Decision>) -> bool {
        if !matches!(self.verdict, Verdict::Passed | Verdict::Failed) {
            return false;
        }
        let by_machine = |found: &&mut CheckReport| {
            let judged =
                matches!(found.outcome, OutcomeKind::Passed | OutcomeKind::Failed | OutcomeKind::Skipped);
            found.id == check && found.review.is_none() && judged
        };
        let Some(found) = self.checks.iter_mut().find(by_machine) else { return false };
        let before = found.overridden.take();
        if before.is_none() && decision.is_none() {
            return false;
        }
        if let Some(before) = before {
            found.outcome = before.machine_outcome;
            found.points.earned = before.machine_points;
        }
        if let Some(decision) = decision {
            found.overridden = Some(Override {
                reason: decision.reason.clone(),
                by: decision.by.clone(),
                machine_outcome: found.outcome,
                machine_points: found.points.earned,
            });
            found.outcome = decision.outcome;
            found.points.earned = match decision.outcome {
                OutcomeKind::Passed => found.points.possible.saturating_sub(found.hint_points),
                _ => 0,
            };
        }
        (self.verdict, self.points) = Self::judge(&self.checks, self.verdict);
        true
    }

    /// What became of each check that did not pass, by its id.
    #[must_use]
    pub fn missed(&self) -> BTreeMap<&str, OutcomeKind> {
        let missed = self.checks.iter().filter(|check| check.outcome != OutcomeKind::Passed);
        missed.map(|check| (check.id.as_str(), check.outcome)).collect()
    }

    /// Keeps what was expected from students, whatever the exercise says.
    pub fn keep_back(&mut self) {
        for check in &mut self.checks {
            check.hidden = true;
        }
    }

    /// The report as a student may see it: hidden expectations taken out, observations kept.
    #[must_use]
    pub fn for_student(mut self) -> Self {
        for check in &mut self.checks {
            check.redact();
        }
        self
    }
}

impl CheckReport {
    /// Takes out what a hidden check must not tell a student: the expectation and a
    /// `reproduce` line or hint that would contain it. What was observed stays.
    pub fn redact(&mut self) {
        if self.hidden {
            self.expected = String::new();
            self.reproduce = None;
        }
    }
}
