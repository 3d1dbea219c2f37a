//! One question to one name server, by hand (RFC 1035, 4.1): who answers is what counts, not what.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

/// How long an answer may take. The engine's own resolver asks others before it gives up.
const WITHIN: Duration = Duration::from_secs(3);
const ID: [u8; 2] = [0x44, 0x79];

/// The server found what was asked.
pub(in crate::sandbox) const FOUND: u8 = 0;
/// The server knows that there is no such name.
pub(in crate::sandbox) const NO_SUCH_NAME: u8 = 3;

/// The servers in a `resolv.conf` (resolv.conf(5)).
pub(in crate::sandbox) fn named_in(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|address| address.trim().parse().ok()).collect()
}

/// The response code of a server's answer to the question for a name's address; `None` without an answer.
pub(in crate::sandbox) async fn response_code(server: IpAddr, name: &str) -> Option<u8> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(SocketAddr::new(server, 53)).await.ok()?;
    socket.send(&question(name)).await.ok()?;
    let mut answer = [0; 512];
    let length = tokio::time::timeout(WITHIN, socket.recv(&mut answer)).await.ok()?.ok()?;
    code(&answer[..length])
}

fn question(name: &str) -> Vec<u8> {
    let mut packet = ID.to_vec();
    // A standard query that wants recursion, with one question.
    packet.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(63).min(63));
        packet.extend(label.bytes().take(63));
    }
    // The root; type A, class IN.
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// The low four bits of the fourth byte, if the packet is an answer to us.
fn code(packet: &[u8]) -> Option<u8> {
    let answers = packet.len() >= 12 && packet[..2] == ID && packet[2] & 0x80 != 0;
    answers.then(|| packet[3] & 0x0f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_put_as_the_rfc_says() {
        let packet = question("a.example");
        assert_eq!(packet[4..6], [0, 1]);
        assert_eq!(packet[12..], *b"\x01a\x07example\0\0\x01\0\x01");
    }

    #[test]
    fn name_servers_are_read() {
        let text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 127.0.0.53\nnameserver\t2001:db8::1\nnameserver x\n";
        let expected: Vec<IpAddr> = vec!["127.0.0.53".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(named_in(text), expected);
    }

    #[test]
    fn only_an_answer_to_us_counts() {
        let answer = |id: [u8; 2], flags: u8, code: u8| [&id[..], &[flags, code], &[0; 8]].concat();
        assert_eq!(super::code(&answer(ID, 0x81, 0x83)), Some(NO_SUCH_NAME));
        assert_eq!(super::code(&answer(ID, 0x01, 0)), None);
        assert_eq!(super::code(&answer([0, 0], 0x81, 0)), None);
        assert_eq!(super::code(&ID), None);
    }
}
