//! What every trial has to show.

use std::collections::BTreeSet;

use super::Trial;
use crate::exercises::Exercise;
use crate::report::{OutcomeKind, Report, Verdict};

/// Every check must be failed by at least one mutant, or it may be one that cannot fail.
pub(super) fn unproven_checks(exercise: &Exercise) -> Vec<String> {
    let failed: BTreeSet<&str> =
        exercise.mutants.values().flat_map(|mutant| &mutant.fails).map(String::as_str).collect();
    exercise
        .checks
        .iter()
        .filter(|check| !failed.contains(check.id.as_str()))
        .map(|check| format!("no mutant fails check `{}`, so nothing shows that it can fail", check.id))
        .collect()
}

/// What is wrong with a trial, in sentences for the author.
pub(super) fn judge(exercise: &Exercise, trial: &Trial, report: &Report, cause: Option<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    if matches!(report.verdict, Verdict::PlatformFault | Verdict::ExerciseFault) {
        let whose = if report.verdict == Verdict::PlatformFault { "the platform" } else { "the exercise" };
        problems.push(format!("{whose} was at fault: {}", cause.unwrap_or("no cause given")));
        return problems;
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
        // What is odd about it is a warning.
        Trial::Reordered => {}
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
    problems
}
