//! An image for inspection: its configuration and the files in it, without running it.
//!
//! Files are read through the engine's archive API from a container that is made but never started,
//! one per image, when the first check asks. The archive's header tells owner and mode as they are in
//! the image; links are resolved here, inside the image.

use std::io::Read;
use std::sync::Arc;

use bollard::models::{ContainerCreateBody, HostConfig, ImageInspect};
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt;
use indexmap::IndexMap;
use tokio::sync::OnceCell;

use super::engine::{CALL, SLOW_CALL};
use super::error::{Error, status};
use super::labels;
use super::limits;
use super::owned::{Ledger, Sandbox};
use super::probe_image::EXECUTABLE;

mod export;

/// A built or given image.
#[derive(Clone)]
pub struct Image {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Arc<Ledger>,
    config: ImageConfig,
    /// The container through which files are read, once one was asked for.
    container: OnceCell<String>,
    /// For who wants the saved image at the same time as somebody else.
    save: export::Current,
}

/// What the image's configuration says, in OCI's terms.
#[derive(Clone, Debug, Default)]
pub struct ImageConfig {
    /// `sha256:…`
    pub id: String,
    /// In Go's words, such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
    /// In the order of the image.
    pub env: IndexMap<String, String>,
    /// Sorted; without the ones that this server puts on what it builds.
    pub labels: IndexMap<String, String>,
    /// `8080/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// Sorted.
    pub volumes: Vec<String>,
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// WORKDIR; `/` where the image says nothing.
    pub workdir: String,
    /// USER; empty where the image says nothing.
    pub user: String,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// The test of the health check (`["CMD", …]`), `None` where there is none or it is `NONE`.
    pub healthcheck: Option<Vec<String>>,
    /// Sum of the layers, unpacked.
    pub size_bytes: u64,
    /// Layers with files in them.
    pub layers: u32,
}

/// A path in an image or container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits including setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Of a regular file; 0 for others.
    pub size_bytes: u64,
    /// Where a symbolic link points to, as it is written.
    pub link_target: Option<String>,
}

/// Kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// `DiffID` of a layer without files: SHA-256 of 1,024 zero bytes, which is an empty tar.
const EMPTY_LAYER: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
/// As many links as Linux follows in one path.
const MOST_LINKS: usize = 40;
/// Room for an entry's headers (long names, extended attributes) before its content.
const HEADER_BYTES: usize = 1 << 20;

impl Sandbox {
    /// An image for inspection.
    ///
    /// # Errors
    /// [`Error::ImageMissing`] where it is neither on the engine nor can it be pulled.
    pub async fn image(&self, reference: &str) -> Result<Image, Error> {
        let engine = &self.engine;
        let inspect = || async {
            // What the engine calls the size is that of the packed content on some image stores.
            let asking = async {
                tokio::try_join!(
                    engine.docker.inspect_image(reference),
                    engine.docker.image_history(reference)
                )
            };
            engine.answer("inspect an image", CALL, asking).await
        };
        let found = match inspect().await? {
            Err(error) if status(&error) == Some(404) => {
                engine.pull(reference).await?;
                inspect().await?
            }
            found => found,
        };
        let (found, history) = found.map_err(|error| engine.error("inspect an image", &error))?;
        let size: i64 = history.iter().map(|step| step.size).sum();
        let config = config(found, u64::try_from(size).unwrap_or(0));
        let inner = Inner {
            ledger: Arc::clone(&self.ledger),
            config,
            container: OnceCell::new(),
            save: export::Current::default(),
        };
        Ok(Image { inner: Arc::new(inner) })
    }
}

impl Image {
    /// What its configuration says.
    #[must_use]
    pub fn config(&self) -> &ImageConfig {
        &self.inner.config
    }

    /// What is at `path`, not following a link in its last part; `None` where nothing is.
    ///
    /// # Errors
    /// When the engine cannot tell.
    pub async fn stat(&self, path: &str) -> Result<Option<FileStat>, Error> {
        Ok(self.entry(&normal(path), 0).await?.map(|(stat, _)| stat))
    }

    /// The content of a file, at most `cap_bytes` of it, links followed inside the image.
    /// `None` where there is no regular file.
    ///
    /// # Errors
    /// When the engine cannot tell.
    pub async fn read(&self, path: &str, cap_bytes: u64) -> Result<Option<Bytes>, Error> {
        let cap = usize::try_from(cap_bytes).unwrap_or(usize::MAX);
        let mut path = normal(path);
        for _ in 0..MOST_LINKS {
            let Some((stat, content)) = self.entry(&path, cap).await? else { return Ok(None) };
            match (stat.kind, stat.link_target) {
                (FileKind::File, _) => return Ok(Some(Bytes::from(content))),
                (FileKind::Symlink, Some(target)) => path = self.follow(&path, &target).await?,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Where a link at `path` leads. `..` in a target is meant from the folder that the link is really
    /// in, which is another than its path says if that goes through links itself.
    async fn follow(&self, path: &str, target: &str) -> Result<String, Error> {
        if target.starts_with('/') {
            return Ok(normal(target));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !target.split('/').any(|part| part == "..") {
            return Ok(normal(&format!("{folder}/{target}")));
        }
        Ok(normal(&format!("{}/{target}", self.real_folder(folder).await?)))
    }

    /// A folder's path without links in it.
    async fn real_folder(&self, folder: &str) -> Result<String, Error> {
        let mut left: Vec<String> = parts(folder).rev().map(str::to_owned).collect();
        let mut real = String::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                real.truncate(real.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{real}/{part}");
            let stat = self.entry(&next, 0).await?.map(|(stat, _)| stat);
            match stat.and_then(|stat| stat.link_target) {
                Some(target) if links < MOST_LINKS => {
                    links += 1;
                    if target.starts_with('/') {
                        real.clear();
                    }
                    left.extend(parts(&target).rev().map(str::to_owned));
                }
                _ => real = next,
            }
        }
        Ok(real)
    }

    /// The entry at a path, with at most `cap` bytes of its content.
    async fn entry(&self, path: &str, cap: usize) -> Result<Option<(FileStat, Vec<u8>)>, Error> {
        // The engine puts this one into every container.
        if path == "/.dockerenv" {
            return Ok(None);
        }
        let engine = &self.inner.ledger.engine;
        let container = self.container().await?;
        let action = "read a file of an image";
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let wanted = cap.saturating_add(HEADER_BYTES);
        let reading = async {
            let mut archive = engine.docker.download_from_container(container, Some(options));
            let mut bytes = Vec::new();
            while let Some(chunk) = archive.next().await {
                bytes.extend_from_slice(&chunk?);
                // The rest, such as what is in a directory, is of no interest.
                if bytes.len() >= wanted || (cap == 0 && first_entry(&bytes, 0).is_some()) {
                    break;
                }
            }
            Ok(bytes)
        };
        match engine.answer(action, SLOW_CALL, reading).await? {
            Ok(bytes) => first_entry(&bytes, cap).map(Some).ok_or_else(|| Error::Engine {
                action: action.into(),
                cause: format!("what it sent for {path} is not an archive"),
            }),
            Err(error) if status(&error) == Some(404) => Ok(None),
            // A file where the path needs a folder.
            Err(error) if error.to_string().contains("not a directory") => Ok(None),
            // A link that leads back to itself: there is nothing behind it.
            Err(error) if error.to_string().contains("too many links") => Ok(None),
            Err(error) => Err(engine.error(action, &error)),
        }
    }

    async fn container(&self) -> Result<&str, Error> {
        let make = || async {
            let ledger = &self.inner.ledger;
            let body = ContainerCreateBody {
                image: Some(self.inner.config.id.clone()),
                // Never started; an image may have no command at all.
                entrypoint: Some(vec![EXECUTABLE.to_owned()]),
                user: Some("65532:65532".into()),
                network_disabled: Some(true),
                host_config: Some(HostConfig { network_mode: Some("none".into()), ..limits::ours() }),
                ..ContainerCreateBody::default()
            };
            let made = ledger.create_container("files", body).await?;
            made.map_err(|error| ledger.engine.error("create a container for an image's files", &error))
        };
        self.inner.container.get_or_try_init(make).await.map(String::as_str)
    }
}

/// The first entry of a tar of which perhaps only the beginning is there.
fn first_entry(bytes: &[u8], cap: usize) -> Option<(FileStat, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entry = archive.entries().ok()?.next()?.ok()?;
    let header = entry.header();
    let kind = match header.entry_type() {
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        kind if kind.is_file() || kind.is_hard_link() || kind.is_contiguous() => FileKind::File,
        _ => FileKind::Other,
    };
    let link_target = (kind == FileKind::Symlink)
        .then(|| entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned()))
        .flatten();
    let stat = FileStat {
        kind,
        mode: header.mode().ok()? & 0o7777,
        uid: header.uid().ok()?,
        gid: header.gid().ok()?,
        size_bytes: if kind == FileKind::File { entry.size() } else { 0 },
        link_target,
    };
    let mut content = Vec::new();
    // An error means that the archive was cut after what we have.
    let _ = entry.take(cap as u64).read_to_end(&mut content);
    Some((stat, content))
}

/// Parts of a path that mean something.
fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// An absolute path with `.`, `..` and doubled slashes taken out.
fn normal(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in parts(path) {
        if part == ".." {
            kept.pop();
        } else {
            kept.push(part);
        }
    }
    format!("/{}", kept.join("/"))
}

fn config(image: ImageInspect, size_bytes: u64) -> ImageConfig {
    let config = image.config.unwrap_or_default();
    let env = config.env.unwrap_or_default();
    let mut labels: Vec<(String, String)> =
        config.labels.unwrap_or_default().into_iter().filter(|(name, _)| !labels::is_ours(name)).collect();
    labels.sort_unstable();
    let sorted = |names: Option<Vec<String>>| {
        let mut names = names.unwrap_or_default();
        names.sort_unstable();
        names
    };
    let given = |words: Option<Vec<String>>| words.filter(|words| !words.is_empty());
    let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
    let layers = layers.iter().filter(|layer| *layer != EMPTY_LAYER).count();
    ImageConfig {
        id: image.id.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        os: image.os.unwrap_or_default(),
        env: env
            .into_iter()
            .map(|variable| match variable.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (variable, String::new()),
            })
            .collect(),
        labels: labels.into_iter().collect(),
        exposed_ports: sorted(config.exposed_ports),
        volumes: sorted(config.volumes),
        entrypoint: given(config.entrypoint),
        cmd: given(config.cmd),
        workdir: config.working_dir.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned()),
        user: config.user.unwrap_or_default(),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        healthcheck: config
            .healthcheck
            .and_then(|check| check.test)
            .filter(|test| test.first().is_some_and(|word| word != "NONE")),
        size_bytes,
        layers: u32::try_from(layers).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(normal("a//b/./c/../d/"), "/a/b/d");
        assert_eq!(normal("/../../etc/passwd"), "/etc/passwd");
        assert_eq!(normal(""), "/");
    }

    #[test]
    fn the_beginning_of_an_archive_is_enough() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5000);
        header.set_mode(0o104_755);
        header.set_uid(1000);
        header.set_gid(50);
        builder.append_data(&mut header, "file", [7; 5000].as_slice()).unwrap();
        let archive = builder.into_inner().unwrap();
        let (stat, content) = first_entry(&archive[..1500], 3000).unwrap();
        assert_eq!((stat.kind, stat.mode, stat.uid, stat.gid), (FileKind::File, 0o4755, 1000, 50));
        assert_eq!(stat.size_bytes, 5000);
        assert_eq!(content.len(), 988);
        assert!(first_entry(&archive[..100], 0).is_none());
    }
}
