//! The output of a container that has a terminal.
//!
//! What such a container prints comes as it is, without the frames by which the engine tells stdout from
//! stderr. The library looks for frames all the same, so that a few bytes of a student's could make it wait
//! for, and keep, gigabytes that never come. Here the bytes are passed on as they arrive.

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bytes::BytesMut;
use futures::Stream;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;

use super::engine::{CALL, EngineInner};
use super::error::Error;
use super::session;

/// The most that is read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// Whether the output of a terminal can be read over this connection. Where it cannot, a container that
/// asks for one has none.
pub(super) fn can_read(endpoint: &str) -> bool {
    ["unix://", "tcp://", "http://"].iter().any(|scheme| endpoint.starts_with(scheme))
}

/// Attaches to a container with a terminal, before it is started; what it prints, until it ends.
///
/// # Errors
/// When the engine does not answer, or not as it should.
pub(super) async fn attach(
    engine: &EngineInner,
    container: &str,
) -> Result<impl Stream<Item = Result<LogOutput, EngineError>> + Unpin + Send + use<>, Error> {
    let action = "attach to a container's terminal";
    let failed = |cause: String| Error::Engine { action: action.into(), cause };
    let attaching = async {
        let stream = session::connect(&engine.endpoint).await?;
        let path = format!("/containers/{container}/attach?stream=1&stdout=1&stderr=1");
        session::upgrade(stream, &path, "tcp", &[])
            .await
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed("it did not open a stream".into()))
    };
    let upgraded = tokio::time::timeout(CALL, attaching)
        .await
        .map_err(|_| Error::TimedOut { action: action.into(), seconds: CALL.as_secs() })??;
    let pieces = futures::stream::unfold(TokioIo::new(upgraded), |mut connection| async move {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match connection.read_buf(&mut piece).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some((Ok(LogOutput::StdOut { message: piece.freeze() }), connection)),
        }
    });
    Ok(Box::pin(pieces))
}
