//! Removes what dead owners of this installation left in the engine; see `owner.rs` for who is dead.
//!
//! Runs when an engine is connected, from time to time in the background, and on demand. Objects of
//! living owners and of other installations are never touched.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, Weak};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder,
};
use futures::future::join_all;

use super::build_cache::{remove_unnamed, unheard};
use super::build_step::{BegunBuild, BuildStepContainer, never_started};
use super::engine::{Engine, EngineInner, SLOW_CALL};
use super::error::Error;
use super::labels::{OWNER, ROLE};
use super::owned::{SURVEYOR, Thing};
use super::owner::Status;

/// How much a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers, with their anonymous volumes.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes with names.
    pub volumes: usize,
    /// Images, counted by id.
    pub images: usize,
}

/// What one owner has in the engine.
#[derive(Default)]
struct Belongings {
    /// Containers that read the volumes of others, to be removed before those.
    surveyors: Vec<String>,
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    images: Vec<String>,
}

impl Engine {
    /// Removes what dead owners of this installation left behind. Says how much of what it removed.
    ///
    /// # Errors
    /// When the engine cannot list what there is, or the state folder cannot be read. What cannot be
    /// removed is logged and tried again with the next sweep.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.inner.sweep().await
    }

    /// Removes the warm pods and the images kept as build cache; waits for running clean-ups. Then
    /// looks whether anything else carries this owner's label, such as an image whose build the engine
    /// finished when nobody listened any more.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.closing.cancel();
        inner.pool.empty().await;
        inner.tasks.close();
        if tokio::time::timeout(SLOW_CALL, inner.tasks.wait()).await.is_err() {
            tracing::warn!("engine.clean_ups_unfinished");
            return;
        }
        let no_images = inner.builder.cache.clear(inner).await;
        inner.retry_removals().await;
        let nothing_remains = inner.remaining.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        match inner.remove_own().await {
            Ok(true) if no_images && nothing_remains => {
                if let Err(error) = inner.owner.retire() {
                    tracing::warn!(%error, "owner.not_retired");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "engine.not_emptied"),
        }
    }
}

impl EngineInner {
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<Swept, Error> {
        self.retry_removals().await;
        self.remove_lost_steps().await?;
        self.builder.cache.adopt_unheard(self).await?;
        let belongings = Box::pin(self.list_all()).await?;
        let mut owners: BTreeSet<String> = belongings.keys().cloned().collect();
        owners.extend(self.owner.registered().map_err(|error| unreadable(&error))?);
        let mut swept = Swept::default();
        for owner in owners {
            // The lock of a dead owner is held until its things are gone.
            let status = self.owner.status_of(&owner).map_err(|error| unreadable(&error))?;
            let Status::Dead(_lock) = status else { continue };
            let theirs = belongings.get(&owner).unwrap_or(&EMPTY);
            self.bury(&owner, theirs, &mut swept).await?;
        }
        if swept != Swept::default() {
            tracing::info!(
                containers = swept.containers,
                networks = swept.networks,
                volumes = swept.volumes,
                images = swept.images,
                "engine.swept"
            );
        }
        Ok(swept)
    }

    /// Removes all that a dead owner has, and then its files.
    async fn bury(&self, owner: &str, theirs: &Belongings, swept: &mut Swept) -> Result<(), Error> {
        if self.remove_belongings(owner, theirs, swept).await? {
            self.owner.forget(owner).map_err(|error| unreadable(&error))?;
        }
        Ok(())
    }

    /// Removes what is left of this owner's own. Says whether nothing is left.
    async fn remove_own(&self) -> Result<bool, Error> {
        let own = Box::pin(self.list_all()).await?.remove(&self.owner.id).unwrap_or_default();
        self.remove_belongings(&self.owner.id, &own, &mut Swept::default()).await
    }

    /// How many things in the engine carry this owner's label.
    pub(super) async fn count_own(&self) -> Result<usize, Error> {
        let own = Box::pin(self.list_all()).await?.remove(&self.owner.id).unwrap_or_default();
        let Belongings { surveyors, containers, networks, volumes, images } = own;
        Ok([surveyors, containers, networks, volumes, images].iter().map(Vec::len).sum())
    }

    /// Removes all that an owner has. Says whether nothing is left.
    async fn remove_belongings(
        &self,
        owner: &str,
        theirs: &Belongings,
        swept: &mut Swept,
    ) -> Result<bool, Error> {
        let mut all = true;
        let (steps, more) = self.left_steps(owner).await?;
        let (removed, whole) = self.remove_all(steps).await;
        swept.containers += removed;
        all &= whole && !more;
        for containers in [&theirs.surveyors, &theirs.containers] {
            let containers = containers.iter().map(|id| Thing::Container(id.clone()));
            let (removed, whole) = self.remove_all(containers.collect()).await;
            swept.containers += removed;
            all &= whole;
        }
        let networks = theirs.networks.iter().map(|id| Thing::Network(id.clone()));
        let (removed, whole) = self.remove_all(networks.collect()).await;
        swept.networks += removed;
        all &= whole;
        let volumes = theirs.volumes.iter().map(|name| Thing::Volume(name.clone()));
        let (removed, whole) = self.remove_all(volumes.collect()).await;
        swept.volumes += removed;
        all &= whole;
        let mut images = theirs.images.clone();
        images.extend(self.owner.journalled_images(owner).map_err(|error| unreadable(&error))?);
        let unheard = unheard(self, &images).await?;
        images.extend(unheard.images);
        let removal = remove_unnamed(self, owner, &images).await;
        swept.images += removal.removed;
        Ok(all && removal.left.is_empty() && !unheard.more)
    }

    /// The containers of an owner's builds that are still there, and whether there may be more in a moment.
    async fn left_steps(&self, owner: &str) -> Result<(Vec<Thing>, bool), Error> {
        let noted = self.owner.journalled_steps(owner).map_err(|error| unreadable(&error))?;
        if noted.is_empty() {
            return Ok((Vec::new(), false));
        }
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let there = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        let there: Vec<String> = there.into_iter().filter_map(|container| container.id).collect();
        let steps = noted.iter().filter_map(|line| BuildStepContainer::noted(line));
        let mut left: Vec<_> = steps
            .filter(|step| there.iter().any(|id| id.starts_with(&step.id)))
            .map(Thing::BuildStep)
            .collect();
        let builds: Vec<_> = noted.iter().filter_map(|line| BegunBuild::noted(line)).collect();
        let (unheard, more) = never_started(self, &builds).await?;
        left.extend(unheard.into_iter().map(Thing::BuildStep));
        Ok((left, more))
    }

    /// Removes what the engine had made of this owner's builds when it went away, and had not told yet.
    async fn remove_lost_steps(&self) -> Result<(), Error> {
        let builds = self.lost_builds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (steps, more) = never_started(self, &builds).await?;
        let (_, whole) = self.remove_all(steps.into_iter().map(Thing::BuildStep).collect()).await;
        if whole && !more {
            let mut lost = self.lost_builds.lock().unwrap_or_else(PoisonError::into_inner);
            lost.retain(|build| !builds.contains(build));
        }
        Ok(())
    }

    async fn remove_all(&self, things: Vec<Thing>) -> (usize, bool) {
        let results = join_all(things.iter().map(|thing| thing.remove(self))).await;
        let mut removed = 0;
        let mut all = true;
        for (thing, result) in things.iter().zip(results) {
            match result {
                Ok(()) => removed += 1,
                Err(error) => {
                    tracing::warn!(?thing, %error, "sweep.not_removed");
                    all = false;
                }
            }
        }
        (removed, all)
    }

    async fn list_all(&self) -> Result<HashMap<String, Belongings>, Error> {
        let filters = self.labels.filter();
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let images = ListImagesOptionsBuilder::default().filters(&filters).build();
        let (containers, networks, volumes, images) = tokio::try_join!(
            self.call("list containers", self.docker.list_containers(Some(containers))),
            self.call("list networks", self.docker.list_networks(Some(networks))),
            self.call("list volumes", self.docker.list_volumes(Some(volumes))),
            self.call("list images", self.docker.list_images(Some(images))),
        )?;
        let mut all: HashMap<String, Belongings> = HashMap::new();
        for container in containers {
            if let (Some(id), Some(owner)) = (container.id, owner_of(container.labels.as_ref())) {
                let theirs = all.entry(owner).or_default();
                let role = container.labels.as_ref().and_then(|labels| labels.get(ROLE));
                if role.is_some_and(|role| role == SURVEYOR) {
                    theirs.surveyors.push(id);
                } else {
                    theirs.containers.push(id);
                }
            }
        }
        for network in networks {
            if let (Some(id), Some(owner)) = (network.id, owner_of(network.labels.as_ref())) {
                all.entry(owner).or_default().networks.push(id);
            }
        }
        for volume in volumes.volumes.unwrap_or_default() {
            if let Some(owner) = owner_of(Some(&volume.labels)) {
                all.entry(owner).or_default().volumes.push(volume.name);
            }
        }
        // Listed newest first; removed from the back of a list in which the oldest are first.
        for image in images.into_iter().rev() {
            if let Some(owner) = owner_of(Some(&image.labels)) {
                all.entry(owner).or_default().images.push(image.id);
            }
        }
        Ok(all)
    }

    /// Tries again to remove what could not be removed before.
    async fn retry_removals(&self) {
        let things = std::mem::take(&mut *self.remaining.lock().unwrap_or_else(PoisonError::into_inner));
        if !things.is_empty() {
            self.discard(things).await;
        }
    }
}

/// Sweeps from time to time until the connection is closed.
pub(super) async fn keep_swept(engine: Weak<EngineInner>) {
    loop {
        let known = engine.upgrade().map(|engine| (engine.closing.clone(), engine.settings.sweep_every));
        let Some((closing, pause)) = known else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = closing.cancelled() => return,
        }
        let Some(engine) = engine.upgrade() else { return };
        if let Err(error) = engine.sweep().await {
            tracing::warn!(%error, "engine.not_swept");
        }
    }
}

static EMPTY: Belongings = Belongings {
    surveyors: Vec::new(),
    containers: Vec::new(),
    networks: Vec::new(),
    volumes: Vec::new(),
    images: Vec::new(),
};

fn owner_of(labels: Option<&HashMap<String, String>>) -> Option<String> {
    labels?.get(OWNER).cloned()
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::Unfit(format!("the state folder's list of running owners cannot be read or written ({error})"))
}
