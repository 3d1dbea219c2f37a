//! Files put into a service's container and read from it, for images without a shell.

use std::collections::BTreeSet;

use bollard::models::{Mount, MountType};
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures::StreamExt as _;

use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, engine_words, status};
use super::refusal::StartError;
use super::service::Service;
use super::spec::{FileSpec, ServiceSpec};

/// What is mounted so that `files` can be put into a container whose file system cannot be written: at each
/// of their folders a volume of its own, which begins with what the image has there.
pub(super) fn room_for(spec: &ServiceSpec) -> Vec<Mount> {
    if !spec.read_only {
        return Vec::new();
    }
    let folders: BTreeSet<&str> = spec.files.iter().map(|file| folder_of(&file.path)).collect();
    let is_mounted =
        |folder: &&str| spec.mounts.iter().any(|mount| mount.target.trim_end_matches('/') == *folder);
    folders
        .into_iter()
        .filter(|folder| !folder.is_empty() && !is_mounted(folder))
        .map(|folder| Mount {
            typ: Some(MountType::VOLUME),
            target: Some(folder.to_owned()),
            ..Mount::default()
        })
        .collect()
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Puts the files of a service into its container, which has not been started yet; folders on their way are
/// made.
pub(super) async fn put(
    engine: &EngineInner,
    container: &str,
    service: &str,
    spec: &ServiceSpec,
) -> Result<(), StartError> {
    // The engine writes nothing to a file system that cannot be written but into volumes.
    let place =
        |file: &FileSpec| if spec.read_only { folder_of(&file.path).to_owned() } else { "/".to_owned() };
    let places: BTreeSet<String> = spec.files.iter().map(place).collect();
    for folder in places {
        let files = spec.files.iter().filter(|file| place(file) == folder);
        let action = "put files into a container";
        let archive = packed(&folder, files)
            .map_err(|error| Error::Engine { action: action.into(), cause: error.to_string() })?;
        let path = if folder.is_empty() { "/" } else { &folder };
        // The owners are the archive's. With `copyUIDGID` the engine would give all to the container's user,
        // whose name or `uid:gid` it looks up on its own machine, and refuse where there is none.
        let options = UploadToContainerOptionsBuilder::default().path(path).build();
        let upload = engine.docker.upload_to_container(container, Some(options), bollard::body_full(archive));
        match engine.answer(action, SLOW_CALL, upload).await? {
            Ok(()) => {}
            // A file where a folder is, or the other way round; or one at the top that cannot be written.
            Err(error) if matches!(status(&error), Some(400 | 403)) || is_read_only(&error) => {
                let sentence = format!(
                    "A file cannot be put where the service `{service}` should have it: {}.",
                    engine_words(&error)
                );
                return Err(StartError::Refused { service: service.to_owned(), sentence });
            }
            Err(error) => return Err(engine.error(action, &error).into()),
        }
    }
    Ok(())
}

/// Files as the engine takes them, relative to a folder.
fn packed<'a>(folder: &str, files: impl Iterator<Item = &'a FileSpec>) -> std::io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(file.mode & 0o7777);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        let path = file.path.strip_prefix(folder).unwrap_or(&file.path).trim_start_matches('/');
        archive.append_data(&mut header, path, &*file.bytes)?;
    }
    archive.into_inner().map(Bytes::from)
}

impl Service {
    /// Puts a file of root's into a folder of the container, as `docker cp` does. File systems in
    /// memory are not reached that way.
    ///
    /// # Errors
    /// A trouble of ours; that there is no such folder, or that it cannot be written, is in the inner
    /// result.
    pub async fn put_file(
        &self,
        folder: &str,
        name: &str,
        content: &[u8],
    ) -> Result<Result<(), String>, Error> {
        let engine = &self.ledger.engine;
        let action = "put a file into a container";
        let unpacked =
            |error: std::io::Error| Error::Engine { action: action.into(), cause: error.to_string() };
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, name, content).map_err(unpacked)?;
        let body = bollard::body_full(Bytes::from(archive.into_inner().map_err(unpacked)?));
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let container = self.container();
        let upload = engine.docker.upload_to_container(&container.id, Some(options), body);
        match engine.answer(action, CALL, upload).await? {
            Ok(()) => Ok(Ok(())),
            Err(error) if status(&error) == Some(404) => Ok(Err("there is no such folder".into())),
            Err(error) if matches!(status(&error), Some(400 | 403)) || is_read_only(&error) => {
                Ok(Err(engine_words(&error)))
            }
            Err(error) => Err(engine.error(action, &error)),
        }
    }

    /// A regular file of the container, at most `cap` bytes of it; `None` where there is none.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn get_file(&self, path: &str, cap: usize) -> Result<Option<Vec<u8>>, Error> {
        let engine = &self.ledger.engine;
        let action = "read a file of a container";
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let container = self.container();
        let reading = async {
            let mut archive = engine.docker.download_from_container(&container.id, Some(options));
            let mut bytes = Vec::new();
            while let Some(chunk) = archive.next().await {
                bytes.extend_from_slice(&chunk?);
                // A header or two of 512 bytes stand before the content.
                if bytes.len() > cap + 4096 {
                    break;
                }
            }
            Ok(bytes)
        };
        let bytes = match engine.answer(action, CALL, reading).await? {
            Ok(bytes) => bytes,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(engine.error(action, &error)),
        };
        let mut archive = tar::Archive::new(bytes.as_slice());
        let Some(Ok(entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else {
            return Ok(None);
        };
        if !entry.header().entry_type().is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::Read::take(entry, cap as u64), &mut content);
        Ok(read.is_ok().then_some(content))
    }
}

fn is_read_only(error: &bollard::errors::Error) -> bool {
    let words = engine_words(error).to_lowercase();
    words.contains("read-only") || words.contains("not a directory")
}
