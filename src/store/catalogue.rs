//! What is handed out: published versions of exercises, and workshops.

use chrono::{DateTime, Utc};

use super::columns::JsonText;
use super::{Error, Result, Store};
use crate::exercises::{Exercise, Workshop};
use crate::submissions::Content;

/// A published version of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PublishedExercise {
    pub slug: String,
    /// SHA-256 of the folder, as [`Exercise::version`].
    pub version: String,
    pub title: String,
    /// The folder in the content store.
    pub folder_sha256: String,
    pub published_at: DateTime<Utc>,
}

impl Store {
    /// Publishes a version and makes it the one that is handed out (idempotent): content into the
    /// content store first, then the rows.
    ///
    /// # Errors
    /// [`Error::Content`], [`Error::Database`] when either store fails; nothing is published then.
    pub async fn publish_exercise(&self, exercise: &Exercise) -> Result<()> {
        self.publish_version(&exercise.slug, &exercise.version, &exercise.title, &exercise.folder).await
    }

    /// [`Store::publish_exercise`] by its parts, for a folder that is not read as an exercise here.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_version(
        &self,
        slug: &str,
        version: &str,
        title: &str,
        folder: &Content,
    ) -> Result<()> {
        self.keep(folder).await?;
        let mut tx = self.write().await?;
        self.name_content(&mut tx, folder).await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO exercise_versions (slug, version, title, folder_sha256, published_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (slug, version) DO NOTHING",
        )
        .bind(slug)
        .bind(version)
        .bind(title)
        .bind(folder.sha256())
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO exercises (slug, version) VALUES ($1, $2)
             ON CONFLICT (slug) DO UPDATE SET version = excluded.version",
        )
        .bind(slug)
        .bind(version)
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// Publishes a workshop, in place of an earlier one of the same slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn publish_workshop(&self, workshop: &Workshop) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO workshops (slug, definition, published_at) VALUES ($1, $2, $3)
             ON CONFLICT (slug) DO UPDATE
             SET definition = excluded.definition, published_at = excluded.published_at",
        )
        .bind(&workshop.slug)
        .bind(JsonText(workshop))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// The version of every exercise that is handed out now, by slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn published_exercises(&self) -> Result<Vec<PublishedExercise>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT v.slug, v.version, v.title, v.folder_sha256, v.published_at
             FROM exercises JOIN exercise_versions v ON v.slug = exercises.slug AND v.version = exercises.version
             ORDER BY v.slug",
        )
        .fetch_all(db)
        .await)?)
    }

    /// The workshop with this slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn workshop(&self, slug: &str) -> Result<Option<Workshop>> {
        if slug.contains('\0') {
            return Ok(None);
        }
        let definition: Option<JsonText<Workshop>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT definition FROM workshops WHERE slug = $1",
        )
        .bind(slug)
        .fetch_optional(db)
        .await)?;
        Ok(definition.map(|definition| definition.0))
    }

    /// All workshops, by slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn workshops(&self) -> Result<Vec<Workshop>> {
        let definitions: Vec<JsonText<Workshop>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT definition FROM workshops ORDER BY slug",
        )
        .fetch_all(db)
        .await)?;
        Ok(definitions.into_iter().map(|definition| definition.0).collect())
    }

    /// The frozen folder of a version, from the content store.
    ///
    /// # Errors
    /// [`Error::NotFound`] when that version was never published, [`Error::Corrupt`] when its content
    /// is missing or damaged.
    pub async fn exercise_folder(&self, slug: &str, version: &str) -> Result<Content> {
        let folder: Option<String> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT folder_sha256 FROM exercise_versions WHERE slug = $1 AND version = $2",
        )
        .bind(slug)
        .bind(version)
        .fetch_optional(db)
        .await)?;
        self.content(&folder.ok_or(Error::NotFound { what: "exercise version" })?).await
    }
}
