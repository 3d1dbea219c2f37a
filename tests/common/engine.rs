//! The real engine for tests, with a state folder of their own.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::config::SandboxSettings;
use drydock::sandbox::{
    Engine, EngineContext, Limits, LogLine, LogSink, Prepared, Ran, Ready, RunSpec, Sandbox, Service,
    ServiceSpec, Stack, StackSpec,
};
use indexmap::IndexMap;

/// The image in which the tests' students work; `tests/bases` makes it.
pub const BUSYBOX: &str = "busybox:1.37";

/// An engine. Call [`Bench::close`] at the end.
pub struct Bench {
    pub engine: Engine,
    alone: Option<tempfile::TempDir>,
}

impl Bench {
    /// Without warm pods; one installation for all tests, so that the next one sweeps what a failed
    /// one left.
    pub async fn open() -> Self {
        Self::with(without_pool()).await
    }

    pub async fn with(settings: SandboxSettings) -> Self {
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine");
        let engine = Engine::connect(&settings, context(&state)).await.expect("a Docker engine");
        Self { engine, alone: None }
    }

    /// An installation of its own, for counting what it has.
    pub async fn alone(settings: SandboxSettings) -> Self {
        let state = tempfile::tempdir().expect("a folder for the test");
        let engine = Engine::connect(&settings, context(state.path())).await.expect("a Docker engine");
        Self { engine, alone: Some(state) }
    }

    /// The state folder of an installation of its own.
    pub fn state(&self) -> &Path {
        self.alone.as_ref().expect("an installation of its own").path()
    }

    /// A sandbox with [`limits`].
    pub fn sandbox(&self) -> Sandbox {
        self.engine.sandbox("test", limits())
    }

    /// Waits for clean-ups; nothing of the installation may be left then.
    pub async fn close(self) {
        self.engine.shutdown().await;
    }
}

pub fn without_pool() -> SandboxSettings {
    SandboxSettings { warm_pods: 0, ..SandboxSettings::default() }
}

pub fn context(state: &Path) -> EngineContext {
    EngineContext {
        state_dir: state.to_owned(),
        probe_executable: PathBuf::from(env!("CARGO_BIN_EXE_drydock")),
        clock: Clock::system(),
    }
}

pub fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        cpu_millis: 1000,
        pids: 64,
        disk_bytes: 64 << 20,
        build_time: Duration::from_secs(60),
        run_time: Duration::from_secs(60),
        log_bytes: 64 << 10,
    }
}

/// A service that runs a script under busybox' shell.
pub fn script(text: &str) -> ServiceSpec {
    ServiceSpec {
        image: None,
        env: IndexMap::new(),
        command: Some(vec!["sh".into(), "-c".into(), text.into()]),
        entrypoint: None,
        user: None,
        cap_add: Vec::new(),
        read_only: false,
        init: false,
        tmpfs: BTreeMap::new(),
        ready: Ready::Started,
    }
}

/// A stack of services by name.
pub fn stack<const N: usize>(services: [(&str, ServiceSpec); N]) -> StackSpec {
    StackSpec { services: services.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect() }
}

/// Prepares and starts a stack on busybox.
pub async fn start<const N: usize>(sandbox: &Sandbox, services: [(&str, ServiceSpec); N]) -> Stack {
    let prepared: Prepared = sandbox.prepare(&stack(services)).await.expect("pods");
    prepared.start(BUSYBOX, silent(), &HashSet::new()).await.expect("a stack")
}

/// The only service of a stack called `app`.
pub fn app(stack: &Stack) -> &Service {
    stack.service("app").expect("a service called app")
}

/// Runs a script in a running service.
pub async fn sh(service: &Service, text: &str) -> Ran {
    service.exec(command(text)).await.expect("a command")
}

/// A script as something to run, for at most 20 seconds.
pub fn command(text: &str) -> RunSpec {
    RunSpec {
        command: Some(vec!["sh".into(), "-c".into(), text.into()]),
        within: Duration::from_secs(20),
        ..RunSpec::default()
    }
}

/// Nobody listens.
pub fn silent() -> LogSink {
    Arc::new(|_: LogLine| {})
}
