//! Health checks of real services: starting, healthy, broken in each way, mended, and ready.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/paste.rs"]
mod paste;
#[path = "common/stage.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod stage;

use std::collections::HashSet;
use std::time::Duration;

use common::{BUSYBOX, Bench, script, sh, silent, stack, start};
use drydock::clock::Clock;
use drydock::sandbox::{HealthSpec, HealthStatus, Ready, ServiceSpec};
use paste::paste;
use serde_json::json;
use stage::{Stage, proof};

fn checked(test: &[&str], text: &str) -> ServiceSpec {
    let test = test.iter().map(|word| (*word).to_owned()).collect();
    let healthcheck = HealthSpec {
        test: Some(test),
        timeout: Some(Duration::from_secs(2)),
        interval: Some(Duration::from_secs(30)),
        ..HealthSpec::default()
    };
    ServiceSpec { image: Some(BUSYBOX.into()), healthcheck: Some(healthcheck), ..script(text) }
}

const SITE: &str = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";

#[tokio::test]
async fn health_is_waited_for_and_trouble_is_noticed() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let wget = ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8080/ || exit 1"];
    let stack = start(
        &sandbox,
        [
            ("app", checked(&wget, SITE)),
            ("slow", checked(&["CMD", "test", "-e", "/tmp/up"], "sleep 2; touch /tmp/up; sleep 600")),
            ("liar", checked(&["CMD", "true"], SITE)),
            ("sick", checked(&["CMD-SHELL", "echo no database; exit 3"], "sleep 600")),
            ("lost", checked(&["CMD", "nowhere"], "sleep 600")),
            ("dead", checked(&["CMD", "true"], "sleep 0.2; exit 4")),
            ("bare", script("sleep 600")),
            ("front", checked(&["CMD-SHELL", "wget -q -T 1 -O /dev/null http://app:8080/"], "sleep 600")),
        ],
    )
    .await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };

    let clock = Clock::system().stopwatch();
    let detail = stage.passes("health", json!({})).await;
    assert_eq!(detail.expected, "healthy within 30 s");
    assert!(detail.observed.starts_with("healthy "), "{}", detail.observed);
    assert!(clock.elapsed() < Duration::from_secs(15), "long before its interval: {:?}", clock.elapsed());
    assert!(proof(&detail, "Time line").contains("exit code 0: healthy"), "{detail:#?}");
    assert!(proof(&detail, "Health check").starts_with("/bin/sh -c 'wget"), "{detail:#?}");
    let detail = stage.passes("health", json!({"service": "slow"})).await;
    assert!(proof(&detail, "Time line").contains("exit code 1: starting\n"), "{detail:#?}");

    let detail = stage.fails("health", json!({"service": "bare"}), "neither the image nor the stack").await;
    assert!(detail.evidence.is_empty());
    stage
        .fails(
            "health",
            json!({"service": "sick", "healthy_within": "1s"}),
            "still starting after 1 s; the last run of the check ended with exit code 3 and said `no database`",
        )
        .await;
    stage
        .fails("health", json!({"service": "lost", "healthy_within": "1s"}), "still starting after 1 s")
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage
        .fails(
            "health",
            json!({"service": "dead", "healthy_within": "20s"}),
            "the container ended with exit code 4",
        )
        .await;

    let hang = json!({"break": {"freeze": true}, "unhealthy_within": "30s", "recovers_within": "20s"});
    let detail = stage.passes("health", hang.clone()).await;
    assert!(detail.observed.contains("after its process 1 is halted, healthy again"), "{}", detail.observed);
    let line = proof(&detail, "Time line");
    assert!(
        line.contains(": healthy, failure 1 of 3") && line.contains(": unhealthy, failure 3 of 3"),
        "{line}"
    );
    let mut hang = hang;
    hang["service"] = json!("liar");
    hang["unhealthy_within"] = json!("2s");
    stage
        .fails("health", hang, "; once its process 1 is halted: still healthy after 2 s; the check succeeded")
        .await;

    let remove = json!({
        "service": "slow", "recovers_within": "20s",
        "break": {"command": "rm /tmp/up", "repair": ["touch", "/tmp/up"]},
    });
    let detail = stage.passes("health", remove).await;
    assert!(proof(&detail, "Time line").contains("`/bin/sh -c 'rm /tmp/up'`\n"), "{detail:#?}");
    for way in ["stop", "pause"] {
        let away = json!({"service": "front", "break": {(way): "app"}, "unhealthy_within": "30s", "recovers_within": "20s"});
        let detail = stage.passes("health", away).await;
        assert!(detail.observed.contains("healthy again"), "{}", detail.observed);
    }
    let never = json!({
        "service": "slow", "break": {"command": "rm /tmp/up", "repair": "true"}, "recovers_within": "1s",
    });
    stage.fails("health", never, "after it was mended: unhealthy after 1 s; the last run of the check").await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn an_images_own_check_is_run_by_us_and_readiness_waits_for_it() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let files = [(
        "Dockerfile",
        "FROM busybox:1.37\nHEALTHCHECK --interval=1m --timeout=1s --retries=2 CMD test -e /tmp/up && cat /tmp/up\n\
         CMD [\"sh\", \"-c\", \"sleep 1.5; echo fine > /tmp/up; sleep 600\"]\n",
    )];
    let built = Stage::build(&sandbox, &files, &[]).await;
    let image = built.image.as_ref().expect("built").config().id.clone();
    let own = ServiceSpec {
        command: None,
        ready: Ready::Healthy { within: Duration::from_secs(20) },
        ..script("")
    };
    let off = HealthSpec { disable: true, ..HealthSpec::default() };
    let off = ServiceSpec { healthcheck: Some(off), ..own.clone() };
    let never = HealthSpec { test: Some(vec!["CMD".into(), "false".into()]), ..HealthSpec::default() };
    let never = ServiceSpec {
        healthcheck: Some(never),
        ready: Ready::Healthy { within: Duration::from_millis(300) },
        ..own.clone()
    };
    let specs = stack([("app", own), ("off", off), ("never", never)]);
    let prepared = sandbox.prepare(&specs).await.expect("pods");
    let stack = prepared.start(&image, silent(), &HashSet::new()).await.expect("a stack");
    let app = stack.service("app").expect("a service");
    let health = app.await_health(HealthStatus::Healthy, Duration::ZERO).await.expect("known");
    let health = health.expect("a check");
    assert_eq!((health.status, health.retries), (HealthStatus::Healthy, 2));
    assert_eq!(health.runs.last().map(|run| run.output.as_str()), Some("fine"), "{health:#?}");
    assert!(health.runs.len() > 1, "{health:#?}");

    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    stage.passes("health", json!({})).await;
    stage
        .fails("health", json!({"service": "off"}), "neither the image nor the stack has a health check")
        .await;
    stage.fails("health", json!({"service": "never", "healthy_within": "500ms"}), "exit code 1").await;

    // A check that hangs is killed, in the container too.
    sh(app, "rm /tmp/up && mkfifo /tmp/up").await;
    let broken = app.await_health(HealthStatus::Unhealthy, Duration::from_secs(40)).await.expect("known");
    let broken = broken.expect("a check");
    assert_eq!(broken.status, HealthStatus::Unhealthy, "{broken:#?}");
    assert_eq!(broken.runs.last().expect("runs").exit_code, None, "{broken:#?}");
    let left = sh(app, "sleep 1; ps | grep -c '[c]at /tmp/up'").await;
    assert_eq!(left.stdout.trim(), "0", "{}", left.stdout);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn what_students_are_told_to_type_shows_the_same() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let spec = checked(&["CMD", "test", "-e", "/tmp/it's up"], "touch \"/tmp/it's up\"; sleep 600");
    let stack = start(&sandbox, [("app", spec)]).await;
    let stage = Stage { stack: Some(&stack), ..Stage::empty(&sandbox) };
    let check =
        json!({"healthy_within": "4s", "break": {"command": "rm /tmp/it*"}, "unhealthy_within": "6s"});
    let detail = stage.passes("health", check).await;
    let text = paste(&detail).await;
    assert!(text.contains("\"Status\":\"healthy\"") && text.contains("\"Status\":\"unhealthy\""), "{text}");
    sandbox.clean().await;
    bench.close().await;
}
