//! `compose`: each part of a project as it should be and not.

use drydock::checks::Finding;
use serde_json::{Value, json};

use crate::{content, failed, kind, look, passed};

const SHOP: &str = "
services:
  web:
    build: .
    restart: ${POLICY:-always}
    ports: ['8080:80', '127.0.0.1:9000:9000/udp']
    depends_on:
      db: {condition: service_healthy}
      mail: {condition: service_started}
  db:
    image: postgres:17
    healthcheck: {test: pg_isready}
    secrets: [password]
  mail: {image: busybox:1.37, healthcheck: {disable: true}}
  debug: {image: busybox:1.37, profiles: [debug]}
secrets: {password: {file: password.txt}}
";

async fn asked(compose: &str, fields: &Value) -> Finding {
    let files: [(&str, &[u8]); 3] =
        [("compose.yaml", compose.as_bytes()), ("password.txt", b"x"), ("Dockerfile", b"FROM scratch\n")];
    look(&kind("compose", fields), &content(&files), &[]).await.unwrap()
}

#[tokio::test]
async fn each_part_of_a_project_is_told_apart() {
    for (fields, good, observed) in [
        (json!({"services": ["web", "db"]}), true, "`web`, `db` and `mail`"),
        (json!({"services": {"only": ["web", "db"]}}), false, "its services are `web`, `db` and `mail`"),
        (json!({"services": ["debug"]}), false, "its services are"),
        (json!({"services": ["debug"], "profiles": ["debug"]}), true, "`debug`"),
        (json!({"published": {"only": ["web:80", "web:9000"]}}), true, "`web:80` and `web:9000` published"),
        (json!({"published": {"only": ["web:80"]}}), false, "`web:80` and `web:9000` published"),
        (json!({"published": {"absent": true}}), false, "published"),
        (
            json!({"depends_on": {"web": {"db": "service_healthy"}}}),
            true,
            "`web` depends on `db` with service_healthy",
        ),
        (
            json!({"depends_on": {"web": {"mail": "service_healthy"}}}),
            false,
            "`web` depends on `mail` with service_started",
        ),
        (json!({"depends_on": {"db": {"mail": "service_started"}}}), false, "`db` does not depend on `mail`"),
        (json!({"depends_on": {"shop": {"db": "service_started"}}}), false, "there is no service `shop`"),
        (json!({"healthcheck": ["db"]}), true, "`db` has a health check"),
        (json!({"healthcheck": ["mail"]}), false, "`mail` has no health check with a test"),
        (json!({"healthcheck": ["web"]}), false, "`web` has no health check with a test"),
        (json!({"secrets": {"db": ["password"]}}), true, "`db` is given `password`"),
        (json!({"secrets": {"web": ["password"]}}), false, "`web` is given no secret"),
        (json!({"secrets": {"shop": {"absent": true}}}), false, "there is no service `shop`"),
        (
            json!({"model": {"json": {"/services/web/restart": "always"}}}),
            true,
            "the model is as it should be",
        ),
        (
            json!({"model": {"json": {"/services/web/restart": "no"}}}),
            false,
            "`\"always\"` at `/services/web/restart`",
        ),
        (json!({"model": {"json": {"/services/db/restart": "always"}}}), false, "no such value"),
    ] {
        let finding = asked(SHOP, &fields).await;
        let detail = if good { passed(&finding) } else { failed(&finding) };
        assert!(detail.observed.contains(observed), "{fields}: {}", detail.observed);
        assert_eq!(detail.reproduce.as_deref(), Some("docker compose config"));
        let project = detail.evidence.iter().find(|evidence| evidence.title == "The project").unwrap();
        assert!(project.text.contains("waits for db (service_healthy)"), "{}", project.text);
    }
}

#[tokio::test]
async fn what_cannot_be_run_fails_with_line_and_reason() {
    let fields = json!({"services": ["web"]});
    for (compose, observed) in [
        ("services:\n  web: {image: busybox, privileged: true}\n", "compose.yaml:2:"),
        ("services:\n  web: {image: busybox, volumes: ['/:/host']}\n", "compose.yaml:2:"),
        ("services:\n  web: {imagee: busybox}\n", "image"),
        ("services: [\n", "compose.yaml:"),
    ] {
        let finding = asked(compose, &fields).await;
        let detail = failed(&finding);
        assert!(detail.observed.starts_with("it cannot be run: "), "{}", detail.observed);
        assert!(detail.observed.contains(observed), "{}", detail.observed);
        assert!(detail.evidence.iter().any(|evidence| evidence.title == "What stops it"), "{detail:?}");
    }
    let none = look(&kind("compose", &fields), &content(&[("README.md", b"x")]), &[]).await.unwrap();
    let detail = failed(&none);
    assert!(detail.evidence.iter().any(|evidence| evidence.title == "What was handed in"), "{detail:?}");
    let finding = look(
        &kind("compose", &json!({"services": ["a"], "file": "deploy/stack.yml"})),
        &content(&[("deploy/stack.yml", b"services: {a: {image: busybox}}"), ("README.md", b"x")]),
        &[],
    )
    .await
    .unwrap();
    assert_eq!(passed(&finding).reproduce.as_deref(), Some("docker compose -f deploy/stack.yml config"));
}

#[tokio::test]
async fn values_of_a_grading_are_put_in() {
    let compose = "services: {web: {image: 'busybox', environment: {TOKEN: r4nd0m}}}";
    let model = json!({"model": {"json": {"/services/web/environment/TOKEN": "${random}"}}});
    passed(&asked(compose, &model).await);
}
