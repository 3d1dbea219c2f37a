//! Exercises written, verified and published in the browser.

use std::sync::Arc;
use std::time::Duration;

use drydock::grading::worker::Worker;
use drydock::store::{GradingState, JobKind};
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Client, Database, FILES, zip};
use crate::graded::NoEngine;
use crate::on_both;

/// A worker without an engine, until the test is over.
fn work(app: &App) -> tokio_util::sync::DropGuard {
    let stop = CancellationToken::new();
    let worker = Worker::new(
        app.store().clone(),
        app.state.live.clone(),
        Arc::new(NoEngine { clock: app.clock.clone(), away: false }),
        drydock::grading::Fetcher::new(&app.state.settings).unwrap(),
        app.state.settings.worker.clone(),
        app.clock.clone(),
    );
    tokio::spawn(worker.run(stop.clone()));
    stop.drop_guard()
}

/// The hidden field that says which state of a file a form was made from.
fn mark(html: &str) -> String {
    html.split_once("name=\"mark\" value=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

fn field<'a>(html: &'a str, name: &str) -> &'a str {
    let wanted = format!("name=\"{name}\" value=\"");
    html.split_once(&wanted).unwrap_or_else(|| panic!("no {name} in {html}")).1.split('"').next().unwrap()
}

async fn open(admin: &Client, slug: &str, path: &str) -> String {
    let page = admin.get(&format!("/admin/exercises/{slug}/files?path={path}")).await;
    page.assert(StatusCode::OK);
    page.text
}

async fn save(admin: &Client, slug: &str, path: &str, mark: &str, text: &str) -> crate::app::Answer {
    let fields = [("path", path), ("mark", mark), ("do", "save"), ("text", text)];
    admin.form(&format!("/admin/exercises/{slug}/files"), &fields).await
}

async fn verified(app: &App, slug: &str) {
    for _ in 0..400 {
        let jobs = app.store().jobs_of(JobKind::Verify, slug, 1).await.unwrap();
        if jobs.first().is_some_and(|job| job.state == GradingState::Done) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{slug} was not verified");
}

on_both!(only_what_verifies_is_published_and_what_was_graded_keeps_its_version);
async fn only_what_verifies_is_published_and_what_was_graded_keeps_its_version(database: Database) {
    let app = App::on(database).await;
    let admin = app.admin("Fay").await;
    let student = app.student("Ada").await;
    let (before, _) = app.submit(&student, FILES).await;
    let page = format!("/admin/exercises/{FILES}");
    let _working = work(&app);

    let old = app.store().versions(FILES).await.unwrap()[0].version.clone();
    admin
        .form(&format!("{page}/draft"), &[("version", &old)])
        .await
        .assert_redirect(&format!("{page}/files"));
    let yaml = open(&admin, FILES, "exercise.yaml").await;
    let text = "title: Say hello twice\nsubmit: [upload]\nchecks:\n  - file: {path: hello.txt, content: {contains: hello}}\n    id: says-hello\n    title: It says hello\nmutants:\n  silent: {fails: [says-hello], because: nothing is said}\n";
    // Browsers send the line ends of HTTP.
    save(&admin, FILES, "exercise.yaml", &mark(&yaml), &text.replace('\n', "\r\n"))
        .await
        .assert_redirect(&format!("{page}/files?path=exercise.yaml&saved=true"));
    let shown = admin.get(&page).await;
    shown.assert_says("mutants/wordless").assert_says("Revision 2");
    assert!(!shown.text.contains("/publish\""), "nothing is proven yet");
    let (draft, folder) = (app.store().draft(FILES).await.unwrap().unwrap(), &page);
    let content = app.store().content(&draft.folder_sha256).await.unwrap();
    assert_eq!(content.file("exercise.yaml").unwrap(), text.as_bytes());
    admin
        .form(&format!("{folder}/publish"), &[("content", &draft.folder_sha256)])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("has mistakes");

    // The mutant that nothing names any more goes; then it is proven.
    let mutant = mark(&open(&admin, FILES, "mutants/wordless").await);
    let fields = [("path", "mutants/wordless"), ("mark", mutant.as_str()), ("do", "delete")];
    admin.form(&format!("{page}/files"), &fields).await.assert(StatusCode::SEE_OTHER);
    let mended = app.store().draft(FILES).await.unwrap().unwrap().folder_sha256;
    admin
        .form(&format!("{page}/publish"), &[("content", &mended)])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("Verify it first");
    admin.form(&format!("{page}/verify"), &[]).await.assert_redirect(&format!("{page}#verification"));
    verified(&app, FILES).await;
    let shown = admin.get(&page).await;
    shown
        .assert_says("Proven")
        .assert_says("solution, again")
        .assert_says("mutant silent")
        .assert_says("verified, to be published");
    admin
        .form(&format!("{page}/publish"), &[("content", &draft.folder_sha256)])
        .await
        .assert(StatusCode::CONFLICT);
    let content = field(&shown.text, "content").to_owned();
    admin.form(&format!("{page}/publish"), &[("content", &content)]).await.assert_redirect(&page);

    let shown = admin.get(&page).await;
    shown.assert_says("Graded by an earlier version").assert_says("1 submission");
    assert!(shown.text.contains(&format!("/cohorts/{}/regrades?exercise={FILES}", app.cohort.id)));
    let versions = app.store().versions(FILES).await.unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[0].published_by.as_deref(), Some("Fay"));
    assert!(app.store().draft(FILES).await.unwrap().is_none(), "the draft has served its purpose");
    assert_eq!(app.store().submission(before.id).await.unwrap().exercise_version, old);
    let (after, _) = app.submit(&student, FILES).await;
    assert_eq!(after.exercise_version, versions[0].version);
    admin
        .get(&format!("{page}/diff?from={old}&to={}", versions[0].version))
        .await
        .assert_says("title: Say hello twice")
        .assert_says("mutants/wordless/word.txt");

    admin.form(&format!("{page}/retire"), &[("retired", "true")]).await.assert_redirect(&page);
    let refused = student
        .send_raw(
            reqwest::Method::POST,
            &format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id),
            "application/zip",
            zip(&[("hello.txt", b"hello")]),
        )
        .await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("retired");
    student.get(&format!("/submissions/{}", before.id)).await.assert(StatusCode::OK);
    admin.form(&format!("{page}/retire"), &[("retired", "false")]).await.assert_redirect(&page);
    app.submit(&student, FILES).await;
    app.stop().await;
}

on_both!(what_does_not_prove_is_told_trial_by_trial_and_not_published);
async fn what_does_not_prove_is_told_trial_by_trial_and_not_published(database: Database) {
    let app = App::on(database).await;
    let admin = app.admin("Fay").await;
    let yaml = b"title: Never\nsubmit: [upload]\nchecks:\n  - file: {path: hello.txt, content: {contains: hello}}\n    id: says\n    title: It says hello\nmutants:\n  silent: {fails: [says], because: it is not silent}\n";
    let files: &[(&str, &[u8])] = &[
        ("x/exercise.yaml", yaml),
        ("x/README.md", b"# Never\nDo it."),
        ("x/solution/hello.txt", b"hello"),
        ("x/mutants/silent/hello.txt", b"hello again"),
    ];
    let archive = zip(files);
    let sent = admin
        .multipart("/admin/exercises", "/admin/exercises/upload", |form| {
            let file = reqwest::multipart::Part::bytes(archive).file_name("never.zip");
            form.text("slug", "never").part("archive", file)
        })
        .await;
    sent.assert_redirect("/admin/exercises/never");
    admin.form("/admin/exercises/never/verify", &[]).await.assert(StatusCode::SEE_OTHER);
    // Asked twice, it is done once.
    admin.form("/admin/exercises/never/verify", &[]).await.assert(StatusCode::SEE_OTHER);
    let jobs = app.store().jobs_of(JobKind::Verify, "never", 9).await.unwrap();
    assert_eq!(jobs.len(), 1);
    admin.get("/admin/exercises").await.assert_says("verifying");
    let mut events = admin.stream(&format!("/admin/jobs/{}/events", jobs[0].id), None).await;
    let first = events.next().await.expect("the state at the beginning");
    assert!(first.data.contains("In the queue"), "{first:?}");
    let _working = work(&app);
    let mut last = first.data;
    while let Some(event) = events.next().await {
        last = event.data;
    }
    assert!(last.contains("\"reload\":true"), "{last}");
    let page = admin.get("/admin/exercises/never").await;
    page.assert_says("Not proven").assert_says("mutant silent").assert_says("not as it should be");
    assert!(!page.text.contains("/publish\""));
    let done = app.store().job(jobs[0].id).await.unwrap();
    assert!(!done.passed && done.outcome.is_some());
    let content = done.content_sha256.unwrap();
    let refused = admin.form("/admin/exercises/never/publish", &[("content", &content)]).await;
    refused.assert(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(app.store().versions("never").await.unwrap().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_at_their_line_while_typing() {
    let app = App::start().await;
    let admin = app.admin("Fay").await;
    admin
        .form("/admin/exercises", &[("slug", "a-new-one")])
        .await
        .assert_redirect("/admin/exercises/a-new-one/files?path=exercise.yaml");
    let page = open(&admin, "a-new-one", "exercise.yaml").await;
    assert!(page.contains("title: A new one"), "the skeleton: {page}");
    let check = |text: &'static str| {
        let admin = &admin;
        async move {
            let answer = admin
                .form("/admin/exercises/a-new-one/check", &[("path", "exercise.yaml"), ("text", text)])
                .await;
            answer.assert(StatusCode::OK);
            answer.json()
        }
    };
    let told = check("title: X\nsubmit: [upload]\nchekcs: []\n").await;
    let own = told.as_array().unwrap().iter().find(|one| one["line"] == 3).unwrap();
    assert_eq!((own["file"].as_str(), own["column"].as_u64()), (Some("exercise.yaml"), Some(1)), "{told}");
    assert!(own["message"].as_str().unwrap().contains("checks"), "what was meant: {own}");
    // Nothing was stored.
    assert_eq!(app.store().draft("a-new-one").await.unwrap().unwrap().revision, 1);
    save(&admin, "a-new-one", "exercise.yaml", &mark(&page), "title: X\nsubmit: [upload]\nchekcs: []\n")
        .await
        .assert(StatusCode::SEE_OTHER);
    let page = open(&admin, "a-new-one", "exercise.yaml").await;
    assert!(page.contains("data-line=\"3\"") && page.contains("Line 3, column 1"), "{page}");
    admin
        .form("/admin/exercises/a-new-one/verify", &[])
        .await
        .assert(StatusCode::UNPROCESSABLE_ENTITY)
        .assert_says("Mend them first");
    let html =
        admin.form("/admin/exercises/a-new-one/preview", &[("text", "# A\n\n*b* <script>x</script>")]).await;
    html.assert_says("<em>b</em>").assert_says("&lt;script&gt;");
    for slug in ["", "Not A Name", "a-new-one", FILES] {
        let refused = admin.form("/admin/exercises", &[("slug", slug)]).await;
        assert!(refused.status.is_client_error() && refused.text.contains("id=\"refusal\""), "{slug}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_write_at_once_lose_nothing() {
    let app = App::start().await;
    let (one, two) = (app.admin("Fay").await, app.admin("Guy").await);
    one.form("/admin/exercises", &[("slug", "shared")]).await.assert(StatusCode::SEE_OTHER);
    let mine = open(&one, "shared", "README.md").await;
    let other = open(&one, "shared", "solution/start.sh").await;
    let theirs = open(&two, "shared", "README.md").await;
    save(&two, "shared", "README.md", &mark(&theirs), "# Shared\nGuy was here.\n")
        .await
        .assert(StatusCode::SEE_OTHER);
    // Another file was not touched, so there is nothing to ask.
    save(&one, "shared", "solution/start.sh", &mark(&other), "#!/bin/sh\n")
        .await
        .assert(StatusCode::SEE_OTHER);
    let refused = save(&one, "shared", "README.md", &mark(&mine), "# Shared\nFay was here.\n").await;
    refused.assert(StatusCode::CONFLICT).assert_says("Guy was here.").assert_says("Fay was here.");
    let stored = |path: &'static str| {
        let store = app.store();
        async move {
            let draft = store.draft("shared").await.unwrap().unwrap();
            let content = store.content(&draft.folder_sha256).await.unwrap();
            String::from_utf8(content.file(path).unwrap().to_vec()).unwrap()
        }
    };
    assert_eq!(stored("README.md").await, "# Shared\nGuy was here.\n");
    assert_eq!(stored("solution/start.sh").await, "#!/bin/sh\n");
    // Saved once more from that page, it is what was decided.
    save(&one, "shared", "README.md", &mark(&refused.text), "# Shared\nBoth were here.\n")
        .await
        .assert(StatusCode::SEE_OTHER);
    assert_eq!(stored("README.md").await, "# Shared\nBoth were here.\n");
    // A new file, renamed, with its bit.
    let new = open(&one, "shared", "tools/run").await;
    let fields =
        [("path", "tools/run"), ("mark", &mark(&new)), ("do", "save"), ("text", "x"), ("executable", "true")];
    one.form("/admin/exercises/shared/files", &fields).await.assert(StatusCode::SEE_OTHER);
    let made = open(&one, "shared", "tools/run").await;
    assert!(made.contains("value=\"true\" checked"), "{made}");
    let fields = [
        ("path", "tools"),
        ("mark", &mark(&open(&one, "shared", "tools").await)),
        ("do", "rename"),
        ("to", "bin"),
    ];
    one.form("/admin/exercises/shared/files", &fields).await.assert(StatusCode::SEE_OTHER);
    assert!(open(&one, "shared", "bin/run").await.contains("value=\"true\" checked"));
    let fields = [("path", "bin/run"), ("mark", &mark(&made)), ("do", "rename"), ("to", "../out")];
    one.form("/admin/exercises/shared/files", &fields).await.assert(StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}
