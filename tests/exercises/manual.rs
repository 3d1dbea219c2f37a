//! The manual of the check kinds: complete, and true of the types that it is made from.

use std::collections::BTreeSet;
use std::process::Command;

use drydock::checks::Kind;
use drydock::exercises::Handbook;
use drydock::exercises::definition::COMMON_KEYS;
use drydock::exercises::manual::{Field, anchor};

fn field<'h>(handbook: &'h Handbook, kind: &str, path: &str) -> &'h Field {
    let kind = handbook.kind(kind).unwrap_or_else(|| panic!("no kind {kind}"));
    let found = kind.fields.iter().find(|field| field.path == path);
    found.unwrap_or_else(|| panic!("{} has no field {path}: {:#?}", kind.name, kind.fields))
}

#[test]
fn every_kind_and_every_common_key_is_in_it() {
    let handbook = Handbook::new();
    let named: BTreeSet<&str> = handbook.kinds.iter().map(|kind| kind.name).collect();
    assert_eq!(named, Kind::NAMES.iter().copied().collect());
    assert!(handbook.kinds.is_sorted_by_key(|kind| kind.phase));
    let common: BTreeSet<&str> = handbook.common.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(common, COMMON_KEYS.iter().copied().collect());
    assert!(handbook.common.iter().any(|field| field.path == "title" && field.required));
}

#[test]
fn a_kind_that_runs_in_two_phases_says_both() {
    let handbook = Handbook::new();
    let health = handbook.kind("health").unwrap();
    assert!(health.markdown().contains("Phase `run`; with `break` `disturb`."), "{}", health.markdown());
}

#[test]
fn fields_say_their_form_default_and_meaning() {
    let handbook = Handbook::new();
    let port = field(&handbook, "http", "port");
    assert_eq!((port.form.as_str(), port.required, &port.default), ("whole number", true, &None));
    assert_eq!(port.about, "The port it should answer on.");
    assert_eq!(field(&handbook, "http", "method").default.as_deref(), Some("GET"));
    assert_eq!(field(&handbook, "http", "body").form, "[text](#text)");
    assert_eq!(field(&handbook, "http", "headers").form, "names, each with [text](#text)");
    assert_eq!(field(&handbook, "http", "send.headers").path, "send.headers");
    assert_eq!(field(&handbook, "port", "protocol").form, "`tcp` or `udp`");
    assert_eq!(field(&handbook, "choice", "options").form, "list of maps");
    assert!(field(&handbook, "choice", "options[].text").required);
    assert!(field(&handbook, "process", "namespaces.shared").form.starts_with("list of `cgroup` or "));
    for kind in &handbook.kinds {
        assert!(kind.about.ends_with('.'), "{}: {}", kind.name, kind.about);
        for field in &kind.fields {
            assert!(!field.form.is_empty() && !field.about.is_empty(), "{}: {field:?}", kind.name);
        }
    }
}

#[test]
fn forms_that_kinds_share_are_told_once_and_found() {
    let handbook = Handbook::new();
    let names: BTreeSet<String> = handbook.values.iter().map(|value| anchor(&value.name)).collect();
    assert!(names.contains("text") && names.contains("number"), "{names:?}");
    assert!(!names.contains("text-parts"), "what belongs to a form is told there: {names:?}");
    let fields = handbook.kinds.iter().flat_map(|kind| &kind.fields);
    let inner = handbook.values.iter().flat_map(|value| &value.fields);
    let forms = handbook.values.iter().flat_map(|value| &value.forms).map(|(form, _)| form);
    for form in fields.chain(inner).chain(&handbook.common).map(|field| &field.form).chain(forms) {
        for place in form.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(names.contains(place), "{form} leads to nothing");
        }
    }
    let text = handbook.values.iter().find(|value| value.name == "text").unwrap();
    let keys: BTreeSet<&str> = text.fields.iter().map(|field| field.path.as_str()).collect();
    assert!(keys.is_superset(&["contains", "matches", "not", "any_of", "json"].into()), "{keys:?}");
}

#[test]
fn the_program_prints_it() {
    let run = |names: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_drydock"))
            .args(["exercise", "kinds"])
            .args(names)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, all, _) = run(&[]);
    assert_eq!(code, Some(0));
    for name in Kind::NAMES {
        assert!(all.contains(&format!("\n## {name}\n")), "{name} is missing");
    }
    let (code, some, _) = run(&["stops", "exit"]);
    assert_eq!(code, Some(0));
    assert!(some.starts_with("## stops\n") && some.contains("\n## exit\n"), "{some}");
    assert!(
        some.contains("```yaml\n- id: stops\n") && some.contains("It fails when\n\n- the signal"),
        "{some}"
    );
    assert!(!some.contains("## http"), "{some}");
    let (code, nothing, told) = run(&["stop"]);
    assert_eq!((code, nothing.as_str()), (Some(2), ""));
    assert!(told.contains("did you mean `stops`?"), "{told}");
}
