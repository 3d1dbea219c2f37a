//! What this engine can do, found out by trying: `drydock doctor` and the admin's page show it.
//!
//! A limit that is configured may not be kept, and a network that is called internal may not be one.
//! So each point that matters is measured with the very containers, networks and builds that gradings
//! use, and says what was seen and what to do. Nothing is left behind.

use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, SystemInfo};
use tokio::net::{TcpListener, TcpStream};

use super::builder::{self, Bounded, MEASURE_LIMIT_BYTES, MEASURE_TAKES_BYTES};
use super::engine::{Engine, EngineContext, EngineInner};
use super::error::Error;
use super::exec::RunSpec;
use super::limits::{self, Limits};
use super::network::Silence;
use super::owned::Ledger;
use super::pod::{Place, Pod, Probe, start_probe};
use super::probe::allocate;
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::{Builder, stack};
use crate::config::{BuilderChoice, SandboxSettings};

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// Works, but weaker or slower than it could; or it could not be told.
    Caution,
    /// Strangers' code should not run here before this is mended.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Point {
    /// Short and stable, for scripts.
    pub id: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// The judgement.
    pub grade: Grade,
    /// What was seen.
    pub observed: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

impl Point {
    fn new(
        id: &'static str,
        title: &'static str,
        grade: Grade,
        observed: impl Into<String>,
        advice: &str,
    ) -> Self {
        let advice = if grade == Grade::Pass { String::new() } else { advice.to_owned() };
        Self { id, title, grade, observed: observed.into(), advice }
    }

    /// Something that could not be found out.
    fn unknown(id: &'static str, title: &'static str, why: &dyn Display) -> Self {
        Self::new(id, title, Grade::Caution, format!("could not be told: {why}"), "Mend that and ask again.")
    }
}

/// How long a connection attempt may take before it counts as blocked.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Threads tried where [`PIDS_LIMIT`] are allowed.
const THREADS_TRIED: u32 = 200;
const PIDS_LIMIT: u32 = 32;
/// Addresses in the open that answer on port 443, of two operators.
const OUTSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 9)];
/// Names that a machine on the internet can resolve.
const NAMES: [&str; 3] = ["example.com", "deb.debian.org", "docker.io"];
/// Free disk below which gradings start to fail, and below which one should look after it.
const DISK_FAIL_BYTES: u64 = 5 << 30;
const DISK_CAUTION_BYTES: u64 = 20 << 30;

/// Looks at everything. Takes some ten seconds; an engine that does not answer gives one point that
/// says so.
pub async fn examine(settings: &SandboxSettings, context: EngineContext) -> Vec<Point> {
    let state_dir = context.state_dir.clone();
    // Nothing that a doctor does should wait for a pool or be measured twice.
    let settings = SandboxSettings { warm_pods: 0, ..settings.clone() };
    let mut points = Vec::new();
    match Engine::connect(&settings, context).await {
        Err(error) => {
            points.push(Point::new(
                "engine",
                "Docker engine",
                Grade::Fail,
                error.to_string(),
                "Start the engine, set DOCKER_HOST, or let this user open its socket; then ask again.",
            ));
        }
        Ok(engine) => {
            points.extend(of_engine(&engine).await);
            engine.shutdown().await;
        }
    }
    points.push(disk("disk-data", "Free disk for Drydock's data", &state_dir));
    points
}

async fn of_engine(engine: &Engine) -> Vec<Point> {
    let inner = &engine.inner;
    let mut points = Vec::new();
    match inner.call("describe itself", inner.docker.info()).await {
        Ok(info) => points.extend(described(&info, inner)),
        Err(error) => points.push(Point::unknown("engine", "Docker engine", &error)),
    }
    points.push(memory_of_builder(inner, Builder::Classic).await);
    points.push(memory_of_builder(inner, Builder::BuildKit).await);
    points.push(memory_limit(engine).await);
    points.push(pids_limit(engine).await);
    points.extend(networks(inner).await);
    points
}

/// What the engine says of itself.
fn described(info: &SystemInfo, engine: &EngineInner) -> Vec<Point> {
    let facts = &engine.facts;
    let mut points = vec![Point::new(
        "engine",
        "Docker engine",
        Grade::Pass,
        format!("version {} at {}", facts.version, engine.endpoint),
        "",
    )];
    let spoken = engine.docker.client_version();
    let current = (spoken.major_version, spoken.minor_version) >= (1, 44);
    points.push(Point::new(
        "api",
        "API version",
        if current { Grade::Pass } else { Grade::Caution },
        facts.api_version.clone(),
        "Works, but this engine is no longer maintained; version 25 or later (API 1.44) is better.",
    ));
    let driver = info.driver.clone().unwrap_or_default();
    let grade = match driver.as_str() {
        "overlay2" | "overlayfs" | "btrfs" | "zfs" => Grade::Pass,
        _ => Grade::Caution,
    };
    points.push(Point::new(
        "storage",
        "Storage driver",
        grade,
        driver,
        "Builds and starts are slower than with overlay2.",
    ));
    let cgroup = info.cgroup_version.map(|version| version.to_string()).unwrap_or_default();
    points.push(Point::new(
        "cgroup",
        "Control groups",
        if cgroup == "2" { Grade::Pass } else { Grade::Caution },
        format!("version {cgroup}"),
        "Limits are kept (see below), but version 2 bounds kernel memory better and is what newer systems have.",
    ));
    points.extend(security(info));
    let runtime = &engine.settings.runtime;
    let mut known: Vec<&str> =
        info.runtimes.iter().flat_map(|runtimes| runtimes.keys()).map(String::as_str).collect();
    known.sort_unstable();
    let sandboxed = runtime != "runc" && runtime != "crun";
    points.push(Point::new(
        "runtime",
        "Runtime of students' containers",
        if sandboxed { Grade::Pass } else { Grade::Caution },
        format!("{runtime} (the engine has {})", known.join(", ")),
        "Containers share the host's kernel. For strangers' code install gVisor (`runsc`) as a runtime of the engine and \
         set sandbox.runtime = \"runsc\", or give Drydock a virtual machine of its own.",
    ));
    if let Some(root) = info.docker_root_dir.as_deref().filter(|_| is_local(&engine.endpoint)) {
        points.push(disk("disk-engine", "Free disk for images", Path::new(root)));
    }
    points
}

fn security(info: &SystemInfo) -> Vec<Point> {
    let options = info.security_options.clone().unwrap_or_default();
    let option = |name: &str| options.iter().find(|option| option.starts_with(&format!("name={name}")));
    let seccomp = match option("seccomp") {
        Some(option) if option.contains("unconfined") => {
            (Grade::Fail, "switched off for all containers".to_owned())
        }
        Some(option) => (Grade::Pass, option.clone()),
        None => (Grade::Caution, "the engine does not filter system calls".to_owned()),
    };
    let mapped = option("userns").or_else(|| option("rootless"));
    vec![
        Point::new(
            "seccomp",
            "System call filter",
            seccomp.0,
            seccomp.1,
            "Use a kernel and an engine with seccomp and its default profile, or a runtime that does not need it (gVisor).",
        ),
        Point::new(
            "userns",
            "User namespaces",
            if mapped.is_some() { Grade::Pass } else { Grade::Caution },
            mapped
                .map_or_else(|| "root in a container is root to the host's kernel".to_owned(), Clone::clone),
            "Start the engine with userns-remap, or rootless.",
        ),
    ]
}

async fn memory_of_builder(engine: &EngineInner, builder: Builder) -> Point {
    let (id, title) = match builder {
        Builder::Classic => ("build-classic", "Memory limit of build steps, classic builder"),
        Builder::BuildKit => ("build-buildkit", "Memory limit of build steps, BuildKit"),
    };
    let bounded = match builder::measure(engine, builder).await {
        Ok(bounded) => bounded,
        Err(error) => return Point::unknown(id, title, &error),
    };
    let settings = &engine.settings;
    let used = match builder {
        Builder::Classic => settings.builder == BuilderChoice::Classic,
        Builder::BuildKit => settings.builder == BuilderChoice::BuildKit || settings.unbounded_buildkit,
    };
    let observed = match bounded {
        Bounded::Yes => told_of_memory(true),
        Bounded::No => told_of_memory(false),
        Bounded::Unknown => "could not be told: the build did not come so far".to_owned(),
    };
    let grade = match (bounded, used) {
        (Bounded::Yes, _) => Grade::Pass,
        (Bounded::No, true) => Grade::Fail,
        _ => Grade::Caution,
    };
    let advice = match builder {
        Builder::Classic => {
            "Builds cannot be bounded here: run Drydock's engine in a virtual machine of its own."
        }
        Builder::BuildKit => {
            "BuildKit ignores limits of single builds; with sandbox.builder = \"auto\" it is only used where it is bounded. \
             To bound all its steps together, start the engine with --cgroup-parent and a memory limit on that group."
        }
    };
    Point::new(id, title, grade, observed, advice)
}

fn told_of_memory(kept: bool) -> String {
    let (limit, takes) = (MEASURE_LIMIT_BYTES >> 20, MEASURE_TAKES_BYTES >> 20);
    if kept {
        format!("kept: a process that took {takes} MiB of {limit} allowed was ended")
    } else {
        format!("not kept: a process got {takes} MiB where {limit} were allowed")
    }
}

/// Runs our own executable as a student's command would run; its exit code.
async fn try_out(engine: &Engine, arguments: [&str; 2]) -> Result<(Option<i64>, bool), StartError> {
    let limits = Limits {
        memory_bytes: MEASURE_LIMIT_BYTES,
        cpu_millis: 1000,
        pids: PIDS_LIMIT,
        disk_bytes: 16 << 20,
        build_time: Duration::from_mins(1),
        run_time: Duration::from_mins(1),
        log_bytes: 64 << 10,
    };
    let sandbox = engine.sandbox("doctor", limits);
    let run = RunSpec {
        command: Some(arguments.map(str::to_owned).to_vec()),
        within: Duration::from_secs(30),
        ..RunSpec::default()
    };
    let ran = sandbox.run(&engine.inner.probe_image, run).await;
    sandbox.clean().await;
    ran.map(|ran| (ran.exit_code, ran.oom_killed))
}

async fn memory_limit(engine: &Engine) -> Point {
    let (id, title) = ("memory", "Memory limit of containers");
    let bytes = MEASURE_TAKES_BYTES.to_string();
    let advice =
        "Give the kernel memory control groups (on some systems: cgroup_enable=memory on its command line).";
    match try_out(engine, ["--allocate", &bytes]).await {
        Ok((Some(code), _)) if code == i64::from(allocate::GOT_IT) => {
            Point::new(id, title, Grade::Fail, told_of_memory(false), advice)
        }
        Ok((Some(137), _) | (_, true)) => Point::new(id, title, Grade::Pass, told_of_memory(true), ""),
        // Just below the limit the kernel may drop and reload pages of the executable for a long time.
        Ok((None, _)) => {
            let observed = "kept: a process that wanted more than is allowed did not get it within 30 s";
            Point::new(id, title, Grade::Pass, observed, "")
        }
        Ok((code, _)) => Point::unknown(id, title, &format!("the process ended with {code:?}")),
        Err(error) => Point::unknown(id, title, &error),
    }
}

async fn pids_limit(engine: &Engine) -> Point {
    let (id, title) = ("pids", "Process limit of containers");
    let tried = THREADS_TRIED.to_string();
    match try_out(engine, ["--threads", &tried]).await {
        Ok((Some(code), _)) if code == i64::from(allocate::GOT_IT) => Point::new(
            id,
            title,
            Grade::Fail,
            format!("not kept: {THREADS_TRIED} threads ran where {PIDS_LIMIT} were allowed"),
            "Give the kernel the pids control group; without it a fork bomb takes the host.",
        ),
        Ok((Some(code), _)) if code == i64::from(allocate::REFUSED) => Point::new(
            id,
            title,
            Grade::Pass,
            format!("kept: {THREADS_TRIED} threads were refused where {PIDS_LIMIT} were allowed"),
            "",
        ),
        Ok((code, _)) => Point::unknown(id, title, &format!("the process ended with {code:?}")),
        Err(error) => Point::unknown(id, title, &error),
    }
}

// --- networks ---------------------------------------------------------------------------------

async fn networks(engine: &Arc<EngineInner>) -> Vec<Point> {
    let ledger = Ledger::new(engine, Some("doctor"));
    let measured = measure_networks(engine, &ledger).await;
    ledger.clean().await;
    measured.unwrap_or_else(|error| vec![Point::unknown("network", "Networks of stacks", &error)])
}

async fn measure_networks(engine: &Arc<EngineInner>, ledger: &Arc<Ledger>) -> Result<Vec<Point>, Error> {
    let first = stack::create_network(ledger).await?;
    let second = stack::create_network(ledger).await?;
    let pod = Pod::start(ledger, &Place { network: &first, service: Some("first") }).await?;
    let neighbour = Pod::start(ledger, &Place { network: &second, service: Some("second") }).await?;
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
    let across = reached(&pod.probe, &[SocketAddr::new(neighbour.address, 9)]).await?;
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
    if let IpAddr::V4(address) = pod.address {
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

/// Whether the engine runs on this machine, as far as its address tells.
fn is_local(endpoint: &str) -> bool {
    endpoint.starts_with("unix://") || endpoint.starts_with('/')
}

fn disk(id: &'static str, title: &'static str, path: &Path) -> Point {
    let there: PathBuf =
        path.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    let free = match rustix::fs::statvfs(&there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Point::unknown(id, title, &format!("{}: {error}", path.display())),
    };
    let grade = match free {
        ..DISK_FAIL_BYTES => Grade::Fail,
        DISK_FAIL_BYTES..DISK_CAUTION_BYTES => Grade::Caution,
        _ => Grade::Pass,
    };
    let observed = format!("{} GiB free at {}", free >> 30, path.display());
    Point::new(
        id,
        title,
        grade,
        observed,
        "Images and submissions need room; make some or move the folder to a larger disk.",
    )
}

// --- for a terminal ---------------------------------------------------------------------------

/// Width of the text that advice is broken at.
const WIDTH: usize = 96;
const INDENT: usize = 10;

/// All points as a terminal shows them, with a count at the end. No colours: grades are words.
#[must_use]
pub fn render(points: &[Point]) -> String {
    let mut text = String::new();
    for point in points {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{point}");
    }
    let count = |grade: Grade| points.iter().filter(|point| point.grade == grade).count();
    let _ = write!(
        text,
        "{} passed, {} to think about, {} to mend before strangers' code runs here",
        count(Grade::Pass),
        count(Grade::Caution),
        count(Grade::Fail)
    );
    text
}

impl Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Caution => "caution",
            Self::Fail => "FAIL",
        })
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<INDENT$}{}", self.grade.to_string(), self.title)?;
        for line in wrapped(&self.observed) {
            write!(f, "\n{:INDENT$}{line}", "")?;
        }
        for (number, line) in wrapped(&self.advice).into_iter().enumerate() {
            let mark = if number == 0 { "-> " } else { "   " };
            write!(f, "\n{:INDENT$}{mark}{line}", "")?;
        }
        Ok(())
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

    #[test]
    fn a_list_reads_well() {
        let points = [
            Point::new("a", "First", Grade::Pass, "fine", "not shown"),
            Point::new("b", "Second", Grade::Fail, "broken", "Mend it."),
        ];
        assert_eq!(
            render(&points),
            "pass      First\n          fine\nFAIL      Second\n          broken\n          -> Mend it.\n1 passed, 0 to think \
             about, 1 to mend before strangers' code runs here"
        );
    }
}
