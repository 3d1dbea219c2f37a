//! What is handed out: published versions of exercises, and workshops.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::audit::Deed;
use super::columns::JsonText;
use super::database::Writing;
use super::{Error, Result, Store, one_row};
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
    /// Since when it takes no new submissions.
    pub retired_at: Option<DateTime<Utc>>,
}

/// A version of an exercise, handed out now or earlier.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Version {
    /// SHA-256 of the folder, as [`Exercise::version`].
    pub version: String,
    pub title: String,
    /// The folder in the content store.
    pub folder_sha256: String,
    pub published_at: DateTime<Utc>,
    /// The name of who published it; nobody for the exercises folder.
    pub published_by: Option<String>,
    /// How many submissions were handed in for it.
    pub submissions: i64,
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
        self.insert_version(&mut tx, slug, version, title, folder, None).await?;
        self.commit(tx).await
    }

    async fn insert_version(
        &self,
        tx: &mut Writing,
        slug: &str,
        version: &str,
        title: &str,
        folder: &Content,
        by: Option<Uuid>,
    ) -> Result<()> {
        self.name_content(tx, folder).await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO exercise_versions (slug, version, title, folder_sha256, published_at, published_by)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (slug, version) DO NOTHING",
        )
        .bind(slug)
        .bind(version)
        .bind(title)
        .bind(folder.sha256())
        .bind(self.now())
        .bind(by)
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
        Ok(())
    }

    /// Publishes what lies in the exercises folder, unless that same version came from there before: what
    /// was published in the browser since then stays.
    ///
    /// # Errors
    /// [`Error::Content`], [`Error::Database`] when either store fails; nothing is published then.
    pub async fn seed_exercise(&self, exercise: &Exercise) -> Result<()> {
        let seeded: Option<Option<String>> = on!(self.reads(), db => sqlx::query_scalar("SELECT seed FROM exercises WHERE slug = $1")
                .bind(&exercise.slug)
                .fetch_optional(db)
                .await)?;
        if seeded.flatten().as_deref() == Some(&exercise.version) {
            return Ok(());
        }
        self.keep(&exercise.folder).await?;
        let mut tx = self.write().await?;
        let Exercise { slug, version, title, folder, .. } = exercise;
        self.insert_version(&mut tx, slug, version, title, folder, None).await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE exercises SET seed = $2 WHERE slug = $1")
            .bind(slug)
            .bind(version)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// Publishes a folder whose verification has passed, as the version that is handed out from now on.
    /// A draft that has this very content has served its purpose and goes.
    ///
    /// # Errors
    /// [`Error::Refused`] when no verification of this content has passed.
    pub async fn publish_verified(&self, exercise: &Exercise, by: Option<Uuid>) -> Result<()> {
        let Exercise { slug, version, title, folder, .. } = exercise;
        self.keep(folder).await?;
        let mut tx = self.write().await?;
        let proven: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT id FROM jobs WHERE kind = 'verify' AND subject = $1 AND content_sha256 = $2 AND state = 'done'
                 AND passed LIMIT 1",
        )
        .bind(slug)
        .bind(folder.sha256())
        .fetch_optional(&mut **db)
        .await)?;
        let proven = proven.ok_or(Error::Refused(
            "This content has not been verified, or its verification did not pass, so it is not published. \
             Verify it first.",
        ))?;
        self.insert_version(&mut tx, slug, version, title, folder, by).await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM drafts WHERE slug = $1 AND folder_sha256 = $2")
            .bind(slug)
            .bind(folder.sha256())
            .execute(&mut **db)
            .await
            .map(drop))?;
        let deed = Deed {
            by,
            action: "exercise.published",
            cohort: None,
            subject: slug.clone(),
            details: json!({"version": version, "verification": proven}),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// Retires an exercise (it takes no new submissions, and new workshops do not have it) or brings it
    /// back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was never published.
    pub async fn set_retired(&self, slug: &str, retired: bool, by: Option<Uuid>) -> Result<()> {
        let at = retired.then(|| self.now());
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE exercises SET retired_at = $2 WHERE slug = $1")
            .bind(slug)
            .bind(at)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, Error::NotFound { what: "exercise" })?;
        let deed = Deed {
            by,
            action: if retired { "exercise.retired" } else { "exercise.brought_back" },
            cohort: None,
            subject: slug.to_owned(),
            details: json!({}),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// The versions of an exercise, newest first.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn versions(&self, slug: &str) -> Result<Vec<Version>> {
        if slug.contains('\0') {
            return Ok(Vec::new());
        }
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT v.version, v.title, v.folder_sha256, v.published_at, people.name AS published_by,
                 (SELECT COUNT(*) FROM submissions s
                  WHERE s.exercise = v.slug AND s.exercise_version = v.version) AS submissions
             FROM exercise_versions v LEFT JOIN people ON people.id = v.published_by
             WHERE v.slug = $1 ORDER BY v.published_at DESC, v.version",
        )
        .bind(slug)
        .fetch_all(db)
        .await)?)
    }

    /// Cohorts with submissions for an exercise that were never graded by the version that is handed out
    /// now, each with their number.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn graded_by_earlier_versions(&self, slug: &str) -> Result<Vec<(Uuid, String, i64)>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT s.cohort, cohorts.name, COUNT(*)
             FROM submissions s JOIN cohorts ON cohorts.id = s.cohort JOIN exercises e ON e.slug = s.exercise
             WHERE s.exercise = $1 AND NOT EXISTS (
                 SELECT 1 FROM gradings g WHERE g.submission = s.id AND g.exercise_version = e.version)
             GROUP BY s.cohort, cohorts.name ORDER BY cohorts.name",
        )
        .bind(slug)
        .fetch_all(db)
        .await)?)
    }

    /// How many versions each exercise has.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn version_counts(&self) -> Result<HashMap<String, i64>> {
        let counts: Vec<(String, i64)> = on!(self.reads(), db => sqlx::query_as(
            "SELECT slug, COUNT(*) FROM exercise_versions GROUP BY slug",
        )
        .fetch_all(db)
        .await)?;
        Ok(counts.into_iter().collect())
    }

    /// Publishes a workshop, in place of an earlier one of the same slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn publish_workshop(&self, workshop: &Workshop) -> Result<()> {
        let mut tx = self.write().await?;
        self.upsert_workshop(&mut tx, workshop).await?;
        self.commit(tx).await
    }

    async fn upsert_workshop(&self, tx: &mut Writing, workshop: &Workshop) -> Result<()> {
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
        Ok(())
    }

    /// Publishes a workshop of the exercises folder, unless the same came from there before: what was made
    /// of it in the browser since then stays.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn seed_workshop(&self, workshop: &Workshop) -> Result<()> {
        let mut tx = self.write().await?;
        let seed: Option<Option<JsonText<Workshop>>> = on!(&mut tx.db, db => sqlx::query_scalar("SELECT seed FROM workshops WHERE slug = $1")
                .bind(&workshop.slug)
                .fetch_optional(&mut **db)
                .await)?;
        if seed.flatten().is_some_and(|seed| seed.0 == *workshop) {
            return Ok(());
        }
        self.upsert_workshop(&mut tx, workshop).await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE workshops SET seed = $2 WHERE slug = $1")
            .bind(&workshop.slug)
            .bind(JsonText(workshop))
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// When a workshop was last published.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn workshop_published(&self, slug: &str) -> Result<Option<DateTime<Utc>>> {
        Ok(on!(self.reads(), db => sqlx::query_scalar("SELECT published_at FROM workshops WHERE slug = $1")
            .bind(slug.replace('\0', ""))
            .fetch_optional(db)
            .await)?)
    }

    /// Publishes a workshop in place of the one that was published at `seen` (`None`: there was none).
    ///
    /// # Errors
    /// [`Error::Changed`] when somebody else has published it meanwhile.
    pub async fn edit_workshop(
        &self,
        workshop: &Workshop,
        seen: Option<DateTime<Utc>>,
        by: Option<Uuid>,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let known: Option<DateTime<Utc>> = on!(&mut tx.db, db => sqlx::query_scalar("SELECT published_at FROM workshops WHERE slug = $1")
                .bind(&workshop.slug)
                .fetch_optional(&mut **db)
                .await)?;
        if known != seen {
            return Err(Error::Changed { what: "workshop" });
        }
        self.upsert_workshop(&mut tx, workshop).await?;
        let deed = Deed {
            by,
            action: if seen.is_none() { "workshop.created" } else { "workshop.published" },
            cohort: None,
            subject: workshop.slug.clone(),
            details: json!({"title": workshop.title, "sections": workshop.sections}),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// The version of every exercise that is handed out now, by slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn published_exercises(&self) -> Result<Vec<PublishedExercise>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT v.slug, v.version, v.title, v.folder_sha256, v.published_at,
                 exercises.retired_at
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
