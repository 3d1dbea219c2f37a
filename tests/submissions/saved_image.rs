//! Saved images: both layouts, what is missing or lies, and that size costs time and not memory.

use std::io::{self, Read};
use std::time::Duration;

use drydock::clock::Clock;
use drydock::submissions::saved_image::{self, Archive, Bounds, Entry, Look, Mark, Meter, Unreadable};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::pack::{gzip, member, tar};

/// Remembers what passes.
#[derive(Default)]
struct Seen(Vec<(String, u64, Option<Mark>)>);

impl Look for Seen {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Unreadable> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, entry.size);
        self.0.push((String::from_utf8_lossy(&entry.path).into_owned(), entry.size, entry.mark()));
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(bytes: &[u8]) -> Result<Archive<Seen>, Unreadable> {
    read_within(bytes, Bounds::default())
}

fn read_within(mut bytes: &[u8], bounds: Bounds) -> Result<Archive<Seen>, Unreadable> {
    saved_image::read(&mut bytes, &Meter::new(bounds, &Clock::system()), true, Seen::default)
}

/// The clause about an archive that cannot be read.
#[track_caller]
fn trouble(bytes: &[u8]) -> String {
    match read(bytes).and_then(|archive| archive.images().map(|_| ())) {
        Ok(()) => panic!("should not be readable"),
        Err(why) => why.to_string(),
    }
}

fn base() -> Vec<u8> {
    tar(&[member(b'5', b"./etc/", b""), member(b'0', b"etc/a", b"hello"), member(b'1', b"etc/b", b"")])
}

fn upper() -> Vec<u8> {
    tar(&[
        member(b'0', b"etc/.wh.a", b""),
        member(b'0', b"srv/.wh..wh..opq", b""),
        member(b'0', b"etc/c", &[7; 3000]),
    ])
}

fn config(layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    json!({
        "architecture": "arm64", "os": "linux", "variant": "v8",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by": "/bin/sh -c #(nop)  ENV A=b", "empty_layer": true},
            {"created_by": "/bin/sh -c rm /etc/a"},
        ],
    })
}

/// As engines before 25 write it: layers first, the manifest last.
fn docker(config: &Value, layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", hex(&config));
    let paths: Vec<String> = (0..layers.len()).map(|index| format!("l{index}/layer.tar")).collect();
    let mut members = vec![member(b'0', name.as_bytes(), &config)];
    for (path, layer) in paths.iter().zip(layers) {
        members.push(member(b'0', path.as_bytes(), layer));
    }
    let manifest = json!([{"Config": name, "RepoTags": ["app:1"], "Layers": paths}]).to_string();
    members.push(member(b'0', b"manifest.json", manifest.as_bytes()));
    tar(&members)
}

/// An OCI image layout with layers packed with gzip.
fn oci(layers: &[Vec<u8>], spoil: impl Fn(&mut Value)) -> Vec<u8> {
    oci_packed(layers, gzip, spoil)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An OCI image layout with layers packed by `pack`.
fn oci_packed(layers: &[Vec<u8>], pack: fn(&[u8]) -> Vec<u8>, spoil: impl Fn(&mut Value)) -> Vec<u8> {
    let mut members = Vec::new();
    let mut blob = |bytes: &[u8]| {
        let digest = hex(bytes);
        members.push(member(b'0', format!("blobs/sha256/{digest}").as_bytes(), bytes));
        json!({"digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let packed: Vec<Value> = layers.iter().map(|layer| blob(&pack(layer))).collect();
    let config = blob(config(layers).to_string().as_bytes());
    let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": packed});
    spoil(&mut manifest);
    let mut inner = blob(manifest.to_string().as_bytes());
    inner["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let absent = json!({"digest": format!("sha256:{}", "0".repeat(64)), "size": 2});
    let noted = json!({"digest": "sha256:1", "size": 2, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
    let mut index = blob(json!({"manifests": [absent, noted, inner]}).to_string().as_bytes());
    index["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:1"});
    let index = json!({"schemaVersion": 2, "manifests": [index]}).to_string();
    members.push(member(b'0', b"index.json", index.as_bytes()));
    members.push(member(b'0', b"oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#));
    tar(&members)
}

#[test]
fn both_layouts_are_read_to_the_same_image() {
    let layers = [base(), upper()];
    let plain = docker(&config(&layers), &layers);
    let familiar = "docker.io/library/app:1";
    for (bytes, tag) in [
        (gzip(&plain), "app:1"),
        (plain, "app:1"),
        (oci(&layers, |_| ()), familiar),
        (oci_packed(&layers, zstd, |_| ()), familiar),
    ] {
        let archive = read(&bytes).expect("whole");
        let images = archive.images().expect("an image");
        let [image] = &images[..] else { panic!("{} images", images.len()) };
        assert_eq!(image.tags, [tag]);
        assert_eq!(image.lies, Vec::<String>::new());
        assert_eq!(image.config.platform(), "linux/arm64/v8");
        assert_eq!(image.config.instructions(), ["ADD file:1 in /", "RUN rm /etc/a"]);
        let file = |path: &str, size| (path.to_owned(), size, None);
        assert_eq!(image.layers[0].look.0, [file("etc", 0), file("etc/a", 5), file("etc/b", 0)]);
        assert_eq!(
            image.layers[1].look.0,
            [
                ("etc/.wh.a".to_owned(), 0, Some(Mark::Removed(b"etc/a".to_vec()))),
                ("srv/.wh..wh..opq".to_owned(), 0, Some(Mark::Opaque(b"srv".to_vec()))),
                file("etc/c", 3000),
            ]
        );
    }
}

#[test]
fn a_link_stands_for_a_layer_that_is_there_already() {
    let layer = base();
    let configuration = config(&[layer.clone(), layer.clone()]).to_string();
    let name = hex(configuration.as_bytes());
    let manifest =
        json!([{"Config": name, "RepoTags": null, "Layers": ["a/layer.tar", "b/layer.tar"]}]).to_string();
    let link = super::pack::link(b'2', b"b/layer.tar", b"../a/layer.tar");
    let bytes = tar(&[
        link,
        member(b'0', b"a/layer.tar", &layer),
        member(b'0', name.as_bytes(), configuration.as_bytes()),
        member(b'0', b"manifest.json", manifest.as_bytes()),
    ]);
    let archive = read(&bytes).expect("whole");
    let images = archive.images().expect("an image");
    assert_eq!((images[0].layers.len(), images[0].tags.len(), images[0].lies.len()), (2, 0, 0));
}

#[test]
fn an_image_without_layers_is_one() {
    let archive = read(&docker(&config(&[]), &[])).expect("whole");
    let images = archive.images().expect("an image");
    assert_eq!((images[0].layers.len(), images[0].lies.len()), (0, 0));
}

#[test]
fn lies_are_told_by_the_digests() {
    let layers = [base(), upper()];
    let lies = |bytes: &[u8]| {
        let archive = read(bytes).expect("whole");
        archive.images().expect("an image").swap_remove(0).lies
    };
    assert_eq!(
        lies(&docker(&config(&[base(), base()]), &layers)),
        ["layer 2 has another digest than the configuration says"]
    );
    assert_eq!(
        lies(&docker(&config(&[base()]), &layers)),
        ["the configuration names 1 layers and the manifest 2"]
    );
    let grown = oci(&layers, |manifest| manifest["layers"][0]["size"] = json!(1));
    assert!(lies(&grown)[0].contains("bytes and not 1"), "{:?}", lies(&grown));
}

#[test]
fn what_is_missing_is_named() {
    let layers = [base(), upper()];
    assert_eq!(trouble(b"hello"), "it is no tar archive, which `docker save` writes");
    assert!(trouble(&tar(&[member(b'0', b"a", b"b")])).contains("neither `manifest.json` nor `index.json`"));
    let whole = docker(&config(&layers), &layers);
    assert_eq!(trouble(&whole[..4096]), "it is not whole: it ends too early");
    assert!(trouble(&gzip(&whole)[..400]).contains("it is not whole"));
    let manifest = |manifest: Value| tar(&[member(b'0', b"manifest.json", manifest.to_string().as_bytes())]);
    assert_eq!(trouble(&manifest(json!([]))), "there is no image in it");
    assert!(trouble(&manifest(json!({"a": 1}))).contains("`manifest.json` in it is not what it should be"));
    assert_eq!(trouble(&manifest(json!([{"Config": "c", "Layers": []}]))), "`c` is missing in it");
    let lost = oci(&layers, |manifest| manifest["layers"][1]["digest"] = json!("sha256:ab"));
    assert_eq!(trouble(&lost), "its layer `blobs/sha256/ab` is missing in it");
    let other =
        oci(&layers, |manifest| manifest["layers"][1]["digest"] = manifest["config"]["digest"].clone());
    assert!(trouble(&other).contains("is no tar archive"), "{}", trouble(&other));
    let long = tar(&[member(b'L', b"././@LongLink", &vec![b'x'; 2 << 20]), member(b'0', b"a", b"")]);
    assert!(trouble(&docker(&config(&[]), &[long])).contains("extended header"));
    let sparse = tar(&[member(b'S', b"a", b"")]);
    assert!(trouble(&docker(&config(&[]), &[sparse])).contains("sparse"));
    let zstd = docker(&config(&[]), &[b"\x28\xb5\x2f\xfd0123".to_vec()]);
    assert!(trouble(&zstd).contains("it is damaged"), "{}", trouble(&zstd));
}

#[test]
fn bounds_end_the_reading() {
    let layers = [base(), upper()];
    let whole = docker(&config(&layers), &layers);
    let refused = |bounds| match read_within(&whole, bounds) {
        Ok(_) => panic!("{bounds:?} should not be enough"),
        Err(why) => why.to_string(),
    };
    assert!(refused(Bounds { entries: 5, ..Bounds::default() }).contains("more than 5 files"));
    assert!(refused(Bounds { names_bytes: 20, ..Bounds::default() }).contains("long names"));
    assert!(
        refused(Bounds { unpacked_bytes: 4096, ..Bounds::default() }).contains("unpacks to more than 4 KiB")
    );
    assert!(refused(Bounds { within: Duration::ZERO, ..Bounds::default() }).contains("longer than"));
}

#[test]
fn a_large_layer_takes_no_memory() {
    const BYTES: u64 = 300 << 20;
    /// Counts what is in a layer without keeping it.
    struct Counted(u64);
    impl Look for Counted {
        fn entry(&mut self, _: &Entry, content: &mut dyn Read) -> Result<(), Unreadable> {
            self.0 += io::copy(content, &mut io::sink())?;
            Ok(())
        }
    }
    // The headers of a member in a member, then zeros as long as they last, then the manifest.
    let header = |name: &str, size: u64| {
        let mut header = tar_header(name, size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let configuration = r#"{"rootfs": {"diff_ids": ["sha256:unknown"]}}"#;
    let manifest = r#"[{"Config": "c", "Layers": ["l/layer.tar"]}]"#;
    let padded = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(text.len().next_multiple_of(512), 0);
        bytes
    };
    let before = [header("l/layer.tar", 512 + BYTES + 1024), header("zeros", BYTES)].concat();
    let after = [
        header("c", configuration.len() as u64),
        padded(configuration),
        header("manifest.json", manifest.len() as u64),
        padded(manifest),
    ]
    .concat();
    let mut source = before.as_slice().chain(io::repeat(0).take(BYTES + 1024)).chain(after.as_slice());
    let idle = peak_bytes();
    let meter = Meter::new(Bounds::default(), &Clock::system());
    let archive = saved_image::read(&mut source, &meter, false, || Counted(0)).expect("whole");
    let images = archive.images().expect("an image");
    assert_eq!(images[0].layers[0].look.0, BYTES);
    let grown = peak_bytes() - idle;
    assert!(grown < 8 << 20, "{grown} bytes more");
}

fn tar_header(name: &str, size: u64) -> ::tar::Header {
    let mut header = ::tar::Header::new_ustar();
    header.set_path(name).expect("a short name");
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(::tar::EntryType::Regular);
    header
}

/// The most memory that this process has had (proc(5)). Each test has a process of its own.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}
