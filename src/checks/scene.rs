//! What checks may look at, and what their definitions stand in.

use std::time::Duration;

use indexmap::IndexMap;

use super::Fault;
use super::matcher::Variables;
use crate::clock::Clock;
use crate::sandbox::{Image, Sandbox, Service, Stack};
use crate::submissions::{Answers, Content};
use crate::units::Span;

/// What a check may look at. An image is there from the phase `image` on, a stack from `run` on;
/// `grading` runs no check before its phase.
pub struct Scene<'a> {
    /// The check's id, by which answers are found.
    pub id: &'a str,
    /// The submitted files.
    pub content: &'a Content,
    /// The submitted answers.
    pub answers: &'a Answers,
    /// Path of the Dockerfile that is built, in the content, where something is built.
    pub dockerfile: Option<&'a str>,
    /// Build arguments that the exercise gives.
    pub build_args: &'a IndexMap<String, String>,
    /// The stage that the exercise builds, where it is not the last.
    pub target: Option<&'a str>,
    /// The image under test.
    pub image: Option<&'a Image>,
    /// The running stack.
    pub stack: Option<&'a Stack>,
    /// For `command` with `fresh: true`.
    pub sandbox: Option<&'a Sandbox>,
    /// Values made for this grading alone, by name (`random` among them); `${name}` in texts of a
    /// check stands for them.
    pub variables: &'a Variables,
    /// For measuring and waiting.
    pub clock: &'a Clock,
}

impl<'a> Scene<'a> {
    /// The service called `name`; without a name `app`, or the first.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when the stack has none of that name.
    pub fn service(&self, name: Option<&str>) -> Result<&'a Service, Fault> {
        let stack = self.stack.ok_or_else(|| Fault::Exercise("this check needs a running stack".into()))?;
        let found = match name {
            Some(name) => stack.service(name),
            None => stack.main_service(),
        };
        found.ok_or_else(|| Fault::Exercise(format!("the stack has no service `{}`", name.unwrap_or("app"))))
    }

    /// The image under test.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when there is none.
    pub fn image(&self) -> Result<&'a Image, Fault> {
        self.image
            .ok_or_else(|| Fault::Exercise("this check needs an image, and the exercise makes none".into()))
    }
}

/// What the definition around a check offers, so that a check can tell when it is read that it
/// could never work.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// Whether the exercise builds an image, and from which Dockerfile.
    pub dockerfile: Option<&'a str>,
    /// Names of the stack's services.
    pub services: Vec<&'a str>,
    /// Whether files are handed in.
    pub takes_files: bool,
    /// Whether answers are handed in.
    pub takes_answers: bool,
    /// Wall clock of everything that runs after the build (`limits.run_time`).
    pub run_time: Duration,
}

impl Surroundings<'_> {
    pub(super) fn service(&self, field: &str, name: Option<&str>, mistakes: &mut Vec<String>) {
        if self.services.is_empty() {
            mistakes.push("this check needs something that runs; add a `stack` with services".into());
        } else if let Some(name) = name
            && !self.services.contains(&name)
        {
            mistakes.push(format!(
                "`{field}: {name}` is not in the stack; its services are {}",
                self.services.join(", ")
            ));
        }
    }

    pub(super) fn image(&self, mistakes: &mut Vec<String>) {
        if self.dockerfile.is_none() {
            mistakes.push("this check needs a built image; add `build` to the exercise".into());
        }
    }

    pub(super) fn files(&self, mistakes: &mut Vec<String>) {
        if !self.takes_files {
            mistakes.push("this check needs files, and the exercise takes none; see `submit`".into());
        }
    }

    pub(super) fn question(&self, question: &str, mistakes: &mut Vec<String>) {
        if !self.takes_answers {
            mistakes.push("this check needs answers; add `answers` to `submit`".into());
        }
        if question.trim().is_empty() {
            mistakes.push("`question` is empty".into());
        }
    }

    /// A time that a check waits at most.
    pub(super) fn time(&self, field: &str, time: Span, mistakes: &mut Vec<String>) {
        if time.0.is_zero() {
            mistakes.push(format!("`{field}` is no time at all; give it at least `100ms`"));
        } else if time.0 > self.run_time {
            mistakes.push(format!(
                "`{field}: {time}` is longer than everything may run together ({}); raise `limits.run_time`",
                Span(self.run_time)
            ));
        }
    }
}
