//! People, roles, passwords and tokens: the rules, without SQL and without HTTP.
//!
//! `web` and the command line ask it what a name, a password or a code may look like, `store` by
//! which form names and codes are compared and how long failures block. It also owns randomness
//! ([`random`]): whatever must not be guessed comes from there.

use serde::{Deserialize, Serialize};

pub mod join_code;
pub mod names;
pub mod openid;
pub mod passwords;
pub mod random;
pub mod sealing;
pub mod throttle;
pub mod tokens;

pub use join_code::{canonical_join_code, new_join_code};
pub use names::{LONGEST_NAME, NameRefusal, clean_name, name_key};
pub use passwords::{PasswordRefusal, Passwords, check_password};
pub use sealing::Seal;
pub use throttle::SignInKey;
pub use tokens::{hash_token, new_api_token, new_token, same};

/// What somebody is in a cohort. Admins are admins everywhere, see [`crate::store::Person::admin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Hands in.
    Student,
    /// Watches and judges.
    Trainer,
}
