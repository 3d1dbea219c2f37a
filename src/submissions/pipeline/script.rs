//! Scripts in a definition: their commands, with the lines they stand on and their variables put in.

use super::super::shell::Script;
use super::variables::Variables;
use super::{Action, Draft, commands};
use crate::tree::Node;

/// How deep scripts lie in scripts (`sh -c`, `ssh host`) that are followed.
const DEPTH: usize = 3;

/// Where a script runs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The unit it is part of.
    pub unit: usize,
    /// Whether it runs on the machine that is deployed to.
    pub remote: bool,
    /// The id of the step, by which later ones know what it told.
    pub id: Option<&'a str>,
}

impl Draft<'_> {
    /// A script that is written at `node`. What it exports to later steps goes to `job`, what it sets for
    /// itself to `shell`.
    pub(super) fn script(
        &mut self,
        text: &str,
        node: &Node,
        place: Place<'_>,
        shell: &mut Variables,
        job: &mut Variables,
    ) {
        let first = self.first_line(node);
        self.lines_of_script(text, &|line| first + line - 1, place, (shell, job), DEPTH);
    }

    /// The line of the file on which a script's first line stands: below the `|` of a block.
    fn first_line(&self, node: &Node) -> usize {
        let line = node.place.line;
        let is_block = |line: usize| {
            let text =
                line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or_default();
            let text = text.split(" #").next().unwrap_or(text).trim_end();
            let head = text.trim_end_matches(|c: char| matches!(c, '+' | '-') || c.is_ascii_digit());
            head.ends_with(['|', '>']) && (head.len() < 2 || head[..head.len() - 1].ends_with(' '))
        };
        if is_block(line) { line + 1 } else { line }
    }

    fn lines_of_script(
        &mut self,
        text: &str,
        line_of: &dyn Fn(usize) -> usize,
        place: Place<'_>,
        (shell, job): (&mut Variables, &mut Variables),
        depth: usize,
    ) {
        let text = shell.expressions(text);
        // What no shell would take, or what is not read, has no commands.
        let Ok(script) = Script::read(text) else { return };
        let written: Vec<&str> = script.text.lines().collect();
        let mut assigned = script.assignments.iter();
        let mut done = 0;
        for command in &script.commands {
            for assignment in assigned.by_ref().take(command.after_assignments.saturating_sub(done)) {
                shell.set(&assignment.name, shell.word(&assignment.value));
            }
            done = done.max(command.after_assignments);
            let words: Vec<String> = command.words.iter().map(|parts| shell.word(parts)).collect();
            let words = unwrapped(&words);
            let line = line_of(command.line.max(1));
            let Some((name, arguments)) = words.split_first() else { continue };
            if self.is_full() {
                return;
            }
            match name.as_str() {
                "export" | "readonly" | "declare" | "local" | "typeset" => set_all(arguments, "", shell),
                "echo" | "printf" => {
                    // Where it goes to stands behind it on its line.
                    let line = written.get(command.line.saturating_sub(1)).copied().unwrap_or_default();
                    if line.contains("GITHUB_ENV") {
                        set_all(arguments, "", job);
                    } else if let (true, Some(id)) = (line.contains("GITHUB_OUTPUT"), place.id) {
                        set_all(arguments, &format!("steps.{id}.outputs."), job);
                    }
                }
                "sh" | "bash" | "ash" | "dash" | "zsh" | "eval" | "ssh" => {
                    let inner = inner_script(name, arguments);
                    if let (Some(inner), Some(depth)) = (inner, depth.checked_sub(1)) {
                        let place = Place { remote: place.remote || name == "ssh", ..place };
                        self.lines_of_script(&inner, &|_| line, place, (shell, job), depth);
                    }
                }
                _ => {
                    let remote =
                        place.remote || shell.get("DOCKER_HOST").is_some_and(|host| !host.is_empty());
                    self.command(words, line, place.unit, remote);
                }
            }
        }
        for assignment in assigned {
            shell.set(&assignment.name, shell.word(&assignment.value));
        }
    }

    /// What one command does.
    pub(super) fn command(&mut self, words: &[String], line: usize, unit: usize, remote: bool) {
        let done = commands::read(words, remote);
        self.aliases.extend(done.alias);
        for (step, images) in done.steps {
            let what = words.join(" ");
            let what = what.chars().take(200).collect();
            self.actions.push(Action { step, line, what, images, unit });
        }
    }
}

/// The command that words such as `sudo` start.
fn unwrapped(words: &[String]) -> &[String] {
    let mut words = words;
    loop {
        let Some((name, rest)) = words.split_first() else { return words };
        let operand =
            |rest: &[String]| rest.iter().position(|word| !word.starts_with('-') && !word.contains('='));
        let skip = match name.as_str() {
            "sudo" | "command" | "exec" | "time" | "nohup" | "env" | "nice" | "xargs" => operand(rest),
            // The first word is a time.
            "timeout" => operand(rest).map(|at| at + 1).filter(|at| *at < rest.len()),
            _ => return words,
        };
        let Some(skip) = skip else { return words };
        words = &rest[skip..];
    }
}

/// `NAME=value` words.
fn set_all(words: &[String], prefix: &str, variables: &mut Variables) {
    for (name, value) in words.iter().flat_map(|word| word.lines()).filter_map(|word| word.split_once('=')) {
        variables.set(&format!("{prefix}{}", name.trim()), value.trim_end_matches("\\n").to_owned());
    }
}

/// The script that a shell is given on its command line.
fn inner_script(name: &str, arguments: &[String]) -> Option<String> {
    match name {
        "eval" => Some(arguments.join(" ")),
        "ssh" => {
            // Options with a value, the host, then the command.
            let mut rest = arguments.iter();
            while let Some(word) = rest.next() {
                match word.strip_prefix('-') {
                    Some(option) if option.len() == 1 && "BbcDEeFIiJLlmOopQRSWw".contains(option) => {
                        rest.next();
                    }
                    Some(_) => {}
                    None => {
                        let command: Vec<&str> = rest.map(String::as_str).collect();
                        return (!command.is_empty()).then(|| command.join(" "));
                    }
                }
            }
            None
        }
        _ => {
            let at = arguments.iter().position(|word| {
                word.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains('c'))
            })?;
            arguments.get(at + 1).cloned()
        }
    }
}
