//! `ENV`, `ARG` and `LABEL` by hadolint's rules.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Report, Steps};
use crate::submissions::dockerfile::Keyword;

/// Names of secrets that services give, beside those that contain one of [`SUSPICIOUS`].
const SECRETS: &[&str] = &[
    "APPLICATION_KEY",
    "AWS_ACCESS_KEY_ID",
    "BITTREX_API_KEY",
    "CI_DEPLOY_USER",
    "DOCKER_EMAIL",
    "FACEBOOK_APP_ID",
    "FOSSA_API_KEY",
    "HEROKU_API_USER",
    "OKTA_AUTHN_GROUPID",
    "OKTA_CLIENT_ORGURL",
    "STRIPE_DEVICE_NAME",
    "TRAVIS_OS_NAME",
    "TRAVIS_SECURE_ENV_VARS",
    "TRAVIS_SUDO",
    "OKTA_OAUTH2_CLIENTID",
];

const SUSPICIOUS: &[&str] = &["api_key", "client_key", "password", "private", "secret", "token", "username"];

/// Whether a name promises a secret.
fn secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRETS.contains(&name.to_ascii_uppercase().as_str())
        || SUSPICIOUS.iter().any(|part| lower.contains(part))
}

pub(super) fn look(steps: Steps<'_>, report: &mut Report) {
    let mut known: HashSet<String> = HashSet::new();
    for step in steps.steps {
        if !matches!(step.keyword, Keyword::Env | Keyword::Arg | Keyword::Label) {
            continue;
        }
        let (pairs, _) = step.pairs();
        if step.keyword == Keyword::Label {
            if steps.later {
                continue;
            }
            if let Some((key, _)) = pairs.iter().find(|(key, _)| !is_label_key(key)) {
                report.about(step.line, "DL3048", key);
            }
            continue;
        }
        if let Some((name, _)) = pairs.iter().find(|(name, _)| secret(name)) {
            report.about(step.line, "DL3064", name);
        }
        if step.keyword == Keyword::Env && !steps.later {
            let mut users: HashMap<String, BTreeSet<usize>> = HashMap::new();
            for (index, (_, value)) in pairs.iter().enumerate() {
                for name in references(value) {
                    users.entry(name).or_default().insert(index);
                }
            }
            let own = pairs.iter().enumerate().find(|(index, (name, _))| {
                let used = users.get(name).is_some_and(|users| users.iter().any(|user| user != index));
                used && !known.contains(name)
            });
            if let Some((_, (name, _))) = own {
                report.about(step.line, "DL3044", name);
            }
        }
        known.extend(pairs.into_iter().map(|(name, _)| name));
    }
}

/// Names that stand in a value as `$name` or `${name}`.
fn references(value: &str) -> impl Iterator<Item = String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    value.split('$').skip(1).filter_map(move |after| {
        let name = match after.strip_prefix('{') {
            Some(inside) => inside.split_once('}').map(|(name, _)| name)?,
            None => &after[..after.find(|c| !part(c)).unwrap_or(after.len())],
        };
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// Docker's guideline for keys, with `_` and `/` as Kubernetes has them
/// (<https://docs.docker.com/engine/manage-resources/labels/#key-format-recommendations>).
fn is_label_key(key: &str) -> bool {
    let own = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.ends_with(own)
        && key.chars().all(|c| own(c) || matches!(c, '.' | '-' | '_' | '/'))
        && !["com.docker.", "io.docker.", "org.dockerproject."].iter().any(|taken| key.starts_with(taken))
        && !key.contains("..")
        && !key.contains("--")
}
