//! When an exercise may be handed in, how often, and what is left of the points of what comes late.
//!
//! A cohort has terms for all of its exercises, and an exercise may have some of its own, which take
//! the place of the cohort's one by one. `store` keeps them and applies them in the transaction that
//! takes a submission, `web` tells them. Nothing here asks for the time: it comes as a parameter.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most attempts that can be allowed, the longest wait between them, in minutes.
pub const MOST_ATTEMPTS: u32 = 1000;
/// A week.
pub const LONGEST_COOLDOWN_MINUTES: u32 = 7 * 24 * 60;

/// What holds for handing in. A field that is absent is as the cohort has it; where the cohort has
/// nothing either, there is no such limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Nothing is taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<DateTime<Utc>>,
    /// What comes after this is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// Nothing is taken from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<DateTime<Utc>>,
    /// What becomes of what comes late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LatePolicy>,
    /// How many attempts a student has; 0 for as many as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1000)]
    pub attempts: Option<u32>,
    /// Minutes from one attempt to the next; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10080)]
    pub cooldown_minutes: Option<u32>,
    /// Whether students are told what was observed, but never what was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hide_expected: Option<bool>,
}

/// What becomes of what is handed in after it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "policy")]
pub enum LatePolicy {
    /// It counts in full.
    Full,
    /// Each day that has begun takes a part of the points away.
    PerDay {
        /// Per cent of the points, for each day.
        #[schema(minimum = 1, maximum = 100)]
        percent: u8,
        /// Per cent of the points that are left however late it is.
        #[schema(maximum = 100)]
        floor: u8,
    },
    /// It is not taken.
    Refused,
}

/// How late something came, and what is left of its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lateness {
    /// Days begun since it was due; 0 when it was in time.
    pub days: u32,
    /// Per cent of the points that count.
    pub percent: u32,
}

/// What somebody has tried so far. What a fault ended does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Submissions that were judged, or are about to be.
    pub attempts: u32,
    /// When the newest of them was handed in.
    pub newest_at: Option<DateTime<Utc>>,
}

/// Why nothing is taken just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is too early.
    NotOpen {
        /// When it opens.
        opens_at: DateTime<Utc>,
    },
    /// It is too late.
    Closed {
        /// Since when.
        closed_at: DateTime<Utc>,
    },
    /// It was due, and nothing is taken late.
    PastDue {
        /// When it was due.
        due_at: DateTime<Utc>,
    },
    /// Every attempt is used up.
    NoAttemptLeft {
        /// How many there were.
        attempts: u32,
    },
    /// The attempt before was too short a time ago.
    TooSoon {
        /// When the next one is taken.
        next_at: DateTime<Utc>,
    },
}

impl Lateness {
    /// In time: everything counts.
    pub const NONE: Self = Self { days: 0, percent: 100 };

    /// Points after the policy, in hundredths of a point.
    #[must_use]
    pub fn hundredths(self, earned: u32) -> u64 {
        u64::from(earned) * u64::from(self.percent)
    }
}

impl LatePolicy {
    /// Per cent of the points that count so many days after they were due.
    #[must_use]
    pub fn percent(self, days: u32) -> u32 {
        match self {
            Self::Full | Self::Refused => 100,
            Self::PerDay { percent, floor } => {
                100_u32.saturating_sub(days.saturating_mul(percent.into())).max(floor.into()).min(100)
            }
        }
    }
}

impl Terms {
    /// These terms, with those of the cohort for whatever they do not say.
    #[must_use]
    pub fn within(&self, cohort: &Self) -> Self {
        Self {
            opens_at: self.opens_at.or(cohort.opens_at),
            due_at: self.due_at.or(cohort.due_at),
            closes_at: self.closes_at.or(cohort.closes_at),
            late: self.late.or(cohort.late),
            attempts: self.attempts.or(cohort.attempts),
            cooldown_minutes: self.cooldown_minutes.or(cohort.cooldown_minutes),
            hide_expected: self.hide_expected.or(cohort.hide_expected),
        }
    }

    /// How many attempts there are; `None` when there are as many as one likes.
    #[must_use]
    pub fn attempt_limit(&self) -> Option<u32> {
        self.attempts.filter(|attempts| *attempts > 0)
    }

    /// How long to wait from one attempt to the next.
    #[must_use]
    pub fn cooldown(&self) -> TimeDelta {
        TimeDelta::minutes(self.cooldown_minutes.unwrap_or_default().into())
    }

    /// Whether students are kept from what was expected.
    #[must_use]
    pub fn hides_expected(&self) -> bool {
        self.hide_expected.unwrap_or_default()
    }

    /// When the next attempt is taken, if it is not taken now because of the one before.
    #[must_use]
    pub fn next_attempt_at(&self, tried: Tried, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        tried.newest_at.map(|at| at + self.cooldown()).filter(|next| *next > now)
    }

    /// Whether something is taken now from somebody who has tried so much.
    ///
    /// # Errors
    /// Why not; what never changes again comes before what only needs patience.
    pub fn admit(&self, tried: Tried, now: DateTime<Utc>) -> Result<(), Refusal> {
        if let Some(opens_at) = self.opens_at.filter(|opens_at| now < *opens_at) {
            return Err(Refusal::NotOpen { opens_at });
        }
        if let Some(closed_at) = self.closes_at.filter(|closes_at| now >= *closes_at) {
            return Err(Refusal::Closed { closed_at });
        }
        if let Some(due_at) = self.due_at.filter(|due_at| now > *due_at)
            && self.late == Some(LatePolicy::Refused)
        {
            return Err(Refusal::PastDue { due_at });
        }
        if let Some(attempts) = self.attempt_limit().filter(|attempts| tried.attempts >= *attempts) {
            return Err(Refusal::NoAttemptLeft { attempts });
        }
        match self.next_attempt_at(tried, now) {
            Some(next_at) => Err(Refusal::TooSoon { next_at }),
            None => Ok(()),
        }
    }

    /// How late something is that was handed in then. What came when it was due is in time.
    #[must_use]
    pub fn lateness(&self, handed_in_at: DateTime<Utc>) -> Lateness {
        let Some(due_at) = self.due_at.filter(|due_at| handed_in_at > *due_at) else { return Lateness::NONE };
        let whole = (handed_in_at - due_at).num_seconds() / 86_400;
        let days = u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1);
        Lateness { days, percent: self.late.unwrap_or(LatePolicy::Full).percent(days) }
    }

    /// Whether these terms make sense: limits within their bounds, and dates in their order.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.attempts.is_some_and(|attempts| attempts > MOST_ATTEMPTS) {
            return Err(format!(
                "At most {MOST_ATTEMPTS} attempts can be set; 0 means as many as they like."
            ));
        }
        if self.cooldown_minutes.is_some_and(|minutes| minutes > LONGEST_COOLDOWN_MINUTES) {
            return Err(format!(
                "The wait between attempts is at most a week, which is {LONGEST_COOLDOWN_MINUTES} minutes."
            ));
        }
        if let Some(LatePolicy::PerDay { percent, floor }) = self.late
            && (!(1..=100).contains(&percent) || floor > 100)
        {
            return Err(
                "Each day late takes 1 to 100 per cent away, and what is always left is 0 to 100 per cent."
                    .into(),
            );
        }
        let order = [("opens", self.opens_at), ("is due", self.due_at), ("closes", self.closes_at)];
        let given: Vec<_> = order.into_iter().filter_map(|(what, at)| Some((what, at?))).collect();
        for pair in given.windows(2) {
            if pair[0].1 > pair[1].1 {
                let ((first, _), (second, _)) = (pair[0], pair[1]);
                return Err(format!("It {second} before it {first}. Put the dates in their order."));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(&format!("2026-03-{text}:00Z")).unwrap().to_utc()
    }

    #[test]
    fn every_begun_day_takes_its_part_down_to_the_floor() {
        let late = LatePolicy::PerDay { percent: 30, floor: 20 };
        let terms = Terms { due_at: Some(at("01T12:00")), late: Some(late), ..Terms::default() };
        for (moment, days, percent) in [
            ("01T11:59", 0, 100),
            ("01T12:00", 0, 100),
            ("01T12:01", 1, 70),
            ("02T11:59", 1, 70),
            ("02T12:00", 2, 40),
            ("03T12:00", 3, 20),
            ("30T12:00", 30, 20),
        ] {
            assert_eq!(terms.lateness(at(moment)), Lateness { days, percent }, "{moment}");
        }
        assert_eq!(Lateness { days: 1, percent: 70 }.hundredths(5), 350);
        let full = Terms { late: None, ..terms };
        assert_eq!(full.lateness(at("03T12:00")), Lateness { days: 3, percent: 100 }, "late, and counts");
    }

    #[test]
    fn what_is_taken_and_what_is_not() {
        let terms = Terms {
            opens_at: Some(at("01T08:00")),
            due_at: Some(at("02T08:00")),
            closes_at: Some(at("03T08:00")),
            attempts: Some(2),
            cooldown_minutes: Some(10),
            ..Terms::default()
        };
        let never = Tried::default();
        assert_eq!(terms.admit(never, at("01T07:59")), Err(Refusal::NotOpen { opens_at: at("01T08:00") }));
        assert_eq!(terms.admit(never, at("01T08:00")), Ok(()));
        assert_eq!(terms.admit(never, at("02T09:00")), Ok(()), "late is taken");
        assert_eq!(terms.admit(never, at("03T08:00")), Err(Refusal::Closed { closed_at: at("03T08:00") }));
        let once = Tried { attempts: 1, newest_at: Some(at("01T09:00")) };
        assert_eq!(terms.admit(once, at("01T09:09")), Err(Refusal::TooSoon { next_at: at("01T09:10") }));
        assert_eq!(terms.admit(once, at("01T09:10")), Ok(()));
        let twice = Tried { attempts: 2, newest_at: Some(at("01T09:10")) };
        assert_eq!(terms.admit(twice, at("01T09:11")), Err(Refusal::NoAttemptLeft { attempts: 2 }));
        let refused = Terms { late: Some(LatePolicy::Refused), ..terms };
        assert_eq!(refused.admit(never, at("02T08:01")), Err(Refusal::PastDue { due_at: at("02T08:00") }));
        let lifted = Terms { attempts: Some(0), cooldown_minutes: Some(0), ..Terms::default() };
        assert_eq!(lifted.within(&refused).admit(twice, at("01T09:11")), Ok(()), "nought lifts the limit");
    }

    #[test]
    fn terms_that_make_no_sense_are_told() {
        let wrong = |terms: Terms, words: &str| {
            let sentence = terms.check().unwrap_err();
            assert!(sentence.contains(words), "{sentence}");
        };
        wrong(
            Terms { due_at: Some(at("02T08:00")), closes_at: Some(at("01T08:00")), ..Terms::default() },
            "It closes before it is due",
        );
        wrong(
            Terms { opens_at: Some(at("02T08:00")), closes_at: Some(at("01T08:00")), ..Terms::default() },
            "It closes before it opens",
        );
        wrong(Terms { attempts: Some(1001), ..Terms::default() }, "At most 1000");
        wrong(Terms { cooldown_minutes: Some(10_081), ..Terms::default() }, "a week");
        let late = Some(LatePolicy::PerDay { percent: 0, floor: 0 });
        wrong(Terms { late, ..Terms::default() }, "1 to 100 per cent");
        Terms::default().check().unwrap();
    }
}
