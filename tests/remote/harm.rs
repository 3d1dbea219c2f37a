//! Git servers that mean harm.

use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use drydock::submissions::ContentLimits;
use drydock::submissions::remote::{Credentials, FetchError, Fetched, GitAddress, Remote, Revision};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures::StreamExt as _;
use sha1::{Digest as _, Sha1};

use super::git::Project;
use super::repositories::{LIMITS, WITHIN, refused};
use super::server::{Asked, Server, remote, response};

/// A pack that is put together by hand.
#[derive(Default)]
struct Pack {
    entries: Vec<Vec<u8>>,
}

const COMMIT: u8 = 1;
const TREE: u8 = 2;
const BLOB: u8 = 3;
const DIFFERENCE: u8 = 7;

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

fn id(kind: &str, data: &[u8]) -> [u8; 20] {
    let mut sha = Sha1::new();
    sha.update(format!("{kind} {}\0", data.len()));
    sha.update(data);
    sha.finalize().into()
}

fn hex(id: [u8; 20]) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Pack {
    fn raw(&mut self, kind: u8, size: usize, base: &[u8], packed: &[u8]) {
        let mut entry = Vec::new();
        let mut rest = size >> 4;
        let mut byte = (kind << 4) | u8::try_from(size & 15).unwrap();
        while rest > 0 {
            entry.push(byte | 0x80);
            byte = u8::try_from(rest & 0x7f).unwrap();
            rest >>= 7;
        }
        entry.push(byte);
        entry.extend_from_slice(base);
        entry.extend_from_slice(packed);
        self.entries.push(entry);
    }

    fn add(&mut self, kind: u8, data: &[u8]) -> [u8; 20] {
        self.raw(kind, data.len(), b"", &zlib(data));
        id(["", "commit", "tree", "blob"][usize::from(kind)], data)
    }

    fn tree(&mut self, entries: &[(&str, &[u8], [u8; 20])]) -> [u8; 20] {
        let data: Vec<u8> = entries
            .iter()
            .flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name, b"\0", id].concat())
            .collect();
        self.add(TREE, &data)
    }

    fn commit(&mut self, tree: [u8; 20]) -> [u8; 20] {
        let text = format!("tree {}\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n\nx\n", hex(tree));
        self.add(COMMIT, text.as_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.entries.len()).unwrap();
        let mut all = [b"PACK\0\0\0\x02", &count.to_be_bytes()[..], &self.entries.concat()].concat();
        all.extend(Sha1::digest(&all));
        all
    }
}

fn packet(data: &[u8]) -> Vec<u8> {
    [format!("{:04x}", data.len() + 4).as_bytes(), data].concat()
}

fn advertised() -> Response<Body> {
    let body = [
        packet(b"version 2\n"),
        packet(b"ls-refs\n"),
        packet(b"fetch=shallow\n"),
        packet(b"object-format=sha1\n"),
        b"0000".to_vec(),
    ];
    response(200, &[("content-type", "application/x-git-upload-pack-advertisement")], body.concat())
}

fn result(body: impl Into<Body>) -> Response<Body> {
    response(200, &[("content-type", "application/x-git-upload-pack-result")], body)
}

fn is_listing(asked: &Asked) -> bool {
    asked.body.windows(7).any(|seven| seven == b"ls-refs")
}

fn listing(tip: [u8; 20]) -> Response<Body> {
    let line = format!("{} HEAD symref-target:refs/heads/main\n", hex(tip));
    result([packet(line.as_bytes()), b"0000".to_vec()].concat())
}

/// Speaks the protocol as it should and gives out this pack, with `tip` as the newest commit.
async fn serving(tip: [u8; 20], pack: Vec<u8>) -> Server {
    let pack = Bytes::from(pack);
    Server::start(move |asked: Asked| {
        let pack = pack.clone();
        async move {
            if asked.path.ends_with("/info/refs") {
                advertised()
            } else if is_listing(&asked) {
                listing(tip)
            } else {
                let mut body = packet(b"packfile\n");
                pack.chunks(60_000).for_each(|piece| body.extend(packet(&[b"\x01", piece].concat())));
                body.extend(b"0000");
                result(body)
            }
        }
    })
    .await
}

async fn fetch(server: &Server, limits: &ContentLimits) -> Result<Fetched, FetchError> {
    fetch_with(&remote(), server, limits).await
}

async fn fetch_with(remote: &Remote, server: &Server, limits: &ContentLimits) -> Result<Fetched, FetchError> {
    let address: GitAddress = server.url("/x/y.git").parse().unwrap();
    remote.repository(&address, &Revision::Default, None, true, limits, WITHIN).await
}

async fn sentence(tip: [u8; 20], pack: &Pack) -> String {
    refused(fetch(&serving(tip, pack.bytes()).await, &LIMITS).await)
}

#[tokio::test]
async fn a_pack_by_hand_is_one_like_any_other() {
    let mut pack = Pack::default();
    let base = b"a line that is long enough to be worth it\n";
    let blob = pack.add(BLOB, base);
    // All of the base, then one more byte.
    let size = base.len() + 1;
    let difference =
        [varint(base.len()), varint(size), vec![0x90, u8::try_from(base.len()).unwrap(), 1, b'!']].concat();
    pack.raw(DIFFERENCE, difference.len(), &blob, &zlib(&difference));
    let whole = [&base[..], b"!"].concat();
    let tree = pack.tree(&[("100644", b"a", blob), ("100644", b"b", id("blob", &whole))]);
    let tip = pack.commit(tree);
    let fetched = fetch(&serving(tip, pack.bytes()).await, &LIMITS).await.unwrap();
    assert_eq!(fetched.content.file("b").unwrap()[..], whole);
    assert_eq!(fetched.commit.hash, hex(tip));
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for name in
        [&b"../x"[..], b"..", b".", b"", b"a/../../x", b"/etc", b".git", b".GIT", b"git~1", &[b'x'; 300]]
    {
        let mut pack = Pack::default();
        let blob = pack.add(BLOB, b"#!/bin/sh\n");
        let inner = pack.tree(&[("100755", b"post-checkout", blob)]);
        for (mode, id) in [("100644", blob), ("40000", inner), ("120000", blob), ("160000", blob)] {
            let mut pack = Pack { entries: pack.entries.clone() };
            let tree = pack.tree(&[(mode, name, id)]);
            let tip = pack.commit(tree);
            let sentence = sentence(tip, &pack).await;
            assert!(sentence.contains("cannot be taken"), "{name:?}: {sentence}");
        }
    }
    for target in ["/etc/passwd", "../outside", ".git/../../x"] {
        let mut pack = Pack::default();
        let link = pack.add(BLOB, target.as_bytes());
        let file = pack.add(BLOB, b"x");
        let tree = pack.tree(&[("100644", b"file", file), ("120000", b"link", link)]);
        let tip = pack.commit(tree);
        assert!(sentence(tip, &pack).await.contains("`link` is a link to"));
    }
}

#[tokio::test]
async fn bombs_are_counted_while_they_unpack() {
    let limits = ContentLimits { unpacked_bytes: 1 << 20, ..LIMITS };
    let told = async |pack: &mut Pack, file: [u8; 20]| {
        let tree = pack.tree(&[("100644", b"x", file)]);
        let tip = pack.commit(tree);
        assert!(pack.bytes().len() < 20_000);
        refused(fetch(&serving(tip, pack.bytes()).await, &limits).await)
    };
    // More than it says.
    let mut pack = Pack::default();
    pack.raw(BLOB, 10, b"", &zlib(&vec![0; 8 << 20]));
    assert!(told(&mut pack, [0; 20]).await.contains("larger than it says"));

    // As much as it says.
    let mut pack = Pack::default();
    let blob = pack.add(BLOB, &vec![0; 8 << 20]);
    assert!(told(&mut pack, blob).await.contains("too large"));

    // A few bytes that say to copy the same quarter of a megabyte over and over, into one file and into many.
    for (times, differences) in [(2_000, 1), (3, 100)] {
        let mut pack = Pack::default();
        let size = 1_usize << 18;
        let blob = pack.add(BLOB, &vec![7; size]);
        for number in 0..differences {
            let copies = [0xf0, 0, 0, 4].repeat(times);
            let difference = [varint(size), varint(size * times + 1), copies, vec![1, number]].concat();
            pack.raw(DIFFERENCE, difference.len(), &blob, &zlib(&difference));
        }
        assert!(told(&mut pack, blob).await.contains("too large"));
    }

    // Folders of folders of the same folder.
    let mut pack = Pack::default();
    let blob = pack.add(BLOB, b"x");
    let names: Vec<String> = (0..10).map(|name| name.to_string()).collect();
    let mut tree = pack.tree(&[("100644", b"x", blob)]);
    for _ in 0..10 {
        let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_bytes(), tree)).collect();
        tree = pack.tree(&entries);
    }
    let tip = pack.commit(tree);
    assert!(sentence(tip, &pack).await.contains("more than 2,000 files"));
}

#[tokio::test]
async fn a_pack_that_lies_is_refused() {
    let good = || {
        let mut pack = Pack::default();
        let blob = pack.add(BLOB, b"x");
        let tree = pack.tree(&[("100644", b"file", blob)]);
        let tip = pack.commit(tree);
        (tip, pack)
    };
    let (tip, pack) = good();
    // Another commit than was promised.
    let mut other = tip;
    other[3] ^= 1;
    assert!(sentence(other, &pack).await.contains("has no commit"));
    // A file that is not there.
    let mut pack = Pack::default();
    let tree = pack.tree(&[("100644", b"file", [9; 20])]);
    let tip = pack.commit(tree);
    assert!(sentence(tip, &pack).await.contains("`file` is missing"));
    // A difference to what is not there, and one to itself.
    for base in [[9; 20], id("blob", b"xx")] {
        let (tip, mut pack) = good();
        let difference = [2, 2, 2, b'x', b'x'];
        pack.raw(DIFFERENCE, difference.len(), &base, &zlib(&difference));
        assert!(sentence(tip, &pack).await.contains("difference to nothing"));
    }
    // Every byte that is not as it was sent is seen, and wherever it ends.
    let (tip, pack) = good();
    let bytes = pack.bytes();
    let remote = remote();
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 0x10;
        assert!(fetch_with(&remote, &serving(tip, bent).await, &LIMITS).await.is_err(), "byte {at}");
    }
    for end in (0..bytes.len()).step_by(7) {
        let cut = serving(tip, bytes[..end].to_vec()).await;
        assert!(fetch_with(&remote, &cut, &LIMITS).await.is_err(), "cut at {end}");
    }
    // With a checksum that fits, there are bits behind the end of zlib's that mean nothing.
    for at in 8..bytes.len() - 20 {
        let mut bent = bytes[..bytes.len() - 20].to_vec();
        bent[at] ^= 0x04;
        bent.extend(Sha1::digest(&bent).to_vec());
        if let Ok(fetched) = fetch_with(&remote, &serving(tip, bent).await, &LIMITS).await {
            assert_eq!(fetched.content.file("file").unwrap()[..], b"x"[..], "byte {at}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let endless = Server::start(|asked: Asked| async move {
        if asked.path.ends_with("/info/refs") {
            return advertised();
        }
        if is_listing(&asked) {
            return listing([1; 20]);
        }
        let piece = Bytes::from(packet(&[b"\x01".to_vec(), vec![0; 60_000]].concat()));
        let start =
            futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from(packet(b"packfile\n"))) });
        let rest = futures::stream::repeat_with(move || Ok(piece.clone()));
        result(Body::from_stream(start.chain(rest)))
    })
    .await;
    assert!(refused(fetch(&endless, &LIMITS).await).contains("larger than 8 MiB"));

    let chatty = Server::start(|asked: Asked| async move {
        if asked.path.ends_with("/info/refs") {
            return advertised();
        }
        let piece = Bytes::from(packet(&[&[b'1'; 40], &b" refs/heads/x\n"[..]].concat()).repeat(1000));
        result(Body::from_stream(futures::stream::repeat_with(move || {
            Ok::<_, std::io::Error>(piece.clone())
        })))
    })
    .await;
    assert!(refused(fetch(&chatty, &LIMITS).await).contains("larger than 4 MiB"));
}

#[tokio::test]
async fn a_slow_answer_takes_only_the_time_that_it_has() {
    let slow = Server::start(|_| async {
        let drip = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"0")), ()))
        });
        response(
            200,
            &[("content-type", "application/x-git-upload-pack-advertisement")],
            Body::from_stream(futures::stream::once(async { Ok(Bytes::from_static(b"0f00")) }).chain(drip)),
        )
    })
    .await;
    let address: GitAddress = slow.url("/x/y.git").parse().unwrap();
    let stopwatch = drydock::clock::Clock::system().stopwatch();
    let within = Duration::from_millis(700);
    let result = remote().repository(&address, &Revision::Default, None, false, &LIMITS, within).await;
    assert!(matches!(&result, Err(FetchError::Unreachable(why, _)) if why.contains("700 ms")), "{result:?}");
    assert!(stopwatch.elapsed() < Duration::from_secs(5));
}

/// Sends on to somewhere.
async fn sending(to: String, status: u16) -> Server {
    Server::start(move |asked: Asked| {
        let to = to.replace("{path}", &asked.path);
        async move { response(status, &[("location", &to)], "") }
    })
    .await
}

#[tokio::test]
async fn redirects_are_judged_like_addresses() {
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.169.254{path}",
        "http://[::ffff:169.254.169.254]{path}",
        "http://10.0.0.1{path}",
        "http://metadata.invalid{path}",
        "http://2852039166{path}",
        "https://192.168.0.1{path}",
    ] {
        let server = sending(to.to_owned(), 302).await;
        match fetch(&server, &LIMITS).await {
            Err(FetchError::Refused(sentence)) => {
                assert!(sentence.contains("fetch.allowed_hosts") && sentence.ends_with('.'), "{sentence}");
            }
            // A name cannot be looked up where there is no network.
            other => assert!(to.contains("invalid") && other.is_err(), "{to}: {other:?}"),
        }
    }
    for to in ["file:///etc/passwd", "ssh://git@example.org/x", "gopher://x/", "http://", "ext::sh", ""] {
        let server = sending(to.to_owned(), 301).await;
        let sentence = refused(fetch(&server, &LIMITS).await);
        assert!(sentence.contains("sends on"), "{to}: {sentence}");
    }
    let server = sending("{path}?again=1".to_owned(), 307).await;
    assert!(refused(fetch(&server, &LIMITS).await).contains("more than 5 times"));
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn a_secret_stays_with_its_host() {
    let project = Project::new();
    project.write("file", "x");
    project.commit("one");
    let real = project.serve(None).await;
    // Another port is another host.
    let other = sending(format!("{}?service=git-upload-pack", real.url("{path}")), 301).await;
    let address: GitAddress = other.url("/project.git").parse().unwrap();
    let secret = Credentials::new("ada", "hunter2");
    let fetched = remote()
        .repository(&address, &Revision::Default, Some(&secret), false, &LIMITS, WITHIN)
        .await
        .unwrap();
    assert_eq!(fetched.content.file("file").unwrap()[..], b"x"[..]);
    assert!(other.asked().iter().all(|asked| asked.header("authorization").starts_with("Basic ")));
    assert_eq!(real.asked().len(), 3);
    assert!(real.asked().iter().all(|asked| asked.header("authorization").is_empty()));
}
