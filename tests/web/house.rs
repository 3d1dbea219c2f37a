//! The house as an admin keeps it: people, cohorts, workshops, tokens, machinery, and the log of it all.

use std::time::Duration;

use drydock::accounts::Role;
use drydock::store::{JobKind, Worker, WorkerFigures};
use reqwest::StatusCode;
use serde_json::json;

use crate::app::{App, Database, FILES, QUESTIONS, REPOSITORY};
use crate::on_both;

on_both!(a_list_of_people_is_taken_whole_or_not_at_all);
async fn a_list_of_people_is_taken_whole_or_not_at_all(database: Database) {
    let app = App::on(database).await;
    let admin = app.admin("Fay").await;
    app.person("Old Hand", false).await;
    let people = async || app.store().people().await.unwrap().len();
    let bad = "name,password,cohort,role\nAda,,Night shift,student\nBo,short,,\nAda,,,\nOld Hand,secret-word,,\nCy,,Nowhere,\nDi,,,trainer\nEd,,,boss\n";
    let page = admin.form("/admin/people/import", &[("list", bad), ("do", "import")]).await;
    page.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("6 of 7 lines cannot be taken");
    for sentence in [
        "at least 8 characters",
        "in the list twice",
        "has an account already",
        "no cohort `Nowhere`",
        "A trainer needs a cohort",
        "no role `boss`",
    ] {
        page.assert_says(sentence);
    }
    assert_eq!(people().await, 2, "nothing was changed");
    page.assert_says("Ed,,,boss");

    let good = "Ada,,Night shift,student\nBo,a good secret,NGT-SH5,trainer\nOld Hand,,Night shift,\n";
    let look = admin.form("/admin/people/import", &[("list", good), ("do", "look")]).await;
    look.assert(StatusCode::OK)
        .assert_says("All 3 lines can be taken")
        .assert_says("with a password made for them");
    assert_eq!(people().await, 2, "looking changes nothing");
    let done = admin.form("/admin/people/import", &[("list", good), ("do", "import")]).await;
    done.assert(StatusCode::OK);
    assert_eq!(done.header("cache-control"), "no-store");
    assert!(!done.text.contains("a good secret"), "only what was made is shown");
    let made = done.text.split("<strong>").nth(1).unwrap().split('<').next().unwrap();
    let members = app.store().members(app.other_cohort.id).await.unwrap();
    let roles: Vec<_> = members.iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(roles, [("Ada", Role::Student), ("Bo", Role::Trainer), ("Old Hand", Role::Student)]);
    for (name, password) in [("Ada", made), ("Bo", "a good secret")] {
        app.visitor()
            .form("/sign-in", &[("name", name), ("password", password)])
            .await
            .assert(StatusCode::SEE_OTHER);
    }
    let again = admin.form("/admin/people/import", &[("list", good), ("do", "import")]).await;
    again.assert(StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}

on_both!(people_are_found_changed_and_the_last_admin_stays);
async fn people_are_found_changed_and_the_last_admin_stays(database: Database) {
    let app = App::on(database).await;
    let admin = app.admin("Fay").await;
    let student = app.student("100% Ada_x").await;
    for number in 0..60 {
        app.person(&format!("Crew {number:02}"), false).await;
    }
    let first = admin.get("/admin/people").await;
    first.assert_says("62 people").assert_says("Crew 48").assert_says("Next page");
    assert!(!first.text.contains("Crew 49"));
    let next = first.text.split("href=\"/admin/people?search=").nth(1).unwrap().split('"').next().unwrap();
    let next = format!("/admin/people?search={}", next.replace("&#38;", "&").replace("&amp;", "&"));
    admin.get(&next).await.assert_says("Crew 59").assert_says("From the beginning").assert_says("Fay");
    let found = admin.get("/admin/people?search=%25+ada_").await;
    found.assert_says("1 person").assert_says("100% Ada_x");
    admin.get("/admin/people?search=a%25x").await.assert_says("Nobody");

    let id = student.person().id;
    let change = async |word: &str| admin.form(&format!("/admin/people/{id}"), &[("do", word)]).await;
    change("deactivate").await.assert(StatusCode::SEE_OTHER);
    student.get(&format!("/cohorts/{}", app.cohort.id)).await.assert(StatusCode::SEE_OTHER);
    change("activate").await.assert(StatusCode::SEE_OTHER);
    change("admin").await.assert(StatusCode::SEE_OTHER);
    assert!(app.store().person(id).await.unwrap().admin);
    change("no-admin").await.assert(StatusCode::SEE_OTHER);
    let own = format!("/admin/people/{}", admin.person().id);
    let refused = admin.form(&own, &[("do", "no-admin")]).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("from yourself");
    let last = drydock::store::PersonChange::Deactivated(true);
    assert!(app.store().change_person(admin.person().id, last, None).await.is_err(), "the last admin");
    app.stop().await;
}

on_both!(a_student_moves_with_what_was_handed_in);
async fn a_student_moves_with_what_was_handed_in(database: Database) {
    let app = App::on(database).await;
    let admin = app.admin("Fay").await;
    let student = app.student("Ada").await;
    let (submission, _) = app.submit(&student, FILES).await;
    let here = format!("/admin/cohorts/{}", app.cohort.id);
    let id = student.person().id.to_string();
    let refused = admin.form(&here, &[("do", "remove"), ("person", &id)]).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("would be lost");
    let to = app.other_cohort.id.to_string();
    admin.form(&here, &[("do", "move"), ("person", &id), ("to", &to)]).await.assert_redirect(&here);
    assert_eq!(app.store().submission(submission.id).await.unwrap().cohort, app.other_cohort.id);
    assert!(app.store().members(app.cohort.id).await.unwrap().is_empty());
    let cell = app.store().cell(app.other_cohort.id, student.person().id, FILES).await.unwrap().unwrap();
    assert_eq!((cell.submissions, cell.latest_submission), (1, submission.id));
    assert_eq!(app.store().cells(app.other_cohort.id).await.unwrap().len(), 1);
    app.runner().grade(true).await;
    student.get(&format!("/submissions/{}", submission.id)).await.assert(StatusCode::OK);

    admin.form(&here, &[("do", "add"), ("name", "ada"), ("role", "student")]).await.assert_redirect(&here);
    app.submit(&student, FILES).await;
    let refused = admin.form(&here, &[("do", "move"), ("person", &id), ("to", &to)]).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("same exercise in both");
    admin.form(&here, &[("do", "add"), ("name", "Nobody")]).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    let fields = [("do", "change"), ("name", "Day shift"), ("workshop", "addresses")];
    admin.form(&here, &fields).await.assert_redirect(&here);
    admin.form(&here, &[("do", "close")]).await.assert_redirect(&here);
    let cohort = app.store().cohort(app.cohort.id).await.unwrap();
    assert_eq!((cohort.name.as_str(), cohort.workshop.as_str()), ("Day shift", "addresses"));
    assert!(cohort.closed_at.is_some());
    let fields = [("name", "Evening"), ("workshop", "basics")];
    admin.form("/admin/cohorts", &fields).await.assert(StatusCode::SEE_OTHER);
    admin.get("/admin/cohorts").await.assert_says("Evening").assert_says("Day shift").assert_says("closed");
    let log = admin.get("/admin/audit?action=member.").await;
    log.assert_says("moved here").assert_says("Fay").assert_says("Night shift");
    assert!(!log.text.contains("cohort: closed"), "only what was asked for");
    admin.get("/admin/audit?by=nobody+of+that+name").await.assert_says("Nobody has this name");
    admin.get(&format!("/admin/audit?cohort={}&by=fay", app.cohort.id)).await.assert_says("cohort: closed");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workshop_is_put_in_order_and_published_at_once() {
    let app = App::start().await;
    let (admin, student) = (app.admin("Fay").await, app.student("Ada").await);
    let page = admin.get("/admin/workshops/basics").await;
    let seen =
        page.text.split_once("name=\"seen\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let seen = seen.replace("&#43;", "+");
    let order = |act: &'static str, seen: &str| {
        vec![
            ("title", "The basics".to_owned()),
            ("audience", "Everybody".to_owned()),
            ("seen", seen.to_owned()),
            ("section", "First".to_owned()),
            ("exercise", FILES.to_owned()),
            ("exercise", QUESTIONS.to_owned()),
            ("add", REPOSITORY.to_owned()),
            ("do", act.to_owned()),
        ]
    };
    let send = async |fields: Vec<(&str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        admin.form("/admin/workshops/basics", &fields).await
    };
    let places = |html: &str| -> Vec<String> {
        let found = html.split("name=\"exercise\" value=\"").skip(1);
        found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let moved = send(order("down:0.0", &seen)).await;
    moved.assert(StatusCode::OK).assert_says("Not published yet");
    assert_eq!(places(&moved.text), [QUESTIONS, FILES]);
    assert_eq!(places(&send(order("add:0", &seen)).await.text), [FILES, QUESTIONS, REPOSITORY]);
    assert_eq!(places(&send(order("remove:0.0", &seen)).await.text), [QUESTIONS]);
    let before = app.store().workshop("basics").await.unwrap().unwrap();
    assert_eq!(before.sections[0].exercises, [FILES, QUESTIONS], "nothing is published before it is said so");

    let mut fields = order("publish", &seen);
    fields.insert(6, ("exercise", REPOSITORY.to_owned()));
    send(fields).await.assert_redirect("/admin/workshops/basics?saved=true");
    let board = student.get(&format!("/cohorts/{}", app.cohort.id)).await;
    board.assert_says("From a repository");
    let late = send(order("publish", &seen)).await;
    late.assert(StatusCode::CONFLICT).assert_says("Somebody else has published");
    assert_eq!(places(&late.text), [FILES, QUESTIONS], "nothing that was sent is lost");
    for (what, value) in [("exercise", "no-such"), ("exercise", FILES), ("section", " ")] {
        let mut fields = order("publish", &seen);
        fields.insert(6, (what, value.to_owned()));
        send(fields).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let fields = [("slug", "evening"), ("title", "Evening"), ("audience", "All")];
    admin.form("/admin/workshops", &fields).await.assert_redirect("/admin/workshops/evening");
    admin.form("/admin/workshops", &fields).await.assert(StatusCode::CONFLICT);
    // A retired exercise cannot be put into a workshop.
    app.store().set_retired(FILES, true, None).await.unwrap();
    let page = admin.get("/admin/workshops/evening").await;
    assert!(!page.text.contains(&format!("<option value=\"{FILES}\"")), "{}", page.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_folder_brought_does_not_undo_what_the_browser_made() {
    let app = App::start().await;
    let store = app.store();
    let folder = |title: &str| -> drydock::exercises::Workshop {
        serde_json::from_value(json!({"slug": "seeded", "title": title, "audience": "All", "sections": []}))
            .unwrap()
    };
    store.seed_workshop(&folder("One")).await.unwrap();
    let seen = store.workshop_published("seeded").await.unwrap();
    store.edit_workshop(&folder("By hand"), seen, None).await.unwrap();
    store.seed_workshop(&folder("One")).await.unwrap();
    assert_eq!(
        store.workshop("seeded").await.unwrap().unwrap().title,
        "By hand",
        "a restart changes nothing"
    );
    store.seed_workshop(&folder("Two")).await.unwrap();
    assert_eq!(store.workshop("seeded").await.unwrap().unwrap().title, "Two", "a new folder does");

    let exercise = app.state.shelf.current(FILES).await.unwrap();
    store.seed_exercise(&exercise).await.unwrap();
    let other = app.state.shelf.current(REPOSITORY).await.unwrap();
    store.publish_version(FILES, "by-hand", "By hand", &other.folder).await.unwrap();
    store.seed_exercise(&exercise).await.unwrap();
    let now = store.published_exercises().await.unwrap().into_iter().find(|one| one.slug == FILES).unwrap();
    assert_eq!(now.version, "by-hand");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_revoked() {
    let app = App::start().await;
    let (student, other) = (app.student("Ada").await, app.student("Bob").await);
    let made = student.form("/account/tokens", &[("name", "nightly")]).await;
    made.assert(StatusCode::OK);
    let token = made.text.split_once("<code>").unwrap().1.split('<').next().unwrap().to_owned();
    let mut program = app.visitor();
    program.bearer = Some(token.clone());
    assert_eq!(program.get("/api/v1/me").await.json()["name"], "Ada");
    let page = student.get("/account/tokens").await;
    page.assert_says("nightly");
    assert!(!page.text.contains(&token), "shown once");
    let id = app.store().api_tokens(student.person().id).await.unwrap()[0].id;
    let revoke = format!("/account/tokens/{id}/revoke");
    let send = async |client: &crate::app::Client| {
        client.send_raw(reqwest::Method::POST, &revoke, "application/x-www-form-urlencoded", Vec::new()).await
    };
    send(&other).await.assert(StatusCode::NOT_FOUND);
    send(&student).await.assert_redirect("/account/tokens");
    program.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_page_tells_and_asks() {
    let app = App::start().await;
    let admin = app.admin("Fay").await;
    admin.get("/admin/engine").await.assert_says("No worker has told about itself yet");
    let now = app.clock.now();
    let worker = Worker {
        id: "w1".into(),
        host: "quay <1>".into(),
        version: "1".into(),
        engine: None,
        started_at: now,
        last_seen: now,
        paused_because: Some("the engine does not answer".into()),
        figures: WorkerFigures::default(),
    };
    app.store().worker_seen(&worker).await.unwrap();
    let student = app.student("Ada").await;
    app.submit(&student, FILES).await;
    let claim = app.store().claim("w1", Duration::from_secs(30)).await.unwrap().unwrap();
    let page = admin.get("/admin/engine").await;
    page.assert_says("paused: the engine does not answer").assert_says("quay &#60;1&#62;");
    page.assert_says(&format!("/submissions/{}", claim.submission.id)).assert_says("Not measured yet");

    let mut events = admin.stream("/admin/engine/events", None).await;
    assert!(events.next().await.unwrap().data.contains("machinery"));
    admin.form("/admin/engine", &[("worker", "w1"), ("do", "pull")]).await.assert_redirect("/admin/engine");
    assert!(events.next().await.unwrap().data.contains("Images on quay"), "it comes by itself");
    let job = app.store().newest_jobs(JobKind::Images).await.unwrap().remove(0);
    assert_eq!((job.worker.as_deref(), &job.wish), (Some("w1"), &json!({"pull": true})));
    let points = json!([{"id": "x", "rule": {"number": 1, "name": "Rule"}, "title": "Sealed <b>",
        "grade": "fail", "observed": "it leaks", "advice": "Mend it."}]);
    app.store().worker_examined("w1", &points).await.unwrap();
    loop {
        if events.next().await.unwrap().data.contains("\"reload\":true") {
            break;
        }
    }
    admin
        .get("/admin/engine")
        .await
        .assert_says("1 point to mend first")
        .assert_says("Mend it.")
        .assert_says("Sealed &#60;b&#62;");
    let gone = admin.form("/admin/engine", &[("worker", "w2"), ("do", "doctor")]).await;
    gone.assert(StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}
