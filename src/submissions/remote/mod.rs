//! What students hand in from elsewhere: git repositories over HTTP, and images out of registries.
//!
//! Called by `grading` (and `web`, for a first look) with an address that a stranger wrote. It is spoken to
//! only as far as [`Reach`] goes: `client` judges every address when it connects and every redirect anew,
//! and counts every byte. `git` fetches one commit (or its history) and gives it as a [`Content`](super::Content), with the
//! same rules for names, links and limits as an archive; no program runs and nothing is checked out.
//! `registry` pulls an image layer by layer into a temporary folder, or takes one out of a saved archive, and
//! gives it as a docker archive under a name of ours. Both know nothing of the engine.

mod client;
mod connect;
mod credentials;
mod error;
mod git;
mod reach;
mod registry;

use std::path::Path;
use std::time::Duration;

pub use credentials::Credentials;
pub use error::FetchError;
pub use git::{Commit, Fetched, GitAddress, Origin, Revision};
pub use reach::Reach;
pub use registry::{DockerArchive, ImageBounds, Layer, Platform, PulledImage};

use super::ContentLimits;
use super::reference::Reference;
use client::Client;

/// Fetches from elsewhere. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Remote {
    client: Client,
}

impl Remote {
    /// A client that speaks to no address beyond `reach`.
    ///
    /// # Errors
    /// A sentence for the admin where TLS cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, String> {
        Client::new(reach).map(|client| Self { client })
    }

    /// The files of one commit of a repository, frozen, and what commit that is. With `history`, all commits
    /// that lead to it are fetched as well and lie in `.git`, as the check `repository` reads them; without,
    /// there is no `.git`. `limits` bound the pack as it is received (`archive_bytes`), the files
    /// (`unpacked_bytes`, `entries`) and the work of unpacking. Everything together takes at most `within`.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn repository(
        &self,
        from: &GitAddress,
        at: &Revision,
        credentials: Option<&Credentials>,
        history: bool,
        limits: &ContentLimits,
        within: Duration,
    ) -> Result<Fetched, FetchError> {
        let fetching = git::fetch(&self.client, from, at, credentials, history, limits);
        client::at_most(within, fetching).await
    }

    /// Pulls an image for one platform into a new folder inside `folder`, which goes when the image does.
    /// Everything together takes at most `within`.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn image(
        &self,
        reference: &Reference,
        platform: &Platform,
        credentials: Option<&Credentials>,
        folder: &Path,
        bounds: &ImageBounds,
        within: Duration,
    ) -> Result<PulledImage, FetchError> {
        let pulling = registry::pull(&self.client, reference, platform, credentials, folder, bounds);
        client::at_most(within, pulling).await
    }
}
