//! Trying to reach one service from another, at each of its addresses.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;

use super::Fault;
use super::diagnosis::told;
use super::shell::line;
use crate::sandbox::{Service, Silence};

/// What is wrong with a port that is asked for.
pub(super) fn port_mistakes(port: u16, mistakes: &mut Vec<String>) {
    if port == 0 {
        mistakes.push("`port: 0` is no port".into());
    }
}

/// One address that was tried.
pub(super) struct Attempt {
    /// The stack's name of the network that the address is on.
    network: String,
    target: String,
    pub(super) address: SocketAddr,
    pub(super) answer: Result<Duration, Silence>,
}

/// Tries a TCP port at every address of every container of a service, from the network namespace of
/// another.
pub(super) async fn attempts(
    from: &Service,
    to: &[Service],
    port: u16,
    within: Duration,
) -> Result<Vec<Attempt>, Fault> {
    let addresses = to.iter().flat_map(|service| {
        let own = service.addresses().into_iter();
        own.map(|(network, address)| (service.host_name(), network, SocketAddr::new(address, port)))
    });
    let tries = addresses.map(|(target, network, address)| async move {
        let answer = from.connect_to(address, within).await?;
        Ok::<_, Fault>(Attempt { network, target: target.to_owned(), address, answer })
    });
    try_join_all(tries).await
}

/// What an attempt came to.
pub(super) fn outcome(answer: &Result<Duration, Silence>) -> String {
    match answer {
        Ok(took) => format!("connected after {}", told(*took)),
        Err(Silence::Refused) => "refused: nothing listens there".into(),
        Err(Silence::TimedOut) => "no answer".into(),
        Err(Silence::UnknownName) => "the name is not known".into(),
        Err(Silence::Garbled(how)) => how.clone(),
    }
}

/// The attempts, one on a line.
pub(super) fn table(from: &Service, attempts: &[Attempt]) -> String {
    let mut table = String::new();
    for Attempt { network, target, address, answer } in attempts {
        let _ = writeln!(
            table,
            "{} -> {target} at {address} (network {network}): {}",
            from.host_name(),
            outcome(answer)
        );
    }
    table
}

/// A command line that starts both services and tries the port by the other's name.
pub(super) fn command(from: &Service, to: &Service, port: u16) -> String {
    let start = |service: &Service| service.reproduce(&line(["-d", "--name", service.host_name()]));
    format!("{} && {} && sleep 1 && {}", start(to), start(from), try_line(from, to, port))
}

/// A command line that tries a port of a service from the network of another; both run.
pub(super) fn try_line(from: &Service, to: &Service, port: u16) -> String {
    let try_it = format!("nc -w 2 {} {port} </dev/null && echo reached", to.name());
    let network = format!("container:{}", from.host_name());
    line(["docker", "run", "--rm", "--network", &network, "busybox:1.37", "sh", "-c", &try_it])
}
