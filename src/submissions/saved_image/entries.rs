//! The entries of a tar as they come, one at a time, with nothing kept.
//!
//! `untar` reads what a student hands in as work and refuses what has no place there; this reads what
//! an engine wrote, in which devices, absolute links and whiteouts are in order.

use std::io::{self, Read};

use super::super::freeze::BLOCK;
use super::super::untar::{Header, padding, pax_records, until_nul};
use super::{Meter, Unreadable};

/// The most that headers for one entry (long names, PAX records) may take. Extended attributes are
/// among them.
const EXTENSION_BYTES: u64 = 1 << 20;

/// An entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From the root, with `/` between parts and none in front; empty for the root itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a regular file, 0 of all else, hard links too.
    pub size: u64,
    /// Where a link leads, as it is written.
    pub target: Vec<u8>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file of the same layer.
    HardLink,
    /// A device, pipe or socket.
    Other,
}

/// What a layer says about the layers below (OCI image specification, "Whiteouts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `.wh.name`: this path is removed, with all below it.
    Removed(Vec<u8>),
    /// `.wh..wh..opq`: nothing that is below this path in lower layers is to be seen.
    Opaque(Vec<u8>),
    /// Another mark of the storage's own.
    Private,
}

impl Entry {
    /// What the entry says about lower layers, where it is no file itself.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let at = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = self.path.split_at(at);
        let hidden = name.strip_prefix(b".wh.")?;
        if hidden == b".wh..opq" {
            return Some(Mark::Opaque(folder.strip_suffix(b"/").unwrap_or(folder).to_vec()));
        }
        if hidden.starts_with(b".wh.") || hidden.is_empty() {
            return Some(Mark::Private);
        }
        Some(Mark::Removed([folder, hidden].concat()))
    }
}

/// Reads one entry after another.
pub(super) struct Entries<'r> {
    source: &'r mut dyn Read,
    meter: &'r Meter,
    /// Bytes of the current entry that were not read yet, without padding.
    left: u64,
    padding: u64,
}

impl<'r> Entries<'r> {
    pub(super) fn new(source: &'r mut dyn Read, meter: &'r Meter) -> Self {
        Self { source, meter, left: 0, padding: 0 }
    }

    /// The next entry; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Unreadable> {
        let (mut path, mut target, mut pax_size) = (None, None, None);
        let mut zero_blocks = 0;
        loop {
            self.finish()?;
            let Some(header) = self.header()? else { return Ok(None) };
            if header.is_zero() {
                zero_blocks += 1;
                if zero_blocks == 2 {
                    return Ok(None);
                }
                continue;
            }
            zero_blocks = 0;
            let size = header.size().filter(|_| header.sum_holds());
            let size = size.ok_or(Unreadable::Damaged("an archive in it"))?;
            match header.kind() {
                b'x' | b'X' | b'g' | b'L' | b'K' => {
                    let data = self.extension(size)?;
                    match header.kind() {
                        b'L' => path = Some(until_nul(&data).to_vec()),
                        b'K' => target = Some(until_nul(&data).to_vec()),
                        b'g' => {}
                        _ => pax_records(&data, unreadable_header, |key, value| {
                            match key {
                                b"path" => path = Some(value.to_vec()),
                                b"linkpath" => target = Some(value.to_vec()),
                                b"size" => {
                                    let size =
                                        std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                                    pax_size = Some(size.ok_or_else(unreadable_header)?);
                                }
                                _ => {}
                            }
                            Ok(())
                        })?,
                    }
                }
                kind => {
                    let raw = path.unwrap_or_else(|| header.path());
                    let is_folder = raw.ends_with(b"/");
                    let target = target.unwrap_or_else(|| header.target());
                    self.meter.entry(raw.len() + target.len())?;
                    let kind = match kind {
                        b'0' | 0 | b'7' if !is_folder => Kind::File,
                        b'0' | 0 | b'7' | b'5' => Kind::Directory,
                        b'1' => Kind::HardLink,
                        b'2' => Kind::Symlink,
                        b'S' => {
                            return Err(Unreadable::Refused(
                                "it has a sparse entry, which no engine writes".into(),
                            ));
                        }
                        _ => Kind::Other,
                    };
                    let size = if kind == Kind::File { pax_size.unwrap_or(size) } else { 0 };
                    (self.left, self.padding) = (size, padding(size));
                    return Ok(Some(Entry { path: clean(&raw), kind, size, target }));
                }
            }
        }
    }

    /// What is left of the current entry's content.
    pub(super) fn content(&mut self) -> Content<'_, 'r> {
        Content { entries: self }
    }

    /// Skips what is left of the current entry. The padding after the last one may be missing.
    fn finish(&mut self) -> Result<(), Unreadable> {
        io::copy(&mut self.content(), &mut io::sink())?;
        if self.left > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut padding = [0; BLOCK];
        let length = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or(0);
        self.fill(&mut padding[..length])?;
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, Unreadable> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            BLOCK => Ok(Some(Header(block))),
            0 => Ok(None),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Unreadable> {
        if size > EXTENSION_BYTES {
            return Err(unreadable_header());
        }
        (self.left, self.padding) = (size, padding(size));
        let mut data = Vec::new();
        self.content().read_to_end(&mut data)?;
        Ok(data)
    }

    /// Fills the buffer as far as there is something; how far.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Unreadable> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        self.meter.unpacked(filled)?;
        Ok(filled)
    }
}

fn unreadable_header() -> Unreadable {
    Unreadable::Damaged("an entry's extended header")
}

/// The content of an entry. Ends with an error where the archive does too early.
pub(super) struct Content<'e, 'r> {
    entries: &'e mut Entries<'r>,
}

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Entries { source, meter, left, .. } = &mut *self.entries;
        let most = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = source.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        meter.unpacked(read)?;
        *left -= read as u64;
        Ok(read)
    }
}

/// A path from the root: without `.`, with `..` taken back, never above the root.
pub(super) fn clean(raw: &[u8]) -> Vec<u8> {
    let mut path: Vec<&[u8]> = Vec::new();
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.join(&b'/')
}
