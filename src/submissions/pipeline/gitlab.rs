//! GitLab CI: jobs in stages or by `needs`, scripts, `extends`, `rules` and `only`
//! (<https://docs.gitlab.com/ci/yaml/>).

use regex::Regex;

use super::script::Place;
use super::variables::{Variables, text, texts};
use super::{Draft, Trigger, Unit};
use crate::tree::{Node, Value};

/// Keys of the whole definition that are no jobs.
const GLOBAL: &[&str] = &[
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
    "spec",
    "types",
];

/// Stages where none are named.
const STAGES: &[&str] = &["build", "test", "deploy"];

/// How many templates may extend each other in a row, as GitLab has it.
const EXTENDS: usize = 11;

/// Whether it looks like a definition: something in it has a script, or is a template of such.
pub(super) fn is_one(root: &Node) -> bool {
    let job = |node: &Node| ["script", "trigger", "extends"].iter().any(|key| node.get(key).is_some());
    root.map().is_some_and(|map| map.values().any(|entry| job(&entry.node)))
}

/// A job with the templates it extends, the most general first.
struct Job<'a> {
    layers: Vec<&'a Node>,
}

impl<'a> Job<'a> {
    fn read(root: &'a Node, name: &str) -> Self {
        let mut layers = Vec::new();
        collect(root, name, EXTENDS, &mut layers);
        Self { layers }
    }

    fn get(&self, key: &str) -> Option<&'a Node> {
        self.layers.iter().rev().find_map(|layer| layer.get(key))
    }

    fn variables(&self, global: &Variables) -> Variables {
        self.layers.iter().fold(global.clone(), |variables, layer| variables.with(layer.get("variables")))
    }
}

fn collect<'a>(root: &'a Node, name: &str, left: usize, layers: &mut Vec<&'a Node>) {
    let (Some(node), Some(left)) = (root.get(name), left.checked_sub(1)) else { return };
    if layers.len() > 100 {
        return;
    }
    for (base, _) in texts(node.get("extends")) {
        collect(root, &base, left, layers);
    }
    layers.push(node);
}

/// Reads a definition.
pub(super) fn read(root: &Node, draft: &mut Draft<'_>) {
    let Some(map) = root.map() else { return };
    let mut stages: Vec<String> = match root.get("stages") {
        Some(stages) => texts(Some(stages)).into_iter().map(|(name, _)| name).collect(),
        None => STAGES.iter().map(|name| (*name).to_owned()).collect(),
    };
    stages.insert(0, ".pre".into());
    stages.push(".post".into());
    let is_job =
        |name: &str, node: &Node| !name.starts_with('.') && !GLOBAL.contains(&name) && node.map().is_some();
    let names: Vec<&String> =
        map.iter().filter(|(name, entry)| is_job(name, &entry.node)).map(|(name, _)| name).collect();
    let jobs: Vec<Job<'_>> = names.iter().map(|name| Job::read(root, name)).collect();
    let stage_of = |job: &Job<'_>| {
        let own = job.get("stage").and_then(text).unwrap_or_else(|| "test".into());
        stages.iter().position(|stage| *stage == own)
    };
    let global = Variables::default().with(root.get("variables"));
    let workflow = root.get("workflow").and_then(|workflow| workflow.get("rules"));
    let fallback =
        |key: &str| root.get("default").and_then(|default| default.get(key)).or_else(|| root.get(key));
    for (index, job) in jobs.iter().enumerate() {
        if draft.is_full() {
            return;
        }
        let after = match job.get("needs") {
            Some(needs) => {
                let needed = needs.list().into_iter().flatten();
                let needed = needed.filter_map(|need| text(need.get("job").unwrap_or(need)));
                needed.filter_map(|name| names.iter().position(|own| **own == name)).collect()
            }
            None => {
                (0..jobs.len()).filter(|other| stage_of(&jobs[*other]) < stage_of(&jobs[index])).collect()
            }
        };
        let rules = Rules {
            workflow: workflow.map(conditions),
            own: job.get("rules").map(conditions),
            only: job.get("only").map(refs),
            except: job.get("except").map(refs),
        };
        let starts = match job.get("when").and_then(text).as_deref() {
            Some("never") => Trigger::Never,
            _ => Trigger::GitLab(Box::new(rules)),
        };
        let unit = draft.unit(Unit { name: names[index].clone(), after, starts });
        let mut shell = job.variables(&global);
        let mut unused = Variables::default();
        let place = Place { unit, remote: false, id: None };
        let before = job.get("before_script").or_else(|| fallback("before_script"));
        for (script, node) in texts(before).into_iter().chain(texts(job.get("script"))) {
            draft.script(&script, node, place, &mut shell, &mut unused);
        }
        // Another shell, which knows nothing of what the first one set.
        let mut shell = job.variables(&global);
        for (script, node) in texts(job.get("after_script").or_else(|| fallback("after_script"))) {
            draft.script(&script, node, place, &mut shell, &mut unused);
        }
    }
}

/// When a job is part of a pipeline.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    workflow: Option<Vec<Condition>>,
    own: Option<Vec<Condition>>,
    only: Option<Vec<String>>,
    except: Option<Vec<String>>,
}

/// A rule: its `if`, and whether it then takes part.
#[derive(Clone, Debug)]
struct Condition {
    when: Option<String>,
    takes_part: bool,
}

fn conditions(rules: &Node) -> Vec<Condition> {
    let rules = rules.list().into_iter().flatten();
    let condition = |rule: &Node| Condition {
        when: rule.get("if").and_then(text),
        takes_part: rule.get("when").and_then(text).as_deref() != Some("never"),
    };
    rules.map(condition).collect()
}

/// `only: [main]` and `only: {refs: [main]}`.
fn refs(node: &Node) -> Vec<String> {
    let list = if let Value::Map(_) = node.value { node.get("refs") } else { Some(node) };
    texts(list).into_iter().map(|(name, _)| name).collect()
}

impl Rules {
    /// Whether a push of `branch` starts the job.
    pub(super) fn take(&self, branch: &str) -> bool {
        // The first rule that holds decides; without any that does, there is no job.
        let decided = |rules: &[Condition]| {
            rules
                .iter()
                .find(|rule| rule.when.as_deref().is_none_or(|condition| holds(condition, branch)))
                .is_some_and(|rule| rule.takes_part)
        };
        let named = |refs: &[String]| refs.iter().any(|name| is_ref(name, branch));
        self.workflow.as_deref().is_none_or(decided)
            && self.own.as_deref().is_none_or(decided)
            && self.only.as_deref().is_none_or(|refs| refs.is_empty() || named(refs))
            && !self.except.as_deref().is_some_and(named)
    }
}

fn is_ref(name: &str, branch: &str) -> bool {
    match name.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) => regex(pattern).is_some_and(|regex| regex.is_match(branch)),
        None => name == branch || matches!(name, "branches" | "pushes"),
    }
}

fn regex(pattern: &str) -> Option<Regex> {
    regex::RegexBuilder::new(pattern).size_limit(1 << 16).build().ok()
}

/// An `if` for a push of a branch: comparisons with `&&` and `||`. What is not known of a push (a
/// variable of the project) is taken to hold.
fn holds(condition: &str, branch: &str) -> bool {
    let unwrapped = condition.trim().trim_start_matches('(').trim_end_matches(')');
    unwrapped.split("||").any(|all| all.split("&&").all(|one| one_holds(one, branch)))
}

fn one_holds(condition: &str, branch: &str) -> bool {
    let condition = condition.trim().trim_matches(['(', ')']).trim();
    let value = |text: &str| -> Option<String> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('$') {
            return match name.trim_matches(['{', '}']) {
                "CI_COMMIT_BRANCH" | "CI_COMMIT_REF_NAME" | "CI_COMMIT_REF_SLUG" => Some(branch.to_owned()),
                // The default branch is whichever is asked for, where it is one of the usual names.
                "CI_DEFAULT_BRANCH" => {
                    Some(if matches!(branch, "main" | "master") { branch.to_owned() } else { "main".into() })
                }
                "CI_PIPELINE_SOURCE" => Some("push".into()),
                "CI_COMMIT_TAG"
                | "CI_MERGE_REQUEST_ID"
                | "CI_MERGE_REQUEST_IID"
                | "CI_OPEN_MERGE_REQUESTS" => Some(String::new()),
                _ => None,
            };
        }
        if text == "null" {
            return Some(String::new());
        }
        let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        quoted('"').or_else(|| quoted('\'')).map(str::to_owned)
    };
    for (sign, wanted) in [("==", true), ("!=", false), ("=~", true), ("!~", false)] {
        let Some((left, right)) = condition.split_once(sign) else { continue };
        let Some(left) = value(left) else { return true };
        if sign.ends_with('~') {
            let pattern = right.trim().trim_end_matches('i');
            let pattern = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
            return pattern.and_then(regex).is_none_or(|regex| regex.is_match(&left) == wanted);
        }
        return value(right).is_none_or(|right| (left == right) == wanted);
    }
    value(condition).is_none_or(|value| !value.is_empty())
}
