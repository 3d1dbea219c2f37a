//! Dockerfiles as odd editors, tools and people make them: built, or refused with a sentence, with both
//! builders, and never a fault of ours.

use std::time::Duration;

use drydock::sandbox::{BuildError, Limits};

use crate::{BOTH, bench, build, close, limits, nonce, of, tar};

#[tokio::test]
async fn how_a_file_was_saved_does_not_keep_it_from_being_built() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let comments = "# nothing\n".repeat(90_000);
        for (what, text) in [
            ("a mark", format!("\u{feff}FROM busybox:1.37\nRUN echo {}\n", nonce())),
            (
                "line ends of Windows",
                format!("FROM busybox:1.37\r\nRUN true && \\\r\n  echo {}\r\n", nonce()),
            ),
            ("both", format!("\u{feff}# a comment\r\nFROM busybox:1.37\r\nRUN echo {}\r\n", nonce())),
            ("no line end", format!("FROM busybox:1.37\nRUN echo {}", nonce())),
            ("much", format!("FROM busybox:1.37\n{comments}RUN echo {}\n", nonce())),
        ] {
            let (built, log) = build(&sandbox, of(tar(&[("Dockerfile", &text)]))).await;
            if let Err(error) = built {
                panic!("{builder:?}, {what}: {error:?} {log:?}");
            }
        }
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn what_is_no_dockerfile_is_never_our_fault() {
    let many = format!("FROM busybox:1.37\n{}", "RUN true\n".repeat(10_000));
    let endless = format!("FROM {}\n", "a".repeat(200_000));
    for builder in BOTH {
        let bench = bench(builder).await;
        // Ten thousand steps take as long as they may.
        let limits = Limits { build_time: Duration::from_secs(10), ..limits() };
        let sandbox = bench.engine.sandbox("test", limits);
        // Whether an engine of any age takes it: some build a NUL or a platform that they do not have.
        for (what, text, may_be_built) in [
            ("nothing", "", false),
            ("only a mark", "\u{feff}", false),
            ("a nul", "FROM busybox:1.37\nRUN echo \0\n", true),
            ("another program's file", "\u{7f}ELF\u{1}\u{2}\n", false),
            ("ten thousand steps", many.as_str(), false),
            ("another platform", "FROM --platform=linux/s390x busybox:1.37\nRUN true\n", true),
            ("no platform", "FROM --platform=no/such/thing/at/all busybox:1.37\nRUN true\n", false),
            ("an endless line", endless.as_str(), false),
        ] {
            let (built, log) = build(&sandbox, of(tar(&[("Dockerfile", text)]))).await;
            match built {
                Ok(_) => assert!(may_be_built, "{builder:?}, {what}: {log:?}"),
                Err(BuildError::Failed(failure)) => assert!(
                    failure.sentence.ends_with('.') && failure.sentence.len() < 2_000,
                    "{builder:?}, {what}: {failure:?}"
                ),
                Err(ours) => panic!("{builder:?}, {what}: {ours:?}"),
            }
        }
        drop(sandbox);
        close(bench).await;
    }
}
