//! What is wrong with a Dockerfile by the rules of hadolint and of docker's own build checks.
//!
//! The check `lint` and the command `drydock lint` call it. Comments that switch rules off
//! (`# hadolint ignore=`, `# check=skip=`) are disregarded: whoever is examined does not choose the
//! questions. Like everything that reads strangers' files, it never panics and never takes long.

mod commands;
mod docker;
mod files;
mod packages;
mod rules;
mod source;
mod stages;
mod variables;

pub use rules::{RULES, Rule, Severity};

use source::{Source, Step};

use super::{Dockerfile, Unreadable};
use crate::submissions::{Dockerignore, shell};

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The first line of the instruction, from 1.
    pub line: usize,
    /// The rule.
    pub rule: &'static Rule,
    /// The rule's message, with what it is about here.
    pub message: String,
}

/// Instructions that are looked at together.
#[derive(Clone, Copy)]
struct Steps<'a> {
    steps: &'a [&'a Step],
    /// Whether they are those that `ONBUILD` keeps for later.
    later: bool,
}

/// What was found so far.
#[derive(Default)]
struct Report {
    problems: Vec<Problem>,
}

impl Report {
    fn add(&mut self, line: usize, id: &str) {
        self.about(line, id, "");
    }

    /// With the word that it is about.
    fn about(&mut self, line: usize, id: &str, word: &str) {
        let rule = Rule::find(id).unwrap_or_else(|| unreachable!("{id} stands in the table"));
        let message = match word {
            "" => rule.message.to_owned(),
            word => {
                let word: String = word.chars().take(80).collect();
                format!("{} (`{}`)", rule.message, crate::text::visible(&word))
            }
        };
        self.problems.push(Problem { line, rule, message });
    }
}

/// Everything that is wrong with a Dockerfile, by line. `ignore` is the `.dockerignore` of its
/// context where there is one.
///
/// # Errors
/// [`Unreadable`] for what cannot be read as a Dockerfile at all.
pub fn lint(bytes: &[u8], ignore: Option<&Dockerignore>) -> Result<Vec<Problem>, Unreadable> {
    let text = Dockerfile::text(bytes)?;
    // The shell parser is another's and reads a stranger's file; see `Dockerfile::read`.
    std::panic::catch_unwind(|| Source::read(text).map(|source| problems(&source, ignore)))
        .unwrap_or(Err(Unreadable::Unexpected))
}

fn problems(source: &Source, ignore: Option<&Dockerignore>) -> Vec<Problem> {
    let mut report = Report::default();
    let now: Vec<&Step> = source.steps.iter().collect();
    let later: Vec<&Step> = source.steps.iter().filter_map(|step| step.nested.as_deref()).collect();
    // What `ONBUILD` keeps for later is another file's: only what an instruction is by itself counts.
    for (steps, later) in [(&now, false), (&later, true)] {
        let steps = Steps { steps, later };
        packages::look(steps, &mut report);
        commands::look(steps, &mut report);
        variables::look(steps, &mut report);
    }
    let steps = Steps { steps: &now, later: false };
    files::look(steps, &mut report);
    stages::look(steps, &mut report);
    docker::look(source, ignore, &mut report);
    let mut problems = report.problems;
    problems.sort_by_key(|problem| (problem.line, problem.rule.id));
    problems.dedup_by_key(|problem| (problem.line, problem.rule.id));
    problems
}
