//! Debian's registry (the distribution project's) on a port of this machine, filled over HTTP.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// `hunter2`, for `ada`.
const HTPASSWD: &str = "ada:$2b$04$hHwP25sMpMUNlSdyDpkuA.Nd2gtSBZI.0FPX2QTYCMk8YEEJS06X6\n";

/// Ends when dropped.
pub struct Registry {
    process: Child,
    pub host: String,
    private: bool,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Registry {
    /// An empty registry; a private one is open to `ada` alone.
    pub async fn start(private: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{free}");
        let at = folder.path().display();
        let mut access = String::new();
        if private {
            std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
            access = format!("auth:\n  htpasswd: {{realm: here, path: {at}/htpasswd}}\n");
        }
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {at}/data}}\nhttp:\n  \
             addr: {host}\n{access}"
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed by tests/run");
        let client = reqwest::Client::new();
        let registry = Self { process, host, private, client, _folder: folder };
        for _ in 0..200 {
            if registry.client.get(format!("http://{}/v2/", registry.host)).send().await.is_ok() {
                return registry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the registry does not answer");
    }

    fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url);
        if self.private { request.basic_auth("ada", Some("hunter2")) } else { request }
    }

    /// Uploads a blob; its descriptor.
    pub async fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let begun = self.request(reqwest::Method::POST, &url).send().await.unwrap();
        assert_eq!(begun.status(), 202);
        let to = begun.headers()["location"].to_str().unwrap().to_owned();
        let digest = digest(bytes);
        let to = format!("{to}{}digest={digest}", if to.contains('?') { '&' } else { '?' });
        let done = self.request(reqwest::Method::PUT, &to).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(done.status(), 201);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Uploads a manifest or index; its descriptor.
    pub async fn manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Value {
        let media_type = manifest["mediaType"].as_str().unwrap();
        let bytes = serde_json::to_vec(manifest).unwrap();
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host);
        let put = self.request(reqwest::Method::PUT, &url).header("content-type", media_type);
        let done = put.body(bytes.clone()).send().await.unwrap();
        let status = done.status();
        assert_eq!(status, 201, "{}", done.text().await.unwrap());
        json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()})
    }

    /// Uploads an image; the descriptor of its manifest.
    pub async fn image(&self, repository: &str, tag: &str, image: &Made) -> Value {
        let config = self.blob(repository, image.kinds.1, &image.config).await;
        let mut layers = Vec::new();
        for (media_type, packed) in &image.layers {
            layers.push(self.blob(repository, media_type, packed).await);
        }
        let manifest =
            json!({"schemaVersion": 2, "mediaType": image.kinds.0, "config": config, "layers": layers});
        self.manifest(repository, tag, &manifest).await
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// How a layer is packed.
#[derive(Clone, Copy)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

pub const OCI: (&str, &str) =
    ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json");
pub const DOCKER: (&str, &str) = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
);

/// An image that was made by hand.
#[derive(Clone)]
pub struct Made {
    pub kinds: (&'static str, &'static str),
    pub config: Vec<u8>,
    pub layers: Vec<(&'static str, Vec<u8>)>,
    /// `sha256:…` of each layer, unpacked.
    pub diff_ids: Vec<String>,
}

/// A layer with one file.
pub fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, content).unwrap();
    tar.into_inner().unwrap()
}

pub fn packed(layer: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Plain => layer.to_vec(),
        Packing::Gzip => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(layer).unwrap();
            gzip.finish().unwrap()
        }
        Packing::Zstd => {
            ruzstd::encoding::compress_to_vec(layer, ruzstd::encoding::CompressionLevel::Fastest)
        }
    }
}

impl Made {
    pub fn new(
        kinds: (&'static str, &'static str),
        platform: (&str, &str),
        layers: &[(Vec<u8>, Packing)],
    ) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|(layer, _)| digest(layer)).collect();
        let config = json!({
            "os": platform.0,
            "architecture": platform.1,
            "config": {"Cmd": ["/x"], "Labels": {"made": "by hand"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": layers.iter().map(|_| json!({"created_by": "COPY x x"})).collect::<Vec<_>>(),
        });
        let layers = layers.iter().map(|(layer, packing)| {
            let media_type = match packing {
                Packing::Plain => "application/vnd.oci.image.layer.v1.tar",
                Packing::Gzip if kinds == DOCKER => "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Packing::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
                Packing::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            };
            (media_type, packed(layer, *packing))
        });
        let layers = layers.collect();
        Self { kinds, config: serde_json::to_vec(&config).unwrap(), layers, diff_ids }
    }
}
