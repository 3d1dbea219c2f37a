//! `drydock probe --look-around <attempts>`: what a hostile process finds in a student's container, and
//! whom it reaches from there.
//!
//! The doctor runs it as root of the container, in a stack like any other, and judges what it prints:
//! one JSON object. It breaks nothing: files of the kernel are opened for writing and closed again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::process::ExitCode;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;

use super::allocate::USAGE;
use super::names;
use crate::sandbox::protocol::{Attempts, Seen};

/// How long a connection attempt may take before it counts as blocked.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Files by which root of a container would change the host: by a program that the kernel runs, by a restart.
const KERNEL_FILES: [&str; 6] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/memory/release_agent",
    "/sys/fs/cgroup/cgroup.procs",
];

pub(super) fn look_around(attempts: &str) -> ExitCode {
    let Ok(attempts) = serde_json::from_str::<Attempts>(attempts) else { return ExitCode::from(USAGE) };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let seen = runtime.block_on(look(&attempts));
    match serde_json::to_string(&seen) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

async fn look(attempts: &Attempts) -> Seen {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (reached, answered) = tokio::join!(reached(attempts), answered(attempts));
    Seen {
        status: read("/proc/self/status"),
        uid_map: read("/proc/self/uid_map"),
        mounts: read("/proc/self/mountinfo"),
        oom_score: read("/proc/self/oom_score_adj"),
        kernel: kernel(),
        addresses_v6: read("/proc/net/if_inet6"),
        devices: names_in("/dev"),
        namespaces: namespaces(),
        writable: writable(),
        open_files: open_files(attempts.files),
        reached,
        answered,
    }
}

/// The release of the kernel that answers system calls.
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What is in a folder, sorted.
fn names_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Where the links in `/proc/self/ns` lead. The doctor reads its own the same way.
pub(in crate::sandbox) fn namespaces() -> BTreeMap<String, String> {
    let link = |name: String| {
        let target = std::fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
        Some((name, target.to_string_lossy().into_owned()))
    };
    names_in("/proc/self/ns").into_iter().filter_map(link).collect()
}

fn writable() -> Vec<String> {
    let open = |path: &&str| OpenOptions::new().write(true).open(path).is_ok();
    KERNEL_FILES.into_iter().filter(open).map(str::to_owned).collect()
}

/// How many files it could have open at a time, at most so many.
fn open_files(most: u64) -> u64 {
    let mut files = Vec::new();
    while (files.len() as u64) < most {
        match File::open("/proc/self/status") {
            Ok(file) => files.push(file),
            Err(_) => break,
        }
    }
    files.len() as u64
}

async fn reached(attempts: &Attempts) -> Vec<SocketAddr> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let gateways = first_addresses(&table).into_iter();
    let gateways = gateways.flat_map(|gateway| {
        attempts.gateway_ports.iter().map(move |port| SocketAddr::new(IpAddr::V4(gateway), *port))
    });
    let mut targets: Vec<SocketAddr> =
        attempts.reach.iter().flat_map(|target| with_interfaces(*target)).chain(gateways).collect();
    targets.sort_unstable();
    targets.dedup();
    let tried = targets.into_iter().map(|target| async move {
        let attempt = tokio::time::timeout(ATTEMPT, TcpStream::connect(target)).await.ok()?;
        got_through(&attempt).then_some(target)
    });
    join_all(tried).await.into_iter().flatten().collect()
}

/// A refusal shows that the packets arrived, just as an answer would. What the own kernel says (no route, no address
/// of that family) does not.
fn got_through<T>(attempt: &std::io::Result<T>) -> bool {
    match attempt {
        Ok(_) => true,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
    }
}

/// A link-local address is one on each interface (RFC 4007); any other stands for itself.
fn with_interfaces(target: SocketAddr) -> Vec<SocketAddr> {
    let SocketAddr::V6(v6) = target else { return vec![target] };
    if !v6.ip().is_unicast_link_local() {
        return vec![target];
    }
    let scopes = names_in("/sys/class/net").into_iter().filter(|name| name != "lo").filter_map(|name| {
        std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
    });
    scopes.map(|scope| SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))).collect()
}

/// The first address of each network that it stands on, where the engine puts the bridge's, and gateways that are
/// told: columns 2 and 3 of `/proc/net/route`, numbers in the machine's byte order.
fn first_addresses(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = |column: usize| {
            let number = u32::from_str_radix(columns.get(column)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes())).filter(|address| !address.is_unspecified())
        };
        found.extend(address(2));
        found.extend(address(1).map(|network| Ipv4Addr::from(u32::from(network).saturating_add(1))));
    }
    found.sort_unstable();
    found.dedup();
    found
}

async fn answered(attempts: &Attempts) -> Vec<(IpAddr, u8)> {
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = names::named_in(&own);
    servers.extend(&attempts.name_servers);
    servers.sort_unstable();
    servers.dedup();
    let asked = servers
        .into_iter()
        .map(|server| async move { Some((server, names::response_code(server, &attempts.name).await?)) });
    join_all(asked).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_guessed_from_the_routes() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n\
                     eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n";
        assert_eq!(first_addresses(table), [Ipv4Addr::new(172, 17, 0, 1), Ipv4Addr::new(172, 18, 0, 1)]);
        assert!(first_addresses("Iface\n").is_empty());
    }

    #[tokio::test]
    async fn what_is_reached_and_what_refuses_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let mut reach = vec![open, closed];
        reach.sort_unstable();
        let attempts = Attempts { reach: reach.clone(), ..Attempts::default() };
        assert_eq!(reached(&attempts).await, reach);
    }

    #[test]
    fn files_are_opened_until_that_is_enough() {
        assert_eq!(open_files(5), 5);
    }
}
