//! A pack as a server sends it: objects one after another, with neither names nor an index.
//!
//! Names are found by unpacking everything once, each difference right after what it is a difference to
//! (git's manual, gitformat-pack). What is held in memory meanwhile is one chain of differences, and each
//! object of it was counted before it was made.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::rc::Rc;

use bytes::Bytes;
use flate2::Crc;
use flate2::bufread::ZlibDecoder;
use sha1::{Digest as _, Sha1};

use super::Unreadable;
use super::objects::{Bounds, Held, Id, Meter, inflate};
use super::pack::{Entry, EntryKind, apply, damaged, entry, four};

/// Bytes before the first object: magic, version, count.
const HEAD: usize = 12;
/// Bytes of the checksum at the end.
const TAIL: usize = 20;
/// The least that an object takes: its header, and empty zlib data.
const LEAST: usize = 9;

/// A pack whose objects have their names.
pub(super) struct Received {
    data: Bytes,
    bounds: Bounds,
    /// In the order of the pack.
    objects: Vec<Object>,
    /// Differences by the object that they are to: by its place in `objects`, or by its name.
    by_place: HashMap<usize, Vec<usize>>,
    by_name: HashMap<Id, Vec<usize>>,
}

struct Object {
    start: usize,
    end: usize,
    entry: Entry,
    id: Id,
    /// Bytes after unpacking, with differences applied.
    size: u64,
}

impl Received {
    /// Takes a pack apart and names its objects.
    pub(super) fn read(data: Bytes, bounds: Bounds) -> Result<Self, Unreadable> {
        let end = data.len().checked_sub(TAIL).filter(|end| *end >= HEAD);
        let end = end.ok_or_else(|| damaged("ends early"))?;
        if !data.starts_with(b"PACK\0\0\0\x02") {
            return Err(damaged("has no beginning"));
        }
        if Sha1::digest(&data[..end])[..] != data[end..] {
            return Err(damaged("has another checksum than it says"));
        }
        if i32::try_from(data.len()).is_err() {
            return Err(Unreadable::TooLarge("it has more than 2 GiB packed"));
        }
        let count = four(&data, 8).unwrap_or_default() as usize;
        if count > end / LEAST {
            return Err(damaged("has fewer objects than it says"));
        }
        let mut received =
            Self { data, bounds, objects: Vec::new(), by_place: HashMap::new(), by_name: HashMap::new() };
        received.place(count, end)?;
        received.name()?;
        Ok(received)
    }

    /// Finds where each object begins and ends.
    fn place(&mut self, count: usize, end: usize) -> Result<(), Unreadable> {
        let meter = Meter::new(&self.bounds);
        let mut starts: HashMap<usize, usize> = HashMap::new();
        let mut at = HEAD;
        for index in 0..count {
            let entry = entry(&self.data[..end], at)?;
            meter.admit(entry.size)?;
            let start = at;
            at = entry.data + packed_bytes(&self.data[entry.data..end], entry.size)?;
            match entry.kind {
                EntryKind::Whole(_) => {}
                EntryKind::DifferenceAt(base) => {
                    let base = starts.get(&base).ok_or_else(|| damaged("has a difference to nothing"))?;
                    self.by_place.entry(*base).or_default().push(index);
                }
                EntryKind::DifferenceOf(base) => self.by_name.entry(base).or_default().push(index),
            }
            starts.insert(start, index);
            self.objects.push(Object { start, end: at, entry, id: Id([0; 20]), size: 0 });
        }
        if at == end { Ok(()) } else { Err(damaged("has something behind its objects")) }
    }

    /// Unpacks everything once and gives each object its name.
    fn name(&mut self) -> Result<(), Unreadable> {
        let mut named: Vec<Option<(Id, u64)>> = vec![None; self.objects.len()];
        self.walk(
            |_| true,
            |index, held| {
                let id = Id::of(held.0, &held.1);
                named[index] = Some((id, held.1.len() as u64));
                Ok(id)
            },
        )?;
        for (object, named) in self.objects.iter_mut().zip(named) {
            // What nothing led to is a difference to itself, or to what the server took to be here.
            (object.id, object.size) = named.ok_or_else(|| damaged("has a difference to nothing"))?;
        }
        Ok(())
    }

    /// Unpacks the objects that are `needed`, each once and after what it is a difference to. `found` gives
    /// the object's name back.
    fn walk(
        &self,
        needed: impl Fn(usize) -> bool,
        mut found: impl FnMut(usize, &Held) -> Result<Id, Unreadable>,
    ) -> Result<(), Unreadable> {
        let meter = Meter::new(&self.bounds);
        let mut done = vec![false; self.objects.len()];
        let mut ahead: Vec<(usize, Option<Held>)> = Vec::new();
        for root in 0..self.objects.len() {
            if matches!(self.objects[root].entry.kind, EntryKind::Whole(_)) && needed(root) {
                ahead.push((root, None));
            }
            while let Some((index, base)) = ahead.pop() {
                // The same object may be in it twice, and what is a difference to it be found by both.
                if std::mem::replace(&mut done[index], true) {
                    continue;
                }
                let entry = &self.objects[index].entry;
                let unpacked = inflate(&self.data[entry.data..], entry.size, &meter)?
                    .ok_or_else(|| damaged("has an object that cannot be unpacked"))?;
                let held = match (&entry.kind, base) {
                    (EntryKind::Whole(kind), _) => (*kind, Rc::new(unpacked)),
                    (_, Some((kind, base))) => (kind, Rc::new(apply(&base, &unpacked, &meter)?)),
                    (_, None) => return Err(damaged("has a difference to nothing")),
                };
                let id = found(index, &held)?;
                let near = self.by_place.get(&index).into_iter().flatten();
                let children = near.chain(self.by_name.get(&id).into_iter().flatten());
                ahead.extend(
                    children.filter(|child| needed(**child)).map(|child| (*child, Some(held.clone()))),
                );
            }
        }
        Ok(())
    }

    /// Gives the content of each of the wanted objects once.
    pub(super) fn contents(
        &self,
        wanted: &HashSet<Id>,
        mut found: impl FnMut(Id, &[u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let place: HashMap<Id, usize> =
            self.objects.iter().enumerate().map(|(index, object)| (object.id, index)).collect();
        let starts: HashMap<usize, usize> =
            self.objects.iter().enumerate().map(|(index, object)| (object.start, index)).collect();
        let mut needed = vec![false; self.objects.len()];
        for id in wanted {
            let mut at = place.get(id).copied();
            while let Some(index) = at.filter(|index| !std::mem::replace(&mut needed[*index], true)) {
                at = match &self.objects[index].entry.kind {
                    EntryKind::Whole(_) => None,
                    EntryKind::DifferenceAt(base) => starts.get(base).copied(),
                    EntryKind::DifferenceOf(base) => place.get(base).copied(),
                };
            }
        }
        let mut given: HashSet<Id> = HashSet::new();
        self.walk(
            |index| needed[index],
            |index, held| {
                let id = self.objects[index].id;
                if wanted.contains(&id) && given.insert(id) {
                    found(id, &held.1)?;
                }
                Ok(id)
            },
        )
    }

    /// The bytes of each object, by its name.
    pub(super) fn sizes(&self) -> HashMap<Id, u64> {
        self.objects.iter().map(|object| (object.id, object.size)).collect()
    }

    /// The pack as it came.
    pub(super) fn data(&self) -> Bytes {
        self.data.clone()
    }

    /// Its checksum, after which git names the file.
    pub(super) fn checksum(&self) -> &[u8] {
        &self.data[self.data.len() - TAIL..]
    }

    /// The index of the pack, version 2.
    pub(super) fn index(&self) -> Bytes {
        let mut sorted: Vec<&Object> = self.objects.iter().collect();
        sorted.sort_unstable_by_key(|object| object.id);
        let mut index = b"\xfftOc\0\0\0\x02".to_vec();
        let four = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        for first in 0..=u8::MAX {
            index.extend(four(sorted.partition_point(|object| object.id.0[0] <= first)));
        }
        for object in &sorted {
            index.extend(object.id.0);
        }
        for object in &sorted {
            let mut crc = Crc::new();
            crc.update(&self.data[object.start..object.end]);
            index.extend(crc.sum().to_be_bytes());
        }
        // The pack is smaller than 2 GiB, so that none needs the table of larger ones.
        for object in &sorted {
            index.extend(four(object.start));
        }
        index.extend(self.checksum());
        let checksum = Sha1::digest(&index);
        index.extend(checksum);
        index.into()
    }
}

/// How many bytes the zlib data at the start of `packed` has, which has to unpack to exactly `size` bytes.
fn packed_bytes(packed: &[u8], size: u64) -> Result<usize, Unreadable> {
    let wrong = || damaged("has an object that cannot be unpacked");
    let mut decoder = ZlibDecoder::new(packed);
    let mut buffer = [0; 16 << 10];
    let mut unpacked = 0;
    loop {
        match decoder.read(&mut buffer).map_err(|_| wrong())? {
            0 => break,
            read => unpacked += read as u64,
        }
        if unpacked > size {
            return Err(damaged("has an object that is larger than it says"));
        }
    }
    if unpacked == size { usize::try_from(decoder.total_in()).map_err(|_| wrong()) } else { Err(wrong()) }
}
