//! Small phrases that every page says the same way: times, durations, numbers with their nouns.

use std::fmt;

use chrono::{DateTime, Utc};

/// A moment. The page shows UTC; `time.js` turns it into the reader's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub DateTime<Utc>);

/// A moment as "2 min ago", exact on hover. `now` is when the page was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ago {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When the page was made.
    pub now: DateTime<Utc>,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<time datetime=\"{}\">{} UTC</time>",
            self.0.format("%Y-%m-%dT%H:%M:%SZ"),
            self.0.format("%-d %b %Y, %H:%M")
        )
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<time class=\"ago\" datetime=\"{}\" title=\"{} UTC\">{}</time>",
            self.at.format("%Y-%m-%dT%H:%M:%SZ"),
            self.at.format("%-d %b %Y, %H:%M:%S"),
            ago(self.at, self.now)
        )
    }
}

/// For what is displayed as HTML already: [`Moment`] and [`Ago`] write a fixed set of characters, none of which
/// HTML gives a meaning.
macro_rules! written_as_html {
    ($($name:ty),+) => {$(
        impl askama::FastWritable for $name {
            fn write_into(
                &self,
                dest: &mut dyn std::fmt::Write,
                _: &dyn askama::Values,
            ) -> askama::Result<()> {
                write!(dest, "{self}")?;
                Ok(())
            }
        }
        impl askama::filters::HtmlSafe for $name {}
    )+};
}
pub(crate) use written_as_html;
written_as_html!(Moment, Ago);

/// "just now", "2 min ago", "3 h ago", "5 days ago".
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = (now - at).num_minutes().max(0);
    match minutes {
        0 => "just now".into(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        _ => format!("{} ago", count(minutes / 1440, "day")),
    }
}

/// Seconds as people read them: "8 ms", "0.4 s", "12 s", "1 min 5 s".
#[must_use]
pub fn took(seconds: f64) -> String {
    if seconds < 0.0995 {
        format!("{:.0} ms", seconds.max(0.0) * 1000.0)
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 59.5 {
        format!("{seconds:.0} s")
    } else {
        let minutes = ((seconds + 0.5) / 60.0).floor();
        format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).max(0.0))
    }
}

/// "1 file", "6 files".
#[must_use]
pub fn count(number: i64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A size of what was handed in or may be handed in.
#[must_use]
pub fn bytes(number: u64) -> String {
    crate::units::ByteSize(number).to_string()
}

/// A phrase of unknown origin as HTML: what stands between backticks as code, everything else as it is.
#[must_use]
pub fn with_code(phrase: &str) -> String {
    let phrase = crate::text::visible(phrase);
    // An odd number of backticks is no markup of ours.
    if phrase.matches('`').count() % 2 == 1 {
        return escaped(&phrase);
    }
    let mut out = String::with_capacity(phrase.len() + 32);
    for (index, part) in phrase.split('`').enumerate() {
        let (open, close) = if index % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
        out.push_str(open);
        out.push_str(&escaped(part));
        out.push_str(close);
    }
    out
}

/// A command line as HTML that breaks between words only.
#[must_use]
pub fn command(line: &str) -> String {
    let words = crate::text::visible(line);
    let words = words.split(' ').map(|word| format!("<span>{}</span>", escaped(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// Text as HTML, for the few places that are not written by a template.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn durations_are_short_and_never_say_sixty() {
        for (seconds, text) in [
            (0.0, "0 ms"),
            (0.0083, "8 ms"),
            (0.0996, "0.1 s"),
            (0.41, "0.4 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 0 s"),
            (65.0, "1 min 5 s"),
            (119.7, "2 min 0 s"),
        ] {
            assert_eq!(took(seconds), text);
        }
    }

    #[test]
    fn code_in_a_phrase_is_set_as_code() {
        assert_eq!(with_code("body has `<b>` & `x`"), "body has <code>&lt;b&gt;</code> &amp; <code>x</code>");
        assert_eq!(with_code("a ` alone"), "a ` alone");
        assert_eq!(with_code("\u{202e}`a`"), "⟨U+202E⟩<code>a</code>");
    }

    #[test]
    fn a_command_is_broken_between_its_words() {
        assert_eq!(command("echo  '<b>'"), "<span>echo</span> <span></span> <span>'&lt;b&gt;'</span>");
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        for (seconds, text) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3600, "1 h ago"),
            (86_400, "1 day ago"),
            (2 * 86_400, "2 days ago"),
        ] {
            assert_eq!(ago(now - TimeDelta::seconds(seconds), now), text);
        }
        assert_eq!(
            Moment(now).to_string(),
            "<time datetime=\"2026-03-01T12:00:00Z\">1 Mar 2026, 12:00 UTC</time>"
        );
    }
}
