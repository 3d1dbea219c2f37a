//! An image that lies whole on our disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{DockerArchive, Platform, saved};
use crate::submissions::Content;
use crate::submissions::freeze::hex;
use crate::submissions::remote::FetchError;
use crate::submissions::saved_image::Config;

/// How much of an image is taken at most.
#[derive(Clone, Debug)]
pub struct ImageBounds {
    /// Bytes of configuration and layers as they are received.
    pub packed_bytes: u64,
    /// Bytes of all layers unpacked, counted while unpacking.
    pub disk_bytes: u64,
    /// Number of layers; Docker takes 127.
    pub layers: usize,
}

/// A whole image: every layer was unpacked once and is what the configuration says. Its files go when it and
/// all its archives do.
#[derive(Debug)]
pub struct PulledImage {
    /// What it was found under, with all defaults written out; `None` for one out of an archive without names.
    pub reference: Option<String>,
    /// `sha256:…` of the manifest or index that the reference points to; of an image out of an archive, that
    /// of its configuration.
    pub digest: String,
    /// What it is made for, by its configuration.
    pub platform: Platform,
    /// The configuration, byte for byte; its SHA-256 is the image's id.
    pub config: Bytes,
    /// From the bottom up.
    pub layers: Vec<Layer>,
    pub(super) kept: Vec<Kept>,
    pub(super) folder: Arc<TempDir>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:…` of the unpacked layer.
    pub diff_id: String,
    /// Bytes of the unpacked layer.
    pub unpacked_bytes: u64,
    /// Bytes of it on our disk.
    pub bytes: u64,
}

/// A layer and its file: a tar archive, plain or packed with gzip.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) layer: Layer,
    pub(super) path: PathBuf,
}

impl PulledImage {
    /// `sha256:…` of the configuration: the id that an engine gives the image.
    #[must_use]
    pub fn id(&self) -> String {
        id(&self.config)
    }

    /// An image out of what `docker save` wrote, handed in as a file or unpacked: the one that has the tag
    /// `wanted`, or the only one. Its layers are written to a new folder inside `folder`. Reads, unpacks and
    /// writes, so it blocks.
    ///
    /// # Errors
    /// [`FetchError`]
    pub fn from_saved(
        content: &Content,
        wanted: Option<&str>,
        folder: &Path,
        bounds: &ImageBounds,
    ) -> Result<Self, FetchError> {
        saved::read(content, wanted, folder, bounds)
    }

    /// A docker archive of the image for `docker load`: with `name` (`repository:tag`) and no other name,
    /// whatever the image was called where it came from. Layers are read from disk as it is read.
    #[must_use]
    pub fn docker_archive(&self, name: &str) -> DockerArchive {
        DockerArchive::new(name, &self.config, &self.kept, Arc::clone(&self.folder))
    }
}

pub(super) fn id(config: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(config)))
}

/// What a configuration says that its layers have to keep.
pub(super) struct Outline {
    pub(super) platform: Platform,
    pub(super) diff_ids: Vec<String>,
}

/// The part of a configuration that other readers leave out.
#[derive(Deserialize)]
struct Stacked {
    rootfs: Stacking,
}

#[derive(Deserialize)]
struct Stacking {
    #[serde(rename = "type")]
    kind: String,
}

impl Outline {
    /// Reads a configuration that came with so many layers.
    pub(super) fn read(config: &[u8], layers: usize, bounds: &ImageBounds) -> Result<Self, FetchError> {
        let none = || {
            FetchError::refused(
                "What is under this name is no container image: its configuration is none; build an image and \
                 push it.",
            )
        };
        let stacked: Stacked = serde_json::from_slice(config).map_err(|_| none())?;
        let config: Config = serde_json::from_slice(config).map_err(|_| none())?;
        let diff_ids = config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
        if stacked.rootfs.kind != "layers" || diff_ids.len() != layers {
            return Err(none());
        }
        if layers > bounds.layers {
            return Err(FetchError::refused(format!(
                "The image has {layers} layers; at most {} are taken: join steps of its Dockerfile with `&&`.",
                bounds.layers
            )));
        }
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let platform =
            Platform::new(&part(&config.os), &part(&config.architecture), config.variant.as_deref());
        Ok(Self { platform, diff_ids })
    }
}
