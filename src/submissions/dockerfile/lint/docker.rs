//! Docker's own build checks (<https://docs.docker.com/reference/build-checks/>), those that the
//! file alone shows: `InvalidBaseImagePlatform` needs the image.

mod scopes;

use std::collections::HashMap;

use super::Report;
use super::source::{Remark, Source, Step, unquoted};
use super::stages::From;
use crate::submissions::Dockerignore;
use crate::submissions::dockerfile::Keyword;

pub(super) fn look(source: &Source, ignore: Option<&Dockerignore>, report: &mut Report) {
    casing(source, report);
    for step in &source.steps {
        form(step, report);
        copied(step, ignore, report);
        if let Some(nested) = &step.nested {
            form(nested, report);
        }
        if let Some(from) = From::of(step) {
            platform(&from, report);
        }
    }
    stage_names(source, report);
    json_arguments(source, report);
    once(source, report);
    folders(source, report);
    scopes::look(source, report);
    remarks(source, report);
}

fn is_lower(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_uppercase())
}

fn is_upper(word: &str) -> bool {
    !word.contains(|c: char| c.is_ascii_lowercase())
}

/// Instructions against the case of the majority, and `AS` against its `FROM`.
fn casing(source: &Source, report: &mut Report) {
    let lower = source.steps.iter().filter(|step| is_lower(&step.written)).count();
    let upper = source.steps.iter().filter(|step| is_upper(&step.written)).count();
    let right = if lower > upper { is_lower } else { is_upper };
    for step in source.steps.iter().filter(|step| !right(&step.written)) {
        report.about(step.line, "ConsistentInstructionCasing", &step.written);
    }
    for from in source.steps.iter().filter_map(From::of) {
        let written = &from.step.written;
        let Some(word) = from.keyword else { continue };
        if is_upper(written) && !is_upper(word) || is_lower(written) && !is_lower(word) {
            report.about(from.step.line, "FromAsCasing", word);
        }
    }
}

/// What an instruction shows by itself.
fn form(step: &Step, report: &mut Report) {
    if let Some(line) = step.blank_line {
        report.add(line, "NoEmptyContinuation");
    }
    match step.keyword {
        Keyword::Maintainer => report.add(step.line, "MaintainerDeprecated"),
        Keyword::Env | Keyword::Label if step.pairs().1 => {
            report.about(step.line, "LegacyKeyValueFormat", step.keyword.name());
        }
        Keyword::Expose => {
            for port in step.words() {
                let port = unquoted(&port);
                let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
                if !is_lower(protocol) {
                    report.about(step.line, "ExposeProtoCasing", port);
                }
                if number.replace("${", "").replace(":-", "").contains(':') {
                    report.about(step.line, "ExposeInvalidFormat", port);
                }
            }
        }
        _ => {}
    }
    if matches!(step.keyword, Keyword::Env | Keyword::Arg)
        && let Some((name, _)) = step.pairs().0.iter().find(|(name, _)| secret(name))
    {
        report.about(step.line, "SecretsUsedInArgOrEnv", name);
    }
}

/// Whether a part of the name promises a secret, and none that it is public.
fn secret(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let lower = name.to_ascii_lowercase();
    let has = |wanted: &[&str]| lower.split('_').any(|part| wanted.contains(&part));
    has(PARTS) && !has(&["public"])
}

fn copied(step: &Step, ignore: Option<&Dockerignore>, report: &mut Report) {
    let Some(ignore) = ignore else { return };
    if !matches!(step.keyword, Keyword::Copy | Keyword::Add) || step.flag("from").next().is_some() {
        return;
    }
    for source in step.copied().0 {
        let path = unquoted(&source).trim_start_matches("./").trim_matches('/');
        let remote = source.contains("://") || source.starts_with("git@");
        let everything = matches!(path, "" | ".");
        // Where a name stands for several, some of them may be there.
        let several = path.contains(['*', '?', '[', '$']);
        if !remote && !everything && !several && ignore.ignores(path) {
            report.about(step.line, "CopyIgnoredFile", path);
        }
    }
}

fn platform(from: &From<'_>, report: &mut Report) {
    let Some(platform) = from.platform else { return };
    if matches!(platform, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        report.add(from.step.line, "RedundantTargetPlatform");
    }
    // A stage for one platform says so in its name.
    let named = |name: &str| platform.split('/').any(|part| !part.is_empty() && name.contains(part));
    if !platform.is_empty() && !platform.contains('$') && !from.name.is_some_and(named) {
        report.about(from.step.line, "FromPlatformFlagConstDisallowed", platform);
    }
}

fn stage_names(source: &Source, report: &mut Report) {
    let mut names: Vec<String> = Vec::new();
    for from in source.steps.iter().filter_map(From::of) {
        let Some(name) = from.name else { continue };
        let (line, lower) = (from.step.line, name.to_ascii_lowercase());
        if lower != name {
            report.about(line, "StageNameCasing", name);
        }
        if matches!(lower.as_str(), "scratch" | "context") {
            report.about(line, "ReservedStageName", name);
        }
        if names.contains(&lower) {
            report.about(line, "DuplicateStageName", name);
        }
        names.push(lower);
    }
}

/// A shell that somebody chose is meant to be used.
fn json_arguments(source: &Source, report: &mut Report) {
    let mut chosen = false;
    for step in &source.steps {
        match step.keyword {
            Keyword::From => chosen = false,
            Keyword::Shell => chosen = true,
            Keyword::Cmd | Keyword::Entrypoint if step.exec.is_none() && !chosen => {
                report.about(step.line, "JSONArgsRecommended", step.keyword.name());
            }
            _ => {}
        }
    }
}

/// Told of the ones that do not count.
fn once(source: &Source, report: &mut Report) {
    let mut last: HashMap<Keyword, usize> = HashMap::new();
    for step in &source.steps {
        match step.keyword {
            Keyword::From => last.clear(),
            Keyword::Cmd | Keyword::Entrypoint | Keyword::Healthcheck => {
                if let Some(line) = last.insert(step.keyword, step.line) {
                    report.about(line, "MultipleInstructionsDisallowed", step.keyword.name());
                }
            }
            _ => {}
        }
    }
}

/// Relative folders before any absolute one, in a stage and those it is built from.
fn folders(source: &Source, report: &mut Report) {
    let mut set: HashMap<String, bool> = HashMap::new();
    let mut current = String::new();
    for step in &source.steps {
        if let Some(from) = From::of(step) {
            let inherited = set.get(&from.image.to_ascii_lowercase()).copied().unwrap_or_default();
            current = from.name.unwrap_or_default().to_ascii_lowercase();
            set.insert(current.clone(), inherited);
        } else if step.keyword == Keyword::Workdir {
            let path = unquoted(&step.arguments);
            let windows = path.get(1..).is_some_and(|rest| rest.starts_with(':'));
            let known = set.insert(current.clone(), true).unwrap_or_default();
            if !known && !path.starts_with(['/', '$']) && !windows {
                report.about(step.line, "WorkdirRelativePath", path);
            }
        }
    }
}

/// Comments that switch rules off, and comments that do not describe what they stand before.
fn remarks(source: &Source, report: &mut Report) {
    let mut before: Option<&Remark> = None;
    let mut block: Option<&Remark> = None;
    for remark in &source.remarks {
        let words: Vec<&str> = remark.text.split_whitespace().collect();
        let ignoring = matches!(words.as_slice(), ["hadolint", rest @ ..]
            if rest.first().is_some_and(|word| word.starts_with("ignore")));
        if ignoring {
            report.add(remark.line, "DL1001");
        }
        // Comment lines one after another are one comment; its first line has the name.
        let goes_on = before.is_some_and(|before| before.line + 1 == remark.line && !before.directive);
        if !goes_on {
            block = Some(remark);
        }
        before = Some(remark);
        let (Some(first), Some(next)) = (block, &remark.next) else { continue };
        let described = source.steps.iter().find(|step| step.line == remark.line + 1);
        let Some(step) = described.filter(|_| !remark.directive && !next.is_empty()) else { continue };
        let name = match step.keyword {
            Keyword::From => From::of(step).and_then(|from| from.name.map(str::to_owned)),
            Keyword::Arg => step.pairs().0.into_iter().next().map(|(name, _)| name),
            _ => None,
        };
        if let Some(name) = name
            && first.text.split_whitespace().next() != Some(&name)
        {
            report.about(step.line, "InvalidDefinitionDescription", &name);
        }
    }
}
