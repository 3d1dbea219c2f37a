//! What is handed in is graded by the checks themselves, as a worker does it, without an engine.

use drydock::clock::Clock;
use drydock::grading::worker::{Grader, NotReady};
use drydock::grading::{Graded, Handed, Job, Step, grade};
use drydock::live::Event;
use drydock::submissions::Content;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::app::App;

/// Grades whatever is queued.
pub async fn grade_queued(app: &App) {
    let claim = app.runner().claim().await;
    let submission = &claim.submission;
    let version = &claim.grading.exercise_version;
    let exercise = app.state.shelf.version(&submission.exercise, version).await.unwrap();
    let content = match &submission.content_sha256 {
        None => Content::empty(),
        Some(sha256) => app.store().content(sha256).await.unwrap(),
    };
    let handed = Handed::new(content, submission.answers.clone());
    let recorder = app.runner().record(&claim);
    let observer = {
        let recorder = recorder.clone();
        std::sync::Arc::new(move |step| match step {
            Step::PhaseStarted(phase) => recorder.emit(Event::PhaseStarted { phase }),
            Step::PhaseFinished(phase, seconds) => recorder.emit(Event::PhaseFinished { phase, seconds }),
            Step::Outcome(check) => recorder.emit(Event::Outcome { check }),
            Step::Log(_) => (),
        })
    };
    let hints = app.store().hints_before(submission.id).await.unwrap();
    let job = Job {
        id: claim.grading.id.to_string(),
        exercise: &exercise,
        fetch: async move { Ok(handed) }.boxed(),
        observer,
        hints,
        measured: false,
        trusted: false,
    };
    let graded = grade(job, None, &app.clock).await;
    recorder.finish(&graded.report, None, 0.1).await.unwrap();
}

/// Carries out gradings that need no engine; `away` says that there is none.
pub struct NoEngine {
    pub clock: Clock,
    pub away: bool,
}

impl Grader for NoEngine {
    fn grade<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Graded> {
        grade(job, None, &self.clock).boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), NotReady>> {
        let ready = if self.away { Err(NotReady::Away("nobody answers".into())) } else { Ok(()) };
        async move { ready }.boxed()
    }

    fn describe(&self) -> Option<String> {
        None
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
