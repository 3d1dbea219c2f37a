//! Networks, and how services stand on them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::super::finding::Origin;
use super::json::{is_default, is_false};

/// A network. None of them has a way out here, `internal` or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Where it is written; where a service first needs it, if it is nowhere.
    pub origin: Origin,
    /// Whether the student said that it has no way out.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Whether IPv6 was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Its addresses; none: the engine chooses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
}

/// Addresses of a network (`ipam.config`); each is an address or a subnet in its usual form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// `172.28.0.0/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The part of it that containers get addresses from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// The gateway's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Addresses that no container gets, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub aux_addresses: IndexMap<String, String>,
}

/// How a service stands on one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Names beside the service's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<Ipv6Addr>,
    /// `02:42:ac:11:65:43`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// The network of the highest number is the container's first one.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i64,
    /// The network of the highest number gives the default route.
    #[serde(skip_serializing_if = "is_default")]
    pub gw_priority: i64,
}

/// Which network a service's containers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// The project's networks that it names, [`super::Service::networks`].
    #[default]
    Networks,
    /// None but the loopback.
    None,
    /// That of another service's container: same addresses, same ports, same loopback.
    Service(String),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Networks => f.write_str("networks"),
            Self::None => f.write_str("none"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl Serialize for NetworkMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A port that the student publishes. It never is; checks may ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Where it is written.
    pub origin: Origin,
    /// In the container.
    pub target: u16,
    /// On the machine: a port, a range of them, or nothing where any would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// The address of the machine that it is published on, where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}
