//! Ignore files as the docker CLI of this machine and its engine understand them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use drydock::submissions::dockerignore::Dockerignore;

use crate::nonce;

const PATHS: &[&str] = &[
    "!a",
    "#a",
    ".dockerignore",
    ".env",
    ".git/HEAD",
    ".git/objects/aa/x",
    "Dockerfile",
    "README.md",
    "[a]",
    "a",
    "a.log",
    "a.md",
    "ab",
    "abc/d",
    "app/node_modules/x",
    "axb",
    "b.pyc",
    "b.pyo",
    "docs/deep/keep.md",
    "docs/keep.md",
    "docs/other.md",
    "foo",
    "logs/a.log",
    "node_modules/a/b.js",
    "src/lib/keep.md",
    "src/main.rs",
    "temp1",
    "tempa/x",
    "x/y/z",
    "x/w",
    "xfoo",
    "^]",
    "v1",
    "vd",
];

/// Ignore files that the classic builder and `BuildKit` take the same way.
const FILES: &[&str] = &[
    "",
    "*",
    "**",
    "*/*",
    "node_modules\n.git\n.env",
    "**/node_modules\n*.log",
    "/a\n//x//y/\n./docs/../foo",
    "../a\n/../ab\n.\n/",
    "*.md\n!README.md",
    "!README.md\n*.md",
    "*\n!src\nsrc/lib\n!src/lib/keep.md",
    "docs\n!docs/deep",
    "docs/**\n!docs/*.md",
    "x/y\n!x",
    "a**\n**foo",
    "a**b\n**/a/**",
    "temp?\n???",
    "b.py[co]\n[a]",
    "[^a-w]*\n[*]",
    "\\#a\n\\!a\n a.log \n # b",
    "#a\n*\n!!a\n/!foo",
    "\u{feff}a\r\n*.log\r\n",
    "v\\d\na?b",
    "Dockerfile\n.dockerignore",
    "*\n!Dockerfile",
];

/// The classic builder does not look into an ignored folder for the sake of a pattern that may fit
/// anywhere; `BuildKit` does, and so do we.
const DEEPER_THAN_CLASSIC: &[(&str, &[&str])] =
    &[("docs\n!**/keep.md", &["docs/deep/keep.md", "docs/keep.md"]), ("*\n!**/*.rs", &["src/main.rs"])];

/// Files that keep a build from starting.
const REFUSED: &[&str] = &["[a", "a\\", "!", "[a-]", "b\n!/"];

fn build(ignore: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    for path in PATHS {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder above")).expect("folders");
        std::fs::write(file, "").expect("a file");
    }
    let mark = format!("FROM busybox:1.37\nCOPY . /{0}\nRUN find /{0} ! -type d\n", nonce());
    std::fs::write(folder.path().join("Dockerfile"), mark).expect("a file");
    std::fs::write(folder.path().join(".dockerignore"), ignore).expect("a file");
    docker(folder.path(), ignore)
}

fn docker(folder: &Path, name: &str) -> Output {
    let image = folder.join("image");
    let mut build = Command::new("docker");
    build.args(["build", "--force-rm", "--network=none", "--iidfile"]).arg(&image).arg(folder);
    let output = build.env("DOCKER_BUILDKIT", "0").output().expect("the docker CLI");
    if let Ok(image) = std::fs::read_to_string(&image) {
        let removed = Command::new("docker").args(["image", "rm", "-f", &image]).output();
        assert!(removed.is_ok_and(|output| output.status.success()), "{name:?}: {image} stays");
    }
    output
}

/// The paths that `COPY . .` got.
fn copied(output: &Output) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let paths = text.lines().filter(|line| line.starts_with('/'));
    paths.filter_map(|path| path.splitn(3, '/').nth(2)).map(str::to_owned).collect()
}

fn let_in(ignore: &str) -> BTreeSet<String> {
    let ignore = Dockerignore::read(ignore.as_bytes());
    assert_eq!(ignore.mistake(), None);
    PATHS.iter().filter(|path| !ignore.ignores(path)).map(|path| (*path).to_owned()).collect()
}

#[test]
fn what_is_copied_is_what_docker_copies() {
    // An empty context cannot be copied from, which is not what is asked here.
    let asked: Vec<&str> = FILES.iter().copied().filter(|file| !let_in(file).is_empty()).collect();
    assert!(asked.len() > 20);
    let compare = |file: &&str| {
        let (docker, ours) = (copied(&build(file)), let_in(file));
        let differ: Vec<_> = docker.symmetric_difference(&ours).collect();
        (!differ.is_empty()).then(|| format!("{file:?}: {differ:?}"))
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts =
            asked.chunks(6).map(|part| scope.spawn(|| part.iter().filter_map(compare).collect::<Vec<_>>()));
        parts.collect::<Vec<_>>().into_iter().flat_map(|part| part.join().expect("compared")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_classic_builder_does_not_find_is_known() {
    for (file, missing) in DEEPER_THAN_CLASSIC {
        let (docker, ours) = (copied(&build(file)), let_in(file));
        let differ: Vec<_> = ours.symmetric_difference(&docker).map(String::as_str).collect();
        assert_eq!(&differ, missing, "{file:?}");
    }
}

#[test]
fn what_docker_refuses_is_a_mistake() {
    for file in REFUSED {
        assert!(!build(file).status.success(), "{file:?}");
        assert!(Dockerignore::read(file.as_bytes()).mistake().is_some(), "{file:?}");
    }
}
