//! `.dockerignore` by the builder's real rules, so that a build gets exactly the context that
//! `docker build` would send from a student's machine, and so that a check can say which line decided.
//!
//! The engine expects whoever sends the context to leave ignored files out. The rules are those of
//! `moby/patternmatcher`, which both builders use, as its reader of ignore files and its
//! `MatchesUsingParentResults` have them: one pattern a line, `#` in the first column starts a comment,
//! white space around a pattern is cut, paths are cleaned, a leading `/` means nothing, `!` lets
//! something in again, the last line that matches decides, and what a line says of a folder holds for
//! all that is in it. Where the builders differ, this is `BuildKit`: the classic builder never looks
//! into an ignored folder for the sake of a `!` pattern that does not begin with the folder's path.

mod pattern;

use self::pattern::Pattern;

/// The patterns of one ignore file.
#[derive(Clone, Debug, Default)]
pub struct Dockerignore {
    lines: Vec<Line>,
    mistake: Option<Mistake>,
}

/// A line with a pattern.
#[derive(Clone, Debug)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it is written, without the blanks around it.
    pub text: String,
    lets_in: bool,
    pattern: Pattern,
}

/// Why `docker build` would refuse to start, or why a line is not read here. A sentence for the student.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Line {line} of the ignore file {message}.")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    message: &'static str,
}

/// What an ignore file says of a path.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    /// Whether it stays out of the context.
    pub ignored: bool,
    /// The line that decided; `None` where no line matches.
    pub line: Option<&'a Line>,
}

/// The most bytes of an ignore file that are read, and patterns that are kept: far more than any
/// real file has, far less than what would slow a grading down.
const MOST_BYTES: usize = 64 * 1024;
const MOST_PATTERNS: usize = 1_000;

impl Dockerignore {
    /// Reads an ignore file. A line that the builder would refuse matches nothing and is told by
    /// [`Dockerignore::mistake`]. Bytes that are no UTF-8 match nothing.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut ignore = Self::default();
        let cut = bytes.len() > MOST_BYTES;
        let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let mut last = 1;
        for (line, number) in text.split('\n').zip(1..) {
            last = number;
            if line.starts_with('#') {
                continue;
            }
            if ignore.lines.len() == MOST_PATTERNS {
                ignore.wrong(number, "comes after 1,000 patterns, and more are not read");
                break;
            }
            match Line::read(line, number) {
                Ok(line) => ignore.lines.extend(line),
                Err(message) => ignore.wrong(number, message),
            }
        }
        if cut {
            ignore.wrong(last, "comes after 64 KiB, and more of the file is not read");
        }
        ignore
    }

    fn wrong(&mut self, line: usize, message: &'static str) {
        self.mistake.get_or_insert(Mistake { line, message });
    }

    /// Whether nothing at all is ignored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first line for which `docker build` would refuse to start.
    #[must_use]
    pub fn mistake(&self) -> Option<&Mistake> {
        self.mistake.as_ref()
    }

    /// Whether the file or folder at `path` (relative, with `/`) stays out of the context.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        self.verdict(path).ignored
    }

    /// What is said of the file or folder at `path` (relative, with `/`), which need not exist.
    #[must_use]
    pub fn verdict(&self, path: &str) -> Verdict<'_> {
        Walk::new(self).look(path)
    }
}

impl Line {
    /// A line that has nothing to say is `None`.
    fn read(line: &str, number: usize) -> Result<Option<Self>, &'static str> {
        let text = line.trim();
        let (marked, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        let rest = if rest.is_empty() { String::new() } else { clean(rest) };
        let rest = if rest.len() > 1 { rest.strip_prefix('/').unwrap_or(&rest) } else { &rest };
        // What is read is a pattern by itself, with rules of its own: it is trimmed and cleaned again,
        // and a `!` that came after a slash counts by now.
        let whole = format!("{}{rest}", if marked { "!" } else { "" });
        let whole = match whole.trim() {
            "" => return Ok(None),
            whole => clean(whole),
        };
        let (lets_in, path) = whole.strip_prefix('!').map_or((false, whole.as_str()), |path| (true, path));
        if path.is_empty() {
            return Err("is a `!` without a pattern, which docker build refuses");
        }
        let pattern =
            Pattern::read(path).ok_or("is no pattern that can be read; look at its `[` and `\\`")?;
        Ok(Some(Self { number, text: text.to_owned(), lets_in, pattern }))
    }
}

/// Takes `.` and `..` parts and double and closing slashes out of a path, as Go's `filepath.Clean` does.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", None) if rooted => {}
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            (part, _) => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Looks at paths one after another and remembers the folders it is in, so that sorted paths cost one
/// look at each.
pub struct Walk<'a> {
    ignore: &'a Dockerignore,
    /// The path looked at last and the folders above it, with which lines match each.
    above: Vec<(String, Vec<bool>)>,
}

impl<'a> Walk<'a> {
    /// At the root of the context.
    #[must_use]
    pub fn new(ignore: &'a Dockerignore) -> Self {
        Self { ignore, above: Vec::new() }
    }

    /// What is said of the file or folder at `path` (relative, with `/`).
    pub fn look(&mut self, path: &str) -> Verdict<'a> {
        while self.above.last().is_some_and(|(folder, _)| !is_below(folder, path)) {
            self.above.pop();
        }
        let known = self.above.last().map_or(0, |(folder, _)| folder.len() + 1);
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > known);
        for end in ends.collect::<Vec<_>>() {
            self.step(&path[..end]);
        }
        self.step(path)
    }

    /// One step down. A line that can only say what holds already is not asked, which the builder
    /// remembers for what is below as "did not match".
    fn step(&mut self, path: &str) -> Verdict<'a> {
        let above = self.above.last().map(|(_, matched)| matched);
        let mut verdict = Verdict { ignored: false, line: None };
        let mut matched = Vec::with_capacity(self.ignore.lines.len());
        for (index, line) in self.ignore.lines.iter().enumerate() {
            let fits = above.is_some_and(|above| above[index])
                || line.lets_in == verdict.ignored && line.pattern.matches(path);
            matched.push(fits);
            if fits {
                verdict = Verdict { ignored: !line.lets_in, line: Some(line) };
            }
        }
        self.above.push((path.to_owned(), matched));
        verdict
    }
}

fn is_below(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
