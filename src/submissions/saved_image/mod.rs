//! Saved images as `docker save` writes them: the docker archive and the OCI image layout.
//!
//! Read once, as a stream: an image of gigabytes takes no more memory than what is kept of it. Since
//! the manifest may come after the layers it names, every member that is an archive itself is looked
//! at as a layer when it passes, by its content and not by its name; [`Archive::images`] puts
//! manifest, configuration and layers together afterwards. Used by `checks`, for what was handed in
//! and for what the engine saved. Whatever is wrong in it is a sentence ([`Unreadable`]), and every
//! count is bounded ([`Bounds`]).
//!
//! The formats: Docker's image specification v1.2 (`manifest.json`) and the OCI image layout 1.1.

mod entries;
mod layout;
mod meter;
mod unzstd;

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

pub use entries::{Entry, Kind, Mark};
pub use layout::{Config, History, Image};
pub use meter::{Bounds, Meter};
pub use unzstd::{Unzstd, is_zstd};

use entries::Entries;

use super::freeze::{BLOCK, hex};
use super::gunzip::is_gzip;
use super::untar::is_tar;

/// Why a saved image cannot be read: a clause about it, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Bytes are missing at the end.
    #[error("it is not whole: it ends too early")]
    Cut,
    /// What is said here cannot be unpacked.
    #[error("it is damaged: {0} cannot be read")]
    Damaged(&'static str),
    /// It is none, or passes a bound.
    #[error("{0}")]
    Refused(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(own) => own.clone(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            None => Self::Damaged("its packed data"),
        }
    }
}

impl Unreadable {
    /// Whether it comes from bytes that cannot be unpacked, and not from a bound.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Cut | Self::Damaged(_))
    }
}

impl From<Unreadable> for io::Error {
    fn from(error: Unreadable) -> Self {
        Self::other(error)
    }
}

/// Looks at the entries of one layer in the order of its archive.
pub trait Look {
    /// One entry. What is left unread of the content is skipped.
    ///
    /// # Errors
    /// Ends the reading of the whole image.
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Unreadable>;
}

/// For who only wants to know whether an image is whole.
impl Look for () {
    fn entry(&mut self, _: &Entry, _: &mut dyn Read) -> Result<(), Unreadable> {
        Ok(())
    }
}

/// All that was read, by path in the archive.
pub struct Archive<L> {
    members: BTreeMap<Vec<u8>, Member<L>>,
}

/// A member of the archive.
enum Member<L> {
    /// A document, small enough to be kept.
    Document { text: Vec<u8>, sums: Sums },
    /// An archive, looked at as a layer.
    Layer(Layer<L>),
    /// Anything else.
    Other { sums: Sums },
    /// A link to another member.
    Link(Vec<u8>),
}

impl<L> Member<L> {
    fn at(mut self, path: &[u8]) -> Self {
        if let Self::Layer(layer) = &mut self {
            layer.path = path.to_vec();
        }
        self
    }
}

/// A layer.
pub struct Layer<L> {
    /// Where it lies in the archive.
    pub path: Vec<u8>,
    /// What was seen in it.
    pub look: L,
    /// Of the layer as it lies in the archive, where digests were wanted.
    sums: Sums,
    /// `sha256:…` of the unpacked layer (its `DiffID`), where digests were wanted.
    diff_id: Option<String>,
}

/// Size and digest of a member as it lies in the archive.
#[derive(Clone, Debug)]
struct Sums {
    bytes: u64,
    /// In hex; where digests were wanted.
    sha256: Option<String>,
}

/// The largest document that is kept. Configurations of images have some kilobytes.
const DOCUMENT_BYTES: u64 = 4 << 20;
/// All documents together.
const DOCUMENTS_BYTES: u64 = 32 << 20;

/// Reads a saved image, packed with gzip or not. `look` makes the onlooker of each layer; `digests`
/// says whether they are worth their time.
///
/// # Errors
/// [`Unreadable`] where the archive is damaged or more than `meter` allows. That `source` itself
/// fails looks like an archive that ends too early.
pub fn read<L: Look>(
    source: &mut dyn Read,
    meter: &Meter,
    digests: bool,
    mut look: impl FnMut() -> L,
) -> Result<Archive<L>, Unreadable> {
    let mut source = meter.waiting(source);
    let (head, mut source) = peeked(&mut source)?;
    if is_gzip(&head) {
        return read_plain(&mut MultiGzDecoder::new(source), meter, digests, &mut look);
    }
    if !is_tar(&head) {
        return Err(Unreadable::Refused("it is no tar archive, which `docker save` writes".into()));
    }
    read_plain(&mut source, meter, digests, &mut look)
}

fn read_plain<L: Look>(
    source: &mut dyn Read,
    meter: &Meter,
    digests: bool,
    look: &mut impl FnMut() -> L,
) -> Result<Archive<L>, Unreadable> {
    let mut members = BTreeMap::new();
    let mut documents = 0;
    let mut entries = Entries::new(source, meter);
    while let Some(entry) = entries.next()? {
        let member = match entry.kind {
            Kind::File => {
                let found = member(&mut entries.content(), entry.size, meter, digests, &mut documents, look)?;
                found.at(&entry.path)
            }
            Kind::Symlink => Member::Link(beside(&entry.path, &entry.target)),
            Kind::HardLink => Member::Link(entries::clean(&entry.target)),
            Kind::Directory | Kind::Other => continue,
        };
        members.insert(entry.path, member);
    }
    Ok(Archive { members })
}

/// Goes through the members of a saved image once more: each file with its path in the archive, as
/// [`Layer::path`] has it. What is left unread of the content is skipped.
///
/// # Errors
/// As [`read`], and those of `each`.
pub fn members(
    source: &mut dyn Read,
    meter: &Meter,
    mut each: impl FnMut(&[u8], &mut dyn Read) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let (head, mut whole) = peeked(source)?;
    let mut unpacked;
    let source: &mut dyn Read = if is_gzip(&head) {
        unpacked = MultiGzDecoder::new(whole);
        &mut unpacked
    } else {
        &mut whole
    };
    let mut entries = Entries::new(source, meter);
    while let Some(entry) = entries.next()? {
        if entry.kind == Kind::File {
            each(&entry.path, &mut entries.content())?;
        }
    }
    Ok(())
}

/// Where a link's target lies that is written from beside the link.
fn beside(link: &[u8], target: &[u8]) -> Vec<u8> {
    let mut path = link.to_vec();
    path.extend_from_slice(b"/../");
    path.extend_from_slice(target);
    entries::clean(&path)
}

fn member<L: Look>(
    content: &mut dyn Read,
    size: u64,
    meter: &Meter,
    digests: bool,
    documents: &mut u64,
    look: &mut impl FnMut() -> L,
) -> Result<Member<L>, Unreadable> {
    let mut content = Summed::new(content, digests);
    let (head, mut whole) = peeked(&mut content)?;
    let begins_as_document =
        head.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['));
    if begins_as_document && size <= DOCUMENT_BYTES && *documents + size <= DOCUMENTS_BYTES {
        *documents += size;
        let mut text = Vec::new();
        whole.read_to_end(&mut text)?;
        return Ok(Member::Document { text, sums: content.sums() });
    }
    let layer = if is_gzip(&head) {
        layer(&mut MultiGzDecoder::new(whole), meter, digests, look)?
    } else if is_zstd(&head) {
        layer(&mut Unzstd::new(whole), meter, digests, look)?
    } else if is_tar(&head) || size == 0 {
        layer(&mut whole, meter, digests, look)?
    } else {
        None
    };
    io::copy(&mut content, &mut io::sink())?;
    let sums = content.sums();
    Ok(match layer {
        Some((look, diff_id)) => Member::Layer(Layer { path: Vec::new(), look, sums, diff_id }),
        None => Member::Other { sums },
    })
}

/// Looks at a layer; `None` where what is packed is no archive.
fn layer<L: Look>(
    unpacked: &mut dyn Read,
    meter: &Meter,
    digests: bool,
    look: &mut impl FnMut() -> L,
) -> Result<Option<(L, Option<String>)>, Unreadable> {
    let mut unpacked = Summed::new(unpacked, digests);
    let (head, mut whole) = peeked(&mut unpacked)?;
    if !(head.is_empty() || is_tar(&head)) {
        meter.skip(&mut whole)?;
        return Ok(None);
    }
    let mut look = look();
    let mut entries = Entries::new(&mut whole, meter);
    while let Some(entry) = entries.next()? {
        look.entry(&entry, &mut entries.content())?;
    }
    // What follows the archive's end belongs to the digest.
    meter.skip(&mut whole)?;
    let diff_id = unpacked.sums().sha256.map(|sum| format!("sha256:{sum}"));
    Ok(Some((look, diff_id)))
}

/// What was peeked at, and the rest.
type Whole<'r, R> = io::Chain<io::Cursor<Vec<u8>>, &'r mut R>;

/// The first block and everything, the first block included.
fn peeked<R: Read + ?Sized>(source: &mut R) -> io::Result<(Vec<u8>, Whole<'_, R>)> {
    let mut head = Vec::with_capacity(BLOCK);
    source.take(BLOCK as u64).read_to_end(&mut head)?;
    Ok((head.clone(), io::Cursor::new(head).chain(source)))
}

/// Counts and digests what is read through it.
struct Summed<'r> {
    inner: &'r mut dyn Read,
    bytes: u64,
    digest: Option<Sha256>,
}

impl<'r> Summed<'r> {
    fn new(inner: &'r mut dyn Read, digests: bool) -> Self {
        Self { inner, bytes: 0, digest: digests.then(Sha256::new) }
    }

    fn sums(self) -> Sums {
        Sums { bytes: self.bytes, sha256: self.digest.map(|digest| hex(&digest.finalize())) }
    }
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(&buffer[..read]);
        }
        Ok(read)
    }
}
