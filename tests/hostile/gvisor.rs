//! Attacks of the other files under gVisor (`runsc`), on a private engine.
//!
//! A smaller selection, since a container takes seconds to start there and the engine is started for it: what asks
//! the kernel for something, the network, and what takes all that there is. Builds are runc's whatever the runtime
//! of containers is, and archives and compose files never come to one.
//!
//! Not under gVisor: [`super::escapes::syscalls`]' probing of masked files as it is, since gVisor answers with files of
//! its own, so only what reaches the host counts there; and checks that need a pod's namespace, which the sandbox
//! makes from beside instead.

use std::process::Command;

use super::arena::{Arena, Attack};
use crate::server::PrivateEngine;

/// Where the runtime is named to the process that runs inside the private engine.
const RUNTIME: &str = "DRYDOCK_HOSTILE_RUNTIME";

#[tokio::test(flavor = "multi_thread")]
async fn attacks_hold_under_gvisor() {
    if Command::new("runsc").arg("--version").output().is_err() {
        // tests/run installs it where the distribution has it.
        println!("skipped: this machine has no runsc");
        return;
    }
    let engine = PrivateEngine::start(&["busybox:1.37", "python:3.13-slim"]);
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "hostile::gvisor::inside", "--ignored", "--nocapture"])
        .env("DOCKER_HOST", engine.host())
        .env(RUNTIME, "runsc")
        .output()
        .expect("another process");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{told}");
    println!("{told}");
}

/// Not a test of its own: what runs against the private engine.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by attacks_hold_under_gvisor"]
async fn inside() {
    let Ok(runtime) = std::env::var(RUNTIME) else { return };
    let arena = Arena::with(&runtime).await;
    let run = |what, script: &str| {
        let text = "LABEL hostile=@ARENA@\nCOPY attack /attack\nCMD [\"sh\", \"/attack\"]";
        Attack::dockerfile(what, "narrow", text).file("attack", script)
    };
    arena
        .run(vec![
            Attack::python("network", "escape", include_str!("attacks/network.py")).passes(),
            Attack::python("the host", "escape", include_str!("attacks/host.py")).passes(),
            run("fork bomb", "b() { b | b & }; b; sleep 1000"),
            run("endless output", "yes"),
            run("ignores every signal", "trap '' TERM INT HUP QUIT USR1; while :; do sleep 1; done"),
            run("memory bomb", "tail /dev/zero"),
        ])
        .await;
    arena.close().await;
}
