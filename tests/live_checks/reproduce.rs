//! What students are told to type shows the same as the check.

use std::time::Duration;

use drydock::sandbox::{Ready, ServiceSpec};
use indexmap::IndexMap;
use serde_json::json;

use crate::common::{BUSYBOX, Bench, script, start};
use crate::paste::{paste, shell};
use crate::stage::Stage;

#[tokio::test]
async fn what_students_are_told_to_type_shows_the_same() {
    // One test for all: the lines name their container and their image as a student would.
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    assert!(shell(&format!("docker tag {BUSYBOX} my-image")).await.0);
    let image = sandbox.image(BUSYBOX).await.expect("the image");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let greeting = "it's `me` $HOME \"quoted\"";
    let spec = ServiceSpec {
        env: IndexMap::from([("GREETING".to_owned(), greeting.to_owned())]),
        ready: Ready::Port { port, within: Duration::from_secs(20) },
        ..script(&format!(
            "trap 'exit 3' TERM; mkdir -p /tmp/www/cgi-bin; cd /tmp/www; echo \"$GREETING\" > index.html; cp index.html \"a'b\"; \
             httpd -p {port} -h /tmp/www; echo serving; while :; do sleep 0.1; done"
        ))
    };
    let stack = start(&sandbox, [("app", spec)]).await;
    let stage = Stage { image: Some(image.clone()), stack: Some(&stack), ..Stage::empty(&sandbox) };

    let detail = stage.passes("http", json!({"port": port, "status": 200, "body": greeting})).await;
    let text = paste(&detail).await;
    assert!(text.contains("HTTP/1.1 200 OK") && text.contains(greeting), "{text}");
    let detail = stage
        .passes(
            "http",
            json!({"port": port, "path": "/a'b", "send": {"headers": {"X-A": "it's $HOME"}}, "status": 200}),
        )
        .await;
    let text = paste(&detail).await;
    assert!(text.contains(greeting), "{text}");

    let detail = stage.passes("logs", json!({"stdout": {"contains": "serving"}, "within": "5s"})).await;
    assert!(paste(&detail).await.contains("serving"));
    let detail = stage.passes("env", json!({"variables": {"GREETING": greeting}})).await;
    assert!(paste(&detail).await.contains(&format!("GREETING={greeting}\n")));
    let detail = stage.passes("port", json!({"port": port})).await;
    let text = paste(&detail).await;
    assert!(text.contains(&format!(":{port}")) && text.contains("LISTEN"), "{text}");
    let detail = stage.fails("process", json!({"shell": false}), "is the shell").await;
    let text = paste(&detail).await;
    assert!(text.contains("sh -c trap"), "{text}");
    let detail = stage.passes("stays_up", json!({"for": "1s"})).await;
    assert!(paste(&detail).await.contains("my-image"));

    let detail = stage.passes("command", json!({"run": "echo \"$A\"; cat; exit 6", "env": {"A": "it's"}, "stdin": "in'put", "user": 5, "workdir": "/tmp", "exit_code": 6})).await;
    assert!(paste(&detail).await.ends_with("it's\nin'putexit code 6\n"));
    let detail = stage.passes("command", json!({"fresh": true, "entrypoint": ["sh", "-c"], "args": ["echo \"$0\" '$B'; exit 8", "x y"], "exit_code": 8})).await;
    assert_eq!(paste(&detail).await, "x y $B\nexit code 8\n");

    let detail = stage.passes("stops", json!({"within": "5s", "exit_code": 3})).await;
    let text = paste(&detail).await;
    assert!(text.lines().any(|line| line == "3"), "{text}");

    let stack = start(&sandbox, [("app", script("echo 'last words' >&2; exit 7"))]).await;
    let stage = Stage { image: Some(image.clone()), stack: Some(&stack), ..Stage::empty(&sandbox) };
    let detail = stage.passes("exit", json!({"code": 7})).await;
    let text = paste(&detail).await;
    assert!(text.contains("last words\n") && text.contains("exit code 7\n"), "{text}");
    let detail = stage.fails("http", json!({"port": port, "status": 200}), "ended with exit code 7").await;
    assert!(paste(&detail).await.contains("last words"));
    let detail = stage.passes("logs", json!({"stderr": {"contains": "last words"}})).await;
    assert!(paste(&detail).await.contains("last words"));

    shell("docker rmi my-image").await;
    sandbox.clean().await;
    bench.close().await;
}
