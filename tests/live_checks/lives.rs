//! How services speak, live and end: `logs`, `exit`, `stays_up`, `stops`.

use std::time::Duration;

use drydock::clock::Clock;
use drydock::sandbox::{Ready, ServiceSpec};
use serde_json::json;

use crate::common::{Bench, script, start};
use crate::stage::{Stage, proof};

#[tokio::test]
async fn logs_and_lives_of_services_are_followed() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let talker = "echo first; echo oops >&2; sleep 1; printf '\\033[32mready\\033[0m\\n'; sleep 600";
    let stack = start(
        &sandbox,
        [
            ("app", script(talker)),
            (
                "done",
                ServiceSpec {
                    ready: Ready::Exited { within: Duration::from_secs(20) },
                    ..script("echo result 42; exit 5")
                },
            ),
            ("brief", script("sleep 2")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let clock = Clock::system().stopwatch();
    stage.passes("stays_up", json!({"for": "1s"})).await;
    stage.passes("logs", json!({"stdout": {"contains": "ready\n"}, "within": "20s"})).await;
    stage.passes("logs", json!({"stderr": "oops"})).await;
    stage.passes("logs", json!({"output": {"contains": "oops"}, "within": "20s"})).await;
    assert!(clock.elapsed() < Duration::from_secs(15), "{:?}", clock.elapsed());
    stage.passes("logs", json!({"absent": {"contains": "panic"}, "within": "300ms"})).await;
    stage
        .passes(
            "logs",
            json!({"service": "done", "stdout": {"matches": "result \\d+$", "not": {"contains": "error"}}}),
        )
        .await;
    let detail = stage
        .fails("logs", json!({"stdout": {"contains": "never"}, "within": "300ms"}), "(waited 300 ms)")
        .await;
    assert!(detail.observed.contains("2 lines, the last of them `ready`"), "{}", detail.observed);
    stage
        .fails(
            "logs",
            json!({"service": "done", "stdout": {"contains": "never"}, "within": "30s"}),
            "the container ended with exit code 5",
        )
        .await;
    stage
        .fails("logs", json!({"absent": {"contains": "oops"}, "within": "30s"}), "on standard error: `oops`")
        .await;
    stage.fails("logs", json!({"output": {"not": {"contains": "oops"}}, "within": "300ms"}), "`oops`").await;
    stage
        .fails(
            "logs",
            json!({"service": "brief", "stderr": {"contains": "x"}, "within": "20s"}),
            "standard error is empty (the container ended",
        )
        .await;

    stage.passes("exit", json!({"service": "done", "code": 5})).await;
    stage.passes("exit", json!({"service": "brief", "within": "20s"})).await;
    let detail =
        stage.fails("exit", json!({"service": "done"}), "the container ended with exit code 5 after").await;
    assert_eq!(detail.expected, "the container ends within 10 s with exit code 0");
    assert_eq!(proof(&detail, "Last lines of its output"), "result 42");
    stage.fails("exit", json!({"within": "100ms"}), "the container still runs after").await;
    stage
        .fails(
            "stays_up",
            json!({"service": "brief", "for": "20s"}),
            "the container ended with exit code 0 after",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn stopping_is_by_itself_or_not() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("app", script("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")),
            ("deaf", script("sleep 600; echo never")),
            ("ignores", ServiceSpec { command: Some(vec!["sleep".into(), "600".into()]), ..script("") }),
            ("dead", script("exit 9")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    stage.passes("logs", json!({"stdout": {"contains": "up"}, "within": "20s"})).await;
    let detail = stage.passes("stops", json!({"within": "5s"})).await;
    assert!(
        detail.observed.starts_with("it ended by itself after ")
            && detail.observed.ends_with(" with exit code 0"),
        "{}",
        detail.observed
    );
    // It was started again.
    stage.passes("stays_up", json!({"for": "1s"})).await;
    stage.passes("stops", json!({"within": "5s", "exit_code": 0})).await;
    stage.fails("stops", json!({"within": "5s", "exit_code": 143}), "with exit code 0").await;
    let detail = stage.fails("stops", json!({"service": "deaf", "within": "500ms"}), "it did not end within 500 ms and had to be killed (exit code 137): process 1 is the shell `[\"sh\", \"-c\", \"sleep 600; echo never\"]`, which does not pass the signal on").await;
    assert_eq!(
        detail.expected,
        "the stop signal ends the container within 500 ms, with an exit code other than 137"
    );
    assert!(proof(&detail, "Processes before it was asked to stop").contains("sleep 600"));
    stage
        .fails(
            "stops",
            json!({"service": "ignores", "within": "500ms"}),
            "as process 1 it ignores signals that it has no handler for",
        )
        .await;
    stage.fails("stops", json!({"service": "dead"}), "the container ended with exit code 9 after").await;
    sandbox.clean().await;
    bench.close().await;
}
