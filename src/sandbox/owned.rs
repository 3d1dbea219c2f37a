//! What one grading owns in the engine, and how it is removed.
//!
//! Nothing is made but through the [`Ledger`]: making runs in a task of its own, so that a caller who
//! loses patience in the middle (a deadline, a cancelled grading) does not leave behind a container
//! whose id nobody has learned. What is made after the ledger was closed is removed at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use bollard::errors::Error as EngineError;
use bollard::models::{ContainerCreateBody, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::build::BuildRequest;
use super::build_cache::Pin;
use super::build_step::BuildStepContainer;
use super::engine::{Engine, EngineInner, SLOW_CALL};
use super::error::{Error, status};
use super::limits::Limits;

/// Everything one grading owns in the engine. Dropping it without [`Sandbox::clean`] spawns the
/// clean-up in the background.
pub struct Sandbox {
    pub(super) engine: Arc<EngineInner>,
    pub(super) limits: Limits,
    /// Keeps the images it built from being removed from the cache meanwhile.
    pub(super) pins: Mutex<Vec<Pin>>,
    /// What was asked to be built first, for building it again.
    pub(super) first_build: Mutex<Option<BuildRequest>>,
    pub(super) ledger: Arc<Ledger>,
}

impl Engine {
    /// Opens a sandbox for one grading. `grading` goes into the labels of all it makes; of `limits`
    /// holds what the settings allow.
    #[must_use]
    pub fn sandbox(&self, grading: &str, limits: Limits) -> Sandbox {
        Sandbox {
            engine: Arc::clone(&self.inner),
            limits: limits.capped(&self.inner.settings),
            pins: Mutex::default(),
            first_build: Mutex::default(),
            ledger: Ledger::new(&self.inner, Some(grading)),
        }
    }
}

impl Sandbox {
    /// The bounds that hold: those asked for, within what the settings allow.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the engine's machine executes, in the words of image platforms: `linux/amd64`.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.engine.facts.platform
    }

    /// Removes all the sandbox made. Not on the student's clock: call it after the verdict is stored.
    pub async fn clean(self) {
        self.ledger.clean().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.ledger.clean_in_background();
    }
}

/// The role of a container that measures another's volumes.
pub(super) const SURVEYOR: &str = "surveyor";

/// A container, network or volume of ours in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// A container that reads another's volumes. Goes first: a volume in use stays behind.
    Surveyor(String),
    /// With its anonymous volumes.
    Container(String),
    /// The container of a build's step, if it is one.
    BuildStep(BuildStepContainer),
    Network(String),
    /// By its name. Goes after the containers that have it.
    Volume(String),
}

impl Thing {
    /// What a container of this role is.
    pub(super) fn container(role: &str) -> fn(String) -> Self {
        if role == SURVEYOR { Self::Surveyor } else { Self::Container }
    }

    /// Removes it by force. One that is not there is as good as removed.
    pub(super) async fn remove(&self, engine: &EngineInner) -> Result<(), Error> {
        if let Self::BuildStep(step) = self
            && !step.is_there(engine).await?
        {
            return Ok(());
        }
        let (action, removed) = match self {
            Self::Container(id) | Self::Surveyor(id) | Self::BuildStep(BuildStepContainer { id, .. }) => {
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                let action = "remove a container";
                let removal = engine.docker.remove_container(id, Some(options));
                (action, engine.answer(action, SLOW_CALL, removal).await?)
            }
            Self::Network(id) => {
                let action = "remove a network";
                (action, engine.answer(action, SLOW_CALL, engine.docker.remove_network(id)).await?)
            }
            Self::Volume(name) => {
                let options = RemoveVolumeOptionsBuilder::default().force(true).build();
                let action = "remove a volume";
                let removal = engine.docker.remove_volume(name, Some(options));
                (action, engine.answer(action, SLOW_CALL, removal).await?)
            }
        };
        match removed {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            // Someone else is removing this container right now.
            Err(error)
                if status(&error) == Some(409) && !matches!(self, Self::Network(_) | Self::Volume(_)) =>
            {
                Ok(())
            }
            Err(error) => Err(engine.error(action, &error)),
        }
    }
}

/// What was made and is not removed yet.
pub(super) struct Ledger {
    pub(super) engine: Arc<EngineInner>,
    grading: Option<String>,
    books: Mutex<Books>,
    /// Bytes written by each container and to each volume, for the bound over all of them; see
    /// `disk.rs`.
    pub(super) disk: Mutex<HashMap<String, u64>>,
    /// Whether the memory of its services is measured; see `memory.rs`.
    pub(super) measured: AtomicBool,
    /// The most memory that any of them had, in bytes; 0 where none was measured.
    pub(super) peak_memory: AtomicU64,
}

#[derive(Default)]
struct Books {
    closed: bool,
    made: Vec<Thing>,
}

impl Ledger {
    pub(super) fn new(engine: &Arc<EngineInner>, grading: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::clone(engine),
            grading: grading.map(str::to_owned),
            books: Mutex::default(),
            disk: Mutex::default(),
            measured: AtomicBool::new(false),
            peak_memory: AtomicU64::new(0),
        })
    }

    /// The labels of something made for this ledger.
    pub(super) fn labels(&self, role: &str) -> HashMap<String, String> {
        self.engine.labels.of(role, self.grading.as_deref())
    }

    /// Makes a container; the engine's refusal is for the caller to judge.
    pub(super) async fn create_container(
        self: &Arc<Self>,
        role: &str,
        body: ContainerCreateBody,
    ) -> Result<Result<String, EngineError>, Error> {
        let body = ContainerCreateBody { labels: Some(self.labels(role)), ..body };
        // One that is named and gone is made once more by the engine, without a label by which it could be swept.
        let mounts = body.host_config.iter().flat_map(|host| host.mounts.iter().flatten());
        let volumes: Vec<Thing> =
            mounts.filter_map(|mount| mount.source.clone()).map(Thing::Volume).collect();
        let engine = Arc::clone(&self.engine);
        let making = async move {
            let options = None::<bollard::query_parameters::CreateContainerOptions>;
            let creation = engine.docker.create_container(options, body);
            let created = engine.answer("create a container", SLOW_CALL, creation).await?;
            Ok(created.map(|created| created.id))
        };
        self.make(Thing::container(role), volumes, making.boxed()).await
    }

    /// Makes a network.
    pub(super) async fn create_network(
        self: &Arc<Self>,
        request: NetworkCreateRequest,
    ) -> Result<String, Error> {
        let request = NetworkCreateRequest { labels: Some(self.labels("network")), ..request };
        let engine = Arc::clone(&self.engine);
        let making = async move {
            let creation = engine.docker.create_network(request);
            let created = engine.answer("create a network", SLOW_CALL, creation).await?;
            Ok(created.map(|created| created.id))
        };
        let made = self.make(Thing::Network, Vec::new(), making.boxed()).await?;
        made.map_err(|error| self.engine.error("create a network", &error))
    }

    /// Makes a volume; says its name.
    pub(super) async fn create_volume(
        self: &Arc<Self>,
        request: VolumeCreateRequest,
    ) -> Result<String, Error> {
        let request = VolumeCreateRequest { labels: Some(self.labels("volume")), ..request };
        let engine = Arc::clone(&self.engine);
        let making = async move {
            let creation = engine.docker.create_volume(request);
            let created = engine.answer("create a volume", SLOW_CALL, creation).await?;
            Ok(created.map(|created| created.name))
        };
        let made = self.make(Thing::Volume, Vec::new(), making.boxed()).await?;
        made.map_err(|error| self.engine.error("create a volume", &error))
    }

    async fn make(
        self: &Arc<Self>,
        kind: fn(String) -> Thing,
        with: Vec<Thing>,
        making: BoxFuture<'static, Result<Result<String, EngineError>, Error>>,
    ) -> Result<Result<String, EngineError>, Error> {
        let ledger = Arc::clone(self);
        let task = self.engine.tasks.spawn(async move {
            let made = making.await;
            if let Ok(Ok(id)) = &made {
                ledger.enter_with(kind(id.clone()), with).await;
            }
            made
        });
        task.await.unwrap_or_else(|error| {
            Err(Error::Engine { action: "make something".into(), cause: error.to_string() })
        })
    }

    /// Takes over something made elsewhere (a warm pod).
    pub(super) async fn enter(&self, thing: Thing) {
        self.enter_with(thing, Vec::new()).await;
    }

    /// As [`Self::enter`]; `with` are things of the ledger that may have come back with it, where it is too late.
    async fn enter_with(&self, thing: Thing, with: Vec<Thing>) {
        let late = {
            let mut books = self.books();
            if !books.closed {
                books.made.push(thing.clone());
            }
            books.closed
        };
        if late {
            let all = std::iter::once(thing).chain(with).collect();
            self.engine.discard(all).await;
        }
    }

    /// Gives what was made to another ledger.
    pub(super) async fn hand_over(&self, to: &Self) {
        let made = std::mem::take(&mut self.books().made);
        for thing in made {
            to.enter(thing).await;
        }
    }

    /// Removes one thing before the rest.
    pub(super) async fn discard(&self, thing: Thing) {
        self.books().made.retain(|made| *made != thing);
        self.engine.discard(vec![thing]).await;
    }

    /// Removes everything; nothing can be made afterwards.
    pub(super) async fn clean(&self) {
        let made = self.close();
        self.engine.discard(made).await;
    }

    /// As [`Self::clean`], without waiting. Outside a runtime the sweep of the next process does it.
    pub(super) fn clean_in_background(&self) {
        let made = self.close();
        if made.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = Arc::clone(&self.engine);
            self.engine.tasks.spawn_on(async move { engine.discard(made).await }, &runtime);
        }
    }

    /// Whether everything was removed, or is about to be.
    pub(super) fn is_closed(&self) -> bool {
        self.books().closed
    }

    fn close(&self) -> Vec<Thing> {
        let mut books = self.books();
        books.closed = true;
        std::mem::take(&mut books.made)
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineInner {
    /// Removes things of ours, containers before networks and volumes. What cannot be removed now is tried again
    /// with every sweep.
    pub(super) async fn discard(&self, things: Vec<Thing>) {
        let (surveyors, rest): (Vec<_>, Vec<_>) =
            things.into_iter().partition(|thing| matches!(thing, Thing::Surveyor(_)));
        let (containers, ground): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|thing| matches!(thing, Thing::Container(_) | Thing::BuildStep(_)));
        for batch in [surveyors, containers, ground] {
            let removed = join_all(batch.into_iter().map(|thing| async {
                let result = thing.remove(self).await;
                (thing, result)
            }))
            .await;
            for (thing, result) in removed {
                if let Err(error) = result {
                    tracing::warn!(?thing, %error, "sandbox.not_removed");
                    self.remaining.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
                }
            }
        }
    }
}
