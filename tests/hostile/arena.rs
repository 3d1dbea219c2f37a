//! The harness: an installation with its server and worker, a neighbour's stack on the same engine, and a
//! host with a secret file and a listening port.
//!
//! Of every attack it asserts that
//! 1. the verdict is the expected one and the report says why in the student's terms; it is never a fault;
//! 2. the host's secret is in no report and no page, and its file is as it was;
//! 3. the neighbour answers all the time, and the server answers pages;
//! 4. nothing of it is left on the engine, and what the server keeps on the host stays small.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use drydock::clock::Clock;
use drydock::config::SandboxSettings;
use drydock::sandbox::{Engine, Sandbox, Stack};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::exercises::EXERCISES;
use crate::common::{BUSYBOX, app, context, get, limits, silent, stack, web, without_pool};
use crate::server::{Database, Installation, PATIENCE, Process};

/// Longer than a page may take however hard the machine works.
const PAGE: Duration = Duration::from_secs(2);
/// What the server may keep on the host of one test's attacks: contents, database, log.
const KEPT_BYTES: u64 = 96 << 20;

const SETTINGS: &str = r#"
[worker]
slots = 2
attempts = 1

[sandbox]
warm_pods = 0
pull = false
sweep_every = "5s"
"#;

/// Something handed in, and what has to come of it.
pub struct Attack {
    pub what: &'static str,
    pub exercise: &'static str,
    pub files: Vec<(String, Vec<u8>)>,
    /// Of the whole grading.
    pub verdict: &'static str,
    /// What the student reads somewhere in the checks' observations, expectations and evidence.
    pub says: Vec<String>,
}

impl Attack {
    /// Files for an exercise that must not pass.
    pub fn new(what: &'static str, exercise: &'static str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self { what, exercise, files, verdict: "failed", says: Vec::new() }
    }

    /// Instructions after the usual base.
    pub fn dockerfile(what: &'static str, exercise: &'static str, instructions: &str) -> Self {
        Self::new(what, exercise, &[("Dockerfile", &format!("FROM {BUSYBOX}\n{instructions}\n"))])
    }

    /// A compose file.
    pub fn compose(what: &'static str, file: &str) -> Self {
        Self::new(what, "composed", &[("compose.yaml", file), ("README", "")])
    }

    /// A program in Python as main process, by the configuration of the image alone: nothing is copied.
    pub fn python(what: &'static str, exercise: &'static str, program: &str) -> Self {
        let command = serde_json::json!(["python3", "-u", "-c", program]);
        let dockerfile = format!("FROM python:3.13-slim\nLABEL hostile=@ARENA@\nCMD {command}\n");
        Self::new(what, exercise, &[("Dockerfile", &dockerfile), ("README", "")])
    }

    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    pub fn says(mut self, words: &str) -> Self {
        self.says.push(words.to_owned());
        self
    }

    /// It is harmless here: the work is good all the same.
    pub fn passes(mut self) -> Self {
        self.verdict = "passed";
        self
    }
}

/// What came of an attack.
pub struct Seen {
    pub what: &'static str,
    /// As the student's program gets it.
    pub report: Value,
    /// As the trainer's program gets it.
    pub whole: Value,
    /// As the student's browser gets it.
    pub page: String,
}

pub struct Arena {
    pub installation: Installation,
    pub server: Process,
    pub host: Host,
    neighbour: Neighbour,
    watch: Watch,
    strays: BTreeSet<String>,
}

impl Arena {
    pub async fn open() -> Self {
        Self::with("runc").await
    }

    /// With students' containers under another runtime of the engine.
    pub async fn with(runtime: &str) -> Self {
        let settings = format!("{SETTINGS}runtime = \"{runtime}\"\n");
        let installation = Installation::new(Database::Sqlite, &settings, EXERCISES).await;
        let strays = strays(&installation);
        let server = installation.serve(&[]);
        let neighbour = Neighbour::start(&installation, runtime).await;
        let host = Host::new().await;
        // gVisor hands the neighbour's server a connection now and then when it has already given up on it, so one
        // request says little there; how long it was waited for is printed.
        let patience = if runtime == "runsc" { Duration::from_secs(5) } else { Duration::ZERO };
        let watch = Watch::start(&neighbour, &server.address, patience);
        Self { installation, server, host, neighbour, watch, strays }
    }

    /// Text of an attack with what it may know of the place.
    fn filled(&self, content: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(content) else { return content.to_vec() };
        if !text.contains('@') {
            return content.to_vec();
        }
        let id = std::fs::read_to_string(self.installation.data().join("sandbox/installation-id"));
        text.replace("@ARENA@", &self.host.id)
            .replace("@CANARY@", &self.host.canary.display().to_string())
            .replace("@PORT@", &self.host.port.to_string())
            .replace("@HOST@", &self.host.addresses.join(" "))
            .replace("@INSTALLATION@", id.unwrap_or_default().trim())
            .replace("@NEIGHBOUR@", &self.neighbour.address)
            .replace("@NEIGHBOUR_IMAGE@", BUSYBOX)
            .into_bytes()
    }

    /// Hands all of them in at once, and waits for their ends.
    pub async fn run(&self, attacks: Vec<Attack>) -> Vec<Seen> {
        let mut handed = Vec::new();
        for attack in attacks {
            let files: Vec<(&str, Vec<u8>)> =
                attack.files.iter().map(|(path, content)| (path.as_str(), self.filled(content))).collect();
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(path, content)| (*path, content.as_slice())).collect();
            let grading = self.installation.hand_in(&self.server, attack.exercise, &files).await;
            handed.push((attack, grading));
        }
        let mut seen = Vec::new();
        let mut wrong = Vec::new();
        for (attack, grading) in handed {
            let stopwatch = Clock::system().stopwatch();
            let one = self.ended(&attack, grading).await;
            println!("{}: {} after {:.1?}", attack.what, one.report["verdict"], stopwatch.elapsed());
            if let Err(why) = self.judge(&attack, &one) {
                wrong.push(format!("{}: {why}\n{:#}", attack.what, one.whole));
            }
            seen.push(one);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        seen
    }

    async fn ended(&self, attack: &Attack, grading: Uuid) -> Seen {
        let report = self.installation.done(&self.server, grading).await;
        let whole = self.installation.grading(&self.server, &self.installation.trainer, grading).await;
        let submission = report["submission"].as_str().expect("a submission");
        let page = self.installation.page(&self.server, &format!("/submissions/{submission}")).await;
        Seen { what: attack.what, report, whole, page }
    }

    fn judge(&self, attack: &Attack, seen: &Seen) -> Result<(), String> {
        let verdict = seen.report["verdict"].as_str().unwrap_or_default();
        if verdict != attack.verdict {
            return Err(format!("the verdict is {verdict} and not {}", attack.verdict));
        }
        let told = seen.report["checks"].to_string().replace("\\\"", "\"").replace("\\n", "\n");
        if let Some(missing) = attack.says.iter().find(|words| !told.contains(*words)) {
            return Err(format!("nowhere is said {missing:?}"));
        }
        if verdict == "failed" {
            let checks = seen.report["checks"].as_array().cloned().unwrap_or_default();
            let silent = checks.iter().find(|check| {
                check["outcome"] != "passed" && check["observed"].as_str().unwrap_or_default().is_empty()
            });
            if let Some(silent) = silent {
                return Err(format!("a check says nothing: {silent}"));
            }
        }
        if seen.whole.to_string().contains(&self.host.secret) || seen.page.contains(&self.host.secret) {
            return Err("the secret of the host is in the report".into());
        }
        Ok(())
    }

    /// Ends everything and asserts that nothing is left.
    pub async fn close(self) {
        self.host.assert_untouched();
        self.watch.end().await;
        let kept = size_of(&self.installation.data());
        assert!(kept < KEPT_BYTES, "the server keeps {kept} bytes");
        let log = self.server.log();
        assert!(log.len() < 4 << 20, "the server logged {} bytes", log.len());
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains(&self.host.secret), "the secret of the host is in the log");
        self.server.stop();
        let began = Clock::system().stopwatch();
        loop {
            let own = self.neighbour.belongings(&self.installation);
            let left: Vec<String> =
                self.installation.belongings().into_iter().filter(|thing| !own.contains(thing)).collect();
            if left.is_empty() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "left in the engine: {left:#?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.neighbour.assert_answers().await;
        self.neighbour.stop().await;
        self.installation.assert_nothing_left();
        let label = format!("label=hostile={}", self.host.id);
        let images = || self.installation.docker(&["images", "--all", "--quiet", "--filter", &label]);
        if !images().is_empty() {
            // What a step on its way out still held when the server ended is swept after the next start.
            let sweeping = self.installation.serve(&[]);
            let began = Clock::system().stopwatch();
            while !images().is_empty() && began.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            sweeping.stop();
        }
        assert_eq!(images(), "", "images of the attacks are left");
        // Without a label of ours: of others that work on this engine they come and go, of ours they would stay.
        let mut left: BTreeSet<String> =
            strays(&self.installation).difference(&self.strays).cloned().collect();
        let began = Clock::system().stopwatch();
        while !left.is_empty() {
            assert!(began.elapsed() < PATIENCE, "left in the engine without a label: {left:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = strays(&self.installation);
            left.retain(|thing| now.contains(thing));
        }
        self.installation.remove().await;
    }
}

/// Containers and volumes of the engine that carry no label of any installation.
fn strays(installation: &Installation) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let lists: [&[&str]; 2] = [&["ps", "--all", "--no-trunc", "--quiet"], &["volume", "ls", "--quiet"]];
    for list in lists {
        let all: BTreeSet<String> = installation.docker(list).lines().map(str::to_owned).collect();
        let ours = installation.docker(&[list, &["--filter", "label=drydock.server"]].concat());
        let ours: BTreeSet<String> = ours.lines().map(str::to_owned).collect();
        found.extend(all.difference(&ours).cloned());
    }
    found
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The machine, as an attack would have it: a file with a secret, and a port that listens on all addresses
/// and tells the secret.
pub struct Host {
    pub id: String,
    pub secret: String,
    pub canary: PathBuf,
    pub port: u16,
    /// The machine's own addresses, and those of others on its networks that nothing should reach.
    pub addresses: Vec<String>,
    connections: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Host {
    async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("drydock-hostile-").tempdir_in("/tmp").unwrap();
        let (id, secret) =
            (Uuid::new_v4().simple().to_string(), format!("secret-{}", Uuid::new_v4().simple()));
        let canary = folder.path().join("canary");
        std::fs::write(&canary, &secret).unwrap();
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, told) = (Arc::clone(&connections), secret.clone());
        let listening = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{told}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let mut addresses: Vec<String> = std::process::Command::new("hostname")
            .arg("-I")
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        addresses.push("172.17.0.1".into());
        Self { id, secret, canary, port, addresses, connections, listening, folder }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(std::fs::read_to_string(&self.canary).expect("the canary"), self.secret);
        let beside = std::fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(beside, 1, "something was written beside the canary");
        assert_eq!(self.connections.load(Ordering::Relaxed), 0, "the host was reached over the network");
        self.listening.abort();
    }
}

/// Another student's stack, of the same installation and beside all attacks.
struct Neighbour {
    engine: Engine,
    sandbox: Sandbox,
    stack: Arc<Stack>,
    address: String,
}

impl Neighbour {
    async fn start(installation: &Installation, runtime: &str) -> Self {
        let state = installation.data().join("sandbox");
        let settings = SandboxSettings { runtime: runtime.to_owned(), ..without_pool() };
        let engine = Engine::connect(&settings, context(&state)).await.expect("a Docker engine");
        let sandbox = engine.sandbox("neighbour", limits());
        let prepared = sandbox.prepare(&stack([("app", web("good-neighbour", "8080"))])).await.expect("pods");
        let running = prepared.start(BUSYBOX, silent(), &std::collections::HashSet::new()).await.unwrap();
        let address = app(&running).address().to_string();
        Self { engine, sandbox, stack: Arc::new(running), address }
    }

    async fn assert_answers(&self) {
        let began = Clock::system().stopwatch();
        while answers(&self.stack).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the neighbour does not answer any more");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let state = app(&self.stack).state().await.expect("a state");
        assert!(state.running && state.restarts == 0, "the neighbour was disturbed: {state:?}");
    }

    fn belongings(&self, installation: &Installation) -> BTreeSet<String> {
        let label = "label=drydock.grading=neighbour";
        let lists: [&[&str]; 2] = [
            &["ps", "--all", "--no-trunc", "--format", "container {{.Names}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
        ];
        let listed = lists.iter().map(|list| installation.docker(&[*list, &["--filter", label]].concat()));
        listed.flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    async fn stop(self) {
        drop(self.stack);
        self.sandbox.clean().await;
        self.engine.shutdown().await;
    }
}

async fn answers(stack: &Stack) -> Result<(), String> {
    let service = app(stack);
    match service.http(service, get(8080)).await {
        Ok(Ok(response)) if response.status == 200 && response.body == "good-neighbour\n" => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Asks neighbour and server all the time.
struct Watch {
    ended: Arc<AtomicBool>,
    asking: JoinHandle<Vec<String>>,
}

impl Watch {
    fn start(neighbour: &Neighbour, server: &str, patience: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (stack, over) = (Arc::clone(&neighbour.stack), Arc::clone(&ended));
        let pages = [format!("http://{server}/healthz"), format!("http://{server}/sign-in")];
        let asking = tokio::spawn(async move {
            let http = reqwest::Client::builder().timeout(PAGE).build().unwrap();
            let mut troubles = Vec::new();
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) && troubles.len() < 5 {
                let silence = Clock::system().stopwatch();
                let mut answered = answers(&stack).await;
                while answered.is_err() && silence.elapsed() < patience {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    answered = answers(&stack).await;
                }
                longest = longest.max(silence.elapsed());
                if let Err(why) = answered {
                    troubles
                        .push(format!("the neighbour did not answer for {:.1?}: {why}", silence.elapsed()));
                }
                for page in &pages {
                    match http.get(page).send().await {
                        Ok(answer) if answer.status() == StatusCode::OK => {}
                        Ok(answer) => troubles.push(format!("{page}: {}", answer.status())),
                        Err(error) => troubles.push(format!("{page}: {error}")),
                    }
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            println!("the neighbour was waited for {longest:.1?} at most");
            troubles
        });
        Self { ended, asking }
    }

    async fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        let troubles = self.asking.await.unwrap();
        assert!(troubles.is_empty(), "{troubles:#?}");
    }
}
