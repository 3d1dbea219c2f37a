//! Failed sign-ins, counted in the database so that a restart forgives nobody and every process counts
//! together. How long a block lasts is a rule of [`crate::accounts::throttle`].

use chrono::{DateTime, Utc};

use super::{Result, Store, after};
use crate::accounts::SignInKey;
use crate::accounts::throttle::FORGOTTEN_AFTER;

impl Store {
    /// Counts a failed sign-in; tells until when further tries of this key are refused.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn note_failed_sign_in(&self, key: SignInKey<'_>) -> Result<Option<DateTime<Utc>>> {
        let now = self.now();
        let forgotten = now - FORGOTTEN_AFTER;
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM sign_in_failures WHERE last_failed_at <= $1")
            .bind(forgotten)
            .execute(&mut **db)
            .await
            .map(drop))?;
        let failures: i32 = on!(&mut tx.db, db => sqlx::query_scalar(
            "INSERT INTO sign_in_failures (key, failures, last_failed_at) VALUES ($1, 1, $2)
             ON CONFLICT (key) DO UPDATE
             SET failures = sign_in_failures.failures + 1, last_failed_at = excluded.last_failed_at
             RETURNING failures",
        )
        .bind(&key.digest()[..])
        .bind(now)
        .fetch_one(&mut **db)
        .await)?;
        let blocked_until =
            key.blocked_for(u32::try_from(failures).unwrap_or(u32::MAX)).map(|block| after(now, block));
        on!(&mut tx.db, db => sqlx::query("UPDATE sign_in_failures SET blocked_until = $2 WHERE key = $1")
            .bind(&key.digest()[..])
            .bind(blocked_until)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await?;
        Ok(blocked_until)
    }

    /// Until when tries of this key are refused, if they are now.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn sign_in_blocked_until(&self, key: SignInKey<'_>) -> Result<Option<DateTime<Utc>>> {
        let until: Option<DateTime<Utc>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT blocked_until FROM sign_in_failures WHERE key = $1 AND blocked_until > $2",
        )
        .bind(&key.digest()[..])
        .bind(self.now())
        .fetch_optional(db)
        .await)?;
        Ok(until)
    }

    /// Forgets the failures of a key. For the name of whoever signed in; the address's failures stay,
    /// or somebody with an account could try others' names without end.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn clear_failed_sign_ins(&self, key: SignInKey<'_>) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM sign_in_failures WHERE key = $1")
            .bind(&key.digest()[..])
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }
}
