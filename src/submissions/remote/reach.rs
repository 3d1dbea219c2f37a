//! Which addresses may be spoken to.
//!
//! A stranger chooses the host, and whoever owns its name chooses what it resolves to, at any moment anew.
//! So it is addresses that are judged, each time that a connection is made, and never names alone.

use std::net::IpAddr;
use std::sync::Arc;

use url::Host;

use crate::addresses::{Standing, forms, standing};
use crate::submissions::refusal::shown;

/// Which addresses may be spoken to: those that the whole Internet can reach, and what an admin allows.
/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    rules: Arc<[Rule]>,
}

#[derive(Clone, Debug)]
struct Rule {
    place: Place,
    /// Any port where there is none.
    port: Option<u16>,
    /// Written with `http://`: there may be no TLS.
    plain: bool,
}

#[derive(Clone, Debug)]
enum Place {
    /// In lower case, without a dot at the end.
    Name(String),
    /// All names that end so; it begins with the dot.
    Below(String),
    /// Addresses that have so many first bits in common with this one.
    Network(IpAddr, u8),
}

impl Reach {
    /// With what the setting `fetch.allowed_hosts` lists beyond the Internet: names (`git.example.org`; with
    /// all below one as `*.corp.example`) and addresses (`127.0.0.1`, `10.1.0.0/16`, `fd00::/8`). Names and
    /// single addresses may have a port (`registry.local:5000`, `[::1]:5000`), else all ports are meant; with
    /// `http://` in front, there may be a registry without TLS. A name opens no link-local addresses, where
    /// the metadata of clouds is; those have to be listed themselves.
    ///
    /// # Errors
    /// A sentence for the admin about the first entry that is none of these.
    pub fn new(allowed: &[String]) -> Result<Self, String> {
        let rules = allowed.iter().map(|entry| {
            Rule::read(entry.trim()).map_err(|why| {
                format!(
                    "`fetch.allowed_hosts`: {} is not a host ({why}); write entries such as `git.example.org`, \
                     `*.corp.example`, `10.1.0.0/16`, `registry.local:5000` or `http://registry.local:5000`.",
                    shown(entry.as_bytes())
                )
            })
        });
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Whether a connection may be made to an address that `host` (a name, or the address itself) has.
    pub(super) fn may(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let standing = standing(address);
        if standing == Standing::Global {
            return true;
        }
        let host = plain_name(host);
        self.rules.iter().filter(|rule| rule.port.is_none_or(|only| only == port)).any(|rule| {
            match &rule.place {
                Place::Network(network, bits) => {
                    forms(address).iter().any(|form| within(*form, *network, *bits))
                }
                Place::Name(name) => standing == Standing::Private && *name == host,
                Place::Below(end) => standing == Standing::Private && host.ends_with(end.as_str()),
            }
        })
    }

    /// Whether secrets and images may go to and from a host without TLS: it is this machine, or was listed
    /// with `http://`.
    pub(super) fn plain(&self, host: &str, port: u16) -> bool {
        let host = plain_name(host);
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback()) {
            return true;
        }
        let rules = self.rules.iter().filter(|rule| rule.plain && rule.port.unwrap_or(80) == port);
        rules.into_iter().any(|rule| match &rule.place {
            Place::Network(network, bits) => address.is_some_and(|address| within(address, *network, *bits)),
            Place::Name(name) => *name == host,
            Place::Below(end) => host.ends_with(end.as_str()),
        })
    }
}

fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl Rule {
    fn read(entry: &str) -> Result<Self, String> {
        let (plain, entry) = match entry.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err("there is no such scheme".into()),
            None => (false, entry),
        };
        // A bare address of IPv6 has colons of its own.
        if let Ok(address) = entry.parse::<IpAddr>() {
            return Ok(Self { place: Place::whole(address), port: None, plain });
        }
        if let Some((address, bits)) = entry.split_once('/') {
            return Ok(Self { place: Place::network(address, bits)?, port: None, plain });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => {
                let number = port.parse().ok().filter(|number| *number != 0);
                (host, Some(number.ok_or("its port is none")?))
            }
            None => (entry, None),
        };
        let place = match host.strip_prefix("*.") {
            Some(end) => Place::Below(format!(".{}", name(end)?)),
            None => match host.trim_matches(['[', ']']).parse() {
                Ok(address) => Place::whole(address),
                Err(_) => Place::Name(name(host)?),
            },
        };
        Ok(Self { place, port, plain })
    }
}

impl Place {
    fn whole(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::Network(address, if address.is_ipv4() { 32 } else { 128 })
    }

    fn network(address: &str, bits: &str) -> Result<Self, String> {
        let address: IpAddr = address.parse().map_err(|_| "what is before the `/` is no address")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most);
        let bits: u8 = bits.ok_or_else(|| format!("what is after the `/` is no number up to {most}"))?;
        let rest = u128::MAX.checked_shr(u32::from(128 - most + bits)).unwrap_or(0);
        if number(address) & rest != 0 {
            return Err(format!("the address has more than {bits} bits"));
        }
        Ok(Self::Network(address, bits))
    }
}

/// A name as it is looked up: in lower case, other scripts as `xn--…`.
fn name(written: &str) -> Result<String, String> {
    let letters = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    match Host::parse(written) {
        Ok(Host::Domain(name)) if written.chars().all(letters) && !written.starts_with('.') => {
            Ok(plain_name(&name))
        }
        _ => Err("that is neither a name nor an address".into()),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let width = if network.is_ipv4() { 32 } else { 128 };
    let apart = number(address) ^ number(network);
    address.is_ipv4() == network.is_ipv4() && apart.checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests;
