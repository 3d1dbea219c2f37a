//! How distributions order the versions of their packages.

use std::cmp::Ordering;

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Debian Policy 5.6.12, "Version".
    Debian,
    /// apk-tools, `src/version.c`; the grammar is in apk-package(5).
    Apk,
}

impl Scheme {
    /// How `a` stands to `b`; `None` where one of them is no version.
    pub(super) fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Self::Debian => Some(Debian::read(a)?.cmp(&Debian::read(b)?)),
            Self::Apk => Some(compare_apk(&apk(a)?, &apk(b)?)),
        }
    }

    /// Whether this is a version at all.
    pub(super) fn reads(self, version: &str) -> bool {
        self.compare(version, version).is_some()
    }
}

/// `[epoch:]upstream[-revision]`
struct Debian<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Debian<'a> {
    fn read(version: &'a str) -> Option<Self> {
        let (epoch, rest) = match version.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, version),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let allowed = |text: &str, more: &str| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || ".+~".contains(c) || more.contains(c))
        };
        let fits = !upstream.is_empty() && allowed(upstream, "-:") && allowed(revision, "");
        fits.then_some(Self { epoch, upstream, revision })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream, other.upstream))
            .then_with(|| compare_part(self.revision, other.revision))
    }
}

/// Turns of other characters and of digits. An absent revision is the same as `0`.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !(a.is_empty() && b.is_empty()) {
        let (others_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (others_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (digits_a, rest_a) = split(rest_a, |c| c.is_ascii_digit());
        let (digits_b, rest_b) = split(rest_b, |c| c.is_ascii_digit());
        let order = compare_others(others_a, others_b).then_with(|| compare_digits(digits_a, digits_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// `~` sorts before the end, the end before letters, letters before all else.
fn compare_others(a: &str, b: &str) -> Ordering {
    let weight = |c: Option<u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    };
    let weights = |text: &str, at: usize| weight(text.as_bytes().get(at).copied());
    (0..a.len().max(b.len()))
        .map(|at| weights(a, at).cmp(&weights(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length.
fn compare_digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A part of apk's version. The order of the variants is the order of `version.c`: where versions
/// are the same up to here, the one that goes on with an earlier kind of part is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    First(&'a str),
    Digits(&'a str),
    Letter(char),
    /// By its place in [`SUFFIXES`].
    Suffix(usize),
    SuffixNumber(&'a str),
    Hash(&'a str),
    Revision(&'a str),
    End,
}

/// Those before a release and those after it.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const PRE_RELEASES: usize = 4;

impl Part<'_> {
    fn kind(self) -> usize {
        match self {
            Self::First(_) => 0,
            Self::Digits(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::Hash(_) => 5,
            Self::Revision(_) => 6,
            Self::End => 7,
        }
    }
}

/// `digits{.digits}[letter]{_suffix[digits]}[~hash][-r digits]`
fn apk(version: &str) -> Option<Vec<Part<'_>>> {
    let digits = |text| Some(split(text, |c| c.is_ascii_digit())).filter(|(digits, _)| !digits.is_empty());
    let (first, mut rest) = digits(version)?;
    let mut parts = vec![Part::First(first)];
    while let Some((more, after)) = rest.strip_prefix('.').and_then(digits) {
        parts.push(Part::Digits(more));
        rest = after;
    }
    if let Some(letter) = rest.chars().next().filter(char::is_ascii_lowercase) {
        parts.push(Part::Letter(letter));
        rest = &rest[1..];
    }
    while let Some(after) = rest.strip_prefix('_') {
        let (name, after) = split(after, |c| c.is_ascii_lowercase());
        parts.push(Part::Suffix(SUFFIXES.iter().position(|suffix| *suffix == name)?));
        rest = after;
        if let Some((number, after)) = digits(rest) {
            parts.push(Part::SuffixNumber(number));
            rest = after;
        }
    }
    if let Some(after) = rest.strip_prefix('~') {
        let (hash, after) = split(after, |c| matches!(c, '0'..='9' | 'a'..='f'));
        if hash.is_empty() {
            return None;
        }
        parts.push(Part::Hash(hash));
        rest = after;
    }
    if let Some((revision, after)) = rest.strip_prefix("-r").and_then(digits) {
        parts.push(Part::Revision(revision));
        rest = after;
    }
    parts.push(Part::End);
    rest.is_empty().then_some(parts)
}

fn compare_apk(a: &[Part<'_>], b: &[Part<'_>]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (*a, *b) {
            // As Gentoo has it: with a leading zero digits are the rest of a fraction.
            (Part::Digits(a), Part::Digits(b)) if a.starts_with('0') || b.starts_with('0') => a.cmp(b),
            (Part::First(a), Part::First(b))
            | (Part::Digits(a), Part::Digits(b))
            | (Part::SuffixNumber(a), Part::SuffixNumber(b))
            | (Part::Revision(a), Part::Revision(b)) => compare_digits(a, b),
            (Part::Letter(a), Part::Letter(b)) => a.cmp(&b),
            (Part::Suffix(a), Part::Suffix(b)) => a.cmp(&b),
            (Part::Hash(a), Part::Hash(b)) => a.cmp(b),
            (Part::Suffix(suffix), _) if suffix < PRE_RELEASES => Ordering::Less,
            (_, Part::Suffix(suffix)) if suffix < PRE_RELEASES => Ordering::Greater,
            (a, b) => b.kind().cmp(&a.kind()),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(scheme: Scheme, versions: &[&str]) {
        for (at, a) in versions.iter().enumerate() {
            for (other, b) in versions.iter().enumerate() {
                assert_eq!(scheme.compare(a, b), Some(at.cmp(&other)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn debian_versions_are_ordered_by_its_policy() {
        ordered(
            Scheme::Debian,
            &["1.0~beta1~svn1245", "1.0~beta1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-10"],
        );
        ordered(
            Scheme::Debian,
            &["~~", "~~a", "~", "0", "a", "a+"].map(|tail| match tail {
                "~~" => "1~~",
                "~~a" => "1~~a",
                "~" => "1~",
                "0" => "1",
                "a" => "1a",
                _ => "1a+",
            }),
        );
        ordered(Scheme::Debian, &["2.36-9+deb12u1", "2.36-9+deb12u10", "2.41-12", "1:0.1"]);
        ordered(Scheme::Debian, &["1.9", "1.10", "1.99999999999999999999998", "1.99999999999999999999999"]);
        for same in [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.01", "1.1")] {
            assert_eq!(Scheme::Debian.compare(same.0, same.1), Some(Ordering::Equal), "{same:?}");
        }
        for none in ["", "-1", "a:1", "1.0_1", "1 2"] {
            assert!(!Scheme::Debian.reads(none), "{none}");
        }
    }

    #[test]
    fn apk_versions_are_ordered_by_its_source() {
        ordered(
            Scheme::Apk,
            &[
                "1.0_alpha",
                "1.0_alpha2",
                "1.0_beta",
                "1.0_pre1",
                "1.0_rc1",
                "1.0",
                "1.0-r1",
                "1.0_git20200101",
                "1.0_p1",
                "1.0_p2-r3",
                "1.0a",
                "1.0.1",
                "1.1",
            ],
        );
        // From apk-tools' own test data.
        ordered(Scheme::Apk, &["8.2.0015", "8.2.002"]);
        ordered(Scheme::Apk, &["1.36.1-r2", "1.36.1-r15", "1.37.0-r0"]);
        for none in ["", "v1", "1.", "1_x", "1-1", "1.0-r", "1~"] {
            assert!(!Scheme::Apk.reads(none), "{none}");
        }
    }
}
