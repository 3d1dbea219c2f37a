//! People: everybody who can sign in.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::database::Writing;
use super::{Error, Result, Store, one_row};
use crate::accounts::name_key;

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Person {
    pub id: Uuid,
    /// As it is shown.
    pub name: String,
    /// PHC string, see [`crate::accounts::Passwords`].
    pub password_hash: String,
    /// Whether they may do everything everywhere.
    pub admin: bool,
    pub created_at: DateTime<Utc>,
    /// Since when they cannot sign in any more; what they handed in stays.
    pub deactivated_at: Option<DateTime<Utc>>,
}

macro_rules! person_columns {
    () => {
        "people.id, people.name, people.password_hash, people.admin, people.created_at, people.deactivated_at"
    };
}
pub(super) use person_columns;

const NO_PERSON: Error = Error::NotFound { what: "person" };

impl Store {
    /// Makes an account. `name` is kept as it is given: clean it with [`crate::accounts::clean_name`].
    ///
    /// # Errors
    /// [`Error::Taken`] with `name` when somebody has that name, however it is written.
    pub async fn create_person(&self, name: &str, password_hash: &str, admin: bool) -> Result<Person> {
        let mut tx = self.write().await?;
        let person = self.insert_person(&mut tx, name, password_hash, admin).await?;
        self.commit(tx).await?;
        Ok(person)
    }

    pub(super) async fn insert_person(
        &self,
        tx: &mut Writing,
        name: &str,
        password_hash: &str,
        admin: bool,
    ) -> Result<Person> {
        let person = Person {
            id: self.new_id(),
            name: name.to_owned(),
            password_hash: password_hash.to_owned(),
            admin,
            created_at: self.now(),
            deactivated_at: None,
        };
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO people (id, name, name_key, password_hash, admin, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(person.id)
        .bind(name)
        .bind(name_key(name))
        .bind(password_hash)
        .bind(admin)
        .bind(person.created_at)
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(person)
    }

    /// The person with this id, deactivated or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn person(&self, id: Uuid) -> Result<Person> {
        on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", person_columns!(), " FROM people WHERE id = $1"),
        )
        .bind(id)
        .fetch_optional(db)
        .await)?
        .ok_or(NO_PERSON)
    }

    /// The person with this name. Names are compared without case and with surrounding white space
    /// taken off, see [`name_key`].
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn person_by_name(&self, name: &str) -> Result<Option<Person>> {
        let key = name_key(name);
        if key.contains('\0') {
            return Ok(None);
        }
        Ok(on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", person_columns!(), " FROM people WHERE name_key = $1"),
        )
        .bind(key)
        .fetch_optional(db)
        .await)?)
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn people(&self) -> Result<Vec<Person>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", person_columns!(), " FROM people ORDER BY name_key"),
        )
        .fetch_all(db)
        .await)?)
    }

    /// Changes the password and ends every session of the person, since a password is changed when
    /// somebody else may know it. A page that changes one's own begins a new session.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn set_password(&self, person: Uuid, hash: &str) -> Result<()> {
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE people SET password_hash = $2 WHERE id = $1")
            .bind(person)
            .bind(hash)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_PERSON)?;
        end_sessions(&mut tx, person).await?;
        self.commit(tx).await
    }

    /// Makes somebody an admin, or no longer one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn set_admin(&self, person: Uuid, admin: bool) -> Result<()> {
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE people SET admin = $2 WHERE id = $1")
            .bind(person)
            .bind(admin)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_PERSON)?;
        self.commit(tx).await
    }

    /// Locks somebody out (sessions end at once, API tokens stop working) or lets them in again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn set_deactivated(&self, person: Uuid, deactivated: bool) -> Result<()> {
        let at = deactivated.then(|| self.now());
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE people SET deactivated_at = $2 WHERE id = $1")
            .bind(person)
            .bind(at)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_PERSON)?;
        if deactivated {
            end_sessions(&mut tx, person).await?;
        }
        self.commit(tx).await
    }
}

pub(super) async fn end_sessions(tx: &mut Writing, person: Uuid) -> Result<()> {
    on!(&mut tx.db, db => sqlx::query("DELETE FROM sessions WHERE person = $1")
        .bind(person)
        .execute(&mut **db)
        .await
        .map(drop))?;
    Ok(())
}
