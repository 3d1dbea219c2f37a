//! Commands of a service's own that are run in its containers around their lives, as docker compose runs
//! them: one after another, as `docker exec` does, with no more rights than the container has.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::exec::{Ran, RunSpec};
use super::output::{LogLine, Recorder};
use super::refusal::StartError;
use super::service::Service;
use super::spec::HookSpec;
use crate::text::{cut_middle, visible};

/// The longest that the commands of one moment may take together. The run time of the whole grading bounds
/// them too.
const LONGEST: Duration = Duration::from_secs(30);
/// Lines of its output that are shown where one fails.
const SHOWN_LINES: usize = 5;

impl Service {
    /// Runs what is to be run after each start, and waits for it.
    ///
    /// # Errors
    /// [`StartError::Refused`] where one cannot be run or fails, on which docker compose gives up too.
    pub(super) async fn after_start(&self) -> Result<(), StartError> {
        match self.run_hooks("post_start", &self.spec.post_start).await? {
            None => Ok(()),
            Some(sentence) => Err(StartError::Refused { service: self.name().to_owned(), sentence }),
        }
    }

    /// Runs what is to be run before it is asked to end, unless it has ended. Where one fails, that is told
    /// in the log; the service is stopped all the same, since whoever looks at it wants to see that.
    ///
    /// # Errors
    /// A trouble of ours.
    pub(super) async fn before_stop(&self) -> Result<(), Error> {
        if self.container().is_running()
            && let Some(text) = self.run_hooks("pre_stop", &self.spec.pre_stop).await?
        {
            (self.common.log)(LogLine { source: self.host_name().to_owned(), stderr: true, text });
        }
        Ok(())
    }

    /// Runs them one after another; a sentence about the first that fails, after which none is run.
    async fn run_hooks(&self, moment: &str, hooks: &[HookSpec]) -> Result<Option<String>, Error> {
        let within = LONGEST.min(self.limits.run_time);
        let watch = self.ledger.engine.context.clock.stopwatch();
        for hook in hooks {
            let run = RunSpec {
                command: Some(hook.command.clone()),
                env: hook.env.clone(),
                user: hook.user.clone(),
                workdir: hook.working_dir.clone(),
                within: within.saturating_sub(watch.elapsed()),
                ..RunSpec::default()
            };
            let log = Some(Arc::clone(&self.common.log));
            let recorder = Recorder::new(self.limits.log_bytes, self.host_name(), log);
            let line = cut_middle(&hook.command.join(" "), 200).replace('\n', " ");
            let command = format!("Its `{moment}` command `{}`", visible(&line));
            let ran = match Box::pin(self.exec_recorded(run, recorder)).await {
                Ok(ran) => ran,
                Err(StartError::Refused { sentence, .. }) => {
                    return Ok(Some(format!("{command} cannot be run: {sentence}")));
                }
                Err(StartError::Platform(error)) => return Err(error),
            };
            let how = match ran.exit_code {
                Some(0) => continue,
                Some(code) => format!("ended with exit code {code}"),
                None => format!("did not end within the {} s that such commands have", within.as_secs()),
            };
            return Ok(Some(format!("{command} {how}.{}", last_lines(&ran))));
        }
        Ok(None)
    }
}

fn last_lines(ran: &Ran) -> String {
    let printed = if ran.stderr.trim().is_empty() { &ran.stdout } else { &ran.stderr };
    let lines: Vec<&str> =
        printed.lines().rev().filter(|line| !line.trim().is_empty()).take(SHOWN_LINES).collect();
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!(" It printed: {}", visible(&cut_middle(&lines.join(" / "), 400)).replace('\n', " "))
}
