//! From handing in an address to the verdict: fetched once, and the same for every later grading.

use std::sync::Arc;

use drydock::accounts::Role;
use drydock::clock::Clock;
use drydock::grading::Fetcher;
use drydock::grading::worker::{EngineGrader, Worker};
use drydock::report::{OutcomeKind, Report, Verdict};
use drydock::store::{Cohort, GradingState};
use drydock::submissions::Source;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::git::Project;
use super::registry::{DOCKER, Made, Packing, Registry, layer};
use crate::app::{App, Client, Database, IMAGE, REPOSITORY};
use crate::bench::Bench;

/// A server with a worker on the real engine that may fetch from this machine.
struct House {
    app: App,
    bench: Bench,
    cohort: Cohort,
    program: Client,
    stop: CancellationToken,
    working: tokio::task::JoinHandle<()>,
}

impl House {
    async fn open() -> Self {
        let app = App::with(Database::Sqlite, Clock::system(), |settings, _| {
            settings.fetch.allowed_hosts = vec!["127.0.0.1".into()];
            settings.worker.attempts = 1;
        })
        .await;
        let bench = Bench::open().await;
        let worker = Worker::new(
            app.store().clone(),
            app.state.live.clone(),
            Arc::new(EngineGrader::on(bench.engine.clone(), app.clock.clone())),
            Fetcher::new(&app.state.settings).unwrap(),
            app.state.settings.worker.clone(),
            app.clock.clone(),
        );
        let stop = CancellationToken::new();
        let running = worker.run(stop.clone());
        let working = tokio::spawn(async move { running.await.unwrap() });
        let cohort = app.store().create_cohort("By address", "addresses", "ADR-E23").await.unwrap();
        let student = app.member(&cohort, "Ada", Role::Student).await;
        let program = app.program_of(student.person()).await;
        Self { app, bench, cohort, program, stop, working }
    }

    /// Hands in; the submission's id.
    async fn hand_in(&self, exercise: &str, body: &Value) -> Uuid {
        let path = format!("/api/v1/cohorts/{}/exercises/{exercise}/submissions", self.cohort.id);
        let answer = self.program.post_json(&path, body).await;
        answer.assert(reqwest::StatusCode::ACCEPTED).json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// The report of the submission's newest grading.
    async fn report(&self, submission: Uuid) -> (Report, Option<String>) {
        for _ in 0..600 {
            let grading = self.app.store().latest_grading(submission).await.unwrap();
            if grading.state == GradingState::Done {
                let grading = self.app.store().grading(grading.id).await.unwrap();
                return (grading.report.unwrap(), grading.fault);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("not graded in time");
    }

    async fn close(self) {
        self.stop.cancel();
        self.working.await.unwrap();
        self.bench.close().await;
        self.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_graded_as_it_was_fetched_first() {
    let house = House::open().await;
    let project = Project::new();
    project.write("hello.txt", "hello\n");
    let commit = project.commit("Say hello");
    // `ada:hunter2`
    let server = project.serve(Some("Basic YWRhOmh1bnRlcjI=")).await;
    let url = server.url("/project.git");
    let store = house.app.store().clone();

    let without = house.hand_in(REPOSITORY, &json!({"repository": {"url": url}})).await;
    let (report, fault) = house.report(without).await;
    assert_eq!((report.verdict, fault), (Verdict::Failed, None), "{report:?}");
    assert!(report.checks[0].observed.contains("token"), "{report:?}");

    let body = json!({"repository": {"url": url, "revision": "main", "username": "ada", "token": "hunter2"}});
    let submission = house.hand_in(REPOSITORY, &body).await;
    let (report, fault) = house.report(submission).await;
    assert_eq!((report.verdict, fault), (Verdict::Passed, None), "{report:?}");
    let stored = store.submission(submission).await.unwrap();
    let Source::Repository { commit: fetched, .. } = &stored.source else { panic!("{stored:?}") };
    assert_eq!(fetched.as_deref(), Some(commit.as_str()));
    assert_eq!(stored.files, 1);
    assert!(store.login_of(submission).await.unwrap().is_none(), "the token is forgotten");

    // The branch goes on, the server goes away: what was handed in stays what it was.
    project.write("hello.txt", "bye\n");
    project.commit("Say bye");
    drop(server);
    store.regrade(submission).await.unwrap();
    let (report, _) = house.report(submission).await;
    assert_eq!(report.verdict, Verdict::Passed);

    // That it cannot be reached is not the student's fault.
    let gone = house.hand_in(REPOSITORY, &json!({"repository": {"url": url}})).await;
    let (report, fault) = house.report(gone).await;
    assert_eq!(report.verdict, Verdict::PlatformFault, "{report:?}");
    assert!(fault.unwrap().contains(&url));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_graded_by_its_digest() {
    let house = House::open().await;
    let registry = Registry::start(true).await;
    let store = house.app.store().clone();
    let made =
        |text: &str| Made::new(DOCKER, ("linux", "amd64"), &[(layer("x", text.as_bytes()), Packing::Gzip)]);
    let first = registry.image("team/app", "1.0", &made("first")).await;
    let body = json!({"image": format!("{}/team/app:1.0", registry.host)});

    let without = house.hand_in(IMAGE, &body).await;
    let (report, fault) = house.report(without).await;
    assert_eq!((report.verdict, fault), (Verdict::Failed, None), "{report:?}");

    let login = drydock::submissions::remote::Credentials::new("ada", "hunter2");
    store.set_registry_login(house.cohort.id, &registry.host, &login).await.unwrap();
    let submission = house.hand_in(IMAGE, &body).await;
    let (report, fault) = house.report(submission).await;
    assert_eq!((report.verdict, fault), (Verdict::Passed, None), "{report:?}");
    let digest = first["digest"].as_str().unwrap();
    let evidence = &report.checks[1].evidence;
    assert!(evidence.iter().any(|piece| piece.text.contains(digest)), "{evidence:?}");
    let image = report.image.unwrap().id;

    // The tag moves on; a later grading looks at the image that was handed in.
    registry.image("team/app", "1.0", &made("second")).await;
    store.regrade(submission).await.unwrap();
    let (report, _) = house.report(submission).await;
    assert_eq!(report.image.unwrap().id, image);
    assert!(report.checks.iter().all(|check| check.outcome == OutcomeKind::Passed), "{:?}", report.checks);
    house.close().await;
}
