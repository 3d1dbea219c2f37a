//! A user name with its password or token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

/// A user name with its password or token. Shown nowhere: `Debug` leaves the secret out, and no error has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    secret: String,
}

impl Credentials {
    /// With an empty user name the secret counts as a token, for which the servers in wide use take any name.
    #[must_use]
    pub fn new(username: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { username: username.into(), secret: secret.into() }
    }

    /// The user name as it was given.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password or token, to be sealed.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// `Authorization` by RFC 7617. Marked as sensitive, so that no log of headers has it.
    pub(super) fn basic(&self) -> HeaderValue {
        let username = if self.username.is_empty() { "x-access-token" } else { &self.username };
        let encoded = STANDARD.encode(format!("{username}:{}", self.secret));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_nowhere_to_be_seen() {
        let credentials = Credentials::new("ada", "hunter2");
        assert_eq!(format!("{credentials:?}"), "Credentials { username: \"ada\", .. }");
        let header = credentials.basic();
        assert_eq!(header.as_bytes(), b"Basic YWRhOmh1bnRlcjI=");
        assert!(!format!("{header:?}").contains("YWRh"));
        assert_eq!(Credentials::new("", "t").basic().as_bytes(), b"Basic eC1hY2Nlc3MtdG9rZW46dA==");
    }
}
