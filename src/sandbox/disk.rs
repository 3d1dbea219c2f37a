//! What a container writes: measured from time to time, ended past the limit.
//!
//! The engine measures the writable layer but not volumes; a probe of ours, which has them too, does
//! that. The limit is one for the whole sandbox: what all of its containers and volumes hold.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountPoint, MountType};
use bollard::query_parameters::InspectContainerOptionsBuilder;

use super::container::Container;
use super::engine::CALL;
use super::error::Error;
use super::limits;
use super::owned::{Ledger, SURVEYOR, Thing};
use super::pod::{Probe, start_probe};
use super::protocol::{Ask, Reply};
use super::stack::unexpected;
use super::volumes::is_anonymous;

/// When a container is first measured, and how often at most after that.
const EVERY: Duration = Duration::from_secs(2);
/// The longest that it is not measured, however long measuring takes: how many files there are to be walked
/// is the student's choice.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// So many times running the engine cannot tell a container's size until that counts as too large.
pub(super) const IMMEASURABLE: u32 = 2;

/// A container of ours that has a container's volumes, to measure them.
pub(super) struct Surveyor {
    pub(super) container: String,
    probe: Arc<Probe>,
    /// The engine's names of the volumes, in the order of their paths.
    volumes: Vec<String>,
}

impl Surveyor {
    /// Bytes in each of the volumes.
    async fn measure(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut written = Vec::new();
        for (index, volume) in self.volumes.iter().enumerate() {
            match self.probe.ask(Ask::DiskUsage { paths: vec![path(index)] }, CALL).await? {
                Reply::DiskUsage { bytes } => written.push((volume.clone(), bytes)),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(written)
    }

    /// The volumes that belong to the measured container alone.
    pub(super) fn anonymous(&self) -> impl Iterator<Item = &str> {
        self.volumes.iter().map(String::as_str).filter(|volume| is_anonymous(volume))
    }
}

/// Where a surveyor has a volume.
fn path(index: usize) -> String {
    format!("/volumes/{index}")
}

impl Ledger {
    /// Notes what was written where; says how much that is of all together.
    fn note_written(&self, written: impl IntoIterator<Item = (String, u64)>) -> u64 {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.extend(written);
        disk.values().sum()
    }

    /// What was there is gone.
    pub(super) fn forget_written(&self, places: &HashSet<String>) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.retain(|place, _| !places.contains(place));
    }
}

impl Container {
    /// Measures it until it has ended for good, and kills it when it, or all of the sandbox together,
    /// passes the limit. One that its policy starts again is measured in between too: what it wrote in
    /// many short lives counts.
    pub(super) async fn watch_disk(self: Arc<Self>) {
        let engine = &self.ledger.engine;
        let mut pause = EVERY;
        let mut immeasurable = 0;
        loop {
            tokio::select! {
                () = self.gone() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let watch = engine.context.clock.stopwatch();
            let options = InspectContainerOptionsBuilder::default().size(true).build();
            let inspection = engine.docker.inspect_container(&self.id, Some(options));
            // Not told this time: told the next time.
            let Ok(Ok(found)) = engine.answer("measure a container", CALL, inspection).await else {
                continue;
            };
            // It says -1 of a tree that it cannot walk, as of one that is deeper than a path can be long (moby's
            // `GetContainerLayerSize`): whoever makes one must not be rid of the limit.
            let layer = found.size_rw.and_then(|size| u64::try_from(size).ok());
            immeasurable = if layer.is_none() && found.size_rw.is_some() { immeasurable + 1 } else { 0 };
            let layer = layer.unwrap_or(0);
            let mut written = self.survey(found.mounts.unwrap_or_default()).await.unwrap_or_else(|error| {
                // What measures is removed first of all when the sandbox is, in the middle of an answer too.
                if self.is_gone() || self.ledger.is_closed() {
                    tracing::debug!(%error, "container.volumes_not_measured");
                } else {
                    tracing::warn!(%error, "container.volumes_not_measured");
                }
                Vec::new()
            });
            written.push((self.id.clone(), layer));
            if self.ledger.note_written(written) > self.disk_limit || immeasurable >= IMMEASURABLE {
                self.over_disk.store(true, Ordering::Relaxed);
                if let Err(error) = self.kill("SIGKILL").await {
                    tracing::warn!(%error, "container.not_killed");
                }
            }
            // Some storage drivers walk every file: do not spend more than a tenth of the time, if possible.
            let longest = if immeasurable > 0 { EVERY } else { AT_LEAST_EVERY };
            pause = (watch.elapsed() * 10).clamp(EVERY, longest);
        }
    }

    /// Bytes in each of its volumes.
    async fn survey(&self, mounts: Vec<MountPoint>) -> Result<Vec<(String, u64)>, Error> {
        let is_volume = |mount: &MountPoint| mount.typ.as_deref() == Some("volume");
        let volumes: Vec<String> =
            mounts.into_iter().filter(is_volume).filter_map(|mount| mount.name).collect();
        let mut slot = self.surveyor.lock().await;
        // One that is being removed must not get another that keeps its volumes in use.
        if volumes.is_empty() || self.is_gone() {
            return Ok(Vec::new());
        }
        if slot.is_none() {
            let mounts = volumes.iter().enumerate().map(|(index, volume)| Mount {
                typ: Some(MountType::VOLUME),
                source: Some(volume.clone()),
                target: Some(path(index)),
                read_only: Some(true),
                ..Mount::default()
            });
            let body = ContainerCreateBody {
                user: Some("0:0".into()),
                network_disabled: Some(true),
                host_config: Some(HostConfig {
                    network_mode: Some("none".into()),
                    cap_add: Some(vec!["DAC_READ_SEARCH".into()]),
                    mounts: Some(mounts.collect()),
                    ..limits::ours()
                }),
                ..ContainerCreateBody::default()
            };
            let (container, probe) = start_probe(&self.ledger, SURVEYOR, body).await?;
            *slot = Some(Surveyor { container, probe, volumes });
        }
        let Some(surveyor) = slot.as_ref() else { return Ok(Vec::new()) };
        let measured = surveyor.measure().await;
        if measured.is_err()
            && !self.is_gone()
            && let Some(broken) = slot.take()
        {
            // The next time by another one.
            self.ledger.discard(Thing::Surveyor(broken.container)).await;
        }
        measured
    }
}
