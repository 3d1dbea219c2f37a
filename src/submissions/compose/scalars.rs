//! Compose's small grammars: times, sizes, numbers, booleans, command lines.
//!
//! They are Go's (`time.ParseDuration`, go-units, go-shellwords), which is why none of them is one of
//! [`crate::units`]: `64m` is 64 MiB here, and `1m30s` may also be written `90.0s`.

use std::time::Duration;

use super::finding::quoted;
use super::item::{Item, Value};

/// The longest time that is taken: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3600;

/// A time such as `1m30s`, `500ms`, `1.5h` or `0`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let unit = if text.trim().parse::<f64>().is_ok() { " (the unit is missing)" } else { "" };
        format!(
            "{} is no time{unit}; write a number with a unit, such as `500ms`, `10s` or `1m30s`",
            quoted(text)
        )
    };
    if text.starts_with('-') {
        return Err(format!("the time {} is negative", quoted(text)));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        // Rounded to the nanosecond, which is what a float of it is off by at most.
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.saturating_add(part);
        rest = after;
    }
    if total.as_secs() > MAX_SECONDS {
        return Err(format!("the time {} is longer than a year", quoted(text)));
    }
    Ok(total)
}

/// A time as Go prints it: `1m30s`, `1h0m0s`, `1.5s`, `500ms`.
pub(super) fn go_duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let fraction = |whole: u128, rest: u128, digits: usize| {
        let text = format!("{whole}.{rest:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos / 1_000, nanos % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos / 1_000_000, nanos % 1_000_000, 6)),
        _ => {
            let seconds = nanos / 1_000_000_000;
            let last = fraction(seconds % 60, nanos % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{last}s"),
                (0, minutes) => format!("{minutes}m{last}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{last}s"),
            }
        }
    }
}

/// A size such as `64m`, `1.5gb` or `1024`; the units are powers of 1024, whatever they are called.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{} is no size; write a number of bytes, or one with a unit such as `64m` or `1g`",
            quoted(text)
        )
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    if number.starts_with('.') || number.ends_with('.') {
        return Err(wrong());
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
    let bytes = number * (1_u64 << factor) as f64;
    // Beyond 2^53 the next whole number is far away, and no machine has so much.
    if bytes > 9.0e15 {
        return Err(format!("the size {} is more than can be counted", quoted(text)));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
}

/// A size: a number of bytes, or a text with a unit.
pub(super) fn size(item: &Item) -> Result<i64, String> {
    match &item.value {
        Value::Int(number) => Ok(*number),
        Value::Float(_) => Err(format!(
            "{} is no size; write a whole number of bytes, or one with a unit such as `64m`",
            item.described()
        )),
        _ => {
            let text = item.text().unwrap_or_default();
            bytes(text).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
        }
    }
}

/// A whole number, also from a text (a variable's value is always one).
pub(super) fn whole(item: &Item) -> Result<i64, String> {
    match &item.value {
        Value::Int(number) => Ok(*number),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Ok(*number as i64),
        _ => {
            let found = item.text().and_then(|text| text.parse().ok());
            found.ok_or_else(|| format!("expected a whole number, found {}", item.described()))
        }
    }
}

/// A number, also from a text.
pub(super) fn float(item: &Item) -> Result<f64, String> {
    let found = match &item.value {
        #[expect(clippy::cast_precision_loss, reason = "counts of CPUs are small")]
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => item.text().and_then(|text| text.parse::<f64>().ok()),
    };
    found
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("expected a number, found {}", item.described()))
}

/// `true` or `false`, also from a text, in the words that Compose takes.
pub(super) fn boolean(item: &Item) -> Result<bool, String> {
    let word = match &item.value {
        Value::Bool(value) => return Ok(*value),
        _ => item.text().unwrap_or_default().to_ascii_lowercase(),
    };
    match word.as_str() {
        "true" | "y" | "yes" | "on" => Ok(true),
        "false" | "n" | "no" | "off" => Ok(false),
        _ => Err(format!("expected `true` or `false`, found {}", item.described())),
    }
}

/// A command line taken apart as docker compose does: quotes and backslashes as in a shell, no variables,
/// and nothing after the first `;`, `&`, `|`, `<` or `>` that stands by itself.
///
/// Returns the words, and whether something was cut off.
pub(super) fn words(line: &str) -> Result<(Vec<String>, bool), String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    let (mut single, mut double, mut backquote, mut substitution) = (false, false, false, false);
    let mut cut = false;
    let wrong = |why: &str| Err(format!("the command line {} {why}", quoted(line)));
    while let Some(letter) = letters.next() {
        let quoted = single || double || backquote || substitution;
        match letter {
            '\\' if !single => match letters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return wrong("ends with a backslash"),
            },
            ' ' | '\t' | '\r' | '\n' if !quoted => out.extend(word.take()),
            '"' if !single && !substitution => {
                double = !double;
                word.get_or_insert_default();
            }
            '\'' if !double && !substitution => {
                single = !single;
                word.get_or_insert_default();
            }
            ';' | '&' | '|' | '<' | '>' if !quoted => {
                // `2>file`: the number belongs to what is cut off.
                if letter == '>'
                    && word.as_ref().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
                {
                    word = None;
                }
                cut = true;
                break;
            }
            '(' if !single && !double && !backquote => {
                if substitution || !word.as_ref().is_some_and(|word| word.ends_with('$')) {
                    return wrong("has a bracket that a shell would have to read; use `sh -c '…'`");
                }
                substitution = true;
                word.get_or_insert_default().push('(');
            }
            _ => {
                match letter {
                    '`' if !single && !double && !substitution => backquote = !backquote,
                    ')' if !single && !double && !backquote => substitution = !substitution,
                    _ => {}
                }
                word.get_or_insert_default().push(letter);
            }
        }
    }
    if single || double || backquote || substitution {
        return wrong("has a quote or bracket that is not closed");
    }
    out.extend(word);
    Ok((out, cut))
}

/// A float as Go prints it with `%v`.
pub(super) fn go_float(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN".into(),
            _ if number.is_infinite() => if number > 0.0 { "+Inf" } else { "-Inf" }.into(),
            _ => "0".into(),
        };
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Where the shortest form turns to an exponent (`strconv.FormatFloat` with 'g' and -1).
    if !(-4..6).contains(&exponent) {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_go_reads_and_prints_them() {
        for (text, printed) in [
            ("1m30s", "1m30s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("500ms", "500ms"),
            ("0.5s", "500ms"),
            ("1h1s", "1h0m1s"),
            ("100us", "100µs"),
            ("0", "0s"),
            (".5m", "30s"),
            ("1.234567891s", "1.234567891s"),
        ] {
            assert_eq!(duration(text).map(go_duration).as_deref(), Ok(printed), "{text}");
        }
        for text in ["", "10", "1 s", "s", "-1s", "1d", "1m 30s", "1.1.1s", "99999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, expected) in [
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64MB", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mb", 64 << 20),
            ("1.5g", 3 << 29),
            ("1024", 1024),
            ("10b", 10),
            ("1kib", 1024),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "-1", "1x", "64  m", "1.", ".5g", "1e3", "99999p"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn command_lines_as_docker_takes_them_apart() {
        let split = |line: &str| words(line).map(|(words, cut)| (words.join("|"), cut));
        for (line, expected, cut) in [
            ("echo a  b", "echo|a|b", false),
            ("sh -c 'echo \"a b\" && x'", "sh|-c|echo \"a b\" && x", false),
            ("a \"b\\\"c\" d\\ e '\\'", "a|b\"c|d e|\\", false),
            ("a '' b", "a||b", false),
            ("a && b", "a", true),
            ("a 2>x", "a", true),
            ("a `b c` $(d e)", "a|`b c`|$(d e)", false),
            ("", "", false),
        ] {
            assert_eq!(split(line), Ok((expected.to_owned(), cut)), "{line}");
        }
        for line in ["a 'b", "a \"b", "a (b)", "a \\"] {
            assert!(words(line).is_err(), "{line}");
        }
    }

    #[test]
    fn floats_as_go_prints_them() {
        for (number, text) in [
            (1.10, "1.1"),
            (1e6, "1e+06"),
            (123_456.5, "123456.5"),
            (0.5, "0.5"),
            (1e-7, "1e-07"),
            (-2.5, "-2.5"),
            (0.0, "0"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }
}
