//! Writes a tree as the one canonical tar of it.
//!
//! Entries are sorted by the bytes of their paths; modes are 0644 and 0755, owner and group 0, times
//! 0, names empty. The format is ustar (POSIX.1-1988); a name or target past its 100 bytes goes into
//! a PAX header (POSIX.1-2001, pax, "Extended Header"), with `hdrcharset=BINARY` where it is no UTF-8.
//! So equal trees give equal bytes, however they were packed before. The format never changes: the
//! hash of these bytes names contents in the store.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::content::Entry;
use super::tree::{Node, Nodes};

pub(super) const BLOCK: usize = 512;
/// The longest name and link target in a plain header.
const PLAIN_BYTES: usize = 100;

/// A canonical tar, its name, and the entries in it; files are slices of the tar.
pub(super) struct Frozen {
    pub(super) tar: Bytes,
    pub(super) sha256: String,
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
}

/// What becomes of a node once its bytes are in the tar.
enum Placed {
    File { content: Range<usize>, executable: bool },
    Directory,
    Symlink { target: Vec<u8> },
}

pub(super) fn freeze(nodes: Nodes<'_>) -> Frozen {
    // The tar is allocated once; each file's own buffer goes as soon as it is copied.
    let size: usize = nodes.iter().map(|(path, node)| space(path, node)).sum();
    let mut tar = Vec::with_capacity(size + 2 * BLOCK);
    let mut placed = Vec::with_capacity(nodes.len());
    for (path, node) in nodes {
        let place = match node {
            Node::Directory => {
                let mut name = path.clone();
                name.push(b'/');
                header(&mut tar, &name, b"", b'5', 0o755, 0);
                Placed::Directory
            }
            Node::Symlink { target } => {
                header(&mut tar, &path, &target, b'2', 0o777, 0);
                Placed::Symlink { target }
            }
            Node::File { content, executable } => {
                header(&mut tar, &path, b"", b'0', if executable { 0o755 } else { 0o644 }, content.len());
                let start = tar.len();
                tar.extend_from_slice(&content);
                let range = start..tar.len();
                pad(&mut tar);
                Placed::File { content: range, executable }
            }
        };
        placed.push((path, place));
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    let tar = Bytes::from(tar);
    let sha256 = hex(&Sha256::digest(&tar));
    let entries = placed
        .into_iter()
        .map(|(path, place)| {
            let entry = match place {
                Placed::File { content, executable } => {
                    Entry::File { content: tar.slice(content), executable }
                }
                Placed::Directory => Entry::Directory,
                Placed::Symlink { target } => Entry::Symlink { target },
            };
            (path, entry)
        })
        .collect();
    Frozen { tar, sha256, entries }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn space(path: &[u8], node: &Node<'_>) -> usize {
    let (name, target, content) = match node {
        Node::Directory => (path.len() + 1, 0, 0),
        Node::Symlink { target } => (path.len(), target.len(), 0),
        Node::File { content, .. } => (path.len(), 0, content.len()),
    };
    let pax = if name > PLAIN_BYTES || target > PLAIN_BYTES { name + target + 3 * BLOCK } else { 0 };
    BLOCK + content.next_multiple_of(BLOCK) + pax
}

fn pad(tar: &mut Vec<u8>) {
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// The header of one entry, with a PAX header before it where a name does not fit.
fn header(tar: &mut Vec<u8>, name: &[u8], target: &[u8], kind: u8, mode: u32, size: usize) {
    let mut records = Vec::new();
    if name.len() > PLAIN_BYTES {
        record(&mut records, b"path", name);
    }
    if target.len() > PLAIN_BYTES {
        record(&mut records, b"linkpath", target);
    }
    if !records.is_empty() {
        let mut pax = Vec::with_capacity(records.len() + 32);
        if std::str::from_utf8(&records).is_err() {
            record(&mut pax, b"hdrcharset", b"BINARY");
        }
        pax.append(&mut records);
        block(tar, b"PaxHeaders", b"", b'x', 0o644, pax.len());
        tar.append(&mut pax);
        pad(tar);
    }
    block(tar, name, target, kind, mode, size);
}

/// One PAX record, `length key=value\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// One ustar header block; names are cut to what fits.
fn block(tar: &mut Vec<u8>, name: &[u8], target: &[u8], kind: u8, mode: u32, size: usize) {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(PLAIN_BYTES)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, &size_field(size));
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target[..target.len().min(PLAIN_BYTES)]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
}

/// A size in octal, or in base 256 (as GNU tar does) from 8 GiB on.
fn size_field(size: usize) -> [u8; 12] {
    let mut field = [0u8; 12];
    if size < 1 << 33 {
        field.copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&(size as u64).to_be_bytes());
    }
    field
}
