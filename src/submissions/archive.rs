//! Tells what kind of archive bytes are, by their beginning and never by a name.

use super::gunzip::{Gunzip, is_gzip};
use super::limits::ContentLimits;
use super::refusal::Refusal;
use super::tree::{Nodes, Tree};
use super::{untar, unzip};
use crate::units::ByteSize;

/// Reads a .zip, .tar or .tar.gz; a single folder around everything is taken off.
pub(super) fn read<'a>(archive: &'a [u8], limits: &ContentLimits) -> Result<Nodes<'a>, Refusal> {
    if archive.len() as u64 > limits.archive_bytes {
        return Err(Refusal::TooLarge(format!(
            "The archive is {}, and {} is the limit; leave out what the exercise does not need and pack it again",
            ByteSize(archive.len() as u64),
            ByteSize(limits.archive_bytes)
        )));
    }
    let mut tree = Tree::new(limits);
    if is_gzip(archive) {
        untar::read(&mut Gunzip::new(archive), &mut tree)?;
    } else if unzip::is_zip(archive) {
        unzip::read(archive, &mut tree)?;
    } else if untar::is_tar(archive) {
        untar::read(&mut &*archive, &mut tree)?;
    } else {
        return Err(Refusal::NotAnArchive(not_an_archive(archive)));
    }
    tree.finish(true)
}

/// How formats begin that people hand in by mistake.
const OTHERS: [(&[u8], &str); 8] = [
    (b"Rar!", "a .rar file"),
    (b"7z\xbc\xaf\x27\x1c", "a .7z file"),
    (b"\xfd7zXZ\0", "a file packed with xz"),
    (b"BZh", "a file packed with bzip2"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x9d", "a file packed with compress"),
];

fn not_an_archive(bytes: &[u8]) -> String {
    let found = if bytes.is_empty() {
        "The file is empty".to_owned()
    } else if let Some((_, name)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        format!("This is {name}")
    } else if std::str::from_utf8(&bytes[..bytes.len().min(512)]).is_ok_and(|text| !text.contains('\0')) {
        "This looks like a single text file".to_owned()
    } else {
        "This is no archive of a kind that is taken here".to_owned()
    };
    format!("{found}; pack the folder with your work as .zip, .tar or .tar.gz and hand in that")
}
