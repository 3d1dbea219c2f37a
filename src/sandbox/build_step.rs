//! Containers in which the classic builder runs the steps of a build.
//!
//! The engine makes and removes them, without a name or label of ours. It does not when it is killed in the
//! middle of a build: then they stay, and nothing in the engine tells whose they are. So each is noted in this
//! owner's journal as soon as the builder tells its id, and whoever finds it there later removes it.

use std::io::Write as _;

use bollard::query_parameters::BuildImageOptions;

use super::engine::{CALL, EngineInner};
use super::error::{Error, status};
use super::labels;

/// Such a container, and what tells it from others: a step's output can name any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuildStepContainer {
    pub(super) id: String,
    bounds: Bounds,
}

/// The bounds that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    memory_bytes: i64,
    cpu_quota_micros: i64,
}

impl Bounds {
    pub(super) fn of(options: &BuildImageOptions) -> Self {
        let number = |bound: Option<i32>| bound.map_or(0, i64::from);
        Self { memory_bytes: number(options.memory), cpu_quota_micros: number(options.cpuquota) }
    }
}

impl BuildStepContainer {
    pub(super) fn new(id: &str, bounds: Bounds) -> Self {
        Self { id: id.to_owned(), bounds }
    }

    /// Notes it, before anything else can happen to us.
    ///
    /// # Errors
    /// When the journal cannot be written: then the container could be left behind for ever.
    pub(super) fn note(&self, engine: &EngineInner) -> Result<(), Error> {
        let path = engine.owner.step_journal();
        let Bounds { memory_bytes, cpu_quota_micros } = self.bounds;
        let line = format!("{} {memory_bytes} {cpu_quota_micros}\n", self.id);
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut journal| journal.write_all(line.as_bytes()))
            .map_err(|error| Error::Unfit(format!("{} cannot be written ({error})", path.display())))
    }

    /// From a line of a journal; `None` of one that was cut off.
    pub(super) fn noted(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next().filter(|id| !id.is_empty())?.to_owned();
        let bounds = Bounds {
            memory_bytes: words.next()?.parse().ok()?,
            cpu_quota_micros: words.next()?.parse().ok()?,
        };
        Some(Self { id, bounds })
    }

    /// Whether a container of this id is there and is a step: none of ours, and with just the bounds that were
    /// asked for.
    pub(super) async fn is_there(&self, engine: &EngineInner) -> Result<bool, Error> {
        let action = "inspect a build's container";
        let inspecting = engine.docker.inspect_container(&self.id, None);
        let found = match engine.answer(action, CALL, inspecting).await? {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(engine.error(action, &error)),
        };
        // A step has the labels of its image, and those may be called like ours.
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let host = found.host_config.unwrap_or_default();
        let bounds =
            Bounds { memory_bytes: host.memory.unwrap_or(0), cpu_quota_micros: host.cpu_quota.unwrap_or(0) };
        Ok(labels.get(labels::SERVER) != Some(&engine.labels.server) && bounds == self.bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_was_cut_off_is_read_as_far_as_it_goes() {
        let bounds = Bounds { memory_bytes: 67_108_864, cpu_quota_micros: 100_000 };
        let step = BuildStepContainer::new("0123456789ab", bounds);
        assert_eq!(BuildStepContainer::noted("0123456789ab 67108864 100000"), Some(step));
        for cut in ["", "0123", "0123456789ab 6710", "0123456789ab 67108864 "] {
            assert_eq!(BuildStepContainer::noted(cut), None, "{cut:?}");
        }
    }
}
