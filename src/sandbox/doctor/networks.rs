//! What is reached from a stack's network and from a build with the internet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use futures::future::join_all;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::confinement::Outside;
use super::machine::{self, Door, addresses_v6, is_local};
use super::{Point, Rule, Subject, hostile};
use crate::sandbox::engine::Engine;
use crate::sandbox::error::Error;
use crate::sandbox::ground::{self, Networks};
use crate::sandbox::limits;
use crate::sandbox::network::Silence;
use crate::sandbox::owned::Ledger;
use crate::sandbox::pod::{Place, Pod, start_probe};
use crate::sandbox::probe::intruder;
use crate::sandbox::probe::names::{self, FOUND, NO_SUCH_NAME};
use crate::sandbox::protocol::{Ask, Attempts, Reply, Seen};
use crate::sandbox::refusal::StartError;
use crate::sandbox::spec::DEFAULT_NETWORK;
use crate::ulimits::OPEN_FILES;

/// How long a connection attempt may take before it counts as blocked.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Addresses in the open that answer on port 443, of two operators; by either version of IP.
const OUTSIDE: [&str; 4] = ["1.1.1.1:443", "9.9.9.9:443", "[2606:4700:4700::1111]:443", "[2620:fe::fe]:443"];
/// Where clouds hand out credentials to whoever asks from a machine: most of them; Amazon's containers; Alibaba; Oracle;
/// Amazon and Google by IPv6.
const METADATA: [&str; 6] = [
    "169.254.169.254:80",
    "169.254.170.2:80",
    "100.100.100.200:80",
    "192.0.0.192:80",
    "[fd00:ec2::254]:80",
    "[fd20:ce::254]:80",
];
/// A port on which nothing listens in a pod.
const DISCARD: u16 = 9;

const HOST: Subject = Subject::new(
    Rule::Networks,
    "network-host",
    "The host",
    "Students' containers reach what this machine listens on. Forbid it: `iptables -I INPUT -i br-+ -j DROP` and \
     `ip6tables -I INPUT -i br-+ -j DROP`, kept over restarts (netfilter-persistent save).",
);
const STACKS: Subject = Subject::new(
    Rule::Networks,
    "network-stacks",
    "Another stack",
    "A firewall rule lets bridges talk to each other. Restart the engine so that its own chain DOCKER-ISOLATION-STAGE-1 \
     comes first (`iptables -S FORWARD` shows the order), and take \"iptables\": false out of /etc/docker/daemon.json.",
);
const OUT: Subject = Subject::new(
    Rule::Networks,
    "network-outside",
    "The Internet",
    "Something lets packets of internal networks out: look at the FORWARD chain (`iptables -S FORWARD`), and take \
     \"iptables\": false out of /etc/docker/daemon.json.",
);
const CLOUD: Subject = Subject::new(
    Rule::Networks,
    "network-metadata",
    "Metadata services of clouds",
    "Whoever reaches them gets this machine's credentials. Forbid it: `iptables -I DOCKER-USER -d 169.254.0.0/16 -j DROP`.",
);
const IPV6: Subject = Subject::new(
    Rule::Networks,
    "network-ipv6",
    "IPv6",
    "Take \"ipv6\" and \"ip6tables\": false out of /etc/docker/daemon.json, and forbid the rest: `ip6tables -I FORWARD \
     -i br-+ -j DROP`.",
);
const NAMES: Subject = Subject::new(
    Rule::Networks,
    "network-names",
    "Name servers",
    "Data can leave in the names that are asked for. Take an engine from 26.0 or 25.0.5 on, which keeps questions of \
     internal networks to itself (CVE-2024-29018).",
);
const BUILDS: Subject = Subject::new(
    Rule::Builds,
    "network-builds",
    "Builds with `network: internet`",
    "They run on the engine's default bridge. Forbid the host and its network to it: `iptables -I INPUT -i docker0 -j DROP` \
     and `iptables -I DOCKER-USER -i docker0 -d 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,100.64.0.0/10 -j DROP`; \
     or set sandbox.internet_builds = false.",
);

/// What a hostile process saw from a stack, and what it is to be compared with.
pub(super) struct Survey {
    pub(super) seen: Seen,
    /// The container in which it was, as the engine tells.
    pub(super) made: ContainerInspectResponse,
    pub(super) outside: Outside,
    tried: Tried,
    ours: Ours,
    /// What a container on the default bridge reached; `None` where no build may have the internet.
    from_builds: Option<Result<Vec<SocketAddr>, Error>>,
}

/// Whom it tried to reach.
struct Tried {
    /// Addresses of this machine; empty where the engine is on another one.
    host: BTreeSet<SocketAddr>,
    neighbour: SocketAddr,
    outside: BTreeSet<SocketAddr>,
    metadata: BTreeSet<SocketAddr>,
}

/// What this machine reaches itself: what would have been there to be reached.
struct Ours {
    outside: Vec<SocketAddr>,
    metadata: Vec<SocketAddr>,
    /// Its name servers that answer.
    names: Vec<IpAddr>,
}

fn all_of(texts: &[&str]) -> BTreeSet<SocketAddr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Lets a hostile process look around in a stack beside another one. `kernel` is the host's.
pub(super) async fn survey(engine: &Engine, kernel: &str) -> Result<Survey, StartError> {
    let ledger = Ledger::new(&engine.inner, Some("doctor"));
    let surveyed = Box::pin(survey_with(engine, &ledger, kernel)).await;
    ledger.clean().await;
    surveyed
}

async fn survey_with(engine: &Engine, ledger: &Arc<Ledger>, kernel: &str) -> Result<Survey, StartError> {
    let inner = &engine.inner;
    let neighbour = alone(ledger, "second").await?;
    let here = is_local(&inner.endpoint);
    let door = if here { Door::open().await.ok() } else { None };
    let ports = door.as_ref().map(Door::ports).unwrap_or_default();
    let tried = Tried {
        host: machine::own_sockets(&ports).into_iter().collect(),
        neighbour: SocketAddr::new(neighbour.address(), DISCARD),
        outside: all_of(&OUTSIDE),
        metadata: all_of(&METADATA),
    };
    let name_servers = machine::name_servers();
    // Of a name that nobody has asked for before, no cache knows anything.
    let name = format!("{}.drydock-doctor.invalid", Uuid::new_v4().simple());
    let mut reach: Vec<SocketAddr> = tried.host.union(&tried.outside).copied().collect();
    reach.extend(&tried.metadata);
    reach.push(tried.neighbour);
    let attempts = Attempts {
        reach,
        gateway_ports: ports,
        name_servers: name_servers.clone(),
        name: name.clone(),
        files: u64::try_from(OPEN_FILES).unwrap_or_default() + 100,
    };
    let (looked, ours, from_builds) =
        tokio::join!(hostile::look_around(engine, &attempts), ours(&tried, &name_servers, &name), async {
            if inner.settings.internet_builds { Some(from_builds(ledger, &tried).await) } else { None }
        },);
    let (seen, made) = looked?;
    let outside = Outside {
        runtime: inner.settings.runtime.clone(),
        kernel: kernel.to_owned(),
        namespaces: here.then(intruder::namespaces),
    };
    Ok(Survey { seen, made, outside, tried, ours, from_builds })
}

/// A pod on a network of its own.
async fn alone(ledger: &Arc<Ledger>, name: &str) -> Result<Pod, Error> {
    let network = ground::create_network(ledger).await?;
    let networks = Networks::from([(DEFAULT_NETWORK.to_owned(), network)]);
    Pod::start(ledger, &Place { networks: &networks, service: Some(name), host_name: Some(name), spec: None })
        .await
}

async fn ours(tried: &Tried, name_servers: &[IpAddr], name: &str) -> Ours {
    let connected = |targets: Vec<SocketAddr>| async move {
        let attempts = targets.into_iter().map(|target| async move {
            let attempt = tokio::time::timeout(ATTEMPT, TcpStream::connect(target)).await;
            matches!(attempt, Ok(Ok(_))).then_some(target)
        });
        join_all(attempts).await.into_iter().flatten().collect::<Vec<_>>()
    };
    let asked = name_servers
        .iter()
        .map(|server| async move { names::response_code(*server, name).await.map(|_| *server) });
    let (outside, metadata, names) = tokio::join!(
        connected(tried.outside.iter().copied().collect()),
        connected(tried.metadata.iter().copied().collect()),
        join_all(asked),
    );
    Ours { outside, metadata, names: names.into_iter().flatten().collect() }
}

/// A build with the internet runs on the default bridge; a container of ours there sees what it sees.
async fn from_builds(ledger: &Arc<Ledger>, tried: &Tried) -> Result<Vec<SocketAddr>, Error> {
    let body = ContainerCreateBody {
        user: Some("65532:65532".into()),
        host_config: Some(HostConfig { network_mode: Some("bridge".into()), ..limits::ours() }),
        ..ContainerCreateBody::default()
    };
    let (_, probe) = start_probe(ledger, "doctor", body).await?;
    let probe = &probe;
    let attempts = tried.host.union(&tried.metadata).map(|address| async move {
        let reply = probe.ask(Ask::Connect { address: *address }, ATTEMPT).await?;
        let through = matches!(reply, Reply::Connected { .. } | Reply::Silent(Silence::Refused));
        Ok::<_, Error>(through.then_some(*address))
    });
    Ok(futures::future::try_join_all(attempts).await?.into_iter().flatten().collect())
}

/// What the survey found of networks; or that there was none.
pub(super) fn judge(survey: &Survey) -> Vec<Point> {
    let Survey { seen, tried, ours, from_builds, .. } = survey;
    let reached: BTreeSet<SocketAddr> = seen.reached.iter().copied().map(without_interface).collect();
    let mut points = vec![
        host(&reached, tried),
        if reached.contains(&tried.neighbour) {
            STACKS.fail("another stack's address answers")
        } else {
            STACKS.pass("its address does not answer")
        },
        beyond(&OUT, &reached, &tried.outside, &ours.outside, "public address"),
        beyond(&CLOUD, &reached, &tried.metadata, &ours.metadata, "metadata address"),
        ipv6(seen, &reached, tried),
        names_asked(seen, ours),
    ];
    match from_builds {
        None => {}
        Some(Ok(reached)) => points.push(builds(reached, tried)),
        Some(Err(error)) => points.push(BUILDS.not_measured(error)),
    }
    points
}

/// That the survey could not be made.
pub(super) fn no_survey(error: &StartError) -> Vec<Point> {
    vec![HOST.not_measured(error)]
}

/// A link-local address was tried on each interface.
fn without_interface(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn host(reached: &BTreeSet<SocketAddr>, tried: &Tried) -> Point {
    if tried.host.is_empty() {
        return HOST.not_measured("the engine is on another machine, or this one's addresses are not known; run `drydock doctor` there");
    }
    // What was guessed to be a gateway is in no list.
    let other = |address: &&SocketAddr| {
        !tried.outside.contains(*address)
            && !tried.metadata.contains(*address)
            && **address != tried.neighbour
    };
    let through: Vec<SocketAddr> = reached.iter().filter(other).copied().collect();
    if through.is_empty() {
        let addresses: BTreeSet<IpAddr> = tried.host.iter().map(SocketAddr::ip).collect();
        let ports: BTreeSet<u16> = tried.host.iter().map(SocketAddr::port).collect();
        HOST.pass(format!(
            "none of its {} addresses answers on any of {} ports, nor does the gateway",
            addresses.len(),
            ports.len()
        ))
    } else {
        HOST.fail(format!("this machine answers at {}", listed(&through)))
    }
}

fn beyond(
    subject: &Subject,
    reached: &BTreeSet<SocketAddr>,
    tried: &BTreeSet<SocketAddr>,
    ours: &[SocketAddr],
    what: &str,
) -> Point {
    let through: Vec<SocketAddr> = reached.intersection(tried).copied().collect();
    if !through.is_empty() {
        return subject.fail(format!("a stack reaches {}", listed(&through)));
    }
    let compared = if ours.is_empty() {
        "though this machine itself reaches none either".to_owned()
    } else {
        format!("while this machine itself reaches {}", listed(ours))
    };
    subject.pass(format!("no {what} answers, {compared}"))
}

fn ipv6(seen: &Seen, reached: &BTreeSet<SocketAddr>, tried: &Tried) -> Point {
    let through: Vec<SocketAddr> = reached.iter().filter(|address| address.is_ipv6()).copied().collect();
    let own = addresses_v6(&seen.addresses_v6);
    let all = tried.host.union(&tried.outside).chain(&tried.metadata);
    let count = all.filter(|address| address.is_ipv6()).map(SocketAddr::ip).collect::<BTreeSet<_>>().len();
    if !through.is_empty() {
        return IPV6.fail(format!("a stack reaches {}", listed(&through)));
    }
    let none = format!("none of {count} addresses answers");
    match own.first() {
        None => IPV6.pass(format!("a stack has no address but its loopback's, and {none}")),
        Some(own) => IPV6.caution(format!("{none}, but a stack has an address ({own})")),
    }
}

fn names_asked(seen: &Seen, ours: &Ours) -> Point {
    let loopback = |server: IpAddr| match server {
        IpAddr::V4(v4) => v4.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
        IpAddr::V6(v6) => v6.is_loopback(),
    };
    // The engine's own resolver may answer that it cannot tell; who says that there is no such name has asked others.
    let leaks: Vec<String> = seen
        .answered
        .iter()
        .filter(|(server, code)| !loopback(*server) || matches!(*code, FOUND | NO_SUCH_NAME))
        .map(|(server, _)| server.to_string())
        .collect();
    if !leaks.is_empty() {
        return NAMES.fail(format!(
            "a question asked inside a stack was answered from outside (by {})",
            leaks.join(", ")
        ));
    }
    if ours.names.is_empty() {
        return NAMES.not_measured(
            "a name asked inside a stack got no answer, but this machine's own name servers answer nothing either",
        );
    }
    NAMES.pass("a name asked inside a stack gets no answer, while this machine's own name servers answer")
}

fn builds(reached: &[SocketAddr], tried: &Tried) -> Point {
    if reached.is_empty() {
        return BUILDS
            .pass("neither this machine nor a metadata service answers on the engine's default bridge");
    }
    let (cloud, host): (Vec<SocketAddr>, Vec<SocketAddr>) =
        reached.iter().copied().partition(|address| tried.metadata.contains(address));
    let told = [("this machine", host), ("a metadata service", cloud)];
    let told: Vec<String> = told
        .iter()
        .filter(|(_, sockets)| !sockets.is_empty())
        .map(|(what, sockets)| format!("{what} at {}", listed(sockets)))
        .collect();
    BUILDS.caution(format!("they reach {}", told.join(" and ")))
}

/// The addresses, each once; some of many.
fn listed(sockets: &[SocketAddr]) -> String {
    let addresses: BTreeSet<IpAddr> = sockets.iter().map(SocketAddr::ip).collect();
    let shown: Vec<String> = addresses.iter().take(4).map(IpAddr::to_string).collect();
    let more = if addresses.len() > shown.len() { " and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Grade::{self, Caution, Fail, Pass};
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn tried() -> Tried {
        Tried {
            host: all_of(&["192.0.2.7:4000", "192.0.2.7:22", "[fe80::1]:22"]),
            neighbour: socket("172.19.0.2:9"),
            outside: all_of(&OUTSIDE),
            metadata: all_of(&METADATA),
        }
    }

    fn grades(reached: &[&str]) -> Vec<(&'static str, Grade)> {
        let survey = Survey {
            seen: Seen { reached: reached.iter().map(|text| socket(text)).collect(), ..Seen::default() },
            made: ContainerInspectResponse::default(),
            outside: Outside { runtime: "runc".into(), kernel: String::new(), namespaces: None },
            tried: tried(),
            ours: Ours {
                outside: Vec::new(),
                metadata: Vec::new(),
                names: vec![socket("192.0.2.53:53").ip()],
            },
            from_builds: None,
        };
        judge(&survey)
            .into_iter()
            .filter(|point| point.grade != Pass)
            .map(|point| (point.id, point.grade))
            .collect()
    }

    #[test]
    fn what_is_reached_is_told_apart() {
        assert_eq!(grades(&[]), []);
        assert_eq!(grades(&["192.0.2.7:22"]), [("network-host", Fail)]);
        // Guessed by the intruder itself.
        assert_eq!(grades(&["172.18.0.1:4000"]), [("network-host", Fail)]);
        assert_eq!(grades(&["172.19.0.2:9"]), [("network-stacks", Fail)]);
        assert_eq!(grades(&["1.1.1.1:443"]), [("network-outside", Fail)]);
        assert_eq!(grades(&["169.254.169.254:80"]), [("network-metadata", Fail)]);
        assert_eq!(grades(&["[fe80::1%2]:22"]), [("network-host", Fail), ("network-ipv6", Fail)]);
        let nowhere = Tried { host: BTreeSet::new(), ..tried() };
        assert_eq!(host(&BTreeSet::new(), &nowhere).grade, Caution);
    }

    #[test]
    fn an_answer_from_outside_is_a_leak() {
        let asked = |server: &str, code: u8, known: bool| {
            let seen = Seen { answered: vec![(server.parse().unwrap(), code)], ..Seen::default() };
            let names = known.then(|| "192.0.2.53".parse().unwrap()).into_iter().collect();
            names_asked(&seen, &Ours { outside: Vec::new(), metadata: Vec::new(), names }).grade
        };
        let refused = 2;
        assert_eq!(asked("127.0.0.11", refused, true), Pass);
        assert_eq!(asked("127.0.0.11", refused, false), Caution);
        assert_eq!(asked("127.0.0.11", NO_SUCH_NAME, true), Fail);
        assert_eq!(asked("192.0.2.53", refused, false), Fail);
    }

    #[test]
    fn builds_with_the_internet_are_told_what_they_reach() {
        assert_eq!(builds(&[], &tried()).grade, Pass);
        let point = builds(&[socket("192.0.2.7:22"), socket("169.254.169.254:80")], &tried());
        assert_eq!(point.grade, Caution);
        assert_eq!(
            point.observed,
            "they reach this machine at 192.0.2.7 and a metadata service at 169.254.169.254"
        );
    }

    #[test]
    fn a_stack_with_addresses_of_ipv6_is_worth_a_thought() {
        let with = |table: &str| {
            let seen = Seen { addresses_v6: table.into(), ..Seen::default() };
            ipv6(&seen, &BTreeSet::new(), &tried()).grade
        };
        assert_eq!(with("00000000000000000000000000000001 01 80 10 80       lo\n"), Pass);
        assert_eq!(with("fe800000000000000042a7fffecebfb3 05 40 20 80     eth0\n"), Caution);
    }
}
