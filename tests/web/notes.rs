//! A trainer comments on a submission and decides about its checks; the student sees it at once.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, Database, FILES, zip};
use crate::graded::grade_queued;
use crate::on_both;

async fn a_trainers_word_reaches_the_student(database: Database) {
    let app = App::on(database).await;
    let (student, trainer) = (app.student("Ada").await, app.trainer("Dora <b>T.</b>").await);
    let path = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    let sent =
        student.send_raw(Method::POST, &path, "application/zip", zip(&[("hello.txt", b"hello")])).await;
    let id = sent.assert(StatusCode::ACCEPTED).json()["id"].as_str().unwrap().to_owned();
    grade_queued(&app).await;
    let page = format!("/submissions/{id}");
    let drawn = student.get(&page).await;
    drawn.assert_says("Not yet: 2 of 3 points").assert_says(" data-done");
    assert!(!drawn.text.contains("For trainers"), "{}", drawn.text);
    let live =
        drawn.text.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let mut open = student.stream(&live, None).await;

    // What cannot be is refused beside what was typed.
    let (comments, overrides) = (format!("{page}/comments"), format!("{page}/overrides"));
    trainer.get(&page).await.assert_says("For trainers").assert_says("word.txt has the word (Not yet)");
    trainer
        .form(&comments, &[("comment", " ")])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("The comment is empty");
    for (fields, status, sentence) in [
        (vec![("check", "knows-word"), ("reason", "Because")], 422, "Choose how the check"),
        (vec![("check", "knows-word"), ("outcome", "passed"), ("reason", " ")], 422, "Write the reason"),
        (vec![("check", "no-such"), ("outcome", "passed"), ("reason", "Because")], 409, "nothing to decide"),
        (vec![("check", "knows-word"), ("outcome", "machine")], 409, "no decision to take back"),
    ] {
        let refused = trainer.form(&overrides, &fields).await;
        assert_eq!(refused.status.as_u16(), status, "{}", refused.text);
        refused.assert_says(sentence);
        if fields.contains(&("reason", "Because")) {
            refused.assert_says("Because</textarea>");
        }
    }

    trainer
        .form(&comments, &[("comment", "See <i>line</i> 3")])
        .await
        .assert_redirect(&format!("{page}#notes"));
    let told = open.next().await.unwrap();
    assert!(
        told.data.contains("\"id\":\"notes\"") && told.data.contains("See &#60;i&#62;line"),
        "{}",
        told.data
    );
    let fields = [("check", "knows-word"), ("outcome", "passed"), ("reason", "Said <u>aloud</u>")];
    trainer.form(&overrides, &fields).await.assert_redirect(&format!("{page}#notes"));
    let told = open.next().await.unwrap();
    for words in ["Passed: 3 of 3 points", "check-knows-word", "Said &#60;u&#62;aloud", "\"more\":true"] {
        assert!(told.data.contains(words), "{words}: {}", told.data);
    }
    let seen = student.get(&page).await;
    seen.assert_says("Passed: 3 of 3 points")
        .assert_says("Dora &#60;b&#62;T.")
        .assert_says("See &#60;i&#62;line");
    seen.assert_says("The machine's word was “Not yet”, 0 of 1 points");
    student.get(&format!("/cohorts/{}", app.cohort.id)).await.assert_says("3 / 3");
    // A page that was drawn before is drawn anew.
    let mut late = student.stream(&live, None).await;
    assert!(late.next().await.unwrap().data.contains("\"reload\":true"));

    // The same by the API; a student reads it, and only trainers write.
    let program = app.program_of(trainer.person()).await;
    let api = format!("/api/v1{page}");
    let back = json!({"check": "knows-word", "outcome": null});
    let grading = program.post_json(&format!("{api}/overrides"), &back).await.assert(StatusCode::OK).json();
    assert_eq!((&grading["verdict"], &grading["points"]["earned"]), (&json!("failed"), &json!(2)));
    let odd = json!({"check": "knows-word", "outcome": "waiting", "reason": "x"});
    program.post_json(&format!("{api}/overrides"), &odd).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    let made = program.post_json(&format!("{api}/notes"), &json!({"text": "Again"})).await;
    assert_eq!(made.assert(StatusCode::CREATED).json().as_array().unwrap().len(), 4);
    let notes = student.get(&format!("{api}/notes")).await.json();
    assert_eq!((&notes[1]["outcome"], &notes[2]["outcome"]), (&json!("passed"), &serde_json::Value::Null));
    assert_eq!(notes[3]["text"], "Again");
    student.post_json(&format!("{api}/notes"), &json!({"text": "x"})).await.assert(StatusCode::FORBIDDEN);
    app.stop().await;
}

on_both!(a_trainers_word_reaches_the_student);
