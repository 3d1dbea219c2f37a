//! From the model of a compose file to a stack, field by field: what has no field there does not reach the
//! engine.

use std::collections::HashMap;

use bytes::Bytes;
use indexmap::IndexMap;

use super::super::course::Cause;
use super::super::grade::Halt;
use crate::checks::Fault;
use crate::exercises::ComposeRun;
use crate::sandbox::{
    Condition, Dependency, FileSpec, HealthSpec, HookSpec, LONGEST_GRACE, Link, MountSpec, NetworkMode,
    Ready, Restart, ServiceLimits, ServiceSpec, Source, StackSpec,
};
use crate::submissions::Content;
use crate::submissions::compose::PathKind;
use crate::submissions::compose::model::{self, FileMount, FileSource, MountKind, Project, SharedFile};
use crate::ulimits::Ulimit;

/// The permissions of a config or secret that says none (Compose, 05-services).
const READABLE: u32 = 0o444;
/// The size of a file system in memory that says none; what it holds counts as memory of its container.
const TMPFS_BYTES: u64 = 64 << 20;

/// A project, as the sandbox takes it.
pub(super) struct Plan {
    pub(super) spec: StackSpec,
    /// What is built, by service.
    pub(super) builds: IndexMap<String, model::Build>,
    /// A tar of each folder that is mounted.
    pub(super) folders: HashMap<String, Bytes>,
    /// What builds may mount, by name.
    pub(super) secrets: IndexMap<String, SharedFile>,
}

/// The stack of a project.
pub(super) fn plan(project: &Project, run: &ComposeRun, content: &Content) -> Result<Plan, Halt> {
    let mut plan = Plan {
        spec: StackSpec {
            services: IndexMap::new(),
            networks: project.networks.keys().cloned().collect(),
            volumes: project.volumes.keys().cloned().collect(),
        },
        builds: IndexMap::new(),
        folders: HashMap::new(),
        secrets: project.secrets.clone(),
    };
    for (name, service) in project.services.iter().filter(|(_, service)| service.replicas > 0) {
        if let Some(build) = &service.build {
            plan.builds.insert(name.clone(), build.clone());
        }
        let spec = service_spec(name, service, project, run, content, &mut plan)?;
        plan.spec.services.insert(name.clone(), spec);
    }
    Ok(plan)
}

fn service_spec(
    name: &str,
    service: &model::Service,
    project: &Project,
    run: &ComposeRun,
    content: &Content,
    plan: &mut Plan,
) -> Result<ServiceSpec, Halt> {
    let mut spec = ServiceSpec {
        // One that is built gets its image before it is started.
        image: Some(service.image.clone().filter(|_| service.build.is_none()).unwrap_or_default()),
        env: variables(&service.environment),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        user: service.user.clone(),
        cap_add: run.capabilities.clone(),
        read_only: service.read_only,
        init: service.init.unwrap_or(false),
        network_mode: match &service.network_mode {
            model::NetworkMode::Networks => NetworkMode::Networks,
            model::NetworkMode::None => NetworkMode::None,
            model::NetworkMode::Service(other) => NetworkMode::Service(other.clone()),
        },
        networks: service.networks.keys().cloned().collect(),
        aliases: service
            .networks
            .values()
            .flat_map(|attachment| &attachment.aliases)
            .chain(&service.container_name)
            .cloned()
            .collect(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        links: service
            .links
            .iter()
            .map(|link| Link { service: link.service.clone(), alias: link.alias.clone() })
            .collect(),
        dns_search: service.dns_search.clone(),
        dns_options: service.dns_opt.iter().filter(|option| !option.starts_with("ndots:")).cloned().collect(),
        ulimits: service
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), Ulimit { soft: limit.soft, hard: limit.hard }))
            .collect(),
        tty: service.tty,
        stdin_open: service.stdin_open,
        stop_grace: service.stop_grace_period.map(|grace| grace.min(LONGEST_GRACE)),
        post_start: service.post_start.iter().map(hook).collect(),
        pre_stop: service.pre_stop.iter().map(hook).collect(),
        extra_hosts: service.extra_hosts.clone(),
        working_dir: service.working_dir.clone(),
        stop_signal: service.stop_signal.clone(),
        group_add: service.group_add.clone(),
        shm_bytes: service.shm_size_bytes,
        depends_on: service
            .depends_on
            .iter()
            .map(|(other, wanted)| (other.clone(), dependency(*wanted)))
            .collect(),
        restart: service.restart.map_or(Restart::No, restart),
        replicas: service.replicas,
        limits: ServiceLimits {
            memory_bytes: service.limits.memory_bytes,
            cpu_millis: service.limits.cpu_millis,
            pids: service.limits.pids,
        },
        healthcheck: service.healthcheck.as_ref().map(health),
        ready: Ready::Healthy { within: run.within },
        ..ServiceSpec::default()
    };
    for (path, tmpfs) in &service.tmpfs {
        spec.tmpfs.insert(path.clone(), tmpfs.size_bytes.unwrap_or(TMPFS_BYTES));
    }
    for (index, mount) in service.mounts.iter().enumerate() {
        let target = mount.target.clone();
        match &mount.kind {
            MountKind::Volume { source, .. } => {
                let source = source.clone().unwrap_or_else(|| format!("{name} {index}"));
                let source = Source::Volume(source);
                spec.mounts.push(MountSpec { source, target, read_only: mount.read_only });
            }
            MountKind::Bind(bind) => match bind.found {
                PathKind::File => {
                    let bytes = content.file(&bind.source).cloned().unwrap_or_default();
                    spec.files.push(FileSpec { path: target, bytes, uid: 0, gid: 0, mode: 0o644 });
                }
                PathKind::Folder | PathKind::Missing => {
                    let whole = bind.source == ".";
                    let files = if whole { Some(content.clone()) } else { content.subtree(&bind.source) };
                    let files = files.unwrap_or_else(Content::empty);
                    plan.folders.entry(bind.source.clone()).or_insert_with(|| files.tar());
                    let source = Source::Folder(bind.source.clone());
                    spec.mounts.push(MountSpec { source, target, read_only: mount.read_only });
                }
            },
            MountKind::Tmpfs(tmpfs) => {
                spec.tmpfs.insert(target, tmpfs.size_bytes.unwrap_or(TMPFS_BYTES));
            }
        }
    }
    for (shared, mounts) in [(&project.configs, &service.configs), (&project.secrets, &service.secrets)] {
        for mount in mounts {
            spec.files.push(file(shared, mount, content)?);
        }
    }
    Ok(spec)
}

/// A config or secret as a file.
fn file(
    shared: &IndexMap<String, SharedFile>,
    mount: &FileMount,
    content: &Content,
) -> Result<FileSpec, Halt> {
    let bytes = bytes(shared, &mount.source, content)?;
    let number = |id: &Option<String>| id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0);
    Ok(FileSpec {
        path: mount.target.clone(),
        bytes,
        uid: number(&mount.uid),
        gid: number(&mount.gid),
        mode: mount.mode.unwrap_or(READABLE),
    })
}

/// What is in a config or secret.
pub(super) fn bytes(
    shared: &IndexMap<String, SharedFile>,
    name: &str,
    content: &Content,
) -> Result<Bytes, Halt> {
    match shared.get(name).map(|file| &file.source) {
        Some(FileSource::Content(text)) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some(FileSource::File(path)) => Ok(content.file(path).cloned().unwrap_or_default()),
        None => {
            let cause = format!("the model of a compose file names `{name}`, which it does not hold");
            Err(Halt::Fault(Cause::from(&Fault::Exercise(cause))))
        }
    }
}

fn dependency(wanted: model::Dependency) -> Dependency {
    let condition = match wanted.condition {
        model::Condition::ServiceStarted => Condition::Started,
        model::Condition::ServiceHealthy => Condition::Healthy,
        model::Condition::ServiceCompletedSuccessfully => Condition::CompletedSuccessfully,
    };
    Dependency { condition, required: wanted.required }
}

fn restart(restart: model::Restart) -> Restart {
    match restart {
        model::Restart::No => Restart::No,
        model::Restart::Always => Restart::Always,
        model::Restart::UnlessStopped => Restart::UnlessStopped,
        model::Restart::OnFailure { most } => Restart::OnFailure { most },
    }
}

fn health(health: &model::Healthcheck) -> HealthSpec {
    HealthSpec {
        disable: health.disable,
        test: health.test.clone(),
        interval: health.interval,
        timeout: health.timeout,
        retries: health.retries,
        start_period: health.start_period,
        start_interval: health.start_interval,
    }
}

fn hook(hook: &model::Hook) -> HookSpec {
    HookSpec {
        command: hook.command.clone(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        env: variables(&hook.environment),
    }
}

/// Those that have a value.
fn variables(written: &IndexMap<String, Option<String>>) -> IndexMap<String, String> {
    written.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
}
