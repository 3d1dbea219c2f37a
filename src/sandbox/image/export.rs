//! Whole folders of an image, and the image itself as `docker save` writes it.

use std::io::{self, Read};
use std::pin::pin;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::super::engine::SLOW_CALL;
use super::super::error::{Error, status};
use super::Image;

/// Pieces of the stream that may wait for their reader.
const WAITING: usize = 4;

impl Image {
    /// The regular files that lie directly in a folder, with their names; `None` where there is no
    /// folder. At most `cap_bytes` are read of it all; a file that is not whole is left out.
    ///
    /// # Errors
    /// When the engine cannot tell.
    pub async fn folder(&self, path: &str, cap_bytes: u64) -> Result<Option<Vec<(String, Bytes)>>, Error> {
        let cap = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
        let engine = &self.inner.ledger.engine;
        let container = self.container().await?;
        let action = "read a folder of an image";
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let reading = async {
            let mut archive = engine.docker.download_from_container(container, Some(options));
            let mut bytes = Vec::new();
            while let Some(chunk) = archive.next().await {
                bytes.extend_from_slice(&chunk?);
                if bytes.len() >= cap {
                    break;
                }
            }
            Ok(bytes)
        };
        let bytes = match engine.answer(action, SLOW_CALL, reading).await? {
            Ok(bytes) => bytes,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) if error.to_string().contains("not a directory") => return Ok(None),
            Err(error) => return Err(engine.error(action, &error)),
        };
        let mut files = Vec::new();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let Ok(entries) = archive.entries() else { return Ok(None) };
        for (index, entry) in entries.enumerate() {
            // An error means that the archive was cut after what we have.
            let Ok(mut entry) = entry else { break };
            let kind = entry.header().entry_type();
            if index == 0 && !kind.is_dir() {
                return Ok(None);
            }
            let path = entry.path_bytes().into_owned();
            let mut parts = path.split(|byte| *byte == b'/').skip(1);
            let (Some(name), None) = (parts.next(), parts.next()) else { continue };
            let mut content = Vec::new();
            if kind.is_file() && entry.read_to_end(&mut content).is_ok() {
                files.push((String::from_utf8_lossy(name).into_owned(), content.into()));
            }
        }
        Ok(Some(files))
    }

    /// Hands the image as `docker save` writes it to `work`, as it comes: on a thread of its own, and
    /// never as a whole. `work` may stop reading at any time. `None` where the image has no layer at all:
    /// the engine does not save such.
    ///
    /// # Errors
    /// When the engine fails to save it; what `work` made of the beginning is dropped then.
    pub async fn saved<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let engine = &self.inner.ledger.engine;
        let action = "save an image";
        let (sender, receiver) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || work(&mut Pipe { receiver, piece: Bytes::new() }));
        {
            let mut stream = pin!(engine.docker.export_image(&self.inner.config.id));
            loop {
                let next = tokio::time::timeout(SLOW_CALL, stream.next()).await;
                let Ok(next) = next else {
                    engine.ping().await?;
                    return Err(Error::TimedOut { action: action.into(), seconds: SLOW_CALL.as_secs() });
                };
                match next {
                    Some(Ok(piece)) => {
                        if sender.send(piece).await.is_err() {
                            break;
                        }
                    }
                    Some(Err(error)) if error.to_string().contains("empty export") => return Ok(None),
                    Some(Err(error)) => return Err(engine.error(action, &error)),
                    None => break,
                }
            }
        }
        drop(sender);
        let done = reading.await;
        done.map(Some).map_err(|error| Error::Engine { action: action.into(), cause: error.to_string() })
    }
}

/// The stream as a reader, for a thread that may block. When the stream's side is given up, it ends.
struct Pipe {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
