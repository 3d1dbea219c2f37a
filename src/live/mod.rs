//! Events out of a grading to whoever watches: stored first, then sent.
//!
//! `grading` writes through [`Recorder`], `web` reads through [`Live::follow`],
//! [`Live::follow_report`] and [`Live::follow_cohort`]. An event has a sequence number per grading, so that a watcher who
//! comes late, reloads or loses the connection goes on where it was.
//!
//! There is one way for everything: the store is written to, its bell rings, whoever has watchers
//! reads what is new from the store and passes it on. So it makes no difference which process
//! grades, and a watcher can always fall back to reading the store. What is read is shared: one
//! reader per watched grading or cohort, however many watch, and none where nobody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::Store;

mod cohort;
mod event;
mod follow;
mod recorder;
mod reports;

pub use cohort::CohortChange;
pub use event::{Event, LINE_BYTES, Line};
pub use recorder::{LOG_BYTES, Recorder};

/// After so long a reader looks into the store although no bell rang: a safety net for a lost
/// notification, no more.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// The live room. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    gradings: Readers<follow::Sent>,
    /// By submission.
    reports: Readers<()>,
    cohorts: Readers<CohortChange>,
    ending: CancellationToken,
    _dispatchers: [AbortOnDropHandle<()>; 3],
}

impl Live {
    /// Must be called within a tokio runtime: begins to listen to the store's bells.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        let (gradings, reports, cohorts) = (Readers::default(), Readers::default(), Readers::default());
        let dispatchers = [
            AbortOnDropHandle::new(tokio::spawn(dispatch(store.events_rung(), gradings.clone()))),
            AbortOnDropHandle::new(tokio::spawn(dispatch(store.events_rung(), reports.clone()))),
            AbortOnDropHandle::new(tokio::spawn(dispatch(store.cells_rung(), cohorts.clone()))),
        ];
        let ending = CancellationToken::new();
        let inner = Inner { store, clock, gradings, reports, cohorts, ending, _dispatchers: dispatchers };
        Self { inner: Arc::new(inner) }
    }

    /// Ends every stream, now and later: open streams would keep a server from shutting down.
    pub fn end_streams(&self) {
        self.inner.ending.cancel();
    }
}

/// Wakes the readers whose bells ring.
async fn dispatch<T: Clone + Send + 'static>(
    mut rung: broadcast::Receiver<Option<Uuid>>,
    readers: Readers<T>,
) {
    loop {
        match rung.recv().await {
            Ok(Some(id)) => readers.wake(id),
            // Missed some: any may have rung.
            Ok(None) | Err(broadcast::error::RecvError::Lagged(_)) => readers.wake_all(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// A task that reads something from the store and passes it on, for as long as somebody holds this.
struct Reader<T> {
    sender: broadcast::Sender<T>,
    wake: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

/// The readers at work, by what they read.
struct Readers<T>(Arc<Mutex<HashMap<Uuid, Weak<Reader<T>>>>>);

impl<T> Clone for Readers<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Readers<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + 'static> Readers<T> {
    /// The reader of `id`; if there is none, `start` is spawned with what it sends to and is woken by.
    fn join<F: Future<Output = ()> + Send + 'static>(
        &self,
        id: Uuid,
        capacity: usize,
        start: impl FnOnce(broadcast::Sender<T>, Arc<Notify>) -> F,
    ) -> Arc<Reader<T>> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&id).and_then(Weak::upgrade) {
            return reader;
        }
        readers.retain(|_, reader| reader.strong_count() > 0);
        let sender = broadcast::Sender::new(capacity);
        let wake = Arc::new(Notify::new());
        let task = tokio::spawn(start(sender.clone(), Arc::clone(&wake)));
        let reader = Arc::new(Reader { sender, wake, _task: AbortOnDropHandle::new(task) });
        readers.insert(id, Arc::downgrade(&reader));
        reader
    }

    fn wake(&self, id: Uuid) {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&id).and_then(Weak::upgrade) {
            reader.wake.notify_one();
        }
    }

    fn wake_all(&self) {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for reader in readers.values().filter_map(Weak::upgrade) {
            reader.wake.notify_one();
        }
    }

    /// How many are at work. For tests and metrics.
    fn at_work(&self) -> usize {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.values().filter(|reader| reader.strong_count() > 0).count()
    }
}

impl Live {
    /// Gradings and cohorts that are being read because somebody watches them.
    #[must_use]
    pub fn watched(&self) -> (usize, usize) {
        (self.inner.gradings.at_work(), self.inner.cohorts.at_work())
    }
}
