//! What has to be fetched before it can be graded, and the secrets for it, sealed.
//!
//! A submission that names a repository or an image is stored with its address alone. The first
//! grading fetches it and writes down what it was, under its lease, so that every later grading
//! looks at the same; the token that was needed is forgotten then.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::{JsonText, count};
use super::database::Writing;
use super::{Error, Lease, Result, Store, one_row};
use crate::submissions::remote::Credentials;
use crate::submissions::{Content, Source};

/// A registry for which a cohort has a login.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct RegistryLogin {
    /// Host, with its port if it has one.
    pub registry: String,
    /// The user name.
    pub username: String,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
}

/// What a submission's token belongs to.
fn submission_owner(submission: Uuid) -> String {
    format!("submission {submission}")
}

fn registry_owner(cohort: Uuid, registry: &str) -> String {
    format!("cohort {cohort} registry {registry}")
}

impl Store {
    /// The sealed form of a submission's login, for its row.
    pub(super) fn seal_login(&self, submission: Uuid, login: &Credentials) -> Vec<u8> {
        let plain = format!("{}\n{}", login.username(), login.secret());
        self.inner.seal.close(&plain, &submission_owner(submission))
    }

    /// The login that was handed in with a submission, as long as its content has not been fetched.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was sealed with another key.
    pub async fn login_of(&self, submission: Uuid) -> Result<Option<Credentials>> {
        let sealed: Option<Vec<u8>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT credentials FROM submissions WHERE id = $1",
        )
        .bind(submission)
        .fetch_one(db)
        .await)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.inner.seal.open(&sealed, &submission_owner(submission))?;
        let (username, secret) = plain.split_once('\n').unwrap_or(("", &plain));
        Ok(Some(Credentials::new(username, secret)))
    }

    /// Writes down what a submission turned out to be when it was fetched: its exact source, and its
    /// content if it has files. Its token is forgotten.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading: then nothing is written.
    pub async fn fetched(
        &self,
        lease: &Lease,
        submission: Uuid,
        source: &Source,
        content: Option<&Content>,
    ) -> Result<()> {
        if let Some(content) = content {
            self.keep(content).await?;
        }
        let (files, bytes) = content.map_or((0, 0), Content::summary);
        let mut tx = self.write().await?;
        if let Some(content) = content {
            self.name_content(&mut tx, content).await?;
        }
        let written = on!(&mut tx.db, db => sqlx::query(
            "UPDATE submissions SET source = $1, content_sha256 = $2, files = $3, bytes = $4, credentials = NULL
             WHERE id = $5 AND content_sha256 IS NULL AND EXISTS (
                 SELECT 1 FROM gradings WHERE id = $6 AND leased_by = $7 AND claims = $8 AND state = 'running'
                     AND submission = $5)",
        )
        .bind(JsonText(source))
        .bind(content.map(Content::sha256))
        .bind(count(files))
        .bind(count(bytes))
        .bind(submission)
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(written, Error::LeaseLost(lease.grading))?;
        self.commit(tx).await
    }

    /// Keeps a cohort's login for a registry, in place of the one before.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn set_registry_login(&self, cohort: Uuid, registry: &str, login: &Credentials) -> Result<()> {
        let sealed = self.inner.seal.close(login.secret(), &registry_owner(cohort, registry));
        let mut tx: Writing = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO registry_logins (cohort, registry, username, secret, changed_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (cohort, registry) DO UPDATE
             SET username = excluded.username, secret = excluded.secret, changed_at = excluded.changed_at",
        )
        .bind(cohort)
        .bind(registry)
        .bind(login.username())
        .bind(sealed)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// The registries for which a cohort has a login, by name; without the secrets.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn registry_logins(&self, cohort: Uuid) -> Result<Vec<RegistryLogin>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT registry, username, changed_at FROM registry_logins WHERE cohort = $1 ORDER BY registry",
        )
        .bind(cohort)
        .fetch_all(db)
        .await)?)
    }

    /// A cohort's login for a registry.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was sealed with another key.
    pub async fn registry_login(&self, cohort: Uuid, registry: &str) -> Result<Option<Credentials>> {
        let row: Option<(String, Vec<u8>)> = on!(self.reads(), db => sqlx::query_as(
            "SELECT username, secret FROM registry_logins WHERE cohort = $1 AND registry = $2",
        )
        .bind(cohort)
        .bind(registry)
        .fetch_optional(db)
        .await)?;
        let Some((username, sealed)) = row else { return Ok(None) };
        let secret = self.inner.seal.open(&sealed, &registry_owner(cohort, registry))?;
        Ok(Some(Credentials::new(username, secret)))
    }

    /// Forgets a cohort's login for a registry.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn remove_registry_login(&self, cohort: Uuid, registry: &str) -> Result<()> {
        let mut tx = self.write().await?;
        let removed = on!(&mut tx.db, db => sqlx::query(
            "DELETE FROM registry_logins WHERE cohort = $1 AND registry = $2",
        )
        .bind(cohort)
        .bind(registry)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(removed, Error::NotFound { what: "registry login" })?;
        self.commit(tx).await
    }
}
