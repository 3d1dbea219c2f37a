//! Attacks on the engine through the files in which it looks up users: it opens them itself, as they are, in the
//! root of each step's container (moby's `getUser`) and of each copy with an owner.

use std::time::Duration;

use drydock::clock::Clock;
use uuid::Uuid;

use super::arena::{Arena, Attack};
use super::exercises::EXERCISES;
use crate::server::{Database, Installation, PATIENCE, PrivateEngine, Process};

fn step(what: &'static str, first: &str, then: &str) -> Attack {
    Attack::dockerfile(what, "narrow", &format!("LABEL hostile=@ARENA@\nRUN {first}\n{then}\nCMD [\"true\"]"))
}

/// What the engine reads to no end, cannot read, or would read of the machine's own.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_users_harms_only_its_build() {
    let arena = Arena::open().await;
    // "unable to find user" of what the engine can open; of other storage drivers that nobody can tell "who the users
    // are", before the start.
    let unreadable = "user";
    arena
        .run(vec![
            step("a device without an end", "rm /etc/passwd && mknod /etc/passwd c 1 5", "RUN true")
                .says(unreadable),
            step("the same for groups", "rm /etc/group && mknod /etc/group c 1 5", "USER root\nRUN true")
                .says(unreadable),
            step("a file of holes", "rm /etc/passwd && truncate -s 60M /etc/passwd", "RUN true")
                .says("a line of /etc/passwd or /etc/group is too long"),
            // Not a word of where the engine keeps it.
            step("a folder", "rm /etc/passwd && mkdir /etc/passwd", "RUN true")
                .says("could not be started: unable to find user 0: read /etc/passwd: is a directory"),
            // Links end in the root, the devices of the machine are not there.
            step(
                "a link to a descriptor",
                "rm /etc/passwd /etc/group && ln -s /proc/self/fd/0 /etc/passwd && ln -s /dev/kmsg /etc/group",
                "RUN true",
            )
            .passes(),
            step("a link to itself", "rm /etc/passwd && ln -s passwd /etc/passwd", "USER root\nRUN true")
                .says("could not be started"),
            // Both are mounts of the engine's in every step, and cannot be replaced.
            step(
                "a pipe for names",
                "rm /etc/hosts || rm /etc/resolv.conf || mv /etc/hosts /h || mount -t tmpfs x /etc || exit 3",
                "RUN true",
            )
            .says("exit code 3"),
        ])
        .await;
    arena.close().await;
}

const SETTINGS: &str = r#"
[worker]
slots = 4
attempts = 1

[sandbox]
warm_pods = 0
pull = false
builder = "classic"
sweep_every = "5s"
"#;

async fn hand_in(installation: &Installation, server: &Process, instructions: &str) -> Uuid {
    let dockerfile = format!("FROM busybox:1.37\n{instructions}\nCMD [\"true\"]\n");
    let files = [("Dockerfile", dockerfile.as_bytes()), ("README", b"".as_slice())];
    installation.hand_in(server, "narrow", &files).await
}

/// Of a pipe the engine waits for a writer for ever, with the step's container locked: it can be neither inspected nor
/// removed until the engine is started again. All else goes on: the build ends with its time, others are built and
/// swept beside it, and with the engine's next start nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_the_engine_waits_in_costs_one_build() {
    let mut engine = PrivateEngine::start(&["busybox:1.37"]);
    let installation =
        Installation::on_engine(Database::Sqlite, SETTINGS, EXERCISES, Some(engine.host())).await;
    let server = installation.serve(&[]);
    let pipe = |file: &str| format!("RUN rm {file} && mkfifo {file}");
    let attacks = [
        ("/etc/passwd", "RUN true", "RUN true"),
        ("/etc/group", "USER app\nRUN true", "RUN true"),
        ("/etc/passwd", "COPY --chown=app README /x", "COPY --chown=app README /x"),
    ];
    let mut handed = Vec::new();
    for (file, then, step) in attacks {
        handed.push((file, step, hand_in(&installation, &server, &format!("{}\n{then}", pipe(file))).await));
    }
    let began = Clock::system().stopwatch();
    for (file, step, grading) in handed {
        let seen = installation.done(&server, grading).await;
        assert_eq!(seen["verdict"], "failed", "{seen:#}");
        let told = seen["checks"].to_string().replace("\\\"", "\"");
        let wanted = format!("The step \"{step}\" (line ");
        assert!(told.contains(&wanted), "{wanted}: {told}");
        let wanted = format!("could not be started: {file} in the image is not a regular file");
        assert!(told.contains(&wanted), "{wanted}: {told}");
    }
    // Ten seconds are the build's own.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    let held = installation.docker(&["ps", "--all", "--quiet", "--filter", "status=created"]);
    assert_eq!(held.lines().count(), 2, "the engine holds what it waits in: {held}");

    // Others do not notice: neither beside a server that knows of them, nor where one comes to find them.
    let good = hand_in(&installation, &server, "RUN echo good").await;
    assert_eq!(installation.done(&server, good).await["verdict"], "passed");
    server.kill();
    let began = Clock::system().stopwatch();
    let server = installation.serve(&[]);
    let good = hand_in(&installation, &server, "RUN echo good again").await;
    assert_eq!(installation.done(&server, good).await["verdict"], "passed");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());

    engine.down();
    engine.up();
    let began = Clock::system().stopwatch();
    while !installation.docker(&["ps", "--all", "--quiet"]).is_empty() {
        assert!(began.elapsed() < PATIENCE, "never swept\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let good = hand_in(&installation, &server, "RUN echo good at last").await;
    assert_eq!(installation.done(&server, good).await["verdict"], "passed");
    server.stop();
    installation.assert_nothing_left();
    let images = installation.docker(&["images", "--all", "--format", "{{.Repository}}"]);
    let left: Vec<&str> =
        images.lines().filter(|name| !["busybox", "drydock-probe"].contains(name)).collect();
    assert!(left.is_empty(), "images of the builds are left: {left:?}");
    installation.remove().await;
}
