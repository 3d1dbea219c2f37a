//! Gradings in every state, written down as a worker would have.

use std::time::Duration;

use drydock::exercises::Exercise;
use drydock::live::{Event, Line};
use drydock::report::{CheckReport, Evidence, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict};
use drydock::store::Claim;

use super::class::Class;

impl Class {
    /// Writes down what a worker would have.
    #[expect(clippy::too_many_lines, reason = "a story told from its beginning to its end")]
    pub async fn grade(&self, claim: &Claim, exercise: &Exercise, outcome: char) {
        let recorder = self.state.live.record(&claim.lease);
        let phase = |phase, seconds| {
            recorder.emit(Event::PhaseStarted { phase });
            recorder.emit(Event::PhaseFinished { phase, seconds });
        };
        let line = |text: &str| Line { text: text.into(), stderr: false };
        phase(Phase::Fetch, 0.008);
        phase(Phase::Read, 0.002);
        let steps =
            ["FROM python:3.13-slim", "WORKDIR /srv", "COPY app.py .", "EXPOSE 8080", "USER 1000:1000"];
        for (index, step) in steps.iter().enumerate() {
            recorder.log("build", line(&format!("\u{1b}[34mStep {}/5 : {step}\u{1b}[0m", index + 1)));
            recorder.log("build", line(" ---> Using cache <i>"));
        }
        if outcome == 'a' {
            recorder
                .retry("the engine at /var/run/docker.sock does not answer", Duration::from_hours(1))
                .await
                .unwrap();
            return;
        }
        let mut checks = Vec::new();
        for (index, spec) in exercise.checks.iter().enumerate() {
            let kind = match (outcome, index) {
                ('u', 1..) => OutcomeKind::Skipped,
                ('f' | 'r' | 's', 1) | ('u', 0) => OutcomeKind::Failed,
                ('f', 0) if exercise.checks.len() == 1 => OutcomeKind::Failed,
                ('t', _) => OutcomeKind::Broken,
                ('w', _) if index + 1 == exercise.checks.len() => OutcomeKind::Waiting,
                _ => OutcomeKind::Passed,
            };
            let earned = if kind == OutcomeKind::Passed { spec.points } else { 0 };
            checks.push(CheckReport {
                id: spec.id.clone(),
                kind: spec.kind.name().into(),
                title: spec.title.clone(),
                outcome: kind,
                points: Points { earned, possible: spec.points },
                expected: if kind == OutcomeKind::Skipped {
                    String::new()
                } else {
                    "status 200, body contains `hello-7f3a`".into()
                },
                observed: match kind {
                    OutcomeKind::Passed => "status 200, body `hello-7f3a`".into(),
                    OutcomeKind::Skipped => "not tried, because the image could not be built".into(),
                    OutcomeKind::Broken => {
                        "Our container engine stopped answering while this was checked.".into()
                    }
                    OutcomeKind::Waiting => "23 words, which a trainer reads".into(),
                    OutcomeKind::Failed => "connection refused on port 8080 within 10 s <script>".into(),
                },
                evidence: match kind {
                    OutcomeKind::Skipped | OutcomeKind::Waiting => Vec::new(),
                    _ => vec![Evidence {
                        title: "Listening sockets".into(),
                        text: "tcp  127.0.0.1:8080  python app.py\n".into(),
                    }],
                },
                reproduce: (kind == OutcomeKind::Failed)
                    .then(|| "docker run --rm -e GREETING=hello-7f3a -p 8080:8080 my-image".into()),
                hint: None,
                explain: spec.explain.clone(),
                hidden: false,
                hint_points: 0,
                review: None,
                overridden: None,
                seconds: 0.02,
            });
        }
        if outcome == 'r' {
            phase(Phase::Build, 0.058);
            recorder.emit(Event::PhaseStarted { phase: Phase::Run });
            recorder.log("app", line("listening on 127.0.0.1:8080"));
            for check in checks.into_iter().take(2) {
                recorder.emit(Event::Outcome { check: Box::new(check) });
            }
            recorder.flush().await.unwrap();
            return;
        }
        let (verdict, points) = Report::judge(&checks, Verdict::PlatformFault);
        let mut phases = vec![(Phase::Fetch, 0.008), (Phase::Read, 0.002)];
        if exercise.build.is_some() {
            phases.push((Phase::Build, 0.058));
            if outcome != 'u' {
                phases.extend([(Phase::Image, 0.003), (Phase::Run, 0.31), (Phase::Disturb, 0.1)]);
            }
        }
        let report = Report {
            exercise: exercise.slug.clone(),
            exercise_version: exercise.version.clone(),
            verdict,
            points,
            checks: checks.clone(),
            phases: phases.into_iter().map(|(name, seconds)| PhaseReport { name, seconds }).collect(),
            log_truncated: false,
            image: None,
            engine: None,
        };
        for check in checks {
            recorder.emit(Event::Outcome { check: Box::new(check) });
            if outcome == 's' {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
        let fault = (outcome == 't').then_some("unexpected EOF from /containers/4f/wait");
        recorder.finish(&report, fault, 0.4).await.unwrap();
    }

    /// Grades whatever waits, slowly enough to watch.
    pub async fn grade_slowly(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let Some(claim) = self.state.store.claim("class", Duration::from_hours(1)).await.unwrap() else {
                continue;
            };
            let submission = &claim.submission;
            let exercise =
                self.state.shelf.version(&submission.exercise, &submission.exercise_version).await.unwrap();
            self.grade(&claim, &exercise, 's').await;
        }
    }
}
