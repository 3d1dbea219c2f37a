//! Handing in by an address: what is taken and kept, and the sentences for what is not. That it is fetched is
//! shown in tests/remote.

use drydock::accounts::Role;
use drydock::store::Cohort;
use drydock::submissions::Source;
use reqwest::{Method, StatusCode, multipart};
use serde_json::json;

use crate::app::{App, Client, Database, FILES, IMAGE, REPOSITORY, zip};
use crate::on_both;

const TOKEN: &str = "ghp_aVerySecretToken";

fn page_of(cohort: &Cohort, exercise: &str) -> String {
    format!("/cohorts/{}/exercises/{exercise}", cohort.id)
}

/// A cohort whose workshop takes addresses, with a student and a trainer.
async fn cohort(app: &App) -> (Cohort, Client, Client) {
    let cohort = app.store().create_cohort("By address", "addresses", "ADR-E23").await.unwrap();
    let student = app.member(&cohort, "Ada", Role::Student).await;
    let trainer = app.member(&cohort, "Dora", Role::Trainer).await;
    (cohort, student, trainer)
}

async fn a_repository_is_kept_with_its_token_sealed(database: Database) {
    let app = App::on(database).await;
    let (cohort, student, trainer) = cohort(&app).await;
    let page = page_of(&cohort, REPOSITORY);
    let answer = student
        .multipart(&page, &format!("{page}/submissions"), |form| {
            form.text("repository", " https://git.example.org/ada/work.git ")
                .text("revision", "main")
                .text("username", "ada")
                .text("token", TOKEN)
                .part("archive", multipart::Part::bytes(b"".as_slice()).file_name(""))
        })
        .await;
    let location = answer.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    let id = location.trim_start_matches("/submissions/").parse().unwrap();
    let stored = app.store().submission(id).await.unwrap();
    let url = "https://git.example.org/ada/work.git";
    let source = Source::Repository { url: url.into(), revision: Some("main".into()), commit: None };
    assert_eq!((&stored.source, &stored.content_sha256), (&source, &None));
    let login = app.store().login_of(id).await.unwrap().unwrap();
    assert_eq!((login.username(), login.secret()), ("ada", TOKEN));

    // The page says what was handed in, the form starts with it, and nobody reads the token.
    student.get(&location).await.assert_says("https://git.example.org/ada/work.git at main");
    let form = student.get(&page).await;
    form.assert_says("value=\"https://git.example.org/ada/work.git\"");
    let program = app.program_of(student.person()).await;
    for text in [
        form.text,
        trainer.get(&location).await.text,
        program.get(&format!("/api/v1/submissions/{id}")).await.text,
    ] {
        assert!(!text.contains(TOKEN), "{text}");
    }

    // Under the lease it becomes what it was, and the token is forgotten.
    let claim = app.store().claim("worker", std::time::Duration::from_secs(30)).await.unwrap().unwrap();
    let fetched =
        Source::Repository { url: url.into(), revision: Some("main".into()), commit: Some("ab".repeat(20)) };
    let other = drydock::store::Lease { worker: "another".into(), ..claim.lease.clone() };
    assert!(app.store().fetched(&other, id, &fetched, None).await.is_err());
    assert!(app.store().login_of(id).await.unwrap().is_some());
    app.store().fetched(&claim.lease, id, &fetched, None).await.unwrap();
    assert_eq!(app.store().submission(id).await.unwrap().source, fetched);
    assert!(app.store().login_of(id).await.unwrap().is_none());
    student.get(&location).await.assert_says("commit abababababab");
    app.stop().await;
}

#[tokio::test]
async fn programs_hand_in_by_json() {
    let app = App::start().await;
    let (cohort, student, _) = cohort(&app).await;
    let program = app.program_of(student.person()).await;
    let api = |exercise: &str| format!("/api/v1{}/submissions", page_of(&cohort, exercise));
    // A token in the address is taken out of it.
    let body = json!({"repository": {"url": format!("https://ada:{TOKEN}@git.example.org/ada/work")}});
    let answer = program.post_json(&api(REPOSITORY), &body).await;
    let answer = answer.assert(StatusCode::ACCEPTED).json();
    assert_eq!(answer["source"], json!({"kind": "repository", "url": "https://git.example.org/ada/work"}));
    let login = app.store().login_of(answer["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((login.username(), login.secret()), ("ada", TOKEN));

    let body = json!({"image": "registry.example.org/ada/app:1.2"});
    let answer = program.post_json(&api(IMAGE), &body).await.assert(StatusCode::ACCEPTED).json();
    assert_eq!(answer["source"], json!({"kind": "image", "reference": "registry.example.org/ada/app:1.2"}));
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_is_refused_at_once() {
    let app = App::start().await;
    let (cohort, student, _) = cohort(&app).await;
    let program = app.program_of(student.person()).await;
    for (exercise, body, words) in [
        (REPOSITORY, json!({"repository": {"url": "git@git.example.org:ada/work.git"}}), "https://"),
        (REPOSITORY, json!({"repository": {"url": "ext::sh -c id"}}), "https://"),
        (REPOSITORY, json!({"repository": {"url": "file:///etc"}}), "https://"),
        (
            REPOSITORY,
            json!({"repository": {"url": "https://git.example.org/a/b", "revision": "a..b"}}),
            "a..b",
        ),
        (REPOSITORY, json!({"image": "busybox"}), "no image of a registry"),
        (FILES, json!({"repository": {"url": "https://git.example.org/a/b"}}), "no repository"),
        (IMAGE, json!({"image": "Not/An Image"}), "no image reference"),
        (IMAGE, json!({"image": "a", "repository": {"url": "https://git.example.org/a/b"}}), "one thing"),
        (IMAGE, json!({}), "Nothing was handed in"),
    ] {
        let api = format!("/api/v1{}/submissions", page_of(&cohort, exercise));
        let answer = program.post_json(&api, &body).await;
        let answer = answer.assert(StatusCode::UNPROCESSABLE_ENTITY).json();
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.ends_with('.'), "{body}: {detail}");
    }
    let page = page_of(&cohort, REPOSITORY);
    let path = format!("{page}/submissions");
    let both = student.multipart(&page, &path, |form| {
        let part = multipart::Part::bytes(zip(&[("a", b"b")])).file_name("a.zip");
        form.part("archive", part).text("repository", "https://git.example.org/a/b")
    });
    both.await.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("one thing");
    assert_eq!(app.store().queue_depth().await.unwrap().0, 0, "nothing was queued");
    app.stop().await;
}

/// The logins that the cohort's page and the API tell of.
async fn registries(trainer: &Client, program: &Client, cohort: uuid::Uuid) -> (String, serde_json::Value) {
    let page =
        trainer.get(&format!("/cohorts/{cohort}/registries")).await.assert(StatusCode::OK).text.clone();
    (page, program.get(&format!("/api/v1/cohorts/{cohort}/registries")).await.assert(StatusCode::OK).json())
}

async fn logins_for_registries_are_kept_sealed(database: Database) {
    let app = App::on(database).await;
    let trainer = app.trainer("Dora").await;
    let program = app.program_of(trainer.person()).await;
    let cohort = app.cohort.id;
    let page = format!("/cohorts/{cohort}/registries");
    let fields =
        [("registry", "https://Registry.example.org:5000/"), ("username", "class"), ("secret", TOKEN)];
    trainer.form(&page, &fields).await.assert(StatusCode::SEE_OTHER);
    let (text, list) = registries(&trainer, &program, cohort).await;
    assert!(text.contains("registry.example.org:5000") && !text.contains(TOKEN), "{text}");
    assert_eq!(
        (&list[0]["registry"], &list[0]["username"]),
        (&json!("registry.example.org:5000"), &json!("class"))
    );
    assert!(!list.to_string().contains(TOKEN));
    let login = app.store().registry_login(cohort, "registry.example.org:5000").await.unwrap().unwrap();
    assert_eq!(login.secret(), TOKEN);
    assert!(
        app.store().registry_login(app.other_cohort.id, "registry.example.org:5000").await.unwrap().is_none()
    );

    // The same again changes it.
    let api = format!("/api/v1/cohorts/{cohort}/registries");
    let body = json!({"registry": "registry.example.org:5000", "username": "other", "secret": "new"});
    program.post_json(&api, &body).await.assert(StatusCode::NO_CONTENT);
    let (_, list) = registries(&trainer, &program, cohort).await;
    assert_eq!((list.as_array().unwrap().len(), &list[0]["username"]), (1, &json!("other")));

    for (registry, username, secret, words) in [
        ("", "a", "b", "no registry"),
        ("team/app", "a", "b", "no registry"),
        ("registry.example.org", "", "b", "write both"),
        ("registry.example.org", "a:b", "c", "no colon"),
    ] {
        let fields = [("registry", registry), ("username", username), ("secret", secret)];
        let answer = trainer.form(&page, &fields).await;
        answer.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says(words);
    }
    trainer.form(&page, &[("forget", "registry.example.org:5000")]).await.assert(StatusCode::SEE_OTHER);
    let gone = program.unsafe_request(Method::DELETE, &format!("{api}/registry.example.org:5000"));
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(registries(&trainer, &program, cohort).await.1, json!([]));
    app.stop().await;
}

on_both!(a_repository_is_kept_with_its_token_sealed);
on_both!(logins_for_registries_are_kept_sealed);
