//! Proves an exercise: the solution passes twice, the starter does not, and every mutant fails
//! exactly the checks it names, so that no check can rot into one that never fails.
//!
//! Called by `drydock exercise verify`; uses the very same [`grade()`](super::grade()) as everybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use serde::Serialize;

use super::course::Observer;
use super::grade::{Handed, Job, grade};
use crate::clock::Clock;
use crate::exercises::Exercise;
use crate::report::{OutcomeKind, Report, Verdict};
use crate::sandbox::Engine;
use crate::submissions::{Answers, Content};

/// The file of a reference submission that holds its answers: `{"question-id": "text" | ["option"]}`.
pub const ANSWERS_FILE: &str = "answers.json";

/// What one run of the proof was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "name")]
pub enum Trial {
    /// The solution, for the first or second time.
    Solution(u8),
    /// The starter files as they are handed out.
    Starter,
    /// A solution broken on purpose.
    Mutant(String),
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Solution(1) => write!(f, "solution"),
            Self::Solution(_) => write!(f, "solution, again"),
            Self::Starter => write!(f, "starter"),
            Self::Mutant(name) => write!(f, "mutant {name}"),
        }
    }
}

/// How one trial went.
#[derive(Clone, Debug, Serialize)]
pub struct TrialResult {
    /// Which trial.
    #[serde(flatten)]
    pub trial: Trial,
    /// Why it does not prove what it should, in sentences for the author; empty when it does.
    pub problems: Vec<String>,
    /// Whether it was the platform that failed, so that nothing was proven either way.
    pub platform_fault: bool,
    /// Wall clock of the grading.
    pub seconds: f64,
}

/// The whole proof of one exercise.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The exercise's slug.
    pub exercise: String,
    /// Its version.
    pub version: String,
    /// Every trial in the order it was run.
    pub trials: Vec<TrialResult>,
    /// What is wrong with the set of mutants as a whole.
    pub problems: Vec<String>,
}

impl Proof {
    /// Whether the exercise may ship.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.trials.iter().all(|trial| trial.problems.is_empty())
    }

    /// Whether some trial failed for reasons that are not the exercise's.
    #[must_use]
    pub fn platform_fault(&self) -> bool {
        self.trials.iter().any(|trial| trial.platform_fault)
    }
}

/// Runs every trial of an exercise, one after another, and tells of each as it ends.
pub async fn verify(
    exercise: &Exercise,
    engine: Option<&Engine>,
    clock: &Clock,
    observer: Observer,
    mut each: impl FnMut(&TrialResult),
) -> Proof {
    let mut proof = Proof {
        exercise: exercise.slug.clone(),
        version: exercise.version.clone(),
        trials: Vec::new(),
        problems: unproven_checks(exercise),
    };
    for (trial, content) in trials(exercise, &mut proof.problems) {
        let stopwatch = clock.stopwatch();
        let (problems, platform_fault) = match handed(&content) {
            Err(problem) => (vec![problem], false),
            Ok(handed) => {
                let report = run(exercise, handed, engine, clock, &observer).await;
                let mut problems = Vec::new();
                judge(exercise, &trial, &report.0, report.1.as_deref(), &mut problems);
                (problems, report.0.verdict == Verdict::PlatformFault)
            }
        };
        let result = TrialResult { trial, problems, platform_fault, seconds: stopwatch.seconds() };
        each(&result);
        proof.trials.push(result);
    }
    proof
}

async fn run(
    exercise: &Exercise,
    handed: Handed,
    engine: Option<&Engine>,
    clock: &Clock,
    observer: &Observer,
) -> (Report, Option<String>) {
    let job = Job {
        id: format!("verify-{}", exercise.slug),
        exercise,
        fetch: async move { Ok(handed) }.boxed(),
        observer: Arc::clone(observer),
    };
    let mut graded = grade(job, engine, clock).await;
    let cause = graded.cause.take().map(|cause| cause.internal);
    let report = graded.report.clone();
    graded.clean().await;
    (report, cause)
}

/// Splits a reference submission into files and answers.
///
/// # Errors
/// A sentence for the author when the answers cannot be read.
pub fn handed(reference: &Content) -> Result<Handed, String> {
    let answers = match reference.file(ANSWERS_FILE) {
        None => Answers::default(),
        Some(json) => Answers::from_json(json).map_err(|error| format!("{ANSWERS_FILE}: {error}"))?,
    };
    Ok(Handed { content: reference.clone(), answers })
}

fn trials(exercise: &Exercise, problems: &mut Vec<String>) -> Vec<(Trial, Content)> {
    let Some(solution) = exercise.solution() else {
        problems
            .push("there is no solution/ folder, so nothing shows that the exercise can be passed".into());
        return Vec::new();
    };
    let mut trials = vec![(Trial::Solution(1), solution.clone()), (Trial::Solution(2), solution.clone())];
    trials.extend(exercise.starter().map(|starter| (Trial::Starter, starter)));
    for name in exercise.mutants.keys() {
        match exercise.mutant(name) {
            Some(over) => trials.push((Trial::Mutant(name.clone()), solution.overlaid(&over))),
            None => problems.push(format!("the folder mutants/{name}/ is missing")),
        }
    }
    trials
}

/// Every check must be failed by at least one mutant, or it may be one that cannot fail.
fn unproven_checks(exercise: &Exercise) -> Vec<String> {
    let failed: BTreeSet<&str> =
        exercise.mutants.values().flat_map(|mutant| &mutant.fails).map(String::as_str).collect();
    exercise
        .checks
        .iter()
        .filter(|check| !failed.contains(check.id.as_str()))
        .map(|check| format!("no mutant fails check `{}`, so nothing shows that it can fail", check.id))
        .collect()
}

fn judge(
    exercise: &Exercise,
    trial: &Trial,
    report: &Report,
    cause: Option<&str>,
    problems: &mut Vec<String>,
) {
    if matches!(report.verdict, Verdict::PlatformFault | Verdict::ExerciseFault) {
        let whose = if report.verdict == Verdict::PlatformFault { "the platform" } else { "the exercise" };
        problems.push(format!("{whose} was at fault: {}", cause.unwrap_or("no cause given")));
        return;
    }
    match trial {
        Trial::Solution(_) => {
            for check in &report.checks {
                if !matches!(check.outcome, OutcomeKind::Passed | OutcomeKind::Waiting) {
                    problems.push(format!(
                        "check `{}` should pass; expected {}, observed: {}",
                        check.id, check.expected, check.observed
                    ));
                }
            }
        }
        Trial::Starter => {
            if report.verdict == Verdict::Passed {
                problems.push("the starter passes as it is handed out, so there is nothing to do".into());
            }
        }
        Trial::Mutant(name) => {
            let named: BTreeSet<&str> = exercise
                .mutants
                .get(name)
                .into_iter()
                .flat_map(|mutant| &mutant.fails)
                .map(String::as_str)
                .collect();
            let failed: BTreeSet<&str> = report
                .checks
                .iter()
                .filter(|check| check.outcome == OutcomeKind::Failed)
                .map(|check| check.id.as_str())
                .collect();
            for id in named.difference(&failed) {
                let seen = report.checks.iter().find(|check| check.id == **id);
                let seen = seen.map_or("it is not there", |check| check.observed.as_str());
                problems.push(format!("it should fail check `{id}` and does not; observed: {seen}"));
            }
            for id in failed.difference(&named) {
                let seen = report.checks.iter().find(|check| check.id == **id);
                let seen = seen.map_or_else(String::new, |check| {
                    format!("; expected {}, observed: {}", check.expected, check.observed)
                });
                problems.push(format!("it also fails check `{id}`, which it does not name{seen}"));
            }
        }
    }
}
