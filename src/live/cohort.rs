//! Following a cohort: the cells that change, for everybody who has its grid open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use super::{LOOK_ANYWAY, Live, Reader};
use crate::accounts::random::jitter;
use crate::clock::Clock;
use crate::store::{Cell, Result, Store};

/// Cells that changed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortChange {
    /// When the newest of them changed: what to come back with after a lost connection.
    pub at: DateTime<Utc>,
    /// The cells as a JSON array of [`Cell`], shared by all who watch.
    pub cells: Arc<str>,
}

/// Changes are read again from so long before the newest that was seen: a change is dated before it
/// is committed, and by another machine's clock, which may be behind by this much.
const OVERLAP: Duration = Duration::from_secs(30);
/// Changes so close together are sent as one.
const GATHER: Duration = Duration::from_millis(40);
const CAPACITY: usize = 32;

impl Live {
    /// The cells of a cohort that change, from `since` on (when the page that shows the others was
    /// read; `None`: from now). A cell may come again although it has not changed. Ends when the
    /// server shuts down and when the store fails.
    pub fn follow_cohort(
        &self,
        cohort: Uuid,
        since: Option<DateTime<Utc>>,
    ) -> impl Stream<Item = CohortChange> + Send + use<> {
        let store = self.inner.store.clone();
        let clock = self.inner.clock.clone();
        let reader = self
            .inner
            .cohorts
            .join(cohort, CAPACITY, move |sender, wake| pass_on(store, cohort, clock, sender, wake));
        let receiver = reader.sender.subscribe();
        let follower = Follower {
            live: self.clone(),
            cohort,
            seen: since.unwrap_or_else(|| self.inner.clock.now()),
            behind: since.is_some(),
            receiver,
            _reader: reader,
        };
        stream::unfold(follower, Follower::next).boxed()
    }
}

struct Follower {
    live: Live,
    cohort: Uuid,
    /// Date of the newest change passed on.
    seen: DateTime<Utc>,
    /// Whether changes have to be read from the store before the reader's are taken.
    behind: bool,
    receiver: broadcast::Receiver<CohortChange>,
    _reader: Arc<Reader<CohortChange>>,
}

impl Follower {
    async fn next(mut self) -> Option<(CohortChange, Self)> {
        let ending = self.live.inner.ending.clone();
        let change = ending.run_until_cancelled(Box::pin(self.find())).await.flatten()?;
        self.seen = self.seen.max(change.at);
        Some((change, self))
    }

    async fn find(&mut self) -> Option<CohortChange> {
        loop {
            if self.behind {
                self.behind = false;
                let read = self.live.inner.store.cells_changed_since(self.cohort, self.seen - OVERLAP).await;
                match read {
                    Ok(cells) if cells.is_empty() => {}
                    Ok(cells) => return change(&cells),
                    Err(error) => {
                        tracing::error!(cohort = %self.cohort, error = &error as &dyn std::error::Error, "live.follow_failed");
                        return None;
                    }
                }
            }
            match self.receiver.recv().await {
                Ok(change) => return Some(change),
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn change(cells: &[Cell]) -> Option<CohortChange> {
    let at = cells.iter().map(|cell| cell.changed_at).max()?;
    let cells = serde_json::to_string(cells).unwrap_or_default().into();
    Some(CohortChange { at, cells })
}

/// What has been sent of the last [`OVERLAP`], so that reading it again sends nothing twice.
struct Memory {
    newest: DateTime<Utc>,
    sent: HashMap<(Uuid, String), Cell>,
}

impl Memory {
    async fn news(&mut self, store: &Store, cohort: Uuid) -> Result<Vec<Cell>> {
        let from = self.newest - OVERLAP;
        let mut cells = store.cells_changed_since(cohort, from).await?;
        cells.retain(|cell| {
            let known = self.sent.insert((cell.person, cell.exercise.clone()), cell.clone());
            known.as_ref() != Some(cell)
        });
        self.newest = cells.iter().map(|cell| cell.changed_at).fold(self.newest, DateTime::max);
        let keep_from = self.newest - OVERLAP;
        self.sent.retain(|_, cell| cell.changed_at >= keep_from);
        Ok(cells)
    }
}

/// Reads what has changed in a cohort whenever its bell rings and sends it to all who watch.
async fn pass_on(
    store: Store,
    cohort: Uuid,
    clock: Clock,
    sender: broadcast::Sender<CohortChange>,
    wake: Arc<Notify>,
) {
    let mut memory = Memory { newest: clock.now(), sent: HashMap::new() };
    loop {
        match memory.news(&store, cohort).await {
            Ok(cells) => {
                if let Some(change) = change(&cells) {
                    let _ = sender.send(change);
                }
                let wait = jitter(LOOK_ANYWAY);
                if tokio::time::timeout(wait, wake.notified()).await.is_ok() {
                    tokio::time::sleep(GATHER).await;
                }
            }
            Err(error) => {
                tracing::warn!(%cohort, error = &error as &dyn std::error::Error, "live.read_failed");
                tokio::time::sleep(jitter(Duration::from_secs(1))).await;
            }
        }
    }
}
