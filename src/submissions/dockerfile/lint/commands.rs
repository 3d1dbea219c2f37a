//! Commands of `RUN` that are no package manager's.

use std::collections::BTreeSet;

use super::shell::Command;
use super::source::Step;
use super::{Report, Steps};
use crate::submissions::dockerfile::Keyword;

/// Commands that make no sense without a terminal, a service or a second process.
const SENSELESS: &[&str] = &["free", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim"];

pub(super) fn look(steps: Steps<'_>, report: &mut Report) {
    for step in steps.steps.iter().filter(|step| step.keyword == Keyword::Run) {
        let script = &step.script;
        if let Some(command) = script.commands.iter().find(|one| SENSELESS.contains(&one.name.as_str())) {
            report.about(step.line, "DL3001", &command.name);
        }
        if script.runs("cd") && !steps.later {
            report.add(step.line, "DL3003");
        }
        if script.runs("sudo") {
            report.add(step.line, "DL3004");
        }
        if script.any(|command| command.is("ln", &["/bin/sh"])) {
            report.add(step.line, "DL4005");
        }
        if script.any(huge_user) {
            report.add(step.line, "DL3046");
        }
        let loud = |command: &Command| {
            const QUIET: &[&str] =
                &["progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose"];
            command.name == "wget" && !command.has_flag(QUIET) && !command.has(&["-nv"])
        };
        if script.any(loud) {
            report.add(step.line, "DL3047");
        }
    }
    two_downloaders(steps, report);
    if !steps.later {
        consecutive(steps, report);
        pipes(steps, report);
    }
}

/// The log of last sign-ins has a slot for each number up to the highest.
fn huge_user(command: &Command) -> bool {
    command.name == "useradd"
        && !command.has_flag(&["l", "no-log-init"])
        && command.values(&["u"]).any(|number| number.chars().count() > 5)
}

/// Several `RUN` of a single command each. Whoever chains commands knows how to.
fn consecutive(steps: Steps<'_>, report: &mut Report) {
    let mut before: Option<&Step> = None;
    for step in steps.steps {
        if step.keyword != Keyword::Run {
            before = None;
            continue;
        }
        let chained = |step: &Step| step.script.commands.len() > 1;
        match before {
            Some(before) if before.flags == step.flags && !chained(before) && !chained(step) => {
                report.add(step.line, "DL3059");
            }
            _ => before = Some(step),
        }
    }
}

fn two_downloaders(steps: Steps<'_>, report: &mut Report) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for step in steps.steps {
        if step.keyword == Keyword::From {
            used.clear();
        }
        let here: BTreeSet<&str> = step
            .script
            .commands
            .iter()
            .map(|command| command.name.as_str())
            .filter(|name| step.keyword == Keyword::Run && matches!(*name, "curl" | "wget"))
            .collect();
        used.extend(&here);
        if !here.is_empty() && used.len() == 2 {
            report.add(step.line, "DL4001");
        }
    }
}

fn pipes(steps: Steps<'_>, report: &mut Report) {
    let mut safe = false;
    for step in steps.steps {
        match step.keyword {
            Keyword::From => safe = false,
            Keyword::Shell => safe = notices_failures(step),
            Keyword::Run if step.script.piped && !safe => report.add(step.line, "DL4006"),
            _ => {}
        }
    }
}

/// Whether `SHELL` sets `pipefail`, or is of a kind that knows no such thing.
fn notices_failures(step: &Step) -> bool {
    let shell = step.script.text.as_str();
    ["pwsh", "powershell", "cmd"].iter().any(|name| shell.starts_with(name))
        || step.script.any(|command| {
            let name = command.name.rsplit('/').next().unwrap_or_default();
            matches!(name, "bash" | "zsh" | "ash") && command.has_flag(&["o"]) && command.has(&["pipefail"])
        })
}
