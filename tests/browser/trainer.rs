//! What trainers do: read answers with the keyboard alone, find somebody in the grid, set dates in their own
//! zone, decide about a check while the student watches.

use drydock::store::CellState;
use reqwest::StatusCode;
use thirtyfour::{Key, TypingData};

use crate::app::{App, Client, FILES, QUESTIONS};
use crate::browser::{Browser, Setup};
use crate::enter;
use crate::graded::grade_queued;

async fn answer(app: &App, student: &Client) -> String {
    let exercise = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let sent = student
        .multipart(&exercise, &format!("{exercise}/submissions"), |form| {
            form.text("answer:shared", "kernel")
                .text("answer:listing", "docker ps")
                .text("answer:why", "Isolation.")
        })
        .await;
    let page = sent.assert(StatusCode::SEE_OTHER).header("location").to_owned();
    grade_queued(app).await;
    page
}

async fn press(browser: &Browser, keys: impl Into<TypingData>) {
    browser.active_element().await.unwrap().send_keys(keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_read_with_the_keyboard_alone() {
    let app = App::start().await;
    let (ada, bob, trainer) = (app.student("Ada").await, app.student("Bob").await, app.trainer("Dora").await);
    let (first, second) = (answer(&app, &ada).await, answer(&app, &bob).await);
    let desk = Browser::open(Setup::Desk).await;
    enter(&desk, &app, &trainer).await;
    desk.goto(app.url(&format!("/cohorts/{}/reviews", app.cohort.id))).await.unwrap();
    desk.one(".waiting").await;
    press(&desk, "n").await;
    desk.until_at(&app.url(&format!("{first}/review"))).await;
    desk.one("[data-save]").await;
    // One that is left for later.
    press(&desk, "n").await;
    desk.until_at(&app.url(&format!("{second}/review"))).await;
    for (page, points, at) in [(&second, "2", &first), (&first, "0", &first)] {
        desk.one("fieldset.line").await;
        press(&desk, points).await;
        let chosen = desk.one("fieldset.line :checked").await;
        assert_eq!(chosen.value().await.unwrap().as_deref(), Some(points), "{page}");
        press(&desk, Key::Control + Key::Enter).await;
        if page == at {
            desk.until_shows("main", "Nothing waits for you").await;
        } else {
            desk.until_at(&app.url(&format!("{at}/review"))).await;
        }
    }
    for (student, state) in [(&bob, CellState::Passed), (&ada, CellState::Failed)] {
        let cell = app.store().cell(app.cohort.id, student.person().id, QUESTIONS).await.unwrap().unwrap();
        assert_eq!(cell.state, state);
    }
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_found_at_once_and_stays_found_while_rows_change() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let (ada, bob) = (app.student("Ada Lovelace").await, app.student("Bob Marlin").await);
    let desk = Browser::open(Setup::Desk).await;
    enter(&desk, &app, &trainer).await;
    desk.goto(app.url(&format!("/cohorts/{}/grid", app.cohort.id))).await.unwrap();
    desk.one("#grid").await;
    desk.mark().await;
    desk.fill("#find-name", "love").await;
    let row = |person: &Client| format!("#p-{}", person.person().id);
    desk.one(&format!("{}.out", row(&bob))).await;
    // Both rows come anew: one stays hidden, one stays seen.
    app.submit(&bob, FILES).await;
    app.submit(&ada, FILES).await;
    desk.one(&format!("{}.fresh.out td.w", row(&bob))).await;
    desk.one(&format!("{}.fresh:not(.out) td.w", row(&ada))).await;
    let typed = desk.active_element().await.unwrap();
    assert_eq!(typed.id().await.unwrap().as_deref(), Some("find-name"), "the focus stays");
    assert!(desk.current_url().await.unwrap().as_str().contains("name=love"), "a reload shows the same");
    desk.goto(desk.current_url().await.unwrap().as_str()).await.unwrap();
    desk.one(&format!("{}.out", row(&bob))).await;
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_are_written_in_the_trainers_zone_and_kept_in_utc() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let desk = Browser::open(Setup::Desk).await;
    let zone = serde_json::json!({"timezoneId": "Asia/Kolkata"});
    desk.cdp().send_raw("Emulation.setTimezoneOverride", zone).await.unwrap();
    enter(&desk, &app, &trainer).await;
    let dates = app.url(&format!("/cohorts/{}/dates", app.cohort.id));
    desk.goto(&dates).await.unwrap();
    desk.until_shows("#all [data-zone]", "Asia/Calcutta").await;
    let set = "const field = document.getElementById('all-due'); field.value = '2030-03-01T12:00'; \
               field.dispatchEvent(new Event('input', {bubbles: true}));";
    desk.execute(set, Vec::new()).await.unwrap();
    desk.click("#all .button.primary").await;
    desk.until_shows("main table", "2030").await;
    let due = app.store().terms(app.cohort.id).await.unwrap().all.due_at;
    assert_eq!(due, Some("2030-03-01T06:30:00Z".parse().unwrap()));
    let shown: String = desk
        .execute("return document.getElementById('all-due').value", Vec::new())
        .await
        .unwrap()
        .convert()
        .unwrap();
    assert_eq!(shown, "2030-03-01T12:00", "as it was written");
    desk.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_seen_by_the_student_at_once() {
    let app = App::start().await;
    let (student, trainer) = (app.student("Ada").await, app.trainer("Dora").await);
    let (submission, _) = app.submit(&student, FILES).await;
    grade_queued(&app).await;
    let page = app.url(&format!("/submissions/{}", submission.id));
    let (theirs, desk) = tokio::join!(Browser::open(Setup::Desk), Browser::open(Setup::Desk));
    enter(&theirs, &app, &student).await;
    enter(&desk, &app, &trainer).await;
    theirs.goto(&page).await.unwrap();
    theirs.until_shows("#verdict", "Not yet: 2 of 3 points").await;
    theirs.mark().await;
    desk.goto(&page).await.unwrap();
    desk.click("#judging details summary").await;
    desk.execute("document.getElementById('decide-check').value = 'knows-word'", Vec::new()).await.unwrap();
    desk.click("#judging input[value=passed]").await;
    desk.fill("#decide-reason", "You said it aloud.").await;
    desk.click("#judging details button").await;
    desk.until_shows("#verdict", "Passed: 3 of 3 points").await;
    theirs.until_shows("#verdict", "Passed: 3 of 3 points").await;
    theirs.until_shows("#notes", "You said it aloud.").await;
    theirs.until_shows("#check-knows-word", "The machine's word was").await;
    assert!(theirs.is_marked().await, "without a reload");
    theirs.close().await;
    desk.close().await;
    app.stop().await;
}
