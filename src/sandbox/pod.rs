//! A pod: a small container of ours that holds a service's network namespace, and in which the probe
//! runs.
//!
//! `stack.rs` and `pool.rs` make pods, `inspector.rs` makes their cousins that share a service's PID
//! namespace. [`Probe`] is our end of the conversation with the process inside: requests in, answers
//! out, over the container's attached stdin and stdout.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, status};
use super::limits;
use super::owned::{Ledger, Thing};
use super::probe_image::{EXECUTABLE, Recipe};
use super::protocol::{Answer, Ask, Reply, Request};

/// The longest line that is taken from a probe. Its answers have caps of their own far below.
const LINE_BYTES: usize = 64 << 20;
/// How much longer than the probe we wait, for the way there and back.
const GRACE: Duration = Duration::from_secs(2);

/// A pod that runs, and the conversation with its probe.
pub(super) struct Pod {
    pub(super) container: String,
    pub(super) address: IpAddr,
    pub(super) probe: Arc<Probe>,
}

/// The network and the names of a pod.
pub(super) struct Place<'a> {
    /// The network's name.
    pub(super) network: &'a str,
    /// Host name and alias; a prober beside the services has none.
    pub(super) service: Option<&'a str>,
}

impl Pod {
    /// Makes and starts a pod and learns its address.
    pub(super) async fn start(ledger: &Arc<Ledger>, place: &Place<'_>) -> Result<Self, Error> {
        let endpoint = EndpointSettings {
            aliases: place.service.map(|service| vec![service.to_owned()]),
            ..EndpointSettings::default()
        };
        let body = ContainerCreateBody {
            hostname: place.service.map(str::to_owned),
            user: Some("65532:65532".into()),
            host_config: Some(HostConfig { network_mode: Some(place.network.to_owned()), ..limits::ours() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(place.network.to_owned(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        };
        let (container, probe) = start_probe(ledger, "pod", body).await?;
        let address = address(&ledger.engine, &container, place.network).await?;
        Ok(Self { container, address, probe })
    }
}

/// The address of a container on a network.
pub(super) async fn address(engine: &EngineInner, container: &str, network: &str) -> Result<IpAddr, Error> {
    let action = "tell a container's address";
    let inspection = engine.docker.inspect_container(container, None);
    let found = engine.call(action, inspection).await?;
    found
        .network_settings
        .and_then(|settings| settings.networks?.remove(network))
        .and_then(|endpoint| endpoint.ip_address?.parse().ok())
        .ok_or_else(|| Error::Engine {
            action: action.into(),
            cause: format!("container {container} has no address on network {network}"),
        })
}

/// Makes and starts a container that runs the probe, as `body` says, and begins the conversation.
pub(super) async fn start_probe(
    ledger: &Arc<Ledger>,
    role: &str,
    body: ContainerCreateBody,
) -> Result<(String, Arc<Probe>), Error> {
    let container = create_probe(ledger, role, body).await?;
    let probe = launch_probe(ledger, role, &container).await?;
    Ok((container, probe))
}

/// Makes a container that will run the probe, as `body` says.
pub(super) async fn create_probe(
    ledger: &Arc<Ledger>,
    role: &str,
    body: ContainerCreateBody,
) -> Result<String, Error> {
    let engine = &ledger.engine;
    let body = ContainerCreateBody {
        image: Some(engine.probe_image.clone()),
        entrypoint: Some(vec![EXECUTABLE.into(), "probe".into()]),
        cmd: Some(Vec::new()),
        open_stdin: Some(true),
        // The probe's stdin ends with our connection, and the probe with its stdin.
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: body
            .host_config
            .map(|host| HostConfig { runtime: Some(engine.own_runtime().to_owned()), ..host }),
        ..body
    };
    match ledger.create_container(role, body.clone()).await? {
        Ok(container) => Ok(container),
        // Someone removed the image: another process with a newer executable, or an admin.
        Err(error) if status(&error) == Some(404) => {
            let recipe = Recipe::of(&engine.docker, &engine.endpoint, &engine.context.probe_executable);
            recipe.await?.ensure(engine).await?;
            let again = ledger.create_container(role, body).await?;
            again.map_err(|error| engine.error("create a pod", &error))
        }
        Err(error) => Err(engine.error("create a pod", &error)),
    }
}

/// Starts a container of [`create_probe`] and begins the conversation; removes it where that fails.
pub(super) async fn launch_probe(
    ledger: &Arc<Ledger>,
    role: &str,
    container: &str,
) -> Result<Arc<Probe>, Error> {
    let engine = &ledger.engine;
    let started = async {
        let probe = Probe::attach(engine, container).await?;
        let starting = engine.docker.start_container(container, None);
        engine.call_within("start a pod", SLOW_CALL, starting).await?;
        Ok(probe)
    }
    .await;
    if started.is_err() {
        ledger.discard(Thing::container(role)(container.to_owned())).await;
    }
    started
}

/// Our end of the conversation with one probe.
pub(super) struct Probe {
    requests: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
}

/// Who waits for which answer; `None` once the conversation is over.
struct Waiting(Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>);

impl Waiting {
    fn with<T>(&self, work: impl FnOnce(&mut Option<HashMap<u64, oneshot::Sender<Reply>>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a probe gave no answer.
#[derive(Debug)]
pub(super) struct Gone;

impl Probe {
    async fn attach(engine: &Arc<EngineInner>, container: &str) -> Result<Arc<Self>, Error> {
        let options = AttachContainerOptionsBuilder::default()
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        let attaching = engine.docker.attach_container(container, Some(options));
        let mut attached = engine.call("attach to a pod", attaching).await?;
        let (requests, mut outgoing) = mpsc::unbounded_channel::<Vec<u8>>();
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        tokio::spawn({
            let waiting = Arc::clone(&waiting);
            async move {
                let mut line = Vec::new();
                while let Some(Ok(part)) = attached.output.next().await {
                    match part {
                        // What is not an answer is not from a probe of ours.
                        LogOutput::StdOut { message } if !take_lines(&mut line, &message, &waiting) => break,
                        LogOutput::StdErr { message } => {
                            tracing::warn!(said = %String::from_utf8_lossy(&message).trim(), "probe.complains");
                        }
                        _ => {}
                    }
                }
                // Dropping the senders tells everyone who waits.
                waiting.with(Option::take);
            }
        });
        tokio::spawn(async move {
            while let Some(line) = outgoing.recv().await {
                let written = async {
                    attached.input.write_all(&line).await?;
                    attached.input.flush().await
                };
                if written.await.is_err() {
                    break;
                }
            }
        });
        Ok(Arc::new(Self { requests, waiting, next: AtomicU64::new(0) }))
    }

    /// Whether the conversation goes on, as far as we know without asking.
    pub(super) fn lives(&self) -> bool {
        self.waiting.with(|waiting| waiting.is_some()) && !self.requests.is_closed()
    }

    /// Asks the probe. It answers within `within`; if even the answer to that does not come, the
    /// probe is [`Gone`], as when its container was stopped.
    pub(super) async fn try_ask(&self, ask: Ask, within: Duration) -> Result<Reply, Gone> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Request { id, ask, within_ms }).map_err(|_| Gone)?;
        line.push(b'\n');
        let (answer, answered) = oneshot::channel();
        let known = self.waiting.with(|waiting| waiting.as_mut().map(|waiting| waiting.insert(id, answer)));
        if known.is_none() || self.requests.send(line).is_err() {
            return Err(Gone);
        }
        let mut cancel = CancelOnDrop { probe: self, id, armed: true };
        let reply = tokio::time::timeout(within.saturating_add(GRACE), answered).await;
        cancel.armed = !matches!(reply, Ok(Ok(_)));
        reply.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// As [`Self::try_ask`], where a probe that is gone is a trouble of ours.
    pub(super) async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, Error> {
        match self.try_ask(ask, within).await {
            Ok(Reply::Unable(cause)) => {
                Err(Error::Engine { action: "do what a probe was asked".into(), cause })
            }
            Ok(reply) => Ok(reply),
            Err(Gone) => Err(Error::Engine {
                action: "keep a pod running".into(),
                cause: "the probe in it does not answer any more".into(),
            }),
        }
    }
}

/// Tells the probe to stop working on what nobody waits for any more.
struct CancelOnDrop<'a> {
    probe: &'a Probe,
    id: u64,
    armed: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let id = self.id;
        self.probe.waiting.with(|waiting| waiting.as_mut().map(|waiting| waiting.remove(&id)));
        let cancel = Request { id, ask: Ask::Cancel { id }, within_ms: 0 };
        if let Ok(mut line) = serde_json::to_vec(&cancel) {
            line.push(b'\n');
            // If the probe is gone there is nothing to stop.
            let _ = self.probe.requests.send(line);
        }
    }
}

/// Hands complete lines to whoever waits for them. `false`: what comes is not from a probe of ours.
fn take_lines(line: &mut Vec<u8>, mut part: &[u8], waiting: &Waiting) -> bool {
    while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
        line.extend_from_slice(&part[..end]);
        part = &part[end + 1..];
        let Ok(Answer { id, reply }) = serde_json::from_slice(line) else { return false };
        if let Some(waiter) = waiting.with(|waiting| waiting.as_mut()?.remove(&id)) {
            // One who went away meanwhile does not want it.
            let _ = waiter.send(reply);
        }
        line.clear();
    }
    line.extend_from_slice(part);
    line.len() <= LINE_BYTES
}

impl EngineInner {
    /// The runtime of our own containers. Pods must have that of the containers which join them.
    pub(super) fn own_runtime(&self) -> &str {
        if super::stack::shares_namespaces(&self.settings.runtime) { &self.settings.runtime } else { "runc" }
    }
}

/// How long a pod may take to answer something trivial.
pub(super) const PROMPT: Duration = CALL;
