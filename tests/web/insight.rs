//! Who fails which check, and all that one student did.

use reqwest::{Method, StatusCode};

use crate::app::{App, Client, FILES, zip};
use crate::graded::grade_queued;

async fn hand_in(app: &App, student: &Client, word: &[u8]) -> String {
    let path = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    let archive = zip(&[("hello.txt", b"hello"), ("word.txt", word)]);
    let sent = student.send_raw(Method::POST, &path, "application/zip", archive).await;
    let id = sent.assert(StatusCode::ACCEPTED).json()["id"].as_str().unwrap().to_owned();
    grade_queued(app).await;
    format!("/submissions/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_that_most_fail_comes_first_with_who_fails_it() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let checks = format!("/cohorts/{}/checks", app.cohort.id);
    trainer.get(&checks).await.assert(StatusCode::OK).assert_says("Say hello").assert_says("0 students");
    let (ada, bob) = (app.student("Ada <i>A.</i>").await, app.student("Bob").await);
    hand_in(&app, &ada, b"cod").await;
    let newest = hand_in(&app, &ada, b"herring").await;
    hand_in(&app, &bob, b"swordfish").await;
    let page = trainer.get(&checks).await;
    page.assert_says("2 students had something judged, 1 passed")
        .assert_says("<b>1</b> fail it")
        .assert_says(&format!("{newest}#check-knows-word"))
        .assert_says("Ada &#60;i&#62;A.");
    assert!(
        page.text.find("word.txt has the word") < page.text.find("hello.txt says hello"),
        "{}",
        page.text
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_students_way_through_the_workshop() {
    let app = App::start().await;
    let (trainer, ada) = (app.trainer("Dora").await, app.student("Ada <i>A.</i>").await);
    let here = format!("/cohorts/{}/people/{}", app.cohort.id, ada.person().id);
    trainer.get(&here).await.assert(StatusCode::OK).assert_says("Nothing was handed in yet");
    let first = hand_in(&app, &ada, b"cod").await;
    hand_in(&app, &ada, b"swordfish").await;
    trainer.form(&format!("{first}/comments"), &[("comment", "Look again")]).await;
    let page = trainer.get(&here).await;
    page.assert_says("1 of 2 exercises done · 2 submissions")
        .assert_says(&first)
        .assert_says("not yet, 2 of 3")
        .assert_says("passed, 3 of 3")
        .assert_says("1 from trainers");
    trainer.get(&format!("/cohorts/{}/grid", app.cohort.id)).await.assert_says(&here);
    let other = format!("/cohorts/{}/people/{}", app.cohort.id, trainer.person().id);
    trainer.get(&other).await.assert(StatusCode::NOT_FOUND);
    app.stop().await;
}
