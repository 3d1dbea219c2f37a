//! A grading, from queued to verdict, against the script.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use drydock::accounts::{Role, Seal};
use drydock::clock::Clock;
use drydock::config::{BuilderChoice, SandboxSettings, Settings, WorkerSettings};
use drydock::exercises::Exercise;
use drydock::grading::Fetcher;
use drydock::grading::worker::{EngineGrader, NotReady, Worker};
use drydock::live::Live;
use drydock::report::{Report, Verdict};
use drydock::sandbox::{Engine, EngineContext};
use drydock::store::{NewSubmission, Store};
use drydock::submissions::{Answers, Content, ContentLimits, Source};
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{ms, percentile};

const CACHED_ROUNDS: usize = 15;
const UNCACHED_ROUNDS: usize = 9;
const IMAGE: &str = "drydock-bench-plain";
/// Time for the clean-up of one side to end before the other begins.
pub(super) const BREATH: Duration = Duration::from_millis(1500);

/// A worker on the real engine with a store of its own.
pub(super) struct House {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
    live: Live,
    person: Uuid,
    cohort: Uuid,
    shutdown: CancellationToken,
    working: tokio::task::JoinHandle<Result<(), NotReady>>,
    pub(super) clock: Clock,
}

pub async fn measure() -> anyhow::Result<()> {
    println!("== a grading against a shell script with plain docker commands");
    let house = House::build().await?;
    let cached = exercise(&house, "bench-cached", "Dockerfile")?;
    let uncached = exercise(&house, "bench-uncached", "Dockerfile.uncached")?;
    house.store.publish_exercise(&cached).await?;
    house.store.publish_exercise(&uncached).await?;
    let measured = async {
        compare(&house, &cached, "Dockerfile", CACHED_ROUNDS, "cached build").await?;
        compare(&house, &uncached, "Dockerfile.uncached", UNCACHED_ROUNDS, "uncached five-step build").await
    };
    let measured = measured.await;
    house.close().await?;
    Command::new("docker")
        .args(["rmi", "--force", IMAGE])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    measured
}

/// Many checks against few.
pub async fn measure_checks() -> anyhow::Result<()> {
    println!("== a grading with thirty live checks against one with three");
    let house = House::build().await?;
    let measured = compare_counts(&house).await;
    house.close().await?;
    measured
}

/// Both sides in turns; the ratio of the medians.
async fn compare(
    house: &House,
    exercise: &Exercise,
    dockerfile: &str,
    rounds: usize,
    what: &str,
) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut builder = String::new();
    // One round each to fill the caches, not counted.
    for round in 0..=rounds {
        let folder = variant(house, round, dockerfile)?;
        let (took, report) = house.grade(exercise, &folder).await?;
        builder = report.engine.and_then(|engine| engine.builder).unwrap_or_default();
        tokio::time::sleep(BREATH).await;
        let plain = script(house, &folder, dockerfile)?;
        tokio::time::sleep(BREATH).await;
        if round > 0 {
            ours.push(took);
            theirs.push(plain);
        }
    }
    let (a, b) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
    println!(
        "{what}: drydock {} ({builder} builder), script {} (classic builder), ratio {:.2} (medians of {rounds})",
        ms(a),
        ms(b),
        a.as_secs_f64() / b.as_secs_f64()
    );
    Ok(())
}

/// Live checks as exercises have them, the three commonest first: a request, a variable, a command.
const LIVE_CHECKS: [&str; 10] = [
    "http: {port: 8080, path: /, body: {contains: ready}}",
    "env: {variables: {GREETING: hello-bench}}",
    "command: {run: cat /srv/www/about.txt, stdout: {contains: httpd}}",
    "process: {uid: 1000}",
    "http: {port: 8080, path: /data.json, body: {json: {/answer: 42}}}",
    "port: {port: 8080}",
    "http: {port: 8080, path: /missing, status: 404}",
    "tcp: {port: 8080, send: \"GET / HTTP/1.0\\r\\n\\r\\n\", answer: {contains: ready}}",
    "limits: {pids: {at_most: 4096}}",
    "stays_up: {for: 100ms}",
];

/// A grading with thirty live checks against one with three, in turns.
async fn compare_counts(house: &House) -> anyhow::Result<()> {
    let few = with_live_checks(house, 3).await?;
    let many = with_live_checks(house, 30).await?;
    let mut took = [Vec::new(), Vec::new()];
    let folder = variant(house, 0, "Dockerfile")?;
    // One round to fill the caches, not counted.
    for round in 0..=CACHED_ROUNDS {
        for (exercise, took) in [&few, &many].into_iter().zip(&mut took) {
            let (time, _) = house.grade(exercise, &folder).await?;
            tokio::time::sleep(BREATH).await;
            if round > 0 {
                took.push(time);
            }
        }
    }
    let [few, many] = took.each_mut().map(|took| percentile(took, 0.5));
    println!(
        "cached build: three live checks {}, thirty {}, ratio {:.2} (medians of {CACHED_ROUNDS})",
        ms(few),
        ms(many),
        many.as_secs_f64() / few.as_secs_f64()
    );
    Ok(())
}

/// The benchmark's exercise with so many live checks, published.
async fn with_live_checks(house: &House, count: usize) -> anyhow::Result<Exercise> {
    let folder = house.folder.path().join("exercises").join(format!("bench-{count}-checks"));
    copy(Path::new("benches/exercise"), &folder)?;
    let file = folder.join("exercise.yaml");
    let text = std::fs::read_to_string(&file)?;
    let (head, _) = text.split_once("checks:\n").context("the benchmark's exercise has checks")?;
    let checks: String = LIVE_CHECKS
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(number, check)| {
            format!("  - {check}\n    id: live-{number}\n    title: Live check {number}\n")
        })
        .collect();
    std::fs::write(&file, format!("{head}checks:\n{checks}"))?;
    let exercise = read(&folder)?;
    house.store.publish_exercise(&exercise).await?;
    Ok(exercise)
}

/// What is handed in this round: always the same for the cached build, with a nonce for the other.
fn variant(house: &House, round: usize, dockerfile: &str) -> anyhow::Result<PathBuf> {
    let folder = house.folder.path().join(format!("{dockerfile}-{round}"));
    copy(Path::new("benches/exercise/solution"), &folder)?;
    if dockerfile != "Dockerfile" {
        std::fs::write(folder.join("nonce.txt"), Uuid::new_v4().to_string())?;
    }
    Ok(folder)
}

pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The script builds with another nonce, so that neither side finds the other's layers.
fn script(house: &House, folder: &Path, dockerfile: &str) -> anyhow::Result<Duration> {
    if dockerfile != "Dockerfile" {
        std::fs::write(folder.join("nonce.txt"), Uuid::new_v4().to_string())?;
    }
    let stopwatch = house.clock.stopwatch();
    let status = Command::new("benches/plain.sh")
        .arg(folder)
        .args([dockerfile, IMAGE])
        .env("DOCKER_BUILDKIT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    let took = stopwatch.elapsed();
    ensure!(status.success(), "benches/plain.sh failed for {dockerfile}");
    Ok(took)
}

/// The benchmark's exercise under another name and Dockerfile; the checks on what only the cached
/// image has are changed along.
fn exercise(house: &House, slug: &str, dockerfile: &str) -> anyhow::Result<Exercise> {
    let folder = house.folder.path().join("exercises").join(slug);
    copy(Path::new("benches/exercise"), &folder)?;
    if dockerfile != "Dockerfile" {
        let file = folder.join("exercise.yaml");
        let text = std::fs::read_to_string(&file)?
            .replace("build: {}", &format!("build: {{dockerfile: {dockerfile}}}"))
            .replace(
                "path: /about.txt, body: {contains: Served by httpd}",
                "path: /nonce.sum, body: {contains: nonce.txt}",
            )
            .replace("path: /data.json, body: {json: {/answer: 42}}", "path: /nonce.sum, status: 200")
            .replace("uid: 1000", "uid: 0")
            .replace("/srv/www/about.txt", "/srv/www/index.html")
            .replace("workdir: /srv/www", "user: root");
        std::fs::write(&file, text)?;
    }
    read(&folder)
}

pub(super) fn read(folder: &Path) -> anyhow::Result<Exercise> {
    Exercise::read(folder).map_err(|mistakes| {
        anyhow::anyhow!("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

impl House {
    pub(super) async fn build() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Clock::system();
        let sandbox = SandboxSettings { builder: BuilderChoice::Classic, ..SandboxSettings::default() };
        let context = EngineContext {
            state_dir: folder.path().join("state"),
            probe_executable: env!("CARGO_BIN_EXE_drydock").into(),
            clock: clock.clone(),
        };
        let engine = Engine::connect(&sandbox, context).await?;
        let url = format!("sqlite:{}", folder.path().join("bench.sqlite").display());
        let store =
            Store::open(&url, &folder.path().join("content"), Seal::ephemeral(), clock.clone()).await?;
        let person = store.create_person("Bench", "no password", false).await?.id;
        let cohort = store.create_cohort("Bench", "bench", "BENCHA").await?.id;
        store.add_member(cohort, person, Role::Student).await?;
        let shutdown = CancellationToken::new();
        let live = Live::new(store.clone(), clock.clone());
        let worker = Worker::new(
            store.clone(),
            live.clone(),
            Arc::new(EngineGrader::on(engine, clock.clone())),
            Fetcher::new(&Settings { data_dir: folder.path().into(), ..Settings::default() })
                .map_err(anyhow::Error::msg)?,
            WorkerSettings::default(),
            clock.clone(),
        );
        let working = tokio::spawn(worker.run(shutdown.clone()));
        Ok(Self { folder, store, live, person, cohort, shutdown, working, clock })
    }

    /// Lets the worker end.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.working.await.context("the worker failed")??)
    }

    /// Hands in and waits, as a browser does, for the last event; the time between.
    pub(super) async fn grade(
        &self,
        exercise: &Exercise,
        folder: &Path,
    ) -> anyhow::Result<(Duration, Report)> {
        let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
        let content = Content::from_folder(folder, &limits)?;
        let new = NewSubmission {
            person: self.person,
            cohort: self.cohort,
            exercise: exercise.slug.clone(),
            exercise_version: exercise.version.clone(),
            source: Source::Folder { name: "bench".into() },
            content: Some(content),
            answers: Answers::default(),
            login: None,
        };
        let (_, grading) = self.store.submit(new).await?;
        let stopwatch = self.clock.stopwatch();
        let mut events = std::pin::pin!(self.live.follow(grading.id, 0));
        while events.next().await.is_some() {}
        let took = stopwatch.elapsed();
        let report =
            self.store.grading(grading.id).await?.report.context("a finished grading has a report")?;
        ensure!(
            report.verdict == Verdict::Passed,
            "the benchmark's exercise does not pass:\n{}",
            serde_json::to_string_pretty(&report)?
        );
        Ok((took, report))
    }
}
