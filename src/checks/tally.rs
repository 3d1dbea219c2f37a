//! Several conditions on one thing, told as one finding.

use std::borrow::Cow;

use super::matcher::{Mode, Size, Text, shown};
use super::{Detail, Finding};

/// What was expected and seen, condition by condition.
#[derive(Default)]
pub(super) struct Tally {
    expected: Vec<String>,
    held: Vec<String>,
    failed: Vec<String>,
}

impl Tally {
    /// Adds a condition: whether it holds, what it is, and what was seen instead or indeed.
    pub(super) fn note(&mut self, holds: bool, expected: impl Into<String>, observed: impl Into<String>) {
        let observed = observed.into();
        self.expect(expected);
        let seen = if holds { &mut self.held } else { &mut self.failed };
        if !seen.contains(&observed) {
            seen.push(observed);
        }
    }

    /// The content of a file, where there is one that can be read.
    pub(super) fn content(&mut self, wanted: &Text, content: Option<&[u8]>) {
        let text = content.map(String::from_utf8_lossy);
        let observed = match &text {
            Some(Cow::Borrowed(text)) => {
                format!("its content is {}", wanted.misfit(text).unwrap_or_else(|| shown(text)))
            }
            Some(Cow::Owned(_)) => "its content is not UTF-8 text".into(),
            None => "there is no file to read".into(),
        };
        let holds = text.is_some_and(|text| wanted.accepts(&text));
        self.note(holds, format!("content {}", wanted.describe()), observed);
    }

    /// The size of a file.
    pub(super) fn size(&mut self, wanted: &Size, bytes: u64) {
        self.note(
            wanted.accepts(bytes),
            format!("size {}", wanted.describe()),
            format!("it has {bytes} bytes"),
        );
    }

    /// The permission bits of a file.
    pub(super) fn mode(&mut self, wanted: &Mode, mode: u32) {
        self.note(wanted.accepts(mode), wanted.describe(), format!("its mode is {:04o}", mode & 0o7777));
    }

    /// Says what is expected by itself, for conditions that are met one by one.
    pub(super) fn expect(&mut self, expected: impl Into<String>) {
        let expected = expected.into();
        if !expected.is_empty() {
            self.expected.push(expected);
        }
    }

    /// Adds something seen that explains what was wrong.
    pub(super) fn remark(&mut self, observed: String) {
        self.failed.push(observed);
    }

    /// Whether every condition holds.
    pub(super) fn holds(&self) -> bool {
        self.failed.is_empty()
    }

    /// Expected: all of it. Observed: what was wrong, or where nothing was, everything.
    pub(super) fn detail(&self) -> Detail {
        let observed = if self.failed.is_empty() { &self.held } else { &self.failed };
        Detail::new(self.expected.join(", "), observed.join(", "))
    }

    /// The detail, completed by the caller, as the finding that follows.
    pub(super) fn finding(&self, detail: Detail) -> Finding {
        Finding::of(self.holds(), detail)
    }
}
