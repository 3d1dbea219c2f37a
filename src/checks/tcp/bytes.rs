//! Bytes as people write and read them.

use std::fmt::Write as _;

/// How many bytes are dumped.
const DUMPED: usize = 512;

/// The bytes that a text with escapes stands for.
///
/// # Errors
/// The rest of a sentence about it.
pub(super) fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let escape = rest.chars().next().ok_or("ends with a `\\`; write `\\\\` for one")?;
        let byte = match escape {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                let digits = rest.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let digits = digits.ok_or("has `\\x` without two hexadecimal digits after it")?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?
            }
            other => {
                return Err(format!(
                    "has the escape `\\{other}`; there are `\\r`, `\\n`, `\\t`, `\\0`, `\\xHH` and `\\\\`"
                ));
            }
        };
        bytes.push(byte);
        rest = &rest[escape.len_utf8()..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The bytes that hexadecimal digits stand for.
///
/// # Errors
/// The rest of a sentence about it.
pub(super) fn hex_read(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.is_empty() || digits.len() % 2 == 1 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("is not made of pairs of hexadecimal digits, such as `16 03 01`".into());
    }
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|error| error.to_string());
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// What came, as text: UTF-8 as it is, every other byte as `\xHH`.
pub(in crate::checks) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Sixteen bytes on a line, with what can be printed of them; empty where all of it is plain text.
pub(super) fn hex_dump(bytes: &[u8]) -> String {
    let plain = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\r' | '\n' | '\t'));
    if str::from_utf8(bytes).is_ok_and(plain) {
        return String::new();
    }
    let mut dump = String::new();
    for (row, line) in bytes[..bytes.len().min(DUMPED)].chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let letters: String = line
            .iter()
            .map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        let _ = writeln!(dump, "{:04x}  {:<47}  {letters}", row * 16, digits.join(" "));
    }
    if bytes.len() > DUMPED {
        let _ = writeln!(dump, "… and {} more bytes", bytes.len() - DUMPED);
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(unescaped(r"PING\r\n").unwrap(), b"PING\r\n");
        assert_eq!(unescaped("a\r\n").unwrap(), b"a\r\n");
        assert_eq!(unescaped(r"\x00\xffé\0\\x41\t").unwrap(), b"\0\xff\xc3\xa9\0\\x41\t");
        for (text, why) in
            [(r"a\", "ends with"), (r"\x1", "two hex"), (r"\xé", "two hex"), (r"\q", "the escape `\\q`")]
        {
            assert!(unescaped(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(hex_read("16 03\n01fF").unwrap(), [0x16, 3, 1, 0xff]);
        for text in ["", "1", "0x16", "zz"] {
            assert!(hex_read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_can_still_be_read() {
        assert_eq!(readable(b"a\xff\xfe\xc3\xa9\xc3"), "a\\xff\\xfeé\\xc3");
        assert_eq!(hex_dump("plain\r\ntext é".as_bytes()), "");
        assert_eq!(hex_dump(b"\x16\x03ab"), format!("0000  {:<47}  ..ab\n", "16 03 61 62"));
        assert!(hex_dump(&[0; 600]).ends_with("… and 88 more bytes\n"));
    }
}
