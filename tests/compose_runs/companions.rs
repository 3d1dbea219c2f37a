//! Services of the exercise's own beside those of the submission.

use crate::{graded_beside, outcomes, passes};

const COMPANIONS: &str = "stack:
  services:
    client: {image: 'busybox:1.37', command: [sleep, '600'], env: {WORD: 'w-${random}'}}
    feed: {image: 'busybox:1.37', command: [httpd, -f, -p, '9000', -h, /etc], ready: {port: 9000}, networks: [front]}
    once: {image: 'busybox:1.37', command: ['true'], ready: {exited: true}}
";
const CHECKS: &str = "
  - {id: read, title: Read, compose: {services: {has: [web, db], only: [web, db]}}}
  - {id: up, title: Up, compose_health: {within: 30s}}
  - {id: asks, title: Asks, reachable: {from: client, to: web, port: 8080}}
  - {id: back, title: Back, reachable: {from: client, to: db, port: 6000}}
  - {id: known, title: Known, command: {service: web, run: 'wget -q -O - http://feed:9000/passwd', stdout: {contains: root}}}
  - {id: apart, title: Apart, isolated: {from: feed, to: db, port: 6000}}
  - {id: word, title: Word, env: {service: client, variables: {WORD: 'w-${random}'}}}
";
const COMPOSE: &str = "
services:
  web: {image: 'busybox:1.37', command: httpd -f -p 8080 -h /, networks: [front]}
  db: {image: 'busybox:1.37', command: httpd -f -p 6000 -h /, networks: [back]}
networks: {front: , back: }
";

#[test]
fn they_join_the_submissions_networks_and_are_not_its_services() {
    passes(&graded_beside(COMPANIONS, CHECKS, &[("compose.yaml", COMPOSE)], &[]));
}

#[test]
fn a_name_that_is_taken_and_a_network_that_is_missing_are_told() {
    let checks = "  - {id: asks, title: Asks, reachable: {from: client, to: web, port: 8080}}\n";
    for (compose, words) in [
        (COMPOSE.replace("  db:", "  client:"), "The compose file has a service `client`, which is the name"),
        (
            COMPOSE.replace("networks: [back]", "networks: {back: {aliases: [Feed]}}"),
            "The service `db` of the compose file is also called `feed`",
        ),
        (COMPOSE.replace("front", "outer"), "The compose file has no network `front`"),
    ] {
        let report = graded_beside(COMPANIONS, checks, &[("compose.yaml", &compose)], &[]);
        let (_, outcome, observed) = outcomes(&report)[0];
        assert_eq!((report["verdict"].as_str(), outcome), (Some("failed"), "skipped"), "{observed}");
        assert!(observed.contains(words), "{observed}");
    }
}

#[test]
fn one_that_cannot_be_started_is_the_exercises_fault() {
    let broken = COMPANIONS.replace("[sleep, '600']", "[no-such-program]");
    let checks = "  - {id: asks, title: Asks, reachable: {from: client, to: web, port: 8080}}\n";
    let report = graded_beside(&broken, checks, &[("compose.yaml", COMPOSE)], &[]);
    assert_eq!(report["verdict"], "exercise_fault", "{report:#}");
}
