//! `$VAR` and `${VAR:-default}` in the texts of a compose file (Compose specification, 12-interpolation).
//!
//! Variables come from the submission's own `.env` files only, never from the server's environment. What
//! counts as a variable, where its braces end, and which operator is meant are as compose-go 2.4 has them.

use super::dotenv::Environment;

/// How many defaults may lie inside each other.
const MAX_NESTING: usize = 20;

/// Where variables are looked up, and what happened on the way.
pub(super) struct Scope<'a> {
    /// The first of them that has the variable gives its value.
    pub(super) maps: Vec<&'a Environment>,
    /// Variables that were nowhere and became nothing.
    pub(super) unset: Vec<String>,
    /// Bytes that may still be made.
    pub(super) budget: usize,
}

/// Why a text cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// `${` without a name or an end.
    Invalid,
    /// `${NAME:?reason}` without a value.
    Required { name: String, reason: String },
    /// Defaults inside defaults inside defaults.
    TooDeep,
    /// The values became too long together.
    TooLong,
}

impl Error {
    /// For the student.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Invalid => "a variable is not written right: `${NAME}` needs a name of letters, digits and `_`, \
                              perhaps a `:-default`, and its closing brace; a `$` that is meant as such is `$$`"
                .into(),
            Self::Required { name, reason } => {
                let name = super::finding::quoted(name);
                let reason = if reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", crate::text::visible(reason))
                };
                format!("the variable {name} is required and has no value{reason}; set it in the file `.env`")
            }
            Self::TooDeep => format!("more than {MAX_NESTING} defaults of variables lie inside each other"),
            Self::TooLong => "the values of variables make the file longer than is read".into(),
        }
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(maps: Vec<&'a Environment>, budget: usize) -> Self {
        Self { maps, unset: Vec::new(), budget }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.maps.iter().find_map(|map| map.get(name)).map(String::as_str)
    }

    /// The text with its variables filled in.
    pub(super) fn fill(&mut self, text: &str) -> Result<String, Error> {
        self.fill_at(text, 0)
    }

    fn fill_at(&mut self, text: &str, depth: usize) -> Result<String, Error> {
        if depth > MAX_NESTING {
            return Err(Error::TooDeep);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let after = &rest[1..];
            let length = name_length(after);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if length > 0 {
                out.push_str(self.value(&after[..length])?);
                rest = &after[length..];
            } else if let Some(inner) = after.strip_prefix('{') {
                let (braced, left) = split_braced(inner).ok_or(Error::Invalid)?;
                let value = self.braced(braced, depth)?;
                out.push_str(&value);
                rest = left;
            } else {
                out.push('$');
                rest = after;
            }
            if out.len() > self.budget {
                return Err(Error::TooLong);
            }
        }
        out.push_str(rest);
        self.budget = self.budget.checked_sub(out.len()).ok_or(Error::TooLong)?;
        Ok(out)
    }

    /// A variable that stands alone: nothing, and a warning, where it has no value.
    fn value(&mut self, name: &str) -> Result<&'a str, Error> {
        let Some(value) = self.get(name) else {
            if !self.unset.iter().any(|unset| unset == name) && self.unset.len() < 100 {
                self.unset.push(name.to_owned());
            }
            return Ok("");
        };
        self.budget = self.budget.checked_sub(value.len()).ok_or(Error::TooLong)?;
        Ok(value)
    }

    /// What stands between the braces. The text after an operator is always filled in, used or not, so
    /// that its mistakes are told.
    fn braced(&mut self, braced: &str, depth: usize) -> Result<String, Error> {
        let length = name_length(braced);
        let (name, operator) = braced.split_at(length);
        if length == 0 {
            return Err(Error::Invalid);
        }
        if operator.is_empty() {
            return self.value(name).map(str::to_owned);
        }
        let colon = operator.starts_with(':');
        let mut letters = operator[usize::from(colon)..].chars();
        let letter = letters.next().ok_or(Error::Invalid)?;
        let word = letters.as_str();
        if !matches!(letter, '-' | '+' | '?') {
            return Err(Error::Invalid);
        }
        let word = self.fill_at(word, depth + 1)?;
        let value = self.get(name);
        let usable = value.is_some_and(|value| !colon || !value.is_empty());
        match letter {
            '-' | '?' if usable => Ok(value.unwrap_or_default().to_owned()),
            '+' if !usable => Ok(value.unwrap_or_default().to_owned()),
            '?' => Err(Error::Required { name: name.to_owned(), reason: word }),
            _ => Ok(word),
        }
    }
}

/// How many bytes of the text are a variable's name.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
            bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
        }
        _ => 0,
    }
}

/// What stands between `${` and its `}`, and what follows. Braces inside are counted, a character after
/// an opening one is not looked at, and where they do not come out even the last `}` of the line counts.
fn split_braced(inner: &str) -> Option<(&str, &str)> {
    let length = name_length(inner);
    if length > 0 && inner[length..].starts_with('}') {
        return Some((&inner[..length], &inner[length + 1..]));
    }
    let bytes = inner.as_bytes();
    let mut open = 1_usize;
    // The character after the first brace is part of the name.
    let mut at = 1;
    while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'\n') {
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some((&inner[..at], &inner[at + 1..]));
                }
            }
            b'{' if bytes.get(at + 1) != Some(&b'\n') => {
                open += 1;
                at += 1;
            }
            b'{' => open += 1,
            _ => {}
        }
        at += 1;
    }
    let line = inner.lines().next().unwrap_or_default();
    line.rfind('}').map(|at| (&inner[..at], &inner[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, Error> {
        let map: Environment =
            [("A", "a"), ("EMPTY", ""), ("_b1", "b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        Scope::new(vec![&map], 10_000).fill(text)
    }

    #[test]
    fn every_form() {
        for (text, filled) in [
            ("$A-${A}_$_b1", "a-a_b"),
            ("$$A $$$A $1 $ $", "$A $a $1 $ $"),
            ("${NO}|${NO-d}|${EMPTY-d}|${EMPTY:-d}|${A:-d}", "|d||d|a"),
            ("${NO+d}|${EMPTY+d}|${EMPTY:+d}|${A:+d}", "|d||d"),
            ("${A?x}${EMPTY?x}${A:?x}", "aa"),
            ("${NO:-${A}x${NO:-y}}z", "axyz"),
            ("${NO:-{}}", "{}"),
            ("${NO:-{\"k\": \"v\"}}", "{\"k\": \"v\"}"),
            ("${NO:-a:b-c?d} ${A}", "a:b-c?d a"),
            ("${NO:-$$x} ${NO:-}", "$x "),
            ("pa$$word", "pa$word"),
            ("${A}\n${NO:-x}", "a\nx"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn every_error() {
        for text in
            ["${", "${}", "${A", "${A B}", "${1}", "${A:}", "${A:-x\n}", "${A:=x}", "${NO:-${A}", "x ${-a}"]
        {
            assert_eq!(fill(text), Err(Error::Invalid), "{text}");
        }
        let required =
            |name: &str, reason: &str| Err(Error::Required { name: name.into(), reason: reason.into() });
        assert_eq!(fill("${NO?}"), required("NO", ""));
        assert_eq!(fill("${EMPTY:?set $A}"), required("EMPTY", "set a"));
        assert_eq!(fill(&format!("{}{}", "${N:-".repeat(30), "}".repeat(30))), Err(Error::TooDeep));
        assert_eq!(fill(&"$A".repeat(10_000)), Err(Error::TooLong));
    }

    #[test]
    fn a_variable_without_a_value_is_told_once() {
        let map = Environment::default();
        let mut scope = Scope::new(vec![&map], 100);
        assert_eq!(scope.fill("$X${X}${Y-}").unwrap(), "");
        assert_eq!(scope.unset, ["X"]);
    }
}
