//! Checks that look at a stack: mounts, bounds, networks, who reaches whom.

use std::collections::BTreeMap;

use drydock::sandbox::{MountSpec, ServiceSpec, Source, StackSpec};
use serde_json::json;

use crate::common::{Bench, script, start_stack};
use crate::stage::{Stage, proof};
use crate::{networked, on, web};

#[tokio::test]
async fn mounts_and_bounds_are_told_as_they_are() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let data = |target: &str, read_only| MountSpec {
        source: Source::Volume("data".into()),
        target: target.into(),
        read_only,
    };
    let mut app = ServiceSpec {
        tmpfs: BTreeMap::from([("/tmp".to_owned(), 8 << 20)]),
        mounts: vec![data("/data", false), data("/copy", true)],
        ..script("sleep 600")
    };
    app.limits.memory_bytes = Some(32 << 20);
    app.limits.cpu_millis = Some(500);
    let spec = StackSpec { volumes: vec!["data".into()], ..crate::common::stack([("app", app)]) };
    let stack = start_stack(&sandbox, &spec).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let fields = json!({"at": "/data/", "type": "volume", "name": "data", "read_only": false});
    let detail = stage.passes("mount", fields).await;
    assert_eq!(detail.expected, "a volume is mounted at `/data/`, name is `data`, writable", "{detail:#?}");
    assert!(proof(&detail, "What is mounted").contains("/tmp  tmpfs, writable, 8 MiB"), "{detail:#?}");
    let command = detail.reproduce.expect("a command");
    assert!(command.contains(" -v data:/data -v data:/copy:ro "), "{command}");
    stage.passes("mount", json!({"at": "/copy", "read_only": true})).await;
    stage.passes("mount", json!({"at": "/tmp", "type": "tmpfs", "size": {"at_most": "8MiB"}})).await;
    stage.passes("mount", json!({"at": "/srv", "absent": true})).await;
    stage.fails("mount", json!({"at": "/srv"}), "nothing is mounted at `/srv`").await;
    stage.fails("mount", json!({"at": "/data", "absent": true}), "a volume is mounted at `/data`").await;
    stage.fails("mount", json!({"at": "/data", "type": "bind"}), "a volume is mounted at `/data`").await;
    stage.fails("mount", json!({"at": "/data", "name": "other"}), "its name is `data`").await;
    stage.fails("mount", json!({"at": "/data", "name": {"absent": true}}), "its name is `data`").await;
    stage.fails("mount", json!({"at": "/data", "read_only": true}), "it is writable").await;
    stage.fails("mount", json!({"at": "/tmp", "size": {"at_most": "4MiB"}}), "its size is 8 MiB").await;

    stage.passes("limits", json!({"memory": "32MiB", "cpus": 0.5, "pids": {"at_most": 64}})).await;
    stage.fails("limits", json!({"memory": {"at_least": "64MiB"}}), "memory 32 MiB").await;
    stage.fails("limits", json!({"cpus": {"at_most": 0.25}}), "CPUs 0.5").await;
    stage.fails("limits", json!({"cpus": 1}), "CPUs 0.5").await;
    stage.fails("limits", json!({"pids": 10}), "processes 64").await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn who_reaches_whom_is_really_tried() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let inside = script("mkdir /tmp/www; exec httpd -f -p 127.0.0.1:8080 -h /tmp/www");
    let spec = networked(
        &["front", "back"],
        [
            ("app", web("middle")),
            ("client", on(script("sleep 600"), &["front"])),
            ("db", on(web("data"), &["back"])),
            ("inside", on(inside, &["front"])),
            ("dead", on(script("exit 4"), &["front"])),
        ],
    );
    let stack = start_stack(&sandbox, &spec).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let detail = stage.passes("reachable", json!({"from": "client", "to": "app", "port": 8080})).await;
    assert!(proof(&detail, "What was tried").starts_with("client -> app at "), "{detail:#?}");
    let command = detail.reproduce.expect("a command");
    assert!(command.contains("docker network connect back app"), "{command}");
    stage.passes("reachable", json!({"to": "db", "port": 8080})).await;
    let soon = |to: &str, port: u16| json!({"from": "client", "to": to, "port": port, "within": "300ms"});
    stage
        .fails(
            "reachable",
            soon("db", 8080),
            "the name `db` is not known to `client`, for the two share no network",
        )
        .await;
    stage
        .fails("reachable", soon("app", 8081), "nothing listens on port 8081; the container listens on")
        .await;
    stage.fails("reachable", soon("inside", 8080), "the process listens on `127.0.0.1:8080` only").await;
    stage.fails("reachable", soon("dead", 80), "the container ended with exit code 4").await;
    let dead = json!({"from": "dead", "to": "app", "port": 8080});
    stage.fails("reachable", dead, "so `dead` reaches nobody").await;

    let detail = stage.passes("isolated", json!({"from": "client", "to": "db", "port": 8080})).await;
    let tried = proof(&detail, "What was tried");
    assert!(tried.contains("(network back): no answer"), "{tried}");
    // On the same network, but the server keeps to itself.
    stage.passes("isolated", json!({"from": "client", "to": "inside", "port": 8080})).await;
    stage.passes("isolated", json!({"outside": true})).await;
    let detail = stage.fails("isolated", json!({"to": "db", "port": 8080}), "`app` reached `db` at").await;
    assert!(proof(&detail, "What was tried").contains("connected after"), "{detail:#?}");
    // Nobody is kept from what is not there.
    let nobody = json!({"from": "client", "to": "db", "port": 5432, "within": "200ms"});
    stage.fails("isolated", nobody, "nothing listens on port 5432").await;
    let gone = json!({"from": "client", "to": "dead", "port": 80, "within": "200ms"});
    stage.fails("isolated", gone, "the container ended with exit code 4").await;

    let fields = json!({"name": "back", "driver": "bridge", "internal": true, "shared_by": ["app", "db"], "no_way_out": true});
    let detail = stage.passes("network", fields).await;
    assert!(proof(&detail, "Networks").contains("back (bridge, internal): app, db"), "{detail:#?}");
    stage.passes("network", json!({"apart": ["client", "db"]})).await;
    stage
        .fails("network", json!({"apart": ["client", "db", "app"]}), "`client` and `app` share `front`")
        .await;
    stage
        .fails(
            "network",
            json!({"shared_by": ["client", "db"]}),
            "`client` and `db` do not all stand on one network",
        )
        .await;
    stage
        .fails(
            "network",
            json!({"name": "front", "shared_by": ["app", "db"]}),
            "do not all stand on one network",
        )
        .await;
    stage
        .fails("network", json!({"name": "front", "internal": false}), "the network `front` is internal")
        .await;
    stage.fails("network", json!({"name": "front", "driver": "overlay"}), "is `bridge`").await;
    // A request says why nothing answers.
    let http = json!({"service": "db", "from": "client", "port": 8080, "status": 200, "time": "500ms"});
    stage.fails("http", http, "no network has both `client` and `db` on it").await;
    sandbox.clean().await;
    bench.close().await;
}
