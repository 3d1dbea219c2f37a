//! What `ADD` would unpack, measured before the engine sees it.
//!
//! An archive of the context that `ADD` names is unpacked by the engine itself, in no container and
//! within no limit: two kilobytes can become as many gigabytes on the machine's disk. `build.rs` asks
//! [`bomb`] before it builds.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::dockerfile::{Instruction, without_onbuild};

/// How the formats that the engine unpacks begin, but for gzip and plain tar (moby's `pkg/archive`).
const OTHERS: [(&[u8], &str); 3] =
    [(b"BZh", "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd")];
const GZIP: &[u8] = &[0x1f, 0x8b];
/// In the headers of files with holes (pax), which the engine writes out as zeros.
const SPARSE: &[u8] = b"GNU.sparse.";

/// What is wrong with the archives that `ADD` would unpack, as a sentence for the student; `None` where they
/// all together hold at most `limit_bytes`. The context is an uncompressed tar.
pub(super) fn bomb(context: &[u8], instructions: &[Instruction], limit_bytes: u64) -> Option<String> {
    let adds: Vec<(usize, Vec<String>)> = instructions.iter().filter_map(sources).collect();
    if adds.is_empty() {
        return None;
    }
    let mut unpacked: u64 = 0;
    // An archive that cannot be read is for the builder to complain about.
    for entry in tar::Archive::new(context).entries().ok()? {
        let Ok(mut entry) = entry else { continue };
        let path = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&path).into_owned();
        let named: Vec<usize> = adds
            .iter()
            .filter(|(_, names)| names.iter().any(|name| may_mean(name, &path)))
            .map(|(line, _)| *line)
            .collect();
        let (Some(line), true) = (named.first(), entry.header().entry_type().is_file()) else { continue };
        let mut magic = Vec::new();
        if entry.by_ref().take(6).read_to_end(&mut magic).is_err() {
            continue;
        }
        if let Some((_, format)) = OTHERS.iter().find(|(begins, _)| magic.starts_with(begins)) {
            return Some(format!(
                "Line {line} lets ADD unpack {path}, which is packed with {format}; how much is in it cannot be told \
                 before. Pack it with gzip, or COPY it and unpack it in a RUN step."
            ));
        }
        let left = limit_bytes.saturating_sub(unpacked).saturating_add(1);
        let is_gzip = magic.starts_with(GZIP);
        let packed = magic.chain(entry);
        let read = if is_gzip { read(MultiGzDecoder::new(packed), left) } else { read(packed, u64::MAX) };
        if read.sparse {
            return Some(format!(
                "Line {line} lets ADD unpack {path}, which holds sparse files; how much of the disk they would take cannot \
                 be told before. Pack it without `--sparse`."
            ));
        }
        if is_gzip {
            unpacked = unpacked.saturating_add(read.bytes.saturating_mul(named.len() as u64));
        }
        if unpacked > limit_bytes {
            return Some(format!(
                "Line {line} lets ADD unpack {path}, and with it the archives hold more than this exercise allows ({} MiB).",
                limit_bytes >> 20
            ));
        }
    }
    None
}

/// Line and sources of an `ADD`, without quotes and brackets.
fn sources(instruction: &Instruction) -> Option<(usize, Vec<String>)> {
    let inner = without_onbuild(instruction);
    if inner.keyword != "ADD" {
        return None;
    }
    let plain: String = inner
        .rest
        .chars()
        .map(|c| if matches!(c, '"' | '\'' | '[' | ']' | ',' | '\\' | '`') { ' ' } else { c })
        .collect();
    let mut names: Vec<String> =
        plain.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect();
    names.pop();
    Some((inner.line, names))
}

/// Whether a source can mean a file. What is told apart by more than the last part of the path, or has a pattern or
/// variable in it, is taken to mean it.
fn may_mean(source: &str, path: &str) -> bool {
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    source.contains(['*', '?', '$', '{']) || last(source) == last(path)
}

/// What was seen of an archive without its packing.
struct Unpacked {
    bytes: u64,
    sparse: bool,
}

/// Reads at most `cap` bytes.
fn read(stream: impl Read, cap: u64) -> Unpacked {
    let mut stream = stream.take(cap);
    let mut seen = Unpacked { bytes: 0, sparse: false };
    let mut buffer = vec![0; 64 << 10];
    // The end of what came before stands at the beginning: the word may lie across.
    let mut kept = 0;
    // What breaks in the middle came that far on the engine too.
    while let Ok(read) = stream.read(&mut buffer[kept..]) {
        if read == 0 {
            break;
        }
        seen.bytes += read as u64;
        let filled = kept + read;
        seen.sparse |= buffer[..filled].windows(SPARSE.len()).any(|window| window == SPARSE);
        kept = filled.min(SPARSE.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use indexmap::IndexMap;

    use super::*;
    use crate::sandbox::dockerfile::Dockerfile;

    fn judged(dockerfile: &str, files: &[(&str, &[u8])]) -> Option<String> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        let context = builder.into_inner().unwrap();
        let read = Dockerfile::read(dockerfile, &IndexMap::new(), false).unwrap();
        bomb(&context, &read.instructions, 1 << 20)
    }

    fn gzipped(bytes: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; bytes]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_archive_counts_as_what_is_in_it() {
        let (small, large) = (gzipped(600 << 10), gzipped(2 << 20));
        let files: [(&str, &[u8]); 4] = [
            ("a/small.tar.gz", &small),
            ("large.tgz", &large),
            ("x.tar.bz2", b"BZh91AY&SY"),
            ("holes.tar", b"22 GNU.sparse.major=1\n"),
        ];
        for (add, words) in [
            ("ADD a/small.tar.gz /", None),
            ("ADD a/small.tar.gz /\nADD a/small.tar.gz /b", Some("more than this exercise allows")),
            ("ADD large.tgz /", Some("more than this exercise allows")),
            ("ADD --chown=1:1 [\"large.tgz\", \"/\"]", Some("Line 2")),
            ("ONBUILD ADD l*.tgz /", Some("Line 2")),
            ("ARG x=large\nADD a/$x.tgz /", Some("Line 3")),
            ("ADD x.tar.bz2 /", Some("bzip2")),
            ("ADD holes.tar /", Some("sparse")),
            ("COPY . /", None),
            ("ADD . /", None),
        ] {
            let said = judged(&format!("FROM busybox\n{add}\n"), &files);
            match words {
                Some(words) => {
                    assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{add}: {said:?}");
                }
                None => assert_eq!(said, None, "{add}"),
            }
        }
    }
}
