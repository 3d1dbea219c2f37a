//! Published exercises, parsed once: every page about an exercise needs it, and a version never
//! changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Error, Result};
use crate::exercises::{Exercise, Workshop};
use crate::store::{Cohort, Store};

/// Versions kept in memory. A server with more than this many in use reads some again.
const VERSIONS: usize = 512;

/// The versions read so far. Clones share them.
#[derive(Clone)]
pub struct Shelf {
    store: Store,
    parsed: Arc<Mutex<HashMap<String, Arc<Exercise>>>>,
}

impl Shelf {
    pub(super) fn new(store: Store) -> Self {
        Self { store, parsed: Arc::default() }
    }

    /// One version of an exercise.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown version; a fault of ours when a stored one cannot be read.
    pub async fn version(&self, slug: &str, version: &str) -> Result<Arc<Exercise>> {
        if let Some(known) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(version) {
            return Ok(Arc::clone(known));
        }
        let folder = self.store.exercise_folder(slug, version).await?;
        let exercise = Exercise::from_content(slug, &folder).map_err(|mistakes| {
            let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Error::internal(format!("stored exercise {slug} {version}: {}", told.join("; ")))
        })?;
        let exercise = Arc::new(exercise);
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.len() >= VERSIONS {
            parsed.clear();
        }
        parsed.insert(version.to_owned(), Arc::clone(&exercise));
        Ok(exercise)
    }

    /// The published version of an exercise.
    ///
    /// # Errors
    /// [`Error::NotFound`] when none is published under this name.
    pub async fn current(&self, slug: &str) -> Result<Arc<Exercise>> {
        let published = self.store.published_exercises().await?;
        let found = published.iter().find(|exercise| exercise.slug == slug);
        let found = found.ok_or_else(|| Error::no_such("exercise"))?;
        self.version(slug, &found.version).await
    }

    /// The workshop of a cohort.
    ///
    /// # Errors
    /// A fault of ours when it is gone.
    pub async fn workshop(&self, cohort: &Cohort) -> Result<Workshop> {
        let workshop = self.store.workshop(&cohort.workshop).await?;
        workshop.ok_or_else(|| {
            Error::internal(format!("workshop {} of cohort {} is not stored", cohort.workshop, cohort.id))
        })
    }

    /// The published versions of a workshop's exercises, by slug. One that is not published is left out.
    ///
    /// # Errors
    /// A fault of ours when a stored one cannot be read.
    pub async fn of_workshop(&self, workshop: &Workshop) -> Result<HashMap<String, Arc<Exercise>>> {
        let published = self.store.published_exercises().await?;
        let mut found = HashMap::new();
        for exercise in published {
            if workshop.sections.iter().any(|section| section.exercises.contains(&exercise.slug)) {
                let parsed = self.version(&exercise.slug, &exercise.version).await?;
                found.insert(exercise.slug, parsed);
            }
        }
        Ok(found)
    }

    /// The published version of an exercise of a cohort's workshop.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the workshop does not have it.
    pub async fn of_cohort(&self, cohort: &Cohort, slug: &str) -> Result<Arc<Exercise>> {
        let workshop = self.workshop(cohort).await?;
        if !workshop.sections.iter().any(|section| section.exercises.iter().any(|theirs| theirs == slug)) {
            return Err(Error::no_such("exercise in this workshop"));
        }
        self.current(slug).await
    }
}
