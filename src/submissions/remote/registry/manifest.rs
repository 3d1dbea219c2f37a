//! What a registry says that an image is made of: Docker's manifests of schema 2 and their lists, and those
//! of the OCI image specification.

use serde::Deserialize;

use super::Platform;
use crate::submissions::remote::FetchError;

/// What is asked for, in one header.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
                                 application/vnd.docker.distribution.manifest.list.v2+json, \
                                 application/vnd.oci.image.manifest.v1+json, \
                                 application/vnd.docker.distribution.manifest.v2+json";
/// The most of a manifest, as registries have it.
pub(super) const MANIFEST_BYTES: u64 = 4 << 20;

/// An index or a manifest; which of both is told by what is in it.
#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Choice>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// An image in an index.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(flatten)]
    pub(super) descriptor: Descriptor,
    platform: Option<Made>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Made {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// A blob or manifest by its digest.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// What a document is.
#[derive(Debug)]
pub(super) enum Manifest {
    Index(Vec<Choice>),
    Image { config: Descriptor, layers: Vec<Descriptor> },
}

impl Manifest {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, FetchError> {
        let none = || {
            FetchError::refused(
                "What the registry has under this reference is no container image, or one in the format of \
                 before 2016; build it anew and push it.",
            )
        };
        match serde_json::from_slice(bytes).map_err(|_| none())? {
            Document { manifests: Some(manifests), .. } => Ok(Self::Index(manifests)),
            Document { config: Some(config), layers: Some(layers), .. } => {
                if layers.iter().any(|layer| !layer.urls.is_empty()) {
                    return Err(FetchError::refused(
                        "The image has layers that lie elsewhere than in its registry, as those of Windows do; \
                         build it on another base.",
                    ));
                }
                Ok(Self::Image { config, layers })
            }
            Document { .. } => Err(none()),
        }
    }
}

/// The image for a platform.
pub(super) fn choose(choices: &[Choice], wanted: &Platform) -> Result<Descriptor, FetchError> {
    // Notes about a build stand beside the images, for a platform that there is not.
    let images =
        choices.iter().filter(|choice| !choice.annotations.contains_key("vnd.docker.reference.type"));
    let images: Vec<(Platform, &Descriptor)> = images
        .filter_map(|choice| {
            let Made { os, architecture, variant } = choice.platform.as_ref()?;
            Some((Platform::new(os, architecture, variant.as_deref()), &choice.descriptor))
        })
        .filter(|(platform, _)| platform.os != "unknown")
        .collect();
    let exact = images.iter().find(|(platform, _)| platform == wanted);
    let fitting = exact.or_else(|| images.iter().find(|(platform, _)| platform.serves(wanted)));
    fitting.map(|(_, descriptor)| (*descriptor).clone()).ok_or_else(|| {
        let mut known: Vec<String> = images.iter().map(|(platform, _)| format!("`{platform}`")).collect();
        known.sort();
        known.dedup();
        known.truncate(10);
        missing(wanted, &known)
    })
}

/// There is no image for a platform.
pub(super) fn missing(wanted: &Platform, known: &[String]) -> FetchError {
    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
    FetchError::refused(format!(
        "The image is not made for `{wanted}`, but for {known}; build it with `--platform {wanted}` and push it \
         again."
    ))
}

/// The hexadecimal digits of a digest that is one.
pub(super) fn sha256(digest: &str) -> Result<&str, FetchError> {
    let hex = digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    hex.ok_or_else(|| {
        FetchError::refused(
            "The image names one of its parts by something else than a SHA-256; push it again.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_platform_is_found() {
        let entry = |digit: char, platform: &str| {
            format!(
                r#"{{"digest":"sha256:{}","size":1,"platform":{platform}}}"#,
                digit.to_string().repeat(64)
            )
        };
        let entries = [
            entry('1', r#"{"os":"linux","architecture":"amd64"}"#),
            entry('2', r#"{"os":"linux","architecture":"arm","variant":"v6"}"#),
            entry('3', r#"{"os":"linux","architecture":"arm","variant":"v7"}"#),
            entry('4', r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            entry('5', r#"{"os":"unknown","architecture":"unknown"}"#),
        ];
        let document = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let Manifest::Index(choices) = Manifest::read(document.as_bytes()).unwrap() else { panic!() };
        for (wanted, digit) in
            [("linux/amd64", '1'), ("linux/arm/v6", '2'), ("linux/arm", '3'), ("linux/arm64", '4')]
        {
            let found = choose(&choices, &wanted.parse().unwrap()).unwrap();
            assert!(found.digest.ends_with(digit), "{wanted}: {}", found.digest);
        }
        let error = choose(&choices, &"linux/s390x".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("`linux/amd64`, `linux/arm/v6`, `linux/arm/v7`, `linux/arm64`;"), "{error}");
    }

    #[test]
    fn what_is_no_image_is_told() {
        for document in ["", "[]", "{}", r#"{"schemaVersion":1,"fsLayers":[]}"#, r#"{"config":null}"#] {
            assert!(Manifest::read(document.as_bytes()).is_err(), "{document}");
        }
        let layer = r#"{"digest":"sha256:a","size":1,"urls":["https://x"]}"#;
        let document = format!(r#"{{"config":{{"digest":"sha256:a","size":1}},"layers":[{layer}]}}"#);
        assert!(Manifest::read(document.as_bytes()).unwrap_err().to_string().contains("elsewhere"));
        assert!(sha256("sha256:../../etc").is_err() && sha256("md5:a").is_err());
    }
}
