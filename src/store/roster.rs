//! What admins do with accounts and cohorts: finding people, making many at once, changing what they
//! may, moving them. Each change is written down with it.

use serde_json::json;
use uuid::Uuid;

use super::audit::Deed;
use super::bells::Bell;
use super::columns::Word;
use super::database::{On, Writing};
use super::people::person_columns;
use super::{Cohort, Error, Person, Result, Store, one_row};
use crate::accounts::{Role, name_key};

/// Somebody who is to have an account, or a place in a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    pub name: String,
    /// Of a new account; `None` for somebody who has one.
    pub password_hash: Option<String>,
    pub admin: bool,
    /// The cohort they join, and as what.
    pub cohort: Option<(Uuid, Role)>,
}

/// What is changed of somebody's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonChange {
    /// Whether they may do everything everywhere.
    Admin(bool),
    /// Whether they are kept out.
    Deactivated(bool),
}

/// A part of a search: what `LIKE` gives a meaning is taken as it is.
fn pattern(search: &str) -> String {
    let escaped = name_key(search).replace('\0', "").replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

const LAST_ADMIN: Error =
    Error::Refused("This is the last admin who can sign in. Make somebody else an admin first.");

impl Store {
    /// People whose name has `search` in it, by name, at most `most` after the one with the name `after`.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn find_people(&self, search: &str, after: &str, most: i64) -> Result<Vec<Person>> {
        Ok(on!(self.reads(), db => sqlx::query_as(concat!(
            "SELECT ", person_columns!(), " FROM people
             WHERE name_key LIKE $1 ESCAPE '!' AND name_key > $2 ORDER BY name_key LIMIT $3",
        ))
        .bind(pattern(search))
        .bind(name_key(after).replace('\0', ""))
        .bind(most)
        .fetch_all(db)
        .await)?)
    }

    /// How many people have `search` in their name.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn count_people(&self, search: &str) -> Result<i64> {
        Ok(on!(self.reads(), db => sqlx::query_scalar(
            "SELECT COUNT(*) FROM people WHERE name_key LIKE $1 ESCAPE '!'",
        )
        .bind(pattern(search))
        .fetch_one(db)
        .await)?)
    }

    /// Makes accounts and memberships, all of them or none.
    ///
    /// # Errors
    /// [`Error::Taken`] with `name` when a new name is somebody's already, [`Error::NotFound`] when
    /// somebody who should have an account has none, or a cohort is gone.
    pub async fn admit(&self, newcomers: &[Newcomer], by: Option<Uuid>) -> Result<()> {
        let mut tx = self.write().await?;
        for one in newcomers {
            if let Some(hash) = &one.password_hash {
                self.insert_person(&mut tx, &one.name, hash, one.admin).await?;
                let deed = Deed {
                    by,
                    action: "person.created",
                    cohort: None,
                    subject: one.name.clone(),
                    details: json!({"admin": one.admin}),
                };
                self.insert_record(&mut tx, deed).await?;
            }
            let person = self.person_id(&mut tx, &one.name).await?;
            if let Some((cohort, role)) = one.cohort {
                self.insert_member(&mut tx, cohort, person, role).await?;
                self.member_deed(&mut tx, "member.added", cohort, person, role, by).await?;
            }
        }
        self.commit(tx).await
    }

    async fn person_id(&self, tx: &mut Writing, name: &str) -> Result<Uuid> {
        let known: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar("SELECT id FROM people WHERE name_key = $1")
                .bind(name_key(name))
                .fetch_optional(&mut **db)
                .await)?;
        known.ok_or(Error::NotFound { what: "person" })
    }

    async fn member_deed(
        &self,
        tx: &mut Writing,
        action: &'static str,
        cohort: Uuid,
        person: Uuid,
        role: Role,
        by: Option<Uuid>,
    ) -> Result<()> {
        let name: Option<String> = on!(&mut tx.db, db => sqlx::query_scalar("SELECT name FROM people WHERE id = $1")
                .bind(person)
                .fetch_optional(&mut **db)
                .await)?;
        let deed = Deed {
            by,
            action,
            cohort: Some(cohort),
            subject: name.unwrap_or_default(),
            details: json!({"role": role}),
        };
        self.insert_record(tx, deed).await
    }

    /// Changes what somebody may; a deactivated person is signed out everywhere.
    ///
    /// # Errors
    /// [`Error::Refused`] when nobody could do an admin's work then, [`Error::NotFound`].
    pub async fn change_person(&self, person: Uuid, change: PersonChange, by: Option<Uuid>) -> Result<()> {
        let mut tx = self.write().await?;
        // Two admins who take the role from each other at once must not both succeed.
        if let On::Postgres(db) = &mut tx.db {
            sqlx::query("SELECT id FROM people WHERE admin FOR UPDATE").execute(&mut **db).await?;
        }
        let (name, action): (Option<String>, _) = match change {
            PersonChange::Admin(admin) => (
                on!(&mut tx.db, db => sqlx::query_scalar(
                    "UPDATE people SET admin = $2 WHERE id = $1 RETURNING name",
                )
                .bind(person)
                .bind(admin)
                .fetch_optional(&mut **db)
                .await)?,
                if admin { "person.made_admin" } else { "person.made_no_admin" },
            ),
            PersonChange::Deactivated(deactivated) => (
                on!(&mut tx.db, db => sqlx::query_scalar(
                    "UPDATE people SET deactivated_at = $2 WHERE id = $1 RETURNING name",
                )
                .bind(person)
                .bind(deactivated.then(|| self.now()))
                .fetch_optional(&mut **db)
                .await)?,
                if deactivated { "person.deactivated" } else { "person.activated" },
            ),
        };
        let name = name.ok_or(Error::NotFound { what: "person" })?;
        if matches!(change, PersonChange::Admin(false) | PersonChange::Deactivated(true)) {
            let left: i64 = on!(&mut tx.db, db => sqlx::query_scalar(
                "SELECT COUNT(*) FROM people WHERE admin AND deactivated_at IS NULL",
            )
            .fetch_one(&mut **db)
            .await)?;
            if left == 0 {
                return Err(LAST_ADMIN);
            }
        }
        if change == PersonChange::Deactivated(true) {
            super::people::end_sessions(&mut tx, person).await?;
        }
        let deed = Deed { by, action, cohort: None, subject: name, details: json!({}) };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// Gives a cohort another name and workshop.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn change_cohort(
        &self,
        cohort: Uuid,
        name: &str,
        workshop: &str,
        by: Option<Uuid>,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let changed = on!(&mut tx.db, db => sqlx::query(
            "UPDATE cohorts SET name = $2, workshop = $3 WHERE id = $1",
        )
        .bind(cohort)
        .bind(name)
        .bind(workshop)
        .execute(&mut **db)
        .await
        .map(|done| done.rows_affected()))?;
        one_row(changed, Error::NotFound { what: "cohort" })?;
        let details = json!({"name": name, "workshop": workshop});
        let deed =
            Deed { by, action: "cohort.changed", cohort: Some(cohort), subject: name.to_owned(), details };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    /// Takes somebody out of a cohort in which they have handed in nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] when they have, [`Error::NotFound`] when they are not in it.
    pub async fn remove_member(&self, cohort: Uuid, person: Uuid, by: Option<Uuid>) -> Result<()> {
        let mut tx = self.write().await?;
        let handed_in: Option<i64> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT number FROM submissions WHERE cohort = $1 AND person = $2 LIMIT 1",
        )
        .bind(cohort)
        .bind(person)
        .fetch_optional(&mut **db)
        .await)?;
        if handed_in.is_some() {
            return Err(Error::Refused(
                "They have handed in here, and that would be lost. Move them to another cohort, or deactivate \
                 the account.",
            ));
        }
        let role = self.delete_member(&mut tx, cohort, person).await?;
        self.member_deed(&mut tx, "member.removed", cohort, person, role, by).await?;
        tx.ring(Bell::Cells(cohort));
        self.commit(tx).await
    }

    async fn delete_member(&self, tx: &mut Writing, cohort: Uuid, person: Uuid) -> Result<Role> {
        let role: Option<Word<Role>> = on!(&mut tx.db, db => sqlx::query_scalar(
            "DELETE FROM members WHERE cohort = $1 AND person = $2 RETURNING role",
        )
        .bind(cohort)
        .bind(person)
        .fetch_optional(&mut **db)
        .await)?;
        role.map(|role| role.0).ok_or(Error::NotFound { what: "member" })
    }

    /// Moves somebody to another cohort, with all that they have handed in.
    ///
    /// # Errors
    /// [`Error::Refused`] when they have handed in for the same exercise in both, [`Error::NotFound`] when
    /// they are not in the first or the second does not exist.
    pub async fn move_member(&self, person: Uuid, from: Uuid, to: Uuid, by: Option<Uuid>) -> Result<()> {
        if from == to {
            return Err(Error::Refused("They are in this cohort already. Choose another one."));
        }
        let mut tx = self.write().await?;
        self.lock_person(&mut tx, person).await?;
        // Cohorts are locked in one order by everybody.
        let (first, second) = (from.min(to), from.max(to));
        let revisions =
            [self.next_revision(&mut tx, first).await?, self.next_revision(&mut tx, second).await?];
        let revision = revisions[usize::from(second == to)];
        let both: Option<String> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT here.exercise FROM cells here JOIN cells there
                 ON there.person = here.person AND there.exercise = here.exercise
             WHERE here.person = $1 AND here.cohort = $2 AND there.cohort = $3 LIMIT 1",
        )
        .bind(person)
        .bind(from)
        .bind(to)
        .fetch_optional(&mut **db)
        .await)?;
        if both.is_some() {
            return Err(Error::Refused(
                "They have handed in for the same exercise in both cohorts, so the two cannot be put together.",
            ));
        }
        let role: Option<Word<Role>> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT role FROM members WHERE cohort = $1 AND person = $2",
        )
        .bind(from)
        .bind(person)
        .fetch_optional(&mut **db)
        .await)?;
        let role = role.ok_or(Error::NotFound { what: "member" })?.0;
        self.insert_member(&mut tx, to, person, role).await?;
        on!(&mut tx.db, db => sqlx::query("UPDATE submissions SET cohort = $3 WHERE cohort = $2 AND person = $1")
            .bind(person)
            .bind(from)
            .bind(to)
            .execute(&mut **db)
            .await
            .map(drop))?;
        on!(&mut tx.db, db => sqlx::query(
            "UPDATE cells SET cohort = $3, revision = $4, changed_at = $5 WHERE cohort = $2 AND person = $1",
        )
        .bind(person)
        .bind(from)
        .bind(to)
        .bind(revision)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        self.delete_member(&mut tx, from, person).await?;
        self.member_deed(&mut tx, "member.left", from, person, role, by).await?;
        self.member_deed(&mut tx, "member.moved_here", to, person, role, by).await?;
        tx.ring(Bell::Cells(from));
        tx.ring(Bell::Cells(to));
        self.commit(tx).await
    }

    /// Makes a cohort, written down.
    ///
    /// # Errors
    /// [`Error::Taken`] with `join_code` when another cohort has that code.
    pub async fn found_cohort(
        &self,
        name: &str,
        workshop: &str,
        join_code: &str,
        by: Option<Uuid>,
    ) -> Result<Cohort> {
        let cohort = self.create_cohort(name, workshop, join_code).await?;
        let deed = Deed {
            by,
            action: "cohort.created",
            cohort: Some(cohort.id),
            subject: name.to_owned(),
            details: json!({"workshop": workshop}),
        };
        self.record(deed).await?;
        Ok(cohort)
    }
}
