//! Terms of a cohort: kept where a submission is taken, and followed by points when they change.

use std::time::Duration;

use chrono::TimeDelta;
use drydock::accounts::Role;
use drydock::report::Verdict;
use drydock::store::{AuditWish, CellState, Error};
use drydock::terms::{LatePolicy, Lateness, Refusal, Terms};

use crate::house::{EXERCISE, House, LAST, report};
use crate::on_both;

async fn set(house: &House, exercise: Option<&str>, terms: Terms) {
    let by = house.store.people().await.unwrap()[0].id;
    house.store.set_terms(house.cohort.id, exercise, &terms, by).await.unwrap();
}

async fn refusal(house: &House, person: uuid::Uuid) -> Option<Refusal> {
    match house.store.submit(house.hand_in(person)).await {
        Ok(_) => None,
        Err(Error::NotTaken(refusal)) => Some(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

on_both! {
    async fn attempts_are_counted_where_they_are_taken(house) {
        let ada = house.student("Ada").await;
        set(house, None, Terms { attempts: Some(2), cooldown_minutes: Some(10), ..Terms::default() }).await;
        assert_eq!(refusal(house, ada).await, None);
        let first = house.now();
        let next_at = first + TimeDelta::minutes(10);
        assert_eq!(refusal(house, ada).await, Some(Refusal::TooSoon { next_at }), "one that is queued counts");
        // A fault gives the attempt back, and its wait with it.
        house.grade(Verdict::PlatformFault).await;
        assert_eq!(house.store.tried(house.cohort.id, ada, EXERCISE).await.unwrap().attempts, 0);
        assert_eq!(refusal(house, ada).await, None);
        house.grade(Verdict::Failed).await;
        house.wait(599);
        assert!(matches!(refusal(house, ada).await, Some(Refusal::TooSoon { .. })));
        house.wait(1);
        assert_eq!(refusal(house, ada).await, None);
        house.grade(Verdict::ExerciseFault).await;
        assert_eq!(refusal(house, ada).await, None, "nor does a fault of the exercise count");
        house.grade(Verdict::Failed).await;
        house.wait(3600);
        assert_eq!(refusal(house, ada).await, Some(Refusal::NoAttemptLeft { attempts: 2 }));
        // Another's are their own, and an exercise's own terms come before the cohort's.
        let bob = house.student("Bob").await;
        assert_eq!(refusal(house, bob).await, None);
        set(house, Some(EXERCISE), Terms { attempts: Some(3), ..Terms::default() }).await;
        assert_eq!(refusal(house, ada).await, None);
        assert_eq!(house.store.terms(house.cohort.id).await.unwrap().of(EXERCISE).cooldown_minutes, Some(10));
    }

    async fn two_at_once_do_not_both_take_the_last_attempt(house) {
        let ada = house.student("Ada").await;
        set(house, None, Terms { attempts: Some(1), ..Terms::default() }).await;
        let other = house.neighbour().await;
        let (one, two) = tokio::join!(
            house.store.submit(house.hand_in(ada)),
            other.submit(house.hand_in(ada)),
        );
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|taken| **taken).count(), 1, "{one:?} {two:?}");
        other.close().await;
    }

    async fn dates_hold_for_students_only(house) {
        let ada = house.student("Ada").await;
        let opens_at = house.now() + TimeDelta::hours(1);
        let closes_at = opens_at + TimeDelta::hours(1);
        set(house, None, Terms { opens_at: Some(opens_at), closes_at: Some(closes_at), ..Terms::default() }).await;
        assert_eq!(refusal(house, ada).await, Some(Refusal::NotOpen { opens_at }));
        let tess = house.store.create_person("Tess", "hash", false).await.unwrap().id;
        house.store.add_member(house.cohort.id, tess, Role::Trainer).await.unwrap();
        assert_eq!(refusal(house, tess).await, None, "a trainer tries it before it opens");
        house.wait(3600);
        let (kept, _) = house.store.submit_once(house.hand_in(ada), Some("key")).await.unwrap();
        house.wait(3600);
        assert_eq!(refusal(house, ada).await, Some(Refusal::Closed { closed_at: closes_at }));
        let (again, _) = house.store.submit_once(house.hand_in(ada), Some("key")).await.unwrap();
        assert_eq!(again.id, kept.id, "what was taken is given back, not refused");
    }

    async fn what_comes_late_counts_for_less_and_follows_the_terms(house) {
        let ada = house.student("Ada").await;
        let due_at = house.now() + TimeDelta::hours(1);
        let late = Some(LatePolicy::PerDay { percent: 60, floor: 10 });
        set(house, None, Terms { due_at: Some(due_at), late, ..Terms::default() }).await;
        // One of two points in time, both of them a day late: the first counts for more.
        let mut half = report(Verdict::Failed);
        half.points.earned = 1;
        house.submit(ada).await;
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &half, None, LAST).await.unwrap();
        house.clock.advance(Duration::from_hours(2));
        house.submit(ada).await;
        let claim = house.claim("w").await.unwrap();
        let mut whole = half.clone();
        whole.points.earned = 2;
        house.store.finish(&claim.lease, &whole, None, LAST).await.unwrap();
        let cell = async || house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!((cell().await.points.earned, cell().await.late), (1, Lateness::NONE));
        // The trainer is milder: now the second does, and the grid is told.
        let revision = house.store.cells(house.cohort.id).await.unwrap();
        assert_eq!(revision[0].points.earned, 1);
        let milder = Some(LatePolicy::PerDay { percent: 10, floor: 0 });
        house.wait(1);
        set(house, Some(EXERCISE), Terms { late: milder, ..Terms::default() }).await;
        assert_eq!((cell().await.points.earned, cell().await.late), (2, Lateness { days: 1, percent: 90 }));
        assert_eq!(house.store.cells(house.cohort.id).await.unwrap(), [cell().await]);
        // What is passed late is passed.
        house.submit(ada).await;
        house.grade(Verdict::Passed).await;
        assert_eq!(cell().await.state, CellState::Passed);
        // Terms that say nothing are gone, and who set them is written down.
        set(house, Some(EXERCISE), Terms::default()).await;
        let terms = house.store.terms(house.cohort.id).await.unwrap();
        assert!(terms.own.is_empty() && terms.all.due_at == Some(due_at));
        assert_eq!(cell().await.late, Lateness { days: 1, percent: 40 });
        let wish = AuditWish { action: "terms.".into(), ..AuditWish::default() };
        let records = house.store.records(&wish, 10).await.unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!((records[0].by.as_deref(), records[0].subject.as_str()), (Some("Ada"), EXERCISE));
    }

    async fn a_cohort_is_renamed_closed_and_gets_another_code(house) {
        let (id, by) = (house.cohort.id, house.student("Ada").await);
        house.store.rename_cohort(id, "Summer", Some(by)).await.unwrap();
        house.store.close_cohort(id, true, Some(by)).await.unwrap();
        let closed_at = house.store.cohort(id).await.unwrap().closed_at;
        assert_eq!(closed_at, Some(house.now()));
        house.wait(5);
        house.store.close_cohort(id, true, Some(by)).await.unwrap();
        assert_eq!(house.store.cohort(id).await.unwrap().closed_at, closed_at, "closed once");
        house.store.close_cohort(id, false, Some(by)).await.unwrap();
        house.store.set_join_code(id, "hrb-crw", Some(by)).await.unwrap();
        let cohort = house.store.cohort(id).await.unwrap();
        assert_eq!((cohort.name.as_str(), cohort.closed_at), ("Summer", None));
        assert_eq!(house.store.cohort_by_join_code("HRBCRW").await.unwrap().map(|found| found.id), Some(id));
        assert!(house.store.cohort_by_join_code("K7M-4QX").await.unwrap().is_none(), "the code before is gone");
        let other = house.store.create_cohort("Other", "w", "K7M-4QX").await.unwrap();
        let taken = house.store.set_join_code(other.id, "HRB-CRW", Some(by)).await;
        assert!(matches!(taken, Err(Error::Taken { field: "join_code" })), "{taken:?}");
        let nobody = house.store.rename_cohort(uuid::Uuid::nil(), "x", Some(by)).await;
        assert!(matches!(nobody, Err(Error::NotFound { .. })));
        let wish = AuditWish { action: "cohort.".into(), ..AuditWish::default() };
        let actions: Vec<_> =
            house.store.records(&wish, 10).await.unwrap().into_iter().map(|record| record.action).collect();
        assert_eq!(
            actions,
            ["cohort.code_changed", "cohort.opened", "cohort.closed", "cohort.closed", "cohort.renamed"]
        );
    }
}
