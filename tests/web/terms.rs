//! Dates, attempts, what comes late and what is kept back: set by a trainer, told to students.

use chrono::{DateTime, TimeDelta, Utc};
use drydock::clock::Clock;
use drydock::terms::Terms;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, Client, Database, FILES, SECRET, zip};
use crate::graded::grade_queued;
use crate::on_both;

fn field(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M").to_string()
}

async fn hand_in(app: &App, student: &Client, content: &[u8]) -> crate::app::Answer {
    let path = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    student.send_raw(Method::POST, &path, "application/zip", zip(&[("hello.txt", content)])).await
}

async fn from_the_trainers_form_to_the_student(database: Database) {
    let clock = Clock::manual("2026-03-01T08:00:00Z".parse().unwrap());
    let app = App::with(database, clock.clone(), |_, _| ()).await;
    let (student, trainer) = (app.student("Ada").await, app.trainer("Dora").await);
    let cohort = app.cohort.id;
    let (dates, board) = (format!("/cohorts/{cohort}/dates"), format!("/cohorts/{cohort}"));
    let exercise = format!("/cohorts/{cohort}/exercises/{FILES}");
    trainer.get(&dates).await.assert(StatusCode::OK).assert_says("All times here are UTC");

    // What cannot be is told on the page, with what was typed.
    for (name, value, sentence) in [
        ("due_at", "tomorrow", "is no date and time"),
        ("attempts", "many", "is no whole number"),
        ("attempts", "1001", "At most 1000 attempts"),
        ("closes_at", "2026-02-01T08:00", "It closes before it is due"),
        ("late", "never", "is no way to treat"),
    ] {
        let mut fields = vec![("exercise", ""), ("due_at", "2026-03-02T08:00")];
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        let refused = trainer.form(&dates, &fields).await;
        refused
            .assert(StatusCode::UNPROCESSABLE_ENTITY)
            .assert_says(sentence)
            .assert_says(&format!("value=\"{}\"", if name == "late" { "2026-03-02T08:00" } else { value }));
    }
    assert_eq!(app.store().terms(cohort).await.unwrap().all, Terms::default(), "nothing was stored");
    trainer.form(&dates, &[("exercise", "no-such")]).await.assert(StatusCode::NOT_FOUND);

    let now = clock.now();
    let opens = field(now + TimeDelta::hours(1));
    let due = field(now + TimeDelta::days(2));
    let fields = [
        ("exercise", ""),
        ("opens_at", opens.as_str()),
        ("due_at", due.as_str()),
        ("late", "per_day"),
        ("percent", "25"),
        ("floor", "50"),
        ("attempts", "2"),
        ("cooldown_minutes", "10"),
    ];
    trainer.form(&dates, &fields).await.assert_redirect(&dates);
    trainer.get(&dates).await.assert_says("−25 % a day, 50 % stay").assert_says("2 attempts, 10 min apart");

    student.get(&board).await.assert_says("opens <time").assert_says("2 attempts left");
    student.get(&exercise).await.assert_says("This exercise opens on 1 Mar 2026, 09:00 UTC, in 1 h");
    let early = hand_in(&app, &student, b"hello").await;
    early.assert(StatusCode::CONFLICT).assert_says("opens on 1 Mar 2026, 09:00 UTC");

    clock.advance(std::time::Duration::from_hours(2));
    student.get(&exercise).await.assert_says("0 of 2 attempts used").assert_says("each day late takes 25 %");
    hand_in(&app, &student, b"silence").await.assert(StatusCode::ACCEPTED);
    grade_queued(&app).await;
    let soon = hand_in(&app, &student, b"hello").await;
    soon.assert(StatusCode::TOO_MANY_REQUESTS).assert_says("Your next attempt is taken in 10 min");
    assert_eq!(soon.header("retry-after"), "600");
    student.get(&exercise).await.assert_says("1 of 2 attempts used").assert_says("Next attempt <time");
    student.get(&board).await.assert_says("1 attempt left");

    // A day and a bit late: half of it counts.
    clock.advance(std::time::Duration::from_hours(24 * 3));
    let client = app.client_of(student.person()).await;
    client.get(&exercise).await.assert_says("What you hand in now is 2 days late: 50 % of the points count");
    let sent = hand_in(&app, &client, b"hello").await.assert(StatusCode::ACCEPTED).json();
    assert_eq!(sent["late"], json!({"days": 2, "percent": 50}));
    grade_queued(&app).await;
    let page = format!("/submissions/{}", sent["id"].as_str().unwrap());
    client.get(&page).await.assert_says("2 days late: 50 % of the points count, 1 of 3");
    client.get(&board).await.assert_says("1 / 3");
    let trainer = app.client_of(trainer.person()).await;
    trainer.get(&format!("/cohorts/{cohort}/grid")).await.assert_says("not yet, 2 of 3, 2 days late: 50 %");
    hand_in(&app, &client, b"hello").await.assert(StatusCode::CONFLICT).assert_says("all 2 attempts");

    // One exercise may have its own, here and by the API.
    let own = [("exercise", FILES), ("attempts", "0"), ("cooldown_minutes", "0")];
    trainer.form(&dates, &own).await.assert_redirect(&dates);
    trainer.get(&dates).await.assert_says("own dates").assert_says("any number");
    hand_in(&app, &client, b"hello").await.assert(StatusCode::ACCEPTED);
    let program = app.program_of(trainer.person()).await;
    let api = format!("/api/v1/cohorts/{cohort}/terms");
    let known = program.get(&api).await.json();
    assert_eq!(known["all"]["late"], json!({"policy": "per_day", "percent": 25, "floor": 50}));
    assert_eq!(known["exercises"], json!({FILES: {"attempts": 0, "cooldown_minutes": 0}}));
    let new = json!({"exercise": FILES, "terms": {"closes_at": "2026-03-01T00:00:00Z"}});
    let refused = program.post_json(&api, &new).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("before it");
    program.post_json(&api, &json!({"terms": {"due": 1}})).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    program.post_json(&api, &json!({"terms": {}})).await.assert(StatusCode::OK);
    let left = program.post_json(&api, &json!({"exercise": FILES, "terms": {}})).await;
    assert_eq!(left.assert(StatusCode::OK).json(), json!({"all": {}, "exercises": {}}));
    app.stop().await;
}

on_both!(from_the_trainers_form_to_the_student);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_back_is_in_no_answer_to_a_student() {
    let app = App::start().await;
    let (student, trainer) = (app.student("Ada").await, app.trainer("Dora").await);
    let sent = hand_in(&app, &student, b"silence").await.json();
    grade_queued(&app).await;
    let (page, grading) = (
        format!("/submissions/{}", sent["id"].as_str().unwrap()),
        format!("/api/v1/gradings/{}", sent["grading"]["id"].as_str().unwrap()),
    );
    let expected = student.get(&grading).await.json()["checks"][0]["expected"].as_str().unwrap().to_owned();
    assert!(!expected.is_empty());
    let dates = format!("/cohorts/{}/dates", app.cohort.id);
    trainer.form(&dates, &[("exercise", FILES), ("hide_expected", "true")]).await.assert_redirect(&dates);
    let program = app.program_of(student.person()).await;
    for answer in [
        student.get(&page).await.text,
        student.get(&grading).await.text,
        program.get(&format!("/api/v1{page}")).await.text,
        student.get(&format!("{grading}/events")).await.text,
    ] {
        assert!(!answer.contains("\"expected\":\"hello") && !answer.contains(SECRET), "{answer}");
    }
    let seen = student.get(&grading).await.json();
    assert_eq!((&seen["checks"][0]["expected"], &seen["checks"][0]["hidden"]), (&json!(""), &json!(true)));
    assert_ne!(seen["checks"][0]["observed"], "", "what was observed stays");
    student.get(&page).await.assert_says("kept back");
    let told = trainer.get(&grading).await.json();
    assert_eq!(told["checks"][0]["expected"], expected.as_str(), "trainers see everything");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_changes_the_cohort_itself() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let (dates, settings) =
        (format!("/cohorts/{}/dates", app.cohort.id), format!("/cohorts/{}/settings", app.cohort.id));
    let refused = trainer.form(&settings, &[("change", "rename"), ("name", " ")]).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY);
    trainer.form(&settings, &[("change", "burn")]).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    trainer.form(&settings, &[("change", "rename"), ("name", "Crew <i>2</i>")]).await.assert_redirect(&dates);
    trainer.get(&dates).await.assert_says("Crew &#60;i&#62;2");
    trainer.form(&settings, &[("change", "code")]).await.assert_redirect(&dates);
    let code = app.store().cohort(app.cohort.id).await.unwrap().join_code;
    assert_ne!(code, app.cohort.join_code);
    trainer.get(&dates).await.assert_says(&code);
    trainer.form(&settings, &[("change", "close")]).await.assert_redirect(&dates);
    trainer.get(&dates).await.assert_says("Closed since").assert_says("Open again");
    trainer.form(&settings, &[("change", "open")]).await.assert_redirect(&dates);
    assert_eq!(app.store().cohort(app.cohort.id).await.unwrap().closed_at, None);
    app.stop().await;
}
