//! In which order services start, what becomes of those that wait in vain, and what else a service says of
//! its names and files.

use std::time::Duration;

use bytes::Bytes;
use drydock::sandbox::{Condition, Dependency, FileSpec, HealthSpec, HealthStatus, ServiceSpec};
use indexmap::IndexMap;

use crate::common::{Bench, app, script, sh, start};
use crate::{answer, web};

fn after(service: ServiceSpec, waits: &[(&str, Condition, bool)]) -> ServiceSpec {
    let depends_on = waits
        .iter()
        .map(|(name, condition, required)| {
            ((*name).to_owned(), Dependency { condition: *condition, required: *required })
        })
        .collect();
    ServiceSpec { depends_on, ..service }
}

/// Asks five times a second, and gives up after `retries` failures.
fn healthy_if(test: &str, retries: u32, service: ServiceSpec) -> ServiceSpec {
    let healthcheck = HealthSpec {
        test: Some(vec!["CMD-SHELL".into(), test.into()]),
        interval: Some(Duration::from_millis(200)),
        retries: Some(retries),
        ..HealthSpec::default()
    };
    ServiceSpec { healthcheck: Some(healthcheck), ..service }
}

fn stamp(then: &str) -> ServiceSpec {
    script(&format!("cut -d' ' -f1 /proc/uptime; {then}"))
}

#[tokio::test]
async fn each_service_starts_when_what_it_waits_for_is_true() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            (
                "app",
                after(
                    stamp("sleep 600"),
                    &[("db", Condition::Healthy, true), ("job", Condition::CompletedSuccessfully, true)],
                ),
            ),
            (
                "db",
                healthy_if(
                    "test -e /tmp/up",
                    100,
                    script("sleep 1; touch /tmp/up; cut -d' ' -f1 /proc/uptime; sleep 600"),
                ),
            ),
            (
                "job",
                after(
                    script("sleep 0.5; cut -d' ' -f1 /proc/uptime"),
                    &[("beside", Condition::Started, true)],
                ),
            ),
            ("beside", stamp("sleep 600")),
        ],
    )
    .await;
    let when = async |name: &str| -> f64 {
        let service = stack.service(name).unwrap();
        service.more_output(0).await;
        service.output().stdout.trim().parse().unwrap()
    };
    let (app, db, job, beside) =
        (when("app").await, when("db").await, when("job").await, when("beside").await);
    assert!(app >= db && app >= job && job >= beside, "app {app}, db {db}, job {job}, beside {beside}");
    // Side by side: what nobody waits for does not wait for others.
    assert!(beside < db, "beside {beside}, db {db}");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn who_waits_in_vain_is_not_started_and_says_why() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let sleeps = || script("sleep 600");
    let stack = start(
        &sandbox,
        [
            ("sick", healthy_if("exit 1", 3, sleeps())),
            ("mute", sleeps()),
            ("job", script("exit 3")),
            ("after-sick", after(sleeps(), &[("sick", Condition::Healthy, true)])),
            ("after-mute", after(sleeps(), &[("mute", Condition::Healthy, true)])),
            ("after-job", after(sleeps(), &[("job", Condition::CompletedSuccessfully, true)])),
            ("after-dead", after(sleeps(), &[("job", Condition::Healthy, true)])),
            ("last", after(sleeps(), &[("after-job", Condition::Started, true)])),
            ("anyway", after(sleeps(), &[("job", Condition::CompletedSuccessfully, false)])),
        ],
    )
    .await;
    for (name, reason) in [
        ("after-sick", "it waits for `sick` to be healthy, which it was not"),
        ("after-mute", "it waits for `mute` to be healthy, which has no health check"),
        ("after-job", "it waits for `job` to end successfully, which ended with exit code 3"),
        ("last", "it depends on `after-job`, which was not started: it waits for `job` to end successfully"),
    ] {
        let state = stack.service(name).unwrap().state().await.unwrap();
        assert!(!state.running, "{name}: {state:?}");
        let told = state.not_started.unwrap_or_default();
        assert!(told.starts_with(reason), "{name}: {told}");
    }
    // Nor does waiting for what it prints.
    let printed = stack.service("last").unwrap().more_output(0);
    assert!(tokio::time::timeout(Duration::from_secs(20), printed).await.is_ok());
    let dead = stack.service("after-dead").unwrap().state().await.unwrap();
    assert!(dead.not_started.is_some(), "{dead:?}");
    assert!(stack.service("anyway").unwrap().state().await.unwrap().running);
    // Waiting for one that never began does not take its time.
    let health =
        stack.service("after-sick").unwrap().await_health(HealthStatus::Healthy, Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_secs(20), health).await.is_ok());
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn names_files_and_the_place_of_work_are_as_they_are_said() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let file = |path: &str, text: &'static str, uid: u64, mode: u32| FileSpec {
        path: path.into(),
        bytes: Bytes::from(text),
        uid,
        gid: uid,
        mode,
    };
    let files =
        vec![file("/run/secrets/token", "s3cret", 0, 0o444), file("/etc/app/own.conf", "mine", 1000, 0o400)];
    let named = ServiceSpec {
        files: files.clone(),
        aliases: vec!["database".into(), "db.internal".into()],
        hostname: Some("primary".into()),
        working_dir: Some("/srv/work".into()),
        stop_signal: Some("SIGUSR1".into()),
        extra_hosts: IndexMap::from([("elsewhere".into(), vec!["10.1.2.3".into()])]),
        ..web("hello")
    };
    let locked = ServiceSpec {
        files,
        read_only: true,
        user: Some("1000".into()),
        ..script("trap 'exit 7' USR1; sleep 600 & wait")
    };
    let stack = start(&sandbox, [("app", named), ("locked", locked)]).await;
    let locked = stack.service("locked").unwrap();
    let seen =
        sh(app(&stack), "hostname; pwd; grep elsewhere /etc/hosts; stat -c '%u %a' /etc/app/own.conf").await;
    let seen = seen.stdout;
    assert_eq!(
        seen.split_whitespace().collect::<Vec<_>>(),
        ["primary", "/srv/work", "10.1.2.3", "elsewhere", "1000", "400"]
    );
    let seen =
        sh(locked, "cat /run/secrets/token /etc/app/own.conf; echo x > /etc/passwd || echo kept").await;
    assert_eq!(seen.stdout, "s3cretminekept\n");
    for name in ["app", "database", "db.internal"] {
        let seen = sh(locked, &format!("wget -q -O - http://{name}:8080/")).await;
        assert_eq!(seen.stdout, "hello\n", "{name}");
    }
    assert_eq!(answer(locked, app(&stack), "/").await, "hello");
    // Another container in its place has the files too.
    locked.recreate().await.unwrap();
    let seen = sh(locked, "cat /run/secrets/token").await;
    assert_eq!(seen.stdout, "s3cret");
    sandbox.clean().await;
    bench.close().await;
}
