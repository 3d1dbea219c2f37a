//! Join codes: read from a projector and typed on a phone, so they are short and have no letters that
//! look like others. 30^6 codes and throttled tries keep them from being guessed.

use super::random;

/// Digits and capital letters without 0 and O, 1, I and L, and U (which reads as V).
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 6;

/// A new code such as `K7M-4QX`, in its canonical form.
#[must_use]
pub fn new_join_code() -> String {
    let mut code = String::with_capacity(LENGTH);
    while code.len() < LENGTH {
        for byte in random::bytes::<16>() {
            // 240 is the largest multiple of 30 in a byte: taking the rest as well would make some
            // letters likelier than others.
            if byte < 240 && code.len() < LENGTH {
                code.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    with_dash(&code)
}

/// The one form of a code however it was typed: capitals, a dash in the middle. `None` for what cannot
/// be a code (empty, too long, other characters than ASCII letters, digits, dashes and spaces).
#[must_use]
pub fn canonical_join_code(typed: &str) -> Option<String> {
    let mut code = String::new();
    for c in typed.trim().chars() {
        match c {
            '-' | '\u{2010}'..='\u{2015}' | ' ' => {}
            c if c.is_ascii_alphanumeric() && code.len() < 32 => code.push(c.to_ascii_uppercase()),
            _ => return None,
        }
    }
    if code.is_empty() { None } else { Some(with_dash(&code)) }
}

fn with_dash(code: &str) -> String {
    if code.len() == LENGTH {
        format!("{}-{}", &code[..LENGTH / 2], &code[LENGTH / 2..])
    } else {
        code.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_however_they_are_typed() {
        for typed in ["K7M-4QX", "k7m4qx", " k7m 4qx ", "K7M\u{2013}4QX", "k-7-m-4-q-x"] {
            assert_eq!(canonical_join_code(typed).as_deref(), Some("K7M-4QX"), "{typed}");
        }
        assert_eq!(canonical_join_code("demo-2026").as_deref(), Some("DEMO2026"));
        for typed in ["", " - ", "K7M_4QX", "K7M4Q\0", "Ж7M4QX", &"A".repeat(33)] {
            assert_eq!(canonical_join_code(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn new_codes_are_canonical_and_unambiguous() {
        let codes: std::collections::HashSet<_> = (0..2000).map(|_| new_join_code()).collect();
        assert!(codes.len() > 1990, "codes repeat");
        for code in &codes {
            assert_eq!(canonical_join_code(code).as_ref(), Some(code));
            assert!(!code.contains(['0', 'O', '1', 'I', 'L', 'U']), "{code}");
        }
        let used: std::collections::BTreeSet<_> = codes.iter().flat_map(|code| code.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len() + 1, "every letter comes up");
    }
}
