//! An engine that goes away in the middle: ours, not the student's.

use std::time::Duration;

use drydock::clock::Clock;
use drydock::live::Event;
use drydock::report::Phase;
use drydock::store::{GradingState, Store};
use uuid::Uuid;

use super::drills::{POLITE, SLOW, polite_work, slow_work};
use crate::server::{Database, Installation, PATIENCE, PrivateEngine, Process, events, wait_for_event};

const SETTINGS: &str = r#"
[worker]
slots = 1
lease = "5s"
attempts = 3
backoff = "2s"

[sandbox]
warm_pods = 1
builder = "classic"
pull = false
"#;

/// As many attempts, with as much time between them, as there are where nobody says.
const USUAL: &str = r#"
[worker]
slots = 1

[sandbox]
warm_pods = 1
builder = "classic"
pull = false
"#;

/// One installation on an engine that may be killed.
struct Scene {
    engine: PrivateEngine,
    installation: Installation,
    server: Process,
    store: Store,
}

impl Scene {
    async fn set() -> Self {
        Self::set_on(PrivateEngine::start(&["busybox:1.37"]), SETTINGS).await
    }

    async fn set_on(engine: PrivateEngine, settings: &str) -> Self {
        let installation =
            Installation::on_engine(Database::Sqlite, settings, &[SLOW, POLITE], Some(engine.host())).await;
        let server = installation.serve(&[]);
        let store = installation.store().await;
        Self { engine, installation, server, store }
    }

    async fn hand_in(&self) -> Uuid {
        self.hand_in_for(SLOW.0, &slow_work()).await
    }

    async fn hand_in_for(&self, exercise: &str, work: &[(&str, Vec<u8>)]) -> Uuid {
        let files: Vec<(&str, &[u8])> =
            work.iter().map(|(path, content)| (*path, content.as_slice())).collect();
        self.installation.hand_in(&self.server, exercise, &files).await
    }

    async fn in_phase(&self, grading: Uuid, phase: Phase) {
        wait_for_event(&self.store, grading, |event| *event == Event::PhaseStarted { phase }).await;
    }

    async fn strike(self) {
        self.server.stop();
        self.store.close().await;
        self.installation.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_comes_back_in_time_costs_only_time() {
    let mut scene = Scene::set().await;
    for phase in [Phase::Build, Phase::Run] {
        let grading = scene.hand_in().await;
        scene.in_phase(grading, phase).await;
        scene.engine.down();
        wait_for_event(&scene.store, grading, |event| matches!(event, Event::Retrying { .. })).await;
        scene.engine.up();
        let seen = scene.installation.done(&scene.server, grading).await;
        assert_eq!(seen["verdict"], "passed", "{phase:?}: {seen:#}");
        assert!(seen.get("cause").is_none(), "a student is not told of engines: {seen:#}");
        let cause = scene.installation.grading(&scene.server, &scene.installation.trainer, grading).await;
        assert!(cause["cause"].is_string(), "a trainer is: {cause:#}");
    }
    scene.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stays_away_is_our_fault_and_nobody_elses_work_is_burnt() {
    let mut scene = Scene::set().await;
    let grading = scene.hand_in().await;
    scene.in_phase(grading, Phase::Build).await;
    scene.engine.down();
    let waiting = scene.hand_in().await;

    let seen = scene.installation.done(&scene.server, grading).await;
    assert_eq!(seen["verdict"], "platform_fault", "{seen:#}");
    let outcomes: Vec<&str> =
        seen["checks"].as_array().unwrap().iter().map(|check| check["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.contains(&"broken") && !outcomes.contains(&"failed"), "{outcomes:?}");
    for check in seen["checks"].as_array().unwrap() {
        let sentence = check["observed"].as_str().unwrap();
        let ours = !sentence.contains("docker.sock") && !sentence.contains("unix:");
        assert!(ours, "a student sees the inside: {sentence}");
    }
    let submission = scene.store.grading(grading).await.unwrap().submission;
    let page = scene.installation.page(&scene.server, &format!("/submissions/{submission}")).await;
    assert!(page.contains("This was us; it did not count"), "{page}");
    assert!(!page.contains("docker.sock"), "{page}");

    let retried = events(&scene.store, grading).await;
    let retried = retried.iter().filter(|event| matches!(event, Event::Retrying { .. })).count();
    assert_eq!(retried, 2, "three attempts");

    // What came meanwhile waits, untouched, however long the engine is away.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let left = scene.store.grading(waiting).await.unwrap();
    assert_eq!((left.state, left.attempt), (GradingState::Queued, 0), "{}", scene.server.log());

    scene.engine.up();
    assert_eq!(scene.installation.done(&scene.server, waiting).await["verdict"], "passed");
    // And a trainer can have the other graded again.
    let again = scene.store.regrade(submission).await.unwrap();
    assert_eq!(scene.installation.done(&scene.server, again.id).await["verdict"], "passed");
    scene.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_an_engine_and_grades_when_there_is_one() {
    let mut engine = PrivateEngine::start(&["busybox:1.37"]);
    engine.down();
    let installation =
        Installation::on_engine(Database::Sqlite, SETTINGS, &[SLOW], Some(engine.host())).await;
    let started = Clock::system().stopwatch();
    let server = installation.serve(&[]);
    assert!(started.elapsed() < Duration::from_secs(10), "pages do not wait for the engine");
    let scene = Scene { store: installation.store().await, engine, installation, server };
    let grading = scene.hand_in().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.store.grading(grading).await.unwrap().attempt, 0, "{}", scene.server.log());
    let mut scene = scene;
    scene.engine.up();
    assert_eq!(scene.installation.done(&scene.server, grading).await["verdict"], "passed");
    assert!(started.elapsed() < PATIENCE);
    scene.strike().await;
}

/// An upgrade of the engine, or `systemctl restart docker`: it ends every container with SIGTERM before it goes, which
/// is no end of the student's program, and its API answers to the last.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_restarted_in_good_order_costs_only_time() {
    restarted_in_every_phase(PrivateEngine::start(&["busybox:1.37"])).await;
}

/// The same where containers go on meanwhile, and the next daemon finds them.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_restarted_under_running_containers_costs_only_time() {
    restarted_in_every_phase(PrivateEngine::live_restoring(&["busybox:1.37"])).await;
}

/// The engine's signal ends a program that heeds it long before the engine itself is gone, and that it does not run
/// any more is all that was asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_ends_that_is_stopped_has_not_ended_by_itself() {
    let mut scene = Scene::set_on(PrivateEngine::start(&["busybox:1.37"]), USUAL).await;
    // Does not end when it is asked to: the engine waits for it, and answers those that it knows meanwhile.
    let waited_for = scene.installation.docker(&[
        "run",
        "--detach",
        "--network",
        "none",
        "--stop-timeout",
        "4",
        "busybox:1.37",
        "sleep",
        "600",
    ]);
    let grading = scene.hand_in_for(POLITE.0, &polite_work()).await;
    scene.in_phase(grading, Phase::Run).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.engine.stop();
    scene.engine.up();
    let seen = scene.installation.done(&scene.server, grading).await;
    assert_eq!(seen["verdict"], "passed", "{seen:#}");
    scene.installation.docker(&["rm", "--force", waited_for.trim()]);
    scene.strike().await;
}

async fn restarted_in_every_phase(engine: PrivateEngine) {
    let mut scene = Scene::set_on(engine, USUAL).await;
    for phase in [Phase::Build, Phase::Run, Phase::Disturb] {
        for away in [Duration::ZERO, Duration::from_secs(3)] {
            let grading = scene.hand_in().await;
            scene.in_phase(grading, phase).await;
            // Into the middle of it.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let watch = Clock::system().stopwatch();
            scene.engine.stop();
            let stopped = watch.elapsed();
            tokio::time::sleep(away).await;
            scene.engine.up();
            println!("{phase:?}: stopped in {stopped:.1?}, back after {:.1?}", watch.elapsed());
            let seen = scene.installation.done(&scene.server, grading).await;
            assert_eq!(seen["verdict"], "passed", "{phase:?}, {away:?}: {seen:#}");
            let happened = events(&scene.store, grading).await;
            let finished = happened.iter().filter(|event| matches!(event, Event::Finished { .. })).count();
            assert_eq!(finished, 1, "{phase:?}, {away:?}: {happened:#?}");
        }
    }
    scene.strike().await;
}
