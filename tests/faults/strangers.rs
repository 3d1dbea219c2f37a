//! Work that fails, never ends, eats memory, forks or prints for ever, in the build and in the
//! container: the student's, and a sentence that tells them so.

use std::time::Duration;

use drydock::clock::Clock;

use super::drills::NARROW;
use crate::server::{Database, Installation};

const SETTINGS: &str = r#"
[worker]
slots = 2

[sandbox]
warm_pods = 0
"#;

/// What is handed in as a Dockerfile after `FROM busybox:1.37`, and what the report has to say.
const CASES: [(&str, &str, &[&str]); 13] = [
    ("a step fails", "RUN echo about to fail && exit 3", &["exit code 3"]),
    ("a file is missing", "COPY missing /", &["missing"]),
    ("no instruction", "RUNN true", &["RUNN"]),
    ("a build that never ends", "RUN sleep 1000", &["8 s"]),
    ("a build that eats memory", "RUN tail /dev/zero", &["memory", "48 MiB"]),
    ("a build that forks", "RUN b() { b | b & }; b; sleep 1000", &["RUN"]),
    (
        "a build that looks at its bound on processes",
        "RUN sleep 1; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; exit 4",
        &["exit code 4", "1024"],
    ),
    ("a build that prints for ever", "RUN yes", &["printed far more"]),
    ("a container that fails", "CMD [\"sh\", \"-c\", \"echo oh no; exit 3\"]", &["3"]),
    ("a container that never ends", "CMD [\"sleep\", \"1000\"]", &["3 s"]),
    ("a container that eats memory", "CMD [\"tail\", \"/dev/zero\"]", &["memory"]),
    ("a container that forks", "CMD [\"sh\", \"-c\", \"b() { b | b & }; b; sleep 1000\"]", &[]),
    ("a container that prints for ever", "CMD [\"yes\"]", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_hand_in_gets_its_verdict_and_a_sentence() {
    let installation = Installation::new(Database::Sqlite, SETTINGS, &[NARROW]).await;
    let server = installation.serve(&[]);
    let mut gradings = Vec::new();
    for (what, dockerfile, sentences) in CASES {
        let dockerfile = format!("FROM busybox:1.37\n{dockerfile}\n");
        let grading = installation.hand_in(&server, NARROW.0, &[("Dockerfile", dockerfile.as_bytes())]).await;
        gradings.push((what, sentences, grading));
    }
    let mut wrong = Vec::new();
    for (what, sentences, grading) in gradings {
        let started = Clock::system().stopwatch();
        let seen = installation.done(&server, grading).await;
        // The server answers at once, whatever runs beside it.
        let asked = Clock::system().stopwatch();
        installation.grading(&server, &installation.student, grading).await;
        assert!(asked.elapsed() < Duration::from_secs(2), "{what}: {:?}", asked.elapsed());
        let check = &seen["checks"][0];
        let told: Vec<&str> =
            ["observed", "expected"].iter().filter_map(|key| check[*key].as_str()).collect();
        println!("{what}: {} ({:?}) {}", seen["verdict"], started.elapsed(), told.join(" | "));
        let missing: Vec<&&str> = sentences.iter().filter(|part| !told.join(" ").contains(**part)).collect();
        if seen["verdict"] != "failed" || !missing.is_empty() || check["observed"] == "" {
            wrong.push(format!("{what}: {missing:?} missing in {seen:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop();
    installation.remove().await;
}
