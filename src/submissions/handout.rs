//! Packs a content for handing it out: the starter files of an exercise, a submission to look at.

use std::io::{Cursor, Write};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::content::{Content, Entry};

impl Content {
    /// A .zip of the tree inside a folder of this name (no folder where it is empty). The same tree
    /// gives the same bytes. A name that is no UTF-8 is written with replacement characters, since a
    /// zip cannot hold it in a way that all readers agree on.
    ///
    /// # Panics
    /// Never: writing to memory does not fail, and a tree has no path twice.
    #[must_use]
    pub fn zip(&self, folder: &str) -> Vec<u8> {
        self.write_zip(folder).expect("a zip in memory can be written")
    }

    fn write_zip(&self, folder: &str) -> zip::result::ZipResult<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        // 1980-01-01, the zero of the format, which is the default without the `time` feature.
        let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        for (path, entry) in self.inside(folder).entries() {
            let name = String::from_utf8_lossy(path);
            match entry {
                Entry::Directory => writer.add_directory(name, options.unix_permissions(0o755))?,
                Entry::Symlink { target } => {
                    writer.add_symlink(name, String::from_utf8_lossy(target), options)?;
                }
                Entry::File { content, executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    writer.start_file(name, options.unix_permissions(mode))?;
                    writer.write_all(content)?;
                }
            }
        }
        Ok(writer.finish()?.into_inner())
    }
}
