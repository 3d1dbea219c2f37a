//! Claims, leases, order, retries.

use std::collections::HashSet;
use std::time::Duration;

use drydock::report::{Phase, Verdict};
use drydock::store::{Error, GradingState, Lane, Worker, WorkerFigures};
use uuid::Uuid;

use crate::house::{EXERCISE, House, LAST, LEASE, content, report};
use crate::on_both;

on_both! {
    async fn sixteen_racing_claimers_never_get_the_same(house) {
        let mut queued = HashSet::new();
        for student in 0..20 {
            let person = house.student(&format!("student {student}")).await;
            for _ in 0..8 {
                queued.insert(house.submit(person).await.1.id);
            }
        }
        // Half of them through another process's connections.
        let neighbour = house.neighbour().await;
        let claimers = (0..16).map(|number| {
            let store = if number % 2 == 0 { house.store.clone() } else { neighbour.clone() };
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while let Some(claim) = store.claim(&format!("worker {number}"), LEASE).await.unwrap() {
                    assert_eq!(claim.lease.attempt, 1);
                    mine.push(claim.grading.id);
                }
                mine
            })
        });
        let mut claimed = Vec::new();
        for mine in futures::future::join_all(claimers).await {
            claimed.extend(mine.unwrap());
        }
        assert_eq!(claimed.len(), queued.len(), "each exactly once");
        assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), queued);
        neighbour.close().await;
    }

    async fn everybodys_first_comes_before_anybodys_second(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        let cy = house.student("Cy").await;
        // In this order: four of Ada's, then two of Bob's, then one of Cy's.
        let mut order = Vec::new();
        for person in [ada, ada, ada, ada, bob, bob, cy] {
            order.push(house.submit(person).await.1.id);
        }
        let expected = [0, 4, 6, 1, 5, 2, 3].map(|place| order[place]);
        let mut places = Vec::new();
        for grading in expected {
            places.push(house.store.place_in_queue(grading).await.unwrap());
        }
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6], "the places told are those that come true");
        let mut claimed = Vec::new();
        while let Some(claim) = house.claim("w").await {
            claimed.push(claim.grading.id);
        }
        assert_eq!(claimed, expected);
        assert_eq!(house.store.place_in_queue(order[0]).await.unwrap(), 0);
    }

    async fn what_runs_counts_as_a_turn(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        house.submit(ada).await;
        let (_, second) = house.submit(ada).await;
        let running = house.claim("w").await.unwrap();
        assert_eq!(running.submission.person, ada);
        let (_, bobs) = house.submit(bob).await;
        assert_eq!(house.store.place_in_queue(second.id).await.unwrap(), 1, "Bob's first comes before");
        assert_eq!(house.claim("w").await.unwrap().grading.id, bobs.id);
        // When Ada's first is done, her second is her first, and older than Bob's next.
        let (_, bobs_second) = house.submit(bob).await;
        house.store.finish(&running.lease, &report(Verdict::Passed), None, LAST).await.unwrap();
        assert_eq!(house.claim("w").await.unwrap().grading.id, second.id);
        assert_eq!(house.claim("w").await.unwrap().grading.id, bobs_second.id);
    }

    async fn turns_stay_in_line_whatever_order_gradings_end_in(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        for _ in 0..4 {
            house.submit(ada).await;
        }
        let claims = [house.claim("w").await.unwrap(), house.claim("w").await.unwrap()];
        // The second ends first; the one after it moves up by one, not by two.
        house.store.finish(&claims[1].lease, &report(Verdict::Failed), None, LAST).await.unwrap();
        let (_, bobs) = house.submit(bob).await;
        assert_eq!(house.claim("w").await.unwrap().grading.id, bobs.id, "one of Ada's still runs");
        house.store.finish(&claims[0].lease, &report(Verdict::Failed), None, LAST).await.unwrap();
        let (_, bobs_next) = house.submit(bob).await;
        let adas = house.claim("w").await.unwrap();
        assert_eq!(adas.submission.person, ada);
        // Ada has one waiting and one running, Bob too; hers is older.
        assert_eq!(house.claim("w").await.unwrap().submission.person, ada);
        assert_eq!(house.claim("w").await.unwrap().grading.id, bobs_next.id);
        assert!(house.claim("w").await.is_none());
    }

    async fn regrades_wait_for_everything_interactive_and_use_the_newest_version(house) {
        let ada = house.student("Ada").await;
        let (submission, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.store.publish_version(EXERCISE, "v2", "Corrected", &content("v2")).await.unwrap();
        let regrade = house.store.regrade(submission.id).await.unwrap();
        assert_eq!((regrade.lane, regrade.exercise_version.as_str()), (Lane::Regrade, "v2"));
        assert_eq!(house.store.regrade(submission.id).await.unwrap().id, regrade.id, "asked for twice, done once");
        let (_, later) = house.submit(ada).await;
        assert_eq!(house.store.place_in_queue(regrade.id).await.unwrap(), 1);
        assert_eq!(house.claim("w").await.unwrap().grading.id, later.id);
        let claim = house.claim("w").await.unwrap();
        assert_eq!(claim.grading.id, regrade.id);
        assert_eq!(claim.submission, submission);
        assert_eq!(house.store.latest_grading(submission.id).await.unwrap().id, regrade.id);
        assert_eq!(house.store.gradings_of(submission.id).await.unwrap().len(), 2);
        let error = house.store.regrade(Uuid::nil()).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { what: "submission" }), "{error:?}");
    }

    async fn a_lost_lease_cannot_touch_anything(house) {
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let slow = house.claim("slow").await.unwrap().lease;
        house.wait(LEASE.as_secs());
        let quick = house.claim("quick").await.unwrap();
        assert_eq!((quick.grading.id, quick.lease.attempt), (grading.id, 2), "the expired lease counts");
        assert_writes_nothing(house, &slow).await;
        house.store.append_events(&quick.lease, &["{}".into()]).await.unwrap();
        house.store.finish(&quick.lease, &report(Verdict::Passed), None, LAST).await.unwrap();
        assert_writes_nothing(house, &slow).await;
        assert_writes_nothing(house, &quick.lease).await;
        let done = house.store.grading(grading.id).await.unwrap();
        assert_eq!((done.verdict, done.leased_by.as_deref()), (Some(Verdict::Passed), Some("quick")));
        assert_eq!(house.store.events_after(grading.id, 0, 10).await.unwrap().len(), 2);
    }

    async fn a_lease_is_not_its_predecessor_of_the_same_name_and_attempt(house) {
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        let first = house.claim("w").await.unwrap().lease;
        house.store.release(&first).await.unwrap();
        let second = house.claim("w").await.unwrap().lease;
        assert_eq!((second.attempt, &second.worker), (first.attempt, &first.worker));
        assert_writes_nothing(house, &first).await;
        house.store.renew(&second, LEASE).await.unwrap();
    }

    async fn a_renewed_lease_holds(house) {
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        let lease = house.claim("w").await.unwrap().lease;
        for _ in 0..4 {
            house.wait(LEASE.as_secs() - 1);
            house.store.renew(&lease, LEASE).await.unwrap();
            assert!(house.claim("thief").await.is_none());
        }
        house.wait(LEASE.as_secs() - 1);
        assert!(house.claim("thief").await.is_none());
        house.wait(1);
        // Nobody has taken it yet, so whoever has it may go on.
        house.store.renew(&lease, LEASE).await.unwrap();
        assert!(house.claim("thief").await.is_none());
    }

    async fn a_grading_that_kills_its_workers_counts_its_attempts(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        let (_, deadly) = house.submit(ada).await;
        for attempt in 1..=4 {
            let claim = house.claim("w").await.unwrap();
            assert_eq!((claim.grading.id, claim.lease.attempt), (deadly.id, attempt));
            assert_eq!(claim.grading.started_at, Some(house.now()));
            house.wait(LEASE.as_secs());
        }
        // It keeps its place: it is Ada's first, and older.
        let (_, other) = house.submit(bob).await;
        let last = house.claim("w").await.unwrap();
        assert_eq!((last.grading.id, last.lease.attempt), (deadly.id, 5));
        assert_eq!(house.claim("w").await.unwrap().grading.id, other.id);
        house.store.finish(&last.lease, &report(Verdict::PlatformFault), Some("killed it"), LAST).await.unwrap();
        assert!(house.claim("w").await.is_none());
    }

    async fn what_failed_on_our_side_is_tried_again_later(house) {
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let lease = house.claim("w").await.unwrap().lease;
        let event = house.store.requeue(&lease, "engine away", Duration::from_secs(30), "{}").await.unwrap();
        assert_eq!(event.seq, 1);
        let waiting = house.store.grading(grading.id).await.unwrap();
        assert_eq!((waiting.state, waiting.attempt), (GradingState::Queued, 1));
        assert_eq!(waiting.fault.as_deref(), Some("engine away"));
        assert_eq!(waiting.not_before, house.now() + Duration::from_secs(30));
        house.wait(29);
        assert!(house.claim("w").await.is_none());
        house.wait(1);
        assert_eq!(house.claim("w").await.unwrap().lease.attempt, 2);
    }

    async fn giving_back_costs_no_attempt_and_no_place(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        let (_, first) = house.submit(ada).await;
        house.submit(bob).await;
        for _ in 0..3 {
            let claim = house.claim("w").await.unwrap();
            assert_eq!((claim.grading.id, claim.lease.attempt), (first.id, 1));
            house.store.release(&claim.lease).await.unwrap();
            assert_eq!(house.store.grading(first.id).await.unwrap().attempt, 0);
        }
    }

    async fn the_queue_tells_its_depth_and_wakes_who_waits(house) {
        let ada = house.student("Ada").await;
        let neighbour = house.neighbour().await;
        let (here, there) = (house.store.queue_changed(), neighbour.queue_changed());
        let since = { house.submit(ada).await; house.now() };
        house.submit(ada).await;
        assert_eq!(house.store.queue_depth().await.unwrap(), (2, Some(since)));
        tokio::time::timeout(Duration::from_secs(5), here).await.expect("woken in this process");
        tokio::time::timeout(Duration::from_secs(5), there).await.expect("woken in another process");
        let claim = house.claim("w").await.unwrap();
        assert_eq!(house.store.running().await.unwrap()[0].id, claim.grading.id);
        let quiet = house.store.queue_changed();
        tokio::select! {
            () = quiet => {
                // Another process's commit may ring late on SQLite; it must not ring again.
                let quiet = house.store.queue_changed();
                let rung = tokio::time::timeout(Duration::from_millis(700), quiet).await;
                assert!(rung.is_err(), "nothing happened, and it rang");
            }
            () = tokio::time::sleep(Duration::from_millis(700)) => {}
        }
        neighbour.close().await;
    }

    async fn workers_tell_how_they_are(house) {
        let mut worker = Worker {
            id: "host-1".into(),
            host: "host".into(),
            version: "0.1.0".into(),
            engine: None,
            started_at: house.now(),
            last_seen: house.now(),
            paused_because: Some("the engine does not answer".into()),
            figures: WorkerFigures::default(),
        };
        worker.figures.phases.entry(Phase::Build).or_default().add(1.5);
        house.store.worker_seen(&worker).await.unwrap();
        house.wait(10);
        worker.engine = Some("20.10.24".into());
        worker.paused_because = None;
        worker.figures.phases.entry(Phase::Build).or_default().add(600.0);
        *worker.figures.verdicts.entry(Verdict::PlatformFault).or_default() += 1;
        house.store.worker_seen(&worker).await.unwrap();
        worker.last_seen = house.now();
        assert_eq!(house.store.workers().await.unwrap(), [worker]);
        house.store.worker_gone("host-1").await.unwrap();
        assert!(house.store.workers().await.unwrap().is_empty());
    }

    async fn old_events_go_but_the_last_and_the_report_stay(house) {
        let ada = house.student("Ada").await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let (_, grading) = house.submit(ada).await;
            let lease = house.claim("w").await.unwrap().lease;
            let events: Vec<String> = (0..5).map(|number| format!("{{\"n\":{number}}}")).collect();
            let stored = house.store.append_events(&lease, &events).await.unwrap();
            assert_eq!(stored.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
            if ids.len() < 2 {
                house.store.finish(&lease, &report(Verdict::Passed), None, LAST).await.unwrap();
            }
            house.wait(86_400);
            ids.push(grading.id);
        }
        let before = house.now() - Duration::from_secs(2 * 86_400 + 3600);
        assert_eq!(house.store.prune_events(before).await.unwrap(), 5);
        assert_eq!(house.store.prune_events(before).await.unwrap(), 0);
        let left = house.store.events_after(ids[0], 0, 10).await.unwrap();
        assert_eq!((left.len(), left[0].seq, left[0].payload.as_str()), (1, 6, LAST));
        assert!(house.store.grading(ids[0]).await.unwrap().report.is_some());
        assert_eq!(house.store.events_after(ids[1], 0, 10).await.unwrap().len(), 6);
        assert_eq!(house.store.prune_events(house.now()).await.unwrap(), 5);
        assert_eq!(house.store.events_after(ids[2], 0, 10).await.unwrap().len(), 5, "it is not finished");
        assert_eq!(house.store.events_after(ids[2], 2, 2).await.unwrap().len(), 2);
    }
}

async fn assert_writes_nothing(house: &House, lease: &drydock::store::Lease) {
    let before = house.store.grading(lease.grading).await.unwrap();
    let events = house.store.events_after(lease.grading, 0, 1000).await.unwrap();
    let errors = [
        house.store.renew(lease, LEASE).await.unwrap_err(),
        house.store.append_events(lease, &["{}".into()]).await.unwrap_err(),
        house.store.finish(lease, &report(Verdict::Failed), Some("late"), LAST).await.unwrap_err(),
        house.store.requeue(lease, "late", LEASE, "{}").await.unwrap_err(),
        house.store.release(lease).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::LeaseLost(id) if id == lease.grading), "{error:?}");
    }
    assert_eq!(house.store.grading(lease.grading).await.unwrap(), before);
    assert_eq!(house.store.events_after(lease.grading, 0, 1000).await.unwrap(), events);
}
