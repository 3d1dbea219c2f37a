//! What the manual says of each kind: true of the code, whole, and fit to be copied.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use drydock::checks::{Kind, KindEntry};
use drydock::exercises::Exercise;
use drydock::report::Phase;
use drydock::submissions::{Content, ContentLimits};
use serde_json::{Map, Value, json};

/// Every kind with the descriptions of its fields.
fn entries() -> Vec<(KindEntry, Value)> {
    let mut generator = schemars::SchemaGenerator::default();
    let entries = Kind::entries(&mut generator);
    let definitions = generator.take_definitions(true);
    let own = |entry: &KindEntry| {
        let reference = entry.schema.as_value()["$ref"].as_str().expect("a shared definition");
        definitions[reference.rsplit('/').next().expect("a name")].clone()
    };
    entries.into_iter().map(|entry| (own(&entry), entry)).map(|(own, entry)| (entry, own)).collect()
}

fn list(entry: &KindEntry) -> Vec<Map<String, Value>> {
    drydock::yaml::parse(entry.manual.examples.as_bytes()).expect("YAML").read().expect("a list of checks")
}

/// What is around the examples: an exercise that builds, runs two services and takes what is asked for.
fn exercise(entry: &KindEntry) -> Content {
    let asked = |check: &&Map<String, Value>| check[entry.name].get("question").is_some();
    let id =
        |check: &Map<String, Value>| (check["id"].as_str().expect("a text").to_owned(), json!("an answer"));
    let answers: Map<String, Value> = list(entry).iter().filter(asked).map(id).collect();
    let submit = if answers.is_empty() { "[upload]" } else { "[upload, answers]" };
    let definition = format!(
        "title: Examples\nsubmit: {submit}\nbuild: {{}}\n\
         stack: {{services: {{app: {{restart: always, replicas: 2}}, client: {{image: \"busybox:1.37\"}}}}}}\nchecks:\n{}",
        entry.manual.examples
    );
    let mut files = vec![
        ("exercise.yaml".to_owned(), Bytes::from(definition)),
        ("README.md".to_owned(), Bytes::from("# Examples\n")),
        ("solution/Dockerfile".to_owned(), Bytes::from("FROM busybox:1.37\n")),
    ];
    if !answers.is_empty() {
        files.push(("solution/answers.json".to_owned(), Bytes::from(Value::from(answers).to_string())));
    }
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 10 };
    Content::from_files(files, &limits).expect("good files")
}

#[test]
fn examples_can_be_copied_into_an_exercise() {
    for (entry, _) in entries() {
        let read = Exercise::from_content("examples", &exercise(&entry));
        let exercise = read.unwrap_or_else(|mistakes| panic!("{}: {mistakes:#?}", entry.name));
        assert!(!exercise.checks.is_empty(), "{} has no example", entry.name);
        for check in &exercise.checks {
            assert_eq!(check.kind.name(), entry.name, "{} has an example of another kind", entry.name);
            assert!(!check.title.ends_with('.'), "{}: a title is no sentence: {}", entry.name, check.title);
        }
    }
}

#[test]
fn examples_run_in_every_phase_that_is_told() {
    for (entry, _) in entries() {
        let exercise = Exercise::from_content("examples", &exercise(&entry)).expect("good examples");
        let run: BTreeSet<Phase> = exercise.checks.iter().map(|check| check.kind.phase()).collect();
        let told: BTreeSet<Phase> =
            std::iter::once(entry.phase).chain(entry.also.map(|(phase, _)| phase)).collect();
        assert_eq!(run, told, "{}", entry.name);
    }
}

#[test]
fn examples_have_every_field() {
    for (entry, schema) in entries() {
        let examples = list(&entry);
        for field in schema["properties"].as_object().expect("fields").keys() {
            assert!(
                examples.iter().any(|example| example[entry.name].get(field).is_some()),
                "no example in src/checks/{}.yaml has `{field}`",
                entry.name
            );
        }
    }
}

#[test]
fn examples_fit_on_a_page() {
    for (entry, _) in entries() {
        for line in entry.manual.examples.lines() {
            assert!(line.len() <= 130, "a long line in src/checks/{}.yaml: {line}", entry.name);
        }
    }
}

#[test]
fn evidence_has_the_titles_that_students_see() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks");
    let sources = sources(&folder);
    for (entry, _) in entries() {
        for (title, shows) in entry.manual.evidence {
            assert!(!shows.is_empty() && !shows.ends_with('.'), "{}: {shows}", entry.name);
            if title.starts_with(char::is_uppercase) {
                let used = sources.contains(&joined(&format!("proof(\"{title}\",")));
                assert!(used, "no check has evidence of the title “{title}”, which {} names", entry.name);
            }
        }
    }
}

#[test]
fn every_kind_says_how_it_fails() {
    for (entry, _) in entries() {
        assert!(!entry.manual.fails.is_empty(), "{} does not say how it fails", entry.name);
        for phrase in entry.manual.fails {
            assert!(
                !phrase.ends_with('.') && phrase.starts_with(char::is_lowercase),
                "{}: “It fails when {phrase}” is no phrase",
                entry.name
            );
        }
    }
}

/// The code of a folder, without white space.
fn sources(folder: &Path) -> String {
    let inside =
        fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("it can be").path());
    inside
        .map(
            |path| {
                if path.is_dir() { sources(&path) } else { joined(&fs::read_to_string(&path).expect("text")) }
            },
        )
        .collect()
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect()
}
