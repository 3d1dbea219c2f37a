//! How much the files under some paths occupy, for volumes, which the engine does not measure.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Bytes in blocks on the disk of everything under `paths`, not following links and not leaving a
/// path's file system. What cannot be read counts nothing.
pub(super) fn usage(paths: &[String]) -> u64 {
    let mut bytes = 0;
    for path in paths {
        let Ok(root) = fs::symlink_metadata(path) else { continue };
        // A list instead of recursion: a student chooses the depth.
        let mut folders = vec![PathBuf::from(path)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.dev() != root.dev() {
                    continue;
                }
                // Blocks are of 512 bytes, whatever the file system's own are (stat(2)).
                bytes += metadata.blocks() * 512;
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("inner/root")).unwrap();
        let used = usage(&[folder.path().to_string_lossy().into_owned()]);
        assert!((100_000..200_000).contains(&used), "{used}");
    }
}
