//! Stages: base images, names, what one takes from another, and what counts once in each.

use std::collections::{BTreeSet, HashMap};

use super::source::{Step, unquoted};
use super::{Report, Steps};
use crate::submissions::dockerfile::Keyword;

/// A `FROM` taken apart.
pub(super) struct From<'a> {
    pub step: &'a Step,
    /// Image with tag and digest, as it is written.
    pub reference: &'a str,
    /// Without tag and digest.
    pub image: &'a str,
    pub tag: Option<&'a str>,
    pub digest: bool,
    /// `AS` as it is written, and what follows it.
    pub keyword: Option<&'a str>,
    pub name: Option<&'a str>,
    pub platform: Option<&'a str>,
}

impl<'a> From<'a> {
    /// `None` for any other instruction.
    pub(super) fn of(step: &'a Step) -> Option<Self> {
        if step.keyword != Keyword::From {
            return None;
        }
        let mut words = step.arguments.split_whitespace();
        let reference = unquoted(words.next().unwrap_or_default());
        let keyword = words.next().filter(|word| word.eq_ignore_ascii_case("as"));
        let name = keyword.and_then(|_| words.next());
        let (named, digest) =
            reference.split_once('@').map_or((reference, false), |(named, _)| (named, true));
        let (image, tag) = split_tag(named);
        let platform =
            step.flags.iter().find(|(name, _)| name == "platform").map(|(_, value)| value.as_str());
        Some(Self { step, reference, image, tag, digest, keyword, name, platform })
    }

    /// What later stages call it.
    fn called(&self) -> &'a str {
        self.name.unwrap_or(self.image)
    }
}

/// Image and tag; a colon in `${name:-default}` or before a registry's port is none of it.
fn split_tag(named: &str) -> (&str, Option<&str>) {
    let mut depth = 0_usize;
    let mut colon = None;
    for (at, c) in named.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => colon = None,
            ':' if depth == 0 && colon.is_none() => colon = Some(at),
            _ => {}
        }
    }
    colon.map_or((named, None), |at| (&named[..at], Some(&named[at + 1..])))
}

pub(super) fn look(steps: Steps<'_>, report: &mut Report) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut current: Option<From<'_>> = None;
    let mut begun = false;
    let mut count = 0_usize;
    for step in steps.steps {
        if let Some(from) = From::of(step) {
            begun = true;
            count += 1;
            base(&from, &names, report);
            if let Some(name) = from.name
                && !names.insert(name)
            {
                report.about(step.line, "DL3024", name);
            }
            current = Some(from);
        } else if !begun && step.keyword != Keyword::Arg {
            report.add(step.line, "DL3061");
        }
        if step.keyword == Keyword::Copy {
            for from in step.flag("from") {
                let number = from.parse().is_ok_and(|number: usize| number < count);
                // With a tag it is meant to be an image.
                if !names.contains(from) && !number && !from.contains(':') {
                    report.about(step.line, "DL3022", from);
                }
                if current.as_ref().is_some_and(|current| current.name == Some(from)) {
                    report.about(step.line, "DL3023", from);
                }
                let (sources, target) = step.copied();
                if unquoted(&target) == "/" && sources.iter().any(|source| unquoted(source) == "/") {
                    report.about(step.line, "DL3067", from);
                }
            }
        }
        let forbidden = step.nested.as_deref().filter(|nested| {
            matches!(nested.keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer)
        });
        if let Some(nested) = forbidden {
            report.about(step.line, "DL3043", nested.keyword.name());
        }
    }
    once(steps, report);
    health(steps, report);
}

fn base(from: &From<'_>, names: &BTreeSet<&str>, report: &mut Report) {
    let line = from.step.line;
    let untagged = from.tag.is_none() && !from.digest && from.image != "scratch";
    // A variable may hold the tag too.
    if untagged && !names.contains(from.image) && !from.image.starts_with('$') {
        report.about(line, "DL3006", from.image);
    }
    if from.tag == Some("latest") && !from.digest {
        report.about(line, "DL3007", from.reference);
    }
    if let Some(platform) = from.platform.filter(|platform| !platform.is_empty()) {
        if !platform.contains("BUILDPLATFORM") && !platform.contains("TARGETPLATFORM") {
            report.about(line, "DL3029", platform);
        }
        if matches!(platform, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
            report.add(line, "DL3065");
        }
    }
}

/// Instructions of which the last counts.
fn once(steps: Steps<'_>, report: &mut Report) {
    for (keyword, rule) in
        [(Keyword::Cmd, "DL4003"), (Keyword::Entrypoint, "DL4004"), (Keyword::Healthcheck, "DL3012")]
    {
        let mut seen = false;
        for step in steps.steps {
            if step.keyword == Keyword::From {
                seen = false;
            } else if step.keyword == keyword {
                if seen {
                    report.add(step.line, rule);
                }
                seen = true;
            }
        }
    }
}

/// Stages without a `HEALTHCHECK`, neither their own nor of a stage they are built from.
fn health(steps: Steps<'_>, report: &mut Report) {
    let mut stages: Vec<(&str, usize, bool)> = Vec::new();
    let mut healthy: HashMap<&str, bool> = HashMap::new();
    for step in steps.steps {
        if let Some(from) = From::of(step) {
            let inherited = healthy.get(from.image).copied().unwrap_or_default();
            healthy.insert(from.called(), inherited);
            stages.push((from.called(), step.line, inherited));
        } else if let (Keyword::Healthcheck, Some(stage)) = (step.keyword, stages.last_mut()) {
            stage.2 = true;
            healthy.insert(stage.0, true);
        }
    }
    for (_, line, _) in stages.iter().filter(|(.., healthy)| !healthy) {
        report.add(*line, "DL3057");
    }
}
