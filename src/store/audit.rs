//! Who changed what of the house, for admins to look up. Written in the transaction that makes the
//! change, so that there is no change without its row and no row without its change.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::columns::{JsonText, text};
use super::database::Writing;
use super::{Result, Store};

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Who; nobody for the command line.
    pub by: Option<Uuid>,
    /// `<thing>.<what was done>`, as in `check.overridden`.
    pub action: &'static str,
    /// The cohort that it belongs to, where it belongs to one.
    pub cohort: Option<Uuid>,
    /// What it was done to, in words for a reader.
    pub subject: String,
    /// Names of values and their new values. Never a secret.
    pub details: Value,
}

/// A deed as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Sorts by time.
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// The name of who did it, as it is now; nobody for the command line.
    pub by: Option<String>,
    pub action: String,
    /// The cohort's name, as it is now.
    pub cohort: Option<String>,
    pub subject: String,
    pub details: Value,
}

/// Which records are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditWish {
    /// Only those of a person.
    pub by: Option<Uuid>,
    /// Only those of a cohort.
    pub cohort: Option<Uuid>,
    /// Only those whose action begins so (`check.`).
    pub action: String,
    /// Only those before this one.
    pub before: Option<Uuid>,
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    id: Uuid,
    at: DateTime<Utc>,
    by_name: Option<String>,
    action: String,
    cohort_name: Option<String>,
    subject: String,
    details: JsonText<Value>,
}

impl Store {
    /// Writes a deed down that changes nothing else in the database.
    ///
    /// # Errors
    /// [`super::Error::NotFound`] when there is no such person or cohort.
    pub async fn record(&self, deed: Deed) -> Result<()> {
        let mut tx = self.write().await?;
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// Writes a deed down with the change itself.
    pub(super) async fn insert_record(&self, tx: &mut Writing, deed: Deed) -> Result<()> {
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO audit (id, at, person, action, cohort, subject, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.new_id())
        .bind(self.now())
        .bind(deed.by)
        .bind(deed.action)
        .bind(deed.cohort)
        .bind(text(&deed.subject))
        .bind(text(&deed.details.to_string()))
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(())
    }

    /// What was done, newest first, at most `most`.
    ///
    /// # Errors
    /// [`super::Error::Database`] when the database fails.
    pub async fn records(&self, wish: &AuditWish, most: i64) -> Result<Vec<Record>> {
        let rows: Vec<RecordRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT audit.id, audit.at, people.name AS by_name, audit.action,
                 cohorts.name AS cohort_name, audit.subject, audit.details
             FROM audit
             LEFT JOIN people ON people.id = audit.person
             LEFT JOIN cohorts ON cohorts.id = audit.cohort
             WHERE ($1 IS NULL OR audit.person = $1) AND ($2 IS NULL OR audit.cohort = $2)
                 AND substr(audit.action, 1, $3) = $4 AND ($5 IS NULL OR audit.id < $5)
             ORDER BY audit.id DESC LIMIT $6",
        )
        .bind(wish.by)
        .bind(wish.cohort)
        .bind(i32::try_from(wish.action.chars().count()).unwrap_or(i32::MAX))
        .bind(text(&wish.action))
        .bind(wish.before)
        .bind(most)
        .fetch_all(db)
        .await)?;
        let record = |row: RecordRow| Record {
            id: row.id,
            at: row.at,
            by: row.by_name,
            action: row.action,
            cohort: row.cohort_name,
            subject: row.subject,
            details: row.details.0,
        };
        Ok(rows.into_iter().map(record).collect())
    }
}
