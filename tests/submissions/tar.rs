//! Attacks by tar and gzip.

use std::time::Duration;

use drydock::submissions::{Content, ContentLimits, Entry, Refusal};

use super::pack::{
    Header, LIMITS, gzip, link, member, names, pax, processor_time, read, refusal, refused, tar, text,
    with_data,
};

#[test]
fn paths_that_leave_the_tree_are_refused() {
    for name in [&b"/etc/passwd"[..], b"//etc/passwd", b"C:/Windows/win.ini"] {
        refused(&tar(&[member(b'0', name, b"x")]), &["absolute path", "tar czf"]);
    }
    for name in [&b"../up"[..], b"a/../../up", b"a/..", b"./../up", b".."] {
        refused(&tar(&[member(b'0', name, b"x")]), &["leads out of the folder with `..`"]);
        refused(&tar(&[pax(&[("path", name)]), member(b'0', b"harmless", b"x")]), &["with `..`"]);
        refused(
            &tar(&[member(b'L', b"././@LongLink", name), member(b'0', b"harmless", b"x")]),
            &["with `..`"],
        );
    }
    assert_eq!(refusal(&tar(&[member(b'5', b"../up/", b"")])), {
        "`../up/` leads out of the folder with `..`; pack the folder from inside, without `..`."
    });
}

#[test]
fn links_that_leave_the_tree_are_refused() {
    let file = member(b'0', b"keep", b"x");
    type Links<'a> = &'a [(&'a [u8], &'a [u8])];
    let cases: [(&str, Links<'_>); 6] = [
        ("an absolute path", &[(b"a", b"/etc/passwd")]),
        ("outside of the folder", &[(b"a", b"..")]),
        ("outside of the folder", &[(b"sub/a", b"../../up")]),
        // Each looks harmless; one through the other is not.
        ("outside of the folder", &[(b"dir/sub/up", b"../.."), (b"x", b"dir/sub/up/../keep")]),
        ("a circle of links", &[(b"a", b"b"), (b"b", b"a")]),
        ("a circle of links", &[(b"a", b"a/b")]),
    ];
    for (why, links) in cases {
        let mut members = vec![file.clone()];
        members.extend(links.iter().map(|(name, target)| link(b'2', name, target)));
        refused(&tar(&members), &["is a link to", why, "put a copy of the file in its place"]);
    }
    refused(
        &tar(&[file.clone(), link(b'2', b"a", b"")]),
        &["`a` is a link with a target that no link can have"],
    );
    let long = [b"a/".repeat(2100), b"b".to_vec()].concat();
    refused(&tar(&[file, pax(&[("linkpath", &long)]), link(b'2', b"a", b"x")]), &["longer than 4,095 bytes"]);
}

#[test]
fn a_link_is_judged_where_it_ends_up() {
    // Inside of what is packed, but outside of the folder that the work is in.
    let archive =
        tar(&[member(b'0', b"work/Dockerfile", b"x"), link(b'2', b"work/me", b"../work/Dockerfile")]);
    refused(&archive, &["`me` is a link to `../work/Dockerfile`, which is outside of the folder"]);
    let archive = tar(&[member(b'0', b"work/Dockerfile", b"x"), link(b'2', b"work/me", b"./Dockerfile")]);
    let content = read(&archive).unwrap();
    assert_eq!(content.get("me"), Some(&Entry::Symlink { target: b"./Dockerfile".to_vec() }));
    assert_eq!(content.file("me").unwrap(), "x");
}

#[test]
fn links_inside_the_tree_are_kept_as_links() {
    let archive = tar(&[
        member(b'0', b"a/file", b"hello"),
        link(b'2', b"b", b"a"),
        link(b'2', b"c", b"b/../a/./file"),
        link(b'2', b"nowhere", b"a/missing"),
    ]);
    let content = read(&archive).unwrap();
    assert_eq!(names(&content), ["a", "a/file", "b", "c", "nowhere"]);
    assert_eq!(content.file("b/file").unwrap(), "hello");
    assert_eq!(content.file("./c").unwrap(), "hello");
    assert_eq!((content.file("nowhere"), content.file("a"), content.file("../a/file")), (None, None, None));
    assert_eq!(content.get("b/file"), None);
}

#[test]
fn links_that_lead_through_each_other_cost_no_time() {
    let started = processor_time();
    let mut members = vec![member(b'0', b"keep", b"x")];
    // Each of them has two thousand parts, and most parts are links again.
    let target = [b"l0/".repeat(1300), b"keep".to_vec()].concat();
    members.push(link(b'2', b"l0", b"."));
    for number in 1..900 {
        members.push(pax(&[("linkpath", &target)]));
        members.push(link(b'2', format!("l{number}").as_bytes(), b"x"));
    }
    refused(&tar(&members), &["a circle of links"]);
    let target = b"d/../".repeat(800);
    for number in 1..900 {
        let at = 2 * number;
        members[at] = pax(&[("linkpath", &target)]);
    }
    refused(&tar(&members), &["a path through too many other links"]);
    assert!(processor_time() - started < Duration::from_secs(10), "{:?}", processor_time() - started);
}

#[test]
fn hard_links_become_copies_of_an_earlier_file() {
    let file = with_data(Header::new(b'0', b"a/run", 5).put(100, b"0000755\0"), b"hello");
    let content = read(&tar(&[file.clone(), link(b'1', b"b", b"a/run")])).unwrap();
    assert_eq!(content.get("b"), content.get("a/run"));
    assert_eq!(content.get("b"), Some(&Entry::File { content: "hello"[..].into(), executable: true }));

    let nowhere = ["is a hard link to", "no file that comes before it", "copy of the file"];
    refused(&tar(&[link(b'1', b"b", b"a/run"), file.clone()]), &nowhere);
    refused(&tar(&[file.clone(), link(b'1', b"b", b"a")]), &nowhere);
    refused(&tar(&[file.clone(), link(b'2', b"l", b"a/run"), link(b'1', b"b", b"l")]), &nowhere);
    refused(&tar(&[file.clone(), link(b'1', b"b", b"/etc/passwd")]), &["absolute path"]);
    refused(&tar(&[file, link(b'1', b"b", b"../../etc/passwd")]), &["with `..`"]);
}

#[test]
fn hard_links_are_counted_as_the_copies_they_are() {
    let mut members = vec![member(b'0', b"big", &vec![7; 1 << 20])];
    members.extend((0..900).map(|number| link(b'1', format!("copy{number}").as_bytes(), b"big")));
    refused(&gzip(&tar(&members)), &["larger than 20 MiB together", "`copy19`, of 1 MiB, goes beyond it"]);
}

#[test]
fn only_files_folders_and_links_are_taken() {
    let file = member(b'0', b"keep", b"x");
    for (kind, what) in [
        (b'3', "a device"),
        (b'4', "a device"),
        (b'6', "a named pipe"),
        (b'M', "a part of a file that begins in another archive"),
        (b'D', "of a type that is not known here"),
        (b'Z', "of a type that is not known here"),
    ] {
        refused(
            &tar(&[file.clone(), member(kind, b"odd", b"")]),
            &["`odd` is ", what, "remove it and pack again"],
        );
    }
    // A label of the volume and a comment for all are harmless.
    let comment = member(b'g', b"pax_global_header", b"16 comment=abcd\n");
    let content = read(&tar(&[member(b'V', b"label", b""), comment, file])).unwrap();
    assert_eq!(names(&content), ["keep"]);
}

#[test]
fn sparse_files_are_refused_in_every_format() {
    refused(&tar(&[member(b'S', b"holes", b"x")]), &["`holes` is a sparse file", "without `--sparse`"]);
    for key in ["GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.name", "SCHILY.realsize"]
    {
        let archive = tar(&[member(b'0', b"keep", b"x"), pax(&[(key, b"1")]), member(b'0', b"holes", b"x")]);
        refused(&archive, &["The entry after `keep` is a sparse file"]);
    }
    let global = member(b'g', b"g", b"22 GNU.sparse.major=1\n");
    refused(&tar(&[global, member(b'0', b"holes", b"x")]), &["sparse file"]);
}

#[test]
fn names_may_have_any_bytes_but_nul_and_stay_as_they_are() {
    let odd: [&[u8]; 6] =
        [b"caf\xe9", b"\xff\xfe", b"new\nline", "caf\u{e9}".as_bytes(), b"back\\slash", b"A"];
    let mut members: Vec<_> = odd.iter().map(|name| member(b'0', name, name)).collect();
    members.push(member(b'0', b"a", b"a"));
    let content = read(&tar(&members)).unwrap();
    for name in odd {
        let Some(Entry::File { content, .. }) = content.entries().get(name) else { panic!("{name:?}") };
        assert_eq!(content, name);
    }
    assert_eq!(content.entries().len(), 7, "case is kept: `a` and `A` are two files");

    refused(&tar(&[pax(&[("path", b"a\0b")]), member(b'0', b"x", b"x")]), &["NUL byte in its name"]);
    let name = [b'n'; 256];
    refused(&tar(&[pax(&[("path", &name)]), member(b'0', b"x", b"x")]), &["longer than 255 bytes"]);
    let path = b"part/".repeat(900);
    refused(&tar(&[pax(&[("path", &path)]), member(b'0', b"x", b"x")]), &["longer than 4,095 bytes"]);
}

#[test]
fn a_sentence_shows_hidden_characters_and_cuts_long_names() {
    let sentence = refusal(&tar(&[member(b'6', "\u{202e}gpj.exe\x1b[2J\n<b>".as_bytes(), b"")]));
    assert!(sentence.starts_with("`⟨U+202E⟩gpj.exe⟨U+001B⟩[2J\u{fffd}<b>` is a named pipe"), "{sentence}");
    let name = [b"x/".repeat(1000), b"..".to_vec()].concat();
    let sentence = refusal(&tar(&[pax(&[("path", &name)]), member(b'0', b"x", b"x")]));
    assert!(sentence.len() < 300, "{sentence}");
}

#[test]
fn of_equal_paths_the_last_file_wins_and_a_folder_never_becomes_a_file() {
    let content = read(&tar(&[
        member(b'0', b"./a", b"first"),
        member(b'0', b"a", b"second"),
        member(b'5', b"d/", b""),
        member(b'5', b"./d", b""),
        link(b'2', b"l", b"a"),
        member(b'0', b"l", b"file"),
    ]))
    .unwrap();
    assert_eq!((text(&content, "a").as_str(), text(&content, "l").as_str()), ("second", "file"));

    let twice = "is in it twice, as a folder and as a file or link";
    let file = |name: &[u8]| member(b'0', name, b"x");
    let folder = |name: &[u8]| member(b'5', name, b"");
    refused(&tar(&[file(b"a"), folder(b"a")]), &["`a`", twice]);
    refused(&tar(&[folder(b"a"), file(b"a")]), &["`a`", twice]);
    refused(&tar(&[file(b"a"), file(b"a/b/c")]), &["`a`", twice]);
    refused(&tar(&[file(b"a/b/c"), file(b"a")]), &["`a`", twice]);
    // A file through a link: what unpacking would write elsewhere.
    refused(&tar(&[folder(b"d"), link(b'2', b"a", b"d"), file(b"a/b")]), &["`a`", twice]);
    refused(&tar(&[folder(b"a"), link(b'2', b"a", b"d")]), &["`a`", twice]);
}

#[test]
fn every_dialect_of_long_names_and_sizes_is_read() {
    let deep = format!("{}/end.txt", vec!["a-long-folder-name"; 30].join("/"));
    let target = format!("{}/end.txt", vec!["a-long-folder-name"; 30].join("/"));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, &deep, &b"hello"[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link", &target).unwrap();
    let gnu = read(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(gnu.file("link").unwrap(), "hello");

    let posix = read(&tar(&[
        pax(&[
            ("mtime", b"1.5"),
            ("path", deep.as_bytes()),
            ("size", b"5"),
            ("SCHILY.xattr.user.x", b"a\nb\0c"),
        ]),
        with_data(Header::new(b'0', b"cut", 0), b"hello"),
        pax(&[("linkpath", target.as_bytes())]),
        link(b'2', b"link", b"cut"),
    ]))
    .unwrap();
    assert_eq!(posix.sha256(), gnu.sha256());

    // The prefix of ustar; and a size in base 256, as GNU tar writes large ones.
    let prefixed = Header::new(b'0', b"end.txt", 5).put(345, b"some/folder");
    let based = Header::new(b'0', b"based", 5).put(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    let spaces = Header::new(0, b"spaces", 5).put(124, b"       5  \0\0");
    let content =
        read(&tar(&[with_data(prefixed, b"hello"), with_data(based, b"hello"), with_data(spaces, b"hello")]))
            .unwrap();
    assert_eq!(names(&content), ["based", "some", "some/folder", "some/folder/end.txt", "spaces"]);
    assert_eq!(text(&content, "based"), "hello");
}

#[test]
fn sizes_that_lie_cost_nothing() {
    let huge = Header::new(b'0', b"huge", 0).put(124, &[0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]).bytes();
    refused(&tar(std::slice::from_ref(&huge)), &["`huge`, of 1 TiB, goes beyond it"]);
    refused(&gzip(&tar(&[huge])), &["`huge`, of 1 TiB, goes beyond it"]);
    for field in
        [[0xff_u8; 12], [0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], *b"8888888888\0\0", *b"-00000000005"]
    {
        let header = Header::new(b'0', b"odd", 0).put(124, &field).bytes();
        refused(&tar(&[header]), &["has a size that is no number"]);
    }
    refused(&tar(&[pax(&[("size", b"-5")]), member(b'0', b"odd", b"x")]), &["has a size that is no number"]);
    let most = u64::MAX.to_string();
    refused(&tar(&[pax(&[("size", most.as_bytes())]), member(b'0', b"odd", b"x")]), &["goes beyond it"]);
    // A link or folder has no data, whatever it says.
    let link = Header::new(b'2', b"l", 4096).linked(b"keep").bytes();
    let folder = Header::new(b'5', b"d", 4096).bytes();
    assert_eq!(names(&read(&tar(&[link, folder, member(b'0', b"keep", b"x")])).unwrap()), ["d", "keep", "l"]);
}

#[test]
fn headers_for_names_are_bounded() {
    let long = Header::new(b'L', b"././@LongLink", 2 << 20).bytes();
    refused(&tar(&[long]), &["has a header of more than 1 MiB for a name"]);
    for record in [
        &b"5 a=bb\n"[..],
        b"99 path=x\n",
        b"path=x\n",
        b"9 path:x\n",
        b"18446744073709551616 a=b\n",
        b"0 a=b\n",
    ] {
        let archive = tar(&[member(b'x', b"pax", record), member(b'0', b"a", b"x")]);
        refused(&archive, &["has an extended header that cannot be read"]);
    }
    let global = member(b'g', b"g", b"10 path=x\n");
    refused(&tar(&[global, member(b'0', b"a", b"x")]), &["gives all its entries the same name"]);
    refused(&member(b'x', b"pax", b"10 path=x\n"), &["ends in the middle of an entry"]);
    // Nothing but headers, packed to almost nothing.
    let headers = gzip(&tar(&vec![member(b'x', b"pax", b""); 10_000]));
    assert!(headers.len() < 100_000);
    refused(&headers, &["more than 1,000 files, folders and links"]);
}

#[test]
fn an_archive_that_ends_early_is_damaged() {
    let whole = tar(&[member(b'0', b"first", b"x"), member(b'0', b"second", &[b'y'; 2000])]);
    for end in [512, 1030, 1536, 3000] {
        let sentence = refusal(&whole[..end]);
        assert!(
            sentence.starts_with("The archive is not whole: it ends in the middle of an entry"),
            "{end} {sentence}"
        );
    }
    refused(&whole[..3000], &["after `second`"]);
    let packed = gzip(&whole);
    for end in [20, packed.len() / 2, packed.len() - 9] {
        refused(&packed[..end], &["is not whole"]);
    }
    // Without the zero blocks at its end it is whole all the same.
    assert_eq!(names(&read(&whole[..1024 + 512 + 2000]).unwrap()), ["first", "second"]);
    let mut damaged = whole.clone();
    damaged[1024 + 3] ^= 1;
    refused(&damaged, &["there is no entry where one should be after `first`"]);
    let mut damaged = packed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    *damaged.iter_mut().nth_back(5).unwrap() ^= 1;
    refused(&damaged, &["its packed data cannot be read"]);
}

#[test]
fn members_of_gzip_are_read_as_one_and_garbage_after_the_end_is_left() {
    let plain = tar(&[member(b'0', b"first", b"x"), member(b'0', b"second", &[b'y'; 2000])]);
    let expected = read(&plain).unwrap();
    let members = [gzip(&plain[..700]), gzip(b""), gzip(&plain[700..])].concat();
    assert_eq!(read(&members).unwrap(), expected);
    assert_eq!(read(&[&members[..], b"garbage"].concat()).unwrap(), expected);
    assert_eq!(read(&[&members[..], &[0; 5000]].concat()).unwrap(), expected);
    assert_eq!(read(&[&plain[..], b"garbage after the end"].concat()).unwrap(), expected);
    // What comes after the end is no entry.
    let two = [&plain[..], &tar(&[member(b'0', b"third", b"x")])].concat();
    assert_eq!(read(&two).unwrap(), expected);
}

/// The most memory that this process ever had, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn ten_gigabytes_in_a_hundred_kilobytes_stop_at_the_limit() {
    // gzip packs at most about 1000 to 1; packed members of zeros after one another make any size.
    let megabytes = gzip(&vec![0; 10 << 20]);
    let bomb = |first: Vec<u8>| {
        let mut bomb = gzip(&first);
        for _ in 0..1024 {
            bomb.extend_from_slice(&megabytes);
        }
        bomb
    };
    let (before, started) = (peak_bytes(), processor_time());
    // It says that it is one file of 10 GiB.
    let honest = bomb(Header::new(b'0', b"bomb", 0).put(124, b"120000000000").bytes());
    refused(&honest, &["larger than 20 MiB together, which is the limit; `bomb`, of 10 GiB, goes beyond it"]);
    // It hides in what is left out.
    let hidden = bomb(Header::new(b'0', b".DS_Store", 0).put(124, b"120000000000").bytes());
    refused(&hidden, &["`.DS_Store`, of 10 GiB"]);
    // Many files, each small.
    let file = member(b'0', b"file", &vec![0; 1 << 20]);
    let many = gzip(&file.repeat(50));
    refused(&many.repeat(20), &["larger than 20 MiB together"]);
    // After the end of the archive it is never unpacked.
    assert_eq!(names(&read(&bomb(tar(&[member(b'0', b"keep", b"x")]))).unwrap()), ["keep"]);
    assert!(processor_time() - started < Duration::from_secs(20), "{:?}", processor_time() - started);
    assert!(peak_bytes() - before < 400 << 20, "{} bytes more", peak_bytes() - before);
}

#[test]
fn a_million_tiny_files_stop_at_the_limit() {
    // A hundred files in each of ten thousand gzip members: half a gigabyte of tar.
    let hundred: Vec<_> = (0..100).map(|number| member(b'0', format!("{number}").as_bytes(), b"")).collect();
    let packed = gzip(&hundred.concat()).repeat(10_000);
    let started = processor_time();
    refused(&packed, &["more than 1,000 files, folders and links", "`node_modules`"]);
    assert!(processor_time() - started < Duration::from_secs(2), "{:?}", processor_time() - started);
    // Folders that have no entry of their own count too.
    let deep = [b"d/".repeat(1100), b"f".to_vec()].concat();
    refused(&tar(&[pax(&[("path", &deep)]), member(b'0', b"x", b"x")]), &["more than 1,000 files, folders"]);
}

#[test]
fn what_is_no_archive_is_told_by_name() {
    for (bytes, what) in [
        (&b""[..], "The file is empty"),
        (b"FROM busybox:1.37\n", "This looks like a single text file"),
        (b"Rar!\x1a\x07\x00", "This is a .rar file"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "This is a .7z file"),
        (b"\xfd7zXZ\0\0\x04", "This is a file packed with xz"),
        (b"BZh91AY", "This is a file packed with bzip2"),
        (b"\x28\xb5\x2f\xfd\x04", "This is a file packed with zstd"),
        (b"\x7fELF\x02", "This is a program"),
        (b"\x00\x01\x02\x03", "This is no archive of a kind that is taken here"),
    ] {
        refused(bytes, &[what, "as .zip, .tar or .tar.gz"]);
        assert!(matches!(read(bytes), Err(Refusal::NotAnArchive(_))));
    }
    refused(&gzip(b"FROM busybox:1.37\n"), &["What is in the .gz file is no tar archive"]);
    refused(&gzip(&[b'x'; 5000]), &["What is in the .gz file is no tar archive"]);
    let limits = ContentLimits { archive_bytes: 1024, ..LIMITS };
    let sentence = Content::from_archive(&[0; 2048], &limits).unwrap_err().to_string();
    assert!(sentence.starts_with("The archive is 2 KiB, and 1 KiB is the limit; leave out"), "{sentence}");
}

#[test]
fn an_archive_without_a_file_is_empty() {
    for archive in
        [tar(&[]), tar(&[member(b'5', b"d", b"")]), gzip(&tar(&[member(b'0', b".DS_Store", b"x")]))]
    {
        refused(&archive, &["There is no file in it"]);
        assert!(matches!(read(&archive), Err(Refusal::Empty(_))));
    }
}
