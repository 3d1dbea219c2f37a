//! Archives that were cut, joined and changed: what is taken is sound, the rest is refused with a sentence.

use std::io::{Cursor, Write as _};

use bytes::Bytes;
use drydock::submissions::{Content, ContentLimits};
use proptest::prelude::*;

use super::seeds::{cases, each};

const LIMITS: ContentLimits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 200 };

fn files() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let path = prop::collection::vec("[a-zé ]{1,8}", 1..4).prop_map(|parts| parts.join("/"));
    prop::collection::vec((path, prop::collection::vec(any::<u8>(), 0..200)), 1..6)
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        // A path that tar itself does not take is left out.
        let _ = builder.append_data(&mut header, path, data.as_slice());
    }
    builder.into_inner().expect("in memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, data) in files {
        if writer.start_file(path.as_str(), zip::write::SimpleFileOptions::default()).is_ok() {
            writer.write_all(data).expect("in memory");
        }
    }
    writer.finish().expect("in memory").into_inner()
}

fn sound(archive: &[u8]) {
    match Content::from_archive(archive, &LIMITS) {
        Ok(content) => {
            let (files, bytes) = content.summary();
            assert!(files > 0 && bytes <= LIMITS.unpacked_bytes && content.entries().len() <= LIMITS.entries);
            for path in content.entries().keys() {
                assert!(
                    !path.starts_with(b"/")
                        && path.split(|byte| *byte == b'/').all(|part| part != b".." && part != b"")
                );
            }
            let again = Content::from_frozen(content.tar(), content.sha256()).expect("its own tar");
            assert_eq!(again.entries(), content.entries());
        }
        Err(refusal) => assert!(refusal.to_string().ends_with('.'), "{refusal}"),
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn pieces_of_archives_put_together(one in files(), two in files(), cut in any::<prop::sample::Index>(), from in any::<prop::sample::Index>()) {
        let both = [[tar(&one), gzip(&tar(&one)), zip(&one)], [tar(&two), gzip(&tar(&two)), zip(&two)]];
        for first in &both[0] {
            for second in &both[1] {
                let (cut, from) = (cut.index(first.len()), from.index(second.len()));
                sound(&[&first[..cut], &second[from..]].concat());
            }
        }
    }

    #[test]
    fn every_packing_is_the_same_tree(files in files()) {
        let plain = files.iter().map(|(path, data)| (path.clone(), Bytes::from(data.clone()))).collect();
        let read = |archive: &[u8]| Content::from_archive(archive, &LIMITS);
        if let (Ok(plain), Ok(tar), Ok(gzip), Ok(zip)) =
            (Content::from_files(plain, &LIMITS), read(&tar(&files)), read(&gzip(&tar(&files))), read(&zip(&files)))
        {
            prop_assert_eq!(&tar, &gzip);
            // Only an archive says who may execute what; a zip of several files of a name keeps the first.
            let mut paths: Vec<&String> = files.iter().map(|(path, _)| path).collect();
            paths.sort();
            paths.dedup();
            if paths.len() == files.len() && !files.iter().any(|(_, data)| data.starts_with(b"#!")) {
                prop_assert_eq!(&plain, &tar);
                prop_assert_eq!(&plain, &zip);
            }
        }
    }
}

#[test]
fn kept_inputs_are_read_or_refused() {
    each("archives", |_, bytes| sound(bytes));
}
