//! A container's life: how it starts and is ready, what runs in it, how it ends.

use std::collections::HashSet;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::sandbox::{Ready, RunSpec, ServiceSpec, StartError, Unseen};

use crate::common::{BUSYBOX, Bench, app, command, script, sh, silent, stack, start};

#[tokio::test]
async fn what_cannot_start_is_said_in_a_sentence() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let with = |command: &str| ServiceSpec { command: Some(vec![command.into()]), ..script("") };
    let cases = [
        (with("nope"), "\"nope\" was not found"),
        (with("/no/such/file"), "\"/no/such/file\" does not exist"),
        (with("/etc"), "\"/etc\""),
        (with("/etc/passwd"), "\"/etc/passwd\" is not executable"),
        (ServiceSpec { user: Some("nobody-here".into()), ..with("sh") }, "\"nobody-here\""),
        (ServiceSpec { user: Some("0:nogroup-here".into()), ..with("sh") }, "\"nogroup-here\""),
    ];
    for (spec, part) in cases {
        let prepared = sandbox.prepare(&stack([("app", spec)])).await.unwrap();
        match prepared.start(BUSYBOX, silent(), &HashSet::new()).await {
            Err(StartError::Refused { service, sentence }) => {
                assert_eq!(service, "app");
                assert!(sentence.contains(part), "{sentence}");
            }
            Err(StartError::Platform(error)) => panic!("{part}: {error}"),
            Ok(_) => panic!("{part}: it started"),
        }
    }
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn readiness_is_waited_for_and_an_end_ends_the_wait() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let within = Duration::from_secs(20);
    let watch = Clock::system().stopwatch();
    let stack = start(
        &sandbox,
        [
            (
                "log",
                ServiceSpec {
                    ready: Ready::Log { pattern: "^ready [0-9]$".into(), within },
                    ..script("echo not ready 1; sleep 0.5; echo ready 2 >&2; sleep 60")
                },
            ),
            ("exits", ServiceSpec { ready: Ready::Exited { within }, ..script("sleep 0.3; exit 5") }),
            ("dies", ServiceSpec { ready: Ready::Port { port: 1, within }, ..script("exit 6") }),
            (
                "never",
                ServiceSpec {
                    ready: Ready::Port { port: 1, within: Duration::from_millis(700) },
                    ..script("sleep 60")
                },
            ),
        ],
    )
    .await;
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
    assert!(stack.service("log").unwrap().output().stderr.contains("ready 2"));
    let code = async |name: &str| stack.service(name).unwrap().state().await.unwrap().exit_code;
    assert_eq!(code("exits").await, Some(5));
    assert_eq!(code("dies").await, Some(6));
    assert_eq!(code("never").await, None);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn what_ignores_sigterm_is_killed_and_what_does_not_ends_by_itself() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("deaf", script("trap '' TERM; while :; do sleep 1; done")),
            ("polite", script("trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done")),
        ],
    )
    .await;
    let (deaf, polite) = (stack.service("deaf").unwrap(), stack.service("polite").unwrap());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopped = deaf.stop(Duration::from_millis(500)).await.unwrap();
    assert!(!stopped.by_itself && stopped.took >= Duration::from_millis(500), "{stopped:?}");
    assert_eq!(stopped.exit_code, Some(137));
    let stopped = polite.stop(Duration::from_secs(5)).await.unwrap();
    assert!(stopped.by_itself && stopped.took < Duration::from_secs(2), "{stopped:?}");
    assert_eq!(stopped.exit_code, Some(3));
    assert_eq!(polite.output().stdout, "bye\n");

    polite.start().await.unwrap();
    assert!(polite.state().await.unwrap().running);
    tokio::time::sleep(Duration::from_millis(300)).await;
    polite.kill("SIGTERM").await.unwrap();
    let state = polite.wait_exit(Duration::from_secs(5)).await.unwrap();
    assert_eq!(state.exit_code, Some(3));
    assert_eq!(polite.output().stdout, "bye\nbye\n");
    // To one that has ended a signal means nothing.
    polite.kill("SIGKILL").await.unwrap();
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_command_past_its_time_is_killed() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", script("sleep 60"))]).await;
    let app = app(&stack);
    let run =
        RunSpec { within: Duration::from_millis(500), ..command("echo begun; sleep 1234 & sleep 1234") };
    let ran = app.exec(run).await.unwrap();
    assert_eq!(ran.exit_code, None);
    assert_eq!(ran.stdout, "begun\n");
    let left = sh(app, "ps | grep -c '[s]leep 1234'").await.stdout;
    assert_eq!(left, "0\n");
    // A child in the background does not hold us up.
    let watch = Clock::system().stopwatch();
    let ran = sh(app, "sleep 30 & echo done; exit 4").await;
    assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(4), "done\n"));
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    // stdin comes through and ends.
    let run = RunSpec { stdin: Some("three\nlines\nhere".into()), ..command("wc -c; echo err >&2") };
    let ran = app.exec(run).await.unwrap();
    assert_eq!((ran.stdout.trim(), ran.stderr.trim()), ("16", "err"));
    // What cannot be started is said in a sentence.
    let run = RunSpec { command: Some(vec!["nope".into()]), ..command("") };
    match app.exec(run).await {
        Err(StartError::Refused { sentence, .. }) => assert!(sentence.contains("\"nope\""), "{sentence}"),
        other => panic!("{other:?}"),
    }
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_fresh_run_is_alone_and_bounded() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let run = RunSpec { stdin: Some("in".into()), ..command("cat; ip -o addr; exit 7") };
    let ran = sandbox.run(BUSYBOX, run).await.unwrap();
    assert_eq!(ran.exit_code, Some(7));
    assert!(ran.stdout.starts_with("in") && !ran.stdout.contains("eth0"), "{}", ran.stdout);
    let run = RunSpec { within: Duration::from_millis(500), ..command("echo a; sleep 60") };
    let ran = sandbox.run(BUSYBOX, run).await.unwrap();
    assert_eq!((ran.exit_code, ran.stdout.as_str()), (None, "a\n"));
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn processes_are_told_as_they_are() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let mut spec = script("sleep 61 & exec sleep 62");
    spec.env.insert("GREETING".into(), "hello".into());
    spec.user = Some("1234:5678".into());
    let stack = start(&sandbox, [("app", spec)]).await;
    let app = app(&stack);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let processes = app.processes().await.unwrap().unwrap();
    assert_eq!(processes.len(), 2, "{processes:?}");
    let main = &processes[0];
    assert_eq!((main.pid, main.uid, main.gid), (1, 1234, 5678));
    assert_eq!(main.argv, ["sleep", "62"]);
    assert_eq!(main.env["GREETING"], "hello");
    assert!(main.executable.as_deref().is_some_and(|path| path.starts_with("/bin/")), "{main:?}");
    assert!(main.capabilities.is_empty());
    assert_eq!(processes[1].parent_pid, 1);
    assert_eq!(main.namespaces["net"], processes[1].namespaces["net"]);
    assert!(main.namespaces.contains_key("mnt") && main.namespaces.contains_key("pid"));
    // The next look is quick, for the inspector is there.
    let watch = Clock::system().stopwatch();
    app.processes().await.unwrap().unwrap();
    assert!(watch.elapsed() < Duration::from_millis(50), "{:?}", watch.elapsed());
    app.stop(Duration::ZERO).await.unwrap();
    assert_eq!(app.processes().await.unwrap(), Err(Unseen::NotRunning));
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn one_that_kills_our_look_is_told_so() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let killer = script("while :; do kill -9 -1; done");
    let stack = start(&sandbox, [("app", killer)]).await;
    let seen = app(&stack).processes().await.unwrap();
    // Between two kills there can be time for one look.
    assert!(matches!(seen, Err(Unseen::Disturbed) | Ok(_)), "{seen:?}");
    assert!(app(&stack).state().await.unwrap().running);
    sandbox.clean().await;
    bench.close().await;
}
