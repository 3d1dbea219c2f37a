//! `grade(exercise, submission, engine) -> report`, phase by phase, and the worker around it.
//!
//! `drydock grade`, `drydock exercise verify` and the worker behind the web use the very same
//! [`grade()`]. The room knows the sandbox, the checks and the store; it knows nothing of pages.
//!
//! * `fetch.rs` brings what was handed in by its address.
//! * `grade.rs` runs the phases and turns what checks find into a report.
//! * `compose.rs` is the way through them where the submission's own compose file runs.
//! * `course.rs` keeps what is known of each check while the phases go by.
//! * `verify.rs` proves an exercise with its solution, starter and mutants.
//! * `jobs.rs` is what a worker does beside gradings: verifications, imports, its engine.
//! * `worker.rs` claims gradings, keeps their leases and stores their reports.

mod compose;
mod course;
mod fetch;
mod grade;
mod jobs;
pub mod verify;
pub mod worker;

pub use course::{Cause, Observer, Step};
pub use fetch::Fetcher;
pub use grade::{Graded, Halt, Handed, Job, grade};
