//! The only room with SQL: one file per aggregate, SQLite and PostgreSQL from one text.
//!
//! `web`, `grading` and `live` call it with plain values; it knows nothing of axum, the engine or
//! how a report comes about. Every write is one transaction (`BEGIN IMMEDIATE` on SQLite); every
//! update that must hit one row says so when it does not.
//!
//! | file | what |
//! | --- | --- |
//! | `database` | the two pools, transactions, the macro that serves both, migrations |
//! | `content` | archives and exercise folders, by their SHA-256 |
//! | `bells` | who is woken when something was queued, appended or changed |
//! | `people`, `sessions`, `sign_ins`, `cohorts`, `catalogue` | what their names say |
//! | `resets` | one-time links to a new password |
//! | `identities` | who people are at an OpenID provider, where its groups lead |
//! | `roster` | what admins do with accounts and cohorts |
//! | `drafts` | exercises that are being written |
//! | `jobs` | what workers do beside gradings |
//! | `submissions` | taking a submission and its first grading |
//! | `fetched` | what submissions turned out to be when they were fetched; logins for it, sealed |
//! | `gradings`, `queue` | reading gradings; claiming, renewing, finishing them |
//! | `events` | what happened in a grading, in order |
//! | `regrades` | grading a cohort's submissions anew, together |
//! | `reviews` | what trainers made of answers, and what waits for them |
//! | `hints` | which hints students asked for |
//! | `insight` | who fails what, what was handed in when, what one student did |
//! | `notes` | comments of trainers, and their decisions about checks |
//! | `progress` | the cells of the board and the grid |
//! | `terms` | dates, attempts and what comes late |
//! | `workers` | who grades |
//! | `audit` | who changed what of the house |

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::accounts::Seal;
use crate::clock::Clock;

#[macro_use]
mod database;
mod audit;
mod bells;
mod catalogue;
mod cohort_changes;
mod cohorts;
mod columns;
mod content;
mod drafts;
mod error;
mod events;
mod fetched;
mod gradings;
mod hints;
mod identities;
mod insight;
mod jobs;
mod notes;
mod people;
mod progress;
mod queue;
mod regrades;
mod resets;
mod reviews;
mod roster;
mod sessions;
mod sign_ins;
mod submissions;
mod terms;
mod workers;

pub use audit::{AuditWish, Deed, Record};
pub use catalogue::{PublishedExercise, Version};
pub use cohorts::{Cohort, Member};
pub use drafts::Draft;
pub use error::{Error, Result};
pub use events::StoredEvent;
pub use fetched::RegistryLogin;
pub use gradings::{Grading, GradingState, Lane};
pub use hints::TakenHint;
pub use identities::GroupRule;
pub use insight::{HandedIn, Standing, Stumble};
pub use jobs::{Job, JobKind, JobLease, NewJob};
pub use notes::{Note, Said};
pub use people::Person;
pub use progress::{Cell, CellState};
pub use queue::{Claim, Lease};
pub use regrades::{Regrade, RegradeOf, Regraded};
pub use reviews::{StoredReview, WaitingReview};
pub use roster::{Newcomer, PersonChange};
pub use sessions::{ApiToken, OpenSession, Session};
pub use submissions::{NewSubmission, Submission};
pub use terms::CohortTerms;
pub use workers::{Durations, Examined, PHASE_BUCKETS, Worker, WorkerFigures};

/// Database plus content store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: database::Database,
    content: content::ContentStore,
    bells: bells::Bells,
    /// Seals the secrets that have to be read again.
    seal: Seal,
    grids: progress::Grids,
    clock: Clock,
    /// Keeps identifiers of one millisecond in the order they were made.
    ids: Mutex<ContextV7>,
    /// Hears what other processes do; ends with the last clone.
    listener: tokio_util::task::AbortOnDropHandle<()>,
}

impl Store {
    /// Opens `sqlite:/path/file` (created if missing) or `postgres://…` and brings its tables up to
    /// date; safe when several processes do so at once. Contents lie under `content_root`; stored secrets are sealed with
    /// `seal`, which has to be the same for all processes on one database.
    ///
    /// # Errors
    /// [`Error::Address`] when `database_url` is of neither kind, [`Error::Database`] and
    /// [`Error::Migration`] when the database cannot be reached or brought up to date,
    /// [`Error::Content`] when `content_root` cannot be used.
    pub async fn open(database_url: &str, content_root: &Path, seal: Seal, clock: Clock) -> Result<Self> {
        let content = content::ContentStore::open(content_root)?;
        let database = database::Database::open(database_url).await?;
        let bells = bells::Bells::default();
        let listener = match &database {
            database::Database::Postgres(pool) => bells.listen(pool).await?,
            database::Database::Sqlite { readers, .. } => bells.glance(readers),
        };
        let ids = Mutex::new(ContextV7::new());
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                content,
                bells,
                seal,
                grids: progress::Grids::default(),
                clock,
                ids,
                listener,
            }),
        })
    }

    /// Waits for running queries and closes the connections. Calls after it fail.
    pub async fn close(&self) {
        // It holds a connection, for which closing would wait.
        self.inner.listener.abort();
        self.inner.database.close().await;
    }

    /// Quick: does the database answer? For `/readyz`.
    ///
    /// # Errors
    /// [`Error::Database`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        on!(self.reads(), db => sqlx::query("SELECT 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// Seals what a browser keeps for us.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.inner.seal
    }

    fn now(&self) -> DateTime<Utc> {
        self.inner.clock.now()
    }

    /// A new identifier: sorts by the time it was made.
    fn new_id(&self) -> Uuid {
        let now = self.now();
        let context = self.inner.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
    }
}

/// `later` after `now`, in the precision that is stored.
fn after(now: DateTime<Utc>, later: std::time::Duration) -> DateTime<Utc> {
    use chrono::SubsecRound as _;
    let later = chrono::TimeDelta::from_std(later).unwrap_or(chrono::TimeDelta::MAX);
    now.checked_add_signed(later).unwrap_or(DateTime::<Utc>::MAX_UTC).trunc_subsecs(6)
}

/// An update that must hit exactly one row did.
fn one_row(affected: u64, otherwise: Error) -> Result<()> {
    if affected == 1 { Ok(()) } else { Err(otherwise) }
}
