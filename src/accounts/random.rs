//! The one place that owns randomness.
//!
//! Everything that must not be guessed (tokens, codes, salts) takes its bytes straight from the
//! operating system. [`jitter`] is for waiting times, which need to differ but not to be secret.

use std::time::Duration;

use rand::RngExt;
use rand::TryRng;
use rand::rngs::SysRng;

/// `N` bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing could be kept secret then, so
/// nothing may go on.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// `around`, give or take a quarter: keeps pollers that were started together from asking together.
#[must_use]
pub fn jitter(around: Duration) -> Duration {
    around.mul_f64(rand::rng().random_range(0.75..1.25))
}
