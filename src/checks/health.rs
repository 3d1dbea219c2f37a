//! `health`: a service's health check tells the truth.

mod trouble;

use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::trouble::Break;
use super::diagnosis::{ended, told};
use super::matcher::shown;
use super::shell::line;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{self, HealthRun, HealthStatus, Service};
use crate::units::Span;

/// A service's health check (`HEALTHCHECK`, or `healthcheck` in the stack) finds it healthy in time, and
/// unhealthy when something is broken.
///
/// The check's command, timeout, retries and start period are kept to; the time between two runs is not.
/// While the service starts, runs come every 250 ms, later every second (a failure counts only as often as
/// the check's own interval says), and while a change is waited for every 500 ms, if the interval is longer
/// than that. So nobody waits for `--interval=30s`, and with 3 retries a service that is broken is unhealthy
/// after about 1.5 s and the time of 3 runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// How long it may take to become healthy.
    #[serde(default = "start")]
    pub healthy_within: Span,
    /// What is broken once it is healthy. With it, the check waits for its turn among those that disturb
    /// the stack.
    #[serde(rename = "break")]
    pub breaks: Option<Break>,
    /// How long it may then take to become unhealthy; `10s` if nothing is said.
    pub unhealthy_within: Option<Span>,
    /// How long it may take to become healthy again when what was broken is mended.
    pub recovers_within: Option<Span>,
}

fn start() -> Span {
    Span::from_secs(30)
}

impl Check for Health {
    const NAME: &'static str = "health";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("health.yaml"),
        evidence: &[
            ("Health check", "the command that is run"),
            ("Time line", "each run with its exit code and output, and what it made of the service"),
            ("Last lines of its output", "what the service printed, where it failed"),
        ],
        fails: &[
            "neither the image nor the stack has a health check",
            "the service is not healthy in time, or ends before",
            "the check still succeeds when what it should look at is broken",
            "the service is not found healthy again after it was mended",
        ],
    };

    const ALSO: Option<(Phase, &'static str)> = Some((Phase::Disturb, "with `break`"));

    fn phase(&self) -> Phase {
        if self.breaks.is_some() { Phase::Disturb } else { Self::PHASE }
    }

    fn deadline(&self) -> Duration {
        let recovery = self.recovers_within.map_or(Duration::ZERO, |time| time.0);
        self.healthy_within.0 + self.unhealthy_within().0 + recovery + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        around.time("healthy_within", self.healthy_within, &mut mistakes);
        for (field, time) in
            [("unhealthy_within", self.unhealthy_within), ("recovers_within", self.recovers_within)]
        {
            let Some(time) = time else { continue };
            around.time(field, time, &mut mistakes);
            if self.breaks.is_none() {
                mistakes.push(format!("`{field}` is counted from when something is broken; add `break`"));
            }
        }
        if let Some(breaks) = &self.breaks {
            let own = self.service.as_deref().or(around.main_service());
            breaks.mistakes(own, self.recovers_within.is_some(), around, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let mut story = Story { expected: self.expected(), marks: Vec::new() };
        let command = self.command(scene)?;
        let Some(health) = service.await_health(HealthStatus::Healthy, self.healthy_within.0).await? else {
            let observed = "neither the image nor the stack has a health check";
            return Ok(Finding::Failed(Detail::new(story.expected, observed).reproduce(command)));
        };
        if health.status != HealthStatus::Healthy {
            let observed = seen(service, &health, self.healthy_within).await?;
            let detail = story.detail(observed, &health).with_output(&service.output());
            return Ok(Finding::Failed(detail.reproduce(command)));
        }
        let since_start =
            health.runs.iter().find(|run| run.exit_code == Some(0)).map(|run| run.began + run.took);
        let mut observed = format!("healthy {} after its start", told(since_start.unwrap_or_default()));
        let Some(breaks) = &self.breaks else {
            return Ok(Finding::Passed(story.detail(observed, &health).reproduce(command)));
        };

        story.mark(service, breaks.apply(scene, service).await?).await?;
        let within = self.unhealthy_within();
        let watch = scene.clock.stopwatch();
        let broken = service.await_health(HealthStatus::Unhealthy, within.0).await;
        let took = watch.elapsed();
        // Mended whatever came of it: other checks follow.
        let mended = breaks.mend(scene, service).await?;
        let broken = broken?.unwrap_or(health);
        if broken.status != HealthStatus::Unhealthy {
            let seen = seen(service, &broken, within).await?;
            let detail = story.detail(format!("{observed}; once {}: {seen}", breaks.what()), &broken);
            return Ok(Finding::Failed(detail.with_output(&service.output()).reproduce(command)));
        }
        let _ = write!(observed, ", unhealthy {} after {}", told(took), breaks.what());
        let (Some(within), Some(mended)) = (self.recovers_within, mended) else {
            return Ok(Finding::Passed(story.detail(observed, &broken).reproduce(command)));
        };
        story.mark(service, mended).await?;
        let watch = scene.clock.stopwatch();
        let again = service.await_health(HealthStatus::Healthy, within.0).await?.unwrap_or(broken);
        if again.status == HealthStatus::Healthy {
            let _ = write!(observed, ", healthy again {} after it was mended", told(watch.elapsed()));
            return Ok(Finding::Passed(story.detail(observed, &again).reproduce(command)));
        }
        let seen = seen(service, &again, within).await?;
        let detail = story.detail(format!("{observed}; after it was mended: {seen}"), &again);
        Ok(Finding::Failed(detail.with_output(&service.output()).reproduce(command)))
    }
}

/// What is added to the waiting times before the check counts as broken: for the engine, and for services
/// that are stopped and started.
const MARGIN: Duration = Duration::from_mins(1);

impl Health {
    fn unhealthy_within(&self) -> Span {
        match (&self.breaks, self.unhealthy_within) {
            (None, _) => Span(Duration::ZERO),
            (Some(_), within) => within.unwrap_or(Span::from_secs(10)),
        }
    }

    fn expected(&self) -> String {
        let mut expected = format!("healthy within {}", self.healthy_within);
        if let Some(breaks) = &self.breaks {
            let _ = write!(expected, ", unhealthy within {} once {}", self.unhealthy_within(), breaks.what());
        }
        if let Some(within) = self.recovers_within {
            let _ = write!(expected, ", healthy again within {within} after it is mended");
        }
        expected
    }

    /// The service with a run every second, and what docker knows of its health.
    fn command(&self, scene: &Scene<'_>) -> Result<String, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let name = service.name();
        let mut steps = Vec::new();
        if let Some(other) = self.breaks.as_ref().and_then(Break::other) {
            let other = scene.service(Some(other))?;
            steps.push(other.reproduce(&line(["-d", "--name", other.name()])));
        }
        let look = line(["docker", "inspect", "--format", "{{json .State.Health}}", name]);
        let wait = |time: Span| format!("sleep {}", time.0.as_secs().clamp(3, 10));
        steps.push(service.reproduce(&line(["-d", "--name", name, "--health-interval", "1s"])));
        steps.extend([wait(self.healthy_within), look.clone()]);
        if let Some(breaks) = &self.breaks {
            steps.extend([breaks.command(scene, name), wait(self.unhealthy_within()), look]);
        }
        Ok(steps.join(" && "))
    }
}

/// What is told of the runs and of what happened between them.
struct Story {
    expected: String,
    /// Since the service's start.
    marks: Vec<(Duration, String)>,
}

impl Story {
    async fn mark(&mut self, service: &Service, what: String) -> Result<(), Fault> {
        self.marks.push((service.state().await?.ran_for, what));
        Ok(())
    }

    fn detail(&self, observed: String, health: &sandbox::Health) -> Detail {
        let mut lines: Vec<(Duration, String)> =
            health.runs.iter().map(|run| (run.began, describe(run, health.retries))).collect();
        lines.extend(self.marks.iter().cloned());
        lines.sort_by_key(|(when, _)| *when);
        let mut text = String::new();
        for (when, what) in lines {
            let _ = writeln!(text, "{:>8}  {what}", told(when));
        }
        Detail::new(self.expected.clone(), observed)
            .proof("Health check", line(&health.command))
            .proof("Time line", text)
    }
}

/// One run on a line.
fn describe(run: &HealthRun, retries: u32) -> String {
    let end = match run.exit_code {
        Some(code) => format!("exit code {code}"),
        None => format!("killed after {}", told(run.took)),
    };
    let status = match run.status {
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    };
    let failures = match run.failures {
        0 => String::new(),
        failures => format!(", failure {failures} of {retries}"),
    };
    let output = match run.output.trim() {
        "" => String::new(),
        output => format!("  {}", shown(output)),
    };
    format!("{end}: {status}{failures}{output}")
}

/// Why it is not what was waited for.
async fn seen(service: &Service, health: &sandbox::Health, within: Span) -> Result<String, Fault> {
    if let Some(ended) = ended(&service.state().await?) {
        return Ok(ended);
    }
    let status = match health.status {
        HealthStatus::Starting => "still starting",
        HealthStatus::Healthy => "still healthy",
        HealthStatus::Unhealthy => "unhealthy",
    };
    let last = match health.runs.last() {
        Some(run) if run.exit_code == Some(0) => "; the check succeeded".to_owned(),
        Some(run) => {
            let end = run.exit_code.map_or_else(
                || format!("was killed after {}", told(run.took)),
                |code| format!("ended with exit code {code}"),
            );
            let output = run.output.trim();
            let said = if output.is_empty() { String::new() } else { format!(" and said {}", shown(output)) };
            format!("; the last run of the check {end}{said}")
        }
        None => String::new(),
    };
    Ok(format!("{status} after {within}{last}"))
}
