//! How much memory the services of a sandbox had at most, for authors who choose limits.
//!
//! Off unless [`Sandbox::measure_memory`] is called, for it asks the engine again and again. On cgroup v1
//! the kernel keeps the peak; on v2 the engine does not tell it, and only what was seen counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::models::ContainerMemoryStats;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt as _;

use super::container::Container;
use super::engine::CALL;
use super::owned::Sandbox;

/// How often it is looked at most.
const EVERY: Duration = Duration::from_millis(250);

impl Sandbox {
    /// From now on the memory of every container that starts is measured.
    pub fn measure_memory(&self) {
        self.ledger.measured.store(true, Ordering::Relaxed);
    }

    /// The most memory that one of its containers had so far, in bytes, without what the kernel only kept
    /// as cache; `None` where none was seen.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        Some(self.ledger.peak_memory.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}

impl Container {
    /// Looks at the memory from time to time until it has ended for good, where that was asked for.
    pub(super) async fn watch_memory(self: Arc<Self>) {
        if !self.ledger.measured.load(Ordering::Relaxed) {
            return;
        }
        let engine = &self.ledger.engine;
        let look = async {
            loop {
                let watch = engine.context.clock.stopwatch();
                let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
                let asking = async {
                    let stats = engine.docker.stats(&self.id, Some(options));
                    Box::pin(stats).next().await.transpose()
                };
                // Not told this time: told the next time.
                if let Ok(Ok(Some(found))) = engine.answer("measure a container", CALL, asking).await {
                    let bytes = found.memory_stats.as_ref().map_or(0, peak);
                    self.ledger.peak_memory.fetch_max(bytes, Ordering::Relaxed);
                }
                // Never more than half of the time, on an engine that is slow to answer.
                tokio::time::sleep(EVERY.max(watch.elapsed())).await;
            }
        };
        tokio::select! {
            () = self.gone() => {}
            () = look => {}
        }
    }
}

/// The most that a container had, without file pages that the kernel gives back when it has to.
fn peak(stats: &ContainerMemoryStats) -> u64 {
    let most = stats.max_usage.or(stats.usage).unwrap_or(0);
    let pages = |name: &str| stats.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    most.saturating_sub(pages("total_inactive_file").or_else(|| pages("inactive_file")).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_is_only_cache_does_not_count() {
        let stats = |names: &[(&str, u64)]| {
            Some(names.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect::<HashMap<_, _>>())
        };
        let v1 = ContainerMemoryStats {
            usage: Some(40),
            max_usage: Some(100),
            stats: stats(&[("total_inactive_file", 30), ("inactive_file", 1)]),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(peak(&v1), 70);
        let v2 = ContainerMemoryStats {
            usage: Some(40),
            stats: stats(&[("inactive_file", 15)]),
            ..ContainerMemoryStats::default()
        };
        assert_eq!(peak(&v2), 25);
        assert_eq!(peak(&ContainerMemoryStats::default()), 0);
    }
}
