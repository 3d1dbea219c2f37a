//! From the members of an archive to the images in it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Archive, Layer, Member, Sums, Unreadable};
use crate::text::visible;

/// An image of the archive.
pub struct Image<'a, L> {
    /// Names with tags, such as `app:1`.
    pub tags: Vec<String>,
    /// Its configuration.
    pub config: Config,
    /// All that the configuration says.
    pub document: Value,
    /// The configuration as it is written.
    pub text: &'a [u8],
    /// Its layers from the bottom up.
    pub layers: Vec<&'a Layer<L>>,
    /// Where something is not what it says it is, by the digests: clauses without a full stop. Only
    /// where digests were wanted.
    pub lies: Vec<String>,
}

/// An image's configuration, as far as anybody asks (OCI image configuration 1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// In Go's words, such as `amd64`.
    pub architecture: Option<String>,
    /// Such as `linux`.
    pub os: Option<String>,
    /// Such as `v8`.
    pub variant: Option<String>,
    /// How it is run.
    pub config: Option<RunConfig>,
    /// Its layers, unpacked.
    pub rootfs: Option<RootFs>,
    /// How it was made, from the bottom up.
    pub history: Option<Vec<History>>,
}

/// How an image is run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// `NAME=value`
    pub env: Option<Vec<String>>,
}

/// The layers that a configuration names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// `sha256:…` of each unpacked layer.
    pub diff_ids: Option<Vec<String>>,
}

/// A step in which an image was made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    /// The instruction.
    pub created_by: Option<String>,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

impl Config {
    /// The instruction that made each layer, from the bottom up; fewer than layers where the
    /// configuration does not tell.
    #[must_use]
    pub fn instructions(&self) -> Vec<String> {
        let steps = self.history.iter().flatten().filter(|step| !step.empty_layer);
        steps.map(History::instruction).collect()
    }

    /// `linux/arm64/v8`
    #[must_use]
    pub fn platform(&self) -> String {
        let part = |part: &Option<String>| part.clone().filter(|part| !part.is_empty());
        let unknown = || "unknown".to_owned();
        let mut platform = part(&self.os).unwrap_or_else(unknown);
        platform.push('/');
        platform.push_str(&part(&self.architecture).unwrap_or_else(unknown));
        if let Some(variant) = part(&self.variant) {
            platform.push('/');
            platform.push_str(&variant);
        }
        platform
    }
}

impl History {
    /// The instruction, without what the classic builder writes around those that run nothing.
    #[must_use]
    pub fn instruction(&self) -> String {
        let text = self.created_by.as_deref().unwrap_or_default();
        let text = text.strip_prefix("/bin/sh -c #(nop)").unwrap_or(text).trim();
        let text = text.strip_suffix("# buildkit").unwrap_or(text).trim();
        match text.strip_prefix("/bin/sh -c ") {
            Some(command) => format!("RUN {command}"),
            // With the build arguments that it was given.
            None if text.starts_with('|') => format!("RUN {text}"),
            None => text.to_owned(),
        }
    }
}

/// An entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// An OCI index or manifest; both are told by what is in them.
#[derive(Deserialize)]
struct Manifest {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// An OCI content descriptor.
#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// The most images that are looked at in an archive.
const IMAGES: usize = 64;
/// How deep an index may lie in an index.
const DEPTH: usize = 4;
/// The most layers that Docker takes.
const LAYERS: usize = 127;

impl<L> Archive<L> {
    /// The images of the archive; at least one.
    ///
    /// # Errors
    /// [`Unreadable`] where manifest, configuration or a layer is missing or no such thing.
    pub fn images(&self) -> Result<Vec<Image<'_, L>>, Unreadable> {
        let mut images = Vec::new();
        if let Some(manifests) = self.document::<Vec<DockerManifest>>("manifest.json")? {
            for manifest in manifests.into_iter().take(IMAGES) {
                images.push(self.docker(manifest)?);
            }
        } else if let Some(index) = self.document::<Manifest>("index.json")? {
            self.oci(index, &[], 0, &mut images)?;
        } else {
            return Err(Unreadable::Refused(
                "it has neither `manifest.json` nor `index.json`, so it is no saved image".into(),
            ));
        }
        if images.is_empty() {
            return Err(Unreadable::Refused("there is no image in it".into()));
        }
        Ok(images)
    }

    fn docker(&self, manifest: DockerManifest) -> Result<Image<'_, L>, Unreadable> {
        let layers = manifest.layers.unwrap_or_default();
        let mut lies = Vec::new();
        // The name is the digest: `<hex>.json`, or a blob's path.
        let named = manifest.config.rsplit('/').next().unwrap_or_default();
        let named = named.strip_suffix(".json").unwrap_or(named);
        if let Some(sums) = self.sums(&manifest.config)
            && sums.sha256.as_deref().is_some_and(|sum| sum != named)
        {
            lies.push(format!(
                "the configuration {} has another digest than its name",
                quoted(&manifest.config)
            ));
        }
        let paths: Vec<&str> = layers.iter().map(String::as_str).collect();
        for path in &paths {
            if let (Some((_, hex)), Some(sums)) = (path.rsplit_once("blobs/sha256/"), self.sums(path))
                && sums.sha256.as_deref().is_some_and(|sum| sum != hex)
            {
                lies.push(format!("the layer {} has another digest than its name", quoted(path)));
            }
        }
        self.image(manifest.repo_tags.unwrap_or_default(), &manifest.config, &paths, lies)
    }

    fn oci<'a>(
        &'a self,
        manifest: Manifest,
        tags: &[String],
        depth: usize,
        images: &mut Vec<Image<'a, L>>,
    ) -> Result<(), Unreadable> {
        if depth > DEPTH {
            return Err(Unreadable::Refused("its indexes lie too deep in each other".into()));
        }
        if let Some(config) = &manifest.config {
            let mut lies = Vec::new();
            let layers = manifest.layers.unwrap_or_default();
            for descriptor in layers.iter().chain([config]) {
                self.compare(descriptor, &mut lies)?;
            }
            let paths = layers.iter().map(blob).collect::<Result<Vec<_>, _>>()?;
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            images.push(self.image(tags.to_vec(), &blob(config)?, &paths, lies)?);
            return Ok(());
        }
        let mut missing = None;
        for descriptor in manifest.manifests.unwrap_or_default() {
            let note = |name: &str| descriptor.annotations.get(name);
            if note("vnd.docker.reference.type").is_some() {
                // What was noted about a build; no image.
                continue;
            }
            if images.len() == IMAGES {
                break;
            }
            let tags: Vec<String> = match note("io.containerd.image.name")
                .or_else(|| note("org.opencontainers.image.ref.name"))
            {
                Some(name) => vec![name.clone()],
                None => tags.to_vec(),
            };
            let path = blob(&descriptor)?;
            match self.document::<Manifest>(&path)? {
                Some(inner) => {
                    let before = images.len();
                    self.oci(inner, &tags, depth + 1, images)?;
                    let mut lies = Vec::new();
                    self.compare(&descriptor, &mut lies)?;
                    if let Some(image) = images.get_mut(before) {
                        image.lies.extend(lies);
                    }
                }
                // An engine saves only the platforms that it has.
                None => missing = Some(path),
            }
        }
        match missing {
            Some(path) if images.is_empty() => {
                Err(Unreadable::Refused(format!("{} is missing in it", quoted(&path))))
            }
            _ => Ok(()),
        }
    }

    fn image(
        &self,
        tags: Vec<String>,
        config: &str,
        layers: &[&str],
        mut lies: Vec<String>,
    ) -> Result<Image<'_, L>, Unreadable> {
        let document: Value = self.required(config)?;
        let text = match self.member(config) {
            Some(Member::Document { text, .. }) => text.as_slice(),
            _ => &[],
        };
        let config: Config = serde_json::from_value(document.clone()).map_err(|_| unexpected(config))?;
        if layers.len() > LAYERS {
            return Err(Unreadable::Refused(format!(
                "it has {} layers; an image has at most {LAYERS}",
                layers.len()
            )));
        }
        let layers = layers.iter().map(|path| self.layer(path)).collect::<Result<Vec<_>, _>>()?;
        let diff_ids = config.rootfs.iter().flat_map(|rootfs| rootfs.diff_ids.iter().flatten());
        let diff_ids: Vec<&String> = diff_ids.collect();
        if diff_ids.len() != layers.len() {
            lies.push(format!(
                "the configuration names {} layers and the manifest {}",
                diff_ids.len(),
                layers.len()
            ));
        }
        for (number, (layer, diff_id)) in layers.iter().zip(&diff_ids).enumerate() {
            if layer.diff_id.as_ref().is_some_and(|found| found != *diff_id) {
                lies.push(format!("layer {} has another digest than the configuration says", number + 1));
            }
        }
        Ok(Image { tags, config, document, text, layers, lies })
    }

    /// Compares a blob with what is said about it.
    fn compare(&self, descriptor: &Descriptor, lies: &mut Vec<String>) -> Result<(), Unreadable> {
        let path = blob(descriptor)?;
        let Some(Sums { bytes, sha256: Some(sha256) }) = self.sums(&path) else { return Ok(()) };
        if descriptor.digest.strip_prefix("sha256:").is_some_and(|digest| digest != sha256) {
            lies.push(format!("{} has another digest than its name", quoted(&path)));
        }
        if *bytes != descriptor.size {
            lies.push(format!("{} has {bytes} bytes and not {}", quoted(&path), descriptor.size));
        }
        Ok(())
    }

    /// The member at a path, links followed.
    fn member(&self, path: &str) -> Option<&Member<L>> {
        let mut member = self.members.get(&super::entries::clean(path.as_bytes()))?;
        // Old engines write a link for a layer that is there already. A link to a link is none of theirs.
        for _ in 0..4 {
            let Member::Link(target) = member else { return Some(member) };
            member = self.members.get(target)?;
        }
        None
    }

    fn sums(&self, path: &str) -> Option<&Sums> {
        match self.member(path)? {
            Member::Document { sums, .. } | Member::Other { sums } => Some(sums),
            Member::Layer(layer) => Some(&layer.sums),
            Member::Link(_) => None,
        }
    }

    fn layer(&self, path: &str) -> Result<&Layer<L>, Unreadable> {
        match self.member(path) {
            Some(Member::Layer(layer)) => Ok(layer),
            Some(_) => Err(Unreadable::Refused(format!("its layer {} is no tar archive", quoted(path)))),
            None => Err(Unreadable::Refused(format!("its layer {} is missing in it", quoted(path)))),
        }
    }

    fn required<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unreadable> {
        self.document(path)?.ok_or_else(|| Unreadable::Refused(format!("{} is missing in it", quoted(path))))
    }

    /// A document; `None` where there is none at the path.
    fn document<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Unreadable> {
        let Some(member) = self.member(path) else { return Ok(None) };
        let wrong = || unexpected(path);
        let Member::Document { text, .. } = member else { return Err(wrong()) };
        serde_json::from_slice(text).map(Some).map_err(|_| wrong())
    }
}

fn unexpected(path: &str) -> Unreadable {
    Unreadable::Refused(format!("{} in it is not what it should be", quoted(path)))
}

/// Where a blob lies (OCI image layout, "Blobs").
fn blob(descriptor: &Descriptor) -> Result<String, Unreadable> {
    match descriptor.digest.split_once(':') {
        Some((algorithm, hex)) => Ok(format!("blobs/{algorithm}/{hex}")),
        None => Err(Unreadable::Refused(format!("{} is no digest", quoted(&descriptor.digest)))),
    }
}

/// Something out of the archive in a sentence.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    format!("`{}`", visible(&short.replace(['\n', '`'], " ")))
}
