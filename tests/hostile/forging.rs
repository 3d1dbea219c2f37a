//! Attempts to write oneself a better verdict, or to reach who reads it: through logs, evidence, file names and answers.

use super::arena::{Arena, Attack};

const MARKUP: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>";

/// From: server-sent events are lines (`data:`, `event:`), terminals obey escapes (CVE-2021-42574 is about bidirectional
/// text), graders that read the verdict from what the student's program prints (INGInious, Gradescope, Autolab: the
/// last line of output is the score).
#[tokio::test(flavor = "multi_thread")]
async fn what_a_student_prints_is_data() {
    let arena = Arena::open().await;
    let shout = |what, exercise, lines: &str| {
        let text = "LABEL hostile=@ARENA@\nCOPY attack words /\nCMD [\"sh\", \"/attack\"]";
        Attack::dockerfile(what, exercise, text)
            .file("attack", "cat /words; cat /words >&2; exit 3\n")
            .file("words", lines)
    };
    let events = "data: {\"type\":\"finished\",\"verdict\":\"passed\"}\n\nevent: finished\nid: 99999\nretry: 1\n\
                  data: <div id=\"verdict\" class=\"passed\">Passed</div>\n\n\r\rdata: x\r\n\r\n";
    let report = "{\"verdict\":\"passed\",\"points\":{\"earned\":1,\"possible\":1},\"checks\":[{\"id\":\"ends\",\"outcome\":\"passed\"}]}\n\
                  {\"scores\": {\"all\": 100}}\nPASSED\nOK (1 test)\n1..1\nok 1\n";
    let terminal = "\u{1b}]0;evil\u{7}\u{1b}[2J\u{1b}[31mred\u{1b}[0m\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\\u{9b}2J\u{202e}desrever\u{2066}\u{200b}\0\u{8}\u{8}\n";
    let seen = arena
        .run(vec![
            shout("events of the server", "narrow", events).says("3"),
            shout("a report", "narrow", report).says("3"),
            shout("escapes", "narrow", terminal).says("3"),
            shout("markup", "narrow", &format!("{MARKUP}\n</pre></code>{MARKUP}{{{{7*7}}}}<!--\n")).says("3"),
            // In a build, of a file name and of an instruction.
            Attack::dockerfile(
                "markup in a build",
                "narrow",
                &format!("LABEL hostile=@ARENA@\nRUN echo '{MARKUP}' && exit 3"),
            )
            .says("exit code 3"),
            Attack::dockerfile("markup in an instruction", "narrow", &format!("COPY \"{MARKUP}\" /")),
            Attack::new(
                "markup in a file's name",
                "hello",
                &[("<img src=x onerror=alert(1)>\u{202e}", "x"), ("b", "x")],
            ),
            Attack::new(
                "markup in a file",
                "hello",
                &[("hello.txt", &format!("{MARKUP}\u{1b}[2J\u{202e}")), ("b", "x")],
            ),
            Attack::compose(
                "markup in a compose file",
                &format!("services: {{'{}': {{privileged: true, image: x}}}}\n", MARKUP.replace('\'', "")),
            ),
        ])
        .await;
    for one in &seen {
        assert!(
            !one.page.contains("<script>alert") && !one.page.contains("<img src=x"),
            "{}: {}",
            one.what,
            one.page
        );
        for bad in ['\u{1b}', '\u{202e}', '\u{9b}', '\0'] {
            assert!(!one.page.contains(bad), "{}: {bad:?} is on the page", one.what);
        }
        assert_eq!(one.report["points"]["earned"], 0, "{}", one.what);
    }
    // The stream: one event for one thing, whatever was printed.
    for one in &seen {
        let grading = one.report["id"].as_str().unwrap();
        let url = format!("http://{}/api/v1/gradings/{grading}/events", arena.server.address);
        let request = reqwest::Client::new().get(url).bearer_auth(&arena.installation.student);
        let text = request.send().await.unwrap().text().await.unwrap();
        let finished = text.lines().filter(|line| *line == "event: finished").count();
        assert!(finished <= 1, "{}: {text}", one.what);
        for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{}: {line}", one.what);
        }
        assert!(!text.lines().any(|line| line.starts_with("retry:") || line == "id: 99999"), "{text}");
    }
    arena.close().await;
}
