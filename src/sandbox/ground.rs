//! Where services stand: the networks of a stack, and who asks questions from where.
//!
//! This file is the only place that knows how a service gets its network: normally it joins the
//! namespace of a pod of ours, which stands on all of the service's networks; under a runtime that
//! keeps the interface to itself (gVisor) it stands on them by itself, and one pod beside it, on the
//! same networks, asks the questions for all that do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkConnectRequest, NetworkCreateRequest,
    NetworkingConfig,
};
use futures::future::try_join_all;
use indexmap::IndexMap;
use uuid::Uuid;

use super::container::Container;
use super::engine::EngineInner;
use super::error::Error;
use super::owned::Ledger;
use super::pod::{self, Place, Pod, Probe};
use super::spec::{MAIN_SERVICE, NetworkMode, ServiceSpec, StackSpec};

/// How long after a container's end we know of it at the latest.
const END_KNOWN: Duration = Duration::from_secs(2);

/// The engine's names of networks, by the stack's names for them.
pub(super) type Networks = IndexMap<String, String>;
/// Addresses by the stack's names of networks.
pub(super) type Addresses = IndexMap<String, IpAddr>;

/// Where one container of a service has its network, and from where questions about it are asked.
#[derive(Clone)]
pub(super) enum Ground {
    /// In a pod of its own.
    Pod { container: String, addresses: Addresses, probe: Arc<Probe> },
    /// On the networks by itself; the probe is a pod beside it.
    Beside { networks: Networks, probe: Arc<Probe> },
}

/// The networks of a stack and what stands on them before the services do.
pub(super) struct Grounds {
    pub(super) networks: Networks,
    /// One for each container, by service.
    pub(super) services: IndexMap<String, Vec<Ground>>,
}

/// Whether containers of this runtime can join the network namespace of a pod. Only known ones
/// are believed; others work with a pod beside.
pub(super) fn shares_namespaces(runtime: &str) -> bool {
    matches!(runtime, "runc" | "crun")
}

/// Whether a stack is the common one, for which warm pods are kept.
pub(super) fn is_common(spec: &StackSpec) -> bool {
    spec.networks.is_empty()
        && spec.services.len() == 1
        && spec.services.get(MAIN_SERVICE).is_some_and(|service| {
            let named = !service.aliases.is_empty()
                || service.hostname.is_some()
                || service.domainname.is_some()
                || !service.extra_hosts.is_empty()
                || !service.links.is_empty()
                || !service.dns_search.is_empty()
                || !service.dns_options.is_empty();
            !named && service.replicas <= 1 && service.network_mode == NetworkMode::Networks
        })
}

/// The host name of one of a service's containers.
pub(super) fn host_name(service: &str, spec: &ServiceSpec, replica: usize) -> String {
    if spec.replicas > 1 { format!("{service}-{}", replica + 1) } else { service.to_owned() }
}

/// Whether a service has its network from another one.
fn is_guest(service: &ServiceSpec) -> bool {
    matches!(service.network_mode, NetworkMode::Service(_))
}

impl Grounds {
    /// Makes networks and pods for the services of a stack.
    pub(super) async fn make(ledger: &Arc<Ledger>, spec: &StackSpec) -> Result<Self, Error> {
        let names = spec.network_names();
        let made = try_join_all(names.iter().map(|_| create_network(ledger))).await?;
        let networks: Networks = names.into_iter().map(str::to_owned).zip(made).collect();
        let standing = |service: &ServiceSpec| -> Networks {
            let own = spec.networks_of(service).into_iter();
            own.filter_map(|name| Some((name.to_owned(), networks.get(name)?.clone()))).collect()
        };
        let mut services = IndexMap::new();
        if shares_namespaces(&ledger.engine.settings.runtime) {
            let own = spec.services.iter().filter(|(_, service)| !is_guest(service));
            let pods = own.map(|(name, service)| {
                let own = standing(service);
                async move {
                    let pods = (0..service.replicas.max(1)).map(|replica| {
                        let host_name = host_name(name, service, replica as usize);
                        let own = &own;
                        async move {
                            let place = Place {
                                networks: own,
                                service: Some(name),
                                host_name: Some(&host_name),
                                spec: Some(service),
                            };
                            let Pod { container, addresses, probe } = Pod::start(ledger, &place).await?;
                            Ok::<_, Error>(Ground::Pod { container, addresses, probe })
                        }
                    });
                    Ok::<_, Error>((name.clone(), try_join_all(pods).await?))
                }
            });
            let made: IndexMap<String, Vec<Ground>> = try_join_all(pods).await?.into_iter().collect();
            for (name, service) in &spec.services {
                let ground = match &service.network_mode {
                    NetworkMode::Service(host) => {
                        let first = made.get(host).and_then(|grounds| grounds.first());
                        first.map(|first| vec![first.clone(); service.replicas.max(1) as usize])
                    }
                    _ => made.get(name).cloned(),
                };
                services.insert(name.clone(), ground.unwrap_or_default());
            }
        } else {
            // Services on the same networks see the same from them: one prober serves all of these.
            let mut probers: HashMap<Vec<String>, Arc<Probe>> = HashMap::new();
            for (name, service) in &spec.services {
                let own = standing(service);
                let mut key: Vec<String> = own.keys().cloned().collect();
                key.sort_unstable();
                let probe = if let Some(probe) = probers.get(&key) {
                    Arc::clone(probe)
                } else {
                    let place = Place { networks: &own, service: None, host_name: None, spec: None };
                    let probe = Pod::start(ledger, &place).await?.probe;
                    probers.insert(key, Arc::clone(&probe));
                    probe
                };
                let ground = Ground::Beside { networks: own, probe };
                services.insert(name.clone(), vec![ground; service.replicas.max(1) as usize]);
            }
        }
        Ok(Self { networks, services })
    }
}

impl Ground {
    pub(super) fn probe(&self) -> &Probe {
        match self {
            Self::Pod { probe, .. } | Self::Beside { probe, .. } => probe,
        }
    }

    /// Sets in a service's container what it has of its network.
    pub(super) fn settle(
        &self,
        body: &mut ContainerCreateBody,
        service: &str,
        host_name: &str,
        spec: &ServiceSpec,
    ) {
        let host = body.host_config.get_or_insert_with(HostConfig::default);
        let network_mode = match self {
            Self::Pod { container, .. } => format!("container:{container}"),
            Self::Beside { networks, .. } => {
                body.hostname = Some(spec.hostname.clone().unwrap_or_else(|| host_name.to_owned()));
                body.domainname.clone_from(&spec.domainname);
                *host = names(std::mem::take(host), Some(spec));
                let first = networks.values().next().cloned().unwrap_or_else(|| "none".into());
                if !networks.is_empty() {
                    let endpoints =
                        HashMap::from([(first.clone(), endpoint(service, host_name, Some(spec)))]);
                    body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
                }
                first
            }
        };
        host.network_mode = Some(network_mode);
    }

    /// Connects a container made with [`Self::settle`] to the networks that it could not be made on.
    pub(super) async fn connect(
        &self,
        engine: &EngineInner,
        container: &str,
        service: &str,
        host_name: &str,
        spec: &ServiceSpec,
    ) -> Result<(), Error> {
        match self {
            Self::Pod { .. } => Ok(()),
            Self::Beside { networks, .. } => {
                let endpoint = endpoint(service, host_name, Some(spec));
                connect(engine, container, networks.values().skip(1), &endpoint).await
            }
        }
    }

    /// The addresses of a container that has just been started.
    pub(super) async fn addresses(
        &self,
        engine: &EngineInner,
        container: &Container,
    ) -> Result<Addresses, Error> {
        match self {
            Self::Pod { addresses, .. } => Ok(addresses.clone()),
            Self::Beside { networks, .. } => match pod::addresses(engine, &container.id, networks).await {
                Ok(addresses) => Ok(addresses),
                // One that has ended already has no address any more; questions to it find nobody. Of the end itself we
                // may not have heard yet.
                Err(error) => match tokio::time::timeout(END_KNOWN, container.ended()).await {
                    Ok(()) => Ok(Addresses::new()),
                    Err(_) => Err(error),
                },
            },
        }
    }
}

/// How a service's container is known on a network: all of a service's by its name and its aliases, and
/// each of several by its own.
pub(super) fn endpoint(service: &str, host_name: &str, spec: Option<&ServiceSpec>) -> EndpointSettings {
    let mut aliases = vec![service.to_owned()];
    let further = spec.into_iter().flat_map(|spec| &spec.aliases).map(String::as_str);
    for name in std::iter::once(host_name).chain(further) {
        if !aliases.iter().any(|known| known == name) {
            aliases.push(name.to_owned());
        }
    }
    // The engine takes a link's name for one of the network, so that it holds for all containers of a service,
    // also for those that are started later.
    let links: Vec<String> = spec
        .into_iter()
        .flat_map(|spec| &spec.links)
        .filter(|link| link.alias != link.service)
        .map(|link| format!("{}:{}", link.service, link.alias))
        .collect();
    let links = (!links.is_empty()).then_some(links);
    EndpointSettings { aliases: Some(aliases), links, ..EndpointSettings::default() }
}

/// Whom the engine's resolver asks for names that the stack does not have: the loopback of the container itself,
/// where nobody answers. Where nothing is said it is the host's resolver, and where that is on the host's own
/// loopback (systemd-resolved) engines before 26 ask it from outside of the container, so that a stack without
/// a way out could send what it liked in names (CVE-2024-29018; tried on 20.10.24).
const NOBODY: &str = "127.0.0.1";

/// How whoever stands on a ground finds others: lines of `/etc/hosts` and of `/etc/resolv.conf`.
pub(super) fn names(host: HostConfig, spec: Option<&ServiceSpec>) -> HostConfig {
    let lines = |spec: &ServiceSpec| -> Vec<String> {
        let lines = spec.extra_hosts.iter();
        lines
            .flat_map(|(name, addresses)| addresses.iter().map(move |address| format!("{name}:{address}")))
            .collect()
    };
    HostConfig {
        extra_hosts: spec.map(lines),
        dns: Some(vec![NOBODY.into()]),
        dns_search: spec.map(|spec| spec.dns_search.clone()).filter(|search| !search.is_empty()),
        dns_options: spec.map(|spec| spec.dns_options.clone()).filter(|options| !options.is_empty()),
        ..host
    }
}

/// Connects a container that has not been started yet to further networks. Engines before API 1.44
/// take only one when the container is made.
pub(super) async fn connect(
    engine: &EngineInner,
    container: &str,
    networks: impl Iterator<Item = &String>,
    endpoint: &EndpointSettings,
) -> Result<(), Error> {
    for network in networks {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint.clone()),
        };
        let connecting = engine.docker.connect_network(network, request);
        engine.call("connect a container to a network", connecting).await?;
    }
    Ok(())
}

/// Makes an internal network on which the host has no address; says its name.
pub(super) async fn create_network(ledger: &Arc<Ledger>) -> Result<String, Error> {
    let name = format!("drydock-{}", Uuid::new_v4().simple());
    ledger
        .create_network(NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".into()),
            internal: Some(true),
            attachable: Some(false),
            enable_ipv6: Some(false),
            options: Some(isolation(&ledger.engine.facts.version)),
            ..NetworkCreateRequest::default()
        })
        .await?;
    Ok(name)
}

/// `internal` keeps containers from the outside but not from the host, which has an address on the
/// bridge. From Docker 27 on an isolated gateway mode takes that address away; before it, the bridge
/// driver can be told not to give the bridge one.
pub(super) fn isolation(engine_version: &str) -> HashMap<String, String> {
    let major: u32 = engine_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let options: &[(&str, &str)] = if major >= 27 {
        &[
            ("com.docker.network.bridge.gateway_mode_ipv4", "isolated"),
            ("com.docker.network.bridge.gateway_mode_ipv6", "isolated"),
        ]
    } else {
        &[("com.docker.network.bridge.inhibit_ipv4", "true")]
    };
    options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_resolver_outside_is_asked_for_anybody() {
        for spec in [None, Some(&ServiceSpec::default())] {
            assert_eq!(names(HostConfig::default(), spec).dns, Some(vec!["127.0.0.1".to_owned()]));
        }
    }

    #[test]
    fn the_host_has_no_address_whatever_the_engine() {
        assert!(isolation("20.10.24+dfsg1").contains_key("com.docker.network.bridge.inhibit_ipv4"));
        assert!(isolation("26.1.4").contains_key("com.docker.network.bridge.inhibit_ipv4"));
        let new = isolation("28.0.0");
        assert_eq!(new["com.docker.network.bridge.gateway_mode_ipv4"], "isolated");
        assert!(!new.contains_key("com.docker.network.bridge.inhibit_ipv4"));
    }
}
