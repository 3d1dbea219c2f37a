//! From the parser's types to ours.

use parse_dockerfile as parser;

use super::{DOCKERFILE_INSTRUCTIONS, Dockerfile, Flag, Form, Instruction, Keyword, Stage, Unreadable};
use crate::text::visible;

/// How much of a parser's message is kept: it may quote a word of the file, however long.
const MESSAGE_CHARS: usize = 200;

pub(super) fn parse(text: &str) -> Result<Dockerfile, Unreadable> {
    let parsed = parser::parse(text).map_err(|error| Unreadable::Syntax {
        line: error.line().max(1),
        message: visible(&format!("{error:#}").chars().take(MESSAGE_CHARS).collect::<String>()).into_owned(),
    })?;
    let instructions = parsed.instructions.len();
    if instructions > DOCKERFILE_INSTRUCTIONS {
        return Err(Unreadable::TooMany { instructions });
    }
    let lines = Lines::of(text);
    let escape = parsed.parser_directives.escape.as_ref().map_or('\\', |directive| directive.value.value);
    let reader = Reader { lines, escape };
    let mut stages: Vec<Stage> = Vec::new();
    let mut instructions = Vec::with_capacity(parsed.instructions.len());
    for instruction in &parsed.instructions {
        let index = instructions.len();
        if let parser::Instruction::From(from) = instruction {
            stages.push(Stage {
                name: from.as_.as_ref().map(|(_, name)| name.value.to_string()),
                from: from.image.value.to_string(),
                range: index..index,
            });
        }
        instructions.push(reader.instruction(instruction));
        if let Some(stage) = stages.last_mut() {
            stage.range.end = index + 1;
        }
    }
    let syntax = parsed.parser_directives.syntax.map(|directive| directive.value.value.to_owned());
    Ok(Dockerfile { instructions, stages, syntax })
}

/// Where each line starts, to tell a line by its offset without counting again.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

struct Reader {
    lines: Lines,
    escape: char,
}

/// What an instruction consists of, before it gets its name and line.
#[derive(Default)]
struct Parts {
    arguments: String,
    flags: Vec<Flag>,
    form: Option<Form>,
    here_document: bool,
    nested: Option<Box<Instruction>>,
}

impl Parts {
    fn words<'a, 'b: 'a>(words: impl IntoIterator<Item = &'a parser::UnescapedString<'b>>) -> Self {
        let words: Vec<&str> = words.into_iter().map(|word| word.value.as_ref()).collect();
        Self { arguments: words.join(" "), ..Self::default() }
    }
    fn text(text: &parser::UnescapedString<'_>) -> Self {
        Self { arguments: text.value.trim().to_owned(), ..Self::default() }
    }
}

impl Reader {
    fn instruction(&self, instruction: &parser::Instruction<'_>) -> Instruction {
        use parser::Instruction as I;
        let (keyword, start, parts) = match instruction {
            I::Add(i) => (Keyword::Add, i.add.span.start, Self::copy(&i.options, &i.src, &i.dest)),
            I::Copy(i) => (Keyword::Copy, i.copy.span.start, Self::copy(&i.options, &i.src, &i.dest)),
            I::Arg(i) => (Keyword::Arg, i.arg.span.start, Parts::text(&i.arguments)),
            I::Cmd(i) => (Keyword::Cmd, i.cmd.span.start, self.command(&i.arguments)),
            I::Entrypoint(i) => (Keyword::Entrypoint, i.entrypoint.span.start, self.command(&i.arguments)),
            I::Env(i) => (Keyword::Env, i.env.span.start, Parts::text(&i.arguments)),
            I::Expose(i) => (Keyword::Expose, i.expose.span.start, Parts::words(&i.arguments)),
            I::From(i) => {
                let mut parts = Parts::text(&i.image);
                if let Some((_, name)) = &i.as_ {
                    parts.arguments = format!("{} AS {}", parts.arguments, name.value);
                }
                parts.flags = flags(&i.options);
                (Keyword::From, i.from.span.start, parts)
            }
            I::Healthcheck(i) => {
                let mut parts = match &i.arguments {
                    parser::HealthcheckArguments::Cmd { arguments, .. } => {
                        let command = self.command(arguments);
                        Parts { arguments: format!("CMD {}", command.arguments), ..command }
                    }
                    _ => Parts { arguments: "NONE".into(), ..Parts::default() },
                };
                parts.flags = flags(&i.options);
                (Keyword::Healthcheck, i.healthcheck.span.start, parts)
            }
            I::Label(i) => (Keyword::Label, i.label.span.start, Parts::text(&i.arguments)),
            I::Maintainer(i) => (Keyword::Maintainer, i.maintainer.span.start, Parts::text(&i.name)),
            I::Onbuild(i) => {
                let nested = self.instruction(&i.instruction);
                let parts = Parts {
                    arguments: nested.to_string(),
                    nested: Some(Box::new(nested)),
                    ..Parts::default()
                };
                (Keyword::Onbuild, i.onbuild.span.start, parts)
            }
            I::Run(i) => {
                let mut parts = self.command(&i.arguments);
                parts.flags = flags(&i.options);
                for document in &i.here_docs {
                    parts.here_document = true;
                    parts.arguments.push('\n');
                    parts.arguments.push_str(&document.value);
                }
                (Keyword::Run, i.run.span.start, parts)
            }
            I::Shell(i) => (Keyword::Shell, i.shell.span.start, exec(&i.arguments)),
            I::Stopsignal(i) => (Keyword::Stopsignal, i.stopsignal.span.start, Parts::text(&i.arguments)),
            I::User(i) => (Keyword::User, i.user.span.start, Parts::text(&i.arguments)),
            I::Volume(i) => {
                let parts = match &i.arguments {
                    parser::JsonOrStringArray::Json(json) => Parts::words(&json.value),
                    parser::JsonOrStringArray::String(words) => Parts::words(words),
                };
                (Keyword::Volume, i.volume.span.start, parts)
            }
            I::Workdir(i) => (Keyword::Workdir, i.workdir.span.start, Parts::text(&i.arguments)),
            // The parser may learn new instructions; none of ours means them.
            _ => (Keyword::Label, 0, Parts::default()),
        };
        let Parts { arguments, flags, form, here_document, nested } = parts;
        Instruction { keyword, line: self.lines.line(start), arguments, flags, form, here_document, nested }
    }

    fn copy(
        options: &[parser::Flag<'_>],
        sources: &[parser::Source<'_>],
        target: &parser::UnescapedString<'_>,
    ) -> Parts {
        let mut words: Vec<&str> = Vec::new();
        let mut here_document = false;
        for source in sources {
            match source {
                parser::Source::Path(path) => words.push(&path.value),
                parser::Source::HereDoc(_) => {
                    here_document = true;
                    words.push("<<");
                }
                _ => {}
            }
        }
        words.push(&target.value);
        Parts { arguments: words.join(" "), flags: flags(options), here_document, ..Parts::default() }
    }

    fn command(&self, command: &parser::Command<'_>) -> Parts {
        match command {
            parser::Command::Exec(words) => exec(&words.value),
            parser::Command::Shell(line) => {
                Parts { arguments: self.joined(line.value), form: Some(Form::Shell), ..Parts::default() }
            }
            _ => Parts::default(),
        }
    }

    /// Continued lines as one; comments between them are none of the command's.
    fn joined(&self, command: &str) -> String {
        let lines: Vec<&str> = command
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(index, line)| *index == 0 || !line.starts_with('#'))
            .map(|(_, line)| line.strip_suffix(self.escape).unwrap_or(line).trim_end())
            .filter(|line| !line.is_empty())
            .collect();
        lines.join(" ")
    }
}

fn exec(words: &[parser::UnescapedString<'_>]) -> Parts {
    let words: Vec<String> = words.iter().map(|word| word.value.to_string()).collect();
    let quoted: Vec<String> =
        words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    Parts { arguments: format!("[{}]", quoted.join(", ")), form: Some(Form::Exec(words)), ..Parts::default() }
}

fn flags(flags: &[parser::Flag<'_>]) -> Vec<Flag> {
    flags
        .iter()
        .map(|flag| Flag {
            name: flag.name.value.to_ascii_lowercase(),
            value: flag.value.as_ref().map(|value| value.value.to_string()),
        })
        .collect()
}
