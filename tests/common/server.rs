//! The real program as a real installation: `drydock serve` and `drydock worker` as processes of
//! their own, with a data folder, exercises, people and tokens, so that a test can kill what it
//! wants and look at what is left.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock::clock::Clock;
use drydock::live::Event;
use drydock::store::Store;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Which database is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// The name of everybody's cohort.
const COHORT: &str = "Night shift";

/// Everybody's password.
const PASSWORD: &str = "a long password for tests";

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Settings, exercises and data of one installation, and people with tokens for its API. Processes
/// are started on it one after another, or several at once.
pub struct Installation {
    folder: tempfile::TempDir,
    url: String,
    postgres: Option<String>,
    docker_host: Option<String>,
    http: reqwest::Client,
    /// Of all processes there were, for a test that fails.
    logs: Mutex<Vec<Arc<Mutex<String>>>>,
    pub student: String,
    pub trainer: String,
    cohort: String,
}

impl Installation {
    /// An installation with these exercises (slug and files), in one workshop and cohort. `settings`
    /// are lines of `drydock.toml`.
    pub async fn new(database: Database, settings: &str, exercises: &[(&str, &[(&str, &str)])]) -> Self {
        Self::on_engine(database, settings, exercises, None).await
    }

    /// The same on another engine than the machine's.
    pub async fn on_engine(
        database: Database,
        settings: &str,
        exercises: &[(&str, &[(&str, &str)])],
        docker_host: Option<String>,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("drydock-installation-").tempdir().unwrap();
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(create_database().await),
        };
        let data = folder.path().join("data");
        let url = postgres.clone().unwrap_or_else(|| format!("sqlite:{}", data.join("drydock.db").display()));
        let root = folder.path().join("exercises");
        for (slug, files) in exercises {
            for (path, content) in *files {
                let path = root.join(slug).join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
        let slugs: Vec<&str> = exercises.iter().map(|(slug, _)| *slug).collect();
        std::fs::create_dir_all(root.join("workshops")).unwrap();
        std::fs::write(
            root.join("workshops/drills.yaml"),
            format!(
                "title: Drills\naudience: Tests\nsections:\n  - title: All\n    exercises: [{}]\n",
                slugs.join(", ")
            ),
        )
        .unwrap();
        std::fs::write(
            folder.path().join("drydock.toml"),
            format!(
                "data_dir = \"{}\"\nexercises_dir = \"{}\"\ndatabase_url = \"{url}\"\n{settings}",
                data.display(),
                root.display()
            ),
        )
        .unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let mut installation = Self {
            folder,
            url,
            postgres,
            docker_host,
            http,
            logs: Mutex::default(),
            student: String::new(),
            trainer: String::new(),
            cohort: String::new(),
        };
        installation.found();
        installation
    }

    /// Makes cohort and people from the shell, as an admin does.
    fn found(&mut self) {
        for name in ["sam", "tess"] {
            self.run(&["user", "add", name, "--password-stdin"], &format!("{PASSWORD}\n"));
        }
        self.run(&["cohort", "add", COHORT, "--workshop", "drills", "--trainer", "tess"], "");
        self.run(&["cohort", "member", COHORT, "sam"], "");
        self.student = self.run(&["user", "token", "sam"], "").trim().to_owned();
        self.trainer = self.run(&["user", "token", "tess"], "").trim().to_owned();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
        command
            .arg("--config")
            .arg(self.folder.path().join("drydock.toml"))
            .current_dir(self.folder.path())
            .env("DRYDOCK_LOG_FORMAT", "json")
            .env("DRYDOCK_LOG", "info")
            .stdin(Stdio::null());
        if let Some(host) = &self.docker_host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Runs a command of the program to its end; what it printed.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> String {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "drydock {arguments:?} ended with {}:\n{out}{err}", output.status);
        out.into_owned()
    }

    /// `drydock serve` with these further arguments; back when it listens.
    pub fn serve(&self, arguments: &[&str]) -> Process {
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = self.start(command);
        let line = process.wait_for_line("\"server.listening\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        process.address = line["fields"]["address"].as_str().unwrap().to_owned();
        process
    }

    /// `drydock worker`; back when it has begun to look for work.
    pub fn worker(&self) -> Process {
        let mut command = self.command();
        command.arg("worker");
        let process = self.start(command);
        process.wait_for_line("\"worker.started\"");
        process
    }

    fn start(&self, command: Command) -> Process {
        let process = Process::start(command);
        self.logs.lock().unwrap().push(Arc::clone(&process.log));
        process
    }

    /// A second look at the data, past all processes.
    pub async fn store(&self) -> Store {
        Store::open(&self.url, &self.data().join("content"), Clock::system()).await.unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What is in the engine with this installation's label, but for the probe's image, which all
    /// installations share.
    pub fn belongings(&self) -> BTreeSet<String> {
        let Ok(id) = std::fs::read_to_string(self.data().join("sandbox/installation-id")) else {
            return BTreeSet::new();
        };
        let label = format!("label=drydock.server={}", id.trim());
        let lists: [&[&str]; 4] = [
            &["ps", "--all", "--no-trunc", "--format", "container {{.Names}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            &["images", "--all", "--format", "image {{.Repository}}:{{.Tag}} {{.ID}}"],
        ];
        let mut found = BTreeSet::new();
        for list in lists {
            let listed = self.docker(&[list, &["--filter", &label]].concat());
            found.extend(listed.lines().filter(|line| !line.contains("drydock-probe")).map(str::to_owned));
        }
        found
    }

    /// Runs the docker client on this installation's engine; what it printed.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(arguments).stdin(Stdio::null());
        if let Some(host) = &self.docker_host {
            command.env("DOCKER_HOST", host);
        }
        let output = command.output().expect("the docker client can be run");
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that nothing of this installation is in the engine any more.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let started = Clock::system().stopwatch();
        loop {
            let left = self.belongings();
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "left in the engine: {left:#?}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits until the things of a process that was killed are swept away.
    pub async fn swept(&self, orphans: &BTreeSet<String>) {
        let started = Clock::system().stopwatch();
        loop {
            let left: Vec<String> = self.belongings().intersection(orphans).cloned().collect();
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "never swept: {left:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A request to the API with somebody's token.
    pub async fn get(&self, server: &Process, token: &str, path: &str) -> Result<Value, reqwest::Error> {
        let url = format!("http://{}{path}", server.address);
        let response = self.http.get(url).bearer_auth(token).send().await?.error_for_status()?;
        response.json().await
    }

    /// A page as the student's browser gets it: signs in with name and password, then opens it.
    pub async fn page(&self, server: &Process, path: &str) -> String {
        let browser = reqwest::Client::builder().cookie_store(true).timeout(PATIENCE).build().unwrap();
        let sign_in = format!("http://{}/sign-in", server.address);
        let form = browser.get(&sign_in).send().await.unwrap().text().await.unwrap();
        let (_, csrf) = form.split_once("name=\"csrf\" value=\"").expect("a hidden token in the form");
        let csrf = csrf.split('"').next().unwrap();
        let body = format!("csrf={csrf}&name=sam&password={}", PASSWORD.replace(' ', "+"));
        let request = browser.post(&sign_in).header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("origin", format!("http://{}", server.address));
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let answer = browser.get(format!("http://{}{path}", server.address)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// Hands in an archive for an exercise as the student; what the server answered.
    pub async fn try_hand_in(
        &self,
        server: &Process,
        exercise: &str,
        archive: Vec<u8>,
        key: &str,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        let cohorts = self.get(server, &self.student, "/api/v1/cohorts").await?;
        let cohort = cohorts.pointer("/0/id").or_else(|| cohorts.pointer("/cohorts/0/id"));
        let cohort =
            cohort.and_then(Value::as_str).unwrap_or_else(|| panic!("no cohort in {cohorts}")).to_owned();
        let url =
            format!("http://{}/api/v1/cohorts/{cohort}/exercises/{exercise}/submissions", server.address);
        let request = self.http.post(url).bearer_auth(&self.student).header("idempotency-key", key);
        let response = request.header("content-type", "application/gzip").body(archive).send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// Hands in; the new grading's id.
    pub async fn hand_in(&self, server: &Process, exercise: &str, files: &[(&str, &[u8])]) -> Uuid {
        let key = Uuid::new_v4().to_string();
        let (status, answer) = self.try_hand_in(server, exercise, packed(files), &key).await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["grading"]["id"].as_str().unwrap().parse().unwrap()
    }

    /// The grading as somebody sees it.
    pub async fn grading(&self, server: &Process, token: &str, grading: Uuid) -> Value {
        self.get(server, token, &format!("/api/v1/gradings/{grading}")).await.unwrap()
    }

    /// Waits until a grading is done; what the student sees.
    pub async fn done(&self, server: &Process, grading: Uuid) -> Value {
        let started = Clock::system().stopwatch();
        loop {
            let seen = self.grading(server, &self.student, grading).await;
            if seen["state"] == "done" {
                return seen;
            }
            assert!(started.elapsed() < PATIENCE, "still not done: {seen:#}\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Removes the data; the engine must be empty by then.
    pub async fn remove(mut self) {
        self.assert_nothing_left();
        if let Some(url) = self.postgres.take() {
            drop_database(&url).await;
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, log) in self.logs.lock().unwrap().iter().enumerate() {
                eprintln!("--- log of process {} ---\n{}", number + 1, log.lock().unwrap());
            }
        }
    }
}

/// The events of a grading so far.
pub async fn events(store: &Store, grading: Uuid) -> Vec<Event> {
    let stored = store.events_after(grading, 0, 100_000).await.unwrap();
    stored.iter().map(|event| serde_json::from_str(&event.payload).unwrap()).collect()
}

/// Waits for an event of a grading.
pub async fn wait_for_event(store: &Store, grading: Uuid, wanted: impl Fn(&Event) -> bool) {
    let started = Clock::system().stopwatch();
    while !events(store, grading).await.iter().any(&wanted) {
        assert!(started.elapsed() < PATIENCE, "never happened; events: {:#?}", events(store, grading).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A .tar.gz of these files; those that begin with `#!` are executable.
pub fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(if content.starts_with(b"#!") { 0o755 } else { 0o644 });
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// A running process of the program. Killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Where it listens, for a server.
    pub address: String,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { child, log, address: String::new() }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log with this in it.
    pub fn wait_for_line(&self, wanted: &str) -> String {
        let started = Clock::system().stopwatch();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(wanted)) {
                return line.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{wanted} never appeared in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and asserts that the process ends well by itself.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = self.wait(Duration::from_secs(40));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}\n{}", self.log());
    }

    fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Clock::system().stopwatch();
        while started.elapsed() < within {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A Docker engine of the test's own, that it may kill: `dockerd` with everything in one folder, in
/// namespaces of its own, so that nothing of it is left on the machine however the test ends.
pub struct PrivateEngine {
    folder: tempfile::TempDir,
    /// Holds the namespaces; all that runs in them ends with it.
    keeper: Child,
    daemon: Option<Child>,
}

/// The first process of the namespaces: reaps whatever the daemon leaves, until its input ends.
const KEEPER: &str = "ip link set lo up; exec 3<&0; echo ready
    cat <&3 >/dev/null & end=$!
    while kill -0 $end 2>/dev/null; do sleep 0.1; done";

impl PrivateEngine {
    /// A started engine with these images of the machine's engine on it.
    pub fn start(images: &[&str]) -> Self {
        // Short, because a socket's path has at most 108 bytes.
        let folder = tempfile::Builder::new().prefix("drydock-e-").tempdir_in("/tmp").unwrap();
        // Address pools that the machine's engine does not use, and nothing of the machine's settings.
        std::fs::write(
            folder.path().join("daemon.json"),
            r#"{"default-address-pools": [{"base": "10.213.0.0/16", "size": 26}]}"#,
        )
        .unwrap();
        let keeper = as_root("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["sh", "-c", KEEPER])
            // Ends when this pipe is closed: by us, or by the system if the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be run");
        let mut engine = Self { folder, keeper, daemon: None };
        let mut ready = [0; 6];
        engine
            .keeper
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .expect("namespaces can be made (as root)");
        engine.up();
        let mut save =
            Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().unwrap();
        let load = engine.docker().arg("load").stdin(save.stdout.take().unwrap()).output().unwrap();
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        assert!(
            save.wait().unwrap().success(),
            "{images:?} are not on the machine's engine; run tests/bases"
        );
        engine
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        command
    }

    fn init(&self) -> String {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.keeper.id())).unwrap();
        children.split_whitespace().next().expect("unshare has forked").to_owned()
    }

    /// Starts the daemon, on the data that an earlier one left.
    pub fn up(&mut self) {
        assert!(self.daemon.is_none(), "it is up");
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(at("log")).unwrap();
        // A daemon that was killed leaves these behind, with numbers that other processes have now.
        for stale in ["pid", "exec/containerd/containerd.pid"] {
            let _ = as_root("rm").arg("-f").arg(at(stale)).status();
        }
        let daemon = as_root("nsenter")
            .args(["--target", &self.init(), "--mount", "--net", "--pid", "--"])
            .args(["dockerd", "--config-file", &at("daemon.json"), "--host", &self.host()])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--bridge", "none"])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("nsenter can be run");
        self.daemon = Some(daemon);
        let started = Clock::system().stopwatch();
        while !self.docker().arg("version").output().is_ok_and(|output| output.status.success()) {
            let log = || std::fs::read_to_string(at("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(40), "dockerd does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills the daemon, as a crash or an operator would; its containers stay for the next one to find.
    pub fn down(&mut self) {
        let mut daemon = self.daemon.take().expect("it is up");
        // nsenter has become dockerd, or has it as its child where it had to fork for the process
        // namespace.
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.id()));
        for pid in children.unwrap_or_default().split_whitespace() {
            assert!(as_root("kill").args(["-9", pid]).status().unwrap().success());
        }
        let _ = daemon.kill();
        daemon.wait().unwrap();
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // In good order first, so that control groups and mounts go too.
        if self.daemon.is_some() {
            let _ = self.docker().args(["ps", "--all", "--quiet"]).output().map(|listed| {
                let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
                self.docker().args(["rm", "--force"]).args(ids.split_whitespace()).output()
            });
            self.down();
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- end of the private engine's log ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        let _ = as_root("rm").arg("-rf").arg(self.folder.path()).status();
    }
}

/// A command that needs root, through sudo where the tests are not run as root.
fn as_root(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn server_url() -> String {
    std::env::var("DRYDOCK_TEST_POSTGRES")
        .expect("DRYDOCK_TEST_POSTGRES=postgres://… names a server for tests; tests/run starts one")
}

async fn create_database() -> String {
    let server = server_url();
    let name = format!("faults_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn drop_database(url: &str) {
    let (_, name) = url.rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&server_url()).await.unwrap();
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
}
