//! Writing down what happens in a grading, without holding the grading up.
//!
//! Events go into a channel and are stored by a task of their own: whatever has gathered while one
//! transaction was written goes into the next. Log lines wait a moment for others.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Live;
use super::event::{Event, LINE_BYTES, Line};
use crate::report::Report;
use crate::store::{Error, Lease, Result, Store};

/// Log kept of one attempt, all sources together, in bytes.
pub const LOG_BYTES: usize = 1 << 20;
/// What a line costs beside its text.
const LINE_COST: usize = 16;
/// How long log lines wait for others.
const GATHER: Duration = Duration::from_millis(40);
/// Lines in one event, and how many are enough to stop waiting.
const LINES: usize = 64;
/// Waits between tries when the database fails; after the last the events are given up.
const RETRY_AFTER_MS: [u64; 6] = [50, 100, 250, 500, 1000, 2000];

/// Writes the events of one attempt, under its lease. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    lease: Lease,
    items: mpsc::UnboundedSender<Item>,
    log: Mutex<LogBudget>,
    lost: CancellationToken,
    closed: AtomicBool,
}

enum Item {
    Log(Arc<str>, Line),
    Event(Event),
    /// Store all that came before, then answer.
    Flush(oneshot::Sender<Result<()>>),
}

/// What is left of [`LOG_BYTES`], and whom it was refused to.
struct LogBudget {
    left: usize,
    sources: HashMap<String, Arc<str>>,
    cut: HashSet<String>,
}

impl Live {
    /// Begins to write down an attempt. The first event tells watchers that it has begun.
    #[must_use]
    pub fn record(&self, lease: &Lease) -> Recorder {
        let (items, taken) = mpsc::unbounded_channel();
        let lost = CancellationToken::new();
        let writer = Writer {
            store: self.inner.store.clone(),
            lease: lease.clone(),
            lost: lost.clone(),
            failed: None,
        };
        tokio::spawn(writer.run(taken));
        let recorder = Recorder {
            inner: Arc::new(Inner {
                store: self.inner.store.clone(),
                lease: lease.clone(),
                items,
                log: Mutex::new(LogBudget { left: LOG_BYTES, sources: HashMap::new(), cut: HashSet::new() }),
                lost,
                closed: AtomicBool::new(false),
            }),
        };
        recorder.emit(Event::Started { attempt: lease.attempt });
        recorder
    }
}

impl Recorder {
    /// Writes down what happened; never waits. Lines of output go through [`Recorder::log`]; the last
    /// event through [`Recorder::finish`] or [`Recorder::retry`].
    pub fn emit(&self, event: Event) {
        if !self.inner.closed.load(Ordering::Acquire) {
            // The task is gone only when the runtime ends.
            let _ = self.inner.items.send(Item::Event(event));
        }
    }

    /// Writes down a line of output; never waits. What goes beyond [`LOG_BYTES`] is dropped, and the
    /// first time it happens to a source an event says so. Returns whether the line was kept.
    pub fn log(&self, source: &str, mut line: Line) -> bool {
        if self.inner.closed.load(Ordering::Acquire) {
            return false;
        }
        if line.text.len() > LINE_BYTES {
            line.text.truncate(line.text.floor_char_boundary(LINE_BYTES - '…'.len_utf8()));
            line.text.push('…');
        }
        let mut log = self.inner.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = log.left.checked_sub(line.text.len() + LINE_COST) {
            if !log.cut.contains(source) {
                log.left = left;
                let shared = log.sources.entry(source.to_owned()).or_insert_with(|| source.into());
                let _ = self.inner.items.send(Item::Log(Arc::clone(shared), line));
                return true;
            }
        } else {
            log.left = 0;
        }
        if log.cut.insert(source.to_owned()) {
            let _ = self.inner.items.send(Item::Event(Event::LogTruncated { source: source.to_owned() }));
        }
        false
    }

    /// Whether any output was dropped, for [`Report::log_truncated`].
    #[must_use]
    pub fn log_truncated(&self) -> bool {
        !self.inner.log.lock().unwrap_or_else(PoisonError::into_inner).cut.is_empty()
    }

    /// Cancelled when it turns out that the lease is lost: whoever grades should stop then.
    #[must_use]
    pub fn lease_lost(&self) -> CancellationToken {
        self.inner.lost.clone()
    }

    /// Stores the report and the last event together, after everything that was written down before.
    /// `fault` is the internal cause of a platform fault, `seconds` how long the attempt took.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has the grading now; [`Error::Database`] when the
    /// database failed for several seconds. The lease then runs out and the grading is tried again.
    pub async fn finish(&self, report: &Report, fault: Option<&str>, seconds: f64) -> Result<()> {
        let last = Event::Finished {
            verdict: report.verdict,
            points: report.points,
            waiting: report.waits_for_review(),
            seconds,
        }
        .payload();
        self.close().await;
        let Inner { store, lease, .. } = &*self.inner;
        insistently(&self.inner.lost, || store.finish(lease, report, fault, &last)).await?;
        Ok(())
    }

    /// Puts the grading back after a platform fault, to be tried again after `backoff`.
    ///
    /// # Errors
    /// As [`Recorder::finish`].
    pub async fn retry(&self, fault: &str, backoff: Duration) -> Result<()> {
        let event = Event::Retrying { attempt: self.inner.lease.attempt + 1, in_seconds: backoff.as_secs() }
            .payload();
        self.close().await;
        let Inner { store, lease, .. } = &*self.inner;
        insistently(&self.inner.lost, || store.requeue(lease, fault, backoff, &event)).await?;
        Ok(())
    }

    /// Gives the grading back untouched, without counting the attempt.
    ///
    /// # Errors
    /// As [`Recorder::finish`].
    pub async fn release(&self) -> Result<()> {
        self.close().await;
        let Inner { store, lease, .. } = &*self.inner;
        insistently(&self.inner.lost, || store.release(lease)).await
    }

    /// Waits until everything that was written down so far is stored.
    ///
    /// # Errors
    /// As [`Recorder::finish`].
    pub async fn flush(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let _ = self.inner.items.send(Item::Flush(answer));
        answered.await.unwrap_or(Err(Error::LeaseLost(self.inner.lease.grading)))
    }

    /// Takes nothing more and stores what was taken. An event that could not be stored must not keep
    /// the verdict from being stored, and a lost lease will be told by whoever writes next.
    async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        if let Err(error) = self.flush().await {
            let grading = self.inner.lease.grading;
            tracing::warn!(%grading, error = &error as &dyn std::error::Error, "live.events_lost");
        }
    }
}

/// The task that stores.
struct Writer {
    store: Store,
    lease: Lease,
    lost: CancellationToken,
    failed: Option<Error>,
}

impl Writer {
    async fn run(mut self, mut items: mpsc::UnboundedReceiver<Item>) {
        let mut gathered = Gathered::default();
        while let Some(item) = items.recv().await {
            gathered.add(item);
            // Lines wait for others; anything else goes at once, with whatever is there already.
            let patience = tokio::time::sleep(GATHER);
            tokio::pin!(patience);
            while gathered.may_wait() {
                tokio::select! {
                    biased;
                    next = items.recv() => match next {
                        Some(item) => gathered.add(item),
                        None => break,
                    },
                    () = &mut patience => break,
                }
            }
            while gathered.events.len() < LINES
                && let Ok(item) = items.try_recv()
            {
                gathered.add(item);
            }
            self.store(&mut gathered).await;
        }
    }

    async fn store(&mut self, gathered: &mut Gathered) {
        let payloads: Vec<String> = gathered.take_events().iter().map(Event::payload).collect();
        if !payloads.is_empty() && !self.lost.is_cancelled() {
            let (store, lease) = (&self.store, &self.lease);
            let stored = insistently(&self.lost, || store.append_events(lease, &payloads)).await;
            if let Err(error) = stored {
                if !matches!(error, Error::LeaseLost(_)) {
                    let grading = self.lease.grading;
                    tracing::error!(%grading, error = &error as &dyn std::error::Error, "live.append_failed");
                }
                self.failed = Some(error);
            }
        }
        for answer in gathered.answers.drain(..) {
            let outcome = if self.lost.is_cancelled() {
                Err(Error::LeaseLost(self.lease.grading))
            } else {
                self.failed.take().map_or(Ok(()), Err)
            };
            let _ = answer.send(outcome);
        }
    }
}

/// Events that are stored in one transaction.
#[derive(Default)]
struct Gathered {
    events: Vec<Event>,
    lines: usize,
    hurry: bool,
    answers: Vec<oneshot::Sender<Result<()>>>,
}

impl Gathered {
    fn add(&mut self, item: Item) {
        match item {
            Item::Log(source, line) => {
                self.lines += 1;
                match self.events.last_mut() {
                    Some(Event::Log { source: last, lines }) if **last == *source && lines.len() < LINES => {
                        lines.push(line);
                    }
                    _ => {
                        self.events
                            .push(Event::Log { source: source.as_ref().to_owned(), lines: vec![line] });
                    }
                }
            }
            Item::Event(event) => {
                self.hurry = true;
                self.events.push(event);
            }
            Item::Flush(answer) => {
                self.hurry = true;
                self.answers.push(answer);
            }
        }
    }

    fn may_wait(&self) -> bool {
        !self.hurry && self.lines < LINES
    }

    fn take_events(&mut self) -> Vec<Event> {
        self.lines = 0;
        self.hurry = false;
        std::mem::take(&mut self.events)
    }
}

/// Tries again for a few seconds when the database fails; a lost lease is told at once, and for good.
async fn insistently<T, F: Future<Output = Result<T>>>(
    lost: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let mut waits = RETRY_AFTER_MS.into_iter();
    loop {
        match attempt().await {
            Err(error @ Error::Database(_)) => match waits.next() {
                Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
                None => return Err(error),
            },
            Err(error @ Error::LeaseLost(_)) => {
                lost.cancel();
                return Err(error);
            }
            other => return other,
        }
    }
}
