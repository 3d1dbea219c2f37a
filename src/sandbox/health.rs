//! A service's health check (`HEALTHCHECK`), carried out by us.
//!
//! The engine's own loop is switched off in every container we make, so that the time between two runs
//! is ours while somebody waits for what comes of them; nothing is run while nobody does. The command,
//! its timeout, the start period, the retries and what an exit code means are as the engine has them
//! (moby's `daemon/health.go`): 0 is healthy; anything else counts as a failure, but not in the start
//! period of a service that has not been healthy yet; so many failures one after another as there are
//! retries make it unhealthy. Runs that come earlier than the check's interval says may find a starting
//! service healthy, and their failures do not count.

use std::time::Duration;

use bollard::models::HealthConfig;
use tokio::sync::Mutex;

use super::error::Error;
use super::exec::RunSpec;
use super::refusal::StartError;
use super::service::Service;

/// What is said of a service's health check beside its image. What is not given is the image's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthSpec {
    /// There is none, whatever the image says.
    pub disable: bool,
    /// `["CMD", program, arguments…]` or `["CMD-SHELL", line]`.
    pub test: Option<Vec<String>>,
    /// From one run's end to the next.
    pub interval: Option<Duration>,
    /// After this a run is killed and has failed.
    pub timeout: Option<Duration>,
    /// Failures one after another that make the service unhealthy.
    pub retries: Option<u32>,
    /// How long failures of a service that has not been healthy yet do not count.
    pub start_period: Option<Duration>,
    /// The interval in the start period.
    pub start_interval: Option<Duration>,
}

/// What is known of a service's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// It has been neither yet.
    Starting,
    /// The last run succeeded.
    Healthy,
    /// Too many runs failed one after another.
    Unhealthy,
}

/// A service's health and how it came about.
#[derive(Clone, Debug)]
pub struct Health {
    /// Now.
    pub status: HealthStatus,
    /// What is run.
    pub command: Vec<String>,
    /// Failures one after another that make it unhealthy.
    pub retries: u32,
    /// The last runs, in their order.
    pub runs: Vec<HealthRun>,
}

/// One run of a health check.
#[derive(Clone, Debug)]
pub struct HealthRun {
    /// Since the container was started.
    pub began: Duration,
    /// From begin to end.
    pub took: Duration,
    /// `None` when it was killed because its time was over.
    pub exit_code: Option<i64>,
    /// What it printed, or why it could not be started.
    pub output: String,
    /// How many failures in a row there were after it; those that do not count are left out.
    pub failures: u32,
    /// What the service was after it.
    pub status: HealthStatus,
}

/// The interval, timeout and retries of a check that says nothing about them (moby's defaults).
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
/// Between two runs while a service starts: at first, and when it takes longer.
const STARTING: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// Between two runs while a change is waited for.
const EAGER: Duration = Duration::from_millis(500);
/// How long a service that ended is left alone before its state is looked at again.
const AFTER_END: Duration = Duration::from_millis(50);
/// How much is kept of what a run prints, as the engine does.
const OUTPUT_BYTES: usize = 4096;
/// How many runs are kept.
const RUNS: usize = 200;

/// The health of one service; `None` before anyone has asked since it was started.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<Course>>);

impl Watch {
    /// After a start nothing is known any more.
    pub(super) async fn forget(&self) {
        self.0.lock().await.take();
    }
}

/// A health check as it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    retries: u32,
    start_period: Duration,
    start_interval: Duration,
}

impl Plan {
    /// From the image's check and shell, and what is said beside it. `None` where there is no check.
    fn of(image: HealthConfig, shell: Option<Vec<String>>, spec: &HealthSpec) -> Option<Self> {
        if spec.disable {
            return None;
        }
        let test = spec.test.clone().or(image.test).unwrap_or_default();
        let command = match test.split_first()? {
            (form, words) if form == "CMD" && !words.is_empty() => words.to_vec(),
            (form, words) if form == "CMD-SHELL" => {
                let shell = shell.filter(|shell| !shell.is_empty());
                let shell = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                shell.into_iter().chain(words.iter().cloned()).collect()
            }
            _ => return None,
        };
        let given = |own: Option<Duration>, image: Option<i64>| {
            let image = image.and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos);
            own.or(image).filter(|time| !time.is_zero())
        };
        let interval = given(spec.interval, image.interval).unwrap_or(INTERVAL);
        let retries = image.retries.and_then(|retries| u32::try_from(retries).ok());
        Some(Self {
            command,
            interval,
            timeout: given(spec.timeout, image.timeout).unwrap_or(TIMEOUT),
            retries: spec.retries.or(retries).filter(|retries| *retries > 0).unwrap_or(RETRIES),
            start_period: given(spec.start_period, image.start_period).unwrap_or_default(),
            start_interval: given(spec.start_interval, image.start_interval).unwrap_or(interval),
        })
    }
}

/// The runs of one check so far.
struct Course {
    plan: Plan,
    health: Health,
    failures: u32,
    /// How often its restart policy had started the service when this began.
    restarts: u32,
    /// When the check's own interval says that the next run is due, since the start.
    tick: Duration,
    /// When the last run ended, since the start.
    last: Option<Duration>,
}

impl Course {
    fn new(plan: Plan, restarts: u32) -> Self {
        let health = Health {
            status: HealthStatus::Starting,
            command: plan.command.clone(),
            retries: plan.retries,
            runs: Vec::new(),
        };
        Self { tick: plan.interval, plan, health, failures: 0, restarts, last: None }
    }

    /// How long after the last run the next one comes, at `now` since the start.
    fn pause(&self, now: Duration) -> Duration {
        let Some(last) = self.last else { return Duration::ZERO };
        let pause = if self.health.status == HealthStatus::Starting {
            (now / 4).clamp(STARTING.0, STARTING.1).min(self.plan.start_interval)
        } else {
            EAGER
        };
        (last + pause.min(self.plan.interval)).saturating_sub(now)
    }

    /// A run that came to an end, or was killed when the check's own timeout had passed.
    fn note(&mut self, began: Duration, took: Duration, exit_code: Option<i64>, output: &str) {
        let starting = self.health.status == HealthStatus::Starting;
        if exit_code == Some(0) {
            self.failures = 0;
            self.health.status = HealthStatus::Healthy;
        } else if !starting || began >= self.tick && began >= self.plan.start_period {
            self.failures += 1;
            if self.failures >= self.plan.retries {
                self.health.status = HealthStatus::Unhealthy;
            }
        }
        if began >= self.tick {
            self.tick = began + took + self.plan.interval;
        }
        self.keep(began, took, exit_code, output);
    }

    fn keep(&mut self, began: Duration, took: Duration, exit_code: Option<i64>, output: &str) {
        self.last = Some(began + took);
        if self.health.runs.len() == RUNS {
            self.health.runs.remove(0);
        }
        let output = crate::text::cut_middle(output.trim_end(), OUTPUT_BYTES).into_owned();
        let (failures, status) = (self.failures, self.health.status);
        self.health.runs.push(HealthRun { began, took, exit_code, output, failures, status });
    }
}

impl Service {
    /// Runs the service's health check until it is `wanted`, the service ends or `within` has passed, and
    /// says what it is then; `None` where there is no check.
    ///
    /// While the service starts, the check runs every 250 ms, later every second; while a change is
    /// waited for, every 500 ms; in no case less often than its own interval says.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn await_health(
        &self,
        wanted: HealthStatus,
        within: Duration,
    ) -> Result<Option<Health>, Error> {
        self.await_any_health(&[wanted], within).await
    }

    /// The same until it is either healthy or unhealthy: for whoever gives up on one that is unhealthy, as
    /// `docker compose up` does.
    ///
    /// # Errors
    /// A trouble of ours.
    pub async fn settled_health(&self, within: Duration) -> Result<Option<Health>, Error> {
        self.await_any_health(&[HealthStatus::Healthy, HealthStatus::Unhealthy], within).await
    }

    async fn await_any_health(
        &self,
        wanted: &[HealthStatus],
        within: Duration,
    ) -> Result<Option<Health>, Error> {
        let watch = self.ledger.engine.context.clock.stopwatch();
        loop {
            // Held during a run: whoever else waits for this service's health shares it.
            let mut slot = self.health.0.lock().await;
            let state = self.container().state()?;
            // Started again by its restart policy it is a service of which nothing is known.
            slot.take_if(|course| course.restarts != state.restarts);
            if slot.is_none() {
                *slot = self.plan().await?.map(|plan| Course::new(plan, state.restarts));
            }
            let Some(course) = slot.as_mut() else { return Ok(None) };
            let left = within.saturating_sub(watch.elapsed());
            let lives = state.running || state.restarting;
            if wanted.contains(&course.health.status) && state.running || !lives || left.is_zero() {
                return Ok(Some(course.health.clone()));
            }
            let pause = if state.running { course.pause(state.ran_for) } else { STARTING.0 };
            if pause.is_zero() {
                self.check_health(course, state.ran_for, left).await?;
            } else {
                drop(slot);
                tokio::time::sleep(pause.min(left)).await;
            }
        }
    }

    async fn check_health(&self, course: &mut Course, began: Duration, left: Duration) -> Result<(), Error> {
        let timeout = course.plan.timeout;
        let watch = self.ledger.engine.context.clock.stopwatch();
        let run = RunSpec {
            command: Some(course.plan.command.clone()),
            within: timeout.min(left),
            ..RunSpec::default()
        };
        match Box::pin(self.exec(run)).await {
            Ok(ran) if ran.exit_code.is_none() && left < timeout => {
                // Whoever waits had less time than the check has: it neither failed nor succeeded.
                if course.health.runs.is_empty() {
                    course.keep(began, ran.took, None, "it still ran when the time to wait for it was over");
                } else {
                    // What the run before it said tells more.
                    course.last = Some(began + ran.took);
                }
            }
            Ok(ran) => course.note(began, ran.took, ran.exit_code, &[ran.stdout, ran.stderr].concat()),
            Err(StartError::Refused { sentence, .. }) => {
                if self.container().is_running() {
                    // What the engine gives a check that it cannot start.
                    course.note(began, watch.elapsed(), Some(-1), &sentence);
                } else {
                    // It has just ended; the next look sees whether it is started again.
                    tokio::time::sleep(AFTER_END).await;
                }
            }
            Err(StartError::Platform(error)) => return Err(error),
        }
        Ok(())
    }

    async fn plan(&self) -> Result<Option<Plan>, Error> {
        let engine = &self.ledger.engine;
        let container = self.container();
        let inspection = engine.docker.inspect_container(&container.id, None);
        let container = engine.call("inspect a container", inspection).await?;
        let image = container.image.unwrap_or_default();
        let image = engine.call("inspect an image", engine.docker.inspect_image(&image)).await?;
        let config = image.config.unwrap_or_default();
        let spec = self.spec.healthcheck.clone().unwrap_or_default();
        Ok(Plan::of(config.healthcheck.unwrap_or_default(), config.shell, &spec))
    }
}

/// Switches the engine's own loop off.
pub(super) fn none() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn plan(spec: &HealthSpec) -> Option<Plan> {
        let image = HealthConfig {
            test: Some(words(&["CMD-SHELL", "curl -f localhost"])),
            interval: Some(5_000_000_000),
            retries: Some(2),
            ..HealthConfig::default()
        };
        Plan::of(image, None, spec)
    }

    #[test]
    fn what_is_not_given_is_the_images_and_then_the_engines() {
        let own = plan(&HealthSpec::default()).unwrap();
        assert_eq!(own.command, words(&["/bin/sh", "-c", "curl -f localhost"]));
        assert_eq!((own.interval, own.timeout, own.retries), (ms(5000), TIMEOUT, 2));
        assert_eq!((own.start_period, own.start_interval), (Duration::ZERO, ms(5000)));
        let given = HealthSpec {
            test: Some(words(&["CMD", "true"])),
            retries: Some(7),
            timeout: Some(ms(100)),
            ..HealthSpec::default()
        };
        let given = plan(&given).unwrap();
        assert_eq!((given.command, given.interval, given.retries), (words(&["true"]), ms(5000), 7));
        assert_eq!(given.timeout, ms(100));
        assert_eq!(plan(&HealthSpec { disable: true, ..HealthSpec::default() }), None);
        for test in [&["NONE"][..], &[], &["CMD"]] {
            assert_eq!(plan(&HealthSpec { test: Some(words(test)), ..HealthSpec::default() }), None);
        }
        let shell = Some(words(&["/bin/bash", "-c"]));
        let image = HealthConfig { test: Some(words(&["CMD-SHELL", "x"])), ..HealthConfig::default() };
        assert_eq!(Plan::of(image, shell, &HealthSpec::default()).unwrap().command, ["/bin/bash", "-c", "x"]);
    }

    #[test]
    fn early_failures_of_a_starting_service_do_not_count() {
        let mut course = Course::new(plan(&HealthSpec::default()).unwrap(), 0);
        for began in [0, 250, 4900] {
            course.note(ms(began), ms(10), Some(1), "");
            assert_eq!((course.failures, course.health.status), (0, HealthStatus::Starting));
        }
        // At the check's own interval they do; the next of those is an interval later.
        course.note(ms(5000), ms(10), None, "");
        course.note(ms(5500), ms(10), Some(1), "");
        assert_eq!((course.failures, course.health.status), (1, HealthStatus::Starting));
        course.note(ms(10_010), ms(10), Some(1), "");
        assert_eq!(course.health.status, HealthStatus::Unhealthy);
        course.note(ms(10_100), ms(10), Some(0), "");
        assert_eq!((course.failures, course.health.status), (0, HealthStatus::Healthy));
        // Of one that was healthy every failure counts.
        course.note(ms(10_200), ms(10), Some(1), "");
        assert_eq!(course.health.status, HealthStatus::Healthy);
        course.note(ms(10_300), ms(10), Some(1), "");
        assert_eq!(course.health.status, HealthStatus::Unhealthy);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_unless_it_was_healthy() {
        let spec = HealthSpec { start_period: Some(ms(20_000)), ..HealthSpec::default() };
        let mut course = Course::new(plan(&spec).unwrap(), 0);
        for began in [5000, 10_100, 15_200] {
            course.note(ms(began), ms(10), Some(1), "");
        }
        assert_eq!((course.failures, course.health.status), (0, HealthStatus::Starting));
        course.note(ms(16_000), ms(10), Some(0), "");
        course.note(ms(16_500), ms(10), Some(1), "");
        course.note(ms(17_000), ms(10), Some(1), "");
        assert_eq!(course.health.status, HealthStatus::Unhealthy);
    }

    #[test]
    fn runs_are_never_further_apart_than_the_interval_says() {
        let spec = HealthSpec { interval: Some(ms(100)), ..HealthSpec::default() };
        let mut course = Course::new(plan(&spec).unwrap(), 0);
        assert_eq!(course.pause(ms(0)), ms(0));
        course.note(ms(0), ms(10), Some(0), "");
        assert_eq!(course.pause(ms(10)), ms(100));
        let mut course = Course::new(plan(&HealthSpec::default()).unwrap(), 0);
        course.note(ms(0), ms(10), Some(1), "");
        assert_eq!(course.pause(ms(10)), ms(250));
        course.note(ms(40_000), ms(0), Some(1), "");
        assert_eq!(course.pause(ms(40_000)), ms(1000));
    }
}
