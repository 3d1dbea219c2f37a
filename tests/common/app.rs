//! The whole server for a test: the real router on a real port over a real database, with people of
//! every role, and a runner that finishes gradings the way a worker does where no engine is needed.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock::accounts::{Role, hash_token, new_api_token, new_token};
use drydock::clock::Clock;
use drydock::config::{SandboxSettings, SessionSettings, Settings, UploadSettings, WorkerSettings};
use drydock::exercises::Exercise;
use drydock::live::{Event, Line, Live, Recorder};
use drydock::report::{CheckReport, EngineReport, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict};
use drydock::store::{Claim, Cohort, Grading, Person, Store, Submission};
use drydock::web::access::Patience;
use drydock::web::{self, AppState};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::multipart;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Which database is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// The exercise that takes files: `hello.txt` with "hello", and a word that is kept from students.
pub const FILES: &str = "say-hello";
/// The exercise that takes answers: a choice, a short answer, an essay.
pub const QUESTIONS: &str = "three-questions";
/// What the hidden check expects.
pub const SECRET: &str = "swordfish";

const FILES_YAML: &str = "\
title: Say hello
summary: A file that says hello.
minutes: 5
objectives: [files]
submit: [upload]
checks:
  - file: {path: hello.txt, content: {contains: hello}}
    id: says-hello
    title: hello.txt says hello
    points: 2
    hint: Write the word in small letters.
  - file: {path: word.txt, content: {contains: swordfish}}
    id: knows-word
    title: word.txt has the word
    points: 1
    hidden: true
    hint: It was in the talk.
mutants:
  silent: {fails: [says-hello], because: nothing is said}
  wordless: {fails: [knows-word], because: the word is missing}
";

const QUESTIONS_YAML: &str = "\
title: Three questions
summary: What a container is.
minutes: 10
objectives: [containers]
submit: [answers]
checks:
  - choice:
      question: What do containers share?
      options:
        - {id: kernel, text: The kernel, right: true}
        - {id: disk, text: The disk}
    id: shared
    title: What is shared
    points: 1
    hint: uname -r
  - short: {question: Which command lists containers?, accepts: [docker ps]}
    id: listing
    title: The command
    points: 1
    hint: Two letters.
  - essay: {question: Why containers?, rubric: [{criterion: Names isolation, points: 2}]}
    id: why
    title: In your own words
    points: 2
    hint: Think of two people at one machine.
mutants:
  wrong: {fails: [shared, listing], because: everything is wrong}
";

fn settings(listen: SocketAddr, data_dir: &Path) -> Settings {
    Settings {
        listen,
        public_url: None,
        data_dir: data_dir.to_owned(),
        database_url: None,
        exercises_dir: data_dir.join("exercises"),
        sessions: SessionSettings { lifetime: Duration::from_hours(12) },
        uploads: UploadSettings { archive_bytes: 1 << 20, unpacked_bytes: 4 << 20, entries: 100 },
        worker: WorkerSettings {
            slots: 1,
            lease: Duration::from_secs(30),
            attempts: 3,
            backoff: Duration::from_secs(1),
        },
        sandbox: SandboxSettings::default(),
    }
}

/// A server with a cohort, its people, and a second cohort next door.
pub struct App {
    pub state: AppState,
    pub address: SocketAddr,
    pub cohort: Cohort,
    pub other_cohort: Cohort,
    pub clock: Clock,
    shutdown: CancellationToken,
    server: Option<JoinHandle<std::io::Result<()>>>,
    folder: tempfile::TempDir,
    postgres: Option<String>,
}

impl App {
    /// On SQLite, with the machine's clock.
    pub async fn start() -> Self {
        Self::on(Database::Sqlite).await
    }

    pub async fn on(database: Database) -> Self {
        Self::with(database, Clock::system(), |_, _| ()).await
    }

    /// With settings of the test's own.
    pub async fn with(
        database: Database,
        clock: Clock,
        change: impl FnOnce(&mut Settings, &mut Patience),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(create_database().await),
        };
        let url = postgres
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", folder.path().join("drydock.db").display()));
        let store = Store::open(&url, &folder.path().join("contents"), clock.clone()).await.unwrap();
        let live = Live::new(store.clone(), clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = settings(address, folder.path());
        let mut patience = Patience::default();
        change(&mut settings, &mut patience);

        publish(&store, folder.path()).await;
        let cohort = store.create_cohort("Harbour <b>crew</b>", "basics", "HRB-CRW").await.unwrap();
        let other_cohort = store.create_cohort("Night shift", "basics", "NGT-SH5").await.unwrap();

        let mut state = AppState::new(store, live, clock.clone(), Arc::new(settings));
        state.patience = patience;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(web::serve(state.clone(), listener, shutdown.clone()));
        Self { state, address, cohort, other_cohort, clock, shutdown, server: Some(server), folder, postgres }
    }

    pub fn store(&self) -> &Store {
        &self.state.store
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Somebody who is not signed in, with a browser's cookies.
    pub fn visitor(&self) -> Client {
        Client::new(self, None)
    }

    /// A person without any cohort. The password hash fits no password: they sign in by the store.
    pub async fn person(&self, name: &str, admin: bool) -> Person {
        self.store().create_person(name, "$argon2id$none", admin).await.unwrap()
    }

    /// A member of a cohort, signed in.
    pub async fn member(&self, cohort: &Cohort, name: &str, role: Role) -> Client {
        let person = self.person(name, false).await;
        self.store().add_member(cohort.id, person.id, role).await.unwrap();
        self.client_of(&person).await
    }

    pub async fn student(&self, name: &str) -> Client {
        self.member(&self.cohort, name, Role::Student).await
    }

    pub async fn trainer(&self, name: &str) -> Client {
        self.member(&self.cohort, name, Role::Trainer).await
    }

    pub async fn admin(&self, name: &str) -> Client {
        let person = self.person(name, true).await;
        self.client_of(&person).await
    }

    /// A new session for somebody, as after signing in.
    pub async fn client_of(&self, person: &Person) -> Client {
        let (token, csrf) = (new_token(), new_token());
        let lifetime = Duration::from_hours(1);
        self.store().create_session(person.id, &hash_token(&token), &csrf, lifetime).await.unwrap();
        Client::new(self, Some(SignedIn { person: person.clone(), token, csrf }))
    }

    /// A program that acts for somebody.
    pub async fn program_of(&self, person: &Person) -> Client {
        let token = new_api_token();
        self.store().create_api_token(person.id, "tests", &hash_token(&token)).await.unwrap();
        let mut client = Client::new(self, None);
        client.bearer = Some(token);
        client.person = Some(person.clone());
        client
    }

    /// A worker without an engine.
    pub fn runner(&self) -> Runner {
        Runner { store: self.store().clone(), live: self.state.live.clone() }
    }

    /// Hands in for a client through the store, as the pages do.
    pub async fn submit(&self, client: &Client, exercise: &str) -> (Submission, Grading) {
        let response = client
            .send_raw(
                Method::POST,
                &format!("/api/v1/cohorts/{}/exercises/{exercise}/submissions", self.cohort.id),
                "application/zip",
                zip(&[("hello.txt", b"hello")]),
            )
            .await;
        response.assert(StatusCode::ACCEPTED);
        let id: Uuid = response.json()["id"].as_str().unwrap().parse().unwrap();
        (self.store().submission(id).await.unwrap(), self.store().latest_grading(id).await.unwrap())
    }

    /// Stops the server and waits for it; its streams must have ended in time.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let server = self.server.take().unwrap();
        tokio::time::timeout(Duration::from_secs(8), server)
            .await
            .expect("the server stops in time")
            .unwrap()
            .unwrap();
        self.store().close().await;
        if let Some(url) = self.postgres.take() {
            drop_database(&url).await;
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Exercises and their workshop, written to disk and published as `main` does.
async fn publish(store: &Store, folder: &Path) {
    let files: &[(&str, &str)] = &[
        ("starter/hello.txt", ""),
        ("solution/hello.txt", "hello"),
        ("solution/word.txt", SECRET),
        ("mutants/silent/hello.txt", ""),
        ("mutants/wordless/word.txt", ""),
    ];
    let answers: &[(&str, &str)] = &[
        (
            "solution/answers.json",
            r#"{"shared": ["kernel"], "listing": "docker ps", "why": "Isolation of one from the other."}"#,
        ),
        ("mutants/wrong/answers.json", r#"{"shared": ["disk"], "listing": "docker images", "why": "No."}"#),
    ];
    for (slug, yaml, files) in [(FILES, FILES_YAML, files), (QUESTIONS, QUESTIONS_YAML, answers)] {
        let folder = folder.join("exercises").join(slug);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("exercise.yaml"), yaml).unwrap();
        std::fs::write(
            folder.join("README.md"),
            "# Task\n\nDo *it*, and <script>alert(1)</script> nothing else.\n",
        )
        .unwrap();
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let exercise = Exercise::read(&folder).unwrap_or_else(|mistakes| panic!("{slug}: {mistakes:?}"));
        store.publish_exercise(&exercise).await.unwrap();
    }
    let workshop = serde_json::json!({
        "slug": "basics", "title": "The basics", "audience": "Everybody",
        "sections": [{"title": "First", "exercises": [FILES, QUESTIONS]}],
    });
    store.publish_workshop(&serde_json::from_value(workshop).unwrap()).await.unwrap();
}

/// A zip archive with these files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn server_url() -> String {
    std::env::var("DRYDOCK_TEST_POSTGRES")
        .expect("DRYDOCK_TEST_POSTGRES=postgres://… names a server for tests; tests/run starts one")
}

async fn create_database() -> String {
    let server = server_url();
    let name = format!("web_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn drop_database(url: &str) {
    let (_, name) = url.rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&server_url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .execute(&mut admin)
        .await
        .unwrap();
}

/// How a client is signed in.
struct SignedIn {
    person: Person,
    token: String,
    csrf: String,
}

/// A browser or a program.
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub csrf: Option<String>,
    pub bearer: Option<String>,
    pub person: Option<Person>,
}

impl Client {
    fn new(app: &App, signed_in: Option<SignedIn>) -> Self {
        let base = format!("http://{}", app.address);
        let jar = Arc::new(reqwest::cookie::Jar::default());
        if let Some(signed_in) = &signed_in {
            let name = if app.state.secure_cookies() { "__Host-session" } else { "session" };
            jar.add_cookie_str(&format!("{name}={}; Path=/", signed_in.token), &base.parse().unwrap());
        }
        let http = reqwest::Client::builder()
            .cookie_provider(jar)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let (person, csrf) = signed_in.map(|signed_in| (signed_in.person, signed_in.csrf)).unzip();
        Self { http, base, csrf, bearer: None, person }
    }

    pub fn person(&self) -> &Person {
        self.person.as_ref().expect("a signed-in client")
    }

    /// A request with this client's cookies or token, and with a page's `Accept`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if path.starts_with("/api/") { request } else { request.header("accept", "text/html") }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// The CSRF token: that of the session, or what the form of a page has.
    pub async fn token(&self, page: &str) -> String {
        if let Some(csrf) = &self.csrf {
            return csrf.clone();
        }
        let answer = self.get(page).await;
        let found =
            answer.text.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        found.unwrap_or_else(|| panic!("{page} has no form: {}", answer.text)).0.to_owned()
    }

    /// Sends a form of a page, as a browser does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.token(path).await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        Answer::of(
            self.request(Method::POST, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .body(urlencoded(&all))
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Sends a multipart form, the token first.
    pub async fn multipart(
        &self,
        page: &str,
        path: &str,
        add: impl FnOnce(multipart::Form) -> multipart::Form,
    ) -> Answer {
        let form = multipart::Form::new().text("csrf", self.token(page).await);
        let request =
            self.request(Method::POST, path).header("sec-fetch-site", "same-origin").multipart(add(form));
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.unsafe_request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub async fn send_raw(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self.unsafe_request(method, path).header("content-type", kind).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A request that changes something, with the token in the header where there is a session.
    pub fn unsafe_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.request(method, path);
        match &self.csrf {
            Some(csrf) => request.header("x-csrf-token", csrf),
            None => request,
        }
    }

    /// Opens an event stream.
    pub async fn stream(&self, path: &str, last_event_id: Option<i64>) -> EventStream {
        let mut request = self.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        EventStream { response, buffer: String::new() }
    }
}

/// `application/x-www-form-urlencoded`.
pub fn urlencoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect::<String>()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap<HeaderValue>,
    pub text: String,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned() }
    }

    #[track_caller]
    pub fn assert(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    #[track_caller]
    pub fn assert_redirect(&self, to: &str) -> &Self {
        self.assert(StatusCode::SEE_OTHER);
        assert_eq!(self.header("location"), to);
        self
    }

    #[track_caller]
    pub fn assert_says(&self, words: &str) -> &Self {
        assert!(self.text.contains(words), "{words:?} is not in: {}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// One event as a browser reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

/// An open event stream.
pub struct EventStream {
    response: reqwest::Response,
    buffer: String,
}

impl EventStream {
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` when the server ended the stream. Fails after ten seconds of silence.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let mut event = Received::default();
                for line in block.lines() {
                    match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                        Some(("id", value)) => event.id = Some(value.to_owned()),
                        Some(("event", value)) => value.clone_into(&mut event.name),
                        Some(("data", value)) => event.data.push_str(value),
                        _ => {}
                    }
                }
                self.buffer = rest.to_owned();
                if !event.data.is_empty() {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let chunk = chunk.await.expect("an event within ten seconds").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn rest(mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// Finishes gradings through leases, as a worker does, with reports that the test makes up.
pub struct Runner {
    store: Store,
    live: Live,
}

impl Runner {
    /// Claims the next grading.
    pub async fn claim(&self) -> Claim {
        self.store.claim("runner", Duration::from_mins(1)).await.unwrap().expect("something to claim")
    }

    /// Begins to write down what happens in a claimed grading.
    pub fn record(&self, claim: &Claim) -> Recorder {
        self.live.record(&claim.lease)
    }

    /// Claims the next grading and takes it from the first event to its verdict.
    pub async fn grade(&self, passed: bool) -> Claim {
        let claim = self.claim().await;
        let report = report(&claim.submission, passed);
        let recorder = self.record(&claim);
        recorder.emit(Event::PhaseStarted { phase: Phase::Read });
        recorder.log("build", log("\u{1b}[32mgreen\u{1b}[0m <b>bold</b>"));
        for check in &report.checks {
            recorder.emit(Event::Outcome { check: Box::new(check.clone()) });
        }
        recorder.emit(Event::PhaseFinished { phase: Phase::Read, seconds: 0.5 });
        recorder.finish(&report, None, 0.5).await.unwrap();
        claim
    }
}

pub fn log(text: &str) -> Line {
    Line { text: text.to_owned(), stderr: false }
}

/// A report on [`FILES`] in which the hidden check failed, or everything passed.
pub fn report(submission: &Submission, passed: bool) -> Report {
    let outcome = if passed { OutcomeKind::Passed } else { OutcomeKind::Failed };
    let check = |id: &str, outcome: OutcomeKind, possible: u32, hidden: bool, expected: &str| CheckReport {
        id: id.to_owned(),
        kind: "file".to_owned(),
        title: format!("The check {id}"),
        outcome,
        points: Points { earned: if outcome == OutcomeKind::Passed { possible } else { 0 }, possible },
        expected: expected.to_owned(),
        observed: "a <script>alert(1)</script> and \u{202e}txt.exe".to_owned(),
        evidence: vec![drydock::report::Evidence {
            title: "word.txt".into(),
            text: "</pre><img src=x>".into(),
        }],
        reproduce: Some(format!("grep {expected} word.txt")),
        hint: Some("It was in the talk.".to_owned()),
        explain: None,
        hidden,
        seconds: 0.01,
    };
    let checks = vec![
        check("says-hello", OutcomeKind::Passed, 2, false, "hello"),
        check("knows-word", outcome, 1, true, SECRET),
    ];
    let (verdict, points) = Report::judge(&checks, Verdict::PlatformFault);
    Report {
        exercise: submission.exercise.clone(),
        exercise_version: submission.exercise_version.clone(),
        verdict,
        points,
        checks,
        phases: vec![PhaseReport { name: Phase::Read, seconds: 0.5 }],
        log_truncated: false,
        image: None,
        engine: Some(EngineReport { version: "20.10".into(), runtime: "runc".into(), builder: None }),
    }
}
