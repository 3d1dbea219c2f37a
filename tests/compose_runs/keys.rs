//! Single keys of a service, each seen in its container.

use crate::{graded, outcomes, passes};

#[test]
fn limits_names_and_terminals_are_as_the_file_says() {
    let compose = "
services:
  web:
    image: busybox:1.37
    command: sh -c 'ulimit -n; ulimit -Hn; ulimit -c; cat /etc/resolv.conf; hostname -f; test -t 0 || echo piped; sleep 600'
    ulimits: {nofile: {soft: 100, hard: 65535}, core: -1}
    hostname: web
    domainname: lab.example
    dns_search: [one.example, two.example]
    dns_opt: ['ndots:2', 'timeout:3']
    links: ['db:database', db]
  db: {image: 'busybox:1.37', command: httpd -f -p 6000 -h /, networks: [default]}
  shell: {image: 'busybox:1.37', tty: true, stdin_open: true}
  waiting: {image: 'busybox:1.37', command: cat, stdin_open: true}
  screen:
    image: busybox:1.37
    command: sh -c 'test -t 1 && echo on a terminal; printf \"\\\\001\\\\000\\\\000\\\\000\\\\377\\\\377\\\\377\\\\377 no frame\"; sleep 600'
    tty: true
";
    let checks = "
  - {id: up, title: Up, compose_health: {within: 30s}}
  - {id: limits, title: Limits, logs: {service: web, stdout: {matches: '^100\\s+4096\\s+0\\s'}, within: 10s}}
  - {id: search, title: Search, logs: {service: web, stdout: {contains: 'search one.example two.example'}, within: 10s}}
  - {id: options, title: Options, logs: {service: web, stdout: {contains: 'timeout:3'}, within: 10s}}
  - {id: domain, title: Domain, logs: {service: web, stdout: {contains: web.lab.example}, within: 10s}}
  - {id: piped, title: No terminal, logs: {service: web, stdout: {contains: piped}, within: 10s}}
  - {id: link, title: Link, command: {service: web, run: 'wget -q -O - http://database:6000/etc/passwd', stdout: {contains: root}}}
  - {id: others, title: Nobody else, command: {service: waiting, run: 'wget -q -O - -T 2 http://database:6000/etc/passwd', exit_code: 1, within: 40s}}
  - {id: terminal, title: Terminal, logs: {service: screen, stdout: {matches: 'on a terminal\\r\\n'}, within: 10s}}
  - {id: bytes, title: Bytes as they come, logs: {service: screen, stdout: {contains: no frame}, within: 10s}}
";
    passes(&graded(checks, &[("compose.yaml", compose)]));
}

#[test]
fn a_service_has_the_time_that_it_asks_for_to_end() {
    let compose = "
services:
  slow: {image: 'busybox:1.37', command: sh -c 'trap \"sleep 2; exit 0\" TERM; while :; do sleep 0.1; done', stop_grace_period: 20s}
  short: {image: 'busybox:1.37', command: sh -c 'trap \"sleep 5; exit 0\" TERM; while :; do sleep 0.1; done', stop_grace_period: 500ms}
";
    let checks = "
  - {id: slow, title: Slow, stops: {service: slow, within: 10s}}
  - {id: short, title: Short, stops: {service: short, within: 10s}}
";
    let report = graded(checks, &[("compose.yaml", compose)]);
    let seen = outcomes(&report);
    assert_eq!(seen[0].1, "passed", "{seen:?}");
    assert_eq!(seen[1].1, "failed", "{seen:?}");
    assert!(seen[1].2.starts_with("it did not end within 500 ms and had to be killed"), "{seen:?}");
}

#[test]
fn hooks_run_in_the_container_and_one_that_fails_is_told() {
    let compose = "
services:
  web:
    image: busybox:1.37
    command: sh -c 'mkdir -p /data; httpd -f -p 8080 -h /data'
    volumes: ['kept:/kept']
    post_start:
      - {command: [sh, -c, 'mkdir -p /data; echo $$WHO > /data/who; id -u >> /data/who; pwd >> /data/who'], environment: [WHO=hook], user: '0', working_dir: /tmp}
      - {command: [sh, -c, 'echo second >> /data/who; test -e /kept/again && cp /kept/log /data/log || echo not stopped yet > /data/log; touch /kept/again']}
    pre_stop:
      - {command: [sh, -c, 'echo stopped >> /kept/log']}
volumes: {kept: }
";
    let checks = "
  - {id: after, title: After, http: {service: web, port: 8080, path: /who, body: {matches: '^hook\\n0\\n/tmp\\nsecond\\n$'}}}
  - {id: before, title: Before, command: {service: web, run: 'test ! -e /kept/log', exit_code: 0}}
  - {id: between, title: Between, survives: {service: web, how: stop, recovers: {http: {service: web, port: 8080, path: /log, body: {contains: stopped}}}, within: 10s}}
";
    passes(&graded(checks, &[("compose.yaml", compose)]));

    let fails = "
services:
  web:
    image: busybox:1.37
    command: sleep 600
    post_start: [{command: [sh, -c, 'echo no such table >&2; exit 3']}]
";
    let report = graded("  - {id: up, title: Up, compose_health: {}}\n", &[("compose.yaml", fails)]);
    let (_, outcome, observed) = outcomes(&report)[0];
    assert_eq!(outcome, "skipped");
    assert!(
        observed.starts_with(
            "The service `web` cannot be started: Its `post_start` command `sh -c echo no such table"
        ) && observed.ends_with("ended with exit code 3. It printed: no such table"),
        "{observed}"
    );
}

#[test]
fn one_that_keeps_ending_is_not_up_whenever_it_is_looked_at() {
    let compose = "
services:
  steady: {image: 'busybox:1.37', command: sleep 600, restart: always}
  crashes: {image: 'busybox:1.37', command: sh -c 'sleep 1; exit 1', restart: always}
  ends: {image: 'busybox:1.37', command: sh -c 'sleep 0.2; exit 4'}
";
    let report =
        graded("  - {id: up, title: Up, compose_health: {within: 20s}}\n", &[("compose.yaml", compose)]);
    let (_, outcome, observed) = outcomes(&report)[0];
    assert_eq!(outcome, "failed");
    assert!(observed.contains("`crashes` is started again and again"), "{observed}");
    assert!(observed.contains("`ends`: ") && !observed.contains("steady"), "{observed}");
}
