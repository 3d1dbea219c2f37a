//! What a person may be called, and by which form two names are compared.

/// The longest name, in characters.
pub const LONGEST_NAME: usize = 80;

/// Why a name was not taken. `Display` is a sentence for whoever typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    #[error("Please type a name.")]
    Empty,
    #[error("That name is longer than {LONGEST_NAME} characters. Please choose a shorter one.")]
    TooLong,
    #[error(
        "That name contains an invisible or control character. Please type it by hand instead of pasting it."
    )]
    Invisible,
}

/// The name as it is kept: without white space around it, single spaces inside.
///
/// # Errors
/// [`NameRefusal`] when nothing is left, when it is longer than [`LONGEST_NAME`] characters, or when
/// it has characters that are not seen: control characters, and those that turn the direction of the
/// text around them, which would let one person look like another in a list.
pub fn clean_name(typed: &str) -> Result<String, NameRefusal> {
    if typed.chars().any(|c| is_unseen(c) && !c.is_ascii_whitespace()) {
        return Err(NameRefusal::Invisible);
    }
    let name = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.chars().all(is_joiner) {
        return Err(NameRefusal::Empty);
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(NameRefusal::TooLong);
    }
    Ok(name)
}

/// The form by which names are compared: lower case, single spaces, without joiners. Two people whose
/// names have the same key are the same person.
#[must_use]
pub fn name_key(name: &str) -> String {
    let seen: String = name.chars().filter(|&c| !is_joiner(c)).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Zero-width joiner and non-joiner: names in Persian and Indic scripts need them, so they are kept
/// for showing, but they do not make a name another one.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}'                    // soft hyphen
            | '\u{061C}' | '\u{200E}' | '\u{200F}' // direction marks
            | '\u{200B}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' // zero width
            | '\u{2028}' | '\u{2029}'     // line and paragraph separators
            | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}' // embeddings, overrides, isolates
            | '\u{FFF9}'..='\u{FFFB}'     // interlinear annotation
            | '\u{E0000}'..='\u{E007F}'   // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_only_white_space() {
        assert_eq!(clean_name("  Zoë\t van  Dijk \n"), Ok("Zoë van Dijk".to_owned()));
        assert_eq!(clean_name("می\u{200C}نا"), Ok("می\u{200C}نا".to_owned()));
        assert_eq!(clean_name(&"ü".repeat(80)), Ok("ü".repeat(80)));
    }

    #[test]
    fn names_that_cannot_be_seen_are_refused() {
        assert_eq!(clean_name(" \t "), Err(NameRefusal::Empty));
        assert_eq!(clean_name("\u{200D}"), Err(NameRefusal::Empty));
        assert_eq!(clean_name(&"x".repeat(81)), Err(NameRefusal::TooLong));
        for bad in ["a\0b", "a\u{202E}b", "a\u{200B}b", "a\u{1B}[31m", "a\u{2066}b", "a\u{FEFF}"] {
            assert_eq!(clean_name(bad), Err(NameRefusal::Invisible), "{bad:?}");
        }
    }

    #[test]
    fn names_are_compared_without_case_spaces_and_joiners() {
        assert_eq!(name_key(" ADA  Lovelace"), name_key("ada lovelace "));
        assert_eq!(name_key("A\u{200D}da"), name_key("ada"));
        assert_ne!(name_key("ada"), name_key("adá"));
    }
}
