//! The probe's image, made from our own executable without any registry.
//!
//! `FROM scratch`: the `drydock` executable, the shared objects that it has loaded, at the same
//! paths, and the loader at the path its ELF header asks for. Nothing else: no shell, no user
//! data base, no configuration. Which objects those are, the executable itself tells
//! (`drydock probe --objects`), so a static (musl) executable works the same way with an empty list.
//! The tag is the hash of the content, so a new executable makes a new image and an image that is
//! there is the right one. Hashing takes its time, so the image also carries a label with the files'
//! inodes, sizes and times: as long as those are the same, the content need not be read again.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bollard::Docker;
use bollard::models::ImageSummary;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use chrono::TimeDelta;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use super::engine::{CALL, EngineInner, SLOW_CALL, blocking};
use super::error::{Error, status};
use super::labels;
use super::protocol::Objects;

/// Repository of the image's tags.
const REPOSITORY: &str = "drydock-probe";
/// The images' role among what is labelled.
const ROLE: &str = "probe";
/// Where the executable stands in the image.
pub(super) const EXECUTABLE: &str = "/drydock";
/// Part of what is hashed: to be changed with the way the image is laid out.
const LAYOUT: &str = "2";

/// The label with the identity of the files an image was made of.
const SOURCE: &str = "drydock.probe.source";
/// An older image goes once it has not been tagged for so long; whoever still
/// wants it makes it again.
const ABANDONED: TimeDelta = TimeDelta::hours(1);

/// What goes into the image.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// File on this machine, path in the image.
    files: Vec<(PathBuf, String)>,
    /// Hash of the files' inodes, sizes and times.
    source: String,
    /// First twelve hex digits of the SHA-256 over paths and contents.
    hash: String,
}

impl Recipe {
    /// Finds out what the executable consists of.
    pub(super) async fn of(docker: &Docker, endpoint: &str, executable: &Path) -> Result<Self, Error> {
        let objects = ask_for_objects(executable).await?;
        let mut files = vec![(executable.to_owned(), EXECUTABLE.to_owned())];
        if let Some(loader) = objects.interpreter {
            files.push((PathBuf::from(&loader), loader));
        }
        for object in objects.objects {
            files.push((PathBuf::from(&object), object));
        }
        let source = source(&files).map_err(|error| unreadable(&error))?;
        if let Some(hash) = hash_of_source(docker, endpoint, &source).await? {
            return Ok(Self { files, source, hash });
        }
        blocking(move || {
            let hash = hash(&files)?;
            Ok(Self { files, source, hash })
        })
        .await
    }

    /// The image's tag.
    pub(super) fn tag(&self) -> String {
        format!("{REPOSITORY}:{}", self.hash)
    }

    /// Imports the image if the engine does not have it, and removes older ones that nobody uses.
    pub(super) async fn ensure(&self, engine: &EngineInner) -> Result<(), Error> {
        let looked = engine
            .answer("inspect the probe's image", CALL, engine.docker.inspect_image(&self.tag()))
            .await?;
        match looked {
            Ok(_) => {}
            Err(error) if status(&error) == Some(404) => self.import(engine).await?,
            Err(error) => return Err(engine.error("inspect the probe's image", &error)),
        }
        remove_older(engine, &self.tag()).await
    }

    async fn import(&self, engine: &EngineInner) -> Result<(), Error> {
        let action = "load the probe's image";
        let recipe = self.clone();
        let archive = blocking(move || recipe.archive()).await?;
        let loading = async {
            let mut answers = engine.docker.import_image(
                ImportImageOptionsBuilder::default().quiet(true).build(),
                bollard::body_full(archive),
                None,
            );
            while let Some(answer) = answers.next().await {
                answer?;
            }
            engine.docker.inspect_image(&self.tag()).await
        };
        engine.call_within(action, SLOW_CALL, loading).await.map(drop)
    }

    /// The image as `docker save` would write it. All installations on an engine share it: nothing in
    /// it tells who made it, so that two that make it at once make the same one, and neither takes the
    /// name from the other's.
    fn archive(&self) -> Result<Bytes, Error> {
        let layer = self.layer().map_err(|error| unreadable(&error))?;
        let config = serde_json::json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": [EXECUTABLE, "probe"],
                "User": "65532:65532",
                "WorkingDir": "/",
                "Labels": { (labels::ROLE): ROLE, (SOURCE): self.source },
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&Sha256::digest(&layer)))] },
        })
        .to_string();
        let config_name = format!("{}.json", hex(&Sha256::digest(config.as_bytes())));
        let manifest = serde_json::json!([
            { "Config": config_name, "RepoTags": [self.tag()], "Layers": ["layer.tar"] }
        ])
        .to_string();
        let mut archive = tar::Builder::new(Vec::with_capacity(layer.len() + 16 * 1024));
        let mut add = |name: &str, data: &[u8]| {
            let mut header = plain_header(data.len() as u64, 0o644);
            archive.append_data(&mut header, name, data)
        };
        add("layer.tar", &layer)
            .and_then(|()| add(&config_name, config.as_bytes()))
            .and_then(|()| add("manifest.json", manifest.as_bytes()))
            .and_then(|()| archive.into_inner())
            .map(Bytes::from)
            .map_err(|error| unreadable(&error))
    }

    fn layer(&self) -> std::io::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for (file, path) in &self.files {
            let content = std::fs::read(file)?;
            let mut header = plain_header(content.len() as u64, 0o755);
            layer.append_data(&mut header, path.trim_start_matches('/'), content.as_slice())?;
        }
        layer.into_inner()
    }
}

/// Identity of the files without reading them.
fn source(files: &[(PathBuf, String)]) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(LAYOUT);
    for (file, path) in files {
        let found = std::fs::metadata(file)?;
        let (device, inode, size) = (found.dev(), found.ino(), found.size());
        let (seconds, nanoseconds) = (found.mtime(), found.mtime_nsec());
        hasher.update(format!("\0{path}\0{device}:{inode}:{size}:{seconds}.{nanoseconds}"));
    }
    Ok(hex(&hasher.finalize()))
}

/// The hash in the tag of the image that was made of these very files, if the engine has one.
async fn hash_of_source(docker: &Docker, endpoint: &str, source: &str) -> Result<Option<String>, Error> {
    let action = "list the probe's images";
    let filters = HashMap::from([("label".to_owned(), vec![format!("{SOURCE}={source}")])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = tokio::time::timeout(CALL, docker.list_images(Some(options)))
        .await
        .map_err(|_| Error::TimedOut { action: action.into(), seconds: CALL.as_secs() })?
        .map_err(|error| Error::from_engine(endpoint, action, &error))?;
    let mut tags = images.iter().flat_map(|image| &image.repo_tags);
    Ok(tags.find_map(|tag| tag.strip_prefix(REPOSITORY)?.strip_prefix(':')).map(str::to_owned))
}

/// Asks the executable itself, as it runs here.
async fn ask_for_objects(executable: &Path) -> Result<Objects, Error> {
    let unusable = |cause: String| {
        Error::Unfit(format!("the probe cannot be made from {} ({cause})", executable.display()))
    };
    let asking = tokio::process::Command::new(executable)
        .args(["probe", "--objects"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(CALL, asking)
        .await
        .map_err(|_| unusable("it did not answer".into()))?
        .map_err(|error| unusable(error.to_string()))?;
    if !output.status.success() {
        return Err(unusable(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| unusable(error.to_string()))
}

fn hash(files: &[(PathBuf, String)]) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    hasher.update(LAYOUT);
    for (file, path) in files {
        let mut content = std::fs::File::open(file).map_err(|error| unreadable(&error))?;
        let length = content.metadata().map_err(|error| unreadable(&error))?.len();
        hasher.update(format!("\0{path}\0{length}\0"));
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = std::io::Read::read(&mut content, &mut buffer).map_err(|error| unreadable(&error))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok(hex(&hasher.finalize())[..12].to_owned())
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::Unfit(format!("the files of the probe cannot be read ({error})"))
}

fn plain_header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The machine's architecture in Go's words, which are those of OCI.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Removes probe images of other executables: this installation's at once, others' when they seem
/// abandoned. One that is in use stays (the engine refuses), and one that is removed although another
/// process wants it is made again there.
async fn remove_older(engine: &EngineInner, current: &str) -> Result<(), Error> {
    let filters = HashMap::from([
        ("label".to_owned(), vec![format!("{}={ROLE}", labels::ROLE)]),
        ("reference".to_owned(), vec![REPOSITORY.to_owned()]),
    ]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images: Vec<ImageSummary> =
        engine.call("list the probe's images", engine.docker.list_images(Some(options))).await?;
    for image in images {
        // Podman puts a host before names that have none.
        let is_current = |tag: &str| tag.rsplit('/').next() == Some(current);
        for tag in image.repo_tags.iter().filter(|tag| !is_current(tag)) {
            if !is_abandoned(engine, tag).await? {
                continue;
            }
            let options = RemoveImageOptionsBuilder::default().build();
            let removal = engine.docker.remove_image(tag, Some(options), None);
            if let Err(error) = engine.answer("remove an old image of the probe", SLOW_CALL, removal).await? {
                tracing::debug!(tag, error = %error, "probe_image.kept");
            }
        }
    }
    Ok(())
}

async fn is_abandoned(engine: &EngineInner, tag: &str) -> Result<bool, Error> {
    let inspection = engine.docker.inspect_image(tag);
    let found = engine.answer("inspect a probe's image", CALL, inspection).await?;
    let tagged = found.ok().and_then(|image| image.metadata?.last_tag_time);
    Ok(tagged.is_some_and(|tagged| engine.context.clock.now() - tagged > ABANDONED))
}
