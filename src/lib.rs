//! Drydock: a self-hosted grading server for container workshops.
//!
//! A tour of the rooms, in the order data flows. A room may use the rooms before it on this list,
//! never those after it; `tests/architecture.rs` keeps it so.
//!
//! 1. What everybody stands on: [`clock`], the only place that reads the time; [`units`] for sizes and
//!    times with their units; [`text`], which makes strangers' text fit for a page or a terminal;
//!    [`tree`] and [`yaml`], documents with a place on every value; [`config`], every setting.
//! 2. [`submissions`]: what is handed in, read safely and frozen to content named by its hash.
//! 3. [`sandbox`]: the only room that speaks to the engine. Builds images, runs stacks, measures what
//!    an engine really keeps, and removes what it made, also what a crash left.
//! 4. [`report`]: what a grading found, as data; [`terms`]: when and how often something may be handed
//!    in, and what is left of what comes late. Both pure.
//! 5. [`checks`]: one file per kind of check; each looks at files, image or stack and says what it
//!    expected, what it observed, and the proof.
//! 6. [`exercises`]: what is handed out, read strictly from folders, with versions by content.
//! 7. [`accounts`]: people's names, passwords, tokens and roles; the rules only.
//! 8. [`store`]: the only room with SQL, on SQLite and PostgreSQL: people, submissions, the queue
//!    with its leases, events, progress.
//! 9. [`live`]: events out of a grading to whoever watches, stored first, then sent.
//! 10. [`grading`]: the phases of a grading, the worker that claims them from the queue, and the proof
//!     of an exercise by its solution and mutants.
//! 11. [`web`]: pages and API, on top of the store and of what is live; it never touches the sandbox.
//!
//! A submission's way: `web` reads it through `submissions`, `store` keeps it with a queued grading in
//! one transaction, a worker of `grading` claims it, builds and runs it in the `sandbox`, `checks`
//! look at it, `live` tells whoever watches, and the `report` is stored under the worker's lease.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]

pub mod accounts;
mod addresses;
pub mod checks;
pub mod clock;
pub mod config;
pub mod exercises;
pub mod grading;
pub mod live;
pub mod report;
pub mod sandbox;
pub mod store;
pub mod submissions;
pub mod terms;
pub mod text;
mod tls;
pub mod tree;
mod ulimits;
pub mod units;
pub mod web;
pub mod yaml;
