//! What is reached from a stack's network and from a build with the internet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use tokio::net::{TcpListener, TcpStream};

use super::{Grade, Point, is_local};
use crate::sandbox::engine::EngineInner;
use crate::sandbox::error::Error;
use crate::sandbox::ground::{self, Networks};
use crate::sandbox::limits;
use crate::sandbox::network::Silence;
use crate::sandbox::owned::Ledger;
use crate::sandbox::pod::{Place, Pod, Probe, start_probe};
use crate::sandbox::protocol::{Ask, Reply};
use crate::sandbox::spec::DEFAULT_NETWORK;

/// How long a connection attempt may take before it counts as blocked.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Addresses in the open that answer on port 443, of two operators.
const OUTSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)];
/// Names that a machine on the internet can resolve.
const NAMES: [&str; 3] = ["example.com", "deb.debian.org", "docker.io"];

pub(super) async fn all(engine: &Arc<EngineInner>) -> Vec<Point> {
    let ledger = Ledger::new(engine, Some("doctor"));
    let measured = measure(engine, &ledger).await;
    ledger.clean().await;
    measured.unwrap_or_else(|error| vec![Point::unknown("network", "Networks of stacks", &error)])
}

async fn measure(engine: &Arc<EngineInner>, ledger: &Arc<Ledger>) -> Result<Vec<Point>, Error> {
    let pod = alone(ledger, "first").await?;
    let neighbour = alone(ledger, "second").await?;
    let mut points = Vec::new();
    // We listen on every address of this machine; whoever gets through to it, got through to the host.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok();
    let port =
        listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
    let accepting = tokio::spawn(async move {
        while let Some(listener) = &listener {
            if listener.accept().await.is_err() {
                break;
            }
        }
    });
    let local = is_local(&engine.endpoint).then_some(port).flatten();
    if let Some(port) = local {
        points.push(host_from_stack(&pod, port).await?);
    } else {
        points.push(Point::unknown(
            "network-host",
            "Stacks cannot reach the host",
            &"the engine is on another machine; run `drydock doctor` there",
        ));
    }
    // Nothing listens there: a refusal shows that the packets arrived, just as an answer would.
    let across = reached(&pod.probe, &[SocketAddr::new(neighbour.address(), 9)]).await?;
    points.push(Point::new(
        "network-stacks",
        "Stacks cannot reach each other",
        if across.is_empty() { Grade::Pass } else { Grade::Fail },
        if across.is_empty() { "another stack's address does not answer" } else { "another stack's address answers" },
        "Look for a firewall rule that lets bridges talk to each other; the engine's own chain DOCKER-ISOLATION-STAGE-1 \
         has to come first.",
    ));
    points.push(outside_from_stack(&pod).await?);
    points.push(names_from_stack(&pod).await?);
    if engine.settings.internet_builds
        && let Some(port) = local
    {
        points.push(host_from_builds(ledger, port).await?);
    }
    accepting.abort();
    Ok(points)
}

/// A pod on a network of its own.
async fn alone(ledger: &Arc<Ledger>, name: &str) -> Result<Pod, Error> {
    let network = ground::create_network(ledger).await?;
    let networks = Networks::from([(DEFAULT_NETWORK.to_owned(), network)]);
    Pod::start(ledger, &Place { networks: &networks, service: Some(name), host_name: Some(name), spec: None })
        .await
}

/// Those of `targets` that a probe gets through to: by a connection or by a refusal.
async fn reached(probe: &Probe, targets: &[SocketAddr]) -> Result<Vec<SocketAddr>, Error> {
    let attempts = targets.iter().map(|address| async move {
        let reply = probe.ask(Ask::Connect { address: *address }, ATTEMPT).await?;
        let through =
            matches!(reply, Reply::Connected { .. } | Reply::Silent(Silence::Refused | Silence::Garbled(_)));
        Ok::<_, Error>(through.then_some(*address))
    });
    Ok(futures::future::try_join_all(attempts).await?.into_iter().flatten().collect())
}

async fn host_from_stack(pod: &Pod, port: u16) -> Result<Point, Error> {
    let mut targets = own_addresses();
    if let IpAddr::V4(address) = pod.address() {
        // Where the bridge's own address would be: the first one of its network.
        let [a, b, c, _] = address.octets();
        targets.extend([Ipv4Addr::new(a, b, 0, 1), Ipv4Addr::new(a, b, c, 1)]);
    }
    targets.sort_unstable();
    targets.dedup();
    let sockets: Vec<SocketAddr> =
        targets.iter().map(|address| SocketAddr::new((*address).into(), port)).collect();
    let through = reached(&pod.probe, &sockets).await?;
    let tried = targets.len();
    Ok(Point::new(
        "network-host",
        "Stacks cannot reach the host",
        if through.is_empty() { Grade::Pass } else { Grade::Fail },
        if through.is_empty() {
            format!("none of {tried} addresses of this machine answers (gateways included)")
        } else {
            format!("a server of this machine answers at {}", listed(&through))
        },
        "Students' containers reach everything this machine listens on. Forbid it: `iptables -I INPUT -i br-+ -j DROP`.",
    ))
}

async fn outside_from_stack(pod: &Pod) -> Result<Point, Error> {
    let (id, title) = ("network-outside", "Stacks cannot reach the outside");
    let targets = OUTSIDE.map(|address| SocketAddr::new(address.into(), 443));
    let metadata = SocketAddr::from(([169, 254, 169, 254], 80));
    let mut can = Vec::new();
    for target in targets {
        if matches!(tokio::time::timeout(ATTEMPT, TcpStream::connect(target)).await, Ok(Ok(_))) {
            can.push(target);
        }
    }
    let through = reached(&pod.probe, &[targets[0], targets[1], metadata]).await?;
    let advice = "Look at the FORWARD chain: something lets packets of internal networks out.";
    if !through.is_empty() {
        return Ok(Point::new(id, title, Grade::Fail, format!("{} answers", listed(&through)), advice));
    }
    let observed = if can.is_empty() {
        "no public or metadata address answers; but this machine itself does not reach the public ones either"
    } else {
        "no public or metadata address answers, while this machine itself reaches them"
    };
    Ok(Point::new(id, title, Grade::Pass, observed, ""))
}

async fn names_from_stack(pod: &Pod) -> Result<Point, Error> {
    let (id, title) = ("network-names", "Stacks cannot ask outside name servers");
    let mut known = None;
    for name in NAMES {
        if tokio::net::lookup_host((name, 443)).await.is_ok_and(|mut found| found.next().is_some()) {
            known = Some(name);
            break;
        }
    }
    let Some(name) = known else {
        return Ok(Point::unknown(id, title, &"this machine itself resolves no outside name"));
    };
    let reply = pod.probe.ask(Ask::Resolve { name: name.to_owned() }, ATTEMPT).await?;
    let leaks = matches!(&reply, Reply::Addresses(found) if !found.is_empty());
    Ok(Point::new(
        id,
        title,
        if leaks { Grade::Caution } else { Grade::Pass },
        if leaks {
            format!("{name} is resolved inside a stack: the engine passes questions on")
        } else {
            format!("{name} is not resolved inside a stack")
        },
        "Little can be sent that way, but not nothing. Engines since 25.0.5 and 26.0 (CVE-2024-29018) do not pass questions \
         of internal networks on.",
    ))
}

/// A build with the internet runs on the default bridge; a container of ours there sees what it sees.
async fn host_from_builds(ledger: &Arc<Ledger>, port: u16) -> Result<Point, Error> {
    let body = ContainerCreateBody {
        user: Some("65532:65532".into()),
        host_config: Some(HostConfig { network_mode: Some("bridge".into()), ..limits::ours() }),
        ..ContainerCreateBody::default()
    };
    let (_, probe) = start_probe(ledger, "doctor", body).await?;
    let sockets: Vec<SocketAddr> =
        own_addresses().into_iter().map(|address| SocketAddr::new(address.into(), port)).collect();
    let through = reached(&probe, &sockets).await?;
    Ok(Point::new(
        "network-builds",
        "Builds with the internet cannot reach the host",
        if through.is_empty() { Grade::Pass } else { Grade::Caution },
        if through.is_empty() {
            "this machine does not answer on the default bridge".to_owned()
        } else {
            format!("a server of this machine answers at {}", listed(&through))
        },
        "Builds of exercises with `network: internet` reach this machine and the network around it. Forbid it: \
         `iptables -I INPUT -i docker0 -j DROP` and, for private networks, \
         `iptables -I DOCKER-USER -i docker0 -d 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16 -j DROP`; or set \
         sandbox.internet_builds = false.",
    ))
}

fn listed(sockets: &[SocketAddr]) -> String {
    sockets.iter().map(|socket| socket.ip().to_string()).collect::<Vec<_>>().join(", ")
}

/// IPv4 addresses of this machine, loopback left out, as the kernel's routing table lists them.
fn own_addresses() -> Vec<Ipv4Addr> {
    std::fs::read_to_string("/proc/net/fib_trie").map(|table| local_addresses(&table)).unwrap_or_default()
}

fn local_addresses(table: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = table
        .lines()
        .zip(table.lines().skip(1))
        .filter(|(_, kind)| kind.trim() == "/32 host LOCAL")
        .filter_map(|(address, _)| address.trim().strip_prefix("|-- ")?.parse().ok())
        .filter(|address: &Ipv4Addr| !address.is_loopback())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_routing_table() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.0.2.7\n        \
                     /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        \
                     /32 host LOCAL\n";
        assert_eq!(local_addresses(table), [Ipv4Addr::new(192, 0, 2, 7)]);
    }
}
