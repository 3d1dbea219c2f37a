//! The log of a build: pieces of output made into lines, bounded in every direction.
//!
//! A student decides what a build prints. Lines are cut at [`LINE_BYTES`], the live log at the
//! limit of the grading (once, with a mark), and past [`HARD_FACTOR`] times that the build is to be
//! stopped. The last lines are kept in any case, for the failure's evidence.

use std::collections::VecDeque;

use super::{LogLine, LogSink};

/// The longest line that is passed on, in bytes; the same as an event carries.
pub(super) const LINE_BYTES: usize = 2000;
/// How many times the log limit a build may print before it is stopped.
const HARD_FACTOR: u64 = 16;
/// Lines kept for the tail.
const TAIL_LINES: usize = 40;
/// The name of the log's source.
const SOURCE: &str = "build";

/// Collects and passes on the output of one build.
pub(super) struct BuildLog {
    sink: LogSink,
    limit_bytes: u64,
    /// Everything the build printed, kept or not.
    printed_bytes: u64,
    passed_bytes: u64,
    truncated: bool,
    tail: VecDeque<String>,
    out: Line,
    err: Line,
    /// The last line of output of a step, for the sentence about its failure.
    last_output: Option<String>,
}

/// A line that is not complete yet.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    cut: bool,
    /// A carriage return came: what follows overwrites the line, unless it is a line feed.
    returned: bool,
}

impl BuildLog {
    pub(super) fn new(sink: LogSink, limit_bytes: u64) -> Self {
        Self {
            sink,
            limit_bytes,
            printed_bytes: 0,
            passed_bytes: 0,
            truncated: false,
            tail: VecDeque::new(),
            out: Line::default(),
            err: Line::default(),
            last_output: None,
        }
    }

    /// A piece of a step's output, cut anywhere.
    pub(super) fn output(&mut self, stderr: bool, piece: &[u8]) {
        self.printed_bytes = self.printed_bytes.saturating_add(piece.len() as u64);
        for &byte in piece {
            let line = if stderr { &mut self.err } else { &mut self.out };
            match byte {
                b'\n' => self.end_line(stderr),
                b'\r' => line.returned = true,
                _ => line.push(byte),
            }
        }
    }

    /// Ends lines that a step left without a line feed.
    pub(super) fn flush(&mut self) {
        for stderr in [false, true] {
            let line = if stderr { &self.err } else { &self.out };
            if !line.bytes.is_empty() {
                self.end_line(stderr);
            }
        }
    }

    /// A line of the builder's, or of ours.
    pub(super) fn note(&mut self, text: &str) {
        self.flush();
        self.pass(false, crop(text));
    }

    fn end_line(&mut self, stderr: bool) {
        let line = std::mem::take(if stderr { &mut self.err } else { &mut self.out });
        let mut text = String::from_utf8_lossy(&line.bytes).into_owned();
        if line.cut {
            text.push_str(" … [line cut]");
        }
        if !text.trim().is_empty() {
            self.last_output = Some(text.clone());
        }
        self.pass(stderr, text);
    }

    fn pass(&mut self, stderr: bool, text: String) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text.clone());
        if self.truncated {
            return;
        }
        self.passed_bytes += text.len() as u64 + 1;
        if self.passed_bytes > self.limit_bytes {
            self.truncated = true;
            let text = format!("[the log is cut here: more than {} bytes]", self.limit_bytes);
            (self.sink)(LogLine { source: SOURCE.into(), stderr: false, text });
            return;
        }
        (self.sink)(LogLine { source: SOURCE.into(), stderr, text });
    }

    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }

    /// More than any honest build prints.
    pub(super) fn is_flood(&self) -> bool {
        self.printed_bytes > self.limit_bytes.saturating_mul(HARD_FACTOR)
    }

    pub(super) fn tail(&self) -> String {
        Vec::from(self.tail.clone()).join("\n")
    }

    /// The last line with something in it that a step printed since [`Self::forget_last_output`].
    pub(super) fn last_output(&self) -> Option<&str> {
        self.last_output.as_deref()
    }

    /// A new step began.
    pub(super) fn forget_last_output(&mut self) {
        self.last_output = None;
    }
}

impl Line {
    fn push(&mut self, byte: u8) {
        if std::mem::take(&mut self.returned) {
            self.bytes.clear();
            self.cut = false;
        }
        if self.bytes.len() < LINE_BYTES {
            self.bytes.push(byte);
        } else {
            self.cut = true;
        }
    }
}

fn crop(text: &str) -> String {
    if text.len() <= LINE_BYTES {
        return text.to_owned();
    }
    format!("{} … [line cut]", &text[..text.floor_char_boundary(LINE_BYTES)])
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn log(limit: u64) -> (BuildLog, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let seen = Arc::clone(&seen);
            Arc::new(move |line: LogLine| seen.lock().unwrap().push(line.text))
        };
        (BuildLog::new(sink, limit), seen)
    }

    #[test]
    fn pieces_become_lines() {
        let (mut log, seen) = log(1000);
        log.output(false, b"one\r\ntw");
        log.output(true, b"other\n");
        log.output(false, b"o\n10%\r20%\rdone\nrest");
        log.note("Step 2");
        assert_eq!(*seen.lock().unwrap(), ["one", "other", "two", "done", "rest", "Step 2"]);
        assert_eq!(log.last_output(), Some("rest"));
    }

    #[test]
    fn a_giant_line_is_cut_and_a_flood_is_told() {
        let (mut log, seen) = log(10_000);
        log.output(false, &vec![b'x'; 50_000]);
        log.output(false, b"\nafter\n");
        assert_eq!(seen.lock().unwrap()[0].len(), LINE_BYTES + " … [line cut]".len());
        assert_eq!(seen.lock().unwrap()[1], "after");
        assert!(!log.is_flood());
        log.output(false, &vec![b'x'; 150_000]);
        assert!(log.is_flood());
    }

    #[test]
    fn the_log_is_cut_once_and_its_tail_goes_on() {
        let (mut log, seen) = log(20);
        for number in 0..100 {
            log.output(false, format!("line {number}\n").as_bytes());
        }
        assert_eq!(*seen.lock().unwrap(), ["line 0", "line 1", "[the log is cut here: more than 20 bytes]"]);
        assert!(log.truncated());
        assert!(log.tail().ends_with("line 98\nline 99"));
        assert_eq!(log.tail().lines().count(), TAIL_LINES);
    }
}
