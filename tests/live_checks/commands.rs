//! `command`, in a service and as a container of its own.

use serde_json::json;

use crate::common::{BUSYBOX, Bench, script, start};
use crate::stage::{Stage, proof};

#[tokio::test]
async fn commands_run_in_a_service_or_afresh() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let image = sandbox.image(BUSYBOX).await.expect("the image");
    let stack = start(&sandbox, [("app", script("sleep 600")), ("dead", script("exit 4"))]).await;
    let stage = Stage { image: Some(image.clone()), stack: Some(&stack), ..Stage::empty(&sandbox) };

    stage.passes("command", json!({"run": "echo ${random}; echo oh >&2; exit 3", "exit_code": 3, "stdout": "r4nd0m", "stderr": "oh"})).await;
    stage
        .passes(
            "command",
            json!({"run": ["cat"], "stdin": "typed ${random}", "stdout": "typed r4nd0m", "exit_code": 0}),
        )
        .await;
    stage.passes("command", json!({"run": "id -u; pwd; echo $A", "user": 99, "workdir": "/etc", "env": {"A": "b"}, "stdout": "99\n/etc\nb"})).await;
    stage
        .passes(
            "command",
            json!({"fresh": true, "args": ["echo", "it's me"], "stdout": "it's me", "exit_code": 0}),
        )
        .await;
    stage.passes("command", json!({"fresh": true, "entrypoint": ["/bin/sh", "-c"], "args": ["cat; exit 7"], "stdin": "x", "stdout": "x", "exit_code": 7})).await;

    let detail = stage
        .fails(
            "command",
            json!({"run": "echo a; exit 2", "stdout": "b"}),
            "standard output is `a`, the exit code is 2",
        )
        .await;
    assert_eq!(proof(&detail, "Standard output"), "a\n");
    stage.fails("command", json!({"run": "exit 2", "exit_code": 0}), "exit code 2").await;
    stage.fails("command", json!({"run": "echo a >&2", "stderr": ""}), "standard error is `a`").await;
    stage
        .fails(
            "command",
            json!({"run": "sleep 20", "exit_code": 0, "within": "500ms"}),
            "it did not end within 500 ms and was killed",
        )
        .await;
    stage.fails("command", json!({"run": ["no-such-program"], "exit_code": 0}), "no-such-program").await;
    stage
        .fails(
            "command",
            json!({"service": "dead", "run": "true", "exit_code": 0}),
            "the container ended with exit code 4",
        )
        .await;
    stage
        .fails(
            "command",
            json!({"fresh": true, "args": ["no-such-program"], "exit_code": 0}),
            "no-such-program",
        )
        .await;
    stage
        .fails(
            "command",
            json!({"fresh": true, "args": ["sleep", "20"], "exit_code": 0, "within": "500ms"}),
            "it did not end within 500 ms and was killed",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}
