//! One run of one of the engine's builders, from request to image or message.
//!
//! `build.rs` and `builder.rs` call [`run`]; what the message means for the student is said in
//! `build_failure.rs`. Here stands what is the same for all builds: the limits and the wall clock.

mod containers;
mod messages;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::build::BuildStep;
use super::build_cache::Making;
use super::build_log::BuildLog;
use super::engine::EngineInner;
use super::error::Error;
use super::session;
use containers::{Containers, bound_processes, was_out_of_memory, watch_disk};
use messages::Reader;

/// The period that CPU quotas count against, the kernel's default.
const CPU_PERIOD_MICROS: i32 = 100_000;

/// What is to be built, and within which bounds.
#[derive(Clone, Default)]
pub(super) struct Job {
    pub(super) version: BuilderVersion,
    pub(super) context: Bytes,
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    pub(super) args: HashMap<String, String>,
    /// What steps may mount, by id; BuildKit only.
    pub(super) secrets: session::Values,
    pub(super) labels: HashMap<String, String>,
    pub(super) internet: bool,
    pub(super) memory_bytes: u64,
    pub(super) cpu_millis: u32,
    pub(super) disk_bytes: u64,
    pub(super) within: Duration,
    pub(super) no_cache: bool,
}

/// A step, as far as the builder tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Position among the Dockerfile's instructions, counted from 1, where the builder counts so.
    pub(super) number: Option<usize>,
    /// The instruction.
    pub(super) text: String,
}

/// What the builder said when it gave up.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) message: String,
    /// HTTP status, where the request was refused as a whole.
    pub(super) status: Option<u16>,
    pub(super) step: Option<Step>,
    /// The kernel ended a process of the step for want of memory; `None` where that is not told.
    pub(super) out_of_memory: Option<bool>,
}

/// How a run ended. Everything that is ours is an [`Error`] instead.
#[derive(Debug)]
pub(super) enum Ended {
    Built { image: String, steps: Vec<BuildStep> },
    Refused(Said),
    TimedOut { step: Option<Step> },
    Flood { step: Option<Step> },
    DiskFull { step: Option<Step> },
}

/// Builds, at most `job.within` long.
///
/// # Errors
/// When the engine goes away, or this connection is being shut down.
pub(super) async fn run(
    engine: &EngineInner,
    job: Job,
    log: &mut BuildLog,
    making: &mut Making<'_>,
) -> Result<Ended, Error> {
    let buildkit = job.version == BuilderVersion::BuilderBuildKit;
    let began = engine.context.clock.now();
    let within = job.within;
    let disk_bytes = job.disk_bytes;
    let session = if buildkit && !job.secrets.is_empty() {
        Some(session::open(engine, Uuid::new_v4().to_string(), job.secrets.clone()).await?)
    } else {
        None
    };
    let mut options = options(&job);
    if let Some(session) = &session {
        options.session = Some(session.id.clone());
        options.extrahosts = Some(format!("{}:127.0.0.1", session::name_of(&job.secrets)));
    }
    let (containers, beginning) = Containers::of(engine, &options, began)?;
    let mut reader = Reader::new(log, making, containers.clone());
    let outcome = {
        let mut stream = if buildkit {
            on_its_own(engine.endpoint.clone(), options, job.context)
        } else {
            engine.docker.build_image(options, None, Some(bollard::body_full(job.context))).boxed()
        };
        tokio::select! {
            biased;
            () = engine.closing.cancelled() => Ok(Outcome::Closing),
            () = tokio::time::sleep(within) => Ok(Outcome::TimedOut),
            () = watch_disk(engine, &containers, disk_bytes) => Ok(Outcome::DiskFull),
            never = bound_processes(engine, beginning) => match never {},
            outcome = reader.follow(&mut stream) => outcome,
        }
        // The stream is dropped here: the connection ends, and with it the build.
    };
    // An engine that went away has left the step as it was.
    let outcome = outcome.inspect_err(|_| containers.leave(engine))?;
    reader.log.flush();
    let step = reader.step();
    if !matches!(outcome, Outcome::Said(..) | Outcome::Done) {
        containers.gone(engine).await;
        reader.given_up(began).await?;
    }
    match outcome {
        Outcome::Done => match reader.image {
            Some(image) => Ok(Ended::Built { image, steps: reader.steps }),
            None => Err(Error::Engine {
                action: "build an image".into(),
                cause: "the build ended without an image and without an error".into(),
            }),
        },
        Outcome::Said(message, status) => {
            let out_of_memory = match (&reader.last_container, buildkit) {
                (Some(container), false) => {
                    // A shell says "Killed" of its child, and may end with any code afterwards.
                    let suspected = message.ends_with("code: 137") || reader.log.tail().contains("illed");
                    Some(was_out_of_memory(engine, container, began, suspected).await)
                }
                _ => None,
            };
            Ok(Ended::Refused(Said { message, status, step, out_of_memory }))
        }
        Outcome::TimedOut => Ok(Ended::TimedOut { step }),
        Outcome::Flood => Ok(Ended::Flood { step }),
        Outcome::DiskFull => Ok(Ended::DiskFull { step }),
        Outcome::Closing => {
            Err(Error::Engine { action: "build an image".into(), cause: "Drydock is being shut down".into() })
        }
    }
}

/// How following the builder ended.
enum Outcome {
    Done,
    Said(String, Option<u16>),
    Flood,
    TimedOut,
    DiskFull,
    Closing,
}

fn options(job: &Job) -> BuildImageOptions {
    let buildkit = job.version == BuilderVersion::BuilderBuildKit;
    // The API's number is larger, the library's is not: steps get at most 2 GiB.
    let memory = i32::try_from(job.memory_bytes).unwrap_or(i32::MAX);
    BuildImageOptions {
        dockerfile: job.dockerfile.clone(),
        target: job.target.clone().unwrap_or_default(),
        buildargs: Some(job.args.clone()),
        labels: (!job.labels.is_empty()).then(|| job.labels.clone()),
        networkmode: Some(if job.internet { "default" } else { "none" }.to_owned()),
        memory: Some(memory),
        memswap: Some(memory),
        cpuperiod: Some(CPU_PERIOD_MICROS),
        cpuquota: Some(i32::try_from(u64::from(job.cpu_millis) * 100).unwrap_or(i32::MAX)),
        nocache: job.no_cache,
        rm: true,
        forcerm: true,
        version: job.version,
        session: buildkit.then(|| Uuid::new_v4().to_string()),
        ..BuildImageOptions::default()
    }
}

/// A BuildKit build in a runtime of its own. The library leaves the session's connection to a task
/// that ends only with its runtime: without this, every build would keep one open for ever.
fn on_its_own(
    endpoint: String,
    options: BuildImageOptions,
    context: Bytes,
) -> BoxStream<'static, Result<BuildInfo, EngineError>> {
    let (sender, receiver) = mpsc::channel(16);
    let build = async move {
        let docker = match Docker::connect_with_host(&endpoint) {
            Ok(docker) => docker.negotiate_version().await,
            Err(error) => Err(error),
        };
        let docker = match docker {
            Ok(docker) => docker,
            Err(error) => return drop(sender.send(Err(error)).await),
        };
        let mut stream = pin!(docker.build_image(options, None, Some(bollard::body_full(context))));
        loop {
            tokio::select! {
                () = sender.closed() => return,
                told = stream.next() => match told {
                    Some(told) => if sender.send(told).await.is_err() { return },
                    None => return,
                },
            }
        }
    };
    tokio::task::spawn_blocking(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(build);
        }
    });
    ReceiverStream::new(receiver).boxed()
}
