//! A Dockerfile as its lines are written, with what the parsed form no longer shows: the case of
//! keywords, blank lines inside an instruction, and what stands in which form.
//!
//! The rules are those of `BuildKit`'s reader
//! (<https://docs.docker.com/reference/dockerfile/#format>): comments between continued lines are
//! dropped, continued lines are joined without a blank, here-documents follow their instruction.

use super::super::scope::words;
use super::super::{DOCKERFILE_INSTRUCTIONS, Keyword, Unreadable};
use super::shell::Script;

/// One instruction as it is written.
#[derive(Debug)]
pub(super) struct Step {
    /// Where it starts, from 1.
    pub line: usize,
    /// Its name, and as it is written.
    pub keyword: Keyword,
    pub written: String,
    /// `--name=value` before the arguments, the name in lower case.
    pub flags: Vec<(String, String)>,
    /// What follows, continued lines joined.
    pub arguments: String,
    /// The arguments where they are a JSON array of strings.
    pub exec: Option<Vec<String>>,
    /// Here-documents.
    pub documents: Vec<Document>,
    /// The first line inside the instruction that has nothing in it.
    pub blank_line: Option<usize>,
    /// For `ONBUILD`, what it keeps for later.
    pub nested: Option<Box<Step>>,
    /// For `RUN` and `SHELL`, the commands.
    pub script: Script,
}

/// A here-document.
#[derive(Debug)]
pub(super) struct Document {
    /// Its delimiter as the instruction has it, such as `<<-"EOF"`.
    pub opening: String,
    pub delimiter: String,
    pub body: String,
}

/// A comment line, and what follows it.
#[derive(Debug)]
pub(super) struct Remark {
    pub line: usize,
    /// Without the `#` and blanks around it.
    pub text: String,
    /// The line after it, where that is no comment.
    pub next: Option<String>,
    /// Whether it is a parser directive.
    pub directive: bool,
}

/// All of a file.
#[derive(Debug)]
pub(super) struct Source {
    pub steps: Vec<Step>,
    pub remarks: Vec<Remark>,
    pub escape: char,
}

impl Source {
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        let lines: Vec<&str> = text.lines().collect();
        let (escape, directives) = directives(&lines);
        let mut source = Self { steps: Vec::new(), remarks: Vec::new(), escape };
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at].trim();
            if let Some(remark) = line.strip_prefix('#') {
                let next = lines.get(at + 1).map(|next| next.trim()).filter(|next| !next.starts_with('#'));
                source.remarks.push(Remark {
                    line: at + 1,
                    text: remark.trim().to_owned(),
                    next: next.map(str::to_owned),
                    directive: at < directives,
                });
                at += 1;
            } else if line.is_empty() {
                at += 1;
            } else {
                if source.steps.len() == DOCKERFILE_INSTRUCTIONS {
                    let instructions = source.steps.len() + 1;
                    return Err(Unreadable::TooMany { instructions });
                }
                let step = Reading { lines: &lines, at: &mut at, escape }.step()?;
                source.steps.push(step);
            }
        }
        if source.steps.is_empty() { Err(Unreadable::Empty) } else { Ok(source) }
    }
}

/// The escape character, and how many lines of parser directives there are.
fn directives(lines: &[&str]) -> (char, usize) {
    let mut escape = '\\';
    for (index, line) in lines.iter().enumerate() {
        let directive = line.trim().strip_prefix('#').and_then(|line| line.split_once('='));
        match directive.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())) {
            Some((name, value)) if name == "escape" && value == "`" => escape = '`',
            Some((name, _)) if matches!(name.as_str(), "escape" | "syntax" | "check") => {}
            _ => return (escape, index),
        }
    }
    (escape, lines.len())
}

struct Reading<'a> {
    lines: &'a [&'a str],
    at: &'a mut usize,
    escape: char,
}

impl Reading<'_> {
    /// The instruction at the current line, which is neither blank nor a comment.
    fn step(&mut self) -> Result<Step, Unreadable> {
        let line = *self.at + 1;
        let mut joined = String::new();
        let mut blank_line = None;
        let mut continued = true;
        while continued && *self.at < self.lines.len() {
            let here = self.lines[*self.at];
            *self.at += 1;
            if *self.at > line && here.trim_start().starts_with('#') {
                continue;
            }
            if here.trim().is_empty() {
                blank_line.get_or_insert(*self.at);
                continue;
            }
            let trimmed = here.trim_end();
            let more = trimmed.strip_suffix(self.escape);
            joined.push_str(more.unwrap_or(trimmed));
            continued = more.is_some();
        }
        let mut step = Step::parse(joined.trim(), line, true)?;
        step.blank_line = blank_line;
        let heredocs = match &mut step {
            Step { nested: Some(nested), .. } => nested,
            step => step,
        };
        if matches!(heredocs.keyword, Keyword::Run | Keyword::Copy | Keyword::Add) && heredocs.exec.is_none()
        {
            for opening in openings(&heredocs.arguments) {
                let document = self.document(opening, line)?;
                heredocs.documents.push(document);
            }
        }
        step.scripted()?;
        if let Some(nested) = &mut step.nested {
            nested.scripted()?;
        }
        Ok(step)
    }

    fn document(&mut self, opening: String, line: usize) -> Result<Document, Unreadable> {
        let bare = opening.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches("<<");
        let tabs = bare.starts_with('-');
        let delimiter: String =
            bare.trim_start_matches('-').chars().filter(|c| !matches!(c, '"' | '\'')).collect();
        let mut body = String::new();
        while let Some(here) = self.lines.get(*self.at) {
            *self.at += 1;
            let here = if tabs { here.trim_start_matches('\t') } else { here };
            if here == delimiter {
                return Ok(Document { opening, delimiter, body });
            }
            body.push_str(here);
            body.push('\n');
        }
        let message = format!("the here-document that begins there has no line `{delimiter}` that ends it");
        Err(Unreadable::Syntax { line, message: crate::text::visible(&message).into_owned() })
    }
}

impl Step {
    fn parse(joined: &str, line: usize, onbuild: bool) -> Result<Self, Unreadable> {
        let wrong = |message: String| {
            let message = crate::text::visible(&message.chars().take(200).collect::<String>()).into_owned();
            Err(Unreadable::Syntax { line, message })
        };
        let (written, rest) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        let Some(keyword) = Keyword::read(written) else {
            return wrong(format!("there is no instruction `{written}`"));
        };
        let rest = rest.trim();
        if rest.is_empty() {
            return wrong(format!("{} has no arguments", keyword.name()));
        }
        let mut step = Self {
            line,
            keyword,
            written: written.to_owned(),
            flags: Vec::new(),
            arguments: String::new(),
            exec: None,
            documents: Vec::new(),
            blank_line: None,
            nested: None,
            script: Script::default(),
        };
        let mut rest = rest;
        while let Some(flag) = rest.strip_prefix("--").filter(|_| takes_flags(keyword)) {
            let (flag, after) = flag.split_at(flag.find(char::is_whitespace).unwrap_or(flag.len()));
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            step.flags.push((name.to_ascii_lowercase(), unquoted(value).to_owned()));
            rest = after.trim_start();
        }
        rest.clone_into(&mut step.arguments);
        let command = match keyword {
            Keyword::Healthcheck => rest.split_once(char::is_whitespace).map_or("", |(_, command)| command),
            _ => rest,
        };
        if command.trim_start().starts_with('[') {
            step.exec = serde_json::from_str::<Vec<String>>(command).ok();
        }
        if keyword == Keyword::Onbuild {
            if !onbuild {
                // Wrong, but for a rule to say: what it keeps is not looked at.
                return Ok(step);
            }
            step.nested = Some(Box::new(Self::parse(rest, line, false)?));
        }
        Ok(step)
    }

    /// Reads the commands, where it has some.
    fn scripted(&mut self) -> Result<(), Unreadable> {
        if !matches!(self.keyword, Keyword::Run | Keyword::Shell) {
            return Ok(());
        }
        let text = match (&self.exec, self.documents.as_slice()) {
            (Some(words), _) => words.join(" "),
            (None, []) => self.arguments.clone(),
            // Nothing but the document: it is the script.
            (None, [document]) if self.arguments == document.opening => document.body.clone(),
            (None, documents) => documents.iter().fold(self.arguments.clone(), |text, document| {
                format!("{text}\n{}{}", document.body, document.delimiter)
            }),
        };
        let line = self.line;
        self.script = Script::read(text).map_err(|message| Unreadable::Syntax { line, message })?;
        Ok(())
    }

    /// The values of a flag, one for each time it is given.
    pub(super) fn flag<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The arguments as words: exec form or words at blanks, quotes kept.
    pub(super) fn words(&self) -> Vec<String> {
        self.exec.clone().unwrap_or_else(|| words(&self.arguments))
    }

    /// Sources and target of `COPY` and `ADD`.
    pub(super) fn copied(&self) -> (Vec<String>, String) {
        let mut words = self.words();
        let target = words.pop().unwrap_or_default();
        let inline = |word: &String| self.documents.iter().any(|document| document.opening == *word);
        words.retain(|word| !inline(word));
        (words, target)
    }

    /// Names and values of `ENV`, `LABEL` and `ARG`, with whether the old form `NAME value` is used.
    pub(super) fn pairs(&self) -> (Vec<(String, String)>, bool) {
        let words = words(&self.arguments);
        let old = self.keyword != Keyword::Arg && words.first().is_some_and(|first| !first.contains('='));
        if old {
            let (name, value) =
                self.arguments.split_once(char::is_whitespace).unwrap_or((&self.arguments, ""));
            return (vec![(unquoted(name).to_owned(), value.trim().to_owned())], true);
        }
        let pair = |word: &String| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            (unquoted(name).to_owned(), value.to_owned())
        };
        (words.iter().map(pair).collect(), false)
    }
}

fn takes_flags(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(keyword, K::From | K::Run | K::Copy | K::Add | K::Healthcheck)
}

/// Without one pair of quotes around it.
pub(super) fn unquoted(word: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| word.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(word)
}

/// Words that open a here-document: `<<EOF`, `<<-EOF`, `3<<"EOF"`.
fn openings(arguments: &str) -> Vec<String> {
    let opens = |word: &String| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.strip_prefix("<<").is_some_and(|rest| {
            let name = rest.strip_prefix('-').unwrap_or(rest);
            !unquoted(name).is_empty() && !name.contains('<')
        })
    };
    words(arguments).into_iter().filter(opens).collect()
}
