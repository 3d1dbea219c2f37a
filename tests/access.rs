//! Who may use which route: every route by every role, with the answer expected.
//!
//! The test walks the router's own list. A route without a row here fails it, and so does a row
//! without a route.

#[path = "common/app.rs"]
mod app;

use std::collections::{BTreeMap, BTreeSet};

use app::{App, Client, FILES, zip};
use drydock::accounts::Role;
use drydock::web;
use reqwest::{Method, StatusCode};
use uuid::Uuid;

/// Who asks, in the order of the columns below.
const ROLES: [&str; 7] = [
    "nobody",
    "student",       // of the cohort, and the owner of the submission
    "other student", // of the same cohort
    "outsider",      // a student of another cohort
    "trainer",       // of the cohort
    "other trainer", // of another cohort
    "admin",
];

/// Method, path, and the status for each role. Requests that change something are sent well formed
/// but empty: whoever may gets to the handler's own refusal, and nothing changes.
const TABLE: &[(&str, &str, [u16; 7])] = &[
    // For machines
    ("GET", "/healthz", [200; 7]),
    ("GET", "/readyz", [200; 7]),
    ("GET", "/metrics", [200; 7]),
    // Coming and going
    ("GET", "/", [303; 7]),
    ("GET", "/sign-in", [200, 303, 303, 303, 303, 303, 303]),
    ("POST", "/sign-in", [403, 422, 422, 422, 422, 422, 422]),
    ("POST", "/sign-out", [403, 303, 303, 303, 303, 303, 303]),
    ("GET", "/join", [200; 7]),
    ("GET", "/join/{code}", [200; 7]),
    ("POST", "/join/{code}", [403, 303, 303, 303, 303, 303, 303]),
    ("GET", "/assets/{hash}/{name}", [200; 7]),
    // Nobody departs without a provider, and nobody comes back who did not depart.
    ("GET", "/sign-in/openid", [404; 7]),
    ("GET", "/sign-in/openid/back", [403; 7]),
    ("GET", "/reset", [404; 7]),
    ("POST", "/reset", [403, 422, 422, 422, 422, 422, 422]),
    ("GET", "/account", [303, 200, 200, 200, 200, 200, 200]),
    ("GET", "/account/openid", [303, 403, 403, 403, 403, 403, 403]),
    ("POST", "/account/password", [401, 422, 422, 422, 422, 422, 422]),
    ("POST", "/account/sessions", [401, 422, 422, 422, 422, 422, 422]),
    // Students
    ("GET", "/cohorts/{cohort}", [303, 200, 200, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/exercises/{slug}", [303, 200, 200, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/exercises/{slug}/starter.zip", [303, 200, 200, 404, 200, 404, 200]),
    ("POST", "/cohorts/{cohort}/exercises/{slug}/submissions", [401, 422, 422, 404, 422, 404, 422]),
    ("GET", "/submissions/{submission}", [303, 200, 404, 404, 200, 404, 200]),
    ("GET", "/submissions/{submission}/events", [303, 200, 404, 404, 200, 404, 200]),
    ("POST", "/submissions/{submission}/hints", [401, 422, 404, 404, 422, 404, 422]),
    ("GET", "/submissions/{submission}/log.txt", [303, 200, 404, 404, 200, 404, 200]),
    // Trainers
    ("GET", "/cohorts", [303, 200, 200, 200, 200, 200, 200]),
    ("POST", "/cohorts", [401, 403, 403, 403, 422, 422, 422]),
    ("GET", "/cohorts/{cohort}/grid", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/grid/events", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/checks", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/people/{person}", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/regrades", [303, 403, 403, 404, 200, 404, 200]),
    ("POST", "/cohorts/{cohort}/regrades", [401, 403, 403, 404, 422, 404, 422]),
    ("GET", "/cohorts/{cohort}/regrades/{regrade}", [303, 403, 403, 404, 404, 404, 404]),
    ("GET", "/cohorts/{cohort}/regrades/{regrade}/events", [303, 403, 403, 404, 404, 404, 404]),
    ("POST", "/submissions/{submission}/regrade", [401, 403, 404, 404, 422, 404, 422]),
    ("GET", "/cohorts/{cohort}/projector", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/projector/events", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/statistics", [303, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/dates", [303, 403, 403, 404, 200, 404, 200]),
    ("POST", "/cohorts/{cohort}/dates", [401, 403, 403, 404, 422, 404, 422]),
    ("POST", "/cohorts/{cohort}/settings", [401, 403, 403, 404, 422, 404, 422]),
    ("GET", "/cohorts/{cohort}/registries", [303, 403, 403, 404, 200, 404, 200]),
    ("POST", "/cohorts/{cohort}/registries", [401, 403, 403, 404, 422, 404, 422]),
    ("POST", "/cohorts/{cohort}/people/{person}/reset", [401, 403, 403, 404, 200, 404, 200]),
    ("GET", "/cohorts/{cohort}/reviews", [303, 403, 403, 404, 200, 404, 200]),
    ("POST", "/submissions/{submission}/comments", [401, 403, 404, 404, 422, 404, 422]),
    ("POST", "/submissions/{submission}/overrides", [401, 403, 404, 404, 422, 404, 422]),
    ("GET", "/submissions/{submission}/review", [303, 403, 404, 404, 200, 404, 200]),
    ("POST", "/submissions/{submission}/review", [401, 403, 404, 404, 422, 404, 422]),
    // Admins
    ("GET", "/admin", [303, 403, 403, 403, 403, 403, 200]),
    ("GET", "/admin/kinds", [303, 403, 403, 403, 403, 403, 200]),
    ("GET", "/admin/groups", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/groups", [401, 403, 403, 403, 403, 403, 422]),
    ("POST", "/admin/people/{person}/reset", [401, 403, 403, 403, 403, 403, 200]),
    ("GET", "/admin/jobs/{job}/events", [303, 403, 403, 403, 403, 403, 404]),
    ("GET", "/admin/exercises", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/exercises", [401, 403, 403, 403, 403, 403, 422]),
    ("POST", "/admin/exercises/upload", [401, 403, 403, 403, 403, 403, 422]),
    ("POST", "/admin/exercises/import", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/exercises/{slug}", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/exercises/{slug}/draft", [401, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/discard", [401, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/verify", [401, 403, 403, 403, 403, 403, 303]),
    ("POST", "/admin/exercises/{slug}/publish", [401, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/retire", [401, 403, 403, 403, 403, 403, 303]),
    ("GET", "/admin/exercises/{slug}/diff", [303, 403, 403, 403, 403, 403, 404]),
    ("GET", "/admin/exercises/{slug}/folder.zip", [303, 403, 403, 403, 403, 403, 404]),
    ("GET", "/admin/exercises/{slug}/files", [303, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/files", [401, 403, 403, 403, 403, 403, 404]),
    ("GET", "/admin/exercises/{slug}/file", [303, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/check", [401, 403, 403, 403, 403, 403, 404]),
    ("GET", "/admin/exercises/{slug}/preview", [303, 403, 403, 403, 403, 403, 404]),
    ("POST", "/admin/exercises/{slug}/preview", [401, 403, 403, 403, 403, 403, 200]),
    ("GET", "/admin/workshops", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/workshops", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/workshops/{workshop}", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/workshops/{workshop}", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/cohorts", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/cohorts", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/cohorts/{cohort}", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/cohorts/{cohort}", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/people", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/people", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/people/import", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/people/import", [401, 403, 403, 403, 403, 403, 422]),
    ("POST", "/admin/people/{person}", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/engine", [303, 403, 403, 403, 403, 403, 200]),
    ("POST", "/admin/engine", [401, 403, 403, 403, 403, 403, 422]),
    ("GET", "/admin/engine/events", [303, 403, 403, 403, 403, 403, 200]),
    ("GET", "/admin/audit", [303, 403, 403, 403, 403, 403, 200]),
    // Everybody's tokens
    ("GET", "/account/tokens", [303, 200, 200, 200, 200, 200, 200]),
    ("POST", "/account/tokens", [401, 422, 422, 422, 422, 422, 422]),
    ("POST", "/account/tokens/{token}/revoke", [401, 404, 404, 404, 404, 404, 404]),
    // API
    ("GET", "/api/v1/openapi.json", [200; 7]),
    ("GET", "/api/v1/me", [401, 200, 200, 200, 200, 200, 200]),
    ("GET", "/api/v1/tokens", [401, 200, 200, 200, 200, 200, 200]),
    ("POST", "/api/v1/tokens", [401, 422, 422, 422, 422, 422, 422]),
    ("DELETE", "/api/v1/tokens/{token}", [401, 404, 404, 404, 404, 404, 404]),
    ("GET", "/api/v1/exercises", [401, 200, 200, 200, 200, 200, 200]),
    ("GET", "/api/v1/exercises/{slug}", [401, 200, 200, 200, 200, 200, 200]),
    ("GET", "/api/v1/cohorts", [401, 200, 200, 200, 200, 200, 200]),
    ("GET", "/api/v1/cohorts/{cohort}/progress", [401, 403, 403, 404, 200, 404, 200]),
    ("POST", "/api/v1/cohorts/{cohort}/regrades", [401, 403, 403, 404, 422, 404, 422]),
    ("GET", "/api/v1/cohorts/{cohort}/regrades/{regrade}", [401, 403, 403, 404, 404, 404, 404]),
    ("GET", "/api/v1/cohorts/{cohort}/gradebook.csv", [401, 403, 403, 404, 200, 404, 200]),
    ("GET", "/api/v1/cohorts/{cohort}/gradebook.json", [401, 403, 403, 404, 200, 404, 200]),
    ("GET", "/api/v1/cohorts/{cohort}/terms", [401, 403, 403, 404, 200, 404, 200]),
    ("POST", "/api/v1/cohorts/{cohort}/terms", [401, 403, 403, 404, 422, 404, 422]),
    ("GET", "/api/v1/cohorts/{cohort}/registries", [401, 403, 403, 404, 200, 404, 200]),
    ("POST", "/api/v1/cohorts/{cohort}/registries", [401, 403, 403, 404, 422, 404, 422]),
    ("DELETE", "/api/v1/cohorts/{cohort}/registries/{registry}", [401, 403, 403, 404, 404, 404, 404]),
    ("POST", "/api/v1/cohorts/{cohort}/exercises/{slug}/submissions", [401, 422, 422, 404, 422, 404, 422]),
    ("GET", "/api/v1/submissions/{submission}", [401, 200, 404, 404, 200, 404, 200]),
    ("POST", "/api/v1/submissions/{submission}/hints", [401, 422, 404, 404, 422, 404, 422]),
    ("POST", "/api/v1/submissions/{submission}/regrade", [401, 403, 404, 404, 202, 404, 202]),
    ("GET", "/api/v1/submissions/{submission}/notes", [401, 200, 404, 404, 200, 404, 200]),
    ("POST", "/api/v1/submissions/{submission}/notes", [401, 403, 404, 404, 422, 404, 422]),
    ("POST", "/api/v1/submissions/{submission}/overrides", [401, 403, 404, 404, 422, 404, 422]),
    ("GET", "/api/v1/cohorts/{cohort}/reviews", [401, 403, 403, 404, 200, 404, 200]),
    ("POST", "/api/v1/submissions/{submission}/reviews", [401, 403, 404, 404, 422, 404, 422]),
    ("GET", "/api/v1/gradings/{grading}", [401, 200, 404, 404, 200, 404, 200]),
    ("GET", "/api/v1/gradings/{grading}/events", [401, 200, 404, 404, 200, 404, 200]),
];

/// What the paths' parameters stand for.
struct Names {
    cohort: Uuid,
    submission: Uuid,
    grading: Uuid,
    student: Uuid,
}

impl Names {
    fn fill(&self, path: &str) -> String {
        let path = path
            .replace("{cohort}", &self.cohort.to_string())
            .replace("{submission}", &self.submission.to_string())
            .replace("{grading}", &self.grading.to_string())
            .replace("{person}", &self.student.to_string())
            .replace("{slug}", FILES)
            .replace("{registry}", "registry.example.org")
            .replace("{regrade}", &Uuid::nil().to_string())
            .replace("{token}", &Uuid::nil().to_string())
            .replace("{workshop}", "basics")
            .replace("{job}", &Uuid::nil().to_string())
            // A cohort that nobody is in yet, so that joining it changes no other answer.
            .replace("{code}", "JNN-GME")
            .replace("{hash}", "0")
            .replace("{name}", "app.css");
        assert!(!path.contains('{'), "{path}: say in this test what the parameter stands for");
        path
    }
}

async fn ask(client: &Client, method: &Method, path: &str) -> StatusCode {
    let request = client.unsafe_request(method.clone(), path).header("sec-fetch-site", "same-origin");
    let request = match *method {
        Method::POST if path.ends_with("/submissions") => {
            // An archive with nothing in it.
            request.header("content-type", "application/zip").body(zip(&[]))
        }
        Method::POST if path.starts_with("/api/") => request.json(&serde_json::json!({"name": " "})),
        Method::POST if path == "/cohorts" => {
            request.header("content-type", "application/x-www-form-urlencoded").body("name=+&workshop=basics")
        }
        Method::POST => request.header("content-type", "application/x-www-form-urlencoded").body(""),
        _ => request,
    };
    // Only the head: an event stream goes on.
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_role_as_the_table_says() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let (submission, grading) = app.submit(&student, FILES).await;
    let names = Names {
        cohort: app.cohort.id,
        submission: submission.id,
        grading: grading.id,
        student: student.person().id,
    };
    let people = [
        None,
        student.person.clone(),
        app.student("Bob").await.person,
        app.member(&app.other_cohort, "Cleo", Role::Student).await.person,
        app.trainer("Dora").await.person,
        app.member(&app.other_cohort, "Emil", Role::Trainer).await.person,
        app.admin("Fay").await.person,
    ];

    app.store().create_cohort("Newcomers", "basics", "JNN-GME").await.unwrap();

    let table: BTreeMap<_, _> = TABLE.iter().map(|(method, path, row)| ((*path, *method), row)).collect();
    assert_eq!(table.len(), TABLE.len(), "a route has two rows");
    let (_, rows) = web::routes(app.state.clone()).finish();
    let routes: BTreeSet<_> = rows.iter().map(|row| (row.path, row.method.as_str())).collect();
    let missing: Vec<_> = routes.iter().filter(|route| !table.contains_key(*route)).collect();
    assert!(missing.is_empty(), "routes without a row: {missing:#?}");
    let stale: Vec<_> = table.keys().filter(|route| !routes.contains(*route)).collect();
    assert!(stale.is_empty(), "rows without a route: {stale:#?}");

    let mut wrong = Vec::new();
    for row in &rows {
        let expected = table[&(row.path, row.method.as_str())];
        let path = names.fill(row.path);
        for (column, person) in people.iter().enumerate() {
            // A session of its own for each question: some of the routes end it.
            let client = match person {
                Some(person) => app.client_of(person).await,
                None => app.visitor(),
            };
            let status = ask(&client, &row.method, &path).await.as_u16();
            if status != expected[column] {
                wrong.push(format!(
                    "{} {}: {} got {status}, expected {}",
                    row.method, row.path, ROLES[column], expected[column]
                ));
            }
            // The API takes bearer tokens in place of sessions, with the same answers.
            if let Some(person) = person
                && row.is_api()
            {
                let program = app.program_of(person).await;
                let status = ask(&program, &row.method, &path).await.as_u16();
                if status != expected[column] {
                    wrong.push(format!(
                        "{} {} with a token: {} got {status}, expected {}",
                        row.method, row.path, ROLES[column], expected[column]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    app.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_looks_like_what_is_not_theirs() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let other = app.student("Bob").await;
    let (submission, grading) = app.submit(&student, FILES).await;
    for (theirs, nobodys) in [
        (format!("/api/v1/submissions/{}", submission.id), format!("/api/v1/submissions/{}", Uuid::nil())),
        (format!("/api/v1/gradings/{}", grading.id), format!("/api/v1/gradings/{}", Uuid::nil())),
    ] {
        let (mut theirs, mut nobodys) = (other.get(&theirs).await.json(), other.get(&nobodys).await.json());
        for problem in [&mut theirs, &mut nobodys] {
            problem.as_object_mut().unwrap().remove("request_id");
        }
        assert_eq!(theirs, nobodys);
    }
    app.stop().await;
}
