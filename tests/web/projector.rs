//! What is thrown onto the wall.

use reqwest::StatusCode;

use crate::app::{App, FILES};
use crate::graded::grade_queued;

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_shows_the_room_and_nobodys_name() {
    let app = App::start().await;
    let trainer = app.trainer("Dora").await;
    let (ada, _) = (app.student("Ada Lovelace").await, app.student("Bob Marlin").await);
    let wall = format!("/cohorts/{}/projector", app.cohort.id);
    let page = trainer.get(&format!("{wall}?until=2030-01-01T12:00")).await;
    page.assert(StatusCode::OK)
        .assert_says("HRB-CRW")
        .assert_says("/join/HRB-CRW")
        .assert_says("aria-label=\"QR code of the link to join\"")
        .assert_says("datetime=\"2030-01-01T12:00:00Z\"")
        .assert_says("0 of 4 done");
    trainer.get(&format!("{wall}?until=soon")).await.assert(StatusCode::OK);
    let mut open = trainer.stream(&format!("{wall}/events"), None).await;
    assert!(open.next().await.unwrap().data.contains("0 of 4 done"));
    app.submit(&ada, FILES).await;
    let told = open.next().await.unwrap().data;
    assert!(told.contains("1 at it"), "{told}");
    grade_queued(&app).await;
    app.student("Cleo Haddock").await;
    let mut told = String::new();
    while !told.contains("0 of 6 done") {
        told = open.next().await.unwrap().data;
    }
    let page = trainer.get(&wall).await;
    for name in ["Ada", "Lovelace", "Bob", "Cleo"] {
        assert!(!page.text.contains(name) && !told.contains(name), "{name} is on the wall");
    }
    app.store().set_cohort_closed(app.cohort.id, true).await.unwrap();
    let closed = trainer.get(&wall).await;
    closed.assert_says("This cohort is closed");
    assert!(!closed.text.contains("HRB-CRW"), "nobody can join: {}", closed.text);
    app.stop().await;
}
