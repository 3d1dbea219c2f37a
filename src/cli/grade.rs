//! `drydock grade`: one submission, here and now, without a server.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::Exercise;
use drydock::grading::{Handed, Job, Observer, Step, grade, needs_engine};
use drydock::report::{CheckReport, OutcomeKind, Report, Verdict};
use drydock::submissions::{Answers, Content, ContentLimits};
use drydock::text::for_terminal;
use futures::FutureExt as _;

use super::Usage;

#[derive(clap::Args)]
pub struct Arguments {
    /// Slug of a shipped exercise, or the folder of one
    exercise: String,
    /// A folder, .zip, .tar or .tar.gz, or answers:FILE (JSON)
    submission: String,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("warn");
    let clock = Clock::system();
    let exercise = find(&settings, &arguments.exercise)?;
    let handed = hand_in(&settings, &arguments.submission)?;
    let settings = super::without_server(settings);
    let engine = if needs_engine(&exercise) { Some(super::engine(&settings, &clock).await?) } else { None };
    let job = Job {
        id: format!("cli-{}", uuid::Uuid::new_v4().simple()),
        exercise: &exercise,
        fetch: async move { Ok(handed) }.boxed(),
        observer: progress(),
    };
    let graded = super::interruptible(grade(job, engine.as_ref(), &clock)).await?;
    let code = match graded {
        None => {
            eprintln!("drydock: stopped before there was a verdict");
            ExitCode::from(130)
        }
        Some(mut graded) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&graded.report)?);
            } else {
                print!("{}", shown(&graded.report));
            }
            if let Some(cause) = graded.cause.take() {
                eprintln!("drydock: {}", cause.internal);
            }
            let code = exit_code(graded.report.verdict);
            graded.clean().await;
            code
        }
    };
    if let Some(engine) = engine {
        engine.shutdown().await;
    }
    Ok(code)
}

/// The contract's exit codes.
fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::from(1),
        Verdict::ExerciseFault => ExitCode::from(2),
        Verdict::PlatformFault => ExitCode::from(3),
    }
}

/// An exercise by slug or folder.
pub fn find(settings: &Settings, name: &str) -> anyhow::Result<Exercise> {
    let folder = folder_of(settings, name)?;
    Exercise::read(&folder).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Usage(lines.join("\n")).into()
    })
}

/// The folder of an exercise given by slug or path.
pub fn folder_of(settings: &Settings, name: &str) -> anyhow::Result<PathBuf> {
    let as_path = Path::new(name);
    if as_path.join("exercise.yaml").is_file() {
        return Ok(as_path.to_owned());
    }
    let shipped = settings.exercises_dir.join(name);
    if shipped.join("exercise.yaml").is_file() {
        return Ok(shipped);
    }
    Err(Usage(format!(
        "there is no exercise `{name}`: neither {} nor {} has an exercise.yaml",
        as_path.display(),
        shipped.display()
    ))
    .into())
}

/// Reads what is handed in.
fn hand_in(settings: &Settings, submission: &str) -> anyhow::Result<Handed> {
    let limits = ContentLimits::from(&settings.uploads);
    if let Some(file) = submission.strip_prefix("answers:") {
        let json = std::fs::read(file).with_context(|| format!("the answers {file} cannot be read"));
        let json = json.map_err(|error| Usage(format!("{error:#}")))?;
        let answers = Answers::from_json(&json).map_err(|error| Usage(format!("{file}: {error}")))?;
        return Ok(Handed { content: Content::empty(), answers });
    }
    if submission.starts_with("image:") || submission.contains("://") || submission.starts_with("git@") {
        return Err(Usage(format!(
            "`{submission}`: image references and git URLs cannot be handed in yet; give a folder, an archive or answers:FILE"
        ))
        .into());
    }
    let path = Path::new(submission);
    let content = if path.is_dir() {
        Content::from_folder(path, &limits)
    } else {
        let size = std::fs::metadata(path)
            .map_err(|error| Usage(format!("{submission} cannot be read: {error}")))?;
        if size.len() > limits.archive_bytes {
            return Err(Usage(format!(
                "{submission} has {} bytes; an archive may have at most {} (setting uploads.archive_bytes)",
                size.len(),
                limits.archive_bytes
            ))
            .into());
        }
        let bytes =
            std::fs::read(path).map_err(|error| Usage(format!("{submission} cannot be read: {error}")))?;
        Content::from_archive(&bytes, &limits)
    }
    .map_err(|refusal| Usage(format!("{submission}: {refusal}")))?;
    // A folder of a question exercise may bring its answers along, as a solution does.
    drydock::grading::verify::handed(&content)
        .map_err(|problem| Usage(format!("{submission}: {problem}")).into())
}

/// Progress on stderr: phases, and the build's output.
pub fn progress() -> Observer {
    Arc::new(|step| match step {
        Step::PhaseStarted(phase) => eprintln!("· {}", phase.name()),
        Step::Log(line) => eprintln!("  {} | {}", line.source, for_terminal(&line.text)),
        Step::Outcome(check) => eprintln!("  {} {}", mark(check.outcome), for_terminal(&check.title)),
        Step::PhaseFinished(..) => (),
    })
}

/// The shape of an outcome on a terminal.
fn mark(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Passed => "✓",
        OutcomeKind::Failed => "✗",
        OutcomeKind::Skipped => "–",
        OutcomeKind::Broken => "△",
        OutcomeKind::Waiting => "◐",
    }
}

/// The report for people.
fn shown(report: &Report) -> String {
    let paint = |code: &str, text: &str| {
        if std::io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    for check in &report.checks {
        let (code, earned) = match check.outcome {
            OutcomeKind::Passed => ("32", check.points.earned.to_string()),
            OutcomeKind::Failed => ("31", check.points.earned.to_string()),
            OutcomeKind::Broken => ("35", "-".to_owned()),
            OutcomeKind::Waiting => ("33", "-".to_owned()),
            OutcomeKind::Skipped => ("2", "0".to_owned()),
        };
        out.push_str(&format!(
            "{} {}  {earned}/{}\n",
            paint(code, mark(check.outcome)),
            for_terminal(&check.title),
            check.points.possible
        ));
        if check.outcome != OutcomeKind::Passed {
            out.push_str(&details(check));
        }
    }
    let seconds: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let points = format!("{} of {} points", report.points.earned, report.points.possible);
    let line = match report.verdict {
        Verdict::Passed if report.waits_for_review() => {
            paint("33", &format!("Passed so far: {points}; the rest waits for a trainer"))
        }
        Verdict::Passed => paint("32", &format!("Passed: {points}")),
        Verdict::Failed => paint("31", &format!("Not yet: {points}")),
        Verdict::ExerciseFault => paint("35", "The exercise has a mistake; this did not count"),
        Verdict::PlatformFault => paint("35", "The platform had a problem; this did not count"),
    };
    out.push_str(&format!("\n{line}, in {seconds:.1} s\n"));
    out
}

fn details(check: &CheckReport) -> String {
    let mut out = String::new();
    let mut row = |name: &str, text: &str| {
        if !text.is_empty() {
            let text = for_terminal(text).replace('\n', "\n              ");
            out.push_str(&format!("    {name:<10}{}\n", text.trim_end()));
        }
    };
    row("Expected", &check.expected);
    row("Observed", &check.observed);
    for evidence in &check.evidence {
        row("Evidence", &format!("{}\n{}", evidence.title, evidence.text));
    }
    row("Try it", check.reproduce.as_deref().unwrap_or_default());
    row("Hint", check.hint.as_deref().unwrap_or_default());
    row("Read on", check.explain.as_deref().unwrap_or_default());
    out
}
