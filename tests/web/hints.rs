//! The hint ladder: one hint comes by itself, the others are asked for, written down, and cost what the exercise
//! says; and what a submission has gained on the one before.

use drydock::accounts::Role;
use drydock::exercises::Exercise;
use drydock::store::Cohort;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::app::{Answer, App, Client, Database, zip};
use crate::graded::grade_queued;
use crate::on_both;

const YAML: &str = "\
title: Two files
submit: [upload]
hint_cost: 2
checks:
  - file: {path: one.txt, content: {contains: one}}
    id: one
    title: one.txt says one
    points: 3
    hint: [\"the first rung\", \"the second rung\", \"the third rung\"]
  - file: {path: two.txt, content: {contains: two}}
    id: two
    title: two.txt says two
    points: 1
    hint: only this
";

async fn publish(app: &App) -> Cohort {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("two-files");
    for (path, text) in [
        ("exercise.yaml", YAML),
        ("README.md", "# T\n"),
        ("solution/one.txt", "one"),
        ("solution/two.txt", "two"),
    ] {
        std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.join(path), text).unwrap();
    }
    let exercise = Exercise::read(&folder).unwrap();
    app.store().publish_exercise(&exercise).await.unwrap();
    let workshop = json!({
        "slug": "hinted", "title": "Hinted", "audience": "All",
        "sections": [{"title": "One", "exercises": ["two-files"]}],
    });
    app.store().publish_workshop(&serde_json::from_value(workshop).unwrap()).await.unwrap();
    app.store().create_cohort("Ladder", "hinted", "HNT-4QX").await.unwrap()
}

/// Hands in and has it graded; the submission's page.
async fn hand_in(app: &App, cohort: &Cohort, client: &Client, files: &[(&str, &[u8])]) -> (Uuid, Answer) {
    let path = format!("/api/v1/cohorts/{}/exercises/two-files/submissions", cohort.id);
    let answer = client.send_raw(Method::POST, &path, "application/zip", zip(files)).await;
    let id: Uuid = answer.assert(StatusCode::ACCEPTED).json()["id"].as_str().unwrap().parse().unwrap();
    grade_queued(app).await;
    (id, client.get(&format!("/submissions/{id}")).await)
}

async fn hints_come_one_by_one_and_cost_points_afterwards(database: Database) {
    let app = App::on(database).await;
    let cohort = publish(&app).await;
    let ada = app.member(&cohort, "Ada", Role::Student).await;
    let dora = app.member(&cohort, "Dora", Role::Trainer).await;
    let (first, page) = hand_in(&app, &cohort, &ada, &[("none.txt", b"")]).await;
    page.assert_says("the first rung")
        .assert_says("Next hint (2 of 3), costs 2 points")
        .assert_says("only this");
    assert!(!page.text.contains("second rung"), "{}", page.text);
    let hints = format!("/submissions/{first}/hints");
    let ask = async |client: &Client, check: &str| {
        let fields = crate::app::urlencoded(&[("check", check)]);
        let kind = "application/x-www-form-urlencoded";
        client.send_raw(Method::POST, &hints, kind, fields.into_bytes()).await
    };
    ask(&ada, "one").await.assert_redirect(&format!("/submissions/{first}#check-one"));
    let page = ada.get(&format!("/submissions/{first}")).await;
    page.assert_says("the second rung").assert_says("Next hint (3 of 3)");
    assert!(!page.text.contains("third rung"));
    // A program asks too; there are three, and no more than these.
    let program = app.program_of(ada.person()).await;
    let api = format!("/api/v1/submissions/{first}/hints");
    let none = program.post_json(&api, &json!({"check": "three"})).await;
    none.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("no hint for this check");
    let told = program.post_json(&api, &json!({"check": "two"})).await.json();
    assert_eq!(told, json!({"check": "two", "hints": ["only this"], "all": 1}));
    // There is nothing more to ask for, and nothing of a check that is not there.
    ask(&ada, "two").await.assert(StatusCode::SEE_OTHER);
    ask(&ada, "three").await.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("no hint for this check");
    ask(&dora, "one").await.assert(StatusCode::FORBIDDEN).assert_says("a trainer sees them all");
    let seen = dora.get(&format!("/submissions/{first}")).await;
    seen.assert_says("the third rung").assert_says("(not asked for)");
    assert!(!seen.text.contains("Next hint"));
    let taken = app.store().hints_taken(cohort.id, ada.person().id, "two-files").await.unwrap();
    let taken: Vec<_> = taken.iter().map(|hint| (hint.check.as_str(), hint.hint, hint.submission)).collect();
    assert_eq!(taken, [("one", 2, first)]);

    let way = dora.get(&format!("/cohorts/{}/people/{}", cohort.id, ada.person().id)).await;
    way.assert(StatusCode::OK).assert_says("<td class=\"num\">1</td><td class=\"num\">1</td>");

    let (second, page) = hand_in(&app, &cohort, &ada, &[("one.txt", b"one")]).await;
    page.assert_says("Not yet: 1 of 4 points").assert_says("2 points less, for hints");
    page.assert_says(&format!(
        "Since <a href=\"/submissions/{first}\">submission 1</a>: 1 more check passes"
    ));
    page.assert_says("passes now");
    let report = ada.get(&format!("/api/v1/submissions/{second}")).await.json();
    let check = &report["grading"]["checks"][0];
    assert_eq!((&check["points"]["earned"], &check["hint_points"]), (&json!(1), &json!(2)), "{report}");
    // A hint of the check that passes is not to be had, and what is asked for later changes nothing of before.
    let (_, page) = hand_in(&app, &cohort, &ada, &[("two.txt", b"two")]).await;
    page.assert_says("1 more check passes, 1 no longer passes").assert_says("passed before");
    ask(&ada, "one").await.assert(StatusCode::SEE_OTHER);
    ask(&ada, "one").await.assert(StatusCode::SEE_OTHER);
    let taken = app.store().hints_taken(cohort.id, ada.person().id, "two-files").await.unwrap();
    assert_eq!(taken.len(), 2, "there are no more than three hints");
    let again = app.store().regrade(second).await.unwrap();
    grade_queued(&app).await;
    let again = app.store().grading(again.id).await.unwrap();
    assert_eq!(again.points.earned, 1, "only what was asked for before it was handed in");
    let (_, page) = hand_in(&app, &cohort, &ada, &[("one.txt", b"one"), ("two.txt", b"two")]).await;
    page.assert_says("Passed: 1 of 4 points").assert_says("3 points less, for hints");
    app.stop().await;
}

on_both!(hints_come_one_by_one_and_cost_points_afterwards);
