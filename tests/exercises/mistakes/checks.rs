//! Mistakes in the checks and in the mutants that fail them.

use std::fs;

use drydock::exercises::Exercise;

use super::{BASE, exercise, expect, told};

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
