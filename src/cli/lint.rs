//! `drydock lint FILE…`: what the check `lint` sees in Dockerfiles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock::submissions::Dockerignore;
use drydock::submissions::dockerfile::lint::{Problem, Severity, lint};
use drydock::text::for_terminal;
use serde::Serialize;

#[derive(clap::Args)]
pub struct Arguments {
    /// Dockerfiles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// A finding as it is printed.
#[derive(Serialize)]
struct Line {
    file: String,
    line: usize,
    rule: &'static str,
    severity: &'static str,
    message: String,
}

/// Exit code 0 with no findings, 1 with some, 2 where a file cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut lines = Vec::new();
    let mut unreadable = false;
    for path in &arguments.files {
        let file = path.display().to_string();
        match problems(path) {
            Ok(problems) => lines.extend(problems.into_iter().map(|problem| Line {
                file: file.clone(),
                line: problem.line,
                rule: problem.rule.id,
                severity: problem.rule.severity.name(),
                message: problem.message,
            })),
            Err(why) => {
                unreadable = true;
                eprintln!("drydock: {}: {}", for_terminal(&file), for_terminal(&why));
            }
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else {
        for Line { file, line, rule, severity, message } in &lines {
            println!("{}:{line}: {severity}: {rule}: {}", for_terminal(file), for_terminal(message));
        }
    }
    Ok(match (unreadable, lines.is_empty()) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(1),
    })
}

fn problems(path: &Path) -> Result<Vec<Problem>, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let ignore = ignore_file(path).map(|bytes| Dockerignore::read(&bytes));
    let mut problems = lint(&bytes, ignore.as_ref()).map_err(|unreadable| unreadable.to_string())?;
    problems.retain(|problem| problem.rule.severity != Severity::Ignore);
    Ok(problems)
}

/// `NAME.dockerignore` of this Dockerfile alone, or the `.dockerignore` beside it.
fn ignore_file(path: &Path) -> Option<Vec<u8>> {
    let mut own = path.as_os_str().to_owned();
    own.push(".dockerignore");
    fs::read(own).or_else(|_| fs::read(path.with_file_name(".dockerignore"))).ok()
}
