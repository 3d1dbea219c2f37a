//! A trainer reads an essay: by the page and by the API, until the student sees the points.

use drydock::accounts::Role;
use drydock::report::Verdict;
use drydock::store::CellState;
use reqwest::StatusCode;
use serde_json::json;

use crate::app::{App, Client, Database, EventStream, FILES, QUESTIONS};
use crate::graded::grade_queued;
use crate::on_both;

/// Hands in answers and has them graded; the submission's page.
async fn answer(app: &App, student: &Client, essay: &str) -> String {
    let exercise = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let essay = essay.to_owned();
    let sent = student
        .multipart(&exercise, &format!("{exercise}/submissions"), |form| {
            form.text("answer:shared", "kernel").text("answer:listing", "docker ps").text("answer:why", essay)
        })
        .await;
    let page = sent.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    grade_queued(app).await;
    page
}

async fn from_the_queue_to_the_points(database: Database) {
    let app = App::on(database).await;
    let (ada, bob) = (app.student("Ada").await, app.student("Bob").await);
    let trainer = app.trainer("Dora <b>T.</b>").await;
    let queue = format!("/cohorts/{}/reviews", app.cohort.id);
    trainer.get(&queue).await.assert(StatusCode::OK).assert_says("Nothing waits for you");

    let first = answer(&app, &ada, "It <b>isolates</b> one from the other.").await;
    let second = answer(&app, &bob, "Because.").await;
    ada.get(&first).await.assert_says("Waiting for review: 2 of 2 points so far");
    trainer
        .get(&format!("/cohorts/{}/grid", app.cohort.id))
        .await
        .assert_says("2 for review")
        .assert_says(&queue);
    let listed = trainer.get(&queue).await;
    listed.assert_says("Ada").assert_says("Bob").assert_says("2 submissions, longest waiting first");
    assert!(listed.text.find("Ada") < listed.text.find("Bob"), "who waits longest comes first");
    trainer.get(&first).await.assert_says("Score the answers");

    let review = format!("{first}/review");
    let page = trainer.get(&review).await;
    page.assert(StatusCode::OK).assert_says("Names isolation").assert_says("Passes with 1 of 2 points");
    page.assert_says("It &#60;b&#62;isolates")
        .assert_says("1 more to read")
        .assert_says(&format!("{second}/review"));

    // What cannot be is refused beside what was filled in, and nothing changes.
    for (score, sentence) in
        [("", "has no points yet"), ("x", "is no number"), ("3", "worth 2 points at most, not 3")]
    {
        let refused = trainer.form(&review, &[("score:why:0", score), ("comment:why", "Almost")]).await;
        refused
            .assert(StatusCode::UNPROCESSABLE_ENTITY)
            .assert_says(sentence)
            .assert_says("Almost</textarea>");
    }
    trainer
        .form(&review, &[])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("Nothing is scored yet");
    ada.get(&first).await.assert_says("Waiting for review");

    let comment = "Good, but <i>why</i>?";
    let saved = trainer.form(&review, &[("score:why:0", "1"), ("comment:why", comment)]).await;
    saved.assert_redirect(&format!("{second}/review"));
    let seen = ada.get(&first).await;
    seen.assert_says("Passed: 3 of 4 points").assert_says("1 of 2").assert_says("&#60;i&#62;why&#60;/i&#62;");
    assert!(!seen.text.contains("Score the answers") && !seen.text.contains("/review"), "{}", seen.text);
    let board = ada.get(&format!("/cohorts/{}", app.cohort.id)).await;
    board.assert_says("1 of 2 exercises done").assert_says("3 of 7 points");

    let last = trainer.form(&format!("{second}/review"), &[("score:why:0", "0")]).await;
    last.assert_redirect(&queue);
    bob.get(&second).await.assert_says("Not yet: 2 of 4 points");
    trainer.get(&queue).await.assert_says("Nothing waits for you");

    // A second thought replaces the first, which is still told to trainers.
    trainer.get(&first).await.assert_says("Change the score");
    trainer.form(&review, &[("score:why:0", "2"), ("comment:why", "")]).await.assert_redirect(&queue);
    ada.get(&first).await.assert_says("Passed: 4 of 4 points");
    trainer
        .get(&review)
        .await
        .assert_says("Scored before")
        .assert_says("Dora &#60;b&#62;T.&#60;/b&#62;: 1 of 2");
    // Saved again without a change nothing is added.
    trainer.form(&review, &[("score:why:0", "2"), ("comment:why", "")]).await.assert_redirect(&queue);
    let id = first.rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(app.store().reviews_of(id).await.unwrap().len(), 2);
    app.stop().await;
}

on_both!(from_the_queue_to_the_points);

async fn by_the_api_and_through_a_regrade(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let program = app.program_of(trainer.person()).await;
    let page = answer(&app, &student, "Isolation.").await;
    let id = page.rsplit('/').next().unwrap();
    let waiting = program.get(&format!("/api/v1/cohorts/{}/reviews", app.cohort.id)).await.json();
    assert_eq!(waiting.as_array().unwrap().len(), 1);
    assert_eq!(
        (waiting[0]["submission"].as_str(), waiting[0]["name"].as_str(), waiting[0]["number"].as_i64()),
        (Some(id), Some("Ada"), Some(1))
    );

    let path = format!("/api/v1/submissions/{id}/reviews");
    for (body, status) in [
        (json!({"check": "listing", "scores": [1]}), 422),
        (json!({"check": "nothing", "scores": [1]}), 422),
        (json!({"check": "why", "scores": []}), 422),
        (json!({"check": "why", "scores": [3]}), 422),
        (json!({"check": "why", "scores": [1], "comment": "x".repeat(10_001)}), 422),
    ] {
        let refused = program.post_json(&path, &body).await;
        assert_eq!(refused.status.as_u16(), status, "{body}: {}", refused.text);
    }
    let scored =
        program.post_json(&path, &json!({"check": "why", "scores": [1], "comment": "So so \0"})).await;
    let grading = scored.assert(StatusCode::OK).json();
    assert_eq!((&grading["verdict"], &grading["waiting"]), (&json!("passed"), &json!(false)));
    assert_eq!(grading["points"], json!({"earned": 3, "possible": 4}));
    assert_eq!(grading["checks"][2]["review"]["comment"], "So so \u{fffd}");
    let seen = student.get(&format!("/api/v1/submissions/{id}")).await.json();
    assert_eq!(seen["grading"]["checks"], grading["checks"], "a student reads the same");

    // Grading anew keeps what the trainer gave.
    program
        .post_json(&format!("/api/v1/submissions/{id}/regrade"), &json!({}))
        .await
        .assert(StatusCode::ACCEPTED);
    grade_queued(&app).await;
    let again = student.get(&format!("/api/v1/submissions/{id}")).await.json();
    assert_ne!(again["grading"]["id"], grading["id"]);
    assert_eq!(again["grading"]["checks"][2]["review"], grading["checks"][2]["review"]);
    assert_eq!(again["grading"]["points"], json!({"earned": 3, "possible": 4}));
    let person = student.person().id;
    let cell = app.store().cell(app.cohort.id, person, QUESTIONS).await.unwrap().unwrap();
    assert_eq!((cell.state, cell.points.earned), (CellState::Passed, 3));

    // What has no essay, and what was not judged, cannot be scored.
    let (unread, _) = app.submit(&student, FILES).await;
    let path = format!("/api/v1/submissions/{}/reviews", unread.id);
    program
        .post_json(&path, &json!({"check": "says-hello", "scores": [1]}))
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY);
    trainer.get(&format!("/submissions/{}/review", unread.id)).await.assert_says("Nothing to score here");
    app.stop().await;
}

on_both!(by_the_api_and_through_a_regrade);

#[tokio::test(flavor = "multi_thread")]
async fn an_essay_is_scored_although_something_else_failed() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let exercise = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let sent = student
        .multipart(&exercise, &format!("{exercise}/submissions"), |form| {
            form.text("answer:shared", "disk")
                .text("answer:listing", "docker ps")
                .text("answer:why", "Isolation.")
        })
        .await;
    let page = sent.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    grade_queued(&app).await;
    let queue = format!("/cohorts/{}/reviews", app.cohort.id);
    trainer.get(&queue).await.assert_says("Ada");
    student
        .get(&page)
        .await
        .assert_says("Not yet: 1 of 2 points")
        .assert_says("2 more points wait for a trainer");
    trainer.form(&format!("{page}/review"), &[("score:why:0", "2")]).await.assert_redirect(&queue);
    student.get(&page).await.assert_says("Not yet: 3 of 4 points");
    let id = page.rsplit('/').next().unwrap().parse().unwrap();
    let grading = app.store().latest_grading(id).await.unwrap();
    assert_eq!((grading.verdict, grading.waiting), (Some(Verdict::Failed), false));
    // A trainer of another cohort is told that there is no such thing.
    let other = app.member(&app.other_cohort, "Emil", Role::Trainer).await;
    other.get(&format!("{page}/review")).await.assert(StatusCode::NOT_FOUND);
    app.stop().await;
}

/// What a page is told, until nothing more follows or it is told something with these words.
async fn told(stream: &mut EventStream, words: &str) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    loop {
        let event = stream.next().await.unwrap_or_else(|| panic!("{words:?} is never told: {all:#?}"));
        let update: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        all.push(update);
        if event.data.contains(words) {
            return all;
        }
    }
}

async fn a_score_comes_to_an_open_page(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let exercise = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let sent = student
        .multipart(&exercise, &format!("{exercise}/submissions"), |form| {
            form.text("answer:shared", "kernel")
                .text("answer:listing", "docker ps")
                .text("answer:why", "So that.")
        })
        .await;
    let page = sent.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    let address = |page: &str| {
        let (_, rest) = page.split_once("data-live=\"").expect("the page follows something");
        rest.split_once('"').unwrap().0.replace("&#38;", "&")
    };

    // One page is open from the beginning, one is opened while the answer waits.
    let mut early = student.stream(&address(&student.get(&page).await.text), None).await;
    grade_queued(&app).await;
    let before = told(&mut early, "Waiting for review: 2 of 2 points so far").await;
    assert!(before.iter().all(|update| update["done"] != true), "the page would stop to listen: {before:#?}");
    let mut late = student.stream(&address(&student.get(&page).await.text), None).await;

    let review = format!("{page}/review");
    trainer.form(&review, &[("score:why:0", "1"), ("comment:why", "<i>Which?</i>")]).await;
    for stream in [&mut early, &mut late] {
        let updates = told(stream, "Passed: 3 of 4 points").await;
        let last = updates.last().unwrap();
        assert_eq!((&last["done"], &last["title"]), (&json!(true), &json!("Passed: 3 of 4 points")));
        assert_eq!(last["more"], true, "a trainer may add something yet");
        let patches = last["patches"].as_array().unwrap();
        let ids: Vec<&str> = patches.iter().map(|patch| patch["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["verdict", "steps", "check-why"], "what did not change stays");
        let html = patches[2]["html"].as_str().unwrap();
        assert!(html.contains("1 of 2") && html.contains("&#60;i&#62;Which?"), "{html}");
    }
    student.get(&page).await.assert_says(" data-done");
    app.stop().await;
}

on_both!(a_score_comes_to_an_open_page);

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_waits_for_a_score_is_drawn_anew_when_it_is_graded_again() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let program = app.program_of(app.trainer("Dora").await.person()).await;
    let page = answer(&app, &student, "Isolation.").await;
    let id = page.rsplit('/').next().unwrap();
    let grading = app.store().latest_grading(id.parse().unwrap()).await.unwrap();
    let events = format!("{page}/events?grading={}&after=0", grading.id);
    let drawn = student.get(&page).await;
    drawn.assert_says(&format!("data-live=\"{page}/events?grading={}", grading.id));
    let mut open = student.stream(&events, None).await;
    told(&mut open, "Waiting for review").await;
    program
        .post_json(&format!("/api/v1/submissions/{id}/regrade"), &json!({}))
        .await
        .assert(StatusCode::ACCEPTED);
    told(&mut open, "\"reload\":true").await;
    app.stop().await;
}
