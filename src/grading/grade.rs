//! The phases of one grading, in their order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use indexmap::IndexMap;
use rand::distr::{Alphanumeric, SampleString as _};

use super::course::{Cause, Course, Observer, Step};
use crate::checks::matcher::{Variables, fill};
use crate::checks::{Fault, Finding, Pulled, Scene};
use crate::clock::Clock;
use crate::exercises::{Build, CheckSpec, Exercise, secret_variable};
use crate::report::{EngineReport, Evidence, ImageReport, Phase, Report, Verdict};
use crate::sandbox::{
    BuildError, BuildFailureReason, BuildRequest, Builder, Engine, Image, LogLine, LogSink, Prepared,
    Sandbox, Source, Stack, StackSpec, StartError,
};
use crate::submissions::dockerfile::{BuildKitFeature, Dockerfile};
use crate::submissions::dockerignore::Dockerignore;
use crate::submissions::remote::PulledImage;
use crate::submissions::{Answers, Content};

/// What was handed in, as it is graded.
pub struct Handed {
    /// The files; empty where only answers are asked.
    pub content: Content,
    /// The answers; empty where only files are asked.
    pub answers: Answers,
    /// The image, where that is what is handed in.
    pub image: Option<Arc<PulledImage>>,
    /// The reference by which it was handed in.
    pub reference: Option<String>,
}

impl Handed {
    /// Files and answers.
    #[must_use]
    pub fn new(content: Content, answers: Answers) -> Self {
        Self { content, answers, image: None, reference: None }
    }

    /// An image out of a registry.
    #[must_use]
    pub fn pulled(reference: String, image: PulledImage, answers: Answers) -> Self {
        Self {
            image: Some(Arc::new(image)),
            reference: Some(reference),
            ..Self::new(Content::empty(), answers)
        }
    }

    fn seen(&self) -> Option<Pulled<'_>> {
        let (image, reference) = (self.image.as_ref()?, self.reference.as_ref()?);
        Some(Pulled { reference, digest: &image.digest, platform: &image.platform })
    }
}

/// One grading to be carried out.
pub struct Job<'a> {
    /// Names the grading in the engine's labels.
    pub id: String,
    /// What is asked.
    pub exercise: &'a Exercise,
    /// Brings what was handed in; its time is the phase `fetch`.
    pub fetch: BoxFuture<'a, Result<Handed, Halt>>,
    /// Told of every step.
    pub observer: Observer,
    /// How many hints were asked for of each check, for an exercise in which they cost points.
    pub hints: BTreeMap<String, u32>,
    /// Whether the memory of what runs is measured, which costs the engine some work.
    pub measured: bool,
    /// Whether what was handed in is the exercise author's own: see [`BuildRequest::trusted`].
    pub trusted: bool,
}

/// The outcome of [`grade`]: the report at once, the clean-up when the report is stored.
pub struct Graded {
    /// What was found.
    pub report: Report,
    /// The fault behind a fault verdict.
    pub cause: Option<Cause>,
    /// The most memory that a container had, in bytes, where it was measured.
    pub peak_memory: Option<u64>,
    sandbox: Option<Sandbox>,
}

impl Graded {
    /// A report that says that nothing could be told, for faults outside of [`grade`].
    #[must_use]
    pub fn from_cause(exercise: &Exercise, cause: Cause, clock: &Clock) -> Self {
        let mut course = Course::new(exercise, Arc::new(|_| ()), clock);
        course.break_rest(cause);
        let (report, cause) = course.into_report();
        Self { report, cause, peak_memory: None, sandbox: None }
    }

    /// Removes everything the grading made in the engine. Call it when the verdict is published:
    /// clean-up is never on the student's clock.
    pub async fn clean(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.clean().await;
        }
    }
}

/// Grades one submission: `fetch`, `read`, `build`, `image`, `run`, `disturb`. Never fails: what goes
/// wrong is in the report, as the student's failure or as a fault, which are never mixed up.
///
/// `engine` may be `None` for exercises that need none (see [`Exercise::needs_engine`]).
pub async fn grade(job: Job<'_>, engine: Option<&Engine>, clock: &Clock) -> Graded {
    let Job { id, exercise, fetch, observer, hints, measured, trusted } = job;
    let mut course = Course::new(exercise, observer.clone(), clock);
    course.charge(hints);
    let needed = exercise.needs_engine();
    let mut sandbox = None;
    match (needed, engine) {
        (true, None) => course.break_rest(Cause {
            verdict: Verdict::PlatformFault,
            internal: "this exercise needs a Docker engine and there is none".to_owned(),
            engine_away: true,
        }),
        (needed, engine) => {
            sandbox = engine.filter(|_| needed).map(|engine| {
                let facts = engine.facts();
                course.engine = Some(EngineReport {
                    version: facts.version.clone(),
                    runtime: facts.runtime.clone(),
                    builder: None,
                });
                engine.sandbox(&id, exercise.limits.clone())
            });
            if measured && let Some(sandbox) = &sandbox {
                sandbox.measure_memory();
            }
            let walk = Walk::new(exercise, observer, clock, sandbox.as_ref(), trusted);
            walk.phases(&mut course, fetch).await;
        }
    }
    let (mut report, mut cause) = course.into_report();
    // What a container's end told is only worth something if the engine did not end it.
    if report.verdict == Verdict::Failed
        && let (Some(engine), true) = (engine, needed)
        && let Err(error) = engine.stays().await
    {
        let graded = Graded::from_cause(exercise, Cause::platform(&error), clock);
        (report, cause) =
            (Report { phases: report.phases, engine: report.engine, ..graded.report }, graded.cause);
    }
    let peak_memory = sandbox.as_ref().and_then(Sandbox::peak_memory);
    Graded { report, cause, peak_memory, sandbox }
}

/// Values of this grading alone, for `${random}` and the build's secrets in definitions: unguessable, so that an answer
/// cannot be baked into an image.
fn variables(exercise: &Exercise) -> Variables {
    let secrets = exercise.build.iter().flat_map(|build| &build.secrets).map(|id| secret_variable(id));
    std::iter::once("random".to_owned())
        .chain(secrets)
        .map(|name| (name, Alphanumeric.sample_string(&mut rand::rng(), 16).to_lowercase()))
        .collect()
}

/// What stays the same during one walk through the phases.
pub(super) struct Walk<'a> {
    exercise: &'a Exercise,
    pub(super) observer: Observer,
    clock: &'a Clock,
    pub(super) sandbox: Option<&'a Sandbox>,
    trusted: bool,
    variables: Variables,
    /// Path of the Dockerfile in the content.
    dockerfile: Option<String>,
    /// Build arguments with this grading's values filled in.
    build_args: IndexMap<String, String>,
}

/// What there is to look at so far.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) handed: &'a Handed,
    pub(super) image: Option<&'a Image>,
    pub(super) stack: Option<&'a Stack>,
}

/// What stands in the way of the phases that follow.
#[derive(Debug)]
pub enum Halt {
    /// The student's work stops here; a sentence and the proof.
    Student(String, Option<Evidence>),
    /// Ours.
    Fault(Cause),
}

impl From<crate::sandbox::Error> for Halt {
    fn from(error: crate::sandbox::Error) -> Self {
        Self::Fault(Cause::platform(&error))
    }
}

impl<'a> Walk<'a> {
    fn new(
        exercise: &'a Exercise,
        observer: Observer,
        clock: &'a Clock,
        sandbox: Option<&'a Sandbox>,
        trusted: bool,
    ) -> Self {
        let variables = variables(exercise);
        let build = exercise.build.as_ref();
        let dockerfile = build.map(dockerfile_path);
        let build_args = build
            .into_iter()
            .flat_map(|build| &build.args)
            .map(|(name, value)| (name.clone(), fill(value, &variables).into_owned()))
            .collect();
        Self { exercise, observer, clock, sandbox, trusted, variables, dockerfile, build_args }
    }
}

impl Walk<'_> {
    async fn phases(&self, course: &mut Course<'_>, fetch: BoxFuture<'_, Result<Handed, Halt>>) {
        let ended = match &self.exercise.compose {
            Some(run) => self.compose_phases(run, course, fetch).await,
            None => self.try_phases(course, fetch).await,
        };
        if let Err(halt) = ended {
            match halt {
                Halt::Student(because, evidence) => course.skip_rest(&because, evidence),
                Halt::Fault(cause) => course.break_rest(cause),
            }
        }
    }

    async fn try_phases(
        &self,
        course: &mut Course<'_>,
        fetch: BoxFuture<'_, Result<Handed, Halt>>,
    ) -> Result<(), Halt> {
        course.begin(Phase::Fetch);
        // Pods need only the exercise: they are made while the content is fetched and built.
        let stack = self.stack_spec();
        let prepare = async {
            match (&stack, self.sandbox) {
                (Some(spec), Some(sandbox)) => sandbox.prepare(spec).await.map(Some),
                _ => Ok(None),
            }
        };
        let built = async {
            let handed = fetch.await?;
            let given = self.load(&handed).await?;
            self.read(course, &handed).await;
            let image = match given {
                Some(image) => Some(image),
                None => self.build(course, &handed).await?,
            };
            Ok::<_, Halt>((handed, image))
        };
        let (prepared, built) = tokio::join!(prepare, built);
        let (handed, image) = built?;
        let (Some(image), Some(sandbox)) = (image, self.sandbox) else {
            return Ok(());
        };
        let prepared: Option<Prepared> = prepared?;

        course.begin(Phase::Image);
        // The stack starts while the image is being looked at.
        let inspected = stack.as_ref().map(|stack| self.inspected(stack)).unwrap_or_default();
        let folders = stack.as_ref().map(|stack| mounted_folders(stack, &handed.content));
        let folders = folders.transpose()?.unwrap_or_default();
        let start = async {
            match prepared {
                Some(prepared) => {
                    let prepared = prepared.with_folders(folders);
                    prepared.start(&image, self.log_sink(), &inspected).await.map(Some)
                }
                None => Ok(None),
            }
        };
        let look = async {
            let found = sandbox.image(&image).await?;
            let config = found.config();
            let (id, size_bytes, layers) = (config.id.clone(), config.size_bytes, config.layers);
            course.image = Some(ImageReport { id, size_bytes, layers });
            let view = View { handed: &handed, image: Some(&found), stack: None };
            self.side_by_side(course, Phase::Image, view, None).await;
            Ok::<_, Halt>(found)
        };
        let (stack, found) = tokio::join!(start, look);
        let found = found?;

        if !(course.has(Phase::Run) || course.has(Phase::Disturb)) {
            return Ok(());
        }
        course.begin(Phase::Run);
        let stack: Option<Stack> = stack.map_err(|error| match error {
            StartError::Refused { sentence, .. } => Halt::Student(sentence, None),
            StartError::Platform(error) => error.into(),
        })?;
        self.live(course, View { handed: &handed, image: Some(&found), stack: stack.as_ref() }, sandbox)
            .await;
        Ok(())
    }

    /// The checks of the running stack: those that only look, side by side, then those that disturb it, one
    /// after another.
    pub(super) async fn live(&self, course: &mut Course<'_>, view: View<'_>, sandbox: &Sandbox) {
        let stopwatch = self.clock.stopwatch();
        let run_time = sandbox.limits().run_time;
        self.side_by_side(course, Phase::Run, view, Some(run_time)).await;
        if course.has(Phase::Disturb) {
            course.begin(Phase::Disturb);
            for (index, check) in course.open(Phase::Disturb) {
                let left = run_time.saturating_sub(stopwatch.elapsed());
                let (found, seconds) = self.look(check, view, Some(left)).await;
                course.settle(index, found, seconds);
            }
        }
        course.end();
        course.log_truncated |=
            view.stack.iter().flat_map(|stack| stack.services()).any(|service| service.output().truncated);
    }

    pub(super) async fn read(&self, course: &mut Course<'_>, handed: &Handed) {
        course.begin(Phase::Read);
        let view = View { handed, image: None, stack: None };
        self.side_by_side(course, Phase::Read, view, None).await;
    }

    /// Gives the engine the image that was handed in; its id there. `None` where none was.
    async fn load(&self, handed: &Handed) -> Result<Option<String>, Halt> {
        let (Some(image), Some(sandbox)) = (&handed.image, self.sandbox) else { return Ok(None) };
        let archive = |name: &str| image.docker_archive(name);
        match sandbox.load(&image.id(), archive).await? {
            Ok(id) => Ok(Some(id)),
            Err(sentence) => Err(Halt::Student(sentence, None)),
        }
    }

    /// Builds the image under test. `None` where the exercise builds nothing.
    async fn build(&self, course: &mut Course<'_>, handed: &Handed) -> Result<Option<String>, Halt> {
        let (Some(build), Some(sandbox)) = (&self.exercise.build, self.sandbox) else {
            return Ok(None);
        };
        course.begin(Phase::Build);
        let (request, only_buildkit) = self.build_request(build, &self.build_args, &handed.content)?;
        self.build_image(course, sandbox, request, only_buildkit).await.map(Some)
    }

    /// Builds one image; its id.
    pub(super) async fn build_image(
        &self,
        course: &mut Course<'_>,
        sandbox: &Sandbox,
        request: BuildRequest,
        only_buildkit: Option<BuildKitFeature>,
    ) -> Result<String, Halt> {
        match sandbox.build(request, self.log_sink()).await {
            Ok(done) => {
                course.log_truncated |= done.log_truncated;
                if let Some(engine) = &mut course.engine {
                    let name = match done.builder {
                        Builder::Classic => "classic",
                        Builder::BuildKit => "buildkit",
                    };
                    engine.builder = Some(name.to_owned());
                }
                Ok(done.image)
            }
            Err(BuildError::Failed(mut failure)) => {
                if let (BuildFailureReason::NeedsBuildKit, Some(feature)) = (failure.reason, only_buildkit) {
                    failure.sentence =
                        format!("Line {} uses {}. {}", feature.line, feature.what, failure.sentence);
                }
                let tail = Some(failure.log_tail).filter(|tail| !tail.trim().is_empty());
                let evidence =
                    tail.map(|text| Evidence { title: "Last lines of the build log".into(), text });
                Err(Halt::Student(failure.sentence, evidence))
            }
            Err(BuildError::Platform(error)) => Err(error.into()),
        }
    }

    /// What the sandbox is asked to build, and the first thing in it that only BuildKit can do.
    pub(super) fn build_request(
        &self,
        build: &Build,
        args: &IndexMap<String, String>,
        content: &Content,
    ) -> Result<(BuildRequest, Option<BuildKitFeature>), Halt> {
        let tree = if build.context == "." {
            content.clone()
        } else {
            content.subtree(&build.context).ok_or_else(|| {
                let sentence = format!(
                    "The build starts in the folder `{}`, and the submission has no such folder.",
                    build.context
                );
                Halt::Student(sentence, Some(listing(content)))
            })?
        };
        let Some(text) = tree.file(&build.dockerfile) else {
            let sentence = format!(
                "There is no `{}` in the submission, so there was nothing to build. Hand in the folder that contains it.",
                build.dockerfile
            );
            return Err(Halt::Student(sentence, Some(listing(content))));
        };
        let dockerfile = Dockerfile::read(text).map_err(|error| Halt::Student(error.to_string(), None))?;
        let ignore_file = tree.ignore_file(&build.dockerfile).and_then(|path| tree.file(&path));
        if let Some(mistake) = ignore_file.and_then(|file| Dockerignore::read(file).mistake().cloned()) {
            return Err(Halt::Student(mistake.to_string(), None));
        }
        let only_buildkit = dockerfile.needs_buildkit();
        let request = BuildRequest {
            context: tree.build_context(&build.dockerfile).tar(),
            dockerfile: build.dockerfile.clone(),
            target: build.target.clone(),
            bases: dockerfile.images(args),
            needs_buildkit: only_buildkit.is_some(),
            args: args.clone(),
            secrets: build
                .secrets
                .iter()
                .map(|id| (id.clone(), self.variables[&secret_variable(id)].clone()))
                .collect(),
            trusted: self.trusted,
            internet: build.internet,
            ..BuildRequest::default()
        };
        Ok((request, only_buildkit))
    }

    /// The stack with this grading's values filled in; `None` where no check looks at one.
    pub(super) fn stack_spec(&self) -> Option<StackSpec> {
        let looked_at = self
            .exercise
            .checks
            .iter()
            .any(|check| matches!(check.kind.phase(), Phase::Run | Phase::Disturb));
        let mut spec = self.exercise.stack.clone().filter(|_| looked_at)?;
        for service in spec.services.values_mut() {
            for value in service.env.values_mut() {
                *value = self.fill(value);
            }
            let test = service.healthcheck.as_mut().and_then(|health| health.test.as_mut());
            let words = service.command.iter_mut().chain(service.entrypoint.iter_mut()).chain(test);
            for argument in words.flatten() {
                *argument = self.fill(argument);
            }
        }
        Some(spec)
    }

    /// The services whose processes checks will look at while they run.
    pub(super) fn inspected<'s>(&'s self, stack: &'s StackSpec) -> HashSet<&'s str> {
        let checks = self.exercise.checks.iter();
        checks
            .flat_map(|check| check.kind.inspects())
            .filter_map(|name| name.or_else(|| stack.main_service()))
            .collect()
    }

    fn fill(&self, text: &str) -> String {
        fill(text, &self.variables).into_owned()
    }

    pub(super) fn log_sink(&self) -> LogSink {
        let observer = self.observer.clone();
        Arc::new(move |line: LogLine| observer(Step::Log(line)))
    }

    fn scene<'s>(&'s self, id: &'s str, view: View<'s>) -> Scene<'s> {
        Scene {
            id,
            content: &view.handed.content,
            answers: &view.handed.answers,
            context: self.exercise.build.as_ref().map_or(".", |build| &build.context),
            dockerfile: self.dockerfile.as_deref(),
            build_args: &self.build_args,
            target: self.exercise.build.as_ref().and_then(|build| build.target.as_deref()),
            pulled: view.handed.seen(),
            image: view.image,
            stack: view.stack,
            composed: self.exercise.compose.is_some(),
            sandbox: self.sandbox,
            variables: &self.variables,
            clock: self.clock,
        }
    }

    /// Runs all open checks of a phase at once and records each as soon as it is known.
    async fn side_by_side(
        &self,
        course: &mut Course<'_>,
        phase: Phase,
        view: View<'_>,
        left: Option<Duration>,
    ) {
        let mut looking: FuturesUnordered<_> = course
            .open(phase)
            .into_iter()
            .map(|(index, check)| self.look(check, view, left).map(move |found| (index, found)))
            .collect();
        while let Some((index, (found, seconds))) = looking.next().await {
            course.settle(index, found, seconds);
        }
    }

    /// Runs one check under its own deadline and what is left of the run time. Every part of a
    /// check is bounded by what its definition says, so running into the run time means that the
    /// definition does not fit together, and running into the check's own deadline that we were
    /// too slow; neither is the student's.
    async fn look(
        &self,
        check: &CheckSpec,
        view: View<'_>,
        left: Option<Duration>,
    ) -> (Result<Finding, Fault>, f64) {
        let stopwatch = self.clock.stopwatch();
        let own = check.kind.deadline();
        let scene = self.scene(&check.id, view);
        let bound = left.map_or(own, |left| own.min(left));
        let found = match tokio::time::timeout(bound, check.kind.look(&scene)).await {
            Ok(found) => found,
            Err(_) if bound < own => Err(Fault::Exercise(format!(
                "check `{}` did not fit into the run time of {} s; raise limits.run_time (and sandbox.max_run_time) or \
                 shorten the checks",
                check.id,
                self.sandbox
                    .map_or(self.exercise.limits.run_time, |sandbox| sandbox.limits().run_time)
                    .as_secs()
            ))),
            Err(_) => Err(Fault::Platform(crate::sandbox::Error::TimedOut {
                action: format!("carry out check `{}`", check.id),
                seconds: own.as_secs(),
            })),
        };
        (found, stopwatch.seconds())
    }
}

/// Where the Dockerfile lies in the submission; its path in the definition is relative to the context.
fn dockerfile_path(build: &Build) -> String {
    match build.context.trim_start_matches("./").trim_end_matches('/') {
        "" | "." => build.dockerfile.clone(),
        context => format!("{context}/{}", build.dockerfile),
    }
}

/// A tar of each folder of the submission that a service mounts.
pub(super) fn mounted_folders(stack: &StackSpec, content: &Content) -> Result<HashMap<String, Bytes>, Halt> {
    let mut folders = HashMap::new();
    for (name, mount) in stack
        .services
        .iter()
        .flat_map(|(name, service)| service.mounts.iter().map(move |mount| (name, mount)))
    {
        let Source::Folder(folder) = &mount.source else { continue };
        let files = if folder == "." { Some(content.clone()) } else { content.subtree(folder) };
        let Some(files) = files else {
            let sentence = format!(
                "The service `{name}` gets the folder `{folder}` of the submission at {}, and the submission has no \
                 such folder.",
                mount.target
            );
            return Err(Halt::Student(sentence, Some(listing(content))));
        };
        folders.insert(folder.clone(), files.tar());
    }
    Ok(folders)
}

/// What the submission consists of, as evidence for a file that was not found.
pub(super) fn listing(content: &Content) -> Evidence {
    const SHOWN: usize = 40;
    let entries = content.entries();
    let mut lines: Vec<String> =
        entries.keys().take(SHOWN).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    if entries.len() > SHOWN {
        lines.push(format!("… and {} more", entries.len() - SHOWN));
    }
    Evidence { title: "What was handed in".into(), text: lines.join("\n") }
}
