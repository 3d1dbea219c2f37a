//! What `port`, `env` and `process` see of what runs.

use std::time::Duration;

use drydock::sandbox::{Ready, ServiceSpec};
use indexmap::IndexMap;
use serde_json::json;

use crate::common::{Bench, script, start};
use crate::serving;
use crate::stage::{Stage, proof};

#[tokio::test]
async fn port_env_and_process_see_what_runs() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let odd = ServiceSpec {
        user: Some("1234:5678".into()),
        env: IndexMap::from([
            ("MODE".to_owned(), "production".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]),
        ready: Ready::Port { port: 7000, within: Duration::from_secs(20) },
        ..script("httpd -p 127.0.0.1:7000 -h /tmp; sleep 600; echo end")
    };
    let listen =
        "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353)); time.sleep(600)";
    let names = ServiceSpec {
        image: Some("python:3.13-slim".into()),
        command: Some(vec!["python".into(), "-c".into(), listen.into()]),
        ..script("")
    };
    let able = ServiceSpec { cap_add: vec!["NET_BIND_SERVICE".into()], ..serving("8080") };
    let stack =
        start(&sandbox, [("app", able), ("odd", odd), ("names", names), ("dead", script("exit 1"))]).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    stage.passes("port", json!({"port": 8080, "address": "any"})).await;
    stage.passes("port", json!({"port": 8081, "state": "closed"})).await;
    stage.passes("port", json!({"service": "odd", "port": 7000, "address": "loopback"})).await;
    stage.passes("port", json!({"service": "names", "port": 5353, "protocol": "udp", "within": "20s"})).await;
    stage
        .fails(
            "port",
            json!({"service": "odd", "port": 7000, "address": "any", "within": "200ms"}),
            "the process listens on `127.0.0.1:7000` only",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"port": 8080, "address": "loopback", "within": "200ms"}),
            "the process listens on `[::]:8080`",
        )
        .await;
    stage.fails("port", json!({"port": 8080, "state": "closed"}), "the process listens on `[::]:8080`").await;
    stage
        .fails(
            "port",
            json!({"port": 22, "within": "200ms"}),
            "nothing listens on TCP port 22; the container listens on `[::]:8080`",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"port": 8080, "protocol": "udp", "within": "200ms"}),
            "nothing listens on UDP port 8080",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"service": "dead", "port": 80, "within": "30s"}),
            "the container ended with exit code 1",
        )
        .await;

    stage.passes("env", json!({"service": "odd", "variables": {"MODE": "production", "EMPTY": "", "DEBUG": {"absent": true}}})).await;
    stage.passes("env", json!({"variables": {"GREETING": "${random}"}})).await;
    stage
        .fails("env", json!({"service": "odd", "variables": {"MODE": "test"}}), "`MODE` is `production`")
        .await;
    stage.fails("env", json!({"service": "odd", "variables": {"DEBUG": "1"}}), "`DEBUG` is not set").await;
    stage
        .fails(
            "env",
            json!({"service": "odd", "variables": {"MODE": {"absent": true}}}),
            "`MODE` is `production`",
        )
        .await;
    stage
        .fails(
            "env",
            json!({"service": "dead", "variables": {"MODE": "x"}}),
            "the container ended with exit code 1",
        )
        .await;

    stage.passes("process", json!({"name": "httpd", "shell": false, "argv": {"contains": "-p 8080"}})).await;
    stage
        .passes(
            "process",
            json!({"name": "httpd", "uid": 0, "capabilities": {"only": ["CAP_NET_BIND_SERVICE"]}}),
        )
        .await;
    stage
        .passes(
            "process",
            json!({"service": "odd", "uid": {"not": "root"}, "gid": 5678, "capabilities": {"absent": true}}),
        )
        .await;
    stage.passes("process", json!({"namespaces": {"with": "odd", "separate": ["net", "pid", "mnt"]}})).await;
    stage
        .fails(
            "process",
            json!({"name": "python"}),
            "process 1 is `[\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/tmp/www\"]`",
        )
        .await;
    stage.fails("process", json!({"argv": ["httpd"]}), "process 1 is `[\"httpd\"").await;
    let detail = stage
        .fails(
            "process",
            json!({"service": "odd", "shell": false}),
            "process 1 is the shell `[\"sh\", \"-c\"",
        )
        .await;
    assert!(detail.observed.contains("is its child"), "{}", detail.observed);
    assert!(proof(&detail, "Processes").contains("sleep 600"), "{detail:#?}");
    stage.fails("process", json!({"uid": {"not": "root"}}), "process 1 runs with user id 0 (root)").await;
    stage
        .fails("process", json!({"service": "odd", "uid": "root"}), "process 1 runs with user id 1234")
        .await;
    stage.fails("process", json!({"service": "odd", "gid": 1}), "process 1 runs with group id 5678").await;
    stage
        .fails(
            "process",
            json!({"capabilities": {"lacks": ["NET_BIND_SERVICE"]}}),
            "capabilities: `NET_BIND_SERVICE`",
        )
        .await;
    stage
        .fails("process", json!({"service": "odd", "capabilities": ["NET_RAW"]}), "capabilities: none")
        .await;
    stage
        .fails(
            "process",
            json!({"namespaces": {"with": "odd", "shared": ["net"]}}),
            "the net namespace is not shared with `odd`",
        )
        .await;
    stage
        .fails("process", json!({"service": "dead", "shell": false}), "the container ended with exit code 1")
        .await;
    sandbox.clean().await;
    bench.close().await;
}
