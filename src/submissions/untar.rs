//! Reads the entries of a tar: v7, ustar, PAX and GNU, plain or packed with gzip.
//!
//! Written here and not taken from a library because the order matters: a size is admitted before a
//! byte of it is read, a long name is bounded before it is kept, entries of an unpacked tar stay
//! slices of it, and each oddity gets its own sentence. The layout is that of POSIX.1-2001 (pax,
//! "ustar Interchange Format") and of GNU tar's manual ("Basic Tar Format").

use std::borrow::Cow;
use std::io::{self, Read};

use super::freeze::BLOCK;
use super::gunzip::Gunzip;
use super::refusal::{Refusal, shown};
use super::tree::Tree;

/// The most that headers for one entry (long names, PAX records) may take.
const EXTENSION_BYTES: u64 = 1 << 20;
/// How far past the end of the archive packed data is read, to see whether its checksum holds.
const AFTER_END_BYTES: u64 = 1 << 20;

/// Where a tar's bytes come from.
pub(super) trait Input<'a> {
    /// At most `bytes` bytes; fewer only where the input ends.
    fn next_bytes(&mut self, bytes: u64) -> io::Result<Cow<'a, [u8]>>;
    /// Goes on by `bytes`; how far it really was.
    fn skip(&mut self, bytes: u64) -> io::Result<u64>;
}

impl<'a> Input<'a> for &'a [u8] {
    fn next_bytes(&mut self, bytes: u64) -> io::Result<Cow<'a, [u8]>> {
        let length = usize::try_from(bytes).map_or(self.len(), |bytes| bytes.min(self.len()));
        let (taken, rest) = self.split_at(length);
        *self = rest;
        Ok(Cow::Borrowed(taken))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        self.next_bytes(bytes).map(|taken| taken.len() as u64)
    }
}

impl<'a> Input<'a> for Gunzip<'a> {
    fn next_bytes(&mut self, bytes: u64) -> io::Result<Cow<'a, [u8]>> {
        // Not `with_capacity(bytes)`: an archive that ends early must not cost what it announced.
        let mut taken = Vec::new();
        self.by_ref().take(bytes).read_to_end(&mut taken)?;
        Ok(Cow::Owned(taken))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut self.by_ref().take(bytes), &mut io::sink())
    }
}

/// Reads a tar into the tree. Ends at the two zero blocks, at the end of the input, or with a refusal.
pub(super) fn read<'a>(input: &mut impl Input<'a>, tree: &mut Tree<'a>) -> Result<(), Refusal> {
    let mut reader = Reader { input, begun: false, last: None };
    let mut extension = Extension::default();
    let mut zero_blocks = 0;
    while let Some(header) = reader.header()? {
        if header.is_zero() {
            zero_blocks += 1;
            if zero_blocks == 2 {
                return reader.drain();
            }
            tree.extra()?;
            continue;
        }
        zero_blocks = 0;
        if !header.sum_holds() {
            return Err(reader.wrong_sum());
        }
        reader.begun = true;
        let size = header.size().ok_or_else(|| reader.damaged("has a size that is no number"))?;
        match header.kind() {
            b'x' | b'X' | b'g' | b'L' | b'K' => {
                tree.extra()?;
                let data = reader.extension(size, tree)?;
                match header.kind() {
                    b'L' => extension.path = Some(until_nul(&data).to_vec()),
                    b'K' => extension.target = Some(until_nul(&data).to_vec()),
                    b'g' => {
                        pax_records(
                            &data,
                            || reader.wrong_extension(),
                            |key, _| match key {
                                b"path" | b"linkpath" | b"size" => Err(reader.damaged(
                                    "has a header that gives all its entries the same name or size",
                                )),
                                _ => refuse_sparse(key, &reader),
                            },
                        )?;
                    }
                    _ => pax_records(
                        &data,
                        || reader.wrong_extension(),
                        |key, value| extension.record(key, value, &reader),
                    )?,
                }
            }
            // The name of the volume, a comment.
            b'V' => {
                tree.extra()?;
                reader.skip_padded(size, tree, b"")?;
            }
            kind => {
                let Extension { path, target, size: pax_size } = std::mem::take(&mut extension);
                let raw = path.unwrap_or_else(|| header.path());
                reader.last = Some(raw.clone());
                let target = target.unwrap_or_else(|| header.target());
                reader.entry(kind, &raw, &target, pax_size.unwrap_or(size), header.is_executable(), tree)?;
            }
        }
    }
    if extension != Extension::default() {
        return Err(reader.ends_early());
    }
    Ok(())
}

/// What extended headers say about the entry after them.
#[derive(Default, PartialEq, Eq)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extension {
    fn record(&mut self, key: &[u8], value: &[u8], reader: &Reader<'_, impl Sized>) -> Result<(), Refusal> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.target = Some(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.size = Some(size.ok_or_else(|| reader.damaged("has a size that is no number"))?);
            }
            _ => refuse_sparse(key, reader)?,
        }
        Ok(())
    }
}

fn refuse_sparse(key: &[u8], reader: &Reader<'_, impl Sized>) -> Result<(), Refusal> {
    if key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize" {
        return Err(sparse(reader.last.as_deref().unwrap_or(b"the first entry"), "follows"));
    }
    Ok(())
}

fn sparse(raw: &[u8], how: &str) -> Refusal {
    let what = if how == "follows" { "The entry after ".to_owned() } else { String::new() };
    Refusal::UnsafeEntry(format!(
        "{what}{} is a sparse file, which is not taken; pack again without `--sparse`",
        shown(raw)
    ))
}

/// Calls `each` with the records of a PAX header; `wrong` says that there are none.
pub(super) fn pax_records<E>(
    mut data: &[u8],
    wrong: impl Fn() -> E,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    while !data.is_empty() && data[0] != 0 {
        let space = data.iter().take(20).position(|byte| *byte == b' ').ok_or_else(&wrong)?;
        let length: usize =
            std::str::from_utf8(&data[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(&wrong)?;
        let record = data.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(&wrong)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(&wrong)?;
        each(&record[..equals], &record[equals + 1..])?;
        data = &data[length..];
    }
    Ok(())
}

struct Reader<'r, I> {
    input: &'r mut I,
    /// Whether a header was read.
    begun: bool,
    /// The entry read last, for sentences.
    last: Option<Vec<u8>>,
}

impl<I> Reader<'_, I> {
    fn damaged(&self, what: &str) -> Refusal {
        let place = match &self.last {
            Some(raw) => format!(" after {}", shown(raw)),
            None => String::new(),
        };
        Refusal::Damaged(format!(
            "The archive {what}{place}; make it again and check that it can be unpacked"
        ))
    }

    fn wrong_extension(&self) -> Refusal {
        self.damaged("has an extended header that cannot be read")
    }

    fn ends_early(&self) -> Refusal {
        self.damaged("is not whole: it ends in the middle of an entry")
    }

    fn unpack_failed(&self, cause: &io::Error) -> Refusal {
        if cause.kind() == io::ErrorKind::UnexpectedEof {
            self.ends_early()
        } else {
            self.damaged("is damaged: its packed data cannot be read")
        }
    }

    fn wrong_sum(&self) -> Refusal {
        if self.begun {
            return self.damaged("is damaged: there is no entry where one should be");
        }
        Refusal::NotAnArchive(
            "What is in the .gz file is no tar archive; pack the whole folder, for example with \
             `tar czf work.tar.gz .`, and hand in that file"
                .into(),
        )
    }
}

impl<'a, I: Input<'a>> Reader<'_, I> {
    fn header(&mut self) -> Result<Option<Header>, Refusal> {
        let taken = self.input.next_bytes(BLOCK as u64).map_err(|cause| self.unpack_failed(&cause))?;
        match <[u8; BLOCK]>::try_from(taken.as_ref()) {
            Ok(block) => Ok(Some(Header(block))),
            Err(_) if taken.is_empty() => Ok(None),
            Err(_) if !self.begun => Err(self.wrong_sum()),
            Err(_) => Err(self.ends_early()),
        }
    }

    fn data(&mut self, size: u64) -> Result<Cow<'a, [u8]>, Refusal> {
        let data = self.input.next_bytes(size).map_err(|cause| self.unpack_failed(&cause))?;
        if (data.len() as u64) < size {
            return Err(self.ends_early());
        }
        self.skip(padding(size))?;
        Ok(data)
    }

    /// The padding after the last entry may be missing.
    fn skip(&mut self, bytes: u64) -> Result<u64, Refusal> {
        self.input.skip(bytes).map_err(|cause| self.unpack_failed(&cause))
    }

    fn skip_padded(&mut self, size: u64, tree: &mut Tree<'_>, raw: &[u8]) -> Result<(), Refusal> {
        tree.admit(raw, size)?;
        if self.skip(size)? < size {
            return Err(self.ends_early());
        }
        self.skip(padding(size))?;
        Ok(())
    }

    fn extension(&mut self, size: u64, tree: &mut Tree<'_>) -> Result<Cow<'a, [u8]>, Refusal> {
        if size > EXTENSION_BYTES {
            return Err(self.damaged("has a header of more than 1 MiB for a name"));
        }
        tree.admit(b"a header", size)?;
        self.data(size)
    }

    fn entry(
        &mut self,
        kind: u8,
        raw: &[u8],
        target: &[u8],
        size: u64,
        executable: bool,
        tree: &mut Tree<'a>,
    ) -> Result<(), Refusal> {
        let refuse = |what: &str| {
            Err(Refusal::UnsafeEntry(format!(
                "{} is {what}; only files, folders and links are taken: remove it and pack again",
                shown(raw)
            )))
        };
        match kind {
            // A name with a slash at its end was a folder before tar had a type for it.
            b'0' | 0 | b'7' if !raw.ends_with(b"/") => {
                let path = tree.entry(raw)?;
                match path {
                    Some(path) => {
                        tree.admit(raw, size)?;
                        let content = self.data(size)?;
                        tree.file(path, content, executable)
                    }
                    None => self.skip_padded(size, tree, raw),
                }
            }
            // Links and folders have no data, whatever their size field says: old tars wrote one.
            b'0' | 0 | b'7' | b'5' => tree.entry(raw)?.map_or(Ok(()), |path| tree.directory(path)),
            b'1' => tree.entry(raw)?.map_or(Ok(()), |path| tree.hard_link(path, target)),
            b'2' => tree.entry(raw)?.map_or(Ok(()), |path| tree.symlink(path, target)),
            b'3' | b'4' => refuse("a device"),
            b'6' => refuse("a named pipe"),
            b'S' => Err(sparse(raw, "")),
            b'M' => refuse("a part of a file that begins in another archive"),
            _ => refuse("of a type that is not known here"),
        }
    }

    /// Reads on to the end of packed data, so that its checksum is looked at.
    fn drain(&mut self) -> Result<(), Refusal> {
        self.skip(AFTER_END_BYTES).map(|_| ())
    }
}

/// An entry's header block.
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Whether the checksum is right, counted with unsigned bytes, or signed as some old tars did.
    pub(super) fn sum_holds(&self) -> bool {
        let with_blanks = || {
            self.0.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte })
        };
        let unsigned: u64 = with_blanks().map(u64::from).sum();
        let signed: i64 = with_blanks().map(|byte| i64::from(byte.cast_signed())).sum();
        number(&self.0[148..156]).is_some_and(|sum| sum == unsigned || i64::try_from(sum) == Ok(signed))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    fn is_executable(&self) -> bool {
        number(&self.0[100..108]).is_some_and(|mode| mode & 0o100 != 0)
    }

    /// `None` where it is no number.
    pub(super) fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        // GNU's own format has other things where ustar has the prefix.
        let prefix = if &self.0[257..263] == b"ustar\0" { until_nul(&self.0[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn target(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }
}

/// Whether these bytes begin like a tar.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.first_chunk::<BLOCK>().is_some_and(|block| {
        let header = Header(*block);
        header.is_zero() || header.sum_holds()
    })
}

/// Bytes from the end of an entry's data to the next block.
pub(super) fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number field: octal digits, or base 256 with the highest bit set (GNU tar's manual, "Basic Tar
/// Format"). `None` where it is no number, negative, or more than 64 bits.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        // The bit beside the mark is the sign.
        if field[0] & 0x40 != 0 {
            return None;
        }
        return field[1..].iter().try_fold(u64::from(field[0] & 0x3f), |sum, byte| {
            sum.checked_mul(256).map(|sum| sum | u64::from(*byte))
        });
    }
    let text = std::str::from_utf8(until_nul(field)).ok()?.trim();
    if text.is_empty() {
        return Some(0);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}
