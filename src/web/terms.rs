//! Terms in words: what a student is told about dates, attempts and what comes late, and why something was
//! not taken. Trainers' pages and the API say it the same way.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::Error;
use super::words::{Moment, count, written_as_html};
use crate::terms::{LatePolicy, Lateness, Refusal, Terms, Tried};

/// "in 3 min", "in 5 h", "in 2 days"; "now" for what is over.
#[must_use]
pub fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    // Counted up, so that nobody comes back a moment too early.
    let seconds = (at - now).num_seconds();
    let minutes = (seconds + 59).div_euclid(60);
    match minutes {
        ..=0 => "now".into(),
        1..60 => format!("in {minutes} min"),
        60..1440 => format!("in {} h", (minutes + 30) / 60),
        _ => format!("in {}", count((minutes + 720) / 1440, "day")),
    }
}

/// A moment to come as "in 2 days", exact on hover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// When it happens.
    pub at: DateTime<Utc>,
    /// When the page was made.
    pub now: DateTime<Utc>,
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<time class=\"until\" datetime=\"{}\" title=\"{} UTC\">{}</time>",
            self.at.format("%Y-%m-%dT%H:%M:%SZ"),
            self.at.format("%-d %b %Y, %H:%M:%S"),
            until(self.at, self.now)
        )
    }
}

/// Points in hundredths as people read them: "3", "3.5", "3.25".
#[must_use]
pub fn hundredths(points: u64) -> String {
    let text = format!("{}.{:02}", points / 100, points % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How late something came and what that takes away: "1 day late", "2 days late: 80 % of the points count".
/// `None` for what came in time.
#[must_use]
pub fn late(late: Lateness) -> Option<String> {
    let days = match late.days {
        0 => return None,
        days => format!("{} late", count(days.into(), "day")),
    };
    Some(if late.percent == 100 { days } else { format!("{days}: {} % of the points count", late.percent) })
}

/// The policy for what comes late, after "after that": "it counts in full", "each day takes 10 % …".
#[must_use]
pub fn policy(policy: LatePolicy) -> String {
    match policy {
        LatePolicy::Full => "what comes later counts in full".into(),
        LatePolicy::PerDay { percent, floor: 0 } => format!("each day late takes {percent} % of the points"),
        LatePolicy::PerDay { percent, floor } => {
            format!("each day late takes {percent} % of the points, {floor} % stay")
        }
        LatePolicy::Refused => "nothing is taken after that".into(),
    }
}

/// Why something is not taken now, as an error with its sentence.
#[must_use]
pub fn refused(refusal: Refusal, now: DateTime<Utc>) -> Error {
    let day = |at: DateTime<Utc>| at.format("%-d %b %Y, %H:%M UTC");
    match refusal {
        Refusal::NotOpen { opens_at } => Error::Conflict(
            format!("This exercise opens on {}, {}. Hand in then.", day(opens_at), until(opens_at, now)).into(),
        ),
        Refusal::Closed { closed_at } => Error::Conflict(
            format!("This exercise closed on {}; nothing more is taken. Ask your trainer if you need more time.", day(closed_at))
                .into(),
        ),
        Refusal::PastDue { due_at } => Error::Conflict(
            format!(
                "This exercise was due on {}, and nothing is taken after that. Ask your trainer if you need more time.",
                day(due_at)
            )
            .into(),
        ),
        Refusal::NoAttemptLeft { attempts } => Error::Conflict(
            format!(
                "You have used {} of this exercise; no more is taken. The best one counts.",
                match attempts {
                    1 => "the one attempt".to_owned(),
                    more => format!("all {more} attempts"),
                }
            )
            .into(),
        ),
        Refusal::TooSoon { next_at } => Error::TooMany {
            sentence: format!("Your next attempt is taken {}. Use the time to look at what the last one told.", until(next_at, now))
                .into(),
            retry_after: (next_at - now).to_std().unwrap_or_default(),
        },
    }
}

/// What a student is told about one exercise, as HTML of our own making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told(String);

impl Told {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Both are made of times, numbers and words of ours.
written_as_html!(Until, Told);

/// The one thing about an exercise that matters on the board; empty where nothing does.
#[must_use]
pub fn on_board(terms: &Terms, tried: u32, done: bool, now: DateTime<Utc>) -> Told {
    let left = terms.attempt_limit().map(|limit| limit.saturating_sub(tried));
    let soon = |at: DateTime<Utc>| Until { at, now };
    let text = match (terms.opens_at, terms.due_at, terms.closes_at) {
        (Some(at), ..) if at > now => format!("opens {}", soon(at)),
        (.., Some(at)) if at <= now => "closed".into(),
        _ if done => return Told::default(),
        (_, Some(at), _) if at > now => format!("due {}", soon(at)),
        (_, Some(_), Some(at)) => format!("was due; closes {}", soon(at)),
        (_, Some(_), None) if terms.late == Some(LatePolicy::Refused) => "closed".into(),
        (_, Some(_), None) => "was due".into(),
        (.., Some(at)) => format!("closes {}", soon(at)),
        (.., None) => String::new(),
    };
    let attempts = match left {
        Some(left) if !done && text != "closed" => format!("{} left", count(left.into(), "attempt")),
        _ => String::new(),
    };
    let both: Vec<String> = [text, attempts].into_iter().filter(|part| !part.is_empty()).collect();
    Told(both.join(" · "))
}

/// Everything that a student has to know before handing in, a line each.
#[must_use]
pub fn on_exercise(terms: &Terms, tried: Tried, now: DateTime<Utc>) -> Vec<Told> {
    let mut lines = Vec::new();
    let moment = |at: DateTime<Utc>| format!("{} ({})", Moment(at), Until { at, now });
    if let Some(at) = terms.opens_at.filter(|at| *at > now) {
        lines.push(format!("Opens {}", moment(at)));
    }
    if let Some(at) = terms.due_at {
        let after = policy(terms.late.unwrap_or(LatePolicy::Full));
        lines.push(match terms.lateness(now) {
            Lateness::NONE => format!("Due {}; {after}", moment(at)),
            now => format!(
                "Was due {}; {after}. What you hand in now is {}",
                Moment(at),
                late(now).unwrap_or_default()
            ),
        });
    }
    if let Some(at) = terms.closes_at {
        lines.push(if at > now {
            format!("Closes {}", moment(at))
        } else {
            format!("Closed {}", Moment(at))
        });
    }
    if let Some(limit) = terms.attempt_limit() {
        lines.push(format!("{} of {} used", tried.attempts.min(limit), count(limit.into(), "attempt")));
    }
    let left = terms.attempt_limit().is_none_or(|limit| tried.attempts < limit);
    match terms.next_attempt_at(tried, now) {
        Some(at) if left => lines.push(format!("Next attempt {}", Until { at, now })),
        _ if terms.cooldown() > TimeDelta::zero() && left => {
            lines.push(format!("{} between attempts", waiting(terms.cooldown())));
        }
        _ => {}
    }
    if terms.attempt_limit().is_some() || terms.cooldown() > TimeDelta::zero() {
        lines.push("What a fault of ours ends never counts as an attempt".into());
    }
    lines.into_iter().map(Told).collect()
}

/// A wait in words: "10 min", "2 h".
#[must_use]
pub fn waiting(wait: TimeDelta) -> String {
    match wait.num_minutes() {
        minutes if minutes % 1440 == 0 && minutes > 0 => count(minutes / 1440, "day"),
        minutes if minutes % 60 == 0 && minutes > 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc()
    }

    #[test]
    fn what_is_to_come_is_told_from_now() {
        for (seconds, text) in [
            (-5, "now"),
            (0, "now"),
            (1, "in 1 min"),
            (60, "in 1 min"),
            (61, "in 2 min"),
            (3600, "in 1 h"),
            (23 * 3600, "in 23 h"),
            (86_400, "in 1 day"),
            (2 * 86_400, "in 2 days"),
        ] {
            assert_eq!(until(now() + TimeDelta::seconds(seconds), now()), text, "{seconds}");
        }
    }

    #[test]
    fn points_have_no_needless_noughts() {
        for (points, text) in [(0, "0"), (300, "3"), (350, "3.5"), (325, "3.25"), (1000, "10"), (5, "0.05")] {
            assert_eq!(hundredths(points), text);
        }
    }

    #[test]
    fn the_board_tells_what_matters_first() {
        let told = |terms: &Terms, tried, done| on_board(terms, tried, done, now()).to_string();
        let day = TimeDelta::days(1);
        let due = Terms { due_at: Some(now() + day), attempts: Some(3), ..Terms::default() };
        let text = told(&due, 2, false);
        assert!(text.starts_with("due <time") && text.ends_with("</time> · 1 attempt left"), "{text}");
        assert_eq!(told(&due, 2, true), "");
        let opens = Terms { opens_at: Some(now() + day), ..due.clone() };
        assert!(told(&opens, 0, false).starts_with("opens <time"));
        let closed = Terms { closes_at: Some(now()), ..due.clone() };
        assert_eq!(told(&closed, 0, false), "closed");
        let over = Terms { due_at: Some(now() - day), late: Some(LatePolicy::Refused), ..Terms::default() };
        assert_eq!(told(&over, 0, false), "closed");
        assert_eq!(told(&Terms::default(), 0, false), "");
    }

    #[test]
    fn an_exercise_tells_what_its_next_attempt_costs() {
        let late = Some(LatePolicy::PerDay { percent: 10, floor: 50 });
        let due_at = Some(now() - TimeDelta::hours(30));
        let terms = Terms { due_at, late, attempts: Some(5), cooldown_minutes: Some(5), ..Terms::default() };
        let tried = Tried { attempts: 2, newest_at: Some(now() - TimeDelta::minutes(2)) };
        let lines: Vec<String> = on_exercise(&terms, tried, now()).iter().map(ToString::to_string).collect();
        assert!(
            lines[0].contains("What you hand in now is 2 days late: 80 % of the points count"),
            "{lines:?}"
        );
        assert_eq!(lines[1], "2 of 5 attempts used");
        assert!(lines[2].starts_with("Next attempt <time") && lines[2].contains("in 3 min"), "{lines:?}");
    }
}
