//! An image as the archive that `docker load` takes (Docker's image specification v1.2).

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::stream::{BoxStream, StreamExt as _, try_unfold};
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::pulled::{Kept, id};
use crate::submissions::freeze::BLOCK;

/// Bytes that are read from disk at once.
const PIECE: usize = 64 << 10;

/// The bytes of a docker archive, in pieces.
pub struct DockerArchive {
    bytes: u64,
    pieces: BoxStream<'static, io::Result<Bytes>>,
}

/// What follows in the archive.
enum Part {
    Bytes(Bytes),
    File(PathBuf, u64),
}

impl DockerArchive {
    pub(super) fn new(name: &str, config: &Bytes, kept: &[Kept], folder: Arc<TempDir>) -> Self {
        let id = id(config);
        let config_name = format!("{}.json", id.trim_start_matches("sha256:"));
        let layer_name = |kept: &Kept| format!("{}.tar", kept.layer.diff_id.trim_start_matches("sha256:"));
        let manifest = serde_json::json!([{
            "Config": config_name,
            "RepoTags": [name],
            "Layers": kept.iter().map(layer_name).collect::<Vec<_>>(),
        }]);
        let mut parts = VecDeque::new();
        for (name, bytes) in [("manifest.json", manifest.to_string().into()), (&config_name, config.clone())]
        {
            parts.push_back(Part::Bytes(header(name, bytes.len() as u64)));
            let end = padding(bytes.len() as u64);
            parts.push_back(Part::Bytes(bytes));
            parts.push_back(Part::Bytes(end));
        }
        let mut written = BTreeSet::new();
        for layer in kept.iter().filter(|kept| written.insert(layer_name(kept))) {
            parts.push_back(Part::Bytes(header(&layer_name(layer), layer.layer.bytes)));
            parts.push_back(Part::File(layer.path.clone(), layer.layer.bytes));
            parts.push_back(Part::Bytes(padding(layer.layer.bytes)));
        }
        parts.push_back(Part::Bytes(Bytes::from_static(&[0; 2 * BLOCK])));
        let length = |part: &Part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File(_, bytes) => *bytes,
        };
        let bytes = parts.iter().map(length).sum();
        // The folder stays as long as somebody reads.
        let state = State { parts, open: None, _folder: folder };
        Self { bytes, pieces: try_unfold(state, State::next).boxed() }
    }

    /// How many bytes there are in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

struct State {
    parts: VecDeque<Part>,
    open: Option<(File, u64)>,
    _folder: Arc<TempDir>,
}

impl State {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if let Some((file, left)) = &mut self.open {
                if *left == 0 {
                    self.open = None;
                    continue;
                }
                let most = usize::try_from(*left).map_or(PIECE, |left| left.min(PIECE));
                let mut piece = BytesMut::with_capacity(most);
                let read = (&mut *file).take(most as u64).read_buf(&mut piece).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= read as u64;
                return Ok(Some((piece.freeze(), self)));
            }
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Part::Bytes(bytes)) => return Ok(Some((bytes, self))),
                Some(Part::File(path, bytes)) => self.open = Some((File::open(path).await?, bytes)),
            }
        }
    }
}

impl Stream for DockerArchive {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(context)
    }
}

/// The header of a file. All names here are short.
fn header(name: &str, bytes: u64) -> Bytes {
    let mut header = tar::Header::new_gnu();
    let field = header.as_old_mut();
    field.name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Bytes::copy_from_slice(header.as_bytes())
}

fn padding(bytes: u64) -> Bytes {
    let over = usize::try_from(bytes % BLOCK as u64).unwrap_or(0);
    Bytes::from_static(&[0; BLOCK]).slice(..(BLOCK - over) % BLOCK)
}
