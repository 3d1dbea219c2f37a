//! What can be told of the shipped exercises without running them.

use std::path::Path;

use drydock::exercises::Catalogue;
use drydock::grading::verify::hint_warnings;

#[test]
fn their_hints_say_no_answer() {
    let catalogue = Catalogue::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises")).unwrap();
    let told: Vec<String> = catalogue
        .exercises
        .values()
        .flat_map(|exercise| {
            hint_warnings(exercise).into_iter().map(|one| format!("{}: {}", exercise.slug, one.sentence))
        })
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}
