//! Who people are at an OpenID provider, and into which cohorts its groups lead.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::columns::{Word, text};
use super::database::Writing;
use super::people::person_columns;
use super::{Deed, Error, Person, Result, Store};
use crate::accounts::openid::Arrival;
use crate::accounts::{LONGEST_NAME, Role};

/// Names tried for a new person, with a number behind, before giving up.
const NAMES: u32 = 1000;

/// The members of a group come into a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// The group's name at the provider.
    pub group: String,
    pub cohort: Uuid,
    /// The cohort's name.
    pub cohort_name: String,
    pub role: Role,
}

#[derive(sqlx::FromRow)]
struct GroupRow {
    name: String,
    cohort: Uuid,
    cohort_name: String,
    role: Word<Role>,
}

impl Store {
    /// The person whom a provider sends, made if they come for the first time, with admin's rights and
    /// cohorts as their groups are now. `None` for somebody who was locked out.
    ///
    /// # Errors
    /// [`Error::Taken`] when no free form of the name is found.
    pub async fn enter_known(&self, known: &Arrival) -> Result<Option<Person>> {
        let mut tx = self.write().await?;
        let found: Option<Person> = on!(&mut tx.db, db => sqlx::query_as(concat!(
            "SELECT ", person_columns!(), " FROM identities JOIN people ON people.id = identities.person
             WHERE identities.issuer = $1 AND identities.subject = $2",
        ))
        .bind(text(&known.issuer))
        .bind(text(&known.subject))
        .fetch_optional(&mut **db)
        .await)?;
        let mut person = match found {
            Some(person) if person.deactivated_at.is_some() => return Ok(None),
            Some(person) => person,
            None => self.insert_known(&mut tx, known).await?,
        };
        if let Some(admin) = known.admin.filter(|admin| *admin != person.admin) {
            on!(&mut tx.db, db => sqlx::query("UPDATE people SET admin = $2 WHERE id = $1")
                .bind(person.id)
                .bind(admin)
                .execute(&mut **db)
                .await
                .map(drop))?;
            person.admin = admin;
        }
        self.follow_groups(&mut tx, person.id, &known.groups).await?;
        self.commit(tx).await?;
        Ok(Some(person))
    }

    /// Lets somebody who has an account sign in with a provider too.
    ///
    /// # Errors
    /// [`Error::Taken`] with `identity` when it is somebody else's.
    pub async fn link_identity(&self, person: &Person, issuer: &str, subject: &str) -> Result<()> {
        let mut tx = self.write().await?;
        let whose: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT person FROM identities WHERE issuer = $1 AND subject = $2",
        )
        .bind(text(issuer))
        .bind(text(subject))
        .fetch_optional(&mut **db)
        .await)?;
        match whose {
            Some(whose) if whose == person.id => return Ok(()),
            Some(_) => return Err(Error::Taken { field: "identity" }),
            None => {}
        }
        self.insert_identity(&mut tx, person, issuer, subject).await?;
        self.commit(tx).await
    }

    /// At how many providers somebody is known.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn identities_of(&self, person: Uuid) -> Result<i64> {
        Ok(on!(self.reads(), db => sqlx::query_scalar("SELECT COUNT(*) FROM identities WHERE person = $1")
            .bind(person)
            .fetch_one(db)
            .await)?)
    }

    /// Which groups lead where, by group.
    ///
    /// # Errors
    /// [`Error::Database`] when the database fails.
    pub async fn group_rules(&self) -> Result<Vec<GroupRule>> {
        let rows: Vec<GroupRow> = on!(self.reads(), db => sqlx::query_as(
            "SELECT openid_groups.name, openid_groups.cohort, cohorts.name AS cohort_name, openid_groups.role
             FROM openid_groups JOIN cohorts ON cohorts.id = openid_groups.cohort
             ORDER BY openid_groups.name, cohorts.created_at, cohorts.id",
        )
        .fetch_all(db)
        .await)?;
        let rule = |row: GroupRow| GroupRule {
            group: row.name,
            cohort: row.cohort,
            cohort_name: row.cohort_name,
            role: row.role.0,
        };
        Ok(rows.into_iter().map(rule).collect())
    }

    /// Lets a group lead into a cohort, or no longer (`None`). It shows when somebody of it signs in next.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such cohort.
    pub async fn set_group_rule(
        &self,
        group: &str,
        cohort: Uuid,
        role: Option<Role>,
        by: Uuid,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let group = text(group);
        if let Some(role) = role {
            on!(&mut tx.db, db => sqlx::query(
                "INSERT INTO openid_groups (name, cohort, role) VALUES ($1, $2, $3)
                 ON CONFLICT (name, cohort) DO UPDATE SET role = excluded.role",
            )
            .bind(&group)
            .bind(cohort)
            .bind(Word(role))
            .execute(&mut **db)
            .await
            .map(drop))?;
        } else {
            on!(&mut tx.db, db => sqlx::query("DELETE FROM openid_groups WHERE name = $1 AND cohort = $2")
                .bind(&group)
                .bind(cohort)
                .execute(&mut **db)
                .await
                .map(drop))?;
        }
        let deed = Deed {
            by: Some(by),
            action: if role.is_some() { "group.led_into_cohort" } else { "group.led_no_more" },
            cohort: Some(cohort),
            subject: group,
            details: json!({ "role": role }),
        };
        self.insert_record(&mut tx, deed).await?;
        self.commit(tx).await
    }

    async fn insert_known(&self, tx: &mut Writing, known: &Arrival) -> Result<Person> {
        let mut name = known.name.clone();
        for number in 2..NAMES {
            let taken: Option<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
                "SELECT id FROM people WHERE name_key = $1",
            )
            .bind(crate::accounts::name_key(&name))
            .fetch_optional(&mut **db)
            .await)?;
            if taken.is_none() {
                // Nobody signs in with an empty hash, see `web::session`.
                let person = self.insert_person(tx, &name, "", false).await?;
                self.insert_identity(tx, &person, &known.issuer, &known.subject).await?;
                return Ok(person);
            }
            let end = format!(" {number}");
            let room = LONGEST_NAME - end.chars().count();
            name = known.name.chars().take(room).chain(end.chars()).collect();
        }
        Err(Error::Taken { field: "name" })
    }

    async fn insert_identity(
        &self,
        tx: &mut Writing,
        person: &Person,
        issuer: &str,
        subject: &str,
    ) -> Result<()> {
        on!(&mut tx.db, db => sqlx::query(
            "INSERT INTO identities (issuer, subject, person, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(text(issuer))
        .bind(text(subject))
        .bind(person.id)
        .bind(self.now())
        .execute(&mut **db)
        .await
        .map(drop))?;
        let deed = Deed {
            by: Some(person.id),
            action: "person.identity_linked",
            cohort: None,
            subject: person.name.clone(),
            details: json!({ "issuer": issuer }),
        };
        self.insert_record(tx, deed).await
    }

    /// Memberships as the groups are now: what a group gives comes, what no group gives any more goes. What
    /// somebody joined by themselves stays, and so do students who have handed in.
    async fn follow_groups(&self, tx: &mut Writing, person: Uuid, groups: &[String]) -> Result<()> {
        let rows: Vec<GroupRow> = on!(&mut tx.db, db => sqlx::query_as(
            "SELECT openid_groups.name, openid_groups.cohort, cohorts.name AS cohort_name, openid_groups.role
             FROM openid_groups JOIN cohorts ON cohorts.id = openid_groups.cohort",
        )
        .fetch_all(&mut **db)
        .await)?;
        let mut given: BTreeMap<Uuid, Role> = BTreeMap::new();
        for row in rows.iter().filter(|row| groups.contains(&row.name)) {
            let role = given.entry(row.cohort).or_insert(row.role.0);
            if row.role.0 == Role::Trainer {
                *role = Role::Trainer;
            }
        }
        for (cohort, role) in &given {
            on!(&mut tx.db, db => sqlx::query(
                "INSERT INTO members (cohort, person, role, joined_at, by_group) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (cohort, person) DO UPDATE SET role = excluded.role, by_group = excluded.by_group
                 WHERE members.by_group OR excluded.role = 'trainer'",
            )
            .bind(cohort)
            .bind(person)
            .bind(Word(*role))
            .bind(self.now())
            .bind(true)
            .execute(&mut **db)
            .await
            .map(drop))?;
        }
        let before: Vec<Uuid> = on!(&mut tx.db, db => sqlx::query_scalar(
            "SELECT cohort FROM members WHERE person = $1 AND by_group",
        )
        .bind(person)
        .fetch_all(&mut **db)
        .await)?;
        for cohort in before.into_iter().filter(|cohort| !given.contains_key(cohort)) {
            on!(&mut tx.db, db => sqlx::query(
                "UPDATE members SET role = 'student' WHERE cohort = $1 AND person = $2",
            )
            .bind(cohort)
            .bind(person)
            .execute(&mut **db)
            .await
            .map(drop))?;
            on!(&mut tx.db, db => sqlx::query(
                "DELETE FROM members WHERE cohort = $1 AND person = $2 AND NOT EXISTS (
                     SELECT 1 FROM submissions WHERE cohort = $1 AND person = $2)",
            )
            .bind(cohort)
            .bind(person)
            .execute(&mut **db)
            .await
            .map(drop))?;
        }
        Ok(())
    }
}
