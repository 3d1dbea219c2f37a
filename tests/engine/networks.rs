//! Who reaches whom: the services of a stack each other, nobody of it the outside.

use std::net::IpAddr;
use std::time::Duration;

use drydock::sandbox::{Error, Silence};

use crate::common::{Bench, app, get, script, sh, start, unshared, web};

#[tokio::test]
async fn a_service_answers_over_its_network() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("hello", "8080"))]).await;
    let app = app(&stack);
    let response = app.http(app, get(8080)).await.unwrap().unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(&response.body[..], b"hello\n");
    assert_eq!(app.http(app, get(8081)).await.unwrap().unwrap_err(), Silence::Refused);
    assert!(app.connect(app, 8080, Duration::from_secs(1)).await.unwrap().is_ok());
    assert_eq!(app.resolve("app", Duration::from_secs(5)).await.unwrap(), Ok(vec![app.address()]));
    let unknown = app.resolve("nobody.invalid", Duration::from_secs(10)).await.unwrap();
    assert!(matches!(unknown, Err(Silence::UnknownName | Silence::TimedOut)), "{unknown:?}");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn a_server_on_loopback_is_seen_as_what_it_is() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("hidden", "127.0.0.1:8080"))]).await;
    let app = app(&stack);
    let listeners = app.listeners().await.unwrap();
    assert_eq!(listeners.len(), 1, "{listeners:?}");
    assert_eq!(listeners[0].address, "127.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(listeners[0].port, 8080);
    assert_eq!(app.http(app, get(8080)).await.unwrap().unwrap_err(), Silence::Refused);
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn services_reach_each_other_by_name() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let client = script("sleep 60");
    let stack = start(&sandbox, [("app", web("hello", "8080")), ("client", client)]).await;
    let (app, client) = (app(&stack), stack.service("client").unwrap());
    assert!(client.http(app, get(8080)).await.unwrap().is_ok());
    let ran = sh(client, "wget -q -O - http://app:8080/").await;
    assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(0), "hello\n"), "{}", ran.stderr);
    assert_eq!(sh(client, "hostname").await.stdout, "client\n");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn where_a_namespace_cannot_be_shared_the_pod_stands_beside() {
    let bench = Bench::with(unshared()).await;
    let sandbox = bench.sandbox();
    let stack = start(&sandbox, [("app", web("beside", "8080")), ("db", script("sleep 60"))]).await;
    let app = app(&stack);
    let response = stack.service("db").unwrap().http(app, get(8080)).await.unwrap().unwrap();
    assert_eq!(&response.body[..], b"beside\n");
    assert_eq!(sh(stack.service("db").unwrap(), "wget -q -O - http://app:8080/").await.stdout, "beside\n");
    assert!(matches!(app.processes().await, Err(Error::Unfit(_))));
    sandbox.clean().await;
    bench.close().await;
}

/// A server of the host's on all addresses, for containers to try to reach.
struct HostServer {
    port: u16,
    addresses: Vec<String>,
}

impl HostServer {
    async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("[::]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.try_write(b"HTTP/1.0 200 OK\r\n\r\nhost\n");
            }
        });
        let output = std::process::Command::new("ip").args(["-o", "addr"]).output().unwrap();
        let addresses = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace().skip(1);
                let interface = words.next()?.to_owned();
                let address = words.nth(1)?.split('/').next()?.to_owned();
                // A link-local address means something only on an interface.
                let scope = if address.starts_with("fe80") { "%eth0" } else { "" };
                (interface != "lo").then(|| format!("{address}{scope}"))
            })
            .collect();
        Self { port, addresses }
    }
}

#[tokio::test]
async fn there_is_no_way_out_of_a_stack() {
    let bench = Bench::open().await;
    let host = HostServer::open().await;
    // The server can be reached from here: what fails below fails because of the sandbox.
    let reachable = host.addresses.iter().find(|address| address.contains('.')).expect("an address");
    tokio::net::TcpStream::connect((reachable.as_str(), host.port)).await.expect("the host's own server");

    let (one, other) = (bench.sandbox(), bench.sandbox());
    let stack = start(&one, [("app", script("sleep 60"))]).await;
    let neighbour = start(&other, [("app", web("neighbour", "8080"))]).await;
    let app = app(&stack);

    // The first address of its network is where the host would be.
    let IpAddr::V4(own) = app.address() else { panic!("{}", app.address()) };
    let octets = own.octets();
    let mut targets: Vec<(String, u16)> = host.addresses.iter().map(|a| (a.clone(), host.port)).collect();
    targets.push((format!("{}.{}.{}.1", octets[0], octets[1], octets[2]), host.port));
    targets.push((format!("{}.{}.0.1", octets[0], octets[1]), host.port));
    targets.push((neighbour.service("app").unwrap().address().to_string(), 8080));
    targets.push(("169.254.169.254".into(), 80));
    targets.push(("8.8.8.8".into(), 53));
    targets.push(("2001:4860:4860::8888".into(), 53));
    let script: String = targets
        .iter()
        .map(|(address, port)| {
            format!("echo x | nc -w 2 {address} {port} >/dev/null 2>&1 && echo reached {address} & ")
        })
        .collect();
    let ran = sh(app, &format!("{script} wait")).await;
    assert_eq!(ran.stdout, "", "of {targets:?}");
    // No IPv6 but loopback.
    let addresses = sh(app, "ip -6 addr show scope global; ip -6 addr show scope link").await.stdout;
    assert!(!addresses.contains("inet6"), "{addresses}");
    // Names of the outside and of the neighbour are unknown.
    assert_ne!(sh(app, "timeout 5 nslookup example.com").await.exit_code, Some(0));
    one.clean().await;
    other.clean().await;
    bench.close().await;
}
