//! `lint`: the Dockerfile breaks no rules of hadolint and of docker's own build checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::shown;
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::dockerfile::lint::{Problem, Rule, Severity, lint};
use crate::submissions::{Content, Dockerignore};

/// The Dockerfile breaks no rules. Comments that switch rules off do not count.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lint {
    /// Path in the submission; the Dockerfile that is built if nothing is said.
    pub path: Option<String>,
    /// Rules that are not broken: ids of hadolint (`DL3008`) and of docker's build checks
    /// (`StageNameCasing`).
    #[serde(default)]
    pub none_of: Vec<String>,
    /// How many findings of a severity there may be.
    pub at_most: Option<AtMost>,
}

/// How many findings of each severity there may be; what is not named may be as often as it likes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtMost {
    /// What is wrong.
    pub error: Option<usize>,
    /// What is likely to do harm. Docker's build checks are all of these.
    pub warning: Option<usize>,
    /// What could be better.
    pub info: Option<usize>,
    /// Matters of style.
    pub style: Option<usize>,
}

impl AtMost {
    fn bounds(&self) -> impl Iterator<Item = (Severity, usize)> {
        let all = [
            (Severity::Error, self.error),
            (Severity::Warning, self.warning),
            (Severity::Info, self.info),
            (Severity::Style, self.style),
        ];
        all.into_iter().filter_map(|(severity, bound)| Some((severity, bound?)))
    }
}

impl Check for Lint {
    const NAME: &'static str = "lint";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("lint.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where there is no Dockerfile"),
            ("the Dockerfile's path", "each line that breaks a rule, with the rule and what it says"),
        ],
        fails: &[
            "a rule of `none_of` is broken",
            "there are more findings of a severity than `at_most` allows",
            "there is no Dockerfile at the path, or Docker could not read it",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.dockerfile(self.path.as_deref(), &mut mistakes);
        if self.none_of.is_empty()
            && self.at_most.as_ref().is_none_or(|bounds| bounds.bounds().next().is_none())
        {
            mistakes
                .push("this check asks nothing; write `none_of: [DL3008]` or `at_most: {warning: 0}`".into());
        }
        let mut seen = BTreeSet::new();
        for id in &self.none_of {
            if Rule::find(id).is_none() {
                let meant =
                    Rule::near(id).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                mistakes.push(format!(
                    "`none_of`: there is no rule {}{meant}; rules are those of hadolint and of docker's build checks",
                    shown(id)
                ));
            }
            if !seen.insert(id) {
                mistakes.push(format!("`none_of` names {} twice", shown(id)));
            }
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let (path, bytes) = match scene.dockerfile(self.path.as_deref()) {
            Ok(found) => found,
            Err(finding) => return Ok(*finding),
        };
        let problems = match lint(bytes, ignore_file(scene.content, path).as_ref()) {
            Ok(problems) => problems,
            Err(unreadable) => {
                let detail = Detail::new("a Dockerfile that Docker can read", unreadable.to_string());
                return Ok(Finding::Failed(detail));
            }
        };
        let mut tally = Tally::default();
        self.count(&problems, &mut tally);
        let asked: Vec<&Problem> = problems.iter().filter(|problem| self.asks_for(problem.rule)).collect();
        let detail = tally.detail().proof(path, told(&asked, &String::from_utf8_lossy(bytes)));
        Ok(tally.finding(detail.reproduce(self.reproduce(path))))
    }
}

impl Lint {
    fn asks_for(&self, rule: &Rule) -> bool {
        let bounded = |bounds: &AtMost| bounds.bounds().any(|(severity, _)| severity == rule.severity);
        self.none_of.iter().any(|id| id == rule.id) || self.at_most.as_ref().is_some_and(bounded)
    }

    fn count(&self, problems: &[Problem], tally: &mut Tally) {
        for id in &self.none_of {
            let lines: Vec<String> = problems
                .iter()
                .filter(|problem| problem.rule.id == id)
                .map(|problem| problem.line.to_string())
                .collect();
            let observed = match lines.as_slice() {
                [] => format!("`{id}` is nowhere"),
                [line] => format!("`{id}` in line {line}"),
                lines => format!("`{id}` in lines {}", lines.join(", ")),
            };
            tally.note(lines.is_empty(), format!("no `{id}`"), observed);
        }
        for (severity, bound) in self.at_most.iter().flat_map(AtMost::bounds) {
            let found = problems.iter().filter(|problem| problem.rule.severity == severity).count();
            let expected = match bound {
                0 => format!("nothing of severity `{}`", severity.name()),
                bound => format!("at most {bound} of severity `{}`", severity.name()),
            };
            tally.note(found <= bound, expected, format!("{found} of severity `{}`", severity.name()));
        }
    }

    /// A command line that shows the same: docker's own checks, or hadolint's.
    fn reproduce(&self, path: &str) -> String {
        let path = super::shell::quoted(path);
        let docker = !self.none_of.is_empty() && self.none_of.iter().all(|id| !id.starts_with("DL"));
        if docker && self.at_most.is_none() {
            format!("docker build --check -f {path} .")
        } else {
            format!("docker run --rm -i hadolint/hadolint hadolint --disable-ignore-pragma - < {path}")
        }
    }
}

/// The `.dockerignore` that the builder uses: one of this Dockerfile alone, the one beside it, the
/// one of the whole submission.
fn ignore_file(content: &Content, path: &str) -> Option<Dockerignore> {
    let beside = path.rsplit_once('/').map(|(folder, _)| format!("{folder}/.dockerignore"));
    let own = content.file(&format!("{path}.dockerignore"));
    own.or_else(|| beside.and_then(|beside| content.file(&beside)))
        .or_else(|| content.file(".dockerignore"))
        .map(|bytes| Dockerignore::read(bytes))
}

/// Findings with their line as it is written.
fn told(problems: &[&Problem], source: &str) -> String {
    let lines: Vec<&str> = source.trim_start_matches('\u{feff}').lines().collect();
    problems.iter().fold(String::new(), |mut told, Problem { line, rule, message }| {
        let written = lines.get(line - 1).map(|line| line.trim_end()).unwrap_or_default();
        let written: String = written.chars().take(200).collect();
        let _ = writeln!(told, "line {line}: {} ({}): {message}", rule.id, rule.severity.name());
        let _ = writeln!(told, "    {written}");
        told
    })
}
