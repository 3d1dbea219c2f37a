//! Cloud Build: steps in containers, one after another unless `waitFor` says otherwise, and `images`,
//! which are pushed when all steps are done (<https://cloud.google.com/build/docs/build-config-file-schema>).

use super::Step::Push;
use super::images::Image;
use super::script::Place;
use super::variables::{Variables, text, texts};
use super::{Action, Draft, Trigger, Unit};
use crate::tree::Node;

/// Reads a configuration.
pub(super) fn read(root: &Node, draft: &mut Draft<'_>) {
    let Some(steps) = root.get("steps").and_then(Node::list) else { return };
    let variables = Variables::default().with(root.get("substitutions"));
    let variables = with_env(&variables, root.get("options").and_then(|options| options.get("env")));
    let ids: Vec<Option<String>> = steps.iter().map(|step| step.get("id").and_then(text)).collect();
    for (index, step) in steps.iter().enumerate() {
        if draft.is_full() {
            return;
        }
        let after = match step.get("waitFor") {
            None => (0..index).collect(),
            Some(names) => {
                let waits = texts(Some(names)).into_iter().filter(|(name, _)| name != "-");
                waits
                    .filter_map(|(name, _)| ids[..index].iter().position(|id| id.as_ref() == Some(&name)))
                    .collect()
            }
        };
        let name = ids[index].clone().unwrap_or_else(|| format!("step {}", index + 1));
        let unit = draft.unit(Unit { name, after, starts: Trigger::Elsewhere });
        self::step(step, unit, &variables, draft);
    }
    let Some(images) = root.get("images") else { return };
    let unit = draft.unit(Unit {
        name: "images".into(),
        after: (0..steps.len()).collect(),
        starts: Trigger::Elsewhere,
    });
    for (image, node) in texts(Some(images)) {
        let image = variables.fill(&image);
        draft.actions.push(Action {
            step: Push,
            line: node.place.line,
            what: format!("images: {image}"),
            images: Image::read(&image).into_iter().collect(),
            unit,
        });
    }
}

/// `NAME=value` texts.
fn with_env(variables: &Variables, env: Option<&Node>) -> Variables {
    let mut variables = variables.clone();
    for (text, _) in texts(env) {
        if let Some((name, value)) = text.split_once('=') {
            let value = variables.fill(value);
            variables.set(name, value);
        }
    }
    variables
}

fn step(step: &Node, unit: usize, variables: &Variables, draft: &mut Draft<'_>) {
    let mut shell = with_env(variables, step.get("env"));
    let mut unused = Variables::default();
    let place = Place { unit, remote: false, id: None };
    if let Some((script, node)) = step.get("script").and_then(|node| Some((text(node)?, node))) {
        draft.script(&script, node, place, &mut shell, &mut unused);
        return;
    }
    let builder = step.get("name").and_then(text).unwrap_or_default();
    let written = texts(step.get("args"));
    // `$$` is a dollar sign that the builder leaves to the shell.
    let filled = |text: &str| {
        let parts: Vec<String> = text.split("$$").map(|part| variables.fill(part)).collect();
        parts.join("$")
    };
    let entrypoint = step.get("entrypoint").and_then(text);
    let program = entrypoint.unwrap_or_else(|| program(&builder).to_owned());
    let line = step.key_place("args").line;
    let shell_flag = |text: &str| text.starts_with('-') && !text.starts_with("--") && text.contains('c');
    if matches!(program.rsplit('/').next(), Some("bash" | "sh" | "ash" | "dash")) {
        let script = written.iter().skip_while(|(text, _)| !shell_flag(text)).nth(1);
        if let Some((script, node)) = script {
            draft.script(&filled(script), node, place, &mut shell, &mut unused);
        }
        return;
    }
    let mut words = vec![program];
    words.extend(written.iter().map(|(text, _)| filled(text)));
    draft.command(&words, line, unit, false);
}

/// The program that a builder's image runs: the last part of its name.
fn program(builder: &str) -> &str {
    let name = builder.split('@').next().unwrap_or(builder);
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.split(':').next().unwrap_or(name) {
        "cloud-sdk" | "google-cloud-cli" => "gcloud",
        name => name,
    }
}
