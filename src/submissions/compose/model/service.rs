//! A service, its build, and when it runs.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::super::finding::Origin;
use super::json::{duration, is_default, is_false};
use super::{Attachment, FileMount, Mount, NetworkMode, Port, Tmpfs};

/// A service. What is `None` or empty is the image's, or the sandbox's rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Where it is written; of several files, the last.
    pub origin: Origin,
    /// A reference to an image; with `build`, only what the result would be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How its image is built. One of the two is always there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// `linux/amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// When its image is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Instead of the image's CMD; an empty list is none at all.
    pub command: Option<Vec<String>>,
    /// Instead of the image's ENTRYPOINT (its CMD is then not used either); an empty list is none at all.
    pub entrypoint: Option<Vec<String>>,
    /// Beside what the image sets, `env_file` already in it. A name without a value is not set (docker would
    /// take it from the shell).
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, Option<String>>,
    /// A name or number, perhaps with `:group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Groups beside the user's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// An absolute path in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The host name inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Another name that it is reached by on all its networks; the container itself is named by us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Labels, `label_file` already in them.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
    /// Which network its containers have.
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: NetworkMode,
    /// Networks it stands on, by name; at least one where [`NetworkMode::Networks`].
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub networks: IndexMap<String, Attachment>,
    /// `02:42:ac:11:65:43`, on its first network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Other services under other names, for this one alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Ports that the student publishes. They never are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Ports that other services are told of, `80` or `53/udp`; nothing follows from them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Lines for `/etc/hosts`: a name and its addresses. `host-gateway` is refused.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub extra_hosts: IndexMap<String, Vec<String>>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Domains in which names are looked up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_opt: Vec<String>,
    /// What it waits for before it is started, by service.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub depends_on: IndexMap<String, Dependency>,
    /// What replaces parts of the image's HEALTHCHECK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Whether it is started again when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// The signal that asks it to end, `SIGTERM` where the image says nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How long it has to end before it is killed; 10 s where nothing is said.
    #[serde(serialize_with = "duration", skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// Whether the engine's init is PID 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// The image's file system cannot be written.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// It has a terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Its standard input is open.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_open: bool,
    /// Volumes, folders of the submission, memory.
    #[serde(rename = "volumes", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Paths with an empty in-memory file system.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub tmpfs: IndexMap<String, Tmpfs>,
    /// Configs in its containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<FileMount>,
    /// Secrets in its containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileMount>,
    /// Capabilities to add, without `CAP_`, in capitals; only such as the exercise allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to take away, without `CAP_`, in capitals, or `ALL`. All are taken away anyway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Limits by the names that `ulimit` has for them.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub ulimits: IndexMap<String, Ulimit>,
    /// The size of `/dev/shm`.
    #[serde(rename = "shm_size", skip_serializing_if = "Option::is_none")]
    pub shm_size_bytes: Option<u64>,
    /// Bounds of each of its containers, of the old keys and of `deploy.resources.limits`.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// How many containers it has (`deploy.replicas`, `scale`). With 0 it does not run.
    pub replicas: u32,
    /// Commands run in its containers after they are started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// Commands run in its containers before they are stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
    /// Profiles that it belongs to; one of them is active, or there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

/// How an image is built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Build {
    /// Where it is written.
    pub origin: Origin,
    /// Folder of the submission, with no `..` and no link on the way; `.` is the whole.
    pub context: String,
    /// Path of the Dockerfile from the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The Dockerfile itself, instead of a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// The stage that is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Values for `ARG`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub args: IndexMap<String, String>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
    /// Secrets mounted in build steps; `target` is the id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileMount>,
    /// Other contexts that `COPY --from` and `FROM` may name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub additional_contexts: IndexMap<String, BuildContext>,
    /// Lines for `/etc/hosts` in build steps.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub extra_hosts: IndexMap<String, Vec<String>>,
    /// The size of `/dev/shm` in build steps.
    #[serde(rename = "shm_size", skip_serializing_if = "Option::is_none")]
    pub shm_size_bytes: Option<u64>,
    /// Platforms that the image is built for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Nothing is taken from the cache.
    #[serde(skip_serializing_if = "is_false")]
    pub no_cache: bool,
    /// Base images are pulled even if they are there.
    #[serde(skip_serializing_if = "is_false")]
    pub pull: bool,
}

/// Another context of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildContext {
    /// A folder of the submission.
    Folder(String),
    /// The image that a service builds.
    Service(String),
    /// An image (`docker-image://…`).
    Image(String),
}

impl Serialize for BuildContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Folder(path) => serializer.collect_str(path),
            Self::Service(name) => serializer.collect_str(&format_args!("service:{name}")),
            Self::Image(image) => serializer.collect_str(&format_args!("docker-image://{image}")),
        }
    }
}

/// What must be true of another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// This service is started again when docker compose starts the other one anew.
    #[serde(skip_serializing_if = "is_false")]
    pub restart: bool,
    /// Where it is false, it does not matter whether the other one is there.
    pub required: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers were started.
    ServiceStarted,
    /// Its health check says that it is healthy.
    ServiceHealthy,
    /// Its containers ended with exit code 0.
    ServiceCompletedSuccessfully,
}

/// What is said of a health check; what is `None` is the image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// Where it is written.
    pub origin: Origin,
    /// There is none, whatever the image says (`disable: true` or `test: NONE`).
    #[serde(skip_serializing_if = "is_false")]
    pub disable: bool,
    /// `["CMD", program, arguments…]` or `["CMD-SHELL", line]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// From one run's end to the next.
    #[serde(serialize_with = "duration", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// After this a run has failed.
    #[serde(serialize_with = "duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Failures one after another that make the service unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long failures do not count.
    #[serde(serialize_with = "duration", skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// The interval in that time.
    #[serde(serialize_with = "duration", skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

/// Another service under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The service.
    pub service: String,
    /// The name.
    pub alias: String,
}

/// Whether a service is started again when it ends: the policies of `docker run --restart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is not.
    No,
    /// It is, whatever its exit code.
    Always,
    /// As `Always`; the two differ only when an engine itself starts again.
    UnlessStopped,
    /// When its exit code is not 0.
    OnFailure {
        /// Not more often than this.
        most: Option<u32>,
    },
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure { most: None } => f.write_str("on-failure"),
            Self::OnFailure { most: Some(most) } => write!(f, "on-failure:{most}"),
        }
    }
}

impl Serialize for Restart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Always.
    Always,
    /// Never.
    Never,
    /// When it is not there.
    Missing,
    /// It is built, and never pulled.
    Build,
}

/// Bounds of a container; what is not said is as for the whole grading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Memory.
    #[serde(rename = "memory", skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPUs, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// A limit of `ulimit`; -1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What a process starts with.
    pub soft: i64,
    /// What it may raise it to.
    pub hard: i64,
}

/// A command run in a container at a moment of its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Where it is written.
    pub origin: Origin,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// As whom, if not as the service's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where, if not in the service's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Beside the service's variables.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, Option<String>>,
}
