//! `kill -9` and cut connections between any two steps: what was accepted is whole, what was not
//! accepted left no half of itself.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::Duration;

use drydock::accounts::Seal;
use drydock::clock::Clock;
use drydock::store::{NewSubmission, Store};
use drydock::submissions::{Answers, Source};
use futures::FutureExt;
use uuid::Uuid;

use crate::house::{EXERCISE, House, VERSION, content};
use crate::on_both;

/// How the child process is told what to do.
const CHILD: &str = "DRYDOCK_TEST_CRASH_CHILD";

on_both! {
    async fn a_caller_that_goes_away_at_any_step_leaves_nothing_half(house) {
        let ada = house.student("Ada").await;
        let mut finished = 0;
        for steps in 1.. {
            let mut new = house.hand_in(ada);
            new.content = Some(content(&format!("after {steps} steps")));
            let mut submit = Box::pin(house.store.submit(new));
            let mut polled = 0;
            let outcome = std::future::poll_fn(|context| {
                polled += 1;
                match submit.poll_unpin(context) {
                    Poll::Pending if polled == steps => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(done) => Poll::Ready(Some(done)),
                }
            })
            .await;
            drop(submit);
            // A commit that was under way goes on without its caller.
            tokio::time::sleep(Duration::from_millis(30)).await;
            if let Some(done) = outcome {
                let (submission, _) = done.unwrap();
                finished += 1;
                assert!(house.store.submission(submission.id).await.is_ok());
            }
            assert_whole(house, &house.store, ada).await;
            if finished == 3 {
                assert!(steps > 5, "it was cut off at several places");
                break;
            }
        }
    }

    async fn kill_9_loses_nothing_accepted_and_leaves_nothing_half(house) {
        let ada = house.student("Ada").await;
        let mut accepted = Vec::new();
        for round in 0..6 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crash::child_that_submits_until_it_is_killed", "--ignored", "--nocapture"])
                .env(CHILD, format!("{} {} {} {ada}", house.url, house.folder.path().display(), house.cohort.id))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let reader = std::thread::spawn(move || {
                lines
                    .map_while(Result::ok)
                    .filter_map(|line| line.strip_prefix("accepted ").and_then(|id| Uuid::parse_str(id).ok()))
                    .collect::<Vec<_>>()
            });
            tokio::time::sleep(Duration::from_millis(700 + 137 * round)).await;
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
            accepted.extend(reader.join().unwrap());
            let survivor = house.neighbour().await;
            for id in &accepted {
                assert!(survivor.submission(*id).await.is_ok(), "{id} was accepted and is lost");
            }
            assert_whole(house, &survivor, ada).await;
            survivor.close().await;
        }
        assert!(accepted.len() > 10, "the child was killed at work ({} accepted)", accepted.len());
    }
}

/// Every submission has its content, its grading, its place in the cell, and can be claimed.
async fn assert_whole(house: &House, store: &Store, person: Uuid) {
    let submissions = store.submissions_of(house.cohort.id, person, EXERCISE).await.unwrap();
    let numbers: Vec<i64> = submissions.iter().rev().map(|(submission, _)| submission.number).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>(), "without a gap");
    for (submission, _) in &submissions {
        let sha256 = submission.content_sha256.as_ref().expect("content");
        store.content(sha256).await.unwrap_or_else(|error| panic!("a row without its content: {error}"));
    }
    let cell = store.cell(house.cohort.id, person, EXERCISE).await.unwrap();
    assert_eq!(cell.map_or(0, |cell| cell.submissions), i64::try_from(submissions.len()).unwrap());
    let (depth, _) = store.queue_depth().await.unwrap();
    assert_eq!(depth, i64::try_from(submissions.len()).unwrap(), "one grading each");
}

#[tokio::test]
#[ignore = "runs in a process of its own, started by the test that kills it"]
async fn child_that_submits_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let [url, folder, cohort, person] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let store = Store::open(url, folder.as_ref(), Seal::ephemeral(), Clock::system()).await.unwrap();
    for number in 0.. {
        let new = NewSubmission {
            person: person.parse().unwrap(),
            cohort: cohort.parse().unwrap(),
            exercise: EXERCISE.into(),
            exercise_version: VERSION.into(),
            source: Source::Folder { name: "work".into() },
            content: Some(content(&format!("{} {number}", std::process::id()))),
            answers: Answers::default(),
            login: None,
        };
        let (submission, _) = store.submit(new).await.unwrap();
        println!("accepted {}", submission.id);
    }
}
