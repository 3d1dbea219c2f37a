//! Checks of images and of running containers against the real engine: a good and a bad case for
//! each part, the phrases that students read, and that what they are told to type really works.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use common::{BUSYBOX, Bench, script, silent, start};
use drydock::checks::{Detail, Finding, Kind, Scene};
use drydock::clock::Clock;
use drydock::sandbox::{BuildRequest, Image, Ready, Sandbox, ServiceSpec, Stack};
use drydock::submissions::{Answers, Content, ContentLimits};
use indexmap::IndexMap;
use serde_json::{Value, json};

/// What a check may look at here.
struct Stage<'a> {
    sandbox: &'a Sandbox,
    image: Option<&'a Image>,
    stack: Option<&'a Stack>,
}

impl Stage<'_> {
    async fn look(&self, name: &str, fields: &Value) -> Finding {
        let kind = Kind::read(name, &mut serde_json::Deserializer::from_str(&fields.to_string()))
            .unwrap_or_else(|error| panic!("{name} {fields}: {error}"));
        let scene = Scene {
            id: "it",
            content: &Content::empty(),
            answers: &Answers::default(),
            dockerfile: Some("Dockerfile"),
            build_args: &IndexMap::new(),
            target: None,
            image: self.image,
            stack: self.stack,
            sandbox: Some(self.sandbox),
            variables: &BTreeMap::from([("random".to_owned(), "r4nd0m".to_owned())]),
            clock: &Clock::system(),
        };
        let found = tokio::time::timeout(kind.deadline(), kind.look(&scene)).await;
        found
            .unwrap_or_else(|_| panic!("{name} {fields} took too long"))
            .unwrap_or_else(|fault| panic!("{name} {fields}: {fault}"))
    }

    async fn passes(&self, name: &str, fields: Value) -> Detail {
        match self.look(name, &fields).await {
            Finding::Passed(detail) => detail,
            other => panic!("{name} {fields} should pass: {other:#?}"),
        }
    }

    /// Fails, and the observation has this in it.
    async fn fails(&self, name: &str, fields: Value, observed: &str) -> Detail {
        match self.look(name, &fields).await {
            Finding::Failed(detail) => {
                assert!(detail.observed.contains(observed), "{name} {fields}: {detail:#?}");
                assert!(!detail.expected.is_empty(), "{name} {fields}: {detail:#?}");
                detail
            }
            other => panic!("{name} {fields} should fail: {other:#?}"),
        }
    }
}

#[track_caller]
fn proof<'a>(detail: &'a Detail, title: &str) -> &'a str {
    let found = detail.evidence.iter().find(|evidence| evidence.title == title);
    &found.unwrap_or_else(|| panic!("no evidence {title:?} in {detail:#?}")).text
}

/// A web server of busybox with a page, a folder and two programs.
const SITE: &str = "mkdir -p /tmp/www/dir /tmp/www/cgi-bin && cd /tmp/www && echo \"hello $GREETING\" > index.html && \
     printf '{\"items\": [{\"name\": \"a\"}], \"count\": 3}' > data.json && \
     printf '#!/bin/sh\\necho Content-Type: text/plain; echo; echo \"$REQUEST_METHOD $HTTP_X_TOKEN\"; cat\\n' > cgi-bin/echo && \
     printf '#!/bin/sh\\nsleep 1; echo Content-Type: text/plain; echo; echo slow\\n' > cgi-bin/slow && \
     chmod +x cgi-bin/*";

fn serving(address: &str) -> ServiceSpec {
    ServiceSpec {
        env: IndexMap::from([("GREETING".to_owned(), "r4nd0m".to_owned())]),
        ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
        ..script(&format!("{SITE}; echo started; exec httpd -f -p {address} -h /tmp/www"))
    }
}

#[tokio::test]
async fn http_sees_what_a_service_answers() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("app", serving("8080")),
            ("inside", serving("127.0.0.1:8080")),
            ("dead", script("echo 'no such module: flask' >&2; exit 3")),
            (
                "mute",
                ServiceSpec {
                    ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
                    ..script("while :; do nc -l -p 8080 -e sleep 60; done")
                },
            ),
            (
                "garbled",
                ServiceSpec {
                    ready: Ready::Port { port: 8080, within: Duration::from_secs(20) },
                    ..script("while :; do nc -l -p 8080 -e echo SSH-2.0; done")
                },
            ),
            ("client", script("sleep 600")),
        ],
    )
    .await;
    let stage = Stage { sandbox: &sandbox, image: None, stack: Some(&stack) };

    let detail = stage.passes("http", json!({"port": 8080, "status": 200, "body": {"contains": "${random}"}, "headers": {"content-type": {"contains": "html"}}})).await;
    assert_eq!(detail.expected, "status 200, header `content-type` contains `html`, body contains `r4nd0m`");
    assert!(
        detail.observed.starts_with("status 200, header `content-type` `text/html`"),
        "{}",
        detail.observed
    );
    assert!(proof(&detail, "Request").starts_with("GET / HTTP/1.1\nhost: app:8080\n"));
    assert!(proof(&detail, "Response").contains("hello r4nd0m"));
    let command = detail.reproduce.expect("a command");
    assert!(command.contains("docker run --rm ") && command.ends_with("localhost:8080/"), "{command}");

    stage.passes("http", json!({"port": 8080, "from": "client", "path": "/data.json", "body": {"json": {"/items/0/name": "a", "/count": {"at_least": 3}}}})).await;
    stage.passes("http", json!({"port": 8080, "path": "/dir", "redirect": {"matches": "/dir/$"}})).await;
    stage.passes("http", json!({"port": 8080, "path": "/cgi-bin/echo", "method": "POST", "send": {"headers": {"X-Token": "${random}"}, "body": "body ${random}"}, "body": {"contains": ["POST r4nd0m", "body r4nd0m"]}})).await;
    stage
        .passes(
            "http",
            json!({"port": 8080, "path": "/nowhere", "status": 404, "headers": {"x-none": {"absent": true}}}),
        )
        .await;
    stage.passes("http", json!({"port": 8080, "status": 200, "time": "5s"})).await;

    stage.fails("http", json!({"port": 8080, "status": 200, "path": "/nowhere"}), "status 404").await;
    stage.fails("http", json!({"port": 8080, "body": "goodbye"}), "body `hello r4nd0m`").await;
    stage.fails("http", json!({"port": 8080, "headers": {"x-none": "x"}}), "no header `x-none`").await;
    stage
        .fails("http", json!({"port": 8080, "redirect": "/x"}), "status 200 with no header `location`")
        .await;
    stage
        .fails(
            "http",
            json!({"port": 8080, "path": "/data.json", "body": {"json": {"/count": 4}}}),
            "body `{",
        )
        .await;
    stage
        .fails("http", json!({"port": 8080, "path": "/cgi-bin/slow", "time": "300ms"}), "answered after 1")
        .await;

    let clock = Clock::system().stopwatch();
    let detail = stage.fails("http", json!({"service": "inside", "port": 8080, "status": 200, "within": "30s"}), "connection refused on port 8080: the process listens on `127.0.0.1:8080` only, so nothing outside its container can reach it").await;
    assert!(clock.elapsed() < Duration::from_secs(15), "said at once, not after {:?}", clock.elapsed());
    assert!(proof(&detail, "Listening sockets").contains("tcp  127.0.0.1:8080"));
    let detail = stage
        .fails(
            "http",
            json!({"service": "dead", "port": 8080, "status": 200, "within": "30s"}),
            "nothing listens on port 8080: the container ended with exit code 3 after",
        )
        .await;
    assert_eq!(proof(&detail, "Last lines of its output"), "no such module: flask");
    assert!(!detail.reproduce.expect("a command").contains("curl"));
    stage
        .fails(
            "http",
            json!({"port": 8081, "status": 200, "within": "300ms"}),
            "nothing listens on port 8081; the container listens on `[::]:8080` (waited 300 ms)",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "client", "port": 80, "status": 200, "within": "300ms"}),
            "nothing listens on port 80, nor on any other (waited 300 ms)",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "mute", "port": 8080, "time": "200ms"}),
            "no complete answer on port 8080 within 1.4 s",
        )
        .await;
    stage
        .fails(
            "http",
            json!({"service": "garbled", "port": 8080, "status": 200}),
            "the answer on port 8080 is not HTTP",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn port_env_and_process_see_what_runs() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let odd = ServiceSpec {
        user: Some("1234:5678".into()),
        env: IndexMap::from([
            ("MODE".to_owned(), "production".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]),
        ready: Ready::Port { port: 7000, within: Duration::from_secs(20) },
        ..script("httpd -p 127.0.0.1:7000 -h /tmp; sleep 600; echo end")
    };
    let listen =
        "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353)); time.sleep(600)";
    let names = ServiceSpec {
        image: Some("python:3.13-slim".into()),
        command: Some(vec!["python".into(), "-c".into(), listen.into()]),
        ..script("")
    };
    let able = ServiceSpec { cap_add: vec!["NET_BIND_SERVICE".into()], ..serving("8080") };
    let stack =
        start(&sandbox, [("app", able), ("odd", odd), ("names", names), ("dead", script("exit 1"))]).await;
    let stage = Stage { sandbox: &sandbox, image: None, stack: Some(&stack) };

    stage.passes("port", json!({"port": 8080, "address": "any"})).await;
    stage.passes("port", json!({"port": 8081, "state": "closed"})).await;
    stage.passes("port", json!({"service": "odd", "port": 7000, "address": "loopback"})).await;
    stage.passes("port", json!({"service": "names", "port": 5353, "protocol": "udp", "within": "20s"})).await;
    stage
        .fails(
            "port",
            json!({"service": "odd", "port": 7000, "address": "any", "within": "200ms"}),
            "the process listens on `127.0.0.1:7000` only",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"port": 8080, "address": "loopback", "within": "200ms"}),
            "the process listens on `[::]:8080`",
        )
        .await;
    stage.fails("port", json!({"port": 8080, "state": "closed"}), "the process listens on `[::]:8080`").await;
    stage
        .fails(
            "port",
            json!({"port": 22, "within": "200ms"}),
            "nothing listens on TCP port 22; the container listens on `[::]:8080`",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"port": 8080, "protocol": "udp", "within": "200ms"}),
            "nothing listens on UDP port 8080",
        )
        .await;
    stage
        .fails(
            "port",
            json!({"service": "dead", "port": 80, "within": "30s"}),
            "the container ended with exit code 1",
        )
        .await;

    stage.passes("env", json!({"service": "odd", "variables": {"MODE": "production", "EMPTY": "", "DEBUG": {"absent": true}}})).await;
    stage.passes("env", json!({"variables": {"GREETING": "${random}"}})).await;
    stage
        .fails("env", json!({"service": "odd", "variables": {"MODE": "test"}}), "`MODE` is `production`")
        .await;
    stage.fails("env", json!({"service": "odd", "variables": {"DEBUG": "1"}}), "`DEBUG` is not set").await;
    stage
        .fails(
            "env",
            json!({"service": "odd", "variables": {"MODE": {"absent": true}}}),
            "`MODE` is `production`",
        )
        .await;
    stage
        .fails(
            "env",
            json!({"service": "dead", "variables": {"MODE": "x"}}),
            "the container ended with exit code 1",
        )
        .await;

    stage.passes("process", json!({"name": "httpd", "shell": false, "argv": {"contains": "-p 8080"}})).await;
    stage
        .passes(
            "process",
            json!({"name": "httpd", "uid": 0, "capabilities": {"only": ["CAP_NET_BIND_SERVICE"]}}),
        )
        .await;
    stage
        .passes(
            "process",
            json!({"service": "odd", "uid": {"not": "root"}, "gid": 5678, "capabilities": {"absent": true}}),
        )
        .await;
    stage.passes("process", json!({"namespaces": {"with": "odd", "separate": ["net", "pid", "mnt"]}})).await;
    stage
        .fails(
            "process",
            json!({"name": "python"}),
            "process 1 is `[\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/tmp/www\"]`",
        )
        .await;
    stage.fails("process", json!({"argv": ["httpd"]}), "process 1 is `[\"httpd\"").await;
    let detail = stage
        .fails(
            "process",
            json!({"service": "odd", "shell": false}),
            "process 1 is the shell `[\"sh\", \"-c\"",
        )
        .await;
    assert!(detail.observed.contains("is its child"), "{}", detail.observed);
    assert!(proof(&detail, "Processes").contains("sleep 600"), "{detail:#?}");
    stage.fails("process", json!({"uid": {"not": "root"}}), "process 1 runs with user id 0 (root)").await;
    stage
        .fails("process", json!({"service": "odd", "uid": "root"}), "process 1 runs with user id 1234")
        .await;
    stage.fails("process", json!({"service": "odd", "gid": 1}), "process 1 runs with group id 5678").await;
    stage
        .fails(
            "process",
            json!({"capabilities": {"lacks": ["NET_BIND_SERVICE"]}}),
            "capabilities: `NET_BIND_SERVICE`",
        )
        .await;
    stage
        .fails("process", json!({"service": "odd", "capabilities": ["NET_RAW"]}), "capabilities: none")
        .await;
    stage
        .fails(
            "process",
            json!({"namespaces": {"with": "odd", "shared": ["net"]}}),
            "the net namespace is not shared with `odd`",
        )
        .await;
    stage
        .fails("process", json!({"service": "dead", "shell": false}), "the container ended with exit code 1")
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn commands_run_in_a_service_or_afresh() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let image = sandbox.image(BUSYBOX).await.expect("the image");
    let stack = start(&sandbox, [("app", script("sleep 600")), ("dead", script("exit 4"))]).await;
    let stage = Stage { sandbox: &sandbox, image: Some(&image), stack: Some(&stack) };

    stage.passes("command", json!({"run": "echo ${random}; echo oh >&2; exit 3", "exit_code": 3, "stdout": "r4nd0m", "stderr": "oh"})).await;
    stage
        .passes(
            "command",
            json!({"run": ["cat"], "stdin": "typed ${random}", "stdout": "typed r4nd0m", "exit_code": 0}),
        )
        .await;
    stage.passes("command", json!({"run": "id -u; pwd; echo $A", "user": 99, "workdir": "/etc", "env": {"A": "b"}, "stdout": "99\n/etc\nb"})).await;
    stage
        .passes(
            "command",
            json!({"fresh": true, "args": ["echo", "it's me"], "stdout": "it's me", "exit_code": 0}),
        )
        .await;
    stage.passes("command", json!({"fresh": true, "entrypoint": ["/bin/sh", "-c"], "args": ["cat; exit 7"], "stdin": "x", "stdout": "x", "exit_code": 7})).await;

    let detail = stage
        .fails(
            "command",
            json!({"run": "echo a; exit 2", "stdout": "b"}),
            "standard output is `a`, the exit code is 2",
        )
        .await;
    assert_eq!(proof(&detail, "Standard output"), "a\n");
    stage.fails("command", json!({"run": "exit 2", "exit_code": 0}), "exit code 2").await;
    stage.fails("command", json!({"run": "echo a >&2", "stderr": ""}), "standard error is `a`").await;
    stage
        .fails(
            "command",
            json!({"run": "sleep 20", "exit_code": 0, "within": "500ms"}),
            "it did not end within 500 ms and was killed",
        )
        .await;
    stage.fails("command", json!({"run": ["no-such-program"], "exit_code": 0}), "no-such-program").await;
    stage
        .fails(
            "command",
            json!({"service": "dead", "run": "true", "exit_code": 0}),
            "the container ended with exit code 4",
        )
        .await;
    stage
        .fails(
            "command",
            json!({"fresh": true, "args": ["no-such-program"], "exit_code": 0}),
            "no-such-program",
        )
        .await;
    stage
        .fails(
            "command",
            json!({"fresh": true, "args": ["sleep", "20"], "exit_code": 0, "within": "500ms"}),
            "it did not end within 500 ms and was killed",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn logs_and_lives_of_services_are_followed() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let talker = "echo first; echo oops >&2; sleep 1; printf '\\033[32mready\\033[0m\\n'; sleep 600";
    let stack = start(
        &sandbox,
        [
            ("app", script(talker)),
            (
                "done",
                ServiceSpec {
                    ready: Ready::Exited { within: Duration::from_secs(20) },
                    ..script("echo result 42; exit 5")
                },
            ),
            ("brief", script("sleep 2")),
        ],
    )
    .await;
    let stage = Stage { sandbox: &sandbox, image: None, stack: Some(&stack) };

    let clock = Clock::system().stopwatch();
    stage.passes("stays_up", json!({"for": "1s"})).await;
    stage.passes("logs", json!({"stdout": {"contains": "ready\n"}, "within": "20s"})).await;
    stage.passes("logs", json!({"stderr": "oops"})).await;
    stage.passes("logs", json!({"output": {"contains": "oops"}, "within": "20s"})).await;
    assert!(clock.elapsed() < Duration::from_secs(15), "{:?}", clock.elapsed());
    stage.passes("logs", json!({"absent": {"contains": "panic"}, "within": "300ms"})).await;
    stage
        .passes(
            "logs",
            json!({"service": "done", "stdout": {"matches": "result \\d+$", "not": {"contains": "error"}}}),
        )
        .await;
    let detail = stage
        .fails("logs", json!({"stdout": {"contains": "never"}, "within": "300ms"}), "(waited 300 ms)")
        .await;
    assert!(detail.observed.contains("2 lines, the last of them `ready`"), "{}", detail.observed);
    stage
        .fails(
            "logs",
            json!({"service": "done", "stdout": {"contains": "never"}, "within": "30s"}),
            "the container ended with exit code 5",
        )
        .await;
    stage
        .fails("logs", json!({"absent": {"contains": "oops"}, "within": "30s"}), "on standard error: `oops`")
        .await;
    stage.fails("logs", json!({"output": {"not": {"contains": "oops"}}, "within": "300ms"}), "`oops`").await;
    stage
        .fails(
            "logs",
            json!({"service": "brief", "stderr": {"contains": "x"}, "within": "20s"}),
            "standard error is empty (the container ended",
        )
        .await;

    stage.passes("exit", json!({"service": "done", "code": 5})).await;
    stage.passes("exit", json!({"service": "brief", "within": "20s"})).await;
    let detail =
        stage.fails("exit", json!({"service": "done"}), "the container ended with exit code 5 after").await;
    assert_eq!(detail.expected, "the container ends within 10 s with exit code 0");
    assert_eq!(proof(&detail, "Last lines of its output"), "result 42");
    stage.fails("exit", json!({"within": "100ms"}), "the container still runs after").await;
    stage
        .fails(
            "stays_up",
            json!({"service": "brief", "for": "20s"}),
            "the container ended with exit code 0 after",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn stopping_is_by_itself_or_not() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let stack = start(
        &sandbox,
        [
            ("app", script("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")),
            ("deaf", script("sleep 600; echo never")),
            ("ignores", ServiceSpec { command: Some(vec!["sleep".into(), "600".into()]), ..script("") }),
            ("dead", script("exit 9")),
        ],
    )
    .await;
    let stage = Stage { sandbox: &sandbox, image: None, stack: Some(&stack) };
    stage.passes("logs", json!({"stdout": {"contains": "up"}, "within": "20s"})).await;
    let detail = stage.passes("stops", json!({"within": "5s"})).await;
    assert!(
        detail.observed.starts_with("it ended by itself after ")
            && detail.observed.ends_with(" with exit code 0"),
        "{}",
        detail.observed
    );
    // It was started again.
    stage.passes("stays_up", json!({"for": "1s"})).await;
    stage.passes("stops", json!({"within": "5s", "exit_code": 0})).await;
    stage.fails("stops", json!({"within": "5s", "exit_code": 143}), "with exit code 0").await;
    let detail = stage.fails("stops", json!({"service": "deaf", "within": "500ms"}), "it did not end within 500 ms and had to be killed (exit code 137): process 1 is the shell `[\"sh\", \"-c\", \"sleep 600; echo never\"]`, which does not pass the signal on").await;
    assert_eq!(
        detail.expected,
        "the stop signal ends the container within 500 ms, with an exit code other than 137"
    );
    assert!(proof(&detail, "Processes before it was asked to stop").contains("sleep 600"));
    stage
        .fails(
            "stops",
            json!({"service": "ignores", "within": "500ms"}),
            "as process 1 it ignores signals that it has no handler for",
        )
        .await;
    stage.fails("stops", json!({"service": "dead"}), "the container ended with exit code 9 after").await;
    sandbox.clean().await;
    bench.close().await;
}

const DOCKERFILE: &str = r#"FROM busybox:1.37
RUN mkdir -p /etc && echo 'app:x:1000:1000::/:/bin/sh' >> /etc/passwd && echo 'app:x:1000:' >> /etc/group && mkdir /data /closed && echo secret > /closed/tool && chmod 755 /closed/tool && chmod 700 /closed && \
    printf '#!/bin/sh\necho hello\n' > /usr/local-tool && chmod 750 /usr/local-tool && chown app:app /usr/local-tool && \
    ln -s /usr/local-tool /tool && ln -s /loop /loop && printf '\377\376' > /binary
ENV GREETING=hello
LABEL org.opencontainers.image.title="Greeter"
EXPOSE 8080 53/udp
VOLUME /data
WORKDIR /srv
USER app
STOPSIGNAL SIGINT
HEALTHCHECK CMD wget -q localhost:8080
ENTRYPOINT ["/tool"]
CMD ["--port", "8080"]
"#;

#[tokio::test]
async fn images_are_seen_without_running_them() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 10 };
    let files = vec![("Dockerfile".to_owned(), Bytes::from(DOCKERFILE)), ("other".to_owned(), Bytes::new())];
    let request = BuildRequest {
        context: Content::from_files(files, &limits).expect("good").tar(),
        dockerfile: "Dockerfile".into(),
        target: None,
        args: IndexMap::new(),
        internet: false,
        needs_buildkit: false,
        bases: vec![BUSYBOX.into()],
    };
    let built = sandbox.build(request, silent()).await.expect("an image");
    let image = sandbox.image(&built.image).await.expect("the image");
    let stage = Stage { sandbox: &sandbox, image: Some(&image), stack: None };

    stage.passes("image", json!({
        "env": {"GREETING": "hello", "DEBUG": {"absent": true}}, "labels": {"org.opencontainers.image.title": "Greeter"},
        "exposed_ports": {"has": [8080], "only": [8080, "53/udp"]}, "volumes": ["/data"], "entrypoint": ["/tool"], "cmd": ["--port", "8080"],
        "workdir": "/srv", "user": {"not": "root"}, "stop_signal": "SIGINT", "healthcheck": {"contains": "wget"}, "os": "linux",
    })).await;
    stage
        .fails(
            "image",
            json!({"user": "root", "cmd": {"absent": true}}),
            "cmd is `[\"--port\", \"8080\"]`, user is `app`",
        )
        .await;

    stage.passes("image_file", json!({"path": "/usr/local-tool", "kind": "file", "content": {"contains": "echo hello"}, "mode": "0750", "owner": "app", "group": 1000, "executable_by": "image_user", "not_executable_by": "everyone", "size": {"at_most": "1kB"}})).await;
    stage.passes("image_file", json!({"path": "/tool", "kind": "link", "link_target": "/usr/local-tool", "executable_by": 1000, "not_executable_by": 1001})).await;
    stage.passes("image_file", json!({"path": "/bin/sh", "executable_by": "everyone"})).await;
    stage.passes("image_file", json!({"path": "/nowhere", "absent": true})).await;
    stage.passes("image_file", json!({"path": "/srv", "kind": "directory", "owner": {"not": "app"}})).await;

    let detail = stage
        .fails(
            "image_file",
            json!({"path": "/usr/lib/x/y", "kind": "file"}),
            "there is nothing at `/usr/lib/x/y`",
        )
        .await;
    assert!(!proof(&detail, "Nearest folder that is there").is_empty());
    stage.fails("image_file", json!({"path": "/tool", "absent": true}), "there is a link at `/tool`").await;
    stage
        .fails("image_file", json!({"path": "/srv", "kind": "file"}), "there is a directory at `/srv`")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/tool", "content": "x"}),
            "its content is `#!/bin/sh\\necho hello`",
        )
        .await;
    stage.fails("image_file", json!({"path": "/srv", "content": "x"}), "there is no file to read").await;
    stage
        .fails("image_file", json!({"path": "/binary", "content": "x"}), "its content is not UTF-8 text")
        .await;
    stage
        .fails("image_file", json!({"path": "/usr/local-tool", "mode": {"has": "0001"}}), "its mode is 0750")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "owner": "root", "group": "root"}),
            "its owner is `app` (1000), its group is `app` (1000)",
        )
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "owner": {"not": 1000}}),
            "its owner is `app` (1000)",
        )
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "link_target": "x"}),
            "it is a file, not a link",
        )
        .await;
    stage
        .fails("image_file", json!({"path": "/tool", "link_target": "x"}), "it links to `/usr/local-tool`")
        .await;
    stage.fails("image_file", json!({"path": "/usr/local-tool", "size": 1}), "bytes").await;
    stage
        .fails(
            "image_file",
            json!({"path": "/closed/tool", "executable_by": "app"}),
            "the folder `/closed` has mode 0700",
        )
        .await;
    stage.passes("image_file", json!({"path": "/closed/tool", "executable_by": "root"})).await;
    stage
        .fails("image_file", json!({"path": "/loop", "executable_by": "root"}), "there is nothing at `/loop`")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/tool", "executable_by": "nobody-like-that"}),
            "the image has no user `nobody-like-that`",
        )
        .await;
    stage.fails("image_file", json!({"path": "/srv", "executable_by": "root"}), "it is a directory").await;
    sandbox.clean().await;
    bench.close().await;
}

/// What a line printed, standard error included, and whether it succeeded.
async fn shell(line: &str) -> (bool, String) {
    let output = tokio::process::Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs what a student would paste and takes away what it leaves.
async fn paste(detail: &Detail) -> String {
    let line = detail.reproduce.as_deref().expect("a command line");
    let (_, text) = shell(line).await;
    shell("docker rm -f app").await;
    assert!(!text.contains("syntax error") && !text.contains("unknown flag"), "{line}\n{text}");
    text
}

#[tokio::test]
async fn what_students_are_told_to_type_shows_the_same() {
    // One test for all: the lines name their container and their image as a student would.
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    assert!(shell(&format!("docker rm -f app; docker tag {BUSYBOX} my-image")).await.0);
    let image = sandbox.image(BUSYBOX).await.expect("the image");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let greeting = "it's `me` $HOME \"quoted\"";
    let spec = ServiceSpec {
        env: IndexMap::from([("GREETING".to_owned(), greeting.to_owned())]),
        ready: Ready::Port { port, within: Duration::from_secs(20) },
        ..script(&format!(
            "trap 'exit 3' TERM; mkdir -p /tmp/www/cgi-bin; cd /tmp/www; echo \"$GREETING\" > index.html; cp index.html \"a'b\"; \
             httpd -p {port} -h /tmp/www; echo serving; while :; do sleep 0.1; done"
        ))
    };
    let stack = start(&sandbox, [("app", spec)]).await;
    let stage = Stage { sandbox: &sandbox, image: Some(&image), stack: Some(&stack) };

    let detail = stage.passes("http", json!({"port": port, "status": 200, "body": greeting})).await;
    let text = paste(&detail).await;
    assert!(text.contains("HTTP/1.1 200 OK") && text.contains(greeting), "{text}");
    let detail = stage
        .passes(
            "http",
            json!({"port": port, "path": "/a'b", "send": {"headers": {"X-A": "it's $HOME"}}, "status": 200}),
        )
        .await;
    let text = paste(&detail).await;
    assert!(text.contains(greeting), "{text}");

    let detail = stage.passes("logs", json!({"stdout": {"contains": "serving"}, "within": "5s"})).await;
    assert!(paste(&detail).await.contains("serving"));
    let detail = stage.passes("env", json!({"variables": {"GREETING": greeting}})).await;
    assert!(paste(&detail).await.contains(&format!("GREETING={greeting}\n")));
    let detail = stage.passes("port", json!({"port": port})).await;
    let text = paste(&detail).await;
    assert!(text.contains(&format!(":{port}")) && text.contains("LISTEN"), "{text}");
    let detail = stage.fails("process", json!({"shell": false}), "is the shell").await;
    let text = paste(&detail).await;
    assert!(text.contains("sh -c trap"), "{text}");
    let detail = stage.passes("stays_up", json!({"for": "1s"})).await;
    assert!(paste(&detail).await.contains("my-image"));

    let detail = stage.passes("command", json!({"run": "echo \"$A\"; cat; exit 6", "env": {"A": "it's"}, "stdin": "in'put", "user": 5, "workdir": "/tmp", "exit_code": 6})).await;
    assert!(paste(&detail).await.ends_with("it's\nin'putexit code 6\n"));
    let detail = stage.passes("command", json!({"fresh": true, "entrypoint": ["sh", "-c"], "args": ["echo \"$0\" '$B'; exit 8", "x y"], "exit_code": 8})).await;
    assert_eq!(paste(&detail).await, "x y $B\nexit code 8\n");

    let detail = stage.passes("stops", json!({"within": "5s", "exit_code": 3})).await;
    let text = paste(&detail).await;
    assert!(text.lines().any(|line| line == "3"), "{text}");

    let stack = start(&sandbox, [("app", script("echo 'last words' >&2; exit 7"))]).await;
    let stage = Stage { sandbox: &sandbox, image: Some(&image), stack: Some(&stack) };
    let detail = stage.passes("exit", json!({"code": 7})).await;
    let text = paste(&detail).await;
    assert!(text.contains("last words\n") && text.contains("exit code 7\n"), "{text}");
    let detail = stage.fails("http", json!({"port": port, "status": 200}), "ended with exit code 7").await;
    assert!(paste(&detail).await.contains("last words"));
    let detail = stage.passes("logs", json!({"stderr": {"contains": "last words"}})).await;
    assert!(paste(&detail).await.contains("last words"));

    shell("docker rmi my-image").await;
    sandbox.clean().await;
    bench.close().await;
}
