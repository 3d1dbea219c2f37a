//! Checks that read a built image from the real engine: a good and a bad case for each part, and what
//! a student reads.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{BUSYBOX, Bench, silent};
use drydock::checks::{Detail, Finding, Kind, Scene};
use drydock::clock::Clock;
use drydock::sandbox::{BuildRequest, Image, Sandbox};
use drydock::submissions::{Answers, Content, ContentLimits};
use indexmap::IndexMap;
use serde_json::{Value, json};

/// What a check may look at here.
struct Stage<'a> {
    sandbox: &'a Sandbox,
    content: Content,
    image: Image,
}

impl<'a> Stage<'a> {
    /// Builds what was handed in.
    async fn build(sandbox: &'a Sandbox, files: &[(&str, &str)], args: &[(&str, &str)]) -> Self {
        let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 1000 };
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Bytes::copy_from_slice(text.as_bytes())))
            .collect();
        let content = Content::from_files(files, &limits).expect("good");
        let request = BuildRequest {
            context: content.build_context("Dockerfile").tar(),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            internet: false,
            needs_buildkit: false,
            bases: Vec::new(),
        };
        let built = sandbox.build(request, silent()).await.expect("an image");
        let image = sandbox.image(&built.image).await.expect("the image");
        Self { sandbox, content, image }
    }

    async fn look(&self, name: &str, fields: &Value) -> Finding {
        let kind = Kind::read(name, &mut serde_json::Deserializer::from_str(&fields.to_string()))
            .unwrap_or_else(|error| panic!("{name} {fields}: {error}"));
        let scene = Scene {
            id: "it",
            content: &self.content,
            answers: &Answers::default(),
            dockerfile: Some("Dockerfile"),
            build_args: &IndexMap::new(),
            target: None,
            image: Some(&self.image),
            stack: None,
            sandbox: Some(self.sandbox),
            variables: &BTreeMap::from([("random".to_owned(), "r4nd0m".to_owned())]),
            clock: &Clock::system(),
        };
        kind.look(&scene).await.unwrap_or_else(|fault| panic!("{name} {fields}: {fault}"))
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

#[tokio::test]
async fn image_size_is_that_of_the_layers() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let dockerfile = format!(
        "FROM {BUSYBOX}\nRUN head -c 3000000 /dev/zero > /big\nRUN rm /big\nCOPY small /srv/small\nENV A=b\n"
    );
    let stage = Stage::build(&sandbox, &[("Dockerfile", &dockerfile), ("small", "x")], &[]).await;
    let base = sandbox.image(BUSYBOX).await.expect("the base").config().size_bytes;

    // The engine counts the targets of links too.
    let about = json!({"at_least": base + 2_999_000, "at_most": base + 3_000_001});
    let detail = stage.passes("image_size", json!({"bytes": about, "layers": 4})).await;
    let layers = proof(&detail, "Layers");
    assert!(layers.contains("RUN head -c 3000000 /dev/zero > /big"), "{layers}");
    assert!(layers.lines().nth(3).is_some_and(|line| line.contains("COPY")), "{layers}");
    assert!(proof(&detail, "Largest wasted files").contains("in 2 layers  /big"), "{detail:#?}");

    stage.passes("image_size", json!({"wasted_bytes": 3_000_000, "efficiency": {"at_most": 0.75}})).await;
    stage.fails("image_size", json!({"wasted_bytes": {"at_most": "1MB"}}), "(3000000 bytes)").await;
    stage.fails("image_size", json!({"efficiency": {"at_least": 0.9}}), "its efficiency is").await;
    stage
        .fails("image_size", json!({"user_wasted_percent": {"at_most": "20%"}}), "100 % of what was added")
        .await;
    stage.fails("image_size", json!({"bytes": {"at_most": "5MiB"}}), "the image has 6.").await;
    stage.fails("image_size", json!({"layers": {"at_most": 2}}), "the image has 4 layers").await;

    let empty =
        Stage::build(&sandbox, &[("Dockerfile", "FROM scratch\nCOPY empty /\n"), ("empty", "")], &[]).await;
    empty.passes("image_size", json!({"bytes": {"at_most": 0}, "efficiency": {"at_least": 1.0}})).await;
    let none = Stage::build(&sandbox, &[("Dockerfile", "FROM scratch\nENV A=b\n")], &[]).await;
    none.passes("image_size", json!({"layers": 0, "user_wasted_percent": {"at_most": 0}})).await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn packages_are_those_of_the_database() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let status = "Package: curl\\nStatus: install ok installed\\nVersion: 8.14.1-2+deb13u1\\n\\nPackage: gcc\\nStatus: deinstall ok config-files\\nVersion: 4:14\\n";
    let debian =
        format!("FROM {BUSYBOX}\nRUN mkdir -p /var/lib/dpkg && printf '{status}' > /var/lib/dpkg/status\n");
    let stage = Stage::build(&sandbox, &[("Dockerfile", &debian)], &[]).await;
    let detail = stage
        .passes("packages", json!({"present": ["curl", {"name": "curl", "version": {"at_least": "8.9"}}], "absent": ["gcc", {"matches": "-dev$"}]}))
        .await;
    assert_eq!(proof(&detail, "Packages").lines().next(), Some("curl  8.14.1-2+deb13u1"));
    assert_eq!(proof(&detail, "Read from"), "/var/lib/dpkg/status");
    stage.fails("packages", json!({"present": ["wget"]}), "`wget` is not installed").await;
    stage
        .fails(
            "packages",
            json!({"present": [{"name": "curl", "version": {"at_most": "8.14.1-2"}}]}),
            "`curl` is installed in version `8.14.1-2+deb13u1`",
        )
        .await;
    stage.fails("packages", json!({"absent": [{"contains": "cur"}]}), "`curl` is installed").await;

    let distroless = format!(
        "FROM {BUSYBOX}\nRUN mkdir -p /var/lib/dpkg/status.d && cd /var/lib/dpkg/status.d && \
         printf 'Package: base-files\\nVersion: 12.4\\n' > base && printf 'x' > base.md5sums\n"
    );
    let stage = Stage::build(&sandbox, &[("Dockerfile", &distroless)], &[]).await;
    stage.passes("packages", json!({"present": [{"name": "base-files", "version": "12.4"}]})).await;

    let alpine = format!(
        "FROM {BUSYBOX}\nRUN mkdir -p /lib/apk/db && printf 'P:musl\\nV:1.2.5-r10\\n\\n' > /lib/apk/db/installed\n"
    );
    let stage = Stage::build(&sandbox, &[("Dockerfile", &alpine)], &[]).await;
    stage
        .passes("packages", json!({"present": [{"name": "musl", "version": {"at_least": "1.2.5-r9"}}]}))
        .await;

    let none = Stage::build(&sandbox, &[("Dockerfile", &format!("FROM {BUSYBOX}\nENV A=b\n"))], &[]).await;
    none.passes("packages", json!({"absent": ["curl"]})).await;
    none.fails("packages", json!({"present": ["curl"]}), "no database of dpkg or apk").await;
    sandbox.clean().await;
    bench.close().await;
}
