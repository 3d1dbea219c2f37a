//! Layers on our disk: each is unpacked once, counted, and has to be what the configuration says.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::pulled::{ImageBounds, Kept, Layer, Outline, PulledImage};
use crate::submissions::freeze::hex;
use crate::submissions::gunzip::is_gzip;
use crate::submissions::remote::FetchError;
use crate::submissions::saved_image::{Unzstd, is_zstd};
use crate::units::ByteSize;

/// The layers of an image as they come.
pub(super) struct Layers {
    folder: TempDir,
    kept: Vec<Kept>,
    /// Bytes that all further layers may unpack to.
    left: u64,
    disk_bytes: u64,
}

impl Layers {
    pub(super) fn new(folder: &Path, bounds: &ImageBounds) -> Result<Self, FetchError> {
        let folder = tempfile::Builder::new().prefix("image-").tempdir_in(folder);
        let folder = folder.map_err(|cause| FetchError::disk(&cause))?;
        let (left, disk_bytes) = (bounds.disk_bytes, bounds.disk_bytes);
        Ok(Self { folder, kept: Vec::new(), left, disk_bytes })
    }

    /// Where the next layer is to be written; `None` where it is there already, as it is when an image has
    /// the same layer twice. Then it is counted as if it were not.
    pub(super) fn next(&mut self, diff_id: &str) -> Option<PathBuf> {
        if let Some(again) = self.kept.iter().find(|kept| kept.layer.diff_id == diff_id).cloned()
            && let Some(left) = self.left.checked_sub(again.layer.unpacked_bytes)
        {
            self.left = left;
            self.kept.push(again);
            return None;
        }
        Some(self.folder.path().join(format!("layer-{}", self.kept.len())))
    }

    /// Takes up a layer that was written.
    pub(super) async fn checked(mut self, file: PathBuf, diff_id: String) -> Result<Self, FetchError> {
        let checking = tokio::task::spawn_blocking(move || self.check(file, &diff_id).map(|()| self));
        match checking.await {
            Ok(checked) => checked,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// As [`Self::checked`]; blocks.
    pub(super) fn check(&mut self, file: PathBuf, diff_id: &str) -> Result<(), FetchError> {
        let disk = |cause: io::Error| FetchError::disk(&cause);
        let mut head = Vec::new();
        File::open(&file).and_then(|file| file.take(4).read_to_end(&mut head)).map_err(disk)?;
        let packed = BufReader::with_capacity(64 << 10, File::open(&file).map_err(disk)?);
        let number = self.kept.len() + 1;
        let (path, unpacked_bytes, sum) = if is_gzip(&head) {
            let (bytes, sum) = self.pour(&mut MultiGzDecoder::new(packed), None, number)?;
            (file, bytes, sum)
        } else if is_zstd(&head) {
            // Engines of before 2021 cannot unpack it.
            let plain = file.with_extension("tar");
            let mut out = BufWriter::new(File::create_new(&plain).map_err(disk)?);
            let poured = self.pour(&mut Unzstd::new(packed), Some(&mut out), number)?;
            out.flush().map_err(disk)?;
            std::fs::remove_file(&file).map_err(disk)?;
            (plain, poured.0, poured.1)
        } else {
            let mut packed = packed;
            let (bytes, sum) = self.pour(&mut packed, None, number)?;
            (file, bytes, sum)
        };
        if diff_id != format!("sha256:{sum}") {
            return Err(FetchError::refused(format!(
                "Layer {number} of the image is not the one that its configuration names; build the image anew \
                 and push it again."
            )));
        }
        let bytes = std::fs::metadata(&path).map_err(disk)?.len();
        let layer = Layer { diff_id: diff_id.to_owned(), unpacked_bytes, bytes };
        self.kept.push(Kept { layer, path });
        Ok(())
    }

    /// Reads all of a layer, counting; its size and digest.
    fn pour(
        &mut self,
        from: &mut dyn Read,
        mut to: Option<&mut BufWriter<File>>,
        number: usize,
    ) -> Result<(u64, String), FetchError> {
        let mut buffer = vec![0; 64 << 10];
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok((bytes, hex(&digest.finalize()))),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    return Err(FetchError::refused(format!(
                        "Layer {number} of the image cannot be unpacked; build the image anew and push it again."
                    )));
                }
            };
            self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
                FetchError::refused(format!(
                    "The image unpacks to more than {}, which is the limit; build it smaller, on a smaller base \
                     or in several stages.",
                    ByteSize(self.disk_bytes)
                ))
            })?;
            bytes += read as u64;
            digest.update(&buffer[..read]);
            if let Some(to) = &mut to {
                to.write_all(&buffer[..read]).map_err(|cause| FetchError::disk(&cause))?;
            }
        }
    }

    /// The image, once all its layers are here.
    pub(super) fn image(
        self,
        reference: Option<String>,
        digest: String,
        config: Bytes,
        outline: Outline,
    ) -> PulledImage {
        PulledImage {
            reference,
            digest,
            platform: outline.platform,
            config,
            layers: self.kept.iter().map(|kept| kept.layer.clone()).collect(),
            kept: self.kept,
            folder: Arc::new(self.folder),
        }
    }
}
