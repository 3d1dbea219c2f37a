//! What a container prints: kept up to a cap, passed on line by line.
//!
//! A student's program decides how much it prints, how fast, and whether it ever ends a line.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use futures::{Stream, StreamExt};
use tokio::sync::watch;

use std::sync::Arc;

/// One line of output, without its line end, with ANSI colours as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `build`, or the service's name.
    pub source: String,
    /// Printed on stderr.
    pub stderr: bool,
    /// At most 2,000 bytes; a longer line is cut and ends with `…`.
    pub text: String,
}

/// Receives log lines as they come. Called often: must not block.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// What a service printed so far.
#[derive(Clone, Debug)]
pub struct Output {
    /// Lossy UTF-8; NUL bytes are replaced too, for not every store takes them.
    pub stdout: String,
    /// As `stdout`.
    pub stderr: String,
    /// More was printed than is kept.
    pub truncated: bool,
}

/// The longest line that is passed on, in bytes.
const LINE_BYTES: usize = 2000;
/// A container that has printed so many times its cap is only read slowly from there on: its pipe
/// fills and it has to wait, instead of keeping the engine and us busy for ever.
const PATIENCE: u64 = 16;
/// Bytes per second at which such a container is read.
const SLOW_BYTES_PER_SECOND: u64 = 4 << 20;

/// Keeps what a container prints.
pub(super) struct Recorder {
    cap: u64,
    source: String,
    sink: Option<LogSink>,
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
}

/// How far the output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes kept of both streams together, as text.
    pub(super) bytes: usize,
    /// No more will come (until the container is started again).
    pub(super) ended: bool,
}

#[derive(Default)]
struct Kept {
    stdout: Text,
    stderr: Text,
    /// Where the output of the last start begins in both.
    begin: (usize, usize),
    /// Bytes seen, kept or not.
    seen: u64,
    truncated: bool,
}

/// One stream: its text, the bytes of a character that is not whole yet, and the unfinished line.
#[derive(Default)]
struct Text {
    whole: String,
    partial: Vec<u8>,
    line: String,
    /// The line was longer than [`LINE_BYTES`]: what follows of it is left out.
    overlong: bool,
}

impl Recorder {
    /// Keeps `cap` bytes; lines go to `sink` as coming from `source`.
    pub(super) fn new(cap: u64, source: &str, sink: Option<LogSink>) -> Self {
        Self {
            cap,
            source: source.to_owned(),
            sink,
            kept: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Reads a container's attached output to its end.
    pub(super) async fn record(
        &self,
        mut output: impl Stream<Item = Result<LogOutput, EngineError>> + Unpin,
    ) {
        {
            let mut kept = self.kept();
            kept.begin = (kept.stdout.whole.len(), kept.stderr.whole.len());
        }
        self.progress.send_modify(|progress| progress.ended = false);
        while let Some(Ok(part)) = output.next().await {
            let stderr = matches!(part, LogOutput::StdErr { .. });
            let bytes = part.into_bytes();
            let seen = self.push(stderr, &bytes);
            if seen > self.cap.saturating_mul(PATIENCE) {
                let micros = bytes.len() as u64 * 1_000_000 / SLOW_BYTES_PER_SECOND;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
        }
    }

    /// Nothing more comes: passes on unfinished lines and wakes everyone who waits.
    pub(super) fn end(&self) {
        {
            let mut kept = self.kept();
            let Kept { stdout, stderr, .. } = &mut *kept;
            for (stream, is_stderr) in [(stdout, false), (stderr, true)] {
                if !stream.partial.is_empty() {
                    stream.partial.clear();
                    stream.add("\u{fffd}", |line| self.pass_on(is_stderr, line));
                }
                if !stream.line.is_empty() {
                    self.pass_on(is_stderr, std::mem::take(&mut stream.line));
                }
                stream.overlong = false;
            }
        }
        let bytes = self.kept().bytes();
        self.progress.send_modify(|progress| *progress = Progress { bytes, ended: true });
    }

    /// What was printed so far.
    pub(super) fn output(&self) -> Output {
        let kept = self.kept();
        Output {
            stdout: kept.stdout.whole.clone(),
            stderr: kept.stderr.whole.clone(),
            truncated: kept.truncated,
        }
    }

    /// What was printed since the container was last started.
    pub(super) fn since_start(&self) -> Output {
        let kept = self.kept();
        Output {
            stdout: kept.stdout.whole[kept.begin.0..].to_owned(),
            stderr: kept.stderr.whole[kept.begin.1..].to_owned(),
            truncated: kept.truncated,
        }
    }

    /// For waiting.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Keeps what fits; says how many bytes were seen in all.
    fn push(&self, is_stderr: bool, bytes: &[u8]) -> u64 {
        let (seen, grown) = {
            let mut kept = self.kept();
            let room = usize::try_from(self.cap.saturating_sub(kept.seen)).unwrap_or(usize::MAX);
            kept.seen += bytes.len() as u64;
            let fitting = &bytes[..bytes.len().min(room)];
            kept.truncated |= fitting.len() < bytes.len();
            let before = kept.bytes();
            if !fitting.is_empty() {
                let stream = if is_stderr { &mut kept.stderr } else { &mut kept.stdout };
                let text = decode(&mut stream.partial, fitting);
                stream.add(&text, |line| self.pass_on(is_stderr, line));
            }
            let after = kept.bytes();
            (kept.seen, (after != before).then_some(after))
        };
        if let Some(bytes) = grown {
            self.progress.send_modify(|progress| progress.bytes = bytes);
        }
        seen
    }

    fn pass_on(&self, stderr: bool, mut text: String) {
        if let Some(sink) = &self.sink {
            if text.ends_with('\r') {
                text.pop();
            }
            sink(LogLine { source: self.source.clone(), stderr, text });
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.stdout.whole.len() + self.stderr.whole.len()
    }
}

impl Text {
    fn add(&mut self, text: &str, pass_on: impl Fn(String)) {
        self.whole.push_str(text);
        for piece in text.split_inclusive('\n') {
            let (words, complete) = match piece.strip_suffix('\n') {
                Some(words) => (words, true),
                None => (piece, false),
            };
            if !self.overlong {
                self.line.push_str(words);
                if self.line.len() > LINE_BYTES {
                    self.line.truncate(self.line.floor_char_boundary(LINE_BYTES - '…'.len_utf8()));
                    self.line.push('…');
                    self.overlong = true;
                    pass_on(std::mem::take(&mut self.line));
                }
            }
            if complete {
                if !self.overlong {
                    pass_on(std::mem::take(&mut self.line));
                }
                self.overlong = false;
            }
        }
    }
}

/// Decodes UTF-8 that comes in pieces; what is not UTF-8, and NUL, becomes U+FFFD. The bytes of a
/// character cut in two wait in `partial`.
fn decode(partial: &mut Vec<u8>, bytes: &[u8]) -> String {
    let joined;
    let mut rest = if partial.is_empty() {
        bytes
    } else {
        partial.extend_from_slice(bytes);
        joined = std::mem::take(partial);
        &joined
    };
    let mut text = String::with_capacity(rest.len());
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, broken) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let Some(length) = error.error_len() else {
                    partial.extend_from_slice(broken);
                    break;
                };
                text.push('\u{fffd}');
                rest = &broken[length..];
            }
        }
    }
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(cap: u64) -> (Recorder, Arc<Mutex<Vec<LogLine>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink: LogSink = {
            let lines = Arc::clone(&lines);
            Arc::new(move |line| lines.lock().unwrap().push(line))
        };
        (Recorder::new(cap, "app", Some(sink)), lines)
    }

    fn texts(lines: &Mutex<Vec<LogLine>>) -> Vec<String> {
        lines.lock().unwrap().iter().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let (recorder, lines) = recorder(1000);
        recorder.push(false, b"on");
        recorder.push(true, b"err\n");
        recorder.push(false, b"e\r\ntwo\nthr");
        assert_eq!(texts(&lines), ["err", "one", "two"]);
        recorder.end();
        assert_eq!(texts(&lines), ["err", "one", "two", "thr"]);
        assert_eq!(recorder.output().stdout, "one\r\ntwo\nthr");
        assert_eq!(recorder.output().stderr, "err\n");
    }

    #[test]
    fn a_character_cut_in_two_stays_one() {
        let (recorder, _) = recorder(1000);
        recorder.push(false, &[b'a', 0xc3]);
        recorder.push(false, &[0xa4, 0xff, b'b', 0]);
        assert_eq!(recorder.output().stdout, "aä\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_giant_line_is_cut_once() {
        let (recorder, lines) = recorder(1 << 20);
        for _ in 0..100 {
            recorder.push(false, &[b'x'; 1000]);
        }
        recorder.push(false, b"\nnext\n");
        let texts = texts(&lines);
        assert_eq!(texts.len(), 2);
        assert!(texts[0].len() <= LINE_BYTES && texts[0].ends_with("x…"));
        assert_eq!(texts[1], "next");
    }

    #[test]
    fn past_the_cap_nothing_is_kept() {
        let (recorder, _) = recorder(10);
        recorder.push(false, b"12345678");
        recorder.push(true, b"12345678");
        recorder.push(false, b"12345678");
        let output = recorder.output();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str(), output.truncated),
            ("12345678", "12", true)
        );
        assert_eq!(recorder.progress().borrow().bytes, 10);
    }
}
