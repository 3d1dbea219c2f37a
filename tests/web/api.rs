//! The API from a program's point of view.

use drydock::accounts::Role;
use drydock::web::api::Document;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use utoipa::OpenApi as _;

use crate::app::{Answer, App, Database, FILES, QUESTIONS, SECRET, report, zip};
use crate::on_both;

fn submissions_of(app: &App, exercise: &str) -> String {
    format!("/api/v1/cohorts/{}/exercises/{exercise}/submissions", app.cohort.id)
}

async fn from_archive_to_report(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let (student, trainer) = (app.program_of(student.person()).await, app.program_of(trainer.person()).await);

    let handed_in = student
        .send_raw(
            Method::POST,
            &submissions_of(&app, FILES),
            "application/zip",
            zip(&[("hello.txt", b"hello")]),
        )
        .await;
    handed_in.assert(StatusCode::ACCEPTED);
    let submission = handed_in.json();
    assert_eq!(
        handed_in.header("location"),
        format!("/api/v1/submissions/{}", submission["id"].as_str().unwrap())
    );
    assert_eq!(submission["number"], 1);
    assert_eq!(submission["files"], 1);
    assert_eq!(submission["grading"]["state"], "queued");
    assert_eq!(submission["grading"]["place_in_queue"], 0);
    assert!(submission["grading"].get("verdict").is_none(), "there is no report before there is one");

    let claim = app.runner().grade(false).await;
    let path = format!("/api/v1/gradings/{}", submission["grading"]["id"].as_str().unwrap());
    let full = trainer.get(&path).await.assert(StatusCode::OK).json();
    assert_eq!(full["state"], "done");
    assert!(full.get("place_in_queue").is_none());
    // The report's fields stand at the top, as `grade --json` prints them.
    for (field, value) in serde_json::to_value(report(&claim.submission, false)).unwrap().as_object().unwrap()
    {
        assert_eq!(&full[field], value, "{field}");
    }

    let redacted = student.get(&path).await;
    assert!(!redacted.text.contains(SECRET), "the student reads what is hidden: {}", redacted.text);
    let redacted = redacted.json();
    assert_eq!(redacted["checks"][1]["expected"], "");
    assert_eq!(redacted["checks"][1]["observed"], full["checks"][1]["observed"], "what was seen stays");
    assert_eq!(redacted["checks"][0], full["checks"][0]);

    let progress = trainer.get(&format!("/api/v1/cohorts/{}/progress", app.cohort.id)).await.json();
    assert_eq!(progress["exercises"], json!([FILES, QUESTIONS]));
    assert_eq!(progress["students"].as_array().unwrap().len(), 1, "trainers are no students: {progress}");
    assert_eq!(progress["students"][0]["name"], "Ada");
    assert_eq!(progress["students"][0]["exercises"][0]["state"], "failed");
    assert_eq!(progress["students"][0]["exercises"][0]["points"], json!({"earned": 2, "possible": 3}));

    let regrade = format!("/api/v1/submissions/{}/regrade", submission["id"].as_str().unwrap());
    let again = trainer.unsafe_request(Method::POST, &regrade).send().await.unwrap();
    let again = Answer::of(again).await;
    let again_id = again.assert(StatusCode::ACCEPTED).json()["id"].clone();
    assert_eq!(again.header("location"), format!("/api/v1/gradings/{}", again_id.as_str().unwrap()));
    let newest =
        student.get(&format!("/api/v1/submissions/{}", submission["id"].as_str().unwrap())).await.json();
    assert_eq!(newest["grading"]["id"], again_id);
    app.stop().await;
}

on_both!(from_archive_to_report);

async fn the_same_key_counts_once(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let send = |exercise: &'static str, key: &'static str, body: &'static str| {
        let request = student
            .unsafe_request(Method::POST, &submissions_of(&app, exercise))
            .header("idempotency-key", key)
            .header("content-type", if exercise == FILES { "application/zip" } else { "application/json" })
            .body(if exercise == FILES { zip(&[("hello.txt", b"hello")]) } else { body.into() });
        async move { Answer::of(request.send().await.unwrap()).await }
    };
    let (one, two) = tokio::join!(send(FILES, "k-1", ""), send(FILES, "k-1", ""));
    let (one, two) = (one.assert(StatusCode::ACCEPTED).json(), two.assert(StatusCode::ACCEPTED).json());
    assert_eq!(one["id"], two["id"], "sent twice at once");
    app.runner().grade(true).await;
    let late = send(FILES, "k-1", "").await.assert(StatusCode::ACCEPTED).json();
    assert_eq!(late["id"], one["id"], "sent again after it was graded");
    assert_eq!(late["grading"]["state"], "done");
    let other = send(FILES, "k-2", "").await.assert(StatusCode::ACCEPTED).json();
    assert_eq!(other["number"], 2, "another key is another submission");
    send(QUESTIONS, "k-1", r#"{"answers": {"listing": "docker ps"}}"#).await.assert(StatusCode::CONFLICT);
    send(FILES, "with space", "").await.assert(StatusCode::BAD_REQUEST);
    // Keys are a person's own.
    let other = app.student("Bob").await;
    let request = other
        .unsafe_request(Method::POST, &submissions_of(&app, FILES))
        .header("idempotency-key", "k-1")
        .header("content-type", "application/zip")
        .body(zip(&[("hello.txt", b"hello")]));
    let theirs = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(theirs.assert(StatusCode::ACCEPTED).json()["number"], 1);
    app.stop().await;
}

on_both!(the_same_key_counts_once);

#[tokio::test]
async fn answers_are_taken_as_the_questions_want_them() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let path = submissions_of(&app, QUESTIONS);
    let stored = student
        .post_json(&path, &json!({"answers": {"shared": "kernel", "listing": "docker ps", "why": "  "}}))
        .await;
    assert_eq!(
        stored.assert(StatusCode::ACCEPTED).json()["answers"],
        json!({"listing": "docker ps", "shared": ["kernel"]}),
        "a choice is a list, what is empty was not answered"
    );
    student
        .post_json(&path, &json!({"answers": {"nonsense": "x"}}))
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("no question");
    student
        .post_json(&path, &json!({"answers": {}}))
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("Nothing was handed in");
    student
        .post_json(&path, &json!({"answers": {"why": "w".repeat(60_000)}}))
        .await
        .assert(StatusCode::PAYLOAD_TOO_LARGE)
        .assert_says("In your own words");
    student
        .post_json(&submissions_of(&app, FILES), &json!({"answers": {"why": "x"}}))
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("no answers");
    student
        .send_raw(Method::POST, &path, "application/zip", zip(&[("a", b"b")]))
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("no files");
    app.store().set_cohort_closed(app.cohort.id, true).await.unwrap();
    student
        .post_json(&path, &json!({"answers": {"why": "x"}}))
        .await
        .assert(StatusCode::CONFLICT)
        .assert_says("closed");
    app.stop().await;
}

#[tokio::test]
async fn errors_are_problems_with_a_request_id() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let problem = |answer: Answer, status: u16, kind: &str| {
        let body = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(body["type"], format!("urn:drydock:problem:{kind}"));
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], answer.header("x-request-id"));
        assert!(body["detail"].as_str().unwrap().ends_with('.'), "a sentence: {body}");
        answer
    };
    problem(student.get("/api/v1/nothing-here").await, 404, "not-found");
    problem(student.get("/api/v1/gradings/not-an-id").await, 404, "not-found");
    let answer = student.send_raw(Method::DELETE, "/api/v1/me", "text/plain", Vec::new()).await;
    let answer = problem(answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    let answer = problem(app.visitor().get("/api/v1/me").await, 401, "sign-in-needed");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let mut stranger = app.visitor();
    stranger.bearer = Some("drydock_made-up".into());
    problem(stranger.get("/api/v1/me").await, 401, "bad-token");
    let answer = student.send_raw(Method::POST, "/api/v1/tokens", "text/plain", b"x".to_vec()).await;
    problem(answer, 415, "unsupported-media-type");
    let answer = student.send_raw(Method::POST, "/api/v1/tokens", "application/json", b"{".to_vec()).await;
    problem(answer, 400, "bad-request");
    let answer = student.post_json("/api/v1/tokens", &json!({"name": "x", "rights": "all"})).await;
    problem(answer, 422, "refused");
    // A client's own id is not taken over: it would end up in the log.
    let request = student.request(Method::GET, "/api/v1/me").header("x-request-id", "forged");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.header("x-request-id").len(), 16);
    app.stop().await;
}

#[tokio::test]
async fn a_token_works_until_it_is_revoked() {
    let app = App::start().await;
    let ada = app.student("Ada").await;
    let made = ada.post_json("/api/v1/tokens", &json!({"name": "laptop"})).await;
    let made = made.assert(StatusCode::CREATED).json();
    let mut program = app.visitor();
    program.bearer = Some(made["token"].as_str().unwrap().to_owned());
    let me = program.get("/api/v1/me").await.assert(StatusCode::OK).json();
    assert_eq!(me["name"], "Ada");
    assert_eq!(me["cohorts"][0]["role"], "student");
    let list = program.get("/api/v1/tokens").await;
    assert_eq!(list.json()[0]["name"], "laptop");
    assert!(!list.text.contains(made["token"].as_str().unwrap()), "the secret is shown once only");

    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    let bob = app.student("Bob").await;
    bob.send_raw(Method::DELETE, &path, "text/plain", Vec::new()).await.assert(StatusCode::NOT_FOUND);
    program.get("/api/v1/me").await.assert(StatusCode::OK);
    program.send_raw(Method::DELETE, &path, "text/plain", Vec::new()).await.assert(StatusCode::NO_CONTENT);
    program.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);

    // A token is no cookie: pages do not take it.
    let token = app.program_of(ada.person()).await;
    token.get(&format!("/cohorts/{}", app.cohort.id)).await.assert(StatusCode::SEE_OTHER);
    // A deactivated person's tokens end with them.
    app.store().set_deactivated(ada.person().id, true).await.unwrap();
    token.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);
    ada.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test]
async fn exercises_are_those_of_ones_workshops() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let list = student.get("/api/v1/exercises").await.assert(StatusCode::OK).json();
    let slugs: Vec<_> =
        list.as_array().unwrap().iter().map(|exercise| exercise["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs.len(), 2);
    let one = student.get(&format!("/api/v1/exercises/{FILES}")).await;
    assert!(!one.text.contains(SECRET), "how it is checked is not told");
    let one = one.assert(StatusCode::OK).json();
    assert_eq!(one["points"], 3);
    assert_eq!(one["submit"], json!(["upload"]));
    assert_eq!(one["checks"][0]["title"], "hello.txt says hello");
    student.get("/api/v1/exercises/no-such").await.assert(StatusCode::NOT_FOUND);

    let stranger = app.person("Nobody's", false).await;
    let stranger = app.client_of(&stranger).await;
    assert_eq!(stranger.get("/api/v1/exercises").await.json(), json!([]));
    stranger.get(&format!("/api/v1/exercises/{FILES}")).await.assert(StatusCode::NOT_FOUND);
    let trainer = app.member(&app.other_cohort, "Emil", Role::Trainer).await;
    assert_eq!(trainer.get("/api/v1/cohorts").await.json().as_array().unwrap().len(), 1);
    assert_eq!(app.admin("Fay").await.get("/api/v1/cohorts").await.json().as_array().unwrap().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_broken_stored_fault_is_told_to_trainers_only() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let (_, grading) = app.submit(&student, FILES).await;
    let claim = app.runner().claim().await;
    app.runner().record(&claim).retry("disk /dev/sda1 is full", std::time::Duration::ZERO).await.unwrap();
    let path = format!("/api/v1/gradings/{}", grading.id);
    assert_eq!(trainer.get(&path).await.json()["cause"], "disk /dev/sda1 is full");
    let told = student.get(&path).await;
    assert_eq!(told.json().get("cause"), None::<&Value>);
    assert!(!told.text.contains("sda1"));
    app.stop().await;
}

/// The document is what programs are written against: a change of it is a change of the contract, and
/// `cargo insta review` shows which.
#[test]
fn the_document_is_as_it_was() {
    insta::assert_json_snapshot!(Document::openapi());
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let app = App::start().await;
    let served = app.visitor().get("/api/v1/openapi.json").await.assert(StatusCode::OK).json();
    assert_eq!(served["openapi"].as_str().unwrap().split_once('.').unwrap().0, "3");
    let documented: Vec<(String, String)> = served["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let (_, rows) = drydock::web::routes(app.state.clone()).finish();
    let mut routed: Vec<(String, String)> = rows
        .iter()
        .filter(|row| row.is_api())
        .map(|row| (row.path.to_owned(), row.method.to_string()))
        .collect();
    let mut documented = documented;
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
    app.stop().await;
}
