//! What is wrong with a definition, and where.

use std::fmt;

use crate::tree::{self, Place};

/// A mistake in a definition. `Display`: `path:line:column: message` in one sentence, with the key
/// that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file, below the folder that was read.
    pub file: String,
    /// 1-based; 0 when the mistake has no place in the file.
    pub line: usize,
    /// 1-based, in characters; 0 when the mistake has no place in the file.
    pub column: usize,
    /// The sentence.
    pub message: String,
    /// Whether the exercise cannot be used like this.
    pub severity: Severity,
}

/// How bad a mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The exercise cannot be used.
    Error,
    /// It can, but `drydock exercise verify` will not be satisfied.
    Warning,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let kind = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {kind}{}", self.message)
    }
}

/// Mistakes found so far in one file.
pub(super) struct Mistakes {
    file: String,
    found: Vec<Mistake>,
}

impl Mistakes {
    pub(super) fn of(file: impl Into<String>) -> Self {
        Self { file: file.into(), found: Vec::new() }
    }

    /// A mistake at a place of the file.
    pub(super) fn at(&mut self, place: Place, message: impl Into<String>) {
        self.push(self.file.clone(), place, message.into(), Severity::Error);
    }

    /// What `verify` will complain about.
    pub(super) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.push(self.file.clone(), place, message.into(), Severity::Warning);
    }

    /// A mistake about another file of the same folder.
    pub(super) fn elsewhere(&mut self, file: String, message: impl Into<String>) {
        self.push(file, Place::default(), message.into(), Severity::Error);
    }

    pub(super) fn error(&mut self, error: tree::Error) {
        self.at(error.place, error.message);
    }

    pub(super) fn errors(&mut self, errors: impl IntoIterator<Item = tree::Error>) {
        errors.into_iter().for_each(|error| self.error(error));
    }

    fn push(&mut self, file: String, place: Place, message: String, severity: Severity) {
        let mistake = Mistake { file, line: place.line, column: place.column, message, severity };
        if !self.found.contains(&mistake) {
            self.found.push(mistake);
        }
    }

    /// Errors (none: the thing can be used) and warnings, in the order of the file.
    pub(super) fn sorted(mut self) -> (Vec<Mistake>, Vec<Mistake>) {
        self.found.sort_by_key(|mistake| (mistake.line == 0, mistake.line, mistake.column));
        self.found.into_iter().partition(|mistake| mistake.severity == Severity::Error)
    }
}
