//! The only place that reads the time; tests set it.
//!
//! Everyone may call this room, and it knows of no other. `clippy.toml` bans
//! the raw calls (`Utc::now`, `Instant::now`, `SystemTime::now`) elsewhere, so
//! that a test can move time by hand and a measured duration always comes from
//! the monotonic clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// Wall-clock and monotonic time. Cheap to clone; clones of a manual clock share their hands.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Mutex<DateTime<Utc>>>>,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it. For tests.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self { manual: Some(Arc::new(Mutex::new(start))) }
    }

    /// The time now, cut to microseconds: the finest that PostgreSQL stores, so that
    /// what is written and what is read back are equal on both databases.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.manual {
            Some(hands) => *hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            None => Utc::now().trunc_subsecs(6),
        }
    }

    /// Moves a manual clock forward; does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.manual {
            *hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += by;
        }
    }

    /// Starts a stopwatch on the monotonic clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch { started: Instant::now() }
    }
}

/// A running stopwatch: how long ago it was started, unaffected by changes of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Seconds since the start, rounded to milliseconds, as reports and events carry them.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }
}
