//! Images from a real registry, and out of saved archives.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::body::Bytes;
use drydock::submissions::reference::Reference;
use drydock::submissions::remote::{
    Credentials, FetchError, ImageBounds, Platform, PulledImage, Reach, Remote,
};
use drydock::submissions::{Content, ContentLimits};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::{DOCKER, Made, OCI, Packing, Registry, digest, layer, packed};
use super::repositories::{WITHIN, refused};
use super::server::remote;

pub const BOUNDS: ImageBounds = ImageBounds { packed_bytes: 8 << 20, disk_bytes: 16 << 20, layers: 127 };

pub fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

pub struct Pull {
    pub folder: TempDir,
    pub remote: Remote,
    pub credentials: Option<Credentials>,
    pub bounds: ImageBounds,
    pub platform: Platform,
}

impl Pull {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            remote: remote(),
            credentials: None,
            bounds: BOUNDS,
            platform: amd64(),
        }
    }

    pub async fn from(&self, reference: &str) -> Result<PulledImage, FetchError> {
        let reference: Reference = reference.parse().unwrap();
        let Self { folder, remote, credentials, bounds, platform } = self;
        let held = || std::fs::read_dir(folder.path()).unwrap().count();
        let before = held();
        let pulled =
            remote.image(&reference, platform, credentials.as_ref(), folder.path(), bounds, WITHIN).await;
        if pulled.is_err() {
            assert_eq!(held(), before, "nothing is left behind");
        }
        pulled
    }
}

async fn archived(image: &PulledImage, name: &str) -> Vec<u8> {
    let archive = image.docker_archive(name);
    let bytes = archive.bytes();
    let pieces: Vec<Bytes> = archive.try_collect().await.unwrap();
    let whole = pieces.concat();
    assert_eq!(whole.len() as u64, bytes);
    whole
}

fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut members = BTreeMap::new();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        members.insert(entry.path().unwrap().display().to_string(), content);
    }
    members
}

fn three_layers() -> Vec<(Vec<u8>, Packing)> {
    vec![
        (layer("one", b"1"), Packing::Gzip),
        (layer("two", &vec![2; 200_000]), Packing::Zstd),
        (layer("three", b"3"), Packing::Plain),
        // The first one again, as images have it.
        (layer("one", b"1"), Packing::Gzip),
    ]
}

#[tokio::test]
async fn an_image_is_pulled_whole() {
    let registry = Registry::start(false).await;
    let made = Made::new(OCI, ("linux", "amd64"), &three_layers());
    let descriptor = registry.image("team/app", "v1", &made).await;
    let pull = Pull::new();
    let reference = format!("{}/team/app:v1", registry.host);
    let image = pull.from(&reference).await.unwrap();
    assert_eq!(image.reference.as_deref(), Some(reference.as_str()));
    assert_eq!(image.digest, descriptor["digest"]);
    assert_eq!(image.platform, amd64());
    assert_eq!(image.config[..], made.config);
    assert_eq!(image.id(), digest(&made.config));
    let diff_ids: Vec<&String> = image.layers.iter().map(|layer| &layer.diff_id).collect();
    assert_eq!(diff_ids, made.diff_ids.iter().collect::<Vec<_>>());

    let members = members(&archived(&image, "drydock.test/app:mine").await);
    let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["drydock.test/app:mine"]));
    assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 4);
    assert_eq!(members.len(), 2 + 3);

    // By its digest, which stays when the tag moves on.
    let other = Made::new(OCI, ("linux", "amd64"), &[(layer("x", b"y"), Packing::Gzip)]);
    registry.image("team/app", "v1", &other).await;
    let pinned = format!("{}/team/app@{}", registry.host, image.digest);
    assert_eq!(pull.from(&pinned).await.unwrap().id(), image.id());
    assert_ne!(pull.from(&reference).await.unwrap().id(), image.id());

    assert!(refused(pull.from(&format!("{}/team/app:v2", registry.host)).await).contains("has no image"));
    let path = pull.folder.path().to_owned();
    drop(image);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
}

#[tokio::test]
async fn the_image_of_the_platform_is_taken() {
    let registry = Registry::start(false).await;
    let mut entries = Vec::new();
    for (architecture, kinds) in [("amd64", DOCKER), ("arm64", OCI)] {
        let made = Made::new(kinds, ("linux", architecture), &[(layer(architecture, b"x"), Packing::Gzip)]);
        let mut entry = registry.image("app", architecture, &made).await;
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push((entry, made));
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries.iter().map(|(entry, _)| entry).collect::<Vec<_>>(),
    });
    let descriptor = registry.manifest("app", "latest", &index).await;
    let mut pull = Pull::new();
    let reference = format!("{}/app", registry.host);
    for (platform, (_, made)) in ["linux/amd64", "linux/arm64/v8"].iter().zip(&entries) {
        pull.platform = platform.parse().unwrap();
        let image = pull.from(&reference).await.unwrap();
        assert_eq!(image.id(), digest(&made.config));
        assert_eq!(image.digest, descriptor["digest"]);
    }
    pull.platform = "linux/s390x".parse().unwrap();
    let sentence = refused(pull.from(&reference).await);
    assert!(sentence.contains("for `linux/amd64`, `linux/arm64`;"), "{sentence}");
    let sentence = refused(pull.from(&format!("{reference}:arm64")).await);
    assert!(sentence.contains("for `linux/arm64`;"), "{sentence}");
}

#[tokio::test]
async fn a_private_registry_wants_credentials() {
    let registry = Registry::start(true).await;
    let made = Made::new(DOCKER, ("linux", "amd64"), &[(layer("x", b"y"), Packing::Gzip)]);
    registry.image("app", "latest", &made).await;
    let reference = format!("{}/app", registry.host);
    let mut pull = Pull::new();
    assert!(refused(pull.from(&reference).await).contains("does not give out this image to everybody"));
    pull.credentials = Some(Credentials::new("ada", "wrong"));
    assert!(refused(pull.from(&reference).await).contains("does not open this image"));
    pull.credentials = Some(Credentials::new("ada", "hunter2"));
    assert_eq!(pull.from(&reference).await.unwrap().id(), digest(&made.config));
    // Not this machine's, and not listed with `http://`: only TLS would do.
    pull.remote = Remote::new(Reach::default()).unwrap();
    assert!(refused(pull.from(&reference).await).contains("fetch.allowed_hosts"));
}

/// Loads an archive into the real engine; what it says the image is. The image is removed again.
fn loaded(archive: &[u8], name: &str) -> Value {
    let docker = |words: &[&str], input: &[u8]| {
        let mut child = Command::new("docker")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    docker(&["load"], archive);
    let seen: Value = serde_json::from_slice(&docker(&["image", "inspect", name], b"")).unwrap();
    docker(&["image", "rm", name], b"");
    seen[0].clone()
}

#[tokio::test]
async fn the_engine_loads_what_was_pulled_and_what_was_saved() {
    let registry = Registry::start(false).await;
    // No other test may make the same image, which would be removed from under it.
    let mut layers = three_layers();
    layers.push((layer("own", registry.host.as_bytes()), Packing::Zstd));
    let made = Made::new(OCI, ("linux", "amd64"), &layers);
    registry.image("app", "v1", &made).await;
    let pull = Pull::new();
    let image = pull.from(&format!("{}/app:v1", registry.host)).await.unwrap();
    let name = format!("drydock.test/remote:{}", registry.host.rsplit(':').next().unwrap());
    let archive = archived(&image, &name).await;
    let seen = loaded(&archive, &name);
    assert_eq!(seen["Id"], image.id());
    assert_eq!(seen["RepoTags"], json!([name]));
    assert_eq!(seen["RootFS"]["Layers"], json!(made.diff_ids));

    // The same archive, handed in by a student, comes out the same under another name.
    let limits = ContentLimits { archive_bytes: 1 << 30, unpacked_bytes: 1 << 30, entries: 1000 };
    let unpacked = Content::from_archive(&archive, &limits).unwrap();
    let file = Content::from_files(vec![("image.tar".into(), archive.into())], &limits).unwrap();
    for content in [unpacked, file] {
        let saved = PulledImage::from_saved(&content, Some(&name), pull.folder.path(), &BOUNDS).unwrap();
        assert_eq!((saved.id(), &saved.layers), (image.id(), &image.layers));
        assert_eq!(saved.digest, image.id());
        let other = format!("{name}-again");
        assert_eq!(loaded(&archived(&saved, &other).await, &other)["RepoTags"], json!([other]));
    }
}

/// An archive as `docker save` writes it, with this manifest, configuration and layers.
fn saved(manifest: &Value, members: &[(&str, &[u8])]) -> Content {
    let mut tar = tar::Builder::new(Vec::new());
    let manifest = serde_json::to_vec(manifest).unwrap();
    for (path, content) in members.iter().copied().chain([("manifest.json", manifest.as_slice())]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).unwrap();
    }
    let limits = ContentLimits { archive_bytes: 1 << 30, unpacked_bytes: 1 << 30, entries: 1000 };
    Content::from_files(vec![("saved.tar".into(), tar.into_inner().unwrap().into())], &limits).unwrap()
}

#[test]
fn a_saved_image_is_taken_for_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let take = |content: &Content, wanted: Option<&str>, bounds: &ImageBounds| {
        let taken = PulledImage::from_saved(content, wanted, folder.path(), bounds);
        if taken.is_err() {
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        taken
    };
    let one = layer("x", b"one");
    let two = layer("x", &vec![2; 300_000]);
    let made =
        Made::new(DOCKER, ("linux", "amd64"), &[(one.clone(), Packing::Plain), (two.clone(), Packing::Gzip)]);
    let packed_two = packed(&two, Packing::Gzip);
    let parts = [("c.json", made.config.as_slice()), ("1/layer.tar", &one), ("2/layer.tar", &packed_two)];
    let manifest =
        json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    let good = saved(&manifest, &parts);
    let image = take(&good, None, &BOUNDS).unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.layers[1].bytes, packed_two.len() as u64);
    assert_eq!(image.layers[1].unpacked_bytes, two.len() as u64);
    drop(image);
    assert!(take(&good, Some("docker.io/library/app:1"), &BOUNDS).is_ok());
    assert!(
        refused(take(&good, Some("app:2"), &BOUNDS))
            .contains("no image `app:2` in the saved archive, but `app:1`")
    );
    let tight = ImageBounds { disk_bytes: 100_000, ..BOUNDS };
    assert!(refused(take(&good, None, &tight)).contains("unpacks to more than"));
    let tight = ImageBounds { packed_bytes: 1_000, ..BOUNDS };
    assert!(refused(take(&good, None, &tight)).contains("larger than"));
    let tight = ImageBounds { layers: 1, ..BOUNDS };
    assert!(refused(take(&good, None, &tight)).contains("2 layers"));

    // Layers in another order, one of them twice, one too few, a path that leads out.
    for layers in [
        json!(["2/layer.tar", "1/layer.tar"]),
        json!(["1/layer.tar", "1/layer.tar"]),
        json!(["1/layer.tar"]),
        json!(["1/layer.tar", "../../../etc/passwd"]),
        json!(["1/layer.tar", "c.json"]),
    ] {
        let manifest = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": layers}]);
        refused(take(&saved(&manifest, &parts), None, &BOUNDS));
    }
    let several = json!([manifest[0], {"Config": "c.json", "RepoTags": ["b:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    assert!(refused(take(&saved(&several, &parts), None, &BOUNDS)).contains("several images"));
    assert!(take(&saved(&several, &parts), Some("b:1"), &BOUNDS).is_ok());
    assert!(refused(take(&Content::empty(), None, &BOUNDS)).contains("no saved image"));
}
