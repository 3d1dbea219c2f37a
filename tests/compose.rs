//! Compose files: what becomes of each key and form, agreement with docker compose itself, attacks and
//! bounds, the command.
//!
//! `tests/compose/cases` has one project per file for single keys and forms, `tests/compose/projects` whole
//! projects in the style of real ones. `corpus.rs` says how such a file is written.

mod compose {
    pub mod bounds;
    pub mod command;
    pub mod corpus;
    pub mod model;
    pub mod normal;
    pub mod oracle;
    pub mod program;
}
