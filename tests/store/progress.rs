//! The cells of board and grid.

use drydock::report::{Points, Verdict};
use drydock::store::{Cell, CellState};

use crate::house::{EXERCISE, House, LAST, content, report, report_waiting};
use crate::on_both;

async fn cell(house: &House, person: uuid::Uuid) -> Cell {
    house.store.cell(house.cohort.id, person, EXERCISE).await.unwrap().unwrap()
}

on_both! {
    async fn a_cell_goes_through_its_states(house) {
        let ada = house.student("Ada").await;
        assert_eq!(house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap(), None);
        let mut seen = Vec::new();
        for verdict in [
            Verdict::PlatformFault,
            Verdict::Failed,
            Verdict::ExerciseFault,
            Verdict::Passed,
            Verdict::Failed,
            Verdict::PlatformFault,
        ] {
            let (submission, _) = house.submit(ada).await;
            assert_eq!(cell(house, ada).await.state, CellState::Queued);
            let claim = house.claim("w").await.unwrap();
            assert_eq!(cell(house, ada).await.state, CellState::Running);
            house.store.finish(&claim.lease, &report(verdict), None, LAST).await.unwrap();
            let now = cell(house, ada).await;
            assert_eq!((now.latest_submission, now.changed_at), (submission.id, house.now()));
            seen.push((now.state, now.submissions, now.attempts, now.points.earned));
        }
        use CellState::{Failed, Fault, Passed};
        assert_eq!(
            seen,
            [
                (Fault, 1, 0, 0),
                (Failed, 2, 1, 0),
                (Fault, 3, 1, 0),
                (Passed, 4, 2, 2),
                (Passed, 5, 3, 2),
                (Passed, 6, 3, 2),
            ],
            "faults are no attempts, and what was passed stays passed"
        );
        assert_eq!(cell(house, ada).await.points, Points { earned: 2, possible: 2 });
    }

    async fn waiting_is_passed_but_for_a_trainers_word(house) {
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &report_waiting(), None, LAST).await.unwrap();
        assert_eq!(cell(house, ada).await.state, CellState::Waiting);
        assert!(house.store.grading(claim.grading.id).await.unwrap().waiting);
        house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        assert_eq!(cell(house, ada).await.state, CellState::Waiting, "a later failure does not take it away");
        house.submit(ada).await;
        house.grade(Verdict::Passed).await;
        assert_eq!(cell(house, ada).await.state, CellState::Passed);
    }

    async fn a_regrade_replaces_the_verdict_of_its_submission_and_a_fault_none(house) {
        let ada = house.student("Ada").await;
        let (submission, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.store.publish_version(EXERCISE, "v2", "Corrected", &content("v2")).await.unwrap();
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        assert_eq!(cell(house, ada).await.state, CellState::Queued);
        house.grade(Verdict::Passed).await;
        let passed = cell(house, ada).await;
        assert_eq!((passed.state, passed.attempts, passed.submissions), (CellState::Passed, 1, 1));
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        house.grade(Verdict::PlatformFault).await;
        assert_eq!(cell(house, ada).await.state, CellState::Passed);
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        house.grade(Verdict::Failed).await;
        let failed = cell(house, ada).await;
        assert_eq!((failed.state, failed.points.earned), (CellState::Failed, 0));
    }

    async fn cells_go_back_to_queued_with_their_grading(house) {
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        let lease = house.claim("w").await.unwrap().lease;
        house.store.release(&lease).await.unwrap();
        assert_eq!(cell(house, ada).await.state, CellState::Queued);
        let lease = house.claim("w").await.unwrap().lease;
        house.store.requeue(&lease, "engine", std::time::Duration::from_secs(5), "{}").await.unwrap();
        assert_eq!(cell(house, ada).await.state, CellState::Queued);
    }

    async fn cells_are_read_by_cohort_by_person_and_by_change(house) {
        let ada = house.student("Ada").await;
        let bob = house.student("Bob").await;
        house.store.publish_version("other", "v1", "Other", &content("other")).await.unwrap();
        house.submit(ada).await;
        let mut new = house.hand_in(ada);
        new.exercise = "other".into();
        house.wait(60);
        house.store.submit(new).await.unwrap();
        house.submit(bob).await;
        assert_eq!(house.store.cells(house.cohort.id).await.unwrap().len(), 3);
        assert_eq!(house.store.cells_of(house.cohort.id, ada).await.unwrap().len(), 2);
        assert!(house.store.cells(uuid::Uuid::nil()).await.unwrap().is_empty());
        let since = house.now() - std::time::Duration::from_secs(1);
        let changed = house.store.cells_changed_since(house.cohort.id, since).await.unwrap();
        let changed: Vec<_> = changed.iter().map(|cell| (cell.person, cell.exercise.as_str())).collect();
        assert_eq!(changed, [(ada, "other"), (bob, EXERCISE)], "oldest change first, the moment itself included");
    }

    async fn cells_do_not_drift_when_everything_happens_at_once(house) {
        let neighbour = house.neighbour().await;
        let mut people = Vec::new();
        for name in ["Ada", "Bob", "Cy"] {
            people.push(house.student(name).await);
        }
        let tasks = (0..12).map(|number| {
            let store = if number % 2 == 0 { house.store.clone() } else { neighbour.clone() };
            let work: Vec<_> = people.iter().map(|person| house.hand_in(*person)).collect();
            let worker = format!("w{number}");
            tokio::spawn(async move {
                for new in work {
                    store.submit(new).await.unwrap();
                    while let Some(claim) = store.claim(&worker, crate::house::LEASE).await.unwrap() {
                        if claim.lease.claim == 1 && claim.submission.number % 4 == 0 {
                            store.release(&claim.lease).await.unwrap();
                        } else {
                            store.finish(&claim.lease, &report(Verdict::Failed), None, LAST).await.unwrap();
                        }
                    }
                }
            })
        });
        for task in futures::future::join_all(tasks).await {
            task.unwrap();
        }
        assert_eq!(house.store.queue_depth().await.unwrap().0, 0);
        for cells in [house.store.cells(house.cohort.id).await.unwrap(), neighbour.cells(house.cohort.id).await.unwrap()] {
            assert_eq!(cells.len(), 3);
            for cell in cells {
                assert_eq!((cell.state, cell.submissions, cell.attempts), (CellState::Failed, 12, 12));
            }
        }
        neighbour.close().await;
    }

    async fn a_cell_is_right_when_one_ends_while_another_begins(house) {
        let neighbour = house.neighbour().await;
        let ada = house.student("Ada").await;
        let failed = report(Verdict::Failed);
        for _ in 0..40 {
            house.submit(ada).await;
            house.submit(ada).await;
            let first = house.claim("w").await.unwrap();
            let (ended, begun) = tokio::join!(
                house.store.finish(&first.lease, &failed, None, LAST),
                neighbour.claim("other", crate::house::LEASE),
            );
            ended.unwrap();
            let second = begun.unwrap().expect("the second was waiting");
            assert_eq!(cell(house, ada).await.state, CellState::Running);
            house.store.finish(&second.lease, &failed, None, LAST).await.unwrap();
            assert_eq!(cell(house, ada).await.state, CellState::Failed);
        }
        neighbour.close().await;
    }
}
