//! What a Dockerfile would make the engine do by itself, outside of all limits, found before the engine
//! reads it: fetch things, and fill in variables without end.
//!
//! A build without network still reaches out in three ways, all of them from the engine's own
//! network: a base image that is not there is pulled, `ADD` downloads addresses, and a `# syntax=`
//! line runs an image as the builder. [`Dockerfile::read`] lists the images, so that `build.rs` can
//! look them up first, and refuses the other two.
//!
//! This is a guard and no parser for checks: where engines of different ages read a line
//! differently, it considers both readings, and what it cannot resolve it refuses.

mod expansion;
mod fetched;
mod instructions;
mod syntax;

use indexmap::IndexMap;

use fetched::fetched;
use instructions::instructions;
pub(super) use instructions::{Instruction, without_onbuild};
use syntax::official_syntax;

/// An image that the build takes files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseImage {
    pub(super) line: usize,
    pub(super) reference: String,
}

/// A Dockerfile as far as the guard is concerned.
#[derive(Clone, Debug)]
pub(super) struct Dockerfile {
    pub(super) instructions: Vec<Instruction>,
    pub(super) images: Vec<BaseImage>,
    /// The `# syntax=` line of an official frontend: its line, its value, and the text without it.
    pub(super) syntax: Option<Syntax>,
}

/// A `# syntax=` line that the engine's own frontend serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) line: usize,
    pub(super) frontend: String,
    /// The Dockerfile with the line made an ordinary comment of the same length.
    pub(super) without: String,
}

/// Why a Dockerfile is not given to the engine; `sentence` is for the student.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) line: Option<usize>,
    pub(super) sentence: String,
}

impl Dockerfile {
    /// Reads `text`. `args` are the build arguments of the exercise; `heredocs` says whether the
    /// builder that will run knows here-documents (to the others their bodies are instructions).
    pub(super) fn read(text: &str, args: &IndexMap<String, String>, heredocs: bool) -> Result<Self, Refused> {
        let syntax = official_syntax(text)?;
        // BuildKit since 0.13 takes a doubled escape at the end of a line for no continuation.
        let mut readings = vec![instructions(text, heredocs, false)];
        let other = instructions(text, heredocs, true);
        if !readings.contains(&other) {
            readings.push(other);
        }
        let mut images = Vec::new();
        for reading in &readings {
            expansion::bounded(reading, args)?;
            for image in fetched(reading, args)? {
                if !images.contains(&image) {
                    images.push(image);
                }
            }
        }
        Ok(Self { instructions: readings.swap_remove(0), images, syntax })
    }

    /// The instruction at position `step` (from 1), if its keyword is that of `text`; otherwise the
    /// first one that reads like `text`.
    pub(super) fn find(&self, step: Option<usize>, text: &str) -> Option<&Instruction> {
        let keyword = text.split_whitespace().next().unwrap_or_default();
        let by_step = step.and_then(|step| self.instructions.get(step.checked_sub(1)?));
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        by_step.filter(|instruction| instruction.keyword.eq_ignore_ascii_case(keyword)).or_else(|| {
            self.instructions.iter().find(|instruction| instruction.text().eq_ignore_ascii_case(&squeezed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dockerfile, Refused> {
        Dockerfile::read(text, &IndexMap::new(), true)
    }

    fn images(text: &str) -> Vec<String> {
        read(text).unwrap().images.into_iter().map(|image| image.reference).collect()
    }

    #[test]
    fn images_are_found_wherever_they_are_named() {
        let text = "ARG V=1.37\nARG B=busybox:${V}\nFROM $B AS one\nFROM --platform=linux/amd64 debian:13-slim\n\
                    COPY --from=one /a /b\nCOPY --from=0 /a /c\nCOPY --from=nginx:1.26 /x /y\n\
                    RUN --mount=type=bind,from=python:3.13-slim,target=/p true\nRUN --mount=From=mixed:1 true\nFROM scratch\nFROM one\n\
                    ONBUILD COPY --from=hidden:1 / /";
        assert_eq!(
            images(text),
            ["busybox:1.37", "debian:13-slim", "nginx:1.26", "python:3.13-slim", "mixed:1", "hidden:1"]
        );
    }

    #[test]
    fn arguments_of_the_exercise_count() {
        let args = IndexMap::from([("V".to_owned(), "2".to_owned())]);
        let read =
            Dockerfile::read("ARG V=1\nFROM a:$V\nFROM b:${V:-9}-${W:-w}${V:+x}", &args, false).unwrap();
        let found: Vec<_> = read.images.iter().map(|image| (image.line, image.reference.as_str())).collect();
        assert_eq!(found, [(2, "a:2"), (3, "b:2-wx")]);
    }

    #[test]
    fn a_stage_is_only_a_stage_after_it_was_named() {
        assert_eq!(images("FROM later AS x\nFROM busybox AS later\nFROM LATER"), ["later", "busybox"]);
    }

    #[test]
    fn downloads_are_refused_in_every_disguise() {
        for add in [
            "ADD http://example.org/x /x",
            "add --chown=1:1 https://example.org/x /x",
            "ADD [\"HTTP://example.org/x\", \"/x\"]",
            "ADD \"ht\"tp://example.org/x /x",
            "ADD h\\ttp://example.org /x",
            "AD\\\n# a comment\n\nD http://example.org /x",
            "ONBUILD ADD http://example.org/x /x",
            "ONBUILD   onbuild ADD git@example.org:a/b.git /x",
            "ARG U\nADD $U /x",
            "ADD h${T}p://example.org /x",
            "ADD ${A:-http://x} /x",
            "RUN echo \\\\\nADD http://example.org/x /x",
        ] {
            let refused = read(&format!("FROM busybox\n{add}\n"));
            assert!(refused.is_err(), "{add:?} was let through as {refused:?}");
        }
        // Without here-documents their bodies are instructions.
        let body = "FROM busybox\nRUN <<E\nADD http://example.org/x /x\nE\n";
        assert!(Dockerfile::read(body, &IndexMap::new(), false).is_err());
        assert!(Dockerfile::read(body, &IndexMap::new(), true).is_ok());
        assert!(read("FROM busybox\nRUN echo \"<<E\"\nADD http://example.org/x /x\nE\n").is_err());
        assert!(read("FROM busybox\nADD app-${V}.tar.gz /\nADD a b /c/\n").is_ok());
    }

    #[test]
    fn a_frontend_is_official_or_refused() {
        for text in [
            "# syntax=evil/frontend\nFROM a",
            "#SYNTAX = docker.io/evil/dockerfile:1\nFROM a",
            "#!/bin/x\n\n# check=skip=all\n# syntax=x\nFROM a",
            "// syntax=x\nFROM a",
            "\u{feff}# syntax=x\nFROM a",
            "{\"syntax\": \"x\"}",
            "# syntax=docker/dockerfile:1\n# syntax=evil\nFROM a",
            "# syntax=evil.example/docker/dockerfile:1\nFROM a",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let syntax =
            read("# escape=`\n# syntax=docker/dockerfile:1.7-labs\nFROM a\n").unwrap().syntax.unwrap();
        assert_eq!((syntax.line, syntax.frontend.as_str()), (2, "docker/dockerfile:1.7-labs"));
        assert_eq!(syntax.without, "# escape=`\n# syntax:docker/dockerfile:1.7-labs\nFROM a\n");
        assert!(read("FROM a\n# syntax=evil\n").unwrap().syntax.is_none());
    }

    #[test]
    fn names_that_the_builder_decides_are_refused() {
        assert!(read("FROM img-$TARGETARCH").is_err());
        assert!(read("ARG A=x\nFROM ${A#x}").is_err());
        assert!(read("FROM a\nCOPY --from=$X / /").is_err());
    }

    #[test]
    fn instructions_are_joined_and_counted() {
        let read =
            read("# c\n\nFROM a\nRUN one \\\n  # inner\n\n  && two\nRUN <<X cat\nFROM y\nX\nCMD [\"z\"]\n")
                .unwrap();
        let seen: Vec<_> = read.instructions.iter().map(|found| (found.line, found.text())).collect();
        assert_eq!(
            seen,
            [
                (3, "FROM a".to_owned()),
                (4, "RUN one && two".to_owned()),
                (8, "RUN <<X cat".to_owned()),
                (11, "CMD [\"z\"]".to_owned())
            ]
        );
        assert_eq!(read.find(Some(2), "RUN one   && two").unwrap().line, 4);
        assert_eq!(read.find(None, "cmd [\"z\"]").unwrap().line, 11);
    }
}
