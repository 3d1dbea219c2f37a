//! The real engine for tests, with a state folder of their own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::config::SandboxSettings;
use drydock::sandbox::{
    Engine, EngineContext, HttpRequest, Limits, LogLine, LogSink, Prepared, Ran, Ready, RunSpec, Sandbox,
    Service, ServiceSpec, Stack, StackSpec,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

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

/// Another name for runc, which the sandbox does not know to share namespaces: pods stand beside the
/// services.
pub fn unshared() -> SandboxSettings {
    SandboxSettings { runtime: "io.containerd.runc.v2".into(), ..without_pool() }
}

/// What of an installation is in the engine: containers, networks and volumes.
pub fn left(state: &Path) -> Vec<String> {
    let label = format!("label=drydock.server={}", installation(state));
    [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]]
        .into_iter()
        .flat_map(|list| {
            let told = docker(&[list, &["--filter", &label]].concat());
            told.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The id of the installation with this state folder.
pub fn installation(state: &Path) -> String {
    std::fs::read_to_string(state.join("installation-id")).expect("an installation").trim().to_owned()
}

/// What the engine's own command line says.
pub fn docker(arguments: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(arguments).output().expect("docker");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Another process with the same installation, which can be killed: this test binary with one test, that
/// is ignored otherwise.
pub struct Owner(tokio::process::Child);

impl Owner {
    /// Starts the test of this name, and waits until it says that everything of it is there.
    pub async fn start(test: &str, bench: &Bench) -> Self {
        let mut owner = tokio::process::Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("DRYDOCK_TEST_STATE", bench.state())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("another process");
        let mut lines = BufReader::new(owner.stdout.take().expect("its output")).lines();
        while let Some(line) = lines.next_line().await.expect("a line") {
            if line.contains("owner is up") {
                break;
            }
        }
        Self(owner)
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.0.kill().await.expect("it ran");
    }

    /// For the test itself: the installation's state folder, where it was started by [`Self::start`].
    pub fn state() -> Option<PathBuf> {
        std::env::var_os("DRYDOCK_TEST_STATE").map(PathBuf::from)
    }

    /// For the test itself: says that everything is there, and waits for the end.
    pub async fn stay() {
        println!("owner is up");
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
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
    ServiceSpec { command: Some(vec!["sh".into(), "-c".into(), text.into()]), ..ServiceSpec::default() }
}

/// A web server of busybox that answers with what `text` is to the shell, such as `$(hostname)`.
pub fn web(text: &str, address: &str) -> ServiceSpec {
    ServiceSpec {
        ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
        ..script(&format!(
            "mkdir -p /tmp/www; echo {text} > /tmp/www/index.html; exec httpd -f -p {address} -h /tmp/www"
        ))
    }
}

/// A request for the first page.
pub fn get(port: u16) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        port,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        body: None,
        within: Duration::from_secs(5),
        cap_bytes: 10_000,
    }
}

/// A stack of services by name.
pub fn stack<const N: usize>(services: [(&str, ServiceSpec); N]) -> StackSpec {
    let services = services.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect();
    StackSpec { services, ..StackSpec::default() }
}

/// Prepares and starts a stack on busybox.
pub async fn start<const N: usize>(sandbox: &Sandbox, services: [(&str, ServiceSpec); N]) -> Stack {
    start_stack(sandbox, &stack(services)).await
}

/// Prepares and starts a stack with networks or volumes on busybox.
pub async fn start_stack(sandbox: &Sandbox, spec: &StackSpec) -> Stack {
    let prepared: Prepared = sandbox.prepare(spec).await.expect("pods");
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
