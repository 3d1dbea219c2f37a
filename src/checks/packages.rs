//! `packages`: what the image's package database says is installed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::forms::{Forms, Scalar, deserialize_forms};
use super::matcher::{Literal, Text, fill, listed, shown};
use super::shell::quoted;
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;

mod databases;
mod versions;

use self::databases::{Installed, Package};
use self::versions::Scheme;

/// Packages are installed in the image, or are not, by its database of dpkg (Debian, Ubuntu,
/// distroless) or apk (Alpine). The image is not run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Each of these is installed: a name, or `{name, version}`.
    #[serde(default)]
    pub present: Vec<Wanted>,
    /// None of these is installed: names, or matchers such as `{matches: "-dev$"}`.
    #[serde(default)]
    pub absent: Vec<Text>,
}

/// A package that should be installed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Wanted {
    /// In any version.
    Name(Literal),
    /// In a version.
    Parts(WantedParts),
}

/// A package and its version.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedParts {
    /// The package's name.
    pub name: Literal,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

/// A version by the distribution's own ordering: `1.2-3` is this one, otherwise bounds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Version {
    /// This one.
    Exactly(Literal),
    /// Bounds.
    Parts(VersionParts),
}

/// Bounds of a version.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionParts {
    /// This or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Literal>,
    /// This or an earlier one. `1.2-3` is later than `1.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Literal>,
}

impl Forms for Wanted {
    const EXPECTING: &'static str = "a package's name, or {name, version}";
    type Parts = WantedParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Literal::from_scalar(scalar).map(Self::Name)
    }
    fn from_parts(parts: WantedParts) -> Result<Self, String> {
        Ok(Self::Parts(parts))
    }
}

impl Forms for Version {
    const EXPECTING: &'static str = "a version in quotes, or {at_least, at_most}";
    type Parts = VersionParts;
    type Item = serde::de::IgnoredAny;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Literal::from_scalar(scalar).map(Self::Exactly)
    }
    fn from_parts(parts: VersionParts) -> Result<Self, String> {
        if parts.at_least.is_none() && parts.at_most.is_none() {
            return Err("nothing is asked here; write at_least or at_most".into());
        }
        Ok(Self::Parts(parts))
    }
}
deserialize_forms!(Wanted, Version);

impl Check for Packages {
    const NAME: &'static str = "packages";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("packages.yaml"),
        evidence: &[
            (
                "Packages",
                "those asked about that are installed, with their versions; all packages where there is none of them",
            ),
            ("Read from", "the package databases in the image"),
        ],
        fails: &[
            "a package is missing, or has another version than asked",
            "a package is installed that should not be",
            "the image has no package database, so nothing is installed",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.image(&mut mistakes);
        if self.present.is_empty() && self.absent.is_empty() {
            mistakes.push("this check asks nothing; write `present` or `absent`".into());
        }
        for wanted in &self.present {
            let name = wanted.name();
            if name.is_empty() || name.contains(char::is_whitespace) {
                mistakes.push(format!("`{name}` in `present` cannot be a package's name"));
            }
            if self.absent.iter().any(|absent| absent.accepts(name)) {
                mistakes.push(format!("`{name}` is wanted present and absent, which can never pass"));
            }
            if let Some(version) = wanted.version() {
                version.mistakes(name, &mut mistakes);
            }
        }
        for absent in &self.absent {
            absent.mistakes("absent", false, &mut mistakes);
            if matches!(absent, Text::Exactly(name) if name.0.trim().is_empty()) {
                mistakes.push("`absent` has an empty name and can never fail".into());
            }
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let installed = Installed::read(scene.image()?).await?;
        let mut tally = Tally::default();
        let mut concerned: Vec<&Package> = Vec::new();
        for wanted in &self.present {
            let name = fill(wanted.name(), scene.variables);
            let found: Vec<_> = installed.packages.iter().filter(|package| package.name == name).collect();
            let version = wanted
                .version()
                .map(|version| version.filled(|text| fill(text, scene.variables).into_owned()));
            let expected = match &version {
                Some(version) => format!("package {} {}", shown(&name), version.describe()),
                None => format!("package {}", shown(&name)),
            };
            let holds = found.iter().any(|package| {
                version.as_ref().is_none_or(|version| version.accepts(package.scheme, &package.version))
            });
            let observed = match found.first() {
                None => format!("{} is not installed", shown(&name)),
                Some(package) => {
                    format!("{} is installed in version {}", shown(&name), shown(&package.version))
                }
            };
            tally.note(holds, expected, observed);
            concerned.extend(found);
        }
        for unwanted in &self.absent {
            let unwanted = unwanted.resolved(scene.variables).map_err(Fault::Exercise)?;
            let found: Vec<_> =
                installed.packages.iter().filter(|package| unwanted.accepts(&package.name)).collect();
            let what = match &unwanted {
                Text::Exactly(name) => shown(&name.0),
                Text::Parts(_) => format!("whose name {}", unwanted.describe()),
            };
            let names: Vec<String> = found.iter().take(SHOWN).map(|package| shown(&package.name)).collect();
            let observed = match found.len() {
                0 => format!("no package {what} is installed"),
                1 => format!("{} is installed", names[0]),
                count => {
                    let more =
                        if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
                    format!(
                        "{}{more} are installed",
                        listed(&names, if more.is_empty() { "and" } else { "," })
                    )
                }
            };
            tally.note(found.is_empty(), format!("no package {what}"), observed);
            concerned.extend(found);
        }
        if installed.databases.is_empty() && !tally.holds() {
            tally.remark(
                "the image has no database of dpkg or apk, so nothing was installed with them".into(),
            );
        }
        let shown_packages =
            if concerned.is_empty() { installed.packages.iter().collect() } else { concerned };
        let table: Vec<String> =
            shown_packages.iter().map(|package| format!("{}  {}", package.name, package.version)).collect();
        let mut detail = tally.detail();
        detail =
            detail.proof("Packages", table.join("\n")).proof("Read from", installed.databases.join("\n"));
        Ok(tally.finding(detail.reproduce(reproduce(&installed))))
    }
}

/// How many names a phrase has at most.
const SHOWN: usize = 5;

fn reproduce(installed: &Installed) -> String {
    let file = installed.databases.first().map_or("/var/lib/dpkg/status", String::as_str);
    let wanted = if installed.packages.first().is_some_and(|package| package.scheme == Scheme::Apk) {
        "^[PV]:"
    } else {
        "^(Package|Status|Version):"
    };
    format!("docker cp \"$(docker create my-image):{file}\" - | tar -xO | grep -aE {}", quoted(wanted))
}

impl Wanted {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => &name.0,
            Self::Parts(parts) => &parts.name.0,
        }
    }

    fn version(&self) -> Option<&Version> {
        match self {
            Self::Name(_) => None,
            Self::Parts(parts) => parts.version.as_ref(),
        }
    }
}

impl Version {
    fn filled(&self, fill: impl Fn(&str) -> String) -> Self {
        let each = |text: &Literal| Literal(fill(&text.0));
        match self {
            Self::Exactly(version) => Self::Exactly(each(version)),
            Self::Parts(parts) => Self::Parts(VersionParts {
                at_least: parts.at_least.as_ref().map(each),
                at_most: parts.at_most.as_ref().map(each),
            }),
        }
    }

    fn accepts(&self, scheme: Scheme, seen: &str) -> bool {
        let compare = |wanted: &Literal| scheme.compare(seen, &wanted.0);
        match self {
            Self::Exactly(wanted) => {
                seen == wanted.0 || compare(wanted).is_some_and(std::cmp::Ordering::is_eq)
            }
            Self::Parts(VersionParts { at_least, at_most }) => {
                at_least.as_ref().is_none_or(|least| compare(least).is_some_and(std::cmp::Ordering::is_ge))
                    && at_most
                        .as_ref()
                        .is_none_or(|most| compare(most).is_some_and(std::cmp::Ordering::is_le))
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Exactly(version) => format!("in version {}", shown(&version.0)),
            Self::Parts(VersionParts { at_least, at_most }) => {
                let bound = |words: &str, version: &Option<Literal>| {
                    version.as_ref().map(|version| format!("{words} {}", shown(&version.0)))
                };
                let bounds: Vec<String> =
                    [bound("at least", at_least), bound("at most", at_most)].into_iter().flatten().collect();
                format!("in version {}", listed(&bounds, "and"))
            }
        }
    }

    fn mistakes(&self, name: &str, mistakes: &mut Vec<String>) {
        const BOTH: [Scheme; 2] = [Scheme::Debian, Scheme::Apk];
        let versions: Vec<&Literal> = match self {
            Self::Exactly(version) => vec![version],
            Self::Parts(VersionParts { at_least, at_most }) => at_least.iter().chain(at_most).collect(),
        };
        for version in &versions {
            let has_value = version.0.contains("${");
            let reads = version.0.starts_with(|c: char| c.is_ascii_digit())
                && BOTH.iter().any(|scheme| scheme.reads(&version.0));
            if !has_value && !reads {
                mistakes.push(format!("`{}` of `{name}` is no version of dpkg or apk", version.0));
            }
        }
        if let Self::Parts(VersionParts { at_least: Some(least), at_most: Some(most) }) = self
            && BOTH
                .iter()
                .all(|scheme| scheme.compare(&least.0, &most.0).is_none_or(std::cmp::Ordering::is_gt))
        {
            mistakes.push(format!(
                "the version of `{name}` can never pass: none is at least {} and at most {}",
                least.0, most.0
            ));
        }
    }
}
