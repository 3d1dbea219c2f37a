//! Tokens: 256 bits from the operating system. The store keeps only their hashes, so that a stolen
//! database opens no session. No salt and no slow hash: nobody guesses 256 random bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::random;

/// A new session or CSRF token: 43 characters that need no escaping in cookies, forms and URLs.
#[must_use]
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// A new API token. Its prefix lets people and secret scanners recognise what they have found.
#[must_use]
pub fn new_api_token() -> String {
    format!("drydock_{}", new_token())
}

/// What the store keeps of a token: its SHA-256.
#[must_use]
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether two secrets are equal, in a time that does not tell how much of them is.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_different() {
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| new_token()).collect();
        assert_eq!(tokens.len(), 1000);
        assert!(tokens.iter().all(|token| token.len() == 43));
        assert!(new_api_token().starts_with("drydock_"));
    }

    #[test]
    fn hashes_are_sha_256() {
        // FIPS 180-2, appendix B.1.
        let expected: [u32; 8] = [
            0xba78_16bf,
            0x8f01_cfea,
            0x4141_40de,
            0x5dae_2223,
            0xb003_61a3,
            0x9617_7a9c,
            0xb410_ff61,
            0xf200_15ad,
        ];
        assert_eq!(hash_token("abc").as_slice(), expected.map(u32::to_be_bytes).as_flattened());
    }

    #[test]
    fn comparing_sees_every_difference() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "ab"));
        assert!(!same("", "a"));
    }
}
