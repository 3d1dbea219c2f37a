//! The images that exercises stand on: whether the engine has them, and how they come to it, from a registry
//! or in a file for a room without a network.
//!
//! For `drydock images`, which an admin calls: what is named here is trusted, and goes by its own name.

use std::io;

use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use super::bases;
use super::engine::{CALL, Engine, SLOW_CALL};
use super::error::{Error, engine_words, status};

impl Engine {
    /// The size of an image in bytes; `None` where the engine does not have it.
    ///
    /// # Errors
    /// When the engine cannot tell.
    pub async fn image_bytes(&self, reference: &str) -> Result<Option<u64>, Error> {
        let engine = &self.inner;
        let action = "inspect an image";
        match engine.answer(action, CALL, engine.docker.inspect_image(reference)).await? {
            Ok(found) => Ok(Some(found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(engine.error(action, &error)),
        }
    }

    /// Pulls an image from its registry, whatever the settings say of pulling by itself.
    ///
    /// # Errors
    /// [`Error::ImageMissing`] with the engine's words.
    pub async fn pull_image(&self, reference: &str) -> Result<(), Error> {
        bases::pull_trusted(&self.inner, reference).await
    }

    /// The images as one archive, as `docker save` writes it, layers that they share once.
    pub fn saved_images(&self, references: &[String]) -> impl Stream<Item = Result<Bytes, Error>> {
        let engine = &self.inner;
        let names: Vec<&str> = references.iter().map(String::as_str).collect();
        engine.docker.export_images(&names).map_err(|error| engine.error("save images", &error))
    }

    /// Loads what [`Self::saved_images`] or `docker save` wrote; the names that came with it.
    ///
    /// # Errors
    /// When the archive cannot be read, or the engine does not take it.
    pub async fn load_images<S>(&self, archive: S) -> Result<Vec<String>, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let engine = &self.inner;
        let action = "load images";
        let loading = async {
            let mut loaded = Vec::new();
            let options = ImportImageOptionsBuilder::default().build();
            let mut told = engine.docker.import_image(options, bollard::body_try_stream(archive), None);
            while let Some(told) = told.next().await {
                let text = told?.stream.unwrap_or_default();
                loaded.extend(text.trim().strip_prefix("Loaded image: ").map(str::to_owned));
            }
            Ok(loaded)
        };
        match engine.answer(action, SLOW_CALL * 10, loading).await? {
            Ok(loaded) => Ok(loaded),
            Err(error) => Err(Error::Engine { action: action.into(), cause: engine_words(&error) }),
        }
    }
}
