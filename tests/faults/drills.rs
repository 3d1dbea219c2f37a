//! The exercises that the tests beside it hand in for.

/// Every phase takes long enough to be hit. Passes with [`slow_work`].
pub const SLOW: (&str, &[(&str, &str)]) = (
    "slowly",
    &[
        ("solution/Dockerfile", "FROM busybox:1.37\n"),
        ("README.md", "# Slowly\n\nHand it in.\n"),
        (
            "exercise.yaml",
            r#"
title: Slowly
summary: Every phase takes its time.
minutes: 1
objectives: [patience]
submit: [upload]
build: {}
stack: {services: {app: {ready: {log: ready, within: 20s}}}}
limits: {memory: 128MiB, build_time: 60s, run_time: 60s}
checks:
  - file: {path: noise, content: {contains: the end}}
    id: read
    title: The noise ends
    hint: It ends.
  - image_file: {path: /noise}
    id: image
    title: The noise is in the image
    hint: COPY
  - stays_up: {for: 2s}
    id: run
    title: It runs
    hint: It runs.
  - stops: {within: 10s, exit_code: 0}
    id: disturb
    title: It stops
    hint: trap
"#,
        ),
    ],
);

/// What passes [`SLOW`]. The noise makes fetching and reading take a moment.
pub fn slow_work() -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 1_u32;
    let mut noise: Vec<u8> = (0..4 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        })
        .collect();
    noise.extend_from_slice(b"the end\n");
    vec![
        ("noise", noise),
        (
            "start",
            b"#!/bin/sh\ntrap 'sleep 2; exit 0' TERM\necho ready\nwhile :; do sleep 0.1; done\n".to_vec(),
        ),
        (
            "Dockerfile",
            b"FROM busybox:1.37\nCOPY noise /noise\nRUN sleep 2\nCOPY start /start\nCMD [\"/start\"]\n"
                .to_vec(),
        ),
    ]
}

/// Only asks that it goes on running. Passes with [`polite_work`], which ends at once where it is asked to.
pub const POLITE: (&str, &[(&str, &str)]) = (
    "politely",
    &[
        ("solution/Dockerfile", "FROM busybox:1.37\n"),
        ("README.md", "# Politely\n\nHand it in.\n"),
        (
            "exercise.yaml",
            r#"
title: Politely
summary: It runs for a while.
minutes: 1
objectives: [patience]
submit: [upload]
build: {}
stack: {services: {app: {}}}
limits: {memory: 128MiB, build_time: 60s, run_time: 60s}
checks:
  - stays_up: {for: 4s}
    id: run
    title: It runs
    hint: It runs.
"#,
        ),
    ],
);

/// What passes [`POLITE`].
pub fn polite_work() -> Vec<(&'static str, Vec<u8>)> {
    let start = "trap 'exit 1' TERM; while :; do sleep 0.1; done";
    vec![("Dockerfile", format!("FROM busybox:1.37\nCMD {start}\n").into_bytes())]
}

/// Nothing is built or run: only a file is read.
pub const QUICK: (&str, &[(&str, &str)]) = (
    "quickly",
    &[
        ("solution/hello.txt", "hello\n"),
        ("README.md", "# Quickly\n\nHand it in.\n"),
        (
            "exercise.yaml",
            r#"
title: Quickly
summary: A file is read.
minutes: 1
objectives: [patience]
submit: [upload]
checks:
  - file: {path: hello.txt, content: {contains: hello}}
    id: hello
    title: It says hello
    hint: hello
"#,
        ),
    ],
);

/// Builds and runs in narrow limits what strangers hand in.
pub const NARROW: (&str, &[(&str, &str)]) = (
    "narrow",
    &[
        ("solution/Dockerfile", "FROM busybox:1.37\nCMD [\"true\"]\n"),
        ("README.md", "# Narrow\n\nHand it in.\n"),
        (
            "exercise.yaml",
            r#"
title: Narrow
summary: Little memory, little time.
minutes: 1
objectives: [limits]
submit: [upload]
build: {}
stack: {services: {app: {}}}
limits: {memory: 48MiB, cpus: 1, pids: 32, disk: 64MiB, build_time: 8s, run_time: 20s, log: 64KiB}
checks:
  - exit: {code: 0, within: 3s}
    id: ends
    title: It ends well
    hint: It ends.
"#,
        ),
    ],
);
