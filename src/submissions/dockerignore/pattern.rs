//! One pattern of an ignore file, matched as `moby/patternmatcher` does, odd cases included.
//!
//! The builder checks a pattern with Go's `filepath.Match` and then makes a regular expression of it,
//! character by character, or compares texts where that is enough. What follows from that is kept:
//! `**` not followed by `/` still means "some folders" in the middle of a pattern and any beginning at
//! its start, `*` inside brackets ends what the brackets mean, `^` outside of them never matches.

use regex::{Regex, RegexBuilder};

/// The most that one compiled pattern may take, in bytes.
const COMPILED_BYTES: usize = 1 << 20;

/// A pattern that could be read.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// This path.
    Exactly(String),
    /// What begins so: `a/**`, `a**`.
    Begins(String),
    /// What ends so: `**/a`, `**a`.
    Ends(String),
    Fits(Regex),
}

impl Pattern {
    /// `None` where the builder would refuse the pattern.
    pub(super) fn read(pattern: &str) -> Option<Self> {
        if !well_formed(pattern) {
            return None;
        }
        let mut expression = String::from("^");
        let mut kind = Kind::Exactly;
        let mut rest = pattern.chars().peekable();
        let mut first = true;
        while let Some(next) = rest.next() {
            match next {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    if rest.peek().is_some() {
                        expression.push_str("(.*/)?");
                        kind = Kind::Fits;
                    } else if kind == Kind::Exactly {
                        kind = Kind::Begins;
                    } else {
                        expression.push_str(".*");
                        kind = Kind::Fits;
                    }
                    if first {
                        kind = Kind::Ends;
                    }
                }
                '*' => {
                    expression.push_str("[^/]*");
                    kind = Kind::Fits;
                }
                '?' => {
                    expression.push_str("[^/]");
                    kind = Kind::Fits;
                }
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => expression.extend(['\\', next]),
                '\\' => {
                    expression.push('\\');
                    if let Some(escaped) = rest.next() {
                        expression.push(escaped);
                        kind = Kind::Fits;
                    }
                }
                other => {
                    expression.push(other);
                    if matches!(other, '[' | ']') {
                        kind = Kind::Fits;
                    }
                }
            }
            first = false;
        }
        Some(match kind {
            Kind::Exactly => Self::Exactly(pattern.to_owned()),
            Kind::Begins => Self::Begins(pattern.strip_suffix("**")?.to_owned()),
            Kind::Ends => Self::Ends(pattern.strip_prefix("**")?.to_owned()),
            Kind::Fits => Self::Fits(compile(&(expression + "$"))?),
        })
    }

    /// Whether it matches the path itself; folders above it are the caller's matter.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exactly(wanted) => path == wanted,
            Self::Begins(start) => path.starts_with(start),
            Self::Ends(end) => path.ends_with(end) || end.strip_prefix('/') == Some(path),
            Self::Fits(regex) => regex.is_match(path),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Exactly,
    Begins,
    Ends,
    Fits,
}

/// Whether Go's `filepath.Match` takes it: brackets are closed and not empty, ranges have both ends,
/// and something follows each backslash.
fn well_formed(pattern: &str) -> bool {
    /// One character of a class, as itself or after a backslash.
    fn one(rest: &mut std::str::Chars<'_>) -> bool {
        match rest.next() {
            None | Some('-' | ']') => return false,
            Some('\\') if rest.next().is_none() => return false,
            Some(_) => {}
        }
        !rest.as_str().is_empty()
    }
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' if rest.next().is_none() => return false,
            '[' => {
                if rest.as_str().starts_with('^') {
                    rest.next();
                }
                let mut ranges = 0;
                while ranges == 0 || !rest.as_str().starts_with(']') {
                    if !one(&mut rest) {
                        return false;
                    }
                    if rest.as_str().starts_with('-') {
                        rest.next();
                        if !one(&mut rest) {
                            return false;
                        }
                    }
                    ranges += 1;
                }
                rest.next();
            }
            _ => {}
        }
    }
    true
}

/// Compiles an expression in the syntax of Go's `regexp`: classes and escapes are the only parts that
/// this crate reads otherwise.
fn compile(expression: &str) -> Option<Regex> {
    let mut out = String::with_capacity(expression.len() + 16);
    let mut rest = expression.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match escape(rest.next()?)? {
                Escape::Set(set) => {
                    out.push('[');
                    out.push_str(set);
                    out.push(']');
                }
                Escape::One(one) => literal(&mut out, one),
            },
            '[' => class(&mut rest, &mut out)?,
            ']' => out.push_str("\\]"),
            other => out.push(other),
        }
    }
    RegexBuilder::new(&out).size_limit(COMPILED_BYTES).build().ok()
}

/// The rest of a class: `]` right at its start is a member of it, `[` is always one.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let low = match rest.next()? {
            ']' if !first => break,
            '\\' => match escape(rest.next()?)? {
                Escape::Set(set) => {
                    out.push_str(set);
                    first = false;
                    continue;
                }
                Escape::One(one) => one,
            },
            // `[:alpha:]` would mean something else to the builder; nobody writes it in a path.
            '[' if rest.peek() == Some(&':') => return None,
            one => one,
        };
        first = false;
        literal(out, low);
        if rest.next_if_eq(&'-').is_none() {
            continue;
        }
        let high = match rest.next()? {
            '\\' => match escape(rest.next()?)? {
                Escape::One(one) => one,
                Escape::Set(_) => return None,
            },
            one => one,
        };
        out.push('-');
        literal(out, high);
    }
    out.push(']');
    Some(())
}

/// What a backslash and a character mean in Go's `regexp`.
enum Escape {
    /// Members of a class.
    Set(&'static str),
    One(char),
}

/// Letters that stand for something, and signs for themselves. Of other letters and digits Go refuses
/// most, and the rest stands for nothing that is part of a path.
fn escape(escaped: char) -> Option<Escape> {
    Some(match escaped {
        'd' => Escape::Set("0-9"),
        'D' => Escape::Set("[^0-9]"),
        'w' => Escape::Set("0-9A-Za-z_"),
        'W' => Escape::Set("[^0-9A-Za-z_]"),
        's' => Escape::Set("\\t\\n\\x0C\\r "),
        'S' => Escape::Set("[^\\t\\n\\x0C\\r ]"),
        'a' => Escape::One('\x07'),
        'f' => Escape::One('\x0c'),
        'n' => Escape::One('\n'),
        'r' => Escape::One('\r'),
        't' => Escape::One('\t'),
        'v' => Escape::One('\x0b'),
        sign if sign.is_ascii() && !sign.is_ascii_alphanumeric() => Escape::One(sign),
        _ => return None,
    })
}

fn literal(out: &mut String, one: char) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{{{:X}}}", u32::from(one));
}
