//! The linter: every rule both ways, agreement with hadolint itself, bad input, the command.

mod lint {
    pub mod bad_input;
    pub mod command;
    pub mod corpus;
    pub mod hadolint;
    pub mod program;
}
