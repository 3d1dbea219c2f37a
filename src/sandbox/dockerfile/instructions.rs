//! A Dockerfile split into instructions, as engines of different ages do.

use std::sync::LazyLock;

use regex::Regex;

/// One instruction, its continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Instruction {
    /// Where it begins, counted from 1.
    pub(in crate::sandbox) line: usize,
    /// In capitals.
    pub(in crate::sandbox) keyword: String,
    /// What follows the keyword.
    pub(in crate::sandbox) rest: String,
    /// The bodies of its here-documents.
    pub(in crate::sandbox) heredocs: String,
}

impl Instruction {
    /// As one line of text.
    pub(in crate::sandbox) fn text(&self) -> String {
        format!("{} {}", self.keyword, self.rest.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A parser directive: a comment before anything else, such as `# escape=`.
pub(super) static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:#|//)\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$").expect("a constant")
});
static HEREDOC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^[0-9]*<<-?["']?([A-Za-z_][A-Za-z0-9_]*)["']?$"#).expect("a constant"));

/// Splits a Dockerfile into instructions as the engine does.
pub(super) fn instructions(text: &str, heredocs: bool, doubled_escape_ends: bool) -> Vec<Instruction> {
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
        let mut instruction = Instruction {
            line: index + 1,
            keyword: keyword.to_uppercase(),
            rest: rest.trim().to_owned(),
            heredocs: String::new(),
        };
        if heredocs {
            for end in heredoc_ends(&instruction) {
                for (_, body) in lines.by_ref() {
                    if body.trim_start_matches('\t') == end {
                        break;
                    }
                    instruction.heredocs.push_str(body);
                    instruction.heredocs.push('\n');
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
pub(super) fn words(text: &str) -> Vec<String> {
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
pub(in crate::sandbox) fn without_onbuild(instruction: &Instruction) -> Instruction {
    let mut inner = instruction.clone();
    while inner.keyword == "ONBUILD" {
        let rest = inner.rest.clone();
        let (keyword, after) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
        inner.keyword = keyword.to_uppercase();
        after.trim().clone_into(&mut inner.rest);
    }
    inner
}
