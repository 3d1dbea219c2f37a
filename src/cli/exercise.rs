//! `drydock exercise …`: check and create exercises, print the schema.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use drydock::checks::Kind;
use drydock::config::Settings;
use drydock::exercises::{self, Catalogue, Exercise};

use super::Usage;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Read definitions strictly and print every mistake with its place
    Check {
        /// Exercise folders or slugs; all exercises and workshops if none is given
        paths: Vec<String>,
    },
    Verify(super::verify::Arguments),
    /// Write a commented skeleton that verifies
    New {
        /// Name of the exercise: lower-case letters, digits and dashes
        slug: String,
        /// Where to make the exercise's folder; the exercises folder of the settings if not given
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
    /// Print the manual of the check kinds as Markdown: fields, examples, evidence, failures
    Kinds {
        /// Names of kinds; all of them, with the forms of values they share, if none is given
        names: Vec<String>,
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
        Command::Verify(arguments) => super::verify::run(settings, arguments).await,
        Command::New { slug, into } => {
            let folder = into.unwrap_or_else(|| settings.exercises_dir.clone()).join(&slug);
            exercises::skeleton(&slug, &folder).map_err(|error| Usage(error.to_string()))?;
            println!("{} is ready. Edit it, then:", folder.display());
            println!("  drydock exercise check {}", folder.display());
            println!("  drydock exercise verify {}", folder.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Kinds { names } => {
            let handbook = exercises::Handbook::new();
            if names.is_empty() {
                print!("{}", handbook.markdown());
            }
            for name in &names {
                let kind = handbook.kind(name).ok_or_else(|| Usage(Kind::unknown(name)))?;
                print!("{}", kind.markdown());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&exercises::schema())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads the named exercises, or the whole catalogue; every mistake of all of them is one usage error.
pub fn read(settings: &Settings, paths: &[String]) -> anyhow::Result<Vec<Arc<Exercise>>> {
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
