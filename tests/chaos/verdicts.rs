//! What has to be true of everything that was accepted, whatever was killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drydock::clock::Clock;
use drydock::live::Event;
use drydock::store::{GradingState, Store};
use serde_json::Value;
use uuid::Uuid;

use super::students::Accepted;
use crate::server::{Installation, Process, events};

/// How long all that was under way at the last kill may take: a few attempts of the slowest, on a slow machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);

/// Waits until everything accepted is done, with servers, workers and engine up.
pub async fn settled(store: &Store, accepted: &[Accepted]) {
    let began = Clock::system().stopwatch();
    loop {
        let mut open = Vec::new();
        for one in accepted {
            let grading = store.grading(one.grading).await.expect("what was accepted is there");
            if grading.state != GradingState::Done {
                open.push((one.kind.what, grading.state, grading.attempt, grading.not_before, grading.fault));
            }
        }
        if open.is_empty() {
            return;
        }
        assert!(began.elapsed() < SETTLED_WITHIN, "never ended: {open:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Every submission has its one right verdict, none is lost and none is there twice. Says how many attempts
/// it took in all.
pub async fn assert_right(
    installation: &Installation,
    server: &Process,
    store: &Store,
    accepted: &[Accepted],
) -> usize {
    let mut wrong = Vec::new();
    let mut attempts = 0;
    for one in accepted {
        let seen = installation.grading(server, &installation.student, one.grading).await;
        if let Err(why) = judge(one, &seen) {
            let told = events(store, one.grading).await;
            let course: Vec<&Event> = told
                .iter()
                .filter(|event| !matches!(event, Event::Log { .. } | Event::Outcome { .. }))
                .collect();
            wrong.push(format!("{} ({}): {why}\n{seen:#}\n{course:#?}", one.kind.what, one.grading));
        }
        let happened = events(store, one.grading).await;
        let finished = happened.iter().filter(|event| matches!(event, Event::Finished { .. })).count();
        if finished != 1 || !matches!(happened.last(), Some(Event::Finished { .. })) {
            wrong.push(format!("{} ({}): ended {finished} times: {happened:#?}", one.kind.what, one.grading));
        }
        attempts += happened.iter().filter(|event| matches!(event, Event::Started { .. })).count();
        let gradings = store.gradings_of(one.submission).await.expect("gradings can be read");
        if gradings.len() != 1 {
            wrong.push(format!("{}: graded {} times", one.kind.what, gradings.len()));
        }
    }
    let distinct: BTreeSet<Uuid> = accepted.iter().map(|one| one.submission).collect();
    if distinct.len() != accepted.len() {
        wrong.push(format!("{} answers name {} submissions", accepted.len(), distinct.len()));
    }
    wrong.extend(miscounted(store, accepted).await);
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), accepted.len(), wrong.join("\n\n"));
    attempts
}

fn judge(one: &Accepted, seen: &Value) -> Result<(), String> {
    let kind = one.kind;
    if seen["state"] != "done" || seen["verdict"] != kind.verdict {
        return Err(format!(
            "it is {} with verdict {}, and not {}",
            seen["state"], seen["verdict"], kind.verdict
        ));
    }
    let checks = seen["checks"].as_array().cloned().unwrap_or_default();
    let outcomes: Vec<(&str, &str)> = checks
        .iter()
        .map(|check| {
            (check["id"].as_str().unwrap_or_default(), check["outcome"].as_str().unwrap_or_default())
        })
        .collect();
    if outcomes != kind.outcomes {
        return Err(format!("the outcomes are {outcomes:?}, and not {:?}", kind.outcomes));
    }
    let told: String =
        checks.iter().map(|check| format!("{} {}\n", check["observed"], check["evidence"])).collect();
    if !told.contains(kind.says) {
        return Err(format!("nowhere is said {:?}", kind.says));
    }
    Ok(())
}

/// Submissions and attempts as trainers count them: every submission is one attempt, however often it was begun.
async fn miscounted(store: &Store, accepted: &[Accepted]) -> Vec<String> {
    let mut handed: BTreeMap<&str, i64> = BTreeMap::new();
    for one in accepted {
        *handed.entry(one.kind.exercise).or_default() += 1;
    }
    let mut wrong = Vec::new();
    let cohorts = store.cohorts().await.expect("cohorts can be read");
    let cells = store.cells(cohorts[0].id).await.expect("cells can be read");
    for (exercise, count) in handed {
        let counted = cells.iter().find(|cell| cell.exercise == exercise);
        let counted = counted.map(|cell| (cell.submissions, cell.attempts));
        if counted != Some((count, count)) {
            wrong
                .push(format!("{exercise}: {count} were accepted, submissions and attempts are {counted:?}"));
        }
    }
    wrong
}
