//! Attacks on memory, processes, time and attention.

use super::arena::{Arena, Attack};

fn run(what: &'static str, exercise: &'static str, script: &str) -> Attack {
    let text = "LABEL hostile=@ARENA@\nCOPY attack /attack\nCMD [\"sh\", \"/attack\"]";
    Attack::dockerfile(what, exercise, text).file("attack", script)
}

fn python(what: &'static str, script: &str) -> Attack {
    Attack::python(what, "escape", script)
}

/// From: fork bombs (INGInious and Autolab both had them as the first ticket of a term), zombies, OOM killers that
/// choose the wrong one, moby#8459 (logs that fill the disk), conntrack and port exhaustion.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_all_takes_only_his_own() {
    let arena = Arena::open().await;
    arena
        .run(vec![
            run("fork bomb", "narrow", "b() { b | b & }; b; sleep 1000"),
            run("memory bomb", "narrow", "tail /dev/zero").says("memory"),
            run("endless output", "narrow", "yes"),
            run("both outputs", "narrow", "yes & yes >&2"),
            run("one line of a gigabyte", "narrow", "tr '\\0' x </dev/zero | head -c 1000000000; exit 3"),
            run("an army of zombies", "narrow", "while :; do sleep 0 & done"),
            run("stops itself", "narrow", "kill -STOP $$; exit 3"),
            run("busy for ever", "narrow", "while :; do :; done & while :; do :; done"),
            run("ignores every signal", "narrow", "trap '' TERM INT HUP QUIT USR1; while :; do sleep 1; done"),
            run("hangs the one who waits", "narrow", "mkfifo /p; exec 3<>/p; cat <&3"),
            run("dies of a bus error", "narrow", "sh -c 'kill -BUS $$'; exit $?"),
            python(
                "memory of pipes and sockets",
                "import os, socket\nheld = []\ntry:\n    while True:\n        a, b = socket.socketpair()\n        a.setblocking(False)\n        held += [a, b]\n        try:\n            while True: a.send(b'x' * 65536)\n        except BlockingIOError: pass\nexcept OSError as error: print(error)\nraise SystemExit(3)",
            ),
            python(
                "all connections that there are",
                "import socket, resource\nheld = []\ntry:\n    while True:\n        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 0)); s.connect(('127.0.0.1', 9)); held.append(s)\nexcept OSError as error: print(len(held), error)\nraise SystemExit(3)",
            ),
            python(
                "threads without end",
                "import threading, time\ntry:\n    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\nexcept RuntimeError as error: print(error)\nraise SystemExit(3)",
            ),
            python(
                "descriptors and locks",
                "import os, fcntl\nheld = []\ntry:\n    while True:\n        held.append(os.open('/tmp', os.O_RDONLY)); fcntl.flock(held[-1], fcntl.LOCK_SH)\nexcept OSError as error: print(len(held), error)\nraise SystemExit(3)",
            ),
            python(
                "watches and timers of the kernel",
                "import ctypes, os\nlibc = ctypes.CDLL(None)\nfd = libc.inotify_init()\nfor i in range(200000):\n    path = f'/tmp/{i}'\n    os.mkdir(path)\n    if libc.inotify_add_watch(fd, path.encode(), 0xfff) < 0: break\nprint(i)\nraise SystemExit(3)",
            ),
        ])
        .await;
    arena.close().await;
}

/// A service that does not end, does not answer what is asked of it, or answers for ever.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever() {
    let arena = Arena::open().await;
    let health = |what, check: &str| {
        let text = format!(
            "services:\n  web:\n    image: busybox:1.37\n    command: sleep 600\n    healthcheck: {{test: ['CMD-SHELL', '{check}'], interval: 1s, retries: 2, timeout: 2s}}\n"
        );
        Attack::compose(what, &text)
    };
    arena
        .run(vec![
            run("ignores SIGTERM", "keeps", "trap '' TERM; while :; do sleep 1; done").says("had to be killed"),
            // What we put and read through the engine: CVE-2018-15664's race, FIFOs that block who opens them.
            run("swaps the folder of the volume", "keeps", "while :; do rm -rf /data/*; ln -s / /data/link; rm /data/link; mkfifo /data/pipe; rm /data/pipe; done"),
            // What it leaves behind stays within the bounds of its service; that it ends with 0 is its own word.
            health("a health check that forks", "b() { b | b & }; b").passes(),
            health("a health check that prints for ever", "yes").says("web"),
            health("a health check that kills its service", "kill -9 1; kill -9 -1; exit 1").says("web"),
            health("a health check that hangs", "trap \"\" TERM; sleep 1000").says("web"),
            Attack::compose("an interval of nothing", "services: {web: {image: 'busybox:1.37', command: sleep 600, healthcheck: {test: 'exit 1', interval: 0s, timeout: 0s, retries: 1000000}}}\n"),
            Attack::compose("restarts for ever", "services: {web: {image: 'busybox:1.37', restart: always, command: [sh, -c, 'sleep 1; exit 1']}}\n").says("again and again"),
            Attack::compose("waits for itself", "services:\n  a: {image: 'busybox:1.37', depends_on: [b]}\n  b: {image: 'busybox:1.37', depends_on: [a]}\n"),
            Attack::compose("never stops", "services: {web: {image: 'busybox:1.37', stop_grace_period: 1000h, stop_signal: SIGCONT, command: [sh, -c, 'trap \"\" TERM; while :; do sleep 1; done']}}\n").passes(),
        ])
        .await;
    arena.close().await;
}
