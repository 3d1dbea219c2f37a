use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn reach(entries: &[&str]) -> Reach {
    Reach::new(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

const GLOBAL: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "140.82.121.3",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:82a::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
];

const NOT_GLOBAL: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:fbff:f5ff:fffe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:0a00:0001::1",
    "2002:808:808::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
];

#[test]
fn only_what_the_internet_reaches_is_spoken_to() {
    let reach = reach(&[]);
    for text in GLOBAL {
        assert!(reach.may("host.example", 443, address(text)), "{text}");
    }
    for text in NOT_GLOBAL {
        assert!(!reach.may("host.example", 443, address(text)), "{text}");
        assert!(!reach.may(text, 443, address(text)), "{text}");
    }
}

#[test]
fn what_an_admin_lists_is_open() {
    let reach = reach(&[
        "git.local",
        "*.Corp.Example",
        "10.1.0.0/16",
        "127.0.0.1:5000",
        "registry.local:5000",
        "fd00:1::/32",
        "[::1]:8080",
    ]);
    for (host, port, to, open) in [
        ("git.local", 80, "10.0.0.1", true),
        ("GIT.local.", 8443, "127.0.0.1", true),
        ("git.local", 80, "169.254.169.254", false),
        ("git.local", 80, "0.0.0.0", false),
        ("evil-git.local", 80, "10.0.0.1", false),
        ("git.local.evil.example", 80, "10.0.0.1", false),
        ("a.b.corp.example", 443, "192.168.3.4", true),
        ("corp.example", 443, "192.168.3.4", false),
        ("evilcorp.example", 443, "192.168.3.4", false),
        ("rebound.example", 443, "10.1.255.255", true),
        ("rebound.example", 443, "10.2.0.0", false),
        ("rebound.example", 443, "::ffff:10.1.0.1", true),
        ("rebound.example", 443, "64:ff9b::10.1.0.1", true),
        ("127.0.0.1", 5000, "127.0.0.1", true),
        ("127.0.0.1", 5001, "127.0.0.1", false),
        ("127.0.0.1", 5000, "127.0.0.2", false),
        ("registry.local", 5000, "172.17.0.1", true),
        ("registry.local", 22, "172.17.0.1", false),
        ("x.example", 1, "fd00:1:ffff::", true),
        ("x.example", 1, "fd00:2::", false),
        ("[::1]", 8080, "::1", true),
        ("[::1]", 8081, "::1", false),
    ] {
        assert_eq!(reach.may(host, port, address(to)), open, "{host}:{port} at {to}");
    }
    let all = super::Reach::new(&["0.0.0.0/0".into(), "::/0".into()]).unwrap();
    for text in NOT_GLOBAL {
        assert!(all.may("x", 1, address(text)), "{text}");
    }
}

#[test]
fn without_tls_only_this_machine_and_what_is_listed_so() {
    let reach = reach(&[
        "http://registry.local:5000",
        "http://plain.local",
        "other.local:5000",
        "http://10.9.0.1:80",
    ]);
    for (host, port, plain) in [
        ("localhost", 5000, true),
        ("127.0.0.1", 80, true),
        ("[::1]", 80, true),
        ("registry.local", 5000, true),
        ("Registry.local.", 5000, true),
        ("registry.local", 80, false),
        ("plain.local", 80, true),
        ("plain.local", 81, false),
        ("other.local", 5000, false),
        ("10.9.0.1", 80, true),
        ("10.9.0.2", 80, false),
        ("example.org", 80, false),
    ] {
        assert_eq!(reach.plain(host, port), plain, "{host}:{port}");
    }
}

#[test]
fn a_bad_entry_is_a_sentence() {
    for (entry, why) in [
        ("", "neither a name nor an address"),
        ("a b", "neither a name nor an address"),
        ("*", "neither a name nor an address"),
        ("*.", "neither a name nor an address"),
        ("a.*.b", "neither a name nor an address"),
        (".example.org", "neither a name nor an address"),
        ("127.1", "neither a name nor an address"),
        ("0x7f000001", "neither a name nor an address"),
        ("me@host", "neither a name nor an address"),
        ("10.1.2.3/16", "more than 16 bits"),
        ("10.0.0.0/33", "no number up to 32"),
        ("fd00::/129", "no number up to 128"),
        ("host/path", "no address"),
        ("http://host/", "no address"),
        ("ftp://host", "scheme"),
        ("host:0", "port"),
        ("host:99999", "port"),
        ("host:", "port"),
    ] {
        let error = Reach::new(&[entry.to_owned()]).expect_err(entry);
        assert!(error.contains(why) && error.contains("fetch.allowed_hosts"), "{entry}: {error}");
    }
}

proptest! {
    /// However an address of IPv4 is written as one of IPv6, it is open only where it is itself.
    #[test]
    fn no_form_of_an_address_is_a_way_around(bits: u32) {
        let reach = Reach::default();
        let inner = Ipv4Addr::from_bits(bits);
        let open = reach.may("x", 443, inner.into());
        let low = u128::from(bits);
        for (prefix, shift) in [
            (0, 0),                              // compatible
            (0xffff << 32, 0),                   // mapped
            (0xffff << 48, 0),                   // translated
            (0x0064_ff9b << 96, 0),              // NAT64
            (0x0064_ff9b_0001 << 80, 0),         // NAT64 of a network's own
            (0x2002 << 112, 80),                 // 6to4
            (0x2001_0000 << 96, 64),             // Teredo, its server
            (0x2001_0000 << 96, 0),              // Teredo, its client
        ] {
            let outer = Ipv6Addr::from_bits(prefix | low << shift);
            prop_assert!(open || !reach.may("x", 443, outer.into()), "{outer}");
        }
    }

    /// What lies in a listed network is open, what lies beside it is as without the list.
    #[test]
    fn networks_end_where_they_say(network: u32, bits in 0u8..=32, other: u32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let entry = format!("{}/{bits}", Ipv4Addr::from_bits(network & mask));
        let reach = Reach::new(&[entry]).unwrap();
        let inside = Ipv4Addr::from_bits((network & mask) | (other & !mask));
        prop_assert!(reach.may("x", 1, inside.into()));
        let beside = Ipv4Addr::from_bits(other);
        if (other ^ network) & mask != 0 {
            prop_assert_eq!(reach.may("x", 1, beside.into()), Reach::default().may("x", 1, beside.into()));
        }
    }
}
