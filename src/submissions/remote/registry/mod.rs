//! Images out of registries and saved archives.
//!
//! `session` speaks the OCI distribution API, `access` gets what it wants to see first, `manifest` tells what
//! an image is made of; `layers` unpacks each layer once and says what is in it. A tag is looked up once: all
//! that follows is by digest. `saved` takes an image out of an archive that was handed in, `archive` writes
//! any of them as the one archive that goes to an engine.

mod access;
mod archive;
mod layers;
mod manifest;
mod platform;
mod pulled;
mod saved;
mod session;

use std::path::Path;

pub use archive::DockerArchive;
pub use platform::Platform;
pub use pulled::{ImageBounds, Layer, PulledImage};

use self::layers::Layers;
use self::manifest::Manifest;
use self::pulled::Outline;
use self::session::Session;
use super::client::Client;
use super::{Credentials, FetchError, Reference};
use crate::units::ByteSize;

/// The largest configuration that is taken; usual ones have some kilobytes.
const CONFIG_BYTES: u64 = 4 << 20;

pub(super) async fn pull(
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    credentials: Option<&Credentials>,
    folder: &Path,
    bounds: &ImageBounds,
) -> Result<PulledImage, FetchError> {
    let mut session = Session::new(client, reference, credentials)?;
    let at = reference.digest.as_deref().or(reference.tag.as_deref()).unwrap_or("latest");
    if at.contains(':') {
        manifest::sha256(at)?;
    }
    let (bytes, digest) = session.manifest(at).await?;
    let (config, layers) = match Manifest::read(&bytes)? {
        Manifest::Image { config, layers } => (config, layers),
        Manifest::Index(choices) => {
            let chosen = manifest::choose(&choices, platform)?;
            manifest::sha256(&chosen.digest)?;
            match Manifest::read(&session.manifest(&chosen.digest).await?.0)? {
                Manifest::Image { config, layers } => (config, layers),
                Manifest::Index(_) => {
                    return Err(FetchError::refused(
                        "The image is an index of indexes, which no engine takes; push it again.",
                    ));
                }
            }
        }
    };
    let declared = layers.iter().fold(config.size, |all, layer| all.saturating_add(layer.size));
    if declared > bounds.packed_bytes || config.size > CONFIG_BYTES {
        return Err(FetchError::refused(format!(
            "The image is larger than {} as it is sent, which is the limit; build it smaller, on a smaller base \
             or in several stages.",
            ByteSize(bounds.packed_bytes)
        )));
    }
    let config = session.document(&config).await?;
    let outline = Outline::read(&config, layers.len(), bounds)?;
    if !outline.platform.serves(platform) {
        return Err(manifest::missing(platform, &[format!("`{}`", outline.platform)]));
    }
    let mut store = Layers::new(folder, bounds)?;
    for (descriptor, diff_id) in layers.iter().zip(&outline.diff_ids) {
        let file = store.next(diff_id);
        if let Some(file) = file {
            session.blob(descriptor, &file).await?;
            store = store.checked(file, diff_id.clone()).await?;
        }
    }
    Ok(store.image(Some(reference.to_string()), digest, config, outline))
}
