//! The grade book, as JSON and for a spreadsheet.

use drydock::terms::{LatePolicy, Terms};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{App, FILES, QUESTIONS, zip};
use crate::graded::grade_queued;

#[tokio::test(flavor = "multi_thread")]
async fn every_student_with_what_counts() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let ada = app.student("=cmd|' /C calc'!A0").await;
    app.student("Zoé, \"the\" second").await;
    let due_at = Some(app.clock.now() - chrono::TimeDelta::hours(1));
    let late = Some(LatePolicy::PerDay { percent: 25, floor: 0 });
    let terms = Terms { due_at, late, ..Terms::default() };
    app.store().set_terms(app.cohort.id, Some(FILES), &terms, trainer.person().id).await.unwrap();
    let path = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    ada.send_raw(Method::POST, &path, "application/zip", zip(&[("hello.txt", b"hello")]))
        .await
        .assert(StatusCode::ACCEPTED);
    grade_queued(&app).await;

    let book = format!("/api/v1/cohorts/{}/gradebook", app.cohort.id);
    trainer
        .get(&format!("/cohorts/{}/grid", app.cohort.id))
        .await
        .assert_says(&format!("{book}.csv"))
        .assert_says(&format!("{book}.json"));
    let read = trainer.get(&format!("{book}.json")).await.assert(StatusCode::OK).json();
    assert_eq!(read["exercises"][0]["exercise"], FILES);
    assert_eq!(read["exercises"][1]["possible"], json!(4));
    let student = &read["students"][0];
    assert_eq!((&student["name"], &student["counted"]), (&json!("=cmd|' /C calc'!A0"), &json!(1.5)));
    assert_eq!(student["exercises"][0]["points"], json!({"earned": 2, "possible": 3}));
    assert_eq!(student["exercises"][0]["late"], json!({"days": 1, "percent": 75}));
    assert_eq!(read["students"][1]["exercises"], json!([]));

    let sheet = trainer.get(&format!("{book}.csv")).await;
    sheet.assert(StatusCode::OK);
    assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8; header=present");
    let file = "attachment; filename=\"grade-book-harbour-b-crew-b.csv\"";
    assert_eq!(sheet.header("content-disposition"), file);
    let lines: Vec<&str> = sheet.text.trim_start_matches('\u{feff}').split("\r\n").collect();
    assert_eq!(lines.len(), 4, "a head, two students and the end: {lines:?}");
    let wanted = format!("student,id,joined,exercises done,points,points possible,{FILES}: points");
    assert!(lines[0].starts_with(&wanted), "{}", lines[0]);
    assert!(lines[0].ends_with(&format!("{QUESTIONS}: attempts,{QUESTIONS}: days late")), "{}", lines[0]);
    assert!(lines[1].starts_with("'=cmd|' /C calc'!A0,"), "{}", lines[1]);
    assert!(lines[1].ends_with(",0,1.5,7,1.5,not yet,1,1,,not started,,"), "{}", lines[1]);
    assert!(lines[2].starts_with("\"Zoé, \"\"the\"\" second\","), "{}", lines[2]);
    app.stop().await;
}
