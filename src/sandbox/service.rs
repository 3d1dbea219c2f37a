//! One service of a running stack, as checks see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::container::{Container, State};
use super::error::Error;
use super::inspector::Inspector;
use super::limits::Limits;
use super::network::{HttpRequest, HttpResponse, Listener, Silence};
use super::output::Output;
use super::owned::Ledger;
use super::pod::PROMPT;
use super::protocol::{Ask, Reply};
use super::refusal::StartError;
use super::stack::{self, Ground, ServiceSpec, unexpected};

/// One service of a stack: a pod of ours and the container in it.
pub struct Service {
    pub(super) container: Container,
    pub(super) ledger: Arc<Ledger>,
    pub(super) limits: Limits,
    pub(super) inspector: Inspector,
    ground: Ground,
    spec: ServiceSpec,
    /// Known once the service has been started.
    address: OnceLock<IpAddr>,
    /// The stack has no other service.
    alone: bool,
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
}

/// How long a container may take to be gone after SIGKILL.
const AFTER_KILL: Duration = Duration::from_secs(20);

impl Service {
    pub(super) fn new(
        ledger: &Arc<Ledger>,
        container: Container,
        ground: Ground,
        spec: ServiceSpec,
        limits: Limits,
        alone: bool,
    ) -> Self {
        Self {
            inspector: Inspector::default(),
            ledger: Arc::clone(ledger),
            address: OnceLock::new(),
            container,
            limits,
            ground,
            spec,
            alone,
        }
    }

    /// Its name in the stack, which is also its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.container.name
    }

    /// Its address on the stack's network.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        // Set by the first start, before anyone else has the service.
        self.address.get().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
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
        super::reproduce::line(self.name(), &self.spec, &self.limits, self.alone, options)
    }

    /// Whether it runs, and how it ended.
    ///
    /// # Errors
    /// When the engine lost sight of it.
    #[expect(clippy::unused_async, reason = "an engine question in the contract; the answer is known here")]
    pub async fn state(&self) -> Result<State, Error> {
        self.container.state()
    }

    /// Waits until the container has ended, at most `within`.
    ///
    /// # Errors
    /// When the engine lost sight of it.
    pub async fn wait_exit(&self, within: Duration) -> Result<State, Error> {
        let _ = tokio::time::timeout(within, self.container.ended()).await;
        self.container.state()
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

    /// Asks `target` over its network address, from this service's own pod. One try.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn http(
        &self,
        target: &Self,
        request: HttpRequest,
    ) -> Result<Result<HttpResponse, Silence>, Error> {
        let within = request.within;
        let host = match request.port {
            80 => target.name().to_owned(),
            port => format!("{}:{port}", target.name()),
        };
        // The probe keeps the request's own time; ours is only for a probe that hangs.
        let ask = Ask::Http { address: target.address(), host, request };
        match self.ground.probe().ask(ask, within + Duration::from_secs(1)).await? {
            Reply::Http { status, headers, body, truncated, micros } => Ok(Ok(HttpResponse {
                status,
                headers,
                body: Bytes::from(body),
                truncated,
                took: Duration::from_micros(micros),
            })),
            Reply::Silent(silence) => Ok(Err(silence)),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens (and closes) a TCP connection to `target`, from this service's own pod. One try; says
    /// how long it took.
    ///
    /// # Errors
    /// A trouble of ours; what the target does is in the inner result.
    pub async fn connect(
        &self,
        target: &Self,
        port: u16,
        within: Duration,
    ) -> Result<Result<Duration, Silence>, Error> {
        let ask = Ask::Connect { address: SocketAddr::new(target.address(), port) };
        match self.ground.probe().ask(ask, within).await? {
            Reply::Connected { micros } => Ok(Ok(Duration::from_micros(micros))),
            Reply::Silent(silence) => Ok(Err(silence)),
            other => Err(unexpected(&other)),
        }
    }

    /// The addresses of a name, asked from this service's own pod.
    ///
    /// # Errors
    /// A trouble of ours; an unknown name is in the inner result.
    pub async fn resolve(&self, name: &str, within: Duration) -> Result<Result<Vec<IpAddr>, Silence>, Error> {
        match self.ground.probe().ask(Ask::Resolve { name: name.to_owned() }, within).await? {
            Reply::Addresses(addresses) => Ok(Ok(addresses)),
            Reply::Silent(silence) => Ok(Err(silence)),
            other => Err(unexpected(&other)),
        }
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> Output {
        self.container.output.output()
    }

    /// Resolves when more was printed than `seen_bytes` (of stdout and stderr together, as
    /// [`Self::output`] gives them) or it ended. Past the log limit nothing more is seen.
    pub async fn more_output(&self, seen_bytes: usize) {
        let mut progress = self.container.output.progress();
        // The sender lives as long as this service does.
        let _ = progress.wait_for(|progress| progress.ended || progress.bytes > seen_bytes).await;
    }

    /// Sends the image's stop signal (SIGTERM unless the image says otherwise), waits `within`, kills
    /// what is still there.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn stop(&self, within: Duration) -> Result<Stopped, Error> {
        let signal = self.container.stop_signal().await?;
        let watch = self.ledger.engine.context.clock.stopwatch();
        self.container.kill(&signal).await?;
        let by_itself = tokio::time::timeout(within, self.container.ended()).await.is_ok();
        let mut took = watch.elapsed();
        if !by_itself {
            self.container.kill("SIGKILL").await?;
            if tokio::time::timeout(AFTER_KILL, self.container.ended()).await.is_err() {
                return Err(Error::TimedOut {
                    action: "end a container".into(),
                    seconds: AFTER_KILL.as_secs(),
                });
            }
            took = watch.elapsed();
        }
        Ok(Stopped { by_itself, exit_code: self.container.state()?.exit_code, took })
    }

    /// Sends a signal (`SIGTERM`, `SIGKILL`, …) to the main process; nothing happens if it has ended.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn kill(&self, signal: &str) -> Result<(), Error> {
        self.container.kill(signal).await
    }

    /// Starts the stopped container again and waits until it is ready.
    ///
    /// # Errors
    /// As [`Prepared::start`](super::Prepared::start).
    pub async fn start(&self) -> Result<(), StartError> {
        self.start_looked_into(false).await
    }

    /// As [`Self::start`]; with `look`, what [`Self::processes`] needs is made meanwhile.
    pub(super) async fn start_looked_into(&self, look: bool) -> Result<(), StartError> {
        let (started, ()) = tokio::join!(self.container.start(None), async {
            if look {
                Box::pin(self.create_inspector()).await;
            }
        });
        started?;
        let address = stack::address(&self.ledger.engine, &self.container, &self.ground).await?;
        let address = *self.address.get_or_init(|| address);
        let ready = stack::wait_ready(&self.container, &self.ground, address, &self.spec.ready);
        let (ready, ()) = tokio::join!(ready, async {
            if look {
                Box::pin(self.prepare_look()).await;
            }
        });
        Ok(ready?)
    }
}
