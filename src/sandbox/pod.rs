//! A pod: a small container of ours that holds a service's network namespace, and in which the probe
//! runs.
//!
//! `stack.rs` and `pool.rs` make pods, `inspector.rs` makes their cousins that share a service's PID
//! namespace. [`Probe`] is our end of the conversation with the process inside: requests in, answers
//! out, over the container's attached stdin and stdout.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::engine::{CALL, EngineInner, SLOW_CALL};
use super::error::{Error, status};
use super::ground::{self, Addresses, Networks};
use super::limits;
use super::owned::{Ledger, Thing};
use super::probe_image::{EXECUTABLE, Recipe};
use super::protocol::{Answer, Ask, Reply, Request};
use super::spec::ServiceSpec;

/// The longest line that is taken from a probe. Its answers have caps of their own far below.
const LINE_BYTES: usize = 64 << 20;
/// How much longer than the probe we wait, for the way there and back.
const GRACE: Duration = Duration::from_secs(2);

/// A pod that runs, and the conversation with its probe.
pub(super) struct Pod {
    pub(super) container: String,
    pub(super) addresses: Addresses,
    pub(super) probe: Arc<Probe>,
}

/// The networks and the names of a pod.
pub(super) struct Place<'a> {
    pub(super) networks: &'a Networks,
    /// Alias; a prober beside the services has none.
    pub(super) service: Option<&'a str>,
    /// Host name, and alias too.
    pub(super) host_name: Option<&'a str>,
    /// What else its service says of names.
    pub(super) spec: Option<&'a ServiceSpec>,
}

impl Pod {
    /// Makes and starts a pod and learns its addresses.
    pub(super) async fn start(ledger: &Arc<Ledger>, place: &Place<'_>) -> Result<Self, Error> {
        let engine = &ledger.engine;
        let endpoint = match (place.service, place.host_name) {
            (Some(service), host_name) => ground::endpoint(service, host_name.unwrap_or(service), place.spec),
            (None, _) => EndpointSettings::default(),
        };
        let first = place.networks.values().next().cloned().unwrap_or_else(|| "none".into());
        let body = ContainerCreateBody {
            hostname: place
                .spec
                .and_then(|spec| spec.hostname.as_deref())
                .or(place.host_name)
                .map(str::to_owned),
            user: Some("65532:65532".into()),
            domainname: place.spec.and_then(|spec| spec.domainname.clone()),
            host_config: Some(ground::names(
                HostConfig { network_mode: Some(first.clone()), ..limits::ours() },
                place.spec,
            )),
            // Without a network there is nobody to be known to.
            networking_config: (!place.networks.is_empty()).then(|| NetworkingConfig {
                endpoints_config: Some(HashMap::from([(first, endpoint.clone())])),
            }),
            ..ContainerCreateBody::default()
        };
        let container = create_probe(ledger, "pod", body).await?;
        ground::connect(engine, &container, place.networks.values().skip(1), &endpoint).await?;
        let probe = launch_probe(ledger, "pod", &container).await?;
        let addresses = addresses(engine, &container, place.networks).await?;
        Ok(Self { container, addresses, probe })
    }

    /// Its address on the first of its networks.
    pub(super) fn address(&self) -> IpAddr {
        self.addresses.values().next().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// The addresses of a container on networks.
pub(super) async fn addresses(
    engine: &EngineInner,
    container: &str,
    networks: &Networks,
) -> Result<Addresses, Error> {
    let action = "tell a container's address";
    let inspection = engine.docker.inspect_container(container, None);
    let found = engine.call(action, inspection).await?;
    let mut endpoints = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = |(name, network): (&String, &String)| {
        let address = endpoints.remove(network).and_then(|endpoint| endpoint.ip_address?.parse().ok());
        let address = address.ok_or_else(|| Error::Engine {
            action: action.into(),
            cause: format!("container {container} has no address on network {network}"),
        })?;
        Ok((name.clone(), address))
    };
    networks.iter().map(address).collect()
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
        // As process 1 it hears no other signal. An engine that is stopped in good order waits ten seconds for each
        // that does not end.
        stop_signal: Some("SIGKILL".into()),
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
struct Waiting(Mutex<Option<Waiters>>);

/// By the question's id. What a probe sends without being asked to is dropped, and what it is asked
/// for has caps of its own, so nothing piles up here.
type Waiters = HashMap<u64, mpsc::UnboundedSender<Answer>>;

impl Waiting {
    fn with<T>(&self, work: impl FnOnce(&mut Option<Waiters>) -> T) -> T {
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
        let mut asked = self.begin(ask, within)?;
        tokio::time::timeout(within.saturating_add(GRACE), asked.next())
            .await
            .map_err(|_| Gone)?
            .map(|a| a.reply)
    }

    /// As [`Self::try_ask`], where a probe that is gone is a trouble of ours.
    pub(super) async fn ask(&self, ask: Ask, within: Duration) -> Result<Reply, Error> {
        able(self.try_ask(ask, within).await)
    }

    /// Asks what is answered in parts, and hands each of them to `part` until that has enough. Says
    /// the last answer; `None` where `part` did not wait for it.
    pub(super) async fn ask_for_parts(
        &self,
        ask: Ask,
        within: Duration,
        mut part: impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Result<Option<Reply>, Error> {
        let answers = async {
            let mut asked = self.begin(ask, within)?;
            loop {
                let Answer { reply, more, .. } = asked.next().await?;
                if !more {
                    return Ok(Some(reply));
                }
                if part(reply).is_break() {
                    return Ok(None);
                }
            }
        };
        match tokio::time::timeout(within.saturating_add(GRACE), answers).await.unwrap_or(Err(Gone)) {
            Ok(None) => Ok(None),
            Ok(Some(reply)) => able(Ok(reply)).map(Some),
            Err(Gone) => able(Err(Gone)).map(Some),
        }
    }

    fn begin(&self, ask: Ask, within: Duration) -> Result<Asked<'_>, Gone> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Request { id, ask, within_ms }).map_err(|_| Gone)?;
        line.push(b'\n');
        let (answer, answers) = mpsc::unbounded_channel();
        let known = self.waiting.with(|waiting| waiting.as_mut().map(|waiting| waiting.insert(id, answer)));
        if known.is_none() || self.requests.send(line).is_err() {
            return Err(Gone);
        }
        Ok(Asked { answers, cancel: CancelOnDrop { probe: self, id, armed: true } })
    }
}

fn able(reply: Result<Reply, Gone>) -> Result<Reply, Error> {
    match reply {
        Ok(Reply::Unable(cause)) => Err(Error::Engine { action: "do what a probe was asked".into(), cause }),
        Ok(reply) => Ok(reply),
        Err(Gone) => Err(Error::Engine {
            action: "keep a pod running".into(),
            cause: "the probe in it does not answer any more".into(),
        }),
    }
}

/// A question that was asked.
struct Asked<'a> {
    answers: mpsc::UnboundedReceiver<Answer>,
    cancel: CancelOnDrop<'a>,
}

impl Asked<'_> {
    async fn next(&mut self) -> Result<Answer, Gone> {
        let answer = self.answers.recv().await.ok_or(Gone)?;
        self.cancel.armed = answer.more;
        Ok(answer)
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
        let Ok(answer) = serde_json::from_slice::<Answer>(line) else { return false };
        let waiter = waiting.with(|waiting| {
            let waiting = waiting.as_mut()?;
            if answer.more { waiting.get(&answer.id).cloned() } else { waiting.remove(&answer.id) }
        });
        if let Some(waiter) = waiter {
            // One who went away meanwhile does not want it.
            let _ = waiter.send(answer);
        }
        line.clear();
    }
    line.extend_from_slice(part);
    line.len() <= LINE_BYTES
}

impl EngineInner {
    /// The runtime of our own containers. Pods must have that of the containers which join them.
    pub(super) fn own_runtime(&self) -> &str {
        if ground::shares_namespaces(&self.settings.runtime) { &self.settings.runtime } else { "runc" }
    }
}

/// How long a pod may take to answer something trivial.
pub(super) const PROMPT: Duration = CALL;
