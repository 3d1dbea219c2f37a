//! A database of one test's own, on either of the two that there are.

use std::path::Path;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Which database is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// The address of a fresh one; `folder` is where an embedded one lies.
    pub async fn fresh(self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("drydock.db").display()),
            Self::Postgres => fresh_postgres().await,
        }
    }
}

async fn server() -> (String, PgConnection) {
    let server = std::env::var("DRYDOCK_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "DRYDOCK_TEST_POSTGRES is not set: run the tests with tests/run, which starts a PostgreSQL \
             server for them, or set it to postgres://… of a server on which databases may be made"
        )
    });
    let connection = PgConnection::connect(&server).await.unwrap_or_else(|error| {
        panic!(
            "the PostgreSQL server in DRYDOCK_TEST_POSTGRES does not answer ({error}); tests/run starts one"
        )
    });
    (server, connection)
}

/// A fresh database on the server of the tests; its address.
pub async fn fresh_postgres() -> String {
    let (server, mut connection) = server().await;
    let name = format!("drydock_test_{}", Uuid::new_v4().simple());
    let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    let (before, _) = server.rsplit_once('/').expect("an address with a database in it");
    format!("{before}/{name}")
}

/// Removes the database at an address. An embedded one goes with its folder.
pub async fn remove(url: &str) {
    if url.starts_with("sqlite:") {
        return;
    }
    let (_, mut connection) = server().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let sql = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}
