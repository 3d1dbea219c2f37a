//! Event streams: nothing missed, nothing twice, nothing told that must not be told.

use std::time::Duration;

use drydock::live::Event;
use drydock::report::Phase;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::app::{App, Database, FILES, Received, SECRET, log, report};
use crate::on_both;

fn events_of(grading: uuid::Uuid) -> String {
    format!("/api/v1/gradings/{grading}/events")
}

fn numbers(events: &[Received]) -> Vec<i64> {
    events.iter().filter_map(|event| event.id.as_ref()?.parse().ok()).collect()
}

async fn a_watcher_misses_nothing(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let (_, grading) = app.submit(&student, FILES).await;
    let path = events_of(grading.id);

    let mut early = student.stream(&path, None).await;
    assert_eq!(early.headers()["content-type"], "text/event-stream");
    let waiting = early.next().await.unwrap();
    assert_eq!((waiting.name.as_str(), waiting.id), ("queued", None));
    assert_eq!(serde_json::from_str::<Value>(&waiting.data).unwrap()["place_in_queue"], 0);

    let claim = app.runner().claim().await;
    let recorder = app.runner().record(&claim);
    recorder.emit(Event::PhaseStarted { phase: Phase::Read });
    recorder.log("build", log("one"));
    recorder.flush().await.unwrap();
    let first = [early.next().await.unwrap(), early.next().await.unwrap(), early.next().await.unwrap()];
    assert_eq!(first.each_ref().map(|event| event.name.as_str()), ["started", "phase_started", "log"]);
    assert_eq!(numbers(&first), [1, 2, 3]);

    // The line drops; meanwhile it goes on.
    drop(early);
    recorder.emit(Event::PhaseFinished { phase: Phase::Read, seconds: 0.1 });
    recorder.flush().await.unwrap();
    let mut back = student.stream(&path, Some(3)).await;
    let fourth = back.next().await.unwrap();
    assert_eq!((fourth.name.as_str(), fourth.id.as_deref()), ("phase_finished", Some("4")));
    recorder.finish(&report(&claim.submission, true), None, 0.5).await.unwrap();
    let rest = back.rest().await;
    assert_eq!(rest.last().unwrap().name, "finished");
    assert_eq!(numbers(&rest), (5..=4 + i64::try_from(rest.len()).unwrap()).collect::<Vec<_>>());

    // Somebody who comes when all is over gets all of it, in order, and then the end.
    let late = student.stream(&path, None).await.rest().await;
    assert_eq!(numbers(&late), (1..=i64::try_from(late.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(late.last().unwrap().name, "finished");
    let after = student.stream(&format!("{path}?after=3"), None).await.rest().await;
    assert_eq!(numbers(&after).first(), Some(&4));
    // The header of a browser that comes back is newer than the address of the page.
    let both = student.stream(&format!("{path}?after=1"), Some(3)).await.rest().await;
    assert_eq!(numbers(&both).first(), Some(&4));

    // With nothing more to tell, the answer that keeps a browser from coming back.
    let last = numbers(&late).last().copied().unwrap();
    let over = student.request(Method::GET, &path).header("last-event-id", last).send().await.unwrap();
    assert_eq!(over.status(), StatusCode::NO_CONTENT);
    student.get(&format!("{path}?after={last}")).await.assert(StatusCode::NO_CONTENT);
    let wrong = student.request(Method::GET, &path).header("last-event-id", "x").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    app.stop().await;
}

on_both!(a_watcher_misses_nothing);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_streamed_to_trainers_only() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let (submission, grading) = app.submit(&student, FILES).await;
    let page = format!("/submissions/{}/events", submission.id);
    let mut pages = (student.stream(&page, None).await, trainer.stream(&page, None).await);
    app.runner().grade(false).await;
    let text = |events: Vec<Received>| events.into_iter().map(|event| event.data).collect::<String>();

    let path = events_of(grading.id);
    let (seen, full) =
        (student.stream(&path, None).await.rest().await, trainer.stream(&path, None).await.rest().await);
    assert_eq!(seen.len(), full.len());
    assert!(!text(seen).contains(SECRET));
    assert!(text(full).contains(SECRET));
    let (seen, full) = (text(pages.0.until_done().await), text(pages.1.until_done().await));
    assert!(!seen.contains(SECRET), "the page's stream tells: {seen}");
    assert!(full.contains(SECRET));
    // What students wrote comes as text, not as markup.
    for stream in [&seen, &full] {
        assert!(!stream.contains("<script>alert"), "{stream}");
        assert!(!stream.contains("<b>bold</b>"), "{stream}");
        assert!(!stream.contains('\u{202e}'), "{stream}");
        assert!(!stream.contains('\u{1b}') && !stream.contains("\\u001b"), "{stream}");
    }
    let answer = student.get(&format!("/submissions/{}", submission.id)).await;
    assert!(!answer.text.contains(SECRET), "the page tells");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_another_attempt() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let (_, grading) = app.submit(&student, FILES).await;
    let mut stream = student.stream(&events_of(grading.id), None).await;
    assert_eq!(stream.next().await.unwrap().name, "queued");
    let claim = app.runner().claim().await;
    app.runner().record(&claim).retry("the engine went away", Duration::ZERO).await.unwrap();
    let mut names = Vec::new();
    while names.last().map(String::as_str) != Some("queued") {
        let event = stream.next().await.unwrap();
        assert!(!event.data.contains("engine"), "internals are not for students: {}", event.data);
        names.push(event.name);
    }
    assert_eq!(names, ["started", "retrying", "queued"]);
    app.runner().grade(true).await;
    assert_eq!(stream.rest().await.last().unwrap().name, "finished");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_server_and_are_bounded() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let (_, grading) = app.submit(&student, FILES).await;
    let path = events_of(grading.id);
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(student.stream(&path, None).await);
    }
    assert_eq!(app.state.streams.open(), 16);
    let one_too_many = student.get(&path).await;
    one_too_many.assert(StatusCode::TOO_MANY_REQUESTS).assert_says("Close some of them");
    assert_eq!(one_too_many.header("retry-after"), "15");
    // A stream that is closed makes room.
    streams.truncate(10);
    let freed = async {
        while app.state.streams.open() > 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("closed streams are let go");
    streams.push(student.stream(&path, None).await);
    let metrics = app.visitor().get("/metrics").await;
    metrics.assert_says("drydock_event_streams 11").assert_says("drydock_queue_depth 1");

    let stopped = app.stop();
    let ends = async {
        for stream in streams {
            stream.rest().await;
        }
    };
    tokio::join!(stopped, ends);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grid_streams_what_changes() {
    let app = App::start().await;
    let student = app.student("Ada & <i>Lovelace</i>").await;
    let trainer = app.trainer("Dora").await;
    let grid = format!("/cohorts/{}/grid", app.cohort.id);
    let page = trainer.get(&grid).await;
    page.assert(StatusCode::OK).assert_says("Ada &#38; &#60;i&#62;Lovelace");
    let mut stream = trainer.stream(&format!("{grid}/events"), None).await;
    app.submit(&student, FILES).await;
    let mut seen = String::new();
    while !seen.contains("Lovelace") {
        seen.push_str(&stream.next().await.expect("the grid goes on").data);
    }
    assert!(!seen.contains("<i>Lovelace"), "{seen}");
    app.runner().grade(true).await;
    drop(stream);
    app.stop().await;
}
