//! Containers in which the classic builder runs the steps of a build.
//!
//! The engine makes and removes them, without a name or label of ours. It does not when it is killed in the
//! middle of a build: then they stay, and nothing in the engine tells whose they are. So each is noted in this
//! owner's journal as soon as the builder tells its id, and whoever finds it there later removes it. One that the
//! engine had made and not yet told of was never started either: it is known by the bounds that its build asked
//! for, which are noted when that begins.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;

use bollard::query_parameters::{BuildImageOptions, ListContainersOptionsBuilder};
use chrono::{DateTime, Utc};
use futures::future::join_all;

use super::accounts_files::{LOOK, NEVER_STARTED};
use super::engine::EngineInner;
use super::error::{Error, status};
use super::labels;

/// Such a container, and what tells it from others: a step's output can name any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuildStepContainer {
    pub(super) id: String,
    bounds: Bounds,
}

/// A build whose steps may be left: the bounds of their containers, and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BegunBuild {
    bounds: Bounds,
    /// Seconds since 1970.
    since: i64,
}

/// Stands in a journal's line in the place of a container.
const BUILD: &str = "build";

impl BegunBuild {
    pub(super) fn new(bounds: Bounds, began: DateTime<Utc>) -> Self {
        Self { bounds, since: began.timestamp() }
    }

    /// Notes it, before anything is asked of the engine.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(super) fn note(self, engine: &EngineInner) -> Result<(), Error> {
        write(engine, &format!("{BUILD} {} {}\n", self.bounds, self.since))
    }

    /// From a line of a journal; `None` of any other, and of one that was cut off.
    pub(super) fn noted(line: &str) -> Option<Self> {
        let (bounds, since) = line.strip_prefix(BUILD)?.strip_prefix(' ')?.rsplit_once(' ')?;
        Some(Self { bounds: Bounds::noted(bounds)?, since: since.parse().ok()? })
    }
}

/// Containers that were made for steps of `builds` and never started, and whether there may be more in a moment.
///
/// # Errors
/// When the engine cannot list its containers.
pub(super) async fn never_started(
    engine: &EngineInner,
    builds: &[BegunBuild],
) -> Result<(Vec<BuildStepContainer>, bool), Error> {
    let Some(first) = builds.iter().map(|build| build.since).min() else { return Ok((Vec::new(), false)) };
    let created = HashMap::from([("status".to_owned(), vec!["created".to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&created).build();
    let listed = engine.call("list containers", engine.docker.list_containers(Some(options))).await?;
    let now = engine.context.clock.now().timestamp();
    let made = listed.into_iter().filter_map(|container| {
        let (id, made) = (container.id?, container.created?);
        (made >= first && !is_labelled(engine, container.labels.as_ref())).then_some((id, made))
    });
    let looked = join_all(made.map(async |(id, made)| {
        let bounds = bounds_of(engine, &id).await;
        (id, made, bounds)
    }))
    .await;
    let (mut found, mut more) = (Vec::new(), false);
    for (id, made, bounds) in looked {
        let bounds = match bounds {
            Ok(bounds) => bounds,
            // Whose it is cannot be told now; those beside it are not to wait for that.
            Err(Error::TimedOut { .. }) => {
                more = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        let ours = |bounds: Bounds| builds.iter().any(|build| build.bounds == bounds && build.since <= made);
        let Some(bounds) = bounds.filter(|bounds| ours(*bounds)) else { continue };
        if now - made > NEVER_STARTED {
            found.push(BuildStepContainer { id, bounds });
        } else {
            more = true;
        }
    }
    Ok((found, more))
}

fn is_labelled(engine: &EngineInner, labels: Option<&HashMap<String, String>>) -> bool {
    labels.is_some_and(|labels| labels.get(labels::SERVER) == Some(&engine.labels.server))
}

fn write(engine: &EngineInner, line: &str) -> Result<(), Error> {
    let path = engine.owner.step_journal();
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut journal| journal.write_all(line.as_bytes()))
        .map_err(|error| Error::Unfit(format!("{} cannot be written ({error})", path.display())))
}

/// The bounds of a container that is none of ours; `None` of any other, and where there is none.
async fn bounds_of(engine: &EngineInner, id: &str) -> Result<Option<Bounds>, Error> {
    let action = "inspect a build's container";
    let inspecting = engine.docker.inspect_container(id, None);
    let found = match engine.answer(action, LOOK, inspecting).await? {
        Ok(found) => found,
        Err(error) if status(&error) == Some(404) => return Ok(None),
        Err(error) => return Err(engine.error(action, &error)),
    };
    // A step has the labels of its image, and those may be called like ours.
    if is_labelled(engine, found.config.and_then(|config| config.labels).as_ref()) {
        return Ok(None);
    }
    let host = found.host_config.unwrap_or_default();
    let (memory_bytes, cpu_quota_micros) = (host.memory.unwrap_or(0), host.cpu_quota.unwrap_or(0));
    Ok(Some(Bounds { memory_bytes, cpu_quota_micros }))
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

    fn noted(text: &str) -> Option<Self> {
        let (memory, quota) = text.split_once(' ')?;
        Some(Self { memory_bytes: memory.parse().ok()?, cpu_quota_micros: quota.parse().ok()? })
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.memory_bytes, self.cpu_quota_micros)
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
        write(engine, &format!("{} {}\n", self.id, self.bounds))
    }

    /// From a line of a journal; `None` of one that was cut off.
    pub(super) fn noted(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next().filter(|id| !id.is_empty() && *id != BUILD)?.to_owned();
        let bounds = Bounds {
            memory_bytes: words.next()?.parse().ok()?,
            cpu_quota_micros: words.next()?.parse().ok()?,
        };
        Some(Self { id, bounds })
    }

    /// Whether a container of this id is there and is a step: none of ours, and with just the bounds that were
    /// asked for.
    pub(super) async fn is_there(&self, engine: &EngineInner) -> Result<bool, Error> {
        Ok(bounds_of(engine, &self.id).await? == Some(self.bounds))
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
        let build = BegunBuild { bounds, since: 1_800_000_000 };
        let line = format!("{BUILD} {bounds} {}", build.since);
        assert_eq!(BegunBuild::noted(&line), Some(build));
        assert_eq!(
            (BuildStepContainer::noted(&line), BegunBuild::noted("0123456789ab 67108864 100000")),
            (None, None)
        );
    }
}
