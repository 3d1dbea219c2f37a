//! What freezing promises: one tar per tree, however it was packed, and nothing in memory twice.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use bytes::Bytes;
use drydock::clock::Clock;
use drydock::submissions::{Content, ContentLimits, Entry, Refusal};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::pack::{Header, LIMITS, gzip, link, member, names, read, tar, text, with_data, zip};

/// `Dockerfile`, an executable `bin/run`, an empty folder `logs`, a link `run`.
fn sample() -> Vec<Vec<u8>> {
    vec![
        member(b'0', b"Dockerfile", b"FROM busybox:1.37\n"),
        member(b'5', b"bin/", b""),
        with_data(Header::new(b'0', b"bin/run", 10).put(100, b"0000755\0"), b"#!/bin/sh\n"),
        member(b'5', b"logs/", b""),
        link(b'2', b"run", b"bin/run"),
    ]
}

/// The name of the sample. It must never change: the contents in every store are named like this.
/// GNU tar makes the same bytes with `--format=ustar --sort=name --owner=0 --group=0 --numeric-owner
/// --mtime=@0 -b1`.
const SAMPLE: &str = "71047ca2dd7ddecca226c2652e564136ceee1791843380588128e88fcfaa6401";

#[test]
fn equal_trees_have_equal_names_however_they_were_packed() {
    let plain = read(&tar(&sample())).unwrap();
    assert_eq!(plain.sha256(), SAMPLE);
    assert_eq!(read(&gzip(&tar(&sample()))).unwrap().sha256(), SAMPLE);

    // In another order, without entries for folders that have files, with other owners, times and modes,
    // inside of a folder.
    let mut members = sample();
    members.remove(1);
    members.reverse();
    assert_eq!(read(&tar(&members)).unwrap().sha256(), SAMPLE);
    let inside = [
        with_data(
            Header::new(b'0', b"./work/Dockerfile", 18).put(100, b"0100600\0").put(136, b"00000000000\0"),
            b"FROM busybox:1.37\n",
        ),
        with_data(Header::new(b'7', b"work//bin/run", 10).put(100, b"0004711\0"), b"#!/bin/sh\n"),
        member(b'0', b"work/logs/", b""),
        link(b'2', b"work/run", b"bin/run"),
        member(b'0', b"work/.DS_Store", b"x"),
    ];
    assert_eq!(read(&tar(&inside)).unwrap().sha256(), SAMPLE);

    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    writer.add_symlink("work/run", "bin/run", options).unwrap();
    writer.add_directory("work/logs", options).unwrap();
    writer.start_file("work/bin/run", options.unix_permissions(0o700)).unwrap();
    writer.write_all(b"#!/bin/sh\n").unwrap();
    writer.start_file("work/Dockerfile", options.unix_permissions(0o666)).unwrap();
    writer.write_all(b"FROM busybox:1.37\n").unwrap();
    assert_eq!(read(&writer.finish().unwrap().into_inner()).unwrap().sha256(), SAMPLE);

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("bin")).unwrap();
    std::fs::create_dir(at("logs")).unwrap();
    std::fs::write(at("Dockerfile"), "FROM busybox:1.37\n").unwrap();
    std::fs::write(at("bin/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(at("bin/run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("bin/run", at("run")).unwrap();
    assert_eq!(Content::from_folder(folder.path(), &LIMITS).unwrap().sha256(), SAMPLE);

    for changed in [
        member(b'0', b"Dockerfile", b"FROM busybox:1.36\n"),
        member(b'0', b"Dockerfile2", b""),
        member(b'0', b"bin/run", b"#!/bin/sh\n"),
        link(b'2', b"run", b"./bin/run"),
        member(b'5', b"tmp/", b""),
    ] {
        let other = read(&tar(&[sample(), vec![changed]].concat())).unwrap();
        assert_ne!(other.sha256(), SAMPLE);
    }
}

#[test]
fn a_browsers_folder_equals_the_same_folder_packed() {
    let files = [("work/Dockerfile", "FROM busybox:1.37\n"), ("work/bin/run", "#!/bin/sh\n")];
    let sent = files.map(|(name, content)| (name.to_owned(), Bytes::from(content)));
    let sent = Content::from_files(sent.to_vec(), &LIMITS).unwrap();
    let packed = read(&tar(&sample()[..3])).unwrap();
    assert_eq!(sent.sha256(), packed.sha256());
    let one = |name: &str, content: Vec<u8>| {
        Content::from_files(vec![(name.into(), content.into())], &LIMITS).unwrap_err().to_string()
    };
    assert!(one("../up", vec![]).contains("with `..`"));
    assert!(one("big", vec![0; 21 << 20]).contains("`big`, of 21 MiB"));
    let many = (0..1001).map(|number| (format!("f{number}"), Bytes::new())).collect();
    assert!(matches!(Content::from_files(many, &LIMITS), Err(Refusal::TooManyEntries(_))));
    assert!(matches!(Content::from_files(vec![], &LIMITS), Err(Refusal::Empty(_))));
}

#[test]
fn the_tar_is_canonical_and_every_reader_reads_it() {
    let long = "a-long-folder-name/".repeat(10);
    let odd: &[u8] = &[&[0xff; 120][..], b"/file"].concat();
    let mut members = sample();
    members.push(super::pack::pax(&[("path", format!("{long}end").as_bytes())]));
    members.push(member(b'0', b"x", b"deep"));
    members.push(super::pack::pax(&[("linkpath", format!("{long}end").as_bytes())]));
    members.push(link(b'2', b"deep", b"x"));
    members.push(super::pack::pax(&[("path", odd)]));
    members.push(member(b'0', b"x", b"odd"));
    let content = read(&tar(&members)).unwrap();
    let bytes = content.tar();
    assert_eq!(bytes.len() % 512, 0);

    let mut archive = tar::Archive::new(bytes.as_ref());
    let mut seen = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        assert_eq!((header.username_bytes(), header.groupname_bytes()), (Some(&b""[..]), Some(&b""[..])));
        seen.push(entry.path_bytes().strip_suffix(b"/").unwrap_or(&entry.path_bytes()).to_vec());
    }
    let expected: Vec<Vec<u8>> = content.entries().keys().cloned().collect();
    assert_eq!(seen, expected, "sorted by the bytes of the paths");

    // And tar itself, if it is not too old a one.
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new("tar")
        .args(["-x", "-C"])
        .arg(folder.path())
        .stdin(std::process::Stdio::piped())
        // GNU tar mentions that it does not know `hdrcharset`.
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(Content::from_folder(folder.path(), &LIMITS).unwrap(), content);
    assert!(folder.path().join(std::ffi::OsStr::from_bytes(odd)).is_file());
}

#[test]
fn files_are_slices_of_the_tar() {
    let content = read(&gzip(&tar(&sample()))).unwrap();
    let stored = Content::from_frozen(content.tar(), content.sha256()).unwrap();
    for content in
        [&content, &stored, &content.clone(), &Content::from_frozen(content.tar(), SAMPLE).unwrap()]
    {
        let tar = content.tar();
        for entry in content.entries().values() {
            let Entry::File { content, .. } = entry else { continue };
            assert!(tar.as_ptr_range().contains(&content.as_ptr()), "a copy");
        }
    }
    assert_eq!(stored, content);
    assert_eq!(stored.entries(), content.entries());
}

#[test]
fn a_stored_content_that_changed_is_found_out() {
    let content = read(&tar(&sample())).unwrap();
    let mut bytes = content.tar().to_vec();
    bytes[600] ^= 1;
    let sentence = Content::from_frozen(bytes.into(), content.sha256()).unwrap_err().to_string();
    assert!(sentence.starts_with("The stored content 71047ca2"), "{sentence}");
    let empty = Content::empty();
    assert!(empty.is_empty() && empty.summary() == (0, 0));
    assert_eq!(Content::from_frozen(empty.tar(), empty.sha256()).unwrap(), empty);
}

#[test]
fn a_subtree_is_what_was_in_the_folder() {
    let mut members = sample();
    members.push(link(b'2', b"bin/out", b"../Dockerfile"));
    members.push(link(b'2', b"bin/in", b"./run"));
    let content = read(&tar(&members)).unwrap();
    let bin = content.subtree("./bin/").unwrap();
    assert_eq!(names(&bin), ["in", "run"], "a link that now leads out is left out");
    assert_eq!(bin, read(&tar(&[sample()[2].clone(), link(b'2', b"bin/in", b"./run")])).unwrap());
    assert_eq!(content.subtree(".").unwrap(), content);
    assert_eq!(content.subtree("").unwrap(), content);
    assert!(content.subtree("logs").unwrap().is_empty());
    for none in ["Dockerfile", "missing", "run", "../bin", "/bin", "bi"] {
        assert_eq!(content.subtree(none), None, "{none}");
    }
}

#[test]
fn a_mutant_is_laid_over_a_solution() {
    let base = read(&tar(&[
        member(b'0', b"Dockerfile", b"FROM a"),
        member(b'0', b"src/one", b"1"),
        member(b'0', b"src/two", b"2"),
        member(b'0', b"src-x", b"x"),
        member(b'0', b"docs/a/b", b"b"),
        member(b'0', b"plain", b"p"),
    ]))
    .unwrap();
    let over = read(&tar(&[
        member(b'0', b"Dockerfile", b"FROM b"),
        member(b'0', b"src/one.absent", b""),
        member(b'0', b"src/three", b"3"),
        member(b'0', b"docs.absent", b""),
        member(b'0', b"plain/now-a-folder", b"f"),
        member(b'0', b"folder.absent/kept", b"k"),
    ]))
    .unwrap();
    let laid = base.overlaid(&over);
    assert_eq!(
        names(&laid),
        [
            "Dockerfile",
            "folder.absent",
            "folder.absent/kept",
            "plain",
            "plain/now-a-folder",
            "src",
            "src-x",
            "src/three",
            "src/two"
        ]
    );
    assert_eq!(text(&laid, "Dockerfile"), "FROM b");
    let back = laid
        .overlaid(&read(&tar(&[member(b'0', b"plain", b"p"), member(b'0', b"src.absent", b"")])).unwrap());
    assert_eq!(names(&back), ["Dockerfile", "folder.absent", "folder.absent/kept", "plain", "src-x"]);
    assert_eq!(base.overlaid(&Content::empty()), base);
    assert_eq!(Content::empty().overlaid(&base), base);
}

#[test]
fn what_is_handed_out_is_what_comes_back() {
    let content = read(&tar(&sample())).unwrap();
    assert_eq!(read(&content.zip("exercise")).unwrap(), content);
    assert_eq!(read(&content.zip("")).unwrap(), content);
    assert_eq!(content.zip("exercise"), content.zip("exercise"), "the same bytes each time");
    let zip = content.zip("my-exercise");
    let listed = zip::ZipArchive::new(std::io::Cursor::new(&zip)).unwrap();
    let listed: Vec<String> = listed.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(
        listed,
        [
            "my-exercise/",
            "my-exercise/Dockerfile",
            "my-exercise/bin/",
            "my-exercise/bin/run",
            "my-exercise/logs/",
            "my-exercise/run"
        ]
    );
}

#[test]
fn a_folder_with_a_dot_in_front_is_no_wrapper() {
    let of = |paths: &[&str]| {
        let files = paths.iter().map(|path| ((*path).to_owned(), Bytes::from_static(b"x"))).collect();
        names(&Content::from_files(files, &LIMITS).unwrap())
    };
    assert_eq!(
        of(&[".github/workflows/ci.yml"]),
        [".github", ".github/workflows", ".github/workflows/ci.yml"]
    );
    assert_eq!(of(&["work/.github/ci.yml"]), [".github", ".github/ci.yml"], "what wraps it is taken off");
    assert_eq!(of(&[".gitlab-ci.yml"]), [".gitlab-ci.yml"]);
    assert_eq!(of(&["work/.gitlab-ci.yml"]), [".gitlab-ci.yml"]);
    assert_eq!(of(&["work/a"]), ["a"]);
}

#[test]
fn a_folder_of_this_machine_is_read_without_following_links() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refusal = || Content::from_folder(folder.path(), &LIMITS).unwrap_err();
    assert!(matches!(refusal(), Refusal::Empty(_)));
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/file"), "x").unwrap();
    assert_eq!(
        names(&Content::from_folder(folder.path(), &LIMITS).unwrap()),
        ["sub", "sub/file"],
        "not unwrapped"
    );

    symlink("/etc/passwd", at("sub/secret")).unwrap();
    assert!(
        refusal()
            .to_string()
            .starts_with("`sub/secret` is a link to `/etc/passwd`, which is an absolute path")
    );
    std::fs::remove_file(at("sub/secret")).unwrap();
    let socket = UnixListener::bind(at("sub/socket")).unwrap();
    assert!(refusal().to_string().starts_with("`sub/socket` is a device, named pipe or socket"));
    drop(socket);
    std::fs::remove_file(at("sub/socket")).unwrap();
    std::fs::write(at("big"), vec![0; 21 << 20]).unwrap();
    assert!(refusal().to_string().contains("`big`, of 21 MiB, goes beyond it"));
    std::fs::remove_file(at("big")).unwrap();
    let missing = Content::from_folder(&at("missing"), &LIMITS).unwrap_err().to_string();
    assert!(missing.contains("missing` cannot be read: No such file"), "{missing}");
}

#[test]
fn limits_come_from_the_settings() {
    let settings = drydock::config::UploadSettings {
        archive_bytes: 1,
        unpacked_bytes: 2,
        entries: 3,
        saved_image_bytes: 4,
    };
    let limits = ContentLimits::from(&settings);
    assert_eq!(limits, ContentLimits { archive_bytes: 1, unpacked_bytes: 2, entries: 3 });
    let exact = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 28, entries: 5 };
    assert!(Content::from_archive(&tar(&sample()), &exact).is_ok(), "a limit may be reached");
    let less = ContentLimits { unpacked_bytes: 27, ..exact.clone() };
    assert!(matches!(Content::from_archive(&tar(&sample()), &less), Err(Refusal::TooLarge(_))));
    let less = ContentLimits { entries: 4, ..exact };
    assert!(matches!(Content::from_archive(&tar(&sample()), &less), Err(Refusal::TooManyEntries(_))));
}

/// Says how long it takes; meaningful with `--release`:
/// `cargo test --release --test submissions speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed_of_freezing_50_megabytes() {
    let limits = ContentLimits { archive_bytes: 1 << 30, unpacked_bytes: 1 << 30, entries: 100_000 };
    let mut state = 1_u32;
    let mut noise = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state & 0x8000_0000 == 0 { b'a' } else { (state >> 16) as u8 }
            })
            .collect()
    };
    let members: Vec<_> = (0..500)
        .map(|number| member(b'0', format!("d{}/f{number}", number % 7).as_bytes(), &noise(100_000)))
        .collect();
    let plain = tar(&members);
    let files: Vec<(String, Vec<u8>)> =
        (0..500).map(|number| (format!("f{number}"), noise(100_000))).collect();
    let borrowed: Vec<(&str, &[u8])> =
        files.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    for (what, archive) in [("tar", plain.clone()), ("tar.gz", gzip(&plain)), ("zip", zip(&borrowed))] {
        let started = Clock::system().stopwatch();
        let content = Content::from_archive(&archive, &limits).unwrap();
        let took = started.elapsed();
        println!("50 MB from {what} ({} bytes): {took:?}", archive.len());
        assert_eq!(content.summary().1, 50_000_000);
        if !cfg!(debug_assertions) {
            assert!(took.as_secs_f64() < 1.0);
        }
        let started = Clock::system().stopwatch();
        Content::from_frozen(content.tar(), content.sha256()).unwrap();
        println!("50 MB from the store: {:?}", started.elapsed());
    }
}
