//! What `http` sees of a service that answers, and of one that does not.

use std::time::Duration;

use drydock::clock::Clock;
use drydock::sandbox::{Ready, ServiceSpec};
use serde_json::json;

use crate::common::{Bench, script, start};
use crate::serving;
use crate::stage::{Stage, proof};

#[tokio::test]
async fn http_sees_what_a_service_answers() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("app", serving("8080")),
            ("inside", serving("127.0.0.1:8080")),
            ("dead", script("echo 'no such module: flask' >&2; exit 3")),
            (
                "mute",
                ServiceSpec {
                    ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
                    ..script("while :; do nc -l -p 8080 -e sleep 60; done")
                },
            ),
            (
                "garbled",
                ServiceSpec {
                    ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
                    ..script("while :; do nc -l -p 8080 -e echo SSH-2.0; done")
                },
            ),
            ("client", script("sleep 600")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let detail = stage.passes("http", json!({"port": 8080, "status": 200, "body": {"contains": "${random}"}, "headers": {"content-type": {"contains": "html"}}})).await;
    assert_eq!(detail.expected, "status 200, header `content-type` contains `html`, body contains `r4nd0m`");
    assert!(
        detail.observed.starts_with("status 200, header `content-type` `text/html`"),
        "{}",
        detail.observed
    );
    assert!(proof(&detail, "Request").starts_with("GET / HTTP/1.1\nhost: app:8080\n"));
    assert!(proof(&detail, "Response").contains("hello r4nd0m"));
    let command = detail.reproduce.expect("a command");
    assert!(command.contains("docker run --rm ") && command.ends_with("localhost:8080/"), "{command}");

    stage.passes("http", json!({"port": 8080, "from": "client", "path": "/data.json", "body": {"json": {"/items/0/name": "a", "/count": {"at_least": 3}}}})).await;
    stage.passes("http", json!({"port": 8080, "path": "/dir", "redirect": {"matches": "/dir/$"}})).await;
    stage.passes("http", json!({"port": 8080, "path": "/cgi-bin/echo", "method": "POST", "send": {"headers": {"X-Token": "${random}"}, "body": "body ${random}"}, "body": {"contains": ["POST r4nd0m", "body r4nd0m"]}})).await;
    stage
        .passes(
            "http",
            json!({"port": 8080, "path": "/nowhere", "status": 404, "headers": {"x-none": {"absent": true}}}),
        )
        .await;
    stage.passes("http", json!({"port": 8080, "status": 200, "time": "5s"})).await;

    stage.fails("http", json!({"port": 8080, "status": 200, "path": "/nowhere"}), "status 404").await;
    stage.fails("http", json!({"port": 8080, "body": "goodbye"}), "body `hello r4nd0m`").await;
    stage.fails("http", json!({"port": 8080, "headers": {"x-none": "x"}}), "no header `x-none`").await;
    stage
        .fails("http", json!({"port": 8080, "redirect": "/x"}), "status 200 with no header `location`")
        .await;
    stage
        .fails(
            "http",
            json!({"port": 8080, "path": "/data.json", "body": {"json": {"/count": 4}}}),
            "body `{",
        )
        .await;
    stage
        .fails("http", json!({"port": 8080, "path": "/cgi-bin/slow", "time": "300ms"}), "answered after 1")
        .await;

    let clock = Clock::system().stopwatch();
    let detail = stage.fails("http", json!({"service": "inside", "port": 8080, "status": 200, "within": "30s"}), "connection refused on port 8080: the process listens on `127.0.0.1:8080` only, so nothing outside its container can reach it").await;
    assert!(clock.elapsed() < Duration::from_secs(15), "said at once, not after {:?}", clock.elapsed());
    assert!(proof(&detail, "Listening sockets").contains("tcp  127.0.0.1:8080"));
    let detail = stage
        .fails(
            "http",
            json!({"service": "dead", "port": 8080, "status": 200, "within": "30s"}),
            "nothing listens on port 8080: the container ended with exit code 3 after",
        )
        .await;
    assert_eq!(proof(&detail, "Last lines of its output"), "no such module: flask");
    assert!(!detail.reproduce.expect("a command").contains("curl"));
    stage
        .fails(
            "http",
            json!({"port": 8081, "status": 200, "within": "300ms"}),
            "nothing listens on port 8081; the container listens on `[::]:8080` (waited 300 ms)",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "client", "port": 80, "status": 200, "within": "300ms"}),
            "nothing listens on port 80, nor on any other (waited 300 ms)",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "mute", "port": 8080, "time": "200ms"}),
            "no complete answer on port 8080 within 1.4 s",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "garbled", "port": 8080, "status": 200}),
            "the answer on port 8080 is not HTTP",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}
