//! What a builder's message means: the student's, with a sentence that helps, or ours.
//!
//! Builders tell in prose, and each in its own; the texts here are those of Docker 20.10 to 29. What
//! is not known is taken for ours: a fault of ours may never look like the student's.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::build_run::{Said, Step};
use super::builder::exit_code;
use super::dockerfile::Dockerfile;
use super::{BuildFailureReason, Builder};

/// Exit code of a process ended by SIGKILL, which is what the kernel sends when memory runs out.
const KILLED: i64 = 137;
/// Of one ended by SIGXFSZ, for a file that grew past the limit on files.
const FILE_TOO_LARGE: i64 = 153;
/// What programs print that heed that signal, and shells of those that do not.
const FILE_TOO_LARGE_WORDS: [&str; 2] = ["file too large", "file size limit exceeded"];

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:parse error (?:on )?line|Dockerfile:)\s*(\d+)").expect("a constant")
});
static UNKNOWN_INSTRUCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)unknown instruction: (\S+)").expect("a constant"));
static TARGET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:failed to reach build target (\S+) in|target stage "?([^"]+?)"? could not be found)"#)
        .expect("a constant")
});

static SECRET: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)secret "?([\w.-]+)"?:? not found"#).expect("a constant"));
static PARSE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^dockerfile parse error (?:on )?line \d+: ").expect("a constant"));
/// A file in the engine's own folder, as far as the container's root.
static ROOT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"/[^ :]*/(?:[0-9a-f]{64}(?:/merged|/rootfs)?|merged)(/[^ :]*)").expect("a constant")
});
static SEEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:exec: "([^"]+)": .*|unable to find (?:user|group) .*)"#).expect("a constant")
});

/// Messages about the Dockerfile or the context, beyond those with a pattern of their own.
const DOCKERFILE_WORDS: [&str; 23] = [
    "dockerfile parse error",
    "failed to parse platform",
    "failed to parse dockerfile",
    "cannot be empty",
    "cannot locate specified dockerfile",
    "copy failed",
    "add failed",
    "forbidden path outside",
    "invalid reference format",
    "invalid from flag value",
    "base name (",
    "should not be blank",
    "failed to create llb definition",
    "failed to compute cache key",
    "failed to calculate checksum",
    "not found in build context",
    "excluded by .dockerignore",
    "unknown flag",
    "no build stage in current context",
    "no source files were specified",
    "circular dependency",
    "failed to process",
    "dockerfile: no such file",
];

/// Messages about a mount of an SSH agent, which a session of ours never has.
const FORWARDED: [&str; 3] = ["forwarded from the client", "unset ssh", "sshforward"];

/// Messages about a step that could not even begin.
const START_WORDS: [&str; 9] = [
    "oci runtime create failed",
    "too many links in",
    "runc create failed",
    "unable to start container process",
    "unable to find user",
    "unable to find group",
    "no matching entries in passwd file",
    "exec format error",
    "executable file not found",
];

/// What must be known to say it well.
pub(super) struct Circumstances<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) name: &'a str,
    pub(super) builder: Builder,
    pub(super) engine_version: &'a str,
    pub(super) memory_bytes: u64,
    /// What a step may write, and the largest file.
    pub(super) disk_bytes: u64,
    /// Ids of the secrets that the exercise gives, or the submission brings.
    pub(super) secrets: Vec<&'a str>,
    pub(super) last_output: Option<&'a str>,
    /// The last lines of the log.
    pub(super) log_tail: &'a str,
}

/// Reason and sentence; `None` where the message is about us.
pub(super) fn explain(said: &Said, around: &Circumstances<'_>) -> Option<(BuildFailureReason, String)> {
    let message = said.message.trim();
    let lower = message.to_lowercase();
    let at = place(said, around);
    if lower.contains("no space left on device") && exit_code(message).is_none() {
        return None;
    }
    if said.status.is_some_and(|status| status >= 500) && !is_about_the_dockerfile(&lower) {
        return None;
    }
    if lower.contains("requires buildkit")
        || (around.builder == Builder::Classic && lower.contains("unknown flag: link"))
    {
        return Some((
            BuildFailureReason::NeedsBuildKit,
            format!("{at} uses an option that only BuildKit knows, which this server does not build with."),
        ));
    }
    if let Some(code) = failed_step(&lower, message) {
        return Some(step_failed(code, said, around, &at));
    }
    if let Some(found) = TARGET.captures(message) {
        let target = found.get(1).or_else(|| found.get(2)).map_or("", |target| target.as_str());
        return Some((
            BuildFailureReason::Dockerfile,
            format!(
                "{} has no stage named {target}, which is what has to be built; name one with FROM … AS {target}.",
                around.name
            ),
        ));
    }
    if let Some(found) = SECRET.captures(message) {
        let given = match around.secrets.as_slice() {
            [] => "this exercise gives its build none".to_owned(),
            ids => format!("this build is given `{}`", ids.join("` and `")),
        };
        let sentence = format!("{at} mounts a secret with the id `{}`, and {given}.", &found[1]);
        return Some((BuildFailureReason::Dockerfile, sentence));
    }
    if lower.contains("ssh") && FORWARDED.iter().any(|words| lower.contains(words)) {
        let sentence =
            format!("{at} mounts an SSH agent, and no build here is given one; leave the mount out.");
        return Some((BuildFailureReason::Dockerfile, sentence));
    }
    if let Some(found) = UNKNOWN_INSTRUCTION.captures(message) {
        return Some(unknown_instruction(&found[1], message, around));
    }
    if START_WORDS.iter().any(|words| lower.contains(words)) && said.step.is_some() {
        return Some((
            BuildFailureReason::Step,
            format!("{at} could not be started: {}.", start_words(message)),
        ));
    }
    if is_about_the_dockerfile(&lower) || said.status.is_some_and(|status| (400..500).contains(&status)) {
        return Some((BuildFailureReason::Dockerfile, format!("{at}: {}.", plain(message))));
    }
    None
}

fn is_about_the_dockerfile(lower: &str) -> bool {
    DOCKERFILE_WORDS.iter().any(|words| lower.contains(words))
        || (lower.contains("not found") && lower.contains("failed to solve"))
        || lower.contains("target stage")
        || lower.contains("failed to reach build target")
}

fn failed_step(lower: &str, message: &str) -> Option<i64> {
    let is_step = lower.contains("returned a non-zero code")
        || lower.contains("did not complete successfully")
        || lower.contains("executor failed running");
    if is_step { exit_code(message) } else { None }
}

fn step_failed(code: i64, said: &Said, around: &Circumstances<'_>, at: &str) -> (BuildFailureReason, String) {
    let short_of_memory = said.out_of_memory.unwrap_or(code == KILLED);
    if short_of_memory {
        let mib = around.memory_bytes >> 20;
        return (
            BuildFailureReason::OutOfMemory,
            format!(
                "{at} was ended because it used more memory than a step of this exercise may ({mib} MiB)."
            ),
        );
    }
    let last_words = around.last_output.map(|line| crate::text::ansi_stripped(line).trim().to_owned());
    let mib = around.disk_bytes >> 20;
    if code == FILE_TOO_LARGE {
        return (
            BuildFailureReason::TooLarge,
            format!(
                "{at} was ended because it was making a file larger than all that a build of this exercise may write \
                 ({mib} MiB)."
            ),
        );
    }
    let reason =
        if says_too_large(around.log_tail) { BuildFailureReason::TooLarge } else { BuildFailureReason::Step };
    let mut sentence = format!("{at} failed with exit code {code}");
    match last_words {
        Some(line) if !line.is_empty() => {
            sentence.push_str("; its last words were: ");
            sentence.push_str(&cropped(&line));
        }
        _ => sentence.push_str(" and printed nothing; run it in a container of the base image to see why"),
    }
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    if reason == BuildFailureReason::TooLarge {
        // Writing to a String cannot fail.
        let _ = write!(sentence, " No file of this exercise's builds may be larger than {mib} MiB.");
    }
    (reason, sentence)
}

/// Whether the last step printed what programs do that may not make a file larger.
fn says_too_large(log_tail: &str) -> bool {
    let of_step = log_tail.lines().rev().take_while(|line| !line.starts_with("Step "));
    of_step.map(str::to_lowercase).any(|line| FILE_TOO_LARGE_WORDS.iter().any(|words| line.contains(words)))
}

fn unknown_instruction(
    word: &str,
    message: &str,
    around: &Circumstances<'_>,
) -> (BuildFailureReason, String) {
    const KNOWN: [&str; 18] = [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    let line = line_of(message);
    let place = line.map_or_else(|| around.name.to_owned(), |line| format!("Line {line} of {}", around.name));
    let inside_heredoc = around.dockerfile.instructions.iter().any(|instruction| {
        instruction.rest.contains("<<") && line.is_some_and(|line| instruction.line < line)
    });
    if inside_heredoc {
        let sentence = format!(
            "{place} follows a here-document (<<), which the builder of this server (Docker {}) does not know; write the \
             commands in one RUN with && between them.",
            around.engine_version
        );
        return (BuildFailureReason::NeedsBuildKit, sentence);
    }
    let meant = KNOWN
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, &word.to_uppercase()), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let sentence = match meant {
        Some((_, known)) => {
            format!("{place} begins with {word}, which is no instruction; {known} was probably meant.")
        }
        None => format!("{place} begins with {word}, which is no instruction of a Dockerfile."),
    };
    (BuildFailureReason::Dockerfile, sentence)
}

/// Where it happened, as the beginning of a sentence.
fn place(said: &Said, around: &Circumstances<'_>) -> String {
    if let Some(line) = line_of(&said.message) {
        return format!("Line {line} of {}", around.name);
    }
    said.step.as_ref().map_or_else(|| around.name.to_owned(), |step| step_place(step, around.dockerfile))
}

/// `The step "RUN make" (line 4)`.
pub(super) fn step_place(step: &Step, dockerfile: &Dockerfile) -> String {
    let found = dockerfile.find(step.number, &step.text);
    let text = found.map_or_else(|| step.text.clone(), super::dockerfile::Instruction::text);
    let line = found.map(|instruction| format!(" (line {})", instruction.line)).unwrap_or_default();
    format!("The step \"{}\"{line}", cropped(&text))
}

fn line_of(message: &str) -> Option<usize> {
    LINE.captures(message)?[1].parse().ok()
}

/// The engine's words without their frame.
fn plain(message: &str) -> String {
    let mut text = message;
    for frame in [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve: ",
        "failed to create LLB definition: ",
        "rpc error: code = Unknown desc = ",
        "failed to parse Dockerfile: ",
    ] {
        if let Some((_, after)) = text.split_once(frame) {
            text = after;
        }
    }
    let text = PARSE.replace(text, "");
    cropped(text.trim_end_matches('.'))
}

fn start_words(message: &str) -> String {
    let message = ROOT.replace_all(message, "$1");
    let message =
        message.replace("bufio.Scanner: token too long", "a line of /etc/passwd or /etc/group is too long");
    SEEN.find(&message).map_or_else(
        || cropped(&message),
        |found| cropped(found.as_str().trim_end_matches(": unknown").trim_start_matches("exec: ")),
    )
}

/// The first line, not too long for a sentence.
fn cropped(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    format!("{}…", &line[..line.floor_char_boundary(LONGEST)])
}
