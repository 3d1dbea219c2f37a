//! Keys of `build`, seen in the images and the sentences.

use crate::{graded, graded_beside, outcomes, passes};

const COMPOSE: &str = "
services:
  web: {build: {context: ., secrets: [token, {source: key, target: id}], labels: {org.example.by: me}}}
secrets: {token: {file: token.txt}, key: {file: key.txt}}
";
const MOUNTS: &str = "FROM busybox:1.37
RUN --mount=type=secret,id=token --mount=type=secret,id=id cat /run/secrets/token /run/secrets/id | md5sum > /sum
CMD cat /sum && sleep 600
";

#[test]
fn a_secret_of_the_submission_needs_buildkit_and_is_there_with_it() {
    let checks = "  - {id: sum, title: Sum, logs: {service: web, stdout: {contains: 5b9164ad6f496d9dee12ec7634ce253f}, within: 10s}}\n";
    let files = [("compose.yaml", COMPOSE), ("Dockerfile", MOUNTS), ("token.txt", "one"), ("key.txt", "two")];
    let classic = graded_beside("", checks, &files, &[("DRYDOCK_SANDBOX_BUILDER", "classic")]);
    let (_, outcome, observed) = outcomes(&classic)[0];
    assert_eq!((classic["verdict"].as_str(), outcome), (Some("failed"), "skipped"), "{observed}");
    assert!(observed.contains("Line 2 uses") && observed.contains("only BuildKit knows"), "{observed}");
    let buildkit = graded_beside("", checks, &files, &[("DRYDOCK_SANDBOX_UNBOUNDED_BUILDKIT", "true")]);
    passes(&buildkit);
}

#[test]
fn an_unused_secret_changes_nothing() {
    let checks = "  - {id: up, title: Up, compose_health: {}}\n";
    let plain = "FROM busybox:1.37\nCMD sleep 600\n";
    passes(&graded(
        checks,
        &[("compose.yaml", COMPOSE), ("Dockerfile", plain), ("token.txt", "one"), ("key.txt", "two")],
    ));
}

#[test]
fn another_context_is_refused_with_its_line() {
    let compose = "services:\n  web:\n    build: {context: ., additional_contexts: {res: ./res}}\n";
    let report = graded(
        "  - {id: up, title: Up, compose_health: {}}\n",
        &[("compose.yaml", compose), ("Dockerfile", "FROM busybox:1.37\n")],
    );
    let (_, _, observed) = outcomes(&report)[0];
    assert!(
        observed.contains(
            "compose.yaml:3:25: services.web.build.additional_contexts: a build here has one context"
        ),
        "{observed}"
    );
}
