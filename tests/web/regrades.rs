//! Grading anew: asked for on a page or by the API, followed live, with what it changed.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, Database, FILES, QUESTIONS, zip};
use crate::graded::grade_queued;
use crate::on_both;

async fn an_exercise_is_graded_anew_before_the_trainers_eyes(database: Database) {
    let app = App::on(database).await;
    let trainer = app.trainer("Dora").await;
    let regrades = format!("/cohorts/{}/regrades", app.cohort.id);
    trainer.get(&regrades).await.assert(StatusCode::OK).assert_says("Nothing was graded anew yet");
    let nothing = trainer.form(&regrades, &[("exercise", "*")]).await;
    nothing.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("There is nothing to grade anew");
    let mut pages = Vec::new();
    for name in ["Ada <i>A.</i>", "Bob"] {
        let student = app.student(name).await;
        let path = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
        let sent = student
            .send_raw(
                Method::POST,
                &path,
                "application/zip",
                zip(&[("hello.txt", b"hello"), ("word.txt", b"swordfish")]),
            )
            .await;
        pages.push(format!("/submissions/{}", sent.json()["id"].as_str().unwrap()));
        grade_queued(&app).await;
    }
    let asked = trainer.form(&regrades, &[("exercise", FILES)]).await;
    let page = asked.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    trainer
        .get(&page)
        .await
        .assert_says("0 of 2 graded")
        .assert_says(&format!("data-live=\"{page}/events\""));
    let mut open = trainer.stream(&format!("{page}/events"), None).await;
    assert!(open.next().await.unwrap().data.contains("0 of 2 graded"));
    // One of them fails now; the runner's report is another than the checks'.
    app.runner().grade(false).await;
    grade_queued(&app).await;
    let told = open.until_done().await;
    let last = &told.last().unwrap().data;
    assert!(last.contains("All 2 graded") && last.contains("<b>1</b> lost"), "{last}");
    let seen = trainer.get(&page).await;
    seen.assert_says("<b>1</b> lost").assert_says("<b>1</b> unchanged").assert_says("3 of 3");
    assert!(!seen.text.contains("<i>A.") && !seen.text.contains("data-live"), "{}", seen.text);
    trainer.get(&regrades).await.assert_says("Say hello").assert_says("2 of 2 graded");

    // One submission, from its page.
    let one = trainer.form(&format!("{}/regrade", pages[0]), &[]).await;
    one.assert_redirect(&pages[0]);
    trainer.get(&pages[0]).await.assert_says("Next in the queue");
    let again = trainer.form(&format!("{}/regrade", pages[0]), &[]).await;
    again.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("waits to be graded already");

    let program = app.program_of(trainer.person()).await;
    let api = format!("/api/v1{regrades}");
    for body in
        [json!({"exercise": null}), json!({"exercise": FILES, "all": true}), json!({"exercise": QUESTIONS})]
    {
        program.post_json(&api, &body).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let asked = program.post_json(&api, &json!({"exercise": null, "all": true})).await;
    let made = asked.assert(StatusCode::ACCEPTED).json();
    assert_eq!((&made["total"], &made["done"]), (&json!(1), &json!(0)), "the other waits already: {made}");
    grade_queued(&app).await;
    grade_queued(&app).await;
    let done = program.get(asked.header("location")).await.json();
    assert_eq!(done["submissions"][0]["after"]["points"], json!({"earned": 3, "possible": 3}), "{done}");
    app.stop().await;
}

on_both!(an_exercise_is_graded_anew_before_the_trainers_eyes);
