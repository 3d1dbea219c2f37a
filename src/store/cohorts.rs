//! Cohorts and who is in them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::columns::Word;
use super::database::Writing;
use super::{Error, Person, Result, Store, one_row};
use crate::accounts::{Role, canonical_join_code};

/// Students going through one workshop with their trainers.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Cohort {
    pub id: Uuid,
    pub name: String,
    /// Slug of the workshop.
    pub workshop: String,
    /// In its canonical form, see [`canonical_join_code`].
    pub join_code: String,
    pub created_at: DateTime<Utc>,
    /// Since when nobody joins or hands in any more.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Somebody in a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub person: Uuid,
    pub name: String,
    pub role: Role,
    pub joined_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    person: Uuid,
    name: String,
    role: Word<Role>,
    joined_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct CohortOfRow {
    #[sqlx(flatten)]
    cohort: Cohort,
    role: Word<Role>,
}

macro_rules! cohort_columns {
    () => {
        "cohorts.id, cohorts.name, cohorts.workshop, cohorts.join_code, cohorts.created_at, cohorts.closed_at"
    };
}

const NO_COHORT: Error = Error::NotFound { what: "cohort" };

impl Store {
    /// Makes a cohort. The code is kept in its canonical form.
    ///
    /// # Errors
    /// [`Error::Taken`] with `join_code` when another cohort has that code.
    pub async fn create_cohort(&self, name: &str, workshop: &str, join_code: &str) -> Result<Cohort> {
        let cohort = Cohort {
            id: self.new_id(),
            name: name.to_owned(),
            workshop: workshop.to_owned(),
            join_code: canonical_join_code(join_code).ok_or(Error::NotFound { what: "join code" })?,
            created_at: self.now(),
            closed_at: None,
        };
        let mut tx = self.write().await?;
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO cohorts (id, name, workshop, join_code, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(cohort.id)
        .bind(name)
        .bind(workshop)
        .bind(&cohort.join_code)
        .bind(cohort.created_at)
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.commit(tx).await?;
        Ok(cohort)
    }

    /// The cohort with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn cohort(&self, id: Uuid) -> Result<Cohort> {
        on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", cohort_columns!(), " FROM cohorts WHERE id = $1"),
        )
        .bind(id)
        .fetch_optional(db)
        .await)?
        .ok_or(NO_COHORT)
    }

    /// The cohort with this code, however it is typed; closed or not.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn cohort_by_join_code(&self, code: &str) -> Result<Option<Cohort>> {
        let Some(code) = canonical_join_code(code) else { return Ok(None) };
        Ok(on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", cohort_columns!(), " FROM cohorts WHERE join_code = $1"),
        )
        .bind(code)
        .fetch_optional(db)
        .await)?)
    }

    /// All cohorts, newest first.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn cohorts(&self) -> Result<Vec<Cohort>> {
        Ok(on!(self.reads(), db => sqlx::query_as(
            concat!("SELECT ", cohort_columns!(), " FROM cohorts ORDER BY created_at DESC, id DESC"),
        )
        .fetch_all(db)
        .await)?)
    }

    /// Closes a cohort (nobody joins or hands in any more) or opens it again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn set_cohort_closed(&self, cohort: Uuid, closed: bool) -> Result<()> {
        let at = closed.then(|| self.now());
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query("UPDATE cohorts SET closed_at = $2 WHERE id = $1")
            .bind(cohort)
            .bind(at)
            .execute(&mut **db)
            .await
            .map(|done| done.rows_affected()))?;
        one_row(changed, NO_COHORT)?;
        self.commit(tx).await
    }

    /// Cohorts a person belongs to, newest membership first, with the role there.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn cohorts_of(&self, person: Uuid) -> Result<Vec<(Cohort, Role)>> {
        let rows: Vec<CohortOfRow> = on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", cohort_columns!(), ", members.role
             FROM members JOIN cohorts ON cohorts.id = members.cohort
             WHERE members.person = $1 ORDER BY members.joined_at DESC, cohorts.id DESC",
        ))
        .bind(person)
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|row| (row.cohort, row.role.0)).collect())
    }

    /// Puts somebody into a cohort, or changes their role there.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person or cohort.
    pub async fn add_member(&self, cohort: Uuid, person: Uuid, role: Role) -> Result<()> {
        let mut tx = self.write().await?;
        self.insert_member(&mut tx, cohort, person, role).await?;
        self.commit(tx).await
    }

    pub(super) async fn insert_member(
        &self,
        tx: &mut Writing,
        cohort: Uuid,
        person: Uuid,
        role: Role,
    ) -> Result<()> {
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO members (cohort, person, role, joined_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (cohort, person) DO UPDATE SET role = excluded.role",
        )
        .bind(cohort)
        .bind(person)
        .bind(Word(role))
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))
        .map_err(|error| match Error::from(error) {
            Error::NotFound { .. } => Error::NotFound { what: "person or cohort" },
            other => other,
        })
    }

    /// What somebody is in a cohort, if anything.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn role_in(&self, cohort: Uuid, person: Uuid) -> Result<Option<Role>> {
        let role: Option<Word<Role>> = on!(self.reads(), db => sqlx::query_scalar(
            "SELECT role FROM members WHERE cohort = $1 AND person = $2",
        )
        .bind(cohort)
        .bind(person)
        .fetch_optional(db)
        .await)?;
        Ok(role.map(|role| role.0))
    }

    /// Everybody in a cohort, by name.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn members(&self, cohort: Uuid) -> Result<Vec<Member>> {
        let rows: Vec<MemberRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT members.person, people.name, members.role, members.joined_at
             FROM members JOIN people ON people.id = members.person
             WHERE members.cohort = $1 ORDER BY people.name_key",
        )
        .bind(cohort)
        .fetch_all(db)
        .await)?;
        let member = |row: MemberRow| Member {
            person: row.person,
            name: row.name,
            role: row.role.0,
            joined_at: row.joined_at,
        };
        Ok(rows.into_iter().map(member).collect())
    }

    /// Creates person, membership as a student and session in one transaction (joining by code).
    ///
    /// # Errors
    /// [`Error::Taken`] with `name` when somebody has that name, [`Error::NotFound`] when there is no
    /// such cohort or it was closed.
    pub async fn join(
        &self,
        cohort: Uuid,
        name: &str,
        password_hash: &str,
        token_hash: &[u8],
        csrf: &str,
        lifetime: Duration,
    ) -> Result<Person> {
        let mut tx = self.write().await?;
        let open: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT id FROM cohorts WHERE id = $1 AND closed_at IS NULL",
        )
        .bind(cohort)
        .fetch_optional(&mut **db)
        .await)?;
        open.ok_or(NO_COHORT)?;
        let person = self.insert_person(&mut tx, name, password_hash, false).await?;
        self.insert_member(&mut tx, cohort, person.id, Role::Student).await?;
        self.insert_session(&mut tx, person.id, token_hash, csrf, lifetime).await?;
        self.commit(tx).await?;
        Ok(person)
    }
}
