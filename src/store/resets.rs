//! One-time links with which somebody who forgot their password chooses a new one. The store keeps the
//! hash of a link's token only; the newest link of a person is the only one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::people::{end_sessions, person_columns};
use super::{Deed, Error, Person, Result, Store, after};

const NO_RESET: Error = Error::NotFound { what: "reset link" };

impl Store {
    /// Makes a link for `person` that holds for `lifetime`, in place of one made before. Tells until when.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn create_reset(
        &self,
        person: &Person,
        made_by: Uuid,
        cohort: Option<Uuid>,
        token_hash: &[u8],
        lifetime: Duration,
    ) -> Result<DateTime<Utc>> {
        let until = after(self.now(), lifetime);
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO password_resets (person, token_hash, made_by, expires_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (person) DO UPDATE SET token_hash = excluded.token_hash,
                 made_by = excluded.made_by, expires_at = excluded.expires_at",
        )
        .bind(person.id)
        .bind(token_hash)
        .bind(made_by)
        .bind(until)
        .execute(&mut **db)
        .await
        .map(drop))?;
        let deed = Deed {
            by: Some(made_by),
            action: "person.reset_link_made",
            cohort,
            subject: person.name.clone(),
            details: json!({ "until": until }),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await?;
        Ok(until)
    }

    /// For whom a link is, if it still holds.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn person_of_reset(&self, token_hash: &[u8]) -> Result<Option<Person>> {
        Ok(on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", person_columns!(), " FROM password_resets JOIN people ON people.id = password_resets.person
             WHERE password_resets.token_hash = $1 AND password_resets.expires_at > $2
                 AND people.deactivated_at IS NULL",
        ))
        .bind(token_hash)
        .bind(self.now())
        .fetch_optional(db)
        .await)?)
    }

    /// Uses a link up: its person has this password from now on, and every session of theirs ends.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the link was used, replaced or has run out.
    pub async fn use_reset(&self, token_hash: &[u8], password_hash: &str) -> Result<Person> {
        let mut tx = self.write().await?;
        let person: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "DELETE FROM password_resets WHERE token_hash = $1 AND expires_at > $2 RETURNING person",
        )
        .bind(token_hash)
        .bind(self.now())
        .fetch_optional(&mut **db)
        .await)?;
        let person: Option<Person> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "UPDATE people SET password_hash = $2 WHERE id = $1 AND deactivated_at IS NULL
             RETURNING ", person_columns!(),
        ))
        .bind(person.ok_or(NO_RESET)?)
        .bind(password_hash)
        .fetch_optional(&mut **db)
        .await)?;
        let person = person.ok_or(NO_RESET)?;
        end_sessions(&mut tx, person.id).await?;
        let deed = Deed {
            by: Some(person.id),
            action: "person.password_reset",
            cohort: None,
            subject: person.name.clone(),
            details: json!({}),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await?;
        Ok(person)
    }
}
