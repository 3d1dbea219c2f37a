//! The two databases behind one shape: pools, transactions, and `on!`, which lets one SQL text and
//! one chain of binds serve both.
//!
//! SQLite: readers have a pool of their own and see the last commit (WAL); writers share one
//! connection, so that they stand in a fair line in this process instead of waking each other by
//! timeouts, and begin with `BEGIN IMMEDIATE`, so that a transaction that reads before it writes
//! never has to be thrown away because of another process. `synchronous = FULL`: a commit returns
//! after the log is on the disk. Under NORMAL, WAL may lose the last commits when the power goes,
//! and a submission that was answered with "accepted" is not ours to lose.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, Transaction};

use super::bells::Bell;
use super::{Error, Result, Store};

/// One of two, by database.
pub(super) enum On<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Evaluates `$body` for whichever database `$on` is, with `$db` standing for its executor.
macro_rules! on {
    ($on:expr, $db:ident => $body:expr) => {
        match $on {
            $crate::store::database::On::Sqlite($db) => $body,
            $crate::store::database::On::Postgres($db) => $body,
        }
    };
}

/// The connections.
pub(super) enum Database {
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    Postgres(PgPool),
}

/// Connections for reading; each thread of a SQLite connection takes about 2 MiB when it was busy.
/// One of them is kept by [`super::bells`].
const SQLITE_READERS: u32 = 9;
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long to wait for another process that writes, or for a free connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both dialects of every migration, in order. A released one is never edited; a new one needs a file
/// of the same name in both folders, or this does not compile.
macro_rules! migrations {
    ($dialect:literal) => {
        migrations!(
            $dialect,
            (1, "foundation", "0001_foundation.sql"),
            (2, "reviews", "0002_reviews.sql"),
            (3, "worker figures", "0003_worker_figures.sql"),
            (4, "fetched", "0004_fetched.sql"),
            (5, "audit", "0005_audit.sql"),
            (6, "sign-in", "0006_sign_in.sql"),
            (7, "teaching", "0007_teaching.sql"),
            (8, "admin", "0008_admin.sql")
        )
    };
    ($dialect:literal, $(($version:literal, $what:literal, $file:literal)),+) => {
        Migrator::with_migrations(vec![$(Migration::new(
            $version,
            $what.into(),
            MigrationType::Simple,
            include_str!(concat!("../../migrations/", $dialect, "/", $file)).into_sql_str(),
            false,
        )),+])
    };
}

impl Database {
    pub(super) async fn open(url: &str) -> Result<Self> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url).await
        } else {
            Err(Error::Address(url.to_owned()))
        }
    }

    async fn open_postgres(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.application_name("drydock");
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        // Takes an advisory lock, so that processes that start together take turns.
        migrations!("postgres").run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    async fn open_sqlite(url: &str) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // Rows travel from the connection's thread in a channel; a grid has tens of thousands.
            .row_buffer_size(1024);
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
        let writer = patiently(|| writer.clone().connect_with(options.clone())).await?;
        // SQLite has no advisory locks: one transaction around all migrations lets processes that
        // start together take turns.
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        // Not `run`, whose future is not Send for a borrowed connection.
        migrations!("sqlite").run_direct(None, &mut *tx, false).await?;
        tx.commit().await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self::Sqlite { readers, writer })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Changing a new file to WAL needs it exclusively for a moment, and SQLite does not wait for that
/// even with a busy timeout: two processes that make the file together have to try again.
async fn patiently<F: Future<Output = sqlx::Result<SqlitePool>>>(
    mut connect: impl FnMut() -> F,
) -> sqlx::Result<SqlitePool> {
    for _ in 0..50 {
        match connect().await {
            Err(sqlx::Error::Database(error)) if error.message().contains("locked") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
    connect().await
}

/// A transaction that writes, and the bells to ring when it is committed. Dropping it takes back all
/// it did.
pub(super) struct Writing {
    pub(super) db: On<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>,
    bells: Vec<Bell>,
}

impl Writing {
    /// Rings `bell` when, and only when, this is committed.
    pub(super) fn ring(&mut self, bell: Bell) {
        if !self.bells.contains(&bell) {
            self.bells.push(bell);
        }
    }
}

impl Store {
    /// For reading. Each statement sees what was committed before it.
    pub(super) fn reads(&self) -> On<&SqlitePool, &PgPool> {
        match &self.inner.database {
            Database::Sqlite { readers, .. } => On::Sqlite(readers),
            Database::Postgres(pool) => On::Postgres(pool),
        }
    }

    /// Begins a transaction that writes. Never hold one while waiting for anything but the database.
    pub(super) async fn write(&self) -> Result<Writing> {
        let db = match &self.inner.database {
            Database::Sqlite { writer, .. } => On::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Database::Postgres(pool) => On::Postgres(pool.begin().await?),
        };
        Ok(Writing { db, bells: Vec::new() })
    }

    /// Commits, then rings.
    pub(super) async fn commit(&self, mut tx: Writing) -> Result<()> {
        if let On::Postgres(db) = &mut tx.db {
            for bell in &tx.bells {
                let (channel, payload) = bell.as_notification();
                sqlx::query("SELECT pg_notify($1, $2)")
                    .bind(channel)
                    .bind(payload)
                    .execute(&mut **db)
                    .await?;
            }
        }
        match tx.db {
            On::Sqlite(db) => db.commit().await?,
            On::Postgres(db) => db.commit().await?,
        }
        for bell in tx.bells {
            self.inner.bells.ring(bell);
        }
        Ok(())
    }
}
