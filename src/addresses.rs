//! What an address is for, by IANA's registries of special-purpose addresses (RFC 6890 and later).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The whole Internet can reach it.
    Global,
    /// Of some network, or of this machine; a name in the list of an admin may lead there.
    Private,
    /// No place where anybody keeps something to fetch, or the place of a cloud's metadata.
    Closed,
}

use Standing::{Closed, Global, Private};

/// Blocks of IPv4 that are not global.
const V4: &[([u8; 4], u32, Standing)] = &[
    ([0, 0, 0, 0], 8, Closed),       // this network; 0.0.0.0 is this machine (RFC 791)
    ([10, 0, 0, 0], 8, Private),     // RFC 1918
    ([100, 64, 0, 0], 10, Private),  // shared by a provider's customers (RFC 6598)
    ([127, 0, 0, 0], 8, Private),    // this machine (RFC 1122)
    ([169, 254, 0, 0], 16, Closed),  // link-local (RFC 3927): metadata of clouds
    ([172, 16, 0, 0], 12, Private),  // RFC 1918
    ([192, 0, 0, 0], 24, Closed),    // protocols of the IETF (RFC 6890)
    ([192, 0, 2, 0], 24, Closed),    // documentation (RFC 5737)
    ([192, 88, 99, 0], 24, Closed),  // relays of 6to4, given up (RFC 7526)
    ([192, 168, 0, 0], 16, Private), // RFC 1918
    ([198, 18, 0, 0], 15, Private),  // benchmarks (RFC 2544)
    ([198, 51, 100, 0], 24, Closed), // documentation
    ([203, 0, 113, 0], 24, Closed),  // documentation
    ([224, 0, 0, 0], 4, Closed),     // multicast (RFC 5771)
    ([240, 0, 0, 0], 4, Closed),     // reserved (RFC 1112), broadcast
];

/// Blocks of IPv6 that are not global although they lie in `2000::/3`, and those outside of it that somebody
/// may have. Everything else outside of `2000::/3` was never given to anybody (RFC 4291, 2.4).
const V6: &[(Ipv6Addr, u32, Standing)] = &[
    (Ipv6Addr::LOCALHOST, 128, Private),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Private), // unique local (RFC 4193)
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Private), // site-local, given up (RFC 3879)
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Closed), // Teredo, ORCHID, benchmarks (RFC 2928)
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Closed), // documentation (RFC 3849)
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Closed), // 6to4, given up (RFC 7526)
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Closed), // documentation (RFC 9637)
];

/// What an address is for. One that stands for an address of IPv4 is for what that one is.
pub(crate) fn standing(address: IpAddr) -> Standing {
    match address {
        IpAddr::V4(address) => {
            let block = V4.iter().find(|(block, bits, _)| {
                (address.to_bits() ^ Ipv4Addr::from(*block).to_bits()) >> (32 - bits) == 0
            });
            block.map_or(Global, |(.., standing)| *standing)
        }
        IpAddr::V6(address) => {
            if let Some(inner) = embedded(address) {
                return standing(inner.into());
            }
            let block =
                V6.iter().find(|(block, bits, _)| (address.to_bits() ^ block.to_bits()) >> (128 - bits) == 0);
            let given = address.segments()[0] & 0xe000 == 0x2000;
            block.map_or(if given { Global } else { Closed }, |(.., standing)| *standing)
        }
    }
}

/// The address of IPv4 that a connection to this one of IPv6 ends at: mapped (RFC 4291, 2.5.5.2), or through
/// NAT64 (RFC 6052), as networks without IPv4 have it.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (prefix, low) = (address.to_bits() >> 32, address.to_bits() & u128::from(u32::MAX));
    let is_one = prefix == 0xffff || prefix == 0x0064_ff9b << 64;
    u32::try_from(low).ok().filter(|_| is_one).map(Ipv4Addr::from_bits)
}

/// An address, and what it stands for.
pub(crate) fn forms(address: IpAddr) -> [IpAddr; 2] {
    match address {
        IpAddr::V6(inner) => [address, embedded(inner).map_or(address, IpAddr::V4)],
        IpAddr::V4(_) => [address, address],
    }
}
