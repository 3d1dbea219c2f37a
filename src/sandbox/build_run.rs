//! One run of one of the engine's builders, from request to image or message.
//!
//! `build.rs` and `builder.rs` call [`run`]; what the message means for the student is said in
//! `build_failure.rs`. Here stands what is the same for all builds: the limits and the wall clock.

mod containers;
mod messages;
mod request;

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::BuilderVersion;
use bytes::Bytes;
use futures::StreamExt;
use uuid::Uuid;

use super::build::BuildStep;
use super::build_cache::Making;
use super::build_log::BuildLog;
use super::engine::EngineInner;
use super::error::Error;
use super::session;
use containers::{Containers, bound_processes, was_out_of_memory, watch_disk};
use messages::Reader;

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
    Built {
        image: String,
        steps: Vec<BuildStep>,
    },
    Refused(Said),
    /// `on` is the image that the step was to run on, where the builder tells.
    TimedOut {
        step: Option<Step>,
        on: Option<String>,
    },
    Flood {
        step: Option<Step>,
    },
    DiskFull {
        step: Option<Step>,
    },
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
    let mut options = request::options(&job);
    if let Some(session) = &session {
        options.session = Some(session.id.clone());
        options.extrahosts = Some(format!("{}:127.0.0.1", session::name_of(&job.secrets)));
    }
    let (containers, beginning) = Containers::of(engine, &options, began)?;
    let mut reader = Reader::new(log, making, containers.clone());
    let docker = request::bounding_files(engine.docker.clone(), disk_bytes);
    let outcome = {
        let mut stream = if buildkit {
            request::on_its_own(engine.endpoint.clone(), disk_bytes, options, job.context)
        } else {
            docker.build_image(options, None, Some(bollard::body_full(job.context))).boxed()
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
        Outcome::TimedOut => Ok(Ended::TimedOut { step, on: reader.on }),
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
