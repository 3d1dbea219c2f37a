//! Every case and project through docker compose itself: what it takes has to be read to the same model,
//! or be refused for a reason of the sandbox; what it does not take has to be a mistake for us too.
//!
//! Left out, with a printed reason, where there is no docker compose 2.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use drydock::submissions::compose::{Finding, Kind, Reading};
use serde_json::Value;

use super::corpus::{Case, cases, model};
use super::normal::{normal, take_away};
use super::program::program;

/// Where we differ from docker compose 2.26 on purpose, each with its reason.
const DIFFERENCES: &[(&str, &str)] = &[
    ("pull-policy-new", "words that docker compose has from 2.34 on; for us they mean `missing`"),
    ("build-new", "keys that are newer than docker compose 2.26, and have no effect here"),
    ("env-file-raw", "`format: raw` is in the specification, and in docker compose from 2.30 on"),
    (
        "secrets-mode-text",
        "a mode in quotes is octal, as modes are everywhere; docker compose 2.26 takes \"0440\" for decimal",
    ),
    (
        "include-unknown-key",
        "an unknown key is a slip everywhere; docker compose passes over those of `include`",
    ),
    ("size-exponent", "a size with an exponent is a slip; docker compose takes it for none at all"),
    (
        "override-environment-map",
        "a map is no value of a variable; docker compose 2.26 merges it to the text `map[]`",
    ),
    ("tag-unknown", "a tag that means nothing is a slip; docker compose passes over it"),
];

/// What docker compose says to a case: the JSON, or its error.
fn ask(program: &std::path::Path, case: &Case) -> Result<Value, String> {
    let folder = tempfile::tempdir().unwrap();
    // The folder's name is the project's.
    let root = folder.path().canonicalize().unwrap().join(&case.name);
    std::fs::create_dir(&root).unwrap();
    case.write(&root);
    let mut command = Command::new(program);
    command
        .current_dir(&root)
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", std::env::var_os("PATH").unwrap());
    for profile in case.option("profiles") {
        command.args(["--profile", &profile]);
    }
    for file in case.option("file") {
        command.args(["--file", &file]);
    }
    let output = command.args(["config", "--format", "json"]).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    Ok(with_root(theirs, root.to_str().unwrap()))
}

/// Remembers the folder, until the paths below it are made relative.
fn with_root(mut theirs: Value, root: &str) -> Value {
    theirs["x-root"] = root.into();
    theirs
}

/// Whether what is at the finding's place is not the same in our model on purpose.
fn explains(finding: &Finding) -> bool {
    matches!(finding.kind, Kind::Refused | Kind::Confined | Kind::Ignored)
}

/// Where else in the model it shows that a key has no effect.
fn consequences(path: &str) -> Vec<String> {
    let of_service = [
        (".env_file", ".environment"),
        (".label_file", ".labels"),
        (".logging", ".logging"),
        (".deploy.replicas", ".replicas"),
        (".deploy.restart_policy", ".restart"),
        (".scale", ".replicas"),
        // Each means that the other service comes first.
        (".pid", ".depends_on"),
        (".ipc", ".depends_on"),
        (".volumes_from", ".depends_on"),
    ];
    let mut out: Vec<String> = of_service
        .iter()
        .filter_map(|(key, shown)| Some(format!("{}{shown}", path.split_once(key)?.0)))
        .collect();
    if let Some((network, _)) = path.split_once(".ipam") {
        out.push(format!("{network}.pools"));
    }
    // What is not mounted needs no volume.
    if path.starts_with("services.") && path.contains(".volumes[") {
        out.push("volumes".into());
    }
    // A config or secret without its bytes is none.
    if let Some((object, _)) =
        path.rsplit_once('.').filter(|_| path.starts_with("configs.") || path.starts_with("secrets."))
    {
        out.push(object.into());
    }
    out
}

fn compare(reading: &Reading, mut theirs: Value) -> Result<(), String> {
    let root = theirs["x-root"].as_str().unwrap().to_owned();
    let mut ours = model(reading);
    // Before and after: a key may have another name in our words.
    let mut paths: Vec<String> = Vec::new();
    for finding in reading.findings.iter().filter(|finding| explains(finding)) {
        if finding.path.is_empty() {
            // A whole file that we do not read.
            return Ok(());
        }
        paths.extend(consequences(&finding.path));
        paths.push(finding.path.clone());
    }
    for path in &paths {
        take_away(&mut theirs, path);
    }
    let mut theirs = normal(theirs, &root);
    for path in &paths {
        take_away(&mut theirs, path);
        take_away(&mut ours, path);
    }
    for model in [&mut ours, &mut theirs] {
        model
            .as_object_mut()
            .unwrap()
            .retain(|_, section| section.as_object().is_none_or(|map| !map.is_empty()));
    }
    if ours == theirs {
        return Ok(());
    }
    let print = |value: &Value| serde_json::to_string_pretty(&sorted(value)).unwrap();
    Err(differing_lines(&print(&ours), &print(&theirs)))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect()
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn differing_lines(ours: &str, theirs: &str) -> String {
    let ours: Vec<&str> = ours.lines().collect();
    let theirs: Vec<&str> = theirs.lines().collect();
    let same = ours.iter().zip(&theirs).take_while(|(one, two)| one == two).count();
    let show = |lines: &[&str]| {
        lines.iter().skip(same.saturating_sub(4)).take(14).copied().collect::<Vec<_>>().join("\n")
    };
    format!("ours:\n{}\ntheirs:\n{}", show(&ours), show(&theirs))
}

/// What is wrong with our reading of a case, seen from docker compose's.
pub fn judge(program: &std::path::Path, case: &Case) -> Option<String> {
    let reading = case.read();
    let stops = |kind| reading.findings.iter().any(|finding| finding.kind == kind);
    let mistaken = stops(Kind::Mistake) || stops(Kind::Unreadable);
    match ask(program, case) {
        Err(_) if !reading.runs() => None,
        Err(error) => Some(format!("docker compose does not take it, and we find no mistake: {error}")),
        Ok(_) if mistaken => {
            let mistakes: Vec<String> = reading
                .findings
                .iter()
                .filter(|finding| matches!(finding.kind, Kind::Mistake | Kind::Unreadable))
                .map(ToString::to_string)
                .collect();
            Some(format!("docker compose takes it, and we call it a mistake:\n{}", mistakes.join("\n")))
        }
        Ok(theirs) => compare(&reading, theirs).err(),
    }
}

fn agree(folder: &str) {
    let Some(program) = program() else {
        eprintln!("docker compose 2 is neither here nor can be fetched; nothing is compared");
        return;
    };
    let cases = cases(folder);
    let next = AtomicUsize::new(0);
    let found: Vec<(String, Option<String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        found.push((case.name.clone(), judge(&program, case)));
                    }
                    found
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let known = |name: &str| DIFFERENCES.iter().any(|(known, _)| *known == name);
    let mut wrong: Vec<String> = found
        .iter()
        .filter(|(name, _)| !known(name))
        .filter_map(|(name, difference)| Some(format!("== {name}\n{}", difference.as_ref()?)))
        .collect();
    wrong.sort();
    // A difference that is none any more is not to stay in the list.
    for (name, _) in found.iter().filter(|(name, difference)| known(name) && difference.is_none()) {
        wrong.push(format!("== {name}\nagrees with docker compose and does not belong into DIFFERENCES"));
    }
    eprintln!(
        "{folder}: {} compared, {} differ on purpose",
        found.len(),
        found.iter().filter(|(name, _)| known(name)).count()
    );
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), found.len(), wrong.join("\n"));
}

#[test]
fn cases_agree_with_docker_compose() {
    agree("cases");
}

#[test]
fn projects_agree_with_docker_compose() {
    agree("projects");
}
