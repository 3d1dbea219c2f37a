//! Grading a cohort's submissions anew, together.

use drydock::accounts::Role;
use drydock::report::{Points, Verdict};
use drydock::store::{AuditWish, CellState, Error, GradingState, Lane, RegradeOf};

use crate::house::{EXERCISE, House, LAST, content, report};
use crate::on_both;

on_both! {
    async fn everybodys_newest_is_graded_anew_and_compared(house) {
        let (ada, bob, tess) = (house.student("Ada").await, house.student("Bob").await, house.student("Tess").await);
        house.store.add_member(house.cohort.id, tess, Role::Trainer).await.unwrap();
        let none = house.store.regrade_many(house.cohort.id, RegradeOf::Cohort, tess).await.unwrap();
        assert_eq!(none, None, "nothing was handed in");
        assert!(house.store.regrades(house.cohort.id).await.unwrap().is_empty(), "and nothing was kept");
        for person in [ada, ada, bob, tess] {
            house.submit(person).await;
            house.grade(Verdict::Failed).await;
        }
        house.store.publish_version("other", "v1", "Other", &content("other")).await.unwrap();
        house.wait(1);
        house.store.submit(drydock::store::NewSubmission {
            exercise: "other".into(),
            ..house.hand_in(ada)
        }).await.unwrap();
        house.grade(Verdict::Passed).await;

        house.store.publish_version(EXERCISE, "v2", "Corrected", &content("v2")).await.unwrap();
        house.wait(1);
        let id = house.store.regrade_many(house.cohort.id, RegradeOf::Exercise(EXERCISE), tess).await.unwrap().unwrap();
        let (regrade, all) = house.store.regrade_with(house.cohort.id, id).await.unwrap();
        assert_eq!((regrade.total, regrade.done, regrade.by.as_str()), (2, 0, "Tess"));
        assert_eq!(regrade.exercise.as_deref(), Some(EXERCISE));
        let who: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.number, one.state, one.after)).collect();
        assert_eq!(who, [("Ada", 2, GradingState::Queued, None), ("Bob", 1, GradingState::Queued, None)]);
        assert_eq!(all[0].before, Some((Verdict::Failed, Points { earned: 0, possible: 2 })));
        let cell = house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!(cell.state, CellState::Queued);
        let again = house.store.regrade_many(house.cohort.id, RegradeOf::Exercise(EXERCISE), tess).await.unwrap();
        assert_eq!(again, None, "all of it waits already");

        // What a student hands in meanwhile comes first; then by the version of now.
        house.submit(bob).await;
        let first = house.claim("w").await.unwrap();
        assert_eq!(first.grading.lane, Lane::Interactive);
        house.store.finish(&first.lease, &report(Verdict::Failed), None, LAST).await.unwrap();
        let ids: Vec<_> = all.iter().map(|one| one.grading).collect();
        for verdict in [Verdict::Passed, Verdict::Failed] {
            let claim = house.claim("w").await.unwrap();
            assert!(ids.contains(&claim.grading.id) && claim.grading.exercise_version == "v2", "{claim:?}");
            assert_eq!(house.store.place_in_queue(claim.grading.id).await.unwrap(), 0);
            house.store.finish(&claim.lease, &report(verdict), None, LAST).await.unwrap();
        }
        let (regrade, all) = house.store.regrade_with(house.cohort.id, id).await.unwrap();
        assert_eq!((regrade.total, regrade.done), (2, 2));
        let mut after: Vec<_> = all.iter().map(|one| one.after.unwrap().0).collect();
        after.sort();
        assert_eq!(after, [Verdict::Passed, Verdict::Failed]);
        assert_eq!(house.store.regrades(house.cohort.id).await.unwrap(), [regrade]);
        let elsewhere = house.store.create_cohort("Other", "w", "HRB-CRW").await.unwrap();
        let theirs = house.store.regrade_with(elsewhere.id, id).await;
        assert!(matches!(theirs, Err(Error::NotFound { what: "regrade" })), "it is no business of another cohort");
        let wish = AuditWish { action: "submissions.".into(), ..AuditWish::default() };
        let records = house.store.records(&wish, 9).await.unwrap();
        assert_eq!((records.len(), records[0].subject.as_str()), (1, EXERCISE));
    }

    async fn turns_stay_in_order_with_many_of_one_person(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        let mut slugs = vec![EXERCISE.to_owned()];
        for number in 0..4 {
            let slug = format!("exercise-{number}");
            house.store.publish_version(&slug, "v1", "More", &content(&slug)).await.unwrap();
            slugs.push(slug);
        }
        for slug in &slugs {
            for person in [ada, bob] {
                house.wait(1);
                let new = drydock::store::NewSubmission {
                    exercise: slug.clone(),
                    exercise_version: "v1".into(),
                    ..house.hand_in(person)
                };
                house.store.submit(new).await.unwrap();
                house.grade(Verdict::Failed).await;
            }
        }
        house.wait(1);
        let (old, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.store.regrade(old.id).await.unwrap();
        house.wait(1);
        // One of Ada's waits already and is left out; the others stand behind it, and Bob's between them.
        let id = house.store.regrade_many(house.cohort.id, RegradeOf::Cohort, bob).await.unwrap().unwrap();
        assert_eq!(house.store.regrade_with(house.cohort.id, id).await.unwrap().0.total, 9);
        let mut order = Vec::new();
        while let Some(claim) = house.claim("w").await {
            order.push(if claim.submission.person == ada { 'a' } else { 'b' });
        }
        assert_eq!(order.len(), 10);
        assert_eq!(order[0], 'a', "it asked first");
        for round in order.chunks(2) {
            assert!(round.contains(&'a') && round.contains(&'b'), "fair between people: {order:?}");
        }
    }

    async fn one_submission_is_graded_anew(house) {
        let (ada, tess) = (house.student("Ada").await, house.student("Tess").await);
        let (first, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.wait(1);
        let id = house.store.regrade_many(house.cohort.id, RegradeOf::Submission(first.id), tess).await.unwrap().unwrap();
        house.grade(Verdict::Passed).await;
        let (regrade, all) = house.store.regrade_with(house.cohort.id, id).await.unwrap();
        assert_eq!((regrade.total, regrade.done, regrade.exercise), (1, 1, None));
        assert_eq!((all[0].submission, all[0].after.unwrap().0), (first.id, Verdict::Passed));
        let cell = house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!(cell.state, CellState::Passed);
    }
}
