//! `persists`: what was written outlives the container, or goes with it.

mod marker;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::marker::{Kept, Marker};
use super::diagnosis::{ended, told};
use super::http::Http;
use super::shell::line;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{Service, StartError};
use crate::units::Span;

/// A marker is written, into a folder or by a request; the container is stopped, removed and another
/// takes its place; the marker is still there, or is gone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Persists {
    /// The service whose container is replaced; `app` if nothing is said.
    pub service: Option<String>,
    /// A folder in the container, into which a marker is written as the container's user.
    pub path: Option<String>,
    /// Instead of `path`: the request that writes. It is an `http` check and has to pass.
    pub write: Option<Box<Http>>,
    /// The request that reads what was written, as an `http` check: it passes before and, unless it is
    /// `gone`, after.
    pub read: Option<Box<Http>>,
    /// What happens to the container.
    #[serde(default)]
    pub how: Replacement,
    /// `true`: the marker is not there any more afterwards.
    #[serde(default)]
    pub gone: bool,
    /// How long the container may take to stop before it is killed.
    #[serde(default = "patience")]
    pub within: Span,
}

/// What happens to a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// It is removed, and another with the same mounts takes its place.
    #[default]
    Recreate,
    /// It is stopped and started again.
    Restart,
}

fn patience() -> Span {
    Span::from_secs(10)
}

impl Check for Persists {
    const NAME: &'static str = "persists";
    const PHASE: Phase = Phase::Disturb;
    const MANUAL: Manual = Manual {
        examples: include_str!("persists.yaml"),
        evidence: &[
            ("What is mounted", "where the container keeps what"),
            ("Time line", "when it was written, replaced and read again"),
            ("Last lines of its output", "of the new container, where it does not answer"),
        ],
        fails: &[
            "the marker lies in the container's own file system and goes with it",
            "the program writes to another folder than the one that is kept",
            "the container's user may not write there",
            "the service does not come up again",
        ],
    };

    fn deadline(&self) -> Duration {
        let write = self.write.as_ref().map(|write| write.deadline()).unwrap_or_default();
        let read = self.read.as_ref().map(|read| read.deadline()).unwrap_or_default();
        self.within.0 + write + 2 * read + MARGIN
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        match (&self.path, &self.write, &self.read) {
            (Some(path), None, None) => {
                if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    mistakes.push(format!("`path: {path}` has to be an absolute path"));
                }
            }
            (None, Some(write), Some(read)) => {
                for (field, request) in [("write", write), ("read", read)] {
                    let own = request.mistakes(around);
                    mistakes.extend(own.into_iter().map(|mistake| format!("in `{field}`: {mistake}")));
                }
            }
            (None, None, None) => {
                mistakes.push("this check writes nothing; give a `path`, or `write` and `read`".into());
            }
            (Some(_), ..) => mistakes.push("`path` cannot stand beside `write` and `read`".into()),
            _ => mistakes.push("`write` and `read` belong together; give both".into()),
        }
        around.time("within", self.within, &mut mistakes);
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let attempt = Attempt { check: self, scene, service, expected: self.expected() };
        if let Some(ended) = ended(&service.state().await?) {
            return attempt.failed(format!("{ended}, before anything was written")).await;
        }
        match (&self.path, &self.write, &self.read) {
            (Some(path), ..) => attempt.by_path(path).await,
            (_, Some(write), Some(read)) => attempt.by_requests(write, read).await,
            _ => Err(Fault::Exercise("this check writes nothing".into())),
        }
    }
}

/// What is added before the check counts as broken: for the engine, and for a new container that takes
/// its time to be ready.
const MARGIN: Duration = Duration::from_mins(1);

impl Persists {
    fn expected(&self) -> String {
        let after = match self.how {
            Replacement::Recreate => "in a new container",
            Replacement::Restart => "after a restart",
        };
        let place = self.path.as_ref().map(|path| format!(" to `{path}`")).unwrap_or_default();
        let there = if self.gone { "gone" } else { "still there" };
        format!("what was written{place} is {there} {after}")
    }

    fn after(&self) -> &'static str {
        match self.how {
            Replacement::Recreate => "in the new container",
            Replacement::Restart => "after the restart",
        }
    }

    /// What a shell does between writing and reading.
    fn replaced(&self, service: &Service, started: &str) -> String {
        let name = service.host_name();
        match self.how {
            Replacement::Recreate => format!("docker rm -f {name} && {started}"),
            Replacement::Restart => line(["docker", "restart", name]),
        }
    }
}

/// One look.
struct Attempt<'a> {
    check: &'a Persists,
    scene: &'a Scene<'a>,
    service: &'a Service,
    expected: String,
}

impl Attempt<'_> {
    async fn failed(&self, observed: String) -> Result<Finding, Fault> {
        Ok(Finding::Failed(self.detail(observed).await?.with_output(&self.service.output())))
    }

    async fn detail(&self, observed: String) -> Result<Detail, Fault> {
        let mounts = super::mount::table(&self.service.mounts().await?);
        let detail = Detail::new(&self.expected, observed).proof("What is mounted", mounts);
        Ok(detail.reproduce(self.command()))
    }

    async fn by_path(&self, path: &str) -> Result<Finding, Fault> {
        let watch = self.scene.clock.stopwatch();
        let mut line = super::restarts::TimeLine::default();
        let marker = Marker::new(path, self.scene);
        let way = match marker.write(self.service).await? {
            Ok(way) => way,
            Err(why) => return self.failed(format!("nothing can be written to `{path}`: {why}")).await,
        };
        line.note(watch.elapsed(), format!("a marker was written to {path}"));
        if let Some(failed) = self.replace(&watch, &mut line).await? {
            return Ok(failed);
        }
        let kept = marker.read(self.service, way).await?;
        let after = self.check.after();
        let (holds, observed) = match kept {
            Kept::There => (!self.check.gone, format!("the marker is still in `{path}` {after}")),
            Kept::Gone => (self.check.gone, format!("the marker is not in `{path}` any more {after}")),
            Kept::Unknown(why) => (false, format!("`{path}` cannot be read {after}: {why}")),
        };
        line.note(watch.elapsed(), "it was looked for");
        marker.remove(self.service, way).await;
        Ok(Finding::of(holds, self.detail(observed).await?.proof("Time line", line.text())))
    }

    async fn by_requests(&self, write: &Http, read: &Http) -> Result<Finding, Fault> {
        let watch = self.scene.clock.stopwatch();
        let mut line = super::restarts::TimeLine::default();
        for (what, request) in [("writing", write), ("reading what was written", read)] {
            if let Finding::Failed(why) = request.look(self.scene).await? {
                let detail =
                    self.detail(format!("{what} failed before anything was replaced: {}", why.observed));
                let detail = detail.await?;
                return Ok(Finding::Failed(Detail { evidence: why.evidence, ..detail }));
            }
            line.note(watch.elapsed(), format!("{what} worked"));
        }
        if let Some(failed) = self.replace(&watch, &mut line).await? {
            return Ok(failed);
        }
        let found = read.look(self.scene).await?;
        line.note(watch.elapsed(), "it was read again");
        let after = self.check.after();
        let there = matches!(found, Finding::Passed(_));
        let answered = found.detail().evidence.iter().any(|evidence| evidence.title == "Response");
        let observed = match (there, answered) {
            (true, _) => format!("what was written is still there {after}"),
            (false, true) => format!("what was written is not there {after}: {}", found.detail().observed),
            (false, false) => format!("nothing answers {after}: {}", found.detail().observed),
        };
        let holds = if self.check.gone { !there && answered } else { there };
        let mut detail = self.detail(observed).await?.proof("Time line", line.text());
        detail.evidence.extend(found.detail().evidence.iter().cloned());
        Ok(Finding::of(holds, detail))
    }

    /// Stops all containers of the service and puts others in their place, or starts them again.
    async fn replace(
        &self,
        watch: &crate::clock::Stopwatch,
        line: &mut super::restarts::TimeLine,
    ) -> Result<Option<Finding>, Fault> {
        for service in self.scene.replicas(self.service.name()) {
            let stopped = service.stop(self.check.within.0).await?;
            let how = if stopped.by_itself { "ended by itself" } else { "was killed" };
            line.note(watch.elapsed(), format!("{} {how} after {}", service.host_name(), told(stopped.took)));
            let started = match self.check.how {
                Replacement::Recreate => service.recreate().await,
                Replacement::Restart => service.start().await,
            };
            match started {
                Ok(()) => line.note(watch.elapsed(), format!("{} was started", service.host_name())),
                Err(StartError::Refused { sentence, .. }) => return self.failed(sentence).await.map(Some),
                Err(StartError::Platform(error)) => return Err(error.into()),
            }
        }
        match ended(&self.service.state().await?) {
            Some(ended) => self.failed(format!("{ended}, so that nothing could be read")).await.map(Some),
            None => Ok(None),
        }
    }

    fn command(&self) -> String {
        let (check, service) = (self.check, self.service);
        let name = service.host_name();
        let started = service.reproduce(&line(["-d", "--name", name]));
        if let (Some(write), Some(read)) = (&check.write, &check.read) {
            let write = write.resolved(self.scene.variables).unwrap_or_else(|_| (**write).clone());
            let read = read.resolved(self.scene.variables).unwrap_or_else(|_| (**read).clone());
            let own = |request: &Http| request.service.as_deref().is_none_or(|name| name == service.name());
            let started = if own(&write) { write.started(service) } else { started };
            return format!(
                "{started} && {} && {} && {}",
                write.curl(),
                check.replaced(service, &started),
                read.curl()
            );
        }
        let file = format!("{}/marker", check.path.as_deref().unwrap_or_default().trim_end_matches('/'));
        let write = line([
            "docker",
            "exec",
            name,
            "sh",
            "-c",
            &format!("echo kept > {}", super::shell::quoted(&file)),
        ]);
        let read = line(["docker", "exec", name, "cat", &file]);
        format!("{started} && {write} && {} && {read}", check.replaced(service, &started))
    }
}
