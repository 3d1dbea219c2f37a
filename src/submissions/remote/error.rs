//! Why something was not fetched.

use std::error::Error;

/// Why something was not fetched. `Display` is the sentence for whoever wants to hand it in, with its full
/// stop; neither it nor `Debug` ever holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Trying again does not help: it is not there, not to be had without credentials, from a host that may
    /// not be spoken to, too large, or damaged. The sentence says what and what to do.
    #[error("{0}")]
    Refused(String),
    /// The network, the other server or ourselves: it can be tried again, and costs the student nothing.
    /// The sentence, and what happened in the words of the library or system, for the log.
    #[error("{0}")]
    Unreachable(String, String),
}

impl FetchError {
    pub(super) fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }

    /// A disk of ours, not something of the student's.
    pub(super) fn disk(cause: &std::io::Error) -> Self {
        Self::Unreachable(
            "What was fetched could not be written to the server's disk; try again later, and tell an \
             administrator if it stays so."
                .into(),
            causes(cause),
        )
    }
}

/// An error with all that led to it.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let inner = error.to_string();
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        next = error.source();
    }
    text
}
