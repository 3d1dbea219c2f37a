//! How long a Dockerfile becomes once its variables are filled in.
//!
//! The builders fill them in inside the engine's daemon, where no limit of a build counts: letter by letter,
//! in a time that grows with the square of the length (an instruction of 480 kB keeps engine 20.10 busy for
//! minutes, also after the build was given up), and `ENV A=$A$A` doubles a value with every line. What
//! stands here is an upper bound: what cannot be told exactly counts as more than it is.

use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

use super::Refused;
use super::instructions::{Instruction, without_onbuild, words};

/// The most that one instruction may have, in bytes: a second of the daemon's time.
const INSTRUCTION: usize = 32 << 10;
/// The most that all of them may have together.
const ALTOGETHER: usize = 128 << 10;
/// What a variable of a base image counts as, such as its `PATH`.
const UNKNOWN: usize = 512;

static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\w+)=").expect("a constant"));

/// Refuses instructions that are far longer than anybody needs.
pub(super) fn bounded(instructions: &[Instruction], args: &IndexMap<String, String>) -> Result<(), Refused> {
    let mut lengths: HashMap<String, usize> =
        args.iter().map(|(name, value)| (name.clone(), value.len())).collect();
    let mut altogether: usize = 0;
    for instruction in instructions {
        let inner = without_onbuild(instruction);
        let length = match inner.keyword.as_str() {
            // Their variables are the shell's; of a RUN the builder fills in the flags.
            "CMD" | "ENTRYPOINT" | "HEALTHCHECK" | "SHELL" | "MAINTAINER" => 0,
            "RUN" => {
                let flags = inner.rest.split_whitespace().take_while(|word| word.starts_with("--"));
                flags.map(|flag| filled(flag, &lengths)).fold(0, usize::saturating_add)
            }
            _ => filled(&inner.rest, &lengths).saturating_add(filled(&inner.heredocs, &lengths)),
        };
        altogether = altogether.saturating_add(length);
        let (what, limit) = if length > INSTRUCTION {
            (format!("This {} instruction becomes", inner.keyword), INSTRUCTION)
        } else if altogether > ALTOGETHER {
            ("The instructions up to here become".into(), ALTOGETHER)
        } else {
            if matches!(inner.keyword.as_str(), "ARG" | "ENV") {
                assign(&inner.rest, &mut lengths);
            }
            continue;
        };
        return Err(Refused {
            line: Some(instruction.line),
            sentence: format!(
                "{what} longer than {} KiB when the variables are filled in, which the builder would need minutes for; \
                 put long texts into a file and COPY it.",
                limit >> 10
            ),
        });
    }
    Ok(())
}

/// Notes how long the variables of an `ARG` or `ENV` become.
fn assign(text: &str, lengths: &mut HashMap<String, usize>) {
    let mut found: Vec<(String, usize)> = Vec::new();
    if text.contains(['\\', '`']) {
        // Where a word ends is a matter of escapes then: each name may have it all.
        let whole = filled(text, lengths);
        let first = text.split([' ', '\t', '=']).next().unwrap_or_default();
        let names = NAME.captures_iter(text).map(|name| name[1].to_owned());
        found.extend(names.chain([first.to_owned()]).map(|name| (name, whole)));
    } else {
        for word in words(text) {
            match (word.split_once('='), found.last_mut()) {
                (Some((name, value)), _) => found.push((name.to_owned(), filled(value, lengths))),
                // The old form, `ENV name a value of several words`.
                (None, Some((_, length))) => *length = length.saturating_add(filled(&word, lengths) + 1),
                (None, None) => found.push((word, 0)),
            }
        }
    }
    for (name, length) in found {
        let known = lengths.entry(name).or_default();
        *known = length.max(*known);
    }
}

/// The most bytes that `text` can have with its variables filled in.
fn filled(text: &str, lengths: &HashMap<String, usize>) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut length = text.len();
    for (at, _) in text.match_indices('$') {
        let after = &text[at + 1..];
        let after = after.strip_prefix('{').unwrap_or(after);
        let (name, rest) = after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()));
        if name.is_empty() {
            continue;
        }
        let value = lengths.get(name).copied().unwrap_or(UNKNOWN);
        // `${name/what/other}` puts something in for each letter at most.
        let times = if rest.starts_with('/') { rest.len() } else { 1 };
        length = length.saturating_add(value.saturating_mul(times));
    }
    length
}

#[cfg(test)]
mod tests {
    use super::super::Dockerfile;
    use super::*;

    fn refusal(text: &str) -> Option<Refused> {
        Dockerfile::read(&format!("FROM busybox\n{text}"), &IndexMap::new(), true).err()
    }

    #[test]
    fn what_doubles_with_every_line_is_refused_in_every_disguise() {
        for line in [
            "ENV A=$A$A",
            "ENV A=${A}${A:-x}",
            "ENV A $A $A",
            "ENV A=\\ $A$A",
            "ENV C=\\\" A=$A$A B=\\\"",
            "ENV C='x' A=\"$A $A\"",
            "ARG A=$A$A",
            "ONBUILD ENV A=$A$A",
            "ENV A=${A//x/$A}",
            "ENV A=$B$B\nENV B=$A$A",
        ] {
            let text = format!("ENV A=xxxxxxxx B=xxxxxxxx\n{}", format!("{line}\n").repeat(40));
            let refused = refusal(&text).unwrap_or_else(|| panic!("{line} was let through"));
            assert!(refused.line < Some(40), "{line}: {refused:?}");
        }
        let before = format!("ARG A=xxxxxxxx\n{}FROM $A", "ARG A=$A$A\n".repeat(40));
        assert!(Dockerfile::read(&before, &IndexMap::new(), false).is_err());
    }

    #[test]
    fn long_instructions_are_refused_where_the_builder_fills_them_in() {
        let long = ["x"; 40].map(|x| x.repeat(1000)).join("\\\n");
        let refused = refusal(&format!("RUN {long}\nLABEL a={long}")).unwrap();
        assert_eq!(refused.line, Some(42));
        assert!(
            refused.sentence.starts_with("This LABEL instruction becomes longer than 32 KiB"),
            "{refused:?}"
        );
        let many = format!("LABEL a={}\n", "x".repeat(30_000)).repeat(5);
        assert_eq!(refusal(&many).unwrap().line, Some(6));
        let given = IndexMap::from([("A".to_owned(), "x".repeat(40_000))]);
        assert!(Dockerfile::read("ARG A\nFROM busybox\nARG A\nLABEL a=$A", &given, false).is_err());
        let document = format!("ENV A={}\nCOPY <<EOF /x\n{}EOF\n", "x".repeat(1000), "$A\n".repeat(40));
        assert!(refusal(&document).is_some());
    }

    #[test]
    fn what_people_write_is_not_long() {
        let path = "ENV PATH=$PATH:/opt/tool/bin\n".repeat(20);
        let values = ["ENV V1=1\n", "ENV V2=\"a b\"\n"].concat().repeat(1000);
        let labels =
            "LABEL org.opencontainers.image.description=\"a tool for $V1, $V2 and ${V3:-more}\"\n".repeat(50);
        let script = format!("RUN {}true\n", "apt-get install -y something && \\\n".repeat(2000));
        let document = format!("COPY <<EOF /etc/app.conf\n{}EOF\n", "a line of a file\n".repeat(500));
        assert_eq!(refusal(&[path, values, labels, script, document].concat()), None);
    }
}
