//! Proves an exercise: the solution passes twice, the starter does not, and every mutant fails
//! exactly the checks it names, so that no check can rot into one that never fails.
//!
//! Called by `drydock exercise verify` and by workers for admins in the browser; uses the very same [`grade()`](super::grade()) as everybody. What is
//! no proof against an exercise but still odd (a hint that gives the answer away, a check whose outcome
//! changes) is a [`Warning`].

mod judge;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use serde::Serialize;

pub use warnings::{Warning, WarningKind, hint_warnings};

use super::course::Observer;
use super::grade::{Handed, Job, grade};
use crate::clock::Clock;
use crate::exercises::Exercise;
use crate::report::{Phase, Report, Verdict};
use crate::sandbox::Engine;
use crate::submissions::{Answers, Content};

/// The file of a reference submission that holds its answers: `{"question-id": "text" | ["option"]}`.
pub const ANSWERS_FILE: &str = "answers.json";

/// What one run of the proof was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "name")]
pub enum Trial {
    /// The solution, for the first, second or a later time.
    Solution(u32),
    /// The solution, its checks in reverse order.
    Reordered,
    /// The starter files as they are handed out.
    Starter,
    /// A solution broken on purpose.
    Mutant(String),
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Solution(1) => write!(f, "solution"),
            Self::Solution(2) => write!(f, "solution, again"),
            Self::Solution(run) => write!(f, "solution, run {run}"),
            Self::Reordered => write!(f, "solution, checks in reverse order"),
            Self::Starter => write!(f, "starter"),
            Self::Mutant(name) => write!(f, "mutant {name}"),
        }
    }
}

/// How one trial went.
#[derive(Clone, Debug, Serialize)]
pub struct TrialResult {
    /// Which trial.
    #[serde(flatten)]
    pub trial: Trial,
    /// Which run of it, from 1.
    pub run: u32,
    /// Why it does not prove what it should, in sentences for the author; empty when it does.
    pub problems: Vec<String>,
    /// Whether it was the platform that failed, so that nothing was proven either way.
    pub platform_fault: bool,
    /// Faults of the platform after which it was made again, as a worker grades again after such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// Wall clock of the grading.
    pub seconds: f64,
    /// What it needed of the exercise's limits.
    pub usage: Usage,
}

/// What a trial needed of the exercise's limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// The most memory that a container had; only told of the solution's first run, where anything runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The build.
    pub build_seconds: f64,
    /// Everything after the build that counts as run time.
    pub run_seconds: f64,
}

/// The whole proof of one exercise.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The exercise's slug.
    pub exercise: String,
    /// Its version.
    pub version: String,
    /// Every trial: the solution's, the starter's, the mutants' in the order of the exercise.
    pub trials: Vec<TrialResult>,
    /// What is wrong with the set of mutants as a whole.
    pub problems: Vec<String>,
    /// What is odd and no proof against the exercise.
    pub warnings: Vec<Warning>,
    /// The trials' wall clock together.
    pub seconds: f64,
}

impl Proof {
    /// Whether the exercise may ship.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.trials.iter().all(|trial| trial.problems.is_empty())
    }

    /// Whether some trial failed for reasons that are not the exercise's.
    #[must_use]
    pub fn platform_fault(&self) -> bool {
        self.trials.iter().any(|trial| trial.platform_fault)
    }
}

/// How trials are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Trials at a time, at least one.
    pub jobs: usize,
    /// How often every trial is run, at least once; the solution is always run twice.
    pub repeat: u32,
}

/// Something that happened while proving.
pub enum Progress<'a> {
    /// A trial began.
    Began {
        /// The exercise's slug.
        exercise: &'a str,
        /// Which trial, and which run of it.
        trial: (&'a Trial, u32),
    },
    /// A trial ended.
    Ended {
        /// The exercise's slug.
        exercise: &'a str,
        /// How it went.
        result: &'a TrialResult,
        /// Trials of this exercise that have ended, and all of them.
        own: (usize, usize),
        /// Trials of all exercises that have ended, and all of them.
        all: (usize, usize),
    },
}

/// A trial that is to be run, and for which exercise (by its place among them).
struct Planned {
    exercise: usize,
    trial: Trial,
    run: u32,
    content: Content,
}

/// A trial that was run.
struct Tried {
    result: TrialResult,
    report: Option<Report>,
}

/// The trials that the engine's machine has room for at a time: by its CPUs, and by the memory that the
/// exercise with the most needs for what it runs.
#[must_use]
pub fn room(exercises: &[Arc<Exercise>], engine: Option<&Engine>) -> usize {
    let Some(facts) = engine.map(Engine::facts) else {
        return std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    };
    let memory = |exercise: &Arc<Exercise>| {
        let services = exercise.stack.as_ref().map_or(1, |stack| stack.services.len().max(1));
        exercise.limits.memory_bytes.saturating_mul(u64::try_from(services).unwrap_or(u64::MAX))
    };
    let largest = exercises.iter().map(memory).max().unwrap_or(0).max(1);
    // The engine, its cache and everybody else want some too.
    let fit = usize::try_from(facts.memory_bytes / 2 / largest).unwrap_or(usize::MAX);
    facts.cpus.min(fit).max(1)
}

/// Runs every trial of every exercise, as many at a time as the plan says, and tells of each as it begins
/// and ends. The proofs come in the order of the exercises.
pub async fn verify(
    exercises: &[Arc<Exercise>],
    engine: Option<&Engine>,
    clock: &Clock,
    observer: Observer,
    plan: Plan,
    tell: impl Fn(Progress<'_>),
) -> Vec<Proof> {
    let mut problems = Vec::new();
    let mut planned = Vec::new();
    for (index, exercise) in exercises.iter().enumerate() {
        let mut found = judge::unproven_checks(exercise);
        planned.extend(trials(index, exercise, plan.repeat.max(1), &mut found));
        problems.push(found);
    }
    let counts: Vec<usize> = (0..exercises.len())
        .map(|index| planned.iter().filter(|planned| planned.exercise == index).count())
        .collect();
    let all = planned.len();
    let places: Vec<(usize, Trial, u32)> =
        planned.iter().map(|planned| (planned.exercise, planned.trial.clone(), planned.run)).collect();
    // What a solution builds, its mutants find in the cache.
    planned.sort_by_key(|planned| planned.trial != Trial::Solution(1));

    let ended: Vec<AtomicUsize> = exercises.iter().map(|_| AtomicUsize::new(0)).collect();
    let (tell, ended) = (&tell, &ended);
    let counts = &counts;
    let running = planned.into_iter().map(|planned| {
        let observer = Arc::clone(&observer);
        async move {
            let exercise = &exercises[planned.exercise];
            let slug = exercise.slug.as_str();
            tell(Progress::Began { exercise: slug, trial: (&planned.trial, planned.run) });
            let tried = run(exercise, &planned, engine, clock, &observer).await;
            let own = ended[planned.exercise].fetch_add(1, Ordering::Relaxed) + 1;
            let done = ended.iter().map(|ended| ended.load(Ordering::Relaxed)).sum();
            tell(Progress::Ended {
                exercise: slug,
                result: &tried.result,
                own: (own, counts[planned.exercise]),
                all: (done, all),
            });
            (planned.exercise, tried)
        }
    });
    let mut tried: Vec<(usize, Tried)> =
        stream::iter(running).buffer_unordered(plan.jobs.max(1)).collect().await;
    tried.sort_by_key(|(exercise, tried)| {
        let result = &tried.result;
        places
            .iter()
            .position(|(index, trial, run)| index == exercise && *trial == result.trial && *run == result.run)
    });

    let mut proofs = Vec::new();
    let mut tried = tried.into_iter().peekable();
    for (index, (exercise, problems)) in exercises.iter().zip(problems).enumerate() {
        let mut own = Vec::new();
        while let Some((_, tried)) = tried.next_if(|(exercise, _)| *exercise == index) {
            own.push(tried);
        }
        let warnings = warnings::warnings(exercise, &own);
        let trials: Vec<TrialResult> = own.into_iter().map(|tried| tried.result).collect();
        proofs.push(Proof {
            exercise: exercise.slug.clone(),
            version: exercise.version.clone(),
            seconds: trials.iter().map(|trial| trial.seconds).sum(),
            trials,
            problems,
            warnings,
        });
    }
    proofs
}

/// How often a trial is made when the platform is at fault: what happens twice is a verdict on this machine.
const ATTEMPTS: usize = 2;

/// Makes one trial, again where the platform was at fault.
async fn run(
    exercise: &Exercise,
    planned: &Planned,
    engine: Option<&Engine>,
    clock: &Clock,
    observer: &Observer,
) -> Tried {
    let mut faults = Vec::new();
    loop {
        let mut tried = attempt(exercise, planned, engine, clock, Arc::clone(observer)).await;
        if tried.result.platform_fault && faults.len() + 1 < ATTEMPTS {
            faults.append(&mut tried.result.problems);
            continue;
        }
        tried.result.faults = faults;
        return tried;
    }
}

/// Grades one trial and judges it. What it made in the engine is removed in the background.
async fn attempt(
    exercise: &Exercise,
    planned: &Planned,
    engine: Option<&Engine>,
    clock: &Clock,
    observer: Observer,
) -> Tried {
    let Planned { trial, run, content, .. } = planned;
    let result = |problems, platform_fault, seconds, usage| TrialResult {
        trial: trial.clone(),
        run: *run,
        problems,
        platform_fault,
        faults: Vec::new(),
        seconds,
        usage,
    };
    let handed = match handed(content) {
        Ok(handed) => handed,
        Err(problem) => {
            return Tried { result: result(vec![problem], false, 0.0, Usage::default()), report: None };
        }
    };
    let reordered = (*trial == Trial::Reordered).then(|| {
        let mut exercise = exercise.clone();
        exercise.checks.reverse();
        exercise
    });
    let exercise = reordered.as_ref().unwrap_or(exercise);
    let stopwatch = clock.stopwatch();
    let job = Job {
        id: format!("verify-{}", exercise.slug),
        exercise,
        fetch: async move { Ok(handed) }.boxed(),
        observer,
        hints: BTreeMap::new(),
        measured: *trial == Trial::Solution(1),
        trusted: true,
    };
    let graded = grade(job, engine, clock).await;
    let seconds = stopwatch.seconds();
    let report = graded.report.clone();
    let took = |phases: &[Phase]| {
        report.phases.iter().filter(|phase| phases.contains(&phase.name)).map(|phase| phase.seconds).sum()
    };
    let usage = Usage {
        memory_bytes: graded.peak_memory,
        build_seconds: took(&[Phase::Build]),
        run_seconds: took(&[Phase::Run, Phase::Disturb]),
    };
    let cause = graded.cause.as_ref().map(|cause| cause.internal.as_str());
    let problems = judge::judge(exercise, trial, &report, cause);
    let result = result(problems, report.verdict == Verdict::PlatformFault, seconds, usage);
    // Dropping it cleans up, and the engine waits for that when it is shut down.
    drop(graded);
    Tried { result, report: Some(report) }
}

/// Splits a reference submission into files and answers.
///
/// # Errors
/// A sentence for the author when the answers cannot be read.
pub fn handed(reference: &Content) -> Result<Handed, String> {
    let answers = match reference.file(ANSWERS_FILE) {
        None => Answers::default(),
        Some(json) => Answers::from_json(json).map_err(|error| format!("{ANSWERS_FILE}: {error}"))?,
    };
    Ok(Handed::new(reference.clone(), answers))
}

/// The trials that [`verify`] makes of an exercise, each once, in the order in which they are told.
#[must_use]
pub fn planned(exercise: &Exercise) -> Vec<(Trial, u32)> {
    trials(0, exercise, 1, &mut Vec::new()).into_iter().map(|planned| (planned.trial, planned.run)).collect()
}

fn trials(index: usize, exercise: &Exercise, repeat: u32, problems: &mut Vec<String>) -> Vec<Planned> {
    let Some(solution) = exercise.solution() else {
        problems
            .push("there is no solution/ folder, so nothing shows that the exercise can be passed".into());
        return Vec::new();
    };
    let mut trials: Vec<Planned> = Vec::new();
    let plan =
        |trial, run, content: &Content| Planned { exercise: index, trial, run, content: content.clone() };
    trials.extend((1..=repeat.max(2)).map(|run| plan(Trial::Solution(run), run, &solution)));
    let live =
        exercise.checks.iter().filter(|check| matches!(check.kind.phase(), Phase::Run | Phase::Disturb));
    if live.count() > 1 && exercise.needs_engine() {
        trials.push(plan(Trial::Reordered, 1, &solution));
    }
    if let Some(starter) = exercise.starter() {
        trials.extend((1..=repeat).map(|run| plan(Trial::Starter, run, &starter)));
    }
    for name in exercise.mutants.keys() {
        match exercise.mutant(name) {
            Some(over) => {
                let mutant = solution.overlaid(&over);
                trials.extend((1..=repeat).map(|run| plan(Trial::Mutant(name.clone()), run, &mutant)));
            }
            None => problems.push(format!("the folder mutants/{name}/ is missing")),
        }
    }
    trials
}
