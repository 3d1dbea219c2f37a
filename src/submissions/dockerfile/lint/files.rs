//! Paths, copied files, users, ports and the forms of commands.

use std::collections::{BTreeSet, HashMap};

use super::shell::Command;
use super::source::{Step, unquoted};
use super::stages::From;
use super::{Report, Steps};
use crate::submissions::dockerfile::Keyword;

/// Ends of names of archives that `ADD` unpacks, or that people take for such.
const ARCHIVES: &[&str] = &[
    ".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".tlz", ".tpz",
    ".txz", ".xz",
];

/// Commands that unpack an archive.
const UNPACKERS: &[&str] =
    &["unzip", "gunzip", "bunzip2", "unlzma", "unxz", "zgz", "uncompress", "zcat", "gzcat"];

pub(super) fn look(steps: Steps<'_>, report: &mut Report) {
    let mut values: HashMap<String, String> = HashMap::new();
    for step in steps.steps {
        match step.keyword {
            Keyword::Workdir if !is_absolute(&step.arguments) => {
                report.about(step.line, "DL3000", &step.arguments);
            }
            Keyword::Add => added(step, report),
            Keyword::Copy => copied(step, report),
            Keyword::Expose => {
                if let Some(port) = step.arguments.split_whitespace().find(|port| too_high(port)) {
                    report.about(step.line, "DL3011", port);
                }
            }
            Keyword::Maintainer => report.add(step.line, "DL4000"),
            Keyword::Cmd | Keyword::Entrypoint if step.exec.is_none() => {
                report.about(step.line, "DL3025", step.keyword.name());
            }
            Keyword::Healthcheck if step.exec.is_none() && !step.arguments.eq_ignore_ascii_case("none") => {
                report.about(step.line, "DL3025", step.keyword.name());
            }
            Keyword::Arg => values.extend(step.pairs().0),
            Keyword::User => {
                let written = step.arguments.split(':').next().unwrap_or_default();
                let name = written.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
                let user = name.and_then(|name| values.get(name)).map_or(written, String::as_str);
                if !unquoted(user).chars().all(|c| c.is_ascii_digit()) {
                    report.about(step.line, "DL3066", user);
                }
            }
            _ => {}
        }
    }
    root(steps, report);
    unpacked(steps, report);
    relative_targets(steps, report);
}

/// `/path`, a variable, or `C:\path`.
fn is_absolute(path: &str) -> bool {
    let path = path.trim_matches(['"', '\'']);
    let mut letters = path.chars();
    path.starts_with(['/', '$'])
        || letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':')
}

fn is_archive(path: &str) -> bool {
    ARCHIVES.iter().any(|end| unquoted(path).ends_with(end))
}

fn basename(path: &str) -> &str {
    unquoted(path).rsplit(['/', '\\']).next().unwrap_or_default()
}

fn added(step: &Step, report: &mut Report) {
    let (sources, _) = step.copied();
    let fetched = |source: &str| {
        let source = unquoted(source);
        source.starts_with("https://") || source.starts_with("http://")
    };
    if let Some(source) = sources.iter().find(|source| !is_archive(source) && !fetched(source)) {
        report.about(step.line, "DL3020", source);
    }
}

fn copied(step: &Step, report: &mut Report) {
    let (sources, target) = step.copied();
    if sources.len() > 1 && !unquoted(&target).ends_with('/') {
        report.about(step.line, "DL3021", &target);
    }
}

fn too_high(port: &str) -> bool {
    let numbers = port.split('/').next().unwrap_or_default();
    numbers.split('-').any(|number| {
        !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && number.parse::<u64>().map_or(true, |number| number > 65_535)
    })
}

/// Stages whose last user is root.
fn root(steps: Steps<'_>, report: &mut Report) {
    let mut last: Option<usize> = None;
    for step in steps.steps {
        match step.keyword {
            Keyword::From => {
                if let Some(line) = last.take() {
                    report.add(line, "DL3002");
                }
            }
            Keyword::User => {
                let user = step.arguments.split(':').next().unwrap_or_default();
                last = matches!(user, "root" | "0").then_some(step.line);
            }
            _ => {}
        }
    }
    if let Some(line) = last {
        report.add(line, "DL3002");
    }
}

/// Archives that are copied and then unpacked by a command. Only of the last stage: others are not in
/// the image.
fn unpacked(steps: Steps<'_>, report: &mut Report) {
    let mut archives: HashMap<String, BTreeSet<usize>> = HashMap::new();
    let mut found: Vec<(usize, String)> = Vec::new();
    for step in steps.steps {
        match step.keyword {
            Keyword::From => {
                archives.clear();
                found.clear();
            }
            Keyword::Copy if step.flag("from").next().is_none() => {
                let (sources, target) = step.copied();
                let named = if is_archive(&target) { vec![target] } else { sources };
                for path in named.iter().filter(|path| is_archive(path)) {
                    archives.entry(basename(path).to_owned()).or_default().insert(step.line);
                }
            }
            Keyword::Run => {
                for command in step.script.commands.iter().filter(|command| unpacks(command)) {
                    for name in command.operands(&[]).into_iter().map(basename) {
                        let lines = archives.remove(name).unwrap_or_default();
                        found.extend(lines.into_iter().map(|line| (line, name.to_owned())));
                    }
                }
            }
            _ => {}
        }
    }
    for (line, archive) in found {
        report.about(line, "DL3010", &archive);
    }
}

fn unpacks(command: &Command) -> bool {
    let extracts = |word: &String| word.starts_with('-') && word.contains('x');
    let tar = command.name == "tar"
        && (command.has(&["--extract", "--get"]) || command.arguments.iter().any(extracts));
    tar || UNPACKERS.contains(&command.name.as_str())
}

/// `COPY` to a relative path in a stage that nobody gave a folder.
fn relative_targets(steps: Steps<'_>, report: &mut Report) {
    let mut set: HashMap<&str, bool> = HashMap::new();
    let mut current = "";
    for step in steps.steps {
        match step.keyword {
            Keyword::From => {
                if let Some(from) = From::of(step) {
                    let inherited = set.get(from.image).copied().unwrap_or_default();
                    current = from.name.unwrap_or(from.image);
                    set.insert(current, inherited);
                }
            }
            Keyword::Workdir => {
                set.insert(current, true);
            }
            Keyword::Copy if !set.get(current).copied().unwrap_or_default() => {
                let (_, target) = step.copied();
                let bare = target.trim_matches(['"', '\'']);
                let rooted = bare.starts_with(['/', '$'])
                    || bare.get(1..).is_some_and(|rest| rest.starts_with(":\\") || rest.starts_with(":/"));
                if !rooted {
                    report.about(step.line, "DL3045", &target);
                }
            }
            _ => {}
        }
    }
}
