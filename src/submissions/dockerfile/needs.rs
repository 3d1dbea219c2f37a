//! What only `BuildKit` can do. The engine's classic builder refuses each of these, so a Dockerfile
//! with one of them has to be built by `BuildKit` or not at all.
//!
//! A `# syntax=` line is not among them: it names a frontend, which is a matter of trust and not of
//! need; the classic builder reads it as the comment it looks like.

use super::{Dockerfile, Instruction, Keyword};

/// Something that only `BuildKit` can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildKitFeature {
    /// Where it is used, from 1.
    pub line: usize,
    /// What it is, such as "`RUN --mount`".
    pub what: String,
}

impl Dockerfile {
    /// The first use of something that only `BuildKit` can do.
    #[must_use]
    pub fn needs_buildkit(&self) -> Option<BuildKitFeature> {
        self.instructions.iter().find_map(feature)
    }
}

fn feature(instruction: &Instruction) -> Option<BuildKitFeature> {
    let name = instruction.keyword.name();
    let found = |what| Some(BuildKitFeature { line: instruction.line, what });
    if instruction.here_document {
        return found(format!("a here-document of {name}"));
    }
    // Flags that docker's own classic builder knows; every other came with `BuildKit`.
    let classic: &[&str] = match instruction.keyword {
        Keyword::From => &["platform"],
        Keyword::Copy => &["from", "chown"],
        Keyword::Add => &["chown"],
        Keyword::Healthcheck => &["interval", "timeout", "start-period", "retries", "start-interval"],
        _ => &[],
    };
    if let Some(flag) = instruction.flags.iter().find(|flag| !classic.contains(&flag.name.as_str())) {
        return found(format!("`{name} --{}`", flag.name));
    }
    if instruction.keyword == Keyword::Add {
        let git = |word: &str| {
            word.starts_with("git@")
                || word.starts_with("git://")
                || word
                    .split('#')
                    .next()
                    .is_some_and(|url| url.contains("://") && url.strip_suffix(".git").is_some())
        };
        if instruction.arguments.split(' ').any(git) {
            return found("`ADD` of a git repository".to_owned());
        }
    }
    instruction.nested.as_deref().and_then(feature)
}
