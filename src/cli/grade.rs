//! `drydock grade`: one submission, here and now, without a server.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::exercises::Exercise;
use drydock::grading::{Fetcher, Halt, Handed, Job, Observer, Step, grade};
use drydock::report::{CheckReport, OutcomeKind, Report, Verdict};
use drydock::submissions::reference::Reference;
use drydock::submissions::remote::{Credentials, GitAddress};
use drydock::submissions::{Answers, Content, ContentLimits};
use drydock::text::for_terminal;
use futures::FutureExt as _;

use super::Usage;

/// Where the token is read from: an argument would stand in the list of processes.
const TOKEN: &str = "DRYDOCK_TOKEN";

/// Hands in and grades; a private repository or registry is asked with the token in DRYDOCK_TOKEN.
#[derive(clap::Args)]
pub struct Arguments {
    /// Slug of a shipped exercise, or the folder of one
    exercise: String,
    /// A folder, .zip, .tar(.gz), the address of a Git repository, image:REFERENCE, or answers:FILE (JSON)
    submission: String,
    /// Branch, tag or commit of the repository, instead of its default branch
    #[arg(long, value_name = "NAME")]
    revision: Option<String>,
    /// User name for a private repository or registry
    #[arg(long, value_name = "NAME", default_value = "")]
    username: String,
    /// Token or password for a private repository or registry
    #[arg(long, env = TOKEN, hide_env_values = true, hide = true)]
    token: Option<String>,
    /// Print the report as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("warn");
    let clock = Clock::system();
    let exercise = find(&settings, &arguments.exercise)?;
    let given = Given::read(&settings, &exercise, &arguments)?;
    let settings = super::without_server(settings);
    let fetcher = Fetcher::new(&settings).map_err(Usage)?;
    let engine = if exercise.needs_engine() { Some(super::engine(&settings, &clock).await?) } else { None };
    let job = Job {
        id: format!("cli-{}", uuid::Uuid::new_v4().simple()),
        exercise: &exercise,
        fetch: given.fetch(&fetcher, &exercise).boxed(),
        observer: progress(),
        hints: BTreeMap::new(),
        measured: false,
        trusted: false,
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

/// What is handed in, read but not fetched.
enum Given {
    Here(Handed),
    Saved(Content),
    Repository { address: GitAddress, revision: Option<String>, login: Option<Credentials> },
    Image { reference: Reference, login: Option<Credentials> },
}

impl Given {
    fn read(settings: &Settings, exercise: &Exercise, arguments: &Arguments) -> anyhow::Result<Self> {
        let submission = arguments.submission.as_str();
        let takes_image = exercise.submit.iter().any(|kind| kind.is_image());
        let login = arguments.token.clone().map(|token| Credentials::new(&*arguments.username, token));
        if let Some(reference) = submission.strip_prefix("image:") {
            if !takes_image {
                return Err(Usage(format!(
                    "{} takes no image; its `submit` says what it takes",
                    exercise.slug
                ))
                .into());
            }
            let reference = reference
                .parse()
                .map_err(|why| Usage(format!("{submission}: this is no image reference: {why}")))?;
            return Ok(Self::Image { reference, login });
        }
        if submission.contains("://") || submission.starts_with("git@") {
            let (address, within) = GitAddress::read(submission).map_err(Usage)?;
            let revision = arguments.revision.clone();
            return Ok(Self::Repository { address, revision, login: login.or(within) });
        }
        if let Some(file) = submission.strip_prefix("answers:") {
            let json = std::fs::read(file).with_context(|| format!("the answers {file} cannot be read"));
            let json = json.map_err(|error| Usage(format!("{error:#}")))?;
            let answers = Answers::from_json(&json).map_err(|error| Usage(format!("{file}: {error}")))?;
            return Ok(Self::Here(Handed::new(Content::empty(), answers)));
        }
        let mut limits = ContentLimits::from(&settings.uploads);
        let mut setting = "uploads.archive_size";
        if takes_image {
            (limits.archive_bytes, setting) =
                (settings.uploads.saved_image_bytes, "uploads.saved_image_size");
            limits.unpacked_bytes = limits.archive_bytes;
        }
        let content = content(submission, &limits, setting)?;
        if takes_image {
            return Ok(Self::Saved(content));
        }
        // A folder of a question exercise may bring its answers along, as a solution does.
        let handed = drydock::grading::verify::handed(&content);
        handed.map(Self::Here).map_err(|problem| Usage(format!("{submission}: {problem}")).into())
    }

    async fn fetch(self, fetcher: &Fetcher, exercise: &Exercise) -> Result<Handed, Halt> {
        let observer = progress();
        match self {
            Self::Here(handed) => Ok(handed),
            Self::Saved(content) => fetcher.saved(content, Answers::default(), exercise).await,
            Self::Repository { address, revision, login } => {
                let revision = revision.as_deref();
                let fetched =
                    fetcher.repository(&address, revision, login.as_ref(), exercise, &observer).await?;
                Ok(Handed::new(fetched.content, Answers::default()))
            }
            Self::Image { reference, login } => {
                let image = fetcher.image(&reference, login.as_ref(), exercise, &observer).await?;
                Ok(Handed::pulled(reference.to_string(), image, Answers::default()))
            }
        }
    }
}

/// The files of a folder or archive.
fn content(submission: &str, limits: &ContentLimits, setting: &str) -> anyhow::Result<Content> {
    let path = Path::new(submission);
    let unreadable = |error| Usage(format!("{submission} cannot be read: {error}"));
    let content = if path.is_dir() {
        Content::from_folder(path, limits)
    } else {
        let size = std::fs::metadata(path).map_err(unreadable)?;
        if size.len() > limits.archive_bytes {
            return Err(Usage(format!(
                "{submission} has {} bytes; an archive may have at most {} (setting {setting})",
                size.len(),
                limits.archive_bytes
            ))
            .into());
        }
        Content::from_archive(&std::fs::read(path).map_err(unreadable)?, limits)
    };
    Ok(content.map_err(|refusal| Usage(format!("{submission}: {refusal}")))?)
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
