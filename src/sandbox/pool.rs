//! Warm pods: networks with a pod on them, made before anyone asks.
//!
//! Making a network and starting a pod takes some 0.3 s, and most stacks are one service called `app`.
//! `Sandbox::prepare` takes a warm pod if there is one; a task of the engine's refills. A pod is
//! given to one sandbox and goes with it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::Notify;

use super::engine::EngineInner;
use super::error::Error;
use super::ground::{Ground, Grounds};
use super::owned::Ledger;
use super::pod::Probe;
use super::protocol::{Ask, Reply};
use super::spec::{MAIN_SERVICE, ServiceSpec, StackSpec};

/// The pods that wait.
#[derive(Default)]
pub(super) struct Pool {
    warm: Mutex<VecDeque<Warm>>,
    taken: Notify,
}

struct Warm {
    ledger: Arc<Ledger>,
    grounds: Grounds,
}

/// How long a pod that waits may take to say that it lives.
const PATIENCE: Duration = Duration::from_millis(500);
/// Refilling waits so long after a pod was taken, so that it does not compete with the grading for
/// which it was taken: the common one is over by then.
const SETTLE: Duration = Duration::from_secs(1);
/// How often dead pods are looked for when none is taken.
const REVIEW: Duration = Duration::from_secs(30);
/// The first pause after a failure; doubled up to [`REVIEW`].
const BACKOFF: Duration = Duration::from_secs(1);

impl Pool {
    /// Takes a pod that lives and gives it to `ledger`.
    pub(super) async fn take(&self, ledger: &Ledger) -> Option<Grounds> {
        loop {
            let warm = self.warm().pop_front()?;
            self.taken.notify_one();
            // A word from the probe itself: the news of an engine's restart may be on its way still.
            if let Some(probe) = warm.probe()
                && matches!(probe.try_ask(Ask::Ping, PATIENCE).await, Ok(Reply::Pong))
            {
                warm.ledger.hand_over(ledger).await;
                return Some(warm.grounds);
            }
            warm.ledger.clean_in_background();
        }
    }

    /// Removes all pods that wait.
    pub(super) async fn empty(&self) {
        let warm: Vec<Warm> = self.warm().drain(..).collect();
        futures::future::join_all(warm.iter().map(|warm| warm.ledger.clean())).await;
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, VecDeque<Warm>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throw_away_dead(&self) {
        self.warm().retain(|warm| {
            let lives = warm.probe().is_some_and(Probe::lives);
            if !lives {
                warm.ledger.clean_in_background();
            }
            lives
        });
    }
}

/// Keeps the engine's pool filled until the connection is closed.
pub(super) async fn keep_filled(engine: Weak<EngineInner>) {
    let mut pause = BACKOFF;
    loop {
        let Some(engine) = engine.upgrade() else { return };
        let closing = engine.closing.clone();
        engine.pool.throw_away_dead();
        let wanted = engine.settings.warm_pods;
        let mut filled = Ok(());
        while filled.is_ok() && engine.pool.warm().len() < wanted && !closing.is_cancelled() {
            filled = add_one(&engine).await;
        }
        let rest = match filled {
            Ok(()) => {
                pause = BACKOFF;
                tokio::select! {
                    () = engine.pool.taken.notified() => SETTLE,
                    () = tokio::time::sleep(REVIEW) => Duration::ZERO,
                    () = closing.cancelled() => return engine.pool.empty().await,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "pool.not_filled");
                pause = (pause * 2).min(REVIEW);
                pause
            }
        };
        drop(engine);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = closing.cancelled() => {}
        }
    }
}

impl Warm {
    fn probe(&self) -> Option<&Probe> {
        self.grounds.services.get(MAIN_SERVICE)?.first().map(Ground::probe)
    }
}

async fn add_one(engine: &Arc<EngineInner>) -> Result<(), Error> {
    let ledger = Ledger::new(engine, None);
    let services = IndexMap::from([(MAIN_SERVICE.to_owned(), ServiceSpec::default())]);
    match Grounds::make(&ledger, &StackSpec { services, ..StackSpec::default() }).await {
        Ok(grounds) => {
            engine.pool.warm().push_back(Warm { ledger, grounds });
            Ok(())
        }
        Err(error) => {
            ledger.clean().await;
            Err(error)
        }
    }
}
