//! A Dockerfile as instructions and stages.
//!
//! `grading` asks it what a build needs, `checks` how it is written. What a student hands in as a
//! Dockerfile may be anything at all: reading it never panics and never takes long, and what cannot
//! be read is a sentence for the student. The rules are those of the Dockerfile reference
//! (<https://docs.docker.com/reference/dockerfile/>).

mod convert;
pub mod lint;
mod needs;
mod scope;

use std::ops::Range;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use needs::BuildKitFeature;

/// The largest Dockerfile that is read, in bytes. The longest that people write have some tens of
/// thousands.
pub const DOCKERFILE_BYTES: usize = 1 << 20;

/// The most instructions that are read. An image cannot have more than 127 layers with files.
pub const DOCKERFILE_INSTRUCTIONS: usize = 5_000;

/// Why there is nothing to read. `Display` is a sentence for the student.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it but blanks and comments.
    #[error("the Dockerfile is empty; it needs at least a FROM instruction")]
    Empty,
    /// More than [`DOCKERFILE_BYTES`].
    #[error("the Dockerfile has {bytes} bytes; more than {DOCKERFILE_BYTES} are not read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// More than [`DOCKERFILE_INSTRUCTIONS`].
    #[error(
        "the Dockerfile has {instructions} instructions; more than {DOCKERFILE_INSTRUCTIONS} are not read"
    )]
    TooMany {
        /// How many it has.
        instructions: usize,
    },
    /// UTF-16, as some Windows editors write it.
    #[error("the Dockerfile is written in UTF-16, which Docker cannot read; save it as UTF-8")]
    Utf16,
    /// Bytes that are no text.
    #[error("the Dockerfile is no text: line {line} has bytes that are not UTF-8; is it the right file?")]
    Binary {
        /// Where, from 1.
        line: usize,
    },
    /// Against the grammar.
    #[error("line {line} of the Dockerfile cannot be read: {message}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What is wrong, without a full stop.
        message: String,
    },
    /// The parser failed in a way that it should not.
    #[error("the Dockerfile cannot be read; please look for unusual characters in it")]
    Unexpected,
}

/// A Dockerfile that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// All instructions in their order.
    pub instructions: Vec<Instruction>,
    /// The stages in their order; there is at least one.
    pub stages: Vec<Stage>,
    /// The value of a `# syntax=` line: a frontend image of the writer's choice.
    pub syntax: Option<String>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What follows `AS`.
    pub name: Option<String>,
    /// The image of its `FROM` as it is written, variables and all.
    pub from: String,
    /// Its instructions among [`Dockerfile::instructions`], `FROM` first.
    pub range: Range<usize>,
}

/// Where a stage or a `COPY --from` takes files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An earlier stage, by its index.
    Stage(usize),
    /// An image, variables put in.
    Image(String),
    /// Nothing: `scratch`.
    Scratch,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its name.
    pub keyword: Keyword,
    /// Where it starts, from 1.
    pub line: usize,
    /// What follows it, without flags: continued lines joined by blanks, exec form as JSON.
    pub arguments: String,
    /// Its flags in their order.
    pub flags: Vec<Flag>,
    /// For `CMD`, `ENTRYPOINT`, `RUN` and `HEALTHCHECK CMD`: how the command is written.
    pub form: Option<Form>,
    /// Whether a here-document follows it.
    pub here_document: bool,
    /// For `ONBUILD`: the instruction that it keeps for later.
    pub nested: Option<Box<Instruction>>,
}

/// `--name=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes, in lower case as Docker takes them.
    pub name: String,
    /// `None` where there is no `=`.
    pub value: Option<String>,
}

/// How a command is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `["program", "argument"]`: the program is started by itself.
    Exec(Vec<String>),
    /// A line that `/bin/sh -c` runs.
    Shell,
}

/// The instructions of the Dockerfile reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Keyword {
    /// Every one.
    const ALL: [Self; 18] = [
        Self::Add,
        Self::Arg,
        Self::Cmd,
        Self::Copy,
        Self::Entrypoint,
        Self::Env,
        Self::Expose,
        Self::From,
        Self::Healthcheck,
        Self::Label,
        Self::Maintainer,
        Self::Onbuild,
        Self::Run,
        Self::Shell,
        Self::Stopsignal,
        Self::User,
        Self::Volume,
        Self::Workdir,
    ];

    /// The keyword that is written so, in whatever case.
    fn read(written: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(written))
    }

    /// As it is usually written, in capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Arg => "ARG",
            Self::Cmd => "CMD",
            Self::Copy => "COPY",
            Self::Entrypoint => "ENTRYPOINT",
            Self::Env => "ENV",
            Self::Expose => "EXPOSE",
            Self::From => "FROM",
            Self::Healthcheck => "HEALTHCHECK",
            Self::Label => "LABEL",
            Self::Maintainer => "MAINTAINER",
            Self::Onbuild => "ONBUILD",
            Self::Run => "RUN",
            Self::Shell => "SHELL",
            Self::Stopsignal => "STOPSIGNAL",
            Self::User => "USER",
            Self::Volume => "VOLUME",
            Self::Workdir => "WORKDIR",
        }
    }
}

impl Instruction {
    /// The value of a flag, empty where it has none.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|flag| flag.name == name).map(|flag| flag.value.as_deref().unwrap_or_default())
    }

    /// All flags as they are written, with blanks between them.
    #[must_use]
    pub fn flags_text(&self) -> String {
        let each: Vec<String> = self.flags.iter().map(Flag::to_string).collect();
        each.join(" ")
    }
}

impl std::fmt::Display for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Some(value) => write!(f, "--{}={value}", self.name),
            None => write!(f, "--{}", self.name),
        }
    }
}

impl std::fmt::Display for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.keyword.name())?;
        for flag in &self.flags {
            write!(f, " {flag}")?;
        }
        write!(f, " {}", self.arguments)
    }
}

impl Dockerfile {
    /// Reads a Dockerfile as it was handed in.
    ///
    /// # Errors
    /// [`Unreadable`], a sentence for the student.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = Self::text(bytes)?;
        // The parser is another's and reads a stranger's file: a panic in it is caught, because it
        // would be this grading's fault and not the student's, nor everybody else's.
        std::panic::catch_unwind(|| convert::parse(text)).unwrap_or(Err(Unreadable::Unexpected))
    }

    /// The text of a file that may be a Dockerfile.
    fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
        if bytes.len() > DOCKERFILE_BYTES {
            return Err(Unreadable::TooLarge { bytes: bytes.len() });
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Unreadable::Utf16);
        }
        let line_of = |end: usize| bytes[..end].split(|byte| *byte == b'\n').count();
        if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
            return Err(Unreadable::Binary { line: line_of(nul) });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Unreadable::Binary { line: line_of(error.valid_up_to()) })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Err(Unreadable::Empty);
        }
        Ok(text)
    }

    /// The stage that is built: the last, unless `target` names another.
    #[must_use]
    pub fn stage(&self, target: Option<&str>) -> Option<usize> {
        match target {
            None | Some("final") => self.stages.len().checked_sub(1),
            Some(name) => self
                .stages
                .iter()
                .position(|stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
                .or_else(|| name.parse().ok().filter(|index| *index < self.stages.len())),
        }
    }

    /// The instructions of a stage, `FROM` first.
    #[must_use]
    pub fn in_stage(&self, stage: usize) -> &[Instruction] {
        self.stages.get(stage).map_or(&[], |stage| &self.instructions[stage.range.clone()])
    }

    /// What a stage starts from. `args` are the build arguments that are given; for others the
    /// Dockerfile's own defaults stand.
    #[must_use]
    pub fn base(&self, stage: usize, args: &IndexMap<String, String>) -> Option<Origin> {
        let from = &self.stages.get(stage)?.from;
        let image = scope::Scope::global(self, args).fill(from);
        Some(self.origin(&image, stage, false))
    }

    /// What a `COPY --from=…` or `RUN --mount=from=…` of a stage takes files from.
    #[must_use]
    pub fn source(&self, from: &str, stage: usize) -> Origin {
        self.origin(from, stage, true)
    }

    fn origin(&self, name: &str, before: usize, by_number: bool) -> Origin {
        let earlier = &self.stages[..before.min(self.stages.len())];
        let named = earlier
            .iter()
            .position(|stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)));
        let numbered = || name.parse().ok().filter(|index| by_number && *index < earlier.len());
        match named.or_else(numbered) {
            Some(stage) => Origin::Stage(stage),
            None if name.eq_ignore_ascii_case("scratch") => Origin::Scratch,
            None => Origin::Image(name.to_owned()),
        }
    }

    /// Images from elsewhere that the build starts from or copies from, each once, in order.
    #[must_use]
    pub fn images(&self, args: &IndexMap<String, String>) -> Vec<String> {
        let mut images = indexmap::IndexSet::new();
        let mut add = |origin| {
            if let Origin::Image(image) = origin
                // A number that is no stage is a mistake of the writer, not an image.
                && !image.bytes().all(|byte| byte.is_ascii_digit())
            {
                images.insert(image);
            }
        };
        for stage in 0..self.stages.len() {
            self.base(stage, args).into_iter().for_each(&mut add);
            for instruction in self.in_stage(stage) {
                self.copied_from(instruction, stage).into_iter().for_each(&mut add);
            }
        }
        images.into_iter().collect()
    }

    /// Other stages and images that an instruction takes files from.
    #[must_use]
    pub fn copied_from(&self, instruction: &Instruction, stage: usize) -> Vec<Origin> {
        match instruction.keyword {
            Keyword::Copy | Keyword::Add => {
                instruction.flag("from").map(|from| self.source(from, stage)).into_iter().collect()
            }
            Keyword::Run => instruction
                .flags
                .iter()
                .filter(|flag| flag.name == "mount")
                .filter_map(|flag| {
                    flag.value.as_deref()?.split(',').find_map(|part| part.trim().strip_prefix("from="))
                })
                .map(|from| self.source(from, stage))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The user that the last `USER` of a stage names, or of the stage it is built from, variables
    /// put in; `None` where there is none.
    #[must_use]
    pub fn user(&self, stage: usize, args: &IndexMap<String, String>) -> Option<String> {
        let mut stage = stage;
        loop {
            let mut scope = scope::Scope::global(self, args).stage();
            let mut user = None;
            for instruction in self.in_stage(stage) {
                scope.take(instruction);
                if instruction.keyword == Keyword::User {
                    user = Some(scope.fill(&instruction.arguments));
                }
            }
            match (user, self.base(stage, args)?) {
                (Some(user), _) => return Some(user),
                // Always an earlier one, so this ends.
                (None, Origin::Stage(earlier)) => stage = earlier,
                (None, Origin::Image(_) | Origin::Scratch) => return None,
            }
        }
    }
}
