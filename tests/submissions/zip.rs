//! Attacks by zip.

use std::io::{Cursor, Write};
use std::time::Duration;

use drydock::submissions::Entry;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, System};

use super::pack::{find, names, processor_time, read, refused, text, zip, zip_with};

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

/// Overwrites a field of the first entry in the central directory (APPNOTE, 4.3.12).
fn patched(mut archive: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    let start = find(&archive, CENTRAL)[0] + at;
    archive[start..start + bytes.len()].copy_from_slice(bytes);
    archive
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o644)
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    refused(&zip(&[("../up", b"x")]), &["`../up` leads out of the folder with `..`"]);
    refused(&zip(&[("a/../../up", b"x")]), &["with `..`"]);
    // The writer takes a leading slash off by itself, so it is put back.
    let mut archive = zip(&[("_etc/passwd", b"x")]);
    for at in find(&archive, b"_etc") {
        archive[at] = b'/';
    }
    refused(&archive, &["`/etc/passwd` is an absolute path"]);
    let mut archive = zip(&[("a_b", b"x")]);
    for at in find(&archive, b"a_b") {
        archive[at + 1] = 0;
    }
    refused(&archive, &["NUL byte"]);
}

#[test]
fn backslashes_from_windows_are_separators() {
    let mut archive = zip_with(
        SimpleFileOptions::default().system(System::Dos),
        &[("work_src_main.c", b"int"), ("work_run.sh", b"#!/bin/sh")],
    );
    for at in find(&archive, b"work_").into_iter().chain(find(&archive, b"src_").iter().map(|at| at - 1)) {
        archive[at + 4] = b'\\';
    }
    let content = read(&archive).unwrap();
    assert_eq!(names(&content), ["run.sh", "src", "src/main.c"]);
    assert!(matches!(content.get("run.sh"), Some(Entry::File { executable: true, .. })));
    for name in ["..\\up", "C:\\up", "\\up"] {
        let mut archive = zip_with(
            SimpleFileOptions::default().system(System::Dos),
            &[(&name.replace(['\\', ':', '.'], "_"), b"x")],
        );
        let placed = name.replace(['\\', ':', '.'], "_");
        for at in find(&archive, placed.as_bytes()) {
            archive[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
        refused(&archive, &[if name.starts_with("..") { "with `..`" } else { "absolute path" }]);
    }
    // Elsewhere it is a character like any other.
    let mut archive = zip(&[("back_slash", b"x")]);
    for at in find(&archive, b"back_") {
        archive[at + 4] = b'\\';
    }
    assert_eq!(names(&read(&archive).unwrap()), ["back\\slash"]);
}

#[test]
fn links_and_devices_are_known_by_their_mode() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a/keep", stored().unix_permissions(0o755)).unwrap();
    writer.write_all(b"hello").unwrap();
    writer.add_symlink("link", "a/keep", stored()).unwrap();
    writer.add_directory("empty", stored()).unwrap();
    let content = read(&writer.finish().unwrap().into_inner()).unwrap();
    assert_eq!(names(&content), ["a", "a/keep", "empty", "link"]);
    assert_eq!(content.get("link"), Some(&Entry::Symlink { target: b"a/keep".to_vec() }));
    assert!(matches!(content.get("a/keep"), Some(Entry::File { executable: true, .. })));

    for target in ["/etc/passwd", "../up"] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("keep", stored()).unwrap();
        writer.add_symlink("link", target, stored()).unwrap();
        refused(&writer.finish().unwrap().into_inner(), &["`link` is a link to", target]);
    }
    for kind in [0o010_000_u32, 0o020_000, 0o060_000, 0o140_000] {
        let archive = patched(zip(&[("odd", b"x")]), 38, &((kind | 0o644) << 16).to_le_bytes());
        refused(&archive, &["`odd` is a device, named pipe or socket"]);
    }
    let long = [b'x'; 5000];
    let archive = patched(zip(&[("l", &long)]), 38, &(0o120_777_u32 << 16).to_le_bytes());
    refused(&archive, &["`l` is a link with a target longer than 4,095 bytes"]);
}

#[test]
fn sizes_and_sums_that_lie_are_found_out() {
    let file: &[(&str, &[u8])] = &[("file", &[b'y'; 5000])];
    let wrong = ["`file` has another size than the .zip file says"];
    refused(&patched(zip(file), 24, &10_u32.to_le_bytes()), &wrong);
    refused(&patched(zip(file), 24, &6000_u32.to_le_bytes()), &wrong);
    refused(&patched(zip_with(stored(), file), 24, &6000_u32.to_le_bytes()), &wrong);
    refused(&patched(zip(file), 24, &(1_u32 << 30).to_le_bytes()), &["`file`, of 1 GiB, goes beyond it"]);
    refused(&patched(zip(file), 16, b"oops"), &["`file` is damaged: its checksum is wrong"]);
    refused(&patched(zip(file), 20, &5_u32.to_le_bytes()), &["`file`"]);
    refused(&patched(zip(file), 20, &(1_u32 << 20).to_le_bytes()), &["`file` is not whole"]);
    refused(&patched(zip(file), 42, &9_u32.to_le_bytes()), &["`file` is not whole"]);
    let mut damaged = zip(file);
    let data = find(&damaged, b"file")[0] + 4;
    damaged[data] = 0xff;
    refused(&damaged, &["`file`"]);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 100 << 20];
    let bomb = zip(&[("zeros", &zeros)]);
    assert!(bomb.len() < 200_000);
    refused(&bomb, &["larger than 20 MiB together", "`zeros`, of 100 MiB"]);
    // With a size that lies, no more is unpacked than it says.
    let started = processor_time();
    refused(&patched(bomb, 24, &1000_u32.to_le_bytes()), &["another size"]);
    assert!(processor_time() - started < Duration::from_secs(1), "{:?}", processor_time() - started);
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let data = vec![b'x'; 3000];
    let archive = zip_with(stored(), &[("one", &data), ("two", &data)]);
    let offset = u32::try_from(find(&archive, LOCAL)[0]).unwrap();
    let second = find(&archive, CENTRAL)[1] - find(&archive, CENTRAL)[0];
    refused(
        &patched(archive.clone(), second + 42, &offset.to_le_bytes()),
        &["`one` and `two` use the same bytes"],
    );
    // One entry's data lies inside another's.
    let inner = zip_with(stored(), &[("in", b"hello")]);
    let outer = zip_with(stored(), &[("out", &inner), ("in", b"hello")]);
    let place = u32::try_from(find(&outer, LOCAL)[1]).unwrap();
    let central = find(&outer, CENTRAL);
    let last = central.len() - 1;
    let mut nested = outer.clone();
    nested[central[last] + 42..central[last] + 46].copy_from_slice(&place.to_le_bytes());
    refused(&nested, &["use the same bytes of the .zip file"]);
    assert_eq!(names(&read(&outer).unwrap()), ["in", "out"]);
}

#[test]
fn encryption_and_rare_methods_are_refused_with_a_way_out() {
    let archive = patched(zip(&[("secret", b"x")]), 8, &1_u16.to_le_bytes());
    refused(&archive, &["`secret` is encrypted; pack the folder again without a password"]);
    for method in [12_u16, 14, 93, 95, 9, 1234] {
        let archive = patched(zip(&[("rare", b"x")]), 10, &method.to_le_bytes());
        refused(&archive, &["`rare` is packed with a method that is not taken here", "deflate"]);
    }
}

#[test]
fn zip64_and_data_descriptors_are_read() {
    let large = zip_with(stored().large_file(true), &[("large", b"hello")]);
    assert_eq!(text(&read(&large).unwrap(), "large"), "hello");
    // Written to a stream: sizes and sum come after the data.
    let mut writer = ZipWriter::new_stream(Vec::new());
    writer.start_file("streamed", SimpleFileOptions::default()).unwrap();
    writer.write_all(b"hello").unwrap();
    let streamed = writer.finish().unwrap().into_inner();
    assert_eq!(find(&streamed, b"PK\x07\x08").len(), 1, "the archive has a data descriptor");
    assert_eq!(text(&read(&streamed).unwrap(), "streamed"), "hello");
}

#[test]
fn the_directory_decides_and_not_the_local_headers() {
    // A name in the local header that other programs would believe.
    let mut archive = zip(&[("harmless", b"hello")]);
    let at = find(&archive, b"harmless")[0];
    archive[at..at + 8].copy_from_slice(b"../../up");
    assert_eq!(names(&read(&archive).unwrap()), ["harmless"]);
    // Something before the archive, as in a program that unpacks itself, is no zip here.
    refused(&[b"#!/bin/sh\n", &zip(&[("a", b"x")])[..]].concat(), &["This is no archive"]);
}

#[test]
fn of_equal_paths_the_last_wins_and_a_folder_never_becomes_a_file() {
    let mut archive = zip(&[("a1", b"first"), ("a2", b"second")]);
    for at in find(&archive, b"a2") {
        archive[at + 1] = b'1';
    }
    assert_eq!(text(&read(&archive).unwrap(), "a1"), "second");
    refused(&zip(&[("a", b"x"), ("a/b", b"x")]), &["`a` is in it twice"]);
    refused(&zip(&[("a/b", b"x"), ("a", b"x")]), &["`a` is in it twice"]);
}

#[test]
fn a_zip_that_is_not_whole_is_damaged() {
    let whole = zip(&[("a", b"hello"), ("b", b"hello")]);
    for end in [4, 20, whole.len() / 2, whole.len() - 5] {
        refused(&whole[..end], &["The .zip file is damaged or not whole"]);
    }
    refused(&zip(&[]), &["There is no file in it"]);
}

#[test]
fn a_million_tiny_files_stop_at_the_limit() {
    // A directory with a million entries that all have the same place.
    let one = zip(&[("a", b"x")]);
    let central = find(&one, CENTRAL)[0];
    let entry = &one[central..find(&one, b"PK\x05\x06")[0]];
    let mut archive = one[..central].to_vec();
    for _ in 0..1_000_000 {
        archive.extend_from_slice(entry);
    }
    let size = u32::try_from(archive.len() - central).unwrap();
    archive.extend_from_slice(b"PK\x06\x06");
    archive.extend_from_slice(&44_u64.to_le_bytes());
    archive.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [1_000_000, 1_000_000, u64::from(size), central as u64] {
        archive.extend_from_slice(&number.to_le_bytes());
    }
    let end = archive.len() as u64 - 56;
    archive.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    archive.extend_from_slice(&end.to_le_bytes());
    archive.extend_from_slice(&[1, 0, 0, 0]);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let started = processor_time();
    refused(&archive, &["more than 1,000 files, folders and links"]);
    assert!(processor_time() - started < Duration::from_secs(2), "{:?}", processor_time() - started);
}

#[test]
fn what_a_mac_adds_is_left_out() {
    let note = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X";
    let content = read(&zip(&[
        ("work/Dockerfile", b"FROM busybox:1.37"),
        ("work/.DS_Store", b"x"),
        ("__MACOSX/work/._Dockerfile", note),
        ("work/._Dockerfile", note),
        ("work/._mine", b"not a note"),
    ]))
    .unwrap();
    assert_eq!(names(&content), ["._mine", "Dockerfile"]);
}
