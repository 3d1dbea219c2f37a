//! Chaos: server, worker and engine are killed (`kill -9`) at random moments while students hand in good work,
//! wrong work and attacks, and are started again after a random pause. What was accepted has to end in the one
//! verdict that is right, a fault of ours must neither be the end nor count, and at last the engine, the data
//! folder and the engine's own folder have to be as they were.
//!
//! `DRYDOCK_CHAOS_KILLS=200 tests/run -E 'binary(chaos)'` kills so often; `DRYDOCK_CHAOS_SEED` repeats the choices
//! of a run that printed its seed (the moments they meet differ with the machine's mood).

#[path = "common/server.rs"]
mod server;

mod chaos {
    pub mod leftovers;
    pub mod night;
    pub mod students;
    pub mod verdicts;
    pub mod work;
}

use chaos::night::Night;
use server::Database;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_grades_itself_and_its_engine_are_killed_again_and_again() {
    Night::fall(Database::Sqlite).await.pass().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_a_worker_and_their_engine_are_killed_again_and_again() {
    Night::fall(Database::Postgres).await.pass().await;
}
