//! What trainers add to a submission: comments, and decisions about a check against the machine.

use drydock::report::{OutcomeKind, Points, Verdict};
use drydock::store::{AuditWish, CellState, Error, Said};

use crate::house::{EXERCISE, House, LAST, report_waiting};
use crate::on_both;

on_both! {
    async fn a_decision_changes_points_verdict_and_cell_and_can_be_taken_back(house) {
        let (ada, tess) = (house.student("Ada").await, house.student("Tess").await);
        let (submission, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        let before = house.store.latest_grading(submission.id).await.unwrap();
        let decide = async |outcome, reason| {
            house.wait(1);
            house.store.decide(submission.id, "greets", tess, outcome, reason).await
        };
        let passed = decide(Some(OutcomeKind::Passed), "It greets in \0 Dutch").await.unwrap();
        assert_eq!((passed.id, passed.verdict), (before.id, Some(Verdict::Passed)));
        assert_eq!(passed.points, Points { earned: 2, possible: 2 });
        assert_eq!(house.store.grading(passed.id).await.unwrap(), passed, "what is given back is stored");
        let overridden = passed.report.as_ref().unwrap().checks[0].overridden.clone().unwrap();
        assert_eq!((overridden.by.as_str(), overridden.reason.as_str()), ("Tess", "It greets in \u{fffd} Dutch"));
        assert_eq!((overridden.machine_outcome, overridden.machine_points), (OutcomeKind::Failed, 0));
        let cell = async || house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!((cell().await.state, cell().await.points.earned), (CellState::Passed, 2));
        // Decided anew, what the machine said is still known.
        let failed = decide(Some(OutcomeKind::Failed), "No").await.unwrap();
        assert_eq!(failed.report.unwrap().checks[0].overridden.as_ref().unwrap().machine_outcome, OutcomeKind::Failed);
        assert_eq!(cell().await.state, CellState::Failed);
        let back = decide(None, "").await.unwrap();
        assert_eq!(back, before, "as the machine left it");
        assert!(matches!(decide(None, "").await, Err(Error::NotFound { .. })), "nothing to take back");
        let notes = house.store.notes_of(submission.id).await.unwrap();
        let outcomes: Vec<_> = notes.iter().map(|note| match &note.said {
            Said::Decided { outcome, .. } => *outcome,
            Said::Comment(_) => panic!("nobody commented"),
        }).collect();
        assert_eq!(outcomes, [Some(OutcomeKind::Passed), Some(OutcomeKind::Failed), None], "all of it is kept");
        let wish = AuditWish { action: "check.".into(), ..AuditWish::default() };
        assert_eq!(house.store.records(&wish, 9).await.unwrap().len(), 3);
    }

    async fn grading_anew_keeps_the_decision(house) {
        let (ada, tess) = (house.student("Ada").await, house.student("Tess").await);
        let (submission, _) = house.submit(ada).await;
        house.grade(Verdict::Failed).await;
        house.store.decide(submission.id, "greets", tess, Some(OutcomeKind::Passed), "Yes").await.unwrap();
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        house.grade(Verdict::Failed).await;
        let grading = house.store.latest_grading(submission.id).await.unwrap();
        assert_eq!((grading.verdict, grading.points.earned), (Some(Verdict::Passed), 2));
        // A fault is none of the student's, whatever was decided.
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        house.grade(Verdict::PlatformFault).await;
        let fault = house.store.latest_grading(submission.id).await.unwrap();
        assert_eq!(fault.verdict, Some(Verdict::PlatformFault));
        assert!(fault.report.unwrap().checks[0].overridden.is_none());
        // What was taken back stays so.
        house.store.decide(submission.id, "greets", tess, None, "").await.unwrap();
        house.wait(1);
        house.store.regrade(submission.id).await.unwrap();
        house.grade(Verdict::Failed).await;
        assert_eq!(house.store.latest_grading(submission.id).await.unwrap().verdict, Some(Verdict::Failed));
    }

    async fn only_what_a_machine_judged_is_decided(house) {
        let ada = house.student("Ada").await;
        let (queued, _) = house.submit(ada).await;
        let refused = async |submission, check| {
            let decided = house.store.decide(submission, check, ada, Some(OutcomeKind::Passed), "x").await;
            matches!(decided, Err(Error::NotFound { what: "check to decide" }))
        };
        assert!(refused(queued.id, "greets").await, "not judged");
        house.grade(Verdict::PlatformFault).await;
        assert!(refused(queued.id, "greets").await, "nobody could tell");
        let (waiting, _) = house.submit(ada).await;
        let claim = house.claim("w").await.unwrap();
        house.store.finish(&claim.lease, &report_waiting(), None, LAST).await.unwrap();
        assert!(refused(waiting.id, "greets").await, "it waits for a score by its rubric");
        let (judged, _) = house.submit(ada).await;
        house.grade(Verdict::Passed).await;
        assert!(refused(judged.id, "other").await, "no such check");
        assert!(house.store.notes_of(judged.id).await.unwrap().is_empty(), "nothing was stored");
    }

    async fn comments_stand_among_the_decisions(house) {
        let (ada, tess) = (house.student("Ada").await, house.student("Tess").await);
        let (submission, _) = house.submit(ada).await;
        let judgements = house.store.judgements_of(submission.id).await.unwrap();
        house.store.comment(submission.id, tess, "Look at \0 line 3").await.unwrap();
        house.grade(Verdict::Failed).await;
        house.wait(1);
        house.store.decide(submission.id, "greets", tess, Some(OutcomeKind::Passed), "Yes").await.unwrap();
        house.wait(1);
        house.store.comment(submission.id, ada, "second").await.unwrap();
        let notes = house.store.notes_of(submission.id).await.unwrap();
        assert_eq!(notes[0].said, Said::Comment("Look at \u{fffd} line 3".into()));
        assert_eq!((notes[0].by.as_str(), notes[2].by.as_str()), ("Tess", "Ada"));
        assert!(matches!(notes[1].said, Said::Decided { .. }));
        assert_eq!(notes[2].at, house.now());
        assert_eq!(house.store.judgements_of(submission.id).await.unwrap(), judgements + 3);
        assert!(house.store.comment(uuid::Uuid::nil(), tess, "x").await.is_err());
    }
}
