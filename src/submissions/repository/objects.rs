//! Objects by their name, loose or packed, each as large as it says and with the hash that names it.

use std::cell::Cell;
use std::fmt;
use std::io::Read;
use std::rc::Rc;

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;
use sha1::{Digest as _, Sha1};

use super::Unreadable;
use super::pack::Pack;
use crate::submissions::Content;

/// Bounds on reading one repository.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that are unpacked and looked at, all objects together, an object as often as it is read.
    pub unpacked_bytes: u64,
    /// The largest commit, tree or tag, in bytes. Files are not unpacked.
    pub object_bytes: u64,
    /// Commits that are walked.
    pub commits: usize,
    /// Entries of trees that are walked.
    pub entries: usize,
}

impl Default for Bounds {
    /// Room for what a class hands in, far below what would take long.
    fn default() -> Self {
        Self { unpacked_bytes: 512 << 20, object_bytes: 16 << 20, commits: 20_000, entries: 1_000_000 }
    }
}

/// The name of an object: the SHA-1 of what it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) [u8; 20]);

impl Id {
    /// From 40 hexadecimal digits.
    #[must_use]
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let mut id = [0; 20];
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if hex.len() != 40 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(hex.chunks(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Some(Self(id))
    }

    /// The name of what holds `data`.
    pub(super) fn of(kind: Kind, data: &[u8]) -> Self {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", kind.name(), data.len()));
        hash.update(data);
        Self(hash.finalize().into())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The seven digits that git shows.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..7].to_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    fn read(name: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Tree, Self::Blob, Self::Tag]
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

/// Counts what is unpacked.
pub(super) struct Meter {
    left: Cell<u64>,
    object_bytes: u64,
}

impl Meter {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { left: Cell::new(bounds.unpacked_bytes), object_bytes: bounds.object_bytes }
    }

    /// Before so many bytes are unpacked.
    pub(super) fn admit(&self, bytes: u64) -> Result<(), Unreadable> {
        if bytes > self.object_bytes {
            return Err(Unreadable::TooLarge("a commit, folder or file in it is larger than is read"));
        }
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or(Unreadable::TooLarge("its history unpacks to too much"))?);
        Ok(())
    }
}

/// Exactly `size` bytes out of zlib data (RFC 1950); `None` where they are not there.
pub(super) fn inflate(packed: &[u8], size: u64, meter: &Meter) -> Result<Option<Vec<u8>>, Unreadable> {
    meter.admit(size)?;
    let mut out = Vec::new();
    let whole = ZlibDecoder::new(packed).take(size.saturating_add(1)).read_to_end(&mut out).is_ok();
    Ok((whole && out.len() as u64 == size).then_some(out))
}

/// All objects of a repository.
pub(super) struct Objects {
    content: Content,
    place: String,
    packs: Vec<Pack>,
    pub(super) meter: Meter,
    pub(super) bounds: Bounds,
}

/// What an object holds.
pub(super) type Held = (Kind, Rc<Vec<u8>>);

impl Objects {
    pub(super) fn open(content: &Content, place: &str, bounds: Bounds) -> Result<Self, Unreadable> {
        let folder = format!("{place}objects/pack/");
        let mut packs = Vec::new();
        for path in content.entries().range(folder.clone().into_bytes()..).map(|(path, _)| path) {
            let Some(name) = std::str::from_utf8(path).ok().filter(|path| path.starts_with(&folder)) else {
                break;
            };
            if let Some(stem) = name.strip_suffix(".idx")
                && let (Some(index), Some(data)) = (content.file(name), content.file(&format!("{stem}.pack")))
            {
                packs.push(Pack::open(index.clone(), data.clone())?);
            }
        }
        Ok(Self {
            content: content.clone(),
            place: place.to_owned(),
            packs,
            meter: Meter::new(&bounds),
            bounds,
        })
    }

    /// The objects of one pack, and no others.
    pub(super) fn of_pack(pack: Pack, bounds: Bounds) -> Self {
        let (content, place) = (Content::empty(), String::new());
        Self { content, place, packs: vec![pack], meter: Meter::new(&bounds), bounds }
    }

    fn loose(&self, id: Id) -> Option<&Bytes> {
        let hex = id.to_string();
        self.content.file(&format!("{}objects/{}/{}", self.place, &hex[..2], &hex[2..]))
    }

    /// What an object is and holds.
    pub(super) fn read(&self, id: Id) -> Result<Held, Unreadable> {
        let damaged = || Unreadable::Damaged(format!("the object {} is not what its name says", id.short()));
        let (kind, data) = if let Some(packed) = self.loose(id) {
            let (kind, size, header) = loose_header(packed).ok_or_else(damaged)?;
            let mut data =
                inflate(packed, size.saturating_add(header as u64), &self.meter)?.ok_or_else(damaged)?;
            data.drain(..header);
            (kind, Rc::new(data))
        } else {
            self.packed(id)?.ok_or_else(|| missing(id))?
        };
        // Reading again costs again.
        self.meter.admit(data.len() as u64)?;
        if Id::of(kind, &data) == id { Ok((kind, data)) } else { Err(damaged()) }
    }

    /// Whether there is such an object.
    pub(super) fn has(&self, id: Id) -> bool {
        self.loose(id).is_some() || self.packs.iter().any(|pack| pack.find(id).is_some())
    }

    fn packed(&self, id: Id) -> Result<Option<Held>, Unreadable> {
        for pack in &self.packs {
            if let Some(offset) = pack.find(id) {
                // A base in another place than the same pack is only sent, never kept.
                return pack.read(offset, &self.meter).map(Some);
            }
        }
        Ok(None)
    }

    /// The bytes of a file, by what its header says; `None` where it is missing, as in a partial clone.
    pub(super) fn size(&self, id: Id) -> Result<Option<u64>, Unreadable> {
        if let Some(packed) = self.loose(id) {
            return Ok(loose_header(packed).map(|(_, size, _)| size));
        }
        for pack in &self.packs {
            if let Some(offset) = pack.find(id) {
                return pack.size(offset).map(Some);
            }
        }
        Ok(None)
    }
}

fn missing(id: Id) -> Unreadable {
    Unreadable::Damaged(format!("the object {} is missing", id.short()))
}

/// Kind and size that a loose object says, and the length of that header: `commit 123` and a NUL.
fn loose_header(packed: &[u8]) -> Option<(Kind, u64, usize)> {
    let mut start = Vec::new();
    // What comes after the header may be damaged and is another's matter.
    let mut decoder = ZlibDecoder::new(packed).take(32);
    let mut byte = [0];
    while decoder.read(&mut byte).ok()? == 1 {
        if byte[0] == 0 {
            let blank = start.iter().position(|byte| *byte == b' ')?;
            let size = std::str::from_utf8(&start[blank + 1..]).ok()?.parse().ok()?;
            return Some((Kind::read(&start[..blank])?, size, start.len() + 1));
        }
        start.push(byte[0]);
    }
    None
}
