//! Variables that are used and where they come from.

use std::collections::{HashMap, HashSet};

use super::super::Report;
use super::super::source::{Source, Step, unquoted};
use super::super::stages::From;
use crate::submissions::dockerfile::Keyword;

/// `ARG`s that every build has in its global scope
/// (<https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>).
const PLATFORM: &[&str] = &[
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETOSVERSION",
    "TARGETSTAGE",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "BUILDOSVERSION",
];

/// Variables that a stage may use without naming them: predefined `ARG`s
/// (<https://docs.docker.com/reference/dockerfile/#predefined-args>) and `PATH`.
const PREDEFINED: &[&str] =
    &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "PATH", "HOME", "LANG", "HOSTNAME"];

/// Whether a base image may well set it. A Dockerfile does not show what its base images set, and a
/// student must not be blamed for using it: official images name versions, homes and paths like this.
fn of_base_image(name: &str) -> bool {
    ["_VERSION", "_HOME", "_PATH", "_DIR", "_ROOT", "PATH"].iter().any(|end| name.ends_with(end))
}

pub(super) fn look(source: &Source, report: &mut Report) {
    // Global ARGs, with the default that an image's name would get.
    let mut global: HashMap<String, Option<String>> = HashMap::new();
    let mut stages: HashMap<String, HashSet<String>> = HashMap::new();
    let mut known: HashSet<String> = HashSet::new();
    let (mut current, mut begun, mut empty_base) = (String::new(), false, false);
    let mut empty_bases: HashSet<String> = HashSet::new();
    for step in &source.steps {
        if let Some(from) = From::of(step) {
            stages.insert(std::mem::take(&mut current), std::mem::take(&mut known));
            base(&from, &global, report);
            let parent = from.image.to_ascii_lowercase();
            known = stages.get(&parent).cloned().unwrap_or_default();
            empty_base = parent == "scratch" || empty_bases.contains(&parent);
            current = from.name.unwrap_or_default().to_ascii_lowercase();
            if empty_base && !current.is_empty() {
                empty_bases.insert(current.clone());
            }
            begun = true;
            continue;
        }
        if begun {
            let step = step.nested.as_deref().unwrap_or(step);
            for name in used(step, source.escape) {
                let given = known.contains(&name) || PREDEFINED.contains(&name.to_ascii_uppercase().as_str());
                if !given && (empty_base || !of_base_image(&name)) {
                    report.about(step.line, "UndefinedVar", &format!("${name}"));
                }
            }
        }
        match step.keyword {
            Keyword::Arg if !begun => {
                for (name, value) in step.pairs().0 {
                    let has_default = step.arguments.contains(&format!("{name}="));
                    let filled = has_default.then(|| fill(unquoted(&value), &global));
                    global.insert(name, filled);
                }
            }
            Keyword::Arg | Keyword::Env => known.extend(step.pairs().0.into_iter().map(|(name, _)| name)),
            _ => {}
        }
    }
}

fn base(from: &From<'_>, global: &HashMap<String, Option<String>>, report: &mut Report) {
    let line = from.step.line;
    let in_platform = from.platform.map(|platform| names(platform, '\\')).unwrap_or_default();
    let in_image = names(from.reference, '\\');
    let declared = |name: &String| global.contains_key(name) || PLATFORM.contains(&name.as_str());
    for name in in_platform.iter().chain(&in_image).filter(|name| !declared(name)) {
        report.about(line, "UndefinedArgInFrom", name);
    }
    let all_declared = in_image.iter().all(declared);
    // What the platform is, nobody knows before the build.
    let all_told = !in_image.iter().any(|name| PLATFORM.contains(&name.as_str()));
    if !in_image.is_empty() && all_declared && all_told && !is_reference(&fill(from.reference, global)) {
        report.about(line, "InvalidDefaultArgInFrom", from.reference);
    }
}

/// Whether an image can be called so
/// (<https://github.com/distribution/reference/blob/main/reference.go>).
fn is_reference(text: &str) -> bool {
    let (named, digest) = text.split_once('@').map_or((text, None), |(named, digest)| (named, Some(digest)));
    let (name, tag) = match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(|c| word(c) || c == ':')
    };
    name.split('/').all(part)
        && tag.is_none_or(|tag| !tag.is_empty() && tag.chars().all(word) && !tag.starts_with(['.', '-']))
        && digest.is_none_or(|digest| digest.contains(':'))
}

/// The text with defaults put in; without one a variable is empty.
fn fill(text: &str, values: &HashMap<String, Option<String>>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (name, modifier, left) = variable(after);
        let value = values.get(name).cloned().flatten().unwrap_or_default();
        let modifier = modifier.strip_prefix(':').unwrap_or(modifier);
        match (modifier.chars().next(), value.is_empty()) {
            (Some('-'), true) | (Some('+'), false) => filled.push_str(&modifier[1..]),
            (Some('+'), true) => {}
            _ => filled.push_str(&value),
        }
        rest = left;
        if filled.len() > 4096 {
            break;
        }
    }
    filled + rest
}

/// Name and modifier of the variable whose `$` came just before, and what follows.
fn variable(after: &str) -> (&str, &str, &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some((inside, left)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        let end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
        return (&inside[..end], &inside[end..], left);
    }
    let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
    (&after[..end], "", &after[end..])
}

/// Names of variables in a text that have no default of their own there.
fn names(text: &str, escape: char) -> Vec<String> {
    let mut names = Vec::new();
    let mut single = false;
    let mut double = false;
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\'', '"', escape]) {
        let mut letters = rest[at..].chars();
        let found = letters.next();
        rest = letters.as_str();
        match found {
            Some('\'') if !double => single = !single,
            Some('"') if !single => double = !double,
            Some('$') if !single => {
                let (name, modifier, left) = variable(rest);
                let optional = modifier.trim_start_matches(':').starts_with(['-', '+', '?']);
                let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
                if is_name && !optional {
                    names.push(name.to_owned());
                }
                rest = left;
            }
            Some(c) if c == escape && !single => {
                letters.next();
                rest = letters.as_str();
            }
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The variables that an instruction itself puts in. `RUN` and the like leave that to the shell.
fn used(step: &Step, escape: char) -> Vec<String> {
    use Keyword as K;
    let puts_in = matches!(
        step.keyword,
        K::Add | K::Copy | K::Env | K::Expose | K::Label | K::Stopsignal | K::User | K::Volume | K::Workdir
    );
    if puts_in { names(&step.arguments, escape) } else { Vec::new() }
}
