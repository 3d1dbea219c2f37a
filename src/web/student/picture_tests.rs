//! The picture as a whole: what an open page is told adds up to what a fresh one shows.

use super::picture::{Audience, LOG_LINES, Outline, Picture, Planned};
use crate::live::{Event, Line};
use crate::report::{CheckReport, Evidence, OutcomeKind, Phase, PhaseReport, Points, Report, Verdict};
use crate::web::update::Patch;

const SECRET: &str = "hello-7f3a";

fn outline() -> Outline {
    let planned = |id: &str, title: &str, points, phase, hints: &[&str]| Planned {
        id: id.into(),
        title: title.into(),
        points,
        phase,
        hints: hints.iter().map(|hint| (*hint).to_owned()).collect(),
        asked: 0,
        hint_cost: 0,
    };
    Outline {
        checks: vec![
            planned("expose", "EXPOSE documents port 8080", 1, Phase::Read, &[]),
            planned(
                "greets",
                "GET / answers with the greeting",
                2,
                Phase::Run,
                &["Inside a container, `localhost` is the container itself.", "Bind to `0.0.0.0`."],
            ),
            planned("stops", "Stops on SIGTERM within 3 s", 1, Phase::Disturb, &[]),
        ],
        before: None,
    }
}

fn check(id: &str, title: &str, kind: &str, outcome: OutcomeKind, points: Points) -> CheckReport {
    CheckReport {
        id: id.into(),
        kind: kind.into(),
        title: title.into(),
        outcome,
        points,
        expected: format!("status 200, body contains `{}`", if id == "greets" { SECRET } else { "this" }),
        observed: "connection refused on port 8080 within 10 s <script>\u{202e}".into(),
        evidence: vec![
            Evidence { title: "Listening sockets".into(), text: "tcp 127.0.0.1:8080".into() },
            Evidence { title: "Log".into(), text: "line\n".repeat(200) },
        ],
        reproduce: (id == "greets")
            .then(|| format!("docker run --rm -e GREETING={SECRET} -p 8080:8080 my-image")),
        hint: None,
        explain: Some("https://docs.docker.com/".into()),
        hidden: id == "greets",
        hint_points: 0,
        review: None,
        overridden: None,
        seconds: 0.02,
    }
}

fn events() -> Vec<Event> {
    let line = |text: &str| Line { text: text.into(), stderr: false };
    let passed = Points { earned: 1, possible: 1 };
    vec![
        Event::Started { attempt: 1 },
        Event::PhaseStarted { phase: Phase::Fetch },
        Event::PhaseFinished { phase: Phase::Fetch, seconds: 0.008 },
        Event::PhaseStarted { phase: Phase::Read },
        Event::Outcome {
            check: Box::new(check(
                "expose",
                "EXPOSE documents port 8080",
                "image",
                OutcomeKind::Passed,
                passed,
            )),
        },
        Event::PhaseFinished { phase: Phase::Read, seconds: 0.002 },
        Event::PhaseStarted { phase: Phase::Build },
        Event::Log {
            source: "build".into(),
            lines: vec![
                line("\u{1b}[34mStep 1/6 : FROM python:3.13-slim\u{1b}[0m"),
                line(" ---> <d7922b0d5c20>"),
            ],
        },
        Event::PhaseFinished { phase: Phase::Build, seconds: 0.058 },
        Event::PhaseStarted { phase: Phase::Run },
        Event::Log { source: "app".into(), lines: vec![Line { text: "listening".into(), stderr: true }] },
        Event::LogTruncated { source: "app".into() },
        Event::Outcome {
            check: Box::new(check(
                "greets",
                "GET / answers with the greeting",
                "http",
                OutcomeKind::Failed,
                Points { earned: 0, possible: 2 },
            )),
        },
        Event::PhaseFinished { phase: Phase::Run, seconds: 0.3 },
        Event::PhaseStarted { phase: Phase::Disturb },
        Event::Outcome {
            check: Box::new(check(
                "stops",
                "Stops on SIGTERM within 3 s",
                "stops",
                OutcomeKind::Passed,
                passed,
            )),
        },
        Event::PhaseFinished { phase: Phase::Disturb, seconds: 0.1 },
        Event::Finished {
            verdict: Verdict::Failed,
            points: Points { earned: 2, possible: 4 },
            waiting: false,
            seconds: 0.4,
        },
    ]
}

/// The pieces of a page, with the updates of later events put in as a browser does.
#[derive(PartialEq, Debug)]
struct Page {
    verdict: String,
    steps: String,
    checks: Vec<String>,
    log: String,
}

impl Page {
    fn of(picture: &Picture) -> Self {
        Self {
            verdict: picture.verdict().to_string(),
            steps: picture.steps().to_string(),
            checks: picture.checks().iter().map(ToString::to_string).collect(),
            log: picture.log().0,
        }
    }

    fn put(&mut self, picture: &Picture, patch: Patch) {
        let html = patch.html;
        match (patch.id.as_str(), patch.append) {
            ("verdict", false) => self.verdict = html,
            ("steps", false) => self.steps = html,
            ("log", true) => self.log.push_str(&html),
            ("log", false) => self.log = picture.log().0,
            ("checks", false) => self.checks = picture.checks().iter().map(ToString::to_string).collect(),
            (id, false) => {
                let opening = format!("id=\"{id}\"");
                let slot = self.checks.iter_mut().find(|check| check.contains(&opening));
                *slot.unwrap_or_else(|| panic!("no element {id}")) = html;
            }
            (id, true) => panic!("appends to {id}"),
        }
    }
}

#[test]
fn whenever_a_page_is_opened_it_ends_the_same() {
    let events = events();
    let mut whole = Picture::new(outline(), Audience::Student);
    for event in &events {
        whole.apply(event);
    }
    for opened_at in 0..=events.len() {
        let mut picture = Picture::new(outline(), Audience::Student);
        for event in &events[..opened_at] {
            picture.apply(event);
        }
        let mut page = Page::of(&picture);
        for event in &events[opened_at..] {
            for patch in picture.apply(event).patches {
                page.put(&picture, patch);
            }
        }
        assert_eq!(page, Page::of(&whole), "opened after {opened_at} events");
    }
}

#[test]
fn what_a_student_must_not_know_is_not_in_any_piece() {
    let mut picture = Picture::new(outline(), Audience::Student);
    for event in events() {
        for patch in picture.apply(&event).patches {
            assert!(!patch.html.contains(SECRET), "{patch:?}");
        }
    }
    let greets = picture.checks()[1].to_string();
    assert!(!greets.contains(SECRET) && greets.contains("kept back"), "{greets}");

    let mut picture = Picture::new(outline(), Audience::Trainer);
    for event in events() {
        picture.apply(&event);
    }
    assert!(picture.checks()[1].to_string().contains(SECRET));
}

#[test]
fn text_of_strangers_is_escaped_and_visible() {
    let mut picture = Picture::new(outline(), Audience::Trainer);
    for event in events() {
        picture.apply(&event);
    }
    let check = picture.checks()[1].to_string();
    assert!(check.contains("&lt;script&gt;⟨U+202E⟩"), "{check}");
    let (log, cut) = picture.log();
    assert!(log.contains("&lt;d7922b0d5c20&gt;") && log.contains("class=\"a-34\""), "{log}");
    assert!(!cut);
}

#[test]
fn a_new_attempt_forgets_the_last_one() {
    let mut picture = Picture::new(outline(), Audience::Student);
    for event in &events()[..13] {
        picture.apply(event);
    }
    let update = picture.apply(&Event::Retrying { attempt: 2, in_seconds: 10 });
    assert!(update.patches[0].html.contains("did not count"), "{update:?}");
    assert_eq!(update.icon, Some("fault"));
    picture.apply(&Event::Started { attempt: 2 });
    let mut fresh = Picture::new(outline(), Audience::Student);
    fresh.apply(&Event::Started { attempt: 2 });
    assert_eq!(Page::of(&picture), Page::of(&fresh));
    assert!(picture.verdict().to_string().contains("attempt 2"));
}

#[test]
fn the_stored_report_has_the_last_word() {
    let points = Points { earned: 1, possible: 1 };
    let report = Report {
        exercise: "ports-and-env".into(),
        exercise_version: "0".into(),
        verdict: Verdict::PlatformFault,
        points,
        checks: vec![
            check("expose", "EXPOSE documents port 8080", "image", OutcomeKind::Passed, points),
            check("greets", "GET / answers", "http", OutcomeKind::Broken, Points { earned: 0, possible: 2 }),
        ],
        phases: vec![PhaseReport { name: Phase::Read, seconds: 0.002 }],
        log_truncated: false,
        image: None,
        engine: None,
    };
    let mut picture = Picture::new(outline(), Audience::Student);
    picture.settle(&report, Some(3.0));
    assert_eq!(picture.headline(), "This was us; it did not count");
    assert!(picture.verdict().to_string().contains("connection refused"));
    assert_eq!(picture.shape(), crate::web::shape::Shape::Fault);
}

#[test]
fn what_stopped_a_grading_is_marked_and_told_once() {
    let none = Points { earned: 0, possible: 1 };
    let skipped = |id: &str| check(id, id, "http", OutcomeKind::Skipped, none);
    let phase = |name| PhaseReport { name, seconds: 0.1 };
    let report = Report {
        exercise: "ports-and-env".into(),
        exercise_version: "0".into(),
        verdict: Verdict::Failed,
        points: none,
        checks: vec![skipped("greets"), skipped("stops")],
        phases: vec![phase(Phase::Fetch), phase(Phase::Read), phase(Phase::Build)],
        log_truncated: false,
        image: None,
        engine: None,
    };
    let mut picture = Picture::new(outline(), Audience::Student);
    picture.settle(&report, Some(3.0));
    let steps = picture.steps().to_string();
    let shapes: Vec<&str> =
        steps.split("class=\"step-").skip(1).filter_map(|step| step.split('"').next()).collect();
    assert_eq!(shapes, ["passed", "passed", "failed", "skipped", "skipped"]);
    let checks = picture.checks();
    let told = checks.iter().filter(|check| check.to_string().contains("connection refused")).count();
    assert_eq!(told, 1);
}

#[test]
fn the_place_in_the_queue_is_told_until_a_worker_has_it() {
    let mut picture = Picture::new(outline(), Audience::Student);
    assert!(picture.queued(3).patches[0].html.contains("3 before you"));
    assert!(picture.queued(3).is_empty(), "nothing new");
    assert!(picture.queued(0).patches[0].html.contains("Next in the queue"));
    picture.apply(&Event::Started { attempt: 1 });
    assert!(picture.queued(2).is_empty());
}

#[test]
fn a_long_log_is_cut_at_its_beginning() {
    let mut picture = Picture::new(outline(), Audience::Student);
    let batches = LOG_LINES / 10 + 100;
    for batch in 0..batches {
        let lines =
            (0..10).map(|n| Line { text: format!("line {}", batch * 10 + n), stderr: false }).collect();
        picture.apply(&Event::Log { source: "build".into(), lines });
    }
    let (log, cut) = picture.log();
    assert!(cut && log.contains(&format!("line {}<", batches * 10 - 1)) && !log.contains("line 5<"));
    assert!(log.matches("<p").count() < LOG_LINES + 20);
}
