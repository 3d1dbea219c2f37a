//! `saved_image`: what was handed in as a `docker save` archive.

use drydock::checks::Finding;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{content, failed, kind, look, passed};

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The members of an archive with one layer; `said` is the layer's digest by the configuration.
fn members(tag: &str, said: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let layer = tar(&[("srv/app", b"hello")]);
    let said = said.map_or_else(|| hex(&layer), str::to_owned);
    let config = json!({
        "os": "linux", "architecture": "arm64", "variant": "v8",
        "rootfs": {"diff_ids": [format!("sha256:{said}")]},
    });
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", hex(&config));
    let manifest = json!([{"Config": name, "RepoTags": [tag], "Layers": ["l/layer.tar"]}]).to_string();
    vec![(name, config), ("l/layer.tar".into(), layer), ("manifest.json".into(), manifest.into_bytes())]
}

fn saved(tag: &str, said: Option<&str>) -> Vec<u8> {
    let members = members(tag, said);
    tar(&members.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

async fn of(files: &[(&str, &[u8])], fields: Value) -> Finding {
    look(&kind("saved_image", &fields), &content(files), &[]).await.expect("told")
}

#[tokio::test]
async fn a_whole_archive_with_the_tag_passes() {
    let good = saved("app:r4nd0m", None);
    let files = [("out/image.tar", good.as_slice()), ("README", b"x")];
    for fields in [
        json!({}),
        json!({"tag": "app:${random}", "platform": "linux/arm64"}),
        json!({"file": "out/image.tar", "tag": "docker.io/library/app:r4nd0m", "platform": "linux/arm64/v8"}),
    ] {
        passed(&of(&files, fields).await);
    }
    let finding = of(&files, json!({"tag": "app:1", "platform": "linux/amd64"})).await;
    assert_eq!(failed(&finding).observed, "`app:r4nd0m` for `linux/arm64` with 1 layer");
    assert_eq!(
        failed(&finding).expected,
        "a whole saved image whose tag is `app:1` for a platform that is `linux/amd64`"
    );
}

#[tokio::test]
async fn the_archive_may_be_the_submission() {
    let members = members("app:1", None);
    let mut files: Vec<(&str, &[u8])> =
        members.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    passed(&of(&files, json!({"tag": "app:1"})).await);
    files.remove(1);
    let finding = of(&files, json!({"tag": "app:1"})).await;
    assert!(failed(&finding).observed.contains("its layer `l/layer.tar` is missing in it"), "{finding:?}");
}

#[tokio::test]
async fn what_is_not_whole_says_where() {
    let good = saved("app:1", None);
    let lying = saved("app:1", Some(&"0".repeat(64)));
    for (files, observed) in [
        (vec![("README", &b"x"[..])], "there is no `.tar` in the submission"),
        (
            vec![("a.tar", &good[..]), ("b.tar", &good[..])],
            "there are 2 archives, `a.tar`, `b.tar`, and one is wanted",
        ),
        (
            vec![("a.tar", &good[..3000]), ("b", b"x")],
            "`a.tar` cannot be read as a saved image: it is not whole",
        ),
        (vec![("a.tar", b"hello"), ("b", b"x")], "it is no tar archive"),
        (vec![("a.tar", &lying[..]), ("b", b"x")], "layer 1 has another digest than the configuration says"),
    ] {
        let finding = of(&files, json!({"tag": "app:1"})).await;
        assert!(failed(&finding).observed.contains(observed), "{observed}: {finding:#?}");
    }
    let finding = of(&[("a.tar", &good)], json!({"file": "b.tar"})).await;
    assert_eq!(failed(&finding).observed, "there is no file `b.tar`");
}
