//! Makes archives, well-formed and otherwise, for the tests beside it.

use std::io::{Cursor, Write};
use std::time::Duration;

use drydock::submissions::{Content, ContentLimits, Entry, Refusal};
use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::{SimpleFileOptions, ZipWriter};

pub const LIMITS: ContentLimits =
    ContentLimits { archive_bytes: 64 << 20, unpacked_bytes: 20 << 20, entries: 1000 };

pub fn read(archive: &[u8]) -> Result<Content, Refusal> {
    Content::from_archive(archive, &LIMITS)
}

/// The sentence with which an archive is refused.
pub fn refusal(archive: &[u8]) -> String {
    match read(archive) {
        Ok(content) => panic!("accepted: {:?}", names(&content)),
        Err(refusal) => {
            let sentence = refusal.to_string();
            assert!(sentence.ends_with('.') && !sentence.ends_with(".."), "no sentence: {sentence}");
            sentence
        }
    }
}

/// Asserts that an archive is refused with a sentence that has all these parts.
#[track_caller]
pub fn refused(archive: &[u8], parts: &[&str]) {
    let sentence = refusal(archive);
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is missing in: {sentence}");
    }
}

/// The paths in a content, lossily.
pub fn names(content: &Content) -> Vec<String> {
    content.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

pub fn text(content: &Content, path: &str) -> String {
    match content.get(path) {
        Some(Entry::File { content, .. }) => String::from_utf8_lossy(content).into_owned(),
        other => panic!("{path} is {other:?}"),
    }
}

/// One tar header, made by hand so that it can be wrong.
#[derive(Clone)]
pub struct Header {
    block: [u8; 512],
}

impl Header {
    pub fn new(kind: u8, name: &[u8], size: u64) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0001750\0");
        block[116..124].copy_from_slice(b"0001750\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"14000000000\0");
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        Self { block }
    }

    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn linked(self, target: &[u8]) -> Self {
        self.put(157, target)
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.block[148..156].fill(b' ');
        let sum: u32 = self.block.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes()).block.to_vec()
    }
}

/// A header and its data, padded.
pub fn member(kind: u8, name: &[u8], data: &[u8]) -> Vec<u8> {
    with_data(Header::new(kind, name, data.len() as u64), data)
}

pub fn with_data(header: Header, data: &[u8]) -> Vec<u8> {
    let mut out = header.bytes();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub fn link(kind: u8, name: &[u8], target: &[u8]) -> Vec<u8> {
    Header::new(kind, name, 0).linked(target).bytes()
}

/// A PAX header with these records.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..).find(|length| rest + length.to_string().len() == *length).unwrap();
        data.extend_from_slice(format!("{length} {key}=").as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    member(b'x', b"pax", &data)
}

/// Members with the end of an archive after them.
pub fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    let mut out = members.concat();
    out.resize(out.len() + 1024, 0);
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What this thread has had of a processor: other than a clock on the wall it does not count the
/// work of others.
pub fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = statistics.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}

/// A zip of files, packed, with modes from Unix.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(SimpleFileOptions::default().unix_permissions(0o644), files)
}

pub fn zip_with(options: SimpleFileOptions, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Where a signature occurs.
pub fn find(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    (0..bytes.len().saturating_sub(signature.len() - 1))
        .filter(|at| bytes[*at..].starts_with(signature))
        .collect()
}
