//! `dockerfile`: how the Dockerfile is written, read as instructions and stages.

mod reading;

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::reading::Reading;
use super::matcher::{Number, Set, Text, User, Variables, shown};
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::dockerfile::{Dockerfile as Source, Instruction, Keyword};

/// How the Dockerfile is written: instructions, stages, bases, forms, order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dockerfile {
    /// Path in the submission; the Dockerfile that is built if nothing is said.
    pub path: Option<String>,
    /// Instructions that are there.
    #[serde(default)]
    pub uses: Vec<Use>,
    /// Instructions that are not there.
    #[serde(default)]
    pub uses_not: Vec<Use>,
    /// How many stages there are.
    pub stages: Option<Number>,
    /// Names of the stages.
    pub stage_names: Option<Set>,
    /// The images that stages are built from; other stages do not count.
    pub base: Option<Base>,
    /// Instructions (`CMD`, `ENTRYPOINT`) whose last use in the final stage is written in exec form,
    /// `["program", "argument"]`.
    #[serde(default)]
    pub exec_form: Vec<Form>,
    /// Stages or images that a `COPY --from` takes files from.
    pub copies_from: Option<Set>,
    /// The user that the last `USER` of the final stage names. Without any it is `root`, unless the
    /// base image says otherwise, which a Dockerfile does not show.
    pub runs_as: Option<User>,
    /// These come in this order in one stage (each by its first use), such as dependencies copied
    /// and installed before the source is copied.
    #[serde(default)]
    pub order: Vec<Use>,
}

/// An instruction, by name or more exactly.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Use {
    /// Any with this name.
    Name(Keyword),
    /// One with all of this.
    Parts(Box<UseParts>),
}

/// Which instruction is meant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseParts {
    /// Its name.
    pub instruction: Keyword,
    /// What follows it, without flags, continued lines joined.
    pub arguments: Option<Text>,
    /// Its flags as they are written, such as `--from=build --chown=1000`; empty where there are
    /// none.
    pub flags: Option<Text>,
    /// Only in this stage: a name, a number from 0, or `final`.
    pub stage: Option<String>,
    /// How often; at least once if nothing is said.
    pub count: Option<Number>,
}

/// Instructions that have an exec form and a shell form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Form {
    /// `CMD`
    Cmd,
    /// `ENTRYPOINT`
    Entrypoint,
}

/// What base images must be. `ARG` defaults are put in before they are looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Each base is one of these.
    #[serde(default)]
    pub allowed: Vec<Text>,
    /// How exactly each base is named.
    pub pinned: Option<Pinned>,
    /// Only in this stage: a name, a number from 0, or `final`.
    pub stage: Option<String>,
}

/// How exactly an image is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pinned {
    /// By a tag other than `latest`, or by digest.
    Tag,
    /// By digest (`@sha256:…`).
    Digest,
}

impl Check for Dockerfile {
    const NAME: &'static str = "dockerfile";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("dockerfile.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where there is no Dockerfile"),
            ("the Dockerfile's path", "its text with line numbers"),
        ],
        fails: &[
            "there is no Dockerfile at the path, or Docker could not read it",
            "an instruction, stage, base or form is not as asked; every part that fails is named",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.dockerfile(self.path.as_deref(), &mut mistakes);
        let asks = !self.uses.is_empty()
            || !self.uses_not.is_empty()
            || self.stages.is_some()
            || self.stage_names.is_some()
            || self.base.is_some()
            || !self.exec_form.is_empty()
            || self.copies_from.is_some()
            || self.runs_as.is_some()
            || !self.order.is_empty();
        if !asks {
            mistakes.push("this check asks nothing; write for example `uses: [EXPOSE]`".into());
        }
        for (field, list, counts) in
            [("uses", &self.uses, true), ("uses_not", &self.uses_not, false), ("order", &self.order, false)]
        {
            for one in list {
                one.mistakes(field, counts, &mut mistakes);
            }
        }
        if self.order.len() == 1 {
            mistakes.push("`order` needs at least two instructions".into());
        }
        if self.order.iter().any(|one| one.stage().is_some()) {
            mistakes.push("`order` looks for one stage by itself; leave `stage` out there".into());
        }
        if let Some(stages) = &self.stages {
            stages.mistakes("stages", &(1..=i64::MAX), &mut mistakes);
        }
        for (field, set) in [("stage_names", &self.stage_names), ("copies_from", &self.copies_from)] {
            if let Some(set) = set {
                set.mistakes(field, &mut mistakes);
            }
        }
        if let Some(base) = &self.base {
            if base.allowed.is_empty() && base.pinned.is_none() {
                mistakes.push("`base` asks nothing; write `allowed` or `pinned`".into());
            }
            for allowed in &base.allowed {
                allowed.mistakes("base.allowed", false, &mut mistakes);
            }
        }
        if let Some(user) = &self.runs_as {
            user.0.mistakes("runs_as", false, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let (path, bytes) = match scene.dockerfile(self.path.as_deref()) {
            Ok(found) => found,
            Err(finding) => return Ok(*finding),
        };
        let source = match Source::read(bytes) {
            Ok(source) => source,
            Err(unreadable) => {
                let detail = Detail::new("a Dockerfile that Docker can read", unreadable.to_string());
                let text = if bytes.contains(&0) {
                    String::new()
                } else {
                    numbered(&String::from_utf8_lossy(bytes))
                };
                return Ok(Finding::Failed(detail.proof(path, text)));
            }
        };
        let mut tally = Tally::default();
        Reading { source: &source, scene, final_stage: source.stage(scene.target).unwrap_or_default() }
            .all(self, &mut tally)
            .map_err(Fault::Exercise)?;
        Ok(tally.finding(tally.detail().proof(path, numbered(&String::from_utf8_lossy(bytes)))))
    }
}

/// The text with a number before each line.
pub(super) fn numbered(text: &str) -> String {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    lines.fold(String::new(), |mut numbered, (index, line)| {
        let _ = writeln!(numbered, "{:>3}  {line}", index + 1);
        numbered
    })
}

impl Use {
    fn resolved(&self, variables: &Variables) -> Result<UseParts, String> {
        let Self::Parts(parts) = self else {
            let Self::Name(instruction) = self else { unreachable!("there are two forms") };
            return Ok(UseParts {
                instruction: *instruction,
                arguments: None,
                flags: None,
                stage: None,
                count: None,
            });
        };
        let resolved = |text: &Option<Text>| text.as_ref().map(|text| text.resolved(variables)).transpose();
        Ok(UseParts {
            arguments: resolved(&parts.arguments)?,
            flags: resolved(&parts.flags)?,
            ..(**parts).clone()
        })
    }

    fn stage(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Parts(parts) => parts.stage.as_deref(),
        }
    }

    fn mistakes(&self, field: &str, counts: bool, mistakes: &mut Vec<String>) {
        let Self::Parts(parts) = self else { return };
        if let Some(arguments) = &parts.arguments {
            arguments.mistakes(&format!("{field}.arguments"), false, mistakes);
        }
        if let Some(flags) = &parts.flags {
            flags.mistakes(&format!("{field}.flags"), false, mistakes);
        }
        match &parts.count {
            Some(_) if !counts => {
                mistakes.push(format!("`{field}` takes no `count`; use `uses` with a count"));
            }
            Some(count) => count.mistakes(&format!("{field}.count"), &(0..=i64::MAX), mistakes),
            None => {}
        }
    }
}

impl UseParts {
    fn accepts(&self, step: &Instruction) -> bool {
        step.keyword == self.instruction
            && self.arguments.as_ref().is_none_or(|text| text.accepts(&step.arguments))
            && self.flags.as_ref().is_none_or(|text| text.accepts(&step.flags_text()))
    }

    fn describe(&self) -> String {
        let mut said = format!("`{}`", self.instruction.name());
        if let Some(arguments) = &self.arguments {
            let _ = write!(said, " whose text {}", arguments.describe());
        }
        if let Some(flags) = &self.flags {
            let _ = write!(said, " whose flags {}", flags.describe().replacen("is", "are", 1));
        }
        match self.stage.as_deref() {
            None => {}
            Some("final") => said += " in the final stage",
            Some(stage) => {
                let _ = write!(said, " in the stage {}", shown(stage));
            }
        }
        said
    }
}

impl Form {
    fn keyword(self) -> Keyword {
        match self {
            Self::Cmd => Keyword::Cmd,
            Self::Entrypoint => Keyword::Entrypoint,
        }
    }
}

impl super::matcher::forms::Forms for Use {
    const EXPECTING: &'static str =
        "an instruction such as EXPOSE, or {instruction, arguments, flags, stage, count}";
    type Parts = UseParts;
    type Item = String;

    fn from_scalar(scalar: super::matcher::forms::Scalar) -> Result<Self, String> {
        use serde::de::IntoDeserializer;
        let name = scalar.into_text()?;
        Keyword::deserialize(name.as_str().into_deserializer())
            .map(Self::Name)
            .map_err(|error: serde::de::value::Error| error.to_string())
    }
    fn from_parts(parts: UseParts) -> Result<Self, String> {
        Ok(Self::Parts(Box::new(parts)))
    }
}
super::matcher::forms::deserialize_forms!(Use);
