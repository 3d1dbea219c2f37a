//! `.dockerignore` by the builder's real rules, so that a build gets exactly the context that
//! `docker build` would send from a student's machine.
//!
//! The engine expects whoever sends the context to leave ignored files out. Rules as documented
//! under "Build context" of Docker's manual: one pattern a line, `#` in the first column starts a
//! comment, white space around a pattern is cut, a leading `/` means nothing, `*` and `?` do not
//! cross `/`, `**` does, `!` lets something in again, the last line that matches decides, and a
//! pattern that matches a folder matches all that is in it.

use regex::Regex;

/// The patterns of one ignore file.
#[derive(Clone, Debug, Default)]
pub struct Dockerignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    lets_in: bool,
    regex: Regex,
}

/// The most bytes of an ignore file that are read, and patterns that are kept: far more than any
/// real file has, far less than what would slow a grading down.
const MOST_BYTES: usize = 64 * 1024;
const MOST_PATTERNS: usize = 1_000;

impl Dockerignore {
    /// Reads an ignore file. Lines that are no pattern (a broken `[` range) match nothing, as
    /// the builder would have refused them; bytes that are no UTF-8 match nothing either.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]);
        let patterns = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Pattern::read(line.trim()))
            .take(MOST_PATTERNS)
            .collect();
        Self { patterns }
    }

    /// Whether nothing at all is ignored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the file or folder at `path` (relative, with `/`) stays out of the context.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        let mut ignored = false;
        for pattern in &self.patterns {
            // A pattern can only change the answer when it says the opposite of what holds.
            if pattern.lets_in == ignored && pattern.matches(path) {
                ignored = !pattern.lets_in;
            }
        }
        ignored
    }
}

impl Pattern {
    fn read(line: &str) -> Option<Self> {
        let (lets_in, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        let pattern = clean(pattern);
        if pattern.is_empty() || pattern == "." {
            return None;
        }
        Some(Self { lets_in, regex: to_regex(&pattern)? })
    }

    /// Whether it matches the path itself or a folder above it.
    fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path) || path.match_indices('/').any(|(end, _)| self.regex.is_match(&path[..end]))
    }
}

/// Takes `.` and `..` parts, double and outer slashes out of a pattern, as the builder does.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => (),
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() && pattern.contains('.') { ".".into() } else { parts.join("/") }
}

/// Translates a pattern into a regular expression over the whole path; `None` if it is broken.
fn to_regex(pattern: &str) -> Option<Regex> {
    let mut regex = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '*' if chars.peek() == Some(&'*') => {
                while chars.peek() == Some(&'*') {
                    chars.next();
                }
                if chars.peek() == Some(&'/') {
                    chars.next();
                    regex.push_str("(?:.*/)?");
                } else {
                    regex.push_str(".*");
                }
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                regex.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    regex.push('^');
                }
                let mut closed = false;
                for inside in chars.by_ref() {
                    match inside {
                        ']' => {
                            closed = true;
                            break;
                        }
                        '-' => regex.push('-'),
                        other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
                    }
                }
                if !closed {
                    return None;
                }
                regex.push(']');
            }
            '\\' => regex.push_str(&regex::escape(chars.next()?.encode_utf8(&mut [0; 4]))),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Regex::new(&format!("(?s){regex}")).ok()
}

#[cfg(test)]
mod tests {
    use super::Dockerignore;

    fn ignored(file: &str, path: &str) -> bool {
        Dockerignore::read(file.as_bytes()).ignores(path)
    }

    #[test]
    fn patterns_match_as_the_builder_does() {
        for (file, path, expected) in [
            ("node_modules", "node_modules/a/b.js", true),
            ("node_modules", "app/node_modules", false),
            ("**/node_modules", "app/node_modules/x", true),
            ("**/node_modules", "node_modules", true),
            ("/secret.txt", "secret.txt", true),
            ("*.log", "a.log", true),
            ("*.log", "logs/a.log", false),
            ("**/*.log", "logs/deep/a.log", true),
            ("*/temp*", "a/temporary.txt", true),
            ("*/temp*", "a/b/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README.md", "OTHER.md", true),
            ("!README.md\n*.md", "README.md", true),
            ("*\n!src", "src/main.rs", false),
            ("*\n!src", "target/x", true),
            ("docs\n!docs/keep.md", "docs/keep.md", false),
            ("docs\n!docs/keep.md", "docs/other.md", true),
            ("# comment\n.git", ".git/config", true),
            (" #nocomment", "#nocomment", true),
            ("  padded  ", "padded", true),
            ("\u{feff}first", "first", true),
            ("./a/../b", "b", true),
            ("[ab].txt", "a.txt", true),
            ("[^ab].txt", "a.txt", false),
            ("[a-c].txt", "b.txt", true),
            ("[broken", "[broken", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            ("a.b", "axb", false),
            ("folder/", "folder/file", true),
            (".", "anything", false),
            ("", "anything", false),
        ] {
            assert_eq!(ignored(file, path), expected, "{file:?} on {path:?}");
        }
    }

    #[test]
    fn a_build_gets_what_docker_would_send() {
        let file = |path: &str, text: &str| (path.to_owned(), bytes::Bytes::from(text.to_owned()));
        let limits = crate::submissions::ContentLimits {
            archive_bytes: 1 << 20,
            unpacked_bytes: 1 << 20,
            entries: 100,
        };
        let files = vec![
            file(".dockerignore", "*\n!src/main.rs\n"),
            file("Dockerfile", "FROM scratch"),
            file("src/main.rs", "fn main() {}"),
            file("src/secret", "no"),
            file("target/big", "no"),
        ];
        let content = crate::submissions::Content::from_files(files, &limits).expect("small");
        let sent = content.build_context("Dockerfile");
        let paths: Vec<_> =
            sent.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        assert_eq!(paths, [".dockerignore", "Dockerfile", "src", "src/main.rs"]);
    }
}
