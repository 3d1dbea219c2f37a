//! Cases with what the linter says of them.

use std::collections::{BTreeMap, BTreeSet};

use drydock::submissions::Dockerignore;
use drydock::submissions::dockerfile::lint::{RULES, lint};

/// A Dockerfile with the rules that it breaks.
pub struct Case {
    pub name: String,
    pub rules: BTreeSet<String>,
    pub text: String,
}

/// The cases of a file: each after a line `=== name | RULE RULE`.
fn cases(file: &str) -> Vec<Case> {
    let cases = file.split("\n=== ").skip(1).map(|case| {
        let (head, text) = case.split_once('\n').expect("a case has lines");
        let (name, rules) = head.split_once('|').expect("a case has rules");
        let rules = rules.split_whitespace().map(str::to_owned).collect();
        Case { name: name.trim().to_owned(), rules, text: format!("{text}\n") }
    });
    cases.collect()
}

/// Cases with the `DL` rules that they break.
pub fn hadolint() -> Vec<Case> {
    cases(include_str!("corpus.txt"))
}

/// Cases with the rules of docker that they break.
fn docker() -> Vec<Case> {
    cases(include_str!("docker.txt"))
}

/// The rules that a Dockerfile breaks, hadolint's or docker's.
pub fn broken(case: &Case, ours: bool) -> BTreeSet<String> {
    let ignore = Dockerignore::read(b"ignored\nnode_modules\n");
    let problems =
        lint(case.text.as_bytes(), Some(&ignore)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let ids = problems.iter().map(|problem| problem.rule.id.to_owned());
    ids.filter(|id| id.starts_with("DL") == ours).collect()
}

#[test]
fn every_case_breaks_what_it_says() {
    let mut wrong = Vec::new();
    for (cases, hadolints) in [(hadolint(), true), (docker(), false)] {
        for case in cases {
            let broken = broken(&case, hadolints);
            if broken != case.rules {
                wrong.push(format!("{}: {broken:?}, should be {:?}", case.name, case.rules));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_enough_cases_and_every_rule_goes_both_ways() {
    let (hadolint, docker) = (hadolint(), docker());
    assert!(hadolint.len() >= 200, "{}", hadolint.len());
    let all = || hadolint.iter().chain(&docker);
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    for id in all().flat_map(|case| &case.rules) {
        *broken.entry(id).or_default() += 1;
    }
    let names: BTreeSet<&str> = all().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), hadolint.len() + docker.len(), "names are unique");
    for rule in RULES {
        let times = broken.get(rule.id).copied().unwrap_or_default();
        assert!(times > 0 && times < hadolint.len(), "{} is broken in {times} cases", rule.id);
    }
    assert!(RULES.iter().filter(|rule| rule.id.starts_with("DL")).count() >= 45);
}

#[test]
fn messages_are_sentences_with_a_word_to_look_for() {
    let problems = lint(b"FROM debian\nRUN apt-get install -y curl\n", None).unwrap();
    let told: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.line, problem.message)).collect();
    assert!(told.contains(&"1: give the base image a tag (`debian`)".to_owned()), "{told:?}");
    assert!(
        told.iter().any(|told| told.starts_with("2: pin versions") && told.ends_with("(`curl`)")),
        "{told:?}"
    );
    for rule in RULES {
        assert!(!rule.message.is_empty() && !rule.message.ends_with('.'), "{}", rule.id);
        assert!(rule.message.matches('`').count() % 2 == 0, "{}", rule.id);
    }
}
