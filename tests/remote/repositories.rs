//! Repositories from a real git server.

use std::time::Duration;

use drydock::submissions::remote::{
    Credentials, FetchError, Fetched, GitAddress, Origin, Reach, Remote, Revision,
};
use drydock::submissions::repository::{Bounds, Repository};
use drydock::submissions::{ContentLimits, Entry};

use super::git::Project;
use super::server::{Server, remote, response};

pub const LIMITS: ContentLimits =
    ContentLimits { archive_bytes: 8 << 20, unpacked_bytes: 32 << 20, entries: 2_000 };
pub const WITHIN: Duration = Duration::from_secs(30);

pub async fn fetch(server: &Server, at: &str, history: bool) -> Result<Fetched, FetchError> {
    let address: GitAddress = server.url("/project.git").parse().unwrap();
    let revision = Revision::read(at).unwrap();
    let remote = remote();
    // In a task of its own, as a worker does it.
    let fetching =
        async move { remote.repository(&address, &revision, None, history, &LIMITS, WITHIN).await };
    tokio::spawn(fetching).await.unwrap()
}

pub fn refused<T: std::fmt::Debug>(result: Result<T, FetchError>) -> String {
    match result {
        Err(FetchError::Refused(sentence)) => {
            assert!(sentence.ends_with('.') && !sentence.ends_with(".."), "{sentence}");
            sentence
        }
        other => panic!("{other:?}"),
    }
}

fn text(fetched: &Fetched, path: &str) -> String {
    let file = fetched.content.file(path).unwrap_or_else(|| panic!("{path} is missing"));
    String::from_utf8(file.to_vec()).unwrap()
}

/// A project with all that a repository may have.
fn project() -> Project {
    let project = Project::new();
    project.write("Dockerfile", "FROM busybox\n");
    project.write("src/run.sh", "#!/bin/sh\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(project.path().join("src/run.sh"), executable).unwrap();
    std::os::unix::fs::symlink("../Dockerfile", project.path().join("src/link")).unwrap();
    project.write(
        "big.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n",
    );
    project.git(&["add", "--all"]);
    let submodule = "160000,1111111111111111111111111111111111111111,libs/other";
    project.git(&["update-index", "--add", "--cacheinfo", submodule]);
    project.git(&["commit", "--quiet", "--message", "First: <b>all</b> of it\n\nAnd more."]);
    project
}

#[tokio::test]
async fn the_files_of_the_default_branch_are_fetched() {
    let project = project();
    let hash = project.git(&["rev-parse", "HEAD"]);
    let server = project.serve(None).await;
    let fetched = fetch(&server, "", false).await.unwrap();
    assert_eq!(fetched.commit.hash, hash);
    assert_eq!(fetched.commit.origin, Some(Origin::Branch("main".into())));
    assert_eq!(fetched.commit.subject, "First: <b>all</b> of it");
    assert_eq!(fetched.commit.authored.unwrap().to_rfc3339(), "2026-03-04T05:06:07+00:00");
    let paths: Vec<_> =
        fetched.content.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    assert_eq!(paths, ["Dockerfile", "big.bin", "libs", "libs/other", "src", "src/link", "src/run.sh"]);
    assert_eq!(text(&fetched, "src/link"), "FROM busybox\n");
    assert!(matches!(fetched.content.get("src/run.sh"), Some(Entry::File { executable: true, .. })));
    assert!(matches!(fetched.content.get("Dockerfile"), Some(Entry::File { executable: false, .. })));
    assert_eq!(fetched.content.get("libs/other"), Some(&Entry::Directory));
    assert_eq!(fetched.notes.len(), 2);
    assert!(fetched.notes[0].contains("`libs/other`") && fetched.notes[1].contains("`big.bin`"));
    for asked in server.asked() {
        assert!(asked.header("user-agent").starts_with("drydock/"));
        assert_eq!(asked.header("git-protocol"), "version=2");
        assert_eq!(asked.header("accept-encoding"), "");
    }
}

#[tokio::test]
async fn branches_tags_and_commits_are_found_by_their_names() {
    let project = Project::new();
    project.write("file", "one");
    let one = project.commit("one");
    project.git(&["tag", "light"]);
    project.git(&["tag", "-a", "-m", "heavy", "heavy"]);
    project.git(&["tag", "-a", "-m", "on a tag", "heavier", "heavy"]);
    project.write("file", "two");
    let two = project.commit("two");
    project.git(&["switch", "--quiet", "--create", "feature/x"]);
    project.write("file", "three");
    let three = project.commit("three");
    project.git(&["tag", "tree", "HEAD^{tree}"]);
    project.git(&["switch", "--quiet", "main"]);
    let server = project.serve(None).await;
    let branch = |name: &str| Some(Origin::Branch(name.into()));
    let tag = |name: &str| Some(Origin::Tag(name.into()));
    for (at, hash, origin, content) in [
        ("", &two, branch("main"), "two"),
        ("HEAD", &two, branch("main"), "two"),
        ("main", &two, branch("main"), "two"),
        ("feature/x", &three, branch("feature/x"), "three"),
        ("refs/heads/feature/x", &three, branch("feature/x"), "three"),
        ("light", &one, tag("light"), "one"),
        ("heavy", &one, tag("heavy"), "one"),
        ("heavier", &one, tag("heavier"), "one"),
        (&one, &one, None, "one"),
        (&three.to_uppercase(), &three, None, "three"),
    ] {
        for history in [false, true] {
            let fetched = fetch(&server, at, history).await.unwrap_or_else(|why| panic!("{at}: {why}"));
            assert_eq!((&fetched.commit.hash, &fetched.commit.origin), (hash, &origin), "{at}");
            assert_eq!(text(&fetched, "file"), content, "{at}");
        }
    }
    let missing = refused(fetch(&server, "featrue", false).await);
    assert!(missing.contains("`featrue`") && missing.contains("default branch is `main`"), "{missing}");
    assert!(refused(fetch(&server, &one[..10], false).await).contains("40 digits"));
    assert!(refused(fetch(&server, "tree", false).await).contains("no commit"));
    let none = "1234567890123456789012345678901234567890";
    assert!(refused(fetch(&server, none, false).await).contains("no commit `12345678"));
}

#[tokio::test]
async fn a_history_serves_the_checks_and_git_itself() {
    let project = Project::new();
    let mut lines: Vec<String> = (0..3_000).map(|line| format!("line {line} {}", line * 7919)).collect();
    for commit in 0..30 {
        lines[commit * 90] = format!("changed {commit}");
        project.write("table.txt", lines.join("\n"));
        project.write(&format!("part/{commit}.txt"), format!("{commit}"));
        project.commit(&format!("step {commit}"));
    }
    // More names than go into a request that is sent as it is.
    for tag in 0..60 {
        project.git(&["tag", "-a", "-m", "x", &format!("v{tag}"), "HEAD~3"]);
    }
    project.git(&["branch", "side", "HEAD~10"]);
    project.git(&["gc", "--quiet", "--aggressive"]);
    let server = project.serve(None).await;
    let fetched = fetch(&server, "", true).await.unwrap();
    assert!(server.asked().iter().any(|asked| asked.header("content-encoding") == "gzip"));
    assert_eq!(text(&fetched, "table.txt"), lines.join("\n"));

    let read = Repository::open(&fetched.content, Bounds::default()).unwrap();
    assert_eq!(read.current.as_deref(), Some("main"));
    assert_eq!(read.commits(read.tip(None).unwrap()).unwrap().len(), 30);
    assert_eq!(read.branches.keys().collect::<Vec<_>>(), ["main", "side"]);
    assert_eq!(read.tags.len(), 60);
    assert!(read.tags.values().all(|tag| tag.annotated && tag.commit.is_some()));

    // The folder is one that git itself finds in order.
    let copy = Project::new();
    let tar = copy.path().join("content.tar");
    std::fs::write(&tar, fetched.content.tar()).unwrap();
    std::fs::create_dir(copy.path().join("out")).unwrap();
    let out = copy.path().join("out");
    let mut unpacking = std::process::Command::new("tar");
    assert!(unpacking.arg("xf").arg(&tar).arg("-C").arg(&out).status().unwrap().success());
    let out = out.to_str().unwrap();
    copy.git(&["-C", out, "-c", "safe.directory=*", "fsck", "--full", "--strict"]);
    assert_eq!(copy.git(&["-C", out, "-c", "safe.directory=*", "log", "--oneline"]).lines().count(), 30);
    let pack = std::fs::read_dir(format!("{out}/.git/objects/pack")).unwrap();
    let index = pack.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "idx");
    copy.git(&["verify-pack", index.unwrap().to_str().unwrap()]);

    let one = fetch(&server, "", false).await.unwrap();
    assert_eq!(text(&one, "table.txt"), lines.join("\n"));
    assert!(one.content.get(".git").is_none());
}

#[tokio::test]
async fn a_private_repository_wants_credentials_which_nobody_sees() {
    let project = Project::new();
    project.write("file", "secret work");
    project.commit("one");
    // ada:hunter2
    let server = project.serve(Some("Basic YWRhOmh1bnRlcjI=")).await;
    assert!(refused(fetch(&server, "", false).await).contains("wants a user name and token"));
    let written = server.url("/project.git").replace("http://", "http://ada:hunter2@");
    let (address, credentials) = GitAddress::read(&written).unwrap();
    assert_eq!(address.as_str(), server.url("/project.git"));
    let credentials = credentials.unwrap();
    assert!(!format!("{address:?} {credentials:?}").contains("hunter2"));
    let remote = remote();
    let fetched = remote
        .repository(&address, &Revision::Default, Some(&credentials), true, &LIMITS, WITHIN)
        .await
        .unwrap();
    assert_eq!(text(&fetched, "file"), "secret work");
    assert!(!String::from_utf8_lossy(&fetched.content.tar()).contains("hunter2"));
    let wrong = Credentials::new("ada", "wrong-secret");
    let error = remote.repository(&address, &Revision::Default, Some(&wrong), false, &LIMITS, WITHIN).await;
    let error = format!("{error:?}");
    assert!(error.contains("does not open this repository") && !error.contains("wrong-secret"), "{error}");
}

#[tokio::test]
async fn what_is_no_repository_is_told() {
    let empty = Project::new();
    let server = empty.serve(None).await;
    assert!(refused(fetch(&server, "", false).await).contains("no commit on its default branch"));
    let old = Project::new();
    old.write("file", "x");
    old.commit("one");
    let server = old.serve_as(None, false).await;
    assert!(refused(fetch(&server, "", false).await).contains("version 2 of git's protocol"));
    for (status, kind, says) in [
        (200, "text/html", "answers with something else"),
        (404, "text/plain", "has no repository"),
        (403, "text/plain", "wants a user name and token"),
        (418, "text/plain", "status 418"),
    ] {
        let server =
            Server::start(move |_| async move { response(status, &[("content-type", kind)], "<p>") }).await;
        let sentence = refused(fetch(&server, "", false).await);
        assert!(sentence.contains(says), "{sentence}");
    }
    let down = Server::start(|_| async { response(503, &[], "") }).await;
    let error = fetch(&down, "", false).await.unwrap_err();
    assert!(matches!(&error, FetchError::Unreachable(..)) && error.to_string().contains("503"), "{error:?}");
}

#[tokio::test]
async fn more_than_the_limits_is_refused() {
    let project = Project::new();
    let noise: Vec<u8> =
        (0..200_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    project.write("noise", &noise);
    project.commit("one");
    let server = project.serve(None).await;
    let address: GitAddress = server.url("/project.git").parse().unwrap();
    let remote = remote();
    for (limits, says) in [
        (ContentLimits { archive_bytes: 100_000, ..LIMITS }, "larger than"),
        (ContentLimits { unpacked_bytes: 100_000, ..LIMITS }, "larger than"),
        (ContentLimits { entries: 0, ..LIMITS }, "more than 0 files"),
    ] {
        let result = remote.repository(&address, &Revision::Default, None, false, &limits, WITHIN).await;
        let sentence = refused(result);
        assert!(sentence.contains(says), "{sentence}");
    }
}

#[tokio::test]
async fn this_machine_is_out_of_reach_unless_it_is_allowed() {
    let project = Project::new();
    let server = project.serve(None).await;
    let port = server.address.port();
    let remote = Remote::new(Reach::default()).unwrap();
    let mut told = std::collections::BTreeSet::new();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "0.0.0.0", "0"]
    {
        let address: GitAddress = format!("http://{host}:{port}/project.git").parse().unwrap();
        let error = remote.repository(&address, &Revision::Default, None, false, &LIMITS, WITHIN).await;
        let sentence = refused(error);
        assert!(sentence.contains("fetch.allowed_hosts"), "{host}: {sentence}");
        told.insert(sentence.split_once("that may").unwrap().1.to_owned());
    }
    // A name that there is not sounds the same.
    let address: GitAddress = "https://no-such-host.invalid/a/b".parse().unwrap();
    match remote.repository(&address, &Revision::Default, None, false, &LIMITS, WITHIN).await {
        Err(FetchError::Refused(sentence)) => {
            told.insert(sentence.split_once("that may").unwrap().1.to_owned());
        }
        // Without a network there is no resolver.
        other => assert!(matches!(other, Err(FetchError::Unreachable(..))), "{other:?}"),
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(server.asked().is_empty());
}
