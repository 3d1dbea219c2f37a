//! The volumes of a stack: named ones, and copies of submitted folders.
//!
//! A folder of the submission is given to a service as a bind mount would give it on the student's own
//! machine, but nothing of the host is ever mounted: it is copied into a volume of ours, through the
//! engine's archive route into a container that is never started.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
};
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use futures::future::try_join_all;
use uuid::Uuid;

use super::engine::SLOW_CALL;
use super::error::Error;
use super::limits;
use super::owned::{Ledger, Thing};
use super::pod::create_probe;
use super::spec::{MountSpec, Source, StackSpec};

/// How the names of our volumes begin, by which they are told from the nameless ones of images.
const PREFIX: &str = "drydock-";

/// The engine's names of a stack's volumes.
#[derive(Clone, Debug, Default)]
pub(super) struct Volumes(HashMap<Source, String>);

impl Volumes {
    /// Makes the volumes that services of a stack mount.
    pub(super) async fn make(ledger: &Arc<Ledger>, spec: &StackSpec) -> Result<Self, Error> {
        let mut wanted: Vec<&Source> = Vec::new();
        for mount in spec.services.values().flat_map(|service| &service.mounts) {
            if !wanted.contains(&&mount.source) {
                wanted.push(&mount.source);
            }
        }
        let made = wanted.into_iter().map(|source| async move {
            let name = format!("{PREFIX}{}", Uuid::new_v4().simple());
            let request = VolumeCreateRequest {
                name: Some(name),
                driver: Some("local".into()),
                ..VolumeCreateRequest::default()
            };
            Ok::<_, Error>((source.clone(), ledger.create_volume(request).await?))
        });
        Ok(Self(try_join_all(made).await?.into_iter().collect()))
    }

    /// Copies the submitted folders into their volumes. `folders` has a tar of what is in each.
    pub(super) async fn fill(
        &self,
        ledger: &Arc<Ledger>,
        folders: &HashMap<String, Bytes>,
    ) -> Result<(), Error> {
        let engine = &ledger.engine;
        let mut copies = Vec::new();
        for (source, volume) in &self.0 {
            let Source::Folder(folder) = source else { continue };
            let tar = folders.get(folder).ok_or_else(|| {
                Error::Unfit(format!("the stack mounts the folder `{folder}`, and its files were not given"))
            })?;
            copies.push((format!("/copies/{}", copies.len()), volume, tar));
        }
        if copies.is_empty() {
            return Ok(());
        }
        let mounts = copies.iter().map(|(path, volume, _)| Mount {
            typ: Some(MountType::VOLUME),
            source: Some((*volume).clone()),
            target: Some(path.clone()),
            ..Mount::default()
        });
        let host = HostConfig {
            network_mode: Some("none".into()),
            mounts: Some(mounts.collect()),
            ..limits::ours()
        };
        let body = ContainerCreateBody { host_config: Some(host), ..ContainerCreateBody::default() };
        let container = create_probe(ledger, "copier", body).await?;
        for (path, _, tar) in copies {
            let options = UploadToContainerOptionsBuilder::default().path(&path).build();
            let body = bollard::body_full(tar.clone());
            let upload = engine.docker.upload_to_container(&container, Some(options), body);
            engine.call_within("copy a submitted folder into a volume", SLOW_CALL, upload).await?;
        }
        ledger.discard(Thing::Container(container)).await;
        Ok(())
    }

    /// What the engine is told of a service's mounts.
    pub(super) fn mounts(&self, mounts: &[MountSpec]) -> Vec<Mount> {
        let engine_mount = |mount: &MountSpec| {
            // A new volume begins with what the image has at its place; what a folder has not is not there.
            let no_copy = matches!(mount.source, Source::Folder(_));
            Some(Mount {
                typ: Some(MountType::VOLUME),
                source: Some(self.0.get(&mount.source)?.clone()),
                target: Some(mount.target.clone()),
                read_only: Some(mount.read_only),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(no_copy),
                    ..MountVolumeOptions::default()
                }),
                ..Mount::default()
            })
        };
        mounts.iter().filter_map(engine_mount).collect()
    }

    /// What a volume of the engine is in the stack; `None` for one that is not of the stack.
    pub(super) fn source(&self, volume: &str) -> Option<&Source> {
        self.0.iter().find(|(_, name)| *name == volume).map(|(source, _)| source)
    }
}

/// Whether a volume belongs to one container alone, because its image declares it.
pub(super) fn is_anonymous(volume: &str) -> bool {
    !volume.starts_with(PREFIX)
}
