//! The real program as a real installation: `drydock serve` and `drydock worker` as processes of
//! their own, with a data folder, exercises, people and tokens, so that a test can kill what it
//! wants and look at what is left.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod database;
mod private_engine;
mod process;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock::accounts::Seal;
use drydock::clock::Clock;
use drydock::live::Event;
use drydock::store::Store;
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

pub use database::Database;
#[allow(unused_imports, reason = "each test binary uses its own part")]
pub use private_engine::PrivateEngine;
pub use process::Process;

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
    docker_host: Option<String>,
    http: reqwest::Client,
    /// Of all processes there were, for a test that fails.
    logs: Mutex<Vec<Arc<Mutex<String>>>>,
    pub student: String,
    pub trainer: String,
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
        let data = folder.path().join("data");
        let url = database.fresh(&data).await;
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
            docker_host,
            http,
            logs: Mutex::default(),
            student: String::new(),
            trainer: String::new(),
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
        Store::open(
            &self.url,
            &self.data().join("content"),
            Seal::open_or_create(None, &self.data()).unwrap(),
            Clock::system(),
        )
        .await
        .unwrap()
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
        let named = self.docker(&["images", "--format", "image {{.Repository}}:{{.Tag}}", "drydock-build"]);
        let mut found: BTreeSet<String> =
            named.lines().filter(|line| line.contains(id.trim())).map(str::to_owned).collect();
        let lists: [&[&str]; 3] = [
            &["ps", "--all", "--no-trunc", "--format", "container {{.Names}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
        ];
        for list in lists {
            let listed = self.docker(&[list, &["--filter", &label]].concat());
            found.extend(listed.lines().map(str::to_owned));
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

    /// The lines with this in them that any process logged so far, those that were killed too.
    pub fn logged(&self, wanted: &str) -> Vec<String> {
        let logs = self.logs.lock().unwrap();
        let lines = logs.iter().flat_map(|log| {
            let log = log.lock().unwrap();
            log.lines().filter(|line| line.contains(wanted)).map(str::to_owned).collect::<Vec<_>>()
        });
        lines.collect()
    }

    /// A request to the API with somebody's token.
    pub async fn get(&self, server: &Process, token: &str, path: &str) -> Result<Value, reqwest::Error> {
        self.get_at(&server.address, token, path).await
    }

    async fn get_at(&self, address: &str, token: &str, path: &str) -> Result<Value, reqwest::Error> {
        let url = format!("http://{address}{path}");
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
        self.try_hand_in_at(&server.address, exercise, archive, key).await
    }

    /// The same where a server listens, or did.
    pub async fn try_hand_in_at(
        &self,
        address: &str,
        exercise: &str,
        archive: Vec<u8>,
        key: &str,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        let cohorts = self.get_at(address, &self.student, "/api/v1/cohorts").await?;
        let cohort = cohorts.pointer("/0/id").or_else(|| cohorts.pointer("/cohorts/0/id"));
        let cohort =
            cohort.and_then(Value::as_str).unwrap_or_else(|| panic!("no cohort in {cohorts}")).to_owned();
        let url = format!("http://{address}/api/v1/cohorts/{cohort}/exercises/{exercise}/submissions");
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
    pub async fn remove(self) {
        self.assert_nothing_left();
        database::remove(&self.url).await;
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, log) in self.logs.lock().unwrap().iter().enumerate() {
                eprintln!("--- log of process {} ---\n{}", number + 1, log.lock().unwrap());
            }
            // Nobody would ever sweep for this installation again.
            for thing in self.belongings() {
                if let Some((kind, name)) = thing.split_once(' ') {
                    let mut removal = Command::new("docker");
                    if let Some(host) = &self.docker_host {
                        removal.env("DOCKER_HOST", host);
                    }
                    let _ = removal.args([kind, "rm", "--force", name]).output();
                }
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
