//! Following one grading: first what is stored, then what comes, without gap or duplicate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use super::event::is_last;
use super::{LOOK_ANYWAY, Live, Reader};
use crate::accounts::random::jitter;
use crate::store::{GradingState, Result, Store};

/// An event on its way: its sequence number and its JSON, shared by all who watch.
pub(super) type Sent = (i64, Arc<str>);

/// Events read from the store at once.
const PAGE: u16 = 100;
/// Events that wait for a slow watcher before it has to read the store.
const CAPACITY: usize = 64;

impl Live {
    /// The events of a grading after `after_seq` (0: from the beginning) with their sequence numbers,
    /// as JSON of [`super::Event`]: those that are stored, then those that come. Ends after
    /// [`super::Event::Finished`], when the server shuts down, and when the store fails; whoever
    /// comes back with the last number it has seen misses nothing.
    pub fn follow(
        &self,
        grading: Uuid,
        after_seq: i64,
    ) -> impl Stream<Item = (i64, Arc<str>)> + Send + use<> {
        let follower = Follower {
            live: self.clone(),
            grading,
            last: after_seq,
            read: VecDeque::new(),
            behind: true,
            joined: None,
            ended: false,
        };
        stream::unfold(follower, Follower::next)
    }
}

struct Follower {
    live: Live,
    grading: Uuid,
    /// The number of the last event passed on.
    last: i64,
    /// Read from the store and not yet passed on.
    read: VecDeque<Sent>,
    /// Whether the store may have events that neither `read` nor the reader will bring.
    behind: bool,
    joined: Option<(Arc<Reader<Sent>>, broadcast::Receiver<Sent>)>,
    ended: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Sent, Self)> {
        let ending = self.live.inner.ending.clone();
        // Boxed: a watcher that waits keeps only what waiting takes.
        let sent = ending.run_until_cancelled(Box::pin(self.find())).await.flatten()?;
        self.last = sent.0;
        self.ended = is_last(&sent.1);
        Some((sent, self))
    }

    async fn find(&mut self) -> Option<Sent> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(sent) = self.read.pop_front() {
                return Some(sent);
            }
            self.read = VecDeque::new();
            if self.behind {
                match self.catch_up().await {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(error) => {
                        tracing::error!(grading = %self.grading, error = &error as &dyn std::error::Error, "live.follow_failed");
                        return None;
                    }
                }
            }
            match self.joined.as_mut()?.1.recv().await {
                Ok(sent) if sent.0 == self.last + 1 => return Some(sent),
                Ok(sent) if sent.0 <= self.last => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// One step towards being up to date; `false` when there is nothing to come.
    async fn catch_up(&mut self) -> Result<bool> {
        self.read = page(&self.live.inner.store, self.grading, self.last).await?;
        // Whatever is stored from now on comes through a reader that was joined before this look.
        self.behind = self.joined.is_none() || self.read.len() == usize::from(PAGE);
        if !self.behind || !self.read.is_empty() {
            return Ok(true);
        }
        // Nothing is stored after the last event: either it will come, or all is told already. Asked
        // in this order, since the last event and the state are stored together.
        if self.live.inner.store.grading_state(self.grading).await? == GradingState::Done {
            self.read = page(&self.live.inner.store, self.grading, self.last).await?;
            return Ok(!self.read.is_empty());
        }
        let (store, grading, last) = (self.live.inner.store.clone(), self.grading, self.last);
        let reader = self
            .live
            .inner
            .gradings
            .join(grading, CAPACITY, move |sender, wake| pass_on(store, grading, last, sender, wake));
        let receiver = reader.sender.subscribe();
        self.joined = Some((reader, receiver));
        Ok(true)
    }
}

async fn page(store: &Store, grading: Uuid, after: i64) -> Result<VecDeque<Sent>> {
    let events = store.events_after(grading, after, i64::from(PAGE)).await?;
    Ok(events.into_iter().map(|event| (event.seq, event.payload.into())).collect())
}

/// Reads what is new in a grading whenever its bell rings and sends it to all who watch.
async fn pass_on(
    store: Store,
    grading: Uuid,
    mut last: i64,
    sender: broadcast::Sender<Sent>,
    wake: Arc<Notify>,
) {
    loop {
        match page(&store, grading, last).await {
            Ok(events) if events.is_empty() => {
                let wait = jitter(LOOK_ANYWAY);
                // Either way it is time to look.
                let _ = tokio::time::timeout(wait, wake.notified()).await;
            }
            Ok(events) => {
                for sent in events {
                    last = sent.0;
                    let all_told = is_last(&sent.1);
                    // Nobody may be watching just now; they read the store when they come.
                    let _ = sender.send(sent);
                    if all_told {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%grading, error = &error as &dyn std::error::Error, "live.read_failed");
                tokio::time::sleep(jitter(Duration::from_secs(1))).await;
            }
        }
    }
}
