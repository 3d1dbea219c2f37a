//! The commands of a shell line, by a real parser.
//!
//! The linter and the reader of pipelines call it. Arguments are what hadolint sees: quotes taken off,
//! every expansion as `${VAR}`; `words` keep what is expanded. Commands inside substitutions, loops,
//! functions and here-documents count like any other.

mod words;

use std::collections::BTreeSet;
use std::io::Cursor;

use brush_parser::ast::{
    AndOr, Assignment, AssignmentName, AssignmentValue, Command as Node, CommandPrefixOrSuffixItem as Item,
    CompoundCommand, CompoundList, ExtendedTestExpr, IoFileRedirectTarget, IoRedirect, Pipeline, Program,
    SimpleCommand, SubshellCommand, Word,
};
use brush_parser::word::{self, WordPiece, WordPieceWithSource};
use brush_parser::{Parser, ParserOptions};

pub(super) use self::words::Part;
use self::words::{parts, pieces, plain};

/// How deep substitutions and groups are followed. Nobody nests deeper by hand, and the parser is
/// recursive and backtracks: its time grows with each level by a factor.
const DEPTH: usize = 10;

/// The same for `case`, where a level costs the parser more, and for other compound commands, where
/// it costs no time but stack.
const CASES: usize = 4;
const COMPOUNDS: usize = 40;

/// The longest script that is parsed, in bytes. The longest that people write have some thousands,
/// and the parser's time grows with the square.
const SCRIPT_BYTES: usize = 64 * 1024;

/// The commands of a shell line.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// As it was parsed.
    pub text: String,
    /// In the order of the text, the outer before the inner.
    pub commands: Vec<Command>,
    /// What is given to variables, in the order of the text.
    pub assignments: Vec<Assigned>,
    /// Whether any output is piped into another command.
    pub piped: bool,
}

/// A command with a name that is no expansion.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    pub name: String,
    pub arguments: Vec<String>,
    /// All its words in their order, the name first.
    pub words: Vec<Vec<Part>>,
    /// Where it begins in the script, from 1.
    pub line: usize,
    /// How many of the script's assignments stand before it.
    pub after_assignments: usize,
}

/// `NAME=value` by itself or before a command.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub name: String,
    pub value: Vec<Part>,
}

impl Script {
    /// What the shell would not take either has no commands.
    ///
    /// # Errors
    /// A phrase for the student, where it is longer or nests deeper than is read.
    pub(super) fn read(text: String) -> Result<Self, String> {
        if let Some(why) = refused(&text) {
            return Err(why);
        }
        let mut walk = Walk::default();
        walk.script(&text, 0);
        let Walk { commands, assignments, piped, .. } = walk;
        Ok(Self { text, commands, assignments, piped })
    }

    pub(super) fn any(&self, holds: impl Fn(&Command) -> bool) -> bool {
        self.commands.iter().any(holds)
    }

    pub(super) fn first(&self, holds: impl Fn(&Command) -> bool) -> Option<usize> {
        self.commands.iter().position(holds)
    }

    pub(super) fn runs(&self, name: &str) -> bool {
        self.any(|command| command.name == name)
    }
}

impl Command {
    /// Whether it is `name` with one of `arguments`.
    pub(super) fn is(&self, name: &str, arguments: &[&str]) -> bool {
        self.name == name && self.has(arguments)
    }

    /// Whether it has one of `arguments`.
    pub(super) fn has(&self, arguments: &[&str]) -> bool {
        self.arguments.iter().any(|own| arguments.contains(&own.as_str()))
    }

    /// Names of flags without dashes, with the index of their argument: `--name=value` as `name`,
    /// `-abc` as three.
    fn flags(&self) -> impl Iterator<Item = (usize, &str)> {
        self.arguments.iter().enumerate().flat_map(|(index, argument)| {
            let names: Vec<&str> = match argument.strip_prefix('-') {
                None | Some("" | "-") => Vec::new(),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => vec![long.split('=').next().unwrap_or(long)],
                    None => rest.char_indices().map(|(at, c)| &rest[at..at + c.len_utf8()]).collect(),
                },
            };
            names.into_iter().map(move |name| (index, name))
        })
    }

    pub(super) fn has_flag(&self, names: &[&str]) -> bool {
        self.flags().any(|(_, name)| names.contains(&name))
    }

    /// The words after flags of these names.
    pub(super) fn values<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.flags()
            .filter(|(_, name)| names.contains(name))
            .filter_map(|(index, _)| self.arguments.get(index + 1).map(String::as_str))
    }

    /// Arguments that are no flags, without the words after flags of these names.
    pub(super) fn operands(&self, with_value: &[&str]) -> Vec<&str> {
        let mut left_out: BTreeSet<usize> = BTreeSet::new();
        for (index, name) in self.flags() {
            left_out.insert(index);
            if with_value.contains(&name) {
                left_out.insert(index + 1);
            }
        }
        let arguments = self.arguments.iter().enumerate();
        arguments.filter(|(index, _)| !left_out.contains(index)).map(|(_, word)| word.as_str()).collect()
    }

    /// Whether these arguments stand one after another.
    pub(super) fn has_in_a_row(&self, row: &[&str]) -> bool {
        self.arguments.windows(row.len()).any(|window| window.iter().eq(row))
    }
}

/// Why a script is not given to the parser, told before it starts; a phrase for the student.
fn refused(text: &str) -> Option<String> {
    if text.len() > SCRIPT_BYTES {
        return Some(format!("the script has {} bytes; at most {SCRIPT_BYTES} are read", text.len()));
    }
    let deepest = |steps: &mut dyn Iterator<Item = i8>| {
        let level = |depth: &mut usize, step| {
            *depth = depth.saturating_add_signed(isize::from(step));
            Some(*depth)
        };
        steps.scan(0_usize, level).max().unwrap_or_default()
    };
    let mut brackets = text.chars().map(|c| match c {
        '(' | '{' => 1,
        ')' | '}' => -1,
        _ => 0,
    });
    let words = |opens: &'static [&str], closes: &'static [&str]| {
        text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | ')' | '&' | '|'))
            .map(move |word| i8::from(opens.contains(&word)) - i8::from(closes.contains(&word)))
    };
    let compounds: &[&str] =
        &["if", "elif", "while", "until", "for", "select", "do", "then", "function", "coproc"];
    let deep = deepest(&mut brackets) > DEPTH
        || deepest(&mut words(&["case"], &["esac"])) > CASES
        || deepest(&mut words(compounds, &["fi", "done"])) > 2 * COMPOUNDS;
    deep.then(|| "the script nests deeper than is read; move it to a file".to_owned())
}

#[derive(Default)]
struct Walk {
    commands: Vec<Command>,
    assignments: Vec<Assigned>,
    piped: bool,
    /// The line of the command that is looked at; what is substituted in it counts as there.
    line: usize,
}

impl Walk {
    fn script(&mut self, text: &str, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let options = ParserOptions { enable_extended_globbing: true, ..ParserOptions::default() };
        let parsed = Parser::new(Cursor::new(text), &options).parse_program();
        if let Ok(Program { complete_commands }) = parsed {
            for list in &complete_commands {
                self.list(list, depth);
            }
        }
    }

    fn list(&mut self, list: &CompoundList, depth: usize) {
        for item in &list.0 {
            self.pipeline(&item.0.first, depth);
            for next in &item.0.additional {
                let (AndOr::And(pipeline) | AndOr::Or(pipeline)) = next;
                self.pipeline(pipeline, depth);
            }
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, depth: usize) {
        self.piped |= pipeline.seq.len() > 1;
        for node in &pipeline.seq {
            self.node(node, depth);
        }
    }

    fn node(&mut self, node: &Node, depth: usize) {
        match node {
            Node::Simple(simple) => self.simple(simple, depth),
            Node::Compound(compound, redirects) => {
                self.compound(compound, depth);
                self.redirects(redirects.iter().flat_map(|list| &list.0), depth);
            }
            Node::Function(function) => {
                self.compound(&function.body.0, depth);
                self.redirects(function.body.1.iter().flat_map(|list| &list.0), depth);
            }
            Node::ExtendedTest(test, redirects) => {
                self.test(&test.expr, depth);
                self.redirects(redirects.iter().flat_map(|list| &list.0), depth);
            }
        }
    }

    fn test(&mut self, test: &ExtendedTestExpr, depth: usize) {
        match test {
            ExtendedTestExpr::And(left, right) | ExtendedTestExpr::Or(left, right) => {
                self.test(left, depth);
                self.test(right, depth);
            }
            ExtendedTestExpr::Not(inner) | ExtendedTestExpr::Parenthesized(inner) => self.test(inner, depth),
            ExtendedTestExpr::UnaryTest(_, word) => self.inside(word, depth),
            ExtendedTestExpr::BinaryTest(_, left, right) => {
                self.inside(left, depth);
                self.inside(right, depth);
            }
        }
    }

    fn compound(&mut self, compound: &CompoundCommand, depth: usize) {
        match compound {
            CompoundCommand::Arithmetic(_) => {}
            CompoundCommand::ArithmeticForClause(clause) => self.list(&clause.body.list, depth),
            CompoundCommand::BraceGroup(group) => self.list(&group.list, depth),
            CompoundCommand::Subshell(SubshellCommand { list, .. }) => self.list(list, depth),
            CompoundCommand::ForClause(clause) => {
                clause.values.iter().flatten().for_each(|word| self.inside(word, depth));
                self.list(&clause.body.list, depth);
            }
            CompoundCommand::CaseClause(clause) => {
                self.inside(&clause.value, depth);
                clause
                    .cases
                    .iter()
                    .filter_map(|case| case.cmd.as_ref())
                    .for_each(|list| self.list(list, depth));
            }
            CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition, depth);
                self.list(&clause.then, depth);
                for part in clause.elses.iter().flatten() {
                    part.condition.iter().for_each(|list| self.list(list, depth));
                    self.list(&part.body, depth);
                }
            }
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
                self.list(&clause.0, depth);
                self.list(&clause.1.list, depth);
            }
            CompoundCommand::Coprocess(coprocess) => self.node(&coprocess.body, depth),
        }
    }

    fn simple(&mut self, simple: &SimpleCommand, depth: usize) {
        let suffix = simple.suffix.iter().flat_map(|suffix| &suffix.0);
        if depth == 0 {
            let start = simple.word_or_name.as_ref().and_then(|word| word.loc.as_ref());
            self.line = start.map_or(self.line.max(1), |span| span.start.line);
        }
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
            if let Item::AssignmentWord(Assignment { name: AssignmentName::VariableName(name), value, .. }, _) =
                item
                && let AssignmentValue::Scalar(value) = value
            {
                self.assignments.push(Assigned { name: name.clone(), value: parts(value) });
            }
        }
        if let Some(first) = &simple.word_or_name {
            let arguments: Vec<String> = suffix
                .clone()
                .filter_map(|item| match item {
                    Item::Word(word) | Item::AssignmentWord(_, word) => Some(plain(word).0),
                    Item::ProcessSubstitution(..) => Some(String::new()),
                    Item::IoRedirect(_) => None,
                })
                .collect();
            if let (name, true) = plain(first) {
                let name = effective(&name, &arguments).unwrap_or(name);
                let words = suffix.clone().filter_map(|item| match item {
                    Item::Word(word) | Item::AssignmentWord(_, word) => Some(parts(word)),
                    Item::ProcessSubstitution(..) | Item::IoRedirect(_) => None,
                });
                let words = std::iter::once(parts(first)).chain(words).collect();
                let after_assignments = self.assignments.len();
                self.commands.push(Command { name, arguments, words, line: self.line, after_assignments });
            }
            self.inside(first, depth);
        }
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0).chain(suffix) {
            match item {
                Item::Word(word) => self.inside(word, depth),
                Item::AssignmentWord(assignment, _) => match &assignment.value {
                    AssignmentValue::Scalar(word) => self.inside(word, depth),
                    AssignmentValue::Array(words) => {
                        for (_, word) in words {
                            self.inside(word, depth);
                        }
                    }
                },
                Item::ProcessSubstitution(_, shell) => self.list(&shell.list, depth),
                Item::IoRedirect(redirect) => self.redirects([redirect], depth),
            }
        }
    }

    fn redirects<'a>(&mut self, redirects: impl IntoIterator<Item = &'a IoRedirect>, depth: usize) {
        for redirect in redirects {
            match redirect {
                IoRedirect::File(_, _, IoFileRedirectTarget::ProcessSubstitution(_, shell)) => {
                    self.list(&shell.list, depth);
                }
                IoRedirect::File(_, _, IoFileRedirectTarget::Filename(word))
                | IoRedirect::HereString(_, word)
                | IoRedirect::OutputAndError(word, _) => self.inside(word, depth),
                IoRedirect::HereDocument(_, document) if document.requires_expansion => {
                    let options = ParserOptions::default();
                    if let Ok(pieces) = word::parse_heredoc(&document.doc.value, &options) {
                        self.pieces(&pieces, depth);
                    }
                }
                IoRedirect::File(..) | IoRedirect::HereDocument(..) => {}
            }
        }
    }

    /// Goes into the substitutions of a word.
    fn inside(&mut self, word: &Word, depth: usize) {
        if word.value.contains(['$', '`']) {
            self.pieces(&pieces(&word.value), depth);
        }
    }

    fn pieces(&mut self, pieces: &[WordPieceWithSource], depth: usize) {
        for piece in pieces {
            match &piece.piece {
                WordPiece::CommandSubstitution(text) | WordPiece::BackquotedCommandSubstitution(text) => {
                    self.script(text, depth + 1);
                }
                WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                    self.pieces(inner, depth);
                }
                _ => {}
            }
        }
    }
}

/// The command that a word such as `exec` starts.
fn effective(name: &str, arguments: &[String]) -> Option<String> {
    let first = match name {
        "busybox" | "builtin" | "command" | "run" => arguments.first().filter(|word| !word.starts_with('-')),
        "exec" => arguments.iter().find(|word| !word.starts_with('-')),
        _ => None,
    };
    first.cloned()
}
