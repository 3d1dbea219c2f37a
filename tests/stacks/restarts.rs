//! Restart policies, kept by ourselves: whether, how often, how soon, and never against a wish to stop.

use std::time::Duration;

use drydock::clock::Clock;
use drydock::sandbox::{Ready, Restart, RunSpec, ServiceSpec, StartError};

use crate::common::{Bench, app, script, sh, start};
use crate::web;

fn policy(restart: Restart, text: &str) -> ServiceSpec {
    ServiceSpec { restart, ..script(text) }
}

#[tokio::test]
async fn each_policy_starts_again_what_it_says() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("no", policy(Restart::No, "echo life; exit 1")),
            ("failing", policy(Restart::OnFailure { most: Some(2) }, "echo life; exit 1")),
            ("fine", policy(Restart::OnFailure { most: None }, "echo life; exit 0")),
            ("always", policy(Restart::Always, "echo life; sleep 0.2; exit 0")),
        ],
    )
    .await;
    let lives = |name: &str| stack.service(name).unwrap().output().stdout.lines().count();
    let failing = stack.service("failing").unwrap();
    assert!(failing.restarted(1, Duration::from_secs(20)).await);
    // After the second restart there is no third.
    assert!(!failing.restarted(2, Duration::from_secs(20)).await);
    let state = failing.state().await.unwrap();
    assert!(!state.running && !state.restarting, "{state:?}");
    assert_eq!((state.restarts, state.exit_code), (2, Some(1)));
    assert_eq!(lives("failing"), 3);
    assert_eq!((lives("no"), lives("fine")), (1, 1));

    let always = stack.service("always").unwrap();
    assert!(always.restarted(1, Duration::from_secs(20)).await);
    // Asked to stop, it stays down.
    always.stop(Duration::from_secs(1)).await.unwrap();
    let before = lives("always");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = always.state().await.unwrap();
    assert!(!state.running && !state.restarting, "{state:?}");
    assert_eq!(lives("always"), before);
    // Started again, it is under its policy again.
    let restarts = state.restarts;
    always.start().await.unwrap();
    assert!(always.restarted(restarts, Duration::from_secs(20)).await);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_killed_server_comes_back_with_its_address_and_its_files() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack =
        start(&sandbox, [("app", ServiceSpec { restart: Restart::Always, ..web("$(date +%s%N)") })]).await;
    let app = app(&stack);
    sh(app, "echo still here > /kept").await;
    let (address, watch) = (app.address(), Clock::system().stopwatch());
    app.kill("SIGKILL").await.unwrap();
    assert!(app.restarted(0, Duration::from_secs(20)).await);
    app.wait_ready().await.unwrap();
    println!("back after {:?}", watch.elapsed());
    assert!(crate::answer(app, app, "/").await.len() > 5);
    assert_eq!(app.address(), address);
    assert_eq!(sh(app, "cat /kept").await.stdout, "still here\n");
    assert_eq!(app.state().await.unwrap().restarts, 1);
    assert!(!app.processes().await.unwrap().unwrap().is_empty());
    sandbox.clean().await;
    bench.close().await;
}

/// A command may meet the end of its container at any step: before, during and after. Whichever it is,
/// the student's service has ended, and the platform is not at fault.
#[tokio::test]
async fn a_command_that_meets_the_end_of_its_container_is_no_fault_of_ours() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", policy(Restart::Always, "sleep 0.2; exit 1"))]).await;
    let app = app(&stack);
    let watch = Clock::system().stopwatch();
    let ask = async |pause: u64| {
        let (mut ran, mut missed) = (0, 0);
        while watch.elapsed() < Duration::from_secs(12) {
            let run = RunSpec {
                command: Some(["sh", "-c", "echo here; sleep 0.05"].map(str::to_owned).to_vec()),
                within: Duration::from_secs(5),
                ..RunSpec::default()
            };
            match app.exec(run).await {
                Ok(_) => ran += 1,
                Err(StartError::Refused { sentence, .. }) => {
                    assert_eq!(sentence, "The service app does not run any more.");
                    missed += 1;
                }
                Err(StartError::Platform(error)) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        (ran, missed)
    };
    let (one, other, third) = tokio::join!(ask(0), ask(7), ask(31));
    while watch.elapsed() < Duration::from_secs(18) {
        app.pause().await.unwrap();
        app.unpause().await.unwrap();
    }
    println!("ran and missed: {one:?} {other:?} {third:?}");
    assert!(one.1 + other.1 + third.1 > 0);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn one_that_never_stays_up_is_started_ever_more_rarely() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let ready = Ready::Port { port: 1, within: Duration::from_secs(4) };
    let watch = Clock::system().stopwatch();
    let stack = start(&sandbox, [("app", ServiceSpec { ready, ..policy(Restart::Always, "exit 1") })]).await;
    // It could still become ready, so it is waited for.
    assert!(watch.elapsed() >= Duration::from_secs(4), "{:?}", watch.elapsed());
    let state = app(&stack).state().await.unwrap();
    // 0.1, 0.2, 0.4, 0.8, 1.6 and 3.2 s lie between, and the time that each start takes.
    assert!((2..=7).contains(&state.restarts), "{state:?}");
    // Nothing of it goes on when the sandbox is gone.
    sandbox.clean().await;
    bench.close().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!app(&stack).state().await.is_ok_and(|state| state.running));
}
