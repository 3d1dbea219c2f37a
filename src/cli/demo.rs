//! `drydock demo`: everything in one go, to be tried out in five minutes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use drydock::accounts::{Passwords, Role, new_join_code};
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::Exercise;
use drydock::grading::worker::EngineGrader;
use drydock::report::Verdict;
use drydock::sandbox::bases::{self, BaseOrigin};
use drydock::store::{Cohort, GradingState, NewSubmission, Person, Store};
use drydock::submissions::{Answers, Content, Source};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PlatformTrouble;
use super::serve::Server;

#[derive(clap::Args)]
pub struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// The exercise that the demo grades, and the one base image that it needs.
const EXERCISE: &str = "dockerfile-basics";
const BASE: &str = "busybox:1.37";
const WORKSHOP: &str = "containers-from-zero";
const COHORT: &str = "Demo cohort";

/// What a later run needs to go on with the same data: names and passwords as they were printed.
#[derive(Serialize, Deserialize)]
struct Accounts {
    student: SignIn,
    trainer: SignIn,
    admin: SignIn,
    cohort: Uuid,
}

#[derive(Serialize, Deserialize)]
struct SignIn {
    name: String,
    password: String,
}

pub async fn run(mut settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("warn");
    if let Some(listen) = arguments.listen {
        settings.listen = listen;
    }
    settings.data_dir = settings.data_dir.join("demo");
    settings.database_url = None;
    let clock = Clock::system();
    println!("Drydock demo");
    let listener = super::serve::listen(settings.listen).await?;

    say("engine", "looking for Docker …");
    let engine = super::engine(&settings, &clock).await?;
    let facts = engine.facts();
    say("engine", &format!("Docker {}, runtime {}", facts.version, facts.runtime));

    let origin = bases::ensure_base(BASE, |line| say("base", &drydock::text::for_terminal(line)))
        .await
        .map_err(|error| PlatformTrouble(format!("the demo needs the image {BASE}: {error}")))?;
    say(
        "base",
        &match origin {
            BaseOrigin::Present => format!("{BASE} is on the engine"),
            BaseOrigin::Pulled => format!("{BASE} was pulled"),
            BaseOrigin::StandIn => format!(
                "{BASE}: no registry answered, so a stand-in was built from Debian's packages under the same name"
            ),
        },
    );

    let store = super::store(&settings, &clock).await?;
    super::serve::publish(&settings, &store).await?;
    let accounts = accounts(&settings, &store).await?;
    let server = Server::new(settings, store, clock.clone());
    let worker = server.worker_with(Arc::new(EngineGrader::on(engine, clock)))?;
    let stop = super::stop_signal()?;
    let shutdown = server.shutdown.clone();
    tokio::spawn(async move {
        stop.await;
        println!("\nStopping …");
        shutdown.cancel();
    });
    let address = listener.local_addr()?;
    let store = server.store.clone();
    let exercises_dir = server.settings.exercises_dir.clone();
    let stopped = server.shutdown.clone();
    let serving = tokio::spawn(server.run(listener, Some(worker)));
    tokio::select! {
        graded = first_submissions(&store, exercises_dir, &accounts, address) => {
            if let Err(error) = graded {
                stopped.cancel();
                serving.await.context("the server ended unexpectedly")??;
                return Err(error);
            }
            print_sign_ins(&store, &accounts, address).await?;
        }
        () = stopped.cancelled() => (),
    }
    serving.await.context("the server ended unexpectedly")??;
    Ok(ExitCode::SUCCESS)
}

fn say(what: &str, text: &str) {
    println!("  {what:<8} {text}");
}

/// Makes cohort and accounts at the first run; later runs find them again.
async fn accounts(settings: &Settings, store: &Store) -> anyhow::Result<Accounts> {
    let file = settings.data_dir.join("accounts.json");
    if let Ok(text) = std::fs::read_to_string(&file) {
        let accounts: Accounts = serde_json::from_str(&text).with_context(|| {
            format!("{} is damaged; remove {}", file.display(), settings.data_dir.display())
        })?;
        say("data", &format!("going on with {}", settings.data_dir.display()));
        return Ok(accounts);
    }
    // Written last: a demo killed in between makes a cohort and people of its own next time.
    let suffix =
        if store.people().await?.is_empty() { String::new() } else { format!(" {}", new_join_code()) };
    let cohort = store.create_cohort(&format!("{COHORT}{suffix}"), WORKSHOP, &new_join_code()).await?;
    let (student, _) = sign_in(store, &cohort, &format!("Sam Student{suffix}"), Some(Role::Student)).await?;
    let (trainer, _) = sign_in(store, &cohort, &format!("Tara Trainer{suffix}"), Some(Role::Trainer)).await?;
    let (admin, _) = sign_in(store, &cohort, &format!("Ada Admin{suffix}"), None).await?;
    let accounts = Accounts { student, trainer, admin, cohort: cohort.id };
    write_private(&file, &serde_json::to_vec_pretty(&accounts)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    say("data", &format!("cohort and accounts made in {}", settings.data_dir.display()));
    Ok(accounts)
}

/// Passwords are for this user's eyes only.
fn write_private(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let part = file.with_extension("part");
    let mut open =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    std::fs::rename(part, file)
}

async fn sign_in(
    store: &Store,
    cohort: &Cohort,
    name: &str,
    role: Option<Role>,
) -> anyhow::Result<(SignIn, Person)> {
    let chosen = super::readable_password();
    let hash = Passwords::new(1).hash(&chosen).await?;
    let person = store.create_person(name, &hash, role.is_none()).await?;
    if let Some(role) = role {
        store.add_member(cohort.id, person.id, role).await?;
    }
    Ok((SignIn { name: name.to_owned(), password: chosen }, person))
}

/// Hands in a submission that is not yet right and then one that is, as a student would, and waits
/// for their verdicts. What an earlier run handed in is not handed in again.
async fn first_submissions(
    store: &Store,
    exercises_dir: PathBuf,
    accounts: &Accounts,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let exercise = Exercise::read(&exercises_dir.join(EXERCISE)).map_err(|mistakes| {
        anyhow::anyhow!("{}", mistakes.first().map(ToString::to_string).unwrap_or_default())
    })?;
    let solution = exercise.solution().context("the demo's exercise has no solution")?;
    let mutant = exercise.mutants.keys().next().context("the demo's exercise has no mutant")?;
    let broken =
        exercise.mutant(mutant).map(|over| solution.overlaid(&over)).context("a mutant is missing")?;
    let student =
        store.person_by_name(&accounts.student.name).await?.context("the demo's student is gone")?;
    let earlier = store.submissions_of(accounts.cohort, student.id, EXERCISE).await?;
    for (number, (what, content)) in
        [("a first try", broken), ("a better one", solution)].into_iter().enumerate()
    {
        let grading = match earlier.iter().find(|(submission, _)| submission.number == number as i64 + 1) {
            Some((_, grading)) => grading.id,
            None => submit(store, &exercise, accounts.cohort, student.id, content).await?,
        };
        let (verdict, submission) = wait(store, grading).await?;
        say(
            "graded",
            &format!("{what} for {EXERCISE}: {verdict}  http://{address}/submissions/{submission}"),
        );
    }
    Ok(())
}

async fn submit(
    store: &Store,
    exercise: &Exercise,
    cohort: Uuid,
    person: Uuid,
    content: Content,
) -> anyhow::Result<Uuid> {
    let new = NewSubmission {
        person,
        cohort,
        exercise: exercise.slug.clone(),
        exercise_version: exercise.version.clone(),
        source: Source::Folder { name: EXERCISE.to_owned() },
        content: Some(content),
        answers: Answers::default(),
        login: None,
    };
    Ok(store.submit(new).await?.1.id)
}

async fn wait(store: &Store, grading: Uuid) -> anyhow::Result<(String, Uuid)> {
    let mut told = 0;
    loop {
        let now = store.grading(grading).await?;
        if now.state == GradingState::Done {
            let points = format!("{} of {} points", now.points.earned, now.points.possible);
            let verdict = match now.verdict {
                Some(Verdict::Passed) => format!("passed, {points}"),
                Some(Verdict::Failed) => format!("not yet, {points}"),
                _ => format!("a fault of ours: {}", now.fault.as_deref().unwrap_or("unknown")),
            };
            return Ok((verdict, now.submission));
        }
        told += 1;
        if told % 40 == 0 {
            say("grading", "still at it …");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn print_sign_ins(store: &Store, accounts: &Accounts, address: SocketAddr) -> anyhow::Result<()> {
    let cohort = store.cohort(accounts.cohort).await?;
    println!("\nOpen http://{address} and sign in as");
    for (role, sign_in) in
        [("student", &accounts.student), ("trainer", &accounts.trainer), ("admin", &accounts.admin)]
    {
        println!("  {role:<8} {:<16} password {}", sign_in.name, sign_in.password);
    }
    println!("Others join with the code {} at http://{address}/join/{}", cohort.join_code, cohort.join_code);
    println!("Stop with Ctrl-C; run it again and it goes on with the same data.");
    Ok(())
}
