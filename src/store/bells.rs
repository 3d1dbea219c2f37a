//! Who is woken when something was queued, appended or changed.
//!
//! A bell is rung after the commit, to everybody in this process at once. Other processes hear it
//! through PostgreSQL's NOTIFY; on SQLite they see within a quarter of a second that the file was
//! written to, and ring everything. A bell only says where to look: it may ring twice or for nothing,
//! and whoever must not miss anything looks by itself now and then.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{PgPool, SqlitePool};
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::Store;
use crate::accounts::random::jitter;

const QUEUE: &str = "drydock_queue";
const EVENTS: &str = "drydock_events";
const CELLS: &str = "drydock_cells";

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bell {
    /// A grading can be claimed.
    Queue,
    /// This grading has new events, or an answer of this submission was scored.
    Events(Uuid),
    /// Cells of this cohort changed.
    Cells(Uuid),
    /// Another process did something.
    Anything,
}

/// How often a process looks whether another one wrote to the SQLite file.
const GLANCE: Duration = Duration::from_millis(250);

impl Bell {
    /// The channel and payload for NOTIFY.
    pub(super) fn as_notification(&self) -> (&'static str, String) {
        match self {
            Self::Queue | Self::Anything => (QUEUE, String::new()),
            Self::Events(grading) => (EVENTS, grading.to_string()),
            Self::Cells(cohort) => (CELLS, cohort.to_string()),
        }
    }

    fn from_notification(channel: &str, payload: &str) -> Option<Self> {
        match channel {
            QUEUE => Some(Self::Queue),
            EVENTS => Uuid::parse_str(payload).ok().map(Self::Events),
            CELLS => Uuid::parse_str(payload).ok().map(Self::Cells),
            _ => None,
        }
    }
}

/// The bells of this process.
#[derive(Clone)]
pub(super) struct Bells {
    queue: watch::Sender<u64>,
    events: broadcast::Sender<Option<Uuid>>,
    cells: broadcast::Sender<Option<Uuid>>,
}

impl Default for Bells {
    fn default() -> Self {
        Self {
            queue: watch::Sender::new(0),
            events: broadcast::Sender::new(1024),
            cells: broadcast::Sender::new(256),
        }
    }
}

impl Bells {
    pub(super) fn ring(&self, bell: Bell) {
        match bell {
            Bell::Queue => self.queue.send_modify(|rung| *rung += 1),
            // Nobody listening is no error.
            Bell::Events(grading) => drop(self.events.send(Some(grading))),
            Bell::Cells(cohort) => drop(self.cells.send(Some(cohort))),
            Bell::Anything => {
                self.ring(Bell::Queue);
                drop(self.events.send(None));
                drop(self.cells.send(None));
            }
        }
    }

    /// Rings everything when something was written to the SQLite file, until the handle is dropped.
    /// `data_version` differs when another connection, of whatever process, has committed.
    pub(super) fn glance(&self, readers: &SqlitePool) -> AbortOnDropHandle<()> {
        let (bells, readers) = (self.clone(), readers.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                if let Err(error) = bells.glance_with(&readers).await {
                    if matches!(error, sqlx::Error::PoolClosed) {
                        return;
                    }
                    tracing::warn!(%error, "store.glance_failed");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }))
    }

    async fn glance_with(&self, readers: &SqlitePool) -> sqlx::Result<()> {
        // The number has a meaning only within one connection.
        let mut connection = readers.acquire().await?;
        let mut seen = None;
        loop {
            let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
            if seen.is_some_and(|seen| seen != version) {
                self.ring(Bell::Anything);
            }
            seen = Some(version);
            tokio::time::sleep(jitter(GLANCE)).await;
        }
    }

    /// Rings here what other processes ring through NOTIFY, until the handle is dropped.
    pub(super) async fn listen(&self, pool: &PgPool) -> sqlx::Result<AbortOnDropHandle<()>> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all([QUEUE, EVENTS, CELLS]).await?;
        let bells = self.clone();
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                match listener.try_recv().await {
                    Ok(Some(notification)) => {
                        if let Some(bell) =
                            Bell::from_notification(notification.channel(), notification.payload())
                        {
                            bells.ring(bell);
                        }
                    }
                    // The connection was lost and made again: something may have been missed.
                    Ok(None) => bells.ring(Bell::Anything),
                    Err(error) => {
                        tracing::warn!(%error, "store.listener_lost");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        })))
    }
}

impl Store {
    /// Resolves when something may have been queued after this call, here or in another process. Call
    /// it before looking into the queue, wait after, and look now and then all the same: it does not
    /// tell when a lease runs out or a wait is over.
    pub fn queue_changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut queue = self.inner.bells.queue.subscribe();
        async move {
            // Fails when the store is gone; then there is nothing to wait for.
            let _ = queue.changed().await;
        }
    }

    /// Gradings that got new events and submissions that were scored; `None` when any of them may have.
    pub(crate) fn events_rung(&self) -> broadcast::Receiver<Option<Uuid>> {
        self.inner.bells.events.subscribe()
    }

    /// Cohorts whose cells changed; `None` when those of any may have.
    pub(crate) fn cells_rung(&self) -> broadcast::Receiver<Option<Uuid>> {
        self.inner.bells.cells.subscribe()
    }
}
