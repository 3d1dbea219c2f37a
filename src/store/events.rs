//! What happened in a grading, in order: the live view's memory.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::bells::Bell;
use super::database::Writing;
use super::{Error, Lease, Result, Store};

/// A stored live event (payload is [`crate::live::Event`] as JSON).
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredEvent {
    /// 1, 2, … per grading.
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub payload: String,
}

/// Gradings whose events one transaction of [`Store::prune_events`] thins out, so that no writer
/// waits for long.
const PRUNED_AT_ONCE: i64 = 100;

impl Store {
    /// Appends events under the lease; `seq` starts at 1 per grading and continues over attempts.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading or it was finished.
    pub async fn append_events(&self, lease: &Lease, payloads: &[String]) -> Result<Vec<StoredEvent>> {
        if payloads.is_empty() {
            return Ok(Vec::new());
        }
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let mut tx = self.write().await?;
        let stored = self.append_in(&mut tx, lease, &payloads).await?;
        self.commit(tx).await?;
        Ok(stored)
    }

    pub(super) async fn append_in(
        &self,
        tx: &mut Writing,
        lease: &Lease,
        payloads: &[&str],
    ) -> Result<Vec<StoredEvent>> {
        let number = super::columns::count(payloads.len());
        let last: Option<i64> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE gradings SET last_seq = last_seq + $4
             WHERE id = $1 AND leased_by = $2 AND claims = $3 AND state = 'running' RETURNING last_seq",
        )
        .bind(lease.grading)
        .bind(&lease.worker)
        .bind(lease.claim)
        .bind(number)
        .fetch_optional(&mut **db)
        .await)?;
        let first = last.ok_or(Error::LeaseLost(lease.grading))? - number + 1;
        let at = self.now();
        let mut stored = Vec::with_capacity(payloads.len());
        for (seq, payload) in (first..).zip(payloads) {
            on!(&mut tx.db, db => sqlx::query(
                "INSERT INTO events (grading, seq, at, payload) VALUES ($1, $2, $3, $4)",
            )
            .bind(lease.grading)
            .bind(seq)
            .bind(at)
            .bind(*payload)
            .execute(&mut **db)
            .await
            .map(drop))?;
            stored.push(StoredEvent { seq, at, payload: (*payload).to_owned() });
        }
        tx.ring(Bell::Events(lease.grading));
        Ok(stored)
    }

    /// Events after `seq`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn events_after(&self, grading: Uuid, seq: i64, limit: i64) -> Result<Vec<StoredEvent>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT seq, at, payload FROM events WHERE grading = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(grading)
        .bind(seq)
        .bind(limit)
        .fetch_all(db)
        .await)?)
    }

    /// Removes the events of gradings that were finished before `before`, but for the last of each,
    /// which tells watchers that nothing more comes. Reports stay. Returns how many were removed.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails; what was removed until then stays removed.
    pub async fn prune_events(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut tx = self.write().await?;
            let old: Vec<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
                "UPDATE gradings SET pruned = TRUE WHERE id IN (
                     SELECT id FROM gradings
                     WHERE state = 'done' AND NOT pruned AND finished_at < $1
                     ORDER BY finished_at LIMIT $2)
                 RETURNING id",
            )
            .bind(before)
            .bind(PRUNED_AT_ONCE)
            .fetch_all(&mut **db)
            .await)?;
            if old.is_empty() {
                return Ok(removed);
            }
            for grading in old {
                removed += on!(&mut tx.db, db => sqlx::query(
                    "DELETE FROM events WHERE grading = $1
                         AND seq < (SELECT last_seq FROM gradings WHERE id = $1)",
                )
                .bind(grading)
                .execute(&mut **db)
                .await
                .map(|done| done.rows_affected()))?;
            }
            self.commit(tx).await?;
        }
    }
}
