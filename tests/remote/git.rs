//! Repositories made by git, and git's own server.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::Response;
use tempfile::TempDir;

use super::server::{Asked, Server, response};

/// A folder with a repository `work` in it.
pub struct Project {
    folder: TempDir,
}

impl Project {
    pub fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.git(&["init", "--quiet", "--initial-branch=main", "."]);
        project
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn git(&self, words: &[&str]) -> String {
        let out = clean("git").current_dir(self.path()).args(words).output().unwrap();
        assert!(out.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything; its name.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Serves the folder's repository at `/project.git`. With a secret, only who has it gets anything.
    pub async fn serve(&self, secret: Option<&'static str>) -> Server {
        self.serve_as(secret, true).await
    }

    /// `modern` decides about version 2 of the protocol.
    pub async fn serve_as(&self, secret: Option<&'static str>, modern: bool) -> Server {
        let root = self.path().to_owned();
        Server::start(move |asked| {
            let root = root.clone();
            async move {
                if secret.is_some_and(|secret| asked.header("authorization") != secret) {
                    return response(401, &[("www-authenticate", "Basic realm=\"git\"")], "who are you?");
                }
                tokio::task::spawn_blocking(move || backend(&root, &asked, modern)).await.unwrap()
            }
        })
        .await
    }
}

/// A program that sees no settings of this machine.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_AUTHOR_DATE", "2026-03-04T05:06:07Z")
        .env("GIT_COMMITTER_NAME", "Bob")
        .env("GIT_COMMITTER_EMAIL", "bob@example.org")
        .env("GIT_COMMITTER_DATE", "2026-03-05T00:00:00Z");
    command
}

/// `git http-backend` behind the common gateway interface (RFC 3875).
fn backend(root: &Path, asked: &Asked, modern: bool) -> Response<Body> {
    let path = asked.path.strip_prefix("/project.git").unwrap_or("/nowhere");
    let mut command = clean("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/.git{path}"))
        .env("QUERY_STRING", &asked.query)
        .env("REQUEST_METHOD", asked.method.as_str())
        .env("CONTENT_TYPE", asked.header("content-type"))
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", asked.header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if modern {
        command.env("GIT_PROTOCOL", asked.header("git-protocol"));
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = asked.body.clone();
    // Its answer may begin before it has read everything.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let out = child.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    let fields: Vec<(&str, &str)> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = fields.iter().find(|(name, _)| *name == "Status");
    let status = status.map_or(200, |(_, value)| value[..3].parse().unwrap());
    let fields: Vec<(&str, &str)> = fields.into_iter().filter(|(name, _)| *name != "Status").collect();
    response(status, &fields, out[end + 4..].to_vec())
}
