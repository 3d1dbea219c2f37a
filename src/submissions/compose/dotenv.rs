//! `.env` and `env_file`: lines of `NAME=value` with quotes, escapes, comments and variables.
//!
//! The grammar is compose-go's, which is godotenv's with quotes over several lines: `export` in front,
//! `:` in place of `=`, `'…'` taken as it is, `"…"` with escapes and variables, ` #` begins a comment
//! where there are no quotes, and a name alone takes the value that it has outside.

use indexmap::IndexMap;

use super::template::{self, Scope};

/// Names and values.
pub(super) type Environment = IndexMap<String, String>;

/// The most variables in one file.
const MAX_VARIABLES: usize = 2000;

/// Why a file of variables is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// From 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// The variables of a file, and the names of those that it uses and nobody has set.
///
/// `outer` are looked at first, then what the file itself has said so far.
pub(super) fn read(
    text: &str,
    outer: &[&Environment],
    budget: &mut usize,
) -> Result<(Environment, Vec<String>), Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, rest: text, outer, unset: Vec::new(), budget };
    let mut out = Environment::new();
    while let Some(statement) = reader.statement() {
        reader.rest = statement;
        reader.assignment(&mut out)?;
        if out.len() > MAX_VARIABLES {
            return Err(reader.error(format!("the file has more than {MAX_VARIABLES} variables")));
        }
    }
    Ok((out, reader.unset))
}

/// The lines as they stand, without quotes, escapes and variables (`format: raw`).
pub(super) fn read_raw(text: &str) -> Result<Environment, Error> {
    let mut out = Environment::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(Error { line: index + 1, message: "the line is not of the form NAME=value".into() });
        };
        out.insert(name.trim().to_owned(), value.to_owned());
        if out.len() > MAX_VARIABLES {
            let message = format!("the file has more than {MAX_VARIABLES} variables");
            return Err(Error { line: index + 1, message });
        }
    }
    Ok(out)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    outer: &'a [&'a Environment],
    unset: Vec<String>,
    budget: &'a mut usize,
}

impl<'a> Reader<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        let before = &self.text[..self.text.len() - self.rest.len()];
        Error { line: before.matches('\n').count() + 1, message: message.into() }
    }

    /// Where the next statement begins.
    fn statement(&self) -> Option<&'a str> {
        let mut rest = self.rest.trim_start();
        while rest.starts_with('#') {
            rest = rest[rest.find('\n')?..].trim_start();
        }
        (!rest.is_empty()).then_some(rest)
    }

    fn assignment(&mut self, out: &mut Environment) -> Result<(), Error> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.rest = after.trim_start_matches(is_blank);
        }
        let end = self.name_end()?;
        let (name, after) = self.rest.split_at(end);
        let name = name.trim_end();
        if name.contains(' ') {
            return Err(self.error("a variable's name cannot contain a space"));
        }
        let alone = after.is_empty() || after.starts_with('\n');
        self.rest = after.get(1..).unwrap_or_default().trim_start_matches(is_blank);
        if alone {
            if let Some(value) = self.outer.iter().find_map(|map| map.get(name)) {
                out.insert(name.to_owned(), value.clone());
            }
            return Ok(());
        }
        let value = self.value(out)?;
        out.insert(name.to_owned(), value);
        Ok(())
    }

    /// Where the name ends: at `=`, `:` or the end of its line.
    fn name_end(&self) -> Result<usize, Error> {
        for (at, letter) in self.rest.char_indices() {
            match letter {
                '=' | ':' | '\n' => return Ok(at),
                '_' | '.' | '-' | '[' | ']' => {}
                letter if is_blank(letter) || letter.is_alphanumeric() => {}
                letter => {
                    let line = self.rest.lines().next().unwrap_or_default();
                    return Err(self.error(format!(
                        "{} cannot be in the name of a variable, in {}",
                        super::finding::quoted(&letter.to_string()),
                        super::finding::quoted(line)
                    )));
                }
            }
        }
        Ok(self.rest.len())
    }

    fn value(&mut self, out: &Environment) -> Result<String, Error> {
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
            let value = self.fill(value, out)?;
            self.rest = rest;
            return Ok(value);
        };
        let mut value = String::new();
        let mut escaped = false;
        for (at, letter) in self.rest.char_indices().skip(1) {
            if letter == quote && !escaped {
                let value = if quote == '"' { self.fill(&unescaped(&value), out)? } else { value };
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
            if letter == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && letter != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(letter);
        }
        let line = self.rest.lines().next().unwrap_or_default();
        Err(self.error(format!("a quote is not closed: {}", super::finding::quoted(line))))
    }

    fn fill(&mut self, value: &str, out: &Environment) -> Result<String, Error> {
        let maps = self.outer.iter().copied().chain([out]).collect();
        let mut scope = Scope::new(maps, *self.budget);
        let filled = scope.fill(value);
        *self.budget = scope.budget;
        let unset = scope.unset;
        for name in unset {
            if !self.unset.contains(&name) && self.unset.len() < 100 {
                self.unset.push(name);
            }
        }
        filled.map_err(|error: template::Error| self.error(error.sentence()))
    }
}

/// White space other than a line's end.
fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// The escapes of `"…"`: those of a shell, octal after `\0`, and `\$` for a dollar that is none.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let simple = match after.chars().next() {
            Some('a') => Some("\u{7}"),
            Some('b') => Some("\u{8}"),
            Some('f') => Some("\u{c}"),
            Some('n') => Some("\n"),
            Some('r') => Some("\r"),
            Some('t') => Some("\t"),
            Some('v') => Some("\u{b}"),
            Some('$') => Some("$$"),
            Some('"') => Some("\""),
            Some('\\') => Some("\\"),
            _ => None,
        };
        let octal = after.strip_prefix('0').and_then(|digits| digits.get(..3));
        if let Some(simple) = simple {
            out.push_str(simple);
            rest = &after[1..];
        } else if let Some(value) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(char::from(value));
            rest = &after[4..];
        } else {
            out.push('\\');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Vec<(String, String)>, String> {
        let outer: Environment = [("OUT".to_owned(), "side".to_owned())].into();
        let mut budget = 100_000;
        read(text, &[&outer], &mut budget)
            .map(|(map, _)| map.into_iter().collect())
            .map_err(|error| format!("{}: {}", error.line, error.message))
    }

    #[test]
    fn values_in_every_form() {
        for (text, value) in [
            ("A=1", "1"),
            ("A: 1 # c", "1"),
            ("export A=x#y", "x#y"),
            ("  A = b  ", "b"),
            ("A=", ""),
            ("A= # c", "# c"),
            ("A='$x \\n #'", "$x \\n #"),
            ("A='it\\'s'", "it's"),
            ("A=\"a\\n\\\"b\\\" \\$c $OUT\" # end", "a\n\"b\" $c side"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${OUT}${NO:-d}", "sided"),
            ("A=\"\\0101\\x\"", "A\\x"),
            ("# c\n\n#d\nA=1\r\n", "1"),
            ("\u{feff}A=1", "1"),
        ] {
            assert_eq!(read_all(text), Ok(vec![("A".to_owned(), value.to_owned())]), "{text:?}");
        }
        let several = read_all("A=1\nB=$A$A\nOUT\nNONE\nC=\"$B\"").unwrap();
        let several: Vec<String> = several.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(several, ["A=1", "B=11", "OUT=side", "C=11"]);
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, start) in [
            ("A=1\nB B=2", "2: a variable's name cannot contain a space"),
            ("A=1\n\nB;=2", "3: `;` cannot be in the name"),
            ("A=\"x", "1: a quote is not closed: `\"x`"),
            ("A=${", "1: a variable is not written right"),
            ("A=1\nB=${NO:?why}", "2: the variable `NO` is required and has no value (why)"),
        ] {
            let message = read_all(text).unwrap_err();
            assert!(message.starts_with(start), "{message}");
        }
    }

    #[test]
    fn raw_lines_are_taken_as_they_stand() {
        let map = read_raw("# c\nA=\"$x\" # y\nB=\n").unwrap();
        assert_eq!((map["A"].as_str(), map["B"].as_str()), ("\"$x\" # y", ""));
        assert_eq!(read_raw("A=1\nB").unwrap_err().line, 2);
    }
}
