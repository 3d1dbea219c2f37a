//! Who grades: a row per worker, for the admin's page and `/metrics`. Nothing depends on it; leases do the
//! work.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Result, Store, columns::JsonText, columns::text};
use crate::report::{Phase, Verdict};

/// Upper bounds of the buckets of [`Durations`], in seconds.
pub const PHASE_BUCKETS: [f64; 7] = [0.1, 0.5, 2.0, 5.0, 15.0, 60.0, 300.0];

/// What a worker has done since it started. It is kept by the worker and stored whenever that tells about
/// itself, so that a server can tell it of workers on other machines too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerFigures {
    /// What gradings took, by phase; every attempt counts.
    pub phases: BTreeMap<Phase, Durations>,
    /// Verdicts that were stored.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Attempts at a grading that ended with a fault of ours.
    pub faults: u64,
    /// How often the engine did not answer when it was asked whether it is there.
    pub silences: u64,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durations {
    /// How often it was measured.
    pub count: u64,
    /// Seconds, summed.
    pub seconds: f64,
    /// How many were within each of [`PHASE_BUCKETS`], cumulative.
    pub buckets: Vec<u64>,
}

impl Durations {
    /// One more.
    pub fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.seconds += seconds;
        self.buckets.resize(PHASE_BUCKETS.len(), 0);
        for (bucket, bound) in self.buckets.iter_mut().zip(PHASE_BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
    }
}

impl From<String> for WorkerFigures {
    /// Of what another version wrote and this one cannot read, nothing is told.
    fn from(json: String) -> Self {
        serde_json::from_str(&json).unwrap_or_default()
    }
}

/// A worker, as it last told about itself.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
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
    #[sqlx(try_from = "String")]
    pub figures: WorkerFigures,
}

/// What a worker last found out about its engine.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Examined {
    /// The worker's name in leases.
    pub id: String,
    /// What its engine keeps of the sandbox's rules, JSON.
    pub doctor: Option<String>,
    pub doctor_at: Option<DateTime<Utc>>,
    /// Which images it has of those that are needed, JSON.
    pub images: Option<String>,
    pub images_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Notes that a worker lives, and how it is. `last_seen` is filled in here.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_seen(&self, worker: &Worker) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO workers (id, host, version, engine, started_at, last_seen, paused_because, figures)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (id) DO UPDATE
             SET host = excluded.host, version = excluded.version, engine = excluded.engine,
                 started_at = excluded.started_at, last_seen = excluded.last_seen,
                 paused_because = excluded.paused_because, figures = excluded.figures",
        )
        .bind(&worker.id)
        .bind(&worker.host)
        .bind(&worker.version)
        .bind(&worker.engine)
        .bind(worker.started_at)
        .bind(self.now())
        .bind(worker.paused_because.as_deref().map(text))
        .bind(JsonText(&worker.figures))
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// Keeps what a worker's engine was found to keep of the sandbox's rules.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_examined(&self, id: &str, points: &Value) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE workers SET doctor = $2, doctor_at = $3 WHERE id = $1")
            .bind(id)
            .bind(text(&points.to_string()))
            .bind(self.now())
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// Keeps which images a worker's engine has.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_images(&self, id: &str, images: &Value) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE workers SET images = $2, images_at = $3 WHERE id = $1")
            .bind(id)
            .bind(text(&images.to_string()))
            .bind(self.now())
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// What the workers last found out about their engines.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn workers_examined(&self) -> Result<Vec<Examined>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT id, doctor, doctor_at, images, images_at FROM workers",
        )
        .fetch_all(db)
        .await)?)
    }

    /// Removes a worker that has ended.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn worker_gone(&self, id: &str) -> Result<()> {
        let mut tx = self.write().await?;
        // What only this one could do is done by nobody any more.
        on!(&mut tx.db, db => sqlx::query("DELETE FROM jobs WHERE worker = $1 AND state <> 'done'")
            .bind(id)
            .execute(&mut **db)
            .await
            .map(drop))?;
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
            "SELECT id, host, version, engine, started_at, last_seen, paused_because, figures
             FROM workers ORDER BY last_seen DESC, id",
        )
        .fetch_all(db)
        .await)?)
    }
}
