//! Packs with their index, version 2 (git's manual, gitformat-pack): objects one after another, many of
//! them as a difference to another of the same pack.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;

use super::Unreadable;
use super::objects::{Held, Id, Kind, Meter, inflate};

/// How many differences may lead to an object; git makes 50 at most, 4,095 when told to.
const DEPTH: usize = 4_095;
/// Unpacked bases that are kept for the next object.
const KEPT_BYTES: usize = 16 << 20;
/// Bytes of an index before its tables: magic, version, and 256 counts.
const HEADER: usize = 8 + 256 * 4;

pub(super) struct Pack {
    index: Bytes,
    data: Bytes,
    count: usize,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    objects: HashMap<usize, Held>,
    bytes: usize,
}

/// What an entry begins with.
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    /// Bytes of what follows after unpacking.
    pub(super) size: u64,
    /// Where the zlib data begins.
    pub(super) data: usize,
}

pub(super) enum EntryKind {
    Whole(Kind),
    /// A difference to the entry at this offset.
    DifferenceAt(usize),
    /// A difference to the object of this name.
    DifferenceOf(Id),
}

pub(super) fn damaged(what: &str) -> Unreadable {
    Unreadable::Damaged(format!("a pack {what}"))
}

impl Pack {
    pub(super) fn open(index: Bytes, data: Bytes) -> Result<Self, Unreadable> {
        if !index.starts_with(b"\xfftOc\0\0\0\x02") {
            return Err(Unreadable::Format("has an index of packs in the format of before 2008"));
        }
        if !data.starts_with(b"PACK\0\0\0") || data.len() < 12 + 20 {
            return Err(damaged("has no beginning"));
        }
        let count =
            four(&index, 8 + 255 * 4).ok_or_else(|| damaged("has an index that ends early"))? as usize;
        // Names, checksums, offsets, and two sums at the end.
        if count
            .checked_mul(28)
            .and_then(|tables| tables.checked_add(HEADER + 40))
            .is_none_or(|end| end > index.len())
        {
            return Err(damaged("has an index that ends early"));
        }
        Ok(Self { index, data, count, kept: RefCell::default() })
    }

    fn id(&self, at: usize) -> &[u8] {
        &self.index[HEADER + at * 20..HEADER + at * 20 + 20]
    }

    /// Where an object lies.
    pub(super) fn find(&self, id: Id) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle).cmp(&id.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.offset(middle),
            }
        }
        None
    }

    fn offset(&self, at: usize) -> Option<usize> {
        let offsets = HEADER + self.count * 24;
        let offset = four(&self.index, offsets + at * 4)?;
        if offset & 0x8000_0000 == 0 {
            return Some(offset as usize);
        }
        // Past 2 GiB there is a table of larger ones.
        let at = offsets + self.count * 4 + (offset & 0x7fff_ffff) as usize * 8;
        let large = self.index.get(at..at + 8)?;
        usize::try_from(u64::from_be_bytes(large.try_into().ok()?)).ok()
    }

    fn inflate(&self, entry: &Entry, meter: &Meter) -> Result<Vec<u8>, Unreadable> {
        let packed = self.data.get(entry.data..).unwrap_or_default();
        inflate(packed, entry.size, meter)?.ok_or_else(|| damaged("has an object that cannot be unpacked"))
    }

    /// The object at an offset, with its differences applied.
    pub(super) fn read(&self, offset: usize, meter: &Meter) -> Result<Held, Unreadable> {
        let mut differences = Vec::new();
        let mut at = offset;
        let mut held = loop {
            if let Some(held) = self.kept.borrow().objects.get(&at) {
                break held.clone();
            }
            let entry = entry(&self.data, at)?;
            match entry.kind {
                EntryKind::Whole(kind) => break (kind, Rc::new(self.inflate(&entry, meter)?)),
                EntryKind::DifferenceAt(base) => {
                    differences.push((at, entry));
                    at = base;
                }
                EntryKind::DifferenceOf(base) => {
                    differences.push((at, entry));
                    at = self.find(base).ok_or_else(|| damaged("has a difference to nothing"))?;
                }
            }
            // By name, differences may also lead in a circle.
            if differences.len() > DEPTH {
                return Err(damaged("has too many differences in a row"));
            }
        };
        self.keep(at, &held);
        for (at, entry) in differences.into_iter().rev() {
            let difference = self.inflate(&entry, meter)?;
            held.1 = Rc::new(apply(&held.1, &difference, meter)?);
            self.keep(at, &held);
        }
        Ok(held)
    }

    fn keep(&self, offset: usize, held: &Held) {
        let mut kept = self.kept.borrow_mut();
        if kept.bytes + held.1.len() > KEPT_BYTES {
            *kept = Kept::default();
        }
        if held.1.len() < KEPT_BYTES / 4 && kept.objects.insert(offset, held.clone()).is_none() {
            kept.bytes += held.1.len();
        }
    }

    /// The size of the object at an offset, as it is after differences are applied.
    pub(super) fn size(&self, offset: usize) -> Result<u64, Unreadable> {
        let entry = entry(&self.data, offset)?;
        if let EntryKind::Whole(_) = entry.kind {
            return Ok(entry.size);
        }
        // A difference begins with the sizes of its base and of what it makes.
        let mut start = Vec::new();
        let packed = self.data.get(entry.data..).unwrap_or_default();
        let _ = ZlibDecoder::new(packed).take(20).read_to_end(&mut start);
        let mut rest = start.as_slice();
        let sizes = (varint(&mut rest), varint(&mut rest));
        sizes.1.ok_or_else(|| damaged("has a difference that ends early"))
    }
}

/// Reads what the entry at an offset begins with.
pub(super) fn entry(data: &[u8], offset: usize) -> Result<Entry, Unreadable> {
    let cut = || damaged("ends early");
    let mut at = offset;
    let mut next = || {
        let byte = data.get(at).copied().ok_or_else(cut);
        at += 1;
        byte
    };
    let first = next()?;
    let (mut size, mut shift, mut byte) = (u64::from(first & 0x0f), 4, first);
    while byte & 0x80 != 0 {
        byte = next()?;
        if shift > 56 {
            return Err(damaged("has an object of an impossible size"));
        }
        size |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    let kind = match (first >> 4) & 7 {
        1 => EntryKind::Whole(Kind::Commit),
        2 => EntryKind::Whole(Kind::Tree),
        3 => EntryKind::Whole(Kind::Blob),
        4 => EntryKind::Whole(Kind::Tag),
        6 => {
            byte = next()?;
            let mut back = usize::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = next()?;
                back = back
                    .checked_add(1)
                    .and_then(|back| back.checked_mul(128))
                    .ok_or_else(|| damaged("has a difference to nothing"))?
                    | usize::from(byte & 0x7f);
            }
            let base = offset.checked_sub(back).filter(|_| back > 0);
            EntryKind::DifferenceAt(base.ok_or_else(|| damaged("has a difference to nothing"))?)
        }
        7 => {
            let name = data.get(at..at + 20).ok_or_else(cut)?;
            at += 20;
            EntryKind::DifferenceOf(Id::from_bytes(name).ok_or_else(cut)?)
        }
        _ => return Err(damaged("has an object of a kind that there is not")),
    };
    Ok(Entry { kind, size, data: at })
}

pub(super) fn four(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Carries out a difference: pieces copied from the base, and new bytes.
pub(super) fn apply(base: &[u8], difference: &[u8], meter: &Meter) -> Result<Vec<u8>, Unreadable> {
    let wrong = || damaged("has a difference that does not fit");
    let mut rest = difference;
    let (from, size) = (varint(&mut rest).ok_or_else(wrong)?, varint(&mut rest).ok_or_else(wrong)?);
    if from != base.len() as u64 {
        return Err(wrong());
    }
    meter.admit(size)?;
    let mut out: Vec<u8> = Vec::new();
    while let Some((command, after)) = rest.split_first() {
        rest = after;
        let piece = if command & 0x80 != 0 {
            // Which bytes of the offset and of the length follow.
            let mut number = |bits: u8, first: u8| -> Option<usize> {
                let mut value = 0;
                for index in (0..bits).filter(|index| command & (first << index) != 0) {
                    let (byte, after) = rest.split_first()?;
                    rest = after;
                    value |= usize::from(*byte) << (8 * index);
                }
                Some(value)
            };
            let start = number(4, 0x01).ok_or_else(wrong)?;
            let length = match number(3, 0x10).ok_or_else(wrong)? {
                0 => 0x1_0000,
                length => length,
            };
            base.get(start..start.saturating_add(length)).ok_or_else(wrong)?
        } else {
            // No command is 0; it is kept for the future.
            if *command == 0 || rest.len() < usize::from(*command) {
                return Err(wrong());
            }
            let (new, after) = rest.split_at(usize::from(*command));
            rest = after;
            new
        };
        if (out.len() + piece.len()) as u64 > size {
            return Err(wrong());
        }
        out.extend_from_slice(piece);
    }
    if out.len() as u64 == size { Ok(out) } else { Err(wrong()) }
}
