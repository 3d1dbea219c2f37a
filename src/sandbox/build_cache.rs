//! Built images, kept so that the next build of the same content is fast.
//!
//! Every image a build makes, the intermediate ones of a failed build too, is noted in this owner's
//! journal as soon as the engine tells its id: whatever ends this process, a later sweep finds them, and
//! with them what the engine made of the build while nobody listened any more. (A
//! label would cost the classic builder a step of its own, a fifth of a short build.) A finished image
//! also gets a name of this owner's ([`name`]), so that nobody else who built the same removes it.
//! While the process lives the least recently used go when the budget is passed, except those that a
//! grading still uses ([`Pin`]), and at an orderly end all go. Only images without another name are
//! ever removed here: a student may print the id of somebody else's image in the very form in which
//! the builder tells of its own.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::{
    ListImagesOptionsBuilder, PruneBuildOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::accounts_files::held_containers;
use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, engine_words, status};

/// The images of one owner's builds. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct ImageCache {
    builds: Arc<Mutex<Builds>>,
}

#[derive(Debug, Default)]
struct Builds {
    /// By the id of the last image made.
    kept: HashMap<String, Kept>,
    /// Grows with each use: the order of least recent use without a clock.
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    /// Every image of the build in the order they were made, the last one too.
    images: Vec<String>,
    /// Size of all layers, of a finished image.
    size_bytes: u64,
    /// What would be free if it were removed; `None` until it was measured.
    unique_bytes: Option<u64>,
    last_use: u64,
    pins: usize,
}

/// Keeps an image from being removed as long as it lives.
#[derive(Debug)]
pub(super) struct Pin {
    builds: Arc<Mutex<Builds>>,
    image: String,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(kept) = lock(&self.builds).kept.get_mut(&self.image) {
            kept.pins -= 1;
        }
    }
}

fn lock(builds: &Mutex<Builds>) -> MutexGuard<'_, Builds> {
    builds.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The images of a build that goes on. However the build ends, they are the cache's when this is
/// dropped.
pub(super) struct Making<'a> {
    engine: &'a EngineInner,
    images: Vec<String>,
}

impl<'a> Making<'a> {
    pub(super) fn new(engine: &'a EngineInner) -> Self {
        Self { engine, images: Vec::new() }
    }

    pub(super) fn engine(&self) -> &'a EngineInner {
        self.engine
    }

    /// Notes an image, durably, before anything else can happen to us.
    ///
    /// # Errors
    /// When the journal cannot be written: then the image could be left behind for ever.
    pub(super) fn note(&mut self, image: &str) -> Result<(), Error> {
        if self.images.iter().any(|known| is_same(image, known)) {
            return Ok(());
        }
        let path = self.engine.owner.image_journal();
        // A page cache survives our own end; what a power failure takes, it takes from the engine too.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut journal| journal.write_all(format!("{image}\n").as_bytes()))
            .map_err(|error| Error::Unfit(format!("{} cannot be written ({error})", path.display())))?;
        self.images.push(image.to_owned());
        Ok(())
    }

    /// Notes what the engine made of a build that was given up `since` and that nobody heard of: the step
    /// that was running may have become an image, and the next may have begun, after we had hung up. Of
    /// images made of `bases`, which are everybody's, only what `command` made is taken for ours.
    pub(super) async fn note_unheard(
        &mut self,
        bases: &[String],
        command: &str,
        since: DateTime<Utc>,
    ) -> Result<(), Error> {
        let engine = self.engine;
        let listed = nameless(engine).await?;
        let new: Vec<&ImageSummary> =
            listed.iter().filter(|image| image.created >= since.timestamp()).collect();
        if self.images.is_empty() && !command.is_empty() {
            let first = new.iter().filter(|image| bases.iter().any(|base| is_same(&image.parent_id, base)));
            for image in first {
                let action = "read an image's history";
                let history = engine.answer(action, CALL, engine.docker.image_history(&image.id)).await;
                // One that is gone meanwhile was another's.
                let Ok(Ok(history)) = history else { continue };
                if history.first().is_some_and(|made| made.created_by.ends_with(command)) {
                    self.note(&image.id)?;
                }
            }
        }
        for image in standing_on(&self.images, &new) {
            self.note(&image)?;
        }
        Ok(())
    }

    /// Gives `image`, with which the build ended, this owner's name: from now on it is no one else's to remove.
    /// Says whether it is there at all. One that came from the cache can have gone at this moment, with the
    /// sweep of the dead owner whose it was.
    ///
    /// # Errors
    /// When the engine cannot name it, or the journal cannot be written.
    pub(super) async fn name(&mut self, image: &str) -> Result<bool, Error> {
        self.note(image)?;
        let (repository, tag) = (REPOSITORY, tag(self.engine, &self.engine.owner.id, image));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(&tag).build();
        let naming = self.engine.docker.tag_image(image, Some(options));
        let action = "name a built image";
        match self.engine.answer(action, CALL, naming).await? {
            Ok(()) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(self.engine.error(action, &error)),
        }
    }

    /// The build ended with `image`, which has its name. Keeps it from being removed while the pin lives.
    pub(super) fn finished(mut self, image: &str, size_bytes: u64) -> Pin {
        let mut images = std::mem::take(&mut self.images);
        images.retain(|known| !is_same(image, known));
        images.push(image.to_owned());
        let cache = &self.engine.builder.cache;
        let mut builds = lock(&cache.builds);
        let kept = builds.keep(image, images);
        kept.size_bytes = size_bytes;
        kept.pins += 1;
        Pin { builds: Arc::clone(&cache.builds), image: image.to_owned() }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let images = std::mem::take(&mut self.images);
        if let Some(last) = images.last().cloned() {
            lock(&self.engine.builder.cache.builds).keep(&last, images);
        }
    }
}

impl Builds {
    fn keep(&mut self, last: &str, images: Vec<String>) -> &mut Kept {
        self.uses += 1;
        let uses = self.uses;
        let kept = self.kept.entry(last.to_owned()).or_insert_with(|| Kept {
            images: Vec::new(),
            size_bytes: 0,
            unique_bytes: None,
            last_use: uses,
            pins: 0,
        });
        kept.last_use = uses;
        for image in images {
            if !kept.images.contains(&image) {
                kept.images.push(image);
                kept.unique_bytes = None;
            }
        }
        kept
    }

    /// The least recently used builds that have to go for the rest to fit the budget.
    fn over(&mut self, budget_bytes: u64) -> Vec<Kept> {
        let mut total: u64 = self.kept.values().filter_map(|kept| kept.unique_bytes).sum();
        let mut order: Vec<(u64, String)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.pins == 0)
            .map(|(image, kept)| (kept.last_use, image.clone()))
            .collect();
        order.sort_unstable();
        let mut out = Vec::new();
        for (_, image) in order {
            if total <= budget_bytes {
                break;
            }
            if let Some(kept) = self.kept.remove(&image) {
                total -= kept.unique_bytes.unwrap_or(0);
                out.push(kept);
            }
        }
        out
    }
}

impl ImageCache {
    /// Size of a finished image that is in the cache.
    pub(super) fn size_of(&self, image: &str) -> Option<u64> {
        lock(&self.builds).kept.get(image).map(|kept| kept.size_bytes).filter(|size| *size > 0)
    }

    /// Forgets and removes one build that must not be kept.
    pub(super) async fn drop_build(&self, engine: &EngineInner, image: &str) {
        let kept = lock(&self.builds).kept.remove(image);
        if let Some(kept) = kept {
            self.remove(engine, kept).await;
        }
    }

    /// Removes the least recently used builds until the rest fits `budget_bytes`.
    pub(super) async fn trim(&self, engine: &EngineInner, budget_bytes: u64) {
        let unmeasured: Vec<(String, Vec<String>)> = lock(&self.builds)
            .kept
            .iter()
            .filter(|(_, kept)| kept.unique_bytes.is_none())
            .map(|(image, kept)| (image.clone(), kept.images.clone()))
            .collect();
        let measured = match unique_bytes(engine, &unmeasured).await {
            Ok(measured) => measured,
            Err(error) => {
                tracing::warn!(error = %error, "build_cache.not_measured");
                return;
            }
        };
        for ((image, images), bytes) in unmeasured.into_iter().zip(measured) {
            if let Some(kept) = lock(&self.builds).kept.get_mut(&image)
                && kept.images.len() == images.len()
            {
                kept.unique_bytes = Some(bytes);
            }
        }
        let out = lock(&self.builds).over(budget_bytes);
        for kept in out {
            self.remove(engine, kept).await;
        }
    }

    /// Takes in what the engine made of builds that were given up, after the last look at them: a step that
    /// was running when we hung up becomes an image once it is done.
    ///
    /// # Errors
    /// When the engine cannot list its images, or the journal cannot be written.
    pub(super) async fn adopt_unheard(&self, engine: &EngineInner) -> Result<(), Error> {
        let builds: Vec<Vec<String>> =
            lock(&self.builds).kept.values().map(|kept| kept.images.clone()).collect();
        let found = unheard(engine, &builds.concat()).await?.images;
        if found.is_empty() {
            return Ok(());
        }
        tracing::info!(images = found.len(), "build_cache.unheard");
        let mut making = Making::new(engine);
        found.iter().try_for_each(|image| making.note(image))
    }

    /// Removes the images of a build; those that cannot be removed now are tried again later.
    async fn remove(&self, engine: &EngineInner, kept: Kept) {
        let removal = remove_unnamed(engine, &engine.owner.id, &kept.images).await;
        tracing::info!(images = removal.removed, bytes = kept.unique_bytes, "build_cache.trimmed");
        if let Some(last) = removal.left.last().cloned() {
            lock(&self.builds).keep(&last, removal.left);
        }
    }

    /// Removes everything, for an orderly end. Says whether nothing is left.
    pub(super) async fn clear(&self, engine: &EngineInner) -> bool {
        for patience in [Duration::from_millis(200), Duration::from_secs(1), Duration::ZERO] {
            let kept: Vec<Kept> = lock(&self.builds).kept.drain().map(|(_, kept)| kept).collect();
            for build in kept {
                self.remove(engine, build).await;
            }
            if lock(&self.builds).kept.is_empty() {
                return true;
            }
            // A container on its way out holds its image a moment longer.
            tokio::time::sleep(patience).await;
        }
        false
    }
}

/// What the images of each build take beside their bases: of every image, what it adds to its parent.
async fn unique_bytes(engine: &EngineInner, builds: &[(String, Vec<String>)]) -> Result<Vec<u64>, Error> {
    let options = ListImagesOptionsBuilder::default().all(true).build();
    let listed = engine.call("list the images", engine.docker.list_images(Some(options))).await?;
    let sizes: HashMap<&str, i64> = listed.iter().map(|image| (image.id.as_str(), image.size)).collect();
    let added = |id: &String| {
        let image = listed.iter().find(|image| is_same(&image.id, id))?;
        let below = sizes.get(image.parent_id.as_str()).copied().unwrap_or(0);
        u64::try_from(image.size - below).ok()
    };
    Ok(builds.iter().map(|(_, images)| images.iter().filter_map(added).sum()).collect())
}

/// The repository in which finished images have a name for each owner that uses them.
const REPOSITORY: &str = "drydock-build";

fn tag(engine: &EngineInner, owner: &str, image: &str) -> String {
    let digits = image.strip_prefix("sha256:").unwrap_or(image);
    format!("{}-{owner}-{}", engine.owner.installation, &digits[..digits.len().min(12)])
}

/// The name that an owner gives a finished image.
pub(super) fn name(engine: &EngineInner, owner: &str, image: &str) -> String {
    format!("{REPOSITORY}:{}", tag(engine, owner, image))
}

/// Whether a full id (`sha256:…`) and one that may be cut to twelve digits mean the same image.
fn is_same(full: &str, id: &str) -> bool {
    let digits = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
    digits(full).starts_with(&digits(id))
}

async fn inspect(engine: &EngineInner, image: &str) -> Option<ImageInspect> {
    engine.answer("inspect an image", CALL, engine.docker.inspect_image(image)).await.ok()?.ok()
}

/// What became of images that were to be removed.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// How many were removed.
    pub(super) removed: usize,
    /// Those that are still there and should not be: something uses them, or the engine failed.
    pub(super) left: Vec<String>,
}

/// Takes an owner's names from `images`, and removes those that have no other and that nothing uses,
/// the youngest first.
pub(super) async fn remove_unnamed(engine: &EngineInner, owner: &str, images: &[String]) -> Removal {
    let mut outcome = Removal::default();
    if images.is_empty() {
        return outcome;
    }
    // Then the engine answers nobody who asks it to remove any image.
    if !matches!(held_containers(engine).await.as_deref(), Ok([])) {
        outcome.left = images.to_vec();
        return outcome;
    }
    for image in images.iter().rev() {
        let Some(found) = inspect(engine, image).await else { continue };
        let ours = name(engine, owner, found.id.as_deref().unwrap_or(image));
        let names = found.repo_tags.unwrap_or_default();
        let has_ours = names.contains(&ours);
        let has_other = names.len() > usize::from(has_ours)
            || found.repo_digests.is_some_and(|digests| !digests.is_empty());
        if has_other && !has_ours {
            continue;
        }
        // By its last name an image goes with it; by one of several only the name does.
        let reference = if has_ours { &ours } else { image };
        let options = RemoveImageOptionsBuilder::default().build();
        let removal = engine.docker.remove_image(reference, Some(options), None);
        let cause = match engine.answer("remove an image", SLOW_CALL, removal).await {
            Ok(Ok(_)) => {
                outcome.removed += usize::from(!has_other);
                continue;
            }
            // Gone with one that was built on it.
            Ok(Err(error)) if status(&error) == Some(404) => continue,
            // Another build stands on it, and takes it along when it goes.
            Ok(Err(error)) if engine_words(&error).contains("dependent child") => continue,
            Ok(Err(error)) => engine_words(&error),
            Err(error) => error.to_string(),
        };
        tracing::debug!(image, cause, "build_cache.image_left");
        outcome.left.push(image.clone());
    }
    // In the order they were made, as they came.
    outcome.left.reverse();
    outcome
}

/// How long ago an image must have been made for its build to be over: a build goes on from an image at
/// once, and while its step runs the engine does not let it be removed.
const AT_REST: TimeDelta = TimeDelta::seconds(10);

/// What the engine made of builds when nobody was there any more to note it.
pub(super) struct Unheard {
    /// Images whose builds are over.
    pub(super) images: Vec<String>,
    /// Others were made a moment ago: there is something to come back for.
    pub(super) more: bool,
}

/// What the engine made of the builds of `images` when nobody listened any more.
pub(super) async fn unheard(engine: &EngineInner, images: &[String]) -> Result<Unheard, Error> {
    if images.is_empty() {
        return Ok(Unheard { images: Vec::new(), more: false });
    }
    let before = (engine.context.clock.now() - AT_REST).timestamp();
    let listed = nameless(engine).await?;
    let all = standing_on(images, &listed.iter().collect::<Vec<_>>());
    let at_rest: Vec<&ImageSummary> = listed.iter().filter(|image| image.created < before).collect();
    let images = standing_on(images, &at_rest);
    Ok(Unheard { more: images.len() < all.len(), images })
}

/// The images that have no name.
async fn nameless(engine: &EngineInner) -> Result<Vec<ImageSummary>, Error> {
    let options = ListImagesOptionsBuilder::default().all(true).build();
    let mut listed = engine.call("list the images", engine.docker.list_images(Some(options))).await?;
    listed.retain(|image| {
        let named = |names: &[String]| names.iter().any(|name| !name.starts_with("<none>"));
        !named(&image.repo_tags) && !named(&image.repo_digests)
    });
    Ok(listed)
}

/// Those of `listed` that were made of `images`, or of each other, in that order.
fn standing_on(images: &[String], listed: &[&ImageSummary]) -> Vec<String> {
    let is_one_of = |id: &str, known: &[String]| known.iter().any(|known| is_same(id, known));
    let mut found: Vec<String> = Vec::new();
    loop {
        let next = listed.iter().find(|image| {
            !image.parent_id.is_empty()
                && (is_one_of(&image.parent_id, images) || found.contains(&image.parent_id))
                && !is_one_of(&image.id, images)
                && !found.contains(&image.id)
        });
        match next {
            Some(image) => found.push(image.id.clone()),
            None => return found,
        }
    }
}

/// The first API that can be told how much of BuildKit's cache to keep (engine 28).
const BUDGET_SINCE: (usize, usize) = (1, 48);

/// Prunes BuildKit's cache to the budget; on engines that cannot be told one, removes what was not used
/// for a day. Its records cannot be told apart from those of other users of the engine.
pub(super) async fn trim_buildkit(engine: &EngineInner, budget_bytes: u64) {
    let version = engine.docker.client_version();
    let mut options = PruneBuildOptionsBuilder::default().all(true);
    if (version.major_version, version.minor_version) >= BUDGET_SINCE {
        options = options.max_used_space(i64::try_from(budget_bytes).unwrap_or(i64::MAX));
    } else {
        options = options.filters(&HashMap::from([("until".to_owned(), vec!["24h".to_owned()])]));
    }
    let pruning = engine.docker.prune_build(Some(options.build()));
    if let Err(error) = engine.call_within("prune the build cache", SLOW_CALL, pruning).await {
        tracing::warn!(error = %error, "build_cache.buildkit_not_trimmed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(builds: &mut Builds, image: &str, bytes: u64) {
        builds.keep(image, vec![format!("{image}-step"), image.to_owned()]).unique_bytes = Some(bytes);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_pinned_ones_stay() {
        let mut builds = Builds::default();
        for image in ["a", "b", "c"] {
            build(&mut builds, image, 10);
        }
        build(&mut builds, "a", 10);
        builds.kept.get_mut("b").unwrap().pins = 1;
        assert!(builds.over(30).is_empty());
        let gone: Vec<String> = builds.over(15).iter().flat_map(|kept| kept.images.clone()).collect();
        assert_eq!(gone, ["c-step", "c", "a-step", "a"]);
        assert!(builds.over(0).is_empty());
    }

    #[test]
    fn what_was_made_of_an_image_is_found_whatever_the_order() {
        let image = |id: &str, parent: &str| ImageSummary {
            id: format!("sha256:{id}"),
            parent_id: if parent.is_empty() { String::new() } else { format!("sha256:{parent}") },
            ..ImageSummary::default()
        };
        let all = [image("cc", "bb"), image("bb", "aa"), image("aa", ""), image("dd", ""), image("ee", "dd")];
        let all: Vec<&ImageSummary> = all.iter().collect();
        assert_eq!(standing_on(&["aa".to_owned()], &all), ["sha256:bb", "sha256:cc"]);
        assert!(standing_on(&[], &all).is_empty());
    }

    #[test]
    fn a_dropped_pin_frees_the_image() {
        let cache = ImageCache::default();
        lock(&cache.builds).keep("a", vec!["a".into()]).pins = 1;
        drop(Pin { builds: Arc::clone(&cache.builds), image: "a".into() });
        assert_eq!(lock(&cache.builds).kept["a"].pins, 0);
    }
}
