//! Who grades: a row per worker, for the admin's page. Nothing depends on it; leases do the work.

use chrono::{DateTime, Utc};

use super::{Result, Store, columns::text};

/// A worker, as it last told about itself.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Worker {
    /// Its name in leases.
    pub id: String,
    pub host: String,
    /// Drydock's version.
    pub version: String,
    /// The engine it grades on, once it has answered.
    pub engine: Option<String>,
    pub started_at: DateTime<Utc>,
    /// When it last told about itself. Set by the store.
    pub last_seen: DateTime<Utc>,
    /// Why it claims nothing at the moment.
    pub paused_because: Option<String>,
}

impl Store {
    /// Notes that a worker lives, and how it is. `last_seen` is filled in here.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_seen(&self, worker: &Worker) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO workers (id, host, version, engine, started_at, last_seen, paused_because)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE
             SET host = excluded.host, version = excluded.version, engine = excluded.engine,
                 started_at = excluded.started_at, last_seen = excluded.last_seen,
                 paused_because = excluded.paused_because",
        )
        .bind(&worker.id)
        .bind(&worker.host)
        .bind(&worker.version)
        .bind(&worker.engine)
        .bind(worker.started_at)
        .bind(self.now())
        .bind(worker.paused_because.as_deref().map(text))
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// Removes a worker that has ended.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_gone(&self, id: &str) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM workers WHERE id = $1")
            .bind(id)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// All workers that were not removed, last seen first.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT id, host, version, engine, started_at, last_seen, paused_because
             FROM workers ORDER BY last_seen DESC, id",
        )
        .fetch_all(db)
        .await)?)
    }
}
