//! The submission's files as a compose file may name them: nothing outside, nothing through a link.
//!
//! A compose file reads only from the frozen content. `..` is followed by its letters and may not leave
//! the submission; a symbolic link anywhere on the way is refused even where it stays inside, since on a
//! student's machine it may lead elsewhere.

use bytes::Bytes;

use super::super::content::{Content, Entry};
use super::finding::quoted;
use crate::units::ByteSize;

/// How many files a project may consist of, each use counted.
const MAX_FILES: usize = 200;
/// How many bytes they may have together.
const MAX_BYTES: usize = 4 << 20;

/// What a path of the submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Nothing is there.
    Missing,
}

/// The files of a submission, with what may still be read of them.
pub(super) struct Files<'c> {
    content: &'c Content,
    reads_left: usize,
    bytes_left: usize,
}

impl<'c> Files<'c> {
    pub(super) fn new(content: &'c Content) -> Self {
        Self { content, reads_left: MAX_FILES, bytes_left: MAX_BYTES }
    }

    /// Where `written` leads from `folder`: a path from the submission's root, which is the empty path.
    ///
    /// # Errors
    /// Why it is not taken, as a sentence about it.
    pub(super) fn locate(&self, folder: &str, written: &str) -> Result<String, String> {
        let shown = quoted(written);
        let letter = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
        if written.starts_with('~') {
            return Err(format!(
                "{shown} leads to a home folder, which is not part of the submission; put what is needed into the \
                 submission and name it by a path such as `./data`"
            ));
        }
        if written.starts_with(['/', '\\']) || letter(written) && written[1..].starts_with(":\\") {
            return Err(format!(
                "{shown} is a path of the machine that docker runs on, and only files of the submission are there; \
                 put what is needed into the submission and name it by a path such as `./data`"
            ));
        }
        if written.contains('\0') {
            return Err(format!("{shown} has a NUL byte in it, which no path can have"));
        }
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in written.split('/') {
            match part {
                "" | "." => continue,
                ".." => {
                    if parts.pop().is_none() {
                        return Err(format!(
                            "{shown} leads out of the submission with `..`; put what is needed into the submission"
                        ));
                    }
                    continue;
                }
                part => parts.push(part),
            }
            let path = parts.join("/");
            if let Some(Entry::Symlink { target }) = self.content.get(&path) {
                return Err(format!(
                    "{shown} goes through {}, a link to {}; a compose file here cannot follow links, so put a copy of \
                     what is meant in its place",
                    quoted(&path),
                    quoted(&String::from_utf8_lossy(target))
                ));
            }
        }
        Ok(parts.join("/"))
    }

    /// What is at a path that [`Files::locate`] gave.
    pub(super) fn kind(&self, path: &str) -> PathKind {
        if path.is_empty() {
            return PathKind::Folder;
        }
        match self.content.get(path) {
            Some(Entry::File { .. }) => PathKind::File,
            Some(Entry::Directory) => PathKind::Folder,
            _ => PathKind::Missing,
        }
    }

    /// The bytes of a file at a path that [`Files::locate`] gave.
    ///
    /// # Errors
    /// Why there are none, as a sentence.
    pub(super) fn read(&mut self, path: &str) -> Result<Bytes, String> {
        let content = match self.content.get(path) {
            Some(Entry::File { content, .. }) => content.clone(),
            Some(Entry::Directory) => return Err(format!("{} is a folder, not a file", quoted(path))),
            _ if path.is_empty() => return Err("a folder is named where a file is meant".into()),
            _ => return Err(format!("there is no file {} in the submission", quoted(path))),
        };
        self.reads_left = self.reads_left.checked_sub(1).ok_or_else(|| {
            format!(
                "the project reads more than {MAX_FILES} files; a file that is used often counts as often"
            )
        })?;
        self.bytes_left = self.bytes_left.checked_sub(content.len()).ok_or_else(|| {
            format!("the files of the project have more than {} together", ByteSize(MAX_BYTES as u64))
        })?;
        Ok(content)
    }

    /// The text of a file at a path that [`Files::locate`] gave.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub(super) fn read_text(&mut self, path: &str) -> Result<String, String> {
        let bytes = self.read(path)?;
        String::from_utf8(bytes.into())
            .map_err(|_| format!("{} is no text in UTF-8; save it as UTF-8", quoted(path)))
    }
}

/// The folder that a file lies in; empty for the root.
pub(super) fn folder_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

/// Whether a build context or an included file is fetched from somewhere, not read from the submission.
pub(super) fn is_remote(written: &str) -> bool {
    written.contains("://")
        || ["github.com/", "git@", "oci:"].iter().any(|prefix| written.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::ContentLimits;
    use super::*;

    fn content() -> Content {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind, link: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_mode(0o644);
            header.set_path(path).unwrap();
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            header.set_cksum();
            builder.append(&header, &[][..]).unwrap();
        };
        add("a/b/c", tar::EntryType::Regular, "");
        add("d", tar::EntryType::Regular, "");
        add("link", tar::EntryType::Symlink, "a");
        Content::from_archive(&builder.into_inner().unwrap(), &ContentLimits::NONE).unwrap()
    }

    #[test]
    fn paths_stay_inside() {
        let content = content();
        let files = Files::new(&content);
        for (folder, written, inside) in [
            ("", "a/b/c", "a/b/c"),
            ("a", "./b//c/", "a/b/c"),
            ("a/b", "../../d", "d"),
            ("", ".", ""),
            ("", "none/../d", "d"),
        ] {
            assert_eq!(files.locate(folder, written).as_deref(), Ok(inside), "{folder} {written}");
        }
        for (folder, written, why) in [
            ("", "/etc/passwd", "path of the machine"),
            ("", "C:\\x", "path of the machine"),
            ("", "~/x", "home folder"),
            ("", "~root", "home folder"),
            ("", "..", "leads out"),
            ("a", "../../d", "leads out"),
            ("", "link", "a link to `a`"),
            ("", "link/b/c", "a link to `a`"),
            ("", "link/../d", "a link to `a`"),
            ("", "a\0", "NUL"),
        ] {
            let message = files.locate(folder, written).unwrap_err();
            assert!(message.contains(why), "{folder} {written}: {message}");
        }
        assert_eq!(files.kind("a"), PathKind::Folder);
        assert_eq!(files.kind("d"), PathKind::File);
        assert_eq!(files.kind("link"), PathKind::Missing);
    }
}
