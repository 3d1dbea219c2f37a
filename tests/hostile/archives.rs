//! Archives and requests that attack whoever unpacks or reads them, sent to the server.

use std::io::Write as _;
use std::time::Duration;

use super::arena::Arena;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An entry whose name and target are written as they are.
fn entry(kind: tar::EntryType, name: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o6777);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    gz(&bytes)
}

/// Many names for the same packed bytes in a zip, as David Fifield's "better zip bomb" (2019) does.
fn overlapping_zip() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&vec![0; 4 << 20]).unwrap();
    let bytes = archive.finish().unwrap().into_inner();
    let central = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let end = bytes.windows(4).position(|window| window == b"PK\x05\x06").unwrap();
    let (local, record) = (&bytes[..central], &bytes[central..end]);
    let records = record.repeat(1000);
    let mut bomb = [local, &records].concat();
    let mut tail = bytes[end..].to_vec();
    tail[8..10].copy_from_slice(&1000_u16.to_le_bytes());
    tail[10..12].copy_from_slice(&1000_u16.to_le_bytes());
    tail[12..16].copy_from_slice(&u32::try_from(records.len()).unwrap().to_le_bytes());
    bomb.extend(tail);
    bomb
}

fn zip_of(names: impl Iterator<Item = String>, content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// From: "zip slip", CVE-2007-4559 (tarfile), CVE-2021-32803 (node-tar's links), CVE-2018-1002105-like pax tricks, 42.zip.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_refused_with_a_sentence() {
    use tar::EntryType as Kind;
    let arena = Arena::open().await;
    let file = |name: &[u8]| entry(Kind::Regular, name, b"", b"evil");
    let pax = |record: &str| entry(Kind::XHeader, b"pax", b"", record.as_bytes());
    let huge_pax = entry(
        Kind::XHeader,
        b"pax",
        b"",
        format!("{} path={}\n", 8 << 20, "x".repeat((8 << 20) - 15)).as_bytes(),
    );
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("a way up", tar_of(&[file(b"../../../tmp/drydock-hostile")])),
        ("an absolute path", tar_of(&[file(b"/tmp/drydock-hostile")])),
        ("a hard link out", tar_of(&[entry(Kind::Link, b"shadow", b"/etc/shadow", b"")])),
        ("a link out", tar_of(&[entry(Kind::Symlink, b"way", b"/tmp", b""), file(b"way/drydock-hostile")])),
        (
            "a link out by steps",
            tar_of(&[
                entry(Kind::Symlink, b"a", b"..", b""),
                entry(Kind::Symlink, b"a/b", b"..", b""),
                file(b"a/b/x"),
            ]),
        ),
        ("a device", tar_of(&[entry(Kind::Block, b"disk", b"", b"")])),
        ("a pipe", tar_of(&[entry(Kind::Fifo, b"pipe", b"", b"")])),
        ("a hole", tar_of(&[entry(Kind::GNUSparse, b"hole", b"", b"")])),
        ("a path by pax", tar_of(&[pax("28 path=../../tmp/hostile-x\n"), file(b"good")])),
        ("a size by pax", tar_of(&[pax("24 size=99999999999999\n"), file(b"good")])),
        ("pax without end", tar_of(&[huge_pax, file(b"good")])),
        ("far more zeros than it may be", {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&file(b"zeros")[..512]).unwrap();
            let zeros = vec![0; 1 << 20];
            for _ in 0..128 {
                encoder.write_all(&zeros).unwrap();
            }
            encoder.finish().unwrap()
        }),
        ("gzip in gzip", gz(&gz(&gz(&vec![0; 64 << 20])))),
        ("too many files", zip_of((0..20_000).map(|number| format!("{number}")), b"")),
        ("files that overlap", overlapping_zip()),
        (
            "a folder deeper than any path",
            tar_of(&[pax(&format!("{} path={}\n", 5015, "d/".repeat(2502))), file(b"x")]),
        ),
        ("a zip with a way up", zip_of(["../../evil".to_owned()].into_iter(), b"x")),
        ("a zip with a drive", zip_of(["C:\\evil".to_owned(), "..\\..\\evil".to_owned()].into_iter(), b"x")),
        ("no archive", b"#!/bin/sh\nrm -rf /\n".to_vec()),
        ("half an archive", tar_of(&[file(b"x")])[..20].to_vec()),
    ];
    let mut wrong = Vec::new();
    for (what, bytes) in bombs {
        let key = what.replace(' ', "-");
        let send = || arena.installation.try_hand_in(&arena.server, "hello", bytes.clone(), &key);
        // A connection on which something was refused before all of it was sent is closed, perhaps a moment later.
        let sent = match send().await {
            Err(_) => send().await,
            answered => answered,
        };
        match sent {
            Ok((status, answer)) => {
                let detail = answer["detail"].as_str().unwrap_or_default();
                println!("{what}: {status} {detail}");
                let accepted = status.is_success();
                if accepted {
                    // What is kept has to be harmless then: its grading ends as everyone's does.
                    let grading = answer["grading"]["id"].as_str().unwrap().parse().unwrap();
                    let report = arena.installation.done(&arena.server, grading).await;
                    if report["verdict"] != "failed" {
                        wrong.push(format!("{what}: {report}"));
                    }
                } else if !status.is_client_error() || !detail.ends_with('.') {
                    wrong.push(format!("{what}: {status} {answer}"));
                }
            }
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!std::path::Path::new("/tmp/drydock-hostile").exists());
    arena.close().await;
}

/// From: Slowloris (2009), R.U.D.Y., CVE-2011-3192-like ranges, request smuggling, headers without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_strange_request_holds_nobody_up() {
    let arena = Arena::open().await;
    let address = arena.server.address.clone();
    let heads: [&str; 8] = [
        "POST /api/v1/people HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
        "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nname=",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-,1-,2-,3-\r\nX-Slow: ",
        "POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nffffffffffffffff\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03",
        "",
    ];
    let mut held = Vec::new();
    for head in heads.iter().cycle().take(240) {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    // A byte now and then on each; the watch of the arena asks for pages all the time.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for stream in &mut held {
            // The server may have hung up, rightly.
            let _ = stream.write_all(b"x").await;
        }
    }
    let mut large = tokio::net::TcpStream::connect(&address).await.unwrap();
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "X-Y: z\r\n".repeat(100_000));
    let _ = large.write_all(endless.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), large.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    drop(held);
    arena.close().await;
}
