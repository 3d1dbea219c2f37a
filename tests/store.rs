//! The store, on SQLite and on PostgreSQL.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "common/store.rs"]
mod house;

#[path = "store/accounts.rs"]
mod accounts;
#[path = "store/audit.rs"]
mod audit;
#[path = "store/authoring.rs"]
mod authoring;
#[path = "store/contents.rs"]
mod contents;
#[path = "store/crash.rs"]
mod crash;
#[path = "store/insight.rs"]
mod insight;
#[path = "store/notes.rs"]
mod notes;
#[path = "store/progress.rs"]
mod progress;
#[path = "store/queue.rs"]
mod queue;
#[path = "store/regrades.rs"]
mod regrades;
#[path = "store/reviews.rs"]
mod reviews;
#[path = "store/schema.rs"]
mod schema;
#[path = "store/speed.rs"]
mod speed;
#[path = "store/terms.rs"]
mod terms;
