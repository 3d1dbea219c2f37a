//! What a Dockerfile would make the engine fetch by itself, found before the engine reads it.
//!
//! A build without network still reaches out in three ways, all of them from the engine's own
//! network: a base image that is not there is pulled, `ADD` downloads addresses, and a `# syntax=`
//! line runs an image as the builder. [`Dockerfile::read`] lists the images, so that `build.rs` can
//! look them up first, and refuses the other two.
//!
//! This is a guard and no parser for checks: where engines of different ages read a line
//! differently, it considers both readings, and what it cannot resolve it refuses.

use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

/// One instruction, its continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// In capitals.
    pub(super) keyword: String,
    /// What follows the keyword.
    pub(super) rest: String,
}

impl Instruction {
    /// As one line of text.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.keyword, self.rest.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

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

/// Frontends that the engine's BuildKit has built in, so that nothing has to be fetched for them.
const OFFICIAL_FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Beginnings of what `ADD` downloads.
const SCHEMES: [&str; 6] = ["http://", "https://", "git://", "ssh://", "git@", "ftp://"];

static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:#|//)\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$").expect("a constant")
});
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^${}]*))?\})")
        .expect("a constant")
});
static HEREDOC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^[0-9]*<<-?["']?([A-Za-z_][A-Za-z0-9_]*)["']?$"#).expect("a constant"));

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

/// Whether BuildKit would run another image as the builder, and if it is one it has built in.
fn official_syntax(text: &str) -> Result<Option<Syntax>, Refused> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return Err(Refused {
            line: Some(1),
            sentence: "This is JSON and not a Dockerfile; a Dockerfile begins with FROM.".into(),
        });
    }
    let mut found: Option<Syntax> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if !(trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("//")) {
            break;
        }
        let Some(directive) = DIRECTIVE.captures(line) else { continue };
        if !directive[1].eq_ignore_ascii_case("syntax") {
            continue;
        }
        let frontend = directive[2].split_whitespace().next().unwrap_or_default().to_owned();
        if !is_official(&frontend) {
            return Err(Refused {
                line: Some(index + 1),
                sentence: format!(
                    "The syntax line names {frontend} as the builder, which is not allowed here; remove the line or use \
                     docker/dockerfile:1."
                ),
            });
        }
        let without = found.take().map_or_else(|| text.to_owned(), |syntax| syntax.without);
        found = Some(Syntax { line: index + 1, frontend, without: without_directive(&without, index) });
    }
    Ok(found)
}

/// The text with the `=` of the directive in line `index` (from 0) made a colon.
fn without_directive(text: &str, index: usize) -> String {
    text.split_inclusive('\n')
        .enumerate()
        .map(|(at, line)| if at == index { line.replacen('=', ":", 1) } else { line.to_owned() })
        .collect()
}

fn is_official(frontend: &str) -> bool {
    let name = frontend.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    OFFICIAL_FRONTENDS.contains(&repository)
}

/// Splits a Dockerfile into instructions as the engine does.
fn instructions(text: &str, heredocs: bool, doubled_escape_ends: bool) -> Vec<Instruction> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_character(text);
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mut joined, mut goes_on) = continuation(line, escape, doubled_escape_ends);
        while goes_on && let Some((_, next)) = lines.next() {
            let trimmed = next.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let (part, more) = continuation(next, escape, doubled_escape_ends);
            joined.push_str(&part);
            goes_on = more;
        }
        let joined = joined.trim();
        let (keyword, rest) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        let instruction =
            Instruction { line: index + 1, keyword: keyword.to_uppercase(), rest: rest.trim().to_owned() };
        if heredocs {
            for end in heredoc_ends(&instruction) {
                for (_, body) in lines.by_ref() {
                    if body.trim_start_matches('\t') == end {
                        break;
                    }
                }
            }
        }
        found.push(instruction);
    }
    found
}

/// A line without its continuation mark, and whether it had one.
fn continuation(line: &str, escape: char, doubled_escape_ends: bool) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t', '\r']);
    match trimmed.strip_suffix(escape) {
        Some(before) if !(doubled_escape_ends && before.ends_with(escape)) => (before.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// The `# escape=` directive, which counts only before anything else.
fn escape_character(text: &str) -> char {
    for line in text.lines() {
        let Some(directive) = DIRECTIVE.captures(line).filter(|_| line.trim_start().starts_with('#')) else {
            break;
        };
        if directive[1].eq_ignore_ascii_case("escape") && &directive[2] == "`" {
            return '`';
        }
    }
    '\\'
}

/// The words that end the here-documents an instruction begins, in their order.
fn heredoc_ends(instruction: &Instruction) -> Vec<String> {
    let inner = without_onbuild(instruction);
    if !matches!(inner.keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    words(&inner.rest)
        .iter()
        .filter_map(|word| HEREDOC.captures(word).map(|found| found[1].to_owned()))
        .collect()
}

/// Words as a shell would split them, quotes kept: a quoted `<<` begins no here-document.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// An `ONBUILD` trigger fires in a later stage of the same file: what it would do counts.
fn without_onbuild(instruction: &Instruction) -> Instruction {
    let mut inner = instruction.clone();
    while inner.keyword == "ONBUILD" {
        let rest = inner.rest.clone();
        let (keyword, after) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
        inner.keyword = keyword.to_uppercase();
        after.trim().clone_into(&mut inner.rest);
    }
    inner
}

/// The images that the instructions take files from; refuses what would be downloaded otherwise.
fn fetched(instructions: &[Instruction], args: &IndexMap<String, String>) -> Result<Vec<BaseImage>, Refused> {
    let mut images = Vec::new();
    let mut stages: Vec<String> = Vec::new();
    let mut known: HashMap<String, String> = HashMap::new();
    for instruction in instructions {
        let line = instruction.line;
        let inner = without_onbuild(instruction);
        let plain = unquoted(&inner.rest);
        let tokens: Vec<&str> = plain.split_whitespace().collect();
        let flags = tokens.iter().take_while(|token| token.starts_with("--"));
        let mut sources: Vec<String> = Vec::new();
        match inner.keyword.as_str() {
            "ARG" if stages.is_empty() => {
                for token in &tokens {
                    let (name, default) = token.split_once('=').unwrap_or((token, ""));
                    let value = args.get(name).cloned().map_or_else(|| expand(default, &known, line), Ok)?;
                    known.insert(name.to_owned(), value);
                }
            }
            "FROM" => {
                let mut rest = tokens.iter().skip_while(|token| token.starts_with("--"));
                if let Some(image) = rest.next() {
                    let image = expand(image, &known, line)?;
                    if image != "scratch" {
                        sources.push(image);
                    }
                }
                let name = match (rest.next(), rest.next()) {
                    (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => name.to_lowercase(),
                    _ => String::new(),
                };
                take(&mut images, &stages, sources.drain(..), line)?;
                stages.push(name);
            }
            "COPY" | "ADD" => {
                sources.extend(flags.filter_map(|flag| flag.strip_prefix("--from=")).map(str::to_owned));
                if inner.keyword == "ADD" {
                    refuse_downloads(&tokens, line)?;
                }
            }
            "RUN" => {
                for mount in flags.filter_map(|flag| flag.strip_prefix("--mount=")) {
                    sources.extend(
                        mount.split(',').filter_map(|field| field.strip_prefix("from=")).map(str::to_owned),
                    );
                }
            }
            _ => {}
        }
        take(&mut images, &stages, sources.drain(..), line)?;
    }
    Ok(images)
}

/// Adds those sources that are images and no earlier stages.
fn take(
    images: &mut Vec<BaseImage>,
    stages: &[String],
    sources: impl Iterator<Item = String>,
    line: usize,
) -> Result<(), Refused> {
    for source in sources {
        let is_stage = stages.contains(&source.to_lowercase())
            || source.parse::<usize>().is_ok_and(|number| number < stages.len());
        if source.is_empty() || is_stage {
            continue;
        }
        if source.contains('$') {
            return Err(Refused {
                line: Some(line),
                sentence: format!(
                    "\"{source}\" takes a variable where only the name of a stage or image can stand; write the name out."
                ),
            });
        }
        images.push(BaseImage { line, reference: source });
    }
    Ok(())
}

/// The engine drops quotes and escapes before it looks at a word; a refusal must not be got round
/// with them.
fn unquoted(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\'' | '\\' | '`')).collect()
}

fn refuse_downloads(tokens: &[&str], line: usize) -> Result<(), Refused> {
    for token in tokens.iter().flat_map(|token| token.split(['[', ']', ','])) {
        let lower = token.to_lowercase();
        let before_variable = lower.split('$').next().unwrap_or_default();
        let could_become_one =
            lower.contains('$') && SCHEMES.iter().any(|scheme| scheme.starts_with(before_variable));
        if lower.contains("://") || lower.starts_with("git@") {
            return Err(Refused {
                line: Some(line),
                sentence: format!(
                    "ADD would download {token} from outside the sandbox, which is not allowed; put the file beside the \
                     Dockerfile and use COPY, or fetch it in a RUN step where the exercise gives the build a network."
                ),
            });
        }
        if could_become_one {
            return Err(Refused {
                line: Some(line),
                sentence: format!(
                    "ADD with a source that begins with a variable ({token}) could download anything, which is not allowed; \
                     use COPY for files of your own."
                ),
            });
        }
    }
    Ok(())
}

/// Puts the values of `ARG`s before the first `FROM` in for variables, as the engine does.
fn expand(text: &str, known: &HashMap<String, String>, line: usize) -> Result<String, Refused> {
    let refused = |what: &str| Refused {
        line: Some(line),
        sentence: format!(
            "The image \"{text}\" cannot be told from the Dockerfile alone ({what}); write its name out."
        ),
    };
    let mut expanded = String::new();
    let mut end = 0;
    for found in VARIABLE.captures_iter(text) {
        let whole = found.get(0).map_or(0..0, |whole| whole.range());
        expanded.push_str(&text[end..whole.start]);
        end = whole.end;
        let name = found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str());
        if !known.contains_key(name) && is_automatic(name) {
            return Err(refused(&format!("${name} is the builder's")));
        }
        let value = known.get(name).filter(|value| !value.is_empty());
        let word = found.get(4).map_or("", |word| word.as_str());
        match found.get(3).map(|operator| operator.as_str()) {
            Some(operator) if operator.ends_with('-') => {
                expanded.push_str(value.map_or(word, String::as_str));
            }
            Some(_) => expanded.push_str(if value.is_some() { word } else { "" }),
            None => expanded.push_str(value.map_or("", String::as_str)),
        }
    }
    expanded.push_str(&text[end..]);
    if expanded.contains('$') {
        return Err(refused("it uses a form of variable that is not understood here"));
    }
    Ok(expanded)
}

/// Arguments that BuildKit sets by itself, see "Automatic platform ARGs" in the Dockerfile reference.
fn is_automatic(name: &str) -> bool {
    ["BUILD", "TARGET"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE")
        })
    })
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
                    RUN --mount=type=bind,from=python:3.13-slim,target=/p true\nFROM scratch\nFROM one\n\
                    ONBUILD COPY --from=hidden:1 / /";
        assert_eq!(
            images(text),
            ["busybox:1.37", "debian:13-slim", "nginx:1.26", "python:3.13-slim", "hidden:1"]
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
