//! What happens in a grading, as it is stored and sent.

use serde::{Deserialize, Serialize};

use crate::report::{CheckReport, Phase, Points, Verdict};

/// One thing that happened in a grading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A worker took it; watchers forget outcomes and log of an earlier attempt.
    Started { attempt: i32 },
    /// A phase began.
    PhaseStarted { phase: Phase },
    /// A phase ended.
    PhaseFinished { phase: Phase, seconds: f64 },
    /// Output of the build (`source: build`) or of a service, several lines at once.
    Log { source: String, lines: Vec<Line> },
    /// The log limit was reached; nothing more of `source` follows in this attempt.
    LogTruncated { source: String },
    /// One check has its outcome.
    Outcome { check: Box<CheckReport> },
    /// Something of ours failed; it will be tried again.
    Retrying { attempt: i32, in_seconds: u64 },
    /// The last event: the verdict is stored.
    Finished { verdict: Verdict, points: Points, waiting: bool, seconds: f64 },
}

/// One line of output with its ANSI colours, at most [`LINE_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// The text, without line end.
    pub text: String,
    /// Whether it came on stderr.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stderr: bool,
}

/// The longest line that is kept, in bytes; the rest of a longer one is left out.
pub const LINE_BYTES: usize = 2000;

impl Event {
    /// The JSON that is stored and sent.
    pub(super) fn payload(&self) -> String {
        // Cannot fail: the keys are strings, and serde_json writes numbers that JSON has none for as null.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether a payload is that of [`Event::Finished`], after which nothing comes. The tag is written
/// first, so the beginning tells.
pub(super) fn is_last(payload: &str) -> bool {
    payload.starts_with(r#"{"type":"finished""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_is_recognised_by_its_beginning() {
        let last = Event::Finished {
            verdict: Verdict::Passed,
            points: Points { earned: 1, possible: 2 },
            waiting: false,
            seconds: 0.25,
        };
        assert!(is_last(&last.payload()));
        let log = Event::Log {
            source: "build".into(),
            lines: vec![Line { text: r#"{"type":"finished"}"#.into(), stderr: false }],
        };
        assert!(!is_last(&log.payload()));
        assert_eq!(serde_json::from_str::<Event>(&log.payload()).unwrap(), log);
    }
}
