//! `drydock images` as it is run, on the machine's engine and on one that has nothing.

use std::process::{Command, Output};

use serde_json::Value;

use crate::private_engine::PrivateEngine;

fn images(engine: Option<&PrivateEngine>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    command.arg("images").args(arguments);
    if let Some(engine) = engine {
        command.env("DOCKER_HOST", engine.host());
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn images_are_carried_to_an_engine_without_a_network() {
    let here = images(None, &["--json"]);
    assert_eq!(here.status.code(), Some(0), "{}", text(&here.stderr));
    let list: Value = serde_json::from_slice(&here.stdout).unwrap();
    let of = |image: &str| list.as_array().unwrap().iter().find(|needed| needed["image"] == image);
    let users =
        |image: &str| of(image).unwrap_or_else(|| panic!("{image} in {list:#}"))["exercises"].to_string();
    // By a Dockerfile, by a service of the exercise's own, and by the compose file of a solution.
    assert!(users("debian:13-slim").contains("\"from-scratch\""));
    assert!(users("registry:2").contains("\"own-registry\""));
    assert!(users("busybox:1.37").contains("\"compose-health\""));
    assert!(of("busybox:1.37").unwrap()["bytes"].as_u64().unwrap() > 1 << 20);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("images.tar").display().to_string();
    let saved = images(None, &["compose-health", "own-registry", "--save", &file]);
    assert_eq!(saved.status.code(), Some(0), "{}", text(&saved.stderr));
    assert!(text(&saved.stderr).contains("images are in"), "{}", text(&saved.stderr));

    let engine = PrivateEngine::start(&[]);
    let bare = images(Some(&engine), &["compose-health"]);
    assert_eq!(bare.status.code(), Some(1));
    assert!(text(&bare.stdout).contains("missing  compose-health"), "{}", text(&bare.stdout));
    let pulled = images(Some(&engine), &["compose-health", "--pull"]);
    assert_eq!(pulled.status.code(), Some(1));
    assert!(
        text(&pulled.stderr).contains("the image busybox:1.37 is neither on the engine nor can it be pulled")
    );
    let nothing = images(Some(&engine), &["compose-health", "--save", "nothing.tar"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("nothing to save"), "{}", text(&nothing.stderr));

    let loaded = images(Some(&engine), &["compose-health", "own-registry", "--load", &file]);
    assert_eq!(loaded.status.code(), Some(0), "{}", text(&loaded.stderr));
    assert!(text(&loaded.stderr).contains("loaded registry:2"), "{}", text(&loaded.stderr));
    assert!(text(&loaded.stdout).ends_with("images are needed, 0 missing.\n"), "{}", text(&loaded.stdout));
}

#[test]
fn a_file_that_is_none_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = images(None, &["compose-health", "--load", "/nowhere/images.tar"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        text(&nowhere.stderr).contains("/nowhere/images.tar cannot be read"),
        "{}",
        text(&nowhere.stderr)
    );
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "no archive at all").unwrap();
    let notes = images(None, &["compose-health", "--load", file.to_str().unwrap()]);
    assert_eq!(notes.status.code(), Some(3));
    assert!(text(&notes.stderr).contains("failed to load images"), "{}", text(&notes.stderr));
    let unwritable = images(None, &["compose-health", "--save", "/nowhere/images.tar"]);
    assert_eq!(unwritable.status.code(), Some(1));
    assert!(text(&unwritable.stderr).contains("/nowhere/images.tar cannot be written"));
}
