//! Readers of what strangers write, with inputs that nobody thought of: they never panic, never hang, and
//! keep the properties that hold for any input.
//!
//! Inputs that were wrong once, or nearly, lie in `tests/fuzz/seeds/<reader>` and are read each time. What
//! proptest finds, it writes to `tests/fuzz/regressions.txt`; that belongs into the repository too.

mod fuzz {
    pub mod archives;
    pub mod compose;
    pub mod dockerfiles;
    pub mod exercises;
    pub mod ignore_files;
    pub mod matchers;
    pub mod pipelines;
    pub mod seeds;
}
