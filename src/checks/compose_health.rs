//! `compose_health`: the services of a stack are up and healthy in time.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, last_lines, told};
use super::matcher::listed;
use super::{Check, Detail, ENGINE_MARGIN, Fault, Finding, Manual, Scene, Surroundings};
use crate::clock::Clock;
use crate::report::Phase;
use crate::sandbox::{Condition, Health, HealthStatus, Service, State};
use crate::units::Span;

/// Every service of the stack that is not the exercise's own beside a compose file, or each that is named,
/// runs and is healthy in time, as `docker compose up --wait` wants it. A service that has no health check
/// has to run, and not to be started again and again. A job, which others wait for to end
/// (`service_completed_successfully`), has to end with exit code 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeHealth {
    /// The services; all if none is named. One that is named has to have a health check.
    #[serde(default)]
    pub services: Vec<String>,
    /// How long it may take.
    #[serde(default = "minute")]
    pub within: Span,
}

fn minute() -> Span {
    Span::from_secs(60)
}

impl Check for ComposeHealth {
    const NAME: &'static str = "compose_health";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("compose_health.yaml"),
        evidence: &[
            ("Time line", "when each service was started, was healthy, or ended, since the first start"),
            ("Last lines of their output", "what services printed that are not as they should be"),
        ],
        fails: &[
            "a service is not there, or was not started because of what it depends on",
            "a service has ended that nobody waits for to end, or is started again and again",
            "a job has ended with another exit code than 0",
            "a service is not healthy in time",
            "a service that is named has no health check",
        ],
    };

    fn deadline(&self) -> Duration {
        self.within.0 + ENGINE_MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.running(&mut mistakes);
        for (index, name) in self.services.iter().enumerate() {
            around.other("services", Some(name), &mut mistakes);
            if self.services[..index].contains(name) {
                mistakes.push(format!("`services` names `{name}` twice"));
            }
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let stack = scene.stack()?;
        let mut wanted = Vec::new();
        for name in &self.services {
            scene.service(Some(name))?;
            wanted.extend(stack.replicas(name));
        }
        if self.services.is_empty() {
            // The exercise's own are not what was handed in.
            wanted = stack.services().into_iter().filter(|service| !service.spec().companion).collect();
        }
        let by_name = !self.services.is_empty();
        let within = self.within.0;
        let waited_for: Vec<&str> = stack
            .services()
            .into_iter()
            .flat_map(|service| &service.spec().depends_on)
            .filter(|(_, wanted)| wanted.condition == Condition::CompletedSuccessfully)
            .map(|(name, _)| name.as_str())
            .collect();
        let mut seen = try_join_all(wanted.iter().map(|service| {
            let is_job = waited_for.contains(&service.name());
            Seen::of(service, is_job, within, scene.clock)
        }))
        .await?;
        // While the last became healthy, the first may have ended.
        for seen in seen.iter_mut().filter(|seen| seen.state.running) {
            seen.state = seen.service.state().await?;
        }
        let trouble: Vec<(&Seen<'_>, String)> =
            seen.iter().filter_map(|seen| Some((seen, seen.trouble(by_name)?))).collect();
        let expected = if by_name {
            let names: Vec<String> = self.services.iter().map(|name| format!("`{name}`")).collect();
            format!("{} healthy within {}", listed(&names, "and"), self.within)
        } else {
            format!("every service up, and healthy where it has a health check, within {}", self.within)
        };
        let observed = if seen.is_empty() {
            "no service runs".to_owned()
        } else if trouble.is_empty() {
            let last = seen.iter().filter_map(Seen::healthy_after).max();
            match last {
                Some(last) => format!("the last was healthy {} after its start", told(last)),
                None => "all of them run".into(),
            }
        } else {
            trouble.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("; ")
        };
        let printed: Vec<String> = trouble
            .iter()
            .map(|(seen, _)| (seen.service.host_name(), last_lines(&seen.service.output())))
            .filter(|(_, lines)| !lines.trim().is_empty())
            .map(|(name, lines)| format!("{name}:\n{lines}"))
            .collect();
        let detail = Detail::new(expected, observed)
            .proof("Time line", time_line(&seen))
            .proof("Last lines of their output", printed.join("\n\n"))
            .reproduce("docker compose up --wait; docker compose ps --all");
        Ok(Finding::of(trouble.is_empty() && !seen.is_empty(), detail))
    }
}

/// How long one that has no health check has to have run for its running to mean something: one that
/// keeps ending runs too, whenever it has just been started again.
fn steady_after(state: &State) -> Duration {
    if state.restarts > 0 || state.restarting { Duration::from_secs(5) } else { Duration::from_secs(2) }
}

/// What became of one container.
struct Seen<'s> {
    service: &'s Service,
    /// Another service waits for its end.
    is_job: bool,
    state: State,
    health: Option<Health>,
}

impl<'s> Seen<'s> {
    async fn of(service: &'s Service, is_job: bool, within: Duration, clock: &Clock) -> Result<Self, Fault> {
        if is_job {
            let state = service.wait_exit(within).await?;
            return Ok(Self { service, is_job, state, health: None });
        }
        let watch = clock.stopwatch();
        let health = service.settled_health(within).await?;
        loop {
            let state = service.state().await?;
            let left = within.saturating_sub(watch.elapsed());
            let wait = steady_after(&state).saturating_sub(state.ran_for).min(left);
            let lives = state.running || state.restarting;
            if !lives || health.is_some() || wait.is_zero() {
                return Ok(Self { service, is_job, state, health });
            }
            // In steps, for it may end at once.
            tokio::time::sleep(wait.min(Duration::from_millis(200))).await;
        }
    }

    /// What is wrong with it.
    fn trouble(&self, needs_check: bool) -> Option<String> {
        let name = self.service.host_name();
        if let Some(reason) = &self.state.not_started {
            return Some(format!("`{name}` was not started: {reason}"));
        }
        let unsteady = self.health.is_none() && self.state.ran_for < steady_after(&self.state);
        if self.state.restarting || self.state.restarts > 0 && (!self.state.running || unsteady) {
            return Some(format!("`{name}` is started again and again"));
        }
        if !self.state.running {
            let done = self.is_job && self.state.exit_code == Some(0);
            return (!done).then(|| {
                format!("`{name}`: {}", ended(&self.state).unwrap_or_else(|| "it does not run".into()))
            });
        }
        if self.is_job {
            return Some(format!("`{name}` still runs, and others wait for its end"));
        }
        match &self.health {
            None if needs_check => Some(format!("`{name}` runs, and has no health check")),
            None => None,
            Some(health) => match health.status {
                HealthStatus::Healthy => None,
                HealthStatus::Unhealthy => Some(format!("`{name}` is unhealthy")),
                HealthStatus::Starting => Some(format!("`{name}` is still starting")),
            },
        }
    }

    /// When its health check first succeeded, after its start.
    fn healthy_after(&self) -> Option<Duration> {
        let first = self.health.as_ref()?.runs.iter().find(|run| run.exit_code == Some(0))?;
        Some(first.began + first.took)
    }
}

/// What happened when, since the first start.
fn time_line(seen: &[Seen<'_>]) -> String {
    let longest = seen.iter().map(|seen| seen.state.ran_for).max().unwrap_or_default();
    let mut events: Vec<(Duration, String)> = Vec::new();
    let mut never = String::new();
    for seen in seen {
        let name = seen.service.host_name();
        if seen.state.not_started.is_some() {
            let _ = writeln!(never, "       –  {name} was not started");
            continue;
        }
        // Of one that ended it is only known how long it ran.
        let started =
            if seen.state.running { longest.saturating_sub(seen.state.ran_for) } else { Duration::ZERO };
        if seen.state.running {
            events.push((started, format!("{name} started")));
        }
        if let Some(after) = seen.healthy_after() {
            let runs = seen.health.as_ref().map_or(0, |health| health.runs.len());
            let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
            events.push((started + after, format!("{name} healthy ({runs} of its check)")));
        }
        if let Some(end) = ended(&seen.state) {
            events.push((seen.state.ran_for, format!("{name}: {end}")));
        }
    }
    events.sort();
    let lines = events.iter().map(|(at, what)| format!("{:>8}  {what}\n", told(*at)));
    lines.collect::<String>() + never.as_str()
}
