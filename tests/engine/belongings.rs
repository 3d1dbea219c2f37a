//! What an installation has in the engine: made in advance, labelled, and removed whatever happens.

use std::collections::HashSet;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::config::SandboxSettings;
use drydock::sandbox::{Engine, Swept};

use crate::common::{
    BUSYBOX, Bench, Owner, app, context, get, left, limits, script, silent, stack, start, web, without_pool,
};

#[tokio::test]
async fn everything_is_labelled_and_nothing_is_left() {
    let bench = Bench::alone(SandboxSettings { warm_pods: 1, ..SandboxSettings::default() }).await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("x", "8080"))]).await;
    app(&stack).processes().await.unwrap().unwrap();
    sandbox.image(BUSYBOX).await.unwrap().stat("/").await.unwrap();
    // Pod, service, inspector, files and network, at least.
    assert!(left(bench.state()).len() >= 5, "{:?}", left(bench.state()));
    // Dropped, not cleaned.
    drop(sandbox);
    bench.engine.shutdown().await;
    assert_eq!(left(bench.state()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(bench.state().join("running")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_warm_pod_is_given_once_and_a_dead_one_never() {
    let bench = Bench::alone(SandboxSettings { warm_pods: 1, ..SandboxSettings::default() }).await;
    // The pool fills in the background.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let sandbox = bench.sandbox();
        let watch = Clock::system().stopwatch();
        let prepared = sandbox.prepare(&stack([("app", web("x", "8080"))])).await.unwrap();
        let prepared_after = watch.elapsed();
        let stack = prepared.start(BUSYBOX, silent(), &HashSet::new()).await.unwrap();
        println!("prepared {prepared_after:?}, ready {:?}", watch.elapsed());
        let app = app(&stack);
        assert!(app.http(app, get(8080)).await.unwrap().is_ok());
        addresses.push(app.address());
        // The pod dies with its sandbox; the pool makes another.
        sandbox.clean().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Kill the pod that waits: it is found out and another is made for the sandbox.
    for container in left(bench.state()) {
        let _ = std::process::Command::new("docker").args(["kill", &container]).output();
    }
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("x", "8080"))]).await;
    assert!(app(&stack).http(app(&stack), get(8080)).await.unwrap().is_ok());
    sandbox.clean().await;
    let state = bench.state().to_owned();
    bench.engine.shutdown().await;
    assert_eq!(left(&state), Vec::<String>::new());
}

/// Not a test of its own: the process that is killed in the next one.
#[tokio::test]
#[ignore = "run by a_killed_process_leaves_nothing"]
async fn owner_to_be_killed() {
    let Some(state) = Owner::state() else { return };
    let settings = SandboxSettings { warm_pods: 1, ..SandboxSettings::default() };
    let engine = Engine::connect(&settings, context(&state)).await.unwrap();
    let sandbox = engine.sandbox("to-be-killed", limits());
    let _stack = start(&sandbox, [("app", script("sleep 600")), ("db", script("sleep 600"))]).await;
    Owner::stay().await;
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_and_the_living_are_not_touched() {
    let bench = Bench::alone(without_pool()).await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("alive", "8080"))]).await;
    let mine = left(bench.state());

    let owner = Owner::start("belongings::owner_to_be_killed", &bench).await;
    // While it lives, nothing of it is swept.
    assert_eq!(bench.engine.sweep().await.unwrap(), Swept::default());
    assert!(left(bench.state()).len() > mine.len());
    owner.kill().await;
    let swept = bench.engine.sweep().await.unwrap();
    assert!(swept.containers >= 4 && swept.networks >= 1, "{swept:?}");
    assert_eq!(left(bench.state()), mine);
    let running = std::fs::read_dir(bench.state().join("running")).unwrap().count();
    assert_eq!(running, 1, "only this process's lock");
    let app = app(&stack);
    assert!(app.http(app, get(8080)).await.unwrap().is_ok());
    sandbox.clean().await;
    bench.close().await;
}
