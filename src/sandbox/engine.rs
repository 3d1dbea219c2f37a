//! The connection to one engine, shared by all sandboxes of this process.
//!
//! `main`, `grading` and tests call [`Engine::connect`] once. The rest of the room goes through
//! [`EngineInner::call`], which puts a deadline of ours on everything asked of the engine: an engine
//! that hangs is our trouble and never the student's.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::build_step::BegunBuild;
use super::builder::{self, Chooser};
use super::error::{Error, is_not_running};
use super::labels::Labels;
use super::owned::Thing;
use super::owner::Owner;
use super::pool::{self, Pool};
use super::{probe_image, sweep};
use crate::clock::Clock;
use crate::config::SandboxSettings;

/// How long an ordinary question to the engine may take.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// How long a slow one (loading or removing an image, removing many containers) may take.
pub(super) const SLOW_CALL: Duration = Duration::from_mins(3);
/// How long an image that the exercise or an admin names may take to come from its registry.
pub(super) const PULL: Duration = Duration::from_mins(10);
/// How long the engine may take to answer over a new connection, however hard the machine works.
const NEWCOMER: Duration = Duration::from_secs(10);
/// The oldest API this room is written for and tried with (Docker 20.10).
const OLDEST_API: (usize, usize) = (1, 41);

/// The connection to one engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<EngineInner>,
    /// Ends the background work with the last clone.
    _open: Arc<DropGuard>,
}

/// What an engine is, for reports and the doctor.
#[derive(Clone, Debug)]
pub struct EngineFacts {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// The API version spoken with it.
    pub api_version: String,
    /// Runtime that student containers get.
    pub runtime: String,
    /// What its machine executes, in the words of image platforms: `linux/amd64`.
    pub platform: String,
    /// CPUs of the engine's machine.
    pub cpus: usize,
    /// Memory of the engine's machine, in bytes.
    pub memory_bytes: u64,
}

/// Where the room keeps what must survive a crash, and what it runs as its probe.
#[derive(Clone, Debug)]
pub struct EngineContext {
    /// Folder with the installation's id and the locks that tell which owners live
    /// (see `owner.rs`).
    pub state_dir: PathBuf,
    /// The `drydock` executable from which the probe image is made.
    pub probe_executable: PathBuf,
    /// For measuring.
    pub clock: Clock,
}

/// What all sandboxes of one connection share.
pub(super) struct EngineInner {
    pub(super) docker: Docker,
    /// Where the engine is, for messages.
    pub(super) endpoint: String,
    pub(super) settings: SandboxSettings,
    pub(super) context: EngineContext,
    pub(super) facts: EngineFacts,
    pub(super) labels: Labels,
    pub(super) owner: Owner,
    /// Tag of the probe's image.
    pub(super) probe_image: String,
    /// Which builder serves, and what it built.
    pub(super) builder: Chooser,
    pub(super) pool: Pool,
    /// What could not be removed yet.
    pub(super) remaining: Mutex<Vec<Thing>>,
    /// Builds whose end nobody saw, because the engine went away.
    pub(super) lost_builds: Mutex<Vec<BegunBuild>>,
    /// Work that must end before the process does: making things and removing them.
    pub(super) tasks: TaskTracker,
    /// Set when the connection is shut down.
    pub(super) closing: CancellationToken,
}

impl Engine {
    /// Connects (`DOCKER_HOST` or the default socket), negotiates the API version, checks that the
    /// settings can be kept here, makes the probe image if it is not there yet, sweeps what dead
    /// owners of this installation left, and starts measuring the builder and filling the pool in
    /// the background.
    ///
    /// # Errors
    /// [`Error::Unreachable`] without an engine; [`Error::Unfit`] where the settings ask for what it
    /// cannot do or the state folder cannot be used; other variants when the probe's image
    /// cannot be made.
    pub async fn connect(settings: &SandboxSettings, context: EngineContext) -> Result<Self, Error> {
        let endpoint =
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let docker = negotiate(&endpoint).await?;
        let facts = fit(&docker, &endpoint, settings).await?;
        let owner = {
            let state_dir = context.state_dir.clone();
            blocking(move || Owner::register(&state_dir)).await?
        };
        let labels = Labels { server: owner.installation.clone(), owner: owner.id.clone() };
        let probe_image = probe_image::Recipe::of(&docker, &endpoint, &context.probe_executable).await?;
        let inner = Arc::new(EngineInner {
            docker,
            endpoint,
            settings: settings.clone(),
            context,
            facts,
            labels,
            owner,
            probe_image: probe_image.tag(),
            builder: Chooser::default(),
            pool: Pool::default(),
            remaining: Mutex::default(),
            lost_builds: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        let open = Arc::new(inner.closing.clone().drop_guard());
        tokio::try_join!(probe_image.ensure(&inner), inner.sweep())?;
        builder::learn_in_background(&inner);
        inner.tasks.spawn(pool::keep_filled(Arc::downgrade(&inner)));
        inner.tasks.spawn(sweep::keep_swept(Arc::downgrade(&inner)));
        Ok(Self { inner, _open: open })
    }

    /// Quick: does the engine answer? For a worker that paused itself, and for `/readyz`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not answer within two seconds.
    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }

    /// Whether the engine is there for newcomers too. One that is being stopped in good order is not, but answers on
    /// the connections that it has, to the last, while it ends every container as if that had ended by itself.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not answer over a new connection.
    pub async fn stays(&self) -> Result<(), Error> {
        let unreachable = |cause: String| Error::Unreachable { endpoint: self.inner.endpoint.clone(), cause };
        let newcomer = Docker::connect_with_host(&self.inner.endpoint)
            .map_err(|error| unreachable(error.to_string()))?;
        match tokio::time::timeout(NEWCOMER, newcomer.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => {
                Err(unreachable(format!("no answer to a new connection within {} s", NEWCOMER.as_secs())))
            }
        }
    }

    /// What this engine is.
    #[must_use]
    pub fn facts(&self) -> &EngineFacts {
        &self.inner.facts
    }
}

impl EngineInner {
    /// Asks the engine something, at most [`CALL`] long. `action` is a verb with its object, such as
    /// `create a network`, for the message when it fails.
    pub(super) async fn call<T>(
        &self,
        action: &str,
        question: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, Error> {
        self.call_within(action, CALL, question).await
    }

    /// Asks the engine something, at most `within` long.
    pub(super) async fn call_within<T>(
        &self,
        action: &str,
        within: Duration,
        question: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, Error> {
        match self.answer(action, within, question).await? {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.error(action, &error)),
        }
    }

    /// As [`Self::call`] for a container that may end at any moment; `None` where it does not run.
    pub(super) async fn call_running<T>(
        &self,
        action: &str,
        question: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<Option<T>, Error> {
        match self.answer(action, CALL, question).await? {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_not_running(&error) => Ok(None),
            Err(error) => Err(self.error(action, &error)),
        }
    }

    /// As [`Self::call_within`], but hands the engine's refusal to the caller, who knows some of them
    /// as answers (404, 409, a start failure of the student's).
    pub(super) async fn answer<T>(
        &self,
        action: &str,
        within: Duration,
        question: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<Result<T, EngineError>, Error> {
        let stopwatch = self.context.clock.stopwatch();
        if let Ok(answer) = tokio::time::timeout(within, question).await {
            tracing::debug!(
                action,
                refused = answer.is_err(),
                seconds = stopwatch.seconds(),
                "engine.answered"
            );
            return Ok(answer);
        }
        // An engine that is merely slow with this answers a ping; one that hangs does not.
        self.ping().await?;
        Err(Error::TimedOut { action: action.to_owned(), seconds: within.as_secs() })
    }

    /// The engine's refusal as an error of this room.
    pub(super) fn error(&self, action: &str, error: &EngineError) -> Error {
        Error::from_engine(&self.endpoint, action, error)
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        match tokio::time::timeout(Duration::from_secs(2), self.docker.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                Err(Error::Unreachable { endpoint: self.endpoint.clone(), cause: error.to_string() })
            }
            Err(_) => Err(Error::Unreachable {
                endpoint: self.endpoint.clone(),
                cause: "no answer to a ping within 2 s".into(),
            }),
        }
    }
}

/// Runs blocking work (files, hashing) off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Unfit(format!("a task of the sandbox ended early ({error})"))))
}

async fn negotiate(endpoint: &str) -> Result<Docker, Error> {
    let connecting = async {
        let docker = Docker::connect_with_host(endpoint)?;
        docker.negotiate_version().await
    };
    match tokio::time::timeout(Duration::from_secs(10), connecting).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error @ EngineError::UnsupportedURISchemeError { .. })) => {
            Err(Error::Unfit(format!("DOCKER_HOST is {endpoint}, which cannot be used ({error})")))
        }
        Ok(Err(error)) => Err(Error::from_engine(endpoint, "tell its version", &error)),
        Err(_) => {
            Err(Error::Unreachable { endpoint: endpoint.to_owned(), cause: "no answer within 10 s".into() })
        }
    }
}

/// Whether the settings can be kept on this engine. What is missing is refused, never replaced by
/// something weaker.
async fn fit(docker: &Docker, endpoint: &str, settings: &SandboxSettings) -> Result<EngineFacts, Error> {
    let asking = async { tokio::try_join!(docker.info(), docker.version()) };
    let (info, version) = tokio::time::timeout(CALL, asking)
        .await
        .map_err(|_| Error::TimedOut { action: "describe itself".into(), seconds: CALL.as_secs() })?
        .map_err(|error| Error::from_engine(endpoint, "describe itself", &error))?;
    let spoken = docker.client_version();
    let platform = format!("linux/{}", version.arch.as_deref().unwrap_or(std::env::consts::ARCH));
    let version = version.version.unwrap_or_default();
    if (spoken.major_version, spoken.minor_version) < OLDEST_API {
        return Err(Error::Unfit(format!(
            "the Docker engine at {endpoint} is version {version} with API {}.{}; version 20.10 (API {}.{}) or later is needed",
            spoken.major_version, spoken.minor_version, OLDEST_API.0, OLDEST_API.1
        )));
    }
    if info.os_type.as_deref().is_some_and(|os| os != "linux") {
        return Err(Error::Unfit(format!(
            "the Docker engine at {endpoint} does not run Linux containers; Drydock needs one that does"
        )));
    }
    let runtimes = info.runtimes.unwrap_or_default();
    if !runtimes.contains_key(&settings.runtime) {
        let mut known: Vec<&str> = runtimes.keys().map(String::as_str).collect();
        known.sort_unstable();
        return Err(Error::Unfit(format!(
            "sandbox.runtime is \"{}\", which the Docker engine at {endpoint} does not have (it has: {}); \
             install it as a runtime of the engine or change the setting",
            settings.runtime,
            known.join(", ")
        )));
    }
    Ok(EngineFacts {
        version,
        api_version: format!("{}.{}", spoken.major_version, spoken.minor_version),
        runtime: settings.runtime.clone(),
        platform,
        cpus: info.ncpu.and_then(|cpus| usize::try_from(cpus).ok()).unwrap_or(1).max(1),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
    })
}
