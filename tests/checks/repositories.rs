//! `repository`, on repositories that git itself made: loose and packed, with merges, tags and secrets.

use std::fs;
use std::path::Path;
use std::process::Command;

use drydock::checks::{Finding, Surroundings};
use drydock::submissions::repository::{Bounds, Repository, Unreadable};
use drydock::submissions::{Content, ContentLimits};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{failed, kind, look, passed};

/// A folder with a repository.
struct Work(TempDir);

impl Work {
    fn new() -> Self {
        let work = Self(tempfile::tempdir().expect("a folder"));
        work.git(&["init", "-q", "-b", "main"]);
        work
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs git as somebody, at a time that only goes on.
    fn git(&self, arguments: &[&str]) -> String {
        let clock = self.path().join(".git/clock");
        let tick: u64 =
            fs::read_to_string(&clock).ok().and_then(|text| text.parse().ok()).unwrap_or(1_700_000_000);
        let time = format!("{tick} +0000");
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_DATE", &time), ("GIT_COMMITTER_DATE", &time)])
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")])
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&clock, (tick + 60).to_string()).expect("a file");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn write(&self, path: &str, text: &[u8]) {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().expect("a folder above")).expect("folders");
        fs::write(file, text).expect("a file");
    }

    fn commit(&self, path: &str, text: &str, message: &str) -> String {
        self.write(path, text.as_bytes());
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn content(&self) -> Content {
        let limits = ContentLimits { archive_bytes: 1 << 26, unpacked_bytes: 1 << 26, entries: 20_000 };
        Content::from_folder(self.path(), &limits).expect("a good folder")
    }

    async fn look(&self, asks: Value) -> Finding {
        look(&kind("repository", &asks), &self.content(), &[]).await.expect("told")
    }
}

/// A history with a branch, a merge, two kinds of tags and a secret that was deleted.
fn shop() -> Work {
    let work = Work::new();
    // Long enough that git keeps the second as a difference to the first.
    let long: String = (0..2_000).map(|n| format!("line {n} of the app\n")).collect();
    work.commit("src/app.py", &long, "Add the app");
    work.git(&["tag", "light"]);
    work.commit(".env", "TOKEN=1\n", "Configure it");
    work.git(&["switch", "-q", "-c", "feature"]);
    work.commit("Dockerfile", "FROM python\n", "Package the app\n\nWith its dependencies.");
    work.git(&["switch", "-q", "main"]);
    fs::remove_file(work.path().join(".env")).expect("it was there");
    work.commit("src/app.py", &format!("{long}the end\n"), "Remove what is secret");
    work.git(&["merge", "-q", "--no-ff", "-m", "Merge feature", "feature"]);
    work.git(&["tag", "-a", "v1.0.0", "-m", "The first"]);
    work.commit("Dockerfile", "FROM python:3.13\n", "Pin the base");
    work
}

#[tokio::test]
async fn each_part_passes_and_fails_loose_and_packed() {
    let work = shop();
    for packed in [false, true] {
        if packed {
            work.git(&["gc", "-q", "--aggressive", "--prune=now"]);
            assert!(work.content().file(".git/packed-refs").is_some());
        }
        for (good, bad, observed) in [
            (
                json!({"branch": "feature"}),
                json!({"branch": "develop"}),
                "there is only `feature` and `main`",
            ),
            (json!({"tag": "light"}), json!({"tag": "v2"}), "the tags are `light` and `v1.0.0`"),
            (
                json!({"tag": {"matches": "^v"}, "annotated": true}),
                json!({"tag": "light", "annotated": true}),
                "`light` is a lightweight tag",
            ),
            (
                json!({"tag": "light", "annotated": false}),
                json!({"tag": "v1.0.0", "annotated": false}),
                "`v1.0.0` is an annotated tag",
            ),
            (
                json!({"tag": "light", "branch": "feature"}),
                json!({"tag": "v1.0.0", "branch": "feature"}),
                "which does not lead here",
            ),
            (json!({"commits": 6}), json!({"commits": {"at_least": 7}}), "6 commits"),
            (
                json!({"commits": 3, "branch": "feature"}),
                json!({"commits": {"at_most": 2}, "branch": "feature"}),
                "3 commits",
            ),
            (
                json!({"history": [{"path": "src/app.py", "commits": 2}, {"path": "src/", "commits": 2}]}),
                json!({"history": [{"path": "src/app.py", "commits": {"at_least": 3}}]}),
                "2 commits changed `src/app.py`, last",
            ),
            (
                // Made and deleted; the merge changed nothing that its branches had not.
                json!({"history": [{"path": ".env", "commits": 2}, {"path": "Dockerfile", "commits": 2}]}),
                json!({"history": [{"path": "compose.yaml", "commits": 1}]}),
                "no commit changed `compose.yaml`",
            ),
            (
                json!({"message": {"contains": "dependencies"}}),
                json!({"message": "Fix it"}),
                "no commit has such a message",
            ),
            (
                json!({"every_message": {"matches": "^[A-Z]"}}),
                json!({"every_message": {"not": {"contains": "Configure"}}}),
                "`Configure it`",
            ),
            (
                json!({"authors": ["Ada <ada@example.org>"]}),
                json!({"authors": {"lacks": [{"contains": "@example.org"}]}}),
                "`Ada <ada@example.org>`",
            ),
            (json!({"no_large_files": "1MB"}), json!({"no_large_files": "10kB"}), "`src/app.py` of"),
            (
                json!({"no_secret_files": true, "allowed": [".env"]}),
                json!({"no_secret_files": true}),
                "`.env` of 8 bytes in",
            ),
        ] {
            passed(&work.look(good).await);
            let finding = work.look(bad.clone()).await;
            assert!(failed(&finding).observed.contains(observed), "{bad}: {finding:#?}");
        }
    }
}

#[tokio::test]
async fn what_git_says_is_what_is_read() {
    let work = shop();
    work.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    // Newer ones loose beside the pack, and one on no branch.
    work.commit("late.txt", "x", "Late");
    work.git(&["switch", "-q", "--detach"]);
    work.commit("lost.txt", "x", "Detached");
    let content = work.content();
    let git = Repository::open(&content, Bounds::default()).expect("a good one");
    assert_eq!(git.current, None);
    let ids = |commits: Vec<drydock::submissions::repository::Commit>| -> Vec<String> {
        commits.iter().map(|commit| commit.id.to_string()).collect()
    };
    let log = |arguments: &[&str]| -> Vec<String> {
        work.git(&[&["log", "--format=%H", "--date-order"], arguments].concat())
            .lines()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(ids(git.commits(git.tip(None).expect("a tip")).expect("read")), log(&["HEAD"]));
    assert_eq!(ids(git.commits(git.tip(Some("main")).expect("a tip")).expect("read")), log(&["main"]));
    assert_eq!(ids(git.all_commits().expect("read")), log(&["--all", "HEAD"]));
    let commits = git.commits(git.tip(None).expect("a tip")).expect("read");
    for path in ["src/app.py", "src", "Dockerfile", ".env", "late.txt", "nowhere"] {
        let ours: Vec<String> = git
            .changes_of(path, &commits)
            .expect("read")
            .iter()
            .map(|commit| commit.id.to_string())
            .collect();
        assert_eq!(ours, log(&["HEAD", "--full-history", "--no-merges", "--", path]), "{path}");
    }
    // Every file of every commit, with its size.
    let mut ours: Vec<(String, u64)> = git
        .files(&git.all_commits().expect("read"))
        .expect("read")
        .into_iter()
        .map(|file| (file.path, file.bytes.expect("it is there")))
        .collect();
    let mut theirs = Vec::new();
    for commit in log(&["--all", "HEAD"]) {
        let tree = work.git(&["ls-tree", "-r", "-l", &commit]);
        theirs.extend(tree.lines().map(|line| {
            let (facts, path) = line.split_once('\t').expect("a path");
            (path.to_owned(), facts.split_whitespace().last().expect("a size").parse().expect("a number"))
        }));
    }
    theirs.sort();
    theirs.dedup();
    ours.sort();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn a_secret_is_found_wherever_it_was() {
    for (path, secret) in [
        (".env", true),
        ("deploy/.env.production", true),
        (".env.example", false),
        ("keys/id_rsa", true),
        ("keys/id_rsa.pub", false),
        ("tls/server.pem", true),
        ("tls/ca.pem", false),
        ("tls/server.key", true),
        (".aws/credentials", true),
        ("credentials", true),
        ("src/credentials.py", false),
    ] {
        let work = Work::new();
        work.commit("README", "x", "First");
        work.git(&["switch", "-q", "-c", "side"]);
        work.commit(path, "x", "Side");
        work.git(&["switch", "-q", "main"]);
        let finding = work.look(json!({"no_secret_files": true})).await;
        if secret {
            let detail = failed(&finding);
            assert!(detail.observed.starts_with(&format!("`{path}` of 1 byte in ")), "{detail:?}");
            assert!(detail.evidence.iter().any(|proof| proof.title == "Found in commits"), "{detail:?}");
        } else {
            passed(&finding);
        }
        // Thrown away with its branch, it is in no commit that anybody keeps.
        work.git(&["branch", "-q", "-D", "side"]);
        passed(&work.look(json!({"no_secret_files": true})).await);
    }
}

#[tokio::test]
async fn a_clone_and_a_bare_repository_do_as_well() {
    let work = shop();
    let clone = tempfile::tempdir().expect("a folder");
    let to = clone.path().join("clone");
    work.git(&["clone", "-q", &work.path().display().to_string(), &to.display().to_string()]);
    let bare = clone.path().join("bare.git");
    work.git(&["clone", "-q", "--bare", &work.path().display().to_string(), &bare.display().to_string()]);
    let limits = ContentLimits { archive_bytes: 1 << 26, unpacked_bytes: 1 << 26, entries: 20_000 };
    for folder in [to, bare] {
        let content = Content::from_folder(&folder, &limits).expect("a good folder");
        let asks = kind("repository", &json!({"branch": "feature", "commits": 3, "tag": "light"}));
        passed(&look(&asks, &content, &[]).await.expect("told"));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let work = shop();
    work.git(&["gc", "-q"]);
    let shallow = tempfile::tempdir().expect("a folder");
    let to = shallow.path().join("clone");
    let from = format!("file://{}", work.path().display());
    work.git(&["clone", "-q", "--depth=1", &from, &to.display().to_string()]);
    let limits = ContentLimits { archive_bytes: 1 << 26, unpacked_bytes: 1 << 26, entries: 20_000 };
    let open = |content: &Content| Repository::open(content, Bounds::default()).err();
    assert!(
        matches!(open(&Content::from_folder(&to, &limits).unwrap()), Some(Unreadable::Format(why)) if why.contains("shallow"))
    );

    let empty = Work::new();
    let finding = empty.look(json!({"commits": {"at_least": 2}})).await;
    assert_eq!(failed(&finding).observed, "0 commits");
    fs::remove_dir_all(empty.path().join(".git")).expect("it was there");
    empty.write("x", b"x");
    let finding = empty.look(json!({"commits": {"at_least": 2}})).await;
    assert!(failed(&finding).observed.starts_with("there is no `.git` folder"), "{finding:?}");
    empty.write(".git", b"gitdir: /elsewhere\n");
    assert_eq!(open(&empty.content()), Some(Unreadable::Elsewhere));
}

/// A repository with one file of `.git` changed.
fn spoilt(work: &Work, path: &str, spoil: impl Fn(&mut Vec<u8>)) -> Content {
    let file = work.path().join(path);
    let before = fs::read(&file).expect("a file");
    let mut bytes = before.clone();
    spoil(&mut bytes);
    let mode = fs::metadata(&file).expect("a file").permissions();
    fs::remove_file(&file).expect("a file");
    fs::write(&file, &bytes).expect("a file");
    let content = work.content();
    fs::write(&file, before).expect("a file");
    fs::set_permissions(&file, mode).expect("a file");
    content
}

/// Reads everything that a check can ask for.
fn read_all(content: &Content, bounds: Bounds) -> Result<usize, Unreadable> {
    let git = Repository::open(content, bounds)?;
    let commits = git.all_commits()?;
    let changes = git.changes_of("src/app.py", &commits)?.len();
    Ok(commits.len() + git.files(&commits)?.len() + changes)
}

#[test]
fn damage_is_told_and_never_more() {
    let work = shop();
    work.git(&["gc", "-q"]);
    let mut paths: Vec<String> = work
        .content()
        .entries()
        .keys()
        .filter_map(|path| String::from_utf8(path.clone()).ok())
        .filter(|path| path.starts_with(".git/objects/pack/") && !path.ends_with(".rev"))
        .collect();
    paths.retain(|path| path.ends_with(".pack") || path.ends_with(".idx"));
    assert_eq!(paths.len(), 2);
    assert!(read_all(&work.content(), Bounds::default()).is_ok());
    let mut damaged = 0;
    for path in &paths {
        let size = fs::metadata(work.path().join(path)).expect("a file").len();
        let size = usize::try_from(size).expect("small");
        for at in (0..size).step_by((size / 60).max(1)) {
            let flipped = spoilt(&work, path, |bytes| bytes[at] ^= 0x55);
            damaged += usize::from(read_all(&flipped, Bounds::default()).is_err());
        }
        for end in [0, 3, 12, 40, 1_000, 1_100, size / 2, size - 21] {
            let cut = spoilt(&work, path, |bytes| bytes.truncate(end.min(size)));
            let _ = read_all(&cut, Bounds::default());
        }
    }
    // A sum at an end or the data of a file may be wrong without anybody asking.
    assert!(damaged > 20, "{damaged}");
    for (path, text) in
        [(".git/HEAD", "x"), (".git/packed-refs", "x y\n"), (".git/HEAD", "ref: refs/heads/nowhere\n")]
    {
        let _ = read_all(&spoilt(&work, path, |bytes| *bytes = text.into()), Bounds::default());
    }
}

/// One commit with so many files, as git's own importer makes it.
fn crowd(files: usize) -> Work {
    let work = Work::new();
    let mut stream = String::from(
        "blob\nmark :1\ndata 1\nx\ncommit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 5\nMany\n\n",
    );
    for file in 0..files {
        stream.push_str(&format!("M 100644 :1 folder{}/file{file}\n", file % 100));
    }
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(work.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("git runs");
    std::io::Write::write_all(&mut import.stdin.take().expect("a pipe"), stream.as_bytes()).expect("taken");
    assert!(import.wait().expect("it ends").success());
    work
}

#[tokio::test]
async fn a_hundred_thousand_files_in_a_commit_are_looked_at() {
    let work = crowd(100_000);
    let watch = drydock::clock::Clock::system().stopwatch();
    let finding = work.look(json!({"commits": 1, "no_secret_files": true, "no_large_files": "1kB"})).await;
    passed(&finding);
    assert!(watch.elapsed() < std::time::Duration::from_secs(30), "{:?}", watch.elapsed());
}

#[test]
fn bounds_end_the_reading() {
    let work = shop();
    let content = work.content();
    for bounds in [
        Bounds { unpacked_bytes: 500, ..Bounds::default() },
        Bounds { object_bytes: 10, ..Bounds::default() },
        Bounds { commits: 3, ..Bounds::default() },
        Bounds { entries: 3, ..Bounds::default() },
    ] {
        assert!(matches!(read_all(&content, bounds), Err(Unreadable::TooLarge(_))), "{bounds:?}");
    }
}

#[test]
fn definitions_that_make_no_sense() {
    let around = Surroundings { takes_files: true, ..Surroundings::default() };
    for (fields, said) in [
        (json!({}), "asks nothing"),
        (json!({"branch": ""}), "`branch` is empty"),
        (json!({"annotated": true, "branch": "main"}), "none is asked for"),
        (json!({"tag": {"contains": ""}}), "can never fail"),
        (json!({"commits": {"at_least": 1}}), "can never fail"),
        (json!({"commits": 0}), "can never be 0"),
        (json!({"history": [{"path": "/a", "commits": 1}]}), "has to lie inside"),
        (json!({"history": [{"path": "a", "commits": {"at_least": 0}}]}), "can never fail"),
        (json!({"every_message": {"matches": ".*"}}), "can never fail"),
        (json!({"authors": []}), "can never fail"),
        (json!({"commits": 2, "allowed": [".env"]}), "is not asked"),
        (json!({"no_secret_files": true, "allowed": ["README"]}), "no name of a secret anyway"),
    ] {
        let mistakes = kind("repository", &fields).mistakes(&around);
        assert!(mistakes.len() == 1 && mistakes[0].contains(said), "{fields}: {mistakes:?}");
    }
}
