//! A stack: services on networks of their own.
//!
//! `grading` prepares one while it builds and starts it when the image is there. What it consists of
//! is in `spec.rs`, where its services stand in `ground.rs`, what they keep in `volumes.rs`.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use indexmap::IndexMap;
use regex::Regex;

use super::container::Container;
use super::error::Error;
use super::ground::{self, Ground, Grounds, Networks};
use super::limits::Limits;
use super::network::Silence;
use super::order::{Order, Progress};
use super::output::LogSink;
use super::owned::{Ledger, Sandbox};
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::service::Service;
use super::spec::{self, Ready, StackSpec};
use super::volumes::Volumes;

/// Networks, volumes and pods of a stack whose containers have not been started yet.
pub struct Prepared {
    ledger: Arc<Ledger>,
    limits: Limits,
    spec: StackSpec,
    grounds: Grounds,
    volumes: Volumes,
    folders: HashMap<String, Bytes>,
    images: HashMap<String, String>,
}

/// What the services of a stack have in common.
pub(super) struct Common {
    pub(super) ledger: Arc<Ledger>,
    /// Of the whole stack, by which a service's own are bounded.
    pub(super) limits: Limits,
    /// Image id of what runs where a service names none.
    pub(super) image: String,
    pub(super) volumes: Volumes,
    pub(super) log: LogSink,
    pub(super) spec: StackSpec,
}

impl Sandbox {
    /// Makes networks, volumes and pods while something else goes on, or takes them from the pool.
    /// Call [`Prepared::start`] when the image is there.
    ///
    /// # Errors
    /// When the engine cannot make them.
    pub async fn prepare(&self, spec: &StackSpec) -> Result<Prepared, Error> {
        let grounds = async {
            if ground::is_common(spec)
                && let Some(warm) = self.engine.pool.take(&self.ledger).await
            {
                return Ok(warm);
            }
            Grounds::make(&self.ledger, spec).await
        };
        let (grounds, volumes) = tokio::try_join!(grounds, Volumes::make(&self.ledger, spec))?;
        Ok(Prepared {
            ledger: Arc::clone(&self.ledger),
            limits: self.limits.clone(),
            spec: spec.clone(),
            grounds,
            volumes,
            folders: HashMap::new(),
            images: HashMap::new(),
        })
    }
}

impl Prepared {
    /// The submitted folders that services mount: by the paths that the stack's description has for
    /// them, a tar of what is in each.
    #[must_use]
    pub fn with_folders(self, folders: HashMap<String, Bytes>) -> Self {
        Self { folders, ..self }
    }

    /// The images that services run that were built after this was prepared: ids by service.
    #[must_use]
    pub fn with_images(self, images: HashMap<String, String>) -> Self {
        Self { images, ..self }
    }

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
        let Self { ledger, limits, mut spec, mut grounds, volumes, folders, images } = self;
        for (name, image) in images {
            if let Some(service) = spec.services.get_mut(&name) {
                service.image = Some(image);
            }
        }
        volumes.fill(&ledger, &folders).await?;
        let common = Arc::new(Common { ledger, limits, image: image.to_owned(), volumes, log, spec });
        let made = common.spec.services.keys().map(|name| {
            let grounds = grounds.services.swap_remove(name).unwrap_or_default();
            let replicas = grounds
                .into_iter()
                .enumerate()
                .map(|(replica, ground)| Service::create(&common, name, replica, ground));
            let replicas = try_join_all(replicas);
            async move { Ok::<_, StartError>((name.clone(), replicas.await?)) }
        });
        let services: IndexMap<String, Vec<Service>> = try_join_all(made).await?.into_iter().collect();
        let order = Order::of(services.keys().map(String::as_str));
        let starts = services.iter().map(|(name, replicas)| {
            let looked_into = inspected.contains(name.as_str());
            start_in_order(&order, &services, name, replicas, looked_into)
        });
        try_join_all(starts).await?;
        Ok(Stack { services, networks: grounds.networks, ledger: Arc::clone(&common.ledger) })
    }
}

/// Starts the containers of a service as soon as what it depends on is as it should be.
async fn start_in_order(
    order: &Order,
    services: &IndexMap<String, Vec<Service>>,
    name: &str,
    replicas: &[Service],
    looked_into: bool,
) -> Result<(), StartError> {
    let Some(first) = replicas.first() else { return Ok(()) };
    let within = first.limits.run_time;
    if let Some(reason) = order.wait_for(&first.spec.depends_on, services, within).await? {
        for service in replicas {
            service.container().leave(reason.clone());
        }
        order.tell(name, Progress::NotStarted(reason));
        return Ok(());
    }
    let starting = replicas.iter().map(|service| Box::pin(service.launch(looked_into)));
    try_join_all(starting).await?;
    order.tell(name, Progress::Started);
    let waiting = replicas.iter().map(|service| Box::pin(service.settle_down(looked_into)));
    try_join_all(waiting).await?;
    Ok(())
}

/// Waits until a started service is ready (`true`), has ended for good, or its time is over. `address`
/// is where it is asked under a runtime without pods.
pub(super) async fn wait_ready(
    container: &Container,
    ground: &Ground,
    address: IpAddr,
    ready: &Ready,
) -> Result<bool, Error> {
    // Not ready in time is for the checks to see.
    match ready {
        // Of health the service itself knows.
        Ready::Started | Ready::Healthy { .. } => Ok(container.is_running()),
        Ready::Port { port, within } => {
            let ask = match ground {
                Ground::Pod { .. } => Ask::WaitForPort { port: *port },
                Ground::Beside { .. } => Ask::WaitForConnection { address: SocketAddr::new(address, *port) },
            };
            tokio::select! {
                () = container.gone() => Ok(false),
                answer = ground.probe().ask(ask, *within) => match answer? {
                    Reply::Connected { .. } => Ok(true),
                    Reply::Silent(Silence::TimedOut) => Ok(false),
                    other => Err(unexpected(&other)),
                },
            }
        }
        Ready::Exited { within } => Ok(tokio::time::timeout(*within, container.ended()).await.is_ok()),
        Ready::Log { pattern, within } => {
            let pattern = regex::RegexBuilder::new(pattern).multi_line(true).build().map_err(|error| {
                Error::Unfit(format!("the pattern of a service's `ready` cannot be used ({error})"))
            })?;
            let waiting = async {
                tokio::select! {
                    () = container.gone() => printed(container, &pattern),
                    () = until_printed(container, &pattern) => true,
                }
            };
            Ok(tokio::time::timeout(*within, waiting).await.unwrap_or(false))
        }
    }
}

/// Whether a line that fits was printed since the last start.
fn printed(container: &Container, pattern: &Regex) -> bool {
    let output = container.output.since_start();
    pattern.is_match(&output.stdout) || pattern.is_match(&output.stderr)
}

async fn until_printed(container: &Container, pattern: &Regex) {
    let mut progress = container.output.progress();
    while !printed(container, pattern) {
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

/// Running services on networks of their own.
pub struct Stack {
    /// The containers of each service, at least one.
    services: IndexMap<String, Vec<Service>>,
    pub(super) networks: Networks,
    pub(super) ledger: Arc<Ledger>,
}

impl Stack {
    /// The service of this name; of several containers of it the first.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)?.first()
    }

    /// All containers of the service of this name; none where there is no such service.
    #[must_use]
    pub fn replicas(&self, name: &str) -> &[Service] {
        self.services.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of its services.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The one that is meant where none is named.
    #[must_use]
    pub fn main_service(&self) -> Option<&Service> {
        spec::main_service(&self.services).and_then(|name| self.service(name))
    }

    /// All containers of all services, in the order of the stack's description.
    #[must_use]
    pub fn services(&self) -> Vec<&Service> {
        self.services.values().flatten().collect()
    }
}
