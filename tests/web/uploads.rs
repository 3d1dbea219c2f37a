//! Handing in: what is taken, and the sentences for what is not.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Body, Method, StatusCode, multipart};

use crate::app::{Answer, App, FILES, QUESTIONS, zip};

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Written into the header as it is: `set_path` would refuse what an attacker sends.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_way_of_handing_in_gives_the_same_content() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let api = format!("/api/v1/cohorts/{}/exercises/{FILES}/submissions", app.cohort.id);
    let files: [(&str, &[u8]); 2] = [("hello.txt", b"hello"), ("sub/word.txt", b"word")];
    let mut hashes = Vec::new();
    for (kind, archive) in [
        ("application/zip", zip(&files)),
        ("application/x-tar", tar(&files)),
        ("application/gzip", gz(&tar(&files))),
        // The bytes decide, not the name.
        ("application/octet-stream", zip(&files)),
        ("application/zip", gz(&tar(&files))),
    ] {
        let answer = student.send_raw(Method::POST, &api, kind, archive).await;
        answer.assert(StatusCode::ACCEPTED);
        let id = answer.json()["id"].as_str().unwrap().parse().unwrap();
        hashes.push(app.store().submission(id).await.unwrap().content_sha256);
    }
    // A folder, as a browser sends it: each file under its path.
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let path = format!("{page}/submissions");
    let part = |content: &'static [u8], name: &'static str| multipart::Part::bytes(content).file_name(name);
    let answer = student
        .multipart(&page, &path, |form| {
            form.part("files", part(b"hello", "my-folder/hello.txt"))
                .part("files", part(b"word", "my-folder/sub/word.txt"))
                .part("archive", multipart::Part::bytes(b"".as_slice()).file_name(""))
        })
        .await;
    let id =
        answer.assert(StatusCode::SEE_OTHER).header("location").trim_start_matches("/submissions/").parse();
    let folder = app.store().submission(id.unwrap()).await.unwrap();
    assert_eq!(
        folder.source,
        drydock::submissions::Source::Folder { name: "my-folder".into() },
        "the page can say which folder it was"
    );
    hashes.push(folder.content_sha256);
    assert!(hashes.iter().all(|hash| hash.is_some() && *hash == hashes[0]), "{hashes:?}");
    app.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_with_a_sentence_and_changes_nothing() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let path = format!("{page}/submissions");
    let api = format!("/api/v1{path}");
    for (archive, status, words) in [
        (b"hello".to_vec(), 422, ""),
        (zip(&[("../hello.txt", b"x")]), 422, "../hello.txt"),
        (tar(&[("/etc/passwd", b"x")]), 422, "/etc/passwd"),
        (zip(&[("a.txt", b"x")])[..40].to_vec(), 422, ""),
        (gz(&vec![0; 40 << 20]), 422, ""),
        (zip(&[("big.bin", &vec![0; 5 << 20])]), 413, "MiB"),
    ] {
        let from_program = student.send_raw(Method::POST, &api, "application/zip", archive.clone()).await;
        assert!(from_program.status.is_client_error(), "{words}: {}", from_program.text);
        if status == 413 || words.is_empty() {
            assert!([413, 422].contains(&from_program.status.as_u16()));
        } else {
            assert_eq!(from_program.status.as_u16(), status, "{}", from_program.text);
        }
        let detail = from_program.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words) && detail.ends_with('.'), "{detail}");
        // The page says the same beside its form.
        let part = multipart::Part::bytes(archive).file_name("work.zip");
        let on_page = student.multipart(&page, &path, |form| form.part("archive", part)).await;
        assert_eq!(on_page.status, from_program.status);
        on_page.assert_says("Hand in");
    }
    let nothing = student.multipart(&page, &path, |form| form).await;
    nothing.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("Nothing was handed in");
    let two = student
        .multipart(&page, &path, |form| {
            let part = || multipart::Part::bytes(zip(&[("a", b"b")])).file_name("a.zip");
            form.part("archive", part()).part("archive", part())
        })
        .await;
    two.assert(StatusCode::UNPROCESSABLE_ENTITY).assert_says("one thing");
    let many = student
        .multipart(&page, &path, |mut form| {
            for number in 0..150 {
                let part = multipart::Part::bytes(b"x".as_slice()).file_name(format!("folder/{number}.txt"));
                form = form.part("files", part);
            }
            form
        })
        .await;
    assert!(many.status.is_client_error());
    many.assert_says("100");
    assert_eq!(app.store().queue_depth().await.unwrap().0, 0, "nothing was queued");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_told_so_however_it_comes() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let path = format!("{page}/submissions");
    let api = format!("/api/v1{path}");
    let large = vec![7_u8; 3 << 20];
    let announced = student.send_raw(Method::POST, &api, "application/zip", large.clone()).await;
    announced.assert(StatusCode::PAYLOAD_TOO_LARGE).assert_says("1 MiB");
    let part = multipart::Part::bytes(large.clone()).file_name("large.zip");
    let on_page = student.multipart(&page, &path, |form| form.part("archive", part)).await;
    on_page.assert(StatusCode::PAYLOAD_TOO_LARGE).assert_says("Leave out what the exercise does");
    // Beside the form, where it can be tried again.
    on_page.assert_says("id=\"hand-in\"");
    // Without a length that could be looked at, it is counted as it comes.
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        large.chunks(64 << 10).map(|chunk| Ok(chunk.to_vec())).collect();
    let unannounced = student
        .unsafe_request(Method::POST, &api)
        .header("content-type", "application/zip")
        .body(Body::wrap_stream(futures::stream::iter(chunks)));
    match unannounced.send().await {
        Ok(response) => {
            Answer::of(response).await.assert(StatusCode::PAYLOAD_TOO_LARGE).assert_says("1 MiB");
        }
        // The server may hang up while the client still sends.
        Err(error) => assert!(error.is_request(), "{error}"),
    }
    assert_eq!(app.store().queue_depth().await.unwrap().0, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_form_that_is_sent_twice_counts_once() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let page = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let form = student.get(&page).await;
    let nonce =
        form.text.split_once("name=\"nonce\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let path = format!("{page}/submissions");
    let double = |nonce: String| {
        let part = multipart::Part::bytes(zip(&[("hello.txt", b"hello")])).file_name("a.zip");
        student.multipart(&page, &path, |form| form.text("nonce", nonce).part("archive", part))
    };
    let (one, two) = tokio::join!(double(nonce.clone()), double(nonce));
    assert_eq!(one.assert(StatusCode::SEE_OTHER).header("location"), two.header("location"));
    assert_eq!(app.store().queue_depth().await.unwrap().0, 1);
    app.stop().await;
}

#[tokio::test]
async fn questions_are_answered_with_a_plain_form() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let page = format!("/cohorts/{}/exercises/{QUESTIONS}", app.cohort.id);
    let answer = student
        .multipart(&page, &format!("{page}/submissions"), |form| {
            form.text("answer:shared", "kernel")
                .text("answer:listing", " ")
                .text("answer:why", "<b>Because</b>")
        })
        .await;
    let id =
        answer.assert(StatusCode::SEE_OTHER).header("location").trim_start_matches("/submissions/").parse();
    let stored = app.store().submission(id.unwrap()).await.unwrap();
    let stored = serde_json::to_value(&stored.answers).unwrap();
    assert_eq!(stored, serde_json::json!({"shared": ["kernel"], "why": "<b>Because</b>"}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_to_leave_out_is_said_for_each_exercise() {
    let app = App::start().await;
    let student = app.student("Ada").await;
    let path = format!("/cohorts/{}/exercises/{FILES}", app.cohort.id);
    let page = student.get(&path).await;
    page.assert_says("<code>.git</code>, dependencies and build output are better left out")
        .assert_says("data-leave-out=\".git, dependencies and build output\"");

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join(FILES);
    std::fs::create_dir_all(folder.join("solution")).unwrap();
    let yaml = "title: Say hello\nminutes: 5\nsubmit: [upload]\nchecks:\n  - {id: history, title: Two commits, hint: git log, repository: {commits: {at_least: 2}}}\n";
    for (name, text) in [("exercise.yaml", yaml), ("README.md", "# Task\n"), ("solution/a", "")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let exercise = drydock::exercises::Exercise::read(&folder).unwrap();
    app.store().publish_exercise(&exercise).await.unwrap();
    let page = student.get(&path).await;
    page.assert_says("The folder <code>.git</code> has to be in it")
        .assert_says("data-leave-out=\"dependencies and build output\"");
    assert!(!page.text.contains("<code>.git</code>, dependencies"), "{}", page.text);
    // What is said of something too large holds for both.
    let part = multipart::Part::bytes(vec![7_u8; 3 << 20]).file_name("large.zip");
    let large =
        student.multipart(&path, &format!("{path}/submissions"), |form| form.part("archive", part)).await;
    large.assert(StatusCode::PAYLOAD_TOO_LARGE).assert_says("(such as dependencies and build output)");
    app.stop().await;
}
