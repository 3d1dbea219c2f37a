//! Exercises that are being written: a folder each, in the content store, and who changed it last.
//!
//! A change names the revision it began with, so that two people who write at the same time never
//! lose each other's work: the second is told.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::audit::Deed;
use super::database::Writing;
use super::{Error, Result, Store, one_row};
use crate::submissions::Content;

/// An exercise that is being written.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Draft {
    pub slug: String,
    /// The folder in the content store.
    pub folder_sha256: String,
    /// Grows with every change, from 1.
    pub revision: i64,
    pub changed_at: DateTime<Utc>,
    /// The name of who changed it last; nobody for a worker or the command line.
    pub changed_by: Option<String>,
}

macro_rules! draft_query {
    ($rest:literal) => {
        concat!(
            "SELECT drafts.slug, drafts.folder_sha256, drafts.revision, drafts.changed_at,
                 people.name AS changed_by
             FROM drafts LEFT JOIN people ON people.id = drafts.changed_by ",
            $rest
        )
    };
}

impl Store {
    /// All drafts, by slug.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn drafts(&self) -> Result<Vec<Draft>> {
        Ok(on!(self.reads(), db => sqlx::query_as(draft_query!("ORDER BY drafts.slug"))
            .fetch_all(db)
            .await)?)
    }

    /// The draft of an exercise, if somebody writes it.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn draft(&self, slug: &str) -> Result<Option<Draft>> {
        if slug.contains('\0') {
            return Ok(None);
        }
        Ok(on!(self.reads(), db => sqlx::query_as(draft_query!("WHERE drafts.slug = $1"))
            .bind(slug)
            .fetch_optional(db)
            .await)?)
    }

    /// Begins a draft; `how` tells the audit log where it came from.
    ///
    /// # Errors
    /// [`Error::Taken`] with `name` when there is one of this name already.
    pub async fn create_draft(
        &self,
        slug: &str,
        folder: &Content,
        by: Option<Uuid>,
        how: &str,
    ) -> Result<Draft> {
        self.keep(folder).await?;
        let mut tx = self.write().await?;
        self.insert_draft(&mut tx, slug, folder, by, how).await?;
        self.commit(tx).await?;
        self.draft(slug).await?.ok_or(Error::NotFound { what: "draft" })
    }

    pub(super) async fn insert_draft(
        &self,
        tx: &mut Writing,
        slug: &str,
        folder: &Content,
        by: Option<Uuid>,
        how: &str,
    ) -> Result<()> {
        self.name_content(tx, folder).await?;
        let made = on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO drafts (slug, folder_sha256, revision, changed_at, changed_by)
             VALUES ($1, $2, 1, $3, $4) ON CONFLICT (slug) DO NOTHING",
        )
        .bind(slug)
        .bind(folder.sha256())
        .bind(self.now())
        .bind(by)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(made, Error::Taken { field: "name" })?;
        let deed = Deed {
            by,
            action: "draft.created",
            cohort: None,
            subject: slug.to_owned(),
            details: json!({"from": how, "content": folder.sha256()}),
        };
        self.insert_record(tx, deed).await
    }

    /// Puts another folder in the place of revision `from`; returns the new revision. `what` tells the
    /// audit log which change it was.
    ///
    /// # Errors
    /// [`Error::Changed`] when the draft is at another revision or gone; nothing is changed then.
    pub async fn save_draft(
        &self,
        slug: &str,
        from: i64,
        folder: &Content,
        by: Option<Uuid>,
        what: &str,
    ) -> Result<i64> {
        self.keep(folder).await?;
        let mut tx = self.write().await?;
        let revision = self.update_draft(&mut tx, slug, from, folder, by, what).await?;
        self.commit(tx).await?;
        Ok(revision)
    }

    pub(super) async fn update_draft(
        &self,
        tx: &mut Writing,
        slug: &str,
        from: i64,
        folder: &Content,
        by: Option<Uuid>,
        what: &str,
    ) -> Result<i64> {
        self.name_content(tx, folder).await?;
        let revision: Option<i64> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE drafts SET folder_sha256 = $3, revision = revision + 1, changed_at = $4, changed_by = $5
             WHERE slug = $1 AND revision = $2 RETURNING revision",
        )
        .bind(slug)
        .bind(from)
        .bind(folder.sha256())
        .bind(self.now())
        .bind(by)
        .fetch_optional(&mut **db)
        .await)?;
        let revision = revision.ok_or(Error::Changed { what: "draft" })?;
        let deed = Deed {
            by,
            action: "draft.saved",
            cohort: None,
            subject: slug.to_owned(),
            details: json!({"change": what, "revision": revision, "content": folder.sha256()}),
        };
        self.insert_record(tx, deed).await?;
        Ok(revision)
    }

    /// Throws a draft away; what was published of the exercise stays.
    ///
    /// # Errors
    /// [`Error::Changed`] when it is at another revision than `from` or gone.
    pub async fn discard_draft(&self, slug: &str, from: i64, by: Option<Uuid>) -> Result<()> {
        let mut tx = self.write().await?;
        let gone: Option<String> = on!(&mut tx.db, db => sqlx::query_scalar(
            "DELETE FROM drafts WHERE slug = $1 AND revision = $2 RETURNING folder_sha256",
        )
        .bind(slug)
        .bind(from)
        .fetch_optional(&mut **db)
        .await)?;
        // The content stays: a thing thrown away by mistake can be had back by its name.
        let content = gone.ok_or(Error::Changed { what: "draft" })?;
        let deed = Deed {
            by,
            action: "draft.discarded",
            cohort: None,
            subject: slug.to_owned(),
            details: json!({"content": content}),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }
}
