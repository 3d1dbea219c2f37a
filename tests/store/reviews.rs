//! What trainers made of answers, and the queue of what waits for them.

use drydock::report::{Points, Review, Score, Verdict};
use drydock::store::{CellState, Error};
use uuid::Uuid;

use crate::house::{EXERCISE, House, LAST, content, report, report_waiting};
use crate::on_both;

/// A score of the one check of [`report_waiting`].
fn review(earned: u32, possible: u32) -> Review {
    Review {
        scores: vec![Score { criterion: "Says why".into(), points: Points { earned, possible } }],
        comment: "a NUL \0 and 'quotes'; --".into(),
        by: "Dora".into(),
        passed: earned * 2 >= possible,
    }
}

async fn waiting(house: &House, person: Uuid) -> Uuid {
    let (submission, _) = house.submit(person).await;
    let claim = house.claim("w").await.unwrap();
    house.store.finish(&claim.lease, &report_waiting(), None, LAST).await.unwrap();
    submission.id
}

async fn queue(house: &House) -> Vec<(String, i64)> {
    let waiting = house.store.waiting_reviews(house.cohort.id).await.unwrap();
    waiting.into_iter().map(|one| (one.name, one.number)).collect()
}

on_both! {
    async fn a_review_changes_points_verdict_and_cell_at_once(house) {
        let (ada, tom) = (house.student("Ada").await, house.student("Tom").await);
        let submission = waiting(house, ada).await;
        let before = house.store.latest_grading(submission).await.unwrap();
        assert!(before.waiting);
        let grading = house.store.review(submission, "greets", tom, &review(1, 2)).await.unwrap();
        assert_eq!((grading.verdict, grading.waiting), (Some(Verdict::Passed), false));
        assert_eq!(grading.points, Points { earned: 1, possible: 2 });
        assert_eq!(house.store.grading(grading.id).await.unwrap(), grading, "what is given back is stored");
        let cell = house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!((cell.state, cell.points), (CellState::Passed, Points { earned: 1, possible: 2 }));
        let failed = house.store.review(submission, "greets", tom, &review(0, 2)).await.unwrap();
        assert_eq!((failed.verdict, failed.points.earned), (Some(Verdict::Failed), 0));
        let cell = house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!(cell.state, CellState::Failed);
        let kept = house.store.reviews_of(submission).await.unwrap();
        let earned: Vec<_> = kept.iter().map(|one| (one.reviewer, one.review.points().earned)).collect();
        assert_eq!(earned, [(tom, 1), (tom, 0)], "the one before is kept");
        assert_eq!(kept[0].review.comment, "a NUL \u{fffd} and 'quotes'; --");
    }

    async fn what_nobody_waits_for_cannot_be_reviewed(house) {
        let ada = house.student("Ada").await;
        let (queued, _) = house.submit(ada).await;
        let refused = |result: Result<drydock::store::Grading, Error>| {
            matches!(result, Err(Error::NotFound { what: "answer to review" }))
        };
        assert!(refused(house.store.review(queued.id, "greets", ada, &review(1, 2)).await), "not judged");
        house.grade(Verdict::Passed).await;
        assert!(refused(house.store.review(queued.id, "greets", ada, &review(1, 2)).await), "a machine judged it");
        let submission = waiting(house, ada).await;
        assert!(refused(house.store.review(submission, "other", ada, &review(1, 2)).await), "no such check");
        assert!(refused(house.store.review(submission, "greets", ada, &review(1, 3)).await), "worth something else");
        assert!(house.store.reviews_of(submission).await.unwrap().is_empty(), "nothing was stored");
    }

    async fn grading_anew_keeps_the_review(house) {
        let ada = house.student("Ada").await;
        let submission = waiting(house, ada).await;
        house.store.review(submission, "greets", ada, &review(2, 2)).await.unwrap();
        house.wait(1);
        house.store.regrade(submission).await.unwrap();
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &report_waiting(), None, LAST).await.unwrap();
        let grading = house.store.latest_grading(submission).await.unwrap();
        assert_eq!((grading.id, grading.waiting, grading.points.earned), (claim.grading.id, false, 2));
        assert_eq!(grading.report.unwrap().checks[0].review.as_ref().unwrap().by, "Dora");
        // Where the exercise is worth something else by now, a trainer has to read again.
        house.wait(1);
        house.store.regrade(submission).await.unwrap();
        let claim = house.claim("w").await.unwrap();
        let mut other = report_waiting();
        other.checks[0].points.possible = 5;
        house.store.finish(&claim.lease, &other, None, LAST).await.unwrap();
        assert!(house.store.latest_grading(submission).await.unwrap().waiting);
        assert_eq!(queue(house).await, [("Ada".to_owned(), 1)]);
    }

    async fn the_queue_has_the_newest_of_each_that_is_not_passed(house) {
        let (ada, bob) = (house.student("Ada").await, house.student("Bob").await);
        assert!(queue(house).await.is_empty());
        waiting(house, bob).await;
        waiting(house, ada).await;
        let newest = waiting(house, ada).await;
        assert_eq!(queue(house).await, [("Bob".to_owned(), 1), ("Ada".to_owned(), 2)]);
        assert!(house.store.waiting_reviews(Uuid::nil()).await.unwrap().is_empty(), "of this cohort only");
        // While it is graded anew, what a trainer gives still reaches it.
        house.wait(1);
        house.store.publish_version(EXERCISE, "v2", "Corrected", &content("v2")).await.unwrap();
        house.store.regrade(newest).await.unwrap();
        house.store.review(newest, "greets", bob, &review(2, 2)).await.unwrap();
        assert_eq!(queue(house).await, [("Bob".to_owned(), 1)], "being graded: nothing of Ada's waits");
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &report_waiting(), None, LAST).await.unwrap();
        assert_eq!(queue(house).await, [("Bob".to_owned(), 1)], "what is passed needs no reading");
        // Handing in again without an answer does not take the one before out of the queue.
        house.submit(bob).await;
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &report(Verdict::Failed), None, LAST).await.unwrap();
        assert_eq!(queue(house).await, [("Bob".to_owned(), 1)]);
    }
}
