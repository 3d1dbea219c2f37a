//! Which sockets listen in this network namespace, from `/proc/net` (proc(5)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sandbox::network::Listener;

/// `st` of a TCP socket that listens (`TCP_LISTEN` in Linux's `net/tcp_states.h`).
const LISTEN: &str = "0A";
/// `st` of a UDP socket without a peer.
const UNCONNECTED: &str = "07";
/// Where the engine's own resolver listens inside every container's namespace.
const ENGINE_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// All listening sockets but those of the engine's resolver, sorted.
pub(in crate::sandbox) fn listeners() -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for (table, udp) in [("tcp", false), ("tcp6", false), ("udp", true), ("udp6", true)] {
        let text = read(table)?;
        let state = if udp { UNCONNECTED } else { LISTEN };
        found.extend(bound(&text, state).map(|(address, port)| Listener { udp, address, port }));
    }
    found.retain(|listener| listener.address != ENGINE_RESOLVER);
    found.sort_unstable_by_key(|listener| (listener.udp, listener.port, listener.address));
    found.dedup();
    Ok(found)
}

/// Whether a TCP socket listens on `port`, on any address but the engine's resolver's.
pub(super) fn listens(port: u16) -> io::Result<bool> {
    for table in ["tcp", "tcp6"] {
        let text = read(table)?;
        if bound(&text, LISTEN).any(|(address, bound)| bound == port && address != ENGINE_RESOLVER) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(table: &str) -> io::Result<String> {
    match std::fs::read_to_string(format!("/proc/self/net/{table}")) {
        // A kernel without IPv6 has no such table.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result,
    }
}

/// Local addresses of the sockets in `state`. Columns: number, local, remote, state, …
fn bound<'a>(table: &'a str, state: &'a str) -> impl Iterator<Item = (IpAddr, u16)> + 'a {
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let local = columns.next()?;
        (columns.nth(1)? == state).then(|| address(local)).flatten()
    })
}

/// `0100007F:1F90` is 127.0.0.1:8080: words in the machine's byte order, the port as it is read.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for start in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let address = if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        IpAddr::V4(Ipv4Addr::from(v4))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(address("0100007F:1F90"), Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 8080)));
        assert_eq!(
            address("00000000000000000000000001000000:0050"),
            Some((IpAddr::V6(Ipv6Addr::LOCALHOST), 80))
        );
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("01:50"), None);
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(listens(port).unwrap());
        let wanted = Listener { udp: false, address: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
        assert!(listeners().unwrap().contains(&wanted));
        drop(socket);
        assert!(!listens(port).unwrap());
    }
}
