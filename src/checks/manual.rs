//! What the manual says of a kind beyond its fields; `drydock exercise kinds` and the admins' page
//! show it.

use schemars::Schema;

use crate::report::Phase;

/// The words that only the kind's author can write. Everything else in the manual comes from the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manual {
    /// Entries of `checks` as an author writes them (YAML, each with `id` and `title`), in the file
    /// beside the kind: `include_str!("<kind>.yaml")`. The most common use comes first. Between them
    /// they have every field, are read without a mistake, and could stand in a real exercise.
    pub examples: &'static str,
    /// The evidence, a piece each: its title as students see it, and what it shows. A title that is
    /// the student's own is described instead, in lower case (`the file's path`).
    pub evidence: &'static [(&'static str, &'static str)],
    /// What students do that makes it fail, a phrase each that goes on from "It fails when". No full
    /// stop. What makes it broken instead (a fault of ours) does not belong here.
    pub fails: &'static [&'static str],
}

/// One kind, for the schema and the manual.
pub struct KindEntry {
    /// The key in `exercise.yaml`.
    pub name: &'static str,
    /// When it runs.
    pub phase: Phase,
    /// Another phase in which it runs, and with which fields.
    pub also: Option<(Phase, &'static str)>,
    /// Its fields.
    pub schema: Schema,
    /// The rest.
    pub manual: Manual,
}
