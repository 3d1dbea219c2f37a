//! Pages: who sees what, and that strangers' text stays text.

use drydock::accounts::Role;
use reqwest::StatusCode;

use crate::app::{Answer, App, Database, FILES, QUESTIONS, SECRET};
use crate::on_both;

async fn from_board_to_verdict(database: Database) {
    let app = App::on(database).await;
    let student = app.student("Ada").await;
    let trainer = app.trainer("Dora").await;
    let board = format!("/cohorts/{}", app.cohort.id);
    student.get("/").await.assert_redirect(&board);
    student.get(&board).await.assert(StatusCode::OK).assert_says("Say hello").assert_says("Three questions");
    let exercise = student.get(&format!("{board}/exercises/{FILES}")).await;
    exercise.assert(StatusCode::OK).assert_says("hello.txt says hello").assert_says("1 MiB");
    assert!(!exercise.text.contains("alert(1)</script>"), "Markdown brings no markup of its own");
    assert!(!exercise.text.contains(SECRET));

    let (submission, _) = app.submit(&student, FILES).await;
    let page = format!("/submissions/{}", submission.id);
    student.get(&page).await.assert(StatusCode::OK).assert_says("/events?");
    app.runner().grade(false).await;
    let failed = student.get(&page).await;
    failed.assert(StatusCode::OK).assert_says("2 of 3").assert_says("It was in the talk.");
    failed.assert_says(" data-done");
    assert!(!failed.text.contains(SECRET));
    trainer.get(&page).await.assert(StatusCode::OK).assert_says(SECRET).assert_says("Ada");
    trainer.get("/").await.assert_redirect(&format!("{board}/grid"));
    trainer
        .get(&format!("{board}/grid"))
        .await
        .assert(StatusCode::OK)
        .assert_says("Ada")
        .assert_says("HRB-CRW");

    app.submit(&student, FILES).await;
    app.runner().grade(true).await;
    student.get(&board).await.assert_says("1 of 2 exercises done").assert_says("3 of 7 points");
    app.stop().await;
}

on_both!(from_board_to_verdict);

/// What must not be on any page as it was written.
fn assert_harmless(path: &str, page: &Answer) {
    for markup in
        ["<script>alert", "<img src=x", "<b>crew</b>", "<i>Lovelace</i>", "</pre><img", "<u>why</u>"]
    {
        assert!(!page.text.contains(markup), "{path} has {markup}: {}", page.text);
    }
    // In a field of their own it stays as they typed it; nobody else reads it there.
    let shown: String = page
        .text
        .split("<textarea")
        .map(|part| part.split_once("</textarea>").map_or(part, |(_, rest)| rest))
        .collect();
    for unseen in ['\u{202e}', '\u{1b}', '\u{0}'] {
        assert!(!shown.contains(unseen), "{path} has {unseen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_text_stays_text_on_every_page() {
    let app = App::start().await;
    let name = format!("<i>Lovelace</i> \"' שלום {}", "W".repeat(40));
    let student = app.student(&name).await;
    let trainer = app.trainer("<script>alert(1)</script>").await;
    let admin = app.admin("<img src=x onerror=alert(1)>").await;
    let (submission, _) = app.submit(&student, FILES).await;
    app.runner().grade(false).await;
    let questions = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let essay = format!("</textarea><u>why</u> \u{202e}evil {}", "long ".repeat(2_000));
    let answered = student
        .multipart(&questions, &format!("{questions}/submissions"), |form| form.text("answer:why", essay))
        .await;
    let answered = answered.assert(StatusCode::SEE_OTHER).header("location").to_owned();

    let board = format!("/cohorts/{}", app.cohort.id);
    let submission = format!("/submissions/{}", submission.id);
    for (client, paths) in [
        (
            &student,
            vec![
                board.clone(),
                format!("{board}/exercises/{FILES}"),
                questions,
                submission.clone(),
                answered.clone(),
            ],
        ),
        (&trainer, vec!["/cohorts".into(), format!("{board}/grid"), submission.clone(), answered, board]),
        (&admin, vec!["/admin".into(), "/cohorts".into(), submission]),
    ] {
        for path in paths {
            let page = client.get(&path).await;
            page.assert(StatusCode::OK);
            assert_harmless(&path, &page);
        }
    }
    // What was typed comes back into the form as text.
    let form =
        app.visitor().form("/sign-in", &[("name", "\"><script>alert(1)</script>"), ("password", "x")]).await;
    assert_harmless("/sign-in", &form);
    let join = app.visitor().get("/join?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_harmless("/join", &join);
    let missing = app.visitor().get("/%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_harmless("an address", &missing);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_leads_back_to_the_page_but_nowhere_else() {
    let app = App::start().await;
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let sent = app.visitor().get(&format!("{page}?x=1&y=2")).await;
    sent.assert_redirect(&format!("/sign-in?next={}%3Fx%3D1%26y%3D2", page.replace('/', "%2F")));
    let person = app.person("Eve", false).await;
    let hash = app.state.passwords.hash("a long walk home").await.unwrap();
    app.store().set_password(person.id, &hash).await.unwrap();
    app.store().add_member(app.cohort.id, person.id, Role::Student).await.unwrap();
    for (next, to) in
        [(page.as_str(), page.as_str()), ("https://evil.example/", "/"), ("//evil.example", "/")]
    {
        let fields = [("name", "Eve"), ("password", "a long walk home"), ("next", next)];
        app.visitor().form("/sign-in", &fields).await.assert_redirect(to);
    }
    app.stop().await;
}
