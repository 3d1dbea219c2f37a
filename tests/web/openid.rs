//! Sign-in with an OpenID provider that runs on the loopback address and signs real tokens.

use drydock::accounts::Role;
use drydock::clock::Clock;
use drydock::config::Settings;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{Answer, App, Client, Database};
use crate::on_both;
use crate::provider::{CLIENT, Provider, SECRET};

async fn server(database: Database, provider: &Provider, clock: Clock, admins: &[&str]) -> App {
    let issuer = provider.issuer();
    let admins = admins.iter().map(|group| (*group).to_owned()).collect();
    App::with(database, clock, move |settings: &mut Settings, _| {
        settings.openid.issuer = Some(issuer);
        settings.openid.client_id = Some(CLIENT.into());
        settings.openid.client_secret = Some(SECRET.into());
        settings.openid.name = "Harbour login".into();
        settings.openid.admin_groups = admins;
    })
    .await
}

/// Off to the provider and back to our door, which is not opened yet.
async fn away(client: &Client, from: &str) -> String {
    let off = client.get(from).await;
    off.assert(StatusCode::SEE_OTHER);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let there = Answer::of(http.get(off.header("location")).send().await.unwrap()).await;
    let back = there.assert(StatusCode::SEE_OTHER).header("location");
    let (_, path) = back.split_once("/sign-in").unwrap();
    format!("/sign-in{path}")
}

async fn come(app: &App, provider: &Provider, claims: Value) -> (Client, Answer) {
    provider.sign_in(claims);
    let visitor = app.visitor();
    let back = away(&visitor, "/sign-in/openid?next=/account").await;
    let answer = visitor.get(&back).await;
    (visitor, answer)
}

async fn groups_lead_into_cohorts_and_out_again(database: Database) {
    let provider = Provider::start().await;
    let app = server(database, &provider, Clock::system(), &["ops"]).await;
    let page = app.visitor().get("/sign-in?next=/account").await;
    page.assert_says("Sign in with Harbour login").assert_says("href=\"/sign-in/openid?next=%2Faccount\"");

    let admin = app.admin("Fay").await;
    let cohort = app.cohort.id.to_string();
    for (group, role, says) in [
        ("crew", "student", ""),
        (" ", "student", "about a group"),
        ("cr\u{202e}ew", "student", "invisible"),
        ("mates", "trainer", ""),
    ] {
        let fields = [("group", group), ("cohort", cohort.as_str()), ("role", role)];
        let answer = admin.form("/admin/groups", &fields).await;
        if says.is_empty() {
            answer.assert_redirect("/admin/groups");
        } else {
            answer.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says(says);
        }
    }
    admin.get("/admin/groups").await.assert_says("crew").assert_says("as trainers");

    let ada = json!({"sub": "1", "name": "Ada  Lovelace", "groups": ["crew", "elsewhere"]});
    let (client, answer) = come(&app, &provider, ada).await;
    answer.assert_redirect("/account");
    client.get("/account").await.assert(StatusCode::OK).assert_says("You sign in with Harbour login");
    let person = app.store().person_by_name("Ada Lovelace").await.unwrap().unwrap();
    assert_eq!(app.store().role_in(app.cohort.id, person.id).await.unwrap(), Some(Role::Student));
    assert!(!person.admin);

    // The same person with other groups, and another name, is the same person.
    let ada = json!({"sub": "1", "name": "A. L.", "groups": ["mates", "ops"]});
    come(&app, &provider, ada).await.1.assert_redirect("/account");
    let again = app.store().person(person.id).await.unwrap();
    assert_eq!((again.admin, again.name.as_str()), (true, "Ada Lovelace"));
    assert_eq!(app.store().role_in(app.cohort.id, person.id).await.unwrap(), Some(Role::Trainer));
    let ada = json!({"sub": "1", "name": "A. L."});
    come(&app, &provider, ada).await.1.assert_redirect("/account");
    assert!(!app.store().person(person.id).await.unwrap().admin);
    assert_eq!(app.store().role_in(app.cohort.id, person.id).await.unwrap(), None);

    // Another person of the same name is another person, whose password is not guessed.
    let other = json!({"sub": "2", "name": "Ada Lovelace"});
    come(&app, &provider, other).await.1.assert_redirect("/account");
    let other = app.store().person_by_name("Ada Lovelace 2").await.unwrap().unwrap();
    for password in ["", "whatever it is"] {
        let fields = [("name", "Ada Lovelace 2"), ("password", password)];
        app.visitor().form("/sign-in", &fields).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    }
    app.store().set_deactivated(other.id, true).await.unwrap();
    let locked = json!({"sub": "2", "name": "Ada Lovelace"});
    come(&app, &provider, locked).await.1.assert(StatusCode::FORBIDDEN).assert_says("locked");
    app.stop().await;
}

on_both!(groups_lead_into_cohorts_and_out_again);

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_did_not_say_lets_nobody_in() {
    let provider = Provider::start().await;
    let app = server(Database::Sqlite, &provider, Clock::system(), &[]).await;
    let refused = |answer: &Answer| {
        answer.assert(StatusCode::FORBIDDEN).assert_says("did not let you in");
        assert!(
            !answer.headers.get_all("set-cookie").iter().any(|c| c.to_str().unwrap().starts_with("session="))
        );
    };
    for wrong in [
        json!({"sub": "1", "aud": "somebody else"}),
        json!({"sub": "1", "iss": "https://elsewhere.example"}),
        json!({"sub": "1", "exp": 1_000_000}),
        json!({"sub": "1", "nonce": "of another sign-in"}),
    ] {
        refused(&come(&app, &provider, wrong).await.1);
    }
    // A code of one browser's is nothing in another's, nor without the cookie.
    provider.sign_in(json!({"sub": "1", "name": "Ada"}));
    let (mine, theirs) = (app.visitor(), app.visitor());
    let back = away(&mine, "/sign-in/openid").await;
    refused(&theirs.get(&back).await);
    away(&theirs, "/sign-in/openid").await;
    refused(&theirs.get(&back).await);
    mine.get(&back).await.assert_redirect("/");
    refused(&mine.get(&back).await);
    refused(&app.visitor().get("/sign-in/openid/back?error=access_denied").await);
    // New keys are asked for; keys that nobody tells of are not believed.
    provider.change_key();
    come(&app, &provider, json!({"sub": "1", "name": "Ada"})).await.1.assert_redirect("/account");
    provider.forge();
    refused(&come(&app, &provider, json!({"sub": "1", "name": "Ada"})).await.1);
    assert_eq!(app.store().people().await.unwrap().len(), 1, "only Ada came in");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_away_too_long_starts_again_and_a_dead_provider_is_told() {
    let provider = Provider::start().await;
    #[expect(clippy::disallowed_methods, reason = "the provider has the machine's clock")]
    let clock = Clock::manual(chrono::Utc::now());
    let app = server(Database::Sqlite, &provider, clock, &[]).await;
    provider.sign_in(json!({"sub": "1", "name": "Ada"}));
    let visitor = app.visitor();
    let back = away(&visitor, "/sign-in/openid").await;
    app.clock.advance(std::time::Duration::from_secs(15 * 60 + 1));
    visitor.get(&back).await.assert(StatusCode::FORBIDDEN).assert_says("took too long");
    app.stop().await;

    let dead = App::with(Database::Sqlite, Clock::system(), |settings, _| {
        settings.openid.issuer = Some("http://127.0.0.1:1".into());
        settings.openid.client_id = Some(CLIENT.into());
    })
    .await;
    let answer = dead.visitor().get("/sign-in/openid").await;
    answer.assert(StatusCode::SERVICE_UNAVAILABLE).assert_says("cannot be reached at the moment");
    dead.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_with_an_account_connects_it_on_purpose_only() {
    let provider = Provider::start().await;
    let app = server(Database::Sqlite, &provider, Clock::system(), &[]).await;
    let ada = app.student("Ada").await;
    provider.sign_in(json!({"sub": "ada@provider", "name": "Somebody"}));
    ada.get("/account/openid").await.assert(StatusCode::FORBIDDEN).assert_says("account page");
    let page = ada.get("/account").await;
    let href = page.text.split_once("href=\"/account/openid?csrf=").unwrap().1.split_once('"').unwrap().0;
    let back = away(&ada, &format!("/account/openid?csrf={href}")).await;
    ada.get(&back).await.assert_redirect("/account?done=openid");
    ada.get("/account?done=openid")
        .await
        .assert_says("Connected")
        .assert_says("You sign in with Harbour login");
    // From then on it is Ada who comes.
    let (client, _) = come(&app, &provider, json!({"sub": "ada@provider", "name": "Somebody"})).await;
    client.get("/account").await.assert_says("<h1>Ada</h1>");
    // And nobody else's.
    let bob = app.student("Bob").await;
    let csrf = bob.csrf.clone().unwrap();
    let back = away(&bob, &format!("/account/openid?csrf={csrf}")).await;
    bob.get(&back).await.assert(StatusCode::CONFLICT).assert_says("Somebody else here");
    app.stop().await;
}
