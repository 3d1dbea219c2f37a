//! How much the files under some paths occupy, for volumes, which the engine does not measure.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What an entry counts at least: inodes are as scarce as blocks, and an empty file has one too.
const ENTRY_BYTES: u64 = 4096;
/// What a folder counts that lies deeper than a path can be long: more than any limit, since nobody can tell.
const IMMEASURABLE_BYTES: u64 = 1 << 50;

/// Bytes in blocks on the disk of everything under `paths`, not following links and not leaving a
/// path's file system. What cannot be read counts nothing.
pub(super) fn usage(paths: &[String]) -> u64 {
    let mut bytes = 0;
    for path in paths {
        let Ok(root) = fs::symlink_metadata(path) else { continue };
        // A list instead of recursion: a student chooses the depth.
        let mut folders = vec![PathBuf::from(path)];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::InvalidFilename => return IMMEASURABLE_BYTES,
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == ErrorKind::InvalidFilename => return IMMEASURABLE_BYTES,
                    Err(_) => continue,
                };
                if metadata.dev() != root.dev() {
                    continue;
                }
                // Blocks are of 512 bytes, whatever the file system's own are (stat(2)).
                bytes += (metadata.blocks() * 512).max(ENTRY_BYTES);
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
    fn what_lies_too_deep_to_be_read_is_too_much() {
        use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
        let folder = tempfile::tempdir().unwrap();
        let name = "d".repeat(250);
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut at = openat(CWD, folder.path(), flags, Mode::empty()).unwrap();
        for _ in 0..20 {
            mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = openat(&at, &name, flags, Mode::empty()).unwrap();
        }
        assert!(usage(&[folder.path().to_string_lossy().into_owned()]) >= IMMEASURABLE_BYTES);
    }

    #[test]
    fn empty_files_count() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert!(usage(&[folder.path().to_string_lossy().into_owned()]) >= 100 * ENTRY_BYTES);
    }

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
