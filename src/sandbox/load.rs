//! An image that was handed in, and not built here, comes to the engine.
//!
//! `grading` calls [`Sandbox::load`] with a docker archive in which the image has our name and no other:
//! a student's archive could else take the names of base images and of other students' images. From
//! then on it is kept, counted and removed as built images are.

use std::io;
use std::sync::PoisonError;

use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};

use super::Sandbox;
use super::build_cache::{self, Making};
use super::engine::SLOW_CALL;
use super::error::{Error, engine_words, status};

impl Sandbox {
    /// Loads the image `id` (`sha256:…` of its configuration) from what `archive` makes for a name, and gives
    /// the id by which the engine knows it. The inner error is a sentence for the student: the engine does not
    /// take this image.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn load<A>(
        &self,
        id: &str,
        archive: impl FnOnce(&str) -> A,
    ) -> Result<Result<String, String>, Error>
    where
        A: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let engine = &*self.engine;
        let mut making = Making::new(engine);
        // Before it is there: whatever ends this process, a later sweep finds it.
        making.note(id)?;
        let name = build_cache::name(engine, &engine.owner.id, id);
        let archive = archive(&name);
        let action = "load an image";
        let loading = async {
            let options = ImportImageOptionsBuilder::default().quiet(true).build();
            let body = bollard::body_try_stream(archive);
            engine.docker.import_image(options, body, None).try_for_each(|_| async { Ok(()) }).await?;
            engine.docker.inspect_image(&name).await
        };
        let found = match engine.answer(action, SLOW_CALL, loading).await? {
            Ok(found) => found,
            Err(error) if is_refusal(&error) => {
                return Ok(Err(format!(
                    "The engine does not take this image: {}. Build it anew, and look whether it runs on your own \
                     machine.",
                    engine_words(&error).trim_end_matches('.')
                )));
            }
            Err(error) => return Err(engine.error(action, &error)),
        };
        let id = found.id.unwrap_or_else(|| id.to_owned());
        let size_bytes = self.size_of(&id).await?;
        making.name(&id).await?;
        let pin = making.finished(&id, size_bytes);
        if size_bytes > self.limits.disk_bytes {
            drop(pin);
            engine.builder.cache.drop_build(engine, &id).await;
            return Ok(Err(format!(
                "The image is {} MiB large, more than this exercise allows ({} MiB); leave out what is not needed to \
                 run it.",
                size_bytes >> 20,
                self.limits.disk_bytes >> 20
            )));
        }
        self.pins.lock().unwrap_or_else(PoisonError::into_inner).push(pin);
        self.trim_in_background(super::build::Builder::Classic);
        Ok(Ok(id))
    }
}

/// Whether the engine looked at the image and would not have it: its own words come in the answer's stream, or
/// with a status that says that the request was wrong.
fn is_refusal(error: &bollard::errors::Error) -> bool {
    let looked = matches!(error, bollard::errors::Error::DockerStreamError { .. })
        || status(error).is_some_and(|status| (400..500).contains(&status) && status != 404);
    looked && !engine_words(error).contains("no space left")
}
