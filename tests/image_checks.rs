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
use drydock::config::{BuilderChoice, SandboxSettings};
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

#[tokio::test]
async fn layers_keep_what_was_deleted() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let leaky = format!(
        "FROM {BUSYBOX}\nARG API_TOKEN\nCOPY secret /srv/.env\nRUN gzip -c /srv/.env > /srv/kept.gz && true $API_TOKEN\n\
         RUN rm /srv/.env\nRUN mkdir -p /srv/repo/.git && touch /srv/repo/.git/HEAD\n"
    );
    let files = [("Dockerfile", leaky.as_str()), ("secret", "PASSWORD=r4nd0m-canary\n")];
    let stage = Stage::build(&sandbox, &files, &[("API_TOKEN", "t0ken-canary")]).await;

    let detail = stage
        .fails("layers", json!({"lacks": "${random}-canary"}), "in `/srv/.env`, gone since layer 4")
        .await;
    assert_eq!(detail.expected, "no `r4nd0m-canary` in any layer, deleted files included");
    let places = proof(&detail, "Where it is");
    assert!(places.contains("layer 2 (`COPY "), "{places}");
    assert!(
        places.contains("layer 3 (`RUN |1 API_TOKEN=") || places.contains("layer 3 (`|1 API_TOKEN="),
        "{places}"
    );
    assert!(places.contains("in `unpacked` in `/srv/kept.gz`"), "{places}");
    stage
        .fails(
            "layers",
            json!({"lacks": "t0ken-canary"}),
            "in the history, in `RUN |1 API_TOKEN=t0ken-canary",
        )
        .await;
    stage.fails("layers", json!({"lacks": {"matches": "r4nd0m-[a-z]{6}$"}}), "gone since").await;
    let detail =
        stage.fails("layers", json!({"no_secret_names": true}), "shows the value of `API_TOKEN`").await;
    assert!(!format!("{:?}", detail.observed).contains("t0ken"), "{detail:#?}");
    stage
        .fails(
            "layers",
            json!({"no_secret_files": true, "allowed": ["/srv/.env"]}),
            "there is `/srv/repo/.git`",
        )
        .await;
    stage
        .passes("layers", json!({"no_secret_names": true, "no_secret_files": true, "allowed": ["API_TOKEN", "/srv/.env", {"matches": "/\\.git$"}]}))
        .await;
    stage.passes("layers", json!({"lacks": ["never-there", {"matches": "^never$"}]})).await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn cache_tells_steps_that_are_saved() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let unique = format!("ENV RUN={}", uuid::Uuid::new_v4());
    let good = format!(
        "FROM {BUSYBOX}\n{unique}\nWORKDIR /srv\nCOPY deps.txt .\nRUN cp deps.txt installed\nCOPY . .\nRUN cat app.sh installed > out\nCMD [\"sh\", \"app.sh\"]\n"
    );
    let files = |dockerfile: &'static str| {
        [
            ("Dockerfile", dockerfile),
            ("deps.txt", "a"),
            ("app.sh", "echo hi"),
            ("notes.md", "x"),
            (".dockerignore", "notes.md\n"),
        ]
    };
    let good = Stage::build(&sandbox, &files(good.leak()), &[]).await;
    let wanted = json!({"touch": "app.sh", "cached": [{"contains": "cp deps.txt"}, 4], "rebuilt": ["COPY . .", {"contains": "cat app.sh"}]});
    let detail = good.passes("cache", wanted.clone()).await;
    let table = proof(&detail, "Steps of the second build");
    assert!(table.contains("  5  cached     RUN cp deps.txt installed\n  6  rebuilt    COPY . ."), "{table}");
    good.fails(
        "cache",
        json!({"touch": "deps.txt", "cached": [{"contains": "cp deps.txt"}]}),
        "`RUN cp deps.txt installed` was carried out again",
    )
    .await;
    good.fails(
        "cache",
        json!({"touch": "notes.md", "rebuilt": ["COPY . ."]}),
        "`COPY . .` came from the cache",
    )
    .await;
    good.fails("cache", json!({"touch": "none", "cached": [1]}), "there is no file `none` to change").await;
    good.fails(
        "cache",
        json!({"touch": "app.sh", "cached": [{"contains": "npm"}]}),
        "has no such instruction",
    )
    .await;
    drop(good);
    sandbox.clean().await;

    let sandbox = bench.sandbox();
    let bad = format!("FROM {BUSYBOX}\n{unique}\nWORKDIR /srv\nCOPY . .\nRUN cp deps.txt installed\n");
    let bad = Stage::build(&sandbox, &files(bad.leak()), &[]).await;
    bad.fails(
        "cache",
        json!({"touch": "app.sh", "cached": [{"contains": "cp deps.txt"}]}),
        "was carried out again",
    )
    .await;
    sandbox.clean().await;

    let sandbox = bench.sandbox();
    let breaks = format!("FROM {BUSYBOX}\nCOPY app.sh .\nRUN test $(wc -l < app.sh) -lt 2\n");
    let breaks = Stage::build(&sandbox, &files(breaks.leak()), &[]).await;
    breaks
        .fails(
            "cache",
            json!({"touch": "app.sh", "cached": [1]}),
            "after the change the image cannot be built",
        )
        .await;
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn cache_reads_buildkit_too() {
    let settings = SandboxSettings { builder: BuilderChoice::BuildKit, ..common::without_pool() };
    let bench = Bench::with(settings).await;
    let sandbox = bench.sandbox();
    let dockerfile = format!(
        "FROM {BUSYBOX} AS build\nENV RUN={}\nWORKDIR /srv\nCOPY deps.txt .\nRUN cp deps.txt installed\nCOPY app.sh .\nRUN cat app.sh installed > out\n\
         FROM {BUSYBOX}\nCOPY --from=build /srv/out /out\nCMD [\"cat\", \"/out\"]\n",
        uuid::Uuid::new_v4()
    );
    // BuildKit's cache goes by content, and keeps what an earlier run of this test copied.
    let app = uuid::Uuid::new_v4().to_string();
    let files = [("Dockerfile", dockerfile.as_str()), ("deps.txt", "a"), ("app.sh", app.as_str())];
    let stage = Stage::build(&sandbox, &files, &[]).await;
    let wanted = json!({"touch": "app.sh", "cached": [{"contains": "cp deps.txt"}, 1, 3], "rebuilt": [{"contains": "cat app.sh"}, {"contains": "--from=build"}]});
    stage.passes("cache", wanted).await;
    stage
        .fails(
            "cache",
            json!({"touch": "deps.txt", "cached": [{"contains": "cp deps.txt"}]}),
            "was carried out again",
        )
        .await;
    drop(stage);
    sandbox.clean().await;
    bench.close().await;
}
