//! Definitions as authors write them: what is read, what is refused, what is doubted.

use std::time::Duration;

use drydock::checks::{Kind, Surroundings};
use drydock::report::Phase;
use serde_json::{Value, json};

use crate::{kind, read};

fn around() -> Surroundings<'static> {
    Surroundings {
        dockerfile: Some("Dockerfile"),
        services: vec!["app", "client"],
        takes_files: true,
        takes_answers: true,
        run_time: Duration::from_secs(60),
    }
}

/// A definition of every kind with every field that can stand beside the others.
fn examples() -> Vec<(&'static str, Value)> {
    let option = |id: &str, right: bool| json!({"id": id, "text": id, "right": right, "feedback": "because"});
    vec![
        (
            "file",
            json!({"path": "a", "kind": "file", "content": "x", "mode": "0644", "size": {"at_most": "1kB"}}),
        ),
        (
            "dockerfile",
            json!({
                "path": "Dockerfile", "uses": ["RUN", {"instruction": "COPY", "arguments": {"contains": "x"}, "flags": {"contains": "--from"}, "stage": "final", "count": 1}],
                "uses_not": ["ADD"], "stages": 2, "stage_names": ["build"],
                "base": {"allowed": ["a:1"], "pinned": "tag", "stage": "final"}, "exec_form": ["CMD", "ENTRYPOINT"],
                "copies_from": ["build"], "runs_as": {"not": "root"}, "order": ["COPY", "RUN"],
            }),
        ),
        (
            "lint",
            json!({"path": "Dockerfile", "none_of": ["DL3006", "StageNameCasing"], "at_most": {"warning": 0}}),
        ),
        (
            "reference",
            json!({"file": "reference.txt", "registry": "ghcr.io", "repository": {"matches": "/app$"}, "tag": {"not": "latest"}, "digest": {"absent": true}}),
        ),
        ("reference", json!({"question": "Q", "tag": "1"})),
        ("saved_image", json!({"file": "image.tar", "tag": "app:1", "platform": {"contains": "arm64"}})),
        (
            "image",
            json!({
                "env": {"A": "b"}, "labels": {"a": {"absent": true}}, "exposed_ports": [80], "volumes": {"absent": true},
                "entrypoint": ["a"], "cmd": {"absent": true}, "workdir": "/", "user": {"not": "root"},
                "healthcheck": {"contains": "x"}, "stop_signal": "SIGTERM", "architecture": "amd64", "os": "linux",
            }),
        ),
        (
            "image_file",
            json!({
                "path": "/a", "kind": "file", "content": "x", "mode": {"lacks": "0002"}, "owner": "root", "group": 0,
                "executable_by": "everyone", "not_executable_by": "app", "size": {"at_least": 1},
            }),
        ),
        (
            "image_size",
            json!({
                "bytes": {"at_most": "40MiB"}, "layers": {"at_most": 5}, "efficiency": {"at_least": 0.9},
                "wasted_bytes": {"at_most": "1MB"}, "user_wasted_percent": {"at_most": "10%"},
            }),
        ),
        ("layers", json!({"lacks": "${random}"})),
        (
            "layers",
            json!({"lacks": [{"contains": "hunter2"}, {"matches": "AKIA[0-9A-Z]{16}"}], "no_secret_names": true, "no_secret_files": true, "allowed": ["/srv/.env"]}),
        ),
        (
            "packages",
            json!({"present": ["curl", {"name": "openssl", "version": {"at_least": "3.0", "at_most": "4"}}], "absent": ["gcc", {"matches": "-dev$"}]}),
        ),
        (
            "cache",
            json!({"touch": "app.py", "cached": [2, {"contains": "pip install"}], "rebuilt": ["COPY . ."]}),
        ),
        (
            "http",
            json!({
                "service": "app", "from": "client", "port": 80, "method": "POST", "path": "/a?b=${random}", "host": "x",
                "send": {"headers": {"a": "b"}, "json": {"a": 1}}, "status": [200, 201],
                "headers": {"content-type": {"contains": "json"}}, "body": {"json": {"/a": 1}}, "time": "1s", "within": "3s",
            }),
        ),
        ("http", json!({"port": 80, "send": {"body": "x"}, "redirect": "/login"})),
        (
            "port",
            json!({"service": "app", "port": 80, "protocol": "udp", "state": "open", "address": "any", "within": "1s"}),
        ),
        ("env", json!({"service": "app", "variables": {"A": {"absent": true}}})),
        (
            "command",
            json!({
                "service": "app", "run": ["a", 1], "env": {"A": 1}, "user": 0, "workdir": "/", "stdin": "x", "within": "5s",
                "exit_code": 0, "stdout": "x", "stderr": "",
            }),
        ),
        ("command", json!({"fresh": true, "args": ["a"], "entrypoint": ["b"], "stdout": "x"})),
        (
            "logs",
            json!({"service": "app", "stdout": "a", "stderr": "b", "output": {"contains": "c"}, "absent": {"contains": "d"}, "within": "1s"}),
        ),
        (
            "process",
            json!({
                "service": "app", "name": "python", "argv": {"contains": "x"}, "shell": false, "uid": {"not": "root"}, "gid": 5,
                "capabilities": {"absent": true}, "namespaces": {"with": "client", "shared": ["net"], "separate": ["pid"]},
            }),
        ),
        ("exit", json!({"service": "app", "code": {"not": 0}, "within": "1s"})),
        ("stays_up", json!({"service": "app", "for": "1s"})),
        ("stops", json!({"service": "app", "within": "3s", "exit_code": 0})),
        (
            "choice",
            json!({"question": "Q", "options": [option("a", true), option("b", false)], "several": true}),
        ),
        (
            "short",
            json!({"question": "Q", "accepts": ["a"], "matches": "a+", "case_sensitive": true, "exact_spaces": true}),
        ),
        ("short", json!({"question": "Q", "number": {"value": 1, "tolerance": 0.5}})),
        ("essay", json!({"question": "Q", "minimum_words": 5, "rubric": [{"criterion": "C", "points": 2}]})),
    ]
}

#[test]
fn every_kind_has_an_example_that_is_read_without_a_mistake() {
    for (name, fields) in examples() {
        let kind = kind(name, &fields);
        assert_eq!(kind.name(), name);
        assert_eq!(kind.mistakes(&around()), Vec::<String>::new(), "{name}");
        assert!(kind.deadline() >= Duration::from_secs(10), "{name}");
    }
    let mut names: Vec<&str> = examples().iter().map(|(name, _)| *name).collect();
    names.dedup();
    assert_eq!(names, Kind::NAMES);
}

#[test]
fn phases_are_those_of_the_catalogue() {
    for (name, fields) in examples() {
        let phase = match name {
            "file" | "dockerfile" | "lint" | "reference" | "saved_image" | "choice" | "short" | "essay" => {
                Phase::Read
            }
            "image" | "image_file" | "image_size" | "layers" | "packages" | "cache" => Phase::Image,
            "stops" => Phase::Disturb,
            _ => Phase::Run,
        };
        assert_eq!(kind(name, &fields).phase(), phase, "{name}");
    }
}

#[test]
fn an_unknown_kind_or_key_is_named_with_what_was_meant() {
    let error = read("htp", &json!({})).expect_err("unknown");
    assert!(
        error.starts_with(
            "there is no check kind `htp` (did you mean `http`?); the kinds are file, dockerfile,"
        ),
        "{error}"
    );
    assert!(!read("teleport", &json!({})).expect_err("unknown").contains("did you mean"));
    for (name, fields) in examples() {
        let mut fields = fields;
        fields["sevrice"] = json!("app");
        let error = read(name, &fields).expect_err("unknown key");
        assert!(error.contains("unknown field `sevrice`"), "{name}: {error}");
    }
}

#[test]
fn what_could_never_work_is_a_mistake() {
    let option = |id: &str, text: &str, right: bool| json!({"id": id, "text": text, "right": right});
    let cases = [
        ("file", json!({"path": ""}), "`path` is empty"),
        ("file", json!({"path": "../x"}), "has to lie inside"),
        ("file", json!({"path": "/x"}), "has to lie inside"),
        ("file", json!({"path": "x", "absent": true, "size": 1}), "cannot stand beside"),
        ("file", json!({"path": "x", "kind": "directory", "content": "x"}), "are of a file"),
        ("file", json!({"path": "x", "content": {"contains": ""}}), "can never fail"),
        ("file", json!({"path": "x", "size": {"at_least": 0}}), "can never fail"),
        ("dockerfile", json!({}), "asks nothing"),
        ("dockerfile", json!({"order": ["RUN"]}), "at least two"),
        ("dockerfile", json!({"order": [{"instruction": "RUN", "stage": "a"}, "CMD"]}), "leave `stage` out"),
        ("dockerfile", json!({"uses_not": [{"instruction": "RUN", "count": 1}]}), "takes no `count`"),
        ("dockerfile", json!({"uses": [{"instruction": "RUN", "count": {"at_least": 0}}]}), "can never fail"),
        ("dockerfile", json!({"stages": {"at_least": 1}}), "can never fail"),
        ("dockerfile", json!({"base": {}}), "`base` asks nothing"),
        ("dockerfile", json!({"base": {"allowed": [{"matches": ".*"}]}}), "can never fail"),
        ("image", json!({}), "asks nothing"),
        ("image", json!({"env": {"A=B": "x"}}), "a name that cannot be one"),
        ("image", json!({"exposed_ports": []}), "empty list"),
        ("image", json!({"cmd": []}), "empty list"),
        ("image", json!({"workdir": {"absent": true}}), "can never pass"),
        ("image_file", json!({"path": "a"}), "has to be absolute"),
        ("image_file", json!({"path": "/a", "absent": true, "mode": "0644"}), "cannot stand beside"),
        ("image_file", json!({"path": "/a", "kind": "file", "link_target": "b"}), "wants something else"),
        (
            "image_file",
            json!({"path": "/a", "executable_by": "app", "not_executable_by": "app"}),
            "contradict",
        ),
        ("reference", json!({"tag": "1"}), "where the reference is"),
        ("reference", json!({"file": "a", "question": "Q", "tag": "1"}), "cannot stand beside"),
        ("reference", json!({"file": "/a", "tag": "1"}), "has to lie inside"),
        ("reference", json!({"file": "a"}), "asks nothing"),
        ("reference", json!({"file": "a", "registry": {"absent": true}}), "can never pass"),
        ("image_size", json!({}), "asks nothing"),
        ("image_size", json!({"layers": {"at_least": 0}}), "can never fail"),
        ("image_size", json!({"efficiency": {"at_least": 0}}), "can never fail"),
        ("image_size", json!({"efficiency": {}}), "asks nothing"),
        ("image_size", json!({"efficiency": {"at_least": 0.9, "at_most": "80%"}}), "can never pass"),
        ("image_size", json!({"bytes": {"at_least": 0}}), "can never fail"),
        ("saved_image", json!({"file": "../image.tar"}), "has to lie inside"),
        ("saved_image", json!({"tag": {"contains": ""}}), "can never fail"),
        ("layers", json!({}), "asks nothing"),
        ("layers", json!({"lacks": []}), "can never fail"),
        ("layers", json!({"lacks": "abc"}), "too short"),
        ("layers", json!({"lacks": {"matches": ".*"}}), "can never pass"),
        ("layers", json!({"lacks": "canary", "allowed": ["x"]}), "neither is asked"),
        ("cache", json!({"touch": "a"}), "asks nothing"),
        ("cache", json!({"touch": "/a", "cached": [1]}), "has to lie inside"),
        ("cache", json!({"touch": "a", "cached": [3], "rebuilt": [2, 3]}), "can never pass"),
        ("cache", json!({"touch": "a", "rebuilt": [{"contains": ""}]}), "can never fail"),
        ("packages", json!({}), "asks nothing"),
        ("packages", json!({"present": ["a b"]}), "cannot be a package's name"),
        (
            "packages",
            json!({"present": ["libc-dev"], "absent": [{"matches": "-dev$"}]}),
            "present and absent",
        ),
        ("packages", json!({"present": [{"name": "a", "version": "new"}]}), "no version"),
        (
            "packages",
            json!({"present": [{"name": "a", "version": {"at_least": "2", "at_most": "1.9"}}]}),
            "can never pass",
        ),
        ("packages", json!({"absent": [""]}), "can never fail"),
        ("http", json!({"port": 80}), "asks nothing"),
        ("http", json!({"port": 0, "status": 200}), "no port"),
        (
            "http",
            json!({"port": 80, "status": 200, "service": "db"}),
            "`service: db` is not in the stack; its services are app, client",
        ),
        ("http", json!({"port": 80, "status": 200, "from": "db"}), "`from: db` is not in the stack"),
        ("http", json!({"port": 80, "status": 99}), "can never be 99"),
        ("http", json!({"port": 80, "status": 200, "path": "x"}), "has to start with `/`"),
        ("http", json!({"port": 80, "status": 200, "path": "/a#b"}), "fragment"),
        ("http", json!({"port": 80, "status": 200, "method": "get"}), "no HTTP method"),
        (
            "http",
            json!({"port": 80, "status": 200, "send": {"headers": {"a": "b\r\nc: d"}}}),
            "cannot be sent",
        ),
        (
            "http",
            json!({"port": 80, "status": 200, "send": {"body": "a", "json": 1}}),
            "only one can be sent",
        ),
        ("http", json!({"port": 80, "status": 200, "redirect": "/"}), "contradicts"),
        ("http", json!({"port": 80, "method": "HEAD", "body": "x"}), "no body"),
        ("http", json!({"port": 80, "status": 200, "within": "0s"}), "no time at all"),
        (
            "http",
            json!({"port": 80, "status": 200, "time": "2m"}),
            "longer than everything may run together (1 min)",
        ),
        ("port", json!({"port": 0}), "no port"),
        ("port", json!({"port": 1, "state": "closed", "address": "any"}), "`address` is of an open port"),
        ("env", json!({}), "asks nothing"),
        ("env", json!({"variables": {"": "x"}}), "a name that cannot be one"),
        ("command", json!({"exit_code": 0}), "nothing to run"),
        ("command", json!({"run": []}), "nothing to run"),
        ("command", json!({"run": "x"}), "asks nothing"),
        ("command", json!({"run": "x", "args": ["a"], "exit_code": 0}), "are for `fresh: true`"),
        ("command", json!({"fresh": true, "run": "x", "exit_code": 0}), "write `args`"),
        ("command", json!({"fresh": true, "service": "app", "exit_code": 0}), "leave `service` out"),
        ("command", json!({"run": "x", "exit_code": 256}), "can never be 256"),
        ("command", json!({"run": "x", "stdout": {"absent": true}}), "can never pass"),
        ("logs", json!({}), "asks nothing"),
        ("logs", json!({"stdout": {"matches": ""}}), "can never fail"),
        ("process", json!({}), "asks nothing"),
        ("process", json!({"shell": true}), "can only be `false`"),
        ("process", json!({"uid": "app"}), "is no number"),
        ("process", json!({"name": "/usr/bin/x"}), "without its folder"),
        ("process", json!({"namespaces": {"with": "client"}}), "asks nothing"),
        ("process", json!({"namespaces": {"with": "db", "shared": ["net"]}}), "is not in the stack"),
        (
            "process",
            json!({"namespaces": {"with": "client", "shared": ["net"], "separate": ["net"]}}),
            "both",
        ),
        ("exit", json!({"code": {"at_least": 0}}), "can never fail"),
        ("stays_up", json!({"for": "0s"}), "no time at all"),
        ("stops", json!({"exit_code": 137}), "killed process"),
        (
            "choice",
            json!({"question": "", "options": [option("a", "A", true), option("b", "B", false)]}),
            "`question` is empty",
        ),
        ("choice", json!({"question": "Q", "options": [option("a", "A", true)]}), "at least two"),
        (
            "choice",
            json!({"question": "Q", "options": [option("a", "A", true), option("a", "B", false)]}),
            "two options have the id `a`",
        ),
        (
            "choice",
            json!({"question": "Q", "options": [option("a b", "A", true), option("b", "", false)]}),
            "may only have letters",
        ),
        (
            "choice",
            json!({"question": "Q", "options": [option("a", "A", false), option("b", "B", false)]}),
            "no option is right",
        ),
        (
            "choice",
            json!({"question": "Q", "options": [option("a", "A", true), option("b", "B", true)]}),
            "write `several: true`",
        ),
        ("short", json!({"question": "Q"}), "no answer is right"),
        ("short", json!({"question": "Q", "accepts": [" "]}), "never accepted"),
        ("short", json!({"question": "Q", "matches": ".*"}), "can never fail"),
        ("short", json!({"question": "Q", "accepts": ["1"], "number": {"value": 1}}), "cannot stand beside"),
        ("short", json!({"question": "Q", "number": {"value": 1, "tolerance": -1}}), "not negative"),
        ("essay", json!({"question": "Q", "rubric": []}), "`rubric` is empty"),
        ("essay", json!({"question": "Q", "rubric": [{"criterion": "C", "points": 0}]}), "worth 0 points"),
    ];
    for (name, fields, sentence) in cases {
        let mistakes = kind(name, &fields).mistakes(&around());
        assert!(mistakes.iter().any(|mistake| mistake.contains(sentence)), "{name} {fields}: {mistakes:?}");
    }
}

#[test]
fn a_check_without_what_it_looks_at_is_a_mistake() {
    let nothing = Surroundings { run_time: Duration::from_secs(60), ..Surroundings::default() };
    for (name, fields) in examples() {
        let kind = kind(name, &fields);
        let wanted = match kind.phase() {
            Phase::Image => "add `build` to the exercise",
            Phase::Read if kind.question().is_some() => "add `answers` to `submit`",
            Phase::Read => "needs files",
            _ if fields.get("fresh").is_some() => "add `build` to the exercise",
            _ => "add a `stack` with services",
        };
        let mistakes = kind.mistakes(&nothing);
        assert!(mistakes.iter().any(|mistake| mistake.contains(wanted)), "{name}: {mistakes:?}");
    }
}

#[test]
fn every_kind_has_a_schema_with_described_fields() {
    let mut generator = schemars::SchemaGenerator::default();
    let schemas = Kind::schemas(&mut generator);
    let definitions = generator.take_definitions(true);
    assert_eq!(schemas.iter().map(|kind| kind.name).collect::<Vec<_>>(), Kind::NAMES);
    for kind in schemas {
        let reference = kind.schema.as_value()["$ref"].as_str().expect("a shared definition").to_owned();
        let name = reference.rsplit('/').next().expect("a name");
        let schema = &definitions[name];
        assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        for (field, property) in schema["properties"].as_object().expect("fields") {
            assert!(property.get("description").is_some(), "{name}.{field} is not described");
        }
    }
}
