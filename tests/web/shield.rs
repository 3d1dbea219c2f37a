//! What protects people and the server: headers, CSRF, limits, deadlines, compression.

use std::sync::Arc;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::grading::worker::Worker;
use drydock::store::PHASE_BUCKETS;
use reqwest::{Method, StatusCode, multipart};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::app::{Answer, App, Database, FILES, urlencoded, zip};
use crate::graded::NoEngine;

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    for path in ["/", "/sign-in", "/nothing/here", "/api/v1/me", "/api/v1/nothing", "/healthz", "/metrics"] {
        for client in [&student, &app.visitor()] {
            let answer = client.get(path).await;
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            for part in ["form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
            assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert!(answer.headers.contains_key("permissions-policy"), "{path}");
            assert!(answer.headers.contains_key("x-request-id"), "{path}");
            assert!(
                !answer.headers.contains_key("strict-transport-security"),
                "{path}: plain HTTP promises nothing"
            );
        }
    }
    // No page has a script or a style of its own, or the policy would break it.
    let page = student.get(&format!("/cohorts/{}/exercises/{FILES}", app.cohort.id)).await;
    page.assert(StatusCode::OK);
    assert!(!page.text.contains(" style=") && !page.text.contains("<style"), "{}", page.text);
    assert!(!page.text.contains("onclick") && !page.text.contains("<script>"), "{}", page.text);
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_an_error_says_what_to_do() {
    let app = App::start().await;
    let answer = app.visitor().get("/nothing/here").await;
    answer.assert(StatusCode::NOT_FOUND).assert_says("There is nothing at this address");
    answer.assert_says(answer.header("x-request-id"));
    assert!(answer.header("content-type").starts_with("text/html"));
    let visitor = app.visitor();
    let scripted = reqwest::Client::new().get(app.url("/nothing")).header("accept", "application/json");
    let scripted = app_answer(scripted).await;
    assert_eq!(scripted.assert(StatusCode::NOT_FOUND).header("content-type"), "application/problem+json");
    let unsafe_one = visitor.request(Method::POST, "/healthz").header("content-length", "0");
    app_answer(unsafe_one).await.assert(StatusCode::METHOD_NOT_ALLOWED);
    app.stop().await;
}

async fn app_answer(request: reqwest::RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_form_needs_its_token_and_its_origin() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let csrf = student.csrf.clone().unwrap();
    let send = async |fields: &[(&str, &str)], headers: &[(&str, &str)]| {
        let mut request = student
            .request(Method::POST, "/sign-out")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(urlencoded(fields));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app_answer(request).await
    };
    let host = format!("http://{}", app.address);
    let good = [("csrf", csrf.as_str())];
    send(&[], &[]).await.assert(StatusCode::FORBIDDEN).assert_says("reload the page");
    send(&[("csrf", "")], &[]).await.assert(StatusCode::FORBIDDEN);
    send(&[("csrf", &csrf[1..])], &[]).await.assert(StatusCode::FORBIDDEN);
    send(&[], &[("x-csrf-token", "made-up")]).await.assert(StatusCode::FORBIDDEN);
    for headers in [
        [("sec-fetch-site", "cross-site"), ("origin", host.as_str())],
        [("sec-fetch-site", "same-site"), ("origin", "http://other.example")],
        [("origin", "http://evil.example"), ("referer", host.as_str())],
        [("origin", "null"), ("referer", host.as_str())],
    ] {
        send(&good, &headers).await.assert(StatusCode::FORBIDDEN).assert_says("another site");
    }
    student.get("/api/v1/me").await.assert(StatusCode::OK);
    send(&good, &[("origin", &host)]).await.assert(StatusCode::SEE_OTHER);
    student.get("/api/v1/me").await.assert(StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_signed_in_unawares() {
    let app = App::start().await;
    let fields = [("name", "Mallory"), ("password", "mallory's own")];
    for path in ["/sign-in".to_owned(), format!("/join/{}", app.cohort.join_code)] {
        // A form of another site: no cookie of a visit, no token.
        let request = app
            .visitor()
            .request(Method::POST, &path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(urlencoded(&fields));
        app_answer(request).await.assert(StatusCode::FORBIDDEN);
        // A token of another visit.
        let (one, other) = (app.visitor(), app.visitor());
        let token = one.token(&path).await;
        other.get(&path).await;
        let mut with_token = vec![("csrf", token.as_str())];
        with_token.extend(fields);
        let request = other
            .request(Method::POST, &path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(urlencoded(&with_token));
        app_answer(request).await.assert(StatusCode::FORBIDDEN);
    }
    assert_eq!(app.store().people().await.unwrap().len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn the_api_takes_a_cookie_only_with_the_token() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let body = serde_json::json!({"name": "forged"});
    let request = student.request(Method::POST, "/api/v1/tokens").json(&body);
    app_answer(request).await.assert(StatusCode::FORBIDDEN);
    student.post_json("/api/v1/tokens", &body).await.assert(StatusCode::CREATED);
    app.stop().await;
}

#[tokio::test]
async fn an_upload_has_its_token_before_its_files() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let csrf = student.csrf.clone().unwrap();
    let path = format!("/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    let archive = || multipart::Part::bytes(zip(&[("hello.txt", b"hello")])).file_name("a.zip");
    let send = async |form: multipart::Form| {
        app_answer(student.request(Method::POST, &path).header("accept", "text/html").multipart(form)).await
    };
    send(multipart::Form::new().part("archive", archive())).await.assert(StatusCode::FORBIDDEN);
    let late = multipart::Form::new().part("archive", archive()).text("csrf", csrf.clone());
    send(late).await.assert(StatusCode::FORBIDDEN);
    let wrong = multipart::Form::new().text("csrf", "made-up").part("archive", archive());
    send(wrong).await.assert(StatusCode::FORBIDDEN);
    let good = multipart::Form::new().text("csrf", csrf).part("archive", archive());
    let answer = send(good).await;
    answer.assert(StatusCode::SEE_OTHER);
    assert!(answer.header("location").starts_with("/submissions/"));
    app.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_likes() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    for (accepts, encoding) in
        [("gzip", Some("gzip")), ("br;q=1, gzip;q=0.5", Some("br")), ("identity", None)]
    {
        let answer = app_answer(student.request(Method::GET, &page).header("accept-encoding", accepts)).await;
        let got = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(got, encoding, "{accepts}");
        assert!(answer.header("vary").to_lowercase().contains("accept-encoding"));
    }
    let (_, grading) = app.submit(&student, FILES).await;
    let events = format!("/api/v1/gradings/{}/events", grading.id);
    let stream =
        student.request(Method::GET, &events).header("accept-encoding", "gzip").send().await.unwrap();
    assert!(!stream.headers().contains_key("content-encoding"), "a compressed stream would arrive in lumps");
    app.stop().await;
}

/// An app whose patience is short.
async fn impatient() -> App {
    App::with(Database::Sqlite, Clock::system(), |_, patience| {
        patience.head = Duration::from_millis(300);
        patience.brisk = Duration::from_millis(500);
        patience.upload = Duration::from_millis(800);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up() {
    let app = impatient().await;
    let student = app.student("Ada").await;
    let token = app.program_of(student.person()).await.bearer.unwrap();
    let upload = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    for (path, kind) in [("/api/v1/tokens", "application/json"), (upload.as_str(), "application/zip")] {
        let mut socket = TcpStream::connect(app.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n\
             Content-Length: 1000\r\nConnection: close\r\n\r\n{{",
            app.address
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // One byte now and then keeps an idle timer content; the deadline does not care.
        let (mut reading, mut writing) = socket.into_split();
        let drip = tokio::spawn(async move {
            while writing.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut answer = Vec::new();
        let whole = tokio::time::timeout(Duration::from_secs(5), reading.read_to_end(&mut answer));
        // The end may come as a reset, since the client still sends.
        let _ = whole.await.expect("an answer in time");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains("took too long"), "{path}: {answer}");
        drip.abort();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_given_up() {
    let app = impatient().await;
    let mut socket = TcpStream::connect(app.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut answer = Vec::new();
    let whole = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer));
    let _ = whole.await.expect("the connection is closed in time");
    app.stop().await;
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    student
        .form("/sign-out", &[("padding", &"x".repeat(70_000))])
        .await
        .assert(StatusCode::PAYLOAD_TOO_LARGE)
        .assert_says("64 KiB");
    student
        .post_json("/api/v1/tokens", &serde_json::json!({"name": "x".repeat(70_000)}))
        .await
        .assert(StatusCode::PAYLOAD_TOO_LARGE);
    app.stop().await;
}

#[tokio::test]
async fn machines_are_told_how_it_goes() {
    let app = App::start().await;
    let visitor = app.visitor();
    visitor.get("/healthz").await.assert(StatusCode::OK).assert_says("ok");
    visitor.get("/readyz").await.assert(StatusCode::OK).assert_says("ready");
    visitor.get("/api/v1/made-up-1").await;
    visitor.get("/api/v1/made-up-2").await;
    let metrics = visitor.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    metrics
        .assert_says("drydock_queue_depth 0")
        .assert_says("drydock_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"} 1")
        .assert_says("drydock_http_request_seconds_bucket{route=\"/healthz\",method=\"GET\",le=\"+Inf\"} 1")
        // Addresses that do not exist make no series of their own.
        .assert_says("drydock_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 2");
    app.store().close().await;
    visitor.get("/readyz").await.assert(StatusCode::SERVICE_UNAVAILABLE);
    visitor.get("/healthz").await.assert(StatusCode::OK);
    let broken = visitor.get("/metrics").await;
    broken.assert(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        !broken.text.to_lowercase().contains("pool") && !broken.text.to_lowercase().contains("sql"),
        "{}",
        broken.text
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_told_what_the_workers_did() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    app.submit(&student, FILES).await;
    let stop = CancellationToken::new();
    let worker = |away| {
        let grader = Arc::new(NoEngine { clock: app.clock.clone(), away });
        let settings = app.state.settings.worker.clone();
        let worker = Worker::new(
            app.store().clone(),
            app.state.live.clone(),
            grader,
            drydock::grading::Fetcher::new(&app.state.settings).unwrap(),
            settings,
            app.clock.clone(),
        );
        tokio::spawn(worker.run(stop.clone()))
    };
    let working = [worker(false), worker(true)];
    // A worker tells about itself every two seconds.
    let mut text = String::new();
    for _ in 0..200 {
        text = app.visitor().get("/metrics").await.text;
        if text.lines().any(|line| line.starts_with("drydock_verdicts_total{") && line.ends_with(" 1")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let values = |begin: &str| -> Vec<&str> {
        let mut found: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(begin))
            .map(|line| line.rsplit_once("\"} ").unwrap_or_else(|| panic!("no label: {line}")).1)
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(values("drydock_verdicts_total{verdict=\"failed\",worker=\""), ["0", "1"], "{text}");
    assert_eq!(values("drydock_verdicts_total{verdict=\"passed\",worker=\""), ["0", "0"]);
    assert_eq!(values("drydock_verdicts_total{verdict=\"platform_fault\",worker=\""), ["0", "0"]);
    assert_eq!(values("drydock_worker_paused{worker=\""), ["0", "1"]);
    let silent = values("drydock_engine_errors_total{during=\"heartbeat\",worker=\"");
    assert!(silent[0] == "0" && silent[1] != "0", "{silent:?}");
    assert_eq!(values("drydock_engine_errors_total{during=\"grading\",worker=\""), ["0", "0"]);
    assert_eq!(values("drydock_grading_phase_seconds_count{phase=\"read\",worker=\""), ["1"], "{text}");
    let buckets = values("drydock_grading_phase_seconds_bucket{phase=\"read\",worker=\"");
    assert_eq!(buckets.len(), PHASE_BUCKETS.len() + 1);
    assert_eq!(buckets.last(), Some(&"1"));
    assert!(!text.contains("phase=\"build\""), "nothing was built");
    // Each figure is explained once, before its first value.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert_eq!(text.matches(&format!("# TYPE {family} ")).count(), 1, "{line}");
        assert!(text.find(&format!("# HELP {family} ")) < text.find(line), "{line}");
    }
    stop.cancel();
    for worker in working {
        worker.await.unwrap().unwrap();
    }
    assert!(!app.visitor().get("/metrics").await.text.contains("worker=\""), "who has gone is not told of");
    app.stop().await;
}
