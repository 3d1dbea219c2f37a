//! Attacks on the disk of the machine: in a build, in a container's own layer, in a volume.

use super::arena::{Arena, Attack};

const DEEP: &str = "n=$(printf 'd%.0s' $(seq 1 200)); cd $0; \
    while mkdir $n 2>/dev/null && cd $n; do :; done; \
    while :; do mkdir d && cd d || break; i=$((i+1)); [ $i -lt 300 ] || break; done";

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// 96 MiB of zeros in a tar in gzip: a hundred kilobytes.
fn gzip_bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(96 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..96 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// A file of 1 TB with nothing but a hole, in a tar of 3 KB (GNU's sparse format 1.0 in pax headers).
fn sparse_tar() -> Vec<u8> {
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 1;
        while format!("{length}{body}").len() != length {
            length += 1;
        }
        format!("{length}{body}")
    };
    let pax = [
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", "hole"),
        record("GNU.sparse.realsize", "1000000000000"),
    ]
    .concat();
    let map = format!("{:\0<512}", "1\n1000000000000\n0\n");
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in [
        (tar::EntryType::XHeader, "PaxHeaders/hole", pax.as_bytes()),
        (tar::EntryType::Regular, "hole", map.as_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// `ADD` unpacks what the engine finds to be an archive, with no limit of its own (docker/for-linux#916 is about
/// the same from the side of sizes); nested archives stay packed.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_does_not_fill_the_disk() {
    let arena = Arena::open().await;
    let add = |what, name: &str, content: Vec<u8>| {
        let text = format!("LABEL hostile=@ARENA@\nADD {name} /\nCMD [\"true\"]");
        Attack::dockerfile(what, "narrow", &text).file(name, content)
    };
    let one = |what, instructions: &str| {
        Attack::dockerfile(what, "narrow", &format!("LABEL hostile=@ARENA@\n{instructions}"))
    };
    let deep = DEEP.replace("$0", "/");
    let steps: String = (0..60).map(|n| format!("RUN dd if=/dev/zero of=/{n} bs=1M count=60\n")).collect();
    arena
        .run(vec![
            add("ADD of a gzip bomb", "bomb.tar.gz", gzip_bomb()).says("more than this exercise allows"),
            add("ADD of a hole of a terabyte", "hole.tar", sparse_tar()).says("sparse"),
            add("ADD of what cannot be measured", "x.tar.bz2", b"BZh91AY&SY".to_vec()).says("bzip2"),
            add("ADD of a harmless archive", "good.tar", tar(&[("good", b"x")])).passes(),
            // Unpacked within the image's own root.
            add("ADD of an archive with a way out", "evil.tar", evil_tar()).passes(),
            one("a file without end", "RUN dd if=/dev/zero of=/file bs=1M").says("64 MiB"),
            one(
                "files without end",
                "RUN i=0; while :; do dd if=/dev/zero of=/$((i=i+1)) bs=1M count=20; done",
            )
            .says("more files than this exercise allows"),
            // Each step is small enough, and all together are not.
            one("many steps", &steps).says("this exercise allows"),
            // A tree deeper than a path is long: the engine cannot measure it (docker/for-mac#2192).
            one(
                "a tree too deep to be measured",
                &format!("RUN {deep}; dd if=/dev/zero of=f bs=1M count=3000; sleep 60"),
            )
            .says("more files than this exercise allows"),
            // The engine would write the hole out.
            one("a file of a hole of ten terabytes", "RUN truncate -s 10240G /file").says("64 MiB"),
            one("files of holes", "RUN truncate -s 60M /1 /2 /3 /4 /5; sleep 10")
                .says("more files than this exercise allows"),
        ])
        .await;
    arena.close().await;
    assert!(!std::path::Path::new("/tmp/drydock-hostile-evil").exists(), "an archive got out");
}

/// Entries that lead out of where the engine unpacks: CVE-2014-9356 and its like.
fn evil_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    builder.append_link(&mut header, "way", "../../../../../../../../tmp").unwrap();
    let mut header = tar::Header::new_ustar();
    let name = b"way/../../../../../../../../tmp/drydock-hostile-evil";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(4);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, &b"evil"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_does_not_fill_the_disk() {
    let arena = Arena::open().await;
    let run = |what, script: &str| {
        let text = "LABEL hostile=@ARENA@\nCOPY attack /attack\nCMD [\"sh\", \"/attack\"]";
        Attack::dockerfile(what, "keeps", text).file("attack", script.replace("$0", "/data"))
    };
    let image = |what, script: &str| {
        let text = "LABEL hostile=@ARENA@\nVOLUME /own\nCOPY attack /attack\nCMD [\"sh\", \"/attack\"]";
        Attack::dockerfile(what, "keeps", text).file("attack", script)
    };
    let deep_layer = DEEP.replace("$0", "/");
    arena
        .run(vec![
            run("the own layer", "dd if=/dev/zero of=/file bs=1M; sleep 60").says("disk"),
            run("a volume", "dd if=/dev/zero of=$0/file bs=1M; sleep 60").says("disk"),
            image("a volume of the image", "dd if=/dev/zero of=/own/file bs=1M; sleep 60").says("disk"),
            run(
                "a deep tree in the own layer",
                &format!("{deep_layer}; dd if=/dev/zero of=f bs=1M count=200; sleep 60"),
            )
            .says("disk"),
            run(
                "a deep tree in a volume",
                &format!("{DEEP}; dd if=/dev/zero of=f bs=1M count=200; sleep 60"),
            )
            .says("disk"),
            // Not a byte in them, and an inode each.
            run(
                "empty files in a volume",
                "i=0; cd $0; while [ $i -lt 20000 ]; do : > $i; i=$((i+1)); done; sleep 60",
            )
            .says("disk"),
            run(
                "a file that nobody can see",
                "exec 3>$0/x; rm $0/x; dd if=/dev/zero bs=1M count=40 >&3; sleep 4; exit 1",
            ),
            run(
                "memory as a disk",
                "dd if=/dev/zero of=/dev/shm/x bs=1M count=500; mkdir -p /dev/shm/y; exit 1",
            ),
        ])
        .await;
    arena.close().await;
}
