//! A worker without an engine: finishes gradings through leases, with reports that a test makes up.

use std::time::Duration;

use drydock::live::{Event, Line, Live, Recorder};
use drydock::report::{
    CheckReport, EngineReport, Evidence, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict,
};
use drydock::store::{Claim, Store, Submission};

use super::SECRET;

/// Finishes gradings through leases, as a worker does, with reports that the test makes up.
pub struct Runner {
    store: Store,
    live: Live,
}

impl Runner {
    pub fn new(store: Store, live: Live) -> Self {
        Self { store, live }
    }

    /// Claims the next grading.
    pub async fn claim(&self) -> Claim {
        self.store.claim("runner", Duration::from_mins(1)).await.unwrap().expect("something to claim")
    }

    /// Begins to write down what happens in a claimed grading.
    pub fn record(&self, claim: &Claim) -> Recorder {
        self.live.record(&claim.lease)
    }

    /// Claims the next grading and takes it from the first event to its verdict.
    pub async fn grade(&self, passed: bool) -> Claim {
        let claim = self.claim().await;
        let report = report(&claim.submission, passed);
        let recorder = self.record(&claim);
        recorder.emit(Event::PhaseStarted { phase: Phase::Read });
        recorder.log("build", log("\u{1b}[32mgreen\u{1b}[0m <b>bold</b>"));
        for check in &report.checks {
            recorder.emit(Event::Outcome { check: Box::new(check.clone()) });
        }
        recorder.emit(Event::PhaseFinished { phase: Phase::Read, seconds: 0.5 });
        recorder.finish(&report, None, 0.5).await.unwrap();
        claim
    }
}

pub fn log(text: &str) -> Line {
    Line { text: text.to_owned(), stderr: false }
}

/// A report on [`super::FILES`] in which the hidden check failed, or everything passed.
pub fn report(submission: &Submission, passed: bool) -> Report {
    let outcome = if passed { OutcomeKind::Passed } else { OutcomeKind::Failed };
    let check = |id: &str, outcome: OutcomeKind, possible: u32, hidden: bool, expected: &str| CheckReport {
        id: id.to_owned(),
        kind: "file".to_owned(),
        title: format!("The check {id}"),
        outcome,
        points: Points { earned: if outcome == OutcomeKind::Passed { possible } else { 0 }, possible },
        expected: expected.to_owned(),
        observed: "a <script>alert(1)</script> and \u{202e}txt.exe".to_owned(),
        evidence: vec![Evidence { title: "word.txt".into(), text: "</pre><img src=x>".into() }],
        reproduce: Some(format!("grep {expected} word.txt")),
        hint: Some("It was in the talk.".to_owned()),
        explain: None,
        hidden,
        hint_points: 0,
        review: None,
        overridden: None,
        seconds: 0.01,
    };
    let checks = vec![
        check("says-hello", OutcomeKind::Passed, 2, false, "hello"),
        check("knows-word", outcome, 1, true, SECRET),
    ];
    let (verdict, points) = Report::judge(&checks, Verdict::PlatformFault);
    Report {
        exercise: submission.exercise.clone(),
        exercise_version: submission.exercise_version.clone(),
        verdict,
        points,
        checks,
        phases: vec![PhaseReport { name: Phase::Read, seconds: 0.5 }],
        log_truncated: false,
        image: None,
        engine: Some(EngineReport { version: "20.10".into(), runtime: "runc".into(), builder: None }),
    }
}
