//! Mistakes in what a submission is built and run on: `submit`, `build`, `stack`, `limits`.

use std::fs;
use std::time::Duration;

use drydock::exercises::Exercise;
use drydock::sandbox::Ready;

use super::{BASE, exercise, expect};

#[test]
fn submit() {
    let submit = "submit: [upload]";
    expect(
        "submit: [upload]\n",
        "",
        &[
            "1:1: `submit` is missing; it lists what can be handed in: `upload`, `repository`, `image`, `archive`, `answers`",
        ],
    );
    expect(
        submit,
        "submit: []",
        &[
            "2:1: `submit` is empty, so nothing could be handed in; add `upload`, `repository`, `image`, `archive` or `answers`",
        ],
    );
    expect(
        submit,
        "submit: [upload, command]",
        &[
            "2:18: `command` is not supported yet; `upload`, `repository`, `image`, `archive` and `answers` can be handed in",
        ],
    );
    expect(
        submit,
        "submit: [image]",
        &["2:1: `image` hands in a finished image, and `build` wants files to make it of; take one out"],
    );
    expect(submit, "submit: [upload, upload]", &["2:18: this way to hand in is there twice"]);
    expect(
        submit,
        "submit: [upload, answers]",
        &["2:1: `answers` are taken and no check asks anything; add a `choice`, `short` or `essay` check"],
    );
}

#[test]
fn build() {
    let dockerfile = "dockerfile: Dockerfile";
    expect(
        dockerfile,
        "dockerfile: ../Dockerfile",
        &["3:9: `build.dockerfile` is a path in the build context, such as `Dockerfile`, without `..`"],
    );
    expect(
        dockerfile,
        "context: /",
        &["3:9: `build.context` is a folder of the submission, such as `.` or `app`, without `..`"],
    );
    expect(dockerfile, "network: host", &["3:18: unknown word `host`; there are `none` and `internet`"]);
    expect(
        dockerfile,
        "args: {a-b: x}",
        &["3:16: `a-b` is no name for a build argument; use letters, digits and `_`"],
    );
    expect(
        dockerfile,
        "args: {A: \"${randon}\"}",
        &["3:19: unknown variable `${randon}`, did you mean `random`?"],
    );
    expect(
        dockerfile,
        "secrets: {API-TOKEN: generated}",
        &["3:19: `API-TOKEN` is no id for a secret; use lower-case letters, digits and `_`"],
    );
    expect(
        dockerfile,
        "secrets: {token: my-own}",
        &["3:26: unknown word `my-own`; there is only `generated`"],
    );
    expect(
        dockerfile,
        "secrets: {token: generated}, args: {A: '${secret.tokn}'}",
        &["3:48: unknown variable `${secret.tokn}`, did you mean `secret.token`?"],
    );
}

#[test]
fn stack() {
    let app =
        "    app:\n      env: {GREETING: \"hello ${random}\"}\n      ready: {port: 8080, within: 10s}\n";
    expect(
        app,
        "    App_1: {ready: {port: 8080}}\n",
        &["6:5: `App_1` is no name for a service; it is a host name: lower-case letters, digits and dashes"],
    );
    let ready = "ready: {port: 8080, within: 10s}";
    expect(
        ready,
        "ready: {within: 10s}",
        &["8:7: `ready` says not what is waited for; add `port`, `log`, `exited: true` or `healthy: true`"],
    );
    expect(
        ready,
        "ready: {port: 1, log: x}",
        &["8:7: `ready` waits for one thing: `port`, `log`, `exited` or `healthy`"],
    );
    expect(
        ready,
        "ready: {port: 1, healthy: true}",
        &["8:7: `ready` waits for one thing: `port`, `log`, `exited` or `healthy`"],
    );
    expect(
        ready,
        "ready: {healthy: false}",
        &["8:7: `ready` says not what is waited for; add `port`, `log`, `exited: true` or `healthy: true`"],
    );
    expect(ready, "ready: {log: '['}", &["8:15: `[` is no regular expression: unclosed character class"]);
    expect(
        "env: {GREETING: \"hello ${random}\"}",
        "env: {GREETING: \"hello ${name}\"}",
        &["7:23: unknown variable `${name}`; there is only `random`"],
    );
    expect(
        app,
        "    app:\n    other:\n",
        &["7:5: `other` and `app` both have no `image`; only one service is under test"],
    );
    expect(
        app,
        "    app: {image: 'nginx:1.26'}\n",
        &["5:3: every service has an `image`, so none runs what was handed in; leave it out of one of them"],
    );
    expect(
        "build: {dockerfile: Dockerfile}\n",
        "",
        &[
            "5:5: the service `app` has no `image`, so it runs what is built, and nothing is; add `build`",
            "12:5: this check needs an image; add `build` to the exercise, or `image` or `archive` to `submit`",
        ],
    );
}

#[test]
fn healthchecks() {
    let test = "8:21: `test` is a line for the shell, or a list: `[CMD, program, …]`, `[CMD-SHELL, line]` or `[NONE]`";
    for (to, expected) in [
        ("test: [curl, localhost]", test),
        ("test: []", test),
        ("test: [CMD]", test),
        ("test: ' '", test),
        ("test: [NONE, x]", test),
        ("test: [CMD, echo, '${name}']", "8:39: unknown variable `${name}`; there is only `random`"),
        ("interval: 0s", "8:21: `interval` can be between 1 ms and 1 h"),
        ("timeout: 90m", "8:21: `timeout` can be between 1 ms and 1 h"),
        ("retries: 0", "8:21: `retries` can be between 1 and 1000"),
        ("disable: true, retries: 2", "8:21: `disable` cannot stand beside anything else of the check"),
    ] {
        expect("ready: {port: 8080, within: 10s}", &format!("healthcheck: {{{to}}}"), &[expected]);
    }
    let text = BASE.replace(
        "ready: {port: 8080, within: 10s}",
        "ready: {healthy: true, within: 5s}\n      healthcheck: {test: 'wget ${random}', interval: 5s, start_period: 0s}",
    );
    let root = tempfile::tempdir().unwrap();
    let folder = exercise(root.path());
    fs::write(folder.join("exercise.yaml"), text).unwrap();
    let exercise = Exercise::read(&folder).expect("good");
    let app = &exercise.stack.expect("a stack").services["app"];
    assert_eq!(app.ready, Ready::Healthy { within: Duration::from_secs(5) });
    let health = app.healthcheck.clone().expect("a check");
    assert_eq!(health.test, Some(vec!["CMD-SHELL".to_owned(), "wget ${random}".to_owned()]));
    assert_eq!((health.interval, health.retries), (Some(Duration::from_secs(5)), None));
}

/// In the stack, what types show: the first mistake is told. The checks then miss nothing of it.
#[test]
fn ill_typed_services() {
    for (to, expected) in [
        ("redy: {port: 8080}", "8:7: unknown key `redy`, did you mean `ready`?"),
        (
            "ready: {port: 8080, within: 10}",
            "8:35: `10` has no unit of time; write a number with a unit, such as `500ms`, `10s`, `2m` or `1m30s`",
        ),
        (
            "cap_add: [SYS_ADMIN]",
            "8:17: unknown word `SYS_ADMIN`; there are `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, \
             `NET_BIND_SERVICE`, `SETGID` and `SETUID`",
        ),
    ] {
        expect("ready: {port: 8080, within: 10s}", to, &[expected]);
    }
    expect(
        "ready: {port: 8080, within: 10s}",
        "tmpfs: {cache: 0}",
        &[
            "8:15: `cache` is not an absolute path",
            "8:15: a file system of no size cannot hold anything; give it a size such as `16MiB`",
        ],
    );
}

#[test]
fn limits() {
    let memory = "memory: 64MiB";
    expect(memory, "memory: 0", &["9:10: `limits.memory` is 0 bytes; it can be between 6 MiB and 64 GiB"]);
    expect(memory, "memory: 1TiB", &["9:10: `limits.memory` is 1 TiB; it can be between 6 MiB and 64 GiB"]);
    expect(
        memory,
        "memory: 64m",
        &[
            "9:18: `64m` is not a size; write a number with a unit, such as `256MiB`, `1.5GiB` or `64kB`, or a plain \
         number of bytes",
        ],
    );
    expect(memory, "cpus: 0", &["9:10: `limits.cpus` is 0; it can be between 0.01 and 64"]);
    expect(memory, "pids: 0", &["9:10: `limits.pids` is 0; it can be between 1 and 32768"]);
    expect(memory, "run_time: 2h", &["9:10: `limits.run_time` is 2 h; it can be between 1 s and 1 h"]);
    expect(memory, "build_time: 0s", &["9:10: `limits.build_time` is 0 s; it can be between 1 s and 1 h"]);
    expect(memory, "disks: 1GiB", &["9:10: unknown key `disks`, did you mean `disk`?"]);
}

#[test]
fn compose() {
    let ground = "build: {dockerfile: Dockerfile}\nstack:\n  services:\n    app:\n      \
                  env: {GREETING: \"hello ${random}\"}\n      ready: {port: 8080, within: 10s}\n";
    expect(
        ground,
        "compose: {capabilities: [SYS_ADMIN]}\n",
        &["3:26: unknown word `SYS_ADMIN`; there are `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, \
             `NET_BIND_SERVICE`, `SETGID` and `SETUID`"],
    );
    expect(
        ground,
        "compose: {file: ../compose.yaml, within: 0s}\n",
        &[
            "3:11: `compose.file` is a path in the submission, such as `compose.yaml`, without `..`",
            "3:34: `within` can be between 1 ms and 1 h",
            "8:5: this check needs an image; add `build` to the exercise, or `image` or `archive` to `submit`",
            "13:5: `service` has to name a service of the submission's compose file",
        ],
    );
    expect(
        "title: Greet",
        "title: Greet\ncompose: {}",
        &[
            "4:1: `build` cannot stand beside `compose`; which services are built, the compose file says",
            "7:5: the service `app` stands beside those of the compose file, so it needs an `image` of its own",
            "19:5: `service` has to name a service of the submission's compose file",
        ],
    );
}
