//! `isolated`: a service has no way to another, or to the outside.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{self, Unreached};
use super::reach::{self, outcome};
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Service, Silence};
use crate::units::Span;

/// A service cannot reach another on a TCP port on which that one listens, or cannot reach the
/// outside. Every address is really tried from its own network.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Isolated {
    /// The service that is kept away; `app` if nothing is said.
    pub from: Option<String>,
    /// The service that it cannot reach.
    pub to: Option<String>,
    /// The TCP port, on which the other does listen.
    pub port: Option<u16>,
    /// `true`: it has no way out of the stack's networks.
    #[serde(default)]
    pub outside: bool,
    /// How long it is waited for the other to listen, because it may still be starting.
    #[serde(default = "patience")]
    pub within: Span,
}

fn patience() -> Span {
    Span::from_secs(5)
}

impl Check for Isolated {
    const NAME: &'static str = "isolated";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("isolated.yaml"),
        evidence: &[
            ("What was tried", "every address, and what came of it"),
            ("Listening sockets", "of the other service, where nothing listens on the port"),
        ],
        fails: &[
            "a connection is taken at one of the other service's addresses",
            "nothing listens on the port of the other service, so that nothing is shown",
            "something outside of the stack answers",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("from", self.from.as_deref(), &mut mistakes);
        match (&self.to, self.port) {
            (Some(to), Some(port)) => {
                around.other("to", Some(to), &mut mistakes);
                if around.stands_for(self.from.as_deref(), to) {
                    mistakes.push("`from` and `to` are the same service, which always reaches itself".into());
                }
                reach::port_mistakes(port, &mut mistakes);
            }
            (None, None) if self.outside => {}
            (None, None) => {
                mistakes.push("this check asks nothing; write `to` and `port`, or `outside: true`".into());
            }
            (Some(_), None) => mistakes.push("`to` needs the `port` on which the other listens".into()),
            (None, Some(_)) => mistakes.push("`port` is of the service that `to` names; add it".into()),
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let from = scene.service(self.from.as_deref())?;
        let mut expected = Vec::new();
        let mut reached = Vec::new();
        let mut told = String::new();
        let mut command = None;
        if let (Some(to), Some(port)) = (&self.to, self.port) {
            expected.push(format!("`{}` cannot reach `{to}` on TCP port {port}", from.name()));
            let target = scene.service(Some(to))?;
            let line = reach::command(from, target, port);
            if let Some(nobody) = self.nobody_listens(scene, target, port).await? {
                let detail = Detail::new(
                    expected.join(" and "),
                    format!("{}, so that nothing shows whether it can be reached", nobody.observed),
                );
                return Ok(Finding::Failed(nobody.proof(detail).reproduce(line)));
            }
            let attempts = reach::attempts(from, scene.replicas(to), port, ATTEMPT).await?;
            let through = attempts.iter().filter(|attempt| attempt.answer.is_ok());
            reached.extend(
                through.map(|attempt| format!("`{}` reached `{to}` at {}", from.name(), attempt.address)),
            );
            told += &reach::table(from, &attempts);
            command = Some(line);
        }
        if self.outside {
            expected.push(format!("`{}` has no way out of the stack's networks", from.name()));
            let answers = outside(from).await?;
            for (address, answer) in answers {
                if is_through(&answer) {
                    reached.push(format!("`{}` reached {address}, which is outside", from.name()));
                }
                // Writing to a String cannot fail.
                let _ = writeln!(told, "{} -> {address}: {}", from.host_name(), outcome(&answer));
            }
        }
        let observed = match reached.as_slice() {
            [] => "no address answered".to_owned(),
            reached => reached.join(", "),
        };
        let detail = Detail::new(expected.join(" and "), observed).proof("What was tried", told);
        let detail = Detail { reproduce: command, ..detail };
        Ok(Finding::of(reached.is_empty(), detail))
    }
}

/// How long one connection may take. On a bridge an answer comes within a few milliseconds.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Addresses in the open that answer on port 443, of two operators, and where clouds tell machines about
/// themselves.
const OUTSIDE: [([u8; 4], u16); 3] = [([1, 1, 1, 1], 443), ([9, 9, 9, 9], 443), ([169, 254, 169, 254], 80)];

/// What addresses outside of the stack answer to a service.
pub(super) async fn outside(from: &Service) -> Result<Vec<(SocketAddr, Result<Duration, Silence>)>, Fault> {
    let tries = OUTSIDE.map(|target| async move {
        let address = SocketAddr::from(target);
        Ok::<_, Fault>((address, from.connect_to(address, ATTEMPT).await?))
    });
    try_join_all(tries).await
}

/// Whether packets came through: a refusal shows that as well as a connection.
pub(super) fn is_through(answer: &Result<Duration, Silence>) -> bool {
    matches!(answer, Ok(_) | Err(Silence::Refused | Silence::Garbled(_)))
}

impl Isolated {
    /// Why nobody listens on the port that should be kept away; `None` where somebody does.
    async fn nobody_listens(
        &self,
        scene: &Scene<'_>,
        to: &Service,
        port: u16,
    ) -> Result<Option<Unreached>, Fault> {
        let watch = scene.clock.stopwatch();
        loop {
            let running = to.state().await?.running;
            let listens = match diagnosis::listeners(to).await? {
                Some(listeners) => listeners.iter().any(|listener| !listener.udp && listener.port == port),
                // Where sockets cannot be seen, it is asked from beside it.
                None => to.connect(to, port, ATTEMPT).await?.is_ok(),
            };
            if running && listens {
                return Ok(None);
            }
            if watch.elapsed() >= self.within.0 {
                return Ok(Some(Unreached::look(to, port).await?));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
