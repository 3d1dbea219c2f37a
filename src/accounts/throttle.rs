//! How long failed sign-ins block further ones.
//!
//! Two keys are counted for every failure: the name, so that one password cannot be guessed from many
//! places, and the address, so that many names cannot be tried from one. A class room often shares
//! one address, so an address is given more tries than a name.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::names::name_key;

/// What failed sign-ins are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKey<'a> {
    /// The name as it was typed, whether or not somebody has it.
    Name(&'a str),
    /// Where the request came from. IPv6 counts by /64: that much belongs to one customer.
    Address(IpAddr),
}

/// Failures older than this are forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);
const FIRST_BLOCK: Duration = Duration::from_secs(10);
const LONGEST_BLOCK: Duration = Duration::from_mins(15);

impl SignInKey<'_> {
    /// Failures that cost nothing.
    #[must_use]
    pub fn free_failures(self) -> u32 {
        match self {
            Self::Name(_) => 5,
            Self::Address(_) => 30,
        }
    }

    /// How long the key is blocked after so many failures in a row: not at all at first, then 10 s,
    /// doubled with each further one up to 15 minutes.
    #[must_use]
    pub fn blocked_for(self, failures: u32) -> Option<Duration> {
        let beyond = failures.checked_sub(self.free_failures())?;
        Some(FIRST_BLOCK.saturating_mul(1 << beyond.min(16)).min(LONGEST_BLOCK))
    }

    /// Under which the store counts: a hash, so that it has one size whatever was typed.
    #[must_use]
    pub fn digest(self) -> [u8; 32] {
        match self {
            Self::Name(name) => Sha256::new_with_prefix("name:").chain_update(name_key(name)),
            Self::Address(IpAddr::V4(v4)) => Sha256::new_with_prefix("v4:").chain_update(v4.octets()),
            Self::Address(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
                Some(v4) => Sha256::new_with_prefix("v4:").chain_update(v4.octets()),
                None => Sha256::new_with_prefix("v6:").chain_update(&v6.octets()[..8]),
            },
        }
        .finalize()
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_and_end() {
        let name = SignInKey::Name("ada");
        let seconds: Vec<_> =
            (1..=14).map(|failures| name.blocked_for(failures).map_or(0, |block| block.as_secs())).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
        assert_eq!(name.blocked_for(u32::MAX), Some(LONGEST_BLOCK));
        assert_eq!(SignInKey::Address([127, 0, 0, 1].into()).blocked_for(29), None);
    }

    #[test]
    fn keys_are_told_apart_as_people_and_networks_are() {
        let digest = |address: &str| SignInKey::Address(address.parse().unwrap()).digest();
        assert_eq!(digest("2001:db8::1"), digest("2001:db8::ffff:2"));
        assert_ne!(digest("2001:db8::1"), digest("2001:db8:0:1::1"));
        assert_eq!(digest("192.0.2.1"), digest("::ffff:192.0.2.1"));
        assert_ne!(digest("192.0.2.1"), digest("192.0.2.2"));
        assert_eq!(SignInKey::Name(" ADA ").digest(), SignInKey::Name("ada").digest());
        assert_ne!(SignInKey::Name("192.0.2.1").digest(), digest("192.0.2.1"));
    }
}
