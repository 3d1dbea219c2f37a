//! What a build would take from elsewhere: images, which are listed, and downloads, which are refused.

use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

use super::instructions::{Instruction, without_onbuild};
use super::{BaseImage, Refused};

/// Beginnings of what `ADD` downloads.
const SCHEMES: [&str; 6] = ["http://", "https://", "git://", "ssh://", "git@", "ftp://"];

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^${}]*))?\})")
        .expect("a constant")
});

/// The images that the instructions take files from; refuses what would be downloaded otherwise.
pub(super) fn fetched(
    instructions: &[Instruction],
    args: &IndexMap<String, String>,
) -> Result<Vec<BaseImage>, Refused> {
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
                    // BuildKit reads the keys of a mount in small letters (`ParseMount`).
                    let fields = mount.split(',').filter_map(|field| field.split_once('='));
                    let from = fields.filter(|(key, _)| key.trim().eq_ignore_ascii_case("from"));
                    sources.extend(from.map(|(_, image)| image.to_owned()));
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
