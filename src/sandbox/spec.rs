//! What a stack consists of, as plain data.
//!
//! `exercises` reads it, `stack.rs` starts it. The words and their meaning are Compose's; what Compose
//! could say beyond it has no place here, so it cannot reach the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;

use super::health::HealthSpec;
use crate::ulimits::Ulimit;

/// The network that all services share where a stack names none.
pub const DEFAULT_NETWORK: &str = "default";

/// The most containers that a stack may have: each takes memory, a pod and a moment to start.
pub const MOST_CONTAINERS: u32 = 24;

/// The most containers that one service has.
pub const MOST_REPLICAS: u32 = 8;

/// The longest that a service may ask to be waited for before it is killed.
pub const LONGEST_GRACE: Duration = Duration::from_secs(30);

/// What a stack consists of. One service is built from the submission, others are companions.
#[derive(Clone, Debug, Default)]
pub struct StackSpec {
    /// By name, in the order in which they are reported. All start at the same time.
    pub services: IndexMap<String, ServiceSpec>,
    /// Names of networks, each without a way out; where there is none, one that all services share.
    pub networks: Vec<String>,
    /// Names of volumes, empty at the start.
    pub volumes: Vec<String>,
}

/// One service. Everything not said here is what the sandbox's rules make it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of Compose by itself")]
pub struct ServiceSpec {
    /// Image id or reference; `None`: the image under test, given when the stack starts.
    pub image: Option<String>,
    /// Beside what the image sets.
    pub env: IndexMap<String, String>,
    /// Instead of the image's CMD.
    pub command: Option<Vec<String>>,
    /// Instead of the image's ENTRYPOINT (its CMD is then not used either).
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's USER.
    pub user: Option<String>,
    /// Capabilities that the exercise declares, such as `NET_BIND_SERVICE`, without `CAP_`.
    pub cap_add: Vec<String>,
    /// The image's file system cannot be written.
    pub read_only: bool,
    /// The engine's init is PID 1.
    pub init: bool,
    /// Paths with an empty in-memory file system and its size in bytes.
    pub tmpfs: BTreeMap<String, u64>,
    /// Volumes and folders of the submission in its file system.
    pub mounts: Vec<MountSpec>,
    /// Files that are put into its containers before they start.
    pub files: Vec<FileSpec>,
    /// Whose network its containers have.
    pub network_mode: NetworkMode,
    /// The stack's networks that it stands on; none: on all.
    pub networks: Vec<String>,
    /// Further names that it has on all of its networks.
    pub aliases: Vec<String>,
    /// Its containers' own name, instead of the service's.
    pub hostname: Option<String>,
    /// Further lines of `/etc/hosts`: addresses by name.
    pub extra_hosts: IndexMap<String, Vec<String>>,
    /// Instead of the image's WORKDIR.
    pub working_dir: Option<String>,
    /// Instead of the image's STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// Groups beside the user's own.
    pub group_add: Vec<String>,
    /// The size of `/dev/shm`, which counts as memory.
    pub shm_bytes: Option<u64>,
    /// What must be true of other services before it is started.
    pub depends_on: IndexMap<String, Dependency>,
    /// Whether it is started again when it ends.
    pub restart: Restart,
    /// How many containers it has, at most [`MOST_REPLICAS`]; its name stands for all of them.
    pub replicas: u32,
    /// Bounds of each of its containers below those of the grading.
    pub limits: ServiceLimits,
    /// What replaces parts of the image's HEALTHCHECK.
    pub healthcheck: Option<HealthSpec>,
    /// When the service counts as started.
    pub ready: Ready,
    /// Other services of its networks under names that it alone knows.
    pub links: Vec<Link>,
    /// Its containers' domain, for `hostname -d`.
    pub domainname: Option<String>,
    /// Domains in which its containers look up names.
    pub dns_search: Vec<String>,
    /// Options of its containers' resolver, such as `ndots:1`.
    pub dns_options: Vec<String>,
    /// Limits of its processes by name; what is above the sandbox's own is not given.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Its main process has a terminal.
    pub tty: bool,
    /// Its standard input stays open, with nobody writing.
    pub stdin_open: bool,
    /// How long it has to end when it is asked to, at most [`LONGEST_GRACE`].
    pub stop_grace: Option<Duration>,
    /// Commands run in its containers after they were started.
    pub post_start: Vec<HookSpec>,
    /// Commands run in its containers before they are asked to end.
    pub pre_stop: Vec<HookSpec>,
    /// It is the exercise author's own, beside the services of a submission.
    pub companion: bool,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            image: None,
            env: IndexMap::new(),
            command: None,
            entrypoint: None,
            user: None,
            cap_add: Vec::new(),
            read_only: false,
            init: false,
            tmpfs: BTreeMap::new(),
            mounts: Vec::new(),
            files: Vec::new(),
            network_mode: NetworkMode::Networks,
            networks: Vec::new(),
            aliases: Vec::new(),
            hostname: None,
            extra_hosts: IndexMap::new(),
            working_dir: None,
            stop_signal: None,
            group_add: Vec::new(),
            shm_bytes: None,
            depends_on: IndexMap::new(),
            restart: Restart::No,
            replicas: 1,
            limits: ServiceLimits::default(),
            healthcheck: None,
            ready: Ready::Started,
            links: Vec::new(),
            domainname: None,
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            ulimits: IndexMap::new(),
            tty: false,
            stdin_open: false,
            stop_grace: None,
            post_start: Vec::new(),
            pre_stop: Vec::new(),
            companion: false,
        }
    }
}

impl StackSpec {
    /// The service that is meant where none is named: `app`, or the first.
    #[must_use]
    pub fn main_service(&self) -> Option<&str> {
        main_service(&self.services)
    }

    /// The names of its networks, at least one.
    #[must_use]
    pub fn network_names(&self) -> Vec<&str> {
        match self.networks.as_slice() {
            [] => vec![DEFAULT_NETWORK],
            names => names.iter().map(String::as_str).collect(),
        }
    }

    /// How many containers it has.
    #[must_use]
    pub fn containers(&self) -> u32 {
        self.services.values().map(|service| service.replicas).sum()
    }

    /// The networks that a service of it stands on.
    #[must_use]
    pub fn networks_of<'a>(&'a self, service: &'a ServiceSpec) -> Vec<&'a str> {
        match (&service.network_mode, service.networks.as_slice()) {
            (NetworkMode::None, _) => Vec::new(),
            (NetworkMode::Service(other), _) => {
                // One that has its network from a third is refused where stacks are read.
                let other =
                    self.services.get(other).filter(|other| other.network_mode == NetworkMode::Networks);
                other.map(|other| self.networks_of(other)).unwrap_or_default()
            }
            (NetworkMode::Networks, []) => self.network_names(),
            (NetworkMode::Networks, names) => names.iter().map(String::as_str).collect(),
        }
    }
}

pub(super) fn main_service<T>(services: &IndexMap<String, T>) -> Option<&str> {
    services.get_key_value(MAIN_SERVICE).or_else(|| services.first()).map(|(name, _)| name.as_str())
}

/// What the service under test is called where there is only one.
pub(super) const MAIN_SERVICE: &str = "app";

/// Whose network a service's containers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Their own, on networks of the stack.
    #[default]
    Networks,
    /// Their own, with nothing but the loopback.
    None,
    /// That of another service's first container: its addresses, its ports, its loopback.
    Service(String),
}

/// Another service under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The service.
    pub service: String,
    /// The name.
    pub alias: String,
}

/// A command run in a service's container at a moment of its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Instead of the container's.
    pub user: Option<String>,
    /// Instead of the container's.
    pub working_dir: Option<String>,
    /// Beside what the container has.
    pub env: IndexMap<String, String>,
}

/// A file that is put into a container before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Its absolute path.
    pub path: String,
    /// What is in it.
    pub bytes: Bytes,
    /// Its owner's number.
    pub uid: u64,
    /// Its group's number.
    pub gid: u64,
    /// Its permissions, such as `0o444`.
    pub mode: u32,
}

/// What must be true of another service before one is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// Whether the service stays down where it does not become true.
    pub required: bool,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The other's containers were started.
    Started,
    /// The other's health check says that it is healthy.
    Healthy,
    /// The other's containers ended with exit code 0.
    CompletedSuccessfully,
}

/// Something that is mounted into a service's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// What.
    pub source: Source,
    /// Where: an absolute path in the container.
    pub target: String,
    /// It cannot be written there.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A volume of the stack.
    Volume(String),
    /// A folder of the submission: a copy of it, one for all services that mount it, never a path of the
    /// host. `.` is the whole.
    Folder(String),
}

/// Whether a service is started again when it ends: the policies of `docker run --restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// It is not.
    #[default]
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

impl Restart {
    /// Whether a container that ended with `code` is started again after `restarts` of them.
    pub(super) fn again(self, code: Option<i64>, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure { most } => code != Some(0) && most.is_none_or(|most| restarts < most),
        }
    }
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

impl FromStr for Restart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let most = |count: &str| count.parse().ok().filter(|count| *count > 0);
        match text.split_once(':') {
            None => match text {
                "no" => Some(Self::No),
                "always" => Some(Self::Always),
                "unless-stopped" => Some(Self::UnlessStopped),
                "on-failure" => Some(Self::OnFailure { most: None }),
                _ => None,
            },
            Some(("on-failure", count)) => most(count).map(|most| Self::OnFailure { most: Some(most) }),
            Some(_) => None,
        }
        .ok_or_else(|| {
            format!(
                "`{}` is no restart policy; there are no, always, on-failure, on-failure:3 (at most so often) and \
                 unless-stopped",
                crate::text::visible(text)
            )
        })
    }
}

/// Bounds of a service's containers; what is not said is as for the whole grading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Memory of each container.
    pub memory_bytes: Option<u64>,
    /// CPUs of each container, in thousandths.
    pub cpu_millis: Option<u32>,
    /// Processes and threads in each container.
    pub pids: Option<u32>,
}

/// When a service counts as ready for its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// As soon as its process was started.
    Started,
    /// A process listens on this TCP port (on any address), at the latest after `within`.
    Port {
        /// The port.
        port: u16,
        /// After this it is not waited any longer.
        within: Duration,
    },
    /// This line (regex, unanchored) was printed, at the latest after `within`.
    Log {
        /// Searched in stdout and stderr; `^` and `$` match at lines.
        pattern: String,
        /// After this it is not waited any longer.
        within: Duration,
    },
    /// It ended by itself, at the latest after `within`.
    Exited {
        /// After this it is not waited any longer.
        within: Duration,
    },
    /// Its health check says that it is healthy, at the latest after `within`; at once where it has none.
    Healthy {
        /// After this it is not waited any longer.
        within: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_docker_reads_them() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(text.parse::<Restart>().unwrap().to_string(), text);
        }
        for text in ["", "No", "never", "always:3", "on-failure:", "on-failure:0", "on-failure:x"] {
            assert!(text.parse::<Restart>().unwrap_err().contains("on-failure:3"), "{text}");
        }
    }

    #[test]
    fn a_failure_is_an_exit_code_other_than_0() {
        let thrice = Restart::OnFailure { most: Some(3) };
        assert!(thrice.again(Some(1), 2) && thrice.again(Some(137), 0));
        assert!(!thrice.again(Some(1), 3) && !thrice.again(Some(0), 0));
        assert!(Restart::Always.again(Some(0), 1000));
        assert!(!Restart::No.again(Some(1), 0));
    }
}
