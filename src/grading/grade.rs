//! The phases of one grading, in their order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use indexmap::IndexMap;
use rand::distr::{Alphanumeric, SampleString as _};

use super::course::{Cause, Course, Observer, Step};
use crate::checks::matcher::{Variables, fill};
use crate::checks::{Fault, Finding, Scene};
use crate::clock::Clock;
use crate::exercises::{Build, CheckSpec, Exercise};
use crate::report::{EngineReport, Evidence, ImageReport, Phase, Report, Verdict};
use crate::sandbox::{
    BuildError, BuildFailureReason, BuildRequest, Builder, Engine, Image, LogLine, LogSink, Prepared,
    Sandbox, Stack, StackSpec, StartError,
};
use crate::submissions::dockerfile::{BuildKitFeature, Dockerfile};
use crate::submissions::{Answers, Content};

/// What was handed in, as it is graded.
pub struct Handed {
    /// The files; empty where only answers are asked.
    pub content: Content,
    /// The answers; empty where only files are asked.
    pub answers: Answers,
}

/// One grading to be carried out.
pub struct Job<'a> {
    /// Names the grading in the engine's labels.
    pub id: String,
    /// What is asked.
    pub exercise: &'a Exercise,
    /// Brings what was handed in; its time is the phase `fetch`.
    pub fetch: BoxFuture<'a, Result<Handed, Cause>>,
    /// Told of every step.
    pub observer: Observer,
}

/// The outcome of [`grade`]: the report at once, the clean-up when the report is stored.
pub struct Graded {
    /// What was found.
    pub report: Report,
    /// The fault behind a fault verdict.
    pub cause: Option<Cause>,
    sandbox: Option<Sandbox>,
}

impl Graded {
    /// A report that says that nothing could be told, for faults outside of [`grade`].
    #[must_use]
    pub fn from_cause(exercise: &Exercise, cause: Cause, clock: &Clock) -> Self {
        let mut course = Course::new(exercise, Arc::new(|_| ()), clock);
        course.break_rest(cause);
        let (report, cause) = course.into_report();
        Self { report, cause, sandbox: None }
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
/// `engine` may be `None` for exercises that need none (see [`needs_engine`]).
pub async fn grade(job: Job<'_>, engine: Option<&Engine>, clock: &Clock) -> Graded {
    let Job { id, exercise, fetch, observer } = job;
    let mut course = Course::new(exercise, observer.clone(), clock);
    let needed = needs_engine(exercise);
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
            let walk = Walk::new(exercise, observer, clock, sandbox.as_ref());
            walk.phases(&mut course, fetch).await;
        }
    }
    let (report, cause) = course.into_report();
    Graded { report, cause, sandbox }
}

/// Whether anything of this exercise is built or run.
#[must_use]
pub fn needs_engine(exercise: &Exercise) -> bool {
    exercise.build.is_some() || exercise.stack.is_some()
}

/// Values of this grading alone, for `${random}` in definitions: unguessable, so that an answer
/// cannot be baked into an image.
fn variables() -> Variables {
    let random = Alphanumeric.sample_string(&mut rand::rng(), 16).to_lowercase();
    Variables::from([("random".to_owned(), random)])
}

/// What stays the same during one walk through the phases.
struct Walk<'a> {
    exercise: &'a Exercise,
    observer: Observer,
    clock: &'a Clock,
    sandbox: Option<&'a Sandbox>,
    variables: Variables,
    /// Path of the Dockerfile in the content.
    dockerfile: Option<String>,
    /// Build arguments with this grading's values filled in.
    build_args: IndexMap<String, String>,
}

/// What there is to look at so far.
#[derive(Clone, Copy)]
struct View<'a> {
    handed: &'a Handed,
    image: Option<&'a Image>,
    stack: Option<&'a Stack>,
}

/// What stands in the way of the phases that follow.
enum Halt {
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
    ) -> Self {
        let variables = variables();
        let build = exercise.build.as_ref();
        let dockerfile = build.map(dockerfile_path);
        let build_args = build
            .into_iter()
            .flat_map(|build| &build.args)
            .map(|(name, value)| (name.clone(), fill(value, &variables).into_owned()))
            .collect();
        Self { exercise, observer, clock, sandbox, variables, dockerfile, build_args }
    }
}

impl Walk<'_> {
    async fn phases(&self, course: &mut Course<'_>, fetch: BoxFuture<'_, Result<Handed, Cause>>) {
        if let Err(halt) = self.try_phases(course, fetch).await {
            match halt {
                Halt::Student(because, evidence) => course.skip_rest(&because, evidence),
                Halt::Fault(cause) => course.break_rest(cause),
            }
        }
    }

    async fn try_phases(
        &self,
        course: &mut Course<'_>,
        fetch: BoxFuture<'_, Result<Handed, Cause>>,
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
            let handed = fetch.await.map_err(Halt::Fault)?;
            self.read(course, &handed).await;
            let image = self.build(course, &handed).await?;
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
        let start = async {
            match prepared {
                Some(prepared) => prepared.start(&image, self.log_sink(), &inspected).await.map(Some),
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
        let view = View { handed: &handed, image: Some(&found), stack: stack.as_ref() };
        let stopwatch = self.clock.stopwatch();
        let run_time = self.exercise.limits.run_time;
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
            stack.iter().flat_map(Stack::services).any(|service| service.output().truncated);
        Ok(())
    }

    async fn read(&self, course: &mut Course<'_>, handed: &Handed) {
        course.begin(Phase::Read);
        let view = View { handed, image: None, stack: None };
        self.side_by_side(course, Phase::Read, view, None).await;
    }

    /// Builds the image under test. `None` where the exercise builds nothing.
    async fn build(&self, course: &mut Course<'_>, handed: &Handed) -> Result<Option<String>, Halt> {
        let (Some(build), Some(sandbox)) = (&self.exercise.build, self.sandbox) else {
            return Ok(None);
        };
        course.begin(Phase::Build);
        let (request, only_buildkit) = self.build_request(build, &handed.content)?;
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
                Ok(Some(done.image))
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
    fn build_request(
        &self,
        build: &Build,
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
        let only_buildkit = dockerfile.needs_buildkit();
        let request = BuildRequest {
            context: tree.build_context(&build.dockerfile).tar(),
            dockerfile: build.dockerfile.clone(),
            target: build.target.clone(),
            bases: dockerfile.images(&self.build_args),
            needs_buildkit: only_buildkit.is_some(),
            args: self.build_args.clone(),
            internet: build.internet,
        };
        Ok((request, only_buildkit))
    }

    /// The stack with this grading's values filled in; `None` where no check looks at one.
    fn stack_spec(&self) -> Option<StackSpec> {
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
            for argument in service.command.iter_mut().chain(service.entrypoint.iter_mut()).flatten() {
                *argument = self.fill(argument);
            }
        }
        Some(spec)
    }

    /// The services whose processes checks will look at while they run.
    fn inspected<'s>(&'s self, stack: &'s StackSpec) -> HashSet<&'s str> {
        let checks = self.exercise.checks.iter();
        checks
            .flat_map(|check| check.kind.inspects())
            .filter_map(|name| name.or_else(|| stack.main_service()))
            .collect()
    }

    fn fill(&self, text: &str) -> String {
        fill(text, &self.variables).into_owned()
    }

    fn log_sink(&self) -> LogSink {
        let observer = self.observer.clone();
        Arc::new(move |line: LogLine| observer(Step::Log(line)))
    }

    fn scene<'s>(&'s self, id: &'s str, view: View<'s>) -> Scene<'s> {
        Scene {
            id,
            content: &view.handed.content,
            answers: &view.handed.answers,
            dockerfile: self.dockerfile.as_deref(),
            build_args: &self.build_args,
            target: self.exercise.build.as_ref().and_then(|build| build.target.as_deref()),
            image: view.image,
            stack: view.stack,
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
                "check `{}` did not fit into the run time of {} s; raise limits.run_time or shorten the checks",
                check.id,
                self.exercise.limits.run_time.as_secs()
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

/// What the submission consists of, as evidence for a file that was not found.
fn listing(content: &Content) -> Evidence {
    const SHOWN: usize = 40;
    let entries = content.entries();
    let mut lines: Vec<String> =
        entries.keys().take(SHOWN).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    if entries.len() > SHOWN {
        lines.push(format!("… and {} more", entries.len() - SHOWN));
    }
    Evidence { title: "What was handed in".into(), text: lines.join("\n") }
}
