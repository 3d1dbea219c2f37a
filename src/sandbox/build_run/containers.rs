//! The containers of a build's steps: the bounds that the build request cannot say, the watch over
//! their disk, and that they are gone when the build is given up.
//!
//! Only the classic builder tells of them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::{
    BuildImageOptions, BuilderVersion, EventsOptionsBuilder, InspectContainerOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::super::build_step::{BegunBuild, Bounds, BuildStepContainer};
use super::super::disk::IMMEASURABLE;
use super::super::engine::{CALL, EngineInner, SLOW_CALL};
use super::super::error::{Error, status};
use super::super::owned::Thing;

/// How often all steps of a build together may write what one of them may.
const TOGETHER: u64 = 4;
/// How often the writable layer of a running step is measured: that walks its files.
const DISK_WATCH: Duration = Duration::from_secs(2);
/// Steps whose container is watched at a time; a build that claims more is lying.
const WATCHED: usize = 64;
/// How long the engine may take to end a step by itself after we have hung up.
const HANG_UP: Duration = Duration::from_secs(2);
/// How long a step that the engine does not end is killed again and again.
const PERSIST: Duration = Duration::from_mins(1);

/// The containers in which the classic builder says it runs steps. Beware: a step's output can name
/// others, so nothing is removed but what [`BuildStepContainer::is_there`] takes for one.
#[derive(Clone)]
pub(super) struct Containers {
    named: Arc<Mutex<HashSet<String>>>,
    /// The images that steps of this build have become and that are not measured yet.
    made: Arc<Mutex<Vec<String>>>,
    /// Each as it begins, for [`bound_processes`].
    announce: mpsc::UnboundedSender<String>,
    bounds: Bounds,
    build: BegunBuild,
}

impl Containers {
    /// Those of one build, and how their beginnings are heard of.
    ///
    /// # Errors
    /// When the build cannot be noted.
    pub(super) fn of(
        engine: &EngineInner,
        options: &BuildImageOptions,
        began: DateTime<Utc>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<String>), Error> {
        let (announce, beginning) = mpsc::unbounded_channel();
        let bounds = Bounds::of(options);
        let build = BegunBuild::new(bounds, began);
        if options.version == BuilderVersion::BuilderV1 {
            build.note(engine)?;
        }
        Ok((Self { named: Arc::default(), made: Arc::default(), announce, bounds, build }, beginning))
    }

    /// The builder says that it runs a step in it.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub(super) fn add(&self, engine: &EngineInner, container: &str) -> Result<(), Error> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < WATCHED && named.insert(container.to_owned()) {
            self.step(container).note(engine)?;
            // Nobody listens any more only when the build is over.
            let _ = self.announce.send(container.to_owned());
        }
        Ok(())
    }

    fn step(&self, container: &str) -> BuildStepContainer {
        BuildStepContainer::new(container, self.bounds)
    }

    /// A step was written down as this image, and did not come from the cache.
    pub(super) fn add_image(&self, image: &str) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(image.to_owned());
    }

    /// What the images weigh that were added since this was asked, each without those below.
    async fn made_bytes(&self, engine: &EngineInner) -> u64 {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut bytes = 0_u64;
        for image in made {
            let action = "measure a build's image";
            let history = engine.answer(action, CALL, engine.docker.image_history(&image)).await;
            if let Ok(Ok(history)) = history {
                let size = history.first().and_then(|layer| u64::try_from(layer.size).ok());
                bytes = bytes.saturating_add(size.unwrap_or(0));
            }
        }
        bytes
    }

    fn all(&self) -> Vec<String> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn forget(&self, container: &str) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    /// Waits until the engine has removed them, as it does when the client hangs up, and removes them
    /// where it does not: a step that starts processes faster than they can be killed needs several
    /// tries.
    pub(super) async fn gone(&self, engine: &EngineInner) {
        let began = engine.context.clock.stopwatch();
        while began.elapsed() < PERSIST {
            for container in self.all() {
                match self.step(&container).is_there(engine).await {
                    Ok(true) => {}
                    Ok(false) => {
                        self.forget(&container);
                        continue;
                    }
                    // There is nobody to wait for.
                    Err(_) => return self.leave(engine),
                }
                if began.elapsed() >= HANG_UP {
                    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                    let removal = engine.docker.remove_container(&container, Some(options));
                    let removed = engine.answer("remove a build's container", SLOW_CALL, removal).await;
                    if let Ok(Err(error)) = removed {
                        tracing::debug!(container, %error, "build.step_not_removed_yet");
                    }
                }
            }
            if self.all().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for container in self.all() {
            tracing::error!(container, "build.step_survived");
        }
        self.leave(engine);
    }

    /// Leaves those that are still there to the next sweep: the engine went away, or does not get rid of them.
    pub(super) fn leave(&self, engine: &EngineInner) {
        let left = self.all().into_iter().map(|container| Thing::BuildStep(self.step(&container)));
        engine.remaining.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
        engine.lost_builds.lock().unwrap_or_else(PoisonError::into_inner).push(self.build);
    }
}

/// Ends when the writable layer of a step passes `limit_bytes`, or all steps together pass a multiple of it. The classic builder has no limit of
/// its own for that; BuildKit tells no container to look at.
pub(super) async fn watch_disk(engine: &EngineInner, containers: &Containers, limit_bytes: u64) {
    let mut immeasurable: HashMap<String, u32> = HashMap::new();
    let mut together = 0_u64;
    loop {
        tokio::time::sleep(DISK_WATCH).await;
        together = together.saturating_add(containers.made_bytes(engine).await);
        if together > limit_bytes.saturating_mul(TOGETHER) {
            return;
        }
        for container in containers.all() {
            let options = InspectContainerOptionsBuilder::default().size(true).build();
            let measuring = engine.docker.inspect_container(&container, Some(options));
            match engine.answer("measure a build's container", CALL, measuring).await {
                Ok(Ok(found)) => {
                    let bytes = u64::try_from(found.size_rw.unwrap_or(0));
                    // As for services, see `disk.rs`.
                    let failures = immeasurable.entry(container).or_insert(0);
                    *failures = if bytes.is_err() { *failures + 1 } else { 0 };
                    if *failures >= IMMEASURABLE || bytes.unwrap_or(0) > limit_bytes {
                        return;
                    }
                }
                Ok(Err(error)) if status(&error) == Some(404) => containers.forget(&container),
                _ => {}
            }
        }
    }
}

/// Gives each step's container its bound on processes and threads as soon as it has begun: the build
/// request of the engine's API knows none, its `update` of a container does. Goes on for as long as
/// steps can begin.
pub(super) async fn bound_processes(
    engine: &EngineInner,
    mut beginning: mpsc::UnboundedReceiver<String>,
) -> Infallible {
    let bound = i64::from(engine.settings.max_pids);
    while let Some(container) = beginning.recv().await {
        let update = ContainerUpdateBody { pids_limit: Some(bound), ..ContainerUpdateBody::default() };
        let updating = engine.docker.update_container(&container, update);
        match engine.answer("bound a build step's processes", CALL, updating).await {
            // A step may be over before its bound arrives.
            Ok(Ok(()) | Err(_)) => {}
            Err(error) => tracing::warn!(container, %error, "build.step_not_bounded"),
        }
    }
    std::future::pending().await
}

/// Whether the kernel ended a process of the step for want of memory: the engine tells in its events,
/// since the container itself is removed by then.
pub(super) async fn was_out_of_memory(
    engine: &EngineInner,
    container: &str,
    began: DateTime<Utc>,
    suspected: bool,
) -> bool {
    // The engine tells of it a moment after the process' end.
    let grace = if suspected { 500 } else { 0 };
    let until = engine.context.clock.now() + chrono::Duration::milliseconds(grace);
    let stamp = |time: DateTime<Utc>| time.format("%s%.9f").to_string();
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["oom".to_owned()]),
    ]);
    let options = EventsOptionsBuilder::default()
        .since(&stamp(began - chrono::Duration::seconds(1)))
        .until(&stamp(until))
        .filters(&filters)
        .build();
    let mut events = pin!(engine.docker.events(Some(options)));
    let looking = async {
        while let Some(Ok(event)) = events.next().await {
            if event.actor.and_then(|actor| actor.id).is_some_and(|id| id.starts_with(container)) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(CALL, looking).await.unwrap_or(false)
}
