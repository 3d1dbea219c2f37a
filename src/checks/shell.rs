//! Command lines that a person pastes into a POSIX shell.
//!
//! They contain what students and authors wrote (paths, variables, file names), so every word is
//! quoted: nothing in it is ever a command of its own.

use std::fmt::Write as _;

/// One word, in quotes where it needs them (POSIX.1-2024, Shell Command Language, 2.2.2). A NUL
/// character cannot be in a word and is left out; so are other control characters but line ends and
/// tabs, which a terminal would take as its own.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let clean: String = word.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    format!("'{}'", clean.replace('\'', r"'\''"))
}

/// Words with blanks between them.
pub(super) fn line<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A command that prints these bytes, whatever they are: a format of octal escapes where a letter does
/// not stand for itself (POSIX.1-2024, `printf`).
pub(super) fn printf(bytes: &[u8]) -> String {
    let mut format = String::new();
    for byte in bytes {
        match byte {
            b'%' => format.push_str("%%"),
            b'\\' => format.push_str(r"\\"),
            b'\n' => format.push_str(r"\n"),
            b'\r' => format.push_str(r"\r"),
            b' '..=b'~' => format.push(char::from(*byte)),
            byte => {
                let _ = write!(format, r"\{byte:03o}");
            }
        }
    }
    // A format that begins with a dash would be an option.
    let dash = if format.starts_with('-') { "-- " } else { "" };
    format!("printf {dash}{}", quoted(&format))
}

/// A client that says what it reads, and shows what comes, in the network namespace of the container
/// called like the service. It ends by itself: a service may keep the connection for ever.
pub(super) fn netcat(service: &str, port: u16, seconds: u64) -> String {
    // A shell around it, because a process 1 cannot be ended by the signal.
    let client = format!("timeout {seconds} nc {service} {port}; true");
    let network = format!("container:{service}");
    line(["docker", "run", "--rm", "-i", "--network", &network, "busybox:1.37", "sh", "-c", &client])
}
