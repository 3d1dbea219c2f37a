//! Secrets that have to be read again: tokens of private repositories, passwords of registries.
//!
//! They lie in the database sealed with a key that does not: whoever has the database alone reads
//! nothing. ChaCha20-Poly1305 (RFC 8439) with a random nonce in front; what the secret belongs to is
//! authenticated with it, so that a sealed secret put into another row does not open.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::random;

/// Seals and opens. Clones share the key.
#[derive(Clone)]
pub struct Seal(Arc<LessSafeKey>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// Why there is no key, as a sentence for admins.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The setting or the file holds something else.
    #[error(
        "{place} is no key; it has to be 32 random bytes in base64, as `openssl rand -base64 32` prints them"
    )]
    Malformed {
        /// The setting, or the file's path.
        place: String,
    },
    /// The file cannot be read or made.
    #[error("the key file {path} cannot be used ({error})")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
}

/// It was sealed with another key, for something else, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stored secret cannot be opened: it was sealed with another key (setting `secret_key`), or is damaged"
)]
pub struct CannotOpen;

/// The key's file in the data folder.
const FILE: &str = "secret.key";
const KEY_BYTES: usize = 32;

impl Seal {
    /// The key of the setting `secret_key`, else the one in the data folder, which is made if there is none.
    ///
    /// # Errors
    /// [`KeyError`]: what is there is no key, or the file can neither be read nor made.
    pub fn open_or_create(setting: Option<&str>, data_dir: &Path) -> Result<Self, KeyError> {
        if let Some(text) = setting {
            return Self::parse(text, "the setting `secret_key`");
        }
        let path = data_dir.join(FILE);
        let failed = |error| KeyError::File { path: path.display().to_string(), error };
        loop {
            match fs::read_to_string(&path) {
                Ok(text) => return Self::parse(&text, &path.display().to_string()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path).map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// A key that nobody else has and that is gone with the process.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self::new(&random::bytes::<KEY_BYTES>())
    }

    fn parse(text: &str, place: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).ok();
        let key: Option<[u8; KEY_BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(|key| Self::new(&key)).ok_or_else(|| KeyError::Malformed { place: place.to_owned() })
    }

    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key's length is the algorithm's");
        Self(Arc::new(LessSafeKey::new(key)))
    }

    /// Seals a secret that belongs to `owner`, such as a cohort's registry.
    ///
    /// # Panics
    /// Never: only a secret of 256 GiB could not be sealed.
    #[must_use]
    pub fn close(&self, secret: &str, owner: &str) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_LEN>();
        let mut sealed = secret.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut sealed,
            )
            .expect("a secret is far shorter than the algorithm's bound of 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The secret again, if it was sealed with this key for this owner.
    ///
    /// # Errors
    /// [`CannotOpen`] otherwise.
    pub fn open(&self, sealed: &[u8], owner: &str) -> Result<String, CannotOpen> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let mut sealed = sealed.to_vec();
        let secret = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| CannotOpen)?;
        String::from_utf8(secret.to_vec()).map_err(|_| CannotOpen)
    }
}

/// Writes a new key whole or not at all; of two processes that do so at once, the first one's stays.
fn create(path: &Path) -> io::Result<()> {
    let made = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&made)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{}", STANDARD.encode(random::bytes::<KEY_BYTES>()))?;
    file.sync_all()?;
    let linked = fs::hard_link(&made, path);
    fs::remove_file(&made)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_owner_open() {
        let seal = Seal::ephemeral();
        let sealed = seal.close("s3cret", "cohort 1");
        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_eq!(seal.open(&sealed, "cohort 1").as_deref(), Ok("s3cret"));
        assert_eq!(seal.open(&sealed, "cohort 2"), Err(CannotOpen));
        assert_eq!(Seal::ephemeral().open(&sealed, "cohort 1"), Err(CannotOpen));
        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(seal.open(&damaged, "cohort 1"), Err(CannotOpen));
        assert_eq!(seal.open(&sealed[..5], "cohort 1"), Err(CannotOpen));
        assert_ne!(sealed, seal.close("s3cret", "cohort 1"), "a nonce is used once");
    }

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let first = Seal::open_or_create(None, folder.path()).unwrap();
        let sealed = first.close("x", "y");
        let again = Seal::open_or_create(None, folder.path()).unwrap();
        assert_eq!(again.open(&sealed, "y").as_deref(), Ok("x"));
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let shared = Seal::open_or_create(Some(text.trim()), Path::new("/nowhere")).unwrap();
        assert_eq!(shared.open(&sealed, "y").as_deref(), Ok("x"));
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "short").unwrap();
        let error = Seal::open_or_create(None, folder.path()).unwrap_err().to_string();
        assert!(error.contains("secret.key is no key"), "{error}");
        let error = Seal::open_or_create(Some("nonsense"), folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("the setting `secret_key` is no key"), "{error}");
        let error = Seal::open_or_create(None, Path::new("/proc/nothing")).unwrap_err().to_string();
        assert!(error.contains("/proc/nothing/secret.key cannot be used"), "{error}");
    }
}
