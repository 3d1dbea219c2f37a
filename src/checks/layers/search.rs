//! Looks for terms in the layers of an image, as they come.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use regex::bytes::Regex;
use serde_json::Value;

use super::names;
use crate::checks::layer_table::{self, Row};
use crate::checks::matcher::{Text, shown};
use crate::submissions::saved_image::{self, Config, Entry, Kind, Mark, Meter, Unreadable};

/// A text or pattern that is looked for.
pub(super) struct Term {
    pub(super) pattern: Regex,
}

impl Term {
    pub(super) fn text(text: &str) -> Result<Self, String> {
        let pattern = Regex::new(&regex::escape(text)).map_err(|error| error.to_string())?;
        Ok(Self { pattern })
    }
}

/// All that is looked for.
pub(super) struct Sought {
    pub(super) terms: Vec<Term>,
    pub(super) secret_names: bool,
    pub(super) secret_files: bool,
    pub(super) allowed: Vec<Text>,
}

impl Sought {
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.terms.iter().any(|term| term.pattern.is_match(bytes))
    }

    fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.accepts(name))
    }

    /// Where it is in what an image says about itself.
    pub(super) fn in_configuration(&self, document: &Value, config: &Config) -> Vec<String> {
        let mut places = Vec::new();
        visit(document, &mut String::new(), &mut |pointer, text| {
            // What the history says is told below, as instructions.
            if !pointer.starts_with("/history") && self.is_in(text.as_bytes()) {
                places.push(format!("in the image's configuration at `{pointer}`"));
            }
        });
        let history: Vec<String> =
            config.history.iter().flatten().map(saved_image::History::instruction).collect();
        for instruction in history.iter().filter(|text| self.is_in(text.as_bytes())) {
            places.push(format!("in the history, in {}", shown(&layer_table::instruction(instruction))));
        }
        if self.secret_names {
            let env = config.config.iter().flat_map(|config| config.env.iter().flatten());
            for (name, value) in env.filter_map(|variable| variable.split_once('=')) {
                if names::is_secret(name) && !value.is_empty() && !self.allows(name) {
                    places.push(format!("the image sets the variable {}", shown(name)));
                }
            }
            for instruction in &history {
                for name in names::assigned(instruction) {
                    if !self.allows(name) {
                        let keyword = instruction.split_whitespace().next().unwrap_or_default();
                        places.push(format!("the history shows the value of {} in {keyword}", shown(name)));
                    }
                }
            }
        }
        places
    }
}

/// Every text of a document, with its JSON pointer.
fn visit(value: &Value, pointer: &mut String, each: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    let mut inside = |key: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(key);
        each(pointer, key);
        visit(value, pointer, each);
        pointer.truncate(length);
    };
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value)),
        Value::Object(map) => map.iter().for_each(|(key, value)| inside(key, value)),
        Value::String(text) => each(pointer, text),
        _ => {}
    }
}

/// A place in a layer.
struct Found {
    path: Vec<u8>,
    /// What of the path it is, such as "in" or "in `a.txt` in".
    how: String,
}

/// Looks at one layer.
pub(super) struct Look<'s> {
    sought: &'s Sought,
    meter: &'s Meter,
    found: Vec<Found>,
    marks: Vec<Mark>,
    /// Of all files, by hash: who only asks whether a file was written again needs no more.
    paths: HashSet<u64>,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// The most places in one layer; more say nothing more.
const FOUND: usize = 100;
/// How many packed things in each other are opened.
const DEPTH: u8 = 2;

impl<'s> Look<'s> {
    pub(super) fn new(sought: &'s Sought, meter: &'s Meter) -> Self {
        let (found, marks) = (Vec::new(), Vec::new());
        Self { sought, meter, found, marks, paths: HashSet::new(), bytes: 0, entries: 0 }
    }
}

impl saved_image::Look for Look<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Unreadable> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        let mut found = |path: &[u8], how: String| {
            if self.found.len() < FOUND
                && !self.found.iter().any(|found| found.path == path && found.how == how)
            {
                self.found.push(Found { path: path.to_vec(), how });
            }
        };
        if self.sought.is_in(&entry.path) {
            found(&entry.path, "the name of".into());
        }
        if self.sought.is_in(&entry.target) {
            found(&entry.path, "the target of".into());
        }
        if let Some(mark) = entry.mark() {
            self.marks.push(mark);
            return Ok(());
        }
        if self.sought.secret_files {
            let path = String::from_utf8_lossy(&entry.path);
            if let Some(secret) = names::secret_file(&path)
                && !self.sought.allows(&format!("/{secret}"))
                && !self.sought.allows(&format!("/{path}"))
            {
                found(secret.as_bytes(), "there is".into());
            }
        }
        if entry.kind != Kind::Directory {
            self.paths.insert(hash(&entry.path));
        }
        if entry.kind == Kind::File && !self.sought.terms.is_empty() {
            let scan = Scan { terms: &self.sought.terms, meter: self.meter };
            let mut inside = Vec::new();
            scan.all(content, DEPTH, "", &mut inside)?;
            for place in inside {
                let how = if place.is_empty() { "in".to_owned() } else { format!("in {} in", shown(&place)) };
                found(&entry.path, how);
            }
        }
        Ok(())
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Every place in the layers (from the bottom up), and what became of it above.
pub(super) fn places(looks: &[&Look<'_>], rows: &[Row]) -> Vec<String> {
    let mut places = Vec::new();
    for (index, look) in looks.iter().enumerate() {
        for found in &look.found {
            let path = shown(&format!("/{}", String::from_utf8_lossy(&found.path)));
            let made_by = shown(&layer_table::instruction(&rows[index].instruction));
            let fate = looks[index + 1..]
                .iter()
                .position(|above| above.covers(&found.path))
                .map(|above| format!(", gone since layer {} but still in the image", index + above + 2))
                .unwrap_or_default();
            places.push(format!("layer {} ({made_by}): {} {path}{fate}", index + 1, found.how));
        }
    }
    places
}

impl Look<'_> {
    /// Whether this layer deletes, hides or overwrites a path of a layer below.
    fn covers(&self, path: &[u8]) -> bool {
        let below = |folder: &[u8]| {
            folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let marked = self.marks.iter().any(|mark| match mark {
            Mark::Removed(removed) => removed == path || below(removed),
            Mark::Opaque(folder) => below(folder),
            Mark::Private => false,
        });
        marked || self.paths.contains(&hash(path))
    }
}

/// Looks through bytes, and into what is packed in them.
struct Scan<'s> {
    terms: &'s [Term],
    meter: &'s Meter,
}

/// The first bytes that tell what a file is.
const HEAD: usize = 512;

impl Scan<'_> {
    /// Adds the places where a term is: empty for the bytes themselves, else the name of what is packed
    /// in them.
    fn all(
        &self,
        source: &mut dyn Read,
        depth: u8,
        place: &str,
        places: &mut Vec<String>,
    ) -> Result<(), Unreadable> {
        let mut tee = Tee { inner: source, window: Window::new(self.terms) };
        let mut head = Vec::with_capacity(HEAD);
        (&mut tee).take(HEAD as u64).read_to_end(&mut head)?;
        if depth > 0 {
            let gzip = head.starts_with(&[0x1f, 0x8b, 8]);
            let zip = head.starts_with(b"PK\x03\x04");
            let mut whole = BufReader::new(io::Cursor::new(head).chain(&mut tee));
            let opened = if gzip {
                let inside = join(place, "unpacked");
                self.all(
                    &mut Metered { inner: MultiGzDecoder::new(&mut whole), meter: self.meter },
                    depth - 1,
                    &inside,
                    places,
                )
            } else if zip {
                self.zip(&mut whole, depth - 1, place, places)
            } else {
                Ok(())
            };
            // What only begins like something packed, or is damaged, was looked through as it is.
            if let Err(error) = opened
                && !error.is_damage()
            {
                return Err(error);
            }
            self.meter.skip(&mut whole)?;
        }
        io::copy(&mut tee, &mut io::sink())?;
        if tee.window.finish() && !places.iter().any(|known| known == place) {
            places.push(place.to_owned());
        }
        Ok(())
    }

    /// The files of a zip one after another, by their local headers (PKWARE's APPNOTE, 4.3.7).
    fn zip(
        &self,
        source: &mut impl BufRead,
        depth: u8,
        place: &str,
        places: &mut Vec<String>,
    ) -> Result<(), Unreadable> {
        loop {
            let mut signature = [0; 4];
            source.read_exact(&mut signature)?;
            match &signature {
                b"PK\x03\x04" => {}
                // After the sizes were written behind the data: checksum and two sizes, of 4 or 8 bytes.
                b"PK\x07\x08" => {
                    source.read_exact(&mut [0; 12])?;
                    if !source.fill_buf()?.starts_with(b"PK") {
                        source.read_exact(&mut [0; 8])?;
                    }
                    continue;
                }
                _ => return Ok(()),
            }
            let mut header = [0; 26];
            source.read_exact(&mut header)?;
            let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 2)) << 16;
            let (flags, method, packed) = (short(2), short(4), long(14));
            let mut name = vec![0; usize::from(short(22))];
            source.read_exact(&mut name)?;
            source.read_exact(&mut vec![0; usize::from(short(24))])?;
            let inside = join(place, &String::from_utf8_lossy(&name));
            let sizes_follow = flags & 8 != 0;
            match method {
                _ if flags & 1 != 0 => return Ok(()),
                8 => {
                    let unpacked = DeflateDecoder::new(&mut *source);
                    self.all(&mut Metered { inner: unpacked, meter: self.meter }, depth, &inside, places)?;
                }
                0 if !sizes_follow => self.all(&mut source.take(packed), depth, &inside, places)?,
                // Where it ends cannot be told as it comes.
                _ if sizes_follow => return Ok(()),
                _ => drop(io::copy(&mut source.take(packed), &mut io::sink())?),
            }
            if sizes_follow && !source.fill_buf()?.starts_with(b"PK") {
                // Without a signature in front.
                source.read_exact(&mut [0; 12])?;
            }
        }
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}, {name}") }
}

/// Counts what was unpacked.
struct Metered<'s, R> {
    inner: R,
    meter: &'s Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.unpacked(read)?;
        Ok(read)
    }
}

/// Looks through what is read through it.
struct Tee<'r, 's> {
    inner: &'r mut dyn Read,
    window: Window<'s>,
}

impl Read for Tee<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.window.push(&buffer[..read]);
        Ok(read)
    }
}

/// The bytes of a stream that are looked through together.
struct Window<'s> {
    terms: &'s [Term],
    bytes: Vec<u8>,
    /// Whether the window begins where the stream does.
    first: bool,
    found: bool,
}

const WINDOW: usize = 256 << 10;
/// How much of a window is looked through again with the next: the longest that can be found.
const OVERLAP: usize = 4096;

impl<'s> Window<'s> {
    fn new(terms: &'s [Term]) -> Self {
        Self { terms, bytes: Vec::new(), first: true, found: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= WINDOW {
            self.look(false);
            self.bytes.drain(..self.bytes.len() - OVERLAP);
            self.first = false;
        }
    }

    /// Whether anything was found in the whole stream.
    fn finish(&mut self) -> bool {
        if !self.found {
            self.look(true);
        }
        self.found
    }

    /// One byte before where the search starts keeps `^` from fitting in the middle of the stream; what
    /// ends with the window is left to the next one, which knows whether `$` or more follows.
    fn look(&mut self, last: bool) {
        let from = usize::from(!self.first).min(self.bytes.len());
        self.found = self.terms.iter().any(|term| {
            let fits = term.pattern.find_at(&self.bytes, from);
            fits.is_some_and(|fits| last || fits.end() < self.bytes.len())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::clock::Clock;
    use crate::submissions::saved_image::Bounds;

    fn places_in(bytes: &[u8], pattern: &str) -> Result<Vec<String>, Unreadable> {
        let terms = [Term { pattern: Regex::new(pattern).unwrap() }];
        let bounds = Bounds { unpacked_bytes: 8 << 20, ..Bounds::default() };
        let meter = Meter::new(bounds, &Clock::system());
        let mut places = Vec::new();
        Scan { terms: &terms, meter: &meter }.all(&mut &*bytes, DEPTH, "", &mut places)?;
        Ok(places)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zip(files: &[(&str, &[u8])], packed: bool) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let method = if packed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        for (name, bytes) in files {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method))
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn a_term_is_found_wherever_windows_meet() {
        for before in [0, 1, WINDOW - 10, WINDOW - 3, WINDOW, 2 * WINDOW - OVERLAP - 5, 3 * WINDOW] {
            let bytes = [vec![b'.'; before], b"canary".to_vec(), vec![b'.'; WINDOW]].concat();
            assert_eq!(places_in(&bytes, "canary").unwrap(), [""], "{before}");
            assert_eq!(places_in(&bytes, "canary$").unwrap().len(), 0, "{before}");
            assert_eq!(places_in(&bytes, "^canary").unwrap().len(), usize::from(before == 0), "{before}");
            assert_eq!(places_in(&bytes[..before + 6], "canary$").unwrap(), [""], "{before}");
        }
    }

    #[test]
    fn what_is_packed_is_opened_twice() {
        let text = b"the canary sings, and sings, and sings";
        assert_eq!(places_in(&gzip(text), "canary").unwrap(), ["unpacked"]);
        for packed in [true, false] {
            let both = zip(&[("a", &[b'x'; 999]), ("b/c", text)], packed);
            let mut found = places_in(&both, "canary").unwrap();
            found.retain(|place| !place.is_empty());
            assert_eq!(found, ["b/c"]);
            assert!(!places_in(&gzip(&both), "canary").unwrap().is_empty());
            let inner = zip(&[("in.gz", &gzip(text))], packed);
            assert_eq!(places_in(&inner, "canary").unwrap(), ["in.gz, unpacked"]);
        }
        let named = zip(&[("canary", b"x")], true);
        assert_eq!(places_in(&named, "canary").unwrap(), [""], "names are in the open");
    }

    #[test]
    fn what_only_looks_packed_is_looked_through() {
        for head in [&b"\x1f\x8b\x08 no gzip, but a canary"[..], b"PK\x03\x04 no zip, but a canary"] {
            assert_eq!(places_in(head, "canary").unwrap(), [""]);
        }
        let whole = gzip(&b"canary, ".repeat(1000));
        assert_eq!(places_in(&whole[..whole.len() - 12], "canary").unwrap().len(), 0);
    }

    #[test]
    fn a_bomb_ends_the_search() {
        let bomb = gzip(&vec![0; 16 << 20]);
        assert!(places_in(&bomb, "canary").unwrap_err().0.contains("unpacks to more than 8 MiB"));
    }
}
