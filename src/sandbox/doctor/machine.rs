//! The machine that the doctor runs on, as a stranger would look for it: its addresses, what listens on
//! them, whom it asks for names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::sandbox::probe::{names, sockets};

/// How many addresses and ports of the machine are tried at most: each of the one with each of the other.
const MOST_ADDRESSES: usize = 16;
const MOST_PORTS: usize = 6;
/// Where name servers are told; systemd-resolved keeps those that it asks itself in the second one.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Whether the engine runs on this machine, as far as its address tells.
pub(super) fn is_local(endpoint: &str) -> bool {
    endpoint.starts_with("unix://") || endpoint.starts_with('/')
}

/// A server on every address of this machine: who gets through to it, got through to the host.
pub(super) struct Door {
    pub(super) port: u16,
    _accepting: AbortOnDropHandle<()>,
}

impl Door {
    pub(super) async fn open() -> std::io::Result<Self> {
        // One socket for both families, where the machine has both.
        let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
        };
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Ok(Self { port, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// The ports by which the host is tried: ours, and some of those on which it listens for others. A firewall
    /// may let through the one and not the other.
    pub(super) fn ports(&self) -> Vec<u16> {
        let listening = sockets::listeners().unwrap_or_default();
        let open = listening.iter().filter(|listener| !listener.udp && !listener.address.is_loopback());
        let others: BTreeSet<u16> =
            open.map(|listener| listener.port).filter(|port| *port != self.port).collect();
        std::iter::once(self.port).chain(others.into_iter().take(MOST_PORTS - 1)).collect()
    }
}

/// Every address of this machine, with each of `ports`.
pub(super) fn own_sockets(ports: &[u16]) -> Vec<SocketAddr> {
    let addresses = own_addresses();
    addresses
        .into_iter()
        .flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, *port)))
        .collect()
}

/// Addresses of this machine, loopback left out, as the kernel's tables list them.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let v4 = addresses_v4(&read("/proc/net/fib_trie"));
    let v6 = addresses_v6(&read("/proc/net/if_inet6"));
    let half = MOST_ADDRESSES / 2;
    v4.into_iter().take(half).map(IpAddr::V4).chain(v6.into_iter().take(half).map(IpAddr::V6)).collect()
}

fn addresses_v4(table: &str) -> Vec<Ipv4Addr> {
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

/// Those of `/proc/net/if_inet6`: 32 hex digits begin each line.
pub(super) fn addresses_v6(table: &str) -> Vec<Ipv6Addr> {
    let mut found: Vec<Ipv6Addr> = table
        .lines()
        .filter_map(|line| u128::from_str_radix(line.get(..32)?, 16).ok())
        .map(Ipv6Addr::from)
        .filter(|address| !address.is_loopback())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whom this machine asks for names.
pub(super) fn name_servers() -> Vec<IpAddr> {
    let mut servers = Vec::new();
    for path in RESOLVERS {
        for server in names::named_in(&std::fs::read_to_string(path).unwrap_or_default()) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_kernels_tables() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.0.2.7\n        \
                     /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        \
                     /32 host LOCAL\n";
        assert_eq!(addresses_v4(table), [Ipv4Addr::new(192, 0, 2, 7)]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe800000000000000042a7fffecebfb3 05 40 20 80  docker0\n";
        assert_eq!(addresses_v6(table), ["fe80::42:a7ff:fece:bfb3".parse::<Ipv6Addr>().unwrap()]);
        assert!(addresses_v6("").is_empty());
    }

    #[tokio::test]
    async fn the_door_is_among_the_ports_and_open() {
        let door = Door::open().await.unwrap();
        assert_eq!(door.ports()[0], door.port);
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).await.unwrap();
    }
}
