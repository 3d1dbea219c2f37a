//! What people do, in a real browser: join, hand in, see the verdict come, watch the cohort.

#[path = "common/app.rs"]
mod app;
#[path = "common/browser.rs"]
mod browser;
#[path = "common/engine.rs"]
#[allow(dead_code, reason = "the engine's own tests use the rest")]
mod engine;
#[path = "web/graded.rs"]
#[allow(dead_code, reason = "the web tests use the rest")]
mod graded;
#[path = "browser/trainer.rs"]
mod trainer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::{App, Client, FILES, QUESTIONS, log, report, zip};
use browser::{Browser, PHONE_WIDTH, Setup};
use drydock::accounts::{Role, hash_token, new_token};
use drydock::clock::Clock;
use drydock::exercises::Exercise;
use drydock::grading::worker::{EngineGrader, Worker};
use drydock::live::Event;
use drydock::report::Phase;
use thirtyfour::{By, Cookie, Key, TypingData};
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a long walk home";

/// Joins through the page, as on the first day.
async fn join(browser: &Browser, app: &App, code: &str, name: &str) {
    browser.goto(app.url("/join")).await.unwrap();
    browser.fill("#code", &code.to_lowercase()).await;
    browser.click("button.submit").await;
    browser.fill("#name", name).await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button.submit").await;
    browser.until_at(&app.url("/cohorts/")).await;
}

/// Signs a browser in through the store.
async fn enter(browser: &Browser, app: &App, client: &Client) {
    let token = new_token();
    let lifetime = std::time::Duration::from_hours(1);
    app.store()
        .create_session(client.person().id, &hash_token(&token), &new_token(), lifetime)
        .await
        .unwrap();
    browser.goto(app.url("/sign-in")).await.unwrap();
    browser.add_cookie(Cookie::new("session", token)).await.unwrap();
}

fn archive(folder: &Path) -> PathBuf {
    let path = folder.join("work.zip");
    std::fs::write(&path, zip(&[("hello.txt", b"hello"), ("word.txt", b"swordfish")])).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_student_on_a_phone_sees_the_verdict_come_and_the_trainer_sees_the_grid_change() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let trainer = app.trainer("Dora").await;
    // The first to join brings the grid, with a reload; the others appear in it.
    app.student("Zoe").await;
    let (phone, desk) = tokio::join!(Browser::open(Setup::Phone), Browser::open(Setup::Desk));
    enter(&desk, &app, &trainer).await;
    desk.goto(app.url(&format!("/cohorts/{}/grid", app.cohort.id))).await.unwrap();
    desk.one("#grid").await;
    desk.mark().await;

    join(&phone, &app, &app.cohort.join_code, "Ada Lovelace").await;
    assert_eq!(phone.width().await, PHONE_WIDTH);
    assert!(!phone.overflows().await, "the board is wider than a phone");
    // Somebody who joins appears in the trainer's grid by themselves.
    desk.until_shows("#grid", "Ada Lovelace").await;

    phone.click(&format!("a[href$='/exercises/{FILES}']")).await;
    phone.one("#hand-in").await;
    assert!(!phone.overflows().await, "the exercise is wider than a phone");
    phone.choose("input[name=archive]", &archive(folder.path())).await;
    phone.until_shows("#chosen", "work.zip").await;
    phone.click("#hand-in button.submit").await;
    phone.until_at(&app.url("/submissions/")).await;
    phone.mark().await;
    assert!(!phone.overflows().await, "the submission is wider than a phone");

    let claim = app.runner().claim().await;
    let recorder = app.runner().record(&claim);
    recorder.emit(Event::PhaseStarted { phase: Phase::Read });
    let result = report(&claim.submission, false);
    recorder.emit(Event::Outcome { check: Box::new(result.checks[0].clone()) });
    recorder.flush().await.unwrap();
    phone.until_shows("#verdict", "1 of 2 checks").await;
    recorder.finish(&result, None, 0.4).await.unwrap();
    phone.until_shows("#verdict", "2 of 3").await;
    assert!(phone.is_marked().await, "the page was reloaded");
    desk.one("#grid tbody td.f").await;
    assert!(desk.is_marked().await, "the grid was reloaded");
    assert!(!phone.source().await.contains("swordfish"), "a hidden expectation is on the page");

    let (one, other) = tokio::join!(tokio::spawn(phone.close()), tokio::spawn(desk.close()),);
    one.unwrap();
    other.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_wider_than_a_phone() {
    let app = App::start().await;
    let student = app.student(&format!("Wolfeschlegel{} Hubert", "steinhausen".repeat(4))).await;
    let admin = app.admin("Abe").await;
    app.store().add_member(app.cohort.id, admin.person().id, Role::Trainer).await.unwrap();
    let cohort = format!("/cohorts/{}", app.cohort.id);
    let path = format!("/api/v1{cohort}/exercises/{QUESTIONS}/submissions");
    let words = format!("Isolation. {}", "wide".repeat(60));
    let answers = serde_json::json!({"answers": {"shared": ["disk"], "listing": words, "why": words}});
    let sent = student.post_json(&path, &answers).await.json();
    let submission = format!("/submissions/{}", sent["id"].as_str().unwrap());
    graded::grade_queued(&app).await;
    let version = app.store().versions(FILES).await.unwrap()[0].version.clone();
    let folder = app.store().exercise_folder(FILES, &version).await.unwrap();
    let limits = &drydock::exercises::FOLDER_LIMITS;
    let changed =
        folder.with_file(&format!("{}/wide", "deep".repeat(30)), &"w".repeat(400).into(), true, limits);
    app.store().create_draft(FILES, &changed.unwrap(), None, "a test").await.unwrap();
    let phone = Browser::open(Setup::Phone).await;
    let theirs = [cohort.clone(), format!("{cohort}/exercises/{QUESTIONS}"), submission.clone()];
    let trainers = [
        format!("{cohort}/grid"),
        format!("{cohort}/reviews"),
        format!("{cohort}/checks?exercise={QUESTIONS}"),
        format!("{cohort}/statistics"),
        format!("{cohort}/regrades"),
        format!("{cohort}/dates?exercise={QUESTIONS}"),
        format!("{cohort}/registries"),
        format!("{cohort}/projector?until=2030-01-01T12:00"),
        format!("{cohort}/people/{}", student.person().id),
        format!("{submission}/review"),
        submission.clone(),
        "/cohorts".to_owned(),
        "/admin".to_owned(),
        "/admin/kinds".to_owned(),
        "/admin/exercises".to_owned(),
        format!("/admin/exercises/{FILES}"),
        format!("/admin/exercises/{FILES}/files"),
        format!("/admin/exercises/{FILES}/diff?from={version}&to=draft"),
        "/admin/workshops".to_owned(),
        "/admin/workshops/basics".to_owned(),
        "/admin/cohorts".to_owned(),
        format!("/admin{cohort}"),
        "/admin/people".to_owned(),
        "/admin/people/import".to_owned(),
        "/admin/engine".to_owned(),
        "/admin/audit".to_owned(),
        "/account/tokens".to_owned(),
    ];
    for (client, pages) in [(&student, &theirs[..]), (&admin, &trainers)] {
        enter(&phone, &app, client).await;
        for page in pages {
            phone.goto(app.url(page)).await.unwrap();
            phone.one("main h1").await;
            assert_eq!(phone.width().await, PHONE_WIDTH, "{page}");
            assert!(!phone.overflows().await, "{page} is wider than a phone");
        }
    }
    phone.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercise_is_written_with_its_mistakes_at_their_line() {
    let app = App::start().await;
    let admin = app.admin("Abe").await;
    let desk = Browser::open(Setup::Desk).await;
    enter(&desk, &app, &admin).await;
    desk.goto(app.url("/admin/exercises")).await.unwrap();
    desk.fill("#new-slug", "typed").await;
    desk.click("form[action='/admin/exercises'] button").await;
    desk.until_shows(".gutter", "1").await;
    desk.mark().await;
    desk.fill("#text", "title: Typed\nsubmit: [upload]\nchekcs: []\n").await;
    desk.until_shows("#mistakes", "Line 3, column 1").await;
    desk.until_shows(".gutter .bad:nth-child(3)", "3").await;
    desk.until_shows("#editor-state", "Not saved").await;
    assert!(desk.is_marked().await, "told while typing");
    desk.one("#text").await.send_keys(thirtyfour::Key::Control + "s").await.unwrap();
    desk.until_shows(".notice.is-passed", "Saved").await;
    let draft = app.store().draft("typed").await.unwrap().unwrap();
    let content = app.store().content(&draft.folder_sha256).await.unwrap();
    assert_eq!(content.file("exercise.yaml").unwrap(), "title: Typed\nsubmit: [upload]\nchekcs: []\n");
    desk.goto(app.url("/admin/exercises/typed/files?path=README.md")).await.unwrap();
    desk.fill("#text", "# Typed\n\nBe *bold*.").await;
    desk.until_shows("#preview em", "bold").await;
    desk.click("#editor button[value=save]").await;
    desk.until_shows(".notice.is-passed", "Saved").await;
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workshop_is_put_in_order_by_keyboard_and_by_drag() {
    let app = App::start().await;
    let admin = app.admin("Abe").await;
    let desk = Browser::open(Setup::Desk).await;
    enter(&desk, &app, &admin).await;
    let order = async || app.store().workshop("basics").await.unwrap().unwrap().sections[0].exercises.clone();
    assert_eq!(order().await, [FILES, QUESTIONS]);
    desk.goto(app.url("/admin/workshops/basics")).await.unwrap();
    let handle = desk.one(".item .handle").await;
    handle.send_keys(thirtyfour::Key::Down + "").await.unwrap();
    desk.until_shows("#unsaved", "Not published yet").await;
    desk.click("form#workshop-order > .actions button[value=publish]").await;
    desk.until_at(&app.url("/admin/workshops/basics?saved")).await;
    assert_eq!(order().await, [QUESTIONS, FILES]);
    let handles = desk.find_all(By::Css(".item .handle")).await.unwrap();
    desk.action_chain()
        .click_and_hold_element(&handles[1])
        .move_to_element_center(&handles[0])
        .move_by_offset(0, -8)
        .release()
        .perform()
        .await
        .unwrap();
    desk.until_shows("#unsaved", "Not published yet").await;
    desk.click("form#workshop-order > .actions button[value=publish]").await;
    desk.until_at(&app.url("/admin/workshops/basics?saved")).await;
    for _ in 0..100 {
        if order().await == [FILES, QUESTIONS] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(order().await, [FILES, QUESTIONS]);
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reloaded_in_the_middle_of_a_grading_goes_on() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let (submission, _) = app.submit(&student, FILES).await;
    let browser = Browser::open(Setup::Desk).await;
    enter(&browser, &app, &student).await;
    browser.goto(app.url(&format!("/submissions/{}", submission.id))).await.unwrap();
    browser.until_shows("#verdict", "queue").await;

    let claim = app.runner().claim().await;
    let recorder = app.runner().record(&claim);
    let result = report(&claim.submission, true);
    recorder.emit(Event::PhaseStarted { phase: Phase::Read });
    recorder.log("build", log("a line before the reload"));
    recorder.emit(Event::Outcome { check: Box::new(result.checks[0].clone()) });
    recorder.flush().await.unwrap();
    browser.until_shows("#verdict", "1 of 2 checks").await;
    browser.refresh().await.unwrap();
    browser.until_shows("#verdict", "1 of 2 checks").await;
    browser.mark().await;
    recorder.emit(Event::Outcome { check: Box::new(result.checks[1].clone()) });
    recorder.finish(&result, None, 0.4).await.unwrap();
    browser.until_shows("#verdict", "3 of 3").await;
    assert!(browser.is_marked().await, "the page was reloaded once more");
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_handed_in_whole() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("my-work");
    std::fs::create_dir_all(work.join("deeper/still")).unwrap();
    std::fs::write(work.join("hello.txt"), "hello").unwrap();
    std::fs::write(work.join("deeper/still/word.txt"), "swordfish").unwrap();
    let browser = Browser::open(Setup::Desk).await;
    enter(&browser, &app, &student).await;
    browser.goto(app.url(&format!("/cohorts/{}/exercises/{FILES}", app.cohort.id))).await.unwrap();
    browser.choose("input[name=files]", &work).await;
    browser.until_shows("#chosen", "my-work").await;
    browser.click("#hand-in button.submit").await;
    browser.until_at(&app.url("/submissions/")).await;
    let claim = app.runner().claim().await;
    let content = app.store().content(claim.submission.content_sha256.as_deref().unwrap()).await.unwrap();
    assert!(content.file("hello.txt").is_some());
    assert!(content.file("deeper/still/word.txt").is_some());
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_needed_works_without_scripts() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let browser = Browser::open(Setup::NoScript).await;
    join(&browser, &app, &app.cohort.join_code, "Ada Lovelace").await;
    browser.click(&format!("a[href$='/exercises/{FILES}']")).await;
    browser.choose("input[name=archive]", &archive(folder.path())).await;
    browser.click("#hand-in button.submit").await;
    browser.until_at(&app.url("/submissions/")).await;
    browser.until_shows("#verdict", "queue").await;
    app.runner().grade(true).await;
    // The page looks again by itself now and then.
    browser.until_shows("#verdict", "3 of 3").await;
    // A refusal is shown beside the form.
    browser.goto(app.url(&format!("/cohorts/{}/exercises/{FILES}", app.cohort.id))).await.unwrap();
    browser.click("#hand-in button.submit").await;
    browser.until_shows("main", "Nothing was handed in").await;
    let told = browser.get_log("browser").await.unwrap();
    assert!(told.len() == 1 && told[0].message.contains("422"), "the refusal, and nothing else: {told:?}");
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_is_built_and_judged_on_the_engine_before_the_students_eyes() {
    let app = App::start().await;
    let bench = engine::Bench::open().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises/first-container");
    let exercise = Exercise::read(&root).unwrap();
    app.store().publish_exercise(&exercise).await.unwrap();
    let workshop = serde_json::json!({
        "slug": "real", "title": "Real", "audience": "Everybody",
        "sections": [{"title": "First", "exercises": ["first-container"]}],
    });
    app.store().publish_workshop(&serde_json::from_value(workshop).unwrap()).await.unwrap();
    let cohort = app.store().create_cohort("Engine room", "real", "ENG-RMM").await.unwrap();
    let trainer = app.member(&cohort, "Dora", Role::Trainer).await;
    app.member(&cohort, "Zoe", Role::Student).await;

    let grader = Arc::new(EngineGrader::on(bench.engine.clone(), Clock::system()));
    let settings = app.state.settings.worker.clone();
    let worker = Worker::new(
        app.store().clone(),
        app.state.live.clone(),
        grader,
        drydock::grading::Fetcher::new(&app.state.settings).unwrap(),
        settings,
        Clock::system(),
    );
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone()));

    let (student, desk) = tokio::join!(Browser::open(Setup::Desk), Browser::open(Setup::Desk));
    enter(&desk, &app, &trainer).await;
    desk.goto(app.url(&format!("/cohorts/{}/grid", cohort.id))).await.unwrap();
    desk.mark().await;
    join(&student, &app, &cohort.join_code, "Ada Lovelace").await;
    for (folder, verdict) in [("mutants/wrong-words", "Not yet"), ("solution", "Passed")] {
        let content = if folder == "solution" {
            exercise.solution().unwrap()
        } else {
            exercise.solution().unwrap().overlaid(&exercise.mutant("wrong-words").unwrap())
        };
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("work.tar");
        std::fs::write(&path, content.tar()).unwrap();
        student.goto(app.url(&format!("/cohorts/{}/exercises/first-container", cohort.id))).await.unwrap();
        student.choose("input[name=archive]", &path).await;
        student.until_shows("#chosen", "work.tar").await;
        student.click("#hand-in button.submit").await;
        student.until_at(&app.url("/submissions/")).await;
        student.until_shows("#verdict", verdict).await;
        assert!(student.source().await.contains("FROM busybox"), "the build's log is on the page");
    }
    desk.until_shows("#grid tbody", "Ada Lovelace").await;
    desk.one("#grid tbody td.p").await;
    assert!(desk.is_marked().await, "the grid was reloaded");
    student.close().await;
    desk.close().await;
    stop.cancel();
    working.await.unwrap().unwrap();
    bench.close().await;
    app.stop().await;
}

/// Goes on with the Tab key until the focus is on such an element, as somebody without a mouse does.
async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..80 {
        let script = format!("return document.activeElement.matches({css:?})");
        if browser.execute(&script, Vec::new()).await.unwrap().convert().unwrap() {
            return;
        }
        press(browser, Key::Tab).await;
    }
    panic!("{css} is not reached with Tab on {}", browser.current_url().await.unwrap());
}

async fn press(browser: &Browser, keys: impl Into<TypingData>) {
    browser.action_chain().send_keys(keys).perform().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_handing_in_and_reviewing_need_no_mouse() {
    let app = App::start().await;
    let browser = Browser::open(Setup::Desk).await;
    browser.goto(app.url("/join")).await.unwrap();
    tab_to(&browser, "#code").await;
    press(&browser, app.cohort.join_code.as_str()).await;
    press(&browser, Key::Enter).await;
    browser.until_at(&app.url("/join/")).await;
    tab_to(&browser, "#name").await;
    press(&browser, "Ada Lovelace").await;
    tab_to(&browser, "#password").await;
    press(&browser, PASSWORD).await;
    press(&browser, Key::Enter).await;
    browser.until_at(&app.url("/cohorts/")).await;
    // The skip link is the first that the key reaches, and leads past the bar.
    press(&browser, Key::Tab).await;
    press(&browser, Key::Enter).await;
    tab_to(&browser, &format!("a[href$='/exercises/{QUESTIONS}']")).await;
    press(&browser, Key::Enter).await;
    browser.one("#hand-in").await;
    tab_to(&browser, "[name='answer:shared']").await;
    press(&browser, Key::Space).await;
    tab_to(&browser, "[name='answer:listing']").await;
    press(&browser, "docker ps").await;
    tab_to(&browser, "[name='answer:why']").await;
    press(&browser, "They isolate.").await;
    tab_to(&browser, "button.submit").await;
    press(&browser, Key::Enter).await;
    browser.until_at(&app.url("/submissions/")).await;
    graded::grade_queued(&app).await;
    // Options are in an order of their own for everybody, so that the first may be the wrong one.
    browser.until_shows("#verdict", "2 more points wait for a trainer").await;

    let trainer = app.trainer("Dora").await;
    let desk = Browser::open(Setup::Desk).await;
    enter(&desk, &app, &trainer).await;
    desk.goto(app.url(&format!("/cohorts/{}/reviews", app.cohort.id))).await.unwrap();
    desk.one("[data-key=n]").await;
    press(&desk, "n").await;
    tab_to(&desk, "form.review input[type=radio]").await;
    press(&desk, Key::Right).await;
    press(&desk, Key::Right).await;
    tab_to(&desk, "form.review textarea").await;
    press(&desk, "Well put.").await;
    let saved = desk.action_chain().key_down(Key::Control).send_keys(Key::Enter).key_up(Key::Control);
    saved.perform().await.unwrap();
    browser.until_shows("#checks", "Well put.").await;
    browser.until_shows("#verdict", "of 4 points").await;
    browser.close().await;
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_ten_thousand_lines_is_followed_and_searched() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let (submission, _) = app.submit(&student, FILES).await;
    let claim = app.runner().claim().await;
    let recorder = app.runner().record(&claim);
    recorder.emit(Event::PhaseStarted { phase: Phase::Read });
    for line in 0..9_900 {
        recorder.log("build", log(&format!("line {line:04} of many")));
    }
    recorder.flush().await.unwrap();
    let browser = Browser::open(Setup::Desk).await;
    enter(&browser, &app, &student).await;
    browser.goto(app.url(&format!("/submissions/{}", submission.id))).await.unwrap();
    browser.until_shows("#verdict", "Grading").await;
    let ask = async |script: &str| -> serde_json::Value {
        browser.execute(script, Vec::new()).await.unwrap().convert().unwrap()
    };
    let at_end = "const log = document.querySelector('#log');
        return log.scrollHeight - log.scrollTop - log.clientHeight < 40";
    assert_eq!(ask(at_end).await, true, "it follows from the beginning");
    for _ in 0..100 {
        recorder.log("build", log("one more line"));
    }
    recorder.flush().await.unwrap();
    for _ in 0..50 {
        if ask("return document.querySelectorAll('#log p:not(.source)').length").await == 10_000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(ask("return document.querySelectorAll('#log p:not(.source)').length").await, 10_000);
    assert_eq!(ask(at_end).await, true, "it follows what comes");
    browser.fill("#log-search", "line 4711").await;
    let shown = "const mark = document.querySelector('#log mark').getBoundingClientRect();
        const log = document.querySelector('#log').getBoundingClientRect();
        return mark.top >= log.top && mark.bottom <= log.bottom";
    for _ in 0..50 {
        if ask("return document.querySelectorAll('#log mark').length").await == 1 && ask(shown).await == true
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(ask(shown).await, true, "the line that is looked for is in sight");
    assert_eq!(ask(at_end).await, false, "and the end is left for it");
    recorder.finish(&report(&claim.submission, true), None, 0.4).await.unwrap();
    browser.until_shows("#verdict", "3 of 3").await;
    browser.close().await;
    app.stop().await;
}
