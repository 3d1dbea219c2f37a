//! Folders of exercises, and workshops.

use std::fs;
use std::path::Path;

use drydock::clock::Clock;
use drydock::exercises::{Catalogue, Exercise, skeleton};

fn mistakes(root: &Path) -> Vec<String> {
    let prefix = format!("{}/", root.display());
    let found = Catalogue::read(root).map(drop).unwrap_err();
    found.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect()
}

#[test]
fn exercises_and_workshops_are_found() {
    let root = tempfile::tempdir().unwrap();
    skeleton("second", &root.path().join("second")).unwrap();
    skeleton("first", &root.path().join("first")).unwrap();
    fs::create_dir(root.path().join(".git")).unwrap();
    fs::write(root.path().join("README.md"), "not an exercise").unwrap();
    fs::create_dir(root.path().join("workshops")).unwrap();
    fs::write(
        root.path().join("workshops/basics.yaml"),
        "title: Basics\naudience: Everybody\nsections:\n  - {title: One, exercises: [second, first]}\n",
    )
    .unwrap();
    let catalogue = Catalogue::read(root.path()).unwrap();
    assert_eq!(catalogue.exercises.keys().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(catalogue.workshops["basics"].sections[0].exercises, ["second", "first"]);
}

#[test]
fn mistakes_in_workshops_have_their_place() {
    let root = tempfile::tempdir().unwrap();
    skeleton("ports", &root.path().join("ports")).unwrap();
    fs::create_dir(root.path().join("workshops")).unwrap();
    let file = root.path().join("workshops/basics.yaml");
    for (text, expected) in [
        (
            "title: T\naudience: A\n",
            vec!["1:1: a workshop needs `sections`, each with a `title` and `exercises`"],
        ),
        ("title: T\nsections: [{title: S, exercises: [ports]}]\n", vec!["1:1: `audience` is missing"]),
        (
            "title: T\naudience: A\nsections:\n  - title: S\n    exercises: [prots, ports]\n",
            vec!["5:17: unknown exercise `prots`, did you mean `ports`?"],
        ),
        (
            "title: T\naudience: A\nsections:\n  - title: S\n    exercises: [ports]\n  - title: ''\n    exercises: [ports]\n",
            vec![
                "6:5: a section needs a `title`",
                "7:17: the exercise `ports` is there twice, first in line 5",
            ],
        ),
        (
            "titel: T\naudience: A\nsections: [{title: S, exercises: [ports]}]\n",
            vec!["1:1: unknown key `titel`, did you mean `title`?", "1:1: `title` is missing"],
        ),
        ("", vec!["1:1: the file is empty (or has nothing but comments)"]),
    ] {
        fs::write(&file, text).unwrap();
        let expected: Vec<String> =
            expected.into_iter().map(|line| format!("workshops/basics.yaml:{line}")).collect();
        assert_eq!(mistakes(root.path()), expected, "{text}");
    }
    fs::remove_file(&file).unwrap();
    fs::write(root.path().join("workshops/basics.txt"), "").unwrap();
    assert_eq!(mistakes(root.path()), ["workshops/basics.txt: a workshop is a file that ends in `.yaml`"]);
}

#[test]
fn every_exercise_is_looked_at() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("one")).unwrap();
    fs::create_dir(root.path().join("Two")).unwrap();
    fs::write(root.path().join("one/README.md"), "x").unwrap();
    let found = mistakes(root.path());
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("Two: `Two` is no name for an exercise; "), "{found:#?}");
    assert_eq!(found[1], "Two/README.md: the file is missing; it is the statement that students read");
    assert!(found[3].starts_with("one/exercise.yaml: the file is missing; "), "{found:#?}");
    let nowhere = mistakes(&root.path().join("nowhere"));
    assert!(nowhere[0].ends_with("the folder cannot be opened: No such file or directory (os error 2)"));
}

#[test]
fn sixty_exercises_are_read_quickly() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..60 {
        let slug = format!("exercise-{index}");
        skeleton(&slug, &root.path().join(&slug)).unwrap();
    }
    let watch = Clock::system().stopwatch();
    let catalogue = Catalogue::read(root.path()).unwrap();
    assert_eq!(catalogue.exercises.len(), 60);
    // Milliseconds each, optimized; this build is not, and other tests run beside it.
    assert!(watch.seconds() < 10.0, "{} s", watch.seconds());
}

#[test]
fn the_shipped_ones_have_no_mistake_and_no_warning() {
    let catalogue = Catalogue::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises"))
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    for exercise in catalogue.exercises.values() {
        assert_eq!(exercise.warnings, [], "{}", exercise.slug);
        assert!(!exercise.summary.is_empty() && !exercise.objectives.is_empty(), "{}", exercise.slug);
        for check in &exercise.checks {
            assert!(
                !check.hints.is_empty() || check.kind.name() == "essay",
                "{}: {}",
                exercise.slug,
                check.id
            );
        }
    }
    let listed: Vec<&String> = catalogue
        .workshops
        .values()
        .flat_map(|workshop| &workshop.sections)
        .flat_map(|section| &section.exercises)
        .collect();
    for slug in catalogue.exercises.keys() {
        assert!(listed.contains(&slug), "{slug} is in no workshop");
    }
}

#[test]
fn the_version_is_that_of_the_content() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("ports");
    skeleton("ports", &folder).unwrap();
    let first = Exercise::read(&folder).unwrap();
    let again = Exercise::read(&folder).unwrap();
    assert_eq!(first.version, again.version);
    assert_eq!(first.version.len(), 64);
    let stored = Exercise::from_content("ports", &first.folder).unwrap();
    assert_eq!((stored.version, stored.statement), (first.version.clone(), first.statement.clone()));
    fs::write(folder.join("README.md"), "another statement").unwrap();
    assert_ne!(Exercise::read(&folder).unwrap().version, first.version);
}
