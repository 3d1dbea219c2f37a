//! Reads the entries of a zip file (PKWARE's APPNOTE), by its central directory.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::ops::Range;

use zip::read::{Config, ZipFileEntry};
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, System};

use super::path::PATH_BYTES;
use super::refusal::{Refusal, shown};
use super::tree::Tree;

/// Size of a local file header without its name and extra field (APPNOTE, 4.3.7).
const LOCAL_HEADER: usize = 30;

/// Whether these bytes begin like a zip file: with an entry, or with the end of an empty one.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Reads a zip into the tree. The first pass looks at the directory alone: names, sizes, places; only
/// when all that holds is anything unpacked.
pub(super) fn read<'a>(archive: &'a [u8], tree: &mut Tree<'a>) -> Result<(), Refusal> {
    let mut directory =
        ZipIterable::try_new(Cursor::new(archive), Config::default()).map_err(|_| damaged())?;
    let mut wanted: Vec<(Wanted, Range<usize>)> = Vec::new();
    for entry in directory.files().map_err(|_| damaged())? {
        let entry = entry.map_err(|_| damaged())?;
        if let Some(want) = Wanted::from(&entry, tree)? {
            wanted.push((want, place(archive, &entry)?));
        }
    }
    refuse_overlaps(&wanted)?;
    for (want, data) in wanted {
        want.unpack(&archive[data], tree)?;
    }
    Ok(())
}

fn damaged() -> Refusal {
    Refusal::Damaged(
        "The .zip file is damaged or not whole: its directory cannot be read; make it again and check that \
         it can be unpacked"
            .into(),
    )
}

/// An entry that will be kept.
struct Wanted {
    path: Vec<u8>,
    kind: Kind,
    packed: bool,
    size: u64,
    sum: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Whether it is executable; `None` where the zip was made on a system that does not tell.
    File(Option<bool>),
    Directory,
    Symlink,
}

impl Wanted {
    fn from(entry: &ZipFileEntry<'_>, tree: &mut Tree<'_>) -> Result<Option<Self>, Refusal> {
        let raw = entry.name_raw();
        let unix = matches!(entry.system(), System::Unix | System::OsDarwin);
        // Some packers on Windows write their own separator, which the format forbids (4.4.17.1). On
        // other systems a backslash is a character like any other.
        let raw: Cow<'_, [u8]> = if !unix && raw.contains(&b'\\') {
            raw.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect::<Vec<u8>>().into()
        } else {
            raw.into()
        };
        let Some(path) = tree.entry(&raw)? else { return Ok(None) };
        let refuse = |what: &str| Err(Refusal::UnsafeEntry(format!("{} is {what}", shown(&raw))));
        // The upper half of the attributes is `st_mode` where the maker says it is from Unix.
        let mode = if unix { entry.external_attributes() >> 16 } else { 0 };
        let kind = match mode & 0o170_000 {
            _ if raw.ends_with(b"/") => Kind::Directory,
            0o040_000 => Kind::Directory,
            0 | 0o100_000 => Kind::File((mode != 0).then_some(mode & 0o100 != 0)),
            0o120_000 => Kind::Symlink,
            _ => {
                return refuse(
                    "a device, named pipe or socket; only files, folders and links are taken: remove it and \
                     pack again",
                );
            }
        };
        if kind != Kind::Directory {
            if entry.encrypted() {
                return refuse("encrypted; pack the folder again without a password");
            }
            if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                return refuse(
                    "packed with a method that is not taken here; make the .zip with the usual method (deflate)",
                );
            }
            if kind == Kind::Symlink && entry.size() > PATH_BYTES as u64 {
                return refuse("a link with a target longer than 4,095 bytes; remove it and pack again");
            }
            tree.admit(&path, entry.size())?;
        }
        Ok(Some(Self {
            path,
            kind,
            packed: entry.compression() != CompressionMethod::Stored,
            size: entry.size(),
            sum: entry.crc32(),
        }))
    }

    fn unpack<'a>(self, data: &'a [u8], tree: &mut Tree<'a>) -> Result<(), Refusal> {
        if self.kind == Kind::Directory {
            return tree.directory(self.path);
        }
        let content = self.content(data)?;
        match self.kind {
            Kind::Symlink => tree.symlink(self.path, &content),
            Kind::File(executable) => {
                let executable = executable.unwrap_or_else(|| content.starts_with(b"#!"));
                tree.file(self.path, content, executable)
            }
            Kind::Directory => Ok(()),
        }
    }

    /// The unpacked bytes: as many as the directory says, and with the sum it says.
    fn content<'a>(&self, data: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
        let wrong =
            |what: &str| Refusal::Damaged(format!("{} {what}; make the .zip file again", shown(&self.path)));
        let content: Cow<'a, [u8]> = if self.packed {
            // One byte more than announced is enough to know a lie; the admitted size bounds memory.
            let mut unpacked = Vec::new();
            flate2::bufread::DeflateDecoder::new(data)
                .take(self.size.saturating_add(1))
                .read_to_end(&mut unpacked)
                .map_err(|_| wrong("is damaged: its packed data cannot be read"))?;
            unpacked.into()
        } else {
            data.into()
        };
        if content.len() as u64 != self.size {
            return Err(wrong("has another size than the .zip file says"));
        }
        let mut sum = flate2::Crc::new();
        sum.update(&content);
        if sum.sum() != self.sum {
            return Err(wrong("is damaged: its checksum is wrong"));
        }
        Ok(content)
    }
}

/// Where an entry's packed data lies. The local header is asked only for its own length; all else is
/// taken from the directory, so that the two cannot say different things.
fn place(archive: &[u8], entry: &ZipFileEntry<'_>) -> Result<Range<usize>, Refusal> {
    let range = || {
        let start = usize::try_from(entry.header_start()).ok()?;
        let header = archive.get(start..start.checked_add(LOCAL_HEADER)?)?.strip_prefix(b"PK\x03\x04")?;
        let length = |at: usize| usize::from(u16::from_le_bytes([header[at - 4], header[at - 3]]));
        let data = start + LOCAL_HEADER + length(26) + length(28);
        let end = data.checked_add(usize::try_from(entry.compressed_size()).ok()?)?;
        (end <= archive.len()).then_some(data..end)
    };
    range().ok_or_else(|| {
        Refusal::Damaged(format!(
            "{} is not whole: the .zip file ends before it does; make the .zip file again",
            shown(entry.name_raw())
        ))
    })
}

/// Entries that share bytes turn a small file into a huge tree.
fn refuse_overlaps(wanted: &[(Wanted, Range<usize>)]) -> Result<(), Refusal> {
    let mut places: Vec<(usize, usize, &[u8])> = wanted
        .iter()
        // An entry begins with its header, at least so long before its data.
        .map(|(want, data)| (data.start - LOCAL_HEADER, data.end, want.path.as_slice()))
        .collect();
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(Refusal::UnsafeEntry(format!(
            "{} and {} use the same bytes of the .zip file, which no packer does; make the .zip file again",
            shown(pair[0].2),
            shown(pair[1].2)
        ))),
        None => Ok(()),
    }
}
