//! Mistakes in the files of an exercise's folder, the answers of its solution among them.

use std::fs;

use drydock::exercises::Exercise;

use super::{exercise, told};

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
