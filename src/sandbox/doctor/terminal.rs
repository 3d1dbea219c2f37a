//! The points as a terminal shows them.

use std::fmt::{self, Display, Write as _};

use super::{Grade, Point};

/// Width of the text that advice is broken at.
const WIDTH: usize = 96;
const INDENT: usize = 10;

/// All points as a terminal shows them, with a count at the end. No colours: grades are words.
#[must_use]
pub fn render(points: &[Point]) -> String {
    let mut text = String::new();
    for point in points {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{point}");
    }
    let count = |grade: Grade| points.iter().filter(|point| point.grade == grade).count();
    let _ = write!(
        text,
        "{} passed, {} to think about, {} to mend before strangers' code runs here",
        count(Grade::Pass),
        count(Grade::Caution),
        count(Grade::Fail)
    );
    text
}

impl Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Caution => "caution",
            Self::Fail => "FAIL",
        })
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<INDENT$}{}", self.grade.to_string(), self.title)?;
        for line in wrapped(&self.observed) {
            write!(f, "\n{:INDENT$}{line}", "")?;
        }
        for (number, line) in wrapped(&self.advice).into_iter().enumerate() {
            let mark = if number == 0 { "-> " } else { "   " };
            write!(f, "\n{:INDENT$}{mark}{line}", "")?;
        }
        Ok(())
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_well() {
        let points = [
            Point::new("a", "First", Grade::Pass, "fine", "not shown"),
            Point::new("b", "Second", Grade::Fail, "broken", "Mend it."),
        ];
        assert_eq!(
            render(&points),
            "pass      First\n          fine\nFAIL      Second\n          broken\n          -> Mend it.\n1 passed, 0 to think \
             about, 1 to mend before strangers' code runs here"
        );
    }
}
