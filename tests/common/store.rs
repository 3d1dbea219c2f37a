//! A store on a fresh database with a cohort in it, and the macro that runs a test on both databases.

pub mod database;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use drydock::accounts::{Role, Seal};
use drydock::clock::Clock;
use drydock::report::{CheckReport, OutcomeKind, Points, Report, Verdict};
use drydock::store::{Claim, Cohort, Grading, NewSubmission, Store, Submission};
use drydock::submissions::{Answer, Answers, Content, ContentLimits, Source};
use futures::FutureExt;
use uuid::Uuid;

pub use database::Database;

pub const LEASE: Duration = Duration::from_secs(60);
pub const EXERCISE: &str = "first-container";
pub const VERSION: &str = "v1";

/// Makes of each `async fn name(house)` two tests, `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($house:ident) $body:block)+) => {$(
        mod $name {
            use super::*;
            async fn body($house: &House) $body
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                House::run($crate::house::Database::Sqlite, async |house| body(house).await).await;
            }
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                House::run($crate::house::Database::Postgres, async |house| body(house).await).await;
            }
        }
    )+};
}

/// A store with a cohort and a published exercise. The clock stands still until it is moved.
pub struct House {
    pub database: Database,
    pub url: String,
    pub store: Store,
    pub clock: Clock,
    pub cohort: Cohort,
    pub folder: tempfile::TempDir,
}

impl House {
    /// Runs a test in a house of its own and tears that down, however the test ends.
    pub async fn run(database: Database, test: impl AsyncFnOnce(&Self)) {
        let folder = tempfile::tempdir().unwrap();
        let url = database.fresh(folder.path()).await;
        let clock = Clock::manual("2026-03-01T08:00:00Z".parse().unwrap());
        let house = Self::furnish(database, url, clock, folder).await;
        let outcome = AssertUnwindSafe(test(&house)).catch_unwind().await;
        house.store.close().await;
        database::remove(&house.url).await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    async fn furnish(database: Database, url: String, clock: Clock, folder: tempfile::TempDir) -> Self {
        let store = Store::open(&url, folder.path(), Seal::ephemeral(), clock.clone()).await.unwrap();
        store.publish_version(EXERCISE, VERSION, "A first container", &content("exercise")).await.unwrap();
        let cohort = store.create_cohort("Spring", "containers-from-zero", "K7M-4QX").await.unwrap();
        Self { database, url, store, clock, cohort, folder }
    }

    /// Another store on the same database and contents, as another process would open it.
    pub async fn neighbour(&self) -> Store {
        Store::open(&self.url, self.folder.path(), Seal::ephemeral(), self.clock.clone()).await.unwrap()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A student of the cohort.
    pub async fn student(&self, name: &str) -> Uuid {
        let person = self.store.create_person(name, "hash", false).await.unwrap();
        self.store.add_member(self.cohort.id, person.id, Role::Student).await.unwrap();
        person.id
    }

    pub fn hand_in(&self, person: Uuid) -> NewSubmission {
        NewSubmission {
            person,
            cohort: self.cohort.id,
            exercise: EXERCISE.into(),
            exercise_version: VERSION.into(),
            source: Source::Folder { name: "work".into() },
            content: Some(content("FROM busybox:1.37\n")),
            answers: Answers::default(),
            login: None,
        }
    }

    /// Hands in, a second after whatever was before.
    pub async fn submit(&self, person: Uuid) -> (Submission, Grading) {
        self.wait(1);
        self.store.submit(self.hand_in(person)).await.unwrap()
    }

    pub async fn claim(&self, worker: &str) -> Option<Claim> {
        self.store.claim(worker, LEASE).await.unwrap()
    }

    /// Claims what is next and finishes it with this verdict.
    pub async fn grade(&self, verdict: Verdict) -> Claim {
        let claim = self.claim("grader").await.expect("something is queued");
        self.store.finish(&claim.lease, &report(verdict), None, LAST).await.unwrap();
        claim
    }
}

/// A payload for the last event.
pub const LAST: &str = r#"{"type":"finished","verdict":"passed","points":{"earned":1,"possible":2},"waiting":false,"seconds":1.0}"#;

pub fn content(text: &str) -> Content {
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
    let files = vec![("Dockerfile".to_owned(), Bytes::copy_from_slice(text.as_bytes()))];
    Content::from_files(files, &limits).unwrap()
}

/// A report with one check; evidence and answers have the characters that databases stumble over.
pub fn report(verdict: Verdict) -> Report {
    let (outcome, earned) = match verdict {
        Verdict::Passed => (OutcomeKind::Passed, 2),
        Verdict::Failed => (OutcomeKind::Failed, 0),
        Verdict::ExerciseFault | Verdict::PlatformFault => (OutcomeKind::Broken, 0),
    };
    let points = Points { earned, possible: 2 };
    Report {
        exercise: EXERCISE.into(),
        exercise_version: VERSION.into(),
        verdict,
        points,
        checks: vec![CheckReport {
            id: "greets".into(),
            kind: "http".into(),
            title: "It greets".into(),
            outcome,
            points,
            expected: "hello".into(),
            observed: "a NUL \0, an emoji 🐳, a lone \u{FFFD} and 'quotes'; --".into(),
            evidence: vec![],
            reproduce: None,
            hint: None,
            explain: None,
            hidden: false,
            hint_points: 0,
            review: None,
            overridden: None,
            seconds: 0.125,
        }],
        phases: vec![],
        log_truncated: false,
        image: None,
        engine: None,
    }
}

/// The same with an answer that waits for a trainer.
pub fn report_waiting() -> Report {
    let mut report = report(Verdict::Passed);
    report.checks[0].outcome = OutcomeKind::Waiting;
    report
}

pub fn answer(text: &str) -> Answers {
    Answers([("why".to_owned(), Answer::Text(text.to_owned()))].into())
}
