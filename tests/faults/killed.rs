//! `kill -9` of the server, and of a worker beside it, in each phase of a grading.

use std::time::Duration;

use drydock::live::Event;
use drydock::report::Phase;
use drydock::store::GradingState;
use reqwest::StatusCode;
use uuid::Uuid;

use super::drills::{QUICK, SLOW, slow_work};
use crate::server::{Database, Installation, Process, events, packed, wait_for_event};

const SETTINGS: &str = r#"
[worker]
slots = 1
lease = "3s"
attempts = 3
backoff = "500ms"

[sandbox]
warm_pods = 1
sweep_every = "2s"
"#;

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Handed in, and nobody has it yet or somebody just took it.
    Accepted,
    /// The phase has begun.
    In(Phase),
    /// The verdict is there, and everything is still in the engine.
    Cleaning,
}

const MOMENTS: [Moment; 8] = [
    Moment::Accepted,
    Moment::In(Phase::Fetch),
    Moment::In(Phase::Read),
    Moment::In(Phase::Build),
    Moment::In(Phase::Image),
    Moment::In(Phase::Run),
    Moment::In(Phase::Disturb),
    Moment::Cleaning,
];

/// Kills in each moment whatever `start` starts and starts it again; the grading must end once, passed.
async fn survives_a_kill_in_each_phase(
    installation: &Installation,
    server: impl Fn(&Installation) -> Option<Process>,
    start: impl Fn(&Installation) -> Process,
) {
    let store = installation.store().await;
    let work = slow_work();
    let files: Vec<(&str, &[u8])> = work.iter().map(|(path, content)| (*path, content.as_slice())).collect();
    let beside = server(installation);
    let mut victim = start(installation);
    for moment in MOMENTS {
        let grading = installation.hand_in(beside.as_ref().unwrap_or(&victim), SLOW.0, &files).await;
        match moment {
            Moment::Accepted => {}
            Moment::In(phase) => {
                wait_for_event(&store, grading, |event| *event == Event::PhaseStarted { phase }).await;
            }
            Moment::Cleaning => {
                wait_for_event(&store, grading, |event| matches!(event, Event::Finished { .. })).await;
            }
        }
        victim.kill();
        let left = store.grading(grading).await.unwrap();
        let orphans = installation.belongings();
        match moment {
            Moment::In(Phase::Build | Phase::Run | Phase::Disturb) => {
                assert_eq!(left.state, GradingState::Running, "{moment:?}: hit in the middle");
                assert!(!orphans.is_empty(), "{moment:?}: something was in the engine");
            }
            Moment::Cleaning => assert_eq!(left.state, GradingState::Done),
            _ => {}
        }

        victim = start(installation);
        let seen = installation.done(beside.as_ref().unwrap_or(&victim), grading).await;
        assert_eq!(seen["verdict"], "passed", "{moment:?}: {seen:#}");
        let happened = events(&store, grading).await;
        let finished = happened.iter().filter(|event| matches!(event, Event::Finished { .. })).count();
        assert_eq!(finished, 1, "{moment:?}: {happened:#?}");
        assert!(matches!(happened.last(), Some(Event::Finished { .. })), "{moment:?}");
        let begun: Vec<i32> = happened
            .iter()
            .filter_map(|event| if let Event::Started { attempt } = event { Some(*attempt) } else { None })
            .collect();
        match moment {
            Moment::Accepted => assert!(matches!(begun[..], [1] | [2] | [1, 2]), "{moment:?}: {begun:?}"),
            Moment::In(_) => assert_eq!(begun, [1, 2], "{moment:?}"),
            Moment::Cleaning => assert_eq!(begun, [1], "{moment:?}: what is done is not done again"),
        }
        installation.swept(&orphans).await;
    }
    victim.stop();
    if let Some(beside) = beside {
        beside.stop();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_any_phase_goes_on_where_it_was() {
    let installation = Installation::new(Database::Sqlite, SETTINGS, &[SLOW]).await;
    survives_a_kill_in_each_phase(&installation, |_| None, |here| here.serve(&[])).await;
    installation.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_any_phase_costs_nobody_anything() {
    let installation = Installation::new(Database::Postgres, SETTINGS, &[SLOW]).await;
    let server = |here: &Installation| Some(here.serve(&["--no-worker"]));
    survives_a_kill_in_each_phase(&installation, server, Installation::worker).await;
    installation.remove().await;
}

/// What was answered with "accepted" is there after the crash; what was not can be sent again, and
/// counts once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_and_what_was_cut_off_can_be_sent_again() {
    for database in [Database::Sqlite, Database::Postgres] {
        let installation = Installation::new(database, SETTINGS, &[QUICK]).await;
        let server = installation.serve(&["--no-worker"]);
        let keys: Vec<String> = (0..12).map(|_| Uuid::new_v4().to_string()).collect();
        let archive = packed(&[("hello.txt", b"hello")]);
        let mut accepted = vec![None; keys.len()];
        {
            let sending = async {
                for (key, accepted) in keys.iter().zip(&mut accepted) {
                    let sent = installation.try_hand_in(&server, QUICK.0, archive.clone(), key).await;
                    if let Ok((StatusCode::ACCEPTED, answer)) = sent {
                        *accepted = Some(answer["id"].as_str().unwrap().to_owned());
                    }
                }
            };
            // Some have an answer by now, one is being worked on, the others never arrive.
            let _ = tokio::time::timeout(Duration::from_millis(400), sending).await;
        }
        server.kill();
        assert!(accepted.iter().any(Option::is_some), "none was accepted before the kill");

        let server = installation.serve(&[]);
        let mut submissions = Vec::new();
        for (key, accepted) in keys.iter().zip(&accepted) {
            let sent = installation.try_hand_in(&server, QUICK.0, archive.clone(), key).await;
            let (status, answer) = sent.unwrap();
            assert!(status.is_success(), "{status} {answer}");
            let id = answer["id"].as_str().unwrap().to_owned();
            if let Some(accepted) = accepted {
                assert_eq!(&id, accepted, "the same key is the same submission");
            }
            let grading = answer["grading"]["id"].as_str().unwrap().parse().unwrap();
            assert_eq!(installation.done(&server, grading).await["verdict"], "passed");
            submissions.push((id, answer["number"].as_i64().unwrap()));
        }
        submissions.sort_unstable();
        submissions.dedup();
        let mut numbers: Vec<i64> = submissions.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>(), "twelve submissions, none twice");
        server.stop();
        installation.remove().await;
    }
}

/// Ended in good order, a worker gives back what it had, and it costs no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_gives_back_what_it_had() {
    let installation = Installation::new(Database::Sqlite, SETTINGS, &[SLOW]).await;
    let store = installation.store().await;
    let server = installation.serve(&["--no-worker"]);
    let worker = installation.worker();
    let work = slow_work();
    let files: Vec<(&str, &[u8])> = work.iter().map(|(path, content)| (*path, content.as_slice())).collect();
    let grading = installation.hand_in(&server, SLOW.0, &files).await;
    wait_for_event(&store, grading, |event| *event == Event::PhaseStarted { phase: Phase::Run }).await;
    worker.stop();
    installation.assert_nothing_left();
    let left = store.grading(grading).await.unwrap();
    assert_eq!((left.state, left.attempt), (GradingState::Queued, 0));

    let worker = installation.worker();
    assert_eq!(installation.done(&server, grading).await["verdict"], "passed");
    assert_eq!(store.grading(grading).await.unwrap().attempt, 1);
    worker.stop();
    server.stop();
    store.close().await;
    installation.remove().await;
}
