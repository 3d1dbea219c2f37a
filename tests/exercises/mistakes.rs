//! One definition for every kind of mistake: its place and its sentence.

use std::fs;
use std::path::Path;

use drydock::exercises::{Exercise, skeleton};

/// The skeleton without its comments, so that lines can be counted.
const BASE: &str = "\
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

fn exercise(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("greet");
    skeleton("greet", &path).unwrap();
    fs::write(path.join("exercise.yaml"), BASE).unwrap();
    path
}

/// What is told about a folder, with paths below it.
fn told(folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    let found = match Exercise::read(folder) {
        Ok(exercise) => exercise.warnings,
        Err(mistakes) => mistakes,
    };
    found.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

/// Replaces `from` by `to` in the definition and wants exactly these mistakes.
#[track_caller]
fn expect(from: &str, to: &str, expected: &[&str]) {
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
         `limits`, `checks` and `mutants`",
        ],
    );
    expect(
        title,
        "title: Greet\ncompose: {file: compose.yaml}",
        &["2:1: `compose` is not supported yet; describe what runs under `stack`"],
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

#[test]
fn submit() {
    let submit = "submit: [upload]";
    expect(
        "submit: [upload]\n",
        "",
        &["1:1: `submit` is missing; it lists what can be handed in: `upload`, `answers`"],
    );
    expect(
        submit,
        "submit: []",
        &["2:1: `submit` is empty, so nothing could be handed in; add `upload` or `answers`"],
    );
    expect(
        submit,
        "submit: [upload, repository]",
        &["2:18: `repository` is not supported yet; for now `upload` and `answers` can be handed in"],
    );
    expect(submit, "submit: [upload, upload]", &["2:18: this way to hand in is there twice"]);
    expect(
        submit,
        "submit: [upload, answers]",
        &["2:1: `answers` are taken and no check asks anything; add a `choice`, `short` or `essay` check"],
    );
}

#[test]
fn build() {
    let dockerfile = "dockerfile: Dockerfile";
    expect(
        dockerfile,
        "dockerfile: ../Dockerfile",
        &["3:9: `build.dockerfile` is a path in the build context, such as `Dockerfile`, without `..`"],
    );
    expect(
        dockerfile,
        "context: /",
        &["3:9: `build.context` is a folder of the submission, such as `.` or `app`, without `..`"],
    );
    expect(dockerfile, "network: host", &["3:18: unknown word `host`; there are `none` and `internet`"]);
    expect(
        dockerfile,
        "args: {a-b: x}",
        &["3:16: `a-b` is no name for a build argument; use letters, digits and `_`"],
    );
    expect(
        dockerfile,
        "args: {A: \"${randon}\"}",
        &["3:19: unknown variable `${randon}`, did you mean `random`?"],
    );
    expect(dockerfile, "secrets: {token: generated}", &["3:9: `build.secrets` is not supported yet"]);
}

#[test]
fn stack() {
    let app =
        "    app:\n      env: {GREETING: \"hello ${random}\"}\n      ready: {port: 8080, within: 10s}\n";
    expect(
        app,
        "    App_1: {ready: {port: 8080}}\n",
        &["6:5: `App_1` is no name for a service; it is a host name: lower-case letters, digits and dashes"],
    );
    let ready = "ready: {port: 8080, within: 10s}";
    expect(
        ready,
        "ready: {within: 10s}",
        &["8:7: `ready` says not what is waited for; add `port`, `log` or `exited: true`"],
    );
    expect(
        ready,
        "ready: {port: 1, log: x}",
        &["8:7: `ready` waits for one thing: `port`, `log` or `exited`"],
    );
    expect(ready, "ready: {log: '['}", &["8:15: `[` is no regular expression: unclosed character class"]);
    expect(
        "env: {GREETING: \"hello ${random}\"}",
        "env: {GREETING: \"hello ${name}\"}",
        &["7:23: unknown variable `${name}`; there is only `random`"],
    );
    expect(
        app,
        "    app:\n    other:\n",
        &["7:5: `other` and `app` both have no `image`; only one service is under test"],
    );
    expect(
        app,
        "    app: {image: 'nginx:1.26'}\n",
        &["5:3: every service has an `image`, so none runs what was handed in; leave it out of one of them"],
    );
    expect(
        "build: {dockerfile: Dockerfile}\n",
        "",
        &[
            "5:5: the service `app` has no `image`, so it runs what is built, and nothing is; add `build`",
            "12:5: this check needs a built image; add `build` to the exercise",
        ],
    );
}

/// In the stack, what types show: the first mistake is told. The checks then miss nothing of it.
#[test]
fn ill_typed_services() {
    for (to, expected) in [
        ("redy: {port: 8080}", "8:7: unknown key `redy`, did you mean `ready`?"),
        (
            "ready: {port: 8080, within: 10}",
            "8:35: `10` has no unit of time; write a number with a unit, such as `500ms`, `10s`, `2m` or `1m30s`",
        ),
        (
            "cap_add: [SYS_ADMIN]",
            "8:17: unknown word `SYS_ADMIN`; there are `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, \
             `NET_BIND_SERVICE`, `SETGID` and `SETUID`",
        ),
    ] {
        expect("ready: {port: 8080, within: 10s}", to, &[expected]);
    }
    expect(
        "ready: {port: 8080, within: 10s}",
        "tmpfs: {cache: 0}",
        &[
            "8:15: `cache` is not an absolute path",
            "8:15: a file system of no size cannot hold anything; give it a size such as `16MiB`",
        ],
    );
}

#[test]
fn limits() {
    let memory = "memory: 64MiB";
    expect(memory, "memory: 0", &["9:10: `limits.memory` is 0 bytes; it can be between 6 MiB and 64 GiB"]);
    expect(memory, "memory: 1TiB", &["9:10: `limits.memory` is 1 TiB; it can be between 6 MiB and 64 GiB"]);
    expect(
        memory,
        "memory: 64m",
        &[
            "9:18: `64m` is not a size; write a number with a unit, such as `256MiB`, `1.5GiB` or `64kB`, or a plain \
         number of bytes",
        ],
    );
    expect(memory, "cpus: 0", &["9:10: `limits.cpus` is 0; it can be between 0.01 and 64"]);
    expect(memory, "pids: 0", &["9:10: `limits.pids` is 0; it can be between 1 and 32768"]);
    expect(memory, "run_time: 2h", &["9:10: `limits.run_time` is 2 h; it can be between 1 s and 1 h"]);
    expect(memory, "build_time: 0s", &["9:10: `limits.build_time` is 0 s; it can be between 1 s and 1 h"]);
    expect(memory, "disks: 1GiB", &["9:10: unknown key `disks`, did you mean `disk`?"]);
}

#[test]
fn checks() {
    let hint = "    hint: EXPOSE writes it down.\n";
    let points = "    points: 2\n";
    expect(
        "- id: greets",
        "- id: Greets",
        &[
            "15:5: `Greets` is no id; use lower-case letters, digits, `-` and `_`, at most 64 of them",
            "21:31: unknown check `greets`, did you mean `Greets`?",
        ],
    );
    expect(
        "- id: greets\n    title: GET / greets\n",
        "- title: GET / greets\n",
        &[
            "15:5: a check needs an `id`, which reports and mutants name it by",
            "20:31: unknown check `greets`; there is only `exposed`",
        ],
    );
    expect("    title: GET / greets\n", "", &["15:5: a check needs a `title`: what must hold, for people"]);
    expect(points, "    points: 0\n", &["17:5: a check is worth between 1 and 100 points, this one 0"]);
    expect(points, "    points: -1\n", &["17:13: expected a whole number from 0 on, found the number `-1`"]);
    expect(points, "    pionts: 2\n", &["17:5: unknown key `pionts`, did you mean `points`?"]);
    expect(hint, "    hint:\n", &["14:5: a hint without text; write one, or leave the key out"]);
    expect(hint, "    hint: ''\n", &["14:5: a hint without text; write one, or leave the key out"]);
    expect(hint, "    hints: [one, '']\n", &["14:5: a hint without text; write one, or leave the key out"]);
    expect(hint, "    hint: one\n    hints: [two]\n", &["15:5: give `hint` or `hints`, not both"]);
    expect(hint, "    hint: {a: b}\n", &["14:11: expected a text or a list of texts, found a map"]);
    expect(
        hint,
        "    explain: see the docs\n",
        &["14:5: `explain` is the address of a page, `https://…`; found `see the docs`"],
    );
}

#[test]
fn duplicate_ids() {
    expect(
        "- id: greets",
        "- id: exposed",
        &[
            "15:5: the check id `exposed` is there twice, first in line 11",
            "21:31: unknown check `greets`; there is only `exposed`",
        ],
    );
}

#[test]
fn kinds() {
    let kinds: Vec<String> = drydock::checks::Kind::NAMES.iter().map(|name| format!("`{name}`")).collect();
    expect(
        "    points: 2\n",
        "    port: {port: 8080}\n",
        &["18:5: a check has one kind, and this one has `port` and `http`; make two of them"],
    );
    expect(
        "    image: {exposed_ports: [8080]}\n",
        "    imgae: {exposed_ports: [8080]}\n",
        &["13:5: unknown check kind `imgae`, did you mean `image`?"],
    );
    expect(
        "    image: {exposed_ports: [8080]}\n",
        "",
        &[&format!("11:5: this check names no kind; the kinds are {}", kinds.join(", "))],
    );
    expect(
        "  - id: exposed\n",
        "  - just a text\n  - id: exposed\n",
        &["11:5: a check is a map with an `id`, a `title` and a kind, found the text `just a text`"],
    );
}

#[test]
fn fields_of_kinds() {
    expect("status: 200", "stauts: 200", &["18:24: unknown key `stauts`, did you mean `status`?"]);
    expect(
        "http: {port: 8080",
        "http: {port: 80800",
        &["18:18: expected a whole number from 0 to 65535, found the number `80800`"],
    );
    expect("http: {port: 8080, ", "http: {", &["18:11: the key `port` is missing"]);
    expect(
        "http: {port: 8080, status: 200",
        "http: {prot: 8080, stauts: 200",
        &[
            "18:12: unknown key `prot`, did you mean `port`?",
            "18:24: unknown key `stauts`, did you mean `status`?",
        ],
    );
    expect(
        "http: {port: 8080",
        "http: {service: web, port: 8080",
        &["18:12: `service: web` is not in the stack; its services are app"],
    );
    expect(
        "contains: \"hello ${random}\"}}",
        "contains: \"hello ${user}\"}}",
        &["18:54: unknown variable `${user}`; there is only `random`"],
    );
}

#[test]
fn warnings_do_not_stand_in_the_way() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    let text = BASE.replace("fails: [greets]", "fails: [exposed]");
    fs::write(folder.join("exercise.yaml"), text).unwrap();
    assert!(Exercise::read(&folder).is_ok());
    assert_eq!(
        told(&folder),
        [
            "exercise.yaml:15:5: warning: no mutant fails the check `greets`, so nothing shows that it can fail",
        ]
    );
}

#[test]
fn mutants() {
    expect("fails: [greets]", "fails: [greet]", &["21:31: unknown check `greet`, did you mean `greets`?"]);
    expect(
        "fails: [greets]",
        "fails: []",
        &["21:3: the mutant `greeting-baked-in` names no check that it fails"],
    );
    expect("fails: [greets]", "fails: [greets, greets]", &["21:39: the check `greets` is named twice"]);
    expect(
        "because: the greeting is fixed",
        "because: ''",
        &["21:3: the mutant `greeting-baked-in` does not say what is wrong with it (`because`)"],
    );
    expect(
        "because: the greeting is fixed",
        "becuase: fixed",
        &["21:40: unknown key `becuase`, did you mean `because`?"],
    );
}

#[test]
fn files() {
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    fs::create_dir(folder.join("mutants/forgotten")).unwrap();
    fs::write(folder.join("mutants/notes.txt"), "x").unwrap();
    fs::remove_dir_all(folder.join("mutants/greeting-baked-in")).unwrap();
    fs::remove_dir_all(folder.join("solution")).unwrap();
    fs::write(folder.join("README.md"), b"\xff").unwrap();
    assert_eq!(
        told(&folder),
        [
            "exercise.yaml:21:3: the folder mutants/greeting-baked-in is missing; it holds the files laid over solution",
            "README.md: the file is not UTF-8 (from byte 0 on); save it as UTF-8",
            "solution: the folder is missing; it holds a submission that passes everything",
            "mutants/forgotten: no mutant of this name is declared in exercise.yaml; add it to `mutants`, with the checks \
         it fails",
            "mutants/notes.txt: only folders belong here, one for each mutant",
        ]
    );
    fs::create_dir(folder.join("solution")).unwrap();
    assert!(
        told(&folder)
            .contains(&"solution/Dockerfile: the file is missing; it is what `build` builds".to_owned())
    );
    fs::remove_file(folder.join("README.md")).unwrap();
    fs::write(folder.join("exercise.yaml"), b"title: \xff").unwrap();
    assert_eq!(
        told(&folder),
        [
            "exercise.yaml:1:8: the byte 0xFF is not UTF-8; save the file as UTF-8",
            "README.md: the file is missing; it is the statement that students read",
        ]
    );
    fs::remove_file(folder.join("exercise.yaml")).unwrap();
    assert_eq!(
        told(&folder)[1],
        "exercise.yaml: the file is missing; it says what is handed in, built and checked"
    );
    assert!(told(&folder.join("nowhere"))[0].contains("the exercise's folder cannot be opened"));
    fs::write(folder.join("file"), "").unwrap();
    assert!(told(&folder.join("file"))[0].contains("this is not a folder"));
}

const QUESTIONS: &str = "\
title: Questions
submit: [answers]
checks:
  - id: which
    title: Which
    choice:
      question: Which?
      options: [{id: a, text: A, right: true}, {id: b, text: B}]
  - id: why
    title: Why
    essay: {question: Why?, rubric: [{criterion: because, points: 3}]}
mutants:
  wrong: {fails: [which, why], because: all wrong}
";

#[test]
fn answers() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("questions");
    fs::create_dir_all(folder.join("solution")).unwrap();
    fs::create_dir_all(folder.join("mutants/wrong")).unwrap();
    fs::write(folder.join("README.md"), "Answer.").unwrap();
    fs::write(folder.join("exercise.yaml"), QUESTIONS).unwrap();
    let solution = folder.join("solution/answers.json");
    assert!(
        told(&folder)[0].starts_with("solution/answers.json: the file is missing; it has the right answers")
    );
    fs::write(&solution, r#"{"which": ["a"], "wy": "x"}"#).unwrap();
    assert_eq!(
        told(&folder),
        [
            "solution/answers.json: unknown question `wy`, did you mean `why`?",
            "solution/answers.json: there is no answer to `why`",
        ]
    );
    fs::write(&solution, r#"{"which": ["a"], "why": "because"}"#).unwrap();
    fs::write(folder.join("mutants/wrong/answers.json"), r#"{"which": ["b"]}"#).unwrap();
    assert_eq!(told(&folder), Vec::<String>::new());
    let exercise = Exercise::read(&folder).unwrap();
    assert_eq!(exercise.checks[1].points, 3, "an essay is worth what its rubric adds up to");
    fs::write(
        folder.join("exercise.yaml"),
        QUESTIONS.replace("    title: Why\n", "    title: Why\n    points: 2\n"),
    )
    .unwrap();
    assert_eq!(
        told(&folder),
        ["exercise.yaml:11:5: the rubric's points add up to 3, and the check is worth 2"]
    );
}
