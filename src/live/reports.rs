//! Following a submission whose answers wait for a trainer: its gradings are over, and their report may
//! change all the same.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use super::{LOOK_ANYWAY, Live};
use crate::accounts::random::jitter;
use crate::store::Store;

/// Whoever is behind looks once, however much happened.
const CAPACITY: usize = 1;

impl Live {
    /// Tells at once, and then each time a trainer may have scored an answer of the submission or it may have
    /// been queued again. It is told for nothing now and then. Ends when the server shuts down.
    pub fn follow_report(&self, submission: Uuid) -> impl Stream<Item = ()> + Send + use<> {
        let store = self.inner.store.clone();
        let reader = self
            .inner
            .reports
            .join(submission, CAPACITY, move |sender, wake| pass_on(store, submission, sender, wake));
        let ending = self.inner.ending.clone();
        let receiver = reader.sender.subscribe();
        stream::unfold((reader, receiver, true), move |(reader, mut receiver, first)| {
            let ending = ending.clone();
            async move {
                if !first {
                    let told = ending.run_until_cancelled(receiver.recv()).await?;
                    if matches!(told, Err(broadcast::error::RecvError::Closed)) {
                        return None;
                    }
                }
                Some(((), (reader, receiver, false)))
            }
        })
    }
}

/// Looks whether anything was added whenever the submission's bell rings, and tells all who watch.
async fn pass_on(store: Store, submission: Uuid, sender: broadcast::Sender<()>, wake: Arc<Notify>) {
    let mut known = None;
    loop {
        match store.judgements_of(submission).await {
            Ok(now) => {
                if known.replace(now) != Some(now) {
                    // Nobody may be watching just now.
                    let _ = sender.send(());
                }
                let wait = jitter(LOOK_ANYWAY);
                // Either way it is time to look.
                let _ = tokio::time::timeout(wait, wake.notified()).await;
            }
            Err(error) => {
                tracing::warn!(%submission, error = &error as &dyn std::error::Error, "live.read_failed");
                tokio::time::sleep(jitter(Duration::from_secs(1))).await;
            }
        }
    }
}
