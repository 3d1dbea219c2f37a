//! GitHub Actions: jobs that wait for each other by `needs`, steps one after another, and used actions
//! (<https://docs.github.com/actions/reference/workflow-syntax-for-github-actions>).

use regex::Regex;

use super::Step::{Build, Deploy, Push};
use super::images::Image;
use super::script::Place;
use super::variables::{Variables, text, texts};
use super::{Action, Draft, Trigger, Unit};
use crate::tree::Node;

/// Reads a workflow.
pub(super) fn read(root: &Node, draft: &mut Draft<'_>) {
    let Some(jobs) = root.get("jobs").and_then(Node::map) else { return };
    let filters = Filters::read(root.get("on"));
    let workflow = Variables::default().with(root.get("env"));
    for (name, entry) in jobs {
        if draft.is_full() {
            return;
        }
        let job = &entry.node;
        let after = texts(job.get("needs")).iter().filter_map(|(name, _)| jobs.get_index_of(name)).collect();
        let starts = Trigger::GitHub(filters.clone());
        let unit = draft.unit(Unit { name: name.clone(), after, starts });
        if is_off(job) {
            draft.units[unit].starts = Trigger::Never;
            continue;
        }
        let mut variables = workflow.with(job.get("env"));
        for step in job.get("steps").and_then(Node::list).into_iter().flatten() {
            if !is_off(step) && !draft.is_full() {
                self::step(step, unit, &mut variables, draft);
            }
        }
    }
}

/// Whether it is switched off by `if: false`.
fn is_off(node: &Node) -> bool {
    let condition = node.get("if").and_then(text).unwrap_or_default();
    let condition = condition.trim().trim_start_matches("${{").trim_end_matches("}}").trim();
    condition == "false"
}

fn step(step: &Node, unit: usize, job: &mut Variables, draft: &mut Draft<'_>) {
    let mut variables = job.with(step.get("env"));
    let id = step.get("id").and_then(text);
    let place = Place { unit, remote: false, id: id.as_deref() };
    if let Some((script, node)) = step.get("run").and_then(|node| Some((text(node)?, node))) {
        draft.script(&script, node, place, &mut variables, job);
    }
    let Some((uses, node)) = step.get("uses").and_then(|node| Some((text(node)?, node))) else { return };
    let action = uses.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let with = |key: &str| step.get("with").and_then(|with| with.get(key)).and_then(text);
    let filled = |key: &str| with(key).map(|value| variables.fill(&value));
    let true_or_asked = |key: &str| filled(key).is_some_and(|value| !matches!(value.trim(), "" | "false"));
    let listed = |key: &str| -> Vec<Image> {
        let list = filled(key).unwrap_or_default();
        list.split(['\n', ',']).filter_map(Image::read).collect()
    };
    let mut add = |steps: &[super::Step], images: &[Image]| {
        for step in steps {
            let what = format!("uses: {uses}");
            draft.actions.push(Action {
                step: *step,
                line: node.place.line,
                what,
                images: images.to_vec(),
                unit,
            });
        }
    };
    match action.as_str() {
        "docker/metadata-action" => {
            // Which tags there will be depends on what started it: any of these repositories.
            let images = filled("images").unwrap_or_default();
            let images = images.split(['\n', ',']).map(str::trim).filter(|name| !name.is_empty());
            let tags: Vec<String> = images.map(|name| format!("{name}@any")).collect();
            if let Some(id) = id {
                job.set(&format!("steps.{id}.outputs.tags"), tags.join("\n"));
            }
        }
        "docker/build-push-action" | "docker/bake-action" => {
            let images = match action.as_str() {
                "docker/bake-action" => vec![Image::any("docker buildx bake")],
                _ => listed("tags"),
            };
            let output = filled("outputs").unwrap_or_default();
            let pushes =
                true_or_asked("push") || output.contains("push=true") || output.contains("type=registry");
            add(if pushes { &[Build, Push] } else { &[Build] }, &images);
        }
        "redhat-actions/buildah-build" | "redhat-actions/push-to-registry" => {
            let registry = filled("registry").map(|registry| format!("{}/", registry.trim_end_matches('/')));
            let name = format!("{}{}", registry.unwrap_or_default(), filled("image").unwrap_or_default());
            let tags = filled("tags").unwrap_or_else(|| "latest".into());
            let images: Vec<Image> =
                tags.split_whitespace().filter_map(|tag| Image::read(&format!("{name}:{tag}"))).collect();
            add(if action.ends_with("build") { &[Build] } else { &[Push] }, &images);
        }
        "aevea/action-kaniko"
        | "mr-smithers-excellent/docker-build-push"
        | "elgohr/publish-docker-github-action" => {
            add(&[Build, Push], &[]);
        }
        "google-github-actions/deploy-cloudrun" if true_or_asked("source") => {
            add(&[Build, Push, Deploy], &[]);
        }
        "google-github-actions/deploy-cloudrun" => add(&[Deploy], &listed("image")),
        "azure/webapps-deploy" | "azure/k8s-deploy" => add(&[Deploy], &listed("images")),
        "azure/container-apps-deploy-action" => add(&[Deploy], &listed("imageToDeploy")),
        "google-github-actions/deploy-appengine"
        | "google-github-actions/deploy-cloud-functions"
        | "google-github-actions/create-cloud-deploy-release"
        | "aws-actions/amazon-ecs-deploy-task-definition"
        | "akhileshns/heroku-deploy"
        | "digitalocean/app_action" => add(&[Deploy], &[]),
        "superfly/flyctl-actions" if filled("args").is_some_and(|args| args.starts_with("deploy")) => {
            add(&[Deploy], &[]);
        }
        "appleboy/ssh-action" => {
            let script = step.get("with").and_then(|with| with.get("script"));
            if let Some((script, node)) = script.and_then(|node| Some((text(node)?, node))) {
                draft.script(&script, node, Place { remote: true, ..place }, &mut variables, job);
            }
        }
        _ => {}
    }
}

/// Which pushes start a workflow.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pushes: bool,
    branches: Option<Vec<String>>,
    ignored: Option<Vec<String>>,
    /// Whether there are filters for tags alone, so that branches start nothing.
    only_tags: bool,
}

impl Filters {
    fn read(on: Option<&Node>) -> Self {
        let list = |node: Option<&Node>| {
            node.map(|node| texts(Some(node)).into_iter().map(|(text, _)| text).collect())
        };
        let Some(on) = on else { return Self::default() };
        if on.map().is_none() {
            let pushes = texts(Some(on)).iter().any(|(event, _)| event == "push");
            return Self { pushes, ..Self::default() };
        }
        let Some(push) = on.get("push") else { return Self::default() };
        let (branches, ignored) = (list(push.get("branches")), list(push.get("branches-ignore")));
        let tags = push.get("tags").is_some() || push.get("tags-ignore").is_some();
        let only_tags = tags && branches.is_none() && ignored.is_none();
        Self { pushes: true, branches, ignored, only_tags }
    }

    /// Whether a push of `branch` starts it.
    pub(super) fn take(&self, branch: &str) -> bool {
        // Of several patterns the last that fits decides, `!` turns it around.
        let last = |patterns: &[String]| {
            patterns.iter().rev().find_map(|pattern| {
                let (wanted, pattern) =
                    pattern.strip_prefix('!').map_or((true, pattern.as_str()), |rest| (false, rest));
                fits(pattern, branch).then_some(wanted)
            })
        };
        self.pushes
            && !self.only_tags
            && self.branches.as_deref().is_none_or(|patterns| last(patterns) == Some(true))
            && self.ignored.as_deref().is_none_or(|patterns| last(patterns) != Some(true))
    }
}

/// GitHub's patterns: `*` without slashes, `**` with them, `?` and `+` for the character before, `[…]`.
fn fits(pattern: &str, branch: &str) -> bool {
    let mut expression = String::from("^");
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '*' if rest.next_if_eq(&'*').is_some() => expression.push_str(".*"),
            '*' => expression.push_str("[^/]*"),
            '?' | '+' | '[' | ']' | '-' => expression.push(next),
            '\\' => expression.extend(rest.next().map(|c| regex::escape(&c.to_string()))),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex::RegexBuilder::new(&(expression + "$"))
        .size_limit(1 << 16)
        .build()
        .is_ok_and(|regex: Regex| regex.is_match(branch))
}
