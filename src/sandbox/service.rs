//! One service of a running stack, as checks see it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};

use super::container::{Container, Making, State};
use super::error::Error;
use super::files;
use super::ground::{self, Addresses, Ground};
use super::health::{self, HealthStatus};
use super::inspector::Inspector;
use super::limits::{self, Limits};
use super::network::Listener;
use super::output::{Output, Recorder};
use super::owned::Ledger;
use super::pod::PROMPT;
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::spec::{Ready, ServiceSpec};
use super::stack::{self, Common, unexpected};
use super::terminal;

/// How long a container has to end before it is killed where nothing is said (`docker stop`).
const GRACE: Duration = Duration::from_secs(10);

/// One service of a stack, or one of several containers of it: a pod of ours and the container in it.
pub struct Service {
    pub(super) ledger: Arc<Ledger>,
    pub(super) limits: Limits,
    pub(super) inspector: Inspector,
    pub(super) health: health::Watch,
    pub(super) ground: Ground,
    pub(super) common: Arc<Common>,
    pub(super) spec: ServiceSpec,
    name: String,
    host_name: String,
    present: RwLock<Present>,
}

/// What changes when its container is replaced.
struct Present {
    container: Arc<Container>,
    /// Known once it has been started.
    addresses: Addresses,
}

/// What became of a service that was asked to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whether it ended by itself before `within` had passed.
    pub by_itself: bool,
    /// Once it has ended.
    pub exit_code: Option<i64>,
    /// From the signal to the end.
    pub took: Duration,
    /// How long it was waited for: less than was asked for, where the service's own grace period is shorter.
    pub given: Duration,
}

impl Service {
    /// Makes the container of one replica of a service.
    pub(super) async fn create(
        common: &Arc<Common>,
        name: &str,
        replica: usize,
        ground: Ground,
    ) -> Result<Self, StartError> {
        let spec = common.spec.services.get(name).cloned().unwrap_or_default();
        let limits = common.limits.of(&spec.limits);
        let host_name = ground::host_name(name, &spec, replica);
        let part = Part { name, host_name: &host_name, spec: &spec, limits: &limits, ground: &ground };
        let container = make(common, &part).await?;
        Ok(Self {
            ledger: Arc::clone(&common.ledger),
            limits,
            inspector: Inspector::default(),
            health: health::Watch::default(),
            ground,
            common: Arc::clone(common),
            spec,
            name: name.to_owned(),
            host_name,
            present: RwLock::new(Present { container, addresses: Addresses::new() }),
        })
    }

    /// Its name in the stack.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its host name: its name in the stack, with a number where the service has several containers.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.host_name
    }

    /// What it is made from, as the stack describes it.
    #[must_use]
    pub fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    /// Its address on the first of its networks.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        first(&self.addresses())
    }

    /// Its addresses, by the names of the networks that it stands on.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.present.read().unwrap_or_else(PoisonError::into_inner).addresses.clone()
    }

    /// The names of the networks that it stands on.
    #[must_use]
    pub fn networks(&self) -> Vec<&str> {
        self.common.spec.networks_of(&self.spec)
    }

    /// Whether both stand on a network of the stack.
    #[must_use]
    pub fn shares_network(&self, other: &Self) -> bool {
        let others = other.networks();
        self.networks().iter().any(|network| others.contains(network))
    }

    /// Where `asker` finds this service: its address on a network of both. Where they share none, one
    /// of its addresses all the same: whether that can be reached is for the network to tell.
    pub(super) fn address_for(&self, asker: &Self) -> IpAddr {
        let own = self.addresses();
        let others = asker.networks();
        let shared = own.iter().find(|(network, _)| others.contains(&network.as_str()));
        shared.map_or_else(|| first(&own), |(_, address)| *address)
    }

    /// Its container as it is now.
    pub(super) fn container(&self) -> Arc<Container> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner).container)
    }

    /// Whether its network is that of a pod, so that sockets and processes can be looked at.
    pub(super) fn in_pod(&self) -> Option<&str> {
        match &self.ground {
            Ground::Pod { container, .. } => Some(container),
            Ground::Beside { .. } => None,
        }
    }

    /// The `docker run …` line (name of the image left as `my-image`) that starts this service the
    /// way the stack did, for `reproduce` lines. `options` are put before the image (`-p 8080:8080`).
    #[must_use]
    pub fn reproduce(&self, options: &str) -> String {
        super::reproduce::line(self, &self.limits, options)
    }

    /// Whether it runs, and how it ended.
    ///
    /// # Errors
    /// When the engine lost sight of it.
    #[expect(clippy::unused_async, reason = "an engine question in the contract; the answer is known here")]
    pub async fn state(&self) -> Result<State, Error> {
        self.container().state()
    }

    /// Waits until the container has ended, at most `within`.
    ///
    /// # Errors
    /// When the engine lost sight of it.
    pub async fn wait_exit(&self, within: Duration) -> Result<State, Error> {
        let container = self.container();
        let _ = tokio::time::timeout(within, container.ended()).await;
        container.state()
    }

    /// Listening sockets, read from the pod's `/proc/net`.
    ///
    /// # Errors
    /// [`Error::Unfit`] under a runtime that has no pods.
    pub async fn listeners(&self) -> Result<Vec<Listener>, Error> {
        if self.in_pod().is_none() {
            return Err(Error::Unfit(format!(
                "which sockets listen cannot be told under the runtime {}",
                self.ledger.engine.settings.runtime
            )));
        }
        match self.ground.probe().ask(Ask::Listeners, PROMPT).await? {
            Reply::Listeners(listeners) => Ok(listeners),
            other => Err(unexpected(&other)),
        }
    }

    /// What its container printed so far; a container that took the place of another begins anew.
    #[must_use]
    pub fn output(&self) -> Output {
        self.container().output.output()
    }

    /// Resolves when more was printed than `seen_bytes` (of stdout and stderr together, as
    /// [`Self::output`] gives them) or it ended. Past the log limit nothing more is seen.
    pub async fn more_output(&self, seen_bytes: usize) {
        let mut progress = self.container().output.progress();
        // The sender lives as long as this service does.
        let _ = progress.wait_for(|progress| progress.ended || progress.bytes > seen_bytes).await;
    }

    /// How long it has to end when it is asked to: what it says itself, or docker's 10 s.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.spec.stop_grace.unwrap_or(GRACE)
    }

    /// Runs the commands that go before, sends the image's stop signal (SIGTERM unless the image says
    /// otherwise), waits `within`, or its own grace period where that is shorter, and kills what is still
    /// there. Its restart policy does not start it again.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn stop(&self, within: Duration) -> Result<Stopped, Error> {
        let container = self.container();
        let signal = container.stop_signal().await?;
        let within = self.spec.stop_grace.map_or(within, |grace| grace.min(within));
        Box::pin(self.before_stop()).await?;
        container.hold().await;
        let watch = self.ledger.engine.context.clock.stopwatch();
        container.kill(&signal).await?;
        let by_itself = tokio::time::timeout(within, container.ended()).await.is_ok();
        let mut took = watch.elapsed();
        if !by_itself {
            container.put_down().await?;
            took = watch.elapsed();
        }
        Ok(Stopped { by_itself, exit_code: container.state()?.exit_code, took, given: within })
    }

    /// Sends a signal (`SIGTERM`, `SIGKILL`, …) to the main process; nothing happens if it has ended.
    /// What the process makes of it is a matter of its own, so that its restart policy holds.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn kill(&self, signal: &str) -> Result<(), Error> {
        self.container().kill(signal).await
    }

    /// Waits until its restart policy has started it again more often than `restarts` times: `true`, or
    /// `false` when it will not or `within` has passed.
    pub async fn restarted(&self, restarts: u32, within: Duration) -> bool {
        let container = self.container();
        tokio::time::timeout(within, container.restarted(restarts)).await.unwrap_or(false)
    }

    /// Freezes all its processes, as `docker pause` does; questions to it are not answered then. Nothing
    /// happens if it does not run.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn pause(&self) -> Result<(), Error> {
        let engine = &self.ledger.engine;
        let container = self.container();
        let pausing = engine.docker.pause_container(&container.id);
        engine.call_running("pause a container", pausing).await.map(drop)
    }

    /// Ends what [`Self::pause`] began; nothing happens if it was not paused.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn unpause(&self) -> Result<(), Error> {
        let engine = &self.ledger.engine;
        let container = self.container();
        let going_on = engine.docker.unpause_container(&container.id);
        engine.call_running("go on with a container", going_on).await.map(drop)
    }

    /// Starts the stopped container again and waits until it is ready.
    ///
    /// # Errors
    /// As [`Prepared::start`](super::Prepared::start).
    pub async fn start(&self) -> Result<(), StartError> {
        self.start_looked_into(false).await
    }

    /// Removes the container and starts another in its place, on the same networks and with the same
    /// mounts; what it had written elsewhere is gone. Waits until it is ready.
    ///
    /// # Errors
    /// As [`Prepared::start`](super::Prepared::start).
    pub async fn recreate(&self) -> Result<(), StartError> {
        self.forget_inspector().await;
        self.container().remove().await?;
        let Self { common, name, host_name, spec, limits, ground, .. } = self;
        let container = make(common, &Part { name, host_name, spec, limits, ground }).await?;
        self.present.write().unwrap_or_else(PoisonError::into_inner).container = container;
        self.start().await
    }

    /// As [`Self::start`]; with `look`, what [`Self::processes`] needs is made meanwhile.
    async fn start_looked_into(&self, look: bool) -> Result<(), StartError> {
        self.launch(look).await?;
        self.settle_down(look).await
    }

    /// Starts its container. With `look`, what [`Self::processes`] needs is made meanwhile.
    pub(super) async fn launch(&self, look: bool) -> Result<(), StartError> {
        let container = self.container();
        let (started, ()) = tokio::join!(container.start(None), async {
            if look {
                Box::pin(self.create_inspector()).await;
            }
        });
        started?;
        self.health.forget().await;
        Box::pin(self.after_start()).await?;
        let addresses = self.ground.addresses(&self.ledger.engine, &container).await?;
        self.present.write().unwrap_or_else(PoisonError::into_inner).addresses = addresses;
        Ok(())
    }

    /// Waits until it is ready.
    pub(super) async fn settle_down(&self, look: bool) -> Result<(), StartError> {
        let (ready, ()) = tokio::join!(self.wait_ready(), async {
            if look {
                Box::pin(self.prepare_look()).await;
            }
        });
        ready?;
        Ok(())
    }

    /// Waits until it is ready, as after a start. `false`: it has ended for good, or was not in the time
    /// that its `ready` gives.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn wait_ready(&self) -> Result<bool, Error> {
        if let Ready::Healthy { within } = self.spec.ready {
            let health = Box::pin(self.settled_health(within)).await?;
            return Ok(health.is_none_or(|health| health.status == HealthStatus::Healthy));
        }
        stack::wait_ready(&self.container(), &self.ground, self.address(), &self.spec.ready).await
    }
}

fn first(addresses: &Addresses) -> IpAddr {
    addresses.values().next().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// One container of a service, to be made.
struct Part<'a> {
    name: &'a str,
    host_name: &'a str,
    spec: &'a ServiceSpec,
    limits: &'a Limits,
    ground: &'a Ground,
}

/// Makes a service's container, field by field from our own types.
async fn make(common: &Common, part: &Part<'_>) -> Result<Arc<Container>, StartError> {
    let Part { name, host_name, spec, limits, ground } = *part;
    let engine = &common.ledger.engine;
    let tmpfs = spec.tmpfs.iter().map(|(path, bytes)| (path.clone(), format!("size={bytes}")));
    let mut body = ContainerCreateBody {
        image: Some(spec.image.clone().unwrap_or_else(|| common.image.clone())),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        // Health checks are run by us; see `health.rs`.
        healthcheck: Some(health::none()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        stop_signal: spec.stop_signal.clone(),
        tty: Some(spec.tty && terminal::can_read(&engine.endpoint)),
        open_stdin: Some(spec.stdin_open),
        host_config: Some(HostConfig {
            readonly_rootfs: Some(spec.read_only),
            init: Some(spec.init),
            group_add: Some(spec.group_add.clone()),
            ulimits: Some(limits::ulimits(&spec.ulimits, limits.memory_bytes, Some(limits.disk_bytes))),
            shm_size: spec
                .shm_bytes
                .map(|bytes| i64::try_from(bytes.min(limits.memory_bytes)).unwrap_or(i64::MAX)),
            tmpfs: Some(tmpfs.collect()),
            mounts: Some([common.volumes.mounts(&spec.mounts), files::room_for(spec)].concat()),
            ..limits::student(limits, &spec.cap_add, &engine.settings.runtime)
        }),
        ..ContainerCreateBody::default()
    };
    ground.settle(&mut body, name, host_name, spec);
    let making = Making {
        name: name.to_owned(),
        output: Recorder::new(limits.log_bytes, host_name, Some(Arc::clone(&common.log))),
        disk_limit: limits.disk_bytes,
        restart: spec.restart,
        input: false,
    };
    let container = Container::create(&common.ledger, body, making).await?;
    ground.connect(engine, &container.id, name, host_name, spec).await?;
    files::put(engine, &container.id, name, spec).await?;
    Ok(container)
}
