//! What is handed out: exercises and workshops, read strictly from their folders.
//!
//! Called by `grading` (what to build, run and check), `web` (what to show) and the command line
//! (`drydock exercise …`). Reading is strict: every mistake is an error with file, line, column and,
//! where one is near, the key that was probably meant. The room does not run anything and knows
//! nothing of people or SQL.
//!
//! An exercise is a folder ([`Exercise::read`]): `exercise.yaml` is read by serde into the types of
//! [`definition`], from which the JSON Schema for editors ([`schema()`]) comes too; what types cannot
//! show is judged while they are turned into an [`Exercise`]. The manual of the check kinds
//! ([`Handbook`]) is made from the same types. [`Catalogue`] is a folder of such
//! folders with the workshops that name them.

mod catalogue;
pub mod definition;
mod exercise;
pub mod manual;
mod mistake;
mod needs;
mod reading;
mod schema;
mod skeleton;

pub use catalogue::{Catalogue, Section, Workshop};
pub use exercise::{Build, CheckSpec, ComposeRun, Exercise, Mutant, SubmitKind};
pub use manual::Handbook;
pub use mistake::{Mistake, Severity};
pub use reading::{FOLDER_LIMITS, check_slug};
pub use schema::schema;
pub use skeleton::{SkeletonError, skeleton, skeleton_content};

/// Names that may stand in `${…}` in a definition. `random` is a value of sixteen lower-case letters
/// and digits, made new for each grading: what depends on it cannot be baked into an image.
pub const VARIABLES: &[&str] = &["random"];

/// The variable that stands for the secret of this id, beside [`VARIABLES`].
#[must_use]
pub fn secret_variable(id: &str) -> String {
    format!("secret.{id}")
}
