//! Kept inputs, and how cases are made.

use std::path::Path;
use std::time::Duration;

use drydock::clock::Clock;
use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases, with what failed kept in the repository.
pub fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/fuzz/regressions.txt"))),
        ..Config::default()
    }
}

/// Reads every kept input of a reader; none may take long.
pub fn each(reader: &str, read: impl Fn(&str, &[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(reader);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("kept inputs") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("a file");
        within(&name, || read(&name, &bytes));
        count += 1;
    }
    assert!(count > 0, "no kept inputs for {reader}");
}

/// Fails when something takes long, on a machine that is busy too.
#[track_caller]
pub fn within(name: &str, run: impl FnOnce()) {
    let watch = Clock::system().stopwatch();
    run();
    let took = watch.elapsed();
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
}
