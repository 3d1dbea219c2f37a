//! Every page over a whole class: real store, real router, exercises read from disk, gradings in
//! every state. Looks at what a browser gets: no inline script or style, every word of a stranger
//! escaped, every address that a page names there to be opened.
//!
//! `DRYDOCK_LOOK=file cargo test --test pages -- look_at_it --ignored` keeps this class open in a
//! server and writes its address and session cookies into the file, until the file is removed.

#[path = "pages/accessible.rs"]
mod accessible;
#[path = "common/browser.rs"]
#[allow(dead_code, reason = "the browser's own tests use the rest")]
mod browser;
#[path = "pages/class.rs"]
mod class;
#[path = "pages/gradings.rs"]
mod gradings;
#[path = "pages/handed_out.rs"]
mod handed_out;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use class::Class;

/// Addresses of this server that a page names.
fn addresses(html: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in ["href=\"/", "src=\"/"] {
        for piece in html.split(name).skip(1) {
            let rest = piece.split('"').next().unwrap();
            found.insert(format!("/{}", rest.split('#').next().unwrap().replace("&amp;", "&")));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_keeps_the_content_security_policy_and_leads_somewhere() {
    let class = Class::open().await;
    let mut opened = BTreeSet::new();
    for (who, path) in class.pages() {
        let (status, html) = class.get(who, &path).await;
        assert_eq!(status, 200, "{path} for {who:?}: {html}");
        let lower = html.to_lowercase();
        for forbidden in [" style=", "<style", " onclick=", " onload=", "javascript:", "<script>"] {
            assert!(!lower.contains(forbidden), "{path} has {forbidden}");
        }
        for wanted in
            ["<html lang=\"en\">", "<main id=\"main\"", "class=\"skip\"", "<h1", "name=\"viewport\""]
        {
            assert!(html.contains(wanted), "{path} has no {wanted}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{path} has one first heading");
        assert!(
            !html.contains("my <app>") && !html.contains("<b>P.") && !html.contains('\u{202e}'),
            "{path}"
        );
        let read = scraper::Html::parse_document(&html);
        assert!(read.errors.is_empty(), "{path} is not HTML as the standard has it: {:?}", read.errors);
        let ids: Vec<&str> =
            html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path} has an id twice: {ids:?}");
        for address in addresses(&html) {
            if opened.insert((who, address.clone())) {
                let (status, _) = class.get(who, &address).await;
                assert!([200, 303].contains(&status), "{address} on {path} answers {status} for {who:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_are_not_in_the_page() {
    let class = Class::open().await;
    let (_, html) = class.get(Some("Zoe \u{202e}X."), &class.path("/exercises/what-is-a-container")).await;
    assert!(
        html.contains("type=\"radio\" name=\"answer:shared\" value=\"kernel\"><span>The <strong>kernel"),
        "{html}"
    );
    assert!(html.contains("type=\"checkbox\" name=\"answer:several\""), "{html}");
    assert!(!html.contains("\" checked") && !html.contains("docker ps"), "{html}");
    let (_, html) = class.get(Some("Mira K."), &class.path("/exercises/what-is-a-container")).await;
    assert!(html.contains("value=\"kernel\" checked"), "what was answered last time is still there: {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_of_a_submission_says_so() {
    let class = Class::open().await;
    for (what, words) in [
        ("passed", &["Passed: 2 of 2 points", "verdict in 0.4 s"][..]),
        (
            "failed",
            &["Not yet: 3 of 5 points", "connection refused", "Next hint (2 of 2), costs 1 point", "Copy"],
        ),
        ("unbuilt", &["Not yet: 0 of 5 points", "not tried, because the image could not be built"]),
        ("fault", &["This was us; it did not count", "Our container engine stopped answering"]),
        ("again", &["Trying again", "This was us; it did not count. Next attempt in 1 h"]),
        (
            "waiting",
            &[
                "Waiting for review: 4 of 4 points so far",
                "My answers",
                "tenants&lt;/b&gt;",
                "The <strong>kernel</strong>",
            ],
        ),
        ("running", &["Grading: 2 of 4 checks", "data-live=", "http-equiv=\"refresh\"", "a-34"]),
        ("queued", &["Next in the queue", "data-live="]),
    ] {
        let path = format!("/submissions/{}", class.submissions[what].id);
        let (_, html) = class.get(Some("Mira K."), &path).await;
        for words in words {
            assert!(html.contains(words), "{what}: no {words:?} in {html}");
        }
        assert!(!html.contains("/containers/4f/wait"), "causes are not for students");
    }
    let (_, html) =
        class.get(Some("Tess Trainer"), &format!("/submissions/{}", class.submissions["fault"].id)).await;
    assert!(html.contains("/containers/4f/wait") && html.contains("Mira K."), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_tells_open_pages_of_every_change() {
    let class = Class::open().await;
    let (_, html) = class.get(Some("Tess Trainer"), &class.path("/grid")).await;
    let stream = html
        .split("data-live=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    let url = format!("http://{}{stream}", class.address);
    let mut response = class
        .client(Some("Tess Trainer"))
        .get(url)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let zoe = class.state.store.person_by_name("Zoe \u{202e}X.").await.unwrap().unwrap();
    // The one that waits would be claimed first.
    class.state.store.claim("class", Duration::from_hours(1)).await.unwrap().unwrap();
    class.hand_in(&zoe, "first-container", 'p').await;
    let wanted = format!("p-{}", zoe.id);
    let mut seen = String::new();
    while !(seen.contains(&wanted) && seen.contains("passed, 2 of 2")) {
        let chunk =
            tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("the row comes");
        seen.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("the stream goes on")));
    }
    assert!(seen.contains("event: update") && seen.contains("\"id\":\"summary\""), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for looking at the pages with a browser"]
async fn look_at_it() {
    let file = std::env::var("DRYDOCK_LOOK").expect("DRYDOCK_LOOK names a file");
    let class = Class::open().await;
    let submissions: HashMap<_, _> =
        class.submissions.iter().map(|(what, submission)| (*what, submission.id.to_string())).collect();
    let told = serde_json::json!({
        "address": format!("http://{}", class.address), "cohort": class.cohort.id.to_string(),
        "sessions": class.sessions, "submissions": submissions,
    });
    std::fs::write(&file, told.to_string()).unwrap();
    if std::env::var_os("DRYDOCK_LOOK_GRADES").is_some() {
        class.grade_slowly().await;
    }
    while Path::new(&file).exists() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_has_every_kind_with_its_fields_and_examples() {
    let class = Class::open().await;
    let (_, html) = class.get(Some("Abe Admin"), "/admin/kinds").await;
    for name in drydock::checks::Kind::NAMES {
        assert!(html.contains(&format!("id=\"kind-{name}\"")), "{name} is missing");
        assert!(html.contains(&format!("href=\"#kind-{name}\"")), "nothing leads to {name}");
    }
    for wanted in
        ["send.headers", "options[].feedback", "<a href=\"#text\"", "id=\"text\"", "<b>required</b>"]
    {
        assert!(html.contains(wanted), "no {wanted}");
    }
    let places: BTreeSet<&str> =
        html.split(" href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    for place in places {
        assert!(html.contains(&format!(" id=\"{place}\"")), "#{place} leads nowhere");
    }
    let (_, home) = class.get(Some("Abe Admin"), "/admin").await;
    assert!(home.contains("href=\"/admin/kinds\""), "{home}");
}
