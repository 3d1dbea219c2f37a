//! One definition for every kind of mistake: its place and its sentence.

mod checks;
mod folders;
mod grounds;

use std::fs;
use std::path::Path;

use drydock::exercises::{Exercise, skeleton};

/// The skeleton without its comments, so that lines can be counted.
pub const BASE: &str = "\
title: Greet
submit: [upload]
build: {dockerfile: Dockerfile}
stack:
  services:
    app:
      env: {GREETING: \"hello ${random}\"}
      ready: {port: 8080, within: 10s}
limits: {memory: 64MiB}
checks:
  - id: exposed
    title: The image declares port 8080
    image: {exposed_ports: [8080]}
    hint: EXPOSE writes it down.
  - id: greets
    title: GET / greets
    points: 2
    http: {port: 8080, status: 200, body: {contains: \"hello ${random}\"}}
mutants:
  port-not-exposed: {fails: [exposed], because: EXPOSE is left out}
  greeting-baked-in: {fails: [greets], because: the greeting is fixed}
";

pub fn exercise(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("greet");
    skeleton("greet", &path).unwrap();
    fs::write(path.join("exercise.yaml"), BASE).unwrap();
    path
}

/// What is told about a folder, with paths below it.
pub fn told(folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    let found = match Exercise::read(folder) {
        Ok(exercise) => exercise.warnings,
        Err(mistakes) => mistakes,
    };
    found.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

/// Replaces `from` by `to` in the definition and wants exactly these mistakes.
#[track_caller]
pub fn expect(from: &str, to: &str, expected: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    assert_eq!(BASE.matches(from).count(), 1, "`{from}` is there exactly once");
    fs::write(folder.join("exercise.yaml"), BASE.replace(from, to)).unwrap();
    let expected: Vec<String> = expected.iter().map(|line| format!("exercise.yaml:{line}")).collect();
    assert_eq!(told(&folder), expected, "{from} -> {to}");
}

#[test]
fn the_base_has_none() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    assert_eq!(told(&folder), Vec::<String>::new());
    assert!(Exercise::read(&folder).is_ok());
}

#[test]
fn keys_and_types() {
    let title = "title: Greet";
    expect(
        title,
        "titel: Greet",
        &[
            "1:1: unknown key `titel`, did you mean `title`?",
            "1:1: `title` is missing; it names the exercise for people",
        ],
    );
    expect(title, "title: ''", &["1:1: `title` is empty; it names the exercise for people"]);
    expect(title, "title: [Greet]", &["1:8: expected a text, found a list"]);
    expect(title, "title: Greet\ntitle: Meet", &["2:1: the key `title` is there twice, first in line 1"]);
    expect(
        title,
        "title: Greet: loudly",
        &[
            "1:13: this is not valid YAML: mapping values are not allowed in this context; a text that contains `: ` \
         needs quotes",
        ],
    );
    expect(title, "title: Greet\nminutes: 0", &["2:1: `minutes` is between 1 and 600"]);
    expect(
        title,
        "title: Greet\nminutes: soon",
        &["2:10: expected a whole number from 0 on, found the text `soon`"],
    );
    expect(
        title,
        "title: Greet\nzebra: 1",
        &[
            "2:1: unknown key `zebra`; there are `title`, `summary`, `minutes`, `objectives`, `submit`, `build`, `stack`, \
         `compose`, `limits`, `hint_cost`, `checks` and `mutants`",
        ],
    );
    expect(
        title,
        "title: Greet\ncommand: {}",
        &["2:1: `command` is not supported yet; take files and build an image"],
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    expect(
        "title: Greet\nsubmit: [upload]\nbuild: {dockerfile: Dockerfile}",
        "title: [Greet]\nsubmit: [uplaod]\nbuild: {dokerfile: Dockerfile}",
        &[
            "1:8: expected a text, found a list",
            "2:10: unknown word `uplaod`, did you mean `upload`?",
            "3:9: unknown key `dokerfile`, did you mean `dockerfile`?",
        ],
    );
}
