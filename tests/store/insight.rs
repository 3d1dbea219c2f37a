//! What a cohort's submissions tell its trainers.

use drydock::report::{OutcomeKind, Report, Verdict};

use crate::house::{EXERCISE, House, LAST, report};
use crate::on_both;

/// A failed report with two checks, of which these failed.
fn failing(failed: &[&str]) -> Report {
    let mut whole = report(Verdict::Failed);
    let mut other = whole.checks[0].clone();
    other.id = "listens".into();
    whole.checks.push(other);
    for check in &mut whole.checks {
        let failed = failed.contains(&check.id.as_str());
        check.outcome = if failed { OutcomeKind::Failed } else { OutcomeKind::Passed };
    }
    whole
}

async fn hand_in(house: &House, person: uuid::Uuid, found: &Report) -> uuid::Uuid {
    let (submission, _) = house.submit(person).await;
    let claim = house.claim("w").await.unwrap();
    house.store.finish(&claim.lease, found, None, LAST).await.unwrap();
    submission.id
}

on_both! {
    async fn who_fails_what_now(house) {
        let (ada, bob, cleo) = (house.student("Ada").await, house.student("Bob").await, house.student("Cleo").await);
        hand_in(house, ada, &failing(&["greets", "listens"])).await;
        let newest = hand_in(house, ada, &failing(&["listens"])).await;
        hand_in(house, bob, &report(Verdict::Passed)).await;
        hand_in(house, bob, &failing(&["greets"])).await;
        let judged = hand_in(house, cleo, &failing(&["greets"])).await;
        // A fault after it takes nothing away, and a decision of a trainer counts.
        hand_in(house, cleo, &report(Verdict::PlatformFault)).await;
        house.store.decide(judged, "listens", bob, Some(OutcomeKind::Failed), "It does not").await.unwrap();
        let standings = house.store.standings(house.cohort.id, EXERCISE).await.unwrap();
        let told: Vec<_> = standings
            .iter()
            .map(|one| (one.name.as_str(), one.verdict, one.missed.keys().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        assert_eq!(told, [
            ("Cleo", Verdict::Failed, vec!["greets", "listens"]),
            ("Bob", Verdict::Passed, vec![]),
            ("Ada", Verdict::Failed, vec!["listens"]),
        ], "newest first, and who has passed fails nothing");
        assert_eq!(standings[2].submission, newest);
    }

    async fn who_stumbles_over_what(house) {
        let (ada, bob) = (house.student("Ada").await, house.student("Bob").await);
        hand_in(house, ada, &failing(&["greets"])).await;
        let since = house.now();
        for _ in 0..3 {
            hand_in(house, ada, &failing(&["listens"])).await;
        }
        for _ in 0..2 {
            hand_in(house, bob, &failing(&["greets"])).await;
        }
        let stumbles = house.store.stumbles(house.cohort.id, 3).await.unwrap();
        assert_eq!(stumbles.len(), 1, "two attempts are no trouble yet");
        let stumble = &stumbles[&(ada, EXERCISE.to_owned())];
        assert_eq!((stumble.check.as_str(), stumble.times), ("listens", 3));
        assert!(stumble.since > since, "since the first of them, not since the first of all");
        hand_in(house, ada, &report(Verdict::Passed)).await;
        assert!(house.store.stumbles(house.cohort.id, 3).await.unwrap().is_empty(), "who passed is not stuck");
    }

    async fn what_was_handed_in_and_by_whom(house) {
        let (ada, bob) = (house.student("Ada").await, house.student("Bob").await);
        let first = hand_in(house, ada, &failing(&["greets"])).await;
        house.wait(1);
        house.store.regrade(first).await.unwrap();
        house.grade(Verdict::Passed).await;
        hand_in(house, bob, &report(Verdict::PlatformFault)).await;
        let all = house.store.handed_in(house.cohort.id).await.unwrap();
        let told: Vec<_> = all.iter().map(|one| (one.person, one.verdict)).collect();
        assert_eq!(told, [(ada, Some(Verdict::Passed)), (bob, None)], "the last judgement of each");
        let history = house.store.history_of(house.cohort.id, ada).await.unwrap();
        assert_eq!(history.len(), 1);
        let verdicts: Vec<_> = history[0].1.iter().map(|grading| grading.verdict.unwrap()).collect();
        assert_eq!(verdicts, [Verdict::Passed, Verdict::Failed], "newest first");
        house.store.comment(first, bob, "Good").await.unwrap();
        house.store.decide(first, "greets", bob, Some(OutcomeKind::Failed), "No").await.unwrap();
        assert_eq!(house.store.note_counts(house.cohort.id, ada).await.unwrap()[&first], 2);
    }
}
