//! Image references by the grammar of the distribution project
//! (<https://pkg.go.dev/github.com/distribution/reference>), with the defaults that Docker puts in.
//!
//! The check of that name takes apart what was written, `remote` fetches what it names.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

/// A reference with Docker's defaults in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// With its port; `docker.io` where none is written.
    pub registry: String,
    /// With `library/` in front where `docker.io` has it there.
    pub repository: String,
    /// `latest` where neither tag nor digest is written.
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

/// With all defaults written out, such as `docker.io/library/nginx:latest`. Never a secret.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The longest repository (`RepositoryNameTotalLengthMax`), registry and all.
const NAME_CHARS: usize = 255;

static DOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    let component = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    regex(&format!(r"^(?:{component}(?:\.{component})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$"))
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    let component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
    regex(&format!("^{component}(?:/{component})*$"))
});
static TAG: LazyLock<Regex> = LazyLock::new(|| regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"));
static IDENTIFIER: LazyLock<Regex> = LazyLock::new(|| regex("^[a-f0-9]{64}$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant")
}

impl FromStr for Reference {
    /// A clause for the student, without a full stop.
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        if written.is_empty() {
            return Err("it is empty".into());
        }
        if written.contains(char::is_whitespace) {
            return Err("there is a blank in it".into());
        }
        if written.contains("://") {
            return Err("it has no scheme such as `https://` in front".into());
        }
        if IDENTIFIER.is_match(written) {
            return Err("64 hexadecimal digits are an image's id".into());
        }
        let (rest, digest) = match written.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest_of(digest)?)),
            None => (written, None),
        };
        let (registry, rest) = match rest.split_once('/') {
            // What Docker takes for a registry: something that cannot be a folder.
            Some((first, rest))
                if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
            {
                (first, rest)
            }
            _ => ("docker.io", rest),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        if !DOMAIN.is_match(registry) {
            return Err(format!("`{registry}` cannot be a registry"));
        }
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if path.is_empty() {
            return Err("the repository is missing".into());
        }
        if path.chars().any(char::is_uppercase) {
            return Err("a repository has lower-case letters only".into());
        }
        let repository = if registry == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !PATH.is_match(&repository) {
            return Err(format!("`{path}` cannot be a repository"));
        }
        if registry.len() + 1 + repository.len() > NAME_CHARS {
            return Err(format!("a name has at most {NAME_CHARS} characters"));
        }
        if let Some(tag) = tag
            && !TAG.is_match(tag)
        {
            return Err(format!("`{tag}` cannot be a tag"));
        }
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// A digest of one of the algorithms that the OCI image specification registers ("Digests").
fn digest_of(written: &str) -> Result<String, String> {
    let (algorithm, hex) = written.split_once(':').unwrap_or((written, ""));
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(format!("`{written}` is no digest; one looks like `sha256:…`")),
    };
    let fits = hex.len() == digits && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !fits {
        return Err(format!("a {algorithm} digest has {digits} hexadecimal digits in lower case"));
    }
    Ok(written.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(written: &str) -> (String, String, Option<String>, Option<String>) {
        let Reference { registry, repository, tag, digest } =
            written.parse().unwrap_or_else(|why| panic!("{written}: {why}"));
        (registry, repository, tag, digest)
    }

    #[test]
    fn defaults_are_put_in() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (written, registry, repository, tag) in [
            ("nginx", "docker.io", "library/nginx", Some("latest")),
            ("nginx:1.26", "docker.io", "library/nginx", Some("1.26")),
            ("docker.io/nginx", "docker.io", "library/nginx", Some("latest")),
            ("index.docker.io/team/app:v1", "docker.io", "team/app", Some("v1")),
            ("team/app", "docker.io", "team/app", Some("latest")),
            ("localhost/app", "localhost", "app", Some("latest")),
            ("localhost:5000/app:1", "localhost:5000", "app", Some("1")),
            ("ghcr.io/o/r/s_t__u--v:X_y.z-1", "ghcr.io", "o/r/s_t__u--v", Some("X_y.z-1")),
            ("[::1]:5000/a", "[::1]:5000", "a", Some("latest")),
            ("HOST/a", "HOST", "a", Some("latest")),
        ] {
            let wanted = (registry.to_owned(), repository.to_owned(), tag.map(str::to_owned), None);
            assert_eq!(parts(written), wanted, "{written}");
        }
        assert_eq!(parts(&format!("a@{digest}")).2, None);
        assert_eq!(parts(&format!("a:1@{digest}")).2.as_deref(), Some("1"));
        assert_eq!(parts(&format!("a:1@{digest}")).3, Some(digest));
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        for (written, why) in [
            ("", "empty"),
            ("a b", "blank"),
            ("https://ghcr.io/a", "scheme"),
            ("Nginx", "lower-case"),
            ("ghcr.io/Team/app", "lower-case"),
            ("ghcr.io/", "missing"),
            ("a:", "cannot be a tag"),
            ("a:-x", "cannot be a tag"),
            ("a//b", "cannot be a repository"),
            ("a/_b", "cannot be a repository"),
            ("-a.b/c", "cannot be a registry"),
            ("a@sha256:abc", "64 hexadecimal"),
            ("a@md5:abc", "no digest"),
            (&"a".repeat(64), "image's id"),
            (&format!("{}/b", "a".repeat(255)), "at most 255"),
        ] {
            let error = written.parse::<Reference>().expect_err(written);
            assert!(error.contains(why), "{written}: {error}");
        }
    }
}
