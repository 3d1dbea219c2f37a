//! What students hand in, and what has to come of it.

type Exercise = (&'static str, &'static [(&'static str, &'static str)]);

macro_rules! exercise {
    ($slug:literal, $yaml:literal) => {
        (
            $slug,
            &[
                ("README.md", "# Chaos\n\nHand it in.\n"),
                ("solution/Dockerfile", "FROM busybox:1.37\nCMD [\"true\"]\n"),
                ("solution/compose.yaml", "services: {web: {image: 'busybox:1.37', command: sleep 60}}\n"),
                (
                    "exercise.yaml",
                    concat!("title: Chaos\nminutes: 1\nobjectives: [patience]\nsubmit: [upload]\n", $yaml),
                ),
            ],
        )
    };
}

pub const EXERCISES: &[Exercise] = &[
    // Something in every phase, a volume among what it makes.
    exercise!(
        "page",
        "
build: {}
stack:
  services:
    app:
      env: {GREETING: '${random}'}
      ready: {port: 8080, within: 20s}
      mounts: [{volume: data, target: /data}]
  volumes: [data]
limits: {memory: 64MiB, cpus: 1, pids: 64, disk: 64MiB, build_time: 60s, run_time: 120s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: start, file: {path: start}}
  - {id: built, title: Built, hint: COPY, image_file: {path: /start}}
  - {id: greets, title: It greets, hint: It greets., http: {port: 8080, body: {contains: 'hello ${random}'}}}
  - {id: stays, title: It stays, hint: It stays., stays_up: {for: 1s}}
  - {id: stops, title: It stops, hint: trap, stops: {within: 5s, exit_code: 0}}
"
    ),
    exercise!(
        "narrow",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 48MiB, cpus: 1, pids: 32, disk: 32MiB, build_time: 60s, run_time: 20s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: Dockerfile, file: {path: Dockerfile}}
  - {id: ends, title: It ends well, hint: It ends., exit: {code: 0, within: 2s}}
"
    ),
    // Whose build never ends.
    exercise!(
        "endless",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 48MiB, cpus: 1, pids: 32, disk: 32MiB, build_time: 3s, run_time: 20s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: Dockerfile, file: {path: Dockerfile}}
  - {id: ends, title: It ends well, hint: It ends., exit: {code: 0, within: 2s}}
"
    ),
    // Long enough for the disk to be looked at.
    exercise!(
        "filled",
        "
build: {}
stack: {services: {app: {}}}
limits: {memory: 48MiB, cpus: 1, pids: 32, disk: 32MiB, build_time: 60s, run_time: 40s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: Dockerfile, file: {path: Dockerfile}}
  - {id: ends, title: It ends well, hint: It ends., exit: {code: 0, within: 20s}}
"
    ),
    exercise!(
        "composed",
        "
compose: {within: 60s}
limits: {memory: 64MiB, cpus: 1, pids: 32, disk: 64MiB, build_time: 60s, run_time: 120s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: compose, file: {path: compose.yaml}}
  - {id: up, title: Up, hint: Up., compose_health: {within: 60s}}
  - {id: serves, title: It serves, hint: fill, http: {service: web, port: 8080, path: /page, body: {contains: filled}}}
"
    ),
    // For what is never healthy.
    exercise!(
        "sickly",
        "
compose: {within: 3s}
limits: {memory: 64MiB, cpus: 1, pids: 32, disk: 64MiB, build_time: 60s, run_time: 60s, log: 64KiB}
checks:
  - {id: handed, title: Handed in, hint: compose, file: {path: compose.yaml}}
  - {id: up, title: Up, hint: Up., compose_health: {within: 3s}}
  - {id: serves, title: It serves, hint: fill, http: {service: web, port: 8080, path: /page, body: {contains: filled}}}
"
    ),
];

/// What becomes of each check, by its id.
pub type Outcomes = &'static [(&'static str, &'static str)];

/// A kind of submission.
pub struct Kind {
    pub what: &'static str,
    pub exercise: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Of the whole grading.
    pub verdict: &'static str,
    pub outcomes: Outcomes,
    /// What the check that failed says it saw: for the right verdict there is only one right reason.
    pub says: &'static str,
}

impl Kind {
    /// The files of one submission. A nonce in them makes each build its own, so that none is only looked up
    /// in the cache.
    pub fn files(&self, nonce: u64) -> Vec<(&'static str, Vec<u8>)> {
        let filled = |text: &str| text.replace("@NONCE@", &nonce.to_string()).into_bytes();
        self.files.iter().map(|(path, text)| (*path, filled(text))).collect()
    }
}

const GOOD_START: &str = "#!/bin/sh
trap 'exit 0' TERM
mkdir -p /www && echo \"hello $GREETING\" > /www/index.html && echo kept > /data/kept
httpd -p 8080 -h /www
while :; do sleep 0.1; done
";
const RUDE_START: &str = "#!/bin/sh
trap '' TERM
mkdir -p /www && echo \"hello $GREETING\" > /www/index.html
httpd -p 8080 -h /www
while :; do sleep 0.1; done
";
const WRONG_START: &str = "#!/bin/sh
trap 'exit 0' TERM
mkdir -p /www && echo 'hello nobody' > /www/index.html
httpd -p 8080 -h /www
while :; do sleep 0.1; done
";
const PAGE: &str =
    "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce && sleep 0.5\nCOPY start /start\nCMD [\"/start\"]\n";
const BROKEN_PAGE: &str = "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce\nCOPY start /start\nRUN exit 3\n";

const GOOD_COMPOSE: &str = "services:
  web:
    build: .
    command: httpd -f -p 8080 -h /data
    volumes: ['data:/data']
    depends_on: {fill: {condition: service_completed_successfully}}
    healthcheck: {test: 'wget -q -O /dev/null http://127.0.0.1:8080/page', interval: 1s}
  fill:
    image: busybox:1.37
    command: sh -c 'sleep 0.5; echo filled > /data/page'
    volumes: ['data:/data']
  client:
    image: busybox:1.37
    command: sh -c 'wget -q -O - http://web:8080/page && sleep 600'
    depends_on: {web: {condition: service_healthy}}
volumes: {data: }
";
const EMPTY_COMPOSE: &str = "services:
  web:
    build: .
    command: sh -c 'mkdir /srv && echo nothing > /srv/page && exec httpd -f -p 8080 -h /srv'
    volumes: ['data:/data']
    healthcheck: {test: 'wget -q -O /dev/null http://127.0.0.1:8080/page', interval: 1s}
volumes: {data: }
";
const SICK_COMPOSE: &str = "services:
  web:
    image: busybox:1.37
    command: sh -c 'mkdir /srv && echo filled > /srv/page && exec httpd -f -p 8080 -h /srv'
    healthcheck: {test: 'test -e /never', interval: 500ms, retries: 2, timeout: 1s}
";
const REFUSED_COMPOSE: &str =
    "services: {web: {image: 'busybox:1.37', command: sleep 60, privileged: true}} # @NONCE@\n";
const COMPOSE_DOCKERFILE: &str = "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce\n";

const ALL_OF_PAGE: Outcomes = &[
    ("handed", "passed"),
    ("built", "passed"),
    ("greets", "passed"),
    ("stays", "passed"),
    ("stops", "passed"),
];
const ALL_OF_COMPOSED: Outcomes = &[("handed", "passed"), ("up", "passed"), ("serves", "passed")];
const DOES_NOT_END: Outcomes = &[("handed", "passed"), ("ends", "failed")];

pub const KINDS: &[Kind] = &[
    Kind {
        what: "a good page",
        exercise: "page",
        files: &[("Dockerfile", PAGE), ("start", GOOD_START)],
        verdict: "passed",
        outcomes: ALL_OF_PAGE,
        says: "",
    },
    Kind {
        what: "a page that greets the wrong one",
        exercise: "page",
        files: &[("Dockerfile", PAGE), ("start", WRONG_START)],
        verdict: "failed",
        outcomes: &[
            ("handed", "passed"),
            ("built", "passed"),
            ("greets", "failed"),
            ("stays", "passed"),
            ("stops", "passed"),
        ],
        says: "hello nobody",
    },
    Kind {
        what: "a page that does not stop",
        exercise: "page",
        files: &[("Dockerfile", PAGE), ("start", RUDE_START)],
        verdict: "failed",
        outcomes: &[
            ("handed", "passed"),
            ("built", "passed"),
            ("greets", "passed"),
            ("stays", "passed"),
            ("stops", "failed"),
        ],
        says: "had to be killed",
    },
    Kind {
        what: "a page that cannot be built",
        exercise: "page",
        files: &[("Dockerfile", BROKEN_PAGE), ("start", GOOD_START)],
        verdict: "failed",
        outcomes: &[
            ("handed", "passed"),
            ("built", "skipped"),
            ("greets", "skipped"),
            ("stays", "skipped"),
            ("stops", "skipped"),
        ],
        says: "exit code 3",
    },
    Kind {
        what: "a good stack",
        exercise: "composed",
        files: &[("compose.yaml", GOOD_COMPOSE), ("Dockerfile", COMPOSE_DOCKERFILE)],
        verdict: "passed",
        outcomes: ALL_OF_COMPOSED,
        says: "",
    },
    Kind {
        what: "a stack that serves nothing",
        exercise: "composed",
        files: &[("compose.yaml", EMPTY_COMPOSE), ("Dockerfile", COMPOSE_DOCKERFILE)],
        verdict: "failed",
        outcomes: &[("handed", "passed"), ("up", "passed"), ("serves", "failed")],
        says: "nothing",
    },
    Kind {
        what: "a stack that is never healthy",
        exercise: "sickly",
        files: &[("compose.yaml", SICK_COMPOSE)],
        verdict: "failed",
        outcomes: &[("handed", "passed"), ("up", "failed"), ("serves", "passed")],
        says: "healthy",
    },
    Kind {
        what: "a stack that asks for too much",
        exercise: "composed",
        files: &[("compose.yaml", REFUSED_COMPOSE)],
        verdict: "failed",
        outcomes: &[("handed", "passed"), ("up", "skipped"), ("serves", "skipped")],
        says: "privileged",
    },
    Kind {
        what: "a fork bomb",
        exercise: "narrow",
        files: &[(
            "Dockerfile",
            "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce\nCMD [\"sh\", \"-c\", \"b() { b | b & }; b; sleep 1000\"]\n",
        )],
        verdict: "failed",
        outcomes: DOES_NOT_END,
        says: "the container",
    },
    Kind {
        what: "a fork bomb in the build",
        exercise: "endless",
        files: &[("Dockerfile", "FROM busybox:1.37\nRUN echo @NONCE@; b() { b | b & }; b; sleep 1000\n")],
        verdict: "failed",
        outcomes: &[("handed", "passed"), ("ends", "skipped")],
        says: "",
    },
    Kind {
        what: "an endless log",
        exercise: "narrow",
        files: &[("Dockerfile", "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce\nCMD [\"yes\"]\n")],
        verdict: "failed",
        outcomes: DOES_NOT_END,
        says: "still runs",
    },
    Kind {
        what: "a full disk",
        exercise: "filled",
        files: &[(
            "Dockerfile",
            "FROM busybox:1.37\nRUN echo @NONCE@ > /nonce\nCMD [\"sh\", \"-c\", \"dd if=/dev/zero of=/file bs=1M; sleep 60\"]\n",
        )],
        verdict: "failed",
        outcomes: DOES_NOT_END,
        says: "disk",
    },
];
