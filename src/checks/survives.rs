//! `survives`: a service goes down; another keeps answering, or answers again when it is back.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnosis::{ended, told};
use super::http::Http;
use super::reach::{self, outcome};
use super::restarts::TimeLine;
use super::shell::line;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::clock::Stopwatch;
use crate::report::Phase;
use crate::sandbox::{Restart, Service, StartError};
use crate::units::Span;

/// A service is stopped or killed. Another keeps answering meanwhile, or what answered before answers
/// again when the service is back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Survives {
    /// The service that goes down, with all of its containers; `app` if nothing is said.
    pub service: Option<String>,
    /// How it goes down.
    #[serde(default)]
    pub how: Going,
    /// What is answered all the while that it is down.
    pub keeps: Option<Answer>,
    /// What is answered again within this time after it is back.
    pub recovers: Option<Answer>,
    /// How long it stays down; one whose restart policy starts it again may be back sooner.
    #[serde(default = "down")]
    pub down: Span,
    /// How long it may take until `recovers` is answered.
    #[serde(default = "patience")]
    pub within: Span,
}

/// How a service goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Going {
    /// It is asked to stop, as `docker stop` does, and stays down until it is started.
    #[default]
    Stop,
    /// Its main process is killed; its restart policy holds.
    Kill,
}

/// Something that is answered: one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// A request, as in an `http` check.
    pub http: Option<Box<Http>>,
    /// A TCP connection that is taken.
    pub tcp: Option<Tcp>,
}

/// A TCP connection.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// The service that takes it; `app` if nothing is said.
    pub service: Option<String>,
    /// The service it comes from; the same if nothing is said.
    pub from: Option<String>,
    /// The port.
    pub port: u16,
}

fn down() -> Span {
    Span::from_secs(2)
}

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Survives {
    const NAME: &'static str = "survives";
    const PHASE: Phase = Phase::Disturb;
    const MANUAL: Manual = Manual {
        examples: include_str!("survives.yaml"),
        evidence: &[
            ("Time line", "when the service went down and came back, and what was answered between"),
            ("Response", "the answer that was not as wanted, where there was one"),
            ("Last lines of its output", "of the service that went down, where it did not come back"),
        ],
        fails: &[
            "the other service ends, hangs or answers with an error while the one is down",
            "it does not find the one again when that is back, for example because it connects only at its start",
            "the service does not come up again",
        ],
    };

    fn deadline(&self) -> Duration {
        let one = |answer: &Option<Answer>| answer.as_ref().map(Answer::deadline).unwrap_or_default();
        self.down.0 + self.within.0 + 3 * one(&self.keeps) + 3 * one(&self.recovers) + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if self.keeps.is_none() && self.recovers.is_none() {
            mistakes.push("this check asks nothing; write `keeps` or `recovers`".into());
        }
        for (field, answer) in [("keeps", &self.keeps), ("recovers", &self.recovers)] {
            let Some(answer) = answer else { continue };
            let own = answer.mistakes(around);
            mistakes.extend(own.into_iter().map(|mistake| format!("in `{field}`: {mistake}")));
        }
        if let (Some(keeps), Some(stack)) = (&self.keeps, around.stack)
            && let Some(name) = self.service.as_deref().or_else(|| stack.main_service())
            && around.stands_for(keeps.service(), name)
            && self.how == Going::Stop
        {
            mistakes
                .push(format!("`keeps` can never pass: `{name}` is itself down then; ask another service"));
        }
        around.time("down", self.down, &mut mistakes);
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let attempt = Attempt { check: self, scene, service, watch: scene.clock.stopwatch() };
        attempt.look().await
    }
}

/// What is added to the waiting times before the check counts as broken: for the engine, and for the
/// service, which may take its own time to stop and is started again.
const MARGIN: Duration = Duration::from_mins(2);
/// How long a service that was killed may take to be gone.
const STOP: Duration = Duration::from_secs(10);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// An answer that was not as wanted.
struct Wrong {
    observed: String,
    detail: Detail,
}

impl Answer {
    /// The service that is asked; `None` is the main one.
    fn service(&self) -> Option<&str> {
        match (&self.http, &self.tcp) {
            (Some(http), _) => http.service.as_deref(),
            (None, tcp) => tcp.as_ref().and_then(|tcp| tcp.service.as_deref()),
        }
    }

    fn deadline(&self) -> Duration {
        self.http.as_ref().map_or(CONNECT, |http| http.deadline())
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        match (&self.http, &self.tcp) {
            (Some(http), None) => http.mistakes(around),
            (None, Some(tcp)) => {
                let mut mistakes = Vec::new();
                around.ends(tcp.service.as_deref(), tcp.from.as_deref(), &mut mistakes);
                reach::port_mistakes(tcp.port, &mut mistakes);
                mistakes
            }
            _ => vec!["this is `http` or `tcp`, one of the two".into()],
        }
    }

    fn describe(&self, scene: &Scene<'_>) -> Result<String, Fault> {
        let name = scene.service(self.service())?.name();
        Ok(match (&self.http, &self.tcp) {
            (Some(http), _) => format!("`{name}` answers {} {} as wanted", http.method, http.path),
            (None, Some(tcp)) => format!("`{name}` takes connections on port {}", tcp.port),
            (None, None) => format!("`{name}` answers"),
        })
    }

    /// Asks once; `Err` inside for an answer that is not as wanted.
    async fn ask(&self, scene: &Scene<'_>) -> Result<Result<(), Wrong>, Fault> {
        if let Some(http) = &self.http {
            return Ok(match http.look(scene).await? {
                Finding::Failed(detail) => Err(Wrong { observed: detail.observed.clone(), detail }),
                _ => Ok(()),
            });
        }
        let Some(tcp) = &self.tcp else { return Ok(Ok(())) };
        let (from, to) = scene.ends(tcp.service.as_deref(), tcp.from.as_deref())?;
        let answer = from.connect(to, tcp.port, CONNECT).await?;
        let observed = || format!("port {} of `{}`: {}", tcp.port, to.name(), outcome(&answer));
        Ok(if answer.is_ok() {
            Ok(())
        } else {
            Err(Wrong { observed: observed(), detail: Detail::default() })
        })
    }
}

/// One look.
struct Attempt<'a> {
    check: &'a Survives,
    scene: &'a Scene<'a>,
    service: &'a Service,
    watch: Stopwatch,
}

impl Attempt<'_> {
    async fn look(&self) -> Result<Finding, Fault> {
        let Self { check, scene, service, watch } = self;
        let expected = self.expected()?;
        let mut line = TimeLine::default();
        for answer in check.keeps.iter().chain(&check.recovers) {
            if let Err(wrong) = answer.ask(scene).await? {
                return Ok(self.failed(
                    expected,
                    format!("even before: {}", wrong.observed),
                    Some(wrong),
                    &line,
                ));
            }
        }
        if let Some(ended) = ended(&service.state().await?) {
            return Ok(self.failed(expected, format!("{ended}, before it was touched"), None, &line));
        }
        self.go_down(&mut line).await?;
        let mut wrong = None;
        if let Some(keeps) = &check.keeps {
            wrong = self.keeps(keeps, &mut line).await?;
        } else {
            tokio::time::sleep(check.down.0).await;
        }
        let back = self.come_back(&mut line).await?;
        if let Some(wrong) = wrong {
            let observed = format!("while `{}` was down: {}", service.name(), wrong.observed);
            return Ok(self.failed(expected, observed, Some(wrong), &line));
        }
        if let Err(sentence) = back {
            return Ok(self.failed(expected, sentence, None, &line));
        }
        let Some(recovers) = &check.recovers else {
            return Ok(Finding::Passed(self.detail(expected, self.kept()?, &line)));
        };
        let since = watch.elapsed();
        loop {
            let wrong = match recovers.ask(scene).await? {
                Ok(()) => break,
                Err(wrong) => wrong,
            };
            if watch.elapsed().saturating_sub(since) >= check.within.0 {
                line.note(watch.elapsed(), &wrong.observed);
                let observed = format!(
                    "{} after `{}` was back: {}",
                    told(watch.elapsed().saturating_sub(since)),
                    service.name(),
                    wrong.observed
                );
                return Ok(self.failed(expected, observed, Some(wrong), &line));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let took = told(watch.elapsed().saturating_sub(since));
        line.note(watch.elapsed(), recovers.describe(scene)?);
        let recovered =
            format!("{} again {took} after `{}` was back", recovers.describe(scene)?, service.name());
        let observed =
            if check.keeps.is_some() { format!("{}, {recovered}", self.kept()?) } else { recovered };
        Ok(Finding::Passed(self.detail(expected, observed, &line)))
    }

    fn kept(&self) -> Result<String, Fault> {
        let keeps = self.check.keeps.as_ref().map(|keeps| keeps.describe(self.scene)).transpose()?;
        Ok(format!("{} while `{}` was down", keeps.unwrap_or_default(), self.service.name()))
    }

    fn expected(&self) -> Result<String, Fault> {
        let Self { check, scene, service, .. } = self;
        let mut wanted = Vec::new();
        if let Some(keeps) = &check.keeps {
            wanted.push(format!("{} while `{}` is down", keeps.describe(scene)?, service.name()));
        }
        if let Some(recovers) = &check.recovers {
            wanted.push(format!(
                "{} within {} after `{}` is back",
                recovers.describe(scene)?,
                check.within,
                service.name()
            ));
        }
        Ok(wanted.join(", "))
    }

    async fn go_down(&self, line: &mut TimeLine) -> Result<(), Fault> {
        for service in self.scene.replicas(self.service.name()) {
            let what = match self.check.how {
                Going::Stop => {
                    let stopped = service.stop(service.grace()).await?;
                    let how = if stopped.by_itself { "stopped" } else { "was killed, for it did not stop" };
                    format!("{} {how}", service.host_name())
                }
                Going::Kill => {
                    service.kill("SIGKILL").await?;
                    service.wait_exit(STOP).await?;
                    format!("{} was killed", service.host_name())
                }
            };
            line.note(self.watch.elapsed(), what);
        }
        Ok(())
    }

    /// Asks again and again while the service is down; says the first answer that is not as wanted.
    async fn keeps(&self, keeps: &Answer, line: &mut TimeLine) -> Result<Option<Wrong>, Fault> {
        let since = self.watch.elapsed();
        let mut times = 0;
        loop {
            if let Err(wrong) = keeps.ask(self.scene).await? {
                line.note(self.watch.elapsed(), &wrong.observed);
                return Ok(Some(wrong));
            }
            times += 1;
            if self.watch.elapsed().saturating_sub(since) >= self.check.down.0 {
                let times = if times == 1 { "once".into() } else { format!("{times} times") };
                line.note(self.watch.elapsed(), format!("{}, asked {times}", keeps.describe(self.scene)?));
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Starts the service again, where its policy has not; `Err` inside when it does not come up.
    async fn come_back(&self, line: &mut TimeLine) -> Result<Result<(), String>, Fault> {
        for service in self.scene.replicas(self.service.name()) {
            let policy = service.spec().restart != Restart::No && self.check.how == Going::Kill;
            let state = service.state().await?;
            let by_policy = policy && (state.running || service.restarted(state.restarts, STOP).await);
            if by_policy {
                service.wait_ready().await?;
                line.note(
                    self.watch.elapsed(),
                    format!("{} is back by its restart policy", service.host_name()),
                );
            } else {
                match service.start().await {
                    Ok(()) => {
                        line.note(self.watch.elapsed(), format!("{} was started again", service.host_name()));
                    }
                    Err(StartError::Refused { sentence, .. }) => return Ok(Err(sentence)),
                    Err(StartError::Platform(error)) => return Err(error.into()),
                }
            }
            if let Some(ended) = ended(&service.state().await?) {
                let observed = format!("`{}` did not come back: {ended}", service.host_name());
                line.note(self.watch.elapsed(), &observed);
                return Ok(Err(observed));
            }
        }
        Ok(Ok(()))
    }

    fn detail(&self, expected: String, observed: String, line: &TimeLine) -> Detail {
        Detail::new(expected, observed).proof("Time line", line.text()).reproduce(self.command())
    }

    fn failed(&self, expected: String, observed: String, wrong: Option<Wrong>, line: &TimeLine) -> Finding {
        let mut detail = self.detail(expected, observed, line);
        detail.evidence.extend(wrong.into_iter().flat_map(|wrong| wrong.detail.evidence));
        Finding::Failed(detail.with_output(&self.service.output()))
    }

    fn command(&self) -> String {
        let Self { check, scene, service, .. } = self;
        let name = service.host_name();
        let answer = check.keeps.as_ref().or(check.recovers.as_ref());
        let target = answer.and_then(|answer| scene.service(answer.service()).ok());
        let go = match check.how {
            Going::Stop => line(["docker", "stop", name]),
            Going::Kill => line(["docker", "kill", name]),
        };
        let start = service.reproduce(&line(["-d", "--name", name]));
        let ask = match answer.map(|answer| (&answer.http, &answer.tcp)) {
            Some((Some(http), _)) => target.map(|target| (http.started(target), http.curl())),
            Some((None, Some(tcp))) => target.map(|target| {
                let start = target.reproduce(&line(["-d", "--name", target.host_name()]));
                (start, reach::try_line(target, target, tcp.port))
            }),
            _ => None,
        };
        match ask {
            Some((asked, ask)) => format!("{start} && {asked} && sleep 2 && {go} && {ask}"),
            None => format!("{start} && {go}"),
        }
    }
}
