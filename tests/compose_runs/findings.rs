//! What was found in the file stands in the report, with its place.

use crate::{evidence, graded, outcomes, passes};

const TITLE: &str = "What was found in the compose file";

#[test]
fn all_that_stops_it_is_in_the_report_at_once() {
    let compose = "
services:
  web:
    image: busybox:1.37
    privileged: true
    volumes: ['/etc:/host']
    ports: ['80:80']
    cpu_shares: 7
    platform: linux/s390x
";
    let report = graded("  - {id: up, title: Up, compose_health: {}}\n", &[("compose.yaml", compose)]);
    let (_, outcome, observed) = outcomes(&report)[0];
    assert_eq!(outcome, "skipped");
    assert!(observed.contains("compose.yaml:5:5: services.web.privileged: "), "{observed}");
    assert!(observed.ends_with("2 more things stop it; all are in the evidence."), "{observed}");
    let told = evidence(&report, "up", TITLE);
    for line in [
        "What stops it (3):\ncompose.yaml:5:5: services.web.privileged: ",
        "\ncompose.yaml:6:15: services.web.volumes[0]",
        "\ncompose.yaml:9:5: services.web.platform: the machine here executes `linux/",
        "\n\nRun in another way than it is written (1):\ncompose.yaml:7:5: services.web.ports: ",
        "\n\nWithout effect here (1):\ncompose.yaml:8:5: services.web.cpu_shares: ",
    ] {
        assert!(told.contains(line), "{line}\n in \n{told}");
    }
}

#[test]
fn what_is_run_in_another_way_is_told_by_the_first_check_of_the_stack() {
    let compose = "
services:
  web: {image: 'busybox:1.37', command: sleep 600, container_name: w, ports: ['80:80'], mac_address: '02:42:ac:11:65:43'}
";
    let checks = "
  - {id: read, title: Read, compose: {services: {only: [web]}}}
  - {id: up, title: Up, compose_health: {}}
  - {id: env, title: Env, env: {service: web, variables: {PATH: {contains: bin}}}}
";
    let report = graded(checks, &[("compose.yaml", compose)]);
    passes(&report);
    let told = evidence(&report, "up", TITLE);
    for line in [
        "Run in another way than it is written (2):\ncompose.yaml:3:52: services.web.container_name: ",
        "compose.yaml:3:71: services.web.ports: ",
        "Without effect here (1):\ncompose.yaml:3:89: services.web.mac_address: ",
    ] {
        assert!(told.contains(line), "{line}\n in \n{told}");
    }
    assert_eq!(report.to_string().matches(TITLE).count(), 1);
}
