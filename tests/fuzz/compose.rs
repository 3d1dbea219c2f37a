//! Compose files: any YAML of their keys, any damage to real ones, any text in the place of a value.

use bytes::Bytes;
use drydock::submissions::compose::{Kind, Options, read};
use drydock::submissions::{Content, ContentLimits};
use proptest::prelude::*;

use super::seeds::{cases, each};

fn look(files: Vec<(String, Bytes)>) {
    let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 1000 };
    let Ok(content) = Content::from_files(files, &limits) else { return };
    let reading = read(&content, &Options { name: "any".into(), ..Options::default() });
    assert!(reading.findings.len() <= 101);
    for finding in &reading.findings {
        assert!(!finding.message.is_empty() && !finding.rule.is_empty());
        assert!(finding.kind == Kind::Unreadable || !finding.origin.file.is_empty());
    }
    let _ = serde_json::to_string(&reading).expect("a reading is JSON");
    let project = &reading.project;
    if reading.runs() {
        assert!(!project.services.is_empty());
        assert_eq!(project.start_order().len(), project.services.len());
        for service in project.services.values() {
            assert!(service.image.is_some() || service.build.is_some());
            assert!(service.networks.keys().all(|name| project.networks.contains_key(name)));
            for path in service.build.iter().map(|build| build.context.as_str()) {
                assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
            }
        }
    }
}

fn file(name: &str, text: impl Into<String>) -> (String, Bytes) {
    (name.to_owned(), Bytes::from(text.into()))
}

/// `.env` and a file that is included, extended and used for variables, so that each way is taken.
fn project(compose: String) -> Vec<(String, Bytes)> {
    vec![
        file("compose.yaml", compose),
        file("a.yaml", "services: {a: {image: x, build: ., volumes: ['./a:/a']}, b: {extends: a}}\n"),
        file("a", "A=1\nB=${A}\n"),
        file(".env", "A=1\nB=\nC=${A:-x}\n"),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "services",
        "networks",
        "volumes",
        "secrets",
        "configs",
        "include",
        "name",
        "version",
        "x-a",
        "a",
        "b",
        "image",
        "build",
        "context",
        "dockerfile",
        "dockerfile_inline",
        "args",
        "target",
        "additional_contexts",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "path",
        "required",
        "format",
        "ports",
        "published",
        "expose",
        "source",
        "type",
        "bind",
        "tmpfs",
        "size",
        "mode",
        "read_only",
        "depends_on",
        "condition",
        "restart",
        "healthcheck",
        "test",
        "interval",
        "retries",
        "deploy",
        "resources",
        "limits",
        "memory",
        "cpus",
        "pids",
        "replicas",
        "restart_policy",
        "extends",
        "file",
        "service",
        "profiles",
        "labels",
        "label_file",
        "network_mode",
        "aliases",
        "ipv4_address",
        "ipam",
        "config",
        "subnet",
        "driver",
        "driver_opts",
        "external",
        "internal",
        "extra_hosts",
        "ulimits",
        "nofile",
        "soft",
        "hard",
        "cap_add",
        "security_opt",
        "pid",
        "privileged",
        "logging",
        "links",
        "content",
        "dns",
        "scale",
        "<<",
        "!reset",
        "project_directory",
        "post_start",
        "mem_limit",
        "container_name",
        "volumes_from",
    ])
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "a",
        "b",
        "a.yaml",
        "x",
        ".",
        "..",
        "/",
        "~",
        "./a:/a",
        "a:/b:ro",
        "80:80",
        "1-3:4-6",
        "80/udp",
        "::1:1:1",
        "$A",
        "${A}",
        "${A:-b}",
        "${A:?b}",
        "${",
        "$$",
        "${A:-${B:+c}}",
        "1s",
        "1m30s",
        "10",
        "64m",
        "1.5",
        "true",
        "no",
        "default",
        "bridge",
        "host",
        "none",
        "service:a",
        "container:a",
        "service_healthy",
        "always",
        "on-failure:3",
        "volume",
        "A=1",
        "A",
        "=",
        "a=10.0.0.1",
        "10.0.0.0/8",
        "10.0.0.1",
        "CMD",
        "NONE",
        "echo 'a b' \"c",
        "a && b",
        "https://a/b",
        "git@a:b",
        "é\u{202e}",
        "\u{0}",
        "a\nb",
        "x-a",
        "syslog",
        "local",
    ])
}

fn node() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => any::<i64>().prop_map(serde_json::Value::from),
        1 => (-1e3..1e3).prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|entries| {
                serde_json::Value::Object(
                    entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect(),
                )
            }),
        ]
    })
}

/// The compose files of the corpus.
fn corpus() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/projects");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("projects")
        .map(|entry| std::fs::read_to_string(entry.expect("a file").path()).expect("text"))
        .filter_map(|text| Some(text.split_once("-- compose.yaml --\n")?.1.split("\n-- ").next()?.to_owned()))
        .collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_tree_is_read_or_refused(root in node(), services in prop::collection::vec((key(), node()), 0..8)) {
        look(project(root.to_string()));
        let service: serde_json::Map<_, _> =
            services.into_iter().map(|(key, node)| (key.to_owned(), node)).collect();
        let whole = serde_json::json!({"services": {"a": service, "b": {"image": "x", "depends_on": ["a"]}}});
        look(project(whole.to_string()));
        let mut files = project("services: {a: {image: x, ports: ['80'], environment: {A: 1}}}\n".into());
        files.push(file("compose.override.yaml", whole.to_string()));
        look(files);
    }

    #[test]
    fn any_value_is_read_or_refused(key in key(), value in "\\PC{0,40}", other in text()) {
        let service = serde_json::json!({"image": "x", key: value, "labels": [other]});
        look(project(serde_json::json!({"services": {"a": service}}).to_string()));
        look(vec![file("compose.yaml", "services: {a: {image: x, env_file: e}}\n"), file("e", value.clone()), file(".env", value)]);
    }

    #[test]
    fn any_damage_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, text()), 1..4),
    ) {
        let corpus = corpus();
        let mut lines: Vec<String> = which.get(&corpus).lines().map(str::to_owned).collect();
        for (at, how, text) in cuts {
            if lines.is_empty() {
                break;
            }
            let at = at.index(lines.len());
            match how {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at] = format!("  {}", lines[at]),
                _ => lines[at] = format!("{}{text}", lines[at]),
            }
        }
        look(project(lines.join("\n")));
    }
}

#[test]
fn kept_inputs_are_read_or_refused() {
    each("compose", |_, bytes| {
        look(vec![("compose.yaml".to_owned(), Bytes::copy_from_slice(bytes)), file("a", "A=1\n")]);
    });
}
