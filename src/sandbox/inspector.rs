//! A look into a service's processes: a container of ours in the service's PID namespace.
//!
//! It is started with the service where a check will ask, else when the first one asks, and kept while the service's main process lives (the
//! namespace ends with it). It has root and the two capabilities that reading `/proc` of others needs,
//! and nothing else; a process of the student's cannot trace it, because it has capabilities which
//! theirs lack. But a student's root process can kill it: then it is tried once more, and after that
//! what cannot be seen is a finding, not a fault.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use tokio::sync::Mutex;

use super::error::Error;
use super::limits;
use super::owned::Thing;
use super::pod::{Probe, create_probe, launch_probe, start_probe};
use super::processes::Process;
use super::protocol::{Ask, Reply};
use super::service::Service;
use super::stack::unexpected;
use crate::clock::Stopwatch;

/// Why processes could not be seen, which is for the student to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// The container does not run.
    #[error("the container does not run any more")]
    NotRunning,
    /// Something in the container ended or stopped our look into it, twice.
    #[error("something in the container kills other processes, so that its processes cannot be looked at")]
    Disturbed,
}

/// The inspector of one service, once there is one.
#[derive(Default)]
pub(super) struct Inspector(Mutex<Option<Inspecting>>);

struct Inspecting {
    container: String,
    /// Once it was started.
    probe: Option<Arc<Probe>>,
}

const ROLE: &str = "inspector";
/// To read `/proc` of other users' processes.
const CAPABILITIES: [&str; 2] = ["SYS_PTRACE", "DAC_READ_SEARCH"];

/// How long the look may take.
const LOOK: Duration = Duration::from_secs(5);

impl Service {
    /// All processes in the container, the main one first.
    ///
    /// # Errors
    /// [`Error::Unfit`] under a runtime that lets nobody look; what the student's container does to
    /// the look is in the inner result.
    pub async fn processes(&self) -> Result<Result<Vec<Process>, Unseen>, Error> {
        let Some(pod) = self.in_pod() else {
            return Err(Error::Unfit(format!(
                "processes cannot be told under the runtime {}",
                self.ledger.engine.settings.runtime
            )));
        };
        for _ in 0..2 {
            if !self.container().is_running() {
                return Ok(Err(Unseen::NotRunning));
            }
            let probe = match self.inspector_probe(pod).await {
                Ok(probe) => probe,
                Err(error) => {
                    // Its namespace may have gone a moment before we hear of it.
                    if self.ends_soon().await {
                        return Ok(Err(Unseen::NotRunning));
                    }
                    if matches!(error, Error::Engine { .. }) && self.starts_elsewhere().await {
                        continue;
                    }
                    return Err(error);
                }
            };
            match probe.try_ask(Ask::Processes, LOOK).await {
                Ok(Reply::Processes(processes)) => return Ok(Ok(processes)),
                Ok(Reply::Unable(_) | Reply::Silent(_)) | Err(_) => self.forget_inspector().await,
                Ok(other) => return Err(unexpected(&other)),
            }
        }
        Ok(Err(if self.ends_soon().await { Unseen::NotRunning } else { Unseen::Disturbed }))
    }

    /// Makes the container in which the look runs; the service need not have been started for that.
    pub(super) async fn create_inspector(&self) {
        if let Some(pod) = self.in_pod() {
            let mut slot = self.inspector.0.lock().await;
            if slot.is_none()
                && let Ok(container) = self.create_look(ROLE, pod, &CAPABILITIES).await
            {
                *slot = Some(Inspecting { container, probe: None });
            }
        }
    }

    /// Makes ready what [`Self::processes`] asks. Trouble is for it to tell, should it come.
    pub(super) async fn prepare_look(&self) {
        if let Some(pod) = self.in_pod()
            && let Err(error) = self.inspector_probe(pod).await
        {
            tracing::debug!(%error, "inspector.not_prepared");
        }
    }

    /// Whether a probe starts outside the service's PID namespace: then it is the service that keeps
    /// one from starting inside, by killing it on the way, and not the engine.
    async fn starts_elsewhere(&self) -> bool {
        let host = HostConfig { network_mode: Some("none".into()), ..limits::ours() };
        let body = ContainerCreateBody { host_config: Some(host), ..ContainerCreateBody::default() };
        let Ok((container, _)) = start_probe(&self.ledger, ROLE, body).await else { return false };
        self.ledger.discard(Thing::Container(container)).await;
        true
    }

    async fn ends_soon(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.container().ended()).await.is_ok()
    }

    async fn inspector_probe(&self, pod: &str) -> Result<Arc<Probe>, Error> {
        let mut slot = self.inspector.0.lock().await;
        let container = match slot.take() {
            Some(Inspecting { container, probe: Some(probe) }) if probe.lives() => {
                *slot = Some(Inspecting { container, probe: Some(Arc::clone(&probe)) });
                return Ok(probe);
            }
            Some(Inspecting { container, probe: None }) => container,
            other => {
                if let Some(Inspecting { container, .. }) = other {
                    self.ledger.discard(Thing::Container(container)).await;
                }
                self.create_look(ROLE, pod, &CAPABILITIES).await?
            }
        };
        let probe = launch_probe(&self.ledger, ROLE, &container).await?;
        *slot = Some(Inspecting { container, probe: Some(Arc::clone(&probe)) });
        Ok(probe)
    }

    /// The look was into a container that is not there any more, or it was disturbed.
    pub(super) async fn forget_inspector(&self) {
        if let Some(Inspecting { container, .. }) = self.inspector.0.lock().await.take() {
            self.ledger.discard(Thing::Container(container)).await;
        }
    }

    /// Kills what `docker exec` started when `since` began, and its descendants. The engine has no
    /// way to do it. Where it cannot be done the command ends with its container.
    pub(super) async fn kill_exec(&self, since: Stopwatch) {
        let Some(pod) = self.in_pod() else { return };
        let capabilities = ["SYS_PTRACE", "DAC_READ_SEARCH", "KILL"];
        let killed = async {
            let container = self.create_look("reaper", pod, &capabilities).await?;
            let probe = launch_probe(&self.ledger, "reaper", &container).await?;
            let age_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let reply = probe.ask(Ask::KillForeign { age_ms }, LOOK).await;
            self.ledger.discard(Thing::Container(container)).await;
            reply
        };
        match killed.await {
            Ok(Reply::Killed { processes }) if processes > 0 => {}
            Ok(reply) => tracing::debug!(?reply, "command.not_killed"),
            Err(error) => tracing::debug!(%error, "command.not_killed"),
        }
    }

    /// Makes a container for a probe in the service's PID namespace, as root with these capabilities
    /// alone.
    async fn create_look(&self, role: &str, pod: &str, capabilities: &[&str]) -> Result<String, Error> {
        let host = HostConfig {
            pid_mode: Some(format!("container:{}", self.container().id)),
            // Joining the pod's is quicker than making an empty one.
            network_mode: Some(format!("container:{pod}")),
            cap_add: Some(capabilities.iter().map(|name| (*name).to_owned()).collect()),
            ..limits::ours()
        };
        let body = ContainerCreateBody {
            user: Some("0:0".into()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        create_probe(&self.ledger, role, body).await
    }
}
