//! `drydock exercise …`: check, prove and create exercises.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::{self, Catalogue, Exercise};
use drydock::grading::needs_engine;
use drydock::grading::verify::{Proof, TrialResult, verify};

use super::Usage;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Read definitions strictly and print every mistake with its place
    Check {
        /// Exercise folders or slugs; all exercises and workshops if none is given
        paths: Vec<String>,
    },
    /// Prove exercises: solution passes twice, starter does not, every mutant fails exactly its checks
    Verify {
        /// Exercise folders or slugs; all exercises if none is given
        paths: Vec<String>,
        /// Print the proofs as JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Write a commented skeleton that verifies
    New {
        /// Name of the exercise: lower-case letters, digits and dashes
        slug: String,
        /// Where to make the exercise's folder; the exercises folder of the settings if not given
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
    /// Print the JSON Schema of exercise.yaml, for editors
    Schema,
}

pub async fn run(settings: Settings, command: Command) -> anyhow::Result<ExitCode> {
    super::log("warn");
    match command {
        Command::Check { paths } => {
            let exercises = read(&settings, &paths)?;
            let mut warnings = 0;
            for warning in exercises.iter().flat_map(|exercise| &exercise.warnings) {
                warnings += 1;
                println!("{warning}");
            }
            match warnings {
                0 => println!("{} exercises read, no mistakes", exercises.len()),
                _ => println!("{} exercises read, {warnings} warnings", exercises.len()),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { paths, json } => prove(settings, &paths, json).await,
        Command::New { slug, into } => {
            let folder = into.unwrap_or_else(|| settings.exercises_dir.clone()).join(&slug);
            exercises::skeleton(&slug, &folder).map_err(|error| Usage(error.to_string()))?;
            println!("{} is ready. Edit it, then:", folder.display());
            println!("  drydock exercise check {}", folder.display());
            println!("  drydock exercise verify {}", folder.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&exercises::schema())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads the named exercises, or the whole catalogue; every mistake of all of them is one usage error.
fn read(settings: &Settings, paths: &[String]) -> anyhow::Result<Vec<Arc<Exercise>>> {
    let lines =
        |mistakes: Vec<exercises::Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    if paths.is_empty() {
        let catalogue =
            Catalogue::read(&settings.exercises_dir).map_err(|mistakes| Usage(lines(mistakes).join("\n")))?;
        return Ok(catalogue.exercises.into_values().collect());
    }
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for path in paths {
        match Exercise::read(&super::grade::folder_of(settings, path)?) {
            Ok(exercise) => found.push(Arc::new(exercise)),
            Err(mistakes) => wrong.extend(lines(mistakes)),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(Usage(wrong.join("\n")).into()) }
}

async fn prove(settings: Settings, paths: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let exercises = read(&settings, paths)?;
    let settings = super::without_server(settings);
    let clock = Clock::system();
    let engine = if exercises.iter().any(|exercise| needs_engine(exercise)) {
        Some(super::engine(&settings, &clock).await?)
    } else {
        None
    };
    let work = async {
        let mut proofs = Vec::new();
        for exercise in &exercises {
            let proof = verify(exercise, engine.as_ref(), &clock, Arc::new(|_| ()), |trial| {
                eprintln!("{}", trial_line(&exercise.slug, trial));
            })
            .await;
            for problem in &proof.problems {
                eprintln!("✗ {}: {problem}", exercise.slug);
            }
            proofs.push(proof);
        }
        proofs
    };
    let proofs = super::interruptible(work).await?;
    if let Some(engine) = engine.clone() {
        engine.shutdown().await;
    }
    let Some(proofs) = proofs else { return Ok(ExitCode::from(130)) };
    if json {
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

fn trial_line(slug: &str, trial: &TrialResult) -> String {
    let mark = if trial.problems.is_empty() { "✓" } else { "✗" };
    let mut line = format!("{mark} {slug}: {} ({:.1} s)", trial.trial, trial.seconds);
    for problem in &trial.problems {
        line.push_str("\n    ");
        line.push_str(&drydock::text::for_terminal(problem));
    }
    line
}
