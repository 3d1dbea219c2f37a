//! The whole server for a test: the real router on a real port over a real database, with people of
//! every role.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod client;
mod database;
mod runner;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock::accounts::openid::OpenId;
use drydock::accounts::{Role, Seal, hash_token, new_api_token, new_token};
use drydock::clock::Clock;
use drydock::config::{
    FetchSettings, OpenIdSettings, SandboxSettings, SessionSettings, Settings, UploadSettings, WorkerSettings,
};
use drydock::exercises::Exercise;
use drydock::live::Live;
use drydock::store::{Cohort, Grading, Person, Store, Submission};
use drydock::web::access::Patience;
use drydock::web::{self, AppState};
use reqwest::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use client::{Answer, Client, EventStream, Received, urlencoded};
pub use database::Database;
pub use runner::{Runner, log, report};

use client::SignedIn;

/// Makes of an `async fn name(database: Database)` two tests, `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            use super::{Database, $name};
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                $name(Database::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                $name(Database::Postgres).await;
            }
        }
    };
}

/// The exercise that takes files: `hello.txt` with "hello", and a word that is kept from students.
pub const FILES: &str = "say-hello";
/// The exercise that takes answers: a choice, a short answer, an essay.
pub const QUESTIONS: &str = "three-questions";
/// The exercise that takes files by the address of a repository, too.
pub const REPOSITORY: &str = "from-a-repository";
/// The exercise that takes an image out of a registry.
pub const IMAGE: &str = "an-image";
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

const REPOSITORY_YAML: &str = "\
title: From a repository
submit: [repository, upload]
checks:
  - file: {path: hello.txt, content: {contains: hello}}
    id: says-hello
    title: hello.txt says hello
mutants:
  silent: {fails: [says-hello], because: nothing is said}
";

const IMAGE_YAML: &str = "\
title: An image
submit: [image]
checks:
  - image: {labels: {made: by hand}}
    id: made
    title: It says how it was made
  - reference: {repository: team/app, tag: '1.0'}
    id: named
    title: It has the wanted name
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
        secret_key: None,
        exercises_dir: data_dir.join("exercises"),
        logs_kept: Duration::from_hours(24),
        sessions: SessionSettings { lifetime: Duration::from_hours(12) },
        openid: OpenIdSettings::default(),
        uploads: UploadSettings {
            archive_bytes: 1 << 20,
            unpacked_bytes: 4 << 20,
            entries: 100,
            saved_image_bytes: 2 << 20,
        },
        fetch: FetchSettings::default(),
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
    database_url: String,
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
        let database_url = database.fresh(folder.path()).await;
        let store =
            Store::open(&database_url, &folder.path().join("contents"), Seal::ephemeral(), clock.clone())
                .await
                .unwrap();
        let live = Live::new(store.clone(), clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = settings(address, folder.path());
        let mut patience = Patience::default();
        change(&mut settings, &mut patience);

        publish(&store, folder.path()).await;
        let cohort = store.create_cohort("Harbour <b>crew</b>", "basics", "HRB-CRW").await.unwrap();
        let other_cohort = store.create_cohort("Night shift", "basics", "NGT-SH5").await.unwrap();

        let openid = OpenId::new(&settings.openid, clock.clone()).unwrap();
        let mut state = AppState::new(store, live, clock.clone(), Arc::new(settings));
        state.patience = patience;
        state.openid = openid;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(web::serve(state.clone(), listener, shutdown.clone()));
        Self {
            state,
            address,
            cohort,
            other_cohort,
            clock,
            shutdown,
            server: Some(server),
            folder,
            database_url,
        }
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
        Runner::new(self.store().clone(), self.state.live.clone())
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
        database::remove(&self.database_url).await;
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
    let repository: &[(&str, &str)] = &[("solution/hello.txt", "hello"), ("mutants/silent/hello.txt", "")];
    for (slug, yaml, files) in [
        (FILES, FILES_YAML, files),
        (QUESTIONS, QUESTIONS_YAML, answers),
        (REPOSITORY, REPOSITORY_YAML, repository),
        (IMAGE, IMAGE_YAML, &[("solution/reference.txt", "registry.example.org/team/app:1.0")]),
    ] {
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
    let workshop = serde_json::json!({
        "slug": "addresses", "title": "By address", "audience": "Everybody",
        "sections": [{"title": "First", "exercises": [FILES, REPOSITORY, IMAGE]}],
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
