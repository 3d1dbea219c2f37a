//! The tables themselves: the same on both databases, and made safely.

use std::collections::BTreeMap;
use std::time::Duration;

use drydock::accounts::Seal;
use drydock::clock::Clock;
use drydock::store::{Error, Store};
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::house::{Database, House, LEASE, database};
use crate::on_both;

on_both! {
    async fn times_of_any_fraction_sort_and_come_back_equal(house) {
        // Whole seconds, milliseconds and microseconds are written with different numbers of digits.
        let ada = house.student("Ada").await;
        let mut times = Vec::new();
        for micros in [0, 1, 999, 1_000, 998_999, 1] {
            house.clock.advance(Duration::from_micros(micros));
            let (submission, grading) = house.store.submit(house.hand_in(ada)).await.unwrap();
            assert_eq!(house.store.submission(submission.id).await.unwrap().created_at, house.now());
            times.push((grading.queued_at, grading.id));
        }
        assert!(times.is_sorted());
        for (_, id) in &times {
            let claim = house.claim("w").await.unwrap();
            assert_eq!(claim.grading.id, *id);
            house.store.finish(
                &claim.lease,
                &crate::house::report(drydock::report::Verdict::Failed),
                None,
                crate::house::LAST,
            ).await.unwrap();
        }
        // A lease that ends at a whole second has ended then, and not a microsecond earlier.
        house.clock.advance(Duration::from_nanos(1_000_000_000 - u64::from(house.now().timestamp_subsec_nanos())));
        house.store.submit(house.hand_in(ada)).await.unwrap();
        house.claim("w").await.unwrap();
        house.clock.advance(LEASE - Duration::from_micros(1));
        assert!(house.claim("w").await.is_none());
        house.clock.advance(Duration::from_micros(1));
        assert!(house.claim("w").await.is_some());
    }
}

async fn open_eight_at_once(url: String) {
    let folder = tempfile::tempdir().unwrap();
    let opened = (0..8).map(|_| {
        let (url, folder) = (url.clone(), folder.path().to_owned());
        tokio::spawn(async move { Store::open(&url, &folder, Seal::ephemeral(), Clock::system()).await })
    });
    for opened in futures::future::join_all(opened).await {
        let store = opened.unwrap().expect("every one of them opens");
        store.ping().await.unwrap();
        assert!(store.people().await.unwrap().is_empty());
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_agree_on_sqlite() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        open_eight_at_once(format!("sqlite:{}", folder.path().join("new.db").display())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_agree_on_postgres() {
    let url = database::fresh_postgres().await;
    open_eight_at_once(url.clone()).await;
    database::remove(&url).await;
}

#[tokio::test]
async fn an_address_that_is_not_understood_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open("mysql://somewhere", folder.path(), Seal::ephemeral(), Clock::system())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::Address(_)));
    assert!(error.to_string().contains("mysql://somewhere") && error.to_string().contains("postgres://"));
}

/// Table by table the columns, in order, with whether they may be null.
type Columns = BTreeMap<String, Vec<(String, bool)>>;

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite_url = format!("sqlite:{}", folder.path().join("new.db").display());
    let postgres_url = database::fresh_postgres().await;
    for url in [&sqlite_url, &postgres_url] {
        Store::open(url, folder.path(), Seal::ephemeral(), Clock::system()).await.unwrap().close().await;
    }
    let mut sqlite = SqliteConnection::connect(&sqlite_url).await.unwrap();
    let rows: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT t.name, c.name, c.\"notnull\" = 0 AND c.pk = 0 FROM pragma_table_list t
         JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '_sqlx%' ORDER BY t.name, c.cid",
    )
    .fetch_all(&mut sqlite)
    .await
    .unwrap();
    let in_sqlite = collect(rows);
    let mut postgres = PgConnection::connect(&postgres_url).await.unwrap();
    let rows: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, is_nullable = 'YES' FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%' ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&mut postgres)
    .await
    .unwrap();
    let in_postgres = collect(rows);
    database::remove(&postgres_url).await;
    assert!(in_sqlite.len() > 10);
    assert_eq!(in_sqlite, in_postgres);
}

fn collect(rows: Vec<(String, String, bool)>) -> Columns {
    let mut columns = Columns::new();
    for (table, column, nullable) in rows {
        columns.entry(table).or_default().push((column, nullable));
    }
    columns
}

#[tokio::test]
async fn sqlite_keeps_what_was_accepted_when_the_power_goes() {
    House::run(Database::Sqlite, async |house| {
        let mut connection = SqliteConnection::connect(&house.url).await.unwrap();
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
        assert_eq!(mode, "wal");
    })
    .await;
}
