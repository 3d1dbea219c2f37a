//! Checks that stop, kill and replace, one after another on the live stack, which stays usable.

use std::collections::BTreeMap;

use drydock::sandbox::{MountSpec, Ready, Restart, ServiceSpec, Source, StackSpec};
use serde_json::json;
use std::time::Duration;

use crate::common::{BUSYBOX, Bench, script, sh, stack, start, start_stack};
use crate::stage::{Stage, proof};
use crate::{answer, web};

/// A web server that keeps what it is sent in a folder, and gives it back.
fn notes(folder: &str) -> ServiceSpec {
    let text = format!(
        "mkdir -p {folder} /tmp/www/cgi-bin; cd /tmp/www/cgi-bin; \
         printf '#!/bin/sh\\necho Content-Type: text/plain; echo; cat >> {folder}/notes; echo saved\\n' > write; \
         printf '#!/bin/sh\\necho Content-Type: text/plain; echo; cat {folder}/notes\\n' > read; \
         chmod +x write read; exec httpd -f -p 8080 -h /tmp/www"
    );
    ServiceSpec {
        ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
        tmpfs: BTreeMap::from([("/scratch".to_owned(), 1 << 20)]),
        ..script(&text)
    }
}

fn with_volume(service: ServiceSpec, target: &str, read_only: bool) -> ServiceSpec {
    let source = Source::Volume("data".into());
    ServiceSpec { mounts: vec![MountSpec { source, target: target.into(), read_only }], ..service }
}

#[tokio::test]
async fn what_lies_on_a_volume_persists_and_nothing_else() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let services = [
        ("app", with_volume(notes("/data"), "/data", false)),
        ("forgets", notes("/notes")),
        (
            "reader",
            with_volume(ServiceSpec { user: Some("1234".into()), ..script("sleep 600") }, "/in", false),
        ),
        ("locked", with_volume(script("sleep 600"), "/in", true)),
    ];
    let spec = StackSpec { volumes: vec!["data".into()], ..stack(services) };
    let stack = start_stack(&sandbox, &spec).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let now = "1s";

    let detail = stage.passes("persists", json!({"path": "/data", "within": now})).await;
    assert_eq!(detail.expected, "what was written to `/data` is still there in a new container");
    assert_eq!(detail.observed, "the marker is still in `/data` in the new container");
    assert!(proof(&detail, "What is mounted").starts_with("/data  volume data"), "{detail:#?}");
    assert!(proof(&detail, "Time line").contains("was started"), "{detail:#?}");
    let command = detail.reproduce.expect("a command");
    assert!(command.contains("docker rm -f app"), "{command}");
    stage
        .fails("persists", json!({"path": "/data", "gone": true, "within": now}), "is still in `/data`")
        .await;
    stage
        .fails("persists", json!({"path": "/etc", "within": now}), "the marker is not in `/etc` any more")
        .await;
    stage.passes("persists", json!({"path": "/etc", "how": "restart", "within": now})).await;
    stage.passes("persists", json!({"path": "/etc", "gone": true, "within": now})).await;
    stage
        .passes("persists", json!({"path": "/scratch", "how": "restart", "gone": true, "within": now}))
        .await;
    stage
        .fails("persists", json!({"path": "/nowhere", "within": now}), "nothing can be written to `/nowhere`")
        .await;
    let denied = json!({"service": "reader", "path": "/in", "within": now});
    stage.fails("persists", denied, "Permission denied").await;
    let locked = json!({"service": "locked", "path": "/in", "within": now});
    stage.fails("persists", locked, "Read-only file system").await;

    let requests = |service: &str, gone: bool| {
        json!({
            "service": service, "gone": gone, "within": now,
            "write": {"service": service, "port": 8080, "method": "POST", "path": "/cgi-bin/write", "send": {"body": "note ${random}"}, "body": {"contains": "saved"}},
            "read": {"service": service, "port": 8080, "path": "/cgi-bin/read", "body": {"contains": "note ${random}"}},
        })
    };
    stage.passes("persists", requests("app", false)).await;
    stage.fails("persists", requests("app", true), "what was written is still there").await;
    stage
        .fails("persists", requests("forgets", false), "what was written is not there in the new container")
        .await;
    stage.passes("persists", requests("forgets", true)).await;

    // After all that everybody still answers.
    let app = stack.service("app").unwrap();
    assert!(
        app.state().await.unwrap().running && stack.service("locked").unwrap().state().await.unwrap().running
    );
    stage.passes("http", json!({"port": 8080, "path": "/cgi-bin/read", "status": 200})).await;
    assert_eq!(sh(app, "ls /data").await.stdout, "notes\n");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn an_image_without_a_shell_keeps_or_forgets_as_well() {
    let docker = |arguments: &[&str]| {
        let output = std::process::Command::new("docker").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let container = docker(&["run", "-d", BUSYBOX, "rm", "/bin/sh", "/bin/ash"]);
    docker(&["wait", &container]);
    let image = docker(&["commit", "--change", r#"CMD ["sleep", "600"]"#, &container]);
    docker(&["rm", &container]);

    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let own = ServiceSpec { image: Some(image.clone()), ..ServiceSpec::default() };
    let services = [
        ("app", with_volume(own.clone(), "/data", false)),
        ("locked", ServiceSpec { read_only: true, ..with_volume(own, "/data", true) }),
    ];
    let spec = StackSpec { volumes: vec!["data".into()], ..stack(services) };
    let stack = start_stack(&sandbox, &spec).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let at = |service: &str, path: &str| json!({"service": service, "path": path, "within": "500ms"});
    stage.passes("persists", at("app", "/data")).await;
    stage.fails("persists", at("app", "/etc"), "the marker is not in `/etc` any more").await;
    stage.fails("persists", at("app", "/nowhere"), "`/nowhere`: there is no such folder").await;
    stage.fails("persists", at("locked", "/data"), "nothing can be written to `/data`").await;
    stage.fails("persists", at("locked", "/etc"), "nothing can be written to `/etc`").await;
    sandbox.clean().await;
    bench.close().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn a_killed_service_comes_back_or_not() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let always = |service: ServiceSpec| ServiceSpec { restart: Restart::Always, ..service };
    let once = "[ -e /lock ] && { echo locked; exit 1; }; touch /lock; sleep 600";
    let stack = start(
        &sandbox,
        [
            ("app", always(web("back"))),
            ("no", web("once")),
            (
                "failing",
                ServiceSpec {
                    restart: Restart::OnFailure { most: None },
                    ..script("trap 'exit 0' TERM; sleep 600 & wait")
                },
            ),
            (
                "locked",
                ServiceSpec {
                    ready: Ready::Port { port: 1, within: Duration::from_secs(1) },
                    ..always(script(once))
                },
            ),
            ("deaf", always(script("sleep 600"))),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    for _ in 0..2 {
        let detail = stage.passes("restarts", json!({"within": "20s"})).await;
        let line = proof(&detail, "Time line");
        assert!(
            line.contains("SIGKILL is sent")
                && line.contains("exit code 137")
                && line.contains("it is ready"),
            "{line}"
        );
    }
    let app = stack.service("app").unwrap();
    assert_eq!(answer(app, app, "/").await, "back");
    let no = json!({"service": "no", "within": "2s"});
    stage.fails("restarts", no.clone(), "ended with exit code 137, and it was not started again").await;
    // It was started for the next check.
    stage.fails("restarts", no, "ended with exit code 137, and it was not started again").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let clean = json!({"service": "failing", "signal": "TERM", "within": "3s"});
    stage.fails("restarts", clean, "exit code 0, and it was not started again").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.passes("restarts", json!({"service": "failing", "signal": "SIGKILL", "within": "20s"})).await;
    let locked = json!({"service": "locked", "within": "5s"});
    stage.fails("restarts", locked, "it was started again, but was not ready").await;
    let deaf = json!({"service": "deaf", "signal": "TERM", "within": "1s"});
    stage.fails("restarts", deaf, "SIGTERM did not end the main process within 1 s").await;
    stage.passes("stops", json!({"service": "failing", "within": "5s"})).await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn the_others_survive_or_do_not() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    // Answers with what the other says, or an error.
    let asking = "mkdir -p /tmp/www/cgi-bin; printf '#!/bin/sh\\nif out=$(wget -q -T 1 -O - http://db:8080/); then echo \"Content-Type: text/plain\"; echo; echo $out; else echo \"Status: 503 Gone\"; echo; fi\\n' > /tmp/www/cgi-bin/ask; chmod +x /tmp/www/cgi-bin/ask; echo alone > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    let asking =
        ServiceSpec { ready: Ready::Port { port: 8080, within: Duration::from_secs(20) }, ..script(asking) };
    // Looks for the other once and dies with it.
    let fragile = "while nc -w 1 db 8080 </dev/null; do sleep 0.2; done; echo lost it; exit 1";
    let stack = start(
        &sandbox,
        [
            ("app", asking),
            ("db", ServiceSpec { restart: Restart::Always, ..web("data") }),
            (
                "fragile",
                ServiceSpec { ready: Ready::Started, ..script(&format!("httpd -p 8080 -h /tmp; {fragile}")) },
            ),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let http = |service: &str, path: &str| json!({"http": {"service": service, "port": 8080, "path": path, "status": 200, "within": "200ms"}});
    let tcp = |service: &str| json!({"tcp": {"service": service, "port": 8080}});

    let detail = stage
        .passes("survives", json!({"service": "db", "keeps": http("app", "/"), "recovers": http("app", "/cgi-bin/ask"), "down": "1s"}))
        .await;
    let line = proof(&detail, "Time line");
    assert!(line.contains("db") && line.contains("was started again"), "{line}");
    let detail = stage
        .fails(
            "survives",
            json!({"service": "db", "keeps": http("app", "/cgi-bin/ask"), "down": "1s"}),
            "while `db` was down: status 503",
        )
        .await;
    assert!(proof(&detail, "Response").starts_with("HTTP 503"), "{detail:#?}");
    let detail =
        stage.passes("survives", json!({"service": "db", "how": "kill", "recovers": tcp("db")})).await;
    assert!(proof(&detail, "Time line").contains("by its restart policy"), "{detail:#?}");
    stage.passes("http", json!({"service": "db", "port": 8080, "status": 200})).await;
    stage
        .fails(
            "survives",
            json!({"service": "app", "recovers": tcp("db"), "keeps": http("app", "/none")}),
            "even before: status 404",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn requests_reach_every_container_or_not() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let many = |service: ServiceSpec| ServiceSpec { replicas: 3, ..service };
    let stack = start(
        &sandbox,
        [
            ("app", many(web("$(hostname)"))),
            ("alike", many(web("same"))),
            // Asks whoever the name stands for, as a balancer would; busybox takes the first address.
            ("front", web("front")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let detail = stage.passes("scales", json!({"port": 8080})).await;
    let told = proof(&detail, "Who answered");
    assert!(["app-1", "app-2", "app-3"].iter().all(|name| told.contains(name)), "{told}");
    assert_eq!(detail.observed, "3 containers answered");
    let soon = |mut fields: serde_json::Value| {
        fields["within"] = json!("500ms");
        fields
    };
    stage.fails("scales", soon(json!({"service": "alike", "port": 8080})), "one container was reached").await;
    stage.fails("scales", soon(json!({"through": "front", "port": 8080})), "one container was reached").await;
    stage.fails("scales", soon(json!({"port": 81})), "nobody answers: the connection was refused").await;
    stage
        .fails("scales", soon(json!({"port": 8080, "header": "X-Who"})), "nobody answers: no header `X-Who`")
        .await;
    // One of them goes.
    stack.replicas("app")[1].stop(Duration::ZERO).await.unwrap();
    stage.fails("scales", soon(json!({"port": 8080})), "app-2: the container ended").await;
    stack.replicas("app")[1].start().await.unwrap();
    stage.passes("scales", json!({"port": 8080})).await;
    sandbox.clean().await;
    bench.close().await;
}
