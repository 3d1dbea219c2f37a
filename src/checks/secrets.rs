//! Names that look like those of secrets.

use std::sync::LazyLock;

use regex::Regex;

/// The words of docker's own build check `SecretsUsedInArgOrEnv`.
const WORDS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Names with these words hold what everybody may know, or say where a secret lies.
const HARMLESS: [&str; 6] = ["public", "gpg", "gpgkey", "file", "path", "url"];

/// Whether a variable of this name would hold a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = || name.split(['_', '-', '.']);
    words().any(|word| WORDS.contains(&word)) && !words().any(|word| HARMLESS.contains(&word))
}

static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|[^\s"';&|)]+)"#).expect("a constant")
});

/// Names like those of secrets that get a value of their own in an instruction: `ENV`, `ARG`, build
/// arguments that a `RUN` was given, assignments in a shell. A value that is taken from somewhere else
/// (`$(cat /run/secrets/token)`, `$TOKEN`) is none.
pub(super) fn assigned(instruction: &str) -> Vec<&str> {
    let mut names: Vec<&str> = ASSIGNMENT
        .captures_iter(instruction)
        .filter_map(|found| {
            let (name, value) = (found.get(1)?.as_str(), found.get(2)?.as_str().trim_matches(['"', '\'']));
            (is_secret(name) && !value.is_empty() && !value.starts_with('$')).then_some(name)
        })
        .collect();
    names.dedup();
    names
}

/// Whole names of files that hold secrets, or folders that hold more than an image needs to run.
const FILES: [&str; 15] = [
    ".env",
    ".git",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "credentials.json",
    "service-account.json",
    "terraform.tfstate",
];
/// The same where the name alone says nothing.
const PATHS: [&str; 4] = [".aws/credentials", ".docker/config.json", ".kube/config", ".config/gh/hosts.yml"];
const ENDINGS: [&str; 4] = [".kdbx", ".p12", ".pfx", ".ppk"];
/// What comes after `.env` where it is a pattern to be filled in.
const SAMPLES: [&str; 4] = ["example", "sample", "template", "dist"];

/// The part of a path, if any, whose name is one of a secret: `srv/.git` of `srv/.git/HEAD`.
pub(super) fn secret_file(path: &str) -> Option<&str> {
    // Packages of others bring files of such names that are no secret of anybody's.
    if path.split('/').any(|part| matches!(part, "node_modules" | "site-packages" | "dist-packages")) {
        return None;
    }
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if FILES.contains(&part) || is_environment(part) {
            return Some(&path[..end]);
        }
        end += 1;
    }
    let by_path = PATHS.iter().any(|known| {
        path.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    });
    (by_path || ENDINGS.iter().any(|ending| path.ends_with(ending))).then_some(path)
}

/// `.env.production`, but not `.env.example`.
fn is_environment(name: &str) -> bool {
    name.strip_prefix(".env.").is_some_and(|rest| !rest.split('.').any(|part| SAMPLES.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for name in ["API_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "secret", "npm-token", "APIKEY"] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "TOKENIZER",
            "GPG_KEY",
            "PUBLIC_KEY",
            "DB_PASSWORD_FILE",
            "KEYBOARD",
            "NGINX_GPGKEY_PATH",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn only_a_value_of_its_own_is_a_leak() {
        assert_eq!(assigned("RUN |1 API_TOKEN=abc /bin/sh -c make # buildkit"), ["API_TOKEN"]);
        assert_eq!(assigned("ENV DB_PASSWORD=hunter2 A=b"), ["DB_PASSWORD"]);
        assert_eq!(assigned("RUN export TOKEN='x y' && PASSWORD=\"z\" make"), ["TOKEN", "PASSWORD"]);
        for none in [
            "RUN TOKEN=$(cat /run/secrets/token) make",
            "ARG API_TOKEN",
            "ENV TOKEN=",
            "RUN TOKEN=\"$T\" x",
            "ENV A=TOKEN",
        ] {
            assert_eq!(assigned(none), Vec::<&str>::new(), "{none}");
        }
    }

    #[test]
    fn files_of_secrets_are_told_from_others() {
        for (path, part) in [
            ("srv/.env", "srv/.env"),
            (".git/HEAD", ".git"),
            ("app/.git/objects/aa/bb", "app/.git"),
            ("root/.ssh/id_rsa", "root/.ssh/id_rsa"),
            ("a/.env.production", "a/.env.production"),
            ("root/.aws/credentials", "root/.aws/credentials"),
            ("etc/x.p12", "etc/x.p12"),
        ] {
            assert_eq!(secret_file(path), Some(part));
        }
        for path in [
            "srv/.env.example",
            "etc/environment",
            "root/.ssh/id_rsa.pub",
            "x/node_modules/npm/.npmrc",
            "a.github/x",
            "credentials",
        ] {
            assert_eq!(secret_file(path), None, "{path}");
        }
    }
}
