//! Why a student's container did not start, in a sentence for the student.
//!
//! The engine and runc say it in texts, the same for years but never promised. What is not recognised
//! here is a trouble of ours: nothing is blamed on a student by a guess.

use bollard::errors::Error as EngineError;

use super::error::{Error, engine_words, status};

/// Why a stack of the student's did not come up. Platform troubles are [`Error`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The student's: the command does not exist, is not executable, the user is unknown, …
    #[error("{sentence}")]
    Refused {
        /// Of the stack.
        service: String,
        /// One sentence for the student.
        sentence: String,
    },
    /// Ours.
    #[error(transparent)]
    Platform(#[from] Error),
}

impl StartError {
    /// Judges the engine's refusal to create or start `service`.
    pub(super) fn judge(endpoint: &str, service: &str, action: &str, error: &EngineError) -> Self {
        if status(error).is_some()
            && let Some(sentence) = sentence(&engine_words(error))
        {
            return Self::Refused { service: service.to_owned(), sentence };
        }
        Self::Platform(Error::from_engine(endpoint, action, error))
    }
}

/// The sentence for a text of the engine; `None` where the student has no part in it.
pub(super) fn sentence(words: &str) -> Option<String> {
    let lower = words.to_lowercase();
    let command = quoted_after(words, "exec: ").map(|name| format!("\"{name}\""));
    let the_command = command.clone().map_or("The command".to_owned(), |name| format!("The command {name}"));
    if lower.contains("no command specified") {
        return Some(
            "The image says nothing about what to run: it has neither CMD nor ENTRYPOINT.".to_owned(),
        );
    }
    if lower.contains("executable file not found in $path") {
        return Some(format!(
            "{the_command} was not found in any folder of PATH inside the image; is it installed, and is it \
             spelled right in CMD or ENTRYPOINT?"
        ));
    }
    if lower.contains("exec format error") {
        return Some(format!(
            "{the_command} is not something this machine can execute: it was built for another processor, or it is a \
             script without a first line such as #!/bin/sh."
        ));
    }
    if let Some(folder) = between(words, "chdir to cwd (\"", "\")") {
        return Some(format!(
            "The container's user may not enter the working directory \"{folder}\" (WORKDIR)."
        ));
    }
    if lower.contains("is not a directory") && (lower.contains("cwd") || lower.contains("cannot mkdir")) {
        return Some("The working directory (WORKDIR) is not a directory in the image.".to_owned());
    }
    if lower.contains("unable to find user") || lower.contains("no matching entries in passwd file") {
        let user = after(words, "unable to find user ").map_or(String::new(), |user| format!(" \"{user}\""));
        return Some(format!(
            "The user{user} is not in the image's /etc/passwd; create it in the Dockerfile or give USER a number."
        ));
    }
    if lower.contains("unable to find group") || lower.contains("no matching entries in group file") {
        let group =
            after(words, "unable to find group ").map_or(String::new(), |group| format!(" \"{group}\""));
        return Some(format!(
            "The group{group} is not in the image's /etc/group; create it in the Dockerfile or give USER a number."
        ));
    }
    if lower.contains("uids and gids must be in range") || lower.contains("invalid user") {
        return Some("The image's USER is not a user that can exist.".to_owned());
    }
    if command.is_some() && lower.contains("no such file or directory") {
        return Some(format!("{the_command} does not exist in the image."));
    }
    if command.is_some() && lower.contains("is a directory") {
        return Some(format!("{the_command} is a directory, not a program."));
    }
    if command.is_some() && lower.contains("permission denied") {
        return Some(format!(
            "{the_command} is not executable for the container's user; give it the permission in the image \
             (chmod +x) or let an interpreter run it."
        ));
    }
    if lower.contains("error mounting")
        && (lower.contains("cannot be mounted because") || lower.contains("not a directory"))
    {
        let place = between(words, "to rootfs at \"", "\"").unwrap_or("that place");
        return Some(format!(
            "No volume can be mounted at {place}: it belongs to the kernel, or is not a folder; choose another folder \
             for it (VOLUME)."
        ));
    }
    if lower.contains("stat /dev/null: no such file or directory") {
        return Some(
            "The container has no /dev/null: a volume is mounted over /dev; choose another folder for it (VOLUME)."
                .to_owned(),
        );
    }
    if lower.contains("argument list too long") {
        return Some("The command with its arguments and environment is too long for Linux.".to_owned());
    }
    None
}

/// The first text in quotes after `marker`.
fn quoted_after(words: &str, marker: &str) -> Option<String> {
    let (_, rest) = words.split_once(marker)?;
    let (name, _) = rest.strip_prefix('"')?.split_once("\":")?;
    Some(name.to_owned())
}

fn between<'a>(words: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(words.split_once(start)?.1.split_once(end)?.0)
}

/// The word after `marker`, up to a colon or the end.
fn after<'a>(words: &'a str, marker: &str) -> Option<&'a str> {
    words.split_once(marker)?.1.split([':', '\n']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_texts_of_engines_become_sentences() {
        let frame = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
        for (words, part) in [
            (
                r#"exec: "nope": executable file not found in $PATH: unknown"#,
                "The command \"nope\" was not found",
            ),
            (r#"exec: "/nope": stat /nope: no such file or directory: unknown"#, "\"/nope\" does not exist"),
            (r#"exec: "/etc": permission denied: unknown"#, "\"/etc\" is not executable"),
            (r#"exec: "/etc": is a directory: unknown"#, "\"/etc\" is a directory"),
            (
                r#"chdir to cwd ("/root") set in config.json failed: permission denied: unknown"#,
                "may not enter the working directory \"/root\"",
            ),
            (
                r#"error during container init: error mounting "/v/_data" to rootfs at "/proc": "/o/proc" cannot be mounted because it is not of type proc: unknown"#,
                "No volume can be mounted at /proc:",
            ),
            ("unable to setup user: stat /dev/null: no such file or directory: unknown", "mounted over /dev"),
            ("unable to find user nobody2: no matching entries in passwd file", "The user \"nobody2\""),
        ] {
            let sentence = sentence(&format!("{frame}{words}")).unwrap_or_default();
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn a_trouble_of_ours_is_nobodys_fault() {
        for words in [
            "no space left on device",
            "failed to create endpoint on network: all predefined address pools have been fully subnetted",
            "OCI runtime create failed: cannot allocate memory",
            "error while creating mount source path: permission denied",
        ] {
            assert_eq!(sentence(words), None, "{words}");
        }
    }
}
