//! One's own account: a new password, a forgotten one, and where one is signed in.

use drydock::accounts::Role;
use reqwest::{Method, StatusCode};

use crate::app::{Answer, App, Client, Database, urlencoded};
use crate::on_both;

const OLD: &str = "a long walk home";
const NEW: &str = "a short ride out";

async fn join(app: &App, name: &str) -> Client {
    let visitor = app.visitor();
    let fields = [("name", name), ("password", OLD)];
    visitor.form(&format!("/join/{}", app.cohort.join_code), &fields).await.assert(StatusCode::SEE_OTHER);
    visitor
}

async fn sign_in(app: &App, name: &str, password: &str) -> (Client, StatusCode) {
    let visitor = app.visitor();
    let answer = visitor.form("/sign-in", &[("name", name), ("password", password)]).await;
    (visitor, answer.status)
}

/// The link that a page shows, as a path.
fn link(answer: &Answer) -> String {
    let token = answer.text.split_once("/reset?token=").expect("a link").1;
    format!("/reset?token={}", token.split_once('<').unwrap().0)
}

async fn a_forgotten_password_is_chosen_anew_once(database: Database) {
    let app = App::on(database).await;
    let ada = join(&app, "Ada").await;
    let person = app.store().person_by_name("Ada").await.unwrap().unwrap();
    let trainer = app.trainer("Dora").await;
    let path = format!("/cohorts/{}/people/{}/reset", app.cohort.id, person.id);
    let make = || async {
        let answer = trainer.unsafe_request(Method::POST, &path).send().await.unwrap();
        Answer::of(answer).await
    };
    let first = link(make().await.assert(StatusCode::OK));
    let shown = make().await;
    shown.assert_says("A link for Ada").assert_says("works once");
    let second = link(&shown);
    let visitor = app.visitor();
    visitor.get(&first).await.assert(StatusCode::NOT_FOUND).assert_says("does not work any more");
    visitor.get(&second).await.assert(StatusCode::OK).assert_says("A new password for");
    let weak = visitor.form(&second, &[("password", "short")]).await;
    weak.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("at least 8");
    visitor.form(&second, &[("password", NEW)]).await.assert_redirect("/");
    visitor.get("/account").await.assert(StatusCode::OK).assert_says("<h1>Ada</h1>");
    visitor.get(&second).await.assert(StatusCode::NOT_FOUND);
    ada.get("/account").await.assert(StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&app, "Ada", OLD).await.1, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(sign_in(&app, "Ada", NEW).await.1, StatusCode::SEE_OTHER);
    let written = app.store().records(&drydock::store::AuditWish::default(), 10).await.unwrap();
    let written: Vec<_> = written.iter().map(|one| (one.by.as_deref(), one.action.as_str())).collect();
    let made = (Some("Dora"), "person.reset_link_made");
    assert_eq!(written, [(Some("Ada"), "person.password_reset"), made, made]);
    app.stop().await;
}

on_both!(a_forgotten_password_is_chosen_anew_once);

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_makes_links_for_students_only() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let ask = async |client: &Client, who: uuid::Uuid| {
        let path = format!("/cohorts/{}/people/{who}/reset", app.cohort.id);
        client.unsafe_request(Method::POST, &path).send().await.unwrap().status()
    };
    let elsewhere = app.member(&app.other_cohort, "Cleo", Role::Student).await;
    assert_eq!(ask(&trainer, elsewhere.person().id).await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&trainer, uuid::Uuid::nil()).await, StatusCode::NOT_FOUND);
    // A student here who trains next door, or runs the house.
    let emil = app.student("Emil").await;
    app.store().add_member(app.other_cohort.id, emil.person().id, Role::Trainer).await.unwrap();
    let fay = app.student("Fay").await;
    app.store().set_admin(fay.person().id, true).await.unwrap();
    for whose in [&emil, &fay, &trainer] {
        assert_eq!(ask(&trainer, whose.person().id).await, StatusCode::FORBIDDEN);
        assert_eq!(ask(&fay, whose.person().id).await, StatusCode::OK, "an admin may");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_every_other_session() {
    let app = App::start().await;
    let ada = join(&app, "Ada").await;
    let (other, _) = sign_in(&app, "Ada", OLD).await;
    let change = async |current: &str, new: &str| {
        let csrf = ada.token("/account").await;
        let fields = [("csrf", csrf.as_str()), ("current", current), ("new", new)];
        let request = ada
            .request(Method::POST, "/account/password")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(urlencoded(&fields));
        Answer::of(request.send().await.unwrap()).await
    };
    for (current, new, says) in [("wrong", NEW, "not your current password"), (OLD, "short", "at least 8")] {
        change(current, new).await.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says(says);
    }
    other.get("/account").await.assert(StatusCode::OK);
    change(OLD, NEW).await.assert_redirect("/account?done=password");
    ada.get("/account?done=password").await.assert(StatusCode::OK).assert_says("The new password holds");
    other.get("/account").await.assert(StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&app, "Ada", NEW).await.1, StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one_or_all_but_this() {
    let app = App::start().await;
    let mut ada = join(&app, "Ada").await;
    ada.csrf = Some(ada.token("/account").await);
    let person = app.store().person_by_name("Ada").await.unwrap().unwrap();
    let bob = app.student("Bob").await;
    let others = [sign_in(&app, "Ada", OLD).await.0, sign_in(&app, "Ada", OLD).await.0];
    let page = ada.get("/account").await;
    assert_eq!(page.text.matches("name=\"end\" value=\"").count(), 4, "three sessions and all others");
    page.assert_says("(this one)");
    let sessions = app.store().sessions_of(person.id).await.unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Nobody ends somebody else's.
    bob.form("/account/sessions", &[("end", &hex(&sessions[0].token_hash))])
        .await
        .assert(StatusCode::SEE_OTHER);
    assert_eq!(app.store().sessions_of(person.id).await.unwrap().len(), 3);
    ada.form("/account/sessions", &[("end", "rubbish")]).await.assert(StatusCode::BAD_REQUEST);
    ada.form("/account/sessions", &[("end", "others")]).await.assert_redirect("/account?done=sessions");
    for other in &others {
        other.get("/account").await.assert(StatusCode::SEE_OTHER);
    }
    let mine = app.store().sessions_of(person.id).await.unwrap();
    let answer = ada.form("/account/sessions", &[("end", &hex(&mine[0].token_hash))]).await;
    answer.assert_redirect("/sign-in");
    ada.get("/account").await.assert(StatusCode::SEE_OTHER);
    app.stop().await;
}
