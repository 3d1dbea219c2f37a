//! What goes wrong between us and the engine.
//!
//! Everything in here is ours and never the student's: what a student did wrong is said by
//! `StartError::Refused`, `BuildError::Failed` or [`Silence`](super::Silence). `grading` turns an
//! [`Error`] into a platform fault, which is retried and costs the student nothing.

use bollard::errors::Error as EngineError;

/// What went wrong between us and the engine. Always ours, never the student's; `Display` is a
/// sentence for an admin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not answer. A worker pauses itself on this.
    #[error(
        "the Docker engine at {endpoint} does not answer ({cause}); is it running, and may this user open its socket?"
    )]
    Unreachable {
        /// Socket or address, as in `DOCKER_HOST`.
        endpoint: String,
        /// What the connection said.
        cause: String,
    },
    /// The engine refused or failed in something we asked for.
    #[error("the Docker engine failed to {action}: {cause}")]
    Engine {
        /// What was asked, as a verb with its object.
        action: String,
        /// The engine's own words.
        cause: String,
    },
    /// Our own deadline for an engine operation passed.
    #[error("the Docker engine took longer than {seconds} s to {action}")]
    TimedOut {
        /// What was asked, as a verb with its object.
        action: String,
        /// The deadline.
        seconds: u64,
    },
    /// An image that the exercise (not the student) needs is not there and cannot be pulled.
    #[error("the image {image} is neither on the engine nor can it be pulled ({cause})")]
    ImageMissing {
        /// The reference as the exercise writes it.
        image: String,
        /// The engine's own words.
        cause: String,
    },
    /// The settings ask for what this engine cannot do, such as a runtime it does not have, or the
    /// state folder cannot be used.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// Sorts an engine's answer: an engine that is away, or one that said no.
    pub(super) fn from_engine(endpoint: &str, action: &str, error: &EngineError) -> Self {
        if is_connection_trouble(error) {
            return Self::Unreachable { endpoint: endpoint.to_owned(), cause: chain(error) };
        }
        Self::Engine { action: action.to_owned(), cause: engine_words(error) }
    }
}

/// Whether the engine could not be reached at all, or went away in the middle.
pub(super) fn is_connection_trouble(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::SocketNotFoundError(_)
            | EngineError::HyperLegacyError { .. }
            | EngineError::HyperResponseError { .. }
            | EngineError::IOError { .. }
            | EngineError::RequestTimeoutError
    )
}

/// The engine's sentence without bollard's frame around it.
pub(super) fn engine_words(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.trim().to_owned(),
        other => chain(other),
    }
}

/// The HTTP status of the engine's answer, where it gave one.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Whether the engine could not do it because the container has ended, or ended meanwhile: it then
/// answers with 409, with 500 and these words, or has forgotten the command already (404).
pub(super) fn is_not_running(error: &EngineError) -> bool {
    let words = engine_words(error).to_lowercase();
    match status(error) {
        Some(409) => true,
        Some(404) => words.contains("no such exec"),
        Some(_) => ["not running", "not paused", "stopped container"].iter().any(|end| words.contains(end)),
        None => false,
    }
}

/// An error with its causes, each once: hyper's outer texts alone say only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_container_is_known_by_each_of_its_texts() {
        let answer = |status_code, message: &str| EngineError::DockerResponseServerError {
            status_code,
            message: message.into(),
        };
        for (status, words) in [
            (409, "container 7d86 is not running"),
            (500, "Container 7d86 is not running: Exited (1) Less than a second ago"),
            (404, "No such exec instance: 1f"),
            (500, "Container 7d86 is not paused"),
            (500, "Cannot pause container 409d: cannot pause a stopped container: unknown"),
            (500, "Cannot pause container 3120: OCI runtime pause failed: container not running: unknown"),
        ] {
            assert!(is_not_running(&answer(status, words)), "{words}");
        }
        assert!(!is_not_running(&answer(404, "No such container: 7d86")));
        assert!(!is_not_running(&answer(500, "no space left on device")));
    }

    #[test]
    fn an_answer_is_not_a_silence() {
        let refused =
            EngineError::DockerResponseServerError { status_code: 500, message: "no space left\n".into() };
        let error = Error::from_engine("unix:///x", "create a container", &refused);
        assert_eq!(error.to_string(), "the Docker engine failed to create a container: no space left");
        let away = EngineError::SocketNotFoundError("/x".into());
        assert!(matches!(
            Error::from_engine("unix:///x", "create a container", &away),
            Error::Unreachable { .. }
        ));
    }
}
