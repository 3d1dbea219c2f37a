//! What is odd about an exercise although it proves itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::{Trial, Tried};
use crate::checks::Question;
use crate::exercises::{CheckSpec, Exercise};
use crate::report::{CheckReport, OutcomeKind};
use crate::units::{ByteSize, Span};

/// The part of a limit that the solution should leave free: machines differ, and so do solutions.
const NEAR: f64 = 0.7;

/// Something odd, for the author.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// What sort of oddity.
    pub kind: WarningKind,
    /// The check it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What is odd and what to do about it.
    pub sentence: String,
}

/// The sorts of oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// A hint says the answer.
    Hint,
    /// Two checks fail with the same words.
    SameFailure,
    /// An outcome depends on the order of the checks.
    Order,
    /// An outcome changed between runs of the same thing.
    Flaky,
    /// The solution comes close to a limit.
    Limit,
}

/// Everything odd, each told once.
pub(super) fn warnings(exercise: &Exercise, tried: &[Tried]) -> Vec<Warning> {
    let mut found = BTreeSet::new();
    found.extend(hint_warnings(exercise));
    found.extend(tried.iter().flat_map(same_failures));
    found.extend(order(tried));
    found.extend(flaky(tried));
    found.extend(limits(exercise, tried));
    found.into_iter().collect()
}

/// Hints that say what a check wants to see, although nothing else that a student is given does. Nothing
/// has to run for it.
#[must_use]
pub fn hint_warnings(exercise: &Exercise) -> Vec<Warning> {
    exercise.checks.iter().filter_map(|check| hint(exercise, check)).collect()
}

fn hint(exercise: &Exercise, check: &CheckSpec) -> Option<Warning> {
    let mut known = vec![exercise.title.clone(), exercise.summary.clone(), exercise.statement.clone()];
    known.extend(exercise.objectives.iter().cloned());
    known.extend(exercise.checks.iter().map(|check| check.title.clone()));
    if let Some(starter) = exercise.starter() {
        let texts = starter.entries().keys().filter_map(|path| {
            let file = starter.file(std::str::from_utf8(path).ok()?)?;
            std::str::from_utf8(file).ok().map(str::to_owned)
        });
        known.extend(texts);
    }
    known.extend(check.kind.question().map(|question| match question {
        Question::Choice { question, .. }
        | Question::Short { question, .. }
        | Question::Essay { question, .. } => question.to_owned(),
    }));
    let known = known.join("\n");
    check.hints.iter().enumerate().find_map(|(index, hint)| {
        let said = check.kind.given_away(hint, &known)?;
        let which = if check.hints.len() == 1 { "the hint".into() } else { format!("hint {}", index + 1) };
        Some(Warning {
            kind: WarningKind::Hint,
            check: Some(check.id.clone()),
            sentence: format!(
                "{which} of check `{}` says `{said}`, which is what the check wants to see; lead there without saying it, or say it in the statement",
                check.id
            ),
        })
    })
}

fn same_failures(tried: &Tried) -> Vec<Warning> {
    let mut alike: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let failed = tried.report.iter().flat_map(|report| &report.checks);
    for check in failed.filter(|check| check.outcome == OutcomeKind::Failed) {
        alike.entry((&check.expected, &check.observed)).or_default().push(&check.id);
    }
    let warning = |ids: Vec<&str>| Warning {
        kind: WarningKind::SameFailure,
        check: Some(ids[0].to_owned()),
        sentence: format!(
            "the checks {} fail with the very same words, so a student cannot tell what to do for which; make one of them, or ask for different things",
            ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" and ")
        ),
    };
    alike.into_values().filter(|ids| ids.len() > 1).map(warning).collect()
}

fn order(tried: &[Tried]) -> Vec<Warning> {
    let of = |trial: &Trial| {
        tried.iter().find(|tried| tried.result.trial == *trial).and_then(|tried| tried.report.as_ref())
    };
    let (Some(written), Some(reversed)) = (of(&Trial::Solution(1)), of(&Trial::Reordered)) else {
        return Vec::new();
    };
    let warning = |check: &CheckReport| {
        let other = reversed.checks.iter().find(|other| other.id == check.id)?;
        // A fault of ours tells nothing about the exercise.
        let broken = [check.outcome, other.outcome].contains(&OutcomeKind::Broken);
        (check.outcome != other.outcome && !broken).then(|| Warning {
            kind: WarningKind::Order,
            check: Some(check.id.clone()),
            sentence: format!(
                "check `{}` {} in the order that is written and {} with the checks in reverse order (observed: {}); what one check changes must not matter to another",
                check.id,
                word(check.outcome),
                word(other.outcome),
                other.observed
            ),
        })
    };
    written.checks.iter().filter_map(warning).collect()
}

fn flaky(tried: &[Tried]) -> Vec<Warning> {
    let mut outcomes: BTreeMap<(String, &str), BTreeMap<&str, usize>> = BTreeMap::new();
    for tried in tried {
        let what = match &tried.result.trial {
            Trial::Solution(_) => "the solution".to_owned(),
            Trial::Reordered => continue,
            Trial::Starter => "the starter".to_owned(),
            Trial::Mutant(name) => format!("mutant {name}"),
        };
        for check in tried.report.iter().flat_map(|report| &report.checks) {
            if check.outcome != OutcomeKind::Broken {
                let of_check = outcomes.entry((what.clone(), &check.id)).or_default();
                *of_check.entry(word(check.outcome)).or_default() += 1;
            }
        }
    }
    let warning = |((what, id), counts): ((String, &str), BTreeMap<&str, usize>)| {
        let told: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count} times")).collect();
        Warning {
            kind: WarningKind::Flaky,
            check: Some(id.to_owned()),
            sentence: format!(
                "check `{id}` does not come out the same each time with {what}: {}; give it more time, or look at something that is settled",
                told.join(", ").replace(" 1 times", " once")
            ),
        }
    };
    outcomes.into_iter().filter(|(_, counts)| counts.len() > 1).map(warning).collect()
}

fn limits(exercise: &Exercise, tried: &[Tried]) -> Vec<Warning> {
    let limits = &exercise.limits;
    let solutions = || tried.iter().filter(|tried| matches!(tried.result.trial, Trial::Solution(_)));
    let mut found = Vec::new();
    let mut warn = |sentence: String| found.push(Warning { kind: WarningKind::Limit, check: None, sentence });
    let memory = solutions().filter_map(|tried| tried.result.usage.memory_bytes).max().unwrap_or(0);
    if near(as_f64(memory), as_f64(limits.memory_bytes)) {
        warn(format!(
            "the solution needs {} of the {} that `limits.memory` gives; raise it, or others fail for want of a little",
            ByteSize(memory),
            ByteSize(limits.memory_bytes)
        ));
    }
    let times = [
        (
            "build_time",
            limits.build_time,
            solutions().map(|tried| tried.result.usage.build_seconds).fold(0.0, f64::max),
        ),
        (
            "run_time",
            limits.run_time,
            solutions().map(|tried| tried.result.usage.run_seconds).fold(0.0, f64::max),
        ),
    ];
    for (name, limit, seconds) in times {
        if near(seconds, limit.as_secs_f64()) {
            warn(format!(
                "the solution takes {} of the {} that `limits.{name}` gives; raise it, or slower machines fail it",
                Span(Duration::from_millis(
                    Duration::from_secs_f64(seconds).as_millis().try_into().unwrap_or(u64::MAX)
                )),
                Span(limit)
            ));
        }
    }
    found
}

fn near(used: f64, limit: f64) -> bool {
    used > limit * NEAR
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a machine's memory are far below 2^53")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

fn word(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Passed => "passes",
        OutcomeKind::Failed => "fails",
        OutcomeKind::Skipped => "is skipped",
        OutcomeKind::Broken => "is broken",
        OutcomeKind::Waiting => "waits for a trainer",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TrialResult, Usage};
    use super::*;
    use crate::report::{Points, Report, Verdict};

    fn tried(trial: Trial, run: u32, outcomes: &[(&str, OutcomeKind, &str)]) -> Tried {
        let check = |(id, outcome, observed): &(&str, OutcomeKind, &str)| CheckReport {
            id: (*id).to_owned(),
            kind: "http".into(),
            title: "It answers".into(),
            outcome: *outcome,
            points: Points::default(),
            expected: "an answer".into(),
            observed: (*observed).to_owned(),
            evidence: Vec::new(),
            reproduce: None,
            hint: None,
            explain: None,
            hidden: false,
            hint_points: 0,
            review: None,
            overridden: None,
            seconds: 0.0,
        };
        let report = Report {
            exercise: "alpha".into(),
            exercise_version: "v1".into(),
            verdict: Verdict::Failed,
            points: Points::default(),
            checks: outcomes.iter().map(check).collect(),
            phases: Vec::new(),
            log_truncated: false,
            image: None,
            engine: None,
        };
        let result = TrialResult {
            trial,
            run,
            problems: Vec::new(),
            platform_fault: false,
            faults: Vec::new(),
            seconds: 1.0,
            usage: Usage::default(),
        };
        Tried { result, report: Some(report) }
    }

    #[test]
    fn an_outcome_that_changes_is_flaky_and_a_fault_of_ours_is_not() {
        use OutcomeKind::{Broken, Failed, Passed};
        let slow = || Trial::Mutant("slow".into());
        let runs = [
            tried(Trial::Solution(1), 1, &[("a", Passed, ""), ("b", Passed, "")]),
            tried(Trial::Solution(2), 2, &[("a", Passed, ""), ("b", Broken, "")]),
            tried(slow(), 1, &[("a", Failed, "late"), ("b", Passed, "")]),
            tried(slow(), 2, &[("a", Passed, ""), ("b", Passed, "")]),
            tried(slow(), 3, &[("a", Failed, "late"), ("b", Passed, "")]),
        ];
        let found = flaky(&runs);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].check.as_deref(), Some("a"));
        assert!(
            found[0].sentence.contains("each time with mutant slow: fails 2 times, passes once;"),
            "{}",
            found[0].sentence
        );
        assert!(order(&runs).is_empty(), "nothing was run in another order");
    }

    #[test]
    fn failures_are_the_same_only_in_all_their_words() {
        use OutcomeKind::{Failed, Passed};
        let alike = tried(
            Trial::Starter,
            1,
            &[("a", Failed, "silence"), ("b", Failed, "silence"), ("c", Failed, "noise")],
        );
        let found = same_failures(&alike);
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.starts_with("the checks `a` and `b` fail"), "{}", found[0].sentence);
        let apart = tried(Trial::Starter, 1, &[("a", Failed, "silence"), ("b", Passed, "silence")]);
        assert!(same_failures(&apart).is_empty());
    }

    #[test]
    fn an_outcome_that_follows_the_order_is_told() {
        use OutcomeKind::{Broken, Failed, Passed};
        let runs = [
            tried(Trial::Solution(1), 1, &[("a", Passed, ""), ("b", Passed, ""), ("c", Passed, "")]),
            tried(
                Trial::Reordered,
                1,
                &[("c", Broken, "us"), ("b", Failed, "the mark is there"), ("a", Passed, "")],
            ),
        ];
        let found = order(&runs);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].sentence.contains("check `b` passes in the order that is written and fails"));
    }

    #[test]
    fn near_is_over_seven_tenths() {
        assert!(near(71.0, 100.0));
        assert!(!near(70.0, 100.0));
    }
}
