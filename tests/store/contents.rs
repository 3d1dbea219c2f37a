//! What is handed out and what is handed in.

use drydock::exercises::{Section, Workshop};
use drydock::report::Verdict;
use drydock::store::{Error, GradingState, Lane};
use drydock::submissions::Source;

use crate::house::{EXERCISE, House, VERSION, answer, content, report};
use crate::on_both;

on_both! {
    async fn what_was_handed_in_is_read_back_whole(house) {
        let ada = house.student("Ada").await;
        let mut new = house.hand_in(ada);
        new.source = Source::Upload { file_name: "my \0 work 🐳.zip".into() };
        new.answers = answer("because \0 of \"quotes\" and '; DROP TABLE people; --");
        let frozen = new.content.clone().unwrap();
        let (submission, grading) = house.store.submit(new.clone()).await.unwrap();
        assert_eq!(submission.number, 1);
        assert_eq!((submission.files, submission.created_at), (1, house.now()));
        assert_eq!((grading.state, grading.lane, grading.attempt), (GradingState::Queued, Lane::Interactive, 0));
        assert_eq!(house.store.submission(submission.id).await.unwrap(), submission);
        assert_eq!(house.store.grading(grading.id).await.unwrap(), grading);
        assert_eq!(submission.source, new.source);
        assert_eq!(submission.answers, new.answers);
        let read = house.store.content(submission.content_sha256.as_ref().unwrap()).await.unwrap();
        assert_eq!(read.tar(), frozen.tar());

        let claim = house.claim("w").await.unwrap();
        let report = report(Verdict::Failed);
        let fault = "with a NUL \0 in it";
        house.store.finish(&claim.lease, &report, Some(fault), crate::house::LAST).await.unwrap();
        let done = house.store.latest_grading(submission.id).await.unwrap();
        assert_eq!(done.report, Some(report));
        assert_eq!(done.fault.as_deref(), Some("with a NUL \u{FFFD} in it"));
        assert_eq!((done.state, done.verdict), (GradingState::Done, Some(Verdict::Failed)));
        assert_eq!(done.finished_at, Some(house.now()));
    }

    async fn submissions_are_numbered_also_when_they_come_together(house) {
        let ada = house.student("Ada").await;
        let grace = house.student("Grace").await;
        let all = (0..16).map(|_| house.store.submit(house.hand_in(ada)));
        let mut numbers: Vec<i64> =
            futures::future::join_all(all).await.into_iter().map(|done| done.unwrap().0.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
        assert_eq!(house.submit(grace).await.0.number, 1);
        let mine = house.store.submissions_of(house.cohort.id, ada, EXERCISE).await.unwrap();
        let numbers: Vec<i64> = mine.iter().map(|(submission, _)| submission.number).collect();
        assert_eq!(numbers, (1..=16).rev().collect::<Vec<_>>(), "newest first");
        assert!(mine.iter().all(|(submission, grading)| grading.submission == submission.id));
        let cell = house.store.cell(house.cohort.id, ada, EXERCISE).await.unwrap().unwrap();
        assert_eq!((cell.submissions, cell.latest_submission), (16, mine[0].0.id));
    }

    async fn what_refers_to_nothing_is_refused_and_changes_nothing(house) {
        let ada = house.student("Ada").await;
        let stranger = house.store.create_person("Stranger", "hash", false).await.unwrap().id;
        let mut of_no_version = house.hand_in(ada);
        of_no_version.exercise_version = "v0".into();
        let mut of_no_exercise = house.hand_in(ada);
        of_no_exercise.exercise = "nowhere".into();
        for new in [house.hand_in(stranger), of_no_version, of_no_exercise] {
            let error = house.store.submit(new).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        }
        assert_eq!(house.store.queue_depth().await.unwrap(), (0, None));
        assert!(house.store.cells(house.cohort.id).await.unwrap().is_empty());
        assert!(house.claim("w").await.is_none());
        let (submission, _) = house.submit(ada).await;
        assert_eq!(submission.number, 1, "the refused ones left no trace in the numbers");
    }

    async fn answers_need_no_files(house) {
        let ada = house.student("Ada").await;
        let mut new = house.hand_in(ada);
        new.content = None;
        new.source = Source::Answers;
        let (submission, _) = house.store.submit(new).await.unwrap();
        assert_eq!((submission.content_sha256, submission.files, submission.bytes), (None, 0, 0));
    }

    async fn every_version_of_an_exercise_stays(house) {
        house.store.publish_version(EXERCISE, VERSION, "A first container", &content("exercise")).await.unwrap();
        house.wait(1);
        house.store.publish_version(EXERCISE, "v2", "Renamed", &content("second")).await.unwrap();
        let published = house.store.published_exercises().await.unwrap();
        assert_eq!(published.len(), 1);
        assert_eq!((published[0].version.as_str(), published[0].title.as_str()), ("v2", "Renamed"));
        for (version, text) in [(VERSION, "exercise"), ("v2", "second")] {
            let folder = house.store.exercise_folder(EXERCISE, version).await.unwrap();
            assert_eq!(folder.tar(), content(text).tar());
        }
        let error = house.store.exercise_folder(EXERCISE, "v3").await.unwrap_err();
        assert!(matches!(error, Error::NotFound { what: "exercise version" }), "{error:?}");
        // Going back is publishing again.
        house.store.publish_version(EXERCISE, VERSION, "A first container", &content("exercise")).await.unwrap();
        assert_eq!(house.store.published_exercises().await.unwrap()[0].version, VERSION);
    }

    async fn a_workshop_replaces_the_one_before(house) {
        let mut workshop = Workshop {
            slug: "zero".into(),
            title: "From zero".into(),
            audience: "Everybody".into(),
            sections: vec![Section { title: "Start".into(), exercises: vec![EXERCISE.into()] }],
        };
        house.store.publish_workshop(&workshop).await.unwrap();
        workshop.title = "From nothing".into();
        house.store.publish_workshop(&workshop).await.unwrap();
        assert_eq!(house.store.workshop("zero").await.unwrap(), Some(workshop.clone()));
        assert_eq!(house.store.workshops().await.unwrap(), [workshop]);
        assert_eq!(house.store.workshop("one").await.unwrap(), None);
        assert_eq!(house.store.workshop("\0").await.unwrap(), None);
    }

    async fn a_damaged_or_missing_content_is_told_from_anything_else(house) {
        let ada = house.student("Ada").await;
        let (submission, _) = house.submit(ada).await;
        let sha256 = submission.content_sha256.unwrap();
        let file = house.folder.path().join("content").join(&sha256[..2]).join(format!("{sha256}.tar"));
        let whole = std::fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        damaged[600] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let error = house.store.content(&sha256).await.unwrap_err();
        assert!(matches!(&error, Error::Corrupt(sentence) if sentence.contains(&sha256)), "{error:?}");
        std::fs::remove_file(&file).unwrap();
        let error = house.store.content(&sha256).await.unwrap_err();
        assert!(matches!(&error, Error::Corrupt(sentence) if sentence.contains("missing")), "{error:?}");
        // Handing in the same again heals it.
        house.submit(ada).await;
        assert_eq!(house.store.content(&sha256).await.unwrap().tar(), whole);
    }

    async fn when_the_content_cannot_be_kept_nothing_is_queued(house) {
        let ada = house.student("Ada").await;
        let root = house.folder.path().join("content");
        std::fs::remove_dir_all(&root).unwrap();
        std::fs::write(&root, "a file where a folder should be").unwrap();
        let error = house.store.submit(house.hand_in(ada)).await.unwrap_err();
        assert!(matches!(error, Error::Content(_)), "{error:?}");
        assert_eq!(house.store.queue_depth().await.unwrap(), (0, None));
        std::fs::remove_file(&root).unwrap();
        house.submit(ada).await;
    }
}
