//! The server alone: start, memory, pages under load.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use drydock::accounts::{Role, Seal, hash_token, new_token};
use drydock::clock::Clock;
use drydock::exercises::{Catalogue, Exercise};
use drydock::report::{CheckReport, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict};
use drydock::store::{Cohort, NewSubmission, Person, Store};
use drydock::submissions::{Answers, Content, ContentLimits, Source};

use crate::{ms, percentile};

const EXERCISES: usize = 50;
const IN_WORKSHOP: usize = 40;
const STUDENTS: usize = 200;
const SUBMISSIONS: usize = 1_000;
const STREAMS: usize = 200;
/// Fewer than one person may have open at a time.
const STREAMS_EACH: usize = 10;
const CLIENTS: usize = 16;
const REQUESTS_PER_CLIENT: usize = 60;
const WORKSHOP: &str = "bench";

/// Ends the server when the measurement ends, however it does.
pub(super) struct Running(Child);

impl Running {
    /// SIGTERM, on which it removes everything of its own from the engine.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        ensure!(self.0.wait()?.success(), "the server did not end well");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who measures: a session in the browser's form.
pub(super) struct SignedIn {
    pub(super) cookie: String,
}

pub async fn measure() -> anyhow::Result<()> {
    println!(
        "== the server: {EXERCISES} exercises, {SUBMISSIONS} stored submissions, {STUDENTS} students by {IN_WORKSHOP} exercises"
    );
    let folder = tempfile::tempdir()?;
    let clock = Clock::system();
    let exercises = folder.path().join("exercises");
    write_exercises(&exercises)?;
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    let url = format!("sqlite:{}", data.join("drydock.sqlite").display());
    let (cohort, student, trainers) = {
        let store = Store::open(&url, &data.join("content"), Seal::ephemeral(), clock.clone()).await?;
        let seeded = seed(&store, &exercises).await?;
        store.close().await;
        seeded
    };

    let address = free_address()?;
    let stopwatch = clock.stopwatch();
    let server = start(&data, &url, &exercises, address, &["--no-worker"], &[])?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(CLIENTS)
        .build()?;
    let base = format!("http://{address}");
    ready(&clock, &client, &base).await?;
    println!("start to ready: {}", ms(stopwatch.elapsed()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("resident memory, idle: {:.1} MiB", resident(&server)?);

    let board = format!("{base}/cohorts/{}", cohort.id);
    let grid = format!("{board}/grid");
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        // A person may have only so many streams open.
        let watcher = &trainers[number % trainers.len()];
        let answer = client.get(format!("{grid}/events")).header("cookie", &watcher.cookie).send().await?;
        ensure!(answer.status().is_success(), "an event stream was refused: {}", answer.status());
        streams.push(answer);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("resident memory, {STREAMS} open event streams: {:.1} MiB", resident(&server)?);
    drop(streams);

    load(&clock, &client, "board", &board, &student).await?;
    load(&clock, &client, "grid", &grid, &trainers[0]).await?;
    Ok(())
}

/// So many clients at once, each asking again as soon as it has the whole page.
async fn load(
    clock: &Clock,
    client: &reqwest::Client,
    what: &str,
    url: &str,
    session: &SignedIn,
) -> anyhow::Result<()> {
    let stopwatch = clock.stopwatch();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, url, cookie, clock) =
                (client.clone(), url.to_owned(), session.cookie.clone(), clock.clone());
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(REQUESTS_PER_CLIENT);
                let mut bytes = 0;
                for _ in 0..REQUESTS_PER_CLIENT {
                    let stopwatch = clock.stopwatch();
                    let answer = client.get(&url).header("cookie", &cookie).send().await?;
                    ensure!(answer.status().is_success(), "{url} answered {}", answer.status());
                    bytes = answer.bytes().await?.len();
                    times.push(stopwatch.elapsed());
                }
                anyhow::Ok((times, bytes))
            })
        })
        .collect();
    let mut times = Vec::new();
    let mut size = 0;
    for client in clients {
        let (some, bytes) = client.await??;
        times.extend(some);
        size = bytes;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    let rate = times.len() as f64 / stopwatch.elapsed().as_secs_f64();
    println!(
        "{what} page under {CLIENTS} clients: p50 {}, p99 {}, {rate:.0} requests/s, {} KiB",
        ms(percentile(&mut times, 0.5)),
        ms(percentile(&mut times, 0.99)),
        size / 1024
    );
    Ok(())
}

/// Waits until it can serve.
pub(super) async fn ready(clock: &Clock, client: &reqwest::Client, base: &str) -> anyhow::Result<()> {
    let stopwatch = clock.stopwatch();
    while !client.get(format!("{base}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success())
    {
        ensure!(stopwatch.elapsed() < Duration::from_secs(60), "the server did not become ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

pub(super) fn start(
    data: &Path,
    url: &str,
    exercises: &Path,
    address: SocketAddr,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> anyhow::Result<Running> {
    let child = Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args(["serve", "--listen", &address.to_string()])
        .args(arguments)
        .env("DRYDOCK_DATA_DIR", data)
        .env("DRYDOCK_DATABASE_URL", url)
        .env("DRYDOCK_EXERCISES_DIR", exercises)
        .env("DRYDOCK_LOG", "warn")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .spawn()
        .context("the server cannot be started")?;
    Ok(Running(child))
}

/// A port that was free a moment ago.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Resident memory in MiB, as the kernel tells.
fn resident(server: &Running) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024.0)
}

/// Exercises that differ in name only, and a workshop with most of them.
fn write_exercises(root: &Path) -> anyhow::Result<()> {
    let mut list = Vec::new();
    for number in 0..EXERCISES {
        let slug = format!("bench-{number:02}");
        drydock::exercises::skeleton(&slug, &root.join(&slug))?;
        list.push(slug);
    }
    std::fs::create_dir_all(root.join("workshops"))?;
    let mut text = String::from("title: Bench\naudience: nobody\nsections:\n");
    for (section, slugs) in list[..IN_WORKSHOP].chunks(10).enumerate() {
        text.push_str(&format!("  - title: Part {section}\n    exercises: [{}]\n", slugs.join(", ")));
    }
    std::fs::write(root.join("workshops").join(format!("{WORKSHOP}.yaml")), text)?;
    Ok(())
}

/// A cohort at work: submissions spread over students and exercises, three of four passed.
async fn seed(store: &Store, exercises: &Path) -> anyhow::Result<(Cohort, SignedIn, Vec<SignedIn>)> {
    let catalogue = Catalogue::read(exercises).map_err(|mistakes| anyhow::anyhow!("{}", mistakes[0]))?;
    for exercise in catalogue.exercises.values() {
        store.publish_exercise(exercise).await?;
    }
    for workshop in catalogue.workshops.values() {
        store.publish_workshop(workshop).await?;
    }
    let cohort = store.create_cohort("Bench", WORKSHOP, "BENCHA").await?;
    let mut trainers = Vec::new();
    for number in 0..STREAMS / STREAMS_EACH {
        let trainer = store.create_person(&format!("Trainer {number:02}"), "no password", false).await?;
        store.add_member(cohort.id, trainer.id, Role::Trainer).await?;
        trainers.push(sign_in(store, &trainer).await?);
    }
    let mut students = Vec::new();
    for number in 0..STUDENTS {
        let student = store.create_person(&format!("Student {number:03}"), "no password", false).await?;
        store.add_member(cohort.id, student.id, Role::Student).await?;
        students.push(student);
    }
    let chosen: Vec<&Exercise> =
        catalogue.exercises.values().take(IN_WORKSHOP).map(std::convert::AsRef::as_ref).collect();
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
    let content = Content::from_files(vec![("Dockerfile".into(), "FROM busybox:1.37\n".into())], &limits)?;
    for number in 0..SUBMISSIONS {
        let student = &students[number % STUDENTS];
        let exercise = chosen[(number / STUDENTS + number % 7) % IN_WORKSHOP];
        hand_in(store, &cohort, student, exercise, &content, number % 4 != 0).await?;
    }
    let student = sign_in(store, &students[0]).await?;
    Ok((cohort, student, trainers))
}

async fn hand_in(
    store: &Store,
    cohort: &Cohort,
    person: &Person,
    exercise: &Exercise,
    content: &Content,
    passes: bool,
) -> anyhow::Result<()> {
    let new = NewSubmission {
        person: person.id,
        cohort: cohort.id,
        exercise: exercise.slug.clone(),
        exercise_version: exercise.version.clone(),
        source: Source::Folder { name: "work".into() },
        content: Some(content.clone()),
        answers: Answers::default(),
        login: None,
    };
    store.submit(new).await?;
    let claim = store.claim("bench", Duration::from_secs(60)).await?.context("something is queued")?;
    let checks: Vec<CheckReport> = exercise.checks.iter().map(|check| outcome(check, passes)).collect();
    let (verdict, points) = Report::judge(&checks, Verdict::PlatformFault);
    let report = Report {
        exercise: exercise.slug.clone(),
        exercise_version: exercise.version.clone(),
        verdict,
        points,
        checks,
        phases: vec![PhaseReport { name: Phase::Build, seconds: 0.06 }],
        log_truncated: false,
        image: None,
        engine: None,
    };
    let last = r#"{"type":"finished","verdict":"passed","points":{"earned":1,"possible":1},"waiting":false,"seconds":0.2}"#;
    store.finish(&claim.lease, &report, None, last).await?;
    Ok(())
}

fn outcome(check: &drydock::exercises::CheckSpec, passes: bool) -> CheckReport {
    CheckReport {
        id: check.id.clone(),
        kind: check.kind.name().to_owned(),
        title: check.title.clone(),
        outcome: if passes { OutcomeKind::Passed } else { OutcomeKind::Failed },
        points: Points { earned: if passes { check.points } else { 0 }, possible: check.points },
        expected: "a greeting".into(),
        observed: "nothing".into(),
        evidence: Vec::new(),
        reproduce: None,
        hint: None,
        explain: None,
        hidden: false,
        hint_points: 0,
        review: None,
        overridden: None,
        seconds: 0.01,
    }
}

pub(super) async fn sign_in(store: &Store, person: &Person) -> anyhow::Result<SignedIn> {
    let token = new_token();
    store.create_session(person.id, &hash_token(&token), &new_token(), Duration::from_secs(3600)).await?;
    Ok(SignedIn { cookie: format!("session={token}") })
}
