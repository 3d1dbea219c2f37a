//! One run of one of the engine's builders, from request to image or message.
//!
//! `build.rs` and `builder.rs` call [`run`]; what the message means for the student is said in
//! `build_failure.rs`. Here stands what is the same for all builds: the limits, the wall clock, the
//! watch over the disk, and that a build that is given up is really gone from the engine.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::moby::buildkit::v1::StatusResponse;
use bollard::models::{BuildInfo, BuildInfoAux, ContainerUpdateBody};
use bollard::query_parameters::{
    BuildImageOptions, BuilderVersion, EventsOptionsBuilder, InspectContainerOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use regex::Regex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::build::BuildStep;
use super::build_cache::Making;
use super::build_log::BuildLog;
use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, engine_words, status};
use super::labels;

/// The period that CPU quotas count against, the kernel's default.
const CPU_PERIOD_MICROS: i32 = 100_000;
/// How often the writable layer of a running step is measured: that walks its files.
const DISK_WATCH: Duration = Duration::from_secs(2);
/// Steps whose container is watched at a time; a build that claims more is lying.
const WATCHED: usize = 64;
/// How long the engine may take to end a step by itself after we have hung up.
const HANG_UP: Duration = Duration::from_secs(2);
/// How long a step that the engine does not end is killed again and again.
const PERSIST: Duration = Duration::from_mins(1);

/// What is to be built, and within which bounds.
#[derive(Clone, Default)]
pub(super) struct Job {
    pub(super) version: BuilderVersion,
    pub(super) context: Bytes,
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    pub(super) args: HashMap<String, String>,
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
    Built { image: String, steps: u32, cached_steps: u32, told: Vec<BuildStep> },
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
    let (announce, beginning) = mpsc::unbounded_channel();
    let containers = Containers { named: Arc::default(), announce, bounds: Bounds::of(&options(&job)) };
    let mut reader = Reader {
        log,
        making,
        containers: containers.clone(),
        vertices: HashMap::new(),
        running: None,
        last_container: None,
        step: None,
        failed: None,
        steps: 0,
        cached_steps: 0,
        told: Vec::new(),
        image: None,
    };
    let outcome = {
        let options = options(&job);
        let mut stream = if buildkit {
            on_its_own(engine.endpoint.clone(), options, job.context)
        } else {
            engine.docker.build_image(options, None, Some(bollard::body_full(job.context))).boxed()
        };
        tokio::select! {
            biased;
            () = engine.closing.cancelled() => Outcome::Closing,
            () = tokio::time::sleep(within) => Outcome::TimedOut,
            () = watch_disk(engine, &containers, disk_bytes) => Outcome::DiskFull,
            never = bound_processes(engine, beginning) => match never {},
            outcome = reader.follow(&mut stream) => outcome?,
        }
        // The stream is dropped here: the connection ends, and with it the build.
    };
    reader.log.flush();
    let step = reader.failed.take().or_else(|| reader.step.clone());
    if !matches!(outcome, Outcome::Said(..) | Outcome::Done) {
        containers.gone(engine).await;
    }
    match outcome {
        Outcome::Done => match reader.image {
            Some(image) => Ok(Ended::Built {
                image,
                steps: reader.steps,
                cached_steps: reader.cached_steps,
                told: reader.told,
            }),
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

/// Reads what a builder tells.
struct Reader<'a, 'b> {
    log: &'a mut BuildLog,
    making: &'a mut Making<'b>,
    containers: Containers,
    /// BuildKit's steps by digest.
    vertices: HashMap<String, Vertex>,
    /// The classic builder's container of the running step.
    running: Option<String>,
    /// The container of the last step that ran: the builder removes it before it says that it failed.
    last_container: Option<String>,
    step: Option<Step>,
    /// The step that BuildKit names as the failed one.
    failed: Option<Step>,
    steps: u32,
    cached_steps: u32,
    told: Vec<BuildStep>,
    image: Option<String>,
}

#[derive(Default)]
struct Vertex {
    name: String,
    announced: bool,
    cached: bool,
    /// Its place in [`Reader::told`].
    told: Option<usize>,
}

static STEP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)^Step (\d+)/(\d+) : (.*)$").expect("a constant"));
static IMAGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ ---> ([0-9a-f]{12})\n$").expect("a constant"));
static RUNNING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ ---> Running in ([0-9a-f]{12})\n$").expect("a constant"));
/// `[2/3] RUN …`, `[builder 1/2] FROM …`, `[linux/amd64 builder 1/2] FROM …`: stage, number, instruction.
static NUMBERED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[(?:\S+/\S+ )?(?:(\S+) )?(\d+)/\d+\] (.*)$").expect("a constant"));

impl Reader<'_, '_> {
    async fn follow(
        &mut self,
        stream: &mut (impl Stream<Item = Result<BuildInfo, EngineError>> + Unpin),
    ) -> Result<Outcome, Error> {
        while let Some(told) = stream.next().await {
            let told = match told {
                Ok(told) => told,
                Err(EngineError::DockerStreamError { error }) => return Ok(Outcome::Said(error, None)),
                Err(error @ EngineError::DockerResponseServerError { .. }) => {
                    return Ok(Outcome::Said(engine_words(&error), status(&error)));
                }
                Err(error) => {
                    return Err(self.making.engine().error("build an image", &error));
                }
            };
            match told.aux {
                Some(BuildInfoAux::Default(image)) => self.image = image.id,
                Some(BuildInfoAux::BuildKit(status)) => self.buildkit(status),
                None => {}
            }
            if let Some(text) = told.stream {
                self.classic(&text)?;
            }
            if self.log.is_flood() {
                return Ok(Outcome::Flood);
            }
        }
        Ok(Outcome::Done)
    }

    /// A message of the classic builder. Inside a step everything is the student's output, until the
    /// builder says that it has removed the step's container.
    fn classic(&mut self, text: &str) -> Result<(), Error> {
        if let Some(container) = &self.running {
            if text == format!("Removing intermediate container {container}\n") {
                self.running = None;
                self.log.flush();
                return Ok(());
            }
            let (stderr, text) = match text.strip_prefix("\u{1b}[91m") {
                // The engine colours what came on stderr.
                Some(rest) => (true, rest.strip_suffix("\u{1b}[0m").unwrap_or(rest)),
                None => (false, text),
            };
            self.log.output(stderr, text.as_bytes());
            return Ok(());
        }
        if let Some(found) = STEP.captures(text) {
            self.classic_step(&found[1], &found[2], &found[3]);
        } else if let Some(found) = RUNNING.captures(text) {
            self.containers.add(&found[1]);
            self.running = Some(found[1].to_owned());
            self.last_container.clone_from(&self.running);
        } else if let Some(found) = IMAGE.captures(text) {
            let is_base = self.step.as_ref().is_some_and(|step| step.text.to_uppercase().starts_with("FROM"));
            if !is_base {
                self.making.note(&found[1])?;
            }
        } else if text == " ---> Using cache\n" {
            self.cached_steps += 1;
            if let Some(step) = self.told.last_mut() {
                step.cached = true;
            }
            self.log.note(" ---> Using cache");
        } else if !(text.trim().is_empty() || text.starts_with("Successfully ")) {
            self.log.note(text.trim_end());
        }
        Ok(())
    }

    fn classic_step(&mut self, number: &str, of: &str, text: &str) {
        self.log.note(&format!("Step {number}/{of} : {text}"));
        self.log.forget_last_output();
        let number: usize = number.parse().unwrap_or(0);
        self.steps = u32::try_from(number).unwrap_or(u32::MAX);
        self.step = Some(Step { number: Some(number), text: text.to_owned() });
        self.told.push(BuildStep { stage: None, number, cached: false });
    }

    /// A message of BuildKit: steps that began or ended, and their output.
    fn buildkit(&mut self, status: StatusResponse) {
        for told in status.vertexes {
            let vertex = self.vertices.entry(told.digest).or_default();
            vertex.name.clone_from(&told.name);
            let numbered = NUMBERED.captures(&told.name);
            let step = numbered.as_ref().map(|found| found[3].to_owned());
            if let Some(found) = &numbered
                && (told.started.is_some() || told.cached)
            {
                let at = *vertex.told.get_or_insert_with(|| {
                    let stage = found.get(1).map(|stage| stage.as_str().to_owned());
                    let number = found[2].parse().unwrap_or(0);
                    self.told.push(BuildStep { stage, number, cached: false });
                    self.told.len() - 1
                });
                self.told[at].cached |= told.cached;
            }
            if told.started.is_some() && !vertex.announced && step.is_some() {
                vertex.announced = true;
                self.log.note(&told.name);
                self.steps += 1;
                if let Some(text) = &step {
                    self.log.forget_last_output();
                    self.step = Some(Step { number: None, text: text.clone() });
                }
            }
            if told.cached && !vertex.cached {
                vertex.cached = true;
                // A base that is there is not a step that was saved.
                if step.as_ref().is_some_and(|text| !text.starts_with("FROM ")) {
                    self.cached_steps += 1;
                    self.log.note(" ---> CACHED");
                }
            }
            // Steps running beside the failed one end with "context canceled".
            if !told.error.is_empty() && self.failed.is_none() && !told.error.ends_with("context canceled") {
                self.failed = Some(Step { number: None, text: step.unwrap_or(told.name) });
            }
        }
        for piece in status.logs {
            self.log.output(piece.stream == 2, &piece.msg);
        }
    }
}

/// The containers in which the classic builder says it runs steps. Beware: a step's output can name
/// others, so nothing is removed but what [`Containers::is_step`].
#[derive(Clone)]
struct Containers {
    named: Arc<Mutex<HashSet<String>>>,
    /// Each as it begins, for [`bound_processes`].
    announce: mpsc::UnboundedSender<String>,
    bounds: Bounds,
}

impl Containers {
    fn add(&self, container: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < WATCHED && named.insert(container.to_owned()) {
            // Nobody listens any more only when the build is over.
            let _ = self.announce.send(container.to_owned());
        }
    }

    fn all(&self) -> Vec<String> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn forget(&self, container: &str) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    /// Waits until the engine has removed them, as it does when the client hangs up, and removes them
    /// where it does not: a step that starts processes faster than they can be killed needs several
    /// tries.
    async fn gone(&self, engine: &EngineInner) {
        let began = engine.context.clock.stopwatch();
        while began.elapsed() < PERSIST {
            for container in self.all() {
                if !self.is_step(engine, &container).await {
                    self.forget(&container);
                } else if began.elapsed() >= HANG_UP {
                    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                    let removal = engine.docker.remove_container(&container, Some(options));
                    let removed = engine.answer("remove a build's container", SLOW_CALL, removal).await;
                    if let Ok(Err(error)) = removed {
                        tracing::debug!(container, %error, "build.step_not_removed_yet");
                    }
                }
            }
            if self.all().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for container in self.all() {
            tracing::error!(container, "build.step_survived");
        }
    }

    /// Whether a container is there and is a step of this build: none of ours, and with just the
    /// bounds that were asked for.
    async fn is_step(&self, engine: &EngineInner, container: &str) -> bool {
        let inspecting = engine.docker.inspect_container(container, None);
        let Ok(Ok(found)) = engine.answer("inspect a build's container", CALL, inspecting).await else {
            return false;
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let bounds = found.host_config.map(|host| Bounds { memory: host.memory, cpu_quota: host.cpu_quota });
        !labels.keys().any(|label| labels::is_ours(label)) && bounds.as_ref() == Some(&self.bounds)
    }
}

/// What tells a build's step from other containers of the engine: they carry no name or label.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bounds {
    memory: Option<i64>,
    cpu_quota: Option<i64>,
}

impl Bounds {
    fn of(options: &BuildImageOptions) -> Self {
        Self { memory: options.memory.map(i64::from), cpu_quota: options.cpuquota.map(i64::from) }
    }
}

/// Ends when the writable layer of a step passes `limit_bytes`. The classic builder has no limit of
/// its own for that; BuildKit tells no container to look at.
async fn watch_disk(engine: &EngineInner, containers: &Containers, limit_bytes: u64) {
    loop {
        tokio::time::sleep(DISK_WATCH).await;
        for container in containers.all() {
            let options = InspectContainerOptionsBuilder::default().size(true).build();
            let measuring = engine.docker.inspect_container(&container, Some(options));
            match engine.answer("measure a build's container", CALL, measuring).await {
                Ok(Ok(found)) => {
                    let bytes = u64::try_from(found.size_rw.unwrap_or(0)).unwrap_or(0);
                    if bytes > limit_bytes {
                        return;
                    }
                }
                Ok(Err(error)) if status(&error) == Some(404) => containers.forget(&container),
                _ => {}
            }
        }
    }
}

/// Gives each step's container its bound on processes and threads as soon as it has begun: the build
/// request of the engine's API knows none, its `update` of a container does. Goes on for as long as
/// steps can begin.
async fn bound_processes(engine: &EngineInner, mut beginning: mpsc::UnboundedReceiver<String>) -> Infallible {
    let bound = i64::from(engine.settings.max_pids);
    while let Some(container) = beginning.recv().await {
        let update = ContainerUpdateBody { pids_limit: Some(bound), ..ContainerUpdateBody::default() };
        let updating = engine.docker.update_container(&container, update);
        match engine.answer("bound a build step's processes", CALL, updating).await {
            // A step may be over before its bound arrives.
            Ok(Ok(()) | Err(_)) => {}
            Err(error) => tracing::warn!(container, %error, "build.step_not_bounded"),
        }
    }
    std::future::pending().await
}

/// Whether the kernel ended a process of the step for want of memory: the engine tells in its events,
/// since the container itself is removed by then.
async fn was_out_of_memory(
    engine: &EngineInner,
    container: &str,
    began: chrono::DateTime<chrono::Utc>,
    suspected: bool,
) -> bool {
    // The engine tells of it a moment after the process' end.
    let grace = if suspected { 500 } else { 0 };
    let until = engine.context.clock.now() + chrono::Duration::milliseconds(grace);
    let stamp = |time: chrono::DateTime<chrono::Utc>| time.format("%s%.9f").to_string();
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["oom".to_owned()]),
    ]);
    let options = EventsOptionsBuilder::default()
        .since(&stamp(began - chrono::Duration::seconds(1)))
        .until(&stamp(until))
        .filters(&filters)
        .build();
    let mut events = pin!(engine.docker.events(Some(options)));
    let looking = async {
        while let Some(Ok(event)) = events.next().await {
            if event.actor.and_then(|actor| actor.id).is_some_and(|id| id.starts_with(container)) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(CALL, looking).await.unwrap_or(false)
}
