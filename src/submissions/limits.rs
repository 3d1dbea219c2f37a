//! How much may be handed in.

use crate::config::UploadSettings;

/// Limits on what may be handed in. Stated on the page and in every refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentLimits {
    /// Bytes of the archive as handed in.
    pub archive_bytes: u64,
    /// Bytes of all files together, counted while unpacking.
    pub unpacked_bytes: u64,
    /// Number of files, folders and links.
    pub entries: usize,
}

impl ContentLimits {
    /// For what this installation made itself, such as a frozen tar from its own store.
    pub(super) const NONE: Self =
        Self { archive_bytes: u64::MAX, unpacked_bytes: u64::MAX, entries: usize::MAX };
}

impl From<&UploadSettings> for ContentLimits {
    fn from(settings: &UploadSettings) -> Self {
        Self {
            archive_bytes: settings.archive_bytes,
            unpacked_bytes: settings.unpacked_bytes,
            entries: settings.entries,
        }
    }
}
