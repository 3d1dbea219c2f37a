//! Whole folders of an image, and the image itself as `docker save` writes it.

use std::io::{self, Read};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures::future::{BoxFuture, Shared, join_all};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::super::engine::{EngineInner, SLOW_CALL};
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
    /// Who asks before the first piece has come reads the same stream along: it goes as fast as the
    /// slowest of them, and on when one gives up.
    ///
    /// # Errors
    /// When the engine fails to save it; what `work` made of the beginning is dropped then.
    pub async fn saved<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let (sender, receiver) = mpsc::channel(WAITING);
        // With this one the reader's stream ends, also when the caller loses patience.
        let sender = Arc::new(sender);
        let save = self.save(&sender);
        let mut reading =
            tokio::task::spawn_blocking(move || work(&mut Pipe { receiver, piece: Bytes::new() }));
        let done = tokio::select! {
            whole = save.whole.clone() => match whole? {
                Whole::Empty => return Ok(None),
                Whole::Sent => {
                    drop(sender);
                    reading.await
                }
            },
            done = &mut reading => done,
        };
        done.map(Some).map_err(|error| Error::Engine { action: SAVE.into(), cause: error.to_string() })
    }

    /// The save that `reader` gets all of: the one that is about to begin, or a new one.
    fn save(&self, reader: &Arc<Sender>) -> Arc<Save> {
        let mut current = self.inner.save.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(save) = current.upgrade()
            && let Some(readers) = save.readers.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            readers.push(Arc::downgrade(reader));
            return Arc::clone(&save);
        }
        let readers = Readers::new(Mutex::new(Some(vec![Arc::downgrade(reader)])));
        let stream = stream(self.inner.ledger.engine.clone(), self.inner.config.id.clone(), readers.clone());
        let save = Arc::new(Save { readers, whole: stream.boxed().shared() });
        *current = Arc::downgrade(&save);
        save
    }
}

/// What the engine is asked.
const SAVE: &str = "save an image";

/// The save that may still be joined; it is kept by who reads it, and ends with them.
#[derive(Default)]
pub(super) struct Current(Mutex<Weak<Save>>);

/// The image on its way from the engine to all who read it.
struct Save {
    readers: Readers,
    whole: Shared<BoxFuture<'static, Result<Whole, Error>>>,
}

/// Who gets the next piece; `None` once the first one has come.
type Readers = Arc<Mutex<Option<Vec<Weak<Sender>>>>>;
type Sender = mpsc::Sender<Bytes>;

/// What came of a save.
#[derive(Clone, Copy)]
enum Whole {
    /// All of it was sent, or nobody wanted more.
    Sent,
    /// The image has no layer.
    Empty,
}

/// Sends the image to its readers, piece by piece; the next one when all have taken the last.
async fn stream(engine: Arc<EngineInner>, image: String, readers: Readers) -> Result<Whole, Error> {
    let mut stream = pin!(engine.docker.export_image(&image));
    let mut joined = None;
    loop {
        let next = tokio::time::timeout(SLOW_CALL, stream.next()).await;
        let close = || readers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let readers: &Vec<Weak<Sender>> = joined.get_or_insert_with(|| close().unwrap_or_default());
        let Ok(next) = next else {
            engine.ping().await?;
            return Err(Error::TimedOut { action: SAVE.into(), seconds: SLOW_CALL.as_secs() });
        };
        let piece = match next {
            Some(Ok(piece)) => piece,
            Some(Err(error)) if error.to_string().contains("empty export") => return Ok(Whole::Empty),
            Some(Err(error)) => return Err(engine.error(SAVE, &error)),
            None => return Ok(Whole::Sent),
        };
        let readers = readers.iter().filter_map(Weak::upgrade);
        let sent = join_all(readers.map(|reader| {
            let piece = piece.clone();
            async move { reader.send(piece).await }
        }));
        if sent.await.iter().all(Result::is_err) {
            return Ok(Whole::Sent);
        }
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
