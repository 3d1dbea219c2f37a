//! The phases of a grading in which the submission's own compose file runs.
//!
//! `submissions::compose` reads and judges it; here its model becomes a stack of the sandbox, field by field:
//! what has no field there does not reach the engine. Services of the exercise's own stand beside it. Builds go
//! one after another, each within the bounds of the exercise and all together within its time.

mod build;
mod companions;
mod plan;

use futures::future::BoxFuture;

use super::course::{Cause, Course, Step};
use super::grade::{Halt, Handed, View, Walk, listing};
use crate::exercises::ComposeRun;
use crate::report::{Evidence, Phase};
use crate::sandbox::{LogLine, MOST_CONTAINERS, Sandbox, StartError};
use crate::submissions::Content;
use crate::submissions::compose::{self, Options, model};
use plan::Plan;

impl Walk<'_> {
    /// Fetches, reads, builds, starts and looks.
    pub(super) async fn compose_phases(
        &self,
        run: &ComposeRun,
        course: &mut Course<'_>,
        fetch: BoxFuture<'_, Result<Handed, Halt>>,
    ) -> Result<(), Halt> {
        course.begin(Phase::Fetch);
        let handed = fetch.await?;
        self.read(course, &handed).await;
        let lives = course.has(Phase::Run) || course.has(Phase::Disturb);
        let (true, Some(sandbox)) = (lives, self.sandbox) else { return Ok(()) };
        let plan = self.plan(run, course, &handed.content, sandbox)?;
        self.look_up_images(&plan, sandbox).await?;

        course.begin(Phase::Build);
        let built = async {
            let within = sandbox.limits().build_time;
            let building = self.build_all(course, &plan, &handed.content, sandbox);
            tokio::time::timeout(within, building).await.unwrap_or_else(|_| {
                let seconds = within.as_secs();
                let sentence = format!(
                    "The images of the services took longer to build than the {seconds} s they have together."
                );
                Err(Halt::Student(sentence, None))
            })
        };
        let prepared = async { sandbox.prepare(&plan.spec).await.map_err(Halt::from) };
        let (prepared, images) = tokio::try_join!(prepared, built)?;

        course.begin(Phase::Run);
        let inspected = self.inspected(&plan.spec);
        let prepared = prepared.with_folders(plan.folders).with_images(images);
        let stack = prepared.start("", self.log_sink(), &inspected).await.map_err(|error| match error {
            StartError::Refused { service, sentence }
                if plan.spec.services.get(&service).is_some_and(|service| service.companion) =>
            {
                let cause = format!("the service `{service}` of the exercise cannot be started: {sentence}");
                Halt::Fault(Cause::exercise(cause))
            }
            StartError::Refused { service, sentence } => {
                Halt::Student(format!("The service `{service}` cannot be started: {sentence}"), None)
            }
            StartError::Platform(error) => error.into(),
        })?;
        self.live(course, View { handed: &handed, image: None, stack: Some(&stack) }, sandbox).await;
        Ok(())
    }

    /// Reads the compose file and says what it becomes. What is run in another way than it is written stands
    /// in the report, whatever comes of it; what may not run stops here.
    fn plan(
        &self,
        run: &ComposeRun,
        course: &mut Course<'_>,
        content: &Content,
        sandbox: &Sandbox,
    ) -> Result<Plan, Halt> {
        let limits = sandbox.limits();
        let options = Options {
            file: run.file.clone(),
            name: "submission".into(),
            profiles: run.profiles.clone(),
            capabilities: run.capabilities.clone(),
            limits: model::Limits {
                memory_bytes: Some(limits.memory_bytes),
                cpu_millis: Some(limits.cpu_millis),
                pids: Some(limits.pids),
            },
            platform: Some(sandbox.platform().to_owned()),
        };
        let reading = compose::read(content, &options);
        for finding in &reading.findings {
            let line = LogLine { source: "compose".into(), stderr: false, text: finding.to_string() };
            (self.observer)(Step::Log(line));
        }
        let found = Evidence {
            title: "What was found in the compose file".into(),
            text: compose::page(&reading.findings),
        };
        let mut stops = reading.findings.iter().filter(|finding| finding.kind.stops());
        if let Some(first) = stops.next() {
            let proof = if reading.files.is_empty() { listing(content) } else { found };
            let more = match stops.count() {
                0 => String::new(),
                1 => " One more thing stops it; all are in the evidence.".into(),
                more => format!(" {more} more things stop it; all are in the evidence."),
            };
            return Err(Halt::Student(format!("The compose file cannot be run: {first}{more}"), Some(proof)));
        }
        if !found.text.is_empty() {
            course.remark(found);
        }
        let mut plan = plan::plan(&reading.project, run, content)?;
        let own = plan.spec.containers();
        if let Some(companions) = self.stack_spec() {
            companions::add(&mut plan, companions, content)?;
        }
        let most = MOST_CONTAINERS.saturating_sub(plan.spec.containers() - own);
        if own > most {
            let sentence = format!("The project has {own} containers, and at most {most} run here.");
            return Err(Halt::Student(sentence, None));
        }
        Ok(plan)
    }

    /// Whether each image that is not built is there and may be used.
    async fn look_up_images(&self, plan: &Plan, sandbox: &Sandbox) -> Result<(), Halt> {
        // Whether an image of the exercise's own is there is a matter of ours.
        let named = plan
            .spec
            .services
            .iter()
            .filter(|(name, service)| !service.companion && !plan.builds.contains_key(*name));
        for (name, service) in named {
            let image = service.image.as_deref().unwrap_or_default();
            if let Err(sentence) = sandbox.look_up(image, self.log_sink()).await? {
                return Err(Halt::Student(
                    format!("The service `{name}` cannot be started: {sentence}"),
                    None,
                ));
            }
        }
        Ok(())
    }
}
