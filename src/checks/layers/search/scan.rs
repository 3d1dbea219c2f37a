//! Looks through the bytes of a file, and into what is packed in them.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use super::{Packing, Term};
use crate::submissions::saved_image::{Meter, Unreadable, Unzstd, is_zstd};

/// How many packed things in each other are opened.
pub(super) const DEPTH: u8 = 2;

/// Looks through bytes, and into what is packed in them.
pub(super) struct Scan<'s> {
    pub(super) terms: &'s [Term],
    pub(super) meter: &'s Meter,
}

/// The first bytes that tell what a file is.
const HEAD: usize = 512;

impl Scan<'_> {
    /// Adds the places where a term is: empty for the bytes themselves, else how it is packed in them.
    pub(super) fn all(
        &self,
        source: &mut dyn Read,
        depth: u8,
        place: &[Packing],
        places: &mut Vec<Vec<Packing>>,
    ) -> Result<(), Unreadable> {
        let mut tee = Tee { inner: source, window: Window::new(self.terms) };
        let mut head = Vec::with_capacity(HEAD);
        (&mut tee).take(HEAD as u64).read_to_end(&mut head)?;
        if depth > 0 {
            let gzip = head.starts_with(&[0x1f, 0x8b, 8]);
            let zstd = is_zstd(&head);
            let zip = head.starts_with(b"PK\x03\x04");
            let mut whole = BufReader::new(io::Cursor::new(head).chain(&mut tee));
            let mut inside = |inner: &mut dyn Read, packing| {
                let inner = &mut Metered { inner, meter: self.meter };
                self.all(inner, depth - 1, &join(place, packing), places)
            };
            let opened = if gzip {
                inside(&mut MultiGzDecoder::new(&mut whole), Packing::Gzip)
            } else if zstd {
                inside(&mut Unzstd::new(&mut whole), Packing::Zstd)
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
            places.push(place.to_vec());
        }
        Ok(())
    }

    /// The files of a zip one after another, by their local headers (PKWARE's APPNOTE, 4.3.7).
    fn zip(
        &self,
        source: &mut impl BufRead,
        depth: u8,
        place: &[Packing],
        places: &mut Vec<Vec<Packing>>,
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
            let inside = join(place, Packing::Zip(String::from_utf8_lossy(&name).into_owned()));
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

fn join(place: &[Packing], inside: Packing) -> Vec<Packing> {
    let mut place = place.to_vec();
    place.push(inside);
    place
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

    use ruzstd::encoding::CompressionLevel;

    use super::super::told;
    use super::*;
    use crate::clock::Clock;
    use crate::submissions::saved_image::Bounds;
    use regex::bytes::Regex;

    fn places_in(bytes: &[u8], pattern: &str) -> Result<Vec<String>, Unreadable> {
        let terms = [Term { pattern: Regex::new(pattern).unwrap() }];
        let bounds = Bounds { unpacked_bytes: 8 << 20, ..Bounds::default() };
        let meter = Meter::new(bounds, &Clock::system());
        let mut places = Vec::new();
        Scan { terms: &terms, meter: &meter }.all(&mut &*bytes, DEPTH, &[], &mut places)?;
        Ok(places.iter().map(|packing| told(packing)).collect())
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
        let zstd = ruzstd::encoding::compress_to_vec(&gzip(text)[..], CompressionLevel::Fastest);
        assert_eq!(places_in(&zstd, "canary").unwrap(), ["unpacked, unpacked"]);
        let named = zip(&[("canary", b"x")], true);
        assert_eq!(places_in(&named, "canary").unwrap(), [""], "names are in the open");
    }

    #[test]
    fn what_only_looks_packed_is_looked_through() {
        for head in [
            &b"\x1f\x8b\x08 no gzip, but a canary"[..],
            b"PK\x03\x04 no zip, but a canary",
            b"\x28\xb5\x2f\xfd no zstd, but a canary",
        ] {
            assert_eq!(places_in(head, "canary").unwrap(), [""]);
        }
        let whole = gzip(&b"canary, ".repeat(1000));
        assert_eq!(places_in(&whole[..whole.len() - 12], "canary").unwrap().len(), 0);
    }

    #[test]
    fn a_bomb_ends_the_search() {
        let bomb = gzip(&vec![0; 16 << 20]);
        assert!(places_in(&bomb, "canary").unwrap_err().to_string().contains("unpacks to more than 8 MiB"));
    }
}
