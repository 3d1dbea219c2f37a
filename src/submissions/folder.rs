//! Reads a folder of this machine into a tree, following no link.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::limits::ContentLimits;
use super::refusal::{Refusal, shown};
use super::tree::{Nodes, Tree};

pub(super) fn read(folder: &Path, limits: &ContentLimits) -> Result<Nodes<'static>, Refusal> {
    let mut tree = Tree::new(limits);
    walk(folder, b"", &mut tree)?;
    tree.finish(false)
}

fn walk(folder: &Path, above: &[u8], tree: &mut Tree<'_>) -> Result<(), Refusal> {
    let unreadable = |path: &Path, cause: io::Error| {
        Refusal::Damaged(format!("{} cannot be read: {cause}", shown(path.as_os_str().as_bytes())))
    };
    for entry in fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))? {
        let entry = entry.map_err(|cause| unreadable(folder, cause))?;
        let here = entry.path();
        let mut raw = above.to_vec();
        if !above.is_empty() {
            raw.push(b'/');
        }
        raw.extend_from_slice(entry.file_name().as_bytes());
        let Some(path) = tree.entry(&raw)? else { continue };
        let metadata = entry.metadata().map_err(|cause| unreadable(&here, cause))?;
        if metadata.is_dir() {
            tree.directory(path)?;
            walk(&here, &raw, tree)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&here).map_err(|cause| unreadable(&here, cause))?;
            tree.symlink(path, target.as_os_str().as_bytes())?;
        } else if metadata.is_file() {
            tree.admit(&raw, metadata.len())?;
            let content = file(&here, &metadata).map_err(|cause| unreadable(&here, cause))?;
            tree.file(path, content.into(), metadata.mode() & 0o100 != 0)?;
        } else {
            return Err(Refusal::UnsafeEntry(format!(
                "{} is a device, named pipe or socket; only files, folders and links are taken: move it away",
                shown(&raw)
            )));
        }
    }
    Ok(())
}

/// The bytes of a file that is still the one that was looked at and has not grown since.
fn file(path: &Path, seen: &Metadata) -> io::Result<Vec<u8>> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
    let now = file.metadata()?;
    let mut content = Vec::new();
    file.take(seen.len() + 1).read_to_end(&mut content)?;
    if (now.dev(), now.ino()) != (seen.dev(), seen.ino()) || content.len() as u64 > seen.len() {
        return Err(io::Error::other("it was changed while it was read; try again"));
    }
    Ok(content)
}
