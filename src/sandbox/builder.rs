//! Which of the engine's two builders runs, and whether it keeps a step's memory bounded.
//!
//! The classic builder honours limits; BuildKit ignores them on every engine tried, unless the
//! daemon's own cgroup bounds all of its steps together. That can only be found out by allocating:
//! a step that may use 64 MiB takes 256 MiB and either gets them or is ended. `build.rs` asks
//! [`Chooser::choose`], the doctor shows what was measured.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::query_parameters::BuilderVersion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Builder;
use super::build_cache::ImageCache;
use super::build_run::{Ended, Job, run};
use super::engine::EngineInner;
use super::error::Error;
use super::probe::allocate;
use super::probe_image::EXECUTABLE;
use crate::config::BuilderChoice;

/// What the measured step may use, and what it takes.
pub(super) const MEASURE_LIMIT_BYTES: u64 = 64 << 20;
pub(super) const MEASURE_TAKES_BYTES: u64 = 256 << 20;
/// How long a measurement may take; afterwards it counts as not known.
const MEASURE_TIME: Duration = Duration::from_mins(1);

/// Whether a builder keeps the memory of a step within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bounded {
    /// The step was ended when it took more.
    Yes,
    /// The step got four times what it was allowed.
    No,
    /// It could not be told.
    Unknown,
}

/// What the builders of one connection share. Part of [`EngineInner`].
#[derive(Debug, Default)]
pub(super) struct Chooser {
    pub(super) cache: ImageCache,
    buildkit: Arc<Mutex<Option<Bounded>>>,
}

/// Why the builder that a Dockerfile needs is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBuildKit {
    /// `sandbox.builder` is `classic`.
    Setting,
    /// Its steps are not bounded on this engine and the settings do not allow that.
    Unbounded,
}

impl Chooser {
    /// Which builder serves a Dockerfile. Until BuildKit is measured, the classic one does.
    pub(super) fn choose(
        &self,
        choice: BuilderChoice,
        unbounded_allowed: bool,
        needs_buildkit: bool,
    ) -> Result<Builder, NotBuildKit> {
        let bounded = self.known() == Some(Bounded::Yes);
        match (choice, needs_buildkit) {
            (BuilderChoice::BuildKit, _) => Ok(Builder::BuildKit),
            (BuilderChoice::Classic, true) => Err(NotBuildKit::Setting),
            (BuilderChoice::Auto, _) if bounded => Ok(Builder::BuildKit),
            (BuilderChoice::Auto, true) if unbounded_allowed => Ok(Builder::BuildKit),
            (BuilderChoice::Auto, true) => Err(NotBuildKit::Unbounded),
            (BuilderChoice::Classic | BuilderChoice::Auto, false) => Ok(Builder::Classic),
        }
    }

    fn known(&self) -> Option<Bounded> {
        *self.buildkit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, bounded: Bounded) {
        *self.buildkit.lock().unwrap_or_else(PoisonError::into_inner) = Some(bounded);
    }
}

/// A measurement as it is kept in the state folder, so that it is made once per engine and version.
#[derive(Serialize, Deserialize)]
struct Measured {
    engine: String,
    buildkit_memory: Bounded,
}

/// Starts finding out about BuildKit without making anybody wait.
pub(super) fn learn_in_background(engine: &Arc<EngineInner>) {
    let engine = Arc::clone(engine);
    engine.tasks.clone().spawn(async move {
        tokio::select! {
            () = engine.closing.cancelled() => {}
            learnt = learn(&engine) => if let Err(error) = learnt {
                tracing::warn!(error = %error, "builder.not_measured");
            },
        }
    });
}

/// Finds out about BuildKit, from the state folder or by trying, and remembers it. Where the
/// settings have fixed the builder, there is nothing to find out.
pub(super) async fn learn(engine: &EngineInner) -> Result<(), Error> {
    if engine.settings.builder != BuilderChoice::Auto || engine.builder.known().is_some() {
        return Ok(());
    }
    let identity = identity(engine).await?;
    let path = kept_at(engine, &identity);
    let kept = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Measured>(&text).ok());
    if let Some(kept) = kept.filter(|kept| kept.engine == identity) {
        engine.builder.learn(kept.buildkit_memory);
        return Ok(());
    }
    let bounded = measure(engine, Builder::BuildKit).await?;
    tracing::info!(?bounded, "builder.measured");
    engine.builder.learn(bounded);
    if bounded != Bounded::Unknown {
        let measured = Measured { engine: identity, buildkit_memory: bounded };
        let draft = path.with_extension(engine.owner.id.as_str());
        let text = serde_json::to_vec(&measured).unwrap_or_default();
        if let Err(error) = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path)) {
            tracing::warn!(error = %error, path = %path.display(), "builder.not_remembered");
        }
    }
    Ok(())
}

fn kept_at(engine: &EngineInner, identity: &str) -> PathBuf {
    let digest = Sha256::digest(identity.as_bytes());
    let number = digest.iter().take(6).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    engine.context.state_dir.join(format!("builder-{number:012x}.json"))
}

/// The engine, its version and how it bounds containers: when one changes, the measurement is void.
async fn identity(engine: &EngineInner) -> Result<String, Error> {
    let info = engine.call("describe itself", engine.docker.info()).await?;
    Ok(format!(
        "{} {} {:?} {:?}",
        info.id.unwrap_or_default(),
        info.server_version.unwrap_or_default(),
        info.cgroup_driver,
        info.cgroup_version,
    ))
}

/// Runs a step that takes more memory than it may, and looks how it ends.
///
/// # Errors
/// When the engine fails us; that the step could not be run is [`Bounded::Unknown`].
pub(super) async fn measure(engine: &EngineInner, builder: Builder) -> Result<Bounded, Error> {
    let takes = MEASURE_TAKES_BYTES.to_string();
    Ok(match try_step(engine, builder, &["--allocate", &takes], 1000).await? {
        Some(code) if code == i64::from(allocate::GOT_IT) => Bounded::No,
        Some(code) if code == i64::from(allocate::REFUSED) || code == 137 => Bounded::Yes,
        _ => Bounded::Unknown,
    })
}

/// Runs the probe in a step with bounds, without a network, and says with which code it failed. It always has to
/// fail, so that no image is made.
///
/// # Errors
/// When the engine fails us; that the step could not be run is `None`.
pub(super) async fn try_step(
    engine: &EngineInner,
    builder: Builder,
    arguments: &[&str],
    cpu_millis: u32,
) -> Result<Option<i64>, Error> {
    let words: Vec<String> =
        [EXECUTABLE, "probe"].iter().chain(arguments).map(|word| format!("\"{word}\"")).collect();
    let dockerfile = format!("FROM {}\nUSER 0:0\nRUN [{}]\n", engine.probe_image, words.join(", "));
    let job = Job {
        version: match builder {
            Builder::Classic => BuilderVersion::BuilderV1,
            Builder::BuildKit => BuilderVersion::BuilderBuildKit,
        },
        context: context_of(&dockerfile),
        dockerfile: "Dockerfile".into(),
        memory_bytes: MEASURE_LIMIT_BYTES,
        cpu_millis,
        disk_bytes: u64::MAX,
        within: MEASURE_TIME,
        no_cache: true,
        ..Job::default()
    };
    let sink: super::LogSink = Arc::new(|_| {});
    let mut log = super::build_log::BuildLog::new(sink, 1 << 20);
    let mut making = super::build_cache::Making::new(engine);
    let code = match run(engine, job, &mut log, &mut making).await? {
        Ended::Refused(said) => {
            let code = exit_code(&said.message);
            if code.is_none() {
                tracing::warn!(message = said.message, ?builder, "builder.measurement_failed");
            }
            code
        }
        _ => None,
    };
    Ok(code)
}

/// The exit code in a builder's message about a failed step.
pub(super) fn exit_code(message: &str) -> Option<i64> {
    let (_, after) = message.rsplit_once("code: ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn context_of(dockerfile: &str) -> bytes::Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    // Writing to memory does not fail.
    let _ = archive.append_data(&mut header, "Dockerfile", dockerfile.as_bytes());
    archive.into_inner().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_decide_unless_the_settings_do() {
        let chooser = Chooser::default();
        let auto = |needs, allowed| chooser.choose(BuilderChoice::Auto, allowed, needs);
        assert_eq!(auto(false, false), Ok(Builder::Classic));
        assert_eq!(auto(true, false), Err(NotBuildKit::Unbounded));
        assert_eq!(auto(true, true), Ok(Builder::BuildKit));
        chooser.learn(Bounded::No);
        assert_eq!(auto(false, true), Ok(Builder::Classic));
        chooser.learn(Bounded::Yes);
        assert_eq!(auto(false, false), Ok(Builder::BuildKit));
        assert_eq!(auto(true, false), Ok(Builder::BuildKit));
        assert_eq!(chooser.choose(BuilderChoice::Classic, true, true), Err(NotBuildKit::Setting));
        assert_eq!(chooser.choose(BuilderChoice::BuildKit, false, false), Ok(Builder::BuildKit));
    }

    #[test]
    fn exit_codes_are_read_from_both_builders() {
        assert_eq!(exit_code("The command '/bin/sh -c exit 3' returned a non-zero code: 3"), Some(3));
        assert_eq!(exit_code("executor failed running [/bin/sh -c x]: exit code: 137"), Some(137));
        assert_eq!(
            exit_code("process \"/bin/sh -c x\" did not complete successfully: exit code: 1"),
            Some(1)
        );
        assert_eq!(exit_code("no such thing"), None);
    }
}
