//! What trainers and admins change about a cohort: its name, its code, whether it is open.

use uuid::Uuid;

use super::database::Writing;
use super::{Deed, Error, Result, Store, one_row};
use crate::accounts::canonical_join_code;

impl Store {
    /// Gives a cohort another name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn rename_cohort(&self, cohort: Uuid, name: &str, by: Option<Uuid>) -> Result<()> {
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE cohorts SET name = $2 WHERE id = $1")
            .bind(cohort)
            .bind(name)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_COHORT)?;
        self.tell(&mut tx, cohort, "cohort.renamed", name, by).await?;
        self.commit(tx).await
    }

    /// Gives a cohort another join code; the one before leads nowhere from then on. Who has joined stays.
    ///
    /// # Errors
    /// [`Error::Taken`] with `join_code` when another cohort has that code, [`Error::NotFound`] when there is no
    /// such cohort or it is no code.
    pub async fn set_join_code(&self, cohort: Uuid, join_code: &str, by: Option<Uuid>) -> Result<()> {
        let code = canonical_join_code(join_code).ok_or(Error::NotFound { what: "join code" })?;
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE cohorts SET join_code = $2 WHERE id = $1")
            .bind(cohort)
            .bind(code)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_COHORT)?;
        // Not the code itself: who reads the records need not be able to join.
        self.tell(&mut tx, cohort, "cohort.code_changed", "join code", by).await?;
        self.commit(tx).await
    }

    /// Closes a cohort (nobody joins or hands in any more) or opens it again. Closing a closed one changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn close_cohort(&self, cohort: Uuid, closed: bool, by: Option<Uuid>) -> Result<()> {
        let at = closed.then(|| self.now());
        let mut tx = self.write().await?;
        let name: Option<String> = on!(&mut tx.db, db => sqlx::query_scalar(
            "UPDATE cohorts SET closed_at = CASE WHEN $3 THEN COALESCE(closed_at, $2) END WHERE id = $1
             RETURNING name",
        )
        .bind(cohort)
        .bind(at)
        .bind(closed)
        .fetch_optional(&mut **db)
        .await)?;
        let action = if closed { "cohort.closed" } else { "cohort.opened" };
        self.tell(&mut tx, cohort, action, &name.ok_or(NO_COHORT)?, by).await?;
        self.commit(tx).await
    }

    async fn tell(
        &self,
        tx: &mut Writing,
        cohort: Uuid,
        action: &'static str,
        subject: &str,
        by: Option<Uuid>,
    ) -> Result<()> {
        let deed = Deed {
            by,
            action,
            cohort: Some(cohort),
            subject: subject.to_owned(),
            details: serde_json::Value::Object(serde_json::Map::new()),
        };
        self.insert_record(tx, deed).await
    }
}

const NO_COHORT: Error = Error::NotFound { what: "cohort" };
