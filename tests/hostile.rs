//! Attacks: what a student may hand in on purpose, sent to the real program on a real engine while a
//! neighbour's stack runs and pages are asked for. See `hostile/arena.rs` for what is asserted of every one.
//!
//! Attacks through git and registries are in `remote.rs`.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/server.rs"]
mod server;

mod hostile {
    pub mod accounts;
    pub mod archives;
    pub mod arena;
    pub mod builds;
    pub mod compose;
    pub mod disk;
    pub mod escapes;
    pub mod exercises;
    pub mod exhaustion;
    pub mod forging;
    pub mod gvisor;
    pub mod images;
    pub mod networks;
}
