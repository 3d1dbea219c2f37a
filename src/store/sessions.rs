//! Sessions of browsers and tokens of programs. Tokens arrive hashed; nothing here could be used to
//! sign in if the database were stolen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::text;
use super::database::Writing;
use super::people::person_columns;
use super::{Error, Person, Result, Store, after, one_row};

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Who is signed in.
    #[sqlx(flatten)]
    pub person: Person,
    #[sqlx(rename = "session_created_at")]
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// The token that every form of this session carries.
    pub csrf: String,
}

/// One of a person's sessions, for themselves to look at.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenSession {
    /// By which it is told from others; signs nobody in.
    pub token_hash: Vec<u8>,
    /// What the browser calls itself; may be empty.
    pub agent: String,
    pub created_at: DateTime<Utc>,
    /// When it was last used, give or take an hour.
    pub seen_at: DateTime<Utc>,
}

/// The longest account of itself that is kept of a browser, in characters.
const LONGEST_AGENT: usize = 300;

/// A token with which a program acts for a person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ApiToken {
    pub id: Uuid,
    /// What it is for, in its owner's words.
    pub name: String,
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Signs a browser in for `lifetime`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn create_session(
        &self,
        person: Uuid,
        token_hash: &[u8],
        csrf: &str,
        lifetime: Duration,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        self.insert_session(&mut tx, person, token_hash, csrf, lifetime).await?;
        self.commit(tx).await
    }

    pub(super) async fn insert_session(
        &self,
        tx: &mut Writing,
        person: Uuid,
        token_hash: &[u8],
        csrf: &str,
        lifetime: Duration,
    ) -> Result<()> {
        let now = self.now();
        // Sessions that have run out are swept up here: it keeps the table small without a job.
        on!(&mut tx.db, db => sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(now)
            .execute(&mut **db)
            .await
            .map(drop))?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO sessions (token_hash, person, csrf, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(token_hash)
        .bind(person)
        .bind(csrf)
        .bind(now)
        .bind(after(now, lifetime))
        .execute(&mut **db)
        .await
        .map(drop))?;
        Ok(())
    }

    /// The session with this token, if it has not ended and its person was not deactivated.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn session(&self, token_hash: &[u8]) -> Result<Option<Session>> {
        Ok(on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", person_columns!(), ", sessions.created_at AS session_created_at,
                 sessions.expires_at, sessions.csrf
             FROM sessions JOIN people ON people.id = sessions.person
             WHERE sessions.token_hash = $1 AND sessions.expires_at > $2 AND people.deactivated_at IS NULL",
        ))
        .bind(token_hash)
        .bind(self.now())
        .fetch_optional(db)
        .await)?)
    }

    /// Lets a session go on until `until`, if that is later than its end; one that is over stays so.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn extend_session(&self, token_hash: &[u8], until: DateTime<Utc>) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "UPDATE sessions SET expires_at = $2, seen_at = $3
             WHERE token_hash = $1 AND expires_at > $3 AND expires_at < $2",
        )
        .bind(token_hash)
        .bind(until)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await
    }

    /// Signs out. A session that is not there is as good as ended.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn end_session(&self, token_hash: &[u8]) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(token_hash)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// Remembers what the browser of a session calls itself.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn note_agent(&self, token_hash: &[u8], agent: &str) -> Result<()> {
        let agent: String = text(agent).chars().take(LONGEST_AGENT).collect();
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE sessions SET agent = $2 WHERE token_hash = $1")
            .bind(token_hash)
            .bind(agent)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// The sessions of a person that have not ended, the one used last first.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn sessions_of(&self, person: Uuid) -> Result<Vec<OpenSession>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT token_hash, agent, created_at, COALESCE(seen_at, created_at) AS seen_at
             FROM sessions WHERE person = $1 AND expires_at > $2
             ORDER BY COALESCE(seen_at, created_at) DESC, token_hash",
        )
        .bind(person)
        .bind(self.now())
        .fetch_all(db)
        .await)?)
    }

    /// Ends a session of this person. One that is not there is as good as ended.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn end_session_of(&self, person: Uuid, token_hash: &[u8]) -> Result<()> {
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query("DELETE FROM sessions WHERE person = $1 AND token_hash = $2")
            .bind(person)
            .bind(token_hash)
            .execute(&mut **db)
            .await
            .map(drop))?;
        self.commit(tx).await
    }

    /// Ends all sessions of a person but one; tells how many.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn end_other_sessions(&self, person: Uuid, but: &[u8]) -> Result<u64> {
        let mut tx = self.write().await?;
        let ended = on!(&mut tx.db, db => sqlx::query(
            "DELETE FROM sessions WHERE person = $1 AND token_hash <> $2",
        )
        .bind(person)
        .bind(but)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        self.commit(tx).await?;
        Ok(ended)
    }

    /// Makes a token with which a program acts for `person`; returns its id, by which it is revoked.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn create_api_token(&self, person: Uuid, name: &str, token_hash: &[u8]) -> Result<Uuid> {
        let id = self.new_id();
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO api_tokens (id, person, name, token_hash, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(person)
        .bind(name)
        .bind(token_hash)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await?;
        Ok(id)
    }

    /// Tokens of a person, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn api_tokens(&self, person: Uuid) -> Result<Vec<ApiToken>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            "SELECT id, name, created_at FROM api_tokens WHERE person = $1 ORDER BY created_at, id",
        )
        .bind(person)
        .fetch_all(db)
        .await)?)
    }

    /// Ends a token of this person.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the person has no such token.
    pub async fn revoke_api_token(&self, person: Uuid, id: Uuid) -> Result<()> {
        let mut tx = self.write().await?;
        let gone = on!(&mut tx.db, db => sqlx::query("DELETE FROM api_tokens WHERE id = $1 AND person = $2")
            .bind(id)
            .bind(person)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(gone, Error::NotFound { what: "API token" })?;
        self.commit(tx).await
    }

    /// For whom the program with this token acts, unless that person was deactivated.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn person_by_api_token(&self, token_hash: &[u8]) -> Result<Option<Person>> {
        Ok(on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", person_columns!(), " FROM api_tokens JOIN people ON people.id = api_tokens.person
             WHERE api_tokens.token_hash = $1 AND people.deactivated_at IS NULL",
        ))
        .bind(token_hash)
        .fetch_optional(db)
        .await)?)
    }
}
