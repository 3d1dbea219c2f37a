//! Networks of a stack: who shares one reaches the other by name, who does not has no way.

use std::net::SocketAddr;
use std::time::Duration;

use drydock::sandbox::{NetworkFacts, ServiceSpec, Silence, StackSpec};

use crate::common::{Bench, script, sh, start, start_stack, unshared};
use crate::{answer, get, networked, on, web};

const SOON: Duration = Duration::from_secs(2);

/// A client, a database that it shares no network with, and a service between them.
fn three() -> StackSpec {
    networked(
        &["front", "back"],
        [
            ("client", on(script("sleep 600"), &["front"])),
            ("app", web("middle")),
            ("db", on(web("data"), &["back"])),
        ],
    )
}

#[tokio::test]
async fn services_meet_on_the_networks_they_share_and_nowhere_else() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start_stack(&sandbox, &three()).await;
    let [client, app, db] = ["client", "app", "db"].map(|name| stack.service(name).unwrap());

    assert_eq!(app.networks(), ["front", "back"]);
    assert_eq!(app.addresses().len(), 2);
    assert_eq!(answer(client, app, "/").await, "middle");
    assert_eq!(answer(db, app, "/").await, "middle");
    assert_eq!(answer(app, db, "/").await, "data");
    // Each finds the other at the address on the network that both are on.
    assert_eq!(client.resolve("app", SOON).await.unwrap().unwrap(), [app.addresses()["front"]]);
    assert_eq!(db.resolve("app", SOON).await.unwrap().unwrap(), [app.addresses()["back"]]);
    assert_eq!(sh(client, "wget -q -O - http://app:8080/").await.stdout, "middle\n");

    assert!(!client.shares_network(db));
    assert_eq!(client.http(db, get("/")).await.unwrap().unwrap_err(), Silence::TimedOut);
    assert_eq!(client.connect(db, 8080, SOON).await.unwrap(), Err(Silence::TimedOut));
    let hidden = SocketAddr::new(app.addresses()["back"], 8080);
    assert_eq!(client.connect_to(hidden, SOON).await.unwrap(), Err(Silence::TimedOut));
    assert!(client.resolve("db", SOON).await.unwrap().is_err());
    assert_ne!(sh(client, "wget -q -T 2 -O - http://db:8080/").await.exit_code, Some(0));

    let facts = stack.network("back").await.unwrap().unwrap();
    let services = vec!["app".to_owned(), "db".to_owned()];
    assert_eq!(facts, NetworkFacts { driver: "bridge".into(), internal: true, services });
    assert_eq!(stack.network("side").await.unwrap(), None);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn where_services_stand_by_themselves_their_networks_are_as_apart() {
    let bench = Bench::with(unshared()).await;
    let sandbox = bench.sandbox();
    let stack = start_stack(&sandbox, &three()).await;
    let [client, app, db] = ["client", "app", "db"].map(|name| stack.service(name).unwrap());
    assert_eq!(answer(client, app, "/").await, "middle");
    assert_eq!(answer(app, db, "/").await, "data");
    assert_eq!(client.http(db, get("/")).await.unwrap().unwrap_err(), Silence::TimedOut);
    assert_eq!(sh(app, "wget -q -O - http://db:8080/").await.stdout, "data\n");
    assert_ne!(sh(client, "wget -q -T 2 -O - http://db:8080/").await.exit_code, Some(0));
    // Another container in its place is found again.
    db.recreate().await.unwrap();
    assert_eq!(answer(app, db, "/").await, "data");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_name_stands_for_all_containers_of_its_service() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let many = ServiceSpec { replicas: 3, ..web("$(hostname)") };
    let stack = start(&sandbox, [("app", many), ("client", script("sleep 600"))]).await;
    let client = stack.service("client").unwrap();
    let replicas = stack.replicas("app");
    let names: Vec<&str> = replicas.iter().map(drydock::sandbox::Service::host_name).collect();
    assert_eq!(names, ["app-1", "app-2", "app-3"]);
    assert_eq!(stack.services().len(), 4);
    let mut addresses: Vec<_> = replicas.iter().map(drydock::sandbox::Service::address).collect();
    addresses.sort_unstable();
    assert_eq!(client.resolve("app", SOON).await.unwrap().unwrap(), addresses);
    for replica in replicas {
        assert_eq!(answer(client, replica, "/").await, replica.host_name());
        assert_eq!(client.resolve(replica.host_name(), SOON).await.unwrap().unwrap(), [replica.address()]);
    }
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_service_has_its_own_bounds() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let mut small = script("sleep 600");
    small.limits.memory_bytes = Some(16 << 20);
    small.limits.pids = Some(7);
    // More than the grading has is not to be had.
    small.limits.cpu_millis = Some(64_000);
    let stack = start(&sandbox, [("app", small), ("other", script("sleep 600"))]).await;
    let bounds = stack.service("app").unwrap().bounds().await.unwrap();
    assert_eq!((bounds.memory_bytes, bounds.pids, bounds.cpu_millis), (Some(16 << 20), Some(7), Some(1000)));
    let bounds = stack.service("other").unwrap().bounds().await.unwrap();
    assert_eq!((bounds.memory_bytes, bounds.pids), (Some(64 << 20), Some(64)));
    let seen = sh(
        stack.service("app").unwrap(),
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
    );
    assert_eq!(seen.await.stdout.trim(), (16 << 20).to_string());
    sandbox.clean().await;
    bench.close().await;
}
