//! Building an image from a submission: what is checked before, which builder runs, and what comes out.
//!
//! `grading` calls [`Sandbox::build`]. The context is the frozen content and nothing else; the limits
//! are the grading's; the images the Dockerfile stands on are looked up (and pulled, where settings
//! allow) before the engine sees the file, so that the engine never fetches anything by itself.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::BuilderVersion;
use bytes::Bytes;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::bases;
use super::build_cache::Making;
use super::build_failure::{self, Circumstances, step_place};
use super::build_log::BuildLog;
use super::build_run::{Ended, Job, Step, run};
use super::builder::NotBuildKit;
use super::dockerfile::Dockerfile;
use super::engine::CALL;
use super::error::Error;
use super::owned::Thing;
use super::{LogSink, Sandbox, limits, unpacking};

/// Which builder ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// The engine's first builder: sequential, every limit honoured.
    Classic,
    /// BuildKit, through the engine.
    BuildKit,
}

/// An image to be built from frozen content.
#[derive(Clone, Default)]
pub struct BuildRequest {
    /// The context as an uncompressed tar.
    pub context: Bytes,
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// The stage to stop at; `None` for the last.
    pub target: Option<String>,
    /// Build arguments, by the exercise.
    pub args: IndexMap<String, String>,
    /// Secrets that steps may mount, by id. They need BuildKit, and a `RUN` of a build with other values never
    /// stands in for one of this.
    pub secrets: BTreeMap<String, String>,
    /// Secrets that the submission brings for its own steps, by id. Where BuildKit may not be used, the build
    /// fails as one of any Dockerfile that needs it.
    pub own_secrets: BTreeMap<String, String>,
    /// Labels that the image gets beside those of its Dockerfile.
    pub labels: IndexMap<String, String>,
    /// The code is the exercise author's own: the exercise's secrets are given to BuildKit even where the
    /// memory of its steps is not bounded.
    pub trusted: bool,
    /// `true` only where the exercise says `network: internet`.
    pub internet: bool,
    /// The Dockerfile uses what only BuildKit can do (heredocs, mounts, `--link`, secrets).
    pub needs_buildkit: bool,
    /// Base images of the Dockerfile, to tell "missing base" from other failures and to pull
    /// them beforehand where settings allow. Those the Dockerfile names are looked up in any case.
    pub bases: Vec<String>,
}

/// A finished build.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image's id, `sha256:…`.
    pub image: String,
    /// Which builder made it.
    pub builder: Builder,
    /// Each step that the builder told of.
    pub steps: Vec<BuildStep>,
    /// Whether the log was cut at its limit.
    pub log_truncated: bool,
}

/// A step of a build, as its builder counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildStep {
    /// The stage's name or `stage-N`, where the builder tells: BuildKit does if there are several.
    pub stage: Option<String>,
    /// From 1: with the classic builder among all instructions of the Dockerfile, with BuildKit among
    /// the stage's steps that make files, its base included if that is an image from elsewhere.
    pub number: usize,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The student's: a step failed, the Dockerfile is wrong, a limit was passed.
    #[error("{}", .0.sentence)]
    Failed(BuildFailure),
    /// Ours.
    #[error(transparent)]
    Platform(#[from] Error),
}

/// How a build of the student's failed.
#[derive(Clone, Debug)]
pub struct BuildFailure {
    /// What kind of failure.
    pub reason: BuildFailureReason,
    /// One sentence for the student: what happened, where, what to do.
    pub sentence: String,
    /// The last lines of the log.
    pub log_tail: String,
}

/// The kinds of failure that are the student's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildFailureReason {
    /// A step ended with an exit code other than 0, or could not be started.
    Step,
    /// The Dockerfile or the context is wrong (syntax, missing file, unknown stage).
    Dockerfile,
    /// A base image is not here and cannot be pulled, or is not on the allow list.
    Base,
    /// A step used more memory than it may.
    OutOfMemory,
    /// The build took longer than it may.
    TimedOut,
    /// More output than the hard limit.
    TooMuchOutput,
    /// The image, or what a step writes, is larger than the disk limit.
    TooLarge,
    /// The Dockerfile needs BuildKit, which the settings or the engine do not allow.
    NeedsBuildKit,
}

/// The largest Dockerfile that is read.
const DOCKERFILE_BYTES: u64 = 1 << 20;
/// The first engine whose BuildKit has here-documents built in.
const HEREDOCS_SINCE: u32 = 23;

impl Sandbox {
    /// Builds under the limits. Log lines go to `log` as they come. The image is kept as cache
    /// after the grading, within the settings' budget, until the engine is shut down.
    ///
    /// Dropping the future ends the build on the engine.
    ///
    /// # Errors
    /// [`BuildError::Failed`] for what is the student's, [`BuildError::Platform`] for what is ours.
    pub async fn build(&self, request: BuildRequest, log: LogSink) -> Result<Built, BuildError> {
        self.first_build
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| request.clone());
        let mut log = BuildLog::new(log, self.limits.log_bytes);
        match self.try_build(request, &mut log).await {
            Err(Trouble::Failed(reason, sentence)) => {
                log.flush();
                Err(BuildError::Failed(BuildFailure { reason, sentence, log_tail: log.tail() }))
            }
            Err(Trouble::Platform(error)) => Err(error.into()),
            Ok(built) => Ok(built),
        }
    }

    /// Builds once more what was built first, under the same limits, with other content of one file.
    /// `dockerfile` and `path` are both from the top of the submission, by which the context's place is
    /// known; a file that is not in the context changes nothing. `None` where nothing was built.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub async fn build_changed(
        &self,
        dockerfile: &str,
        path: &str,
        bytes: &[u8],
        log: LogSink,
    ) -> Result<Option<Built>, BuildError> {
        let first = self.first_build.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut request) = first else { return Ok(None) };
        let context = dockerfile.strip_suffix(&request.dockerfile).unwrap_or_default();
        if let Some(path) = path.strip_prefix(context) {
            request.context = with_file(&request.context, path, bytes)?;
        }
        self.build(request, log).await.map(Some)
    }

    /// Looks for an image that the student's work names, and pulls it where settings allow. The inner error is
    /// a sentence for the student: it is not there, or may not be used.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn look_up(&self, reference: &str, log: LogSink) -> Result<Result<(), String>, Error> {
        let mut log = BuildLog::new(log, self.limits.log_bytes);
        bases::look_up(&self.engine, reference, &mut log).await
    }

    async fn try_build(&self, request: BuildRequest, log: &mut BuildLog) -> Result<Built, Trouble> {
        let engine = &*self.engine;
        if request.internet && !engine.settings.internet_builds {
            return Err(Error::Unfit(
                "the exercise gives its build the internet, which sandbox.internet_builds forbids".into(),
            )
            .into());
        }
        let secret = !request.secrets.is_empty();
        let builder = engine
            .builder
            .choose(
                engine.settings.builder,
                engine.settings.unbounded_buildkit || secret && request.trusted,
                secret || request.needs_buildkit,
            )
            .map_err(|why| if secret { no_secrets(why) } else { no_buildkit(why) })?;
        let text = dockerfile_text(&request.context, &request.dockerfile)?;
        let major = engine.facts.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        let heredocs = builder == Builder::BuildKit && major >= HEREDOCS_SINCE;
        let dockerfile = Dockerfile::read(&text, &request.args, heredocs).map_err(|refused| {
            let place = refused
                .line
                .map(|line| format!("Line {line} of {}: ", request.dockerfile))
                .unwrap_or_default();
            Trouble::Failed(BuildFailureReason::Dockerfile, format!("{place}{}", refused.sentence))
        })?;
        self.look_up_bases(&request, &dockerfile, log).await?;
        if let Some(sentence) =
            unpacking::bomb(&request.context, &dockerfile.instructions, self.limits.disk_bytes)
        {
            return Err(Trouble::Failed(BuildFailureReason::TooLarge, sentence));
        }
        let mut context = request.context.clone();
        let mut args: HashMap<String, String> = request.args.clone().into_iter().collect();
        if builder == Builder::BuildKit {
            if let Some(syntax) = &dockerfile.syntax {
                log.note(&format!(
                    "Line {}: the engine's own frontend stands in for {}; nothing is downloaded for it.",
                    syntax.line, syntax.frontend
                ));
                context = with_file(&context, &request.dockerfile, syntax.without.as_bytes())?;
            }
            // Cache mounts are shared by all builds of an engine that name them alike. In a name
            // space of its own content a submission finds its own again and never another's.
            args.insert("BUILDKIT_CACHE_MOUNT_NS".into(), digest(&context));
        }
        let job = Job {
            version: match builder {
                Builder::Classic => BuilderVersion::BuilderV1,
                Builder::BuildKit => BuilderVersion::BuilderBuildKit,
            },
            context,
            dockerfile: request.dockerfile.clone(),
            target: request.target.clone(),
            args,
            internet: request.internet,
            memory_bytes: self.limits.memory_bytes,
            cpu_millis: self.limits.cpu_millis,
            disk_bytes: self.limits.disk_bytes,
            within: self.limits.build_time,
            // A Dockerfile that mounts none of its own needs none.
            secrets: match builder {
                Builder::BuildKit => {
                    request.own_secrets.clone().into_iter().chain(request.secrets.clone()).collect()
                }
                Builder::Classic => request.secrets.clone(),
            },
            labels: request.labels.clone().into_iter().collect(),
            no_cache: false,
        };
        let mut making = Making::new(engine);
        let mut ended = run(engine, job.clone(), log, &mut making).await?;
        if let Ended::Built { image, .. } = &ended
            && !making.name(image).await?
        {
            log.note("An image of the cache was gone; building it again.");
            ended = run(engine, job, log, &mut making).await?;
            if let Ended::Built { image, .. } = &ended {
                making.name(image).await?;
            }
        }
        let finished = self.finish(ended, builder, &request, &dockerfile, log, making).await;
        self.trim_in_background(builder);
        finished
    }

    async fn finish(
        &self,
        ended: Ended,
        builder: Builder,
        request: &BuildRequest,
        dockerfile: &Dockerfile,
        log: &BuildLog,
        making: Making<'_>,
    ) -> Result<Built, Trouble> {
        let within = |step: Option<&Step>| {
            step.map(|step| format!(" {} was running.", step_place(step, dockerfile))).unwrap_or_default()
        };
        let (reason, sentence) = match ended {
            Ended::Built { image, steps } => {
                let size_bytes = self.size_of(&image).await?;
                let pin = making.finished(&image, size_bytes);
                if size_bytes <= self.limits.disk_bytes {
                    self.pins.lock().unwrap_or_else(PoisonError::into_inner).push(pin);
                    return Ok(Built { image, builder, steps, log_truncated: log.truncated() });
                }
                drop(pin);
                self.engine.builder.cache.drop_build(&self.engine, &image).await;
                let sentence = format!(
                    "The image is {} MiB large, more than this exercise allows ({} MiB); leave out what is not needed to run it.",
                    size_bytes >> 20,
                    self.limits.disk_bytes >> 20
                );
                (BuildFailureReason::TooLarge, sentence)
            }
            Ended::Refused(said) => {
                let around = Circumstances {
                    dockerfile,
                    name: &request.dockerfile,
                    secrets: request
                        .secrets
                        .keys()
                        .chain(request.own_secrets.keys())
                        .map(String::as_str)
                        .collect(),
                    builder,
                    engine_version: &self.engine.facts.version,
                    memory_bytes: self.limits.memory_bytes,
                    disk_bytes: self.limits.disk_bytes,
                    last_output: log.last_output(),
                    log_tail: &log.tail(),
                };
                build_failure::explain(&said, &around).ok_or_else(|| Error::Engine {
                    action: "build an image".into(),
                    cause: said.message.clone(),
                })?
            }
            Ended::TimedOut { step, on } => {
                if let Some(why) = self.never_began(on).await? {
                    let at = step
                        .as_ref()
                        .map_or_else(|| request.dockerfile.clone(), |step| step_place(step, dockerfile));
                    let sentence = format!("{at} could not be started: {why}");
                    return Err(Trouble::Failed(BuildFailureReason::Step, sentence));
                }
                let seconds = self.limits.build_time.as_secs_f64().round();
                (
                    BuildFailureReason::TimedOut,
                    format!(
                        "The build took longer than the {seconds} s this exercise allows.{}",
                        within(step.as_ref())
                    ),
                )
            }
            Ended::Flood { step } => (
                BuildFailureReason::TooMuchOutput,
                format!(
                    "The build printed far more than a log may hold, and was stopped.{}",
                    within(step.as_ref())
                ),
            ),
            Ended::DiskFull { step } => (
                BuildFailureReason::TooLarge,
                format!(
                    "The build wrote more files than this exercise allows ({} MiB), and was stopped.{}",
                    self.limits.disk_bytes >> 20,
                    within(step.as_ref())
                ),
            ),
        };
        Err(Trouble::Failed(reason, sentence))
    }

    /// Why the engine could not even begin a step on this image, as a sentence: its files of users are none, so that
    /// it waited for them instead.
    async fn never_began(&self, image: Option<String>) -> Result<Option<String>, Error> {
        let Some(image) = image else { return Ok(None) };
        let body = ContainerCreateBody {
            image: Some(image),
            entrypoint: Some(vec!["/never-started".into()]),
            host_config: Some(HostConfig { network_mode: Some("none".into()), ..limits::ours() }),
            ..ContainerCreateBody::default()
        };
        let Ok(container) = self.ledger.create_container("reader", body).await? else { return Ok(None) };
        let why = self.engine.blocking_accounts(&container).await;
        self.ledger.discard(Thing::Container(container)).await;
        why
    }

    async fn look_up_bases(
        &self,
        request: &BuildRequest,
        dockerfile: &Dockerfile,
        log: &mut BuildLog,
    ) -> Result<(), Trouble> {
        let mut wanted: Vec<(Option<usize>, &str)> =
            dockerfile.images.iter().map(|image| (Some(image.line), image.reference.as_str())).collect();
        for base in &request.bases {
            if base != "scratch" && !wanted.iter().any(|(_, known)| known == base) {
                wanted.push((None, base));
            }
        }
        for (line, reference) in wanted {
            let found = match bases::look_up(&self.engine, reference, log).await? {
                Ok(()) => bases::triggers(&self.engine, reference).await?,
                refused => refused,
            };
            if let Err(why) = found {
                let place =
                    line.map(|line| format!("Line {line} of {}: ", request.dockerfile)).unwrap_or_default();
                return Err(Trouble::Failed(BuildFailureReason::Base, format!("{place}{why}")));
            }
        }
        Ok(())
    }

    /// Size of all layers. Not taken from the image itself: engines with containerd's image store
    /// count differently there.
    pub(super) async fn size_of(&self, image: &str) -> Result<u64, Error> {
        if let Some(size) = self.engine.builder.cache.size_of(image) {
            return Ok(size);
        }
        let history = self
            .engine
            .call_within("read an image's history", CALL, self.engine.docker.image_history(image))
            .await?;
        Ok(history.iter().map(|layer| u64::try_from(layer.size).unwrap_or(0)).sum())
    }

    pub(super) fn trim_in_background(&self, builder: Builder) {
        let engine = Arc::clone(&self.engine);
        self.engine.tasks.spawn(async move {
            engine.builder.cache.trim(&engine, engine.settings.cache_bytes).await;
            if builder == Builder::BuildKit {
                super::build_cache::trim_buildkit(&engine, engine.settings.cache_bytes).await;
            }
        });
    }
}

/// Why a build ended early, inside this file.
enum Trouble {
    Failed(BuildFailureReason, String),
    Platform(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Platform(error)
    }
}

fn no_buildkit(why: NotBuildKit) -> Trouble {
    let because = match why {
        NotBuildKit::Setting => "which this server does not build with",
        NotBuildKit::Unbounded => {
            "which this server does not use for strangers' builds, because it could not keep their memory within bounds"
        }
    };
    Trouble::Failed(
        BuildFailureReason::NeedsBuildKit,
        format!(
            "The Dockerfile uses something that only BuildKit knows (a here-document, RUN --mount, COPY --link or the like), \
             {because}; write it without."
        ),
    )
}

/// The exercise asks for BuildKit, so that it is not there is no fault of the student's.
fn no_secrets(why: NotBuildKit) -> Trouble {
    let because = match why {
        NotBuildKit::Setting => "and sandbox.builder is classic; set it to auto",
        NotBuildKit::Unbounded => {
            "which is not used for strangers' builds on this engine, since it does not bound the memory of their steps: \
             bound it as `drydock doctor` says, or set sandbox.unbounded_buildkit"
        }
    };
    Error::Unfit(format!(
        "the exercise gives its build secrets, which only BuildKit can hand over, {because}"
    ))
    .into()
}

/// Names a tar entry and the request's path alike.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir)).collect()
}

/// The Dockerfile's text out of the context.
fn dockerfile_text(context: &Bytes, dockerfile: &str) -> Result<String, Trouble> {
    let failed = |sentence: String| Trouble::Failed(BuildFailureReason::Dockerfile, sentence);
    let unreadable = |error: std::io::Error| {
        Trouble::Platform(Error::Unfit(format!("the submission's frozen content cannot be read ({error})")))
    };
    let wanted = normal(Path::new(dockerfile));
    let mut text = None;
    for entry in tar::Archive::new(&context[..]).entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if normal(&entry.path().map_err(unreadable)?) != wanted {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(failed(format!("{dockerfile} is a link or a folder; hand in a regular file.")));
        }
        if entry.size() > DOCKERFILE_BYTES {
            return Err(failed(format!("{dockerfile} is larger than 1 MiB, which no Dockerfile is.")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        // As the engine does: the last of two entries with one name counts.
        text = Some(bytes);
    }
    let bytes = text.ok_or_else(|| {
        failed(format!("There is no {dockerfile} in the submission; its name has to be written exactly so."))
    })?;
    String::from_utf8(bytes).map_err(|_| failed(format!("{dockerfile} is not UTF-8 text.")))
}

/// The context with other content of one file, if it has that.
fn with_file(context: &Bytes, path: &str, bytes: &[u8]) -> Result<Bytes, Error> {
    let wanted = normal(Path::new(path));
    let rewrite = || -> std::io::Result<Vec<u8>> {
        let mut rewritten = tar::Builder::new(Vec::with_capacity(context.len()));
        for entry in tar::Archive::new(&context[..]).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let mut header = entry.header().clone();
            if normal(&path) == wanted {
                header.set_size(bytes.len() as u64);
                rewritten.append_data(&mut header, &path, bytes)?;
            } else if let Some(target) = entry.link_name()?.map(std::borrow::Cow::into_owned) {
                rewritten.append_link(&mut header, &path, &target)?;
            } else {
                rewritten.append_data(&mut header, &path, &mut entry)?;
            }
        }
        rewritten.into_inner()
    };
    rewrite()
        .map(Bytes::from)
        .map_err(|error| Error::Unfit(format!("the submission's frozen content cannot be read ({error})")))
}

/// The first half of the content's SHA-256, in hexadecimal digits.
pub(super) fn digest(content: &Bytes) -> String {
    use std::fmt::Write as _;
    Sha256::digest(content).iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
