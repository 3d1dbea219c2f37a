//! What can go wrong with the store, told apart by what its callers do about it.

use uuid::Uuid;

/// Anything that kept the store from doing what was asked. When it is returned, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that must be unique already exists (`field` tells which: `name`, `join_code`, …).
    #[error("this {field} is already taken")]
    Taken { field: &'static str },
    /// What was asked for, or what something new refers to, does not exist.
    #[error("no such {what}")]
    NotFound { what: &'static str },
    /// Somebody else has changed it since it was read.
    #[error("somebody else has changed this {what} meanwhile")]
    Changed { what: &'static str },
    /// What it depends on is not the case, in a sentence for whoever asked.
    #[error("{0}")]
    Refused(&'static str),
    /// The terms of the cohort do not let this be handed in now.
    #[error("the terms of the cohort do not let this be handed in now: {0:?}")]
    NotTaken(crate::terms::Refusal),
    /// The lease was lost: somebody else has the grading or job now, or it was finished.
    #[error("the lease on grading or job {0} is lost")]
    LeaseLost(Uuid),
    /// The database's address is of a kind that is not known.
    #[error(
        "the database address {0:?} is not understood; write sqlite:/path/to/file or postgres://user@host/name"
    )]
    Address(String),
    /// The tables could not be brought up to date.
    #[error("the database's tables could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database failed, which is never the fault of what was asked.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The content store failed.
    #[error("the content store failed")]
    Content(#[from] object_store::Error),
    /// A stored secret does not open.
    #[error(transparent)]
    Sealed(#[from] crate::accounts::sealing::CannotOpen),
    /// Something stored cannot be read any more.
    #[error("{0}")]
    Corrupt(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Unique constraints by name, and the field that a person can do something about.
const UNIQUE: [(&str, &str); 3] =
    [("people_name_key", "name"), ("cohorts_join_code", "join_code"), ("api_tokens_token_hash", "token")];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                // PostgreSQL names the constraint. SQLite names table and column in its message, and
                // our constraints are named <table>_<column> so that the two can be compared.
                let message = database.message();
                let column = message.rsplit(": ").next().unwrap_or(message).replace('.', "_");
                let name = database.constraint().unwrap_or(&column);
                match UNIQUE.iter().find(|(constraint, _)| *constraint == name) {
                    Some((_, field)) => Self::Taken { field },
                    None => Self::Database(error),
                }
            }
            sqlx::Error::Database(database) if database.is_foreign_key_violation() => {
                Self::NotFound { what: "member or exercise version" }
            }
            _ => Self::Database(error),
        }
    }
}
