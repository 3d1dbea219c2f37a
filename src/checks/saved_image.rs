//! `saved_image`: an archive that `docker save` wrote, as it was handed in.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::listing;
use super::matcher::{Text, fill, listed, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::Content;
use crate::submissions::saved_image::{self, Bounds, Meter, Unreadable};

/// An uploaded `docker save` archive (docker archive or OCI layout, packed with gzip or not) is whole:
/// manifest, configuration and layers are there and have the digests they should. It is only read, and
/// never loaded into the engine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedImage {
    /// Path of the archive in the submission; if not given, the only `.tar`, `.tar.gz` or `.tgz` of
    /// it, or the submission itself where the saved image was handed in as the archive.
    pub file: Option<String>,
    /// One of its images has such a name and tag, as in `team/app:1.2`. `docker.io/` and `library/` do
    /// not count.
    pub tag: Option<Text>,
    /// The same image is for such a platform, as in `linux/arm64`.
    pub platform: Option<Text>,
}

/// Digests are slower than reading; what is handed in is small.
const WITHIN: Duration = Duration::from_mins(1);

/// An image of the archive.
struct Seen {
    tags: Vec<String>,
    platform: String,
    layers: usize,
    lies: Vec<String>,
}

impl Check for SavedImage {
    const NAME: &'static str = "saved_image";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("saved_image.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where it is not clear which is the archive"),
            (
                "the archive's path",
                "each image with its tags, platform and layers, and what is wrong with it",
            ),
        ],
        fails: &[
            "there is no saved image, or it is cut off or no archive",
            "a manifest, configuration or layer is missing or has another digest than it says",
            "no image of it has the tag, or the one that has is for another platform",
        ],
    };

    fn deadline(&self) -> Duration {
        WITHIN * 2
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        if let Some(file) = &self.file
            && (file.is_empty() || file.starts_with('/') || file.split('/').any(|part| part == ".."))
        {
            mistakes.push(format!("`file: {file}` has to lie inside the submission, as in `image.tar`"));
        }
        if let Some(tag) = &self.tag {
            tag.mistakes("tag", false, &mut mistakes);
        }
        if let Some(platform) = &self.platform {
            platform.mistakes("platform", false, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let resolved = |text: &Option<Text>| {
            text.as_ref().map(|text| text.resolved(scene.variables)).transpose().map_err(Fault::Exercise)
        };
        let tag = resolved(&self.tag)?.map(|tag| tag.spelled(&|wanted| familiar(wanted).to_owned()));
        let platform = resolved(&self.platform)?.map(|platform| platform.spelled(&|wanted| normal(wanted)));
        let named = tag.as_ref().map(|tag| format!(" whose tag {}", tag.describe())).unwrap_or_default();
        let made_for = platform.as_ref().map(|wanted| format!(" for a platform that {}", wanted.describe()));
        let expected = format!("a whole saved image{named}{}", made_for.unwrap_or_default());
        let (name, bytes) = match self.archive(scene) {
            Ok(found) => found,
            Err(observed) => {
                let detail = Detail::new(expected, observed);
                return Ok(Finding::Failed(detail.proof("What was handed in", listing(scene.content))));
            }
        };
        let clock = scene.clock.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let meter = Meter::new(Bounds { within: WITHIN, ..Bounds::default() }, &clock);
            let archive = saved_image::read(&mut bytes.as_ref(), &meter, true, || ())?;
            let images = archive.images()?.into_iter().map(|image| Seen {
                tags: image.tags.iter().map(|tag| familiar(tag).to_owned()).collect(),
                platform: normal(&image.config.platform()),
                layers: image.layers.len(),
                lies: image.lies,
            });
            Ok::<_, Unreadable>(images.collect::<Vec<_>>())
        });
        let images = match reading.await {
            Ok(Ok(images)) => images,
            Ok(Err(why)) => {
                let observed = format!("{} cannot be read as a saved image: {why}", shown(&name));
                return Ok(Finding::Failed(Detail::new(expected, observed)));
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let fits = |image: &Seen| {
            tag.as_ref().is_none_or(|wanted| image.tags.iter().any(|tag| wanted.accepts(tag)))
                && platform.as_ref().is_none_or(|wanted| wanted.accepts(&image.platform))
        };
        let lies: Vec<&String> = images.iter().flat_map(|image| &image.lies).collect();
        let described: Vec<String> = images.iter().map(Seen::describe).collect();
        let mut tally = Tally::default();
        tally.note(images.iter().any(fits), expected, listed(&described, "and"));
        for lie in lies {
            tally.remark(lie.clone());
        }
        let detail = tally
            .detail()
            .proof(&name, described.join("\n"))
            .reproduce("docker load -i image.tar".to_owned());
        Ok(tally.finding(detail))
    }
}

impl SavedImage {
    /// The archive's name and bytes, or what there is instead.
    fn archive(&self, scene: &Scene<'_>) -> Result<(String, bytes::Bytes), String> {
        let content = scene.content;
        let file = |path: &str| content.file(path).map(|bytes| (path.to_owned(), bytes.clone()));
        if let Some(path) = &self.file {
            let path = fill(path, scene.variables);
            return file(&path).ok_or_else(|| format!("there is no file {}", shown(&path)));
        }
        let archives = archives(content);
        match &archives[..] {
            [one] => file(one).ok_or_else(|| format!("there is no file {}", shown(one))),
            // Whoever uploads the archive itself hands in what was in it.
            [] if content.file("manifest.json").is_some() || content.file("index.json").is_some() => {
                Ok(("the saved image".into(), content.tar()))
            }
            [] => Err("there is no `.tar` in the submission".into()),
            several => {
                let names: Vec<String> = several.iter().take(5).map(|name| shown(name)).collect();
                Err(format!("there are {} archives, {}, and one is wanted", several.len(), names.join(", ")))
            }
        }
    }
}

/// Paths of the archives in a submission.
fn archives(content: &Content) -> Vec<String> {
    let paths = content.entries().keys().filter_map(|path| std::str::from_utf8(path).ok());
    let is_archive = |path: &&str| [".tar", ".tar.gz", ".tgz"].iter().any(|ending| path.ends_with(ending));
    // `layer.tar` is one of many of an archive that was unpacked.
    let own = paths.filter(is_archive).filter(|path| !path.ends_with("/layer.tar"));
    own.filter(|path| content.file(path).is_some()).map(str::to_owned).collect()
}

impl Seen {
    fn describe(&self) -> String {
        let tags: Vec<String> = self.tags.iter().take(10).map(|tag| shown(tag)).collect();
        let tags = if tags.is_empty() { "an image without a tag".into() } else { listed(&tags, "and") };
        let layers = if self.layers == 1 { "1 layer".into() } else { format!("{} layers", self.layers) };
        format!("{tags} for {} with {layers}", shown(&self.platform))
    }
}

/// A name as Docker shows it.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// A platform without the variant that all of its kind have.
fn normal(platform: &str) -> String {
    match platform.strip_suffix("/v8") {
        Some(platform) if platform.ends_with("/arm64") => platform.to_owned(),
        _ => platform.to_owned(),
    }
}
