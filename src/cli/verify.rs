//! `drydock exercise verify`: proofs with their progress, and what they cost.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::grading::verify::{Plan, Progress, Proof, Trial, room, verify};
use drydock::text::for_terminal;

use super::exercise::read;

/// Prove exercises: solution passes twice, starter does not, every mutant fails exactly its checks
///
/// Trials run side by side, each in a sandbox of its own. Each is told when it ends, on stderr; at the end
/// come problems and warnings, exercise by exercise, then the slowest exercises and the speed.
///
/// Warnings are no failure: a hint that says the answer, checks that fail with the same words, an outcome
/// that depends on the order of the checks (the solution is graded once more in reverse order) or changes
/// from run to run, a solution that needs more than 70 % of a limit.
///
/// The speed compares the wall clock of everything, clean-up included, with the time that the trials took
/// themselves, divided by the trials that ran at a time: 1.0 says that no time was lost between trials. The
/// trials' own times are those measured side by side, which a busy machine stretches; only --jobs 1 shows
/// what they take alone.
#[derive(clap::Args)]
pub struct Arguments {
    /// Exercise folders or slugs; all exercises if none is given
    paths: Vec<String>,
    /// Print the proofs as JSON on stdout
    #[arg(long)]
    json: bool,
    /// Trials at a time; by the CPUs and the memory of the engine's machine if not given
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Run every trial N times, to find outcomes that change; the solution is always run twice
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
}

pub async fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let exercises = read(&settings, &arguments.paths)?;
    let settings = super::without_server(settings);
    let clock = Clock::system();
    let engine = if exercises.iter().any(|exercise| exercise.needs_engine()) {
        Some(super::engine(&settings, &clock).await?)
    } else {
        None
    };
    let jobs = arguments.jobs.map_or_else(|| room(&exercises, engine.as_ref()), usize::from);
    let plan = Plan { jobs, repeat: u32::from(arguments.repeat) };
    let stopwatch = clock.stopwatch();
    let board = Board::default();
    let work = verify(&exercises, engine.as_ref(), &clock, Arc::new(|_| ()), plan, |progress| {
        board.tell(&progress);
    });
    let proofs = super::interruptible(work).await?;
    if let Some(engine) = engine {
        engine.shutdown().await;
    }
    board.clear();
    let Some(proofs) = proofs else { return Ok(ExitCode::from(130)) };
    let wall = stopwatch.seconds();
    eprint!("\n{}", summary(&proofs, jobs, wall));
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&proofs)?);
    }
    let wrong = proofs.iter().filter(|proof| !proof.holds()).count();
    if wrong == 0 {
        eprintln!("{} exercises verified", proofs.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{wrong} of {} exercises do not verify", proofs.len());
    Ok(if proofs.iter().any(Proof::platform_fault) { ExitCode::from(3) } else { ExitCode::from(1) })
}

/// A line for each trial that ends; on a terminal, what runs stands below them.
#[derive(Default)]
struct Board {
    running: Mutex<BTreeSet<String>>,
}

impl Board {
    fn tell(&self, progress: &Progress<'_>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Began { exercise, trial } => {
                running.insert(name(exercise, trial.0, trial.1));
            }
            Progress::Ended { exercise, result, own, all } => {
                let name = name(exercise, &result.trial, result.run);
                running.remove(&name);
                let mark = if result.problems.is_empty() { "✓" } else { "✗" };
                let width = all.1.to_string().len();
                wipe();
                eprintln!(
                    "[{:>width$}/{}] {mark} {name} ({:.1} s, {} of {} trials)",
                    all.0, all.1, result.seconds, own.0, own.1
                );
            }
        }
        if std::io::stderr().is_terminal() && !running.is_empty() {
            let names = running.iter().map(String::as_str).collect::<Vec<_>>().join(" · ");
            // One line, whatever the width: a terminal with fewer columns would keep the rest.
            let line: String = format!("… {names}").chars().take(78).collect();
            wipe();
            eprint!("{line}");
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clear();
        wipe();
    }
}

/// Takes the line of what runs away.
fn wipe() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

fn name(exercise: &str, trial: &Trial, run: u32) -> String {
    match trial {
        Trial::Starter | Trial::Mutant(_) if run > 1 => format!("{exercise}: {trial}, run {run}"),
        _ => format!("{exercise}: {trial}"),
    }
}

/// How many exercises are named as the slowest.
const SLOWEST: usize = 3;

/// Everything that was found, exercise by exercise, and what it cost.
fn summary(proofs: &[Proof], jobs: usize, wall: f64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for proof in proofs {
        let mark = if proof.holds() { "✓" } else { "✗" };
        let _ = writeln!(
            out,
            "{mark} {} ({} trials, {:.1} s)",
            proof.exercise,
            proof.trials.len(),
            proof.seconds
        );
        for problem in &proof.problems {
            let _ = writeln!(out, "    ✗ {}", for_terminal(problem));
        }
        for trial in &proof.trials {
            for fault in &trial.faults {
                let name = name("", &trial.trial, trial.run);
                let _ = writeln!(
                    out,
                    "    ! {}: made again, since {}",
                    name.trim_start_matches(": "),
                    for_terminal(fault)
                );
            }
            for problem in &trial.problems {
                let _ = writeln!(
                    out,
                    "    ✗ {}: {}",
                    name("", &trial.trial, trial.run).trim_start_matches(": "),
                    for_terminal(problem)
                );
            }
        }
        for warning in &proof.warnings {
            let _ = writeln!(out, "    ! {}", for_terminal(&warning.sentence));
        }
    }
    let mut slowest: Vec<&Proof> = proofs.iter().filter(|proof| !proof.trials.is_empty()).collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    if slowest.len() > 1 {
        let named =
            slowest.iter().take(SLOWEST).map(|proof| format!("{} ({:.1} s)", proof.exercise, proof.seconds));
        let _ = writeln!(out, "slowest: {}", named.collect::<Vec<_>>().join(", "));
    }
    let trials: usize = proofs.iter().map(|proof| proof.trials.len()).sum();
    let seconds: f64 = proofs.iter().map(|proof| proof.seconds).sum();
    if let Some(speed) = speed(wall, seconds, jobs.min(trials)) {
        let warnings: usize = proofs.iter().map(|proof| proof.warnings.len()).sum();
        let _ = writeln!(
            out,
            "{trials} trials in {wall:.1} s, {} at a time; they took {seconds:.1} s together, so the speed is {speed:.2} (1.0 is the best); {warnings} warnings",
            jobs.min(trials)
        );
    }
    out
}

/// Wall clock over the trials' own time, as many at a time as there were; `None` where nothing took time.
fn speed(wall: f64, seconds: f64, jobs: usize) -> Option<f64> {
    let jobs = f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
    (seconds > 0.0 && jobs > 0.0).then(|| wall * jobs / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_one_where_no_time_is_lost() {
        let same = |speed: Option<f64>, wanted: f64| (speed.expect("a speed") - wanted).abs() < 1e-9;
        assert!(same(speed(10.0, 20.0, 2), 1.0));
        assert!(same(speed(13.0, 20.0, 2), 1.3));
        assert!(same(speed(20.0, 20.0, 1), 1.0));
        assert_eq!(speed(1.0, 0.0, 2), None);
        assert_eq!(speed(1.0, 1.0, 0), None);
    }
}
