//! The points as a terminal shows them: by rule, most of them on a line or two.

use std::fmt::{self, Display, Write as _};

use super::{Grade, NOT_MEASURED, Point, Rule};

/// Width that text is broken at.
const WIDTH: usize = 112;
const INDENT: usize = 11;
const ARROW: &str = "-> ";

/// What holds on any engine, and where to read how.
const OTHER_RULES: &str = "Rules 8 to 11 (archives and addresses, what pages show, the grader's secrets, hidden expectations) \
                           are Drydock's own work on any engine.";

/// All points as a terminal shows them, grouped by rule, with a count at the end. No colours: grades are words.
#[must_use]
pub fn render(points: &[Point]) -> String {
    let mut text = String::new();
    for rule in Rule::ALL {
        let mut of_rule = points.iter().filter(|point| point.rule == rule).peekable();
        if of_rule.peek().is_none() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match rule.number() {
            Some(number) => writeln!(text, "Rule {number}: {}", rule.name()),
            None => writeln!(text, "{}", rule.name()),
        };
        for point in of_rule {
            let _ = writeln!(text, "{point}");
        }
        text.push('\n');
    }
    for line in wrapped(OTHER_RULES, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
    let count = |grade: Grade| points.iter().filter(|point| point.grade == grade).count();
    let _ = writeln!(
        text,
        "{} PASS, {} CAUTION, {} FAIL.",
        count(Grade::Pass),
        count(Grade::Caution),
        count(Grade::Fail)
    );
    let verdict = if count(Grade::Fail) > 0 {
        "Strangers' code should not run here before what FAILs is mended. deploy/README.md has a set-up that keeps it."
    } else if points.iter().any(|point| point.observed.starts_with(NOT_MEASURED)) {
        "Whether strangers' code should run here is not known before the rest is measured."
    } else if count(Grade::Caution) > 0 {
        "Strangers' code can run here; the rest makes it safer."
    } else {
        "Strangers' code can run here."
    };
    let _ = writeln!(text, "{verdict}");
    text
}

impl Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Caution => "CAUTION",
            Self::Fail => "FAIL",
        })
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = format!("{}: {}", self.title, self.observed);
        let advice = (!self.advice.is_empty()).then_some(&self.advice);
        write!(f, "  {:<width$}", self.grade.to_string(), width = INDENT - 2)?;
        // What to do stands a little further in than what was seen.
        let advice = advice.into_iter().flat_map(|advice| wrapped(advice, WIDTH - INDENT - ARROW.len()));
        let advice = advice.enumerate().map(|(number, line)| {
            let mark = if number == 0 { ARROW } else { "" };
            format!("{mark:width$}{line}", width = ARROW.len())
        });
        let lines = wrapped(&said, WIDTH - INDENT).into_iter().chain(advice);
        for (number, line) in lines.enumerate() {
            if number > 0 {
                write!(f, "\n{:INDENT$}", "")?;
            }
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Broken between words; a command in backquotes that fits on a line stays whole, so that it can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if quoted => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        quoted ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::Subject;
    use super::*;

    const FIRST: Subject = Subject::new(Rule::Engine, "a", "First", "not shown");
    const SECOND: Subject = Subject::new(Rule::Disk, "b", "Second", "Mend it: `mend --it`.");

    #[test]
    fn a_list_reads_well() {
        let text = render(&[SECOND.fail("broken"), FIRST.pass("fine")]);
        let expected = format!(
            "The engine\n  PASS     First: fine\n\nRule 5: The disk is bounded\n  FAIL     Second: broken\n           -> Mend \
             it: `mend --it`.\n\n{}\n1 PASS, 0 CAUTION, 1 FAIL.\nStrangers' code should not run here before what FAILs is \
             mended. deploy/README.md has a set-up that keeps it.\n",
            wrapped(OTHER_RULES, WIDTH).join("\n")
        );
        assert_eq!(text, expected);
        assert!(render(&[FIRST.pass("fine"), SECOND.not_measured("busy")]).ends_with(
            "Whether strangers' code should run here is not known before the rest is measured.\n"
        ));
        assert!(render(&[FIRST.pass("fine")]).ends_with("Strangers' code can run here.\n"));
    }

    #[test]
    fn a_command_is_not_broken() {
        assert_eq!(wrapped("do `a b c` now", 7), ["do", "`a b c`", "now"]);
        assert!(wrapped(&"word ".repeat(99), 20).iter().all(|line| line.len() <= 20));
    }
}
