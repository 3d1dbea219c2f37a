//! Registries that mean harm, or are down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use drydock::submissions::reference::Reference;
use drydock::submissions::remote::{Credentials, FetchError};
use serde_json::{Value, json};

use super::images::{BOUNDS, Pull, amd64};
use super::registry::{Made, OCI, Packing, digest, layer, packed};
use super::repositories::refused;
use super::server::{Asked, Server, remote, response};

type Answers = Arc<Mutex<BTreeMap<String, Response<Bytes>>>>;

/// A registry that answers as it is told, by path.
struct Fake {
    server: Server,
    answers: Answers,
    made: Made,
}

impl Fake {
    async fn new(made: Made) -> Self {
        let answers: Answers = Arc::default();
        let known = Arc::clone(&answers);
        let server = Server::start(move |asked: Asked| {
            let answer = known.lock().unwrap().get(&asked.path).cloned();
            async move { answer.map_or_else(|| response(404, &[], ""), |answer| answer.map(Body::from)) }
        })
        .await;
        let fake = Self { server, answers, made };
        for bytes in fake.made.layers.iter().map(|(_, bytes)| bytes).chain([&fake.made.config]) {
            fake.set(&format!("blobs/{}", digest(bytes)), 200, &[], bytes);
        }
        fake.describe(|_| {});
        fake
    }

    fn set(&self, path: &str, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(Bytes::copy_from_slice(body)).unwrap();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/v2/x/app/{path}") };
        self.answers.lock().unwrap().insert(path, answer);
    }

    /// Puts up the manifest, changed.
    fn describe(&self, change: impl FnOnce(&mut Value)) {
        let described = |bytes: &[u8]| json!({"digest": digest(bytes), "size": bytes.len()});
        let mut manifest = json!({
            "schemaVersion": 2,
            "config": described(&self.made.config),
            "layers": self.made.layers.iter().map(|(_, bytes)| described(bytes)).collect::<Vec<_>>(),
        });
        change(&mut manifest);
        self.set("manifests/latest", 200, &[], &serde_json::to_vec(&manifest).unwrap());
    }

    fn reference(&self) -> String {
        format!("{}/x/app", self.server.address)
    }

    async fn sentence(&self) -> String {
        refused(Pull::new().from(&self.reference()).await)
    }
}

fn small() -> Made {
    Made::new(OCI, ("linux", "amd64"), &[(layer("x", b"y"), Packing::Gzip)])
}

#[tokio::test]
async fn a_registry_that_lies_is_refused() {
    let fake = Fake::new(small()).await;
    assert!(Pull::new().from(&fake.reference()).await.is_ok());

    let zero = format!("sha256:{}", "0".repeat(64));
    fake.set("manifests/latest", 200, &[("docker-content-digest", &zero)], b"{}");
    assert!(fake.sentence().await.contains("damaged at its registry"));
    for body in [&b"<html>"[..], b"{}", b"[]", b"{\"schemaVersion\":1}"] {
        fake.set("manifests/latest", 200, &[], body);
        assert!(fake.sentence().await.contains("no container image"));
    }
    fake.set("manifests/latest", 200, &[], &vec![b' '; 5 << 20]);
    assert!(fake.sentence().await.contains("larger than 4 MiB"));
    // Sizes that are not so, digests that are none or another's.
    let lies: [fn(&mut Value); 8] = [
        |manifest| manifest["layers"][0]["size"] = json!(3),
        |manifest| manifest["layers"][0]["size"] = json!(1_000_000),
        |manifest| manifest["layers"][0]["size"] = json!(1_u64 << 62),
        |manifest| manifest["config"]["size"] = json!(7),
        |manifest| manifest["layers"][0]["digest"] = json!("sha256:../../../etc/passwd"),
        |manifest| manifest["layers"][0]["digest"] = manifest["config"]["digest"].clone(),
        |manifest| manifest["layers"][0]["urls"] = json!(["http://169.254.169.254/"]),
        |manifest| manifest["layers"] = json!([]),
    ];
    for lie in lies {
        fake.describe(lie);
        fake.sentence().await;
    }
    fake.describe(|_| {});
    let path = format!("blobs/{}", digest(&fake.made.layers[0].1));
    for other in [packed(&layer("x", b"z"), Packing::Gzip), vec![0; 100_000], Vec::new()] {
        fake.set(&path, 200, &[], &other);
        assert!(fake.sentence().await.contains("damaged at its registry"));
    }
}

#[tokio::test]
async fn layers_are_what_the_configuration_says() {
    let mut made = small();
    made.layers = vec![("", packed(&layer("x", b"another"), Packing::Gzip))];
    assert!(Fake::new(made).await.sentence().await.contains("Layer 1 of the image is not the one"));

    let mut made = small();
    made.layers = vec![("", [&[0x1f, 0x8b, 8][..], &[7; 100]].concat())];
    assert!(Fake::new(made).await.sentence().await.contains("cannot be unpacked"));

    // Sixty kilobytes that unpack to many megabytes.
    for packing in [Packing::Gzip, Packing::Zstd] {
        let bomb = Made::new(OCI, ("linux", "amd64"), &[(vec![0; 20 << 20], packing)]);
        assert!(bomb.layers[0].1.len() < 1 << 20);
        assert!(Fake::new(bomb).await.sentence().await.contains("unpacks to more than 16 MiB"));
    }
    let one = layer("x", b"y");
    let many = Made::new(OCI, ("linux", "amd64"), &vec![(one, Packing::Gzip); 128]);
    assert!(Fake::new(many).await.sentence().await.contains("128 layers"));
    for config in ["{}", "[]", "null", r#"{"rootfs":{"type":"x","diff_ids":[]}}"#] {
        let made = Made { config: config.into(), ..small() };
        assert!(Fake::new(made).await.sentence().await.contains("no container image"));
    }
}

#[tokio::test]
async fn blobs_and_tokens_come_from_where_they_may() {
    let fake = Fake::new(small()).await;
    let blob = format!("blobs/{}", digest(&fake.made.layers[0].1));
    for to in ["http://169.254.169.254/layer", "https://10.1.2.3/layer", "http://[fd00::1]/x"] {
        fake.set(&blob, 307, &[("location", to)], b"");
        assert!(fake.sentence().await.contains("fetch.allowed_hosts"));
    }
    // Elsewhere on this machine, as registries send to where they keep their blobs; without the token.
    let bytes = Bytes::from(fake.made.layers[0].1.clone());
    let store = Server::start(move |_| {
        let bytes = bytes.clone();
        async move { response(200, &[], bytes) }
    })
    .await;
    fake.set(&blob, 307, &[("location", &store.url("/layer"))], b"");
    let mut pull = Pull::new();
    pull.credentials = Some(Credentials::new("ada", "hunter2"));
    assert!(pull.from(&fake.reference()).await.is_ok());
    assert!(store.asked().iter().all(|asked| asked.header("authorization").is_empty()));

    for realm in
        ["http://169.254.169.254/token", "https://192.168.1.1/token", "file:///etc/passwd", "nonsense"]
    {
        let wish = format!("Bearer realm=\"{realm}\",service=\"x\"");
        fake.set("manifests/latest", 401, &[("www-authenticate", &wish)], b"");
        let sentence = fake.sentence().await;
        assert!(
            sentence.contains("fetch.allowed_hosts") || sentence.contains("place for tokens"),
            "{sentence}"
        );
        let error = format!("{:?}", pull.from(&fake.reference()).await);
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_fetched_and_shown_to_the_registry_alone() {
    let made = small();
    let fake = Fake::new(made).await;
    let answers = Arc::clone(&fake.answers);
    let guarded = Server::start(move |asked: Asked| {
        let answer = answers.lock().unwrap().get(&asked.path).cloned();
        async move {
            let host = asked.header("host").to_owned();
            if asked.path == "/token" {
                let wanted = "service=shop&scope=repository%3Ax%2Fapp%3Apull";
                let known = asked.header("authorization") == "Basic YWRhOmh1bnRlcjI=";
                let status = if known && asked.query == wanted { 200 } else { 403 };
                return response(status, &[], r#"{"token":"open-sesame"}"#);
            }
            if asked.header("authorization") != "Bearer open-sesame" {
                let wish = format!("Bearer realm=\"http://{host}/token\",service=\"shop\",scope=\"all\"");
                return response(401, &[("www-authenticate", &wish)], "");
            }
            answer.map_or_else(|| response(404, &[], ""), |answer| answer.map(Body::from))
        }
    })
    .await;
    let reference = format!("{}/x/app", guarded.address);
    let mut pull = Pull::new();
    assert!(refused(pull.from(&reference).await).contains("not give out this image to everybody"));
    pull.credentials = Some(Credentials::new("ada", "hunter2"));
    assert!(pull.from(&reference).await.is_ok());
    let asked = guarded.asked();
    assert_eq!(asked.iter().filter(|asked| asked.path == "/token").count(), 2);
}

#[tokio::test]
async fn a_registry_that_is_down_is_nobodys_fault() {
    let down = Server::start(|_| async { response(503, &[], "") }).await;
    let busy = Server::start(|_| async { response(429, &[], "") }).await;
    let slow = Server::start(|_| async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        response(200, &[], "")
    })
    .await;
    for server in [&down, &busy, &slow] {
        let folder = tempfile::tempdir().unwrap();
        let reference: Reference = format!("{}/app", server.address).parse().unwrap();
        let within = Duration::from_millis(500);
        let remote = remote();
        let pulling =
            async move { remote.image(&reference, &amd64(), None, folder.path(), &BOUNDS, within).await };
        // In a task of its own, as a worker does it.
        let result = tokio::spawn(pulling).await.unwrap();
        assert!(matches!(result, Err(FetchError::Unreachable(..))), "{result:?}");
    }
    let gone = down.address;
    drop(down);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = Pull::new().from(&format!("{gone}/app")).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable(..)), "{error:?}");
}
