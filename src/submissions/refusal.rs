//! Why something was not accepted: sentences for whoever handed it in.

use crate::text::visible;

/// Why something was not accepted. `Display` is a sentence for the student that says what, where
/// and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no archive of a kind that is taken.
    #[error("{0}.")]
    NotAnArchive(String),
    /// The archive, or what is in it, or the answers are larger than allowed.
    #[error("{0}.")]
    TooLarge(String),
    /// More files, folders and links than allowed.
    #[error("{0}.")]
    TooManyEntries(String),
    /// An entry with an absolute path, `..`, a link that leaves the tree, a device, a sparse file, …
    #[error("{0}.")]
    UnsafeEntry(String),
    /// The bytes contradict themselves or end too early; or a folder cannot be read.
    #[error("{0}.")]
    Damaged(String),
    /// There is no file in it.
    #[error("{0}.")]
    Empty(String),
}

/// A name out of an archive as a sentence may show it: unprintable and bidirectional characters
/// written out, bytes that are no UTF-8 replaced, long names cut in the middle.
pub(super) fn shown(name: &[u8]) -> String {
    const HEAD: usize = 80;
    const TAIL: usize = 40;
    let text = String::from_utf8_lossy(name).replace(['\n', '\t'], "\u{fffd}");
    let text = visible(&text);
    let length = text.chars().count();
    if length <= HEAD + TAIL {
        return format!("`{text}`");
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(length - TAIL).collect();
    format!("`{head}…{tail}`")
}

/// 12345 as `12,345`.
pub(super) fn counted(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{counted, shown};

    #[test]
    fn names_are_shown_whole_and_harmless() {
        assert_eq!(shown(b"src/main.rs"), "`src/main.rs`");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "`a⟨U+202E⟩b`");
        assert_eq!(shown(b"a\x1b[31mb\xff"), "`a⟨U+001B⟩[31mb\u{fffd}`");
        let long = shown(&[b'x'; 5000]);
        assert_eq!(long.chars().count(), 123);
    }

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!(
            ["7", "1,000", "20,000", "1,234,567"].map(String::from),
            [counted(7), counted(1000), counted(20_000), counted(1_234_567)]
        );
    }
}
