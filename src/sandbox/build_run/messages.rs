//! What the builders tell while they build: lines of the classic builder, steps of BuildKit.

use std::collections::HashMap;
use std::sync::LazyLock;

use bollard::errors::Error as EngineError;
use bollard::moby::buildkit::v1::StatusResponse;
use bollard::models::{BuildInfo, BuildInfoAux};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};
use regex::{Captures, Regex};

use super::super::build::BuildStep;
use super::super::build_cache::Making;
use super::super::build_log::BuildLog;
use super::super::error::{Error, engine_words, status};
use super::containers::Containers;
use super::{Outcome, Step};

/// Reads what a builder tells.
pub(super) struct Reader<'a, 'b> {
    pub(super) log: &'a mut BuildLog,
    making: &'a mut Making<'b>,
    /// What the stages so far stand on.
    bases: Vec<String>,
    /// The classic builder's image that the step runs on.
    pub(super) on: Option<String>,
    containers: Containers,
    /// Where in `steps` those of BuildKit are, by digest.
    vertices: HashMap<String, usize>,
    /// The classic builder's container of the running step.
    running: Option<String>,
    /// The container of the last step that ran: the builder removes it before it says that it failed.
    pub(super) last_container: Option<String>,
    step: Option<Step>,
    /// The step that BuildKit names as the failed one.
    failed: Option<Step>,
    pub(super) steps: Vec<BuildStep>,
    pub(super) image: Option<String>,
}

static STEP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)^Step (\d+)/(\d+) : (.*)$").expect("a constant"));
static IMAGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ ---> ([0-9a-f]{12})\n$").expect("a constant"));
static RUNNING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ ---> Running in ([0-9a-f]{12})\n$").expect("a constant"));
/// `[2/3] RUN …`, `[builder 1/2] FROM …`, `[linux/amd64 builder 1/2] FROM …`: stage, number, instruction.
static NUMBERED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[(?:\S+/\S+ )?(?:(\S+) )?(\d+)/\d+\] (.*)$").expect("a constant"));

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(log: &'a mut BuildLog, making: &'a mut Making<'b>, containers: Containers) -> Self {
        Self {
            log,
            making,
            bases: Vec::new(),
            on: None,
            containers,
            vertices: HashMap::new(),
            running: None,
            last_container: None,
            step: None,
            failed: None,
            steps: Vec::new(),
            image: None,
        }
    }

    /// The step that failed, or the last that was begun.
    pub(super) fn step(&self) -> Option<Step> {
        self.failed.as_ref().or(self.step.as_ref()).cloned()
    }

    /// Reads to the end, or to where the build has to be given up.
    ///
    /// # Errors
    /// When the engine goes away.
    pub(super) async fn follow(
        &mut self,
        stream: &mut (impl Stream<Item = Result<BuildInfo, EngineError>> + Unpin),
    ) -> Result<Outcome, Error> {
        while let Some(told) = stream.next().await {
            let told = match told {
                Ok(told) => told,
                Err(EngineError::DockerStreamError { error }) => return Ok(Outcome::Said(error, None)),
                Err(error @ EngineError::DockerResponseServerError { .. }) => {
                    return Ok(Outcome::Said(engine_words(&error), status(&error)));
                }
                Err(error) => {
                    return Err(self.making.engine().error("build an image", &error));
                }
            };
            match told.aux {
                Some(BuildInfoAux::Default(image)) => self.image = image.id,
                Some(BuildInfoAux::BuildKit(status)) => self.buildkit(status),
                None => {}
            }
            if let Some(text) = told.stream {
                self.classic(&text)?;
            }
            if self.log.is_flood() {
                return Ok(Outcome::Flood);
            }
        }
        Ok(Outcome::Done)
    }

    /// Notes what the engine went on to make of a build after it was given up.
    ///
    /// # Errors
    /// When the engine cannot list its images, or they cannot be noted.
    pub(super) async fn given_up(&mut self, began: DateTime<Utc>) -> Result<(), Error> {
        let text = self.step.as_ref().map_or("", |step| step.text.as_str());
        let command = text.split_once(' ').filter(|(word, _)| word.eq_ignore_ascii_case("RUN"));
        let command = command.map_or("", |(_, command)| command.trim());
        self.making.note_unheard(&self.bases, command, began).await
    }

    /// A message of the classic builder. Inside a step everything is the student's output, until the
    /// builder says that it has removed the step's container.
    fn classic(&mut self, text: &str) -> Result<(), Error> {
        if let Some(container) = &self.running {
            if text == format!("Removing intermediate container {container}\n") {
                self.running = None;
                self.log.flush();
                return Ok(());
            }
            let (stderr, text) = match text.strip_prefix("\u{1b}[91m") {
                // The engine colours what came on stderr.
                Some(rest) => (true, rest.strip_suffix("\u{1b}[0m").unwrap_or(rest)),
                None => (false, text),
            };
            self.log.output(stderr, text.as_bytes());
            return Ok(());
        }
        if let Some(found) = STEP.captures(text) {
            self.classic_step(&found[1], &found[2], &found[3]);
        } else if let Some(found) = RUNNING.captures(text) {
            self.containers.add(self.making.engine(), &found[1])?;
            self.running = Some(found[1].to_owned());
            self.last_container.clone_from(&self.running);
        } else if let Some(found) = IMAGE.captures(text) {
            self.on = Some(found[1].to_owned());
            let is_base = self.step.as_ref().is_some_and(|step| step.text.to_uppercase().starts_with("FROM"));
            if is_base {
                self.bases.push(found[1].to_owned());
            } else {
                self.making.note(&found[1])?;
                if self.steps.last().is_some_and(|step| !step.cached) {
                    self.containers.add_image(&found[1]);
                }
            }
        } else if text == " ---> Using cache\n" {
            if let Some(step) = self.steps.last_mut() {
                step.cached = true;
            }
            self.log.note(" ---> Using cache");
        } else if !(text.trim().is_empty() || text.starts_with("Successfully ")) {
            self.log.note(text.trim_end());
        }
        Ok(())
    }

    fn classic_step(&mut self, number: &str, of: &str, text: &str) {
        self.log.note(&format!("Step {number}/{of} : {text}"));
        self.log.forget_last_output();
        let number: usize = number.parse().unwrap_or(0);
        self.step = Some(Step { number: Some(number), text: text.to_owned() });
        self.steps.push(BuildStep { stage: None, number, cached: false });
    }

    /// A message of BuildKit: steps that began or ended, and their output.
    fn buildkit(&mut self, status: StatusResponse) {
        for told in status.vertexes {
            let numbered = NUMBERED.captures(&told.name);
            let text = numbered.as_ref().map(|found| found[3].to_owned());
            if let Some(found) = &numbered
                && (told.started.is_some() || told.cached)
            {
                let known = self.vertices.get(&told.digest).copied();
                let at = known.unwrap_or_else(|| self.begin(&told.name, found));
                self.vertices.insert(told.digest, at);
                let step = &mut self.steps[at];
                // A base that is there is not a step that was saved.
                if told.cached && !step.cached && !found[3].starts_with("FROM ") {
                    self.log.note(" ---> CACHED");
                }
                step.cached |= told.cached;
            }
            // Steps running beside the failed one end with "context canceled".
            if !told.error.is_empty() && self.failed.is_none() && !told.error.ends_with("context canceled") {
                self.failed = Some(Step { number: None, text: text.unwrap_or(told.name) });
            }
        }
        for piece in status.logs {
            self.log.output(piece.stream == 2, &piece.msg);
        }
    }

    /// A step of BuildKit's has begun, or was saved; says its place in `steps`.
    fn begin(&mut self, name: &str, numbered: &Captures<'_>) -> usize {
        self.log.note(name);
        self.log.forget_last_output();
        self.step = Some(Step { number: None, text: numbered[3].to_owned() });
        let stage = numbered.get(1).map(|stage| stage.as_str().to_owned());
        self.steps.push(BuildStep { stage, number: numbered[2].parse().unwrap_or(0), cached: false });
        self.steps.len() - 1
    }
}
