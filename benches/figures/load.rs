//! A class that hands in all at once: pages meanwhile, and whether everybody is served in turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use drydock::accounts::{Role, Seal, hash_token, new_token};
use drydock::clock::Clock;
use drydock::exercises::Catalogue;
use drydock::report::Verdict;
use drydock::store::{Grading, GradingState, Store};
use uuid::Uuid;

use super::grading::copy;
use super::server::{SignedIn, free_address, ready, sign_in, start};
use crate::{ms, percentile};

const STUDENTS: usize = 4;
const EACH: usize = 10;
const EXERCISE: &str = "bench";
/// Who looks at pages meanwhile, and how long each reads before asking for the next.
const READERS: usize = 8;
const READING: Duration = Duration::from_millis(100);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(600);

struct Student {
    session: SignedIn,
    token: String,
}

pub async fn measure() -> anyhow::Result<()> {
    println!(
        "== a class: {} gradings handed in at once by {STUDENTS} students, {READERS} readers with a page every {}",
        STUDENTS * EACH,
        ms(READING)
    );
    let folder = tempfile::tempdir()?;
    let clock = Clock::system();
    let exercises = folder.path().join("exercises");
    copy("benches/exercise".as_ref(), &exercises.join(EXERCISE))?;
    std::fs::create_dir_all(exercises.join("workshops"))?;
    let sections = format!("sections:\n  - {{title: All, exercises: [{EXERCISE}]}}\n");
    let workshop = format!("title: Bench\naudience: nobody\n{sections}");
    std::fs::write(exercises.join("workshops/bench.yaml"), workshop)?;
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    let url = format!("sqlite:{}", data.join("drydock.sqlite").display());
    let store = Store::open(&url, &data.join("content"), Seal::ephemeral(), clock.clone()).await?;
    let catalogue = Catalogue::read(&exercises).map_err(|mistakes| anyhow::anyhow!("{}", mistakes[0]))?;
    for workshop in catalogue.workshops.values() {
        store.publish_workshop(workshop).await?;
    }
    let cohort = store.create_cohort("Bench", "bench", "BENCHA").await?.id;
    let mut students = Vec::new();
    for number in 0..STUDENTS {
        let person = store.create_person(&format!("Student {number}"), "no password", false).await?;
        store.add_member(cohort, person.id, Role::Student).await?;
        let token = new_token();
        store.create_api_token(person.id, "bench", &hash_token(&token)).await?;
        students.push(Student { session: sign_in(&store, &person).await?, token });
    }

    let address = free_address()?;
    let grading = [("DRYDOCK_SANDBOX_BUILDER", "classic"), ("DRYDOCK_SANDBOX_PULL", "false")];
    let mut server = start(&data, &url, &exercises, address, &[], &grading)?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let base = format!("http://{address}");
    ready(&clock, &client, &base).await?;
    let class = Class { client, base, cohort, students, store, clock };
    // The worker has its engine, and the caches their content, when the first has its verdict.
    let first = class.hand_in(0).await?;
    class.done(&[first]).await?;
    let measured = class.work().await;
    server.stop()?;
    measured
}

struct Class {
    client: reqwest::Client,
    base: String,
    cohort: Uuid,
    students: Vec<Student>,
    store: Store,
    clock: Clock,
}

impl Class {
    /// Hands everything in and looks at pages until the last verdict.
    async fn work(self) -> anyhow::Result<()> {
        let class = Arc::new(self);
        let stopwatch = class.clock.stopwatch();
        let handing: Vec<_> = (0..STUDENTS)
            .map(|student| {
                let class = Arc::clone(&class);
                tokio::spawn(async move {
                    let mut gradings = Vec::new();
                    for _ in 0..EACH {
                        gradings.push(class.hand_in(student).await?);
                    }
                    anyhow::Ok(gradings)
                })
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let reading: Vec<_> = (0..READERS)
            .map(|number| tokio::spawn(Arc::clone(&class).read(number % STUDENTS, Arc::clone(&over))))
            .collect();
        let mut gradings = Vec::new();
        for student in handing {
            gradings.extend(student.await??);
        }
        println!("all {} accepted after {}", gradings.len(), ms(stopwatch.elapsed()));
        let done = class.done(&gradings).await?;
        let took = stopwatch.elapsed();
        over.store(true, Ordering::Relaxed);
        let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        for reader in reading {
            for (page, time) in reader.await?? {
                times.entry(page).or_default().push(time);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let rate = done.len() as f64 / took.as_secs_f64();
        println!("{} verdicts after {}: {rate:.1} gradings/s", done.len(), ms(took));
        for (page, times) in &mut times {
            let (median, worst) = (percentile(times, 0.5), percentile(times, 0.99));
            println!(
                "{page} page meanwhile: p50 {}, p99 {}, {} requests",
                ms(median),
                ms(worst),
                times.len()
            );
        }
        println!("order: {}", class.order(&done)?);
        Ok(())
    }

    /// A build of its own; the grading's id.
    async fn hand_in(&self, student: usize) -> anyhow::Result<Uuid> {
        let mut archive = tar::Builder::new(Vec::new());
        let nonce = Uuid::new_v4().to_string();
        archive.append_path_with_name("benches/exercise/solution/Dockerfile", "Dockerfile")?;
        archive.append_dir_all("www", "benches/exercise/solution/www")?;
        let mut header = tar::Header::new_ustar();
        header.set_size(nonce.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "www/nonce.txt", nonce.as_bytes())?;
        let url = format!("{}/api/v1/cohorts/{}/exercises/{EXERCISE}/submissions", self.base, self.cohort);
        let request = self.client.post(url).bearer_auth(&self.students[student].token);
        let request = request.header("content-type", "application/x-tar").body(archive.into_inner()?);
        let answer = request.send().await?;
        let status = answer.status();
        let answer: serde_json::Value = answer.json().await?;
        ensure!(status.is_success(), "{status} {answer}");
        let id = answer.pointer("/grading/id").and_then(|id| id.as_str()).context("a grading")?;
        Ok(id.parse()?)
    }

    /// Waits for the verdicts.
    async fn done(&self, gradings: &[Uuid]) -> anyhow::Result<Vec<Grading>> {
        let stopwatch = self.clock.stopwatch();
        let mut done = Vec::new();
        for grading in gradings {
            loop {
                let now = self.store.grading(*grading).await?;
                if now.state == GradingState::Done {
                    let report = serde_json::to_string(&now.report)?;
                    ensure!(
                        now.verdict == Some(Verdict::Passed),
                        "the benchmark's exercise does not pass: {report}"
                    );
                    done.push(now);
                    break;
                }
                ensure!(stopwatch.elapsed() < PATIENCE, "still {:?} after {PATIENCE:?}", now.state);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(done)
    }

    /// Reads board and exercise in turns; how long each took.
    async fn read(
        self: Arc<Self>,
        student: usize,
        over: Arc<AtomicBool>,
    ) -> anyhow::Result<Vec<(&'static str, Duration)>> {
        let board = format!("{}/cohorts/{}", self.base, self.cohort);
        let exercise = format!("{board}/exercises/{EXERCISE}");
        let cookie = &self.students[student].session.cookie;
        let mut times = Vec::new();
        while !over.load(Ordering::Relaxed) {
            for (page, url) in [("board", &board), ("exercise", &exercise)] {
                tokio::time::sleep(READING).await;
                let stopwatch = self.clock.stopwatch();
                let answer = self.client.get(url).header("cookie", cookie).send().await?;
                ensure!(answer.status().is_success(), "{url} answered {}", answer.status());
                answer.bytes().await?;
                times.push((page, stopwatch.elapsed()));
            }
        }
        Ok(times)
    }

    /// How far anybody was ahead of anybody else, in gradings that were begun.
    fn order(&self, done: &[Grading]) -> anyhow::Result<String> {
        let mut begun: Vec<(chrono::DateTime<chrono::Utc>, usize)> = Vec::new();
        for (number, grading) in done.iter().enumerate() {
            begun.push((grading.started_at.context("a beginning")?, number / EACH));
        }
        begun.sort_unstable();
        let mut counts = [0_usize; STUDENTS];
        let mut lead = 0;
        let mut turns = String::new();
        for (_, student) in begun {
            counts[student] += 1;
            turns.push_str(&student.to_string());
            let behind = counts.iter().min().copied().unwrap_or(0);
            lead = lead.max(counts[student] - behind);
        }
        Ok(format!("nobody was ahead of anybody by more than {lead} gradings ({turns})"))
    }
}
