//! Joining, signing in and out, and who may try how often.

use std::time::Duration;

use drydock::clock::Clock;
use reqwest::{Method, StatusCode};

use crate::app::{Answer, App, Client, Database, urlencoded};
use crate::on_both;

const PASSWORD: &str = "a long walk home";

async fn join(app: &App, name: &str) -> (Client, Answer) {
    let visitor = app.visitor();
    let path = format!("/join/{}", app.cohort.join_code);
    let answer = visitor.form(&path, &[("name", name), ("password", PASSWORD)]).await;
    (visitor, answer)
}

fn cookie<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|value| value.starts_with(&format!("{name}=")))
        .unwrap_or_else(|| panic!("no cookie {name} in {:?}", answer.headers))
}

async fn somebody_joins_leaves_and_comes_back(database: Database) {
    let app = App::on(database).await;
    // The code is read however it is typed, and leads to the form.
    let visitor = app.visitor();
    let typed = format!("/join?code={}", app.cohort.join_code.to_lowercase().replace('-', "+"));
    visitor.get(&typed).await.assert_redirect(&format!("/join/{}", app.cohort.join_code));
    visitor
        .get("/join/WRN-GGG")
        .await
        .assert(StatusCode::NOT_FOUND)
        .assert_says("No cohort has this join code");

    let (mut ada, joined) = join(&app, "  Ada   Lovelace ").await;
    let board = format!("/cohorts/{}", app.cohort.id);
    joined.assert_redirect(&board);
    ada.get(&board).await.assert(StatusCode::OK).assert_says("Ada Lovelace").assert_says("Say hello");

    // The same name again, in other letters, is the same name.
    let (_, twice) = join(&app, "ADA lovelace").await;
    twice.assert(StatusCode::CONFLICT).assert_says("already has this name");

    let token = ada.token(&board).await;
    ada.csrf = Some(token);
    ada.form("/sign-out", &[]).await.assert_redirect("/sign-in");
    ada.get(&board).await.assert_redirect(&format!("/sign-in?next={}", board.replace('/', "%2F")));

    let back = app.visitor();
    back.form("/sign-in", &[("name", "Ada Lovelace"), ("password", "not this one")])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("do not fit together");
    back.form("/sign-in", &[("name", "ada lovelace"), ("password", PASSWORD), ("next", &board)])
        .await
        .assert_redirect(&board);
    back.get(&board).await.assert(StatusCode::OK);
    app.stop().await;
}

on_both!(somebody_joins_leaves_and_comes_back);

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_name_or_password_is_refused_with_a_reason() {
    let app = App::start().await;
    let path = format!("/join/{}", app.cohort.join_code);
    for (name, password, words) in [
        ("", PASSWORD, "type a name"),
        (&"x".repeat(10_000), PASSWORD, "longer than 80"),
        ("Ada\u{202e}adA", PASSWORD, "invisible"),
        ("Ada", "short", "at least 8"),
        ("Ada Lovelace", "ada lovelace", "first thing others would try"),
    ] {
        let visitor = app.visitor();
        let answer = visitor.form(&path, &[("name", name), ("password", password)]).await;
        answer.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says(words);
        assert!(!answer.text.contains(PASSWORD), "the password does not come back");
    }
    assert_eq!(app.store().people().await.unwrap().len(), 0, "nothing was made");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_the_browsers_alone() {
    let app = App::start().await;
    let (_, joined) = join(&app, "Ada").await;
    let here = cookie(&joined, "session");
    assert!(here.contains("HttpOnly") && here.contains("SameSite=Lax") && here.contains("Path=/"), "{here}");
    assert!(!here.contains("Secure"), "on the loopback address a Secure cookie would be lost: {here}");
    assert!(!here.contains("Domain"), "{here}");
    app.stop().await;

    let secure = App::with(Database::Sqlite, Clock::system(), |settings, _| {
        settings.public_url = Some("https://drydock.example".into());
    })
    .await;
    let visitor = secure.visitor();
    let page = visitor.get(&format!("/join/{}", secure.cohort.join_code)).await;
    let visit = cookie(&page, "__Host-visit").to_owned();
    assert!(visit.contains("Secure") && visit.contains("HttpOnly"), "{visit}");
    assert!(page.header("strict-transport-security").starts_with("max-age="));
    // A Secure cookie does not go over plain HTTP; a proxy in front would hand it on like this.
    let token = page.text.split_once("name=\"csrf\" value=\"").unwrap().1.split_once('"').unwrap().0;
    let joined = visitor
        .request(Method::POST, &format!("/join/{}", secure.cohort.join_code))
        .header("cookie", visit.split(';').next().unwrap())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(urlencoded(&[("csrf", token), ("name", "Ada"), ("password", PASSWORD)]));
    let joined = Answer::of(joined.send().await.unwrap()).await;
    let session = cookie(joined.assert(StatusCode::SEE_OTHER), "__Host-session").to_owned();
    assert!(session.contains("Secure") && session.contains("Path=/"), "{session}");
    secure.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_every_sign_in_and_ends_in_time() {
    let clock = Clock::manual("2026-01-05T08:00:00Z".parse().unwrap());
    let app = App::with(Database::Sqlite, clock, |settings, _| {
        settings.sessions.lifetime = Duration::from_hours(72);
    })
    .await;
    let (_, joined) = join(&app, "Ada").await;
    let first = cookie(&joined, "session").to_owned();
    let visitor = app.visitor();
    let signed_in = visitor.form("/sign-in", &[("name", "Ada"), ("password", PASSWORD)]).await;
    assert_ne!(cookie(signed_in.assert(StatusCode::SEE_OTHER), "session"), first);
    // A value that somebody planted is no session.
    let planted = app.visitor();
    let request = planted.request(Method::GET, "/api/v1/me").header("cookie", "session=planted");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    // Used every few hours it goes on, but not for ever.
    for _ in 0..5 {
        app.clock.advance(Duration::from_hours(12));
        visitor.get("/api/v1/me").await.assert(StatusCode::OK);
    }
    app.clock.advance(Duration::from_hours(13));
    visitor.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);

    // Unused it ends after a day.
    let idle = app.visitor();
    idle.form("/sign-in", &[("name", "Ada"), ("password", PASSWORD)]).await.assert(StatusCode::SEE_OTHER);
    app.clock.advance(Duration::from_hours(25));
    idle.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() {
    let clock = Clock::manual("2026-01-05T08:00:00Z".parse().unwrap());
    let app = App::with(Database::Sqlite, clock, |_, _| ()).await;
    join(&app, "Ada").await.1.assert(StatusCode::SEE_OTHER);
    let guess = async |name: &str, password: &str| {
        app.visitor().form("/sign-in", &[("name", name), ("password", password)]).await
    };
    for _ in 0..5 {
        guess("Ada", "wrong password").await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let blocked = guess("ada ", PASSWORD).await;
    blocked.assert(StatusCode::TOO_MANY_REQUESTS).assert_says("Wait 10 s");
    // Nobody's name gives the same answers, so that names cannot be found out.
    for _ in 0..5 {
        guess("Nobody", "wrong password").await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    }
    guess("Nobody", "wrong password").await.assert(StatusCode::TOO_MANY_REQUESTS);
    app.clock.advance(Duration::from_secs(11));
    guess("Ada", PASSWORD).await.assert(StatusCode::SEE_OTHER);

    // Many names from one address: the address is slowed down, wherever the client says it comes from.
    let mut last = StatusCode::OK;
    for number in 0..40 {
        last = guess(&format!("Name {number}"), "wrong password").await.status;
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    app.stop().await;
}
