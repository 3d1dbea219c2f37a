//! Drafts, jobs and what is published of them.

use std::time::Duration;

use drydock::store::{Error, GradingState, JobKind, NewJob};
use drydock::submissions::{Content, ContentLimits};
use serde_json::json;

use crate::house::{EXERCISE, House, LEASE};
use crate::on_both;

fn folder(text: &'static str) -> Content {
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 10 };
    Content::from_files(vec![("exercise.yaml".into(), text.into())], &limits).unwrap()
}

fn verify<'a>(slug: &'a str, content: Option<&'a str>) -> NewJob<'a> {
    NewJob {
        kind: JobKind::Verify,
        subject: slug,
        content,
        wish: json!({}),
        worker: None,
        login: None,
        delay: Duration::ZERO,
        by: None,
    }
}

on_both! {
    async fn a_draft_changes_only_from_the_revision_that_was_read(house) {
        let store = &house.store;
        let draft = store.create_draft("new", &folder("1"), None, "a test").await.unwrap();
        assert_eq!((draft.revision, draft.changed_at), (1, house.now()));
        let taken = store.create_draft("new", &folder("1"), None, "a test").await;
        assert!(matches!(taken, Err(Error::Taken { field: "name" })), "{taken:?}");
        assert_eq!(store.save_draft("new", 1, &folder("2"), None, "x").await.unwrap(), 2);
        let late = store.save_draft("new", 1, &folder("3"), None, "x").await;
        assert!(matches!(late, Err(Error::Changed { .. })), "{late:?}");
        assert_eq!(store.draft("new").await.unwrap().unwrap().folder_sha256, folder("2").sha256());
        assert!(matches!(store.discard_draft("new", 1, None).await, Err(Error::Changed { .. })));
        store.discard_draft("new", 2, None).await.unwrap();
        assert!(store.draft("new").await.unwrap().is_none() && store.drafts().await.unwrap().is_empty());
        let deeds = store.records(&drydock::store::AuditWish { action: "draft.".into(), ..Default::default() }, 9).await.unwrap();
        assert_eq!(deeds.len(), 3, "what was refused is not written down");
    }

    async fn jobs_wait_for_what_somebody_has_just_handed_in(house) {
        let store = &house.store;
        let job = store.ask(verify("new", None)).await.unwrap();
        assert_eq!(store.ask(verify("new", None)).await.unwrap().id, job.id, "asked twice, done once");
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        assert!(store.claim_job("w", LEASE).await.unwrap().is_none(), "a submission waits");
        house.claim("w").await.unwrap();
        let (claimed, lease) = store.claim_job("w", LEASE).await.unwrap().unwrap();
        assert_eq!((claimed.id, claimed.state, lease.attempt), (job.id, GradingState::Running, 1));
        assert!(store.claim_job("v", LEASE).await.unwrap().is_none(), "it is under way");
        store.job_progress(&lease, &json!({"trials": []})).await.unwrap();
        assert_eq!(store.job(job.id).await.unwrap().progress, json!({"trials": []}));
        store.retry_job(&lease, "the engine was away", Duration::from_secs(5)).await.unwrap();
        assert!(store.claim_job("w", LEASE).await.unwrap().is_none(), "not yet");
        house.wait(5);
        let (again, lease) = store.claim_job("w", LEASE).await.unwrap().unwrap();
        assert_eq!((again.attempt, again.fault.as_deref()), (2, Some("the engine was away")));
        store.finish_job(&lease, true, &json!({}), None).await.unwrap();
        assert!(store.unfinished_jobs(house.now()).await.unwrap().is_empty());
        assert_ne!(store.ask(verify("new", None)).await.unwrap().id, job.id, "a new one");
    }

    async fn a_worker_that_was_killed_loses_its_job_to_another(house) {
        let store = &house.store;
        store.ask(verify("new", None)).await.unwrap();
        let (_, dead) = store.claim_job("dead", LEASE).await.unwrap().unwrap();
        house.clock.advance(LEASE - Duration::from_secs(1));
        store.renew_job(&dead, LEASE).await.unwrap();
        house.wait(2);
        assert!(store.claim_job("next", LEASE).await.unwrap().is_none(), "it was renewed");
        house.clock.advance(LEASE);
        let (job, lease) = store.claim_job("next", LEASE).await.unwrap().unwrap();
        assert_eq!(lease.attempt, 2);
        for late in [
            store.job_progress(&dead, &json!(1)).await,
            store.finish_job(&dead, true, &json!({}), None).await,
            store.renew_job(&dead, LEASE).await,
            store.release_job(&dead).await,
        ] {
            assert!(matches!(late, Err(Error::LeaseLost(id)) if id == job.id), "{late:?}");
        }
        store.release_job(&lease).await.unwrap();
        assert_eq!(store.job(job.id).await.unwrap().attempt, 1, "given back, it does not count");
    }

    async fn what_waits_for_later_is_done_now_when_it_is_asked_for_again(house) {
        let later = NewJob { delay: Duration::from_mins(5), ..verify("new", None) };
        let job = house.store.ask(later).await.unwrap();
        assert!(house.store.claim_job("w", LEASE).await.unwrap().is_none());
        assert_eq!(house.store.ask(verify("new", None)).await.unwrap().id, job.id);
        assert_eq!(house.store.claim_job("w", LEASE).await.unwrap().unwrap().0.id, job.id);
    }

    async fn a_job_for_one_worker_is_left_alone_by_others(house) {
        let new = NewJob { kind: JobKind::Doctor, worker: Some("here"), ..verify("host", None) };
        house.store.ask(new).await.unwrap();
        assert!(house.store.claim_job("there", LEASE).await.unwrap().is_none());
        assert!(house.store.unfinished_jobs(house.now()).await.unwrap().is_empty(), "a worker never heard of");
        assert!(house.store.claim_job("here", LEASE).await.unwrap().is_some());
        house.store.worker_gone("here").await.unwrap();
        assert!(house.store.jobs_of(JobKind::Doctor, "host", 1).await.unwrap().is_empty(), "it goes with its worker");
    }

    async fn what_was_fetched_becomes_a_draft_with_the_end_of_its_job(house) {
        let store = &house.store;
        let login = drydock::submissions::remote::Credentials::new("ada", "s3cret");
        let import = |from: Option<i64>| NewJob { kind: JobKind::Import, login: Some(&login), wish: json!({"from": from}), ..verify("new", None) };
        let job = store.ask(import(None)).await.unwrap();
        assert_eq!(store.job_login(job.id).await.unwrap().unwrap().secret(), "s3cret");
        let (job, lease) = store.claim_job("w", LEASE).await.unwrap().unwrap();
        store.finish_import(&lease, &job, None, &folder("1"), &json!({"what": "a commit"})).await.unwrap();
        assert!(store.job_login(job.id).await.unwrap().is_none(), "forgotten");
        assert_eq!(store.draft("new").await.unwrap().unwrap().revision, 1);
        store.ask(import(Some(7))).await.unwrap();
        let (job, lease) = store.claim_job("w", LEASE).await.unwrap().unwrap();
        let late = store.finish_import(&lease, &job, Some(7), &folder("2"), &json!({})).await;
        assert!(matches!(late, Err(Error::Changed { .. })), "{late:?}");
        assert_eq!(store.job(job.id).await.unwrap().state, GradingState::Running, "nothing was changed");
    }

    async fn an_exercise_that_is_retired_takes_nothing_more(house) {
        let store = &house.store;
        let ada = house.student("Ada").await;
        let (before, _) = house.submit(ada).await;
        store.set_retired(EXERCISE, true, None).await.unwrap();
        let refused = store.submit(house.hand_in(ada)).await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
        assert!(store.published_exercises().await.unwrap()[0].retired_at.is_some());
        store.regrade(before.id).await.unwrap();
        store.set_retired(EXERCISE, false, None).await.unwrap();
        house.submit(ada).await;
        assert_eq!(store.versions(EXERCISE).await.unwrap()[0].submissions, 2);
        assert!(store.graded_by_earlier_versions(EXERCISE).await.unwrap().is_empty());
        store.publish_version(EXERCISE, "v2", "Newer", &folder("2")).await.unwrap();
        let found = store.graded_by_earlier_versions(EXERCISE).await.unwrap();
        assert_eq!(found, [(house.cohort.id, house.cohort.name.clone(), 2)]);
        assert!(matches!(store.set_retired("none", true, None).await, Err(Error::NotFound { .. })));
    }
}
