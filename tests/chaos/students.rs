//! Students who hand in all night long, whatever is killed meanwhile. Who gets no answer sends the same again, as
//! a browser or a script does, under the same key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drydock::clock::Clock;
use drydock::store::Store;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::work::{KINDS, Kind};
use crate::server::{Installation, packed};

/// Submissions that may wait or be graded at a time: enough that every moment has some in all phases, and few
/// enough that the night ends soon after the last kill.
const UNDER_WAY: usize = 10;

/// Longer than servers are killed in a row: one that ended by itself would not be started again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(300);

/// A submission that the server answered to have accepted.
pub struct Accepted {
    pub kind: &'static Kind,
    pub submission: Uuid,
    pub grading: Uuid,
}

/// Where the server listens now; `None` while it is down.
pub type Address = watch::Sender<Option<String>>;

/// The students at work.
pub struct Students {
    over: Arc<AtomicBool>,
    working: JoinHandle<Vec<Accepted>>,
}

impl Students {
    pub fn begin(
        installation: Arc<Installation>,
        store: Store,
        address: watch::Receiver<Option<String>>,
        seed: u64,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let working = tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            let mut accepted = Vec::new();
            while !until.load(Ordering::Relaxed) {
                if under_way(&store).await >= UNDER_WAY {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                let kind = &KINDS[random.random_range(0..KINDS.len())];
                let nonce = random.random();
                accepted.push(hand_in(&installation, &address, kind, nonce).await);
            }
            accepted
        });
        Self { over, working }
    }

    /// Lets them end; all that was accepted.
    pub async fn end(self) -> Vec<Accepted> {
        self.over.store(true, Ordering::Relaxed);
        self.working.await.expect("the students hand in to the end")
    }
}

async fn under_way(store: &Store) -> usize {
    let (queued, _) = store.queue_depth().await.expect("the queue can be read");
    let running = store.running().await.expect("the queue can be read");
    usize::try_from(queued).unwrap_or(0) + running.len()
}

/// Hands in until there is an answer.
pub async fn hand_in(
    installation: &Installation,
    address: &watch::Receiver<Option<String>>,
    kind: &'static Kind,
    nonce: u64,
) -> Accepted {
    let files = kind.files(nonce);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (*path, content.as_slice())).collect();
    let archive = packed(&files);
    let key = Uuid::from_u128(u128::from(nonce)).to_string();
    let began = Clock::system().stopwatch();
    loop {
        assert!(
            began.elapsed() < ANSWERED_WITHIN,
            "{}: never answered, by {:?}",
            kind.what,
            *address.borrow()
        );
        let server = address.borrow().clone();
        if let Some(server) = server {
            let sent = installation.try_hand_in_at(&server, kind.exercise, archive.clone(), &key).await;
            // Without an answer it may have been accepted or not; the same key asks for the same.
            if let Ok((status, answer)) = sent {
                assert!(status.is_success(), "{}: {status} {answer}", kind.what);
                let id = |path: &str| answer.pointer(path).and_then(|id| id.as_str()?.parse().ok());
                return Accepted {
                    kind,
                    submission: id("/id").expect("a submission"),
                    grading: id("/grading/id").expect("a grading"),
                };
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
