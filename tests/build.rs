//! Builds against a real engine, with both builders: what comes out, what a student is told when
//! nothing does, and that whatever a Dockerfile tries, the engine goes on and nothing is left.

#[path = "build/bad_input.rs"]
mod bad_input;
#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "build/ignore_files.rs"]
mod ignore_files;
#[path = "build/secrets.rs"]
mod secrets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};
use bytes::Bytes;
use common::{BUSYBOX, Bench, limits};
use drydock::clock::Clock;
use drydock::config::{BuilderChoice, SandboxSettings};
use drydock::sandbox::{
    BuildError, BuildFailure, BuildFailureReason, BuildRequest, Builder, Built, Limits, LogLine, Sandbox,
};
use indexmap::IndexMap;

const BOTH: [BuilderChoice; 2] = [BuilderChoice::Classic, BuilderChoice::BuildKit];

fn settings(builder: BuilderChoice) -> SandboxSettings {
    SandboxSettings { builder, pull: false, warm_pods: 0, ..SandboxSettings::default() }
}

async fn bench(builder: BuilderChoice) -> Bench {
    Bench::alone(settings(builder)).await
}

fn tar(files: &[(&str, &str)]) -> Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().into()
}

/// Something new in every run: BuildKit's cache outlives us.
fn nonce() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn of(context: Bytes) -> BuildRequest {
    BuildRequest { context, dockerfile: "Dockerfile".into(), ..BuildRequest::default() }
}

/// A request with nothing but a Dockerfile, `FROM` busybox if it does not say.
fn dockerfile(text: &str) -> BuildRequest {
    let from = if text.contains("FROM") { String::new() } else { format!("FROM {BUSYBOX}\n") };
    of(tar(&[("Dockerfile", &format!("{from}{text}\n"))]))
}

async fn build(sandbox: &Sandbox, request: BuildRequest) -> (Result<Built, BuildError>, Vec<LogLine>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let built = sandbox.build(request, Arc::new(move |line| sink.lock().unwrap().push(line))).await;
    let lines = lines.lock().unwrap().clone();
    (built, lines)
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn failure(built: Result<Built, BuildError>) -> BuildFailure {
    match built {
        Err(BuildError::Failed(failure)) => failure,
        other => panic!("the build should have failed, but: {other:?}"),
    }
}

async fn fails(sandbox: &Sandbox, request: BuildRequest) -> BuildFailure {
    failure(build(sandbox, request).await.0)
}

async fn docker() -> Docker {
    Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap()
}

/// Whether a container or, where the engine runs on this machine, a process has `marker` in its
/// command line.
async fn runs(marker: &str) -> bool {
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let containers = docker().await.list_containers(Some(all)).await.unwrap();
    let in_container = containers
        .iter()
        .any(|container| container.command.as_deref().is_some_and(|line| line.contains(marker)));
    let in_process = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        !own && std::fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(marker))
    });
    in_container || in_process
}

/// A fork bomb keeps the engine busy for up to two minutes on a machine that has two processors.
async fn gone(marker: &str) {
    for _ in 0..1200 {
        if !runs(marker).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("something with {marker} in its command line still runs");
}

/// Ends the bench and sees to it that none of the images it noted is left.
async fn close(bench: Bench) {
    let mut noted = Vec::new();
    for entry in std::fs::read_dir(bench.state().join("running")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "images") {
            noted.extend(std::fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned));
        }
    }
    bench.close().await;
    let docker = docker().await;
    let all = ListImagesOptionsBuilder::default().all(true).build();
    let all = docker.list_images(Some(all)).await.unwrap();
    let short = |id: &str| id.trim_start_matches("sha256:")[..12].to_owned();
    let noted: Vec<String> = noted.iter().map(|id| short(id)).collect();
    for image in &all {
        // What a student's output named is noted too, and stays; and what another installation built
        // something on is theirs as well.
        let theirs =
            all.iter().any(|other| other.parent_id == image.id && !noted.contains(&short(&other.id)));
        let left = noted.contains(&short(&image.id)) && image.repo_tags.is_empty() && !theirs;
        assert!(!left, "{} was left behind", image.id);
    }
}

#[tokio::test]
async fn a_good_build_makes_an_image_and_tells_how() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let text = "FROM busybox:1.37\nCOPY hello.txt /hello.txt\nRUN echo to-out; echo to-err >&2\n\
                    CMD [\"cat\", \"/hello.txt\"]\n";
        let request = of(tar(&[("Dockerfile", text), ("hello.txt", &nonce())]));
        let (built, lines) = build(&sandbox, request).await;
        let built = built.unwrap();
        let wanted = if builder == BuilderChoice::Classic { Builder::Classic } else { Builder::BuildKit };
        assert_eq!(built.builder, wanted);
        assert!(!built.log_truncated);
        let image = docker().await.inspect_image(&built.image).await.unwrap();
        let config = image.config.unwrap();
        assert_eq!(config.cmd.unwrap(), ["cat", "/hello.txt"]);
        let names = image.repo_tags.unwrap();
        assert!(names.iter().all(|name| name.starts_with("drydock-build:")) && names.len() == 1, "{names:?}");
        assert!(
            lines.iter().any(|line| line.text == "to-out" && !line.stderr && line.source == "build"),
            "{lines:?}"
        );
        assert!(lines.iter().any(|line| line.text == "to-err" && line.stderr), "{lines:?}");
        assert!(
            !texts(&lines).iter().any(|text| text.contains("drydock")),
            "our own step is shown: {lines:?}"
        );
        if builder == BuilderChoice::Classic {
            assert_eq!(texts(&lines)[0], "Step 1/4 : FROM busybox:1.37");
            assert_eq!(built.steps.len(), 4);
        } else {
            assert!(texts(&lines).contains(&"[2/3] COPY hello.txt /hello.txt"), "{lines:?}");
            assert_eq!(built.steps.len(), 3);
        }
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn the_same_content_is_built_once() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let text = "RUN echo one > /one\nRUN echo two > /two\nRUN echo three > /three";
        let first = build(&bench.sandbox(), dockerfile(text)).await.0.unwrap();
        let mut took = Vec::new();
        for grading in ["second", "third", "fourth"] {
            let watch = Clock::system().stopwatch();
            let again = build(&bench.engine.sandbox(grading, limits()), dockerfile(text)).await.0.unwrap();
            took.push(watch.elapsed());
            assert_eq!(again.image, first.image);
            assert_eq!(again.steps.len(), 4, "{builder:?}");
            let (_, steps) = again.steps.split_first().unwrap();
            assert!(steps.iter().all(|step| step.cached), "{builder:?}: {steps:?}");
        }
        eprintln!("{builder:?}: cached rebuilds took {took:?}");
        assert!(took.iter().min().unwrap() < &Duration::from_secs(2), "{took:?}");
        close(bench).await;
    }
}

#[tokio::test]
async fn each_kind_of_failure_has_its_reason_and_its_sentence() {
    use BuildFailureReason::{Base, Dockerfile, NeedsBuildKit, Step};
    let cases = [
        ("RUN echo almost; exit 3", Step, vec!["RUN echo almost; exit 3", "line 2", "exit code 3", "almost"]),
        ("RUN exit 4", Step, vec!["exit code 4", "printed nothing"]),
        ("RUN [\"/nope\"]", Step, vec!["/nope", "line 2"]),
        ("USER bob\nRUN id", Step, vec!["bob"]),
        ("RUN exit 137", Step, vec!["exit code 137"]),
        ("COPY nope.txt /", Dockerfile, vec!["nope.txt"]),
        ("COPY ../secret /", Dockerfile, vec!["secret"]),
        ("RUM true", Dockerfile, vec!["Line 2", "RUM", "RUN was probably meant"]),
        ("FROM", Dockerfile, vec!["FROM"]),
        ("COPY --from=nowhere /a /b", Base, vec!["Line 2", "nowhere"]),
        ("FROM no-such-image:9\nRUN true", Base, vec!["Line 1", "no-such-image:9", "trainer"]),
        ("FROM 127.0.0.1:1/x\nRUN true", Base, vec!["127.0.0.1:1/x"]),
        ("FROM Not/Valid:::", Base, vec!["Not/Valid:::", "not the name of an image"]),
        ("ADD http://127.0.0.1:1/x /x", Dockerfile, vec!["Line 2", "COPY"]),
        ("# syntax=evil.example/frontend\nFROM busybox:1.37", Dockerfile, vec!["evil.example/frontend"]),
        ("", Dockerfile, vec![]),
    ];
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        for (text, reason, words) in &cases {
            if builder == BuilderChoice::BuildKit && *text == "RUN exit 137" {
                // BuildKit does not tell why a process was killed.
                continue;
            }
            let mut request = dockerfile(text);
            if text.is_empty() {
                request = of(tar(&[("Dockerfile", "# nothing\n")]));
            }
            let failure = fails(&sandbox, request).await;
            eprintln!("{builder:?}: {}", failure.sentence);
            assert_eq!(failure.reason, *reason, "{builder:?} {text:?}: {failure:?}");
            for word in words {
                assert!(
                    failure.sentence.contains(word),
                    "{builder:?} {text:?}: no {word:?} in {:?}",
                    failure.sentence
                );
            }
        }
        let missing = fails(&sandbox, of(tar(&[("dockerfile", "FROM busybox:1.37\n")]))).await;
        assert_eq!(missing.reason, Dockerfile);
        let target = BuildRequest { target: Some("zz".into()), ..dockerfile("RUN true") };
        let target = fails(&sandbox, target).await;
        assert!(target.reason == Dockerfile && target.sentence.contains("zz"), "{target:?}");
        let needing =
            BuildRequest { needs_buildkit: true, ..dockerfile("RUN --mount=type=tmpfs,target=/x true") };
        let needing = build(&sandbox, needing).await.0;
        if builder == BuilderChoice::Classic {
            assert_eq!(failure(needing).reason, NeedsBuildKit);
        } else {
            needing.unwrap();
        }
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn bases_are_those_that_are_allowed() {
    let settings =
        SandboxSettings { allowed_bases: vec!["busybox".into()], ..settings(BuilderChoice::Classic) };
    let bench = Bench::alone(settings).await;
    let sandbox = bench.sandbox();
    build(&sandbox, dockerfile("RUN true")).await.0.unwrap();
    let other = fails(&sandbox, dockerfile("FROM debian:13-slim")).await;
    assert_eq!(other.reason, BuildFailureReason::Base);
    assert!(other.sentence.contains("allowed are busybox"), "{}", other.sentence);
    let hidden =
        fails(&sandbox, dockerfile("FROM busybox:1.37 AS a\nCOPY --from=debian:13-slim /etc /e")).await;
    assert_eq!(hidden.reason, BuildFailureReason::Base);
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn a_build_that_never_ends_is_ended_on_the_engine() {
    for (builder, marker) in BOTH.into_iter().zip(["86411001", "86411002"]) {
        let bench = bench(builder).await;
        let sandbox = bench.engine.sandbox("test", Limits { build_time: Duration::from_secs(8), ..limits() });
        let watch = Clock::system().stopwatch();
        let failure = fails(&sandbox, dockerfile(&format!("RUN trap '' TERM; sleep {marker}"))).await;
        assert_eq!(failure.reason, BuildFailureReason::TimedOut, "{failure:?}");
        assert!(
            failure.sentence.contains("8 s") && failure.sentence.contains("line 2"),
            "{}",
            failure.sentence
        );
        assert!(watch.elapsed() < Duration::from_secs(40), "{:?}", watch.elapsed());
        gone(marker).await;
        drop(sandbox);
        close(bench).await;
        eprintln!("{builder:?}: ended and cleaned up after {:?}", watch.elapsed());
    }
}

#[tokio::test]
async fn a_build_nobody_waits_for_is_ended_on_the_engine() {
    for (builder, marker) in BOTH.into_iter().zip(["86412001", "86412002"]) {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let building = build(&sandbox, dockerfile(&format!("RUN echo before > /before\nRUN sleep {marker}")));
        assert!(tokio::time::timeout(Duration::from_secs(6), building).await.is_err());
        gone(marker).await;
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn a_step_that_eats_memory_is_told_so() {
    let bench = bench(BuilderChoice::Classic).await;
    let sandbox = bench.sandbox();
    let failure = fails(&sandbox, dockerfile("RUN tail /dev/zero")).await;
    assert_eq!(failure.reason, BuildFailureReason::OutOfMemory, "{failure:?}");
    assert!(failure.sentence.contains("64 MiB"), "{}", failure.sentence);
    // A child that is killed while its shell goes on and fails with another code.
    let child = fails(&sandbox, dockerfile("RUN tail /dev/zero || exit 2")).await;
    assert_eq!(child.reason, BuildFailureReason::OutOfMemory, "{child:?}");
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn what_the_engine_made_after_we_hung_up_is_removed_too() {
    let bench = bench(BuilderChoice::Classic).await;
    let nonce = nonce();
    let steps: String = (0..300).map(|step| format!("RUN true # {nonce} {step}\n")).collect();
    // Where between two steps the time is over is chance: several tries hit most of them.
    for tenths in [7, 11, 13, 18] {
        let within = Limits { build_time: Duration::from_millis(tenths * 100), ..limits() };
        let sandbox = bench.engine.sandbox("test", within);
        let text = format!("RUN true # {tenths}\n{steps}");
        assert_eq!(fails(&sandbox, dockerfile(&text)).await.reason, BuildFailureReason::TimedOut);
    }
    close(bench).await;
    let docker = docker().await;
    let all = ListImagesOptionsBuilder::default().all(true).build();
    for image in docker.list_images(Some(all)).await.unwrap() {
        // Others' images come and go meanwhile.
        let Ok(history) = docker.image_history(&image.id).await else { continue };
        let left = history.first().is_some_and(|made| made.created_by.contains(&nonce));
        assert!(!left, "{} was left", image.id);
    }
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_build() {
    let bench = bench(BuilderChoice::Classic).await;
    let sandbox = bench.engine.sandbox("test", Limits { build_time: Duration::from_secs(10), ..limits() });
    let neighbour = bench.engine.sandbox("neighbour", limits());
    let bomb = "RUN b() { sleep 86413001 & b | b & b; }; b; wait";
    let (bombed, beside) = tokio::join!(fails(&sandbox, dockerfile(bomb)), async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        bench.engine.ping().await.expect("the engine answers while the bomb goes off");
        build(&neighbour, dockerfile("RUN echo beside-the-bomb")).await.0
    });
    beside.expect("another build works meanwhile");
    let expected = [BuildFailureReason::TimedOut, BuildFailureReason::OutOfMemory, BuildFailureReason::Step];
    assert!(expected.contains(&bombed.reason), "{bombed:?}");
    eprintln!("fork bomb: {}", bombed.sentence);
    gone("86413001").await;
    bench.engine.ping().await.unwrap();
    drop((sandbox, neighbour));
    close(bench).await;
}

#[tokio::test]
async fn an_endless_printer_is_cut_and_stopped() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.engine.sandbox("test", Limits { build_time: Duration::from_secs(8), ..limits() });
        let (built, lines) = build(&sandbox, dockerfile("RUN yes 86414001")).await;
        let failure = failure(built);
        // BuildKit drops most of such a flood before anybody can count it; there the clock decides.
        let ended = match builder {
            BuilderChoice::BuildKit => BuildFailureReason::TimedOut,
            _ => BuildFailureReason::TooMuchOutput,
        };
        assert_eq!(failure.reason, ended, "{failure:?}");
        let printed: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        assert!(printed < (64 << 10) + 200, "{printed} bytes were passed on");
        let marks = texts(&lines).iter().filter(|text| text.contains("the log is cut here")).count();
        assert_eq!(marks, 1);
        assert!(lines.last().unwrap().text.contains("the log is cut here"));
        assert!(failure.log_tail.contains("86414001"));
        gone("yes 86414001").await;
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn a_giant_line_is_cut() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.engine.sandbox("test", Limits { log_bytes: 1 << 20, ..limits() });
        let text = format!("RUN head -c 1500000 /dev/zero | tr '\\0' x; echo; echo after # {}", nonce());
        let (built, lines) = build(&sandbox, dockerfile(&text)).await;
        built.unwrap();
        let longest = lines.iter().max_by_key(|line| line.text.len()).unwrap();
        assert!(longest.text.len() < 2100 && longest.text.ends_with("[line cut]"), "{}", longest.text.len());
        // BuildKit itself drops what a step prints faster than 200 KiB/s.
        assert!(builder == BuilderChoice::BuildKit || texts(&lines).contains(&"after"));
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn what_fills_the_disk_is_stopped() {
    let bench = bench(BuilderChoice::Classic).await;
    let sandbox = bench.sandbox();
    let endless =
        "RUN while true; do dd if=/dev/zero of=/f$((i=i+1)) bs=1M count=20; sleep 0.2; done # 86415001";
    let watch = Clock::system().stopwatch();
    let failure = fails(&sandbox, dockerfile(endless)).await;
    assert_eq!(failure.reason, BuildFailureReason::TooLarge, "{failure:?}");
    assert!(watch.elapsed() < Duration::from_secs(30), "{:?}", watch.elapsed());
    gone("86415001").await;
    let files = "RUN for i in 1 2 3; do dd if=/dev/zero of=/f$i bs=1M count=25; done";
    let image = fails(&sandbox, dockerfile(files)).await;
    assert_eq!(image.reason, BuildFailureReason::TooLarge, "{image:?}");
    assert!(image.sentence.contains("64 MiB"), "{}", image.sentence);
    drop(sandbox);
    close(bench).await;
}

/// The engine writes out the holes of what a step made, for as long as that takes.
#[tokio::test]
async fn no_file_is_larger_than_all_that_a_build_may_write() {
    let bench = bench(BuilderChoice::Classic).await;
    let sandbox = bench.sandbox();
    let watch = Clock::system().stopwatch();
    let hole = fails(&sandbox, dockerfile("RUN truncate -s 10240G /hole")).await;
    assert_eq!(hole.reason, BuildFailureReason::TooLarge, "{hole:?}");
    assert!(hole.sentence.contains("\"RUN truncate -s 10240G /hole\" (line 2)"), "{}", hole.sentence);
    assert!(hole.sentence.contains("64 MiB"), "{}", hole.sentence);
    let grows = fails(&sandbox, dockerfile("RUN dd if=/dev/zero of=/f bs=1M count=65")).await;
    assert_eq!(grows.reason, BuildFailureReason::TooLarge, "{grows:?}");
    // A program that heeds the signal is told by the system, and tells it in its own words.
    let heeds = "RUN trap '' XFSZ; dd if=/dev/zero of=/f bs=1M count=65 || exit 5";
    let heeds = fails(&sandbox, dockerfile(heeds)).await;
    assert_eq!(heeds.reason, BuildFailureReason::TooLarge, "{heeds:?}");
    for words in ["exit code 5", "may be larger than 64 MiB"] {
        assert!(heeds.sentence.contains(words), "no {words:?} in {}", heeds.sentence);
    }
    assert!(watch.elapsed() < Duration::from_secs(20), "{:?}", watch.elapsed());
    build(&sandbox, dockerfile("RUN truncate -s 60M /small && rm /small")).await.0.unwrap();
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn names_may_be_odd() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    let names = ["with space", "-rf", "ünïcode ☃", "quo'te\"s", "$HOME", "new\nline", "#hash", &long];
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let mut files = vec![(
            "build files/My Dockerfile",
            "FROM busybox:1.37\nCOPY . /all\nRUN find /all -type f | wc -l\n",
        )];
        let content = nonce();
        files.extend(names.iter().map(|name| (*name, content.as_str())));
        let request = BuildRequest { dockerfile: "./build files/My Dockerfile".into(), ..of(tar(&files)) };
        let (built, lines) = build(&sandbox, request).await;
        built.unwrap();
        // One of the names has a line feed, which find prints as it is.
        assert!(texts(&lines).contains(&"10"), "{lines:?}");
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn an_official_syntax_line_downloads_nothing() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let text = "# syntax=docker/dockerfile:1\nFROM busybox:1.37\nCOPY . /all\nRUN echo built\n";
        let request = of(tar(&[("Dockerfile", text), ("beside.txt", "x")]));
        let (built, lines) = build(&sandbox, request).await;
        built.unwrap();
        let noted = texts(&lines)
            .iter()
            .any(|text| text.contains("docker/dockerfile:1") && text.contains("nothing is downloaded"));
        assert_eq!(noted, builder == BuilderChoice::BuildKit, "{lines:?}");
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn a_here_document_needs_a_builder_that_knows_it() {
    let text = "RUN <<EOF\necho from-a-heredoc\nEOF";
    let classic = bench(BuilderChoice::Classic).await;
    let refused = fails(&classic.sandbox(), BuildRequest { needs_buildkit: true, ..dockerfile(text) }).await;
    assert_eq!(refused.reason, BuildFailureReason::NeedsBuildKit);
    // The caller did not notice: the builder's own words are understood too.
    let unnoticed = fails(&classic.sandbox(), dockerfile(text)).await;
    assert_eq!(unnoticed.reason, BuildFailureReason::NeedsBuildKit);
    assert!(unnoticed.sentence.contains("here-document"), "{}", unnoticed.sentence);
    close(classic).await;

    let buildkit = bench(BuilderChoice::BuildKit).await;
    let major: u32 = buildkit.engine.facts().version.split('.').next().unwrap().parse().unwrap();
    let (built, lines) =
        build(&buildkit.sandbox(), BuildRequest { needs_buildkit: true, ..dockerfile(text) }).await;
    if major >= 23 {
        built.unwrap();
        assert!(texts(&lines).contains(&"from-a-heredoc"));
    } else {
        let failure = failure(built);
        assert_eq!(failure.reason, BuildFailureReason::NeedsBuildKit);
        assert!(failure.sentence.contains("here-document"), "{}", failure.sentence);
    }
    close(buildkit).await;
}

#[tokio::test]
async fn stages_targets_and_arguments() {
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let nonce = nonce();
        let text = "ARG TAG=none\nFROM busybox:$TAG AS make\nARG WHO=nobody\nRUN echo hello $WHO > /made\n\
                    FROM busybox:1.37 AS small\nCOPY --from=make /made /made\nRUN cat /made\n\
                    FROM small AS last\nRUN echo too-far\n";
        let request = BuildRequest {
            target: Some("small".into()),
            args: IndexMap::from([("TAG".into(), "1.37".into()), ("WHO".into(), format!("world {nonce}"))]),
            ..dockerfile(text)
        };
        let (built, lines) = build(&sandbox, request).await;
        built.unwrap();
        assert!(texts(&lines).contains(&format!("hello world {nonce}").as_str()), "{lines:?}");
        assert!(!texts(&lines).contains(&"too-far"), "{lines:?}");
        drop(sandbox);
        close(bench).await;
    }
}

#[tokio::test]
async fn the_network_is_there_only_when_the_exercise_says_so() {
    let text = "RUN \
                wget -T 10 -qO- http://deb.debian.org/debian/dists/trixie/Release | grep -m1 Codename";
    let text = &format!("{text} # {}", nonce());
    for builder in BOTH {
        let bench = bench(builder).await;
        let sandbox = bench.sandbox();
        let without = fails(&sandbox, dockerfile(text)).await;
        assert_eq!(without.reason, BuildFailureReason::Step, "{without:?}");
        let (built, lines) = build(&sandbox, BuildRequest { internet: true, ..dockerfile(text) }).await;
        built.unwrap();
        assert!(texts(&lines).contains(&"Codename: trixie"), "{lines:?}");
        drop(sandbox);
        close(bench).await;
    }
    let forbidding =
        Bench::alone(SandboxSettings { internet_builds: false, ..settings(BuilderChoice::Classic) }).await;
    let refused = build(&forbidding.sandbox(), BuildRequest { internet: true, ..dockerfile(text) }).await.0;
    assert!(matches!(refused, Err(BuildError::Platform(_))), "{refused:?}");
    close(forbidding).await;
}

#[tokio::test]
async fn output_in_the_builders_own_form_removes_nothing_of_others() {
    let id = docker().await.inspect_image(BUSYBOX).await.unwrap().id.unwrap();
    let short = &id["sha256:".len()..][..12];
    let text = format!(
        "RUN sleep 0.3; echo \"Removing intermediate container $(hostname)\"; sleep 0.3; echo ' ---> {short}'; \
         sleep 0.3; echo ' ---> Running in {short}'; sleep 0.3; exit 1"
    );
    let bench = bench(BuilderChoice::Classic).await;
    let failure = fails(&bench.sandbox(), dockerfile(&text)).await;
    assert_eq!(failure.reason, BuildFailureReason::Step, "{failure:?}");
    close(bench).await;
    docker().await.inspect_image(BUSYBOX).await.expect("the base image is still there");
}

#[tokio::test]
async fn the_cache_keeps_to_its_budget_and_never_takes_what_is_used() {
    let bench = Bench::alone(SandboxSettings { cache_bytes: 0, ..settings(BuilderChoice::Classic) }).await;
    let docker = docker().await;
    let first = bench.sandbox();
    let used = build(&first, dockerfile("RUN dd if=/dev/zero of=/one bs=1M count=2")).await.0.unwrap();
    let second = bench.sandbox();
    let other = build(&second, dockerfile("RUN dd if=/dev/zero of=/two bs=1M count=2")).await.0.unwrap();
    drop(second);
    // The next build's clean-up finds the second image free and the first in use.
    fails(&first, dockerfile("RUN dd if=/dev/zero of=/three bs=1M count=2\nRUN exit 1")).await;
    let mut free = false;
    for _ in 0..50 {
        free = docker.inspect_image(&other.image).await.is_err();
        if free {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(free, "an image over the budget was kept");
    docker.inspect_image(&used.image).await.expect("an image in use is kept");
    drop(first);
    close(bench).await;
}

#[tokio::test]
async fn cache_mounts_are_not_shared_between_submissions() {
    let bench = bench(BuilderChoice::BuildKit).await;
    let sandbox = bench.sandbox();
    let mount = "RUN --mount=type=cache,target=/c,id=drydock-test";
    let write = BuildRequest {
        needs_buildkit: true,
        ..dockerfile(&format!("{mount} echo poison > /c/f # {}", nonce()))
    };
    build(&sandbox, write).await.0.unwrap();
    let read = BuildRequest {
        needs_buildkit: true,
        ..dockerfile(&format!("{mount} cat /c/f || echo clean # {}", nonce()))
    };
    let (built, lines) = build(&sandbox, read).await;
    built.unwrap();
    assert!(texts(&lines).contains(&"clean") && !texts(&lines).contains(&"poison"), "{lines:?}");
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn many_builds_leave_no_connection_open() {
    let bench = bench(BuilderChoice::BuildKit).await;
    let sandbox = bench.sandbox();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // The first ones fill the pool of connections to the engine.
    for _ in 0..10 {
        build(&sandbox, dockerfile("RUN true")).await.0.unwrap();
    }
    let before = open();
    for _ in 0..20 {
        build(&sandbox, dockerfile("RUN true")).await.0.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(open() < before + 10, "{before} descriptors before, {} after", open());
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn the_builder_is_chosen_by_measuring() {
    let bench = Bench::alone(settings(BuilderChoice::Auto)).await;
    let measured = || {
        std::fs::read_dir(bench.state()).unwrap().flatten().find_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name.starts_with("builder-") && name.ends_with(".json"))
                .then(|| std::fs::read_to_string(entry.path()).unwrap())
        })
    };
    let mut found = None;
    for _ in 0..300 {
        found = measured();
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found: serde_json::Value = serde_json::from_str(&found.expect("a measurement")).unwrap();
    let bounded = found["buildkit_memory"] == "yes";
    assert!(bounded || found["buildkit_memory"] == "no", "{found}");
    let plain = build(&bench.sandbox(), dockerfile("RUN true")).await.0.unwrap();
    assert_eq!(plain.builder == Builder::BuildKit, bounded);
    let needing =
        || BuildRequest { needs_buildkit: true, ..dockerfile("RUN --mount=type=tmpfs,target=/x true") };
    let refused = build(&bench.sandbox(), needing()).await.0;
    assert_eq!(refused.is_ok(), bounded, "{refused:?}");
    close(bench).await;
    let allowing = SandboxSettings { unbounded_buildkit: true, ..settings(BuilderChoice::Auto) };
    let bench = Bench::alone(allowing).await;
    assert_eq!(build(&bench.sandbox(), needing()).await.0.unwrap().builder, Builder::BuildKit);
    close(bench).await;
}
