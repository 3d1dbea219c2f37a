//! The skeleton is an exercise without a mistake.

use drydock::exercises::{Exercise, skeleton};

#[test]
fn it_reads_without_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my-first");
    skeleton("my-first", &path).unwrap();
    let exercise = Exercise::read(&path).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!((exercise.slug.as_str(), exercise.title.as_str()), ("my-first", "My first"));
    assert_eq!(exercise.warnings, []);
    assert!(exercise.starter().is_some() && exercise.solution().is_some());
    for (name, mutant) in &exercise.mutants {
        assert!(exercise.mutant(name).is_some_and(|files| !files.is_empty()));
        assert_eq!(mutant.fails.len(), 1);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left beside it");
}

#[test]
fn it_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("README.md"), "precious").unwrap();
    let error = skeleton("mine", &path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} is already there; choose another name, or remove it first", path.display())
    );
    assert_eq!(std::fs::read_to_string(path.join("README.md")).unwrap(), "precious");
}

#[test]
fn a_bad_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for slug in ["", "Mine", "my exercise", "../mine", "mine-", "a--b", "é", &"x".repeat(65)] {
        let error = skeleton(slug, &folder.path().join("x")).unwrap_err();
        assert!(error.to_string().contains("is no name for an exercise"), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
