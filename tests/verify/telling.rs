//! What is told while it runs and at the end, and in which order.

use crate::{exercise, proofs, verify, warned};

const QUESTION: &str = "\
title: One question
minutes: 1
submit: [answers]
checks:
  - id: list
    title: The command
    hint: Two words.
    short: {question: Which command lists containers?, accepts: [docker ps]}
mutants:
  wrong: {fails: [list], because: it is another command}
";

const FILES: [(&str, &str); 2] = [
    ("solution/answers.json", "{\"list\": \"docker ps\"}"),
    ("mutants/wrong/answers.json", "{\"list\": \"docker images\"}"),
];

#[test]
fn each_trial_is_told_as_it_ends_and_exercises_in_their_order_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    let broken = QUESTION.replace("accepts: [docker ps]", "accepts: [docker ls]");
    let folders = [
        exercise(root.path(), "bravo", QUESTION, &FILES),
        exercise(root.path(), "alpha", &broken, &FILES),
        exercise(root.path(), "charlie", QUESTION, &FILES),
    ];
    let output = verify(&folders, &["--jobs", "3"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty(), "without --json nothing is for a program");

    let lines: Vec<&str> = told.lines().collect();
    let trials: Vec<&&str> = lines.iter().filter(|line| line.starts_with('[')).collect();
    assert_eq!(trials.len(), 9, "{told}");
    for (index, line) in trials.iter().enumerate() {
        assert!(line.starts_with(&format!("[{}/9] ", index + 1)), "{line}");
        assert!(line.contains(" s, ") && line.contains(" of 3 trials)"), "{line}");
    }
    let good = trials.iter().filter(|line| line.contains("✓ charlie: mutant wrong (")).count();
    assert_eq!(good, 1, "{told}");
    let bad = trials.iter().filter(|line| line.contains("✗ alpha: solution")).count();
    assert_eq!(bad, 2, "the solution does not pass, both times: {told}");

    let place = |wanted: &str| {
        let found = lines.iter().position(|line| line.starts_with(wanted));
        found.unwrap_or_else(|| panic!("no line begins with {wanted}: {told}"))
    };
    let summary = [place("✓ bravo (3 trials"), place("✗ alpha (3 trials"), place("✓ charlie (3 trials")];
    assert!(summary.is_sorted() && summary[0] > place("[9/9]"), "{told}");
    let problem = lines[summary[1] + 1];
    assert!(problem.starts_with("    ✗ solution: check `list` should pass"), "{problem}");
    assert!(lines[summary[2] - 1].starts_with("    ✗ "), "what belongs to alpha stands below it: {told}");
    assert!(lines[place("slowest: ")].contains("bravo ("), "{told}");
    assert!(lines[place("9 trials in ")].contains("3 at a time"), "{told}");
    assert!(lines[place("9 trials in ")].contains("the speed is "), "{told}");
    assert_eq!(lines.last(), Some(&"1 of 3 exercises do not verify"));
}

#[test]
fn the_proofs_as_json_have_every_trial_in_order() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path(), "alpha", QUESTION, &FILES);
    let output = verify(std::slice::from_ref(&folder), &["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let proofs = proofs(&output);
    assert_eq!(proofs.as_array().map(Vec::len), Some(1));
    let proof = &proofs[0];
    assert_eq!(proof["exercise"], "alpha");
    assert_eq!(proof["version"].as_str().map(str::len), Some(64));
    assert_eq!(proof["problems"], serde_json::json!([]));
    assert_eq!(warned(proof), []);
    let trials: Vec<_> = proof["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| {
            assert_eq!(trial["problems"], serde_json::json!([]));
            assert_eq!(trial["platform_fault"], false);
            assert!(trial["seconds"].is_f64());
            (trial["what"].as_str().unwrap(), trial["name"].clone(), trial["run"].clone())
        })
        .collect();
    let wanted = [
        ("solution", serde_json::json!(1), serde_json::json!(1)),
        ("solution", serde_json::json!(2), serde_json::json!(2)),
        ("mutant", serde_json::json!("wrong"), serde_json::json!(1)),
    ];
    assert_eq!(trials, wanted);
}

#[test]
fn every_trial_is_run_as_often_as_asked() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path(), "alpha", QUESTION, &FILES);
    let output = verify(std::slice::from_ref(&folder), &["--json", "--repeat", "3"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(proofs(&output)[0]["trials"].as_array().map(Vec::len), Some(6));
    assert!(
        told.contains("alpha: solution, run 3 (") && told.contains("alpha: mutant wrong, run 3 ("),
        "{told}"
    );
}

#[test]
fn the_help_defines_the_speed() {
    let output = verify(&[], &["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("--jobs <N>") && help.contains("--repeat <N>"), "{help}");
    assert!(help.contains("divided by the trials that ran at a time"), "{help}");
}

#[test]
fn after_a_fault_of_the_platform_a_trial_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let definition = "\
title: One file
minutes: 1
submit: [upload]
build: {}
stack: {services: {app: {}, helper: {image: 'drydock-test.invalid/nowhere:1'}}}
checks:
  - {id: stays, title: It stays, hint: It stays up., stays_up: {for: 1s}}
mutants:
  wrong: {fails: [stays], because: it does not}
";
    let files = [
        ("solution/Dockerfile", "FROM busybox:1.37\nCMD [\"sleep\", \"60\"]\n"),
        ("mutants/wrong/Dockerfile", "FROM busybox:1.37\nCMD [\"true\"]\n"),
    ];
    let folder = exercise(root.path(), "alpha", definition, &files);
    let output = verify(std::slice::from_ref(&folder), &["--json"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    for trial in proofs(&output)[0]["trials"].as_array().unwrap() {
        assert_eq!(trial["platform_fault"], true, "{trial}");
        // Twice, and not for ever.
        assert_eq!(trial["faults"].as_array().map(Vec::len), Some(1), "{trial}");
        assert_eq!(trial["problems"], trial["faults"]);
    }
    assert!(told.contains("! solution: made again, since the platform was at fault: "), "{told}");
}
