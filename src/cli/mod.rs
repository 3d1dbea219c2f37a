//! What the subcommands share: settings, logging, and how an error ends the program.

pub mod compose;
pub mod demo;
pub mod doctor;
pub mod exercise;
pub mod grade;
pub mod images;
pub mod lint;
pub mod people;
pub mod serve;
pub mod verify;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use drydock::accounts::{Seal, new_join_code};
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::sandbox::{Engine, EngineContext};
use drydock::store::Store;

/// A wrong call or a wrong definition: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The engine, the disk or the network failed: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlatformTrouble(pub String);

/// Prints an error as one sentence with its causes and gives the exit code that belongs to it.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("drydock: {error:#}");
    if error.is::<Usage>() {
        ExitCode::from(2)
    } else if error.is::<PlatformTrouble>() {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}

/// Reads all settings; a mistake in them is a usage error.
pub fn settings(config: Option<&Path>) -> anyhow::Result<Settings> {
    Settings::load(config).map_err(|error| Usage(error.to_string()).into())
}

/// Events of the program as lines on stderr, or as JSON with `DRYDOCK_LOG_FORMAT=json`; what is
/// told is chosen with `DRYDOCK_LOG` (`info` for the server, `warn` elsewhere).
pub fn log(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DRYDOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::env::var("DRYDOCK_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if let Err(error) = set {
        eprintln!("drydock: events cannot be logged: {error}");
    }
}

/// Opens database and content store.
pub async fn store(settings: &Settings, clock: &Clock) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("the data folder {} cannot be made", settings.data_dir.display()))?;
    let url = database_url(settings);
    let seal = Seal::open_or_create(settings.secret_key.as_deref(), &settings.data_dir)?;
    Store::open(&url, &settings.data_dir.join("content"), seal, clock.clone())
        .await
        .with_context(|| format!("the database {} cannot be opened", shown_url(&url)))
}

/// The database of the settings; without one the embedded SQLite in the data folder.
fn database_url(settings: &Settings) -> String {
    let embedded = || format!("sqlite:{}", settings.data_dir.join("drydock.sqlite").display());
    settings.database_url.clone().unwrap_or_else(embedded)
}

/// A database address without its password.
fn shown_url(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

/// Where the sandbox keeps its locks and what it runs as its probe.
pub fn engine_context(settings: &Settings, clock: &Clock) -> anyhow::Result<EngineContext> {
    Ok(EngineContext {
        state_dir: settings.data_dir.join("sandbox"),
        probe_executable: std::env::current_exe().context("the path of the drydock program is unknown")?,
        clock: clock.clone(),
    })
}

/// Connects to the engine for a command that cannot go on without one.
pub async fn engine(settings: &Settings, clock: &Clock) -> anyhow::Result<Engine> {
    let context = engine_context(settings, clock)?;
    Engine::connect(&settings.sandbox, context)
        .await
        .map_err(|error| PlatformTrouble(format!("{error} (`drydock doctor` tells more)")).into())
}

/// Where commands without a server (`grade`, `exercise verify`) keep their few files: the
/// installation's id and the locks that let a later run sweep what a killed one left.
pub fn without_server(mut settings: Settings) -> Settings {
    settings.data_dir = std::env::temp_dir().join(format!("drydock-{}", rustix::process::getuid().as_raw()));
    settings.sandbox.warm_pods = 0;
    settings
}

/// Ends on Ctrl-C and SIGTERM.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}

/// Runs `work` until it ends or the user stops the program; then `work` is dropped so that its
/// guards clean up.
pub async fn interruptible<T>(work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let stop = stop_signal()?;
    tokio::select! {
        done = work => Ok(Some(done)),
        () = stop => Ok(None),
    }
}

/// A password to be read aloud and typed: 60 random bits in letters that are not mistaken for others.
pub fn readable_password() -> String {
    format!("{}-{}", new_join_code(), new_join_code()).to_lowercase()
}
