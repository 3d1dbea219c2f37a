//! What a container really has, as the engine tells it: mounts, bounds, networks.

use super::error::Error;
use super::service::Service;
use super::spec::Source;
use super::stack::Stack;

/// Something that is mounted in a service's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub target: String,
    /// Of which type it is to the student.
    pub kind: MountKind,
    /// The stack's name of a volume, or the submission's folder; an image's own volumes have none.
    pub name: Option<String>,
    /// It cannot be written there.
    pub read_only: bool,
    /// How much fits into a file system in memory, in bytes.
    pub size_bytes: Option<u64>,
}

/// The types of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A volume, with a name or as the image declares it.
    Volume,
    /// A folder of the submission.
    Bind,
    /// A file system in memory.
    Tmpfs,
}

/// The bounds that a container has; `None` is without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPUs, in thousandths.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// A network of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Such as `bridge`.
    pub driver: String,
    /// The engine keeps it from the outside.
    pub internal: bool,
    /// Services that stand on it, in the order of the stack's description.
    pub services: Vec<String>,
}

impl Service {
    /// What is mounted in its container, by target.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn mounts(&self) -> Result<Vec<Mounted>, Error> {
        let engine = &self.ledger.engine;
        let container = self.container();
        let inspection = engine.docker.inspect_container(&container.id, None);
        let found = engine.call("inspect a container", inspection).await?;
        let mut mounts = Vec::new();
        for mount in found.mounts.unwrap_or_default() {
            // A tmpfs stands among the host's settings, with its size.
            let (Some(target), Some("volume")) = (mount.destination, mount.typ.as_deref()) else { continue };
            let source = mount.name.and_then(|name| self.common.volumes.source(&name));
            let (kind, name) = match source {
                Some(Source::Volume(name)) => (MountKind::Volume, Some(name.clone())),
                Some(Source::Folder(path)) => (MountKind::Bind, Some(path.clone())),
                None => (MountKind::Volume, None),
            };
            let read_only = mount.rw == Some(false);
            mounts.push(Mounted { target, kind, name, read_only, size_bytes: None });
        }
        for (target, options) in found.host_config.and_then(|host| host.tmpfs).unwrap_or_default() {
            let mut options = options.split(',');
            let size = options.clone().find_map(|option| option.strip_prefix("size=")?.parse().ok());
            let read_only = options.any(|option| option == "ro");
            mounts.push(Mounted { target, kind: MountKind::Tmpfs, name: None, read_only, size_bytes: size });
        }
        mounts.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(mounts)
    }

    /// The bounds of its container.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn bounds(&self) -> Result<Bounds, Error> {
        let engine = &self.ledger.engine;
        let container = self.container();
        let inspection = engine.docker.inspect_container(&container.id, None);
        let found = engine.call("inspect a container", inspection).await?;
        let host = found.host_config.unwrap_or_default();
        // The engine writes 0, or for processes -1, where there is no bound.
        let bound =
            |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Bounds {
            memory_bytes: bound(host.memory),
            cpu_millis: bound(host.nano_cpus).map(|nanos| number(nanos / 1_000_000)),
            pids: bound(host.pids_limit).map(number),
        })
    }
}

impl Stack {
    /// The names of its networks.
    #[must_use]
    pub fn networks(&self) -> Vec<&str> {
        self.networks.keys().map(String::as_str).collect()
    }

    /// What the engine tells of a network; `None` where the stack has none of this name.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn network(&self, name: &str) -> Result<Option<NetworkFacts>, Error> {
        let Some(network) = self.networks.get(name) else { return Ok(None) };
        let engine = &self.ledger.engine;
        let inspection = engine.docker.inspect_network(network, None);
        let found = engine.call("inspect a network", inspection).await?;
        let mut services: Vec<String> = Vec::new();
        for service in self.services() {
            if service.addresses().contains_key(name)
                && services.last().is_none_or(|last| last != service.name())
            {
                services.push(service.name().to_owned());
            }
        }
        Ok(Some(NetworkFacts {
            driver: found.driver.unwrap_or_default(),
            internal: found.internal == Some(true),
            services,
        }))
    }
}
