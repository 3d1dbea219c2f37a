//! `dockerfile`, and the reading of Dockerfiles.

use drydock::clock::Clock;
use drydock::submissions::dockerfile::{Dockerfile, Origin, Unreadable};
use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{content, failed, kind, look, passed};

const GOOD: &str = r#"# syntax=docker/dockerfile:1
ARG VERSION=3.13-slim
FROM debian:13-slim@sha256:0123456789012345678901234567890123456789012345678901234567890123 AS build
RUN apt-get update && \
    # a comment in between
    apt-get install -y make
COPY . /src
FROM python:${VERSION} AS base
ENV APP_USER=app
USER $APP_USER
FROM base
WORKDIR /srv
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY --from=build --chown=app /src/out ./out
COPY . .
EXPOSE 8080/tcp
CMD ["python", "app.py"]
"#;

const BAD: &str = "FROM python
COPY . .
RUN pip install -r requirements.txt
ADD https://example.org/x /x
USER root
CMD python app.py
";

async fn observe(dockerfile: &str, check: &Value) -> Result<String, (String, String)> {
    let submission = content(&[("Dockerfile", dockerfile.as_bytes()), ("app.py", b"")]);
    match look(&kind("dockerfile", check), &submission, &[]).await.expect("told") {
        drydock::checks::Finding::Passed(detail) => Ok(detail.observed),
        drydock::checks::Finding::Failed(detail) => Err((detail.expected, detail.observed)),
        drydock::checks::Finding::Waiting(_) => panic!("nobody waits for a Dockerfile"),
    }
}

#[tokio::test]
async fn each_part_holds_for_the_good_one_and_not_for_the_bad_one() {
    let cases = [
        (json!({"uses": ["EXPOSE"]}), "there is no `EXPOSE`"),
        (
            json!({"uses": [{"instruction": "RUN", "arguments": {"contains": "apt-get update && apt-get install -y make"}}]}),
            "no `RUN` like that; there is line 3 `RUN pip install -r requirements.txt`",
        ),
        (
            json!({"uses": [{"instruction": "COPY", "flags": {"contains": "--chown"}, "stage": "final"}]}),
            "no `COPY` like that; there is line 2 `COPY . .`",
        ),
        (
            json!({"uses": [{"instruction": "COPY", "count": {"at_least": 3}}]}),
            "1 × `COPY`: line 2 `COPY . .`",
        ),
        (json!({"uses_not": ["ADD"]}), "there is line 4 `ADD https://example.org/x /x`"),
        (json!({"stages": 3}), "1 stage"),
        (json!({"stages": {"at_least": 2}}), "1 stage"),
        (json!({"stage_names": ["build", "base"]}), "no stage has a name"),
        (
            json!({"base": {"allowed": [{"matches": "^python:3\\.13"}, {"contains": "debian:13"}]}}),
            "line 1 starts from `python`",
        ),
        (
            json!({"base": {"pinned": "tag"}}),
            "line 1 starts from `python`, which names no tag and so means `latest`",
        ),
        (json!({"base": {"pinned": "digest", "stage": "build"}}), "there is no such stage"),
        (
            json!({"exec_form": ["CMD"]}),
            "line 6 `CMD python app.py` is in shell form, so `/bin/sh -c` runs it",
        ),
        (json!({"copies_from": ["build"]}), "nothing is copied from another stage or image"),
        (json!({"runs_as": {"not": "root"}}), "the last `USER` of the final stage is `root`"),
        (json!({"runs_as": {"not": 0}}), "the last `USER` of the final stage is `root`"),
        (json!({"runs_as": "app"}), "the last `USER` of the final stage is `root`"),
        (
            json!({"order": [
                {"instruction": "COPY", "arguments": {"contains": "requirements.txt"}},
                {"instruction": "RUN", "arguments": {"contains": "pip install"}},
                {"instruction": "COPY", "arguments": ". ."},
            ]}),
            "the order is line 2 `COPY . .` and line 3 `RUN pip install -r requirements.txt`",
        ),
    ];
    for (check, wrong) in cases {
        let good = observe(GOOD, &check).await;
        assert!(good.is_ok(), "{check}: {good:?}");
        let (expected, observed) = observe(BAD, &check).await.expect_err(&check.to_string());
        assert!(observed.contains(wrong), "{check}: {observed}");
        assert!(!expected.is_empty(), "{check}");
    }
}

#[tokio::test]
async fn what_is_expected_reads_like_a_sentence() {
    for (check, sentence) in [
        (
            json!({"uses": [{"instruction": "RUN", "arguments": {"contains": "pip"}, "count": 2, "stage": "final"}]}),
            "`RUN` whose text contains `pip` in the final stage 2 times",
        ),
        (
            json!({"uses_not": ["EXPOSE", "CMD"], "stages": {"at_most": 0}}),
            "no `EXPOSE`, no `CMD`, at most 0 stages",
        ),
        (
            json!({"base": {"allowed": ["a:1", "b:2"], "pinned": "digest"}}),
            "each base image is `a:1` or is `b:2`, each base image with a digest",
        ),
        (
            json!({"exec_form": ["ENTRYPOINT"], "copies_from": {"has": ["x"], "lacks": ["y"]}}),
            "`ENTRYPOINT` in exec form, files copied from `x`, not `y`",
        ),
        (
            json!({"runs_as": {"not": "root"}, "order": ["EXPOSE", "RUN"]}),
            "the user is not `root`, in this order: `EXPOSE`, then `RUN`",
        ),
    ] {
        let finding = observe(BAD, &check).await;
        let (expected, _) = finding.expect_err(&check.to_string());
        assert!(
            expected.starts_with(sentence.split(", `EXPOSE` in").next().unwrap_or(sentence)),
            "{check}: {expected}"
        );
    }
}

#[tokio::test]
async fn pins_are_told_apart() {
    for (image, tag, digest) in [
        ("python:3.13", true, false),
        ("python:latest", false, false),
        ("python", false, false),
        ("localhost:5000/python", false, false),
        ("localhost:5000/python:1", true, false),
        ("python@sha256:00", true, true),
        ("python:3@sha256:00", true, true),
    ] {
        let text = format!("FROM {image}\nCMD [\"a\"]\n");
        for (pinned, holds) in [("tag", tag), ("digest", digest)] {
            let found = observe(&text, &json!({"base": {"pinned": pinned}})).await;
            assert_eq!(found.is_ok(), holds, "{image} {pinned}: {found:?}");
        }
    }
    let scratch = observe("FROM scratch\nCOPY a /\n", &json!({"base": {"pinned": "digest"}})).await;
    assert!(scratch.is_ok(), "{scratch:?}");
}

#[tokio::test]
async fn a_user_comes_from_the_stage_it_is_built_from_or_from_nowhere() {
    let check = json!({"runs_as": {"not": "root"}});
    assert!(observe("FROM a AS x\nUSER 1000:1000\nFROM x\nRUN b\n", &check).await.is_ok());
    let (_, observed) = observe("FROM a\nRUN b\n", &check).await.expect_err("root");
    assert_eq!(observed, "the final stage has no `USER`, so the base image's user stays, mostly root");
    let (_, observed) = observe("FROM a AS x\nUSER 1000\nFROM a\n", &check).await.expect_err("another stage");
    assert!(observed.contains("no `USER`"), "{observed}");
    assert!(observe("FROM a\nUSER 0:0\n", &json!({"runs_as": "root"})).await.is_ok());
}

#[tokio::test]
async fn odd_files_are_findings_with_a_sentence() {
    let many = format!("FROM a\n{}", "RUN b\n".repeat(10_000));
    let utf16: Vec<u8> = "FROM a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xff, 0xfe], utf16.as_slice()].concat();
    let cases: [(&[u8], &str); 9] = [
        (b"", "the Dockerfile is empty"),
        (b"  \n# only a comment\n", "the Dockerfile is empty"),
        (b"\x7fELF\0\0\0", "no text: line 1"),
        (b"FROM a\nRUN \xff\n", "no text: line 2"),
        (&utf16, "UTF-16"),
        (many.as_bytes(), "10001 instructions; more than 5000"),
        (&[b'#'; (1 << 20) + 1], "1048577 bytes; more than 1048576"),
        (b"FROM a\nFORM b\n", "line 2 of the Dockerfile cannot be read: unknown instruction 'FORM'"),
        (b"RUN a\n", "line 1 of the Dockerfile cannot be read: expected FROM"),
    ];
    for (bytes, sentence) in cases {
        let submission = content(&[("Dockerfile", bytes), ("x", b"")]);
        let finding =
            look(&kind("dockerfile", &json!({"uses": ["RUN"]})), &submission, &[]).await.expect("told");
        let detail = failed(&finding);
        assert!(detail.observed.contains(sentence), "{}", detail.observed);
        assert!(detail.observed.len() < 400, "{}", detail.observed);
    }
    let finding =
        look(&kind("dockerfile", &json!({"uses": ["RUN"]})), &content(&[("a", b""), ("b", b"")]), &[]).await;
    assert_eq!(failed(&finding.expect("told")).observed, "there is no file `Dockerfile`");
}

#[tokio::test]
async fn line_ends_and_marks_of_editors_do_not_matter() {
    let windows = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    for check in [
        json!({"exec_form": ["CMD"]}),
        json!({"stages": 3}),
        json!({"uses": [{"instruction": "EXPOSE", "arguments": "8080/tcp"}]}),
    ] {
        let found = observe(&windows, &check).await;
        assert!(found.is_ok(), "{check}: {found:?}");
    }
    let submission = content(&[("Dockerfile", windows.as_bytes()), ("a", b"")]);
    let finding = look(&kind("dockerfile", &json!({"stages": 3})), &submission, &[]).await.expect("told");
    assert!(passed(&finding).evidence[0].text.starts_with("  1  # syntax="));
}

#[test]
fn what_a_build_needs_is_read() {
    let read = |text: &str| Dockerfile::read(text.as_bytes()).expect(text);
    let dockerfile = read(GOOD);
    assert_eq!(dockerfile.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(dockerfile.needs_buildkit(), None);
    let args = IndexMap::new();
    let images = dockerfile.images(&args);
    assert_eq!(images.len(), 2);
    assert!(images[0].starts_with("debian:13-slim@sha256:"), "{images:?}");
    assert_eq!(images[1], "python:3.13-slim");
    assert_eq!(dockerfile.base(2, &args), Some(Origin::Stage(1)));
    let given = IndexMap::from([("VERSION".to_owned(), "3.12".to_owned())]);
    assert_eq!(dockerfile.images(&given)[1], "python:3.12");
    assert_eq!(dockerfile.user(2, &args).as_deref(), Some("app"));

    let copied = read(
        "FROM a:1\nCOPY --from=nginx:1.26 /etc/nginx /x\nRUN --mount=type=bind,from=tools:2,target=/t true\nCOPY --from=0 /a /b\n",
    );
    assert_eq!(copied.images(&args), ["a:1", "nginx:1.26", "tools:2"]);
    for (text, line, what) in [
        ("FROM a\nRUN <<EOF\necho b\nEOF\n", 2, "a here-document of RUN"),
        ("FROM a\nCOPY <<EOF /b\nx\nEOF\n", 2, "a here-document of COPY"),
        ("FROM a\nRUN --mount=type=cache,target=/b c\n", 2, "`RUN --mount`"),
        ("FROM a\n\nCOPY --link b c\n", 3, "`COPY --link`"),
        ("FROM a\nCOPY --chmod=755 b c\n", 2, "`COPY --chmod`"),
        ("FROM a\nADD https://example.org/a/b.git#main /c\n", 2, "`ADD` of a git repository"),
        ("FROM a\nONBUILD RUN --mount=type=cache,target=/b c\n", 2, "`RUN --mount`"),
    ] {
        let feature = read(text).needs_buildkit().expect(text);
        assert_eq!((feature.line, feature.what.as_str()), (line, what), "{text}");
    }
    for text in [
        "FROM --platform=linux/amd64 a\n",
        "FROM a AS b\nFROM a\nCOPY --from=b --chown=1 c d\n",
        "FROM a\nHEALTHCHECK --interval=1s --timeout=1s --start-period=1s --retries=2 CMD b\n",
        "FROM a\nADD --chown=1 https://example.org/x.tar.gz /y\nRUN echo '<<EOF'\n",
    ] {
        assert_eq!(read(text).needs_buildkit(), None, "{text}");
    }
}

#[test]
fn variables_do_not_grow_without_end() {
    let doubling = format!("FROM a\nENV A=xxxxxxxx\n{}USER $A\n", "ENV A=$A$A\n".repeat(4_000));
    let watch = Clock::system().stopwatch();
    let user =
        Dockerfile::read(doubling.as_bytes()).expect("good").user(0, &IndexMap::new()).expect("a user");
    assert!(user.len() < 64 * 1024, "{}", user.len());
    let mut chain = "FROM a AS s0\n".to_owned();
    for stage in 1..4_900 {
        chain += &format!("FROM s{} AS s{stage}\n", stage - 1);
    }
    let chained = Dockerfile::read(chain.as_bytes()).expect("good");
    assert_eq!(chained.user(4_899, &IndexMap::new()), None);
    assert_eq!(chained.images(&IndexMap::new()), ["a"]);
    assert!(watch.elapsed().as_secs() < 20, "{:?}", watch.elapsed());
}

#[test]
fn a_megabyte_of_anything_is_read_in_time() {
    for piece in [
        "FROM a\n",
        "RUN \\\n",
        "COPY <<A <<B c\n",
        "[\"a\",",
        "# x\n",
        "\\\n",
        "ENV a=\"",
        "ARG a=${a:-$a}\n",
        "ONBUILD ",
        "<<",
    ] {
        let text = format!("FROM a\n{}", piece.repeat((1 << 20) / piece.len() - 10));
        let watch = Clock::system().stopwatch();
        let _ = Dockerfile::read(text.as_bytes());
        assert!(watch.elapsed().as_secs() < 20, "{piece:?} took {:?}", watch.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Dockerfile::read(&bytes) != Err(Unreadable::Unexpected));
    }

    #[test]
    fn no_text_like_a_dockerfile_makes_the_reader_panic(
        lines in proptest::collection::vec(
            ("(FROM|RUN|COPY|ADD|CMD|ENV|ARG|USER|LABEL|EXPOSE|ONBUILD|HEALTHCHECK|SHELL|VOLUME|from)?", "( --[a-z]{1,6}(=[^\\n]{0,8})?)?", "[ -~é\\t\"'\\\\$\\{\\}<\\[\\]#,:=]{0,24}(\\\\|`)?"),
            0..12,
        )
    ) {
        let text: String = lines.iter().map(|(name, flag, rest)| format!("{name}{flag} {rest}\n")).collect();
        let text = format!("FROM a AS b\n{text}");
        let read = Dockerfile::read(text.as_bytes());
        prop_assert!(read != Err(Unreadable::Unexpected));
        if let Ok(dockerfile) = read {
            let args = IndexMap::new();
            let _ = dockerfile.images(&args);
            let _ = dockerfile.needs_buildkit();
            for stage in 0..dockerfile.stages.len() {
                let _ = dockerfile.user(stage, &args);
            }
            let lines = text.lines().count();
            prop_assert!(dockerfile.instructions.iter().all(|step| step.line >= 1 && step.line <= lines));
        }
    }
}
