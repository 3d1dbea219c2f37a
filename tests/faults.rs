//! Faults, through the whole system: the real program is killed in every phase of a grading, its
//! engine goes away in the middle, its students hand in what never ends. Nothing that was accepted
//! is lost, every grading ends once with the right verdict, a fault of ours is never the student's,
//! and nothing of ours stays in the engine.

#[path = "common/server.rs"]
mod server;

mod faults {
    pub mod drills;
    pub mod engine;
    pub mod killed;
    pub mod strangers;
}
