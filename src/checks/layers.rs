//! `layers`: what must be in no layer of the image, deleted files included.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layer_table::{self, Row};
use super::matcher::forms::{Forms, Listed, OneOrMore, Scalar, deserialize_forms};
use super::matcher::{Literal, Pattern, Text, fill, listed, shown};
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::saved_image::{self, Bounds, Meter, Unreadable};

mod reproduce;
mod search;

use self::reproduce::Terms;
use self::search::{Look, Place, Sought, Term};

/// Something is in no layer of the image: not in a file, even if a later layer deletes it, not in its
/// name, not in what is packed with gzip or zip, and not in the image's configuration and history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// None of these is anywhere: a text, `{contains: …}`, `{matches: …}`, or a list of them.
    pub lacks: Option<OneOrMore<Needle>>,
    /// `true`: no variable, build argument or assignment in the history has a name like `API_TOKEN` or
    /// `DB_PASSWORD` and a value.
    #[serde(default)]
    pub no_secret_names: bool,
    /// `true`: no layer has a file like `.env`, `id_rsa`, `.netrc`, or a `.git` folder.
    #[serde(default)]
    pub no_secret_files: bool,
    /// Names of variables and paths (`/srv/.env`) that are no secret although they look like one.
    #[serde(default)]
    pub allowed: Vec<Text>,
}

/// A text or a pattern that is looked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Needle {
    /// This text.
    Text(Literal),
    /// A text or a pattern.
    Parts(NeedleParts),
}

/// A text or a pattern; either is found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeedleParts {
    /// This text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<Literal>,
    /// What this regular expression fits; `^` and `$` stand for the ends of each line. It is found if it
    /// is no longer than 4,096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
}

impl Forms for Needle {
    const EXPECTING: &'static str = "a text, {contains: …} or {matches: …}";
    type Parts = NeedleParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Literal::from_scalar(scalar).map(Self::Text)
    }
    fn from_parts(parts: NeedleParts) -> Result<Self, String> {
        if parts.contains.is_none() && parts.matches.is_none() {
            return Err("nothing is asked here; write contains or matches".into());
        }
        Ok(Self::Parts(parts))
    }
}

impl Listed for Needle {
    const ONE_OR_MORE: &'static str = "a text, {contains: …}, {matches: …}, or a list of them";
}
deserialize_forms!(Needle);

/// Shorter texts are in every image by chance.
const NEEDLE_CHARS: usize = 4;
/// How many places a phrase and the evidence name.
const PLACES_OBSERVED: usize = 3;
const PLACES_SHOWN: usize = 100;

impl Check for Layers {
    const NAME: &'static str = "layers";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("layers.yaml"),
        evidence: &[
            ("Where it is", "each place with its layer and the instruction that made it"),
            ("Layers", "size and instruction of each layer"),
        ],
        fails: &[
            "what is looked for is in a layer, a file's name, a packed file, the configuration or the history, even if a later layer deletes it",
            "a variable or file that looks like a secret is not among the `allowed`",
        ],
    };

    fn deadline(&self) -> Duration {
        // Saving the image takes the engine some time before the first byte comes.
        Bounds::default().within * 2
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.image(&mut mistakes);
        if self.lacks.is_none() && !self.no_secret_names && !self.no_secret_files {
            mistakes.push(
                "this check asks nothing; write `lacks`, `no_secret_names` or `no_secret_files`".into(),
            );
        }
        let needles = self.needles();
        if self.lacks.is_some() && needles.is_empty() {
            mistakes.push("`lacks` is an empty list and can never fail".into());
        }
        for needle in needles {
            let (text, pattern) = needle.parts();
            if let Some(text) = text
                && !text.0.contains("${")
                && text.0.chars().count() < NEEDLE_CHARS
            {
                mistakes.push(format!(
                    "`lacks: {}` is too short: every image has it somewhere; give it at least {NEEDLE_CHARS} characters",
                    text.0
                ));
            }
            if pattern.is_some_and(Pattern::fits_everything) {
                mistakes.push("`lacks.matches` can never pass: it fits every text".into());
            }
        }
        if !self.allowed.is_empty() && !self.no_secret_names && !self.no_secret_files {
            mistakes.push(
                "`allowed` is for `no_secret_names` and `no_secret_files`, and neither is asked".into(),
            );
        }
        for allowed in &self.allowed {
            allowed.mistakes("allowed", false, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let image = scene.image()?;
        let mut terms = Vec::new();
        for needle in self.needles() {
            let (text, pattern) = needle.parts();
            if let Some(text) = text {
                terms.push(Term::text(&fill(&text.0, scene.variables)).map_err(Fault::Exercise)?);
            }
            if let Some(pattern) = pattern {
                let compiled = pattern.bytes(scene.variables).map_err(Fault::Exercise)?;
                terms.push(Term { pattern: compiled });
            }
        }
        let allowed = self.allowed.iter().map(|text| text.resolved(scene.variables));
        let allowed = allowed.collect::<Result<Vec<_>, _>>().map_err(Fault::Exercise)?;
        let sought =
            Sought { terms, secret_names: self.no_secret_names, secret_files: self.no_secret_files, allowed };
        let clock = scene.clock.clone();
        let seen = image.saved(move |source| {
            let meter = Meter::new(Bounds::default(), &clock);
            let archive = saved_image::read(source, &meter, false, || Look::new(&sought, &meter))?;
            let images = archive.images()?;
            let image =
                images.first().ok_or_else(|| Unreadable::Refused("there is no image in it".into()))?;
            let looks: Vec<&Look<'_>> = image.layers.iter().map(|layer| &layer.look).collect();
            let rows = layer_table::rows(&image.config, looks.iter().map(|look| (look.bytes, look.entries)));
            let mut places = sought.in_configuration(&image.document, &image.config);
            places.extend(search::places(&looks, &rows));
            Ok::<_, Unreadable>((places, rows))
        });
        let nothing = || Err(Unreadable::Refused("it has no layer at all".into()));
        Ok(self.judge(seen.await?.unwrap_or_else(nothing), scene))
    }
}

impl Layers {
    fn needles(&self) -> &[Needle] {
        self.lacks.as_ref().map_or(&[], OneOrMore::as_slice)
    }

    fn expected(&self, scene: &Scene<'_>) -> String {
        let mut nowhere = Vec::new();
        for needle in self.needles() {
            let (text, pattern) = needle.parts();
            nowhere.extend(text.map(|text| shown(&fill(&text.0, scene.variables))));
            nowhere.extend(pattern.map(|pattern| format!("text that fits {}", shown(pattern.source()))));
        }
        if self.no_secret_names {
            nowhere.push("secret-looking name with a value".into());
        }
        if self.no_secret_files {
            nowhere.push("secret-looking file".into());
        }
        format!("no {} in any layer, deleted files included", listed(&nowhere, "and no"))
    }

    fn judge(&self, seen: Result<(Vec<Place>, Vec<Row>), Unreadable>, scene: &Scene<'_>) -> Finding {
        let expected = self.expected(scene);
        let (places, rows) = match seen {
            Ok(seen) => seen,
            Err(why) => {
                let observed = format!("the saved image cannot be looked at: {why}");
                return Finding::Failed(Detail::new(expected, observed));
            }
        };
        // Each once, in the order of the layers.
        let places: BTreeMap<String, Place> =
            places.into_iter().map(|place| (place.text.clone(), place)).collect();
        let mut observed: Vec<String> = places.keys().take(PLACES_OBSERVED).cloned().collect();
        if places.len() > PLACES_OBSERVED {
            observed.push(format!("{} more places", places.len() - PLACES_OBSERVED));
        }
        let observed =
            if places.is_empty() { format!("{} layers without it", rows.len()) } else { observed.join("; ") };
        let mut table = String::new();
        for place in places.keys().take(PLACES_SHOWN) {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{place}");
        }
        let texts = self.texts(scene);
        let mut detail = Detail::new(expected, observed)
            .proof("Where it is", table)
            .proof("Layers", layer_table::shown(&rows));
        detail.reproduce = reproduce::line(places.values(), &Terms(texts.as_deref()));
        Finding::of(places.is_empty(), detail)
    }

    /// What is looked for, where nothing but texts is.
    fn texts(&self, scene: &Scene<'_>) -> Option<Vec<String>> {
        let text = |needle: &Needle| match needle.parts() {
            (Some(text), None) => Some(fill(&text.0, scene.variables).into_owned()),
            _ => None,
        };
        let texts: Option<Vec<String>> = self.needles().iter().map(text).collect();
        texts.filter(|texts| !texts.is_empty())
    }
}

impl Needle {
    fn parts(&self) -> (Option<&Literal>, Option<&Pattern>) {
        match self {
            Self::Text(text) => (Some(text), None),
            Self::Parts(parts) => (parts.contains.as_ref(), parts.matches.as_ref()),
        }
    }
}
