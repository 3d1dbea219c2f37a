//! Command lines that a person pastes into a POSIX shell.
//!
//! They contain what students and authors wrote (paths, variables, file names), so every word is
//! quoted: nothing in it is ever a command of its own.

/// One word, in quotes where it needs them (POSIX.1-2024, Shell Command Language, 2.2.2). A NUL
/// character cannot be in a word and is left out; so are other control characters but line ends and
/// tabs, which a terminal would take as its own.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let clean: String = word.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    format!("'{}'", clean.replace('\'', r"'\''"))
}

/// Words with blanks between them.
pub(super) fn line<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}
