//! Networks, and everything of a service that is about names, addresses and ports.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::super::finding::{Kind, quoted};
use super::super::item::Value;
use super::super::model::{Attachment, Link, Network, NetworkMode, Pool, Port};
use super::super::scalars::whole;
use super::super::short;
use super::{Reader, View, text, texts};

/// A network of the project.
pub(in super::super) fn read_network(reader: &mut Reader<'_, '_>, network: &View<'_>) -> Network {
    if let Some(view) = network.get("external")
        && reader.external(&view)
    {
        let message = "it would be a network that other projects are on; leave `external` out, and the stack gets one \
                       of its own";
        reader.refuse(&view, "external", message);
    }
    if let Some(view) = network.get("driver") {
        let driver = view.text().unwrap_or_default();
        if !matches!(driver, "" | "bridge" | "default") {
            let message = format!(
                "a network of the driver {} would join the machine's own network or other machines; networks here are \
                 of the driver `bridge`, so leave `driver` out",
                quoted(driver)
            );
            reader.refuse(&view, "network-driver", message);
        }
    }
    if let Some(view) = network.get("driver_opts")
        && !view.is_off()
    {
        reader.ignore(
            &view,
            "driver_opts",
            "it has no effect here; how a network is made is decided by this server",
        );
    }
    for (key, why) in [
        ("attachable", "it has no effect here; nothing else can join the stack's networks"),
        ("enable_ipv4", "it has no effect here; networks have IPv4 addresses"),
        ("enable_ipv6", "it has no effect here; networks have IPv4 addresses"),
    ] {
        let on = reader.boolean(network, key);
        if let Some(view) = network.get(key)
            && (key != "enable_ipv6" || on == Some(true))
        {
            reader.ignore(&view, key, why);
        }
    }
    reader.own_name(network, "networks");
    Network {
        origin: network.key.clone(),
        internal: reader.boolean(network, "internal").unwrap_or_default(),
        enable_ipv6: reader.boolean(network, "enable_ipv6"),
        pools: reader.pools(network),
        labels: reader.labels(network),
    }
}

/// An address and how many of its bits are the network's.
pub(super) fn subnet(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

/// Whether the address lies in the subnet.
pub(super) fn contains(subnet: (IpAddr, u8), address: IpAddr) -> bool {
    let shift = |all: u32, bits: u8| all.saturating_sub(u32::from(bits));
    match (subnet.0, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let shift = shift(32, subnet.1);
            let cut = |bits: u32| bits.checked_shr(shift).unwrap_or_default();
            cut(net.to_bits()) == cut(address.to_bits())
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let shift = shift(128, subnet.1);
            let cut = |bits: u128| bits.checked_shr(shift).unwrap_or_default();
            cut(net.to_bits()) == cut(address.to_bits())
        }
        _ => false,
    }
}

/// Whether the whole subnet is one that nobody on the internet has (RFC 1918, RFC 4193).
fn is_private(subnet: (IpAddr, u8)) -> bool {
    [("10.0.0.0", 8_u8), ("172.16.0.0", 12), ("192.168.0.0", 16), ("fc00::", 7)].iter().any(|(net, bits)| {
        net.parse().is_ok_and(|net: IpAddr| subnet.1 >= *bits && contains((net, *bits), subnet.0))
    })
}

/// Why addresses of the student's choice are not given. The engine has each address once: a subnet that two
/// submissions write (and files of one course are alike) would belong to whoever is graded first, so that the
/// outcome of the other would depend on it; and a large one would take from all stacks what networks are made
/// of. A verdict may depend on neither.
const OWN_ADDRESSES: &str = "networks here get free addresses from this server, since two students may choose the same; \
                             services reach each other by their names";

/// Other services under other names.
pub(super) fn links(service: &View<'_>) -> Vec<Link> {
    texts(service, "links")
        .iter()
        .map(|link| match link.split_once(':') {
            Some((service, alias)) => Link { service: service.into(), alias: alias.into() },
            None => Link { service: link.clone(), alias: link.clone() },
        })
        .collect()
}

impl Reader<'_, '_> {
    fn pools(&mut self, network: &View<'_>) -> Vec<Pool> {
        let Some(ipam) = network.get("ipam") else { return Vec::new() };
        if let Some(view) = ipam.get("driver")
            && !matches!(view.text(), Some("" | "default"))
        {
            self.refuse(
                &view,
                "ipam-driver",
                "addresses are given by the engine itself here; leave `driver` out",
            );
        }
        if let Some(view) = ipam.get("options")
            && !view.is_off()
        {
            self.ignore(&view, "ipam-options", "it has no effect here");
        }
        let Some(config) = ipam.get("config") else { return Vec::new() };
        let mut pools = Vec::new();
        for entry in config.entries() {
            for key in ["subnet", "ip_range"] {
                let Some(view) = entry.get(key) else { continue };
                let written = view.text().unwrap_or_default();
                match subnet(written) {
                    None => {
                        let message =
                            format!("{} is no subnet; write one such as `172.28.0.0/16`", quoted(written));
                        self.refuse(&view, "subnet", message);
                    }
                    Some(net) if !is_private(net) => {
                        let message = format!(
                            "{} are addresses of somebody on the internet, and the machine would look for them in this \
                             stack; take a private subnet such as `172.28.0.0/16`",
                            quoted(written)
                        );
                        self.refuse(&view, "subnet", message);
                    }
                    Some(_) => {}
                }
            }
            if !entry.is_off() {
                self.tell(Kind::Rewritten, &entry, "subnet", OWN_ADDRESSES);
            }
            let aux = entry.get("aux_addresses");
            let aux: IndexMap<String, String> = aux
                .iter()
                .flat_map(View::fields)
                .filter_map(|(name, view)| Some((name.to_owned(), view.text()?.to_owned())))
                .collect();
            pools.push(Pool {
                subnet: text(&entry, "subnet"),
                ip_range: text(&entry, "ip_range"),
                gateway: self.address(&entry, "gateway").map(|address: IpAddr| address.to_string()),
                aux_addresses: aux,
            });
        }
        pools
    }

    fn address<T: std::str::FromStr>(&mut self, view: &View<'_>, key: &str) -> Option<T> {
        let view = view.get(key).filter(|view| !view.is_off())?;
        let written = view.text()?;
        let address = written.parse().ok();
        if address.is_none() {
            self.refuse(&view, "address", format!("{} is no such address", quoted(written)));
        }
        address
    }

    pub(super) fn networks(&mut self, service: &View<'_>) -> (NetworkMode, IndexMap<String, Attachment>) {
        let mut networks = IndexMap::new();
        if let Some(view) = service.get("networks") {
            for (name, entry) in view.names() {
                networks.insert(name.to_owned(), self.attachment(&entry));
            }
        }
        let mode = service.get("network_mode").filter(|view| !view.is_off());
        let Some(view) = mode else {
            if networks.is_empty() {
                networks.insert("default".to_owned(), Attachment::default());
            }
            return (NetworkMode::Networks, networks);
        };
        if !networks.is_empty() {
            let message = "`network_mode` and `networks` exclude each other; keep one of them";
            self.mistake(&view, "both", message);
        }
        let word = view.text().unwrap_or_default();
        let mode = match word.split_once(':') {
            None if word == "none" => NetworkMode::None,
            Some(("service", name)) => NetworkMode::Service(name.to_owned()),
            other => {
                let message = match other {
                    Some(("container", _)) => {
                        "it would share the network of a container that is not part of this project; make it a service \
                         and write `network_mode: service:NAME`"
                    }
                    None if word == "host" => {
                        "the container would be on the network of the machine, beside everything that runs there; leave \
                         it out, and services reach each other by their names"
                    }
                    None if matches!(word, "bridge" | "default") => {
                        "it would be docker's common network, which containers of others are on too; leave it out, and \
                         services reach each other by their names"
                    }
                    _ => {
                        "it would be a network outside of this project; leave it out, and use `networks` for networks of \
                         the project"
                    }
                };
                self.refuse(&view, "network_mode", message);
                NetworkMode::None
            }
        };
        (mode, IndexMap::new())
    }

    fn attachment(&mut self, entry: &View<'_>) -> Attachment {
        for key in ["driver_opts", "link_local_ips", "interface_name"] {
            if let Some(view) = entry.get(key)
                && !view.is_off()
            {
                self.ignore(
                    &view,
                    key,
                    "it has no effect here; how a network is made is decided by this server",
                );
            }
        }
        for alias in entry.get("aliases").iter().flat_map(View::entries) {
            self.host_name(&alias, alias.text().unwrap_or_default());
        }
        for key in ["ipv4_address", "ipv6_address"] {
            if let Some(view) = entry.get(key)
                && view.text().is_some_and(|address| address.parse::<IpAddr>().is_ok())
            {
                self.tell(Kind::Rewritten, &view, "fixed-address", OWN_ADDRESSES);
            }
        }
        Attachment {
            aliases: texts(entry, "aliases"),
            ipv4_address: self.address(entry, "ipv4_address"),
            ipv6_address: self.address(entry, "ipv6_address"),
            mac_address: self.mac_address(entry),
            priority: self.value(entry, "priority", whole).unwrap_or_default(),
            gw_priority: self.value(entry, "gw_priority", whole).unwrap_or_default(),
        }
    }

    pub(super) fn mac_address(&mut self, view: &View<'_>) -> Option<String> {
        let address = text(view, "mac_address")?;
        let parts: Vec<&str> = address.split([':', '-']).collect();
        let fits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let view = view.get("mac_address")?;
        if parts.len() == 6 && parts.iter().all(fits) {
            self.ignore(
                &view,
                "fixed-address",
                "it has no effect here; the engine gives each container an address",
            );
            return Some(address);
        }
        let message =
            format!("{} is no such address; write one such as `02:42:ac:11:65:43`", quoted(&address));
        self.refuse(&view, "address", message);
        None
    }

    /// Ports that are published, which here means told.
    pub(super) fn ports(&mut self, service: &View<'_>) -> Vec<Port> {
        let Some(view) = service.get("ports") else { return Vec::new() };
        let mut ports = Vec::new();
        for entry in view.entries() {
            let target = self.count(&entry, "target", 1).and_then(|port| u16::try_from(port).ok());
            let Some(target) = target else {
                let message = "the port of the container, `target`, is a number from 1 to 65535";
                self.mistake(&entry, "wrong-value", message);
                continue;
            };
            let protocol = text(&entry, "protocol").unwrap_or_else(|| "tcp".into());
            if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
                let message =
                    format!("{} is no protocol; there are `tcp`, `udp` and `sctp`", quoted(&protocol));
                self.refuse(&entry, "wrong-value", message);
                continue;
            }
            if let Some(view) = entry.get("published")
                && matches!(view.item.value, Value::Float(_))
            {
                let message = format!("{} is no port; write it without a point", view.item.described());
                self.mistake(&view, "wrong-value", message);
            }
            ports.push(Port {
                origin: entry.key.clone(),
                target,
                published: entry
                    .get("published")
                    .and_then(|view| view.item.printed())
                    .filter(|text| !text.is_empty()),
                host_ip: text(&entry, "host_ip"),
                protocol,
            });
        }
        if !ports.is_empty() {
            let message = "ports are not published on the machine, where they could collide with those of others; the \
                           checks reach the service inside of its network";
            self.tell(Kind::Rewritten, &view, "ports", message);
        }
        ports
    }

    pub(super) fn expose(&mut self, service: &View<'_>) -> Vec<String> {
        let Some(view) = service.get("expose") else { return Vec::new() };
        let mut exposed = Vec::new();
        for entry in view.entries() {
            let written = entry.item.printed().unwrap_or_default();
            match short::ports(&written) {
                Ok(_) if !written.contains(':') => exposed.push(written),
                _ => {
                    let message =
                        format!("{} is no port; write `80`, `8000-8005` or `53/udp`", quoted(&written));
                    self.refuse(&entry, "wrong-value", message);
                }
            }
        }
        exposed
    }

    /// Lines for `/etc/hosts`: `[name=1.2.3.4, name:1.2.3.4]` or `{name: 1.2.3.4}`.
    pub(super) fn extra_hosts(&mut self, service: &View<'_>) -> IndexMap<String, Vec<String>> {
        let mut hosts: IndexMap<String, Vec<String>> = IndexMap::new();
        let Some(view) = service.get("extra_hosts") else { return hosts };
        let mut lines: Vec<(String, String, View<'_>)> = Vec::new();
        for entry in view.entries() {
            let line = entry.text().unwrap_or_default();
            if let Some((name, addresses)) = line.split_once('=').or_else(|| line.split_once(':')) {
                let each = addresses.split(',');
                lines.extend(each.map(|address| (name.to_owned(), address.to_owned(), entry.clone())));
            } else {
                let message = format!("{} has no address; write `name=10.0.0.1`", quoted(line));
                self.mistake(&entry, "wrong-value", message);
            }
        }
        for (name, field) in view.fields() {
            match field.text() {
                Some(address) => lines.push((name.to_owned(), address.to_owned(), field)),
                None => lines.extend(
                    field
                        .entries()
                        .filter_map(|entry| Some((name.to_owned(), entry.text()?.to_owned(), entry.clone()))),
                ),
            }
        }
        for (name, address, view) in lines {
            let address =
                address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
            if name.is_empty() || name.contains([':', '=']) {
                self.mistake(&view, "wrong-value", format!("{} is no name of a host", quoted(&name)));
            } else if address == "host-gateway" {
                let message = "it has no effect here; the machine cannot be reached from a stack";
                self.ignore(&view, "host-gateway", message);
            } else if address.parse::<IpAddr>().is_err() {
                self.refuse(&view, "address", format!("{} is no address of a host", quoted(address)));
            } else {
                hosts.entry(name).or_default().push(address.to_owned());
            }
        }
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let net = |text: &str| subnet(text).unwrap();
        assert!(contains(net("172.28.0.0/16"), "172.28.5.5".parse().unwrap()));
        assert!(!contains(net("172.28.0.0/16"), "172.29.0.1".parse().unwrap()));
        assert!(contains(net("0.0.0.0/0"), "8.8.8.8".parse().unwrap()));
        assert!(contains(net("fd00::/8"), "fd12::1".parse().unwrap()));
        for (text, private) in [
            ("10.0.0.0/8", true),
            ("10.0.0.0/7", false),
            ("172.31.0.0/16", true),
            ("172.32.0.0/16", false),
            ("8.8.8.0/24", false),
            ("fd00::/64", true),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(is_private(net(text)), private, "{text}");
        }
        assert_eq!(subnet("10.0.0.0"), None);
        assert_eq!(subnet("10.0.0.0/33"), None);
    }
}
