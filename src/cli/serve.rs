//! `drydock serve` and `drydock worker`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use drydock::accounts::openid::OpenId;
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::Catalogue;
use drydock::grading::Fetcher;
use drydock::grading::worker::{Connect, EngineGrader, Examine, Worker};
use drydock::live::Live;
use drydock::sandbox::{Engine, EngineContext, examine};
use drydock::store::Store;
use drydock::web;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Usage;

#[derive(clap::Args)]
pub struct Arguments {
    /// Address to listen on, instead of the setting's
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Do not grade in this process; `drydock worker` does
    #[arg(long)]
    no_worker: bool,
}

pub async fn run(mut settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("info");
    if let Some(listen) = arguments.listen {
        settings.listen = listen;
    }
    let clock = Clock::system();
    let listener = listen(settings.listen).await?;
    let store = super::store(&settings, &clock).await?;
    publish(&settings, &store).await?;
    if store.people().await?.is_empty() {
        info!("nobody can sign in yet; make the first account with: drydock user add NAME --admin");
    }
    let server = Server::new(settings, store, clock);
    let worker = if arguments.no_worker { None } else { Some(server.worker()?) };
    let stop = super::stop_signal()?;
    let shutdown = server.shutdown.clone();
    tokio::spawn(async move {
        stop.await;
        info!("stopping");
        shutdown.cancel();
    });
    server.run(listener, worker).await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn worker(settings: Settings) -> anyhow::Result<ExitCode> {
    super::log("info");
    let clock = Clock::system();
    let store = super::store(&settings, &clock).await?;
    let server = Server::new(settings, store, clock);
    let worker = server.worker()?;
    let stop = super::stop_signal()?;
    let shutdown = server.shutdown.clone();
    tokio::spawn(async move {
        stop.await;
        shutdown.cancel();
    });
    worker.run(server.shutdown.clone()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Binds the address before anything else is started, so that a taken port is told at once.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {} on {} is taken by another program; stop that one, or choose another port with --listen {}:{}",
            address.port(),
            address.ip(),
            address.ip(),
            address.port().checked_add(1).unwrap_or(8080)
        ),
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "this user may not listen on port {}; choose one above 1023 with --listen",
            address.port()
        ),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// Publishes what is new in the exercises folder; what was published in the browser stays. A mistake in any of them is told with its place and
/// stops the start: better than a class that finds an exercise missing.
pub async fn publish(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    let catalogue = Catalogue::read(&settings.exercises_dir).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
        Usage(format!(
            "the exercises in {} have mistakes:\n{}",
            settings.exercises_dir.display(),
            lines.join("\n")
        ))
    })?;
    for exercise in catalogue.exercises.values() {
        store.seed_exercise(exercise).await.with_context(|| format!("publishing {}", exercise.slug))?;
    }
    for workshop in catalogue.workshops.values() {
        store.seed_workshop(workshop).await.with_context(|| format!("publishing {}", workshop.slug))?;
    }
    info!(
        exercises = catalogue.exercises.len(),
        workshops = catalogue.workshops.len(),
        "catalogue.published"
    );
    Ok(())
}

/// The parts of a running server.
pub struct Server {
    pub settings: Settings,
    pub store: Store,
    pub live: Live,
    pub clock: Clock,
    pub shutdown: CancellationToken,
}

impl Server {
    pub fn new(settings: Settings, store: Store, clock: Clock) -> Self {
        let shutdown = CancellationToken::new();
        let live = Live::new(store.clone(), clock.clone());
        Self { settings, store, live, clock, shutdown }
    }

    /// A worker on the engine of the settings. The engine may be away at start: pages are served,
    /// the worker is paused until it answers.
    pub fn worker(&self) -> anyhow::Result<Worker> {
        let context = super::engine_context(&self.settings, &self.clock)?;
        let sandbox = self.settings.sandbox.clone();
        let connect: Connect = {
            let (sandbox, context) = (sandbox.clone(), context.clone());
            Arc::new(move || {
                let (sandbox, context) = (sandbox.clone(), context.clone());
                async move { Engine::connect(&sandbox, context).await }.boxed()
            })
        };
        // An installation of its own on the same disk, so that it neither sweeps nor counts what the worker has.
        let context = EngineContext { state_dir: self.settings.data_dir.join("doctor"), ..context };
        let examine: Examine = Arc::new(move || {
            let (sandbox, context) = (sandbox.clone(), context.clone());
            async move { examine(&sandbox, context).await }.boxed()
        });
        let grader = EngineGrader::new(connect, self.clock.clone()).examined_by(examine);
        self.worker_with(Arc::new(grader))
    }

    pub fn worker_with(&self, grader: Arc<EngineGrader>) -> anyhow::Result<Worker> {
        let fetcher = Fetcher::new(&self.settings).map_err(Usage)?;
        Ok(Worker::new(
            self.store.clone(),
            self.live.clone(),
            grader,
            fetcher,
            self.settings.worker.clone(),
            self.clock.clone(),
        ))
    }

    /// Serves pages, and grades if there is a worker, until [`Server::shutdown`] is cancelled.
    pub async fn run(self, listener: TcpListener, worker: Option<Worker>) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        info!(%address, "server.listening");
        let working = worker.map(|worker| {
            let shutdown = self.shutdown.clone();
            tokio::spawn(async move {
                let ended = worker.run(shutdown.clone()).await;
                // A server that was to grade and cannot does not go on as if it could.
                shutdown.cancel();
                ended
            })
        });
        let thinning = thin_out(self.store.clone(), self.clock.clone(), self.settings.logs_kept);
        let thinning = tokio::spawn(self.shutdown.clone().run_until_cancelled_owned(thinning));
        let openid = OpenId::new(&self.settings.openid, self.clock.clone()).map_err(Usage)?;
        let state = web::AppState {
            openid,
            ..web::AppState::new(self.store, self.live, self.clock, Arc::new(self.settings))
        };
        let served = web::serve(state, listener, self.shutdown.clone()).await;
        // When serving failed by itself, the worker is to stop too.
        self.shutdown.cancel();
        // What it was removing is removed at the next start.
        let _ = thinning.await;
        if let Some(working) = working {
            working.await.context("the worker ended unexpectedly")??;
        }
        served.context("the web server failed")
    }
}

/// How often old logs are looked for.
const THIN_OUT_EVERY: Duration = Duration::from_hours(1);

/// Removes the logs of gradings that ended long ago.
async fn thin_out(store: Store, clock: Clock, kept: Duration) {
    loop {
        match store.prune_events(clock.now() - kept).await {
            Ok(0) => {}
            Ok(removed) => info!(removed, "events.pruned"),
            Err(error) => warn!(%error, "events.not_pruned"),
        }
        tokio::time::sleep(THIN_OUT_EVERY).await;
    }
}
