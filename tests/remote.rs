//! What is fetched from elsewhere, from real servers on this machine: git's own (`git http-backend`) and
//! Debian's registry, and from servers that were written to do harm.

#[path = "common/app.rs"]
mod app;
#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bench;

mod remote {
    pub mod git;
    pub mod graded;
    pub mod harm;
    pub mod images;
    pub mod lies;
    pub mod registry;
    pub mod repositories;
    pub mod server;
    pub mod tls;
}
