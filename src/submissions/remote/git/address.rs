//! Where a repository lies, and which commit of it is meant.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::submissions::refusal::shown;
use crate::submissions::remote::Credentials;

/// The longest address that is taken, in bytes.
const ADDRESS_BYTES: usize = 2048;
/// The longest branch or tag, in bytes; git's own bound is that of a path.
const NAME_BYTES: usize = 250;

/// Where a repository lies: `http://` or `https://`, without user name, secret, query and fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitAddress(Url);

impl GitAddress {
    /// Reads an address as a person typed it. A user name and password or token in it are taken out.
    ///
    /// # Errors
    /// A sentence for the student: what is wrong and what to write instead.
    pub fn read(written: &str) -> Result<(Self, Option<Credentials>), String> {
        let written = written.trim();
        if written.is_empty() {
            return Err("There is no address; write the one that `git clone` takes, such as \
                        `https://git.example.org/team/project.git`."
                .into());
        }
        if written.len() > ADDRESS_BYTES {
            return Err(format!("The address is longer than {ADDRESS_BYTES} bytes; shorten it."));
        }
        if let Some(instead) = over_ssh(written) {
            return Err(format!(
                "An address of SSH cannot be fetched, since there is no key of yours here; write the address \
                 over HTTPS, {}.",
                shown(instead.as_bytes())
            ));
        }
        if written.starts_with('/') || written.starts_with('.') || !written.contains(':') {
            return Err("A repository is fetched from a server, not from a folder; write an address that \
                        begins with `https://`."
                .into());
        }
        // What is wrong is told without the address: there may be a secret in it.
        let mut url = Url::parse(written)
            .map_err(|why| format!("This is no address ({why}); write one that begins with `https://`."))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "Repositories are fetched over HTTP only, not with `{}:`; write an address that begins with \
                 `https://`.",
                url.scheme()
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("The address has a `?` or `#` in it, as pages have; write the one that `git clone` \
                        takes, and the branch in its own field."
                .into());
        }
        if url.path().trim_matches('/').is_empty() {
            return Err("The address names a server and no repository; write it with owner and name, as in \
                        `https://git.example.org/team/project.git`."
                .into());
        }
        let credentials = taken_out(&mut url);
        if let Some((repository, page)) = page_of(url.path()) {
            let mut repository_url = url.clone();
            repository_url.set_path(repository);
            return Err(format!(
                "This is the address of a page (`{page}`) of the repository; write {}, and the branch, tag or \
                 commit in its own field.",
                shown(repository_url.as_str().as_bytes())
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok((Self(url), credentials))
    }

    /// The address, without any secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(in crate::submissions::remote) fn url(&self) -> &Url {
        &self.0
    }
}

/// Reads an address as it was kept, by [`GitAddress::as_str`]; one with a secret in it is refused.
impl FromStr for GitAddress {
    /// A sentence for the student.
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        match Self::read(written)? {
            (address, None) => Ok(address),
            (_, Some(_)) => Err("There is a user name or token in the address; write it in its own field, \
                                 where it is not shown."
                .into()),
        }
    }
}

impl fmt::Display for GitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The same repository over HTTPS, if the address is one for SSH: `ssh://…` or `user@host:path`.
fn over_ssh(written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let at = ["ssh://", "git+ssh://", "ssh+git://"].into_iter().find(|scheme| lower.starts_with(scheme));
    let (host, path) = if let Some(scheme) = at {
        let rest = &written[scheme.len()..];
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        (host.split_once(':').map_or(host, |(host, _)| host), path)
    } else {
        let (before, path) = written.split_once(':')?;
        let (_, host) = before.split_once('@')?;
        if host.contains('/') || path.starts_with("//") {
            return None;
        }
        (host, path)
    };
    Some(format!("https://{host}/{}", path.trim_start_matches('/')))
}

/// Takes user name and password out of an address. A name alone is a token, as GitHub has it.
fn taken_out(url: &mut Url) -> Option<Credentials> {
    let decoded = |text: &str| {
        // What is more than percent signs in a form means itself here.
        let field = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
        let value = form_urlencoded::parse(field.as_bytes()).next();
        value.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let username = decoded(url.username());
    let password = url.password().map(decoded);
    // An address that is no base, which has none of both, was refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    match (username.is_empty(), password) {
        (true, None) => None,
        (false, None) => Some(Credentials::new("", username)),
        (_, Some(password)) => Some(Credentials::new(username, password)),
    }
}

/// The repository of which a path is a page, and the kind of page, as the servers in wide use have them.
fn page_of(path: &str) -> Option<(&str, &str)> {
    let pages = ["/-/", "/tree/", "/blob/", "/commit/", "/commits/", "/src/branch/", "/src/commit/"];
    let (at, page) = pages.iter().filter_map(|page| Some((path.find(page)?, *page))).min()?;
    // Owner and name come first.
    (path[..at].matches('/').count() >= 2).then(|| (&path[..at], page.trim_matches('/')))
}

/// Which commit of a repository is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Revision {
    /// The newest of the branch that the repository has as its default.
    #[default]
    Default,
    /// A branch, else a tag of this name, else the commit of these 40 hexadecimal digits.
    Named(String),
}

impl Revision {
    /// Reads what a person typed; nothing is the default branch.
    ///
    /// # Errors
    /// A sentence for the student.
    pub fn read(written: &str) -> Result<Self, String> {
        let name = written.trim();
        if name.is_empty() {
            return Ok(Self::Default);
        }
        match fault_of(name) {
            Some(fault) => Err(format!(
                "{} cannot be a branch, tag or commit: {fault}; write a name such as `main` or `v1.0`, or the \
                 40 digits of a commit.",
                shown(name.as_bytes())
            )),
            None => Ok(Self::Named(name.to_owned())),
        }
    }
}

impl FromStr for Revision {
    /// A sentence for the student.
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        Self::read(written)
    }
}

/// What no name of a branch or tag has, by git's manual (git-check-ref-format).
fn fault_of(name: &str) -> Option<&'static str> {
    let bad = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    if name.len() > NAME_BYTES {
        Some("it is too long")
    } else if name.chars().any(bad) {
        Some("there is a blank or a sign in it that no name has")
    } else if name.contains("..") || name.contains("@{") || name == "@" {
        Some("it is an expression and not a name")
    } else if name.starts_with(['-', '/'])
        || name.ends_with(['/', '.'])
        || name.contains("//")
        || name.split('/').any(|part| {
            part.starts_with('.') || part.rsplit_once('.').is_some_and(|(_, ending)| ending == "lock")
        })
    {
        Some("it begins or ends as no name does")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_without_what_is_secret() {
        let secret = |username: &str, secret: &str| Some(Credentials::new(username, secret));
        for (written, kept, credentials) in [
            ("https://git.example.org/team/app.git", "https://git.example.org/team/app.git", None),
            (" https://GitHub.com/o/r/ ", "https://github.com/o/r", None),
            ("http://127.0.0.1:8080/r.git", "http://127.0.0.1:8080/r.git", None),
            ("https://[2001:db8::1]/r", "https://[2001:db8::1]/r", None),
            ("https://ada:p%40s&s+1@h.example/r", "https://h.example/r", secret("ada", "p@s&s+1")),
            ("https://ghp_token@h.example/r", "https://h.example/r", secret("", "ghp_token")),
            ("https://:pw@h.example/r", "https://h.example/r", secret("", "pw")),
            ("https://h.example/a/tree/r", "https://h.example/a/tree/r", None),
        ] {
            let (address, found) = GitAddress::read(written).unwrap_or_else(|why| panic!("{written}: {why}"));
            assert_eq!((address.as_str(), found), (kept, credentials), "{written}");
            assert_eq!(kept.parse::<GitAddress>(), Ok(address));
        }
        let error = "https://ada:hunter2@h.example/r".parse::<GitAddress>().unwrap_err();
        assert!(error.contains("own field") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_cannot_be_fetched_says_what_to_write() {
        for (written, says) in [
            ("", "There is no address"),
            ("git@github.com:o/r.git", "`https://github.com/o/r.git`"),
            ("ssh://git@h.example:2222/o/r", "`https://h.example/o/r`"),
            ("git+ssh://h.example/o/r", "`https://h.example/o/r`"),
            ("/etc", "not from a folder"),
            ("../other", "not from a folder"),
            ("github.com/o/r", "not from a folder"),
            ("file:///etc", "not with `file:`"),
            ("git://h.example/r", "not with `git:`"),
            ("ext::sh -c id", "not with `ext:`"),
            ("ext::https://h.example/r", "not with `ext:`"),
            ("javascript:alert(1)", "not with `javascript:`"),
            ("https://", "no address"),
            ("https://h.example", "no repository"),
            ("https://h.example/r?x=1", "`?` or `#`"),
            ("https://h.example/r#x", "`?` or `#`"),
            ("https://github.com/o/r/tree/main/src", "`https://github.com/o/r`"),
            ("https://gitlab.com/g/s/r/-/blob/main/x", "`https://gitlab.com/g/s/r`"),
            (&format!("https://h.example/{}", "x".repeat(3000)), "longer than"),
        ] {
            let why = GitAddress::read(written).expect_err(written);
            assert!(why.contains(says) && why.ends_with('.'), "{written}: {why}");
        }
        for written in
            ["https://ada:hunter2@h.example/o/r/tree/x", "https://ada:hunter2@[::/x", "x://ada:hunter2@h/x?y"]
        {
            let why = GitAddress::read(written).expect_err(written);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn revisions_are_names() {
        assert_eq!(Revision::read("  "), Ok(Revision::Default));
        for name in
            ["main", "feature/x", "v1.0", "v1.0-rc.1", "ä", "0123456789012345678901234567890123456789"]
        {
            assert_eq!(Revision::read(name), Ok(Revision::Named(name.into())), "{name}");
        }
        for name in [
            "a b",
            "a\nb",
            "main~1",
            "HEAD^",
            "a:b",
            "a..b",
            "@{u}",
            "@",
            "-x",
            "/a",
            "a/",
            "a.",
            "a.lock",
            "a//b",
            "a/.b",
            "a*",
            "a[b]",
            "a\\b",
            &"x".repeat(300),
        ] {
            let why = Revision::read(name).expect_err(name);
            assert!(why.contains("cannot be a branch") && why.ends_with('.'), "{why}");
        }
    }
}
