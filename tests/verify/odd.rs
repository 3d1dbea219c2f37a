//! Exercises that prove themselves and are still odd: each oddity is warned of, and none where there is none.

use crate::{exercise, proofs, verify, warned};

fn pair(kind: &str, check: &str) -> (String, String) {
    (kind.to_owned(), check.to_owned())
}

#[test]
fn hints_that_say_the_answer_and_failures_that_look_the_same() {
    let root = tempfile::tempdir().unwrap();
    let definition = "\
title: Two questions
minutes: 1
submit: [answers]
checks:
  - id: lists
    title: The command
    hints: [Two words., It is `docker ps`.]
    short: {question: Which command lists containers?, accepts: [docker ps]}
  - id: code
    title: The exit code
    hint: 128 and the number of the signal.
    short: {question: With which code does a killed container end?, number: {value: 137}}
  - id: shell
    title: The program
    hint: It begins with b.
    short: {question: Which shell is it?, accepts: [bash]}
  - id: again
    title: The same question by mistake
    hint: It begins with b.
    short: {question: Which shell is it?, accepts: [bash]}
mutants:
  wrong: {fails: [lists, code, shell, again], because: nothing is right}
";
    let files = [
        (
            "solution/answers.json",
            r#"{"lists": "docker ps", "code": "137", "shell": "bash", "again": "bash"}"#,
        ),
        ("mutants/wrong/answers.json", r#"{"lists": "zsh", "code": "1", "shell": "zsh", "again": "zsh"}"#),
    ];
    let folder = exercise(root.path(), "alpha", definition, &files);
    let output = verify(std::slice::from_ref(&folder), &["--json"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "a warning is no failure: {told}");
    let proofs = proofs(&output);
    assert_eq!(warned(&proofs[0]), [pair("hint", "lists"), pair("same_failure", "shell")], "{told}");
    assert!(told.contains("    ! hint 2 of check `lists` says `docker ps`"), "{told}");
    assert!(told.contains("the checks `shell` and `again` fail with the very same words"), "{told}");
    assert!(told.contains("; 2 warnings"), "{told}");
}

#[test]
fn an_order_that_matters_and_limits_that_are_near() {
    let root = tempfile::tempdir().unwrap();
    // The first stop leaves a mark behind, by which the second ends with another code.
    let definition = "\
title: Two stops
minutes: 1
submit: [upload]
build: {}
stack: {services: {app: {ready: {log: ready, within: 60s}}}}
limits: {memory: 64MiB, build_time: 100s, run_time: 200s}
checks:
  - id: stays
    title: It keeps running
    stays_up: {for: 1s}
  - id: first
    title: It stops
    stops: {within: 5s, exit_code: 0}
  - id: second
    title: It stops again
    stops: {within: 5s, exit_code: 5}
mutants:
  ends: {fails: [stays, first, second], because: it ends at once}
";
    let start = "#!/bin/sh\n\
                 trap 'if [ -e /mark ]; then exit 5; fi; touch /mark; exit 0' TERM\n\
                 head -c 55000000 /dev/zero > /dev/shm/much\n\
                 echo ready\nwhile :; do sleep 0.1; done\n";
    let dockerfile = "FROM busybox:1.37\nCOPY start /start\nCMD [\"sh\", \"/start\"]\n";
    let files = [
        ("solution/Dockerfile", dockerfile),
        ("solution/start", start),
        ("mutants/ends/start", "#!/bin/sh\necho ready\nexit 3\n"),
    ];
    let folder = exercise(root.path(), "alpha", definition, &files);
    let output = verify(std::slice::from_ref(&folder), &["--json"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let proofs = proofs(&output);
    let trials = proofs[0]["trials"].as_array().unwrap();
    assert!(trials.iter().any(|trial| trial["what"] == "reordered"), "{told}");
    assert!(trials[0]["usage"]["memory_bytes"].as_u64().unwrap() > 50_000_000, "{}", trials[0]);
    let wanted = [pair("order", "first"), pair("order", "second"), pair("limit", "")];
    let found = warned(&proofs[0]);
    for one in &wanted {
        assert!(found.contains(one), "{one:?} is missing: {found:?}\n{told}");
    }
    assert!(told.contains("of the 64 MiB that `limits.memory` gives"), "{told}");
}
