//! `image_size`: how large the image is, and how much of it lies in its layers in vain.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layer_table::{self, Row};
use super::matcher::forms::{Forms, Scalar, deserialize_forms};
use super::matcher::{Number, Size, listed, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::saved_image::{self, Bounds, Meter, Unreadable};
use crate::units::ByteSize;

mod efficiency;

use self::efficiency::{Efficiency, Listing, Wasted};

/// Size, number of layers and efficiency of the image, by what is in its layers. Efficiency and waste
/// are computed as `dive` does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSize {
    /// All files of all layers, unpacked: what `docker images` shows, but for some bytes of links.
    pub bytes: Option<Size>,
    /// Layers with something in them; the base's count.
    pub layers: Option<Number>,
    /// dive's efficiency, such as `{at_least: 0.95}`: 1 where no byte lies in more than one layer.
    pub efficiency: Option<Share>,
    /// Bytes of the files that are in more than one layer, or removed in a later one.
    pub wasted_bytes: Option<Size>,
    /// The wasted bytes over the bytes of all layers but the first, such as `{at_most: 0.1}` or
    /// `{at_most: "10%"}`.
    pub user_wasted_percent: Option<Share>,
}

/// Bounds of a share, from 0 to 1 as dive's rules have it, or in percent with the sign.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// This or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Part>,
    /// This or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Part>,
}

/// A part of a whole: `0.95` or `"95%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Part(f64);

impl Forms for Part {
    const EXPECTING: &'static str = "a share from 0 to 1, or a percentage such as \"95%\"";
    type Parts = super::matcher::forms::Never;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        let part = match &scalar {
            Scalar::Float(part) => Some(*part),
            Scalar::Integer(whole @ (0 | 1)) => Some(if *whole == 1 { 1.0 } else { 0.0 }),
            Scalar::Text(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
                None => text.trim().parse().ok(),
            },
            _ => None,
        };
        part.filter(|part| (0.0..=1.0).contains(part))
            .map(Self)
            .ok_or_else(|| format!("expected {}", Self::EXPECTING))
    }
    fn from_parts(parts: super::matcher::forms::Never) -> Result<Self, String> {
        match parts {}
    }
}
deserialize_forms!(Part);

impl JsonSchema for Part {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Part".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A share from 0 to 1, or a percentage with its sign.",
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": "^[0-9.]+ ?%$"}
            ]
        })
    }
}

/// What was seen of an image.
struct Seen {
    efficiency: Efficiency,
    rows: Vec<Row>,
}

impl Check for ImageSize {
    const NAME: &'static str = "image_size";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("image_size.yaml"),
        evidence: &[
            ("Layers", "size and instruction of each layer"),
            ("Largest wasted files", "what lies in more than one layer, or is deleted in a later one"),
        ],
        fails: &["the image or its waste is over a bound", "it has more layers than asked, or fewer"],
    };

    fn deadline(&self) -> std::time::Duration {
        // Saving the image takes the engine some time before the first byte comes.
        Bounds::default().within * 2
    }

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.image(&mut mistakes);
        let asks = self.bytes.is_some()
            || self.layers.is_some()
            || self.efficiency.is_some()
            || self.wasted_bytes.is_some()
            || self.user_wasted_percent.is_some();
        if !asks {
            mistakes.push(
                "this check asks nothing; write `bytes`, `layers`, `efficiency`, `wasted_bytes` or `user_wasted_percent`"
                    .into(),
            );
        }
        for (field, size) in [("bytes", &self.bytes), ("wasted_bytes", &self.wasted_bytes)] {
            if let Some(size) = size {
                size.mistakes(field, &mut mistakes);
            }
        }
        if let Some(layers) = &self.layers {
            layers.mistakes("layers", &(0..=127), &mut mistakes);
        }
        if let Some(share) = &self.efficiency {
            share.mistakes("efficiency", true, &mut mistakes);
        }
        if let Some(share) = &self.user_wasted_percent {
            // More than the whole can be wasted: what the first layer has does not count below the line.
            share.mistakes("user_wasted_percent", false, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let image = scene.image()?;
        let clock = scene.clock.clone();
        let seen = image
            .saved(move |source| {
                let meter = Meter::new(Bounds::default(), &clock);
                let archive = saved_image::read(source, &meter, false, Listing::default)?;
                let images = archive.images()?;
                let image =
                    images.first().ok_or_else(|| Unreadable::Refused("there is no image in it".into()))?;
                let looks: Vec<&Listing> = image.layers.iter().map(|layer| &layer.look).collect();
                let sizes = looks.iter().map(|look| (look.bytes, look.entries));
                let rows = layer_table::rows(&image.config, sizes);
                Ok::<_, Unreadable>(Seen { efficiency: Efficiency::of(&looks), rows })
            })
            .await?;
        let nothing = || Ok(Seen { efficiency: Efficiency::of(&[]), rows: Vec::new() });
        Ok(self.judge(&seen.unwrap_or_else(nothing)))
    }
}

impl ImageSize {
    fn judge(&self, seen: &Result<Seen, Unreadable>) -> Finding {
        let mut tally = Tally::default();
        let Seen { efficiency, rows } = match seen {
            Ok(seen) => seen,
            Err(why) => {
                let detail =
                    Detail::new(self.expected(), format!("the saved image cannot be looked at: {why}"));
                return Finding::Failed(detail);
            }
        };
        let bytes = rows.iter().map(|row| row.bytes).fold(0, u64::saturating_add);
        let layers = i64::try_from(rows.iter().filter(|row| row.entries > 0).count()).unwrap_or(i64::MAX);
        if let Some(wanted) = &self.bytes {
            let observed = format!("the image has {} ({bytes} bytes)", ByteSize(bytes));
            tally.note(wanted.accepts(bytes), format!("an image of {}", wanted.describe()), observed);
        }
        if let Some(wanted) = &self.layers {
            tally.note(
                wanted.accepts(layers),
                format!("{} layers", wanted.describe()),
                format!("the image has {layers} layers"),
            );
        }
        if let Some(wanted) = &self.efficiency {
            let observed = format!("its efficiency is {}", percent(efficiency.score));
            tally.note(
                wanted.accepts(efficiency.score),
                format!("efficiency {}", wanted.describe()),
                observed,
            );
        }
        if let Some(wanted) = &self.wasted_bytes {
            let wasted = efficiency.wasted_bytes;
            let observed = format!("{} are wasted ({wasted} bytes)", ByteSize(wasted));
            tally.note(wanted.accepts(wasted), format!("wasted bytes {}", wanted.describe()), observed);
        }
        if let Some(wanted) = &self.user_wasted_percent {
            let share = efficiency.user_wasted;
            let observed = if share.is_finite() {
                format!("{} of what was added to the first layer is wasted", percent(share))
            } else {
                "nothing was added to the first layer but marks that remove something of it".into()
            };
            tally.note(wanted.accepts(share), format!("wasted {}", wanted.describe()), observed);
        }
        let detail = tally
            .detail()
            .proof("Layers", layer_table::shown(rows))
            .proof("Largest wasted files", wasted_table(&efficiency.wasted))
            .reproduce("docker history --no-trunc my-image");
        tally.finding(detail)
    }

    fn expected(&self) -> String {
        let mut wanted = Vec::new();
        wanted.extend(self.bytes.as_ref().map(|size| format!("an image of {}", size.describe())));
        wanted.extend(self.layers.as_ref().map(|number| format!("{} layers", number.describe())));
        wanted.extend(self.efficiency.map(|share| format!("efficiency {}", share.describe())));
        wanted.extend(self.wasted_bytes.as_ref().map(|size| format!("wasted bytes {}", size.describe())));
        wanted.extend(self.user_wasted_percent.map(|share| format!("wasted {}", share.describe())));
        wanted.join(", ")
    }
}

impl Share {
    fn accepts(self, seen: f64) -> bool {
        self.at_least.is_none_or(|least| seen >= least.0) && self.at_most.is_none_or(|most| seen <= most.0)
    }

    fn describe(self) -> String {
        let bound = |words: &str, part: Option<Part>| part.map(|part| format!("{words} {}", percent(part.0)));
        let bounds = [bound("at least", self.at_least), bound("at most", self.at_most)];
        listed(&bounds.into_iter().flatten().collect::<Vec<_>>(), "and")
    }

    /// `at_most_one`: whether what is matched is never more than 1.
    fn mistakes(self, field: &str, at_most_one: bool, mistakes: &mut Vec<String>) {
        let least = self.at_least.is_some_and(|part| part.0 > 0.0);
        let most = self.at_most.is_some_and(|part| !at_most_one || part.0 < 1.0);
        if self.at_least.is_none() && self.at_most.is_none() {
            mistakes.push(format!("`{field}` asks nothing; write at_least or at_most"));
        } else if !least && !most {
            mistakes.push(format!("`{field}` can never fail: every share fits its bounds"));
        }
        if let (Some(least), Some(most)) = (self.at_least, self.at_most)
            && least > most
        {
            mistakes.push(format!("`{field}` can never pass: its bounds leave nothing between them"));
        }
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// How many wasted files are shown.
const WASTED: usize = 20;

fn wasted_table(wasted: &[Wasted]) -> String {
    let mut table = String::new();
    for Wasted { path, bytes, times } in wasted.iter().filter(|wasted| wasted.bytes > 0).take(WASTED) {
        let path = shown(&format!("/{}", String::from_utf8_lossy(path)));
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{:>10}  in {times} layers  {}",
            ByteSize(*bytes).to_string(),
            path.trim_matches('`')
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(fields: serde_json::Value) -> Finding {
        let check: ImageSize = serde_json::from_value(fields).expect("good");
        let row = |bytes, entries| Row { bytes, entries, instruction: "COPY . .".into() };
        let wasted = vec![Wasted { path: b"big".to_vec(), bytes: 4096, times: 2 }];
        let efficiency = Efficiency { score: 0.5, wasted_bytes: 4096, user_wasted: 0.25, wasted };
        check.judge(&Ok(Seen { efficiency, rows: vec![row(4096, 1), row(0, 0), row(8192, 2)] }))
    }

    #[test]
    fn each_part_holds_or_does_not() {
        for (good, bad, observed) in [
            (
                serde_json::json!({"bytes": {"at_most": "12KiB"}}),
                serde_json::json!({"bytes": {"at_most": "11KiB"}}),
                "the image has 12 KiB (12288 bytes)",
            ),
            (
                serde_json::json!({"layers": 2}),
                serde_json::json!({"layers": {"at_most": 1}}),
                "the image has 2 layers",
            ),
            (
                serde_json::json!({"efficiency": {"at_least": 0.5}}),
                serde_json::json!({"efficiency": {"at_least": "50.1%"}}),
                "its efficiency is 50 %",
            ),
            (
                serde_json::json!({"wasted_bytes": {"at_most": "4KiB"}}),
                serde_json::json!({"wasted_bytes": {"at_most": 4095}}),
                "4 KiB are wasted (4096 bytes)",
            ),
            (
                serde_json::json!({"user_wasted_percent": {"at_most": 0.25}}),
                serde_json::json!({"user_wasted_percent": {"at_most": "24%"}}),
                "25 % of what was added",
            ),
        ] {
            assert!(matches!(judged(good), Finding::Passed(_)));
            let Finding::Failed(detail) = judged(bad) else { panic!("{observed}") };
            assert!(detail.observed.starts_with(observed), "{detail:?}");
            assert!(detail.evidence[0].text.contains("COPY . ."), "{detail:?}");
            assert!(detail.evidence[1].text.contains("4 KiB  in 2 layers  /big"), "{detail:?}");
        }
    }
}
