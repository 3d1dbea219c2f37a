//! `reference`: the image reference that was handed in, taken apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::listing;
use super::matcher::{Text, fill, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Question, Scene, Surroundings, Tested, answer};
use crate::report::Phase;
use crate::submissions::reference::Reference as Parsed;

/// An image reference, in a file of the submission, as an answer or handed in itself, names the wanted registry,
/// repository, tag or digest. It is read as Docker reads it: without a registry it is one of
/// `docker.io`, there a name without a folder lies in `library/`, and without tag and digest the tag
/// is `latest`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// A text file of the submission with the reference on its only line. Without `file` and `question` it is
    /// the one by which the image was handed in, which has been pulled.
    pub file: Option<String>,
    /// A question (Markdown) that is answered with the reference; instead of `file`.
    pub question: Option<String>,
    /// The registry with its port, such as `docker.io`, `ghcr.io` or `localhost:5000`.
    pub registry: Option<Text>,
    /// The repository in the registry, such as `library/nginx` or `team/app`.
    pub repository: Option<Text>,
    /// The tag, `latest` where neither tag nor digest is written. `{absent: true}`: none, only a digest.
    pub tag: Option<Text>,
    /// The digest, such as `sha256:…`. `{absent: true}`: none.
    pub digest: Option<Text>,
}

/// More than any reference has; a longer file is none.
const FILE_BYTES: usize = 16 << 10;

impl Check for Reference {
    const NAME: &'static str = "reference";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("reference.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where the file is missing"),
            ("Reference", "what was written"),
            ("As Docker reads it", "registry, repository, tag and digest, with what Docker adds"),
            ("What was pulled", "digest and platform, where the image was handed in by its reference"),
        ],
        fails: &[
            "nothing was answered, or the file is missing, empty or has several lines",
            "it is no image reference",
            "a part is not as asked",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        match (&self.file, &self.question) {
            (Some(file), None) => {
                around.files(&mut mistakes);
                if file.is_empty() || file.starts_with('/') || file.split('/').any(|part| part == "..") {
                    mistakes.push(format!(
                        "`file: {file}` has to lie inside the submission, as in `reference.txt`"
                    ));
                }
            }
            (None, Some(question)) => around.question(question, &mut mistakes),
            (None, None) if around.tested == Tested::HandedIn => {}
            (None, None) => mistakes.push(
                "nothing says where the reference is; write `file` (a file of the submission) or `question`, or take \
                 `image` in `submit`"
                    .into(),
            ),
            (Some(_), Some(_)) => {
                mistakes.push("`file` and `question` cannot stand beside each other; write one".into());
            }
        }
        let parts = self.parts();
        if parts.iter().all(|(_, wanted, _)| wanted.is_none()) {
            mistakes
                .push("this check asks nothing; write `registry`, `repository`, `tag` or `digest`".into());
        }
        for (name, wanted, optional) in parts {
            if let Some(wanted) = wanted {
                wanted.mistakes(name, optional, &mut mistakes);
            }
        }
        mistakes
    }

    fn question(&self) -> Option<Question<'_>> {
        self.question.as_deref().map(|question| Question::Short { question, number: false, unit: None })
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let mut wanted = Vec::new();
        for (name, text, _) in self.parts() {
            if let Some(text) = text {
                wanted.push((name, text.resolved(scene.variables).map_err(Fault::Exercise)?));
            }
        }
        let expected = wanted.iter().map(|(name, text)| format!("{name} {}", text.describe()));
        let expected = expected.collect::<Vec<_>>().join(", ");
        let written = match self.written(scene) {
            Ok(written) => written,
            Err(detail) => return Ok(Finding::Failed(Detail { expected, ..detail })),
        };
        let parsed: Parsed = match written.parse() {
            Ok(parsed) => parsed,
            Err(why) => {
                let observed = format!("{} is no image reference: {why}", shown(&written));
                return Ok(Finding::Failed(Detail::new(expected, observed)));
            }
        };
        let mut tally = Tally::default();
        for (name, wanted) in wanted {
            let seen = match name {
                "registry" => Some(parsed.registry.as_str()),
                "repository" => Some(parsed.repository.as_str()),
                "tag" => parsed.tag.as_deref(),
                _ => parsed.digest.as_deref(),
            };
            let observed = seen
                .map_or_else(|| format!("it has no {name}"), |seen| format!("its {name} is {}", shown(seen)));
            tally.note(wanted.accepts_option(seen), format!("{name} {}", wanted.describe()), observed);
        }
        let parts = format!(
            "registry    {}\nrepository  {}\ntag         {}\ndigest      {}",
            parsed.registry,
            parsed.repository,
            parsed.tag.as_deref().unwrap_or("none"),
            parsed.digest.as_deref().unwrap_or("none")
        );
        let mut detail = tally.detail().proof("Reference", written).proof("As Docker reads it", parts);
        if let (None, None, Some(pulled)) = (&self.file, &self.question, scene.pulled) {
            let found = format!("digest      {}\nplatform    {}", pulled.digest, pulled.platform);
            detail = detail.proof("What was pulled", found);
        }
        Ok(tally.finding(detail))
    }
}

impl Reference {
    /// The parts with their names, and whether one may be missing.
    fn parts(&self) -> [(&'static str, Option<&Text>, bool); 4] {
        [
            ("registry", self.registry.as_ref(), false),
            ("repository", self.repository.as_ref(), false),
            ("tag", self.tag.as_ref(), true),
            ("digest", self.digest.as_ref(), true),
        ]
    }

    /// The reference as it was handed in, or what there is instead.
    fn written(&self, scene: &Scene<'_>) -> Result<String, Detail> {
        if let (None, None) = (&self.file, &self.question) {
            return scene.pulled.map(|pulled| pulled.reference.to_owned()).ok_or_else(|| {
                Detail::new("", "the image was handed in as a file, so that it has no reference")
            });
        }
        let Some(file) = &self.file else {
            return answer::text(scene.answers, scene.id)
                .map(|text| text.trim().to_owned())
                .ok_or_else(|| Detail::new("", "nothing was answered"));
        };
        let path = fill(file, scene.variables);
        let place = shown(&path);
        let Some(bytes) = scene.content.file(&path) else {
            let detail = Detail::new("", format!("there is no file {place}"));
            return Err(detail.proof("What was handed in", listing(scene.content)));
        };
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= FILE_BYTES);
        let Some(text) = text else {
            return Err(Detail::new("", format!("{place} is no short UTF-8 text")));
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines[..] {
            [line] => Ok(line.to_owned()),
            [] => Err(Detail::new("", format!("{place} is empty"))),
            _ => Err(Detail::new("", format!("{place} has {} lines and not one reference", lines.len()))
                .proof(&path, text)),
        }
    }
}
