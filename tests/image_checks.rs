//! Checks that read a built image from the real engine: a good and a bad case for each part, and what
//! a student reads.

#[path = "common/engine.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod common;
#[path = "common/paste.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod paste;
#[path = "common/stage.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod stage;

use common::{BUSYBOX, Bench};
use drydock::clock::Clock;
use drydock::config::{BuilderChoice, SandboxSettings};
use serde_json::json;
use stage::{Stage, proof};

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

/// What a student sees who types the line of a failed check about the image under test.
async fn typed(stage: &Stage<'_>, fields: serde_json::Value, observed: &str) -> String {
    let detail = stage.fails("layers", fields.clone(), observed).await;
    let line = detail.reproduce.unwrap_or_else(|| panic!("no line for {fields}"));
    let id = &stage.image.as_ref().expect("an image").config().id;
    let (_, text) = paste::shell(&line.replace("my-image:latest", id).replace("my-image", id)).await;
    println!("{line}\n{text}");
    text.trim_end().to_owned()
}

#[tokio::test]
async fn what_layers_tells_is_seen_with_plain_docker() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let leaky = format!(
        "FROM {BUSYBOX}\nARG API_TOKEN\nENV DB_PASSWORD=hunter22\n\
         COPY secret /srv/.env\n\
         RUN gzip -c /srv/.env > /srv/kept.gz && sed s/open/packed/ /srv/.env | gzip -c > /srv/packed.gz\n\
         RUN rm -r /srv && true $API_TOKEN\nRUN mkdir -p '/it is/.git' && touch '/it is/.git/HEAD'\n"
    );
    let files = [("Dockerfile", leaky.as_str()), ("secret", "PASSWORD=open-canary\n")];
    let stage = Stage::build(&sandbox, &files, &[("API_TOKEN", "t0ken-canary")]).await;

    // Deleted, and packed as well: the first place is told.
    let gone = "in `/srv/.env`, gone since layer 4";
    assert_eq!(typed(&stage, json!({"lacks": "open-canary"}), gone).await, "open-canary");
    assert_eq!(typed(&stage, json!({"lacks": ["never-there", "open-canary"]}), gone).await, "open-canary");
    assert_eq!(
        typed(&stage, json!({"lacks": {"matches": "open-[a-z]+$"}}), gone).await,
        "PASSWORD=open-canary"
    );
    let packed = "in `unpacked` in `/srv/packed.gz`, gone since";
    assert_eq!(typed(&stage, json!({"lacks": "PASSWORD=packed-"}), packed).await, "PASSWORD=packed-");

    let token = typed(&stage, json!({"lacks": "t0ken-canary"}), "in the history").await;
    assert!(token.contains("API_TOKEN=t0ken-canary"), "{token}");
    let set = typed(&stage, json!({"lacks": "hunter22"}), "in the history").await;
    assert!(set.contains("DB_PASSWORD=hunter22"), "{set}");
    let named = json!({"no_secret_names": true, "allowed": ["DB_PASSWORD"]});
    let named = typed(&stage, named, "shows the value of `API_TOKEN`").await;
    assert!(named.contains("t0ken-canary"), "{named}");
    let set = json!({"no_secret_names": true, "allowed": ["API_TOKEN"]});
    let set = typed(&stage, set, "DB_PASSWORD").await;
    assert!(set.contains("DB_PASSWORD=hunter22"), "{set}");
    let listed = json!({"no_secret_files": true, "allowed": ["/srv/.env"]});
    let listed = typed(&stage, listed, "there is `/it is/.git`").await;
    assert!(listed.contains("it is/.git/HEAD"), "{listed}");
    let deleted = typed(&stage, json!({"no_secret_files": true}), "there is `/srv/.env`").await;
    assert!(deleted.ends_with("srv/.env"), "{deleted}");

    let passed = stage.passes("layers", json!({"lacks": "never-there"})).await;
    assert_eq!(passed.reproduce, None, "there is nothing to see");
    sandbox.clean().await;
    bench.close().await;
}

#[tokio::test]
async fn checks_of_one_phase_save_the_image_once() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let dockerfile = format!("FROM {BUSYBOX}\nRUN echo {} > /once\n", uuid::Uuid::new_v4());
    let stage = Stage::build(&sandbox, &[("Dockerfile", &dockerfile)], &[]).await;
    let id = &stage.image.as_ref().expect("an image").config().id;
    let saves = |image: &str| {
        let of = format!("image={image}");
        let now = Clock::system().now().timestamp_micros();
        let until = format!("{}.{:06}000", now / 1_000_000, now % 1_000_000);
        let asked =
            ["events", "--since", "10m", "--until", &until, "--filter", "event=save", "--filter", &of];
        common::docker(&asked).lines().count()
    };

    stage.passes("image_size", json!({"layers": 2})).await;
    assert_eq!(saves(id), 1);
    let size = stage.fails("image_size", json!({"layers": 1}), "the image has 2 layers");
    let lacks = stage.passes("layers", json!({"lacks": "never-there"}));
    let secrets = stage.passes("layers", json!({"no_secret_files": true}));
    tokio::join!(size, lacks, secrets);
    assert_eq!(saves(id), 2, "one more for the three");
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
