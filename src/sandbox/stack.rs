//! A stack: services on a network of their own.
//!
//! `grading` prepares one while it builds and starts it when the image is there. This file is the
//! only place that knows how a service gets its network: normally it joins the namespace of a pod
//! of ours; under a runtime that keeps the interface to itself (gVisor) it stands on the network by
//! itself, and one pod beside it asks the questions for all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig,
};
use futures::future::try_join_all;
use indexmap::IndexMap;
use regex::Regex;
use uuid::Uuid;

use super::container::Container;
use super::engine::EngineInner;
use super::error::Error;
use super::limits::{self, Limits};
use super::network::Silence;
use super::output::{LogSink, Recorder};
use super::owned::{Ledger, Sandbox};
use super::pod::{self, Place, Pod, Probe};
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::service::Service;

/// What a stack consists of. One service is built from the submission, others are companions.
#[derive(Clone, Debug)]
pub struct StackSpec {
    /// By name, in the order in which they are reported. All start at the same time.
    pub services: IndexMap<String, ServiceSpec>,
}

/// One service. Everything not said here is what the sandbox's rules make it.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Image id or reference; `None`: the image under test, given when the stack starts.
    pub image: Option<String>,
    /// Beside what the image sets.
    pub env: IndexMap<String, String>,
    /// Instead of the image's CMD.
    pub command: Option<Vec<String>>,
    /// Instead of the image's ENTRYPOINT (its CMD is then not used either).
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's USER.
    pub user: Option<String>,
    /// Capabilities that the exercise declares, such as `NET_BIND_SERVICE`, without `CAP_`.
    pub cap_add: Vec<String>,
    /// The image's file system cannot be written.
    pub read_only: bool,
    /// The engine's init is PID 1.
    pub init: bool,
    /// Paths with an empty in-memory file system and its size in bytes.
    pub tmpfs: BTreeMap<String, u64>,
    /// When the service counts as started.
    pub ready: Ready,
}

impl StackSpec {
    /// The service that is meant where none is named: `app`, or the first.
    #[must_use]
    pub fn main_service(&self) -> Option<&str> {
        main_service(&self.services)
    }
}

fn main_service<T>(services: &IndexMap<String, T>) -> Option<&str> {
    services.get_key_value(WARM_SERVICE).or_else(|| services.first()).map(|(name, _)| name.as_str())
}

/// When a service counts as ready for its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// As soon as its process was started.
    Started,
    /// A process listens on this TCP port (on any address), at the latest after `within`.
    Port {
        /// The port.
        port: u16,
        /// After this it is not waited any longer.
        within: Duration,
    },
    /// This line (regex, unanchored) was printed, at the latest after `within`.
    Log {
        /// Searched in stdout and stderr; `^` and `$` match at lines.
        pattern: String,
        /// After this it is not waited any longer.
        within: Duration,
    },
    /// It ended by itself, at the latest after `within`.
    Exited {
        /// After this it is not waited any longer.
        within: Duration,
    },
}

/// The one service name for which warm pods are kept.
pub(super) const WARM_SERVICE: &str = "app";

/// Whether containers of this runtime can join the network namespace of a pod. Only known ones
/// are believed; others work with a pod beside.
pub(super) fn shares_namespaces(runtime: &str) -> bool {
    matches!(runtime, "runc" | "crun")
}

/// Where a service's network is, and from where questions about it are asked.
#[derive(Clone)]
pub(super) enum Ground {
    /// In a pod of its own.
    Pod { container: String, address: IpAddr, probe: Arc<Probe> },
    /// On the network by itself; the probe is a pod beside it.
    Beside { network: String, probe: Arc<Probe> },
}

impl Ground {
    pub(super) fn probe(&self) -> &Probe {
        match self {
            Self::Pod { probe, .. } | Self::Beside { probe, .. } => probe,
        }
    }
}

/// Network and pods of a stack whose containers have not been started yet.
pub struct Prepared {
    ledger: Arc<Ledger>,
    limits: Limits,
    spec: StackSpec,
    grounds: IndexMap<String, Ground>,
}

impl Sandbox {
    /// Makes network and pods while something else goes on, or takes them from the pool.
    /// Call [`Prepared::start`] when the image is there.
    ///
    /// # Errors
    /// When the engine cannot make them.
    pub async fn prepare(&self, spec: &StackSpec) -> Result<Prepared, Error> {
        let mut names = spec.services.keys();
        let warm = match (names.next(), names.next()) {
            (Some(only), None) if only == WARM_SERVICE => self.engine.pool.take(&self.ledger).await,
            _ => None,
        };
        let grounds = match warm {
            Some(ground) => IndexMap::from([(WARM_SERVICE.to_owned(), ground)]),
            None => grounds(&self.ledger, spec.services.keys()).await?,
        };
        Ok(Prepared {
            ledger: Arc::clone(&self.ledger),
            limits: self.limits.clone(),
            spec: spec.clone(),
            grounds,
        })
    }
}

/// Makes a network and what stands on it before the services do.
pub(super) async fn grounds(
    ledger: &Arc<Ledger>,
    services: impl Iterator<Item = &String>,
) -> Result<IndexMap<String, Ground>, Error> {
    let network = create_network(ledger).await?;
    if shares_namespaces(&ledger.engine.settings.runtime) {
        let pods = services.map(|service| {
            let network = &network;
            async move {
                let pod = Pod::start(ledger, &Place { network, service: Some(service) }).await?;
                let Pod { container, address, probe } = pod;
                Ok::<_, Error>((service.clone(), Ground::Pod { container, address, probe }))
            }
        });
        return Ok(try_join_all(pods).await?.into_iter().collect());
    }
    let pod = Pod::start(ledger, &Place { network: &network, service: None }).await?;
    let beside = |service: &String| {
        (service.clone(), Ground::Beside { network: network.clone(), probe: Arc::clone(&pod.probe) })
    };
    Ok(services.map(beside).collect())
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

impl Prepared {
    /// Starts the services and waits until each is [`Ready`] (or ended, or its `within` passed:
    /// that is not an error, checks will see it). `image` is the image under test; `inspected` are the
    /// services whose processes will be looked at.
    ///
    /// # Errors
    /// [`StartError::Refused`] where the image, as it is, cannot be started.
    pub async fn start(
        self,
        image: &str,
        log: LogSink,
        inspected: &HashSet<&str>,
    ) -> Result<Stack, StartError> {
        let Self { ledger, limits, spec, grounds } = self;
        let alone = spec.services.len() == 1;
        let starts = spec.services.iter().map(|(name, service)| {
            let body = body(&ledger.engine, name, service, image, &limits, &grounds[name]);
            let recorder = Recorder::new(limits.log_bytes, name, Some(Arc::clone(&log)));
            let (ledger, limits, ground) = (&ledger, &limits, grounds[name].clone());
            async move {
                let container = Container::create(ledger, name, body, recorder, limits.disk_bytes).await?;
                let service = Service::new(ledger, container, ground, service.clone(), limits.clone(), alone);
                Box::pin(service.start_looked_into(inspected.contains(name.as_str()))).await?;
                Ok::<_, StartError>((name.clone(), service))
            }
        });
        let services = try_join_all(starts).await?.into_iter().collect();
        Ok(Stack { services })
    }
}

/// A service's container, field by field from our own types.
fn body(
    engine: &EngineInner,
    name: &str,
    service: &ServiceSpec,
    image: &str,
    limits: &Limits,
    ground: &Ground,
) -> ContainerCreateBody {
    let (network_mode, hostname, networking_config) = match ground {
        Ground::Pod { container, .. } => (format!("container:{container}"), None, None),
        Ground::Beside { network, .. } => {
            let endpoint =
                EndpointSettings { aliases: Some(vec![name.to_owned()]), ..EndpointSettings::default() };
            let endpoints = HashMap::from([(network.clone(), endpoint)]);
            let networking = NetworkingConfig { endpoints_config: Some(endpoints) };
            (network.clone(), Some(name.to_owned()), Some(networking))
        }
    };
    let tmpfs = service.tmpfs.iter().map(|(path, bytes)| (path.clone(), format!("size={bytes}")));
    ContainerCreateBody {
        image: Some(service.image.clone().unwrap_or_else(|| image.to_owned())),
        hostname,
        env: Some(service.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        user: service.user.clone(),
        networking_config,
        host_config: Some(HostConfig {
            network_mode: Some(network_mode),
            readonly_rootfs: Some(service.read_only),
            init: Some(service.init),
            tmpfs: Some(tmpfs.collect()),
            ..limits::student(limits, &service.cap_add, &engine.settings.runtime)
        }),
        ..ContainerCreateBody::default()
    }
}

/// The address of a service that has just been started.
pub(super) async fn address(
    engine: &EngineInner,
    container: &Container,
    ground: &Ground,
) -> Result<IpAddr, Error> {
    match ground {
        Ground::Pod { address, .. } => Ok(*address),
        Ground::Beside { network, .. } => match pod::address(engine, &container.id, network).await {
            Ok(address) => Ok(address),
            // One that has ended already has no address any more; questions to it find nobody.
            Err(_) if !container.is_running() => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Err(error) => Err(error),
        },
    }
}

/// Waits until a started service is ready, has ended, or its time is over.
pub(super) async fn wait_ready(
    container: &Container,
    ground: &Ground,
    address: IpAddr,
    ready: &Ready,
) -> Result<(), Error> {
    let (within, ready) = match ready {
        Ready::Started => return Ok(()),
        Ready::Port { port, within } => {
            let ask = match ground {
                Ground::Pod { .. } => Ask::WaitForPort { port: *port },
                Ground::Beside { .. } => Ask::WaitForConnection { address: SocketAddr::new(address, *port) },
            };
            tokio::select! {
                () = container.ended() => return Ok(()),
                answer = ground.probe().ask(ask, *within) => return match answer? {
                    Reply::Connected { .. } | Reply::Silent(Silence::TimedOut) => Ok(()),
                    other => Err(unexpected(&other)),
                },
            }
        }
        Ready::Exited { within } => (*within, None),
        Ready::Log { pattern, within } => {
            let pattern = regex::RegexBuilder::new(pattern).multi_line(true).build().map_err(|error| {
                Error::Unfit(format!("the pattern of a service's `ready` cannot be used ({error})"))
            })?;
            (*within, Some(pattern))
        }
    };
    let waiting = async {
        match ready {
            None => container.ended().await,
            Some(pattern) => tokio::select! {
                () = container.ended() => {}
                () = printed(container, &pattern) => {}
            },
        }
    };
    // Not ready in time is for the checks to see.
    let _ = tokio::time::timeout(within, waiting).await;
    Ok(())
}

async fn printed(container: &Container, pattern: &Regex) {
    let mut progress = container.output.progress();
    loop {
        let output = container.output.output();
        if pattern.is_match(&output.stdout) || pattern.is_match(&output.stderr) {
            return;
        }
        if progress.changed().await.is_err() {
            return;
        }
        // One that prints without pause is not searched for every piece.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A probe's answer to another question than the one asked.
pub(super) fn unexpected(reply: &Reply) -> Error {
    let mut cause = format!("{reply:?}");
    cause.truncate(cause.floor_char_boundary(200));
    Error::Engine { action: "do what a probe was asked".into(), cause }
}

/// Running services on a network of their own.
pub struct Stack {
    services: IndexMap<String, Service>,
}

impl Stack {
    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// The one that is meant where none is named.
    #[must_use]
    pub fn main_service(&self) -> Option<&Service> {
        main_service(&self.services).and_then(|name| self.services.get(name))
    }

    /// All services, in the order of the stack's description.
    #[must_use]
    pub fn services(&self) -> Vec<&Service> {
        self.services.values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_no_address_whatever_the_engine() {
        assert!(isolation("20.10.24+dfsg1").contains_key("com.docker.network.bridge.inhibit_ipv4"));
        assert!(isolation("26.1.4").contains_key("com.docker.network.bridge.inhibit_ipv4"));
        let new = isolation("28.0.0");
        assert_eq!(new["com.docker.network.bridge.gateway_mode_ipv4"], "isolated");
        assert!(!new.contains_key("com.docker.network.bridge.inhibit_ipv4"));
    }
}
