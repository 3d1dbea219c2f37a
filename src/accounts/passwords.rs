//! Passwords: which are taken, and how they are hashed.
//!
//! Argon2id with the parameters that OWASP's password storage cheat sheet names (19 MiB, two passes,
//! one lane). One hash takes about 20 to 50 ms of a core, so it runs beside the async threads, and
//! never more than a few at a time: a storm of sign-ins waits in line instead of eating the machine.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::names::name_key;

/// The shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 8;
/// The longest password, in bytes: long enough for any phrase, short enough to cost nothing.
pub const LONGEST_PASSWORD: usize = 256;

/// Why a password was not taken. `Display` is a sentence for whoever typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    #[error(
        "A password needs at least {SHORTEST_PASSWORD} characters. A few words in a row are easy to keep in mind."
    )]
    TooShort,
    #[error("That password is longer than {LONGEST_PASSWORD} bytes. Please choose a shorter one.")]
    TooLong,
    #[error("Your name is the first thing others would try. Please choose another password.")]
    IsTheName,
}

/// Whether `password` may be the password of the person called `name`. Length only, no rules about
/// composition, as NIST SP 800-63B advises.
///
/// # Errors
/// [`PasswordRefusal`] says what to do instead.
pub fn check_password(password: &str, name: &str) -> Result<(), PasswordRefusal> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(PasswordRefusal::TooShort);
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(PasswordRefusal::TooLong);
    }
    if name_key(password) == name_key(name) {
        return Err(PasswordRefusal::IsTheName);
    }
    Ok(())
}

/// Hashes and verifies, a bounded number at a time. Cheap to clone; clones share the bound.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

/// Hashing did not work, which has to do with this machine (no memory), never with the password.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashingFailed(String);

impl Passwords {
    /// At most `at_a_time` hashes are computed at once; each takes 19 MiB while it runs.
    #[must_use]
    pub fn new(at_a_time: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_a_time.max(1))) }
    }

    /// The password's hash as a PHC string (`$argon2id$v=19$…`), with a salt of its own.
    ///
    /// # Errors
    /// [`HashingFailed`] when this machine could not do it.
    pub async fn hash(&self, password: &str) -> Result<String, HashingFailed> {
        let password = password.to_owned();
        self.beside(move || {
            let salt = super::random::bytes::<16>();
            let hash: PasswordHash = argon2id()
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map_err(|error| HashingFailed(error.to_string()))?;
            Ok(hash.to_string())
        })
        .await?
    }

    /// Whether `password` belongs to `hash`. Give `None` where nobody has the name: that takes as long
    /// and is always false, so that the time of an answer does not tell which names exist.
    ///
    /// # Errors
    /// [`HashingFailed`] when this machine could not do it.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, HashingFailed> {
        if password.len() > LONGEST_PASSWORD {
            return Ok(false);
        }
        let password = password.to_owned();
        let hash = hash.map(str::to_owned);
        self.beside(move || {
            let text = hash.as_deref().unwrap_or(&NOBODYS);
            let parsed = PasswordHash::new(text).map_err(|error| HashingFailed(error.to_string()))?;
            let fits = argon2id().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(fits && hash.is_some())
        })
        .await?
    }

    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|error| HashingFailed(error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller that gave up does not make room for another.
            let _permit = permit;
            work()
        })
        .await
        .map_err(|error| HashingFailed(error.to_string()))
    }
}

impl Default for Passwords {
    /// As many at a time as the machine has cores.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("OWASP's parameters are within the bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A hash that nobody's password has, to be verified against where there is no person.
static NOBODYS: LazyLock<String> = LazyLock::new(|| {
    let hash: PasswordHash = argon2id()
        .hash_password_with_salt(&super::random::bytes::<32>(), &super::random::bytes::<16>())
        .expect("hashing random bytes needs only memory");
    hash.to_string()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse").await.unwrap(), "each hash has its own salt");
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert!(passwords.verify("correct horse", Some("rubbish")).await.is_err());
    }

    #[tokio::test]
    async fn no_more_than_the_bound_at_a_time() {
        let passwords = Passwords::new(2);
        let storm = (0..6).map(|_| passwords.verify("whatever!", None));
        let permits = Arc::clone(&passwords.permits);
        let watch = async {
            let mut least = usize::MAX;
            for _ in 0..20 {
                least = least.min(permits.available_permits());
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            least
        };
        let (_, least) = tokio::join!(futures::future::join_all(storm), watch);
        assert_eq!(least, 0, "the storm used both permits");
        assert_eq!(permits.available_permits(), 2, "and gave them back");
    }

    #[test]
    fn rules_are_about_length_and_the_name() {
        assert_eq!(check_password("seven77", "Ada"), Err(PasswordRefusal::TooShort));
        assert_eq!(check_password("ünïcödé!", "Ada"), Ok(()));
        assert_eq!(check_password(&"x".repeat(256), "Ada"), Ok(()));
        assert_eq!(check_password(&"x".repeat(257), "Ada"), Err(PasswordRefusal::TooLong));
        assert_eq!(check_password("ada LOVELACE", "Ada Lovelace"), Err(PasswordRefusal::IsTheName));
    }
}
