//! Random trees come back as they were, and random bytes never do harm.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use drydock::submissions::{Answers, Content, Entry};
use proptest::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::pack::{Header, LIMITS, gzip, link, member, pax, read, tar, with_data};

/// A file with its content and whether it is executable; a folder; a link to a file of the tree.
#[derive(Clone, Debug)]
enum Planned {
    File(Vec<u8>, bool),
    Folder,
    Link,
}

/// Trees whose paths do not get in each other's way: parts of folders are upper case.
fn tree(name: &'static str) -> impl Strategy<Value = BTreeMap<String, Planned>> {
    let path = (prop::collection::vec("[A-Z]{1,40}", 0..4), name)
        .prop_map(|(folders, name)| folders.into_iter().chain([name]).collect::<Vec<_>>().join("/"));
    let node = prop_oneof![
        6 => (prop::collection::vec(any::<u8>(), 0..1500), any::<bool>()).prop_map(|(data, x)| Planned::File(data, x)),
        1 => Just(Planned::Folder),
        1 => Just(Planned::Link),
    ];
    prop::collection::btree_map(path, node, 0..20).prop_map(|mut tree| {
        // Two at the top, so that nothing is unwrapped.
        tree.insert("first".into(), Planned::File(b"1".to_vec(), false));
        tree.insert("second".into(), Planned::File(Vec::new(), true));
        tree
    })
}

fn target(path: &str) -> String {
    format!("{}first", "../".repeat(path.matches('/').count()))
}

fn as_tar(tree: &BTreeMap<String, Planned>) -> Vec<u8> {
    let mut members = Vec::new();
    for (path, node) in tree {
        let mut records: Vec<(&str, &[u8])> = Vec::new();
        let mut name = path.as_bytes();
        if name.len() > 99 {
            records.push(("path", name));
            name = b"long";
        }
        let target = target(path);
        if !records.is_empty() {
            members.push(pax(&records));
        }
        members.push(match node {
            Planned::File(data, executable) => {
                let mode = if *executable { b"0000755\0" } else { b"0000644\0" };
                with_data(Header::new(b'0', name, data.len() as u64).put(100, mode), data)
            }
            Planned::Folder => member(b'5', name, b""),
            Planned::Link => link(b'2', name, target.as_bytes()),
        });
    }
    tar(&members)
}

fn as_zip(tree: &BTreeMap<String, Planned>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, node) in tree {
        let options = SimpleFileOptions::default();
        match node {
            Planned::File(data, executable) => {
                let mode = if *executable { 0o755 } else { 0o644 };
                writer.start_file(path.as_str(), options.unix_permissions(mode)).unwrap();
                writer.write_all(data).unwrap();
            }
            Planned::Folder => writer.add_directory(path.as_str(), options).unwrap(),
            Planned::Link => writer.add_symlink(path.as_str(), target(path), options).unwrap(),
        }
    }
    writer.finish().unwrap().into_inner()
}

fn assert_is(content: &Content, tree: &BTreeMap<String, Planned>) {
    for (path, node) in tree {
        match (content.get(path), node) {
            (Some(Entry::File { content, executable }), Planned::File(data, planned)) => {
                assert_eq!((content.as_ref(), executable), (data.as_slice(), planned));
            }
            (Some(Entry::Directory), Planned::Folder) => {}
            (Some(Entry::Symlink { target: found }), Planned::Link) => {
                assert_eq!(found, target(path).as_bytes())
            }
            (found, _) => panic!("{path} is {found:?}, not {node:?}"),
        }
    }
    let leaves = content.entries().values().filter(|entry| **entry != Entry::Directory).count();
    assert_eq!(leaves, tree.values().filter(|node| !matches!(node, Planned::Folder)).count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_comes_back_as_it_was(tree in tree("[a-z._ ü-]{1,60}[a-z]")) {
        let plain = read(&as_tar(&tree)).unwrap();
        assert_is(&plain, &tree);
        let same = [
            read(&gzip(&as_tar(&tree))).unwrap(),
            read(&as_zip(&tree)).unwrap(),
            read(&plain.zip("folder")).unwrap(),
            read(&plain.tar()).unwrap(),
            Content::from_frozen(plain.tar(), plain.sha256()).unwrap(),
            plain.overlaid(&Content::empty()),
        ];
        for other in same {
            prop_assert_eq!(&other, &plain);
            prop_assert_eq!(other.entries(), plain.entries());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = read(&bytes);
        let _ = Answers::from_json(&bytes);
        for start in [&b"PK\x03\x04"[..], b"\x1f\x8b\x08", b"PK\x05\x06"] {
            let _ = read(&[start, &bytes].concat());
        }
        let _ = read(&gzip(&bytes));
        // A header that is right but for its fields.
        let mut header = Header::new(b'0', b"x", 0);
        for (at, byte) in bytes.iter().take(40).enumerate() {
            header = header.put(usize::from(*byte) + at * 7 % 200, &[*byte]);
        }
        let _ = read(&[header.bytes(), bytes.clone()].concat());
        let _ = read(&tar(&[member(b'x', b"pax", &bytes), member(b'0', b"a", b"x")]));
    }

    #[test]
    fn archives_with_wrong_bytes_are_read_or_refused(
        tree in tree("[a-z]{1,9}"),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        for mut archive in [as_tar(&tree), as_zip(&tree), gzip(&as_tar(&tree))] {
            for (at, byte) in &wrong {
                let at = at.index(archive.len());
                archive[at] = *byte;
            }
            for bytes in [&archive[..], &archive[..end.index(archive.len())]] {
                if let Ok(content) = read(bytes) {
                    // What is accepted is sound: it comes back from its own tar.
                    let again = Content::from_frozen(content.tar(), content.sha256()).unwrap();
                    prop_assert_eq!(again.entries(), content.entries());
                    prop_assert!(content.summary().1 <= LIMITS.unpacked_bytes);
                }
            }
        }
    }
}
