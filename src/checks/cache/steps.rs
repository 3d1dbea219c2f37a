//! What became of each instruction in a build, from what the builders tell.

use indexmap::IndexMap;

use crate::sandbox::{Builder, Built};
use crate::submissions::dockerfile::{Dockerfile, Keyword, Origin};

/// What became of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Cached,
    Rebuilt,
    /// The image does not need it.
    NotBuilt,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Rebuilt => "rebuilt",
            Self::NotBuilt => "not built",
        }
    }

    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Cached => "came from the cache",
            Self::Rebuilt => "was carried out again",
            Self::NotBuilt => "was not needed and not built",
        }
    }
}

/// The state of each instruction of a Dockerfile.
pub(super) fn states(dockerfile: &Dockerfile, args: &IndexMap<String, String>, built: &Built) -> Vec<State> {
    // What stands before the first FROM makes nothing.
    let mut states = vec![State::Cached; dockerfile.instructions.len()];
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let base = dockerfile.base(index, args);
        let mut before = match base {
            // Always an earlier one, whose states are known.
            Some(Origin::Stage(earlier)) => {
                states[dockerfile.stages[earlier].range.clone()].last().copied().unwrap_or(State::Cached)
            }
            _ => State::Cached,
        };
        // BuildKit counts the steps of a stage that make files, and a base that is an image.
        let mut number = usize::from(matches!(base, Some(Origin::Image(_))));
        let is_stage = |told: Option<&str>| match told {
            None => dockerfile.stages.len() == 1,
            Some(told) => {
                stage.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(told))
                    || told == format!("stage-{index}")
            }
        };
        let mut any = built.builder == Builder::Classic;
        for at in stage.range.clone() {
            let keyword = dockerfile.instructions[at].keyword;
            let counts = matches!(keyword, Keyword::Run | Keyword::Copy | Keyword::Add | Keyword::Workdir);
            number += usize::from(counts);
            let told = match built.builder {
                _ if keyword == Keyword::From => None,
                Builder::Classic => built.steps.iter().find(|step| step.number == at + 1),
                Builder::BuildKit if counts => {
                    built.steps.iter().find(|step| step.number == number && is_stage(step.stage.as_deref()))
                }
                Builder::BuildKit => None,
            };
            before = match told {
                Some(step) if step.cached => State::Cached,
                Some(_) => State::Rebuilt,
                None if keyword == Keyword::From => before,
                None if built.builder == Builder::BuildKit && !counts => before,
                None => State::NotBuilt,
            };
            any |= told.is_some();
            states[at] = before;
        }
        // A stage that only sets something is its base.
        if !any && number > 0 && built.steps.iter().all(|step| !is_stage(step.stage.as_deref())) {
            states[stage.range.clone()].fill(State::NotBuilt);
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::BuildStep;

    const DOCKERFILE: &str = "ARG V=1\nFROM golang:$V AS build\nWORKDIR /src\nCOPY go.mod .\nENV A=b\nCOPY . .\nRUN go build\n\
         FROM alpine AS unused\nRUN true\nFROM scratch\nCOPY --from=build /src/app /app\nCMD [\"/app\"]\n";

    fn of(builder: Builder, told: &[(Option<&str>, usize, bool)]) -> Vec<&'static str> {
        let dockerfile = Dockerfile::read(DOCKERFILE.as_bytes()).expect("good");
        let told = told.iter().map(|(stage, number, cached)| BuildStep {
            stage: stage.map(str::to_owned),
            number: *number,
            cached: *cached,
        });
        let told = told.collect();
        let built = Built { image: String::new(), builder, steps: told, log_truncated: false };
        states(&dockerfile, &IndexMap::new(), &built).into_iter().map(State::name).collect()
    }

    #[test]
    fn the_classic_builder_counts_all_instructions() {
        let told: Vec<_> = (1..=12).map(|number| (None, number, matches!(number, 3..=5 | 9))).collect();
        assert_eq!(
            of(Builder::Classic, &told),
            [
                "cached", "cached", "cached", "cached", "cached", "rebuilt", "rebuilt", "cached", "cached",
                "cached", "rebuilt", "rebuilt"
            ]
        );
    }

    #[test]
    fn buildkit_counts_in_each_stage_what_makes_files() {
        let told = [
            (Some("build"), 1, false),
            (Some("build"), 2, true),
            (Some("build"), 3, true),
            (Some("build"), 4, false),
            (Some("build"), 5, false),
            (Some("stage-2"), 1, false),
        ];
        assert_eq!(
            of(Builder::BuildKit, &told),
            [
                "cached",
                "cached",
                "cached",
                "cached",
                "cached",
                "rebuilt",
                "rebuilt",
                "not built",
                "not built",
                "cached",
                "rebuilt",
                "rebuilt"
            ]
        );
    }
}
