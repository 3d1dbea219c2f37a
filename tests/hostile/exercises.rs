//! What is asked of the attackers, in narrow limits.

type Exercise = (&'static str, &'static [(&'static str, &'static str)]);

macro_rules! exercise {
    ($slug:literal, $yaml:literal) => {
        (
            $slug,
            &[
                ("README.md", "# Attack\n\nHand it in.\n"),
                ("solution/Dockerfile", "FROM busybox:1.37\nCMD [\"true\"]\n"),
                ("solution/compose.yaml", "services: {web: {image: 'busybox:1.37', command: sleep 60}}\n"),
                ("solution/hello.txt", "hello\n"),
                (
                    "exercise.yaml",
                    concat!("title: Attack\nminutes: 1\nobjectives: [attack]\nsubmit: [upload]\n", $yaml),
                ),
            ],
        )
    };
}

pub const EXERCISES: &[Exercise] = &[
    // The main process ends with 0 where it could do nothing that it should not.
    exercise!(
        "escape",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 128MiB, cpus: 1, pids: 64, disk: 256MiB, build_time: 30s, run_time: 60s, log: 64KiB}
checks:
  - {id: held, title: Nothing broke, hint: Try harder., exit: {code: 0, within: 30s}}
"
    ),
    exercise!(
        "narrow",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 128MiB, cpus: 1, pids: 64, disk: 64MiB, build_time: 10s, run_time: 20s, log: 64KiB}
checks:
  - {id: ends, title: It ends well, hint: It ends., exit: {code: 0, within: 3s}}
"
    ),
    exercise!(
        "web",
        "
build: {}
stack: {services: {app: {env: {GREETING: '${random}'}}}}
limits: {memory: 64MiB, cpus: 1, pids: 64, disk: 256MiB, build_time: 30s, run_time: 40s, log: 64KiB}
checks:
  - {id: greets, title: It greets, hint: It greets., http: {port: 8080, status: 200, body: {contains: 'hello ${random}'}}}
"
    ),
    exercise!(
        "socket",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 128MiB, cpus: 1, pids: 64, disk: 256MiB, build_time: 30s, run_time: 40s, log: 64KiB}
checks:
  - {id: echoes, title: It echoes, hint: It echoes., websocket: {port: 8080, send: 'ping ${random}', echo: true, within: 4s}}
"
    ),
    exercise!(
        "image",
        "
build: {}
limits: {memory: 64MiB, cpus: 1, pids: 64, disk: 64MiB, build_time: 30s, run_time: 40s, log: 64KiB}
checks:
  - {id: answer, title: The answer, hint: COPY, image_file: {path: /srv/answer, content: {contains: swordfish}}}
  - {id: page, title: The page, hint: COPY, image_file: {path: /srv/page, kind: file, size: {at_most: 1MiB}}}
"
    ),
    exercise!(
        "keeps",
        "
build: {}
stack: {services: {app: {mounts: [{volume: data, target: /data}]}}, volumes: [data]}
limits: {memory: 64MiB, cpus: 1, pids: 64, disk: 32MiB, build_time: 30s, run_time: 60s, log: 64KiB}
checks:
  - {id: up, title: It stays up, hint: It stays up., stays_up: {for: 10s}}
  - {id: keeps, title: It keeps what it has, hint: A volume., persists: {path: /data, within: 5s}}
  - {id: stops, title: It stops, hint: trap, stops: {within: 3s}}
"
    ),
    exercise!(
        "composed",
        "
compose: {within: 10s}
limits: {memory: 64MiB, cpus: 1, pids: 64, disk: 64MiB, build_time: 20s, run_time: 40s, log: 64KiB}
checks:
  - {id: up, title: Up, hint: Up., compose_health: {within: 10s}}
"
    ),
    exercise!(
        "hello",
        "
checks:
  - {id: hello, title: It says hello, hint: hello, file: {path: hello.txt, content: {contains: hello}}}
"
    ),
];
