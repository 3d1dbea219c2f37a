//! Words of a script: without their quotes, and with what they expand.

use brush_parser::ParserOptions;
use brush_parser::ast::Word;
use brush_parser::word::{self, Parameter, ParameterExpr, WordPiece, WordPieceWithSource};

/// What stands for an expansion.
const EXPANSION: &str = "${VAR}";

/// A part of a word, without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::submissions) enum Part {
    Text(String),
    /// The value of a variable.
    Variable(String),
    /// The value of a variable, or a text where it has none.
    Or(String, String),
    /// Any other expansion, as it is written.
    Other(String),
}

pub(super) fn pieces(word: &str) -> Vec<WordPieceWithSource> {
    let options = ParserOptions { tilde_expansion_at_word_start: false, ..ParserOptions::default() };
    word::parse(word, &options).unwrap_or_default()
}

/// The parts of a word, with what it expands.
pub(super) fn parts(word: &Word) -> Vec<Part> {
    fn add(source: &str, pieces: &[WordPieceWithSource], parts: &mut Vec<Part>) {
        for WordPieceWithSource { piece, start_index, end_index } in pieces {
            let other = || Part::Other(source.get(*start_index..*end_index).unwrap_or_default().to_owned());
            let text = match piece {
                WordPiece::Text(text)
                | WordPiece::SingleQuotedText(text)
                | WordPiece::AnsiCQuotedText(text) => text.as_str(),
                WordPiece::EscapeSequence(escaped) => escaped.strip_prefix('\\').unwrap_or(escaped),
                WordPiece::TildeExpansion(_) => "~",
                WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                    add(source, inner, parts);
                    continue;
                }
                WordPiece::ParameterExpansion(expansion) => {
                    parts.push(match expansion {
                        ParameterExpr::Parameter { parameter: Parameter::Named(name), indirect: false } => {
                            Part::Variable(name.clone())
                        }
                        ParameterExpr::UseDefaultValues {
                            parameter: Parameter::Named(name),
                            indirect: false,
                            default_value,
                            ..
                        } if !default_value
                            .as_deref()
                            .unwrap_or_default()
                            .contains(['$', '`', '"', '\'']) =>
                        {
                            Part::Or(name.clone(), default_value.clone().unwrap_or_default())
                        }
                        _ => other(),
                    });
                    continue;
                }
                WordPiece::CommandSubstitution(_)
                | WordPiece::BackquotedCommandSubstitution(_)
                | WordPiece::ArithmeticExpression(_) => {
                    parts.push(other());
                    continue;
                }
            };
            match parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(text),
                _ => parts.push(Part::Text(text.to_owned())),
            }
        }
    }
    if !word.value.contains(['$', '`', '"', '\'', '\\']) {
        return vec![Part::Text(word.value.clone())];
    }
    let mut found = Vec::new();
    add(&word.value, &pieces(&word.value), &mut found);
    found
}

/// A word without its quotes, expansions as `${VAR}`, and whether it has none.
pub(super) fn plain(word: &Word) -> (String, bool) {
    if !word.value.contains(['$', '`', '"', '\'', '\\']) {
        return (word.value.clone(), true);
    }
    let mut text = String::new();
    let literal = flatten(&pieces(&word.value), &mut text);
    (text, literal)
}

fn flatten(pieces: &[WordPieceWithSource], text: &mut String) -> bool {
    let mut literal = true;
    for piece in pieces {
        match &piece.piece {
            WordPiece::Text(plain)
            | WordPiece::SingleQuotedText(plain)
            | WordPiece::AnsiCQuotedText(plain) => {
                text.push_str(plain);
            }
            WordPiece::EscapeSequence(escaped) => {
                text.push_str(escaped.strip_prefix('\\').unwrap_or(escaped));
            }
            WordPiece::DoubleQuotedSequence(inner) | WordPiece::GettextDoubleQuotedSequence(inner) => {
                literal &= flatten(inner, text);
            }
            WordPiece::TildeExpansion(_) => text.push('~'),
            WordPiece::ParameterExpansion(_)
            | WordPiece::CommandSubstitution(_)
            | WordPiece::BackquotedCommandSubstitution(_)
            | WordPiece::ArithmeticExpression(_) => {
                text.push_str(EXPANSION);
                literal = false;
            }
        }
    }
    literal
}
