//! Definitions as authors write them: what is read, what is refused, what is doubted.

use std::collections::BTreeSet;
use std::time::Duration;

use drydock::checks::{Kind, KindEntry, Surroundings, Tested};
use drydock::report::Phase;
use drydock::sandbox::{Restart, ServiceSpec, StackSpec};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::{kind, read};

fn around() -> Surroundings<'static> {
    Surroundings {
        composed: false,
        dockerfile: Some("Dockerfile"),
        services: vec!["app", "client"],
        stack: None,
        tested: Tested::Built,
        takes_files: true,
        takes_answers: true,
        run_time: Duration::from_secs(60),
    }
}

/// Every entry of every kind's examples, with the kind's fields.
fn examples() -> Vec<(&'static str, Value)> {
    let mut generator = schemars::SchemaGenerator::default();
    let fields = |name: &'static str, mut entry: Value| (name, entry[name].take());
    let entries = |entry: &KindEntry| {
        let list: Vec<Value> =
            drydock::yaml::parse(entry.manual.examples.as_bytes()).expect("YAML").read().expect("a list");
        list
    };
    Kind::entries(&mut generator)
        .iter()
        .flat_map(|entry| entries(entry).into_iter().map(|example| fields(entry.name, example)))
        .collect()
}

#[test]
fn examples_are_definitions_without_a_mistake() {
    for (name, fields) in examples() {
        let kind = kind(name, &fields);
        assert_eq!(kind.mistakes(&around()), Vec::<String>::new(), "{name}");
        assert!(kind.deadline() >= Duration::from_secs(10), "{name}");
    }
}

#[test]
fn phases_are_those_of_the_catalogue() {
    for (name, fields) in examples() {
        let phase = match name {
            "file" | "dockerfile" | "lint" | "dockerignore" | "pipeline" | "compose" | "repository"
            | "reference" | "saved_image" | "choice" | "short" | "essay" => Phase::Read,
            "image" | "image_file" | "image_size" | "layers" | "packages" | "cache" => Phase::Image,
            "stops" | "restarts" | "persists" | "survives" | "scales" => Phase::Disturb,
            "health" if fields.get("break").is_some() => Phase::Disturb,
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
        ("tcp", json!({"port": 7}), "asks nothing"),
        ("tcp", json!({"port": 0, "answer": "x"}), "no port"),
        ("tcp", json!({"port": 7, "until": "timeout"}), "asks nothing"),
        ("tcp", json!({"port": 7, "answer": {"matches": ".*"}}), "can never fail"),
        ("tcp", json!({"port": 7, "answer": {"absent": true}}), "can never pass"),
        ("tcp", json!({"port": 7, "answer": "x", "send": "a", "send_hex": "61"}), "two ways"),
        ("tcp", json!({"port": 7, "answer": "x", "send": "a\\q"}), "`send` has the escape `\\q`"),
        ("tcp", json!({"port": 7, "answer": "x", "send_hex": "616"}), "`send_hex` is not made of pairs"),
        ("tcp", json!({"port": 7, "answer": "x", "from": "db"}), "`from: db` is not in the stack"),
        ("dns", json!({"name": "client"}), "asks nothing"),
        ("dns", json!({"name": "client", "service": "client", "absent": true}), "cannot stand beside"),
        ("dns", json!({"name": "client", "service": "db"}), "`service: db` is not in the stack"),
        ("dns", json!({"name": "127.0.0.1", "absent": true}), "is an address"),
        ("dns", json!({"name": "a b", "absent": true}), "no name of a host"),
        ("dns", json!({"name": "app", "service": "app"}), "ask from another"),
        ("dns", json!({"name": "client", "from": "client", "absent": true}), "ask from another"),
        ("websocket", json!({"port": 0}), "no port"),
        ("websocket", json!({"port": 80, "path": "chat"}), "has to start with `/`"),
        ("websocket", json!({"port": 80, "headers": {"Upgrade": "x"}}), "belongs to the handshake"),
        ("websocket", json!({"port": 80, "headers": {"a": "b\nc"}}), "cannot be sent"),
        ("websocket", json!({"port": 80, "subprotocol": "a b"}), "no name of one"),
        ("websocket", json!({"port": 80, "status": 101}), "101 opens it"),
        ("websocket", json!({"port": 80, "status": {"at_least": 100}}), "101 opens it"),
        ("websocket", json!({"port": 80, "status": 403, "send": "a", "echo": true}), "nothing comes or goes"),
        ("websocket", json!({"port": 80, "echo": true}), "needs something to `send`"),
        ("websocket", json!({"port": 80, "send": "a"}), "nothing what comes back"),
        ("websocket", json!({"port": 80, "clients": 2}), "add `send`"),
        ("websocket", json!({"port": 80, "clients": 17, "send": "a"}), "not between 1 and 16"),
        ("websocket", json!({"port": 80, "clients": 2, "send": "a", "echo": true}), "is of one client"),
        ("websocket", json!({"port": 80, "receives": {"contains": ""}}), "can never fail"),
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
        ("health", json!({"healthy_within": "0s"}), "no time at all"),
        ("health", json!({"unhealthy_within": "1s"}), "add `break`"),
        ("health", json!({"recovers_within": "1s"}), "add `break`"),
        ("health", json!({"break": {}}), "takes one of"),
        ("health", json!({"break": {"freeze": true, "stop": "client"}}), "takes one of"),
        ("health", json!({"break": {"command": " "}}), "`break.command` is empty"),
        ("health", json!({"break": {"stop": "client", "repair": "true"}}), "mends itself"),
        ("health", json!({"break": {"command": "rm a"}, "recovers_within": "1s"}), "add `break.repair`"),
        ("health", json!({"break": {"stop": "db"}}), "`break.stop: db` is not in the stack"),
        ("health", json!({"break": {"pause": "app"}}), "is the service itself"),
        ("exit", json!({"code": {"at_least": 0}}), "can never fail"),
        ("stays_up", json!({"for": "0s"}), "no time at all"),
        ("stops", json!({"exit_code": 137}), "killed process"),
        ("mount", json!({"at": "data"}), "has to be an absolute path"),
        ("mount", json!({"at": "/data", "absent": true, "type": "volume"}), "cannot stand beside"),
        ("mount", json!({"at": "/tmp", "type": "tmpfs", "name": "x"}), "has no name"),
        ("mount", json!({"at": "/tmp", "type": "volume", "size": "1MiB"}), "write `type: tmpfs`"),
        ("limits", json!({}), "asks nothing"),
        ("limits", json!({"cpus": 0}), "can never pass"),
        ("limits", json!({"cpus": {"at_least": 0}}), "can never fail"),
        ("limits", json!({"cpus": {"at_least": 2, "at_most": 1}}), "can never pass"),
        ("limits", json!({"memory": {"at_least": 0}}), "can never fail"),
        ("network", json!({}), "asks nothing"),
        ("network", json!({"shared_by": ["app"]}), "at least two services"),
        ("network", json!({"apart": ["app", "db"]}), "`apart: db` is not in the stack"),
        ("network", json!({"apart": ["app", "app"]}), "names `app` twice"),
        ("reachable", json!({"to": "db", "port": 1}), "`to: db` is not in the stack"),
        ("reachable", json!({"from": "app", "to": "app", "port": 1}), "the same service"),
        ("reachable", json!({"to": "client", "port": 0}), "no port"),
        ("isolated", json!({}), "asks nothing"),
        ("isolated", json!({"to": "client"}), "needs the `port`"),
        ("isolated", json!({"port": 80}), "that `to` names"),
        ("isolated", json!({"from": "client", "to": "client", "port": 80}), "always reaches itself"),
        ("restarts", json!({"signal": "STOP"}), "is not one of KILL, TERM"),
        ("persists", json!({}), "writes nothing"),
        ("persists", json!({"path": "data"}), "has to be an absolute path"),
        ("persists", json!({"write": {"port": 80, "status": 201}}), "belong together"),
        ("persists", json!({"path": "/a", "read": {"port": 80, "status": 200}}), "cannot stand beside"),
        (
            "persists",
            json!({"write": {"port": 80}, "read": {"port": 80, "status": 200}}),
            "in `write`: this check asks nothing",
        ),
        ("survives", json!({}), "asks nothing"),
        ("survives", json!({"keeps": {}}), "in `keeps`: this is `http` or `tcp`"),
        ("survives", json!({"recovers": {"tcp": {"port": 0}}}), "in `recovers`: `port: 0` is no port"),
        ("scales", json!({"port": 80, "requests": 1}), "can be between 2 and 200"),
        ("scales", json!({"port": 80, "path": "x"}), "has to start with `/`"),
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
        ("short", json!({"question": "Q", "number": {"value": 1, "units": {"GiB": 1024}}}), "needs a `unit`"),
        ("short", json!({"question": "Q", "number": {"value": 1, "unit": "3s"}}), "cannot be a unit"),
        (
            "short",
            json!({"question": "Q", "number": {"value": 1, "unit": "s", "units": {"min": 0}}}),
            "more than 0 of `unit`",
        ),
        (
            "short",
            json!({"question": "Q", "number": {"value": 1, "unit": "s", "units": {"s": 1}}}),
            "which is the `unit`",
        ),
        ("essay", json!({"question": "Q", "rubric": []}), "`rubric` is empty"),
        (
            "essay",
            json!({"question": "Q", "pass": 3, "rubric": [{"criterion": "C", "points": 2}]}),
            "can never pass: the rubric's points add up to 2",
        ),
        (
            "essay",
            json!({"question": "Q", "pass": 0, "rubric": [{"criterion": "C", "points": 2}]}),
            "can never fail",
        ),
        ("essay", json!({"question": "Q", "rubric": [{"criterion": "C", "points": 0}]}), "worth 0 points"),
    ];
    for (name, fields, sentence) in cases {
        let mistakes = kind(name, &fields).mistakes(&around());
        assert!(mistakes.iter().any(|mistake| mistake.contains(sentence)), "{name} {fields}: {mistakes:?}");
    }
}

#[test]
fn what_the_stack_cannot_show_is_a_mistake() {
    let one = |service: ServiceSpec| StackSpec {
        services: IndexMap::from([("app".to_owned(), service)]),
        ..StackSpec::default()
    };
    let told = |stack: &StackSpec, name: &str, fields: &Value| {
        let around = Surroundings { stack: Some(stack), services: vec!["app"], ..around() };
        kind(name, fields).mistakes(&around).join("\n")
    };
    let plain = one(ServiceSpec::default());
    let many = one(ServiceSpec { replicas: 4, restart: Restart::Always, ..ServiceSpec::default() });
    assert!(told(&plain, "restarts", &json!({})).contains("can never pass"));
    assert_eq!(told(&many, "restarts", &json!({})), "");
    assert!(told(&plain, "scales", &json!({"port": 80})).contains("can never fail"));
    assert!(told(&many, "scales", &json!({"port": 80, "requests": 3})).contains("can never pass"));
    assert_eq!(told(&many, "scales", &json!({"port": 80})), "");
    let keeps = json!({"keeps": {"tcp": {"port": 80}}});
    assert!(told(&plain, "survives", &keeps).contains("`app` is itself down then"));
    let network = told(&plain, "network", &json!({"name": "frnot", "internal": true}));
    assert_eq!(network, "unknown network `frnot`; there is only `default`");
}

#[test]
fn networks_of_a_compose_file_are_asked_by_name_and_without_a_service() {
    let composed = Surroundings { composed: true, services: Vec::new(), stack: None, ..around() };
    let told = |fields: &Value| kind("network", fields).mistakes(&composed).join("\n");
    assert_eq!(told(&json!({"name": "front", "driver": "bridge", "shared_by": ["proxy", "shop"]})), "");
    assert_eq!(told(&json!({"apart": ["proxy", "db"]})), "");
    assert!(told(&json!({"driver": "bridge"})).contains("add its `name`"));
    assert!(told(&json!({"name": "back", "internal": true})).contains("ask the compose file itself"));
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
        let once: BTreeSet<&String> = mistakes.iter().collect();
        assert_eq!(once.len(), mistakes.len(), "{name} says something twice: {mistakes:?}");
    }
}

#[test]
fn every_kind_has_a_schema_with_described_fields() {
    let mut generator = schemars::SchemaGenerator::default();
    let entries = Kind::entries(&mut generator);
    let definitions = generator.take_definitions(true);
    assert_eq!(entries.iter().map(|kind| kind.name).collect::<Vec<_>>(), Kind::NAMES);
    for kind in entries {
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
