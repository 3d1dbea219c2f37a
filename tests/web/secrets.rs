//! Answers are nowhere before they are due: every address that a student can read is searched for the
//! words of the solution, before anything was handed in, while it waits and after it failed.

use std::io::{Cursor, Read as _};

use drydock::exercises::Exercise;
use drydock::web;
use reqwest::{Method, StatusCode};

use crate::app::{App, Client, zip};
use crate::graded::grade_queued;

const SLUG: &str = "guarded";
/// Words of the solution, of a mutant, of what is expected, and of feedback to options that are not chosen.
const SECRETS: [&str; 9] = [
    "overlay-of-answers",
    "4815162342",
    "essay-of-the-author",
    "words-of-a-mutant",
    "hidden-expectation",
    "feedback-to-the-right",
    "feedback-to-another",
    "pattern-of-answers",
    "\"right\"",
];
/// What whoever chose a wrong option is told, once it was graded.
const DUE: &str = "feedback-to-the-chosen";

const YAML: &str = "\
title: Guarded questions
minutes: 5
submit: [upload, answers]
checks:
  - id: which
    title: Which one
    hint: Think.
    choice:
      question: Which one is it?
      options:
        - {id: a, text: The first, right: true, feedback: feedback-to-the-right}
        - {id: b, text: The second, feedback: feedback-to-the-chosen}
        - {id: c, text: The third, feedback: feedback-to-another}
  - id: name
    title: Its name
    hint: Think.
    short: {question: What is its name?, accepts: [overlay-of-answers], matches: pattern-of-answers-?}
  - id: count
    title: How many
    hint: Think.
    short: {question: How many are there?, number: {value: 4815162342, tolerance: 1}}
  - id: why
    title: Why
    hint: Think.
    essay: {question: Why?, minimum_words: 1, rubric: [{criterion: Says why, points: 1}]}
  - id: word
    title: The file has the word
    hidden: true
    hint: Think.
    file: {path: word.txt, content: {contains: hidden-expectation}}
mutants:
  wrong: {fails: [which, name, count, word], because: everything is words-of-a-mutant}
";

async fn publish(app: &App) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(SLUG);
    let right = r#"{"which": ["a"], "name": "overlay-of-answers", "count": "4815162342", "why": "essay-of-the-author"}"#;
    let wrong =
        r#"{"which": ["b"], "name": "words-of-a-mutant", "count": "1", "why": "essay-of-the-author"}"#;
    for (path, text) in [
        ("exercise.yaml", YAML),
        ("README.md", "# Guarded\n\nAnswer.\n"),
        ("starter/word.txt", "begin here\n"),
        ("solution/word.txt", "hidden-expectation\n"),
        ("solution/answers.json", right),
        ("mutants/wrong/answers.json", wrong),
        ("mutants/wrong/word.txt", "words-of-a-mutant\n"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let exercise = Exercise::read(&root).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    app.store().publish_exercise(&exercise).await.unwrap();
    let workshop = serde_json::json!({
        "slug": "basics", "title": "The basics", "audience": "Everybody",
        "sections": [{"title": "First", "exercises": [SLUG]}],
    });
    app.store().publish_workshop(&serde_json::from_value(workshop).unwrap()).await.unwrap();
}

/// What the answer to an address says; an archive unpacked.
async fn said(client: &Client, path: &str) -> (StatusCode, String) {
    let mut response = client.request(Method::GET, path).header("accept", "*/*").send().await.unwrap();
    let status = response.status();
    if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        // That of a page goes on until its answers are scored: silence is the end here.
        let mut all = Vec::new();
        while let Ok(Ok(Some(chunk))) =
            tokio::time::timeout(std::time::Duration::from_secs(1), response.chunk()).await
        {
            all.extend_from_slice(&chunk);
        }
        return (status, String::from_utf8_lossy(&all).into_owned());
    }
    let bytes = tokio::time::timeout(std::time::Duration::from_secs(20), response.bytes())
        .await
        .unwrap_or_else(|_| panic!("{path} does not end"))
        .unwrap();
    if !bytes.starts_with(b"PK") {
        return (status, String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut all = String::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        all.push_str(&file.name().unwrap());
        file.read_to_string(&mut all).unwrap();
    }
    (status, all)
}

/// Reads every address of the route table that ends, as this person; those that were answered.
async fn search(
    app: &App,
    client: &Client,
    submission: Option<(&str, &str)>,
    due: bool,
) -> Vec<&'static str> {
    let (_, rows) = web::routes(app.state.clone()).finish();
    let mut answered = Vec::new();
    for row in rows.iter().filter(|row| row.method == Method::GET) {
        // A grid's stream goes on for as long as somebody looks, and is for trainers.
        let endless = row.path.ends_with("/grid/events");
        if endless
            || submission.is_none() && (row.path.contains("{submission}") || row.path.contains("{grading}"))
        {
            continue;
        }
        let (submission, grading) = submission.unwrap_or_default();
        let path = row
            .path
            .replace("{cohort}", &app.cohort.id.to_string())
            .replace("{submission}", submission)
            .replace("{grading}", grading)
            .replace("{slug}", SLUG)
            .replace("{code}", "HRB-CRW")
            .replace("{hash}", "0")
            .replace("{name}", "app.js");
        let (status, text) = said(client, &path).await;
        if status.is_success() {
            answered.push(row.path);
        }
        for secret in SECRETS {
            assert!(!text.contains(secret), "{path} says {secret}: {text}");
        }
        assert!(due || !text.contains(DUE), "{path} says {DUE} before it was graded: {text}");
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_tells_a_student_an_answer() {
    let app = App::start().await;
    publish(&app).await;
    let student = app.student("Ada").await;
    let program = app.program_of(student.person()).await;
    for client in [&student, &program, &app.visitor()] {
        search(&app, client, None, false).await;
    }

    let exercise = format!("/cohorts/{}/exercises/{SLUG}", app.cohort.id);
    let archive = zip(&[("word.txt", b"something else")]);
    let sent = student
        .multipart(&exercise, &format!("{exercise}/submissions"), |form| {
            form.text("answer:which", "b")
                .text("answer:name", "aufs")
                .text("answer:count", "7")
                .text("answer:why", "I say why.")
                .part("archive", reqwest::multipart::Part::bytes(archive).file_name("work.zip"))
        })
        .await;
    let submission =
        sent.assert(StatusCode::SEE_OTHER).header("location").rsplit('/').next().unwrap().to_owned();
    let grading = app.store().latest_grading(submission.parse().unwrap()).await.unwrap().id.to_string();
    for page in [format!("/submissions/{submission}"), format!("/api/v1/submissions/{submission}"), exercise]
    {
        let (status, text) = said(&student, &page).await;
        assert_eq!(status, StatusCode::OK);
        for secret in SECRETS.iter().chain([&DUE]) {
            assert!(!text.contains(secret), "{page} says {secret} while it waits");
        }
    }

    grade_queued(&app).await;
    for client in [&student, &program] {
        let answered = search(&app, client, Some((&submission, &grading)), true).await;
        for wanted in [
            "/cohorts/{cohort}/exercises/{slug}",
            "/cohorts/{cohort}/exercises/{slug}/starter.zip",
            "/submissions/{submission}",
            "/submissions/{submission}/events",
            "/api/v1/exercises/{slug}",
            "/api/v1/submissions/{submission}",
            "/api/v1/gradings/{grading}",
            "/api/v1/gradings/{grading}/events",
            "/api/v1/openapi.json",
        ] {
            let by_session_only = client.bearer.is_some() && !wanted.starts_with("/api/");
            assert!(by_session_only || answered.contains(&wanted), "{wanted} was not read: {answered:?}");
        }
    }
    // What is due is told, and the words of the search are really those of the exercise.
    let (_, page) = said(&student, &format!("/submissions/{submission}")).await;
    assert!(page.contains(DUE), "{page}");
    let trainer = app.trainer("Dora").await;
    let (_, page) = said(&trainer, &format!("/submissions/{submission}")).await;
    assert!(page.contains("hidden-expectation"), "a trainer sees what is hidden: {page}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_stand_in_an_order_of_each_students_own() {
    let app = App::start().await;
    publish(&app).await;
    let path = format!("/cohorts/{}/exercises/{SLUG}", app.cohort.id);
    let order = |html: &str| {
        let values = html.split("name=\"answer:which\" value=\"").skip(1);
        values.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut orders = std::collections::BTreeSet::new();
    for number in 0..12 {
        let student = app.student(&format!("Student {number}")).await;
        let first = order(&student.get(&path).await.text);
        assert_eq!(first.len(), 3);
        assert_eq!(order(&student.get(&path).await.text), first, "it stays when the page is loaded again");
        orders.insert(first);
    }
    assert!(orders.len() > 1, "{orders:?}");
    app.stop().await;
}
